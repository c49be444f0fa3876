//! Torn or corrupt: the decision about the end of the last segment, as a pure function.
//!
//! A power cut may leave any mixture of old and new sectors behind the last sync; whatever isn't such a
//! mixture is damage, and must not be repaired by cutting it off, since that would lose acknowledged events.
//! The rules rest on this: a sector is old or new, never mixed, and in `Fsync` mode no byte of the written
//! part changes between a write and the end of its sync. docs/file-format.md has the argument.

use crate::{format::frame::EpochMode, position::LogOffset};

/// How far behind the valid frames a store may have written or prepared its file, in bytes: what isn't synced in `Buffered`
/// mode, a frame, and some more.
pub(crate) const BEHIND_END_BYTES_MAX: u64 = 128 << 20;

/// What recovery saw at the end of the last segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TailFacts {
    /// The end of the longest valid chain of frames (p).
    pub(crate) chain_end: LogOffset,
    /// The end of the last byte that isn't zero (z).
    pub(crate) bytes_end: LogOffset,
    /// The greatest D that any witness names.
    pub(crate) durable: LogOffset,
    /// The mode of the epoch of the last valid frame.
    pub(crate) mode: EpochMode,
    /// What stands at the end of the chain.
    pub(crate) stop: TailStop,
}

/// What stands at the end of the chain instead of a valid frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TailStop {
    /// No header that goes on the chain; and whether the rest of its sector is zero.
    NoHeader {
        /// Whether all bytes from the chain's end to the end of their sector are zero.
        sector_is_zero: bool,
    },
    /// A header that goes on the chain, whose payload isn't what it names.
    BadPayload {
        /// How many pieces are zero.
        zero_pieces: u32,
        /// How many pieces the header says are zero.
        zero_pieces_named: u32,
    },
    /// The file ends inside of a frame, or of its header: its length didn't arrive.
    FileEnds,
    /// What was written whole, as its checksums show, and isn't understood: a newer version wrote it.
    NotUnderstood,
}

/// What to do about the tail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// Nothing stands behind the chain.
    Whole,
    /// A write that a power cut interrupted: no one was told that it is stored. It can go.
    Torn,
    /// Damage to what may have been acknowledged. Nothing may be touched.
    Corrupt(&'static str),
}

/// Decides. The order of the rules matters: the first that applies speaks.
pub(crate) fn judge(facts: &TailFacts) -> Verdict {
    if facts.durable > facts.chain_end {
        return Verdict::Corrupt("frames are missing or damaged that were durable");
    }
    if facts.bytes_end <= facts.chain_end {
        return Verdict::Whole;
    }
    if facts.bytes_end > facts.chain_end.plus(BEHIND_END_BYTES_MAX) {
        return Verdict::Corrupt("something stands further behind the frames than a store writes");
    }
    match (facts.stop, facts.mode) {
        (TailStop::NotUnderstood, _) => {
            Verdict::Corrupt("a frame was written whole, but not as this version writes them")
        }
        (TailStop::NoHeader { sector_is_zero: false }, EpochMode::Fsync) => {
            Verdict::Corrupt("a frame's header is damaged: its sector was written")
        }
        (TailStop::BadPayload { zero_pieces, zero_pieces_named }, EpochMode::Fsync)
            if zero_pieces <= zero_pieces_named =>
        {
            Verdict::Corrupt("a frame's payload is damaged: all its sectors were written")
        }
        // Something didn't arrive; or, in Buffered mode, sectors may be mixed, and say nothing.
        (TailStop::NoHeader { .. } | TailStop::BadPayload { .. } | TailStop::FileEnds, _) => Verdict::Torn,
    }
}
