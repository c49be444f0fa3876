//! Reading by category, type, time, correlation, moment and id; lists of names; what makes no sense together.

use serde_json::{Value, json};

use crate::cli::Place;

/// Five events of three days, whose times are the store's.
fn with_days() -> Place {
    let place = Place::new();
    let line = |stream: &str, event_type: &str, id: &str, time: &str, correlation: &str| {
        format!(
            "{{\"stream\":\"{stream}\",\"type\":\"{event_type}\",\"id\":\"{id}\",\"occurredAt\":\"{time}\",\
             \"metadata\":{{\"correlationId\":\"{correlation}\"}}}}\n"
        )
    };
    let lines = [
        line("order-1", "OrderPlaced", "placed-1", "2025-11-20T10:00:00Z", "c-1"),
        line("order-2", "OrderPlaced", "placed-2", "2025-11-20T12:00:00Z", "c-2"),
        line("cart-1", "CartFilled", "filled-1", "2025-11-21T00:00:00Z", "c-1"),
        line("order-1", "OrderPaid", "paid-1", "2025-11-21T23:59:59.999999Z", "c-1"),
        line("order-1", "OrderSent", "sent-1", "2025-11-22T00:00:00Z", "c-3"),
    ];
    place.prints_with(&["import", "-", "--time-from", "occurredAt"], &lines.concat());
    place
}

#[track_caller]
fn check_read(place: &Place, arguments: &[&str], key: &str, numbers: &[u64]) {
    let events = place.json(&[&["read", "--format", "json"], arguments].concat());
    let read: Vec<u64> = events.iter().filter_map(|event| event[key].as_u64()).collect();
    assert_eq!(read, numbers, "{arguments:?}");
}

#[test]
fn events_are_read_by_category_and_type__D14_D15_X15() {
    let place = with_days();
    check_read(&place, &["--category", "order"], "position", &[1, 2, 4, 5]);
    check_read(&place, &["--category", "order", "--category", "cart"], "position", &[1, 2, 3, 4, 5]);
    check_read(&place, &["--category", "order", "--from", "2", "--limit", "2"], "position", &[2, 4]);
    check_read(&place, &["--all", "--type", "OrderPlaced"], "position", &[1, 2]);
    check_read(&place, &["--all", "--type", "OrderSent", "--type", "CartFilled"], "position", &[3, 5]);
    check_read(&place, &["--category", "order", "--type", "OrderPlaced", "--after", "1"], "position", &[2]);
    check_read(&place, &["order-1", "--type", "OrderPaid"], "version", &[2]);
    check_read(&place, &["--category", "order", "--backwards"], "position", &[5, 4, 2, 1]);
    check_read(&place, &["--category", "bill"], "position", &[]);
}

#[test]
fn events_are_read_by_correlation() {
    let place = with_days();
    check_read(&place, &["--all", "--correlation", "c-1"], "position", &[1, 3, 4]);
    check_read(&place, &["order-1", "--correlation", "c-1", "--correlation", "c-3"], "version", &[1, 2, 3]);
}

#[test]
fn a_date_is_a_whole_day__D14() {
    let place = with_days();
    check_read(&place, &["--all", "--since", "2025-11-21", "--until", "2025-11-21"], "position", &[3, 4]);
    check_read(&place, &["--all", "--since", "2025-11-20T13:00:00+01:00"], "position", &[2, 3, 4, 5]);
    check_read(&place, &["order-1", "--until", "2025-11-21T23:59:59Z"], "version", &[1]);
    check_read(
        &place,
        &["--all", "--type", "OrderPlaced", "--since", "2025-11-20T12:00:00Z"],
        "position",
        &[2],
    );
    check_read(&place, &["--all", "--until", "1000000h ago"], "position", &[]);
    check_read(&place, &["--all", "--since", "1000000h ago", "--limit", "1"], "position", &[1]);
}

#[test]
fn a_stream_is_read_as_it_was__B18() {
    let place = with_days();
    check_read(&place, &["order-1", "--as-of", "4"], "version", &[1, 2]);
    check_read(&place, &["order-1", "--as-of", "3"], "version", &[1]);
    check_read(&place, &["order-1", "--as-of", "2025-11-21"], "version", &[1, 2]);
    check_read(&place, &["order-2", "--as-of", "2025-11-19"], "version", &[]);
    check_read(&place, &["order-1", "--as-of", "2025-11-22", "--backwards", "--limit", "1"], "version", &[3]);
    check_read(&place, &["--all", "--as-of", "2"], "position", &[1, 2]);
    check_read(&place, &["--category", "order", "--as-of", "2025-11-21"], "position", &[1, 2, 4]);
    let said = place.fails(1, &["read", "--all", "--as-of", "2025"]);
    assert!(
        said.contains("--as-of 2025 is a position, and the log ends at ") && said.contains("2025-11-21"),
        "{said}"
    );
}

#[test]
fn an_event_is_read_by_its_id() {
    let place = with_days();
    check_read(&place, &["--event", "paid-1"], "position", &[4]);
    let text = place.prints(&["read", "--event", "paid-1"]);
    assert!(text.starts_with("4  order-1  2  OrderPaid  2025-11-21T23:59:59.999999Z  {}  {"), "{text}");
    assert_eq!(
        place.fails(4, &["read", "--event", "paid-2"]),
        "annals: there is no event with the id paid-2; \"annals read --all --fields id,stream,type\" shows those there are\n"
    );
}

#[test]
fn a_group_deals_out_every_stream_once() {
    let place = with_days();
    let mut positions = Vec::new();
    for member in ["1/3", "2/3", "3/3"] {
        let events = place.json(&["read", "--all", "--group", member, "--format", "json"]);
        positions.extend(events.iter().filter_map(|event| event["position"].as_u64()));
    }
    positions.sort_unstable();
    assert_eq!(positions, [1, 2, 3, 4, 5]);
}

#[test]
fn categories_and_types_are_counted__C08() {
    let place = with_days();
    assert_eq!(place.prints(&["categories"]), "cart   1\norder  4\n");
    let categories = [json!({"category": "cart", "events": 1}), json!({"category": "order", "events": 4})];
    assert_eq!(place.json(&["categories", "--format", "json"]), categories);
    assert_eq!(place.prints(&["types"]), "CartFilled   1\nOrderPaid    1\nOrderPlaced  2\nOrderSent    1\n");
    assert_eq!(place.json(&["types", "--format", "json"])[2], json!({"type": "OrderPlaced", "events": 2}));
    place.fails(4, &["--store", "elsewhere", "types"]);
}

#[test]
fn what_the_store_keeps_for_itself_is_shown_only_to_who_asks() {
    let place = with_days();
    place.prints(&["tail", "--checkpoint", "mailer"]);
    check_read(&place, &["--all"], "position", &[1, 2, 3, 4, 5]);
    check_read(&place, &["--all", "--including-system", "--from", "5"], "position", &[5, 6]);
    check_read(&place, &["--category", "$checkpoint"], "position", &[6]);
    check_read(&place, &["$checkpoint-mailer"], "version", &[1]);
    assert!(!place.prints(&["categories"]).contains('$'));
    assert!(!place.prints(&["streams"]).contains('$'));
    assert!(place.prints(&["streams", "--including-system"]).starts_with("$checkpoint-mailer  1  "));
    // What is exported can be imported, which such streams can't.
    assert_eq!(place.prints(&["export"]).lines().count(), 5);
}

#[test]
fn checkpoints_are_listed_and_deleted() {
    let place = with_days();
    assert_eq!(place.prints(&["checkpoints"]), "");
    place.prints(&["tail", "--checkpoint", "mailer"]);
    place.prints(&["tail", "--checkpoint", "bills", "--limit", "2"]);
    let listed = place.json(&["checkpoints", "--format", "json"]);
    let names: Vec<&Value> = listed.iter().map(|checkpoint| &checkpoint["checkpoint"]).collect();
    assert_eq!(names, ["bills", "mailer"]);
    assert_eq!((&listed[0]["position"], &listed[1]["position"]), (&json!(2), &json!(5)));
    assert!(listed[0]["cursor"].as_str().is_some_and(|cursor| cursor.starts_with("2:")));
    assert_eq!(place.json(&["checkpoints", "list", "--format", "json"]), listed);
    let saved = listed[0]["saved"].as_str().expect("a time");
    let text = place.prints(&["checkpoints"]);
    assert!(text.starts_with(&format!("bills   2  {saved}\nmailer  5  ")), "{text}");

    assert_eq!(place.prints(&["checkpoints", "delete", "bills"]), "bills: deleted\n");
    assert_eq!(place.prints(&["checkpoints"]).lines().count(), 1);
    let said = place.fails(4, &["checkpoints", "delete", "bills"]);
    assert!(said.starts_with("annals: there is no checkpoint \"bills\""), "{said}");
    place.fails(4, &["--store", "elsewhere", "checkpoints", "delete", "bills"]);
    assert!(!place.path().join("elsewhere").exists());
}

#[test]
fn what_makes_no_sense_together_ends_with_2() {
    let place = Place::new();
    for (arguments, said) in [
        (&["read"] as &[&str], "required"),
        (&["read", "--type", "T"], "required"),
        (&["read", "a", "--all"], "cannot be used with"),
        (&["read", "a", "--category", "b"], "cannot be used with"),
        (&["read", "a", "--group", "1/2"], "cannot be used with"),
        (&["read", "a", "--including-system"], "cannot be used with"),
        (&["read", "--all", "--category", "b"], "cannot be used with"),
        (&["read", "--event", "1", "--limit", "2"], "cannot be used with"),
        (&["read", "--all", "--group", "3/2"], "members are counted from 1"),
        (&["read", "--all", "--since", "noon"], "a date, such as 2025-11-21"),
        (&["read", "--all", "--as-of", "noon"], "or a position"),
        (&["tail", "--from", "noon"], "start, now, a version or a position"),
        (&["tail", "--from", "now"], "--follow"),
        (&["tail", "--wait", "1s"], "--checkpoint"),
        (&["tail", "a", "--all"], "cannot be used with"),
        (&["checkpoints", "delete"], "required"),
        (&["import", "-", "--time-from", "data"], "occurredAt"),
    ] {
        let message = place.fails(2, arguments);
        assert!(message.contains(said), "{arguments:?}\n{message}");
    }
    assert!(!place.store().exists());
}

#[test]
fn fields_choose_and_order_the_columns() {
    let place = with_days();
    let read = |options: &[&str]| place.prints(&[&["read", "--event", "paid-1"], options].concat());
    assert_eq!(read(&["--fields", "type,position,id"]), "OrderPaid  4  paid-1\n");
    assert_eq!(read(&["--fields", "time", "--fields", "version,time"]), "2025-11-21T23:59:59.999999Z  2\n");
    assert_eq!(read(&["--fields", "occurred-at,schema-version"]), "2025-11-21T23:59:59.999999Z  1\n");
    let tail = place.prints(&["tail", "--limit", "2", "--fields", "stream,version"]);
    assert_eq!(tail.lines().count(), 2, "{tail}");
    let said = place.fails(2, &["read", "--all", "--fields", "stream,when"]);
    assert!(said.contains("position, stream, version, type, time, id"), "{said}");
}

#[test]
fn fields_of_json_are_those_of_the_whole_line() {
    let place = with_days();
    let whole = &place.json(&["read", "--event", "paid-1", "--format", "json"])[0];
    let fields = ["--fields", "metadata,time,position,occurredAt,time", "--format", "json"];
    let line = place.prints(&[&["read", "--event", "paid-1"], &fields[..]].concat());
    let part: Value = serde_json::from_str(&line).expect("JSON");
    for (name, value) in part.as_object().expect("an object") {
        assert_eq!(value, &whole[name], "{name}");
    }
    assert!(line.starts_with("{\"metadata\":{") && line.ends_with("}\n"), "{line}");
    assert_eq!(line.matches("\"timestamp\":").count(), 1, "{line}");
    let order =
        ["\"metadata\"", "\"timestamp\"", "\"position\"", "\"occurredAt\""].map(|name| line.find(name));
    assert!(order.is_sorted() && order[0].is_some(), "{line}");
    // What isn't JSON has another member, as there.
    place.prints_with(
        &["import", "-"],
        "{\"stream\":\"bytes\",\"type\":\"T\",\"id\":\"b\",\"dataBase64\":\"AP8=\"}\n",
    );
    let bytes = place.prints(&["read", "bytes", "--fields", "id,data,metadata", "--format", "json"]);
    assert_eq!(bytes, "{\"id\":\"b\",\"dataBase64\":\"AP8=\"}\n");
}

#[test]
fn json_can_be_laid_out_below_the_line() {
    let place = Place::new();
    let event = ["--data", "{\"b\":1.10,\"a\":[]}", "--metadata", "{\"userId\":\"u-7\"}"];
    place.prints(&[&["append", "a", "--type", "T"], &event[..]].concat());
    place.prints(&["append", "a", "--type", "T"]);
    let text = place.prints(&["read", "a", "--pretty", "--fields", "stream,version,data,metadata"]);
    let first =
        "a  1\n  data {\n    \"b\": 1.10,\n    \"a\": []\n  }\n  metadata {\n    \"userId\": \"u-7\"\n  }\n";
    assert_eq!(text, format!("{first}a  2\n  data {{}}\n"));
    let said = place.fails(2, &["read", "a", "--pretty", "--format", "json"]);
    assert!(said.contains("--pretty is for text"), "{said}");
    place.fails(2, &["tail", "--pretty", "--format", "json"]);
}

#[test]
fn more_events_than_a_window_has_are_all_printed_once() {
    let place = Place::new();
    let lines: String = (0..1_000).map(|_| "{\"stream\":\"a\",\"type\":\"T\"}\n").collect();
    place.prints_with(&["import", "-"], &lines);
    let printed = place.prints(&["read", "--all", "--fields", "position"]);
    let positions: Vec<u64> = printed.lines().map(|line| line.trim().parse().expect("a number")).collect();
    assert_eq!(positions, (1..=1_000).collect::<Vec<u64>>());
    assert_eq!(place.prints(&["tail", "--fields", "position"]), printed);
    // The numbers end below each other, in each window.
    assert_eq!(printed.lines().next().map(str::len), Some("256".len()));
    assert_eq!(printed.lines().last().map(str::len), Some("1000".len()));
}

#[test]
fn times_without_an_offset_are_of_the_zone_of_who_asks() {
    let place = with_days();
    let read = |zone: &str, options: &[&str]| {
        let arguments = [&["read", "--all", "--fields", "position"], options].concat();
        let output = place.command(&arguments).env("TZ", zone).output().expect("the program runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        text.split_whitespace().map(|word| word.parse().expect("a position")).collect::<Vec<u64>>()
    };
    let all = read("UTC", &[]);
    let until_noon = read("UTC", &["--until", "2025-11-21T12:00Z"]);
    assert!(until_noon.len() < all.len() && !until_noon.is_empty(), "{until_noon:?}");
    assert_eq!(read("UTC", &["--until", "2025-11-21 12:00"]), until_noon);
    assert_eq!(read("EST5", &["--until", "2025-11-21 07:00"]), until_noon);
    assert_eq!(read("EST5", &["--until", "2025-11-21T12:00Z"]), until_noon);
    // A day begins and ends five hours later there.
    let day = ["--since", "2025-11-21", "--until", "2025-11-21"];
    let the_same = ["--since", "2025-11-21T05:00Z", "--until", "2025-11-22T04:59:59.999999Z"];
    assert_eq!(read("EST5", &day), read("UTC", &the_same));
    assert_ne!(read("EST5", &day), read("UTC", &day));
    assert_eq!(read("UTC", &["--since", "yesterday"]), [0_u64; 0]);
    assert_eq!(read("UTC", &["--until", "yesterday 17:30"]), all);
}

#[test]
fn what_is_done_inside_is_told_on_standard_error_to_who_asks() {
    let place = with_days();
    let verbose = place.run(&["read", "order-1", "-v"]);
    assert_eq!(verbose.stdout, place.prints(&["read", "order-1"]));
    assert!(
        verbose.stderr.contains("INFO opened for reading path=./annals-data last_position=5"),
        "{}",
        verbose.stderr
    );
    assert!(!verbose.stderr.contains("DEBUG"), "{}", verbose.stderr);
    let in_detail = place.run(&["-vv", "read", "order-1"]);
    assert!(in_detail.stderr.contains("DEBUG begins arguments="), "{}", in_detail.stderr);
    let said = place.fails(2, &["-q", "read", "order-1", "-v"]);
    assert!(said.contains("--quiet and --verbose"), "{said}");
}

#[test]
fn quiet_keeps_messages_back_and_not_errors() {
    let place = Place::new();
    let run = place.run(&["--quiet", "types", "register", "CreateOrder"]);
    assert_eq!((run.stderr.as_str(), run.stdout.lines().count()), ("", 1), "the result is no message");
    assert!(place.run(&["types", "register", "PayOrder"]).stderr.starts_with("annals: hint: "));
    let said = place.fails(4, &["-q", "types", "show", "OrderPaid"]);
    assert!(said.starts_with("annals: "), "{said}");
}
