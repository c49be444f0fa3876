//! Times, as the store keeps them: whole microseconds since 1970-01-01T00:00:00Z, before it negative.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// When the store took an event: microseconds since 1970-01-01T00:00:00Z. It never goes back along the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time there is.
    pub const MIN: Self = Self(i64::MIN);

    /// The latest time there is.
    pub const MAX: Self = Self(i64::MAX);

    /// A time as microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Fractions of a microsecond are dropped; times beyond the year 292,000 become the last there is.
    fn from(time: SystemTime) -> Self {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(before) => Self(-micros(before.duration())),
        }
    }
}

/// When an event happened, as its source says: a time, and how far its zone was from UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OccurredAt {
    /// The time itself, in UTC.
    pub time: Timestamp,
    /// How far local time was ahead of UTC, in minutes: 120 for `+02:00`.
    pub offset_minutes: i16,
}

impl OccurredAt {
    /// A time in UTC.
    #[must_use]
    pub fn utc(time: impl Into<Timestamp>) -> Self {
        Self { time: time.into(), offset_minutes: 0 }
    }
}

/// Where the store's timestamps come from. They are raised to the last one where the clock went back.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The time now.
    fn now(&self) -> Timestamp;
}

/// The operating system's clock.
#[derive(Clone, Copy, Default, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}
