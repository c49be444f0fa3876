//! The file of a snapshot: a header in an envelope, and the state's bytes behind it.
//!
//! ```text
//! | envelope 20 bytes | header, up to 4,096 bytes | state, up to the file's end |
//! ```
//!
//! The envelope's checksum covers the header, and the header has the state's.

use serde::{Deserialize, Serialize};

use crate::{
    format::control::{
        ENVELOPE_BYTES, EnvelopeFault, Magic, STRUCTURE_BYTES_MAX, decode, encode, get_length,
    },
    snapshot::{SNAPSHOT_BYTES_MAX, STATE_TYPE_BYTES_MAX},
    stream::NAME_BYTES_MAX,
};

const MAGIC: Magic = *b"ANNALSNP";

/// How much of a file has to be read to have its header, in bytes.
pub(crate) const BEGINNING_BYTES_MAX: usize = ENVELOPE_BYTES + STRUCTURE_BYTES_MAX;

/// The longest file of a snapshot, in bytes.
pub(crate) const FILE_BYTES_MAX: usize = BEGINNING_BYTES_MAX + SNAPSHOT_BYTES_MAX;

/// The header without its two texts, in bytes.
const FIXED_BYTES: usize = 53;

/// What stands before a text: its length.
const LENGTH_BYTES: usize = 8;

const _: () = assert!(
    FIXED_BYTES + 2 * LENGTH_BYTES + NAME_BYTES_MAX + STATE_TYPE_BYTES_MAX <= STRUCTURE_BYTES_MAX,
    "the longest names fit a header"
);

/// What a snapshot is of, and how its state is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotHeader {
    pub(crate) store_id: u64,
    pub(crate) version: u64,
    /// Position and checksum of the event with this version: if that is another one, the state is of events that
    /// are gone.
    pub(crate) position: u64,
    pub(crate) event_checksum: u32,
    /// When it was saved: microseconds since 1970.
    pub(crate) created: i64,
    pub(crate) content_type: u8,
    pub(crate) schema_version: u32,
    pub(crate) state_bytes: u64,
    pub(crate) state_checksum: u32,
    pub(crate) stream: String,
    pub(crate) state_type: String,
}

impl SnapshotHeader {
    /// The file's beginning; the state follows.
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(MAGIC, self)
    }

    /// The header in a file's beginning, and how many bytes it has there.
    pub(crate) fn decode(beginning: &[u8]) -> Result<(Self, usize), EnvelopeFault> {
        let length = get_length(beginning).ok_or(EnvelopeFault::Damaged("its header is cut off"))?;
        Ok((decode(MAGIC, &beginning[..length])?, length))
    }
}
