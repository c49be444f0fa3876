//! Import and export: real events in and out, and what an import does with lines that it can't take.

use std::{
    io::{BufRead, BufReader, Write},
    process::Stdio,
};

use serde_json::Value;

use crate::cli::{Place, history, json_lines};

#[test]
fn a_real_history_goes_in_and_comes_out_the_same() {
    let place = Place::new();
    let history = history();
    let imported = place.prints_with(&["import", "-"], &history);
    assert_eq!(imported, "imported 5407 events into 467 streams (0 were already there)\n");

    let lock = place.json(&["read", "file-Cargo.lock", "--format", "json"]);
    let versions: Vec<u64> = lock.iter().filter_map(|event| event["version"].as_u64()).collect();
    assert_eq!(versions, (1..=495).collect::<Vec<u64>>());
    assert_eq!(place.prints(&["read", "file-Cargo.lock"]).lines().count(), 495);

    let exported = place.prints(&["export"]);
    check_same_events(&json_lines(&history), &json_lines(&exported));

    let again = place.prints_with(&["import", "-"], &history);
    assert_eq!(again, "imported 0 events into 0 streams (5407 were already there)\n");
    let exported_again = place.prints(&["export"]);
    assert!(exported_again == exported, "the second import changed something");
    place.prints(&["verify"]);
}

/// Field by field, and in the same order.
fn check_same_events(given: &[Value], stored: &[Value]) {
    assert_eq!(given.len(), stored.len());
    for (position, (given, stored)) in (1_u64..).zip(given.iter().zip(stored)) {
        assert_eq!(stored["position"], position);
        for field in ["stream", "type", "id", "data", "metadata"] {
            assert_eq!(stored[field], given[field], "{field} at position {position}");
        }
    }
}

#[test]
fn what_is_exported_can_be_imported() {
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    let exported = place.prints(&["export", "--from", "101", "--to", "200"]);
    assert_eq!(exported.lines().count(), 100);
    place.prints_with(&["--store", "part", "import", "-"], &exported);
    let part = place.json(&["--store", "part", "export"]);
    let whole = json_lines(&exported);
    for (part, whole) in part.iter().zip(&whole) {
        assert_eq!((&part["id"], &part["data"]), (&whole["id"], &whole["data"]));
    }
    assert_eq!(part[0]["position"], 1);
}

#[test]
fn lines_without_an_id_are_not_doubled_and_equal_lines_are_kept_apart() {
    let place = Place::new();
    let lines = "{\"stream\":\"a\",\"type\":\"Tick\"}\n".repeat(3) + "{\"stream\":\"b\",\"type\":\"Tick\"}\n";
    let imported = place.prints_with(&["import", "-"], &lines);
    assert_eq!(imported, "imported 4 events into 2 streams (0 were already there)\n");
    let longer = format!("{lines}{{\"stream\":\"a\",\"type\":\"Tick\"}}");
    let imported = place.prints_with(&["import", "-"], &longer);
    assert_eq!(imported, "imported 1 event into 1 stream (4 were already there)\n");
    let ids: Vec<String> = place
        .json(&["read", "a", "--format", "json"])
        .iter()
        .filter_map(|event| event["id"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(ids.len(), 4);
    assert!(ids.iter().all(|id| id.starts_with("import-") && id.len() == 39), "{ids:?}");
}

#[track_caller]
fn check_stop(bad_line: &str, code: i32, said: &[&str]) {
    let place = Place::new();
    let good =
        "{\"stream\":\"a\",\"type\":\"T\",\"id\":\"1\"}\n\n{\"stream\":\"a\",\"type\":\"T\",\"id\":\"2\"}\n";
    place.write("events.ndjson", &format!("{good}{bad_line}\n{{\"stream\":\"a\",\"type\":\"T\"}}\n"));
    let message = place.fails(code, &["import", "events.ndjson"]);
    let stop = "annals: the import stopped at line 4, with 2 events before it stored";
    assert!(message.starts_with(stop), "{message}");
    assert!(message.contains("mend the line and import again: what is stored isn't doubled"), "{message}");
    for part in said {
        assert!(message.contains(part), "{part} isn't in\n{message}");
    }
    // The mended line goes in, and nothing twice.
    let mended = good.to_owned() + "{\"stream\":\"a\",\"type\":\"T\",\"id\":\"3\"}\n";
    place.prints_with(&["import", "-"], &mended);
    let ids = place.json(&["read", "a", "--format", "json"]);
    let ids: Vec<&str> = ids.iter().filter_map(|event| event["id"].as_str()).collect();
    assert_eq!(ids[..2], ["1", "2"]);
    assert!(ids.contains(&"3"));
}

#[test]
fn an_import_stops_at_the_first_bad_line_and_says_where() {
    check_stop(
        "{\"stream\":\"a\",\"type\":\"T\"",
        1,
        &["\n  because: events.ndjson, line 4, column 24: this isn't JSON: EOF while parsing an object"],
    );
    check_stop("{\"stream\":\"a\",\"typ\":\"T\"}", 1, &["line 4, column 19: unknown field `typ`"]);
    check_stop("{\"stream\":\"\",\"type\":\"T\"}", 1, &["line 4, column 12: invalid stream id \"\""]);
    check_stop("{\"type\":\"T\"}", 1, &["line 4: the line names no stream"]);
    check_stop("{\"stream\":\"a\",\"type\":\"\"}", 1, &["line 4", "invalid event type \"\""]);
    check_stop(
        "{\"stream\":\"$own\",\"type\":\"T\"}",
        1,
        &["line 4", "stream \"$own\" can't be appended to"],
    );
    let taken = "{\"stream\":\"a\",\"type\":\"T\",\"id\":\"1\",\"data\":\"other\"}";
    check_stop(taken, 1, &["line 4", "event id 1 is already version 1 of stream \"a\""]);
}

#[test]
fn an_import_tells_what_is_stored_while_its_input_is_still_open() {
    let place = Place::new();
    let mut command = place.command(&["import", "-", "--format", "json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("standard input");
    let mut told = BufReader::new(child.stdout.take().expect("standard output")).lines();
    for expected in [
        r#"{"lines":1,"added":1,"repeated":0,"position":1}"#,
        r#"{"lines":2,"added":2,"repeated":0,"position":2}"#,
        r#"{"lines":3,"added":2,"repeated":1,"position":2}"#,
    ] {
        // The third line repeats the second.
        let id = if expected.contains("\"lines\":1") { "one" } else { "two" };
        writeln!(stdin, "{{\"stream\":\"a\",\"type\":\"T\",\"id\":\"{id}\"}}").expect("it reads");
        let line = told.next().expect("a line").expect("readable");
        assert_eq!(line, expected);
    }
    drop(stdin);
    assert!(told.next().is_none());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn the_last_line_that_an_import_tells_is_the_whole() {
    let place = Place::new();
    let told = place.prints_with(&["import", "-", "--format", "json"], &history());
    let last = told.lines().last().expect("a line");
    assert_eq!(last, r#"{"lines":5407,"added":5407,"repeated":0,"position":5407}"#);
    let told = place.prints_with(&["import", "-", "--format", "json"], "\n");
    assert_eq!(told, "{\"lines\":0,\"added\":0,\"repeated\":0,\"position\":0}\n");
}

/// Positions and times of what is in the store.
fn times(place: &Place) -> Vec<String> {
    let events = place.json(&["read", "--all", "--format", "json"]);
    events.iter().filter_map(|event| event["timestamp"].as_str().map(str::to_owned)).collect()
}

#[test]
fn an_event_can_bring_its_own_time_which_never_goes_back__X11() {
    let place = Place::new();
    let lines = [
        r#"{"stream":"a","type":"T","id":"1","occurredAt":"2025-11-21T09:30:00+01:00"}"#,
        r#"{"stream":"b","type":"T","id":"2","metadata":{"occurredAt":"2025-11-21T08:30:00.5Z"}}"#,
        r#"{"stream":"a","type":"T","id":"3","occurredAt":"2025-11-20T00:00:00Z"}"#,
        r#"{"stream":"a","type":"T","id":"4","occurredAt":"2025-11-21T08:30:01Z"}"#,
    ];
    let import = ["import", "-", "--time-from", "occurredAt"];
    let imported = place.prints_with(&import, &lines[..3].join("\n"));
    let said = "imported 3 events into 2 streams (0 were already there); 1 was earlier than the one before it, and got \
                its time\n";
    assert_eq!(imported, said);
    // Again, and with one more.
    let imported = place.prints_with(&[&import[..], &["--format", "json"]].concat(), &lines.join("\n"));
    let last = imported.lines().last().expect("a line");
    assert_eq!(last, r#"{"lines":4,"added":1,"repeated":3,"position":4,"timesRaised":0}"#);
    let expected = [
        "2025-11-21T08:30:00.000000Z",
        "2025-11-21T08:30:00.500000Z",
        "2025-11-21T08:30:00.500000Z",
        "2025-11-21T08:30:01.000000Z",
    ];
    assert_eq!(times(&place), expected);
    let third = &place.json(&["read", "--event", "3", "--format", "json"])[0];
    assert_eq!(third["occurredAt"], "2025-11-20T00:00:00Z");
}

#[test]
fn an_import_that_stops_says_how_many_times_it_raised() {
    let place = Place::new();
    let lines = [
        r#"{"stream":"a","type":"T","occurredAt":"2025-11-21T08:30:00Z"}"#,
        r#"{"stream":"a","type":"T","occurredAt":"2025-11-20T08:30:00Z"}"#,
        r#"{"stream":"a"}"#,
    ];
    let said = place.fails_with(1, &["import", "-", "--time-from", "occurredAt"], &lines.join("\n"));
    let raised = "with 2 events before it stored; 1 was earlier than the one before it, and got its time; mend the line";
    assert!(said.contains(raised), "{said}");
}

#[test]
fn an_export_comes_in_with_the_times_it_had() {
    let place = Place::new();
    place.prints_with(&["import", "-", "--time-from", "occurredAt"], &history());
    let exported = place.prints(&["export"]);
    place.prints_with(&["--store", "copy", "import", "-", "--time-from", "timestamp"], &exported);
    assert!(place.prints(&["--store", "copy", "export"]) == exported, "the copy is another one");
    // The whole of one day, which has the events of many commits.
    let day = ["read", "--all", "--since", "2016-09-24", "--until", "2016-09-24", "--format", "json"];
    let of_that_day =
        |event: &Value| event["timestamp"].as_str().is_some_and(|time| time.starts_with("2016-09-24T"));
    let expected = json_lines(&exported).into_iter().filter(of_that_day).collect::<Vec<_>>();
    assert!(expected.len() > 10, "the test data have another history");
    assert_eq!(place.json(&day), expected);
}

#[test]
fn a_line_without_the_time_that_is_asked_for_is_named() {
    for (source, line, said) in [
        ("occurredAt", r#"{"stream":"a","type":"T"}"#, "have an occurredAt, which --time-from asks for"),
        ("occurredAt", r#"{"stream":"a","type":"T","metadata":{"occurredAt":"noon"}}"#, "isn't a time"),
        ("timestamp", r#"{"stream":"a","type":"T","timestamp":7}"#, "the line has no timestamp"),
    ] {
        let place = Place::new();
        let message = place.fails_with(1, &["import", "-", "--time-from", source], line);
        assert!(message.contains("standard input, line 1: ") && message.contains(said), "{message}");
        assert_eq!(place.prints(&["export"]), "");
    }
}

#[test]
fn the_stores_time_is_not_put_ahead_of_now_by_a_line() {
    let import = ["import", "-", "--time-from", "timestamp"];
    for (time, printed) in [
        ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00.000000Z"),
        // As the export of a store prints it whose clock was wrong.
        ("@1763713800123000000us+0m", "@1763713800123000000us+0m"),
    ] {
        let place = Place::new();
        let good = r#"{"stream":"a","type":"T","timestamp":"2025-11-21T08:30:00Z"}"#;
        let ahead = format!("{{\"stream\":\"a\",\"type\":\"T\",\"timestamp\":\"{time}\"}}");
        let lines = format!("{good}\n{ahead}");
        let message = place.fails_with(1, &import, &lines);
        let said = format!("standard input, line 2: its time {printed} is more than a day ahead of now, 2");
        assert!(message.contains(&said), "{message}");
        assert!(message.contains("mend the time, or import without --time-from"), "{message}");
        assert_eq!(times(&place), ["2025-11-21T08:30:00.000000Z"]);
        // Without it, the store's times are its own.
        let told = place.prints_with(&["import", "-"], &lines);
        assert_eq!(told, "imported 1 event into 1 stream (1 was already there)\n");
    }
}

#[test]
fn a_directory_is_no_source_and_makes_no_store() {
    let commands: [&[&str]; 3] =
        [&["import", "d"], &["append", "a", "--batch", "d"], &["append", "a", "--type", "T", "--data", "@d"]];
    for command in commands {
        let place = Place::new();
        std::fs::create_dir(place.path().join("d")).expect("a directory");
        let message = place.fails(1, command);
        assert_eq!(
            message,
            "annals: can't read d: it is a directory, and a file is wanted, or - for standard input\n",
            "{command:?}"
        );
        assert!(!place.store().exists(), "{command:?}");
    }
}

#[test]
fn a_byte_order_mark_before_the_first_line_is_no_part_of_it() {
    let place = Place::new();
    let line = "{\"stream\":\"a\",\"type\":\"T\"}";
    place.prints_with(&["import", "-"], line);
    place.write("marked.ndjson", &format!("\u{feff}{line}\n{line}"));
    let told = place.prints(&["import", "marked.ndjson"]);
    assert_eq!(told, "imported 1 event into 1 stream (1 was already there)\n");
    place.write("marked.json", "\u{feff}{\"n\":1}");
    place.prints(&["append", "b", "--type", "T", "--data", "@marked.json"]);
    assert!(place.prints(&["read", "b", "--format", "json"]).contains(r#""data":{"n":1}"#));
}
