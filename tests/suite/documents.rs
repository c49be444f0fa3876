//! The documents' transcripts: every command in them is run, and says what the document says.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::support::Outcome;

#[test]
fn the_command_line_does_what_its_document_shows() {
    trycmd::TestCases::new()
        .register_bin("annals", Path::new(env!("CARGO_BIN_EXE_annals")))
        .env("ANNALS_STORE", "./annals-data")
        .env("TZ", "UTC")
        .case("docs/cli.md");
}

#[test]
fn operators_see_what_their_document_shows() {
    trycmd::TestCases::new()
        .register_bin("annals", Path::new(env!("CARGO_BIN_EXE_annals")))
        .env("ANNALS_STORE", "./annals-data")
        .env("TZ", "UTC")
        .case("docs/operations.md");
}

#[test]
fn events_of_other_stores_come_in_as_the_guide_shows() {
    trycmd::TestCases::new()
        .register_bin("annals", Path::new(env!("CARGO_BIN_EXE_annals")))
        .env("TZ", "UTC")
        .case("docs/guide.md");
}

#[test]
fn the_readme_shows_what_the_command_line_does() -> Outcome {
    let directory = tempfile::tempdir()?;
    let store = directory.path().join("store");
    trycmd::TestCases::new()
        .register_bin("annals", Path::new(env!("CARGO_BIN_EXE_annals")))
        .env("ANNALS_STORE", store.to_str().ok_or("a temporary directory's name is UTF-8")?)
        .case("README.md")
        .run();
    Ok(())
}

#[test]
fn the_readmes_program_is_the_example_and_runs_again_and_again() -> Outcome {
    let readme = fs::read_to_string("README.md")?;
    let example = fs::read_to_string("docs/examples/shop.rs")?;
    assert!(readme.contains(&format!("```rust\n{example}```\n")), "README.md shows docs/examples/shop.rs");
    let directory = tempfile::tempdir()?;
    run_example("shop", directory.path())?;
    let after_one_run = events_of(&directory.path().join("shop.annals"))?;
    assert_eq!(after_one_run.len(), 2);
    run_example("shop", directory.path())?;
    assert_eq!(
        events_of(&directory.path().join("shop.annals"))?,
        after_one_run,
        "run again, it adds nothing"
    );
    Ok(())
}

fn events_of(store: &Path) -> annals::Result<Vec<annals::StoredEvent>> {
    annals::Follower::open(store)?.read_all().collect()
}

#[test]
fn a_bank_refuses_transfers_retries_and_shows_its_history_its_past_its_trail_and_a_replay__B12_B18_D28()
-> Outcome {
    check_example("bank")
}

#[test]
fn orders_of_an_older_program_are_read_as_todays__D21_D23() -> Outcome {
    check_example("orders")
}

#[test]
fn a_program_that_is_cut_at_every_operation_loses_nothing_that_was_told() -> Outcome {
    run_example("power_cut", tempfile::tempdir()?.path())
}

#[test]
fn a_read_model_in_sqlite_is_made_and_made_again__B12() -> Outcome {
    check_example("read_model")
}

#[test]
fn a_process_manager_answers_each_order_once() -> Outcome {
    check_example("process_manager")
}

#[test]
fn what_stood_for_personal_data_says_nothing_when_they_are_forgotten() -> Outcome {
    check_example("personal_data")
}

#[test]
fn an_append_and_what_comes_are_awaited_without_a_runtime_of_ours() -> Outcome {
    check_example("awaiting")
}

/// The guide shows parts of programs that are built and run: each of its blocks stands in one of them, line by line.
#[test]
fn every_block_of_the_guide_is_part_of_an_example_that_runs() -> Outcome {
    let mut examples = Vec::new();
    for entry in fs::read_dir("docs/examples")? {
        let path = entry?.path();
        if path.extension() == Some("rs".as_ref()) {
            examples.push(trimmed_lines(&fs::read_to_string(path)?));
        }
    }
    let guide = fs::read_to_string("docs/guide.md")?;
    let blocks: Vec<&str> =
        guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() > 30, "{} blocks", blocks.len());
    for block in blocks {
        let lines = trimmed_lines(block);
        let is_shown = |example: &Vec<String>| example.windows(lines.len()).any(|part| part == lines);
        assert!(examples.iter().any(is_shown), "no program in docs/examples has this:\n{block}");
    }
    Ok(())
}

/// The lines without their indentation, which differs with the place.
fn trimmed_lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().to_owned()).collect()
}

#[test]
fn the_guides_program_runs() -> Outcome {
    check_example("guide")
}

/// Runs an example in a directory of its own, where it leaves a store.
fn check_example(name: &str) -> Outcome {
    let directory = tempfile::tempdir()?;
    run_example(name, directory.path())?;
    let entries = fs::read_dir(&directory)?.collect::<Result<Vec<_>, _>>()?;
    assert!(entries.iter().any(|entry| entry.path().join("store.meta").is_file()), "it leaves a store");
    Ok(())
}

fn run_example(name: &str, directory: &Path) -> Outcome {
    let cargo = std::env::var_os("CARGO").ok_or("cargo, which runs the tests, says where it is")?;
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--locked", "--offline", "--example", name, "--manifest-path", manifest])
        .current_dir(directory)
        .output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The README's first command, with the program that was just built in place of `cargo run`.
#[test]
fn the_readmes_first_command_stores_and_reads_real_events() -> Outcome {
    let readme = fs::read_to_string("README.md")?;
    let first = readme.lines().skip_while(|line| !line.starts_with("```")).nth(1).ok_or("no fenced block")?;
    assert!(first.contains("cargo run --locked -- "), "{first}");
    let directory = tempfile::tempdir()?;
    let program = format!("\"{}\" --store \"$STORE\" ", env!("CARGO_BIN_EXE_annals"));
    let command = first.replace("cargo run --locked -- ", &program);
    let output = Command::new("sh")
        .args(["-ec", &command])
        .env("STORE", directory.path().join("store"))
        .stderr(Stdio::null())
        .output()?;
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout)?;
    assert!(text.contains("imported 400 events"), "{text}");
    assert_eq!(text.lines().filter(|line| line.contains("  file-Cargo.lock  ")).count(), 5, "{text}");
    Ok(())
}
