//! A disk that is full.

use std::{error::Error as _, fs, path::Path};

use annals::{Error, EventStore, Follower, Options, Reader};

use crate::{Outcome, memory::Memory, mounting, say, work};

/// What is taken away when room is needed again, in bytes.
const BALLAST_BYTES: usize = 256 << 10;

/// The disks: from one that a store hardly begins on, in steps that aren't a page's.
const DISK_BYTES: std::ops::Range<u64> = 320 << 10..1_600 << 10;
const STEP_BYTES: usize = 20 << 10;

pub(crate) fn run() -> Outcome<()> {
    if let Some(obstacle) = mounting::obstacle(&[]) {
        return say(format!("full disk: skipped, {obstacle}"));
    }
    let (mut disks, mut commits, mut used) = (0, 0, 0);
    for bytes in DISK_BYTES.step_by(STEP_BYTES) {
        let directory = tempfile::tempdir()?;
        let (before, after) =
            live(directory.path(), bytes).map_err(|error| format!("a disk of {bytes} bytes: {error}"))?;
        (disks, commits) = (disks + 1, commits + after);
        used += u64::from(before > 0);
    }
    // On the smallest there is no room for a store.
    if used < disks / 2 {
        return Err(format!("only {used} of {disks} disks took a commit before they were full").into());
    }
    say(format!("full disk: {disks} disks filled, {commits} commits stored, 0 lost"))
}

/// What is known of a store on a full disk.
#[derive(Clone, Copy)]
struct Known {
    /// So many commits are stored.
    commits: u64,
    /// Whether one more may be: its outcome is unknown.
    has_unknown: bool,
}

/// Fills a disk, and goes on when it has room again. Returns how many commits it took before, and in all.
fn live(at: &Path, bytes: u64) -> Outcome<(u64, u64)> {
    let _memory = Memory::mount(at, bytes)?;
    let (store_path, ballast) = (at.join("store"), at.join("ballast"));
    fs::write(&ballast, vec![1; BALLAST_BYTES])?;
    let mut known = Known { commits: 0, has_unknown: false };
    // The second program begins on the full disk.
    for _ in 0..2 {
        match open(&store_path) {
            Ok(store) => {
                known = fill(&store, check(store.reader(), known)?)?;
                known = check(store.reader(), known)?;
                store.close().or_else(|refused| expect_full(&refused))?;
            }
            Err(refused) => expect_full(&refused)?,
        }
        // To read what is there takes no room.
        match Follower::open(&store_path) {
            Ok(follower) => known = check(follower.reader(), known)?,
            Err(Error::NotAStore { .. }) if known.commits == 0 => {}
            Err(refused) => return Err(format!("it can't be read: {refused}").into()),
        }
    }
    fs::remove_file(&ballast)?;
    let store = open(&store_path)?;
    let Known { commits, .. } = check(store.reader(), known)?;
    store.commit(work::commit(commits))?;
    check(store.reader(), Known { commits: commits + 1, has_unknown: false })?;
    store.close()?;
    Ok((known.commits, commits + 1))
}

fn open(store: &Path) -> annals::Result<EventStore> {
    EventStore::open_with(store, Options::new().segment_bytes(64 << 10))
}

/// Appends until it is refused for want of room.
fn fill(store: &EventStore, mut known: Known) -> Outcome<Known> {
    loop {
        match store.commit(work::commit(known.commits)) {
            Ok(_) => known.commits += 1,
            Err(refused) => {
                expect_full(&refused)?;
                known.has_unknown = matches!(refused, Error::OutcomeUnknown { .. });
                return Ok(known);
            }
        }
    }
}

/// Whoever is refused is told why, also where the refusal is an earlier one's.
fn expect_full(refused: &Error) -> Outcome<()> {
    let cause = refused.source().map(ToString::to_string).unwrap_or_default();
    let told = format!("{refused} ({cause})");
    if told.contains("No space left on device") {
        Ok(())
    } else {
        Err(format!("it isn't told that the disk is full: {told}").into())
    }
}

/// All commits that are known to be stored are there, and no other but one that may be. Returns what is known then.
fn check(reader: &Reader, known: Known) -> Outcome<Known> {
    let (mut reading, mut next) = (work::Reading::default(), 0);
    for event in reader.read_all() {
        if let Some(number) = reading.take(&event?)? {
            if number != next {
                return Err(format!("commit {number} where {next} should be").into());
            }
            next += 1;
        }
    }
    let commits_max = known.commits + u64::from(known.has_unknown);
    if next < known.commits || next > commits_max || !reading.is_whole() {
        return Err(format!("{next} commits are there, of {} to {commits_max}", known.commits).into());
    }
    Ok(Known { commits: next, ..known })
}
