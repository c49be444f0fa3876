//! Ctrl-C on what takes long: it ends cleanly, says how far it came, and goes on from there when it is repeated.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Stdio},
};

use crate::cli::{Place, history, json_lines, send_signal};

/// How it ended: the code, and what it said.
fn end_of(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Starts an import, gives it this much of its input, waits until that is stored, and interrupts it while it waits for more.
#[track_caller]
fn interrupt_import(place: &Place, input: &str, last_told: &str, signal: &str) -> (Option<i32>, String) {
    let mut command = place.command(&["import", "-", "--format", "json"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut stdin = child.stdin.take().expect("standard input");
    stdin.write_all(input.as_bytes()).expect("it reads");
    let mut told = BufReader::new(child.stdout.take().expect("standard output")).lines();
    assert!(told.any(|line| line.expect("readable") == last_told), "{last_told} isn't told");
    send_signal(&child, signal);
    let ended = end_of(child);
    // Until here its input was open.
    drop(stdin);
    ended
}

#[test]
fn an_import_that_waits_for_input_ends_at_ctrl_c_and_is_repeated() {
    let place = Place::new();
    let history = history();
    let two: String = history.split_inclusive('\n').take(2).collect();
    let told = r#"{"lines":2,"added":2,"repeated":0,"position":2}"#;
    let said = "annals: the import was stopped: 2 events up to line 2 are stored; import again to go on: what is stored \
                isn't doubled\n";
    assert_eq!(interrupt_import(&place, &two, told, "INT"), (Some(1), said.to_owned()));
    place.prints(&["verify"]);

    // Half a line is no event, and no mistake.
    let half = format!("{two}{{\"stream\":");
    let told = r#"{"lines":2,"added":0,"repeated":2,"position":2}"#;
    assert_eq!(interrupt_import(&place, &half, told, "TERM"), (Some(1), said.to_owned()));

    let imported = place.prints_with(&["import", "-"], &history);
    assert!(imported.starts_with("imported 5405 events into ") && imported.contains("(2 were"), "{imported}");
}

#[test]
fn an_export_that_is_interrupted_ends_with_a_whole_line_and_says_how_to_go_on() {
    const STORE: [&str; 2] = ["--store", "my shop"];
    let place = Place::new();
    let of_shop = |arguments: &[&'static str]| [&STORE, arguments].concat();
    place.prints_with(&of_shop(&["import", "-"]), &history());
    let whole = place.prints(&of_shop(&["export"]));
    // It has more to print than a pipe takes, so it waits when it is interrupted.
    let mut child = place
        .command(&of_shop(&["export", "--from", "2", "--to", "5400"]))
        .spawn()
        .expect("the program runs");
    let mut stdout = BufReader::new(child.stdout.take().expect("standard output"));
    let mut printed = String::new();
    stdout.read_line(&mut printed).expect("a line");
    send_signal(&child, "INT");
    stdout.read_to_string(&mut printed).expect("readable");
    let (code, said) = end_of(child);
    let events = printed.lines().count();
    assert!(events < 5399 && printed.ends_with('\n'), "{events} events");
    let next = events + 2;
    let expected = format!(
        "annals: the export was stopped: {events} events up to position {} are printed, each a whole line; \
         \"annals export --from {next} --to 5400\", with the same --store, prints the rest\n",
        next - 1
    );
    assert_eq!((code, said.as_str()), (Some(1), expected.as_str()));
    let (_, command) = said.split_once("\"annals ").expect("a command");
    let (command, _) = command.split_once('"').expect("its end");
    let rest: Vec<&str> = STORE.into_iter().chain(command.split(' ')).collect();
    let rest = place.prints(&rest);
    let wanted: String = whole.split_inclusive('\n').skip(1).take(5_399).collect();
    assert!(format!("{printed}{rest}") == wanted, "what was printed and the rest aren't the whole");
    assert_eq!(json_lines(&printed).len(), events);
}

#[test]
fn an_export_that_is_whole_when_ctrl_c_comes_is_a_success() {
    let place = Place::new();
    // It doesn't fit into a pipe, so the program waits behind its last event for somebody who reads.
    let large = format!("\"{}\"", "x".repeat(300 << 10));
    place.prints_with(&["append", "a", "--type", "T", "--data", "-"], &large);
    let mut child = place.command(&["export"]).spawn().expect("the program runs");
    let mut stdout = child.stdout.take().expect("standard output");
    let mut printed = vec![0];
    stdout.read_exact(&mut printed).expect("a byte");
    send_signal(&child, "INT");
    stdout.read_to_end(&mut printed).expect("readable");
    assert_eq!(end_of(child), (Some(0), String::new()));
    assert!(printed == place.prints(&["export"]).as_bytes());
}
