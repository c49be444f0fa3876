//! The engines, and what each must do.
//!
//! All do an event store's work: an append names the version that its stream must have, which is checked in
//! the transaction that writes; events have a position in one global order, and are found by it and by stream
//! and version; with each its id, type, metadata, data and time are stored.

use std::{error::Error, fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    payload::{NewEvent, Stream, Tally},
};

pub(crate) mod annals;
mod fjall;
mod lmdb;
pub(crate) mod raw;
mod record;
mod redb;
mod sqlite;
mod tephra;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Kind {
    Raw,
    Annals,
    Lmdb,
    Sqlite,
    Redb,
    Tephra,
    Fjall,
}

/// What an append that has returned has done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Durability {
    /// The disk has it.
    Durable,
    /// The operating system has it, or with redb the process.
    Buffered,
}

/// Where an event's id is from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// From the caller.
    Given,
    /// From the store, if it makes ids; else from the caller.
    Own,
}

/// A store that is open.
pub(crate) trait Engine: Sync {
    /// What one caller appends with.
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>>;

    /// What one thread reads with.
    fn reader(&self) -> Outcome<Box<dyn Reader + '_>>;

    fn close(self: Box<Self>) -> Outcome<()>;
}

pub(crate) trait Writer {
    /// Appends events to a stream that has the version `expected`, and waits until they are stored.
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()>;

    /// Appends events, and may return before they are stored. Two appends to a stream are never under way at once
    /// but with one writer of Annals.
    fn submit(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        self.append(stream, expected, events)
    }

    /// Waits until all that was handed over is stored.
    fn finish(&mut self) -> Outcome<()> {
        Ok(())
    }
}

pub(crate) trait Reader {
    /// Reads a stream, with the events' versions.
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()>;

    /// Reads everything in its order, with the events' positions.
    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()>;
}

impl Kind {
    pub(crate) const ALL: &[Self] =
        &[Self::Raw, Self::Annals, Self::Lmdb, Self::Sqlite, Self::Redb, Self::Tephra, Self::Fjall];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Annals => "annals",
            Self::Lmdb => "lmdb",
            Self::Sqlite => "sqlite",
            Self::Redb => "redb",
            Self::Tephra => "tephra",
            Self::Fjall => "fjall",
        }
    }

    /// Whether it is another store than Annals.
    pub(crate) fn is_peer(self) -> bool {
        !matches!(self, Self::Raw | Self::Annals)
    }

    /// Opens the store in a directory, or makes one there.
    pub(crate) fn open(self, directory: &Path, durability: Durability, ids: Ids) -> Outcome<Box<dyn Engine>> {
        Ok(match self {
            Self::Raw => return Err("the raw disk is no store".into()),
            Self::Annals => Box::new(annals::Annals::open(directory, durability, ids)?),
            Self::Lmdb => Box::new(lmdb::Lmdb::open(directory, durability)?),
            Self::Sqlite => Box::new(sqlite::Sqlite::open(directory, durability)),
            Self::Redb => Box::new(redb::Redb::open(directory, durability)?),
            Self::Tephra => Box::new(tephra::Tephra::open(directory)?),
            Self::Fjall => Box::new(fjall::Fjall::open(directory, durability)?),
        })
    }
}

/// What an engine's library wants to be told of each stream, made once.
struct PerStream<T>(Vec<Option<T>>);

impl<T> PerStream<T> {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn get_or_make(&mut self, stream: &Stream, make: impl FnOnce(&str) -> Outcome<T>) -> Outcome<&mut T> {
        let index = usize::try_from(stream.number)?;
        if self.0.len() <= index {
            self.0.resize_with(index + 1, || None);
        }
        let place = &mut self.0[index];
        if place.is_none() {
            *place = Some(make(&stream.name)?);
        }
        place.as_mut().ok_or_else(|| "was made above".into())
    }
}

/// An append was refused, because its stream hasn't the version that it names.
#[derive(Debug)]
pub(crate) struct Conflict {
    stream: String,
    expected: u64,
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} hasn't the version {}", self.stream, self.expected)
    }
}

impl Error for Conflict {}

fn conflict(stream: &Stream, expected: u64) -> Box<dyn Error + Send + Sync> {
    Box::new(Conflict { stream: stream.name.clone(), expected })
}
