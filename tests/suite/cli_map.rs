//! `annals import --map`: lines of other programs, and what is said where a mapping doesn't fit them.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::cli::{Place, history};

/// `--map` before each of these.
fn mapped<'a>(mappings: &[&'a str]) -> Vec<&'a str> {
    let options = mappings.iter().flat_map(|mapping| ["--map", *mapping]);
    ["import", "-"].into_iter().chain(options).collect()
}

/// What becomes of one line.
#[track_caller]
fn event_of(line: &str, mappings: &[&str]) -> Value {
    let place = Place::new();
    let told = place.prints_with(&mapped(mappings), line);
    assert_eq!(told, "imported 1 event into 1 stream (0 were already there)\n");
    place.json(&["export"]).remove(0)
}

const LINE: &str = r#"{"n":1,"kind":"order","key":17,"none":null,"empty":"","seconds":1763713800.5,"time":"2025-11-21T09:30:00+01:00",
    "subject":"/books/42/pages/1","root":"/","text":"{\"total\":1.10e+400}","bytes":"AP8=","inner":{"a/b":[{"~":"deep"}]},
    "object":{"a": 1.0}}"#;

/// The line on one line.
fn line() -> String {
    LINE.replace('\n', " ")
}

#[track_caller]
fn check(mapping: &str, field: &str, expected: &Value) {
    let mut mappings = vec![mapping];
    mappings.extend(
        ["stream=/kind", "type=\"T\""].iter().filter(|it| it.split('=').next() != mapping.split('=').next()),
    );
    let event = event_of(&line(), &mappings);
    assert_eq!(event.get(field).unwrap_or(&Value::Null), expected, "{mapping}: {event}");
}

#[test]
fn a_field_is_found_by_a_pointer_put_together_or_the_same_for_all() {
    check("stream=/kind", "stream", &json!("order"));
    check("stream={/kind}-{/key}", "stream", &json!("order-17"));
    check("stream=path:/subject", "stream", &json!("books-42/pages/1"));
    check("stream=path:/root", "stream", &json!("/"));
    check("type=/inner/a~1b/0/~0", "type", &json!("deep"));
    check("id=/key", "id", &json!("17"));
    check("id=one-{/key}", "id", &json!("one-17"));
    check("schemaVersion=/key", "schemaVersion", &json!(17));
    check("occurredAt=/time", "occurredAt", &json!("2025-11-21T09:30:00+01:00"));
    check("occurredAt=s:/seconds", "occurredAt", &json!("2025-11-21T08:30:00.5Z"));
    check("occurredAt=ms:/key", "occurredAt", &json!("1970-01-01T00:00:00.017Z"));
    check("occurredAt=us:/key", "occurredAt", &json!("1970-01-01T00:00:00.000017Z"));
    check("data=/none", "data", &Value::Null);
    check("data=/empty", "data", &json!(""));
    check("data=json:/object", "data", &json!({ "a": 1.0 }));
    check("dataBase64=/bytes", "dataBase64", &json!("AP8="));
    check("metadata=/object", "metadata", &json!({ "a": 1.0 }));
    check("metadata.b=/inner", "metadata", &json!({ "b": { "a/b": [{ "~": "deep" }] } }));
    check("metadata.b=[1]", "metadata", &json!({ "b": [1] }));
}

#[test]
fn what_is_null_or_optional_and_not_there_is_left_out() {
    for mapping in [
        "metadata=/none",
        "metadata.a=/none",
        "metadata=optional:/b",
        "metadata=optional:json:/empty",
        "metadata.a=optional:/b",
    ] {
        check(mapping, "metadata", &Value::Null);
    }
    check("occurredAt=/none", "occurredAt", &Value::Null);
    check("data=optional:/b", "data", &json!({}));
    check("schemaVersion=optional:/b", "schemaVersion", &json!(1));
}

#[test]
fn data_are_taken_exactly_as_they_stand_there() {
    let event = Place::new();
    event.prints_with(&mapped(&["stream=/kind", "type=\"T\"", "data="]), &line());
    assert!(event.prints(&["export"]).contains(&format!("\"data\":{}", line())));
    let text = Place::new();
    text.prints_with(&mapped(&["stream=/kind", "type=\"T\"", "data=json:/text"]), &line());
    assert!(text.prints(&["export"]).contains(r#""data":{"total":1.10e+400}"#));
}

#[test]
fn keys_of_the_metadata_come_behind_the_metadata_that_are_there() {
    let place = Place::new();
    let mappings = ["stream=/kind", "type=\"T\"", "metadata=/object", "metadata.b=/key", "metadata.a\"=1"];
    place.prints_with(&mapped(&mappings), &line());
    assert!(place.prints(&["export"]).contains(r#""metadata":{"a": 1.0,"b":17,"a\"":1}"#));
}

#[track_caller]
fn check_refused(mapping: &str, said: &str) {
    let place = Place::new();
    let mut mappings = vec![mapping];
    mappings.extend(
        ["stream=/kind", "type=/kind"].iter().filter(|it| it.split('=').next() != mapping.split('=').next()),
    );
    let bad = r#"{"kind":"a","key":{},"seconds":1,"path":"/a-b/c","late":1763713800123,"local":"2025-11-21 08:30:00","nothing":""}"#;
    let message = place.fails_with(1, &mapped(&mappings), &format!("{bad}\n{}", line()));
    assert!(message.contains(&format!(": --map {mapping}: ")), "{message}");
    assert!(message.contains(said), "{said} isn't in\n{message}");
    assert!(message.contains("mend the line or what --map says, and import again"), "{message}");
}

#[test]
fn a_mapping_that_does_not_fit_a_line_is_named_with_what_is_there() {
    check_refused(
        "id=/uuid",
        "nothing is there; the line has kind, key, seconds, path, late, local, nothing; where only some have it, write optional: ",
    );
    check_refused("type=/key/name", "nothing is there; /key is empty\n");
    check_refused("stream=/key", "{} is there, and a text or a number is wanted");
    check_refused("stream={/kind}-{/id}", "{/id}: nothing is there; the line has kind");
    check_refused("stream=path:/kind", "\"a\" is there, and path: wants such as /books/42");
    check_refused(
        "stream=path:/path",
        "\"/a-b/c\" is there, and its first part has a -, so that it couldn't be told from what follows; without path: ",
    );
    check_refused("data=json:/kind", "the text \"a\" isn't JSON: expected value");
    check_refused("dataBase64=/kind", "\"a\" isn't base64");
    check_refused("metadata=/kind", "\"a\" is there, and metadata are an object");
    check_refused("occurredAt=/seconds", "the number 1 is there: write s:, ms: or us: before the path");
    check_refused("occurredAt=/kind", "invalid time \"a\": it is a time with its offset");
    check_refused("occurredAt=ms:/kind", "\"a\" is there, and a number since 1970 is wanted");
    check_refused(
        "occurredAt=s:/late",
        "1763713800123 is there, and as a number of seconds that is no time from the year 0 to 9999",
    );
    check_refused("occurredAt=s:/late", ": ms: is for milliseconds, us: for microseconds");
    check_refused(
        "occurredAt=/local",
        "; a text with the path in it adds one: --map occurredAt={/local}Z where such times are UTC",
    );
    check_refused("occurredAt={/local}", "; write Z at the text's end where such times are UTC");
    check_refused("schemaVersion=/kind", "\"a\" is there, and a schema's version is a whole number");
    check_refused("id=/nothing", "invalid event id \"\"");
}

#[test]
fn the_line_that_a_mapping_does_not_fit_is_named_and_those_before_it_are_stored() {
    let place = Place::new();
    let lines = "{\"s\":\"a\",\"d\":1}\n\n{\"s\":\"a\",\"d\":2}\n{\"s\":\"a\"}\n";
    let message = place.fails_with(1, &mapped(&["stream=/s", "type=\"T\"", "data=/d"]), lines);
    assert!(
        message.starts_with("annals: the import stopped at line 4, with 2 events before it stored; "),
        "{message}"
    );
    assert!(
        message
            .contains("because: standard input, line 4: --map data=/d: nothing is there; the line has s; ")
    );
    let told = place.prints_with(&mapped(&["stream=/s", "type=\"T\"", "data=optional:/d"]), lines);
    assert_eq!(told, "imported 1 event into 1 stream (2 were already there)\n");
}

/// Without ids of their own.
const LINES: &str = "{\"s\":\"a\",\"d\":1}\n{\"s\":\"a\",\"d\":2}\n{\"s\":\"a\",\"e\":3}\n";

/// After a mapping that takes two lines of three.
fn stopped_at_the_third_line() -> Place {
    let place = Place::new();
    let message = place.fails_with(1, &mapped(&["stream=/s", "type=\"T\"", "data=/d"]), LINES);
    assert!(
        message.contains("line 3, with 2 events before it stored; mend the line or what --map says"),
        "{message}"
    );
    assert!(message.contains("to make something else of it, import into another store"), "{message}");
    place
}

#[test]
fn a_line_without_an_id_is_not_doubled_by_another_mapping() {
    let place = stopped_at_the_third_line();
    // What is made of the lines before is another event, so it is refused, and in no case stored beside the first.
    let message = place.fails_with(1, &mapped(&["stream=/s", "type=\"T\"", "data="]), LINES);
    assert!(message.contains("stopped at line 1, with 0 events before it stored"), "{message}");
    assert!(
        message.contains("line 1: the store has this line already, of which other mappings made another event: map it as before, or"),
        "{message}"
    );
    let events = place.json(&["export"]);
    assert_eq!((&events[0]["data"], &events[1]["data"]), (&json!(1), &json!(2)));
    assert!(events.len() <= 3 && events[2..].iter().all(|it| it["data"]["e"] == 3), "{events:?}");
    // What is made of them is the same, so they are known.
    let place = stopped_at_the_third_line();
    let told = place.prints_with(&mapped(&["stream=/s", "type=\"T\"", "data=optional:/d"]), LINES);
    assert_eq!(told, "imported 1 event into 1 stream (2 were already there)\n");
}

#[test]
fn equal_lines_without_an_id_are_kept_apart() {
    let place = Place::new();
    let import = mapped(&["stream=/s", "type=\"T\""]);
    let lines = "{\"s\":\"a\"}\n".repeat(3) + "{\"s\":\"b\"}\r\n";
    let told = place.prints_with(&import, &lines);
    assert_eq!(told, "imported 4 events into 2 streams (0 were already there)\n");
    // How a line ends is no part of it.
    let longer = lines.replace('\r', "") + " {\"s\":\"a\"}";
    let told = place.prints_with(&import, &longer);
    assert_eq!(told, "imported 1 event into 1 stream (4 were already there)\n");
}

#[test]
fn a_line_that_is_no_object_or_has_a_name_twice_is_refused() {
    let refuses = |line: &str| Place::new().fails_with(1, &mapped(&["stream=/s", "type=/s"]), line);
    let said = refuses("[{\"s\":\"a\"}]");
    assert!(said.contains("line 1: this is no object, and an import takes one object a line"), "{said}");
    let said = refuses("{\"s\":\"a\",\"s\":\"b\"}");
    assert!(said.contains("line 1: --map stream=/s: \"s\" is there twice"), "{said}");
    let said = refuses("{\"s\":\"a\"");
    assert!(said.contains("line 1, column 8: this isn't JSON: EOF while parsing an object"), "{said}");
}

#[test]
fn metadata_that_are_asked_for_twice_lose_nothing() {
    let place = Place::new();
    let mappings = mapped(&["stream=/s", "type=/s", "metadata=/m", "metadata.a=2"]);
    let message = place.fails_with(1, &mappings, "{\"s\":\"a\",\"m\":{\"a\":1}}");
    assert!(
        message.contains("--map metadata.a: the metadata that --map metadata finds have that key already"),
        "{message}"
    );
}

#[test]
fn mappings_that_cannot_describe_an_event_are_refused_before_a_store_is_made() {
    for (mappings, said) in [
        (&["stream=/s"] as &[&str], "--map says nothing of the type"),
        (&["stream=/s", "type=/t", "type=/u"], "are of the same field"),
        (&["stream=s", "type=/t"], "\"s\" is no path: it is a JSON Pointer"),
        (&["stream=/s", "type=/t", "position=/p"], "\"position\" is no field of an event"),
        (&["stream=/s", "type=/t", "id=\"one\""], "for all lines they would be one event"),
        (&["stream=/s", "type=/t", "occurredAt=5"], "no event can have this: a time is a text"),
        (&["stream=/s", "type=/t", "timestamp=/at"], "which is taken with --time-from timestamp alone"),
    ] {
        check_refused_at_once(&mapped(mappings), said);
    }
    for (source, mapping, said) in [
        ("occurredAt", "timestamp=/at", "which is taken with --time-from timestamp alone"),
        ("occurredAt", "metadata.at=/at", "asks for what no --map finds: add --map occurredAt=PATH"),
        ("timestamp", "occurredAt=/at", "asks for what no --map finds: add --map timestamp=PATH"),
    ] {
        let mut import = mapped(&["stream=/s", "type=/t", mapping]);
        import.extend(["--time-from", source]);
        check_refused_at_once(&import, said);
    }
}

#[track_caller]
fn check_refused_at_once(import: &[&str], said: &str) {
    let place = Place::new();
    let message = place.fails(2, import);
    assert!(message.contains(said), "{message}");
    assert!(!place.store().exists());
}

#[test]
fn lines_of_its_own_say_the_same_with_mappings() {
    let lines = history();
    let (plain, mapped_too) = (Place::new(), Place::new());
    plain.prints_with(&["import", "-", "--time-from", "occurredAt"], &lines);
    let mut import = mapped(&[
        "stream=/stream",
        "type=/type",
        "id=/id",
        "data=/data",
        "metadata=/metadata",
        "timestamp=/metadata/occurredAt",
    ]);
    import.extend(["--time-from", "timestamp"]);
    mapped_too.prints_with(&import, &lines);
    assert!(plain.prints(&["export"]) == mapped_too.prints(&["export"]), "the mappings lost something");
    let again = mapped_too.prints_with(&import, &lines);
    assert_eq!(again, "imported 0 events into 0 streams (5407 were already there)\n");
}

/// As the guide has it: rows as SQLite prints them.
#[test]
fn a_table_of_sqlite_comes_in_with_its_times() {
    let database = Connection::open_in_memory().expect("a database");
    let table = "CREATE TABLE events (id INTEGER PRIMARY KEY, stream TEXT, type TEXT, data TEXT, created_at TEXT);
        INSERT INTO events VALUES (1, 'note-1', 'Noted', '{\"text\":\"a \\\"b\\\" \\\\ \\u00fc\\n\"}', '2025-11-20 10:00:00');
        INSERT INTO events VALUES (2, 'note-1', 'Noted', '[1]', '2025-11-21 08:30:00.25');";
    database.execute_batch(table).expect("a table");
    let select =
        "SELECT json_object('id', id, 'stream', stream, 'type', type, 'data', data, 'created_at', created_at)
        FROM events ORDER BY id";
    let mut statement = database.prepare(select).expect("a statement");
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).expect("rows");
    let lines: Vec<String> = rows.map(|row| row.expect("a row")).collect();
    let mut import = mapped(&[
        "stream=/stream",
        "type=/type",
        "id=shop-{/id}",
        "data=json:/data",
        "occurredAt={/created_at}Z",
    ]);
    import.extend(["--time-from", "occurredAt"]);
    let place = Place::new();
    place.prints_with(&import, &lines.join("\n"));
    let events = place.json(&["export"]);
    let told: Vec<[&Value; 3]> = events.iter().map(|it| [&it["id"], &it["timestamp"], &it["data"]]).collect();
    let expected = json!([
        ["shop-1", "2025-11-20T10:00:00.000000Z", { "text": "a \"b\" \\ ü\n" }],
        ["shop-2", "2025-11-21T08:30:00.250000Z", [1]],
    ]);
    assert_eq!(json!(told), expected);
}
