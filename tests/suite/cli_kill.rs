//! An import that is killed, over and over: what it told is stored, and the next one goes on.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    process::Stdio,
    thread,
};

use annals::{EventStore, Query};
use serde_json::Value;

use crate::{
    cli::{Place, history},
    random::Random,
};

const SEED: u64 = 0x5eed_0009;
const STORES: usize = 10;
const KILLS_A_STORE: usize = 5;
const SIGKILL: i32 = 9;

fn below(random: &mut Random, end: u64) -> usize {
    usize::try_from(random.below(end)).expect("a small number")
}

/// When a running import is killed.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// As soon as it has told that so many lines are stored,
    told_lines: usize,
    /// while so many are handed to it, and more could come.
    sent_lines: usize,
}

/// Imports the lines until the moment comes, kills the import, and says how many lines it told are stored.
fn import_until_killed(place: &Place, lines: &[&str], moment: Moment) -> usize {
    let mut command = place.command(&["import", "-", "--format", "json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("standard input");
    let mut told = BufReader::new(child.stdout.take().expect("standard output")).lines();
    let sent = lines[..moment.sent_lines].join("\n") + "\n";
    let told_lines = thread::scope(|scope| {
        // The pipe stays open, so that the import can't be at its end when it is killed.
        let sender = scope.spawn(move || {
            let written = stdin.write_all(sent.as_bytes());
            (stdin, written.is_ok())
        });
        let mut told_lines = 0;
        while told_lines < moment.told_lines {
            told_lines = lines_of(&told.next().expect("it goes on").expect("readable"));
        }
        child.kill().expect("killed");
        let (stdin, _) = sender.join().expect("the sender ends");
        drop(stdin);
        told_lines
    });
    let status = child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(SIGKILL), "{moment:?}: it wasn't running when it was killed");
    // What it told between the moment and its end counts as well; a line that was cut off doesn't.
    let rest = told.map_while(Result::ok).filter(|line| line.ends_with('}'));
    rest.last().map_or(told_lines, |line| lines_of(&line))
}

fn lines_of(told: &str) -> usize {
    let told: Value = serde_json::from_str(told).expect("a line of JSON");
    told["lines"].as_u64().and_then(|lines| usize::try_from(lines).ok()).expect("a count")
}

/// The store's events are the first of the history, each once and in order. How many there are.
fn check_is_beginning(place: &Place, ids: &[String]) -> usize {
    let store = EventStore::open(place.store()).expect("the store opens");
    let stored: Vec<String> =
        store.read(Query::all()).map(|event| event.expect("readable").id.to_string()).collect();
    assert!(stored[..] == ids[..stored.len()], "the events aren't the first of the history");
    store.close().expect("closed");
    stored.len()
}

#[test]
fn what_a_killed_import_told_is_stored_and_the_next_one_goes_on() {
    let history = history();
    let lines: Vec<&str> = history.lines().collect();
    let ids: Vec<String> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .map(|event| event["id"].as_str().expect("an id").to_owned())
        .collect();
    let mut random = Random::new(SEED);
    let mut kills = 0;
    for _ in 0..STORES {
        let place = Place::new();
        let mut moments: Vec<usize> = (0..KILLS_A_STORE).map(|_| 1 + below(&mut random, 4_500)).collect();
        moments.sort_unstable();
        let mut sent_lines_max = 0;
        for told_lines in moments {
            let moment = Moment { told_lines, sent_lines: told_lines + below(&mut random, 900) };
            let told = import_until_killed(&place, &lines, moment);
            kills += 1;
            let verified = &place.json(&["verify", "--format", "json"])[0];
            assert!(verified["events"].as_u64() >= u64::try_from(told).ok(), "{moment:?}: {verified}");
            let stored = check_is_beginning(&place, &ids);
            assert!(stored >= told, "{moment:?}: {told} lines were told, {stored} are stored");
            sent_lines_max = sent_lines_max.max(moment.sent_lines);
            assert!(stored <= sent_lines_max, "{moment:?}: {stored} are stored");
        }
        place.prints_with(&["import", "-"], &history);
        assert_eq!(check_is_beginning(&place, &ids), lines.len());
        let summary = place.prints_with(&["import", "-"], &history);
        assert_eq!(summary, "imported 0 events into 0 streams (5407 were already there)\n");
    }
    assert_eq!(kills, 50);
}
