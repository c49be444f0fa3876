//! redb. Durable is `Durability::Immediate`; buffered is `Durability::None`, whose commits stay in the
//! process's memory until the database is closed.

use std::{
    fs,
    path::Path,
    sync::{Mutex, PoisonError},
};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, Table, TableDefinition};

use super::{
    Durability, Engine, Reader, Writer, conflict,
    record::{self, Written, index_key, version_of},
};
use crate::{
    Outcome,
    payload::{NewEvent, Stream, Tally},
};

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");
const INDEX: TableDefinition<u64, u64> = TableDefinition::new("index");
const STREAMS: TableDefinition<&str, u32> = TableDefinition::new("streams");

pub(super) struct Redb {
    database: Database,
    durability: redb::Durability,
    written: Mutex<Written>,
}

impl Redb {
    pub(super) fn open(directory: &Path, durability: Durability) -> Outcome<Self> {
        fs::create_dir_all(directory)?;
        let path = directory.join("events.redb");
        let is_new = !path.exists();
        let database = Database::create(path)?;
        if is_new {
            let writing = database.begin_write()?;
            drop((writing.open_table(EVENTS)?, writing.open_table(INDEX)?, writing.open_table(STREAMS)?));
            writing.commit()?;
        }
        let events = database.begin_read()?.open_table(EVENTS)?;
        let last_position = events.last()?.map_or(0, |(position, _)| position.value());
        drop(events);
        let durability = match durability {
            Durability::Durable => redb::Durability::Immediate,
            Durability::Buffered => redb::Durability::None,
        };
        Ok(Self {
            database,
            durability,
            written: Mutex::new(Written { last_position, ..Written::default() }),
        })
    }
}

/// The number of a stream, which is made if it is new.
fn number_of(writing: &redb::WriteTransaction, written: &mut Written, name: &str) -> Outcome<u32> {
    if let Some(number) = written.numbers.get(name) {
        return Ok(*number);
    }
    let mut streams = writing.open_table(STREAMS)?;
    let known = streams.get(name)?.map(|number| number.value());
    let number = known.unwrap_or(u32::try_from(streams.len()?)?);
    if known.is_none() {
        streams.insert(name, number)?;
    }
    written.numbers.insert(name.to_owned(), number);
    Ok(number)
}

fn version_in(index: &Table<'_, u64, u64>, stream: u32) -> Outcome<u64> {
    let last = index.range(index_key(stream, 0)..=index_key(stream, u32::MAX))?.next_back().transpose()?;
    Ok(last.map_or(0, |(key, _)| version_of(key.value())))
}

impl Engine for Redb {
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>> {
        Ok(Box::new(self))
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(self))
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.database.close()?)
    }
}

impl Writer for &Redb {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let written = &mut *written;
        let mut writing = self.database.begin_write()?;
        writing.set_durability(self.durability)?;
        let number = number_of(&writing, written, &stream.name)?;
        let mut position = written.last_position;
        {
            let mut index = writing.open_table(INDEX)?;
            if version_in(&index, number)? != expected {
                // A stream that was new is not.
                written.numbers.clear();
                return Err(conflict(stream, expected));
            }
            let mut table = writing.open_table(EVENTS)?;
            let (time, mut version) = (record::now_micros()?, u32::try_from(expected)?);
            for event in events {
                position += 1;
                version += 1;
                record::encode(&mut written.buffer, event, time, number, version)?;
                table.insert(position, written.buffer.as_slice())?;
                index.insert(index_key(number, version), position)?;
            }
        }
        writing.commit()?;
        written.last_position = position;
        Ok(())
    }
}

impl Reader for &Redb {
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()> {
        let reading = self.database.begin_read()?;
        let Some(number) = reading.open_table(STREAMS)?.get(stream.name.as_str())? else { return Ok(()) };
        let (number, events) = (number.value(), reading.open_table(EVENTS)?);
        let range = index_key(number, 0)..=index_key(number, u32::MAX);
        for entry in reading.open_table(INDEX)?.range(range)? {
            let (key, position) = entry?;
            let event = events.get(position.value())?.ok_or("the index has an event too many")?;
            record::tally(event.value(), version_of(key.value()), tally)?;
        }
        Ok(())
    }

    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()> {
        for entry in self.database.begin_read()?.open_table(EVENTS)?.iter()? {
            let (position, event) = entry?;
            record::tally(event.value(), position.value(), tally)?;
        }
        Ok(())
    }
}
