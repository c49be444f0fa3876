//! Times for the store, taken from the lines of an import.
//!
//! The store stamps what waits for it with one time, its clock's. So the clock is set by hand, and only while nothing
//! waits: lines of one time go in together, a later time after their answers. Times never go back along
//! the log: a line that is earlier than what is stored gets the time of that, as it would from any clock.

use std::{
    borrow::Cow,
    sync::atomic::{AtomicI64, Ordering},
};

use annals::{Clock, EventStore, OccurredAt, Query, SystemClock, Timestamp};
use clap::ValueEnum;
use serde::Deserialize;

use crate::{clock_text, contract::Incoming};

/// How much later than now a line's time may be, in microseconds: a day, for clocks and zones that are wrong.
const AHEAD_MICROS_MAX: i64 = 24 * 60 * 60 * 1_000_000;

/// Where an import finds the time of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TimeSource {
    /// `occurredAt` of the line, or where that is missing, of its metadata.
    #[value(name = "occurredAt")]
    OccurredAt,
    /// `timestamp` of the line: the time of the store that it was exported from.
    #[value(name = "timestamp")]
    Timestamp,
}

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

/// Why the store's time isn't put forward to a line's; none if it may be.
///
/// A store's time never goes back, so every later event would have that time as well. That holds for the lines of an export, too: a
/// store whose clock was wrong is mended by an import, and copied as it is by a backup.
pub(crate) fn problem_ahead(time: Timestamp) -> Option<String> {
    problem_ahead_of(SystemClock.now(), time)
}

fn problem_ahead_of(now: Timestamp, time: Timestamp) -> Option<String> {
    (time.micros().saturating_sub(now.micros()) > AHEAD_MICROS_MAX).then(|| {
        format!(
            "its time {} is more than a day ahead of now, {}, and the store's time never goes back: every later event would have it \
             as well; mend the time, or import without --time-from, so that the store's times are those of the import",
            clock_text::print_timestamp(time),
            clock_text::print_timestamp(now)
        )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stores_time_is_put_forward_to_a_day_ahead_of_now_and_no_further() {
        let now = Timestamp::from_micros(1_763_713_800_000_000);
        let ahead = |micros: i64| problem_ahead_of(now, Timestamp::from_micros(now.micros() + micros));
        for micros in [-now.micros(), 0, AHEAD_MICROS_MAX] {
            assert_eq!(ahead(micros), None, "{micros}");
        }
        assert_eq!(problem_ahead_of(now, Timestamp::MIN), None);
        let problem = ahead(AHEAD_MICROS_MAX + 1).expect("it is too far");
        assert!(
            problem.starts_with("its time 2025-11-22T08:30:00.000001Z is more than a day ahead of now, 2025-11-21T08:30:00.000000Z"),
            "{problem}"
        );
        assert!(problem_ahead_of(Timestamp::MIN, Timestamp::MAX).is_some());
    }
}
