//! LMDB, through heed. Keys are integers in the machine's order, as LMDB compares them fastest; events are
//! appended, so that pages are filled. Pages are written with pwrite, not through the map (no `WRITE_MAP`).

#![allow(unsafe_code, reason = "an LMDB environment is a map of a file, which heed can't open otherwise")]

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use heed::{
    Database, Env, EnvFlags, EnvOpenOptions, IntegerComparator, PutFlags, RwTxn,
    byteorder::NativeEndian,
    types::{Bytes, Str, U32, U64},
};

use super::{
    Durability, Engine, Reader, Writer, conflict,
    record::{self, Written, index_key, stream_of, version_of},
};
use crate::{
    Outcome,
    payload::{NewEvent, Stream, Tally},
};

/// The size of the map: address space, of which only what is written takes memory or disk.
const MAP_BYTES: usize = 64 << 30;

type Key = U64<NativeEndian>;

pub(super) struct Lmdb {
    environment: Env,
    tables: Tables,
    written: Mutex<Written>,
}

#[derive(Clone, Copy)]
struct Tables {
    events: Database<Key, Bytes, IntegerComparator>,
    index: Database<Key, Key, IntegerComparator>,
    streams: Database<Str, U32<NativeEndian>>,
}

impl Lmdb {
    pub(super) fn open(directory: &Path, durability: Durability) -> Outcome<Self> {
        fs::create_dir_all(directory)?;
        let mut options = EnvOpenOptions::new();
        options.map_size(MAP_BYTES).max_dbs(3).max_readers(126);
        if durability == Durability::Buffered {
            // SAFETY: NO_SYNC gives up what a power cut leaves, which a buffered append doesn't promise.
            unsafe { options.flags(EnvFlags::NO_SYNC) };
        }
        // SAFETY: nobody else has the files of this directory open, or changes them behind the map.
        let environment = unsafe { options.open(directory)? };
        let tables = Tables::open(&environment)?;
        let written = Mutex::new(tables.load(&environment)?);
        Ok(Self { environment, tables, written })
    }
}

impl Tables {
    fn open(environment: &Env) -> Outcome<Self> {
        let reading = environment.read_txn()?;
        let events = environment.database_options().types().key_comparator().name("events").open(&reading)?;
        let index = environment.database_options().types().key_comparator().name("index").open(&reading)?;
        let streams = environment.open_database(&reading, Some("streams"))?;
        reading.commit()?;
        if let (Some(events), Some(index), Some(streams)) = (events, index, streams) {
            return Ok(Self { events, index, streams });
        }
        let mut writing = environment.write_txn()?;
        let events =
            environment.database_options().types().key_comparator().name("events").create(&mut writing)?;
        let index =
            environment.database_options().types().key_comparator().name("index").create(&mut writing)?;
        let streams = environment.create_database(&mut writing, Some("streams"))?;
        writing.commit()?;
        Ok(Self { events, index, streams })
    }

    fn load(self, environment: &Env) -> Outcome<Written> {
        let reading = environment.read_txn()?;
        let last_position = self.events.last(&reading)?.map_or(0, |(position, _)| position);
        Ok(Written { last_position, ..Written::default() })
    }

    /// The number of a stream, which is made if it is new.
    fn number(self, writing: &mut RwTxn<'_>, written: &mut Written, name: &str) -> Outcome<u32> {
        if let Some(number) = written.numbers.get(name) {
            return Ok(*number);
        }
        let known = self.streams.get(writing, name)?;
        let next = u32::try_from(self.streams.len(writing)?)?;
        let number = known.unwrap_or(next);
        if known.is_none() {
            self.streams.put(writing, name, &number)?;
        }
        written.numbers.insert(name.to_owned(), number);
        Ok(number)
    }

    fn version(self, writing: &RwTxn<'_>, stream: u32) -> Outcome<u64> {
        let last = self.index.get_lower_than_or_equal_to(writing, &index_key(stream, u32::MAX))?;
        let last = last.filter(|(key, _)| stream_of(*key) == u64::from(stream));
        Ok(last.map_or(0, |(key, _)| version_of(key)))
    }
}

impl Engine for Lmdb {
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.environment.prepare_for_closing().wait();
        Ok(())
    }
}

impl Writer for &Lmdb {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = &mut *written;
        let mut writing = self.environment.write_txn()?;
        let number = self.tables.number(&mut writing, written, &stream.name)?;
        if self.tables.version(&writing, number)? != expected {
            // A stream that was new is not.
            written.numbers.clear();
            return Err(conflict(stream, expected));
        }
        let (time, mut position) = (record::now_micros()?, written.last_position);
        let mut version = u32::try_from(expected)?;
        for event in events {
            position += 1;
            version += 1;
            record::encode(&mut written.buffer, event, time, number, version)?;
            self.tables.events.put_with_flags(&mut writing, PutFlags::APPEND, &position, &written.buffer)?;
            self.tables.index.put(&mut writing, &index_key(number, version), &position)?;
        }
        writing.commit()?;
        written.last_position = position;
        Ok(())
    }
}

impl Reader for &Lmdb {
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()> {
        let reading = self.environment.read_txn()?;
        let Some(number) = self.tables.streams.get(&reading, &stream.name)? else { return Ok(()) };
        let range = index_key(number, 0)..=index_key(number, u32::MAX);
        for entry in self.tables.index.range(&reading, &range)? {
            let (key, position) = entry?;
            let event =
                self.tables.events.get(&reading, &position)?.ok_or("the index has an event too many")?;
            record::tally(event, version_of(key), tally)?;
        }
        Ok(())
    }

    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()> {
        let reading = self.environment.read_txn()?;
        for entry in self.tables.events.iter(&reading)? {
            let (position, event) = entry?;
            record::tally(event, position, tally)?;
        }
        Ok(())
    }
}
