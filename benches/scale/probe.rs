//! Opens a store and reads one stream, in a process that does nothing else.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use annals::{Creation, Durability, EventStore, Options, StreamId};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome, cache,
    own_memory::own_memory_bytes,
    work::{self, Truth},
};

#[derive(Serialize, Deserialize)]
pub(crate) struct Probe {
    pub(crate) directory: PathBuf,
    pub(crate) segment_bytes: u64,
    pub(crate) stream: u64,
    pub(crate) truth: Truth,
    pub(crate) last_position: u64,
    pub(crate) dropping: Dropping,
}

/// When the page cache is asked to forget the store's files.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Dropping {
    Nothing,
    BeforeOpening,
    BeforeOpeningAndReading,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Probed {
    pub(crate) open: Duration,
    pub(crate) read: Duration,
    pub(crate) events: u64,
    /// The process's own memory with the store open and the stream read, where the system says it.
    pub(crate) memory_bytes: Option<u64>,
}

impl Probe {
    pub(crate) fn run(&self) -> Outcome<Probed> {
        if self.dropping != Dropping::Nothing {
            cache::forget(&self.directory)?;
        }
        let name = work::name(self.stream)?;
        let begun = Instant::now();
        let store = open(&self.directory, self.segment_bytes)?;
        let opened = begun.elapsed();
        if self.dropping == Dropping::BeforeOpeningAndReading {
            cache::forget(&self.directory)?;
        }
        let begun = Instant::now();
        let found = read_checked(&store, &name)?;
        let read = begun.elapsed();
        let memory_bytes = own_memory_bytes().ok();
        if found != self.truth || store.last_position().get() != self.last_position {
            let last = store.last_position();
            let truth = self.truth;
            return Err(format!("{name}: {found:?} instead of {truth:?}, up to position {last}").into());
        }
        store.close()?;
        Ok(Probed { open: opened, read, events: found.events, memory_bytes })
    }
}

/// Opens a store that is there.
pub(crate) fn open(directory: &Path, segment_bytes: u64) -> annals::Result<EventStore> {
    let options = Options::new()
        .durability(Durability::Buffered)
        .creation(Creation::Never)
        .segment_bytes(segment_bytes);
    EventStore::open_with(directory, options)
}

/// Reads a stream, looks at each event, and says what there was.
pub(crate) fn read_checked(store: &EventStore, name: &StreamId) -> Outcome<Truth> {
    let mut found = Truth::default();
    let mut cursor = store.read_stream(name);
    while let Some(event) = cursor.try_next()? {
        found.events += 1;
        found.positions += event.position.get();
        if event.stream != name.as_str()
            || event.version.get() != found.events
            || work::position_in(event.data) != Some(event.position.get())
        {
            return Err(format!("wrong event in {name}: {event:?}").into());
        }
    }
    Ok(found)
}
