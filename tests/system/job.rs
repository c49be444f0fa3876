//! What another process is to do.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::Duration,
};

use annals::{
    BackupOptions, Durability, Error, EventStore, Follower, Linking, Options, Position, Query, ReadMode,
    SnapshotData, StreamId, Version, backup, repair,
};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    child::{Told, tell},
    repairs, work,
};

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) enum Role {
    /// Appends commits.
    Write,
    /// Reads what another process writes, until it is killed.
    Follow,
    /// Makes backups, until it is killed.
    BackUp,
    /// Opens the store and closes it.
    Open,
    /// Repairs the store.
    Repair,
}

#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) struct Job {
    pub(crate) role: Role,
    pub(crate) store: PathBuf,
    /// Where a backup goes.
    pub(crate) backup: PathBuf,
    /// The number of the first commit.
    pub(crate) first: u64,
    /// How many commits are written.
    pub(crate) commits: u64,
    pub(crate) threads: u64,
    pub(crate) is_buffered: bool,
    pub(crate) segment_bytes: u64,
}

impl Job {
    /// The store, and its backups, in a directory; the first commits, of one thread, synced, in small segments.
    pub(crate) fn within(directory: &Path, role: Role, commits: u64) -> Self {
        Self {
            role,
            store: directory.join("store"),
            backup: directory.join("backup"),
            first: 1,
            commits,
            threads: 1,
            is_buffered: false,
            segment_bytes: 4 << 10,
        }
    }

    pub(crate) fn run(&self) -> Outcome<()> {
        tell(&Told::Begun)?;
        let done = match self.role {
            Role::Write => self.write(),
            Role::Follow => self.follow(),
            Role::BackUp => self.back_up(),
            Role::Open => self.open(),
            Role::Repair => self.repair(),
        };
        match done {
            Ok(()) => tell(&Told::Closed),
            Err(error) => tell(&Told::failed(&*error)),
        }
    }

    fn options(&self) -> Options {
        let durability = if self.is_buffered { Durability::Buffered } else { Durability::Fsync };
        // A page that a fault keeps from being read is an error then, and no signal.
        Options::new().durability(durability).segment_bytes(self.segment_bytes).read(ReadMode::Pread)
    }

    fn write(&self) -> Outcome<()> {
        let store = EventStore::open_with(&self.store, self.options())?;
        let next = AtomicU64::new(self.first);
        thread::scope(|scope| -> Outcome<()> {
            let mut writers = Vec::new();
            for _ in 0..self.threads {
                // Where the system has no room for another thread, this says so; `spawn` would panic.
                writers.push(thread::Builder::new().spawn_scoped(scope, || self.append(&store, &next))?);
            }
            writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| "a thread panicked")?)
        })?;
        Ok(store.close()?)
    }

    fn append(&self, store: &EventStore, next: &AtomicU64) -> Outcome<()> {
        loop {
            let number = next.fetch_add(1, Ordering::SeqCst);
            if number >= self.first + self.commits {
                return Ok(());
            }
            match store.commit(work::commit(number)) {
                Ok(appended) => {
                    let position = appended.first().map_or(0, |first| first.first_position.get());
                    tell(&Told::Stored { number, position })?;
                    save_beside(store, number)?;
                }
                Err(error) => {
                    tell(&Told::failed(&error))?;
                    check_failed(store, number, &error)?;
                }
            }
        }
    }

    fn follow(&self) -> Outcome<()> {
        let follower = Follower::open_with(&self.store, Options::new().read(ReadMode::Pread))?;
        let mut last = Position::NONE;
        loop {
            let reached = follower.wait_beyond(last, Duration::from_secs(1))?;
            if reached == last {
                continue;
            }
            for event in follower.read(Query::all().after(last).to(reached)) {
                event?;
            }
            last = reached;
            tell(&Told::Shown { position: last.get() })?;
        }
    }

    fn open(&self) -> Outcome<()> {
        Ok(EventStore::open_with(&self.store, self.options())?.close()?)
    }

    fn repair(&self) -> Outcome<()> {
        repair(&self.store, &repairs::accepting(), &mut |_| ControlFlow::Continue(()))?;
        Ok(())
    }

    fn back_up(&self) -> Outcome<()> {
        let options = BackupOptions::new().linking(Linking::WherePossible);
        loop {
            let made = backup(&self.store, &self.backup, &options, &mut |_| ControlFlow::Continue(()))?;
            tell(&Told::BackedUp { position: made.last_position.get() })?;
        }
    }
}

/// What a program saves besides events, now and then. A refusal costs nothing that was told.
fn save_beside(store: &EventStore, number: u64) -> Outcome<()> {
    if number.is_multiple_of(5) {
        let stream = StreamId::new("order-1")?;
        let version = store.stream_version(&stream).unwrap_or(Version::NONE);
        if version > Version::NONE {
            store.save_snapshot(&stream, version, SnapshotData::new("Order", vec![1; 600])).ok();
        }
    }
    if number.is_multiple_of(7)
        && let Some(Ok(event)) = store.read(Query::all().backwards().limit(1)).next()
    {
        store.save_checkpoint("mailer", event.cursor()).ok();
    }
    Ok(())
}

/// After a failure that is final nothing more may be stored, and what is there can be read.
fn check_failed(store: &EventStore, number: u64, error: &Error) -> Outcome<()> {
    let is_final = matches!(error, Error::OutcomeUnknown { .. } | Error::Failed { .. });
    if is_final && store.commit(work::commit(number)).is_ok() {
        tell(&Told::Wrong { what: format!("commit {number} is stored after a final failure: {error}") })?;
    }
    store.read_all().take_while(Result::is_ok).for_each(drop);
    Ok(())
}
