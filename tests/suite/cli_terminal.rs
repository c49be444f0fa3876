//! What the program shows on a terminal: columns, colours, no more than fits; and what it gives to a pipe.

use crate::{
    cli::{Place, history},
    terminal::{command, shown_by, shows},
};

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
    for arguments in [&["help", "read"] as &[&str], &["read", "--help"], &["raed"]] {
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
fn a_bar_is_shown_on_a_terminal_unless_quiet_or_what_is_done_is_told_there() {
    let place = Place::new();
    place.write("history.ndjson", &history());
    let import = |store: &str, option: &[&str]| {
        shows(&place, 80, &[&["--store", store, "import", "history.ndjson"], option].concat())
    };
    let result = "imported 5407 events into 467 streams (0 were already there)\n";
    let usual = import("usual", &[]);
    assert!(usual.ends_with(result) && usual.len() > result.len(), "{usual:?}");
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
        (&["read", "order-0", "--from", "9"], "annals: there is no such event\n"),
        (&["tail", "--type", "Nonsense"], "annals: there is no such event\n"),
        (&["checkpoints"], "annals: there are none\n"),
    ] {
        assert_eq!(shows(&place, 80, arguments), said);
        assert_eq!(place.prints(arguments), "", "a pipe gets what there is");
        assert_eq!(shows(&place, 80, &[arguments, &["--quiet"]].concat()), "");
    }
}
