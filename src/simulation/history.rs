//! What was appended, how far it is acknowledged, and what may be found after a cut.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    disk::sim::random::Random, error::Result, event::StoredEvent, options::Durability, position::Version,
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

/// The payload of a tag: of any length, of any bytes, and with long runs of zeros in some.
pub(crate) fn payload(tag: u64) -> Vec<u8> {
    let mut random = Random::new(tag);
    let length_max = if random.one_in(40) { LARGE_PAYLOAD_BYTES_MAX } else { PAYLOAD_BYTES_MAX };
    let length = random.below(length_max + 1);
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
        found: impl Iterator<Item = Result<StoredEvent>>,
    ) -> Result<usize, String> {
        let mut count = before;
        for event in found {
            let event = event.map_err(|error| format!("event {} can't be read: {error}", count + 1))?;
            let Some(expected) = self.events.get(count) else {
                return Err(format!("event {} was never appended", count + 1));
            };
            count += 1;
            let is_expected = event.position.get() == count as u64
                && event.stream == expected.stream
                && event.data == payload(expected.tag);
            if !is_expected {
                return Err(format!("event {count} isn't the one that was appended"));
            }
        }
        if count > 0 && !self.commit_ends.contains(&count) {
            return Err(format!("what is shown ends after event {count}, inside a commit"));
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
    pub(crate) fn settle(&mut self, found: impl Iterator<Item = Result<StoredEvent>>) -> Result<(), String> {
        let mut versions: BTreeMap<StreamId, u64> = BTreeMap::new();
        let mut count = 0;
        for event in found {
            let event = event.map_err(|error| format!("event {} can't be read: {error}", count + 1))?;
            let Some(expected) = self.events.get(count) else {
                return Err(format!("event {} was never appended", count + 1));
            };
            count += 1;
            let version = versions.entry(event.stream.clone()).or_default();
            *version += 1;
            let is_expected = event.position.get() == count as u64
                && event.version.get() == *version
                && event.stream == expected.stream
                && event.data == payload(expected.tag);
            if !is_expected {
                return Err(format!("event {count} isn't the one that was appended"));
            }
        }
        let expected = self.certain.max(self.cached);
        if count < expected {
            return Err(format!("{expected} events must be there, and {count} are"));
        }
        if count > 0 && !self.commit_ends.contains(&count) {
            return Err(format!("the log ends after event {count}, inside a commit"));
        }
        self.events.truncate(count);
        self.commit_ends = self.commit_ends.range(..=count).copied().collect();
        self.certain = count;
        self.acknowledged = count;
        self.cached = 0;
        Ok(())
    }
}
