//! What EPOCH and SEAL frames carry.

use crate::{
    format::{
        frame::EpochMode,
        layout::{get_u32, get_u64, is_zero, layout, put_u32, put_u64},
    },
    position::LogOffset,
};

/// The length of a SEAL's payload in bytes.
pub(crate) const SEAL_BYTES: usize = 48;

/// The fixed part of an EPOCH's payload in bytes; the writer's name follows.
pub(crate) const EPOCH_BYTES: usize = 8;

/// The program and version that writes, for people who look.
const WRITER: &str = concat!("annals ", env!("CARGO_PKG_VERSION"));

layout! { SEAL_FIELDS, SEAL_BYTES;
    0 8 LOGICAL_END;
    8 4 CHAIN_NEXT;
    12 4 SEAL_RESERVED;
    16 32 SEGMENT_HASH;
}

layout! { EPOCH_FIELDS, EPOCH_BYTES;
    0 1 DURABILITY;
    1 3 EPOCH_RESERVED;
    4 4 WRITER_BYTES;
}

/// The end of a segment: what the next one goes on from, also when this one is written anew some day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seal {
    /// Where the next segment's base is.
    pub(crate) logical_end: LogOffset,
    /// The chain value that the next segment's header names.
    pub(crate) chain_next: u32,
}

impl Seal {
    pub(crate) fn encode(&self) -> [u8; SEAL_BYTES] {
        let mut payload = [0; SEAL_BYTES];
        put_u64(&mut payload, LOGICAL_END, self.logical_end.get());
        put_u32(&mut payload, CHAIN_NEXT, self.chain_next);
        payload
    }

    pub(crate) fn decode(payload: &[u8]) -> Result<Self, &'static str> {
        if payload.len() != SEAL_BYTES || !is_zero(&payload[SEAL_RESERVED..SEGMENT_HASH]) {
            return Err("a SEAL frame's payload is malformed");
        }
        Ok(Self {
            logical_end: LogOffset::new(get_u64(payload, LOGICAL_END)),
            chain_next: get_u32(payload, CHAIN_NEXT),
        })
    }
}

/// An EPOCH's payload: the mode of the opening, and who writes.
pub(crate) fn encode_epoch(mode: EpochMode) -> Vec<u8> {
    let mut payload = vec![0; EPOCH_BYTES];
    payload[DURABILITY] = match mode {
        EpochMode::Fsync => 0,
        EpochMode::Buffered => 1,
    };
    put_u32(&mut payload, WRITER_BYTES, u32::try_from(WRITER.len()).expect("a short text"));
    payload.extend_from_slice(WRITER.as_bytes());
    payload
}

/// Checks an EPOCH's payload against the mode in its frame's header.
pub(crate) fn check_epoch(payload: &[u8], mode: EpochMode) -> Result<(), &'static str> {
    let expected = encode_epoch(mode);
    let well_formed = payload.len() >= EPOCH_BYTES
        && payload[DURABILITY..WRITER_BYTES] == expected[DURABILITY..WRITER_BYTES]
        && payload.len() - EPOCH_BYTES == get_u32(payload, WRITER_BYTES) as usize;
    if well_formed { Ok(()) } else { Err("an EPOCH frame's payload is malformed") }
}
