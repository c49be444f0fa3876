//! When a snapshot is taken: questions that are answered from values alone, without a clock or a store.

use std::{fmt::Debug, sync::Arc, time::Duration};

use crate::{position::Version, time::Timestamp};

/// What a policy decides by: a state that was just saved, or loaded for a command that led to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SnapshotMoment {
    /// The version of the state.
    pub version: Version,
    /// The version of the last snapshot of this state, and when it was saved; none: there is none that can be used.
    pub last: Option<(Version, Timestamp)>,
    /// The time now.
    pub now: Timestamp,
    /// How long it took to read and apply the events behind the snapshot, or all: what a newer one would have spared.
    /// None: no event was read, since the state wasn't loaded, or a snapshot has all of it.
    pub load_time: Option<Duration>,
    /// How many events were applied when the state was loaded: those behind the snapshot, or all.
    pub events_applied: u64,
}

impl SnapshotMoment {
    /// A state of this version, of which there is no snapshot, and which wasn't loaded.
    #[must_use]
    pub fn new(version: Version, now: Timestamp) -> Self {
        Self { version, last: None, now, load_time: None, events_applied: 0 }
    }

    /// How many events the last snapshot hasn't got; all, if there is none. Where it is 0, no policy of the crate asks
    /// for another.
    #[must_use]
    pub fn events_since_last(&self) -> u64 {
        let last = self.last.map_or(Version::NONE, |(version, _)| version);
        self.version.get().saturating_sub(last.get())
    }

    /// How old the last snapshot is; none if there is none. Zero, where the clock went back.
    #[must_use]
    pub fn age_of_last(&self) -> Option<Duration> {
        let (_, created) = self.last?;
        let micros = self.now.micros().saturating_sub(created.micros());
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}

/// Says when a snapshot is due. A [`Repository`](crate::Repository) asks it behind every save, and behind a command that led
/// to no events, was refused or was executed before; a load alone ([`load`](crate::Repository::load)) writes nothing, so
/// nobody is asked there. That goes for every policy: a state that is only ever loaded gets a snapshot by
/// [`take_snapshot`](crate::Repository::take_snapshot).
///
/// ```
/// use annals::{SnapshotMoment, SnapshotPolicy, Timestamp, Version};
///
/// /// A snapshot whenever a load had to apply this many events.
/// #[derive(Debug)]
/// struct LongLoad(u64);
///
/// impl SnapshotPolicy for LongLoad {
///     fn is_due(&self, moment: &SnapshotMoment) -> bool {
///         moment.events_applied >= self.0
///     }
/// }
///
/// let mut moment = SnapshotMoment::new(Version::new(1_200), Timestamp::from_micros(0));
/// assert!(!LongLoad(1_000).is_due(&moment));
/// moment.events_applied = 1_200;
/// assert!(LongLoad(1_000).is_due(&moment));
/// ```
pub trait SnapshotPolicy: Send + Sync + Debug {
    /// Whether a snapshot is to be taken now.
    fn is_due(&self, moment: &SnapshotMoment) -> bool;
}

/// A snapshot when so many events have come since the last one, however many of them at once; 0 says the same as 1.
///
/// ```
/// use annals::{EveryNEvents, SnapshotMoment, SnapshotPolicy, Timestamp, Version};
///
/// let mut moment = SnapshotMoment::new(Version::new(203), Timestamp::from_micros(0));
/// moment.last = Some((Version::new(98), Timestamp::from_micros(0)));
/// assert!(EveryNEvents(100).is_due(&moment));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EveryNEvents(pub u64);

impl SnapshotPolicy for EveryNEvents {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        moment.events_since_last() >= self.0.max(1)
    }
}

/// A snapshot when the last one is older than this, or there is none, and events have come since.
///
/// ```
/// use annals::{OlderThan, SnapshotMoment, SnapshotPolicy, Timestamp, Version};
/// use std::time::Duration;
///
/// let daily = OlderThan(Duration::from_hours(24));
/// assert!(daily.is_due(&SnapshotMoment::new(Version::new(3), Timestamp::from_micros(0))));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OlderThan(pub Duration);

impl SnapshotPolicy for OlderThan {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        moment.events_since_last() > 0 && moment.age_of_last().is_none_or(|age| age > self.0)
    }
}

/// A snapshot behind a load whose events took longer than this to be read and applied, where the last snapshot hasn't got all
/// of them. How long it took to find and decode that snapshot doesn't count: a newer one takes as long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowLoad(pub Duration);

impl SnapshotPolicy for SlowLoad {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        moment.events_since_last() > 0 && moment.load_time.is_some_and(|time| time > self.0)
    }
}

/// Never by itself: the program takes a snapshot where it wants one, as before a major operation.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct OnDemand;

impl SnapshotPolicy for OnDemand {
    fn is_due(&self, _moment: &SnapshotMoment) -> bool {
        false
    }
}

/// A snapshot when any of these wants one.
///
/// ```
/// use annals::{AnyOf, EveryNEvents, OlderThan, SnapshotMoment, SnapshotPolicy, Timestamp, Version};
/// use std::time::Duration;
///
/// let policy = AnyOf(vec![Box::new(EveryNEvents(100)), Box::new(OlderThan(Duration::from_hours(24)))]);
/// let mut moment = SnapshotMoment::new(Version::new(120), Timestamp::from_micros(60_000_000));
/// moment.last = Some((Version::new(50), Timestamp::from_micros(0)));
/// assert!(!policy.is_due(&moment), "70 events, one minute");
/// ```
#[derive(Debug, Default)]
pub struct AnyOf(pub Vec<Box<dyn SnapshotPolicy>>);

impl SnapshotPolicy for AnyOf {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        self.0.iter().any(|policy| policy.is_due(moment))
    }
}

impl<P: SnapshotPolicy + ?Sized> SnapshotPolicy for Box<P> {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        (**self).is_due(moment)
    }
}

impl<P: SnapshotPolicy + ?Sized> SnapshotPolicy for Arc<P> {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        (**self).is_due(moment)
    }
}
