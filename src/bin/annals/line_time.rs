//! Times for the store, taken from the lines of an import.
//!
//! The store stamps what waits for it with one time, its clock's. So the clock is set by hand, and only while nothing
//! waits: lines of one time go in together, a later time after their answers. Times never go back along
//! the log: a line that is earlier than what is stored gets the time of that, as it would from any clock.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicI64, Ordering},
};

use annals::{Clock, EventStore, OccurredAt, Query, Timestamp};
use serde::Deserialize;

use crate::{arguments::TimeSource, clock_text, contract::Incoming};

/// A clock that stands where it was set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    /// A clock that stands at the beginning of all times.
    pub(crate) fn new() -> Self {
        Self(AtomicI64::new(Timestamp::MIN.micros()))
    }

    pub(crate) fn set(&self, time: Timestamp) {
        self.0.store(time.micros(), Ordering::Release);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Acquire))
    }
}

/// The time of the last event in a store; the earliest time where there is none.
pub(crate) fn last_time(store: &EventStore) -> annals::Result<Timestamp> {
    let mut last = store.read(Query::all().including_system().backwards().limit(1));
    Ok(last.try_next()?.map_or(Timestamp::MIN, |event| event.timestamp))
}

/// The time of a line.
pub(crate) fn time_of(incoming: &Incoming, source: TimeSource) -> Result<Timestamp, &'static str> {
    let time = match source {
        TimeSource::OccurredAt => match incoming.event.occurred_at {
            Some(occurred_at) => Some(occurred_at),
            None => in_metadata(&incoming.event.metadata)?,
        },
        TimeSource::Timestamp => incoming.timestamp,
    };
    time.map(|time| time.time).ok_or(match source {
        TimeSource::OccurredAt => {
            "neither the line nor its metadata have an occurredAt, which --time-from asks for"
        }
        TimeSource::Timestamp => "the line has no timestamp, which --time-from asks for",
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(default, borrow)]
    occurred_at: Option<Cow<'a, str>>,
}

fn in_metadata(metadata: &[u8]) -> Result<Option<OccurredAt>, &'static str> {
    if metadata.is_empty() {
        return Ok(None);
    }
    let wrong = "the occurredAt of its metadata, which --time-from asks for, isn't a time with its offset";
    let metadata: Metadata<'_> = serde_json::from_slice(metadata).map_err(|_| wrong)?;
    let time = metadata.occurred_at.map(|text| clock_text::parse_occurred_at(&text));
    time.transpose().map_err(|_| wrong)
}
