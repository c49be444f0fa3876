//! Goes on appending to a store, and says how fast.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use annals::{EventStore, Position, Query};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    make::{Appender, Prepared, Streams},
    own_memory::own_memory_bytes,
    probe,
    rate::rate,
    work::{self, EVENT_BYTES, Work},
};

/// How many appends are prepared before they are handed over, so that the making of events isn't timed.
const PREPARED: u64 = 1_000;

/// How many appends of one event a lone caller makes.
const ALONE: u64 = 50_000;

#[derive(Serialize, Deserialize)]
pub(crate) struct AppendOn {
    pub(crate) directory: PathBuf,
    pub(crate) work: Work,
    pub(crate) appends_before: u64,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AppendedOn {
    /// With many appends on their way, each of several events, in events a second.
    pub(crate) filling_rate: f64,
    /// One event an append, each waited for.
    pub(crate) lone_rate: f64,
    /// What the process has of its own behind all that, more than before it opened the store, where the system says it.
    pub(crate) memory_bytes: Option<u64>,
}

impl AppendOn {
    pub(crate) fn run(&self) -> Outcome<AppendedOn> {
        let mut streams = Streams::after(&self.work, self.appends_before)?;
        let memory_before = own_memory_bytes().ok();
        let store = probe::open(&self.directory, self.work.segment_bytes)?;
        let mut appender = Appender::new(&store, &self.work, &mut streams, self.appends_before);
        // The first appends map what all need.
        fill(&mut appender)?;
        // As much as a segment takes, so that one is sealed meanwhile in a store of any size.
        let turns = (self.work.segment_bytes / EVENT_BYTES / self.work.batch).div_ceil(PREPARED);
        let mut filling = Duration::ZERO;
        for _ in 0..turns {
            filling += fill(&mut appender)?;
        }
        let mut alone = Duration::ZERO;
        for _ in 0..ALONE {
            let append = appender.prepare_alone()?;
            let begun = Instant::now();
            appender.wait_for(append)?;
            alone += begun.elapsed();
        }
        let memory_after = own_memory_bytes().ok();
        let events = appender.appends * self.work.batch + ALONE;
        check(&store, self.appends_before * self.work.batch, events)?;
        store.close()?;
        Ok(AppendedOn {
            filling_rate: rate(turns * PREPARED * self.work.batch, filling),
            lone_rate: rate(ALONE, alone),
            memory_bytes: memory_after.zip(memory_before).map(|(after, before)| after.saturating_sub(before)),
        })
    }
}

/// Prepares some appends, and times their way into the store.
fn fill(appender: &mut Appender<'_>) -> Outcome<Duration> {
    let prepared: Vec<Prepared> = (0..PREPARED).map(|_| appender.prepare()).collect::<Outcome<_>>()?;
    let begun = Instant::now();
    for append in prepared {
        appender.hand_over(append)?;
    }
    appender.wait_for_all()?;
    Ok(begun.elapsed())
}

/// The store has so many events, and those behind `before` are the ones that were appended.
fn check(store: &EventStore, before: u64, events: u64) -> Outcome<()> {
    let mut last = before;
    let mut cursor = store.read(Query::all().after(Position::new(before)));
    while let Some(event) = cursor.try_next()? {
        last += 1;
        if event.position.get() != last || work::position_in(event.data) != Some(last) {
            return Err(format!("wrong event at position {last}: {event:?}").into());
        }
    }
    if last == events {
        Ok(())
    } else {
        Err(format!("{events} events were appended, and {last} are there").into())
    }
}
