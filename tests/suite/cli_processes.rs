//! Two processes and one store: one writes at a time, and of two who saw the same version one succeeds.

use std::{
    io::Write,
    process::{Child, Stdio},
};

use crate::cli::Place;

const ROUNDS: u64 = 100;

/// How an append ended.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum End {
    Appended(String),
    Conflict(String),
}

/// An append that expects `version` and doesn't begin before it is given its data.
fn prepare(place: &Place, version: u64) -> Child {
    let version = version.to_string();
    let arguments = ["append", "account-7", "--type", "MoneyWithdrawn", "--expect", &version, "--data", "-"];
    place.command(&arguments).stdin(Stdio::piped()).spawn().expect("the program runs")
}

fn end_of(child: Child) -> End {
    let output = child.wait_with_output().expect("it ends");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    match output.status.code() {
        Some(0) => End::Appended(stdout),
        Some(3) => End::Conflict(stderr),
        code => panic!("exit code {code:?}: {stderr}"),
    }
}

#[test]
fn of_two_processes_exactly_one_gets_the_conflict__D28() {
    let place = Place::new();
    for version in 0..ROUNDS {
        let mut rivals = [prepare(&place, version), prepare(&place, version)];
        for (rival, data) in rivals.iter_mut().zip(["{\"cents\":1}", "{\"cents\":2}"]) {
            let mut stdin = rival.stdin.take().expect("standard input");
            stdin.write_all(data.as_bytes()).expect("it reads");
        }
        let mut ends = rivals.map(end_of);
        ends.sort();
        let next = version + 1;
        let [End::Appended(said), End::Conflict(complaint)] = &ends else {
            panic!("round {next}: {ends:?}");
        };
        assert_eq!(*said, format!("account-7: version {next}, position {next}\n"));
        let wanted = format!("annals: Expected version {version}");
        assert!(complaint.starts_with(&wanted), "round {next}: {complaint}");
        assert!(
            complaint.contains(&format!(", but current is {next} (stream \"account-7\")")),
            "{complaint}"
        );
    }
    assert_eq!(place.prints(&["read", "account-7"]).lines().count(), 100);
}

#[test]
fn what_only_reads_works_beside_a_program_that_writes() {
    let place = Place::new();
    let mut holder = place.hold_store();
    for arguments in [
        &["read", "a"] as &[&str],
        &["read", "--all", "--format", "json"],
        &["tail"],
        &["export"],
        &["streams"],
        &["categories"],
        &["types"],
        &["info", "a"],
    ] {
        assert!(!place.prints(arguments).is_empty(), "{arguments:?}");
    }
    assert_eq!(place.prints(&["checkpoints"]), "");
    let mut stdin = holder.stdin.take().expect("standard input");
    stdin.write_all(b"{\"stream\":\"a\",\"type\":\"T\"}\n").expect("it reads");
    drop(stdin);
    assert!(holder.wait_with_output().expect("it ends").status.success());
    assert_eq!(place.prints(&["read", "a"]).lines().count(), 2);
}

#[test]
fn an_append_waits_for_the_lock_and_then_sees_what_was_written_meanwhile__X27() {
    let place = Place::new();
    let mut holder = place.hold_store();
    let said = place.fails(5, &["append", "a", "--type", "T", "--wait", "0"]);
    let pid = holder.id().to_string();
    assert!(said.contains("is open for writing by") && said.contains(&pid), "{said}");

    let waiting = ["append", "a", "--type", "T", "--expect", "2", "--wait", "1m"];
    let waiting = place.command(&waiting).spawn().expect("the program runs");
    let mut stdin = holder.stdin.take().expect("standard input");
    stdin.write_all(b"{\"stream\":\"a\",\"type\":\"T\"}\n").expect("it reads");
    drop(stdin);
    assert!(holder.wait_with_output().expect("it ends").status.success());
    let output = waiting.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().all(|line| line.ends_with("waiting, for as long as --wait says")), "{said}");
    assert_eq!(String::from_utf8(output.stdout).as_deref(), Ok("a: version 3, position 3\n"));
}
