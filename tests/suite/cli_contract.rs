//! Events as JSON lines: what goes out comes in again, and is the same.

use annals::{ContentType, EventData, EventStore, ExpectedVersion, OccurredAt, StreamId, Timestamp};

use crate::cli::Place;

fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a name")
}

/// The lines without what each store gives itself: the timestamp.
fn without_timestamps(lines: &str) -> Vec<String> {
    let cut = |line: &str| {
        let (before, rest) = line.split_once(",\"timestamp\":\"").expect("a timestamp");
        let (_, after) = rest.split_once('"').expect("its end");
        format!("{before}{after}")
    };
    lines.lines().map(cut).collect()
}

#[test]
fn fields_have_their_order_and_are_absent_when_empty() {
    let place = Place::new();
    place.prints(&["append", "a", "--type", "T", "--id", "first"]);
    let second = [
        ["--metadata", "{\"z\":1,\"a\":2}"],
        ["--data", "{\"b\":1}"],
        ["--occurred-at", "2016-02-27T11:07:26-05:00"],
        ["--id", "second"],
        ["--schema-version", "3"],
    ];
    place.prints(&[&["append", "a", "--type", "U"], second.concat().as_slice()].concat());
    let lines = without_timestamps(&place.prints(&["read", "--all", "--format", "json"]));
    let expected = [
        r#"{"position":1,"stream":"a","version":1,"type":"T","id":"first","schemaVersion":1,"data":{}}"#,
        concat!(
            r#"{"position":2,"stream":"a","version":2,"type":"U","id":"second","#,
            r#""occurredAt":"2016-02-27T11:07:26-05:00","schemaVersion":3,"data":{"b":1},"#,
            r#""metadata":{"z":1,"a":2}}"#
        ),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn timestamps_are_utc_with_microseconds() {
    let place = Place::new();
    place.prints(&["append", "a", "--type", "T"]);
    let event = &place.json(&["read", "a", "--format", "json"])[0];
    let timestamp = event["timestamp"].as_str().expect("a text");
    assert_eq!(timestamp.len(), "2016-02-27T11:07:26.000000Z".len(), "{timestamp}");
    assert!(timestamp.ends_with('Z') && timestamp.as_bytes()[19] == b'.', "{timestamp}");
}

/// Takes a line in and expects the same line, but for position, version and time, to come out.
#[track_caller]
fn check_round_trip(fields: &str) {
    let place = Place::new();
    place.prints_with(&["import", "-"], &format!("{{\"stream\":\"a\",{fields}}}\n"));
    let exported = without_timestamps(&place.prints(&["export"]));
    assert_eq!(exported, [format!("{{\"position\":1,\"stream\":\"a\",\"version\":1,{fields}}}")]);
}

#[test]
fn lines_come_out_as_they_went_in() {
    for data in [
        "null",
        "\"\"",
        "-0.10E+400",
        "123456789012345678901234567890.123456789012345678901234567890",
        "{\"b\":1,\"a\":{\"b\":[ ]},\"b\":2}",
        "\"\\u00e4 ä → 😀 \\ud83d\\ude00 \\u0000 \\/\"",
    ] {
        check_round_trip(&format!(r#""type":"T","id":"i","schemaVersion":1,"data":{data}"#));
    }
    check_round_trip(r#""type":"Ünïcödé →😀","id":"ключ","schemaVersion":4294967295,"data":{}"#);
    check_round_trip(
        r#""type":"T","id":"6b391d71-0000-7000-8000-0123456789ab","schemaVersion":1,"data":{},"metadata":{"n":1.0}"#,
    );
    check_round_trip(r#""type":"T","id":"i","schemaVersion":1,"dataBase64":"AAECg/8=""#);
    check_round_trip(r#""type":"T","id":"i","schemaVersion":1,"dataBase64":"","contentType":200"#);
}

#[test]
fn occurred_at_keeps_microseconds_and_offset__B05() {
    for time in [
        "2016-02-27T11:07:26-05:00",
        "2016-02-27T11:07:26.123456+05:45",
        "1969-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00-12:00",
    ] {
        check_round_trip(&format!(
            r#""type":"T","id":"i","occurredAt":"{time}","schemaVersion":1,"data":{{}}"#
        ));
    }
}

/// All that a program can store and a JSON line can't say in the simplest way.
fn odd_events() -> Vec<EventData> {
    let event = |data: &[u8], content_type: u8| {
        EventData::new("T", data).with_content_type(ContentType::new(content_type))
    };
    let odd_time = OccurredAt { time: Timestamp::MIN, offset_minutes: -1_441 };
    vec![
        event(b"", 0),
        event(b"", 1),
        event(b"{\"bytes that look like JSON\":1}", 0),
        event(b"{\"not JSON\":", 1),
        event(b"\xff\xfe", 2),
        event(b"{}", 255).with_occurred_at(odd_time),
        event(b"{}", 1).with_metadata_bytes(b"[1]".as_slice(), ContentType::JSON),
        event(b"{}", 1).with_metadata_bytes(b"\0\xff".as_slice(), ContentType::BYTES),
        event(b"{}", 1).with_metadata_bytes(b"{\"a\":1}".as_slice(), ContentType::BINCODE),
    ]
}

#[test]
fn whatever_a_program_stored_can_be_exported_and_imported() {
    let place = Place::new();
    let store = EventStore::open(place.store()).expect("a store");
    store.append(&stream("a"), ExpectedVersion::NoStream, odd_events()).expect("appended");
    store.close().expect("closed");
    let exported = place.prints(&["export"]);
    place.prints_with(&["--store", "copy", "import", "-"], &exported);

    let copy = EventStore::open(place.path().join("copy")).expect("the copy");
    let mut version = 0;
    for (stored, given) in copy.read(annals::Query::stream(&stream("a"))).zip(odd_events()) {
        let stored = stored.expect("readable");
        version = stored.version.get();
        assert_eq!((stored.data, stored.content_type), (given.data, given.content_type), "{version}");
        assert_eq!(stored.metadata_bytes, given.metadata, "{version}");
        assert_eq!(stored.metadata_content_type, given.metadata_content_type, "{version}");
        assert_eq!(stored.occurred_at, given.occurred_at, "{version}");
    }
    assert_eq!(version, 9);
    drop(copy);
    let copied = place.prints(&["--store", "copy", "export"]);
    assert_eq!(without_timestamps(&copied), without_timestamps(&exported));
}

#[test]
fn an_event_is_one_line_however_its_json_is_laid_out() {
    let place = Place::new();
    place.write("pretty.json", "{\r\n  \"a\": [\n1\n]\n}\n");
    place.prints(&["append", "a", "--type", "T", "--id", "i", "--data", "@pretty.json"]);
    let lines = without_timestamps(&place.prints(&["read", "a", "--format", "json"]));
    let data = r#"{    "a": [ 1 ] }"#;
    let head = r#"{"position":1,"stream":"a","version":1,"type":"T","id":"i","schemaVersion":1,"data":"#;
    assert_eq!(lines, [format!("{head}{data}}}")]);
}

#[test]
fn text_is_safe_on_a_terminal() {
    let place = Place::new();
    let store = EventStore::open(place.store()).expect("a store");
    let events = [
        EventData::new("T", b"plain \x1b[2J\n text".as_slice()),
        EventData::new("T", b"\xff".as_slice()),
        EventData::new("T", b"".as_slice()),
        EventData::new("T", "\"\u{9b}2J\u{202e}\"").with_content_type(ContentType::JSON),
    ];
    store.append(&stream("a"), ExpectedVersion::Any, events).expect("appended");
    store.close().expect("closed");
    let text = place.prints(&["read", "a"]);
    let data: Vec<&str> = text.lines().filter_map(|line| line.splitn(6, "  ").last()).collect();
    assert_eq!(data, ["text:plain \\u001b[2J\\u000a text", "base64:/w==", "(empty)", "\"\\u009b2J\\u202e\""]);
}
