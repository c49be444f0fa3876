//! What a verification says: what is whole, what is damaged, and which events that concerns.

use std::{
    fmt,
    ops::{ControlFlow, Deref},
    path::PathBuf,
    slice, vec,
};

use crate::{
    event_id::EventId,
    position::{Position, Version},
    stream::StreamId,
};

/// How many entries a list of a [`Verification`] names at most; what is beyond is counted.
pub const LISTED_MAX: usize = 10_000;

/// A list that is bounded: the first [`LISTED_MAX`] things, and how many there are.
///
/// It is a slice of those that are named; [`total`](Self::total) counts the others too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed<T> {
    items: Vec<T>,
    total: u64,
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { items: Vec::new(), total: 0 }
    }
}

impl<T> Listed<T> {
    /// How many there are, those among them that aren't named.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// How many aren't named.
    #[must_use]
    pub fn unnamed(&self) -> u64 {
        self.total - self.items.len() as u64
    }

    pub(crate) fn push(&mut self, item: T) {
        if self.items.len() < LISTED_MAX {
            self.items.push(item);
        }
        self.total += 1;
    }

    pub(crate) fn sort_by(&mut self, compare: impl FnMut(&T, &T) -> std::cmp::Ordering) {
        self.items.sort_by(compare);
    }

    /// The one that was added last; none where it isn't named.
    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        if self.unnamed() == 0 { self.items.last_mut() } else { None }
    }

    pub(crate) fn items_mut(&mut self) -> slice::IterMut<'_, T> {
        self.items.iter_mut()
    }
}

impl<T> Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<T> IntoIterator for Listed<T> {
    type Item = T;
    type IntoIter = vec::IntoIter<T>;

    fn into_iter(self) -> vec::IntoIter<T> {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Listed<T> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.items.iter()
    }
}

/// How far a verification, a backup or a restore is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// How much of the log is done, in bytes.
    pub bytes: u64,
    /// How much there is to do, in bytes.
    pub bytes_total: u64,
}

/// Who is told how far it is, and says whether it goes on.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// How far the log was looked at.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum Extent {
    /// To its end: nobody was writing.
    #[default]
    Whole,
    /// Up to what a writer had committed when the verification came there; the writer may have gone on since.
    Committed,
    /// Up to where the caller stopped it. Snapshots and checkpoints weren't looked at, and streams are counted up to the last segment
    /// that was read to its end.
    Stopped,
}

/// Positions without a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PositionRange {
    /// The first one.
    pub first: Position,
    /// The last one; none: nobody knows where they end.
    pub last: Option<Position>,
}

impl PositionRange {
    pub(crate) fn new(first: Position, last: Option<Position>) -> Self {
        Self { first, last }
    }

    /// How many there are, where that is known.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        self.last.map(|last| last.get() + 1 - self.first.get())
    }

    /// Whether a position is among them.
    #[must_use]
    pub fn contains(&self, position: Position) -> bool {
        self.first <= position && self.last.is_none_or(|last| position <= last)
    }
}

impl fmt::Display for PositionRange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) if last == self.first => self.first.fmt(formatter),
            Some(last) => write!(formatter, "{} to {last}", self.first),
            None => write!(formatter, "{} to an end that isn't known", self.first),
        }
    }
}

/// Versions of a stream whose events can't be read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LostVersions {
    /// The stream; none where no event of it that tells its name can be read.
    pub stream: Option<StreamId>,
    /// What the index knows the stream by: a hash of its name, seeded with the store's id.
    pub stream_hash: u64,
    /// The first version that is lost.
    pub first: Version,
    /// The last one of those behind it.
    pub last: Version,
}

/// An event that can't be read, and the id that what is left of its bytes shows.
///
/// No checksum vouches for it any more: the id itself may be what is damaged.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LostId {
    /// The event's position.
    pub position: Position,
    /// The id that it seems to have.
    pub seeming_id: EventId,
}

impl fmt::Display for LostId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "id {} at position {}", self.seeming_id, self.position)
    }
}

/// A place where bytes of the log, or of `store.meta`, aren't what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The first byte in the file that can't be trusted.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
    /// The last position before the damage, where it is known.
    pub intact: Option<Position>,
    /// How many events can't be read because of it; none: that isn't known.
    pub events_lost: Option<u64>,
}

impl Damage {
    pub(crate) fn new(
        path: impl Into<PathBuf>,
        offset: u64,
        reason: impl Into<String>,
        intact: Option<Position>,
    ) -> Self {
        Self { path: path.into(), offset, reason: reason.into(), intact, events_lost: Some(0) }
    }
}

/// What a finding is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum FindingKind {
    /// The index file of a segment.
    Index,
    /// `streams.dir`.
    Directory,
    /// `durable.mark`.
    Mark,
    /// A snapshot.
    Snapshot,
    /// A checkpoint.
    Checkpoint,
    /// Something that wasn't compared, since there is too much of it.
    Unchecked,
}

impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Index => "index",
            Self::Directory => "directory",
            Self::Mark => "mark",
            Self::Snapshot => "snapshot",
            Self::Checkpoint => "checkpoint",
            Self::Unchecked => "unchecked",
        })
    }
}

/// Something beside the events that isn't as it should be. No event is lost by it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// The file that has it.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self { kind, path: path.into(), reason: reason.into() }
    }

    /// What comes of it, and what is to be done.
    #[must_use]
    pub fn consequence(&self) -> &'static str {
        match self.kind {
            FindingKind::Index | FindingKind::Directory => "it is made anew from the log when it is needed",
            FindingKind::Mark => "the next opening for writing writes it again",
            FindingKind::Snapshot => "it is ignored; it can be deleted",
            FindingKind::Checkpoint => {
                "its consumer is refused when it goes on from there; save it anew, or delete it"
            }
            FindingKind::Unchecked => "nothing is known of them; each is checked when it is used",
        }
    }
}

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Verification {
    /// How far the log was looked at.
    pub extent: Extent,
    /// How many segments were read.
    pub segments: u64,
    /// How many frames are valid.
    pub frames: u64,
    /// How many events are valid.
    pub events: u64,
    /// How many streams they belong to.
    pub streams: u64,
    /// How much of the log was read, in bytes.
    pub bytes: u64,
    /// The position of the last valid event.
    pub last_position: Position,
    /// How many bytes a write left that a power cut or crash interrupted; no one was told that it is stored,
    /// and the next opening clears them away.
    pub interrupted_bytes: u64,
    /// How many index files were compared with the log, the stream directory among them.
    pub index_files: u64,
    /// How many snapshots were compared with the log.
    pub snapshots: u64,
    /// How many checkpoints were compared with the log.
    pub checkpoints: u64,
    /// Where the log isn't what was written; empty: nowhere.
    pub damage: Listed<Damage>,
    /// How many events can't be read; none: that isn't known.
    pub events_lost: Option<u64>,
    /// The positions of the events that can't be read.
    pub lost: Listed<PositionRange>,
    /// The positions of those that can.
    pub intact: Listed<PositionRange>,
    /// The streams and versions of the events that can't be read, as far as they are known: by the versions of what follows,
    /// by index files and by the stream directory.
    pub lost_versions: Listed<LostVersions>,
    /// The ids that the events which can't be read seem to have, by position; of those alone whose bytes still show one.
    pub lost_ids: Listed<LostId>,
    /// What is wrong with what is made of the log, and beside it. It is no damage to events.
    pub findings: Listed<Finding>,
}

impl Verification {
    /// Whether nothing of the log is damaged, as far as it was looked at ([`extent`](Self::extent)).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }
}
