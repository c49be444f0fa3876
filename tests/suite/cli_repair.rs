//! `annals repair` and what it leaves, through the program.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::cli::{Place, json_lines, run_with_open_files};

/// A store of three streams whose events have all that an event can have, and its log.
fn with_events() -> (Place, PathBuf) {
    let place = Place::new();
    let lines = r#"{"stream":"order-1","type":"OrderPlaced","id":"order-1-placed","data":{"total":1200},"metadata":{"userId":"u-7"}}
{"stream":"order-2","type":"OrderPlaced","data":[1,2],"occurredAt":"2025-11-21T09:30:00.25+01:00"}
{"stream":"order-1","type":"OrderPaid","dataBase64":"AP8=","schemaVersion":3}
{"stream":"order-3","type":"OrderPlaced","data":"to be damaged"}
{"stream":"order-1","type":"OrderSent","dataBase64":"AAE=","contentType":200,"metadataBase64":"/w=="}
{"stream":"order-2","type":"OrderPaid","data":{},"occurredAt":"@253402300800000000us+0m"}
{"stream":"order-4","type":"OrderPlaced","data":null,"occurredAt":"1969-12-31T23:59:59.999999Z","metadataContentType":201}
"#;
    let log = place.store().join("segments").join("000000000001.log");
    for (line, number) in lines.lines().zip(1..) {
        if number == 7 {
            // So that the last import makes one of the whole segment.
            fs::remove_file(log.with_extension("idx")).expect("an index file");
        }
        place.prints_with(&["import", "-"], &format!("{line}\n"));
    }
    (place, log)
}

fn damage(log: &PathBuf) {
    let mut content = fs::read(log).expect("the log");
    let text = b"to be damaged";
    let at = content.windows(text.len()).position(|window| window == text).expect("the text");
    content[at] ^= 1;
    fs::write(log, content).expect("the damage");
}

#[test]
fn a_repair_shows_what_it_costs_and_does_it_only_if_that_is_accepted() {
    let (place, log) = with_events();
    let whole = place.prints(&["export"]);
    damage(&log);
    let before = fs::read(&log).expect("the log");
    let run = place.run(&["repair"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stdout.contains("kept         events up to position 3\n"), "{run:?}");
    assert!(run.stdout.contains("lost         1 event: positions 4\n"), "{run:?}");
    assert!(run.stdout.contains("of them      order-3 version 1\n"), "{run:?}");
    assert!(run.stdout.contains("set aside    3 events, which can be read: positions 5 to 7\n"), "{run:?}");
    assert!(run.stderr.contains("Nothing was changed") && run.stderr.contains("--accept-loss"), "{run:?}");
    let run = place.run(&["repair", "--dry-run", "--accept-loss"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(fs::read(&log).expect("the log") == before, "a look has changed the log");

    let said = place.prints(&["repair", "--accept-loss"]);
    assert!(said.ends_with("is kept in ./annals-data/quarantine/repair-1\n"), "{said}");
    assert!(place.prints(&["verify"]).contains("is whole: 4 events"));
    let kept: String = whole.split_inclusive('\n').take(3).collect();
    assert_eq!(place.prints(&["export"]), kept);
    // What was set aside is what export had printed.
    let folder = place.store().join("quarantine").join("repair-1");
    let aside = fs::read_to_string(folder.join("events.jsonl")).expect("the events");
    let behind: String = whole.split_inclusive('\n').skip(4).collect();
    assert_eq!(aside, behind);
    let report = fs::read_to_string(folder.join("report.json")).expect("the report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!((&report["eventsLost"], &report["eventsSetAside"]), (&json!(1), &json!(3)));
    assert_eq!((&report["streamsSetAside"], &report["unnamed"]), (&json!(3), &Value::Null));
    let damaged = &json_lines(&whole)[3];
    assert_eq!(report["lostIds"], json!([{"position": 4, "seemingId": damaged["id"]}]));

    let notes = place.json(&["read", "$repairs", "--format", "json"]);
    assert_eq!(notes.len(), 1);
    assert_eq!((&notes[0]["type"], &notes[0]["position"]), (&json!("$Repaired"), &json!(4)));
    assert_eq!((&notes[0]["data"]["repair"], &notes[0]["data"]["cutFrom"]), (&json!(1), &json!(4)));

    // What was set aside can be taken in again, each event once.
    let events = folder.join("events.jsonl");
    let events = events.to_str().expect("UTF-8");
    assert!(place.prints(&["import", events]).starts_with("imported 3 events"));
    assert!(place.prints(&["import", events]).starts_with("imported 0 events"));
    let paid = place.json(&["read", "order-2", "--format", "json"]);
    assert_eq!((&paid[1]["type"], &paid[1]["version"]), (&json!("OrderPaid"), &json!(2)));
}

#[test]
fn an_event_for_an_earlier_repair_is_told() {
    let (place, log) = with_events();
    damage(&log);
    assert!(!place.prints(&["repair", "--accept-loss"]).contains("told"));
    // As if the repair had been cut off at its very end.
    let done = place.store().join("quarantine").join("repair-1").join("done");
    fs::remove_file(&done).expect("it is there");
    let said = place.prints(&["repair", "--accept-loss"]);
    assert!(said.starts_with("nothing is to be repaired\ntold         repair 1 "), "{said}");
    fs::remove_file(&done).expect("it is there again");
    assert_eq!(place.json(&["repair", "--accept-loss", "--format", "json"])[0]["told"], 1);
    assert_eq!(place.prints(&["repair", "--accept-loss"]), "nothing is to be repaired\n");
}

#[test]
fn a_backup_gives_everything_back() {
    let (place, log) = with_events();
    let whole = place.prints(&["export"]);
    place.prints(&["backup", "backup"]);
    damage(&log);
    let said = place.prints(&["repair", "--backup", "backup"]);
    assert!(said.contains("restored     positions 4 from the backup\n"), "{said}");
    assert_eq!(place.prints(&["export"]), whole);
    assert!(place.prints(&["verify"]).contains("is whole"));
}

/// One bit of padding in the first of many segments, which a backup has too: every segment behind it is looked at.
#[cfg(unix)]
#[test]
fn a_store_of_more_segments_than_files_may_be_open_is_repaired() {
    use annals::{EventData, EventStore, ExpectedVersion, Options, SEGMENT_BYTES_MIN, StreamId};

    let place = Place::new();
    let store = EventStore::open_with(place.store(), Options::new().segment_bytes(SEGMENT_BYTES_MIN))
        .expect("a store");
    let stream = StreamId::new("order-1").expect("a name");
    for number in 0..150_u8 {
        let event = EventData::new("OrderChanged", vec![number; 3_000]);
        store.append(&stream, ExpectedVersion::Any, [event]).expect("an append");
    }
    store.close().expect("a close");
    place.prints(&["backup", "backup", "--copy"]);
    let log = place.store().join("segments").join("000000000002.log");
    assert!(log.with_file_name("000000000040.log").is_file(), "too few segments");
    let mut content = fs::read(&log).expect("the log");
    let last = content.len() - 1;
    content[last] ^= 1;
    fs::write(&log, content).expect("the damage");
    for words in [&["repair", "--dry-run", "--accept-loss"][..], &["repair", "--backup", "backup"]] {
        let run = run_with_open_files(60, words).current_dir(place.path()).output().expect("a shell");
        assert!(run.status.success(), "{run:?}");
    }
    assert!(place.prints(&["verify"]).contains("is whole: 151 events"));
}

#[test]
fn a_backup_that_isnt_there_isnt_said_to_be_the_store() {
    let (place, log) = with_events();
    damage(&log);
    for only_shown in
        [&["repair", "--backup", "nowhere"][..], &["repair", "--dry-run", "--backup", "nowhere"]]
    {
        let said = place.fails(4, only_shown);
        assert!(
            said.contains("nowhere can't be used as a backup: nothing is there") && !said.contains("--store"),
            "{said}"
        );
    }
    let said = place.fails(4, &["--store", "elsewhere", "repair", "--backup", "nowhere"]);
    assert!(said.contains("--store DIR"), "{said}");
}

#[test]
fn nothing_to_repair_is_a_success() {
    let (place, _) = with_events();
    assert_eq!(place.prints(&["repair"]), "nothing is to be repaired\n");
    let report = json_lines(&place.prints(&["repair", "--accept-loss", "--format", "json"]));
    assert_eq!(report[0]["steps"], json!([]));
    place.fails(4, &["--store", "nowhere", "repair"]);
}

#[test]
fn verify_tells_positions_streams_versions_and_ids() {
    let (place, log) = with_events();
    let id = place.json(&["read", "order-3", "--format", "json"])[0]["id"].clone();
    damage(&log);
    let run = place.run(&["verify"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    let told = format!("\nlost     seemingly id {} at position 4\n", id.as_str().expect("a UUID"));
    let told = format!("\nlost     positions 4\nlost     order-3 version 1{told}");
    assert!(run.stdout.contains(&told), "{run:?}");
    assert!(run.stdout.contains("\nintact   positions 1 to 3, 5 to 7\n"), "{run:?}");
    assert!(run.stderr.contains("\"annals repair\" shows what can be done"), "{run:?}");
    let run = place.run(&["verify", "--format", "json"]);
    let report = &json_lines(&run.stdout)[0];
    assert_eq!(report["lost"], json!([{"first": 4, "last": 4}]));
    assert_eq!(report["lostVersions"][0]["stream"], "order-3");
    assert_eq!(report["lostIds"], json!([{"position": 4, "seemingId": id}]));
    assert_eq!(report["eventsLost"], 1);
    let said = place.fails(6, &["read", "order-3"]);
    assert!(said.contains("\"annals repair\""), "{said}");
}

#[test]
fn what_can_be_read_before_damage_is_printed() {
    let (place, log) = with_events();
    damage(&log);
    for format in ["text", "json"] {
        let run = place.run(&["read", "--all", "--format", format]);
        assert_eq!((run.code, run.stdout.lines().count()), (Some(6), 3), "{run:?}");
    }
}
