//! The store that is read: filled once, for all that reads it.
//!
//! Its streams get their events in turns, one an append, so that each is scattered over the whole log: what reading a
//! stream costs where many are written at the same time.

use std::path::PathBuf;

use annals::{Creation, Durability, EventStore, Options, Reader, StreamId, Version};
use anyhow::bail;

use crate::{
    bench::{
        window::Window,
        work::{self, Work},
    },
    interrupt::Stop,
};

/// How large segments are, in bytes: as they are where nothing else is said.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// A store whose events follow from how many they are.
#[derive(Clone)]
pub(crate) struct Filled {
    pub(crate) path: PathBuf,
    pub(crate) streams: u64,
    pub(crate) events: u64,
}

impl Filled {
    /// Makes the store and closes it, and reads all of it.
    pub(crate) fn make(
        path: PathBuf,
        (streams, events): (u64, u64),
        work: &Work,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let mut filled = Self { path, streams, events: 0 };
        let store = filled.open(Creation::IfMissing)?;
        let mut filling = Filling::new(&store, &filled, work)?;
        while filling.events < events {
            stop.check()?;
            filling.append()?;
        }
        filled.events = filling.finish()?;
        filled.check(&store, work, stop)?;
        store.close()?;
        Ok(filled)
    }

    pub(crate) fn open(&self, creation: Creation) -> annals::Result<EventStore> {
        let options = Options::new().durability(Durability::Buffered).creation(creation);
        EventStore::open_with(&self.path, options.segment_bytes(SEGMENT_BYTES))
    }

    /// How many events a stream has.
    pub(crate) fn events_of(&self, stream: u64) -> u64 {
        self.events / self.streams + u64::from(stream < self.events % self.streams)
    }

    /// Whether the store has its events, and no other, byte by byte.
    pub(crate) fn check(&self, store: &Reader, work: &Work, stop: &Stop) -> anyhow::Result<()> {
        work.check_store(store, |stream| self.events_of(stream), self.streams, stop)
    }

    /// Reads a stream, which must have its events in order. Returns how many they are.
    pub(crate) fn read_stream(&self, store: &Reader, stream: u64, work: &Work) -> anyhow::Result<u64> {
        let name = work::name(stream)?;
        let mut cursor = store.read_stream(&name);
        let mut found = 0;
        while let Some(event) = cursor.try_next()? {
            found += 1;
            if event.version.get() != found || event.stream != name.as_str() || !work.looks_like(&event) {
                bail!("version {found} of stream \"{name}\" was read as {event:?}");
            }
        }
        let wanted = self.events_of(stream);
        if found != wanted {
            bail!("stream \"{name}\" has {wanted} events, and {found} were read");
        }
        Ok(found)
    }
}

/// Appends to a filled store, from where it stands.
pub(crate) struct Filling<'a> {
    store: &'a EventStore,
    work: &'a Work,
    names: Vec<StreamId>,
    pub(crate) events: u64,
    window: Window<()>,
}

impl<'a> Filling<'a> {
    pub(crate) fn new(store: &'a EventStore, filled: &Filled, work: &'a Work) -> anyhow::Result<Self> {
        let names = (0..filled.streams).map(work::name).collect::<anyhow::Result<_>>()?;
        Ok(Self { store, work, names, events: filled.events, window: Window::new() })
    }

    /// Hands the next event over.
    pub(crate) fn append(&mut self) -> anyhow::Result<()> {
        if self.window.is_full() {
            self.window.take()?;
        }
        let streams = self.names.len() as u64;
        let (stream, version) = (self.events % streams, self.events / streams);
        let name = &self.names[usize::try_from(stream)?];
        let event = self.work.event(stream, version + 1);
        self.window.add(self.store.submit(name, Version::new(version), [event])?, ());
        self.events += 1;
        Ok(())
    }

    pub(crate) fn wait_for_all(&mut self) -> anyhow::Result<()> {
        while self.window.take()?.is_some() {}
        Ok(())
    }

    /// Waits for all, and says how many events the store has.
    pub(crate) fn finish(mut self) -> anyhow::Result<u64> {
        self.wait_for_all()?;
        Ok(self.events)
    }
}
