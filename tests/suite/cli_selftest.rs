//! `annals selftest`: it does what it says, a seed is repeated exactly, and nothing is written.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::Command,
};

use serde_json::Value;

use crate::cli::{Place, json_lines};

/// The summary of a run that ends well. It leaves nothing behind.
fn selftest(arguments: &[&str]) -> Value {
    let place = Place::new();
    let run = place.run(&[&["selftest", "--format", "json"], arguments].concat());
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{arguments:?}: {}", run.stdout);
    check_nothing_is_written(&place);
    let mut lines = json_lines(&run.stdout);
    assert_eq!(lines.len(), 1, "{}", run.stdout);
    let summary = lines.remove(0);
    for wrong in ["lost", "halfCommits", "falseRefusals", "wrongAnswers"] {
        assert_eq!(summary[wrong], 0, "{summary}");
    }
    summary
}

#[track_caller]
fn check_nothing_is_written(place: &Place) {
    let left: Vec<_> = fs::read_dir(place.path()).expect("readable").collect();
    assert!(left.is_empty(), "{left:?}");
}

fn number(summary: &Value, name: &str) -> u64 {
    summary[name].as_u64().unwrap_or_else(|| panic!("{name} is a number in {summary}"))
}

/// What of a summary follows from the seeds alone.
fn counters(summary: &Value) -> Vec<u64> {
    ["lives", "cuts", "recoveriesCut", "openings", "events", "looks", "operations"]
        .map(|name| number(summary, name))
        .to_vec()
}

#[test]
fn the_same_seeds_are_the_same_lives_in_another_process() {
    let lives = || selftest(&["--lives", "40", "--from", "7"]);
    let (first, second) = (lives(), lives());
    assert_eq!(counters(&first), counters(&second));
    assert_eq!((number(&first, "lives"), number(&first, "from")), (40, 7));
    assert!(number(&first, "cuts") >= 40 && number(&first, "events") > 0, "{first}");
    assert_eq!(number(&first, "damages"), 0, "{first}");
    let alone: Vec<Value> = (7..47).map(|seed: u64| selftest(&["--seed", &seed.to_string()])).collect();
    let sum = |name| alone.iter().map(|summary| number(summary, name)).sum::<u64>();
    for name in ["lives", "cuts", "openings", "events", "looks", "operations"] {
        assert_eq!(sum(name), number(&first, name), "{name}");
    }
}

#[test]
fn a_short_run_does_damage_and_cuts() {
    let summary = selftest(&["--minutes", "0.05"]);
    assert!(number(&summary, "cuts") > 0, "{summary}");
    assert!(number(&summary, "damages") > 0, "{summary}");
    assert!(number(&summary, "damageCases") > 4 * 524_288, "{summary}");
    let answers = ["refused", "right", "residue"].map(|name| number(&summary, name));
    assert_eq!(answers.iter().sum::<u64>(), number(&summary, "damages"), "{summary}");
    assert!(answers[0] > answers[1], "{summary}");
}

#[test]
fn it_goes_on_until_there_are_enough_cuts() {
    let summary = selftest(&["--cuts", "200"]);
    assert!((200..400).contains(&number(&summary, "cuts")), "{summary}");
    assert!(number(&summary, "from") > 0, "the seed is printed: {summary}");
}

#[test]
fn a_case_of_damage_is_repeated_by_its_number() {
    let place = Place::new();
    let text = place.prints(&["selftest", "--damage", "4196"]);
    assert_eq!(text, "case 4196: bit 100 of /store/segments/000000000001.log, (Closed, Nothing): refused\n");
    let missing = place.run(&["selftest", "--damage", "999999999"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.starts_with("annals: there are "), "{}", missing.stderr);
}

#[test]
fn ctrl_c_ends_it_with_what_was_done() {
    let place = Place::new();
    let mut child =
        place.command(&["selftest", "--minutes", "60", "--only", "cuts"]).spawn().expect("it runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut head = String::new();
    stdout.read_line(&mut head).expect("readable");
    assert!(head.contains(", seeds from "), "{head}");
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &pid]).status().expect("kill runs").success());
    let rest: Vec<String> = stdout.lines().collect::<Result<_, _>>().expect("readable");
    assert!(child.wait().expect("it ends").success());
    assert!(rest.iter().any(|line| line == "it was interrupted"), "{rest:?}");
    assert!(rest.iter().any(|line| line.starts_with("wrong      0 lost, ")), "{rest:?}");
    check_nothing_is_written(&place);
}

#[test]
fn what_makes_no_sense_is_refused() {
    for arguments in [
        &["--minutes", "0"] as &[&str],
        &["--minutes", "-1"],
        &["--minutes", "NaN"],
        &["--cuts", "0"],
        &["--cuts", "5", "--only", "damage"],
        &["--seed", "5", "--minutes", "1"],
        &["--store", "shop.annals"],
    ] {
        let run = Place::new().run(&[&["selftest"], arguments].concat());
        assert_eq!(run.code, Some(2), "{arguments:?} said {}", run.stderr);
    }
}
