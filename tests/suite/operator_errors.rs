//! What an operator may meet: each happens, and is told as docs/operations.md shows it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use annals::{EventData, EventStore, ExpectedVersion};

use crate::{
    log_bytes::{DATA, fix_checksum_at_8, last_frame, put_u16},
    support::{Outcome, stream},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_annals");
const SEGMENT: &str = "annals-data/segments/000000000001.log";

/// What the document has under a heading.
struct Shown {
    heading: String,
    /// The words behind `annals`.
    words: Vec<String>,
    /// What is printed; `[..]` stands for what differs.
    printed: Vec<String>,
}

fn shown() -> Vec<Shown> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let document = fs::read_to_string(path).expect("the document");
    let (_, section) = document.split_once("\n## What a message means\n").expect("its section");
    let parts = section.split("\n### ").skip(1);
    parts
        .map(|part| {
            let (heading, rest) = part.split_once('\n').expect("a heading");
            let block = rest.split("```text\n").nth(1).and_then(|rest| rest.split("\n```").next());
            let mut lines = block.expect("what is printed").lines();
            let command = lines.next().and_then(|line| line.strip_prefix("$ annals ")).expect("a command");
            Shown {
                heading: heading.to_owned(),
                words: command.split(' ').map(str::to_owned).collect(),
                printed: lines.map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// A directory with a store in it, in which commands run.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary directory"));
        let store = EventStore::open(desk.path("annals-data")).expect("a store");
        for _ in 0..3 {
            let event = EventData::new("OrderPlaced", "{}");
            store.append(&stream("order-1"), ExpectedVersion::Any, [event]).expect("an append");
        }
        store.close().expect("a close");
        for name in ["annals-data/segments/000000000001.idx", "annals-data/streams.dir"] {
            fs::remove_file(desk.path(name)).ok();
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut content = fs::read(self.path(name)).expect("it is there");
        change(&mut content);
        fs::write(self.path(name), content).expect("it can be written");
    }

    fn run(&self, words: &[String]) -> String {
        let output = Command::new(PROGRAM)
            .args(words)
            .env("ANNALS_STORE", "./annals-data")
            .current_dir(self.0.path())
            .output();
        told(&output.expect("the program runs"))
    }
}

fn told(output: &std::process::Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// Compares, where `[..]` stands for anything within a line.
fn check(shown: &Shown, told: &str) {
    let told: Vec<&str> = told.lines().collect();
    let is_like = |(pattern, line): (&String, &&str)| match pattern.split_once("[..]") {
        Some((begin, end)) => line.starts_with(begin) && line.ends_with(end),
        None => pattern == line,
    };
    let is_same = shown.printed.len() == told.len() && shown.printed.iter().zip(&told).all(is_like);
    assert!(
        is_same,
        "{}: the document shows\n{:#?}\nand this was told:\n{told:#?}",
        shown.heading, shown.printed
    );
}

#[test]
fn every_error_that_an_operator_meets_is_told_as_the_document_shows() -> Outcome {
    for shown in shown() {
        let desk = Desk::new();
        let told = match shown.heading.as_str() {
            "Another program has the store" => {
                let _writer = EventStore::open(desk.path("annals-data"))?;
                desk.run(&shown.words)
            }
            "Nothing is there" => desk.run(&shown.words),
            "The directory holds something else" => {
                fs::create_dir(desk.path("letters"))?;
                fs::write(desk.path("letters/to-anna.txt"), "Dear Anna")?;
                desk.run(&shown.words)
            }
            "No permission" => as_another_user(&desk, &shown.words)?,
            "The disk is full" => match on_a_full_disk(&desk, &shown.words)? {
                Some(told) => told,
                None => continue,
            },
            "A newer version wrote it" => {
                desk.change("annals-data/store.meta", |meta| {
                    put_u16(meta, 12, 2);
                    let end = meta.len();
                    fix_checksum_at_8(meta, end);
                });
                desk.run(&shown.words)
            }
            "Bytes are damaged" => {
                desk.change(SEGMENT, |segment| {
                    let last = last_frame(segment, DATA);
                    segment[last.payload() + 20] ^= 1;
                });
                desk.run(&shown.words)
            }
            "A segment is missing" => {
                fs::remove_file(desk.path(SEGMENT))?;
                desk.run(&shown.words)
            }
            other => return Err(format!("nothing makes {other:?} happen").into()),
        };
        check(&shown, &told);
    }
    Ok(())
}

/// Runs a command as somebody who doesn't own the store: as nobody if this is root, who may do anything.
fn as_another_user(desk: &Desk, words: &[String]) -> Result<String, Box<dyn std::error::Error>> {
    use std::os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    };
    const NOBODY: u32 = 65_534;
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    if fs::metadata(desk.0.path())?.uid() != 0 {
        mode(&desk.path("annals-data"), 0o100)?;
        mode(&desk.path("annals-data/store.meta"), 0)?;
        return Ok(desk.run(words));
    }
    // The program itself may stand where nobody comes.
    let own = desk.path("annals");
    fs::copy(PROGRAM, &own)?;
    for path in [desk.0.path(), own.as_path()] {
        mode(path, 0o755)?;
    }
    mode(&desk.path("annals-data"), 0o711)?;
    let output = Command::new(&own)
        .args(words)
        .env("ANNALS_STORE", "./annals-data")
        .current_dir(desk.0.path())
        .uid(NOBODY)
        .gid(NOBODY)
        .output()?;
    Ok(told(&output))
}

/// Runs a command in a store that is on a disk of its own, which has no room for it. None: nothing can be mounted here.
fn on_a_full_disk(desk: &Desk, words: &[String]) -> Result<Option<String>, Box<dyn std::error::Error>> {
    let small = desk.path("small");
    fs::create_dir(&small)?;
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "none"]).arg(&small).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    fs::write(small.join("large.json"), format!("[{}1]", "1,".repeat(40_000)))?;
    let run = || -> Result<String, Box<dyn std::error::Error>> {
        EventStore::open(small.join("annals-data"))?.close()?;
        let output = Command::new(PROGRAM)
            .args(words)
            .env("ANNALS_STORE", "./annals-data")
            .current_dir(&small)
            .output()?;
        Ok(told(&output))
    };
    let result = run();
    let unmounted = Command::new("umount").arg(&small).status()?;
    assert!(unmounted.success(), "{} is still mounted", small.display());
    result.map(Some)
}
