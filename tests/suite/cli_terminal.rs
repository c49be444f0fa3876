//! What the program shows on a terminal: columns, colours, no more than fits; and what it gives to a pipe.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::Stdio,
};

use crate::{
    cli::{Place, history},
    terminal::{command, interrupt, shown_by, shown_by_standard_error, shown_on, shows, terminal},
};
use annals::{Durability, EventData, EventStore, ExpectedVersion, Options, SEGMENT_BYTES_MIN, StreamId};

/// How often what is interrupted may be done before the signal comes, which it is where the machine is busy with others.
const TRIES_MAX: usize = 10;

const TYPES: [&str; 3] = ["OrderPlaced", "OrderPaid", "OrderSent"];

/// The text without what colours it.
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (codes, rest) = part.split_once('m').expect("a colour's end");
        assert!(codes.chars().all(|code| code.is_ascii_digit() || code == ';'), "no colour: {codes:?}");
        plain.push_str(rest);
    }
    plain
}

/// Three types, and data that are longer than a line.
fn with_orders() -> Place {
    let place = Place::new();
    let long = format!("{{\"note\":\"{}\"}}", "日本語 ".repeat(40));
    for (number, event_type) in TYPES.into_iter().cycle().take(12).enumerate() {
        let data = if number % 4 == 3 { long.as_str() } else { "{\"total\":1200}" };
        let stream = format!("order-{}", number * 50);
        let metadata = format!("{{\"userId\":\"{}\"}}", "u".repeat(number * 3));
        place.prints(&["append", &stream, "--type", event_type, "--data", data, "--metadata", &metadata]);
    }
    place
}

#[test]
fn a_terminal_gets_columns_in_colours_and_no_line_wider_than_itself() {
    let place = with_orders();
    let piped = place.prints(&["read", "--all"]);
    for columns in [40, 80, 132, 500] {
        let shown = shows(&place, columns, &["read", "--all"]);
        let plain = without_colours(&shown);
        assert_eq!(plain.lines().count(), 12, "{plain}");
        for (line, whole) in plain.lines().zip(piped.lines()) {
            // Three of the letters of a long value are twice as wide.
            let width: usize =
                line.chars().map(|letter| if ('\u{2e80}'..).contains(&letter) { 2 } else { 1 }).sum();
            assert!(width <= usize::from(columns), "{width} in {columns}: {line}");
            let beginning = line.split('…').next().expect("a beginning");
            // A terminal gets times to the second.
            let (seconds, behind) = whole.split_once('.').expect("a time");
            let whole = format!("{seconds}{}", &behind["123456".len()..]);
            assert!(whole.starts_with(beginning.trim_end()), "{line}\n{whole}");
        }
    }
    let plain = without_colours(&shows(&place, 80, &["read", "--all"]));
    assert!(plain.contains('…') && !piped.contains('…'), "{plain}");
    let begins_at = |line: &str| TYPES.iter().find_map(|name| line.find(name));
    let columns: Vec<Option<usize>> = plain.lines().map(begins_at).collect();
    assert!(columns[0].is_some() && columns.iter().all(|column| *column == columns[0]), "{columns:?}");
}

#[test]
fn an_event_type_has_its_colour_wherever_it_is_shown() {
    let place = with_orders();
    let colour_of = |text: &str, event_type: &str| {
        let (before, _) = text.split_once(event_type).expect("it is there");
        before.rsplit_once("\u{1b}[").expect("a colour").1.to_owned()
    };
    let read = shows(&place, 132, &["read", "--all"]);
    let tail = shows(&place, 80, &["tail", "--type", "OrderPaid"]);
    assert_eq!(colour_of(&read, "OrderPaid"), colour_of(&tail, "OrderPaid"));
    assert_ne!(colour_of(&read, "OrderPaid"), colour_of(&read, "OrderPlaced"));
}

#[test]
fn colours_are_shown_where_and_when_they_are_wanted() {
    let place = with_orders();
    let is_coloured = |text: &str| text.contains('\u{1b}');
    let read = ["read", "order-0"];
    let on_terminal = |name: &str, value: &str, arguments: &[&str]| {
        let mut command = command(&place, arguments);
        command.env(name, value);
        shown_by(command, 80)
    };
    assert!(is_coloured(&shows(&place, 80, &read)));
    assert!(!is_coloured(&shows(&place, 80, &["read", "order-0", "--color", "never"])));
    assert!(!is_coloured(&on_terminal("NO_COLOR", "1", &read)));
    assert!(!is_coloured(&on_terminal("TERM", "dumb", &read)));
    assert!(is_coloured(&on_terminal("NO_COLOR", "1", &["--color", "always", "read", "order-0"])));

    let piped = |name: &str, value: &str, arguments: &[&str]| {
        let output = command(&place, arguments).env(name, value).output().expect("the program runs");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(!is_coloured(&piped("TERM", "xterm", &read)));
    assert!(is_coloured(&piped("CLICOLOR_FORCE", "1", &read)));
    let coloured = piped("TERM", "xterm", &["read", "--all", "--color", "always"]);
    assert_eq!(without_colours(&coloured), place.prints(&["read", "--all"]), "and nothing else is changed");
}

#[test]
fn help_and_mistakes_have_colours_by_the_same_option() {
    let place = Place::new();
    let coloured = |arguments: &[&str]| shows(&place, 80, arguments).contains('\u{1b}');
    for arguments in [&["help", "read"] as &[&str], &["read", "--help"], &["raed"], &["read", "a"]] {
        assert!(coloured(arguments), "{arguments:?}");
        assert!(!coloured(&[&["--color", "never"], arguments].concat()), "{arguments:?}");
    }
    assert!(!coloured(&["read", "--help", "--color=never"]));
    assert!(place.prints(&["read", "--help", "--color", "always"]).contains('\u{1b}'));
    assert!(!place.prints(&["read", "--help"]).contains('\u{1b}'));
    place.fails(2, &["read", "a", "--color", "sometimes"]);
}

#[test]
fn nothing_is_cut_for_who_wants_all_of_it() {
    let place = with_orders();
    let piped = place.prints(&["read", "--all"]);
    let shown = shows(&place, 40, &["read", "--all", "--no-trunc"]);
    assert_eq!(without_colours(&shown), piped);
    let tail = shows(&place, 40, &["tail", "--no-trunc", "--color", "never"]);
    assert_eq!(tail, piped);
}

#[test]
fn laid_out_json_is_cut_line_by_line() {
    let place = with_orders();
    let shown = shows(&place, 40, &["read", "order-150", "--pretty", "--color", "never"]);
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!((lines[1], lines[3], lines[4]), ("  data {", "  }", "  metadata {"), "{shown}");
    assert!(lines[2].starts_with("    \"note\": \"日本語 ") && lines[2].ends_with('…'), "{shown}");
}

#[test]
fn names_can_do_nothing_to_a_terminal_but_be_read() {
    let place = Place::new();
    place.prints(&["append", "a\u{202e}b", "--type", "T\u{202e}J", "--data", "\"\u{9b}31m\""]);
    let plain =
        without_colours(&shows(&place, 200, &["read", "--all", "--pretty", "--fields", "stream,type,data"]));
    assert_eq!(plain, "a\\u202eb  T\\u202eJ\n  data \"\\u009b31m\"\n");
}

#[test]
fn words_of_a_wrong_command_line_can_do_nothing_to_a_terminal_but_be_read() {
    let place = Place::new();
    for arguments in [
        &["read", "a", "--format", "j\u{1b}[31m"] as &[&str],
        &["re\u{1b}[31m"],
        &["read", "a", "--\u{1b}[31m"],
    ] {
        let said = place.fails(2, arguments);
        assert!(said.contains("\\u001b[31m") && !said.contains('\u{1b}'), "{said:?}");
    }
}

#[test]
fn a_bar_is_shown_on_a_terminal_unless_quiet_or_what_is_done_is_told_there() {
    let place = Place::new();
    place.write("history.ndjson", &history());
    let import = |store: &str, option: &[&str]| {
        shows(&place, 80, &[&["--store", store, "import", "history.ndjson"], option].concat())
    };
    let result = "imported 5407 events into 467 streams (0 were already there)\n";
    let usual = import("usual", &[]);
    assert!(usual.ends_with(result) && usual.len() > result.len(), "{usual:?}");
    assert!(usual.contains(" events, ") && usual.contains("/s, ") && usual.contains(" left"), "{usual:?}");
    assert_eq!(import("quiet", &["--quiet"]), result);
    let told = import("told", &["-v"]);
    assert!(told.contains(result) && told.contains("INFO opened") && !told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn who_sees_nothing_is_told_that_there_is_nothing() {
    let place = with_orders();
    for (arguments, said) in [
        (
            &["read", "order-1"] as &[&str],
            "annals: stream \"order-1\" has no event; \"annals streams\" lists those there are\n",
        ),
        (
            &["tail", "order-1"],
            "annals: stream \"order-1\" has no event; \"annals streams\" lists those there are\n",
        ),
        (&["read", "order-0", "--from", "9"], "annals: no event is as was asked for\n"),
        (&["tail", "--type", "Nonsense"], "annals: no event is as was asked for\n"),
        (&["checkpoints"], "annals: there are none\n"),
    ] {
        assert_eq!(shows(&place, 80, arguments), said);
        assert_eq!(place.prints(arguments), "", "a pipe gets what there is");
        assert_eq!(shows(&place, 80, &[arguments, &["--quiet"]].concat()), "");
    }
}

/// What is shown on standard error alone, where standard output is a file.
#[track_caller]
fn shown_beside_a_file(place: &Place, arguments: &[&str]) -> String {
    let file = File::create(place.path().join("output")).expect("a file");
    shown_by_standard_error(command(place, arguments), file.into())
}

#[test]
fn an_export_to_a_file_has_a_bar_over_its_events_and_one_to_the_terminal_has_none() {
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    let shown = shown_beside_a_file(&place, &["export"]);
    assert!(
        shown.contains("/5,407 events, ") && shown.contains("/s, ") && shown.contains(" left"),
        "{shown:?}"
    );
    let exported = place.prints(&["export"]);
    assert!(fs::read_to_string(place.path().join("output")).expect("a file") == exported);
    assert_eq!(shown_beside_a_file(&place, &["export", "--quiet"]), "");
    assert!(shows(&place, 80, &["export"]) == exported, "a bar between the events");
}

#[test]
fn whatever_reads_the_whole_store_has_a_bar() {
    let place = Place::new();
    place.prints_with(&["import", "-"], &history());
    for arguments in [
        &["verify"] as &[&str],
        &["backup", "saved"],
        &["restore", "saved", "restored"],
        &["repair", "--dry-run"],
        &["stats"],
    ] {
        let shown = shown_beside_a_file(&place, arguments);
        assert!(shown.contains(" left"), "{arguments:?}: {shown:?}");
    }
    assert_eq!(shown_beside_a_file(&place, &["verify", "--quiet"]), "");
    assert_eq!(place.run(&["verify"]).stderr, "");
}

/// A store of so many segments and one more, each with one event.
fn with_segments(segments: u64) -> Place {
    let place = Place::new();
    let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN).durability(Durability::Buffered);
    let store = EventStore::open_with(place.store(), options).expect("a store");
    let stream = StreamId::new("a").expect("a name");
    let large = vec![b'x'; usize::try_from(SEGMENT_BYTES_MIN / 2).expect("a size")];
    for _ in 0..=segments {
        let event = EventData::new("T", large.clone());
        store.append(&stream, ExpectedVersion::Any, [event]).expect("appended");
    }
    store.close().expect("closed");
    place
}

fn remove_indexes(place: &Place) {
    for entry in fs::read_dir(place.store().join("segments")).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.extension() == Some("idx".as_ref()) {
            fs::remove_file(path).expect("removed");
        }
    }
    // Who only reads makes none.
    fs::remove_file(place.store().join("streams.dir")).unwrap_or_default();
}

#[test]
fn an_opening_that_makes_indexes_anew_has_a_bar_whatever_the_command() {
    let place = with_segments(5);
    for arguments in [&["info"] as &[&str], &["read", "a", "--limit", "1"], &["append", "a", "--type", "T"]] {
        remove_indexes(&place);
        let shown = shown_beside_a_file(&place, arguments);
        assert!(
            shown.contains(" of segments read anew, ") && shown.contains(" left"),
            "{arguments:?}: {shown:?}"
        );
        // Who writes makes the files.
        place.prints(&["append", "a", "--type", "T"]);
    }
    assert_eq!(shown_beside_a_file(&place, &["info"]), "");
}

/// A store of one segment, with so many times 64 KiB.
fn with_large_last_segment(events: usize) -> Place {
    let place = Place::new();
    let options = Options::new().durability(Durability::Buffered);
    let store = EventStore::open_with(place.store(), options).expect("a store");
    let stream = StreamId::new("a").expect("a name");
    for _ in 0..events {
        let event = EventData::new("T", vec![b'x'; 64 << 10]);
        store.append(&stream, ExpectedVersion::Any, [event]).expect("appended");
    }
    store.close().expect("closed");
    place
}

fn last_index(place: &Place) -> PathBuf {
    place.store().join("segments/000000000001.idx")
}

#[test]
fn an_opening_that_reads_the_last_segment_alone_has_a_bar_from_its_beginning() {
    let place = with_large_last_segment(40);
    for arguments in [&["info"] as &[&str], &["append", "a", "--type", "T"]] {
        fs::remove_file(last_index(&place)).expect("removed");
        let shown = shown_beside_a_file(&place, arguments);
        let (_, begins) = shown.split_once(" 0 B/2.5").expect("nothing is read at first");
        assert!(begins.contains(" of segments read anew, "), "{arguments:?}: {shown:?}");
        // Closing makes the file.
        place.prints(&["append", "a", "--type", "T"]);
    }
}

/// What a program shows that is interrupted as soon as it shows a bar, and ends with exit code 1. Nothing can hold it there: a store opens
/// no file in a way in which a pipe could have it wait. So one that is done before the signal comes is tried again.
#[track_caller]
fn shown_interrupted(place: &Place, arguments: &[&str], prepare: impl Fn()) -> String {
    let stopped = (0..TRIES_MAX).find_map(|_| {
        prepare();
        let (own, other) = terminal(80).expect("a terminal");
        let mut command = command(place, &[&["--color", "never"], arguments].concat());
        command.stdout(Stdio::null()).stderr(other);
        let (shown, code) = shown_on(own, command, interrupt);
        (code == Some(1)).then_some(shown)
    });
    stopped.expect("it is stopped in one of so many attempts")
}

#[test]
fn what_reads_the_whole_store_is_ended_by_ctrl_c_and_says_how_far_it_was() {
    let place = with_segments(300);
    let said = shown_interrupted(&place, &["verify"], || ());
    assert!(
        said.contains("annals: stopped after ") && said.contains(": what follows wasn't looked at"),
        "{said}"
    );
    let said = shown_interrupted(&place, &["repair", "--dry-run"], || ());
    assert!(
        said.contains("annals: the repair of ./annals-data was stopped: nothing of it was changed"),
        "{said}"
    );
    let said = shown_interrupted(&place, &["stats"], || ());
    assert!(
        said.contains("annals: stopped after ") && said.contains(": nothing was printed or written"),
        "{said}"
    );
    place.prints(&["verify"]);
}

#[test]
fn an_opening_that_makes_indexes_anew_is_ended_by_ctrl_c_and_says_how_far_it_was() {
    let place = with_segments(300);
    for (arguments, next) in [
        (
            &["info"] as &[&str],
            "begins anew, unless a program that writes to the store has made them meanwhile\n",
        ),
        (&["append", "a", "--type", "T", "--id", "once"], "goes on there\n"),
    ] {
        let shown = shown_interrupted(&place, arguments, || remove_indexes(&place));
        let said = "annals: stopped before the store was open: indexes of ";
        let (_, told) = shown.split_once(said).expect("it says so");
        let expected = format!(" of 300 segments are made anew; the next command {next}");
        assert!(told.ends_with(&expected), "{arguments:?}: {told}");
    }
    place.prints(&["append", "a", "--type", "T", "--id", "twice"]);
    place.prints(&["verify"]);
}

#[test]
fn ctrl_c_in_the_first_segment_that_an_opening_reads_is_told() {
    let place = with_large_last_segment(300);
    let remove_index = || fs::remove_file(last_index(&place)).unwrap_or_default();
    for arguments in [&["info"] as &[&str], &["append", "a", "--type", "T"]] {
        let shown = shown_interrupted(&place, arguments, remove_index);
        let said = "annals: stopped before the store was open: indexes of 0 of 1 segment are made anew; ";
        assert!(shown.contains(said), "{arguments:?}: {shown}");
    }
    place.prints(&["verify"]);
}
