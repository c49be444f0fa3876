//! Where the log ended when a file of the index was written, as the file has it: if the log's own end is another,
//! the file is stale.

use crate::{
    format::{
        control_frame::Seal,
        frame::EpochMode,
        layout::{get_u32, get_u64, layout, put_u32, put_u64},
    },
    index::part::{IndexFault, IndexResult},
    log::scan::ChainEnd,
    position::{LogOffset, Position},
};

/// The structure's length in bytes.
pub(crate) const CHAIN_END_BYTES: usize = 40;

layout! { CHAIN_END_FIELDS, CHAIN_END_BYTES;
    0 8 FILE_OFFSET;
    8 8 NEXT_POSITION;
    16 8 LOGICAL_END;
    24 4 CHAIN;
    28 4 EPOCH;
    32 4 CHAIN_NEXT;
    36 1 MODE;
    37 1 SEALED;
    38 2 CHAIN_END_RESERVED;
}

/// An end as bytes.
pub(crate) fn encode(end: &ChainEnd) -> [u8; CHAIN_END_BYTES] {
    let mut bytes = [0; CHAIN_END_BYTES];
    put_u64(&mut bytes, FILE_OFFSET, end.file_offset);
    put_u64(&mut bytes, NEXT_POSITION, end.next_position.get());
    put_u32(&mut bytes, CHAIN, end.chain);
    put_u32(&mut bytes, EPOCH, end.epoch);
    bytes[MODE] = match end.mode {
        EpochMode::Fsync => 0,
        EpochMode::Buffered => 1,
    };
    if let Some(seal) = end.seal {
        bytes[SEALED] = 1;
        put_u64(&mut bytes, LOGICAL_END, seal.logical_end.get());
        put_u32(&mut bytes, CHAIN_NEXT, seal.chain_next);
    }
    bytes
}

/// The end that bytes of this length say.
pub(crate) fn decode(bytes: &[u8]) -> IndexResult<ChainEnd> {
    let mode = match bytes[MODE] {
        0 => EpochMode::Fsync,
        1 => EpochMode::Buffered,
        _ => return Err(IndexFault::Damaged("the mode of the log's end is unknown")),
    };
    let logical_end = LogOffset::new(get_u64(bytes, LOGICAL_END));
    let seal = Seal { logical_end, chain_next: get_u32(bytes, CHAIN_NEXT) };
    Ok(ChainEnd {
        file_offset: get_u64(bytes, FILE_OFFSET),
        chain: get_u32(bytes, CHAIN),
        epoch: get_u32(bytes, EPOCH),
        mode,
        next_position: Position::new(get_u64(bytes, NEXT_POSITION)),
        seal: (bytes[SEALED] != 0).then_some(seal),
    })
}
