//! What shells complete: bash itself is asked, and for the others the program, as their scripts ask it.

use std::{
    fs,
    process::{Command, Stdio},
};

use crate::{cli::Place, support::Outcome};

/// What is looked up in a store is offered only if it is found quickly, which a busy machine may not do at first.
const TRIES_MAX: usize = 100;

const NAMES_MAX: usize = 300;

/// The shells whose script has the line in words, and the word where the cursor stands, as the last.
const OTHERS: [&str; 2] = ["fish", "powershell"];

/// What is offered for the end of a line.
fn offered_by(shell: &str, place: &Place, words: &[&str]) -> Vec<String> {
    let index = (words.len() - 1).to_string();
    let arguments: Vec<&str> = ["--"].into_iter().chain(words.iter().copied()).collect();
    let mut command = place.command(&arguments);
    command.env("ANNALS_COMPLETE", shell).env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
    let output = command.output().expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{words:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

/// The same, until something is offered.
fn offered(shell: &str, place: &Place, words: &[&str]) -> Vec<String> {
    let mut answers = (0..TRIES_MAX).map(|_| offered_by(shell, place, words));
    answers.find(|names| !names.is_empty()).unwrap_or_default()
}

fn with_orders() -> Place {
    let place = Place::new();
    let lines = ["order-17", "order-18", "cart-7"]
        .map(|stream| format!("{{\"stream\":\"{stream}\",\"type\":\"Placed\"}}\n"));
    place.prints_with(&["import", "-"], &lines.concat());
    place.prints(&["tail", "--checkpoint", "mailer"]);
    place.prints(&["types", "register", "OrderSent"]);
    place
}

#[test]
fn names_in_the_store_are_completed() {
    let place = with_orders();
    for (words, expected) in [
        (&["annals", "read", "ord"] as &[&str], &["order-17", "order-18"] as &[&str]),
        (&["annals", "append", "c"], &["cart-7"]),
        (&["annals", "read", "--category", "o"], &["order"]),
        (&["annals", "tail", "--type", ""], &["Placed"]),
        (&["annals", "types", "show", "O"], &["OrderSent"]),
        (&["annals", "checkpoints", "delete", "m"], &["mailer"]),
        (&["annals", "tail", "--checkpoint", ""], &["mailer"]),
        (&["annals", "help", "dur"], &["durability"]),
        (&["annals", "type"], &["types"]),
        (&["annals", "append", "x", "--expect", "n"], &["no-stream"]),
    ] {
        for shell in OTHERS {
            assert_eq!(offered(shell, &place, words), expected, "{shell}: {words:?}");
        }
    }
}

#[test]
fn the_store_on_the_line_is_asked_and_none_is_made() {
    let place = with_orders();
    place.prints(&["--store", "other", "append", "invoice-1", "--type", "InvoiceWritten"]);
    for words in [
        &["annals", "--store", "other", "read", "i"] as &[&str],
        &["annals", "read", "--store=other", "i"],
        &["annals", "read", "--store", "'other'", "i"],
    ] {
        assert_eq!(offered("fish", &place, words), ["invoice-1"], "{words:?}");
    }
    assert!(offered_by("fish", &place, &["annals", "--store", "nothing", "read", "o"]).is_empty());
    assert!(!place.path().join("nothing").exists());
}

#[test]
fn a_damaged_store_is_no_hindrance() -> Outcome {
    let place = with_orders();
    fs::write(place.store().join("store.meta"), "no")?;
    assert!(offered_by("fish", &place, &["annals", "read", "ord"]).is_empty());
    assert_eq!(offered_by("fish", &place, &["annals", "types", "sh"]), ["show"]);
    Ok(())
}

#[test]
fn names_are_completed_beside_a_program_that_has_the_store_open() {
    let place = Place::new();
    let mut holder = place.hold_store();
    assert_eq!(offered("fish", &place, &["annals", "info", "a"]), ["a"]);
    drop(holder.stdin.take());
    holder.wait().expect("it ends");
}

#[test]
fn no_more_is_offered_than_somebody_reads_and_nothing_that_a_shell_acts_on() {
    let place = Place::new();
    let line = |name: &str| format!("{{\"stream\":\"{name}\",\"type\":\"T\"}}\n");
    let many: String = (0..NAMES_MAX + 50).map(|number| line(&format!("order-{number:05}"))).collect();
    place.prints_with(&["import", "-", "--durability", "buffered"], &many);
    assert_eq!(offered("fish", &place, &["annals", "read", "order-"]).len(), NAMES_MAX);

    let hostile: String = ["a;id", "a$(id)", "a b", "a`id`", "a-1"].map(line).concat();
    place.prints_with(&["import", "-"], &hostile);
    assert_eq!(offered("fish", &place, &["annals", "read", "a"]), ["a-1"]);
}

#[test]
fn bash_completes_with_what_it_is_given() -> Outcome {
    let place = with_orders();
    place.prints(&["append", "shop:order-1", "--type", "Placed"]);
    place.prints(&["append", "shop:order-2", "--type", "Placed"]);
    fs::create_dir(place.path().join("sp ace:1"))?;
    place.prints(&["--store", "sp ace:1/st", "append", "invoice-1", "--type", "InvoiceWritten"]);
    let script = r#"
        PATH="$(dirname "$0"):$PATH"
        source <("$0" completions bash)
        replaced="$1"
        shift
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9
        complete -p annals >&2
        for try in {1..100}; do
            _clap_complete_annals annals "$replaced" "${COMP_WORDS[COMP_CWORD - 1]}"
            [[ ${#COMPREPLY[@]} -gt 0 ]] && break
        done
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    // The words as bash takes the line apart, and what it replaces, without quotes.
    for (line, replaced, expected) in [
        ("annals|read|order-", "order-", "order-17\norder-18\n"),
        ("annals|--store|annals-data|tail|--category|c", "c", "cart\n"),
        ("annals|chec", "chec", "checkpoints\n"),
        ("annals|read|--category|=|c", "c", "cart\n"),
        ("annals|read|--category|=", "", "cart\norder\nshop:order\n"),
        ("annals|read|--type|=|Pl", "Pl", "Placed\n"),
        ("annals|append|a|--expect|=|no", "no", "no-stream\n"),
        ("annals|read|shop", "shop", "shop:order-1\nshop:order-2\n"),
        ("annals|read|shop|:|or", "or", "order-1\norder-2\n"),
        ("annals|read|shop|:", "", "order-1\norder-2\n"),
        ("annals|read|--store|=|sp\\ ace|:|1/st|i", "i", "invoice-1\n"),
        ("annals|read|--store|'sp ace:1/st'|i", "i", "invoice-1\n"),
    ] {
        let words: Vec<&str> = line.split('|').collect();
        let output = Command::new("bash")
            .args(["-c", script, env!("CARGO_BIN_EXE_annals")])
            .arg(replaced)
            .args(&words)
            .current_dir(place.path())
            // As if it weren't set.
            .env("ANNALS_STORE", "")
            .stdin(Stdio::null())
            .output()?;
        let told = String::from_utf8(output.stderr)?;
        assert!(told.contains("-F _clap_complete_annals annals"), "{told}");
        assert_eq!(String::from_utf8(output.stdout)?, expected, "{line}: {told}");
    }
    Ok(())
}

#[test]
fn each_shell_is_told_to_ask_the_program() {
    let place = Place::new();
    for (shell, told) in [
        ("bash", "-F _clap_complete_annals annals\n"),
        ("zsh", "compdef _clap_dynamic_completer_annals annals\n"),
        ("fish", "complete --keep-order --exclusive --command annals "),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName annals "),
    ] {
        let script = place.prints(&["completions", shell]);
        assert!(script.contains(told) && script.contains("ANNALS_COMPLETE"), "{shell}: {script}");
    }
    let said = place.fails(2, &["completions", "fsh"]);
    assert!(said.contains("a similar value exists: 'fish'"), "{said}");
    // What no shell asks is answered by silence, since it would stand in the line that is typed.
    let output =
        place.command(&["--", "annals", "re"]).env("ANNALS_COMPLETE", "nosuch").output().expect("runs");
    assert_eq!((output.status.code(), output.stdout.len(), output.stderr.len()), (Some(1), 0, 0));
}
