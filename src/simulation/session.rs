//! One opening of the store: turns of the writer, jobs of the background, its end.

use std::{collections::VecDeque, path::Path, sync::Arc};

use crate::{
    background::{Job, Jobs},
    disk::{
        contract::{Disk, is_full},
        sim::{random::Random, simulated::SimDisk},
    },
    error::Error,
    event::{EventData, StoredEvent},
    event_id::{EventId, IdGenerator},
    events::Events,
    opening::{self, Opened},
    options::{Durability, Options},
    position::{ExpectedVersion, Version},
    query::Query,
    simulation::{
        answers::{Questions, compare_answers},
        failure::{BrokenPromise, Promise},
        history::{Event, History, event_type, given_id, payload, promise_of, unreadable},
    },
    stream::StreamId,
    time::{Clock, Timestamp},
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

/// The id that the store makes.
fn made_id() -> EventId {
    uuid::Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001).into()
}

impl IdGenerator for FixedId {
    fn next_id(&self) -> EventId {
        made_id()
    }
}

/// A clock that stands still: a seed is the same life on every day.
#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(0)
    }
}

/// How the store is opened in a simulation.
pub(crate) fn options(durability: Durability, segment_bytes: u64) -> Options {
    let options = Options::new().durability(durability).segment_bytes(segment_bytes);
    options.id_generator(Arc::new(FixedId)).clock(Arc::new(FixedClock))
}

/// Whether the disk may refuse to open a file to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    Works,
    MayFail,
}

/// A store that is open, with its engine in our hands.
pub(crate) struct Session {
    opened: Opened,
    jobs: Jobs,
    durability: Durability,
    reading: Reading,
    now: i64,
    /// An answer was given behind which no append may succeed.
    is_done: bool,
}

/// What an append says to each of its streams: what it expects, and the tags of its events.
pub(crate) type Parts = Vec<(StreamId, ExpectedVersion, Vec<u64>)>;

/// A commit that was handed over, and what it says.
struct Handed {
    parts: Parts,
    pending: PendingOutcome,
}

impl Session {
    /// Opens the store on a mount of the disk, and compares what it shows with the history.
    pub(crate) fn open(
        mount: &SimDisk,
        options: &Options,
        history: &mut History,
        reading: Reading,
    ) -> Result<Result<Self, Error>, BrokenPromise> {
        let disk: Arc<dyn Disk> = Arc::new(mount.clone());
        let opened = match opening::open(&disk, Path::new(STORE), options) {
            Ok(opened) => opened,
            Err(error) => return Ok(Err(error)),
        };
        let (events, failure) = read_all(&opened);
        let shown = events.iter().map(Ok).chain(failure.iter().map(|error| Err(error.clone())));
        let found = history.settle(shown);
        // An opening goes on where it can't write the page for other processes or the index's files, and reading
        // opens sealed segments: the cut was there.
        if mount.is_cut() {
            return Ok(Err(Error::io("open", STORE, std::io::Error::other("the disk was cut off"))));
        }
        if let (Err(_), Some(error @ Error::Io { .. }), Reading::MayFail) = (&found, failure, reading) {
            return Ok(Err(error));
        }
        found?;
        mount.undisturbed(|| check_answers(&opened, &events, Questions::Cheap))?;
        let jobs = Jobs::new(disk, &opened.core, options.durability);
        let durability = options.durability;
        Ok(Ok(Self { opened, jobs, durability, reading, now: 0, is_done: false }))
    }

    /// Hands over some commits, lets the writer take a turn for each frame, and checks its answers. False: the
    /// store has failed.
    pub(crate) fn append(
        &mut self,
        random: &mut Random,
        history: &mut History,
    ) -> Result<bool, BrokenPromise> {
        let commits = (0..=random.below(COMMITS_MAX)).map(|_| choose_parts(random, history)).collect();
        self.append_commits(commits, history)
    }

    /// The same with commits of the caller's.
    pub(crate) fn append_commits(
        &mut self,
        commits: Vec<Parts>,
        history: &mut History,
    ) -> Result<bool, BrokenPromise> {
        let meeting = Arc::new(Meeting::default());
        let mut requests = VecDeque::new();
        let mut handed = Vec::new();
        for parts in commits {
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
        let was_done = self.is_done;
        for commit in handed {
            goes_on &= self.check_answer(&commit, was_done, history)?;
        }
        self.note_certain(history);
        Ok(goes_on)
    }

    /// Compares all that is shown with the history.
    pub(crate) fn check_reading(&self, history: &History) -> Result<(), BrokenPromise> {
        let mut refused = None;
        let events = Events::new(&self.opened.committed, Query::all().select());
        match history.compare_shown(0, events.inspect(|event| refused = refusal(event, self.reading))) {
            Ok(shown) if shown < history.acknowledged() => {
                let what =
                    format!("{} events are acknowledged, and {shown} are shown", history.acknowledged());
                Err(BrokenPromise::new(Promise::NothingLost, what))
            }
            Err(broken) if refused.is_none() => Err(broken),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Compares whatever else can be asked with what everything is that is shown.
    pub(crate) fn check_answers(&self) -> Result<(), BrokenPromise> {
        let (events, failure) = read_all(&self.opened);
        match failure {
            Some(error) => Err(unreadable(events.len() + 1, &error)),
            None => check_answers(&self.opened, &events, Questions::All),
        }
    }

    /// All events that are shown.
    pub(crate) fn events(&self) -> crate::error::Result<Vec<StoredEvent>> {
        Events::new(&self.opened.committed, Query::all().select()).collect()
    }

    /// How long the log is, with its segments' headers, in bytes.
    pub(crate) fn log_bytes(&self) -> u64 {
        let log = self.opened.core.log();
        log.active().log_offset(log.end_in_file()).get()
    }

    /// Whether readers know of the whole log. They don't of a change of segments that a full disk has ended in the middle, and
    /// a closing leaves index files as they are then.
    pub(crate) fn shows_whole_log(&self) -> bool {
        let active = &self.opened.committed.state().active;
        active.log_offset(active.published()).get() == self.log_bytes()
    }

    /// How long the segment is that is written, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.opened.core.log().end_in_file()
    }

    /// How many index files a closing leaves, the directory of streams among them: one of each sealed segment, of the one that is written where it has
    /// events, and the directory where it has streams.
    pub(crate) fn index_files(&self) -> u64 {
        let header = self.opened.core.log().active().header.clone();
        let (events_before, events) = (header.first_position.get() - 1, self.opened.committed.head().get());
        let is_written = events > events_before;
        header.number - 1 + u64::from(is_written) + u64::from(is_written && events_before > 0)
    }

    /// The number of the segment that is written.
    pub(crate) fn segment_number(&self) -> u64 {
        self.opened.core.log().active().header.number
    }

    /// Does a job of the background. False: the store has failed.
    pub(crate) fn run_job(&mut self, job: Job, history: &mut History) -> bool {
        if let Err(error) = self.jobs.run(job) {
            self.opened.core.fail(&error);
            self.is_done = true;
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

    /// Compares an answer with what the history says it must be. False: the store has failed.
    fn check_answer(
        &mut self,
        commit: &Handed,
        was_done: bool,
        history: &mut History,
    ) -> Result<bool, BrokenPromise> {
        if !commit.pending.is_done() {
            return Err("a turn left a commit without an answer".to_owned().into());
        }
        let events = commit
            .parts
            .iter()
            .flat_map(|(stream, _, tags)| tags.iter().map(|tag| Event { stream: stream.clone(), tag: *tag }));
        let answer = commit.pending.wait();
        let is_failure = match &answer {
            Err(Error::Failed { .. }) => true,
            // All who are in the frame that failed hear why.
            Err(Error::OutcomeUnknown { .. } | Error::Io { .. }) => !was_done,
            _ => false,
        };
        if self.is_done && !is_failure {
            return Err(format!("the store has failed, and yet an append was answered {answer:?}").into());
        }
        match answer {
            Ok(reached) => {
                check_reached(&commit.parts, &reached, history)?;
                if commit.parts.iter().any(|(_, _, tags)| !tags.is_empty()) {
                    history.add_commit(events);
                }
                history.acknowledge(self.durability);
                return Ok(true);
            }
            Err(Error::VersionConflict { stream, actual, .. }) => {
                if actual == history.version(&stream) {
                    return Ok(true);
                }
                let what = format!("a conflict names version {actual} of {stream}, which it doesn't have");
                return Err(what.into());
            }
            Err(Error::OutcomeUnknown { .. }) => history.add_commit(events),
            Err(Error::Io { source, action, .. }) if action != "sync" && is_full(&source) => return Ok(true),
            // The commit was refused, since its streams couldn't be looked up.
            Err(Error::Io { action: "open" | "read", .. }) => {
                return Ok(!self.opened.core.log().progress().has_failed());
            }
            // Something failed before the frame was written: nothing of it is there, and the store is done.
            Err(Error::Failed { .. } | Error::Io { .. }) => {}
            Err(error) => return Err(format!("an append failed in a way that it can't: {error}").into()),
        }
        self.is_done = true;
        Ok(false)
    }
}

/// Everything, up to the first event that can't be read, and why it can't.
fn read_all(opened: &Opened) -> (Vec<StoredEvent>, Option<Error>) {
    let mut events = Vec::new();
    for event in Events::new(&opened.committed, Query::all().select()) {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

fn check_answers(opened: &Opened, all: &[StoredEvent], questions: Questions) -> Result<(), BrokenPromise> {
    let made = made_id();
    match compare_answers(&opened.committed, all, questions, |id| *id != made) {
        Ok(None) => Ok(()),
        Ok(Some(different)) => Err(different.into()),
        Err(error) => {
            Err(BrokenPromise::new(promise_of(&error), format!("a question has no answer: {error}")))
        }
    }
}

/// The disk refused to open a file that had to be read, and may.
fn refusal(event: &crate::error::Result<StoredEvent>, reading: Reading) -> Option<Error> {
    match event {
        Err(error @ Error::Io { .. }) if reading == Reading::MayFail => Some(error.clone()),
        _ => None,
    }
}

fn event(tag: u64) -> EventData {
    let event = EventData::new(event_type(tag), payload(tag));
    match given_id(tag) {
        Some(id) => event.with_id(id),
        None => event,
    }
}

/// A commit over one to three streams, most of which expect the right version.
pub(crate) fn choose_parts(random: &mut Random, history: &History) -> Parts {
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
fn check_reached(parts: &Parts, reached: &[Appended], history: &History) -> Result<(), BrokenPromise> {
    let mut position = history.len() as u64;
    for ((stream, expected, tags), reached) in parts.iter().zip(reached) {
        let before = history.version(stream);
        if !expected.is_met_by(before) {
            let what = format!("an append to {stream} expected {expected}, and succeeded at {before}");
            return Err(what.into());
        }
        position += tags.len() as u64;
        let version = Version::new(before.get() + tags.len() as u64);
        if reached.version != version || !tags.is_empty() && reached.position.get() != position {
            let what = format!("an append to {stream} reached {reached:?}, not {version} at {position}");
            return Err(what.into());
        }
    }
    Ok(())
}
