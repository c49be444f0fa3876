//! How the program fails: what it says, and with which number it ends.

use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

use annals::EventStore;

use crate::cli::{Place, history};

#[test]
fn a_wrong_command_line_ends_with_2() {
    let place = Place::new();
    for arguments in [
        &["apend", "a", "--type", "T"] as &[&str],
        &["append", "a"],
        &["append", "", "--type", "T"],
        &["append", "a", "--type", "T", "--batch", "-"],
        &["append", "a", "--type", "T", "--wait", "soon"],
        &["append", "a", "--type", "T", "--occurred-at", "2016-02-27T11:07:26"],
        &["read"],
        &["read", "a", "--all"],
        &["read", "a", "--from", "1", "--after", "1"],
        &["read", "a", "--limit", "-1"],
        &[],
    ] {
        place.fails(2, arguments);
    }
    let said = place.fails(2, &["apend", "a", "--type", "T"]);
    assert!(said.contains("'append'"), "{said}");
    assert!(!place.store().exists());
}

#[test]
fn another_negative_expected_version_is_refused__X4() {
    let place = Place::new();
    let said = place.fails(2, &["append", "a", "--type", "T", "--expect", "-3"]);
    assert!(said.contains("any, no-stream or exists (-1, 0, -2)"), "{said}");
}

#[test]
fn a_conflict_ends_with_3_and_says_both_versions__B03() {
    let place = Place::new();
    place.prints(&["append", "a", "--type", "T"]);
    let said = place.fails(3, &["append", "a", "--type", "T", "--expect", "4"]);
    assert_eq!(
        said,
        "annals: Expected version 4, but current is 1 (stream \"a\")\n  what to do: read the stream as it is now, and decide anew\n"
    );
    let said = place.fails(3, &["append", "b", "--type", "T", "--expect", "4"]);
    assert!(said.starts_with("annals: Expected version 4, but current is 0 (stream \"b\""), "{said}");
}

#[test]
fn what_is_not_there_ends_with_4_and_is_not_made() {
    let place = Place::new();
    for arguments in
        [&["read", "a"] as &[&str], &["read", "--all"], &["streams"], &["info"], &["export"], &["verify"]]
    {
        let said = place.fails(4, arguments);
        assert!(said.starts_with("annals: there is no store to read"), "{said}");
        assert!(said.contains("\n  because: "), "{said}");
        assert!(!place.store().exists(), "{arguments:?} made a store");
    }
    place.prints(&["append", "a", "--type", "T"]);
    let said = place.fails(4, &["info", "b"]);
    assert_eq!(
        said,
        "annals: stream \"b\" doesn't exist: it has no event\n  what to do: \"annals streams\" lists those there are\n"
    );
}

#[test]
fn an_unreadable_source_ends_with_1_and_makes_no_store() {
    let place = Place::new();
    let said = place.fails(1, &["import", "events.ndjson"]);
    assert!(said.starts_with("annals: can't open events.ndjson\n  because: "), "{said}");
    place.fails(1, &["append", "a", "--type", "T", "--data", "@data.json"]);
    place.fails(1, &["append", "a", "--batch", "batch.ndjson"]);
    assert!(!place.store().exists());
}

#[track_caller]
fn check_bad_json(data: &str, place_and_reason: &str) {
    let place = Place::new();
    let said = place.fails(1, &["append", "a", "--type", "T", "--data", data]);
    assert_eq!(
        said,
        format!(
            "annals: --data, {place_and_reason}; a shell takes it in quotes, '{{\"total\":1200}}', and @FILE is what a file has\n"
        )
    );
    assert!(!place.store().exists());
}

#[test]
fn bad_json_is_named_by_line_and_column() {
    check_bad_json("{\"a\":1,}", "line 1, column 8: this isn't JSON: key must be a string");
    check_bad_json("{\"ä\":\n  1 2}", "line 2, column 5: this isn't JSON: expected `,` or `}`");
    check_bad_json("", "line 1, column 1: this isn't JSON: EOF while parsing a value");
    let place = Place::new();
    place.write("data.json", "[1,\n2,\n\t?]");
    let said = place.fails(1, &["append", "a", "--type", "T", "--data", "@data.json"]);
    assert_eq!(said, "annals: data.json, line 3, column 2: this isn't JSON: expected value\n");
    let said = place.fails(1, &["append", "a", "--type", "T", "--metadata", "[]"]);
    assert!(said.contains("--metadata, line 1") && said.contains("must be a JSON object"), "{said}");
}

#[test]
fn a_store_that_is_open_elsewhere_ends_with_5() {
    let place = Place::new();
    let store = EventStore::open(place.store()).expect("a store");
    let said = place.fails(5, &["append", "a", "--type", "T", "--wait", "0"]);
    assert!(said.starts_with("annals: ./annals-data is open for writing by "), "{said}");
    place.fails(5, &["tail", "--checkpoint", "mailer", "--wait", "0"]);
    place.fails(5, &["checkpoints", "delete", "mailer", "--wait", "0"]);
    place.fails(5, &["repair", "--wait", "0"]);
    assert!(place.prints(&["verify"]).contains("is whole, as far as the program that writes to it"));
    let begin = Instant::now();
    place.fails(5, &["append", "a", "--type", "T", "--wait", "300ms"]);
    assert!(begin.elapsed() >= Duration::from_millis(300), "it didn't wait for the lock");
    let said = place.fails(5, &["append", "a", "--type", "T", "--wait", "1100ms"]);
    let [waits, gave_up] = said.lines().collect::<Vec<_>>()[..] else { panic!("{said}") };
    assert!(waits.ends_with(": waiting, for as long as --wait says"), "{said}");
    assert!(gave_up.ends_with(": end that, or wait for it"), "{said}");
    store.close().expect("closed");
}

#[test]
fn damage_ends_with_6_and_is_named() {
    let place = Place::new();
    for _ in 0..3 {
        place.prints(&["append", "a", "--type", "T", "--data", "\"a payload to be damaged\""]);
    }
    let log = place.store().join("segments").join("000000000001.log");
    let mut bytes = fs::read(&log).expect("the log");
    let payload = b"a payload to be damaged";
    let at = bytes.windows(payload.len()).position(|window| window == payload).expect("a payload");
    bytes[at] ^= 1;
    fs::write(&log, bytes).expect("the damage");

    let run = place.run(&["verify"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stdout.contains("000000000001.log, offset "), "{run:?}");
    assert!(run.stderr.starts_with("annals: the store is damaged in 1 place"), "{run:?}");
    let run = place.run(&["verify", "--format", "json"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stdout.contains("\"damage\":[{\"path\":"), "{run:?}");
    let said = place.fails(6, &["read", "a"]);
    assert!(said.contains("000000000001.log"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    for arguments in [&["read", "--all"] as &[&str], &["export"], &["streams", "--format", "json"]] {
        let mut child = place.command(arguments).spawn().expect("the program runs");
        let mut stdout = BufReader::with_capacity(64, child.stdout.take().expect("standard output"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert!(!line.is_empty());
        drop(stdout);
        let mut said = String::new();
        child.stderr.take().expect("standard error").read_to_string(&mut said).expect("readable");
        let status = child.wait().expect("it ends");
        assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn an_import_goes_on_when_nobody_reads_what_it_tells() {
    let place = Place::new();
    place.write("events.ndjson", &history());
    let mut command = place.command(&["import", "events.ndjson", "--format", "json"]);
    let mut child = command.spawn().expect("the program runs");
    drop(child.stdout.take());
    assert!(child.wait().expect("it ends").success());
    assert_eq!(place.json(&["info", "--format", "json"])[0]["events"], 5_407);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let place = Place::new();
    place.prints(&["append", "a", "--type", "T"]);
    let print_to_full = |arguments: &[&str]| {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("the device");
        let mut command = place.command(arguments);
        let child = command.stdout(full).stderr(Stdio::piped()).spawn().expect("the program runs");
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        said
    };
    for arguments in
        [&["read", "a"] as &[&str], &["help"], &["help", "start"], &["read", "--help"], &["--version"]]
    {
        let said = print_to_full(arguments);
        assert!(
            said.starts_with("annals: can't write to standard output\n  because: "),
            "{arguments:?}: {said}"
        );
    }
    assert_eq!(
        print_to_full(&["append", "a", "--type", "T"]),
        "annals: can't write to standard output, but the append is stored: a, version 2, position 2; don't append it again\n"
    );
}
