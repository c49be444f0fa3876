//! What each command does when all goes well.

use serde_json::{Value, json};

use crate::cli::Place;

/// Three events in two streams.
fn with_orders() -> Place {
    let place = Place::new();
    place.prints(&["append", "order-1", "--type", "OrderPlaced", "--data", "{\"total\":1200}"]);
    place.prints(&["append", "order-2", "--type", "OrderPlaced"]);
    place.prints(&["append", "order-1", "--type", "OrderPaid", "--metadata", "{\"userId\":\"u-7\"}"]);
    place
}

#[test]
fn the_first_command_makes_a_store_and_the_second_reads_it() {
    let place = Place::new();
    let appended =
        place.prints(&["append", "order-1", "--type", "OrderPlaced", "--data", "{\"total\":1200}"]);
    assert_eq!(appended, "order-1: version 1, position 1\n");
    let read = place.prints(&["read", "order-1"]);
    let (before, after) = ("1  order-1  1  OrderPlaced  ", "  {\"total\":1200}\n");
    assert!(read.starts_with(before) && read.ends_with(after), "{read}");
}

#[test]
fn append_says_position_and_version__C12() {
    let place = with_orders();
    let appended = place.json(&["append", "order-1", "--type", "OrderSent", "--format", "json"]);
    let report = json!({
        "stream": "order-1", "version": 3, "position": 4, "firstVersion": 3, "firstPosition": 4, "repeated": false
    });
    assert_eq!(appended, [report]);
}

#[test]
fn without_an_expected_version_nothing_is_checked__X24() {
    let place = with_orders();
    let appended = place.prints(&["append", "order-1", "--type", "OrderSent"]);
    assert_eq!(appended, "order-1: version 3, position 4\n");
}

#[test]
fn expected_versions_are_numbers_or_words__X3() {
    let place = Place::new();
    let met = ["0", "1", "-1", "-2", "any", "exists"];
    for (version, expected) in (1..).zip(met) {
        let appended = place.prints(&["append", "order-1", "--type", "Noted", "--expect", expected]);
        assert_eq!(appended, format!("order-1: version {version}, position {version}\n"), "{expected}");
    }
    for unmet in ["0", "no-stream", "5"] {
        let said = place.fails(3, &["append", "order-1", "--type", "Noted", "--expect", unmet]);
        assert!(said.contains("but current is 6 (stream \"order-1\")"), "{said}");
    }
    let said = place.fails(3, &["append", "order-2", "--type", "Noted", "--expect", "exists"]);
    assert!(said.contains("but current is 0"), "{said}");
    place.prints(&["append", "order-2", "--type", "Noted", "--expect", "no-stream"]);
}

#[test]
fn an_append_with_its_id_can_be_repeated__D06() {
    let place = Place::new();
    let append = ["append", "order-1", "--type", "OrderPlaced", "--id", "placed", "--expect", "no-stream"];
    assert_eq!(place.prints(&append), "order-1: version 1, position 1\n");
    assert_eq!(place.prints(&append), "order-1: version 1, position 1 (was there already)\n");
    assert_eq!(place.prints(&["read", "order-1"]).lines().count(), 1);
}

#[test]
fn metadata_come_from_the_command_line_a_file_or_standard_input() {
    let place = Place::new();
    place.write("metadata.json", "\n{\"n\": 2}\n");
    let append = ["append", "a", "--type", "T", "--metadata"];
    place.prints(&[&append[..], &["{\"n\": 1}"]].concat());
    place.prints(&[&append[..], &["@metadata.json"]].concat());
    place.prints_with(&[&append[..], &["-", "--data", "3"]].concat(), "{\"n\": 3}");
    let events = place.json(&["export"]);
    let numbers: Vec<&Value> = events.iter().map(|event| &event["metadata"]["n"]).collect();
    assert_eq!(numbers, [1, 2, 3]);

    place.write("metadata.json", "[\n1]");
    let said = place.fails(1, &[&append[..], &["@metadata.json"]].concat());
    assert!(said.contains("metadata.json, line 1") && said.contains("must be a JSON object"), "{said}");
    let said = place.fails_with(1, &[&append[..], &["-", "--data", "-"]].concat(), "{}");
    assert!(said.contains("standard input can't be both --data and --metadata"), "{said}");
    assert_eq!(place.json(&["export"]).len(), 3);
}

#[test]
fn data_come_from_the_command_line_a_file_or_standard_input() {
    let place = Place::new();
    place.write("paid.json", "\n  {\"paid\": 1.10}\n");
    place.prints(&["append", "a", "--type", "T", "--data", "-5"]);
    place.prints(&["append", "a", "--type", "T", "--data", "@paid.json"]);
    place.prints_with(&["append", "a", "--type", "T", "--data", "-"], " [1,\r\n2]\n");
    place.prints(&["append", "a", "--type", "T"]);
    let data: Vec<String> = place
        .prints(&["read", "a"])
        .lines()
        .map(|line| line.splitn(6, "  ").last().expect("data").to_owned())
        .collect();
    assert_eq!(data, ["-5", "{\"paid\": 1.10}", "[1,  2]", "{}"]);
}

#[test]
fn a_batch_is_appended_whole__A10() {
    let place = Place::new();
    let batch =
        "{\"type\":\"A\",\"data\":1}\n\n{\"stream\":\"order-1\",\"type\":\"B\",\"schemaVersion\":2}\n";
    let append = ["append", "order-1", "--batch", "-", "--expect", "no-stream", "--format", "json"];
    let report: Value = serde_json::from_str(&place.prints_with(&append, batch)).expect("JSON");
    assert_eq!(report["firstVersion"], 1);
    assert_eq!(report["version"], 2);
    let events = place.json(&["read", "order-1", "--format", "json"]);
    assert_eq!(events[0]["data"], 1);
    assert_eq!(events[1]["schemaVersion"], 2);
}

#[test]
fn a_batch_with_a_bad_line_appends_nothing__A11() {
    let place = with_orders();
    let batch = "{\"type\":\"A\"}\n{\"type\":\"B\",\"data\":{]}\n";
    let said = place.fails_with(1, &["append", "order-1", "--batch", "-"], batch);
    assert_eq!(said, "annals: standard input, line 2, column 21: this isn't JSON: key must be a string\n");
    let other = "{\"type\":\"A\"}\n{\"type\":\"B\",\"stream\":\"order-2\"}\n";
    let said = place.fails_with(1, &["append", "order-1", "--batch", "-"], other);
    assert!(said.contains("line 2: the line is for stream \"order-2\""), "{said}");
    assert_eq!(place.prints(&["read", "--all"]).lines().count(), 3);
}

#[test]
fn an_empty_batch_appends_nothing_and_checks_the_version__X8() {
    let place = with_orders();
    let appended = place.prints(&["append", "order-1", "--batch", "-", "--expect", "2"]);
    assert_eq!(appended, "order-1: nothing to append, version 2\n");
    place.fails(3, &["append", "order-1", "--batch", "-", "--expect", "1"]);
    assert_eq!(place.prints(&["read", "--all"]).lines().count(), 3);
}

#[test]
fn reading_an_unknown_stream_prints_nothing__A16() {
    let place = with_orders();
    assert_eq!(place.prints(&["read", "order-3"]), "");
    assert_eq!(place.prints(&["read", "order-3", "--format", "json"]), "");
}

#[track_caller]
fn check_read(place: &Place, arguments: &[&str], key: &str, numbers: &[u64]) {
    let arguments = [&["read", "--format", "json"], arguments].concat();
    let events = place.json(&arguments);
    let read: Vec<u64> = events.iter().filter_map(|event| event[key].as_u64()).collect();
    assert_eq!(read, numbers, "{arguments:?}");
}

#[test]
fn from_and_to_are_inclusive_and_after_and_before_are_not__X1() {
    let place = Place::new();
    for stream in ["a", "b", "a", "a", "b", "a", "a"] {
        place.prints(&["append", stream, "--type", "T"]);
    }
    check_read(&place, &["a"], "version", &[1, 2, 3, 4, 5]);
    check_read(&place, &["a", "--from", "2", "--to", "4"], "version", &[2, 3, 4]);
    check_read(&place, &["a", "--after", "2", "--before", "4"], "version", &[3]);
    check_read(&place, &["--all"], "position", &[1, 2, 3, 4, 5, 6, 7]);
    check_read(&place, &["--all", "--from", "6"], "position", &[6, 7]);
    check_read(&place, &["--all", "--after", "2", "--to", "4"], "position", &[3, 4]);
}

#[test]
fn the_limit_counts_in_the_order_of_reading__A15() {
    let place = Place::new();
    for _ in 0..5 {
        place.prints(&["append", "a", "--type", "T"]);
    }
    check_read(&place, &["a", "--backwards", "--limit", "2"], "version", &[5, 4]);
    check_read(&place, &["a", "--backwards", "--to", "3", "--limit", "2"], "version", &[3, 2]);
    check_read(&place, &["--all", "--backwards", "--from", "4"], "position", &[5, 4]);
    check_read(&place, &["a", "--limit", "0"], "version", &[]);
}

#[test]
fn streams_are_listed_by_name_prefix_and_category__C08() {
    let place = with_orders();
    place.prints(&["append", "orders", "--type", "Noted"]);
    let names = |arguments: &[&str]| -> Vec<String> {
        let streams = place.json(&[&["streams", "--format", "json"], arguments].concat());
        streams.iter().filter_map(|stream| stream["stream"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(names(&[]), ["order-1", "order-2", "orders"]);
    assert_eq!(names(&["--category", "order"]), ["order-1", "order-2"]);
    assert_eq!(names(&["--prefix", "order-"]), ["order-1", "order-2"]);
    assert_eq!(names(&["--limit", "1"]), ["order-1"]);
    let text = place.prints(&["streams", "--limit", "1"]);
    assert!(text.starts_with("order-1  2  "), "{text}");
}

#[test]
fn info_tells_about_the_store_and_a_stream__C19() {
    let place = with_orders();
    let store = &place.json(&["info", "--format", "json"])[0];
    assert_eq!((&store["events"], &store["streams"]), (&json!(3), &json!(2)));
    assert_eq!(store["lastPosition"], 3);
    let stream = &place.json(&["info", "order-1", "--format", "json"])[0];
    let events = place.json(&["read", "order-1", "--format", "json"]);
    let expected = json!({
        "stream": "order-1", "category": "order", "version": 2, "events": 2,
        "created": events[0]["timestamp"], "updated": events[1]["timestamp"],
    });
    assert_eq!(*stream, expected);
    assert!(place.prints(&["info"]).contains("last position  3\n"));
    assert!(place.prints(&["info", "order-1"]).contains("version   2\n"));
}

#[test]
fn verify_counts_what_is_whole() {
    let place = with_orders();
    let report = &place.json(&["verify", "--format", "json"])[0];
    assert_eq!((&report["events"], &report["streams"]), (&json!(3), &json!(2)));
    assert_eq!(report["damage"], json!([]));
    let text = place.prints(&["verify"]);
    assert!(text.starts_with("./annals-data is whole: 3 events in 2 streams, up to position 3;"), "{text}");
}

#[test]
fn the_store_is_named_by_option_or_environment() {
    let place = Place::new();
    let run = |command: &mut std::process::Command| command.status().expect("the program runs").success();
    assert!(run(place.command(&["append", "a", "--type", "T"]).env("ANNALS_STORE", "one")));
    assert!(run(place.command(&["append", "a", "--type", "T", "--store", "two"]).env("ANNALS_STORE", "one")));
    assert!(place.path().join("one").is_dir() && place.path().join("two").is_dir());
    assert_eq!(place.prints(&["--store", "one", "read", "a"]).lines().count(), 1);
    assert!(run(place.command(&["append", "a", "--type", "T"]).env("ANNALS_STORE", "")));
    assert!(place.path().join("annals-data").is_dir(), "a variable that is set to nothing names none");
    place.fails(2, &["read", "a", "--store", ""]);
}
