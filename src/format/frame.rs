//! A frame: what one write and one sync carry.
//!
//! The header has a checksum of its own, so that it can be judged without the payload; it names the payload's
//! checksum, and how many of the frame's 512-byte pieces are all zero, so that a payload which never reached
//! the disk can be told from one that was damaged there (log/verdict).

use crate::{
    format::layout::{
        FRAME_ALIGNMENT, PAYLOAD_BYTES_MAX, PIECE_BYTES, align, checksum, get_u16, get_u32, get_u64, is_zero,
        layout, put_u32, put_u64,
    },
    position::{LogOffset, Position},
};

/// A header's length in bytes.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;

/// What every frame begins with: `aFRM`.
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"aFRM");

/// What a newer version may have written.
pub(crate) const UNKNOWN_KIND: &str = "a frame is of a kind that this version doesn't know";
pub(crate) const UNKNOWN_FLAG: &str = "a frame has a flag that this version doesn't know";

/// Set in frames of an opening in `Buffered` mode.
const FLAG_BUFFERED: u8 = 1;

layout! { FRAME_FIELDS, FRAME_HEADER_BYTES;
    0 4 MAGIC;
    4 4 HEADER_CRC;
    8 8 LOG_OFFSET;
    16 8 DURABLE;
    24 4 PAYLOAD_BYTES;
    28 4 PAYLOAD_CRC;
    32 4 CHAIN;
    36 4 EPOCH;
    40 8 FIRST_POSITION;
    48 4 ZERO_PIECES;
    52 1 KIND;
    53 1 FLAGS;
    54 2 RESERVED;
    56 8 STORE_ID;
}

const _: () = assert!(FRAME_HEADER_BYTES == FRAME_ALIGNMENT, "a header is never cut by a sector's end");

/// What a frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// Event records.
    Data = 1,
    /// The beginning of an opening that writes.
    Epoch = 2,
    /// The end of a segment.
    Seal = 3,
}

/// The mode of the opening that wrote a frame, as recovery needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EpochMode {
    /// Nothing in the written part changes between a write and the end of its sync.
    Fsync,
    /// Writes go on while a sync runs.
    Buffered,
}

/// A frame's header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FrameHeader {
    pub(crate) log_offset: LogOffset,
    /// How much of the log was durable when the frame was built.
    pub(crate) durable: LogOffset,
    pub(crate) payload_bytes: u32,
    pub(crate) payload_crc: u32,
    /// The header checksum of the frame before.
    pub(crate) chain: u32,
    pub(crate) epoch: u32,
    pub(crate) first_position: Position,
    pub(crate) zero_pieces: u32,
    pub(crate) kind: FrameKind,
    pub(crate) mode: EpochMode,
    pub(crate) store_id: u64,
    /// The header's own checksum, which the next frame names as its chain.
    pub(crate) crc: u32,
}

/// Why bytes aren't a header that can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum FrameFault {
    /// They are damaged, or none at all.
    Damaged(&'static str),
    /// They were written like this, since their checksum is right; but not by this version.
    NotUnderstood(&'static str),
}

impl FrameHeader {
    /// Reads a header; `Err` says why these bytes aren't one.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, FrameFault> {
        use FrameFault::{Damaged, NotUnderstood};
        if bytes.len() < FRAME_HEADER_BYTES {
            return Err(Damaged("the file ends inside a frame's header"));
        }
        let bytes = &bytes[..FRAME_HEADER_BYTES];
        if get_u32(bytes, MAGIC) != FRAME_MAGIC {
            return Err(Damaged("no frame begins here"));
        }
        let crc = get_u32(bytes, HEADER_CRC);
        if checksum(&bytes[LOG_OFFSET..]) != crc {
            return Err(Damaged("a frame header's checksum doesn't match"));
        }
        let kind = match bytes[KIND] {
            1 => FrameKind::Data,
            2 => FrameKind::Epoch,
            3 => FrameKind::Seal,
            _ => return Err(NotUnderstood(UNKNOWN_KIND)),
        };
        let mode = match bytes[FLAGS] {
            0 => EpochMode::Fsync,
            FLAG_BUFFERED => EpochMode::Buffered,
            _ => return Err(NotUnderstood(UNKNOWN_FLAG)),
        };
        let payload_bytes = get_u32(bytes, PAYLOAD_BYTES);
        if payload_bytes as usize > PAYLOAD_BYTES_MAX || get_u16(bytes, RESERVED) != 0 {
            return Err(NotUnderstood("a frame header's fields are outside their ranges"));
        }
        Ok(Self {
            log_offset: LogOffset::new(get_u64(bytes, LOG_OFFSET)),
            durable: LogOffset::new(get_u64(bytes, DURABLE)),
            payload_bytes,
            payload_crc: get_u32(bytes, PAYLOAD_CRC),
            chain: get_u32(bytes, CHAIN),
            epoch: get_u32(bytes, EPOCH),
            first_position: Position::new(get_u64(bytes, FIRST_POSITION)),
            zero_pieces: get_u32(bytes, ZERO_PIECES),
            kind,
            mode,
            store_id: get_u64(bytes, STORE_ID),
            crc,
        })
    }

    /// The whole frame's length: header, payload and padding.
    pub(crate) fn frame_bytes(&self) -> usize {
        frame_bytes(self.payload_bytes as usize)
    }

    /// Checks payload and padding, `frame` being the whole frame's bytes.
    pub(crate) fn check_payload(&self, frame: &[u8]) -> Result<(), &'static str> {
        let end = FRAME_HEADER_BYTES + self.payload_bytes as usize;
        if checksum(&frame[FRAME_HEADER_BYTES..end]) != self.payload_crc {
            return Err("a frame payload's checksum doesn't match");
        }
        if !is_zero(&frame[end..self.frame_bytes()]) {
            return Err("a frame's padding isn't zero");
        }
        Ok(())
    }
}

/// How much of the log was durable by the word of a header that is damaged, perhaps elsewhere.
pub(crate) fn seeming_durable(header: &[u8]) -> LogOffset {
    LogOffset::new(get_u64(header, DURABLE))
}

/// The length of a frame with a payload of so many bytes.
pub(crate) const fn frame_bytes(payload_bytes: usize) -> usize {
    align(FRAME_HEADER_BYTES + payload_bytes)
}

/// What the writer says of a frame; the rest follows from its bytes.
#[derive(Clone, Debug)]
pub(crate) struct FrameSpec {
    pub(crate) log_offset: LogOffset,
    pub(crate) file_offset: u64,
    pub(crate) durable: LogOffset,
    pub(crate) chain: u32,
    pub(crate) epoch: u32,
    pub(crate) first_position: Position,
    pub(crate) kind: FrameKind,
    pub(crate) mode: EpochMode,
    pub(crate) store_id: u64,
}

/// Makes a frame of a buffer that has room for the header, and the payload behind it. Returns the header's
/// checksum.
pub(crate) fn finish_frame(frame: &mut Vec<u8>, spec: &FrameSpec) -> u32 {
    let payload_bytes = frame.len() - FRAME_HEADER_BYTES;
    assert!(payload_bytes <= PAYLOAD_BYTES_MAX, "the plan keeps a frame within its bound");
    let payload_crc = checksum(&frame[FRAME_HEADER_BYTES..]);
    frame.resize(frame_bytes(payload_bytes), 0);
    let zero_pieces = zero_pieces(frame, spec.file_offset);
    let header = &mut frame[..FRAME_HEADER_BYTES];
    header.fill(0);
    put_u32(header, MAGIC, FRAME_MAGIC);
    put_u64(header, LOG_OFFSET, spec.log_offset.get());
    put_u64(header, DURABLE, spec.durable.get());
    put_u32(header, PAYLOAD_BYTES, u32::try_from(payload_bytes).expect("bounded by PAYLOAD_BYTES_MAX"));
    put_u32(header, PAYLOAD_CRC, payload_crc);
    put_u32(header, CHAIN, spec.chain);
    put_u32(header, EPOCH, spec.epoch);
    put_u64(header, FIRST_POSITION, spec.first_position.get());
    put_u32(header, ZERO_PIECES, zero_pieces);
    header[KIND] = spec.kind as u8;
    header[FLAGS] = match spec.mode {
        EpochMode::Fsync => 0,
        EpochMode::Buffered => FLAG_BUFFERED,
    };
    put_u64(header, STORE_ID, spec.store_id);
    let crc = checksum(&header[LOG_OFFSET..]);
    put_u32(header, HEADER_CRC, crc);
    crc
}

/// How many pieces of a frame are all zero: its extent cut at multiples of 512 in the file, the header's own
/// piece left out.
pub(crate) fn zero_pieces(frame: &[u8], file_offset: u64) -> u32 {
    let piece_bytes = PIECE_BYTES as u64;
    let first = usize::try_from(piece_bytes - file_offset % piece_bytes).expect("at most 512");
    let pieces = frame.get(first..).unwrap_or_default().chunks(PIECE_BYTES);
    u32::try_from(pieces.filter(|piece| is_zero(piece)).count()).expect("a frame has at most 2^26 bytes")
}
