//! What is whole, and seems to be of a newer version: it may have any number of events, so nobody who doesn't know them takes it
//! for damage that can be cut off.

use crate::format::{frame, record};

/// What is refused in such a case.
const REASONS: [&str; 4] =
    [frame::UNKNOWN_KIND, frame::UNKNOWN_FLAG, record::UNKNOWN_FLAG, record::UNKNOWN_EXTENSION];

/// Whether what is refused for this reason seems to be of a newer version.
pub(crate) fn is_of_newer_version(reason: &str) -> bool {
    REASONS.contains(&reason)
}
