//! Everything that can go wrong, as one enum: each variant carries what its reader needs.

use std::{error, io, path::PathBuf, sync::Arc};

use crate::{
    backup_error::BackupError,
    cursor::Cursor,
    event_id::EventId,
    invalid::Invalid,
    position::{ExpectedVersion, Position, Version},
    schema_violation::SchemaViolation,
    stream::StreamId,
};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, where, and what to do. The source, where there is one, isn't part of the message.
///
/// Errors are cheap to clone: all callers of one failed write get the same.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The stream isn't at the version that the append expected. Nothing was written: read the stream again,
    /// decide again, append again.
    VersionConflict {
        /// The stream of the append.
        stream: StreamId,
        /// What the append expected.
        expected: ExpectedVersion,
        /// The stream's version; 0: it doesn't exist.
        actual: Version,
    },

    /// An append repeats only a part of an earlier one, or repeats it in another order or place. Nothing was
    /// written.
    PartialRepeat {
        /// The stream of the append.
        stream: StreamId,
        /// The first id of the append that is already there.
        id: EventId,
        /// The version of the event that has it.
        version: Version,
    },

    /// An event with this id is already there, with other content. Nothing was written.
    IdTaken {
        /// The stream of the append.
        stream: StreamId,
        /// The id.
        id: EventId,
        /// The version of the event that has it.
        version: Version,
    },

    /// One append has the same id twice. Nothing was written.
    IdTwice {
        /// The stream of the append.
        stream: StreamId,
        /// The id.
        id: EventId,
    },

    /// Some appends of a commit are already there, and others aren't. Nothing was written.
    MixedRepeat {
        /// A stream whose events are already there.
        repeated: StreamId,
        /// A stream whose events aren't.
        new: StreamId,
    },

    /// A commit names one stream twice. Nothing was written.
    StreamTwice {
        /// The stream.
        stream: StreamId,
    },

    /// The stream's name is kept for the store itself. Nothing was written.
    ReservedStream {
        /// The stream.
        stream: StreamId,
    },

    /// Another stream's name has the same hash, as one in billions of billions does. Nothing was written: give
    /// the stream another name.
    NameTaken {
        /// The stream of the append.
        stream: StreamId,
    },

    /// A value is outside its rules. Nothing was written.
    Invalid(Invalid),

    /// An event isn't as its type is registered, and the registration is enforced. Nothing was written.
    SchemaViolation(Box<SchemaViolation>),

    /// An event type is registered so that this registration would contradict it. Nothing was written.
    EventTypeConflict {
        /// The event type.
        event_type: String,
        /// The schema version that was to be registered.
        schema_version: u32,
        /// The highest schema version that is registered.
        newest: u32,
        /// How it would be registered.
        reason: &'static str,
    },

    /// The stream has no event.
    StreamNotFound {
        /// The stream.
        stream: StreamId,
    },

    /// The event that a cursor was made of isn't there, or is another one: the store has lost its last moments
    /// to a power cut (only in `Buffered` mode), or the cursor is of another store.
    CursorMismatch {
        /// The cursor.
        cursor: Cursor,
        /// The checksum of the event at its position; none: the log ends before it.
        found: Option<u32>,
        /// The position of the last event.
        last_position: Position,
    },

    /// An event has a schema version that the reader's [`Upcasters`](crate::Upcasters) don't name, though they name its type:
    /// it was written by a newer program, or a step is missing. [`Query::raw`](crate::Query::raw) reads it as it is stored.
    UnknownSchemaVersion {
        /// The event's type, as it is stored.
        event_type: String,
        /// Its schema version.
        found: u32,
        /// The newest version of the type that is named.
        newest: u32,
        /// The event's position.
        position: Position,
    },

    /// A step of the reader's [`Upcasters`](crate::Upcasters) failed, or gave an event that it doesn't declare. The event is stored
    /// as it was; [`Query::raw`](crate::Query::raw) reads it so.
    UpcastFailed {
        /// The event's type, as it is stored.
        event_type: String,
        /// Its schema version, as it is stored.
        schema_version: u32,
        /// The event's position.
        position: Position,
        /// The step: where it comes from and where it leads, as in `OrderPlaced 1 -> OrderPlaced 2`.
        step: String,
        /// What the step said.
        source: Arc<dyn error::Error + Send + Sync>,
    },

    /// There is no checkpoint of this name. Nothing was written.
    CheckpointNotFound {
        /// The checkpoint's name.
        name: String,
    },

    /// A snapshot was to be of a version that its stream hasn't reached. Nothing was written.
    SnapshotAhead {
        /// The stream.
        stream: StreamId,
        /// The version of the snapshot.
        version: Version,
        /// The stream's version; 0: it doesn't exist.
        actual: Version,
    },

    /// Another writer has the store open.
    Locked {
        /// The store's directory.
        path: PathBuf,
        /// Who has it, as far as it is known: `process 4711 (shop)`. It may be this very process: then share the store that is
        /// open, in an [`Arc`](std::sync::Arc).
        holder: String,
    },

    /// There is no store at the path.
    NotAStore {
        /// The directory that was to be opened.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },

    /// A file was written by a newer version of Annals. It wasn't touched.
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format version.
        found: u16,
        /// The newest version that this program reads.
        supported: u16,
    },

    /// Bytes of the store aren't what was written. No file was touched.
    Corrupt {
        /// The file.
        path: PathBuf,
        /// The first byte in the file that can't be trusted.
        offset: u64,
        /// What is wrong there.
        reason: String,
        /// The last position before the damage, where it is known.
        intact: Option<Position>,
    },

    /// A repair would take events out of the log, or change it, and nothing allows that. Nothing was changed.
    RepairNotAllowed {
        /// The store's directory.
        path: PathBuf,
        /// What the repair would cost.
        cost: String,
    },

    /// A repair can't make this directory a store that is whole. What it had changed before it came to that is in its folder in
    /// `quarantine/`, as it was.
    NotRepairable {
        /// The directory.
        path: PathBuf,
        /// Why, and what helps.
        reason: String,
    },

    /// A repair was stopped by its caller. Nothing of the store was changed.
    RepairStopped {
        /// The store's directory.
        path: PathBuf,
    },

    /// A follower's store isn't the one any more that it has shown: its log ends earlier, since the directory was
    /// replaced, or since a sync failed and what wasn't durable is gone. Open the follower again.
    Replaced {
        /// The store's directory.
        path: PathBuf,
    },

    /// A backup wasn't made, or not restored.
    Backup(BackupError),

    /// The operating system refused an action. Nothing of the caller's was written by it.
    Io {
        /// What was tried: `open`, `create`, `read`, …
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// A write or sync failed while the append was on its way: it may be stored or not. The store takes no
    /// more appends; reopen it and look whether the events are there (an append with ids can be repeated).
    OutcomeUnknown {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },

    /// An earlier write or sync failed, so the store takes no more appends. This one wasn't written. Reads go
    /// on; to append, reopen the store.
    Failed {
        /// The earlier failure.
        reason: Arc<str>,
    },

    /// The store was closed before the append was taken. It wasn't written.
    Closed,

    /// The queue of appends is full (only from `try_submit`). This one wasn't taken.
    QueueFull,

    /// A child that was forked from the program that opened the store tried to append. It wasn't written.
    Forked,
}

impl Error {
    /// Whether another writer was first: reloading, deciding again and appending again is the remedy.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::VersionConflict { .. })
    }

    /// Whether the store's files are damaged.
    #[must_use]
    pub fn is_corruption(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::NotRepairable { .. })
    }

    /// Bytes of a file that aren't what was written.
    pub(crate) fn corrupt(
        path: impl Into<PathBuf>,
        offset: u64,
        reason: impl Into<String>,
        intact: Option<Position>,
    ) -> Self {
        Self::Corrupt { path: path.into(), offset, reason: reason.into(), intact }
    }

    /// The error for what no repair can help.
    pub(crate) fn not_repairable(path: impl Into<PathBuf>, reason: impl Into<String>) -> Self {
        Self::NotRepairable { path: path.into(), reason: reason.into() }
    }

    /// The system's refusal of an action on a path.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source: Arc::new(source) }
    }
}

impl From<Invalid> for Error {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Io { source, .. } | Self::OutcomeUnknown { source, .. } => Some(source),
            Self::UpcastFailed { source, .. } => Some(&**source),
            _ => None,
        }
    }
}
