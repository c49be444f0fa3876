//! The version of each stream, for as long as a log is walked over: 64 bytes a stream at most, whatever its name.

use hashbrown::{HashTable, hash_table::Entry};

use crate::{
    index::{key::StreamKey, scanning::VERSION_MAX},
    position::Version,
};

/// In how many tables the streams are. Each grows by itself, so that growing never needs the room of all of them twice.
const SHARDS: usize = 64;

/// A stream is known of which no event was read: an index file, or the directory, names it.
const UNSEEN: u64 = 1 << 63;

const _: () = assert!(VERSION_MAX.get() == UNSEEN - 1, "a version leaves the bit free");

/// What a stream is at a place in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreamState {
    pub(crate) version: Version,
    /// Another stream with the same hash has another one; none: no event of the stream was read.
    pub(crate) check: Option<u32>,
    /// The segment that has its latest event.
    pub(crate) latest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Stream {
    hash: u64,
    /// With [`UNSEEN`].
    version: u64,
    check: u32,
    latest: u32,
}

const _: () =
    assert!(size_of::<Stream>() == 24, "with a byte of the table's, at 7/16 full, 57 bytes a stream");

/// All streams.
#[derive(Clone, Debug)]
pub(crate) struct StreamTable {
    shards: Vec<HashTable<Stream>>,
    /// How many streams have an event that was read.
    seen: u64,
}

impl StreamTable {
    pub(crate) fn new() -> Self {
        Self { shards: vec![HashTable::new(); SHARDS], seen: 0 }
    }

    /// How many streams have an event that was read.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// How many streams are known.
    pub(crate) fn count(&self) -> u64 {
        self.shards.iter().map(|shard| shard.len() as u64).sum()
    }

    /// A stream, by the hash of its key.
    pub(crate) fn get(&self, hash: u64) -> Option<StreamState> {
        let stream = self.shards[shard_of(hash)].find(hash, |stream| stream.hash == hash)?;
        let check = (stream.version & UNSEEN == 0).then_some(stream.check);
        Some(StreamState { version: Version::new(stream.version & !UNSEEN), check, latest: stream.latest })
    }

    /// The segment that has a stream's latest event; 0: there is none.
    pub(crate) fn latest(&self, key: StreamKey) -> u32 {
        self.get(key.hash).map_or(0, |state| state.latest)
    }

    /// Says what a stream is, of which an event was read.
    pub(crate) fn set(&mut self, key: StreamKey, version: Version, latest: u32) {
        let stream = Stream { hash: key.hash, version: kept(version), check: key.check, latest };
        if self.put(stream).is_none_or(|before| before.version & UNSEEN != 0) {
            self.seen += 1;
        }
    }

    /// Says what a stream is by what an index has of it.
    pub(crate) fn set_unseen(&mut self, hash: u64, version: Version, latest: u32) {
        let known = self.get(hash).and_then(|state| state.check);
        let flag = if known.is_none() { UNSEEN } else { 0 };
        self.put(Stream { hash, version: kept(version) | flag, check: known.unwrap_or(0), latest });
    }

    fn put(&mut self, stream: Stream) -> Option<Stream> {
        let shard = &mut self.shards[shard_of(stream.hash)];
        match shard.entry(stream.hash, |there| there.hash == stream.hash, |there| there.hash) {
            Entry::Occupied(mut occupied) => Some(std::mem::replace(occupied.get_mut(), stream)),
            Entry::Vacant(vacant) => {
                vacant.insert(stream);
                None
            }
        }
    }

    /// What the table takes of memory, in bytes.
    #[cfg(test)]
    fn memory_bytes(&self) -> usize {
        self.shards.iter().map(HashTable::allocation_size).sum()
    }
}

/// A directory, or an index, may say anything.
fn kept(version: Version) -> u64 {
    version.min(VERSION_MAX).get()
}

/// By bits that the tables themselves don't look at first.
fn shard_of(hash: u64) -> usize {
    usize::try_from((hash >> 40) % SHARDS as u64).expect("a small number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> StreamKey {
        StreamKey::of(&format!("order-{number}"), 7)
    }

    #[test]
    fn a_stream_takes_64_bytes_at_most() {
        let mut table = StreamTable::new();
        for number in 0..200_000 {
            table.set(key(number), Version::new(number + 1), 3);
            if number >= 20_000 && number % 1_000 == 0 {
                let each = table.memory_bytes() / usize::try_from(table.count()).expect("it fits");
                assert!(each <= 64, "{each} bytes a stream, with {number}");
            }
        }
        let state = table.get(key(17).hash).expect("it is there");
        assert_eq!((state.version, state.check, state.latest), (Version::new(18), Some(key(17).check), 3));
    }

    #[test]
    fn a_version_that_is_too_large_is_none_of_a_stream_that_nobody_saw() {
        let mut table = StreamTable::new();
        table.set(key(1), Version::new(u64::MAX), 3);
        table.set_unseen(key(2).hash, Version::new(1 << 63), 3);
        let of = |number| table.get(key(number).hash).map(|state| (state.version, state.check));
        assert_eq!(of(1), Some((VERSION_MAX, Some(key(1).check))));
        assert_eq!((of(2), table.seen()), (Some((VERSION_MAX, None)), 1));
    }

    #[test]
    fn a_stream_counts_as_seen_once() {
        let mut table = StreamTable::new();
        table.set_unseen(key(1).hash, Version::new(4), 2);
        assert_eq!((table.seen(), table.count()), (0, 1));
        assert_eq!(table.get(key(1).hash).and_then(|state| state.check), None);
        table.set(key(1), Version::new(5), 3);
        table.set(key(1), Version::new(6), 3);
        table.set_unseen(key(1).hash, Version::new(7), 4);
        assert_eq!((table.seen(), table.count()), (1, 1));
        assert_eq!(table.get(key(1).hash).and_then(|state| state.check), Some(key(1).check));
        assert_eq!(table.get(key(2).hash), None);
    }
}
