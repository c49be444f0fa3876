//! `annals tail`: what is there, what comes, and how far it went.

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdout},
    thread,
};

use serde_json::Value;

use crate::cli::{Place, json_lines, send_signal};

fn append(place: &Place, stream: &str) {
    place.prints(&["append", stream, "--type", "T"]);
}

/// The streams and versions in lines of text, as `a/1`.
fn seen(text: &str) -> Vec<String> {
    text.lines().map(place_of).collect()
}

fn place_of(line: &str) -> String {
    let mut parts = line.split("  ").skip(1);
    let stream = parts.next().expect("a stream");
    format!("{stream}/{}", parts.next().expect("a version"))
}

/// A tail that goes on.
struct Following {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let arguments = [&["tail", "--follow"], arguments].concat();
        let mut child = place.command(&arguments).spawn().expect("the program runs");
        let lines = BufReader::new(child.stdout.take().expect("standard output")).lines();
        Self { child, lines }
    }

    /// The next event, as `a/1`.
    #[track_caller]
    fn next(&mut self) -> String {
        place_of(&self.lines.next().expect("it goes on").expect("readable"))
    }

    fn signal(&self, signal: &str) {
        send_signal(&self.child, signal);
    }

    /// How it ends: the code, what it still printed, and what it said.
    fn end(self) -> (Option<i32>, Vec<String>, String) {
        let rest = self.lines.map(|line| place_of(&line.expect("readable"))).collect();
        let output = self.child.wait_with_output().expect("it ends");
        (output.status.code(), rest, String::from_utf8(output.stderr).expect("UTF-8"))
    }

    #[track_caller]
    fn interrupt(self) {
        self.signal("INT");
        assert_eq!(self.end(), (Some(0), Vec::new(), String::new()));
    }
}

#[test]
fn without_follow_it_prints_what_is_there_and_ends__C07() {
    let place = Place::new();
    for stream in ["a-1", "b-1", "a-1", "a-2"] {
        append(&place, stream);
    }
    assert_eq!(seen(&place.prints(&["tail"])), ["a-1/1", "b-1/1", "a-1/2", "a-2/1"]);
    assert_eq!(seen(&place.prints(&["tail", "a-1"])), ["a-1/1", "a-1/2"]);
    assert_eq!(seen(&place.prints(&["tail", "a-1", "--from", "2"])), ["a-1/2"]);
    assert_eq!(seen(&place.prints(&["tail", "--category", "a", "--from", "2"])), ["a-1/2", "a-2/1"]);
    assert_eq!(seen(&place.prints(&["tail", "--all", "--limit", "1"])), ["a-1/1"]);
    assert_eq!(place.prints(&["tail", "--type", "U"]), "");
    assert_eq!(seen(&place.prints(&["tail", "a-1", "--from", "1h ago"])), ["a-1/1", "a-1/2"]);
    assert_eq!(seen(&place.prints(&["tail", "-n", "2"])), ["a-1/2", "a-2/1"]);
    assert_eq!(seen(&place.prints(&["tail", "--category", "a", "--last", "9"])), ["a-1/1", "a-1/2", "a-2/1"]);
    assert_eq!(seen(&place.prints(&["tail", "a-1", "-n", "1"])), ["a-1/2"]);
    assert_eq!(place.prints(&["tail", "-n", "0"]), "");
    let events = json_lines(&place.prints(&["tail", "--format", "json"]));
    assert_eq!(events, place.json(&["read", "--all", "--format", "json"]));
}

#[test]
fn it_follows_what_comes_until_it_is_interrupted__B11() {
    let place = Place::new();
    append(&place, "a-1");
    let mut everything = Following::start(&place, &[]);
    let mut stream = Following::start(&place, &["b-1"]);
    let mut category = Following::start(&place, &["--category", "a", "--from", "2"]);
    let mut newest = Following::start(&place, &["-n", "1"]);
    let mut of_stream = Following::start(&place, &["b-1", "--last", "5"]);
    assert_eq!((everything.next(), newest.next()), ("a-1/1".to_owned(), "a-1/1".to_owned()));
    append(&place, "b-1");
    assert_eq!((newest.next(), of_stream.next()), ("b-1/1".to_owned(), "b-1/1".to_owned()));
    assert_eq!((everything.next(), stream.next()), ("b-1/1".to_owned(), "b-1/1".to_owned()));
    append(&place, "a-2");
    assert_eq!((everything.next(), category.next()), ("a-2/1".to_owned(), "a-2/1".to_owned()));
    assert_eq!(newest.next(), "a-2/1");
    for following in [everything, stream, category, newest, of_stream] {
        following.interrupt();
    }
}

#[test]
fn being_asked_to_end_is_no_failure_either() {
    let place = Place::new();
    append(&place, "a");
    let mut following = Following::start(&place, &[]);
    assert_eq!(following.next(), "a/1");
    following.signal("TERM");
    assert_eq!(following.end(), (Some(0), Vec::new(), String::new()));
}

#[test]
fn from_now_shows_nothing_that_was_there() {
    let place = Place::new();
    append(&place, "a");
    append(&place, "a");
    let mut following = Following::start(&place, &["a", "--from", "now", "--limit", "1"]);
    let first = thread::scope(|scope| {
        let first = scope.spawn(|| following.next());
        // It shows the first that is appended behind its beginning, which nobody can see from outside.
        while !first.is_finished() {
            append(&place, "a");
        }
        first.join().expect("an event")
    });
    let version: u64 = first.strip_prefix("a/").and_then(|version| version.parse().ok()).expect("a version");
    assert!(version > 2, "{first} was there");
    assert_eq!(following.end(), (Some(0), Vec::new(), String::new()));
}

#[test]
fn a_reader_that_goes_away_ends_it_without_failure() {
    let place = Place::new();
    append(&place, "a");
    let mut following = Following::start(&place, &["--checkpoint", "gone"]);
    assert_eq!(following.next(), "a/1");
    let Following { child, lines } = following;
    drop(lines);
    append(&place, "a");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    // What nobody got isn't saved as printed.
    assert_eq!(seen(&place.prints(&["tail", "--checkpoint", "gone"])).last().expect("an event"), "a/2");
}

#[test]
fn it_goes_on_behind_its_checkpoint() {
    let place = Place::new();
    for stream in ["a", "b", "a", "b"] {
        append(&place, stream);
    }
    let mailer = ["tail", "--checkpoint", "mailer"];
    assert_eq!(seen(&place.prints(&[&mailer[..], &["--limit", "3"]].concat())), ["a/1", "b/1", "a/2"]);
    // The beginning counts only where there is no checkpoint.
    assert_eq!(seen(&place.prints(&[&mailer[..], &["--from", "1"]].concat())), ["b/2"]);
    assert_eq!(place.prints(&mailer), "");
    append(&place, "a");
    assert_eq!(seen(&place.prints(&mailer)), ["a/3"]);
    // Saving gives no cause to save again.
    let last_position = |place: &Place| place.json(&["info", "--format", "json"])[0]["lastPosition"].clone();
    let before: Value = last_position(&place);
    assert_eq!(place.prints(&mailer), "");
    assert_eq!(last_position(&place), before);
}

#[test]
fn a_checkpoint_of_a_name_without_events_is_warned_of() {
    let place = Place::new();
    append(&place, "order-1");
    let tail = |words: &[&str]| place.run(&[&["tail", "--checkpoint", "mailer"], words].concat()).stderr;
    assert_eq!(tail(&["--category", "order", "--type", "T"]), "");
    assert_eq!(
        tail(&["--category", "ordre", "--type", "T", "--type", "Q"]),
        "annals: no event is of category \"ordre\" yet, and the checkpoint passes all others\n\
         annals: no event is of type \"Q\" yet, and the checkpoint passes all others\n"
    );
}

#[test]
fn a_stream_can_have_a_checkpoint_too() {
    let place = Place::new();
    for stream in ["a", "b", "a"] {
        append(&place, stream);
    }
    let tail = ["tail", "a", "--checkpoint", "of-a"];
    assert_eq!(seen(&place.prints(&[&tail[..], &["--limit", "1"]].concat())), ["a/1"]);
    assert_eq!(seen(&place.prints(&tail)), ["a/2"]);
    append(&place, "b");
    append(&place, "a");
    assert_eq!(seen(&place.prints(&tail)), ["a/3"]);
    assert_eq!(place.prints(&["tail", "--from", "now", "--checkpoint", "late"]), "");
    append(&place, "b");
    assert_eq!(seen(&place.prints(&["tail", "--checkpoint", "late"])), ["b/3"]);
}

#[test]
fn what_was_printed_when_it_is_interrupted_is_saved() {
    let place = Place::new();
    append(&place, "a");
    let mut following = Following::start(&place, &["--checkpoint", "mailer"]);
    assert_eq!(following.next(), "a/1");
    append(&place, "a");
    assert_eq!(following.next(), "a/2");
    following.interrupt();
    assert_eq!(place.prints(&["tail", "--checkpoint", "mailer"]), "");
}

#[test]
fn a_tail_that_is_killed_leaves_nothing_out() {
    let place = Place::new();
    let mut printed = Vec::new();
    for version in 1..=5_u64 {
        append(&place, "a");
        let mut following = Following::start(&place, &["--checkpoint", "mailer"]);
        while printed.last() != Some(&format!("a/{version}")) {
            printed.push(following.next());
        }
        following.child.kill().expect("killed");
        following.child.wait().expect("it ends");
    }
    // Each once, or again in a row.
    printed.dedup();
    let mut distinct = printed.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct, ["a/1", "a/2", "a/3", "a/4", "a/5"], "{printed:?}");
}

#[test]
fn a_checkpoint_beside_a_program_that_writes_is_refused_before_anything_is_printed() {
    let place = Place::new();
    let mut holder = place.hold_store();
    let run = place.run(&["tail", "--checkpoint", "mailer", "--wait", "0"]);
    assert_eq!((run.code, run.stdout.as_str()), (Some(5), ""));
    let said = "annals: a checkpoint can't be saved while another program has the store open for writing: let that \
                program save it, or leave out --checkpoint\n  because: ./annals-data is open for writing by ";
    assert!(run.stderr.starts_with(said), "{}", run.stderr);
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    assert_eq!(seen(&place.prints(&["tail", "--checkpoint", "mailer", "--wait", "0"])), ["a/1"]);
}

#[test]
fn a_program_that_comes_to_write_later_keeps_it_from_saving_and_not_from_printing() {
    let place = Place::new();
    append(&place, "b");
    let mut following = Following::start(&place, &["--checkpoint", "mailer", "--wait", "0"]);
    assert_eq!(following.next(), "b/1");
    let mut holder = place.hold_store();
    assert_eq!(following.next(), "a/1");
    following.signal("INT");
    let (code, rest, said) = following.end();
    assert_eq!((code, rest), (Some(5), Vec::new()), "{said}");
    assert!(said.contains("but the checkpoint \"mailer\" couldn't be saved and is still at "), "{said}");
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    let again = seen(&place.prints(&["tail", "--checkpoint", "mailer"]));
    assert_eq!(again.last().map(String::as_str), Some("a/1"), "{again:?}");
}
