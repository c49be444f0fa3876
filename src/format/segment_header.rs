//! A segment's header: the first 512 bytes of its file, written before the file has its name, and never again.

use crate::{
    format::{
        control_frame::Seal,
        frame::EpochMode,
        layout::{
            FORMAT_VERSION, PIECE_BYTES, checksum, get_u16, get_u32, get_u64, is_zero, layout, put_u16,
            put_u32, put_u64,
        },
    },
    position::{LogOffset, Position},
};

/// The header's length in bytes; the first frame stands behind it.
pub(crate) const SEGMENT_HEADER_BYTES: usize = PIECE_BYTES;

/// The furthest that a log can reach, in bytes and in events: far more than a disk holds, and far from where
/// numbers end.
pub(crate) const LOG_BYTES_MAX: u64 = 1 << 62;

/// The greatest number that a segment can have: indexes link to segments by 32 bits, one value of which says
/// that a link isn't known yet.
pub(crate) const SEGMENT_NUMBER_MAX: u64 = 0xFFFF_FFFE;

const SEGMENT_MAGIC: &[u8; 8] = b"ANNALSEG";

layout! { SEGMENT_FIELDS, SEGMENT_HEADER_BYTES;
    0 8 MAGIC;
    8 4 HEADER_CRC;
    12 2 VERSION;
    14 2 FLAGS;
    16 8 STORE_ID;
    24 8 NUMBER;
    32 4 REWRITE;
    36 4 CHAIN;
    40 8 BASE;
    48 8 FIRST_POSITION;
    56 8 DURABLE;
    64 4 EPOCH;
    68 1 MODE;
    69 443 RESERVED;
}

/// What a segment says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub(crate) store_id: u64,
    /// 1 for the first, without holes.
    pub(crate) number: u64,
    /// How often the segment was written anew (erasure, compression); 0 in this version.
    pub(crate) rewrite: u32,
    /// The chain that the first frame goes on from.
    pub(crate) chain: u32,
    /// The log offset of the file's first byte.
    pub(crate) base: LogOffset,
    pub(crate) first_position: Position,
    /// How much of the log was durable when the segment was made: all before it.
    pub(crate) durable: LogOffset,
    /// The last epoch before the segment's first frame.
    pub(crate) epoch: u32,
    pub(crate) mode: EpochMode,
}

/// Why bytes aren't the header of a segment that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SegmentHeaderFault {
    /// A newer version wrote it.
    Newer(u16),
    /// It is damaged, or none at all.
    Damaged(&'static str),
}

impl SegmentHeader {
    /// That of a log's first segment.
    pub(crate) fn first(store_id: u64, mode: EpochMode) -> Self {
        Self {
            store_id,
            number: 1,
            rewrite: 0,
            chain: 0,
            base: LogOffset::default(),
            first_position: Position::FIRST,
            durable: LogOffset::default(),
            epoch: 0,
            mode,
        }
    }

    /// Whether it is that of the segment behind a SEAL.
    pub(crate) fn is_behind(&self, seal: &Seal) -> bool {
        self.base == seal.logical_end && self.chain == seal.chain_next
    }

    /// Whether its numbers are such as a header can have.
    pub(crate) fn is_in_range(&self) -> bool {
        (1..=SEGMENT_NUMBER_MAX).contains(&self.number)
            && self.base.get() <= LOG_BYTES_MAX
            && self.durable <= self.base
            && (1..=LOG_BYTES_MAX).contains(&self.first_position.get())
    }

    /// The log offset of a place in the file.
    pub(crate) fn log_offset(&self, file_offset: u64) -> LogOffset {
        self.base.plus(file_offset)
    }

    /// The place in the file of a log offset that is in it.
    pub(crate) fn file_offset(&self, log_offset: LogOffset) -> u64 {
        log_offset.get() - self.base.get()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES];
        bytes[MAGIC..HEADER_CRC].copy_from_slice(SEGMENT_MAGIC);
        put_u16(&mut bytes, VERSION, FORMAT_VERSION);
        put_u64(&mut bytes, STORE_ID, self.store_id);
        put_u64(&mut bytes, NUMBER, self.number);
        put_u32(&mut bytes, REWRITE, self.rewrite);
        put_u32(&mut bytes, CHAIN, self.chain);
        put_u64(&mut bytes, BASE, self.base.get());
        put_u64(&mut bytes, FIRST_POSITION, self.first_position.get());
        put_u64(&mut bytes, DURABLE, self.durable.get());
        put_u32(&mut bytes, EPOCH, self.epoch);
        bytes[MODE] = match self.mode {
            EpochMode::Fsync => 0,
            EpochMode::Buffered => 1,
        };
        let crc = checksum(&bytes[VERSION..]);
        put_u32(&mut bytes, HEADER_CRC, crc);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, SegmentHeaderFault> {
        use SegmentHeaderFault::{Damaged, Newer};
        if bytes.len() < SEGMENT_HEADER_BYTES {
            return Err(Damaged("the file ends inside its header"));
        }
        let bytes = &bytes[..SEGMENT_HEADER_BYTES];
        if &bytes[MAGIC..HEADER_CRC] != SEGMENT_MAGIC {
            return Err(Damaged("the file isn't a segment"));
        }
        if checksum(&bytes[VERSION..]) != get_u32(bytes, HEADER_CRC) {
            return Err(Damaged("the segment header's checksum doesn't match"));
        }
        let version = get_u16(bytes, VERSION);
        if version > FORMAT_VERSION || get_u16(bytes, FLAGS) != 0 {
            return Err(Newer(version.max(FORMAT_VERSION + 1)));
        }
        let mode = match bytes[MODE] {
            0 => EpochMode::Fsync,
            1 => EpochMode::Buffered,
            _ => return Err(Damaged("the segment header names an unknown mode")),
        };
        let header = Self {
            store_id: get_u64(bytes, STORE_ID),
            number: get_u64(bytes, NUMBER),
            rewrite: get_u32(bytes, REWRITE),
            chain: get_u32(bytes, CHAIN),
            base: LogOffset::new(get_u64(bytes, BASE)),
            first_position: Position::new(get_u64(bytes, FIRST_POSITION)),
            durable: LogOffset::new(get_u64(bytes, DURABLE)),
            epoch: get_u32(bytes, EPOCH),
            mode,
        };
        if version == 0 || !header.is_in_range() || !is_zero(&bytes[RESERVED..]) {
            return Err(Damaged("the segment header's fields are outside their ranges"));
        }
        Ok(header)
    }
}
