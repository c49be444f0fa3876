//! An aggregate as it was loaded: its state, and how far its stream had come.

use std::{fmt, time::Duration};

use crate::{
    error::Error,
    invalid::Invalid,
    position::{Position, Version},
    query::AsOf,
    snapshot::{IgnoredSnapshot, Snapshot},
    stream::StreamId,
    time::Timestamp,
    typed::{aggregate::Aggregate, snapshot_policy::SnapshotMoment},
};

/// An aggregate's state, as a [`Repository`](crate::Repository) has made it of its events.
///
/// It remembers the version of its stream, which a save expects, so that nobody's events are passed over.
#[derive(Clone, Debug)]
pub struct Loaded<A> {
    pub(crate) state: A,
    pub(crate) stream: StreamId,
    pub(crate) version: Version,
    pub(crate) purpose: Purpose,
    pub(crate) snapshots: SnapshotTrail,
}

/// What an aggregate was loaded for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// A save of no events is nothing.
    Reading,
    /// A save checks the version, also where it has no events.
    Writing,
}

/// What is known of an aggregate's snapshots.
#[derive(Clone, Default, Debug)]
pub(crate) struct SnapshotTrail {
    /// The newest one that can be used.
    pub(crate) last: Option<(Version, Timestamp)>,
    pub(crate) unused: Vec<UnusedSnapshot>,
    /// Why the one that was due wasn't taken.
    pub(crate) failure: Option<Error>,
    /// How long the events took that loading applied; none if a snapshot was taken since.
    pub(crate) load_time: Option<Duration>,
    /// How many events were read and applied since that snapshot.
    pub(crate) events_applied: u64,
}

impl<A: Default> Loaded<A> {
    /// The state before the first event.
    pub(crate) fn new(stream: StreamId, purpose: Purpose) -> Self {
        let snapshots = SnapshotTrail::default();
        Self { state: A::default(), stream, version: Version::NONE, purpose, snapshots }
    }
}

impl<A: Aggregate> Loaded<A> {
    /// Takes an event in that was read.
    pub(crate) fn apply_read(&mut self, event: A::Event) {
        self.state.apply(event);
        self.snapshots.events_applied += 1;
    }
}

impl<A> Loaded<A> {
    /// The state.
    #[must_use]
    pub fn state(&self) -> &A {
        &self.state
    }

    /// The state, owned.
    #[must_use]
    pub fn into_state(self) -> A {
        self.state
    }

    /// The aggregate's stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The stream's version that the state is of; 0 before the first event.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Whether anything has happened to it.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.version > Version::NONE
    }

    /// The version of the newest snapshot of it that can be used: the one that loading began with, or that a save has
    /// taken since.
    #[must_use]
    pub fn snapshot_version(&self) -> Option<Version> {
        self.snapshots.last.map(|(version, _)| version)
    }

    /// How many events were read to come from that snapshot, or without one from nothing, to this state. Those that were
    /// saved since don't count.
    #[must_use]
    pub fn events_applied(&self) -> u64 {
        self.snapshots.events_applied
    }

    /// The snapshots that loading passed over, the newest first. Nothing is lost by them but time.
    #[must_use]
    pub fn unused_snapshots(&self) -> &[UnusedSnapshot] {
        &self.snapshots.unused
    }

    /// Why the last save, or the command that this came of, didn't take the snapshot that was due. Events are stored all the
    /// same. With the feature `tracing` operators are told too.
    #[must_use]
    pub fn snapshot_failure(&self) -> Option<&Error> {
        self.snapshots.failure.as_ref()
    }

    /// What a policy judges by.
    pub(crate) fn moment(&self, now: Timestamp) -> SnapshotMoment {
        SnapshotMoment {
            version: self.version,
            last: self.snapshots.last,
            now,
            load_time: self.snapshots.load_time,
            events_applied: self.snapshots.events_applied,
        }
    }

    /// A snapshot of the present state is there.
    pub(crate) fn note_snapshot(&mut self, snapshot: &Snapshot) {
        let SnapshotTrail { last, failure, load_time, events_applied, .. } = &mut self.snapshots;
        *last = Some((snapshot.version, snapshot.created));
        (*failure, *load_time, *events_applied) = (None, None, 0);
    }
}

/// A snapshot that a load passed over.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum UnusedSnapshot {
    /// The store can't vouch for it.
    Ignored(IgnoredSnapshot),
    /// It has another version of the state than [`Aggregate::STATE_VERSION`](crate::Aggregate::STATE_VERSION).
    OtherStateVersion {
        /// The stream's version that it is of.
        version: Version,
        /// Its version of the state.
        found: u32,
        /// The program's.
        wanted: u32,
    },
    /// Its bytes are no state of this program: it has changed, and `STATE_VERSION` wasn't raised.
    Undecodable {
        /// The stream's version that it is of.
        version: Version,
        /// Why.
        reason: Invalid,
    },
    /// Snapshots couldn't be looked for.
    Failed(Error),
}

impl fmt::Display for UnusedSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ignored(ignored) => write!(formatter, "{}: {}", ignored.path.display(), ignored.reason),
            Self::OtherStateVersion { version, found, wanted } => write!(
                formatter,
                "the snapshot of version {version} has version {found} of the state, and the program has {wanted}"
            ),
            Self::Undecodable { version, reason } => {
                write!(formatter, "the snapshot of version {version} isn't this program's: {reason}")
            }
            Self::Failed(error) => write!(formatter, "snapshots can't be looked for: {error}"),
        }
    }
}

/// A moment in a stream's life.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Moment {
    /// When the stream had this version.
    Version(Version),
    /// When the log had come this far, or at this time.
    AsOf(AsOf),
}

impl From<Version> for Moment {
    fn from(version: Version) -> Self {
        Self::Version(version)
    }
}

impl From<Position> for Moment {
    fn from(position: Position) -> Self {
        Self::AsOf(position.into())
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self::AsOf(time.into())
    }
}

impl From<AsOf> for Moment {
    fn from(moment: AsOf) -> Self {
        Self::AsOf(moment)
    }
}
