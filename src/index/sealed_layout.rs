//! What an index file of a segment says of itself, and which sections it has.

use crate::{
    format::{
        layout::{get_i64, get_u32, get_u64, layout, put_i64, put_u32, put_u64},
        paged::CONTENT_BYTES,
    },
    index::{
        chain_end::{self, CHAIN_END_BYTES},
        column::Width,
        part::{IndexFault, IndexResult},
    },
    log::scan::ChainEnd,
    position::{LogOffset, Position},
    time::Timestamp,
};

layout! { SEALED_FIELDS, CONTENT_BYTES;
    0 8 BASE;
    8 8 FIRST_POSITION;
    16 8 FIRST_TIMESTAMP;
    24 8 LAST_TIMESTAMP;
    32 4 EVENTS;
    36 1 CATEGORY_BYTES;
    37 1 TYPE_BYTES;
    38 2 RESERVED;
    40 40 END;
    80 176 REST;
}

const _: () = assert!(REST - END == CHAIN_END_BYTES, "the end has its room");

/// An event's place in the segment's file: a `u32`. In bytes.
pub(crate) const OFFSET_BYTES: usize = 4;

/// A stream's run, in bytes.
pub(crate) const RUN_BYTES: usize = 16;

layout! { RUN_FIELDS, RUN_BYTES;
    0 8 STREAM_HASH;
    8 4 PREVIOUS;
    12 4 POSTINGS_START;
}

/// A category or event type, in bytes.
pub(crate) const NAME_BYTES: usize = 8;

layout! { NAME_FIELDS, NAME_BYTES;
    0 4 TEXT_START;
    4 4 NAME_EVENTS;
}

/// An id that a caller gave, in bytes.
pub(crate) const ID_BYTES: usize = 8;

layout! { ID_FIELDS, ID_BYTES;
    0 4 ID_HASH;
    4 4 FILE_OFFSET;
}

/// The sections, in the order of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SealedSection {
    Offsets = 0,
    Runs = 1,
    Postings = 2,
    Categories = 3,
    CategoryNames = 4,
    CategoryTexts = 5,
    Types = 6,
    TypeNames = 7,
    TypeTexts = 8,
    Ids = 9,
}

/// How many sections there are.
pub(crate) const SECTION_COUNT: usize = SealedSection::Ids as usize + 1;

/// What the header says beside the sections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SealedHeader {
    pub(crate) base: LogOffset,
    pub(crate) first_position: Position,
    /// Of the first and the last event; 0 where there is none.
    pub(crate) times: (Timestamp, Timestamp),
    pub(crate) events: u32,
    pub(crate) category_width: Width,
    pub(crate) type_width: Width,
    pub(crate) end: ChainEnd,
}

impl SealedHeader {
    pub(crate) fn encode(&self) -> [u8; CONTENT_BYTES] {
        let mut bytes = [0; CONTENT_BYTES];
        put_u64(&mut bytes, BASE, self.base.get());
        put_u64(&mut bytes, FIRST_POSITION, self.first_position.get());
        put_i64(&mut bytes, FIRST_TIMESTAMP, self.times.0.micros());
        put_i64(&mut bytes, LAST_TIMESTAMP, self.times.1.micros());
        put_u32(&mut bytes, EVENTS, self.events);
        bytes[CATEGORY_BYTES] = width_byte(self.category_width);
        bytes[TYPE_BYTES] = width_byte(self.type_width);
        bytes[END..REST].copy_from_slice(&chain_end::encode(&self.end));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; CONTENT_BYTES]) -> IndexResult<Self> {
        let time = |offset| Timestamp::from_micros(get_i64(bytes, offset));
        let header = Self {
            base: LogOffset::new(get_u64(bytes, BASE)),
            first_position: Position::new(get_u64(bytes, FIRST_POSITION)),
            times: (time(FIRST_TIMESTAMP), time(LAST_TIMESTAMP)),
            events: get_u32(bytes, EVENTS),
            category_width: width_of_byte(bytes[CATEGORY_BYTES])?,
            type_width: width_of_byte(bytes[TYPE_BYTES])?,
            end: chain_end::decode(&bytes[END..REST])?,
        };
        if header.first_position.plus(u64::from(header.events)) != header.end.next_position {
            return Err(IndexFault::Damaged("the count of events isn't what the log's end says"));
        }
        Ok(header)
    }
}

fn width_byte(width: Width) -> u8 {
    match width {
        Width::One => 1,
        Width::Two => 2,
        Width::Four => 4,
    }
}

fn width_of_byte(byte: u8) -> IndexResult<Width> {
    match byte {
        1 => Ok(Width::One),
        2 => Ok(Width::Two),
        4 => Ok(Width::Four),
        _ => Err(IndexFault::Damaged("a column's numbers have an unknown width")),
    }
}

/// A run of postings begins at a number, and ends where the next run begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RunItem {
    pub(crate) hash: u64,
    pub(crate) previous: u32,
    pub(crate) postings_start: u32,
}

impl RunItem {
    pub(crate) fn encode(self) -> [u8; RUN_BYTES] {
        let mut bytes = [0; RUN_BYTES];
        put_u64(&mut bytes, STREAM_HASH, self.hash);
        put_u32(&mut bytes, PREVIOUS, self.previous);
        put_u32(&mut bytes, POSTINGS_START, self.postings_start);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self {
            hash: get_u64(bytes, STREAM_HASH),
            previous: get_u32(bytes, PREVIOUS),
            postings_start: get_u32(bytes, POSTINGS_START),
        }
    }
}

/// A name's text begins at a byte, and ends where the next name's begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NameItem {
    pub(crate) text_start: u32,
    pub(crate) events: u32,
}

impl NameItem {
    pub(crate) fn encode(self) -> [u8; NAME_BYTES] {
        let mut bytes = [0; NAME_BYTES];
        put_u32(&mut bytes, TEXT_START, self.text_start);
        put_u32(&mut bytes, NAME_EVENTS, self.events);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self { text_start: get_u32(bytes, TEXT_START), events: get_u32(bytes, NAME_EVENTS) }
    }
}

/// An id's hash, and where its event's record begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IdItem {
    pub(crate) hash: u32,
    pub(crate) file_offset: u32,
}

impl IdItem {
    pub(crate) fn encode(self) -> [u8; ID_BYTES] {
        let mut bytes = [0; ID_BYTES];
        put_u32(&mut bytes, ID_HASH, self.hash);
        put_u32(&mut bytes, FILE_OFFSET, self.file_offset);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Self {
        Self { hash: get_u32(bytes, ID_HASH), file_offset: get_u32(bytes, FILE_OFFSET) }
    }
}
