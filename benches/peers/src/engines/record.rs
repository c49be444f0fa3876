//! An event as the key-value stores have it, and what their writers share.
//!
//! Three tables: events by position; a stream's number and a version give a position; a name gives a
//! stream's number. A record is
//!
//! ```text
//! id 16 | time 8, µs | stream 4 | version 4 | type's length 2 | metadata's length 4 | type | metadata | data
//! ```

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Outcome,
    payload::{EVENT_TYPE, METADATA, NewEvent, Tally},
};

const HEADER_BYTES: usize = 38;

pub(super) fn now_micros() -> Outcome<u64> {
    Ok(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

/// Writes an event's record over what the buffer held.
pub(super) fn encode(
    buffer: &mut Vec<u8>,
    event: &NewEvent,
    time: u64,
    stream: u32,
    version: u32,
) -> Outcome<()> {
    buffer.clear();
    buffer.extend_from_slice(&event.id);
    buffer.extend_from_slice(&time.to_le_bytes());
    buffer.extend_from_slice(&stream.to_le_bytes());
    buffer.extend_from_slice(&version.to_le_bytes());
    buffer.extend_from_slice(&u16::try_from(EVENT_TYPE.len())?.to_le_bytes());
    buffer.extend_from_slice(&u32::try_from(METADATA.len())?.to_le_bytes());
    buffer.extend_from_slice(EVENT_TYPE.as_bytes());
    buffer.extend_from_slice(METADATA);
    buffer.extend_from_slice(event.data());
    Ok(())
}

/// Counts a record that was read.
#[inline]
pub(super) fn tally(record: &[u8], number: u64, tally: &mut Tally) -> Outcome<()> {
    let (header, rest) = record.split_at_checked(HEADER_BYTES).ok_or("a record is too short")?;
    let type_length = usize::from(u16::from_le_bytes([header[32], header[33]]));
    let metadata_length = u32::from_le_bytes([header[34], header[35], header[36], header[37]]);
    let (event_type, rest) = rest.split_at_checked(type_length).ok_or("a type is too long")?;
    let (metadata, data) =
        rest.split_at_checked(usize::try_from(metadata_length)?).ok_or("metadata are too long")?;
    tally.add(number, event_type, metadata, data);
    Ok(())
}

/// Where a stream's event of a version is in the index: ordered by stream, then by version.
#[inline]
pub(super) fn index_key(stream: u32, version: u32) -> u64 {
    u64::from(stream) << 32 | u64::from(version)
}

/// The number of the stream in a key of the index.
#[inline]
pub(super) fn stream_of(key: u64) -> u64 {
    key >> 32
}

/// The version in a key of the index.
#[inline]
pub(super) fn version_of(key: u64) -> u64 {
    key & u64::from(u32::MAX)
}

/// What a writer remembers between transactions. It alone writes, so it needn't look these up again.
#[derive(Default)]
pub(super) struct Written {
    pub(super) last_position: u64,
    pub(super) numbers: HashMap<String, u32>,
    /// The memory of records that are being encoded.
    pub(super) buffer: Vec<u8>,
}
