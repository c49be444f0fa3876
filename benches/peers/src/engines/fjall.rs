//! fjall, a log-structured merge tree. A commit is one batch over its keyspaces; durable is
//! `PersistMode::SyncData` with each, buffered `PersistMode::Buffer`, with which the operating system has it. The
//! writers' own lock makes check and batch one. A stream's version stands beside its number: a look-up by key is
//! what such a tree is good at.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    Durability, Engine, Reader, Writer, conflict,
    record::{self, index_key, version_of},
};
use crate::{
    Outcome,
    payload::{NewEvent, Stream, Tally},
};

/// What blocks are kept in: enough for all that these workloads read.
const CACHE_BYTES: u64 = 512 << 20;

pub(super) struct Fjall {
    database: Database,
    events: Keyspace,
    index: Keyspace,
    streams: Keyspace,
    persist: PersistMode,
    written: Mutex<Written>,
}

struct Written {
    last_position: u64,
    streams: u32,
    buffer: Vec<u8>,
}

/// What the key of a stream's name leads to.
struct Entry {
    number: u32,
    version: u32,
}

impl Entry {
    fn decode(bytes: &[u8]) -> Outcome<Self> {
        let entry = u64::from_le_bytes(bytes.try_into()?);
        Ok(Self { number: u32::try_from(entry >> 32)?, version: u32::try_from(version_of(entry))? })
    }

    fn encode(&self) -> [u8; 8] {
        index_key(self.number, self.version).to_le_bytes()
    }
}

/// Keys are ordered as bytes.
#[allow(clippy::big_endian_bytes, reason = "fjall orders keys as bytes, and its documentation asks for this")]
fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

#[allow(clippy::big_endian_bytes, reason = "as they are written")]
fn number(key: &[u8]) -> Outcome<u64> {
    Ok(u64::from_be_bytes(key.try_into()?))
}

impl Fjall {
    pub(super) fn open(directory: &Path, durability: Durability) -> Outcome<Self> {
        let database = Database::builder(directory).cache_size(CACHE_BYTES).open()?;
        // What is looked up is there.
        let options = || KeyspaceCreateOptions::default().expect_point_read_hits(true);
        let events = database.keyspace("events", options)?;
        let index = database.keyspace("index", options)?;
        let streams = database.keyspace("streams", options)?;
        let last_position = match events.last_key_value() {
            Some(last) => number(&last.key()?)?,
            None => 0,
        };
        let persist = match durability {
            Durability::Durable => PersistMode::SyncData,
            Durability::Buffered => PersistMode::Buffer,
        };
        // At least as many as there are, which is enough for numbers that nobody has.
        let count = u32::try_from(streams.approximate_len())?;
        let written = Mutex::new(Written { last_position, streams: count, buffer: Vec::new() });
        Ok(Self { database, events, index, streams, persist, written })
    }
}

impl Engine for Fjall {
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.database.persist(PersistMode::SyncAll)?)
    }
}

impl Writer for &Fjall {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = &mut *written;
        let mut streams = written.streams;
        let mut entry = if let Some(bytes) = self.streams.get(&stream.name)? {
            Entry::decode(&bytes)?
        } else {
            streams += 1;
            Entry { number: streams, version: 0 }
        };
        if u64::from(entry.version) != expected {
            return Err(conflict(stream, expected));
        }
        let (time, mut position) = (record::now_micros()?, written.last_position);
        let mut batch = self.database.batch().durability(Some(self.persist));
        for event in events {
            position += 1;
            entry.version += 1;
            record::encode(&mut written.buffer, event, time, entry.number, entry.version)?;
            batch.insert(&self.events, key(position), written.buffer.as_slice());
            batch.insert(&self.index, key(index_key(entry.number, entry.version)), position.to_le_bytes());
        }
        batch.insert(&self.streams, stream.name.as_str(), entry.encode());
        batch.commit()?;
        (written.last_position, written.streams) = (position, streams);
        Ok(())
    }
}

impl Reader for &Fjall {
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()> {
        let Some(bytes) = self.streams.get(&stream.name)? else { return Ok(()) };
        let entry = Entry::decode(&bytes)?;
        let range = key(index_key(entry.number, 0))..=key(index_key(entry.number, entry.version));
        for guard in self.index.range(range) {
            let (found, position) = guard.into_inner()?;
            let position = u64::from_le_bytes((*position).try_into()?);
            let event = self.events.get(key(position))?.ok_or("the index has an event too many")?;
            record::tally(&event, version_of(number(&found)?), tally)?;
        }
        Ok(())
    }

    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()> {
        for guard in self.events.iter() {
            let (position, event) = guard.into_inner()?;
            record::tally(&event, number(&position)?, tally)?;
        }
        Ok(())
    }
}
