//! What was appended, how far it is acknowledged, and what may be found after a cut.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, BTreeSet},
};

use crate::{
    disk::sim::random::Random,
    error::{Error, Result},
    event::StoredEvent,
    event_id::EventId,
    options::Durability,
    position::Version,
    simulation::failure::{BrokenPromise, Promise},
    stream::StreamId,
};

/// The longest payload of an ordinary event, in bytes.
const PAYLOAD_BYTES_MAX: usize = 900;

/// The longest payload of a rare one: longer than the smallest segment, in bytes.
const LARGE_PAYLOAD_BYTES_MAX: usize = 9_000;

/// An event as it must be found: its tag names its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Event {
    pub(crate) stream: StreamId,
    pub(crate) tag: u64,
}

impl Event {
    /// Whether a stored event says what this one does.
    fn is_told_by(&self, found: &StoredEvent) -> bool {
        found.stream == self.stream
            && found.event_type == event_type(self.tag)
            && given_id(self.tag).is_none_or(|id| found.id == id)
            && found.data == payload(self.tag)
    }
}

/// The event types of all tags, which are equally long.
const EVENT_TYPES: [&str; 3] = ["Happened", "Occurred", "Repeated"];

/// The event type of a tag.
pub(crate) fn event_type(tag: u64) -> &'static str {
    EVENT_TYPES[usize::from(tag.to_le_bytes()[7]) % EVENT_TYPES.len()]
}

/// The id that the caller gives an event with this tag: some have one, so that the ids' part of the index is made anew as
/// well.
pub(crate) fn given_id(tag: u64) -> Option<EventId> {
    tag.is_multiple_of(3).then(|| uuid::Uuid::from_u128(u128::from(tag)).into())
}

/// The payload of a tag: of any length, of any bytes, and with long runs of zeros in some.
pub(crate) fn payload(tag: u64) -> Vec<u8> {
    let mut random = Random::new(tag);
    let length = choose_length(&mut random);
    let kind = random.below(4);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&random.next().to_le_bytes());
    }
    bytes.truncate(length);
    match kind {
        0 => bytes.fill(0),
        1 => bytes[length / 3..].fill(0),
        2 => bytes.chunks_mut(512).step_by(2).for_each(|piece| piece.fill(0)),
        _ => {}
    }
    bytes
}

/// How long the payload of a tag is, in bytes.
pub(crate) fn payload_bytes(tag: u64) -> usize {
    choose_length(&mut Random::new(tag))
}

fn choose_length(random: &mut Random) -> usize {
    let length_max = if random.one_in(40) { LARGE_PAYLOAD_BYTES_MAX } else { PAYLOAD_BYTES_MAX };
    random.below(length_max + 1)
}

/// All that was handed over and may be in the log, in the order of the log.
#[derive(Clone, Default, Debug)]
pub(crate) struct History {
    events: Vec<Event>,
    /// After how many events a commit ends: only these numbers may be found.
    commit_ends: BTreeSet<usize>,
    /// How many events were acknowledged.
    acknowledged: usize,
    /// How many events the system has: they must be found as long as the power stays.
    cached: usize,
    /// How many events must be found, whatever happens.
    certain: usize,
}

impl History {
    /// How many events there may be.
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// How many events were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// Compares events that a follower shows, behind so many that it has shown before. Returns how many those are
    /// together.
    pub(crate) fn compare_shown(
        &self,
        before: usize,
        found: impl Iterator<Item = Result<impl Borrow<StoredEvent>>>,
    ) -> Result<usize, BrokenPromise> {
        let mut count = before;
        for event in found {
            let event = event.map_err(|error| unreadable(count + 1, &error))?;
            let Some(expected) = self.events.get(count) else {
                return Err(format!("event {} was never appended", count + 1).into());
            };
            count += 1;
            let event = event.borrow();
            if event.position.get() != count as u64 || !expected.is_told_by(event) {
                return Err(format!("event {count} isn't the one that was appended").into());
            }
        }
        if count > 0 && !self.commit_ends.contains(&count) {
            let what = format!("what is shown ends after event {count}, inside a commit");
            return Err(BrokenPromise::new(Promise::WholeCommits, what));
        }
        Ok(count)
    }

    /// A stream's version, if all there may be is there.
    pub(crate) fn version(&self, stream: &StreamId) -> Version {
        let count = self.events.iter().filter(|event| event.stream == *stream).count();
        Version::new(count as u64)
    }

    /// A commit that is stored, or may be.
    pub(crate) fn add_commit(&mut self, events: impl IntoIterator<Item = Event>) {
        self.events.extend(events);
        self.commit_ends.insert(self.events.len());
    }

    /// All there may be is acknowledged: with `Fsync` that makes it certain.
    pub(crate) fn acknowledge(&mut self, durability: Durability) {
        self.acknowledged = self.events.len();
        if durability == Durability::Fsync {
            self.make_certain(self.acknowledged);
        }
    }

    /// The program was killed, and the system goes on: what was acknowledged must be found.
    pub(crate) fn kill(&mut self) {
        self.cached = self.acknowledged;
    }

    /// The system may have lost what the disk hadn't: only what is certain must be found.
    pub(crate) fn cut(&mut self) {
        self.cached = 0;
    }

    /// So many events must be found from now on, whatever happens.
    pub(crate) fn make_certain(&mut self, count: usize) {
        self.certain = self.certain.max(count);
    }

    /// Compares what is found at an opening. It becomes the history: it was shown, so it must stay.
    pub(crate) fn settle(
        &mut self,
        found: impl Iterator<Item = Result<impl Borrow<StoredEvent>>>,
    ) -> Result<(), BrokenPromise> {
        let mut versions: BTreeMap<StreamId, u64> = BTreeMap::new();
        let mut count = 0;
        for event in found {
            let event = event.map_err(|error| unreadable(count + 1, &error))?;
            let Some(expected) = self.events.get(count) else {
                return Err(format!("event {} was never appended", count + 1).into());
            };
            count += 1;
            let event = event.borrow();
            let version = versions.entry(event.stream.clone()).or_default();
            *version += 1;
            let is_expected = event.position.get() == count as u64
                && event.version.get() == *version
                && expected.is_told_by(event);
            if !is_expected {
                return Err(format!("event {count} isn't the one that was appended").into());
            }
        }
        let expected = self.certain.max(self.cached);
        if count < expected {
            let what = format!("{expected} events must be there, and {count} are");
            return Err(BrokenPromise::new(Promise::NothingLost, what));
        }
        if count > 0 && !self.commit_ends.contains(&count) {
            let what = format!("the log ends after event {count}, inside a commit");
            return Err(BrokenPromise::new(Promise::WholeCommits, what));
        }
        self.events.truncate(count);
        self.commit_ends = self.commit_ends.range(..=count).copied().collect();
        self.certain = count;
        self.acknowledged = count;
        self.cached = 0;
        Ok(())
    }
}

/// What is broken where something can't be read.
pub(crate) fn promise_of(error: &Error) -> Promise {
    if error.is_corruption() { Promise::NoFalseRefusal } else { Promise::RightAnswers }
}

/// Of what was written by this program and never damaged, every event can be read.
pub(crate) fn unreadable(number: usize, error: &Error) -> BrokenPromise {
    BrokenPromise::new(promise_of(error), format!("event {number} can't be read: {error}"))
}
