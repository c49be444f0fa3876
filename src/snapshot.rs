//! Snapshots: the state that a stream's events lead to, kept so that not all of them have to be read again.
//!
//! A snapshot is a cache. It may be missing, old or damaged at any moment; whoever loads a state has to be able to
//! make it from the events alone.

use std::{fmt, io, path::PathBuf, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    event::ContentType,
    invalid::Invalid,
    position::{Position, Version},
    stream::{StreamId, check_name},
    time::Timestamp,
};

/// The most that a snapshot's state may have, in bytes: 64 MiB.
pub const SNAPSHOT_BYTES_MAX: usize = 64 << 20;

/// The longest name of a state's type, in bytes of UTF-8.
pub const STATE_TYPE_BYTES_MAX: usize = 1_024;

/// What a name of a state's type is called where it is refused.
const STATE_TYPE: &str = "state type";

/// A state as its program gives it. The store adds stream, version, position and time.
///
/// ```
/// use annals::{ContentType, SnapshotData};
///
/// let data = SnapshotData::json("Account", &serde_json::json!({"cents": 500}))?.with_schema_version(2);
/// assert_eq!(data.state, br#"{"cents":500}"#);
/// assert_eq!((data.content_type, data.schema_version), (ContentType::JSON, 2));
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SnapshotData {
    /// What the state is of, as `Account`: 1 to 1,024 bytes, no control characters. A stream can have snapshots of
    /// several types, which know nothing of each other.
    pub state_type: String,
    /// Which version of the state's schema this is; 1 unless said otherwise. The store never compares it: the program
    /// passes over a snapshot whose version it doesn't read any more.
    pub schema_version: u32,
    /// The state. The store never looks into it.
    pub state: Vec<u8>,
    /// How the state is written.
    pub content_type: ContentType,
}

impl SnapshotData {
    /// A state of bytes.
    pub fn new(state_type: impl Into<String>, state: impl Into<Vec<u8>>) -> Self {
        Self {
            state_type: state_type.into(),
            schema_version: 1,
            state: state.into(),
            content_type: ContentType::BYTES,
        }
    }

    /// A state as JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if `state` can't be written as JSON, such as a map whose keys aren't texts.
    pub fn json(state_type: impl Into<String>, state: &impl Serialize) -> Result<Self, Invalid> {
        let bytes =
            serde_json::to_vec(state).map_err(|error| Invalid::new("state", "", error.to_string()))?;
        Ok(Self::new(state_type, bytes).with_content_type(ContentType::JSON))
    }

    /// The same state, said to be written like this.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = content_type;
        self
    }

    /// The same state with this version of its schema.
    #[must_use]
    pub fn with_schema_version(mut self, schema_version: u32) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// Refuses what isn't stored.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        check_state_type(&self.state_type)?;
        let bytes = self.state.len();
        if bytes > SNAPSHOT_BYTES_MAX {
            return Err(Invalid::too_large("state of type", &self.state_type, bytes, SNAPSHOT_BYTES_MAX));
        }
        Ok(())
    }
}

/// The rules for the name of a state's type: those of names, but shorter.
pub(crate) fn check_state_type(state_type: &str) -> Result<(), Invalid> {
    check_name(STATE_TYPE, state_type)?;
    if state_type.len() > STATE_TYPE_BYTES_MAX {
        return Err(Invalid::too_large(STATE_TYPE, state_type, state_type.len(), STATE_TYPE_BYTES_MAX));
    }
    Ok(())
}

/// A state that was saved, and which events it is made of: those of its stream up to its version.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamId,
    /// The version of the last event that is in the state.
    pub version: Version,
    /// The position of that event.
    pub position: Position,
    /// What the state is of.
    pub state_type: String,
    /// Which version of the state's schema this is.
    pub schema_version: u32,
    /// The state, as it was given.
    pub state: Vec<u8>,
    /// How the state is written.
    pub content_type: ContentType,
    /// When it was saved.
    pub created: Timestamp,
}

impl Snapshot {
    /// The state, read as JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it isn't JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        serde_json::from_slice(&self.state)
            .map_err(|error| Invalid::new("state of type", &self.state_type, error.to_string()))
    }
}

/// What is known of a snapshot without its state.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// The stream.
    pub stream: StreamId,
    /// The version of the last event that is in the state.
    pub version: Version,
    /// The position of that event.
    pub position: Position,
    /// What the state is of.
    pub state_type: String,
    /// Which version of the state's schema this is.
    pub schema_version: u32,
    /// How long the state is, in bytes.
    pub state_bytes: u64,
    /// How the state is written.
    pub content_type: ContentType,
    /// When it was saved.
    pub created: Timestamp,
    /// Its file.
    pub path: PathBuf,
}

/// The snapshot that was looked for, and those that were passed over on the way to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SnapshotSearch {
    /// The newest one that can be used; none: begin with the first event.
    pub snapshot: Option<Snapshot>,
    /// Newer ones that can't be used, the newest first.
    pub ignored: Vec<IgnoredSnapshot>,
}

/// The snapshots there are.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct SnapshotList {
    /// Those that can be used, as far as can be told without reading their states; sorted by stream, state type and
    /// version.
    pub snapshots: Vec<SnapshotInfo>,
    /// Those that can't.
    pub ignored: Vec<IgnoredSnapshot>,
}

/// A snapshot that isn't used. Nothing is lost by it but time.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct IgnoredSnapshot {
    /// Its file, or the directory that can't be listed.
    pub path: PathBuf,
    /// The version in the file's name; none for a directory.
    pub version: Option<Version>,
    /// Why.
    pub reason: IgnoredReason,
}

/// Why a snapshot isn't used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum IgnoredReason {
    /// The stream has no event of its version: a power cut took the event, and left the snapshot.
    EventGone,
    /// The stream's event of its version is another one than it was made from.
    AnotherEvent,
    /// Its bytes aren't what was written.
    Damaged(&'static str),
    /// Another store, stream or state type wrote it.
    Foreign(&'static str),
    /// A newer version of Annals wrote it.
    NewerFormat {
        /// Its format version.
        found: u16,
        /// The newest version that this program reads.
        supported: u16,
    },
    /// The system can't read it.
    Unreadable(Arc<io::Error>),
}

impl fmt::Display for IgnoredReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventGone => formatter.write_str("the event that it was made from isn't in the log"),
            Self::AnotherEvent => {
                formatter.write_str("the log has another event in the place of the one that it was made from")
            }
            Self::Damaged(reason) => write!(formatter, "it is damaged: {reason}"),
            Self::Foreign(reason) => formatter.write_str(reason),
            Self::NewerFormat { found, supported } => {
                write!(formatter, "it has format version {found}, and this program reads up to {supported}")
            }
            Self::Unreadable(error) => write!(formatter, "it can't be read: {error}"),
        }
    }
}
