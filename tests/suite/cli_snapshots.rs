//! `annals snapshot`: list, show and delete.

use annals::{ContentType, EventStore, SnapshotData};
use serde_json::json;

use crate::{
    cli::Place,
    support::{events, stream, version},
};

/// A store with the library's snapshots: three of two types in one stream, one in another, of bytes.
fn with_snapshots() -> Place {
    let place = Place::new();
    let store = EventStore::open(place.store()).expect("a new store");
    for (name, count) in [("account-1", 5), ("account-2", 2)] {
        store.append(&stream(name), annals::ExpectedVersion::NoStream, events(1, count)).expect("an append");
    }
    let states = [
        ("account-1", 2, SnapshotData::json("Account", &json!({"cents": 300})).expect("JSON")),
        ("account-1", 4, SnapshotData::json("Account", &json!({"cents": 550})).expect("JSON")),
        ("account-1", 4, SnapshotData::new("Totals", "four").with_schema_version(2)),
        ("account-2", 1, SnapshotData::new("Account", [0, 255]).with_content_type(ContentType::new(200))),
    ];
    for (name, number, data) in states {
        store.save_snapshot(&stream(name), version(number), data).expect("a snapshot is saved");
    }
    store.close().expect("it closes");
    place
}

/// The lines without their last column, the time.
fn without_times(lines: &str) -> Vec<&str> {
    lines.lines().map(|line| line.rsplit_once("  ").expect("a time at the end").0).collect()
}

#[test]
fn snapshots_are_listed_by_stream_type_and_version__B13_D04() {
    let place = with_snapshots();
    let all = [
        "account-1  Account  2  13 bytes",
        "account-1  Account  4  13 bytes",
        "account-1  Totals   4   4 bytes",
        "account-2  Account  1   2 bytes",
    ];
    assert_eq!(without_times(&place.prints(&["snapshot", "list"])), all);
    assert_eq!(
        without_times(&place.prints(&["snapshot", "list", "account-2"])),
        ["account-2  Account  1  2 bytes"]
    );
    assert_eq!(place.prints(&["snapshot", "list", "account-3"]), "");
    let mut listed = place.json(&["snapshot", "list", "account-1", "--format", "json"]);
    let mut third = listed.remove(2);
    assert!(third["created"].take().as_str().is_some_and(|created| created.ends_with('Z')));
    let wanted = json!({
        "stream": "account-1", "stateType": "Totals", "version": 4, "position": 4, "schemaVersion": 2,
        "contentType": 0, "bytes": 4, "created": null
    });
    assert_eq!(third, wanted);
}

#[test]
fn the_newest_snapshot_is_shown_or_the_one_at_a_version__B13_C16() {
    let place = with_snapshots();
    let shown = place.prints(&["snapshot", "show", "account-1", "--type", "Account"]);
    let lines: Vec<&str> = shown.lines().filter(|line| !line.starts_with("created ")).collect();
    let wanted = [
        "stream          account-1",
        "type            Account",
        "version         4",
        "position        4",
        "schema version  1",
        "bytes           13",
        "state           {\"cents\":550}",
    ];
    assert_eq!(lines, wanted);
    let state_at = |at: &str| {
        let arguments =
            ["snapshot", "show", "account-1", "--type", "Account", "--at", at, "--format", "json"];
        place.json(&arguments).remove(0)
    };
    assert_eq!(state_at("3")["state"], json!({"cents": 300}));
    assert_eq!(state_at("3")["version"], 2);
    assert_eq!(state_at("900")["state"], json!({"cents": 550}));
    let mut bytes = place.json(&["snapshot", "show", "account-2", "--format", "json"]).remove(0);
    bytes["created"].take();
    let wanted = json!({
        "stream": "account-2", "stateType": "Account", "version": 1, "position": 6, "schemaVersion": 1,
        "created": null, "stateBase64": "AP8=", "contentType": 200
    });
    assert_eq!(bytes, wanted);
    let totals = place.prints(&["snapshot", "show", "account-1", "--type", "Totals"]);
    assert!(totals.ends_with("\nstate           text:four\n"), "{totals}");
}

#[test]
fn what_isnt_there_or_isnt_clear_is_said() {
    let place = with_snapshots();
    let said = place.fails(4, &["snapshot", "show", "account-3"]);
    assert_eq!(
        said,
        "annals: stream \"account-3\" has no snapshot; \"annals snapshot list\" shows those there are\n"
    );
    let said = place.fails(4, &["snapshot", "show", "account-1", "--type", "Other"]);
    assert_eq!(
        said,
        "annals: stream \"account-1\" has no snapshot of type \"Other\"; \"annals snapshot list\" shows those there are\n"
    );
    let said = place.fails(4, &["snapshot", "show", "account-2", "--at", "0"]);
    assert_eq!(
        said,
        "annals: stream \"account-2\" has no snapshot of type \"Account\" at or before version 0; \"annals snapshot list\" shows those there are\n"
    );
    let said = place.fails(1, &["snapshot", "show", "account-1"]);
    assert!(said.contains("several types: name one with --type (\"Account\", \"Totals\")"), "{said}");
    place.fails(4, &["snapshot", "delete", "account-3"]);
    place.fails(4, &["snapshot", "delete", "account-2", "--type", "Totals"]);
    place.fails(2, &["snapshot", "delete"]);
    place.fails(2, &["snapshot", "delete", "account-1", "--all"]);
    place.fails(2, &["snapshot", "show", "account-1", "--at", "-1"]);
    let nowhere = Place::new();
    place.fails(4, &["--store", nowhere.store().to_str().expect("UTF-8"), "snapshot", "list"]);
}

#[test]
fn snapshots_are_deleted_and_the_events_stay__C16() {
    let place = with_snapshots();
    let events = place.prints(&["read", "--all"]);
    assert_eq!(
        place.prints(&["snapshot", "delete", "account-1", "--type", "Account"]),
        "account-1: 2 snapshots deleted\n"
    );
    let deleted = place.json(&["snapshot", "delete", "account-1", "--format", "json"]);
    assert_eq!(deleted, [json!({"stream": "account-1", "deleted": 1})]);
    assert_eq!(place.prints(&["snapshot", "delete", "--all"]), "1 snapshot deleted\n");
    assert_eq!(place.json(&["snapshot", "delete", "--all", "--format", "json"]), [json!({"deleted": 0})]);
    assert_eq!(place.prints(&["snapshot", "list"]), "");
    assert_eq!(place.prints(&["read", "--all"]), events);
}

#[test]
fn an_ignored_snapshot_is_told_on_standard_error() {
    let place = with_snapshots();
    let store = EventStore::open(place.store()).expect("it opens");
    let newest = store.snapshots(&stream("account-1")).expect("a list").snapshots.remove(1).path;
    store.close().expect("it closes");
    std::fs::write(&newest, "damaged").expect("a file is written");
    let run = place.run(&["snapshot", "show", "account-1", "--type", "Account"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains("version         2\n"), "{}", run.stdout);
    let name = newest.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    assert!(run.stderr.contains(name) && run.stderr.contains("is ignored: it is damaged"), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1);
    let run = place.run(&["snapshot", "list"]);
    assert_eq!((run.code, run.stdout.lines().count(), run.stderr.lines().count()), (Some(0), 3, 1));
}

#[test]
fn list_and_show_work_beside_a_writer_and_delete_waits_for_it() {
    let place = with_snapshots();
    let mut holder = place.hold_store();
    assert_eq!(place.prints(&["snapshot", "list"]).lines().count(), 4);
    place.prints(&["snapshot", "show", "account-2"]);
    let said = place.fails(5, &["snapshot", "delete", "--all", "--wait", "0"]);
    assert!(said.contains("is open for writing by"), "{said}");
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
    assert_eq!(place.prints(&["snapshot", "delete", "--all"]), "4 snapshots deleted\n");
}
