//! SQLite, through rusqlite, bundled: write-ahead log, `synchronous` FULL for durable and OFF for buffered,
//! prepared statements. Readers have a connection each, and map the file.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};

use super::{Durability, Engine, Reader, Writer, conflict, record};
use crate::{
    Outcome,
    payload::{EVENT_TYPE, METADATA, NewEvent, Stream, Tally},
};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS streams (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS events (
        position INTEGER PRIMARY KEY,
        stream INTEGER NOT NULL,
        version INTEGER NOT NULL,
        id BLOB NOT NULL,
        time INTEGER NOT NULL,
        type TEXT NOT NULL,
        metadata BLOB NOT NULL,
        data BLOB NOT NULL
    );
    CREATE UNIQUE INDEX IF NOT EXISTS events_by_stream ON events (stream, version);";

const VERSION: &str = "SELECT version FROM events WHERE stream = ?1 ORDER BY version DESC LIMIT 1";

const INSERT: &str = "
    INSERT INTO events (stream, version, id, time, type, metadata, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

const STREAM: &str = "
    SELECT version, type, metadata, data FROM events
    WHERE stream = (SELECT number FROM streams WHERE name = ?1) ORDER BY version";

const ALL: &str = "SELECT position, type, metadata, data FROM events ORDER BY position";

pub(super) struct Sqlite {
    directory: PathBuf,
    durability: Durability,
    writing: Mutex<Option<Writing>>,
}

/// The connection that all writers share, opened by the first.
struct Writing {
    connection: Connection,
    numbers: HashMap<String, i64>,
}

impl Sqlite {
    pub(super) fn open(directory: &Path, durability: Durability) -> Self {
        Self { directory: directory.to_owned(), durability, writing: Mutex::new(None) }
    }

    fn connect(&self) -> Outcome<Connection> {
        let connection = Connection::open(self.directory.join("events.sqlite"))?;
        connection.pragma_update(None, "mmap_size", 8_i64 << 30)?;
        Ok(connection)
    }

    fn connect_to_write(&self) -> Outcome<Writing> {
        fs::create_dir_all(&self.directory)?;
        let connection = self.connect()?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        let synchronous = match self.durability {
            Durability::Durable => "FULL",
            Durability::Buffered => "OFF",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        // Negative: in KiB.
        connection.pragma_update(None, "cache_size", -65_536)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Writing { connection, numbers: HashMap::new() })
    }
}

impl Writing {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        let Self { connection, numbers } = self;
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let number = if let Some(number) = numbers.get(&stream.name) {
            *number
        } else {
            let number = number_of(connection, &stream.name)?;
            numbers.insert(stream.name.clone(), number);
            number
        };
        let version: Option<i64> =
            connection.prepare_cached(VERSION)?.query_row([number], |row| row.get(0)).optional()?;
        let mut version = version.unwrap_or(0);
        if version != i64::try_from(expected)? {
            connection.prepare_cached("ROLLBACK")?.execute([])?;
            // A stream that was new is not.
            numbers.clear();
            return Err(conflict(stream, expected));
        }
        let time = i64::try_from(record::now_micros()?)?;
        let mut insert = connection.prepare_cached(INSERT)?;
        for event in events {
            version += 1;
            insert.execute(params![number, version, &event.id, time, EVENT_TYPE, METADATA, event.data()])?;
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }
}

/// The number of a stream, which is made if it is new.
fn number_of(connection: &Connection, name: &str) -> Outcome<i64> {
    let known = connection
        .prepare_cached("SELECT number FROM streams WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    if let Some(number) = known {
        return Ok(number);
    }
    connection.prepare_cached("INSERT INTO streams (name) VALUES (?1)")?.execute([name])?;
    Ok(connection.last_insert_rowid())
}

impl Engine for Sqlite {
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.is_none() {
            *writing = Some(self.connect_to_write()?);
        }
        Ok(Box::new(self))
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        let connection = self.connect()?;
        connection.set_prepared_statement_cache_capacity(16);
        Ok(Box::new(connection))
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        let writing = self.writing.into_inner().unwrap_or_else(PoisonError::into_inner);
        writing.map_or(Ok(()), |writing| writing.connection.close().map_err(|(_, error)| error.into()))
    }
}

impl Writer for &Sqlite {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        writing.as_mut().ok_or("a writer opens the connection")?.append(stream, expected, events)
    }
}

impl Reader for Connection {
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()> {
        let mut statement: CachedStatement<'_> = self.prepare_cached(STREAM)?;
        let mut rows = statement.query([stream.name.as_str()])?;
        while let Some(row) = rows.next()? {
            count(row, tally)?;
        }
        Ok(())
    }

    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()> {
        let mut statement: CachedStatement<'_> = self.prepare_cached(ALL)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            count(row, tally)?;
        }
        Ok(())
    }
}

fn count(row: &Row<'_>, tally: &mut Tally) -> Outcome<()> {
    let number = u64::try_from(row.get_ref(0)?.as_i64()?)?;
    tally.add(number, row.get_ref(1)?.as_bytes()?, row.get_ref(2)?.as_blob()?, row.get_ref(3)?.as_blob()?);
    Ok(())
}
