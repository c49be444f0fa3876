//! Makes a store, or goes on with one.

use std::path::PathBuf;

use annals::{Durability, EventData, EventStore, Options, StreamId, Version};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome, child,
    in_flight::InFlight,
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
        let mut streams = Streams::after(&self.work, self.appends_before)?;
        let mut appender = Appender::new(&store, &self.work, &mut streams, self.appends_before);
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
                child::tell(&made)
            }
            End::Killed => {
                child::tell(&made)?;
                child::wait_to_be_killed()
            }
        }
    }
}

/// The streams that an appender knows, and how far each is.
pub(crate) struct Streams {
    names: Vec<StreamId>,
    versions: Vec<u64>,
}

impl Streams {
    /// The streams after so many appends.
    pub(crate) fn after(work: &Work, appends: u64) -> Outcome<Self> {
        let mut streams = Self { names: Vec::new(), versions: Vec::new() };
        for append in 0..appends {
            streams.advance(work, append, work.batch)?;
        }
        Ok(streams)
    }

    /// Counts the events of an append; says which stream's they are, and which version it has before them.
    fn advance(&mut self, work: &Work, append: u64, events: u64) -> Outcome<(usize, Version)> {
        let stream = usize::try_from(work.stream_of(append))?;
        while self.names.len() <= stream {
            self.names.push(work::name(u64::try_from(self.names.len())?)?);
            self.versions.push(0);
        }
        let before = Version::new(self.versions[stream]);
        self.versions[stream] += events;
        Ok((stream, before))
    }
}

/// Makes appends, each expecting the version that its stream has.
pub(crate) struct Appender<'a> {
    store: &'a EventStore,
    work: &'a Work,
    streams: &'a mut Streams,
    pub(crate) appends: u64,
    /// How many appends were of one event, behind all others.
    alone: u64,
    pending: InFlight,
}

/// An append that only has to be handed over.
pub(crate) struct Prepared {
    stream: usize,
    expected: Version,
    events: Vec<EventData>,
}

impl<'a> Appender<'a> {
    pub(crate) fn new(store: &'a EventStore, work: &'a Work, streams: &'a mut Streams, appends: u64) -> Self {
        Self { store, work, streams, appends, alone: 0, pending: InFlight::new() }
    }

    /// The next append, as all before it are made.
    pub(crate) fn prepare(&mut self) -> Outcome<Prepared> {
        let (stream, expected) = self.streams.advance(self.work, self.appends, self.work.batch)?;
        let events = self.work.events_of(self.appends).collect();
        self.appends += 1;
        Ok(Prepared { stream, expected, events })
    }

    /// The next append of one event; none of more comes behind it.
    pub(crate) fn prepare_alone(&mut self) -> Outcome<Prepared> {
        let append = self.appends + self.alone;
        let (stream, expected) = self.streams.advance(self.work, append, 1)?;
        self.alone += 1;
        let position = self.appends * self.work.batch + self.alone;
        Ok(Prepared { stream, expected, events: vec![self.work.event(position, append)] })
    }

    /// Hands an append over, and waits for an earlier one where many are on their way.
    pub(crate) fn hand_over(&mut self, append: Prepared) -> Outcome<()> {
        self.pending.make_room()?;
        let Prepared { stream, expected, events } = append;
        self.pending.add(self.store.submit(&self.streams.names[stream], expected, events)?);
        Ok(())
    }

    /// Makes an append as a caller does that has nothing else to do.
    pub(crate) fn wait_for(&self, append: Prepared) -> Outcome<()> {
        let Prepared { stream, expected, events } = append;
        self.store.append(&self.streams.names[stream], expected, events)?;
        Ok(())
    }

    pub(crate) fn wait_for_all(&mut self) -> Outcome<()> {
        Ok(self.pending.wait_for_all()?)
    }

    fn append(&mut self) -> Outcome<()> {
        let append = self.prepare()?;
        self.hand_over(append)
    }
}
