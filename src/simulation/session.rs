//! One opening of the store: turns of the writer, jobs of the background, its end.

use std::{collections::VecDeque, path::Path, sync::Arc};

use crate::{
    background::{Job, Jobs},
    disk::{
        contract::Disk,
        sim::{random::Random, simulated::SimDisk},
    },
    error::Error,
    event::EventData,
    event_id::{EventId, IdGenerator},
    events::Events,
    opening::{self, Opened},
    options::{Durability, Options},
    position::{ExpectedVersion, Version},
    query::Query,
    simulation::history::{Event, History, payload},
    stream::StreamId,
    time::Timestamp,
    writer::{
        answer::{self, Patience, PendingOutcome},
        bell::Meeting,
        request::{Appended, Commit},
    },
};

/// Where the store stands on the simulated disk.
pub(crate) const STORE: &str = "/store";

const STREAMS: [&str; 4] = ["order-1", "order-2", "customer-1", "a"];
const COMMITS_MAX: usize = 4;
const EVENTS_MAX: usize = 4;

/// Ids that follow from how many there were: a store made twice has the same bytes.
#[derive(Debug)]
struct FixedId;

impl IdGenerator for FixedId {
    fn next_id(&self) -> EventId {
        uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).into()
    }
}

/// How the store is opened in a simulation.
pub(crate) fn options(durability: Durability, segment_bytes: u64) -> Options {
    Options::new().durability(durability).segment_bytes(segment_bytes).id_generator(Arc::new(FixedId))
}

/// A store that is open, with its engine in our hands.
pub(crate) struct Session {
    opened: Opened,
    jobs: Jobs,
    durability: Durability,
    now: i64,
}

/// A commit that was handed over, and what it says.
struct Handed {
    parts: Vec<(StreamId, ExpectedVersion, Vec<u64>)>,
    pending: PendingOutcome,
}

impl Session {
    /// Opens the store on a mount of the disk, and compares what it shows with the history.
    pub(crate) fn open(
        mount: &SimDisk,
        options: &Options,
        history: &mut History,
    ) -> Result<Result<Self, Error>, String> {
        let disk: Arc<dyn Disk> = Arc::new(mount.clone());
        let opened = match opening::open(&disk, Path::new(STORE), options) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let found = history.settle(Events::new(&opened.committed, Query::all().select()));
        // An opening goes on where it can't write the page for other processes or the index's files, and reading
        // opens sealed segments: the cut was there.
        if mount.is_cut() {
            return Ok(Err(Error::io("open", STORE, std::io::Error::other("the disk was cut off"))));
        }
        found?;
        let jobs = Jobs::new(disk, &opened.core, options.durability);
        Ok(Ok(Self { opened, jobs, durability: options.durability, now: 0 }))
    }

    /// Hands over some commits, lets the writer take a turn for each frame, and checks its answers. False: the
    /// store has failed.
    pub(crate) fn append(&mut self, random: &mut Random, history: &mut History) -> Result<bool, String> {
        let meeting = Arc::new(Meeting::default());
        let mut requests = VecDeque::new();
        let mut handed = Vec::new();
        for _ in 0..=random.below(COMMITS_MAX) {
            let parts = choose_parts(random, history);
            let mut commit = Commit::new();
            for (stream, expected, tags) in &parts {
                commit = commit.append(stream, *expected, tags.iter().map(|tag| event(*tag)));
            }
            let store_id = self.opened.committed.store_id();
            let commit = commit.encode(&FixedId, store_id).map_err(|error| error.to_string())?;
            let (request, pending) = answer::hand_over(commit, &meeting, Patience::Sleep);
            requests.push_back(request);
            handed.push(Handed { parts, pending });
        }
        while !requests.is_empty() {
            self.now += 1;
            self.opened.core.turn(&mut requests, Timestamp::from_micros(self.now));
        }
        let mut goes_on = true;
        for commit in handed {
            goes_on &= check_answer(&commit, history, self.durability)?;
        }
        self.note_certain(history);
        Ok(goes_on)
    }

    /// Does a job of the background. False: the store has failed.
    pub(crate) fn run_job(&mut self, job: Job, history: &mut History) -> bool {
        if let Err(error) = self.jobs.run(job) {
            self.opened.core.fail(&error);
            return false;
        }
        self.note_certain(history);
        true
    }

    /// A job that this mode has.
    pub(crate) fn choose_job(&self, random: &mut Random) -> Job {
        match (random.below(4), self.durability) {
            (0, _) => Job::Mark,
            (1, _) => Job::Index,
            (2, Durability::Buffered) => Job::Sync,
            _ => Job::Grow,
        }
    }

    /// Closes the store as programs do. False: it couldn't be closed.
    pub(crate) fn close(mut self, history: &mut History) -> bool {
        let is_closed = self.opened.core.close().is_ok();
        if is_closed {
            self.note_certain(history);
        }
        is_closed
    }

    /// What was synced must be found, whatever happens.
    fn note_certain(&self, history: &mut History) {
        if self.opened.core.log().unsynced_bytes() == 0 {
            let head = self.opened.committed.head().get();
            history.make_certain(usize::try_from(head).expect("a small log"));
        }
    }
}

/// Compares an answer with what the history says it must be. False: the store has failed.
fn check_answer(commit: &Handed, history: &mut History, durability: Durability) -> Result<bool, String> {
    if !commit.pending.is_done() {
        return Err("a turn left a commit without an answer".to_owned());
    }
    let events = commit
        .parts
        .iter()
        .flat_map(|(stream, _, tags)| tags.iter().map(|tag| Event { stream: stream.clone(), tag: *tag }));
    match commit.pending.wait() {
        Ok(reached) => {
            check_reached(&commit.parts, &reached, history)?;
            if commit.parts.iter().any(|(_, _, tags)| !tags.is_empty()) {
                history.add_commit(events);
            }
            history.acknowledge(durability);
            Ok(true)
        }
        Err(Error::VersionConflict { stream, actual, .. }) => {
            if actual == history.version(&stream) {
                return Ok(true);
            }
            Err(format!("a conflict names version {actual} of {stream}, which it doesn't have"))
        }
        Err(Error::OutcomeUnknown { .. }) => {
            history.add_commit(events);
            Ok(false)
        }
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => Ok(true),
        // Something failed before the frame was written: nothing of it is there, and the store is done.
        Err(Error::Failed { .. } | Error::Io { .. }) => Ok(false),
        Err(error) => Err(format!("an append failed in a way that it can't: {error}")),
    }
}

fn event(tag: u64) -> EventData {
    let event = EventData::new("Happened", payload(tag));
    // Some have ids, so that the ids' part of the index is made anew as well.
    if tag.is_multiple_of(3) { event.with_id(uuid::Uuid::from_u128(u128::from(tag))) } else { event }
}

/// A commit over one to three streams, most of which expect the right version.
fn choose_parts(random: &mut Random, history: &History) -> Vec<(StreamId, ExpectedVersion, Vec<u64>)> {
    let first = random.below(STREAMS.len());
    let count = if random.one_in(4) { 1 + random.below(3) } else { 1 };
    (first..first + count)
        .map(|index| {
            let stream = StreamId::new(STREAMS[index % STREAMS.len()]).expect("a valid name");
            let expected = match random.below(6) {
                0 => ExpectedVersion::NoStream,
                1 => ExpectedVersion::StreamExists,
                // Right for the first commit of a turn, and often wrong for those behind it.
                2 => ExpectedVersion::Exact(history.version(&stream)),
                _ => ExpectedVersion::Any,
            };
            let events = if random.one_in(12) { 0 } else { 1 + random.below(EVENTS_MAX) };
            (stream, expected, (0..events).map(|_| random.next()).collect())
        })
        .collect()
}

/// Compares what an append reached with what the history says it must.
fn check_reached(
    parts: &[(StreamId, ExpectedVersion, Vec<u64>)],
    reached: &[Appended],
    history: &History,
) -> Result<(), String> {
    let mut position = history.len() as u64;
    for ((stream, expected, tags), reached) in parts.iter().zip(reached) {
        let before = history.version(stream);
        if !expected.is_met_by(before) {
            return Err(format!("an append to {stream} expected {expected}, and succeeded at {before}"));
        }
        position += tags.len() as u64;
        let version = Version::new(before.get() + tags.len() as u64);
        if reached.version != version || !tags.is_empty() && reached.position.get() != position {
            return Err(format!("an append to {stream} reached {reached:?}, not {version} at {position}"));
        }
    }
    Ok(())
}
