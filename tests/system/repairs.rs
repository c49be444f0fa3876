//! Repairs of a damaged store that are killed: at random times, and at system calls.

use std::{
    collections::BTreeSet,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use annals::{
    Follower, Loss, PositionRange, Progress, Query, RepairOptions, StoredEvent, plan_repair, repair, verify,
};
use serde_json::Value;

use crate::{
    Outcome,
    child::Running,
    job::{Job, Role},
    ledger::Ledger,
    mix::mix,
};

/// How many commits the store has that is damaged.
const COMMITS: u64 = 60;

/// A store that is whole, of which each case damages a copy.
pub(crate) struct Original {
    directory: tempfile::TempDir,
    ledger: Ledger,
}

/// A damaged copy, and what a repair of it has to keep.
pub(crate) struct Damaged {
    _directory: tempfile::TempDir,
    pub(crate) job: Job,
    kept: u64,
    set_aside: Vec<PositionRange>,
}

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub(crate) fn accepting() -> RepairOptions {
    RepairOptions::new().loss(Loss::Accepted)
}

impl Original {
    pub(crate) fn make() -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let mut ledger = Ledger::default();
        let (told, _) = Running::start(&Job::within(directory.path(), Role::Write, COMMITS), &[])?.end()?;
        ledger.note(&told)?;
        ledger.check(&directory.path().join("store"))?;
        Ok(Self { directory, ledger })
    }

    /// A copy with a flipped bit in a segment but the last, where an event may be or not.
    pub(crate) fn damage(&self, chance: u64) -> Outcome<Damaged> {
        let directory = tempfile::tempdir()?;
        let job = Job::within(directory.path(), Role::Repair, COMMITS);
        copy(&self.directory.path().join("store"), &job.store)?;
        let mut segments: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(job.store.join("segments"))? {
            segments.extend(Some(entry?.path()).filter(|path| path.extension() == Some("log".as_ref())));
        }
        segments.sort();
        let sealed = u64::try_from(segments.len() - 1)?;
        let path = &segments[usize::try_from(mix(chance) % sealed)?];
        let mut content = fs::read(path)?;
        let at = usize::try_from(mix(chance ^ 1) % u64::try_from(content.len())?)?;
        content[at] ^= 4;
        fs::write(path, content)?;
        let plan = plan_repair(&job.store, &accepting(), &mut go_on)?;
        if !plan.is_needed() {
            return Err(format!("{}, offset {at}: a flipped bit isn't found", path.display()).into());
        }
        let (kept, set_aside) = (plan.kept.get(), plan.set_aside.to_vec());
        Ok(Damaged { _directory: directory, job, kept, set_aside })
    }

    /// Repairs again, after a kill, and checks that nothing is lost that the first repair was to keep.
    pub(crate) fn check(&self, damaged: &Damaged) -> Outcome<()> {
        let store = &damaged.job.store;
        check_followed(store)?;
        repair(store, &accepting(), &mut go_on)
            .map_err(|error| format!("it can't be repaired again: {error}"))?;
        self.ledger.check_beginning(store, damaged.kept)?;
        let mut aside = BTreeSet::new();
        for entry in fs::read_dir(store.join("quarantine"))? {
            let folder = entry?.path();
            if folder.join("report.json").exists() {
                for name in ["events.jsonl", "system-events.jsonl"] {
                    let events = fs::read_to_string(folder.join(name)).unwrap_or_default();
                    for line in events.lines() {
                        let event: Value = serde_json::from_str(line)?;
                        aside.extend(event["position"].as_u64());
                    }
                }
            }
        }
        let positions = damaged.set_aside.iter().flat_map(|range| {
            let last = range.last.map_or(range.first, |last| last);
            range.first.get()..=last.get()
        });
        match positions.into_iter().find(|position| !aside.contains(position)) {
            Some(position) => Err(format!("LOST: the event at {position} is kept nowhere").into()),
            None => Ok(()),
        }
    }
}

/// A store that is whole can be read by a program that follows it: before any writer has opened it again.
fn check_followed(store: &Path) -> Outcome<()> {
    let followed = || -> annals::Result<Vec<StoredEvent>> {
        Follower::open(store)?.read(Query::all().including_system()).collect()
    };
    let seen = followed();
    let found = verify(store, &mut go_on)?;
    if !found.is_whole() {
        return Ok(());
    }
    let events = seen.map_err(|error| format!("it is whole, and can't be followed: {error}"))?.len();
    // The event that tells of the repair may be written, and not committed.
    if (found.events.saturating_sub(1)..=found.events).contains(&u64::try_from(events)?) {
        Ok(())
    } else {
        Err(format!("it has {} events, and a follower sees {events}", found.events).into())
    }
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &there)?;
        } else {
            fs::copy(entry.path(), there)?;
        }
    }
    Ok(())
}
