//! What is whole, and seems to be of a newer version: it may have any number of events, so nobody who doesn't know them takes it
//! for damage that can be cut off.

use crate::{
    format::{frame, record},
    log::{recovery::FIRST_EVENTS_DROPPED, scan::ChainEnd, segment::Segment},
};

/// A segment that is shorter than it was: newer versions may write segments anew, and this one can't read such.
pub(crate) const WRITTEN_ANEW: &str = "the segment was written anew, and is shorter than it was";

/// What is refused in such a case.
const REASONS: [&str; 6] = [
    frame::UNKNOWN_KIND,
    frame::UNKNOWN_FLAG,
    record::UNKNOWN_FLAG,
    record::UNKNOWN_EXTENSION,
    WRITTEN_ANEW,
    FIRST_EVENTS_DROPPED,
];

/// Whether what is refused for this reason seems to be of a newer version.
pub(crate) fn is_of_newer_version(reason: &str) -> bool {
    REASONS.contains(&reason)
}

/// Whether a segment's SEAL names an end behind that of its file.
pub(crate) fn is_shorter_than_it_was(segment: &Segment, end: &ChainEnd) -> bool {
    end.seal.is_some_and(|seal| segment.prepared() < segment.file_offset(seal.logical_end))
}
