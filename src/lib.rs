//! Annals: an embedded event store.

#![warn(missing_docs)]

mod disk;
mod error;
mod event;
mod format;
mod invalid;
mod metadata;
mod options;
mod position;
mod stream;
mod time;

pub use disk::contract::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, Mapping, OpenMode, SECTOR_BYTES, WriteError,
};
pub use disk::os::OsDisk;
pub use disk::sim::{
    SimDisk,
    faults::{DiskOperation, Fault, SyncFailure},
    survival::CutStyle,
};
pub use error::{Error, Result};
pub use event::{
    ContentType, EVENT_BYTES_MAX, EVENT_ID_BYTES_MAX, EventData, EventId, EventIdRef, EventRef, IdGenerator,
    StoredEvent, UuidV7,
};
pub use invalid::Invalid;
pub use metadata::Metadata;
pub use options::{Creation, Durability, Options, ReadMode, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN};
pub use position::{ExpectedVersion, Position, Version};
pub use stream::{NAME_BYTES_MAX, StreamId};
pub use time::{Clock, OccurredAt, SystemClock, Timestamp};
