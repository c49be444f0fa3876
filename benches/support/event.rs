//! The event that benchmarks append where its content doesn't matter.

use annals::{ContentType, EventData};

/// An event of 200 bytes of data and 57 of metadata.
pub(crate) fn event() -> EventData {
    EventData::new("OrderPlaced", vec![b'x'; 200]).with_metadata_bytes(vec![b'y'; 57], ContentType::BYTES)
}
