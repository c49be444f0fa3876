//! The index in memory: positions and streams to places in the log, and the ids that callers gave.

use hashbrown::{HashTable, hash_table::Entry};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::{
    format::record::IdForm,
    index::part::Direction,
    position::{LogOffset, Position, Version},
    stream::StreamId,
    time::Timestamp,
};

/// Positions, streams and ids of the events behind a place in the log.
#[derive(Debug, Default)]
pub(crate) struct TailIndex {
    /// The place of each event, by position from 1.
    places: Vec<LogOffset>,
    streams: HashTable<StreamEntry>,
    ids: HashTable<IdEntry>,
}

/// A stream: its name, and the place of each event, by version from 1.
#[derive(Debug)]
pub(crate) struct StreamEntry {
    pub(crate) stream: StreamId,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
    places: Vec<LogOffset>,
}

impl StreamEntry {
    /// The version of the last event.
    pub(crate) fn version(&self) -> Version {
        Version::new(count(&self.places))
    }
}

#[derive(Debug)]
struct IdEntry {
    hash: u64,
    place: LogOffset,
}

/// An event, as the index needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IndexedEvent {
    pub(crate) place: LogOffset,
    pub(crate) position: Position,
    pub(crate) version: Version,
    pub(crate) timestamp: Timestamp,
}

fn count(places: &[LogOffset]) -> u64 {
    places.len() as u64
}

/// The hash under which a stream is kept.
pub(crate) fn stream_hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

/// The hash under which an id of a stream is kept.
pub(crate) fn id_hash(stream: &str, id: &[u8], form: IdForm) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(stream.as_bytes());
    hasher.update(match form {
        IdForm::Uuid => &[0],
        IdForm::Text => &[1],
    });
    hasher.update(id);
    hasher.digest()
}

impl TailIndex {
    /// The position of the last event.
    pub(crate) fn last_position(&self) -> Position {
        Position::new(count(&self.places))
    }

    /// How many streams there are.
    pub(crate) fn stream_count(&self) -> usize {
        self.streams.len()
    }

    /// A stream, if it has an event.
    pub(crate) fn stream(&self, name: &str) -> Option<&StreamEntry> {
        self.stream_at(stream_hash(name), name)
    }

    fn stream_at(&self, hash: u64, name: &str) -> Option<&StreamEntry> {
        self.streams.find(hash, |entry| entry.stream.as_str() == name)
    }

    /// A stream's version, by its [`stream_hash`] and name; 0 if it has no event.
    pub(crate) fn version_at(&self, hash: u64, name: &str) -> Version {
        self.stream_at(hash, name).map_or(Version::NONE, StreamEntry::version)
    }

    /// A stream's version; 0 if it has no event.
    pub(crate) fn version(&self, name: &str) -> Version {
        self.version_at(stream_hash(name), name)
    }

    /// All streams, in no order.
    pub(crate) fn streams(&self) -> impl Iterator<Item = &StreamEntry> {
        self.streams.iter()
    }

    /// Adds the next event of the log, by its stream's [`stream_hash`] and name. `make` gives the name as it
    /// is to be kept, if it is new.
    ///
    /// Refuses an event that doesn't go on from what is there, and changes nothing then.
    pub(crate) fn add(
        &mut self,
        hash: u64,
        name: &str,
        make: impl FnOnce() -> StreamId,
        event: IndexedEvent,
    ) -> Result<(), &'static str> {
        if event.position != self.last_position().next() {
            return Err("an event's position doesn't go on from the one before it");
        }
        let entry = self.streams.entry(
            hash,
            |entry| entry.stream.as_str() == name,
            |entry| stream_hash(entry.stream.as_str()),
        );
        match entry {
            Entry::Occupied(occupied) => {
                let stream = occupied.into_mut();
                if event.version != stream.version().next() {
                    return Err("an event's version doesn't go on from the one before it in its stream");
                }
                stream.places.push(event.place);
                stream.updated = event.timestamp;
            }
            Entry::Vacant(vacant) => {
                if event.version != Version::FIRST {
                    return Err("a stream's first event isn't version 1");
                }
                vacant.insert(StreamEntry {
                    stream: make(),
                    created: event.timestamp,
                    updated: event.timestamp,
                    places: vec![event.place],
                });
            }
        }
        self.places.push(event.place);
        Ok(())
    }

    /// Remembers an id that a caller gave, under its [`id_hash`].
    pub(crate) fn add_id(&mut self, hash: u64, place: LogOffset) {
        self.ids.insert_unique(hash, IdEntry { hash, place }, |entry| entry.hash);
    }

    /// The place of an event whose id has this hash and passes the test, which looks at the record.
    pub(crate) fn find_id(&self, hash: u64, mut is_it: impl FnMut(LogOffset) -> bool) -> Option<LogOffset> {
        self.ids.find(hash, |entry| entry.hash == hash && is_it(entry.place)).map(|entry| entry.place)
    }

    /// The places of the events of a stream from a version on, `places_max` at most.
    pub(crate) fn stream_places(
        &self,
        name: &str,
        from: Version,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) {
        if let Some(entry) = self.stream(name) {
            copy(&entry.places, from.get(), direction, places_max, places);
        }
    }

    /// The places of all events from a position on, `places_max` at most.
    pub(crate) fn all_places(
        &self,
        from: Position,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) {
        copy(&self.places, from.get(), direction, places_max, places);
    }
}

/// Copies what begins at a number that counts from 1.
fn copy(all: &[LogOffset], from: u64, direction: Direction, places_max: usize, places: &mut Vec<LogOffset>) {
    let number = |from: u64| usize::try_from(from).unwrap_or(usize::MAX);
    match direction {
        Direction::Forwards => {
            let rest = all.get(number(from.max(1) - 1)..).unwrap_or_default();
            places.extend(rest.iter().take(places_max));
        }
        Direction::Backwards => {
            let until = &all[..number(from).min(all.len())];
            places.extend(until.iter().rev().take(places_max));
        }
    }
}
