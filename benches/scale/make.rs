//! Makes a store, or goes on with one.

use std::{
    io::{self, Read},
    path::PathBuf,
};

use annals::{Durability, EventStore, ExpectedVersion, Options, StreamId, Version};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    in_flight::InFlight,
    job,
    work::{self, EVENT_BYTES, Work},
};

/// A segment counts as nearly full from this share on, in sixteenths: 60 MiB of 64.
const FULL_SIXTEENTHS: u64 = 15;

#[derive(Serialize, Deserialize)]
pub(crate) struct Make {
    pub(crate) directory: PathBuf,
    pub(crate) work: Work,
    /// How many appends the store has already.
    pub(crate) appends_before: u64,
    pub(crate) end: End,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    Close,
    /// Goes on until a segment begun here is nearly full and everything is acknowledged, and waits to be
    /// killed.
    Killed,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Made {
    pub(crate) appends: u64,
    pub(crate) segments: u64,
    pub(crate) log_bytes: u64,
}

impl Make {
    pub(crate) fn run(self) -> Outcome<()> {
        let options = Options::new().durability(Durability::Buffered).segment_bytes(self.work.segment_bytes);
        let store = EventStore::open_with(&self.directory, options)?;
        let mut appender = Appender::new(&store, &self.work, self.appends_before)?;
        while appender.appends * self.work.batch < self.work.events {
            appender.append()?;
        }
        let step_bytes = self.work.segment_bytes / 64;
        let step = (step_bytes / EVENT_BYTES / self.work.batch).max(1);
        // Where the segment began that is being filled, which was there before if no other came.
        let (mut segments, mut begun) = (store.info()?.segments, None);
        loop {
            appender.wait_for_all()?;
            let info = store.info()?;
            if info.segments > segments {
                (segments, begun) = (info.segments, Some(info.log_bytes));
            }
            let full = self.work.segment_bytes / 16 * FULL_SIXTEENTHS;
            let is_full = begun.is_some_and(|begun| info.log_bytes - begun > full);
            if segments >= self.work.segments_min && (is_full || self.end == End::Close) {
                break;
            }
            for _ in 0..step {
                appender.append()?;
            }
        }
        let appends = appender.appends;
        drop(appender);
        let info = store.info()?;
        let made = Made { appends, segments: info.segments, log_bytes: info.log_bytes };
        if info.events != appends * self.work.batch {
            return Err(format!("{} events were acknowledged by {appends} appends", info.events).into());
        }
        match self.end {
            End::Close => {
                store.close()?;
                job::tell(&made)
            }
            End::Killed => {
                job::tell(&made)?;
                // The end of standard input comes only if who should have killed this has ended before.
                Ok(io::stdin().read_to_end(&mut Vec::new()).map(drop)?)
            }
        }
    }
}

struct Appender<'a> {
    store: &'a EventStore,
    work: &'a Work,
    names: Vec<StreamId>,
    versions: Vec<u64>,
    appends: u64,
    pending: InFlight,
}

impl<'a> Appender<'a> {
    fn new(store: &'a EventStore, work: &'a Work, appends: u64) -> Outcome<Self> {
        let mut versions = vec![0; usize::try_from(work.streams + 1)?];
        for append in 0..appends {
            versions[usize::try_from(work.stream_of(append))?] += work.batch;
        }
        let names = (0..=work.streams).map(work::name).collect::<Outcome<_>>()?;
        Ok(Self { store, work, names, versions, appends, pending: InFlight::new() })
    }

    fn append(&mut self) -> Outcome<()> {
        self.pending.make_room()?;
        let stream = usize::try_from(self.work.stream_of(self.appends))?;
        let expected = ExpectedVersion::Exact(Version::new(self.versions[stream]));
        let events = self.work.events_of(self.appends);
        self.pending.add(self.store.submit(&self.names[stream], expected, events)?);
        self.versions[stream] += self.work.batch;
        self.appends += 1;
        Ok(())
    }

    fn wait_for_all(&mut self) -> Outcome<()> {
        Ok(self.pending.wait_for_all()?)
    }
}
