//! The pictures in docs/images: what the program shows on a terminal of 80 columns, drawn anew and compared.
//!
//! docs/images/draw writes them.

use std::{env, fs, path::Path};

use anstyle_svg::Term;

use crate::{
    cli::{Place, history},
    terminal::{command, shown_by},
};

const COLUMNS: u16 = 80;

/// What a picture is as wide as, whatever stands in it: so many columns, and the edge.
const WIDTH_PX: usize = COLUMNS as usize * 84 / 10 + 20;

/// A store with the first of the real events, each at the time at which it occurred.
fn with_history() -> Place {
    let place = Place::new();
    let events = fs::read_to_string("docs/examples/history.ndjson").expect("the examples' events");
    place.write("history.ndjson", &events);
    place.prints(&["import", "history.ndjson", "--time-from", "occurredAt"]);
    place
}

/// What a terminal shows when a command was typed there.
fn shown(place: &Place, arguments: &[&str]) -> String {
    shown_by(command(place, arguments), COLUMNS)
}

/// A picture of a terminal on which a command was typed.
fn picture_of(arguments: &[&str], shown: &str) -> String {
    let typed = arguments.join(" ");
    Term::new().min_width_px(WIDTH_PX).render_svg(&format!("\u{1b}[1m$ annals {typed}\u{1b}[0m\n{shown}"))
}

/// What a line was, one after the other: a bar is wiped away before it is drawn anew.
fn frames(line: &str) -> impl Iterator<Item = &str> {
    line.split('\r').map(|frame| frame.trim_start_matches("\u{1b}[2K"))
}

/// What stands there in the end.
fn in_the_end(shown: &str) -> String {
    shown.split('\n').map(|line| frames(line).last().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

fn is_to_be_written() -> bool {
    env::var("SNAPSHOTS").is_ok_and(|value| value == "overwrite")
}

/// Compares a picture with the one that the documents show, or writes that.
#[track_caller]
fn check(name: &str, picture: &str) {
    let path = Path::new("docs/images").join(name);
    if is_to_be_written() {
        fs::write(&path, picture).expect("it is written");
        return;
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        there == picture,
        "{} isn't what the program shows now: docs/images/draw writes it",
        path.display()
    );
}

#[test]
fn the_pictures_show_what_the_program_prints() {
    let place = with_history();
    for (name, arguments) in [
        ("help.svg", &["--help"] as &[&str]),
        ("read.svg", &["read", "file-Cargo.lock", "--limit", "12"]),
        (
            "tail.svg",
            &[
                "tail",
                "--type",
                "FileRenamed",
                "--limit",
                "3",
                "--pretty",
                "--fields",
                "position,time,type,stream,data",
            ],
        ),
    ] {
        check(name, &picture_of(arguments, &in_the_end(&shown(&place, arguments))));
    }
}

/// How many events share a frame, and so how many bytes they take, differs from import to import. So figures aren't compared.
#[test]
fn the_picture_of_the_figures_has_those_that_the_program_prints() {
    const PICTURE: &str = "docs/images/stats.svg";
    let place = with_history();
    let arguments = ["stats", "--top", "6", "--chart"];
    let picture = picture_of(&arguments, &in_the_end(&shown(&place, &arguments)));
    if is_to_be_written() {
        fs::write(PICTURE, &picture).expect("it is written");
    }
    let words = |picture: &str| -> Vec<String> {
        let words = picture
            .split_whitespace()
            .map(|word| word.replace(|letter: char| letter.is_ascii_digit() || letter == '.', ""));
        words.filter(|word| !word.is_empty()).collect()
    };
    let there = fs::read_to_string(PICTURE).expect("docs/images/draw has drawn it");
    assert_eq!(words(&there), words(&picture), "docs/images/draw draws it anew");
}

/// How much of a bar is drawn as done, of a hundred.
fn percent_done(frame: &str) -> Option<usize> {
    let count = |wanted: char| frame.chars().filter(|letter| *letter == wanted).count();
    let (done, left) = (count('█'), count('░'));
    (done + left > 0).then(|| 100 * done / (done + left))
}

/// The words and units of a bar, without its figures: bytes of any size have one unit.
fn form_of_bar(frame: &str) -> String {
    let drawn = |letter: char| matches!(letter, '█' | '░' | '▉'..='▏');
    let behind = frame.rsplit(drawn).next().unwrap_or_default();
    let words = behind.split('<').next().unwrap_or_default().split_whitespace().map(|word| {
        let word = word.replace(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ','), "");
        ["KiB", "MiB"].iter().fold(word, |word, unit| word.replace(unit, "B"))
    });
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Its figures tell of the machine on which it was drawn, so only its form is compared.
#[test]
fn the_picture_of_a_bar_shows_how_fast_it_goes_and_what_is_left() {
    const PICTURE: &str = "docs/images/progress.svg";
    let place = Place::new();
    place.write("history.ndjson", &history());
    let arguments = ["import", "history.ndjson"];
    let shown = shown(&place, &arguments);
    if is_to_be_written() {
        let is_past_half = |frame: &&str| percent_done(frame).is_some_and(|percent| percent >= 60);
        let frame = frames(&shown).find(is_past_half).expect("it got there");
        fs::write(PICTURE, picture_of(&arguments, frame)).expect("it is written");
    }
    let real = frames(&shown).find(|frame| percent_done(frame).is_some()).expect("a frame with a bar");
    let picture = fs::read_to_string(PICTURE).expect("docs/images/draw has drawn it");
    let line = picture.lines().find(|line| line.contains('█')).expect("a bar");
    assert_eq!(form_of_bar(line), form_of_bar(real), "docs/images/draw draws it anew");
    assert!(percent_done(line).is_some_and(|percent| (60..100).contains(&percent)), "{line}");
}
