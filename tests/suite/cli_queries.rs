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
}

#[test]
fn an_event_is_read_by_its_id() {
    let place = with_days();
    check_read(&place, &["--event", "paid-1"], "position", &[4]);
    let text = place.prints(&["read", "--event", "paid-1"]);
    assert!(text.starts_with("4  order-1  2  OrderPaid  2025-11-21T23:59:59.999999Z  {}  {"), "{text}");
    assert_eq!(
        place.fails(4, &["read", "--event", "paid-2"]),
        "annals: there is no event with the id paid-2\n"
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
