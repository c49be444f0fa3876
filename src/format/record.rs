//! An event's record: readable on its own from its offset, checked on every read.
//!
//! The caller's thread encodes all that the caller knows; the writer's thread stamps what only it knows
//! (position, version, timestamp, ends) and the checksum.

#![allow(
    clippy::inline_always,
    reason = "an event is a large value: it is made where it is wanted, and not copied from one function to the next"
)]

use uuid::Uuid;

use crate::{
    event::{ContentType, EVENT_BYTES_MAX, EventData, EventRef},
    event_id::{EVENT_ID_BYTES_MAX, EventId, EventIdRef},
    format::layout::{
        RECORD_BYTES_MAX, bytes, checksum, get_i64, get_u16, get_u32, get_u64, layout, put_i64, put_u16,
        put_u32, put_u64,
    },
    invalid::Invalid,
    position::{Position, Version},
    stream::{StreamId, check_name, is_system},
    time::{OccurredAt, Timestamp},
};

#[cfg(test)]
mod tests;

/// The fixed part's length in bytes.
pub(crate) const RECORD_FIXED_BYTES: usize = 56;

/// The length of the time at which an event occurred, in bytes: microseconds and the zone's minutes.
const OCCURRED_AT_BYTES: usize = 10;

/// The length of a UUID in bytes.
const UUID_BYTES: usize = 16;

/// The length of what an extension begins with, in bytes: its type and length, u16 each.
const EXTENSION_HEADER_BYTES: usize = 4;

/// The most that stands in a record up to the end of its id, in bytes.
pub(crate) const ID_END_BYTES_MAX: usize = RECORD_FIXED_BYTES + OCCURRED_AT_BYTES + EVENT_ID_BYTES_MAX;

/// What a newer version may have written.
pub(crate) const UNKNOWN_FLAG: &str = "an event record has a flag that this version doesn't know";
pub(crate) const UNKNOWN_EXTENSION: &str = "an event record has an extension that this version doesn't know";

const FLAG_ID_GIVEN: u16 = 1;
const FLAG_LAST_OF_APPEND: u16 = 1 << 1;
const FLAG_LAST_OF_COMMIT: u16 = 1 << 2;
const FLAG_OCCURRED_AT: u16 = 1 << 3;
const FLAG_ID_IS_TEXT: u16 = 1 << 4;
const FLAGS_KNOWN: u16 = (1 << 5) - 1;
const FLAGS_OF_ENDS: u16 = FLAG_LAST_OF_APPEND | FLAG_LAST_OF_COMMIT;

layout! { RECORD_FIELDS, RECORD_FIXED_BYTES;
    0 4 LENGTH;
    4 4 CRC;
    8 8 POSITION;
    16 8 VERSION;
    24 8 TIMESTAMP;
    32 2 FLAGS;
    34 1 CONTENT_TYPE;
    35 1 METADATA_CONTENT_TYPE;
    36 4 SCHEMA_VERSION;
    40 4 DATA_BYTES;
    44 4 METADATA_BYTES;
    48 2 STREAM_BYTES;
    50 2 TYPE_BYTES;
    52 2 EXTENSIONS_BYTES;
    54 1 ID_BYTES;
    55 1 RESERVED;
}

/// Where the parts that a repetition has to have in common begin: behind what the writer stamps.
const CONTENT: usize = CONTENT_TYPE;

/// Who made an event's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IdOrigin {
    /// The caller: the store remembers it, so that a repeated append is recognised.
    Caller,
    /// The store.
    Store,
}

/// What ends with an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecordEnd {
    /// Nothing: more events of the same append follow.
    None,
    /// Its append; more appends of the same commit follow.
    Append,
    /// Its append and its commit.
    Commit,
}

/// What only the writer knows of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) position: Position,
    pub(crate) version: Version,
    pub(crate) timestamp: Timestamp,
    pub(crate) end: RecordEnd,
}

/// A record that was read: the event, and what stands beside it.
#[derive(Clone, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) event: EventRef<'a>,
    pub(crate) id_origin: IdOrigin,
    /// The record itself.
    pub(crate) bytes: &'a [u8],
}

/// Appends an event's record to a buffer, all but the stamp.
pub(crate) fn encode(
    buffer: &mut Vec<u8>,
    stream: &StreamId,
    event: &EventData,
    id: &EventId,
    id_origin: IdOrigin,
) -> Result<(), Invalid> {
    check_name("event type", &event.event_type)?;
    let size = event.data.len().saturating_add(event.metadata.len());
    if size > EVENT_BYTES_MAX {
        return Err(Invalid::too_large("event of type", &event.event_type, size, EVENT_BYTES_MAX));
    }
    let flag_if = |is_set, flag| if is_set { flag } else { 0 };
    let flags = flag_if(id_origin == IdOrigin::Caller, FLAG_ID_GIVEN)
        | flag_if(id.as_uuid().is_none(), FLAG_ID_IS_TEXT)
        | flag_if(event.occurred_at.is_some(), FLAG_OCCURRED_AT);
    let id = id.as_bytes();
    let (stream, event_type) = (stream.as_str().as_bytes(), event.event_type.as_bytes());
    let names_bytes = stream.len() + event_type.len();
    let length = RECORD_FIXED_BYTES + occurred_at_bytes(flags) + id.len() + names_bytes + size;
    let mut fixed = [0; RECORD_FIXED_BYTES];
    put_u32(&mut fixed, LENGTH, u32_of(length));
    put_u16(&mut fixed, FLAGS, flags);
    fixed[CONTENT_TYPE] = event.content_type.number();
    fixed[METADATA_CONTENT_TYPE] = event.metadata_content_type.number();
    put_u32(&mut fixed, SCHEMA_VERSION, event.schema_version);
    put_u32(&mut fixed, DATA_BYTES, u32_of(event.data.len()));
    put_u32(&mut fixed, METADATA_BYTES, u32_of(event.metadata.len()));
    put_u16(&mut fixed, STREAM_BYTES, u16_of(stream.len()));
    put_u16(&mut fixed, TYPE_BYTES, u16_of(event_type.len()));
    fixed[ID_BYTES] = u8::try_from(id.len()).expect("an id has at most 255 bytes");
    let start = buffer.len();
    buffer.reserve(length);
    buffer.extend_from_slice(&fixed);
    if let Some(occurred_at) = event.occurred_at {
        buffer.extend_from_slice(&occurred_at.time.micros().to_le_bytes());
        buffer.extend_from_slice(&occurred_at.offset_minutes.to_le_bytes());
    }
    for part in [id, stream, event_type, &event.metadata, &event.data] {
        buffer.extend_from_slice(part);
    }
    assert_eq!(buffer.len() - start, length, "a record's parts add up to its length");
    Ok(())
}

fn u32_of(length: usize) -> u32 {
    u32::try_from(length).expect("bounded by RECORD_BYTES_MAX")
}

fn u16_of(length: usize) -> u16 {
    u16::try_from(length).expect("bounded by NAME_BYTES_MAX")
}

/// Adds to an encoded record what only the writer knows, and its checksum.
pub(crate) fn stamp(record: &mut [u8], stamp: &Stamp) {
    put_u64(record, POSITION, stamp.position.get());
    put_u64(record, VERSION, stamp.version.get());
    put_i64(record, TIMESTAMP, stamp.timestamp.micros());
    let ends = match stamp.end {
        RecordEnd::None => 0,
        RecordEnd::Append => FLAG_LAST_OF_APPEND,
        RecordEnd::Commit => FLAGS_OF_ENDS,
    };
    let flags = get_u16(record, FLAGS) & !FLAGS_OF_ENDS | ends;
    put_u16(record, FLAGS, flags);
    let crc = checksum(&record[POSITION..]);
    put_u32(record, CRC, crc);
}

/// The length of the record at the beginning of `bytes`, if that can be one's.
pub(crate) fn length(bytes: &[u8]) -> Result<usize, &'static str> {
    if bytes.len() < RECORD_FIXED_BYTES {
        return Err("an event record is cut off");
    }
    let length = get_u32(bytes, LENGTH) as usize;
    if !(RECORD_FIXED_BYTES..=RECORD_BYTES_MAX).contains(&length) {
        return Err("an event record's length is outside its range");
    }
    Ok(length)
}

/// The position that the record at the beginning of `bytes` says, which has its fixed part.
pub(crate) fn position(bytes: &[u8]) -> Position {
    Position::new(get_u64(bytes, POSITION))
}

/// The records in a buffer that this program encoded itself, one after the other.
pub(crate) fn split(mut encoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if encoded.is_empty() {
            return None;
        }
        let (record, rest) = encoded.split_at(get_u32(encoded, LENGTH) as usize);
        encoded = rest;
        Some(record)
    })
}

/// Whether an encoded record has an id of its caller's; then also the id's bytes, with its form.
pub(crate) fn given_id(record: &[u8]) -> Option<(&[u8], IdForm)> {
    let flags = get_u16(record, FLAGS);
    (flags & FLAG_ID_GIVEN != 0).then(|| {
        let start = RECORD_FIXED_BYTES + occurred_at_bytes(flags);
        let form = if flags & FLAG_ID_IS_TEXT == 0 { IdForm::Uuid } else { IdForm::Text };
        (&record[start..start + usize::from(record[ID_BYTES])], form)
    })
}

/// The event type in a record that this program encoded, in UTF-8.
pub(crate) fn event_type(record: &[u8]) -> &[u8] {
    let flags = get_u16(record, FLAGS);
    let start = RECORD_FIXED_BYTES
        + occurred_at_bytes(flags)
        + usize::from(record[ID_BYTES])
        + usize::from(get_u16(record, STREAM_BYTES));
    &record[start..start + usize::from(get_u16(record, TYPE_BYTES))]
}

/// How an id is written: a text of 16 bytes is never the same as a UUID.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum IdForm {
    /// 16 bytes.
    Uuid,
    /// UTF-8.
    Text,
}

/// Whether two records say the same, but for what the writer stamped.
pub(crate) fn same_content(one: &[u8], other: &[u8]) -> bool {
    let flags = |record: &[u8]| get_u16(record, FLAGS) & !FLAGS_OF_ENDS;
    flags(one) == flags(other) && one[CONTENT..] == other[CONTENT..]
}

fn occurred_at_bytes(flags: u16) -> usize {
    if flags & FLAG_OCCURRED_AT == 0 { 0 } else { OCCURRED_AT_BYTES }
}

/// Reads the record at the beginning of `bytes`, and checks it.
#[inline(always)]
pub(crate) fn decode(bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    let record = whole(bytes)?;
    check_whole(record)?;
    decode_whole(record)
}

/// What of a record shows that it goes on from those before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    pub(crate) position: Position,
    pub(crate) end: RecordEnd,
    pub(crate) bytes: usize,
}

/// Compares the checksum of the record at the beginning of `bytes`. Its parts are checked by who reads them.
pub(crate) fn check(bytes: &[u8]) -> Result<Checked, &'static str> {
    let record = whole(bytes)?;
    let end = check_whole(record)?;
    Ok(Checked { position: Position::new(get_u64(record, POSITION)), end, bytes: record.len() })
}

/// Reads the record at the beginning of `bytes`, whose checksum was compared before.
pub(crate) fn decode_checked(bytes: &[u8]) -> Result<Record<'_>, &'static str> {
    decode_whole(whole(bytes)?)
}

/// The record at the beginning of `bytes`, as its length says.
#[inline]
fn whole(bytes: &[u8]) -> Result<&[u8], &'static str> {
    bytes.get(..length(bytes)?).ok_or("an event record is cut off")
}

#[inline(always)]
fn check_whole(record: &[u8]) -> Result<RecordEnd, &'static str> {
    if checksum(&record[POSITION..]) != get_u32(record, CRC) {
        return Err("an event record's checksum doesn't match");
    }
    decode_end(get_u16(record, FLAGS))
}

#[inline(always)]
fn decode_whole(record: &[u8]) -> Result<Record<'_>, &'static str> {
    const UNEVEN: &str = "an event record's parts don't add up to its length";
    let flags = get_u16(record, FLAGS);
    if flags & !FLAGS_KNOWN != 0 || record[RESERVED] != 0 {
        return Err(UNKNOWN_FLAG);
    }
    let mut parts = Parts { rest: &record[RECORD_FIXED_BYTES..] };
    let occurred_at = match occurred_at_bytes(flags) {
        0 => None,
        count => Some(decode_occurred_at(parts.take(count)?)),
    };
    let id = decode_id(parts.take(usize::from(record[ID_BYTES]))?, flags)?;
    let (stream_bytes, type_bytes) =
        (usize::from(get_u16(record, STREAM_BYTES)), usize::from(get_u16(record, TYPE_BYTES)));
    if stream_bytes == 0 || type_bytes == 0 {
        return Err(UNEVEN);
    }
    // Both at once, which costs less than one after the other; neither may end within a character.
    let names = str::from_utf8(parts.take(stream_bytes + type_bytes)?).ok();
    let (stream, event_type) =
        names.and_then(|names| names.split_at_checked(stream_bytes)).ok_or("a name isn't UTF-8")?;
    let metadata_bytes = parts.take(get_u32(record, METADATA_BYTES) as usize)?;
    let data = parts.take(get_u32(record, DATA_BYTES) as usize)?;
    check_extensions(parts.take(usize::from(get_u16(record, EXTENSIONS_BYTES)))?)?;
    if !parts.rest.is_empty() {
        return Err(UNEVEN);
    }
    let event = EventRef {
        position: Position::new(get_u64(record, POSITION)),
        stream,
        version: Version::new(get_u64(record, VERSION)),
        id,
        event_type,
        timestamp: Timestamp::from_micros(get_i64(record, TIMESTAMP)),
        occurred_at,
        schema_version: get_u32(record, SCHEMA_VERSION),
        data,
        content_type: ContentType::new(record[CONTENT_TYPE]),
        metadata_bytes,
        metadata_content_type: ContentType::new(record[METADATA_CONTENT_TYPE]),
        checksum: get_u32(record, CRC),
    };
    let id_origin = if flags & FLAG_ID_GIVEN == 0 { IdOrigin::Store } else { IdOrigin::Caller };
    Ok(Record { event, id_origin, bytes: record })
}

/// What a record seems to say, not checked in any way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peek<'a> {
    pub(crate) stream: &'a [u8],
    pub(crate) event_type: &'a [u8],
    pub(crate) metadata: &'a [u8],
}

/// Looks at the record at the beginning of `bytes` without checking it; none if it can't be one. Who passes over a
/// record for what is seen here checks it first, and who takes it does so as always.
pub(crate) fn peek(bytes: &[u8]) -> Option<Peek<'_>> {
    let record = bytes.get(..length(bytes).ok()?)?;
    let before = occurred_at_bytes(get_u16(record, FLAGS)) + usize::from(record[ID_BYTES]);
    let mut parts = Parts { rest: record[RECORD_FIXED_BYTES..].get(before..)? };
    Some(Peek {
        stream: parts.take(usize::from(get_u16(record, STREAM_BYTES))).ok()?,
        event_type: parts.take(usize::from(get_u16(record, TYPE_BYTES))).ok()?,
        metadata: parts.take(get_u32(record, METADATA_BYTES) as usize).ok()?,
    })
}

/// The stream that a record seems to have whose bytes are damaged, or cut off behind its names; not checked in any way.
pub(crate) fn peek_stream(bytes: &[u8]) -> Option<&[u8]> {
    let fixed = bytes.first_chunk::<RECORD_FIXED_BYTES>()?;
    let before = occurred_at_bytes(get_u16(fixed, FLAGS)) + usize::from(fixed[ID_BYTES]);
    let mut parts = Parts { rest: bytes[RECORD_FIXED_BYTES..].get(before..)? };
    parts.take(usize::from(get_u16(fixed, STREAM_BYTES))).ok()
}

/// The position and the id that a record seems to have whose bytes are damaged, and where the id ends. All that is checked of them is
/// that the lengths of its parts add up to its own: where they don't, one of them is damaged, perhaps the id's.
pub(crate) fn peek_id(content: &[u8]) -> Option<(Position, EventIdRef<'_>, usize)> {
    let fixed = content.first_chunk::<RECORD_FIXED_BYTES>()?;
    let flags = get_u16(fixed, FLAGS);
    let start = RECORD_FIXED_BYTES + occurred_at_bytes(flags);
    let end = start + usize::from(fixed[ID_BYTES]);
    let small = [STREAM_BYTES, TYPE_BYTES, EXTENSIONS_BYTES].map(|field| u64::from(get_u16(fixed, field)));
    let large = [METADATA_BYTES, DATA_BYTES].map(|field| u64::from(get_u32(fixed, field)));
    if bytes(end) + small.iter().chain(&large).sum::<u64>() != u64::from(get_u32(fixed, LENGTH)) {
        return None;
    }
    let id = decode_id(content.get(start..end)?, flags).ok()?;
    Some((Position::new(get_u64(fixed, POSITION)), id, end))
}

/// Whether the record at the beginning of `bytes` seems to be an event of the store's own streams, not checked in any way.
#[inline]
pub(crate) fn seems_of_system_stream(bytes: &[u8]) -> bool {
    bytes.first_chunk::<RECORD_FIXED_BYTES>().is_some_and(|fixed| {
        let before = occurred_at_bytes(get_u16(fixed, FLAGS)) + usize::from(fixed[ID_BYTES]);
        bytes.get(RECORD_FIXED_BYTES + before..).is_some_and(is_system)
    })
}

fn decode_end(flags: u16) -> Result<RecordEnd, &'static str> {
    match flags & FLAGS_OF_ENDS {
        0 => Ok(RecordEnd::None),
        FLAG_LAST_OF_APPEND => Ok(RecordEnd::Append),
        FLAGS_OF_ENDS => Ok(RecordEnd::Commit),
        _ => Err("an event record ends a commit but not its append"),
    }
}

fn decode_occurred_at(bytes: &[u8]) -> OccurredAt {
    OccurredAt {
        time: Timestamp::from_micros(get_i64(bytes, 0)),
        offset_minutes: get_u16(bytes, 8).cast_signed(),
    }
}

fn decode_id(bytes: &[u8], flags: u16) -> Result<EventIdRef<'_>, &'static str> {
    if flags & FLAG_ID_IS_TEXT != 0 {
        let text = std::str::from_utf8(bytes).map_err(|_| "an event's id isn't UTF-8")?;
        return if text.is_empty() { Err("an event's id is empty") } else { Ok(EventIdRef::Text(text)) };
    }
    let bytes: [u8; UUID_BYTES] = bytes.try_into().map_err(|_| "an event's UUID hasn't 16 bytes")?;
    Ok(EventIdRef::Uuid(Uuid::from_bytes(bytes)))
}

/// This version knows no extension. Those of even types may be passed over; the others change what the event
/// means, and must not be.
fn check_extensions(mut block: &[u8]) -> Result<(), &'static str> {
    while !block.is_empty() {
        if block.len() < EXTENSION_HEADER_BYTES {
            return Err("an event record's extension is cut off");
        }
        let (kind, length) = (get_u16(block, 0), usize::from(get_u16(block, 2)));
        if kind % 2 == 1 {
            return Err(UNKNOWN_EXTENSION);
        }
        let end = EXTENSION_HEADER_BYTES + length;
        block = block.get(end..).ok_or("an event record's extension is cut off")?;
    }
    Ok(())
}

/// What is left of a record's variable part.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (part, rest) =
            self.rest.split_at_checked(count).ok_or("an event record's parts are longer than it")?;
        self.rest = rest;
        Ok(part)
    }
}
