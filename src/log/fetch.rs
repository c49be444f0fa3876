//! The record at a place: the one way in which events are read, checked each time.

use crate::{
    disk::contract::DiskFile,
    error::{Error, Result},
    format::{
        layout::index,
        record::{self, RECORD_FIXED_BYTES, Record},
    },
    log::{view::{SegmentView, Source}, window::Window},
    position::LogOffset,
};

/// Reads and checks the record at a place that was published. The bytes are the map's where the segment is
/// mapped, and the window's otherwise, which must have been cleared since it was used for another segment.
pub(crate) fn record_at<'a>(
    segment: &'a SegmentView,
    place: LogOffset,
    window: &'a mut Window,
) -> Result<(Record<'a>, &'a [u8])> {
    let at = segment.file_offset(place);
    let found = bytes_at(segment, at, window)?;
    let record = record::decode(found).map_err(|reason| segment.corrupt(at, reason))?;
    let length = record.bytes;
    Ok((record, &found[..length]))
}

/// Reads once more a record that [`record_at`] has just checked, with the same window.
pub(crate) fn checked_record_at<'a>(
    segment: &'a SegmentView,
    place: LogOffset,
    window: &'a mut Window,
) -> Result<Record<'a>> {
    let at = segment.file_offset(place);
    record::decode_checked(bytes_at(segment, at, window)?).map_err(|reason| segment.corrupt(at, reason))
}

/// The bytes of the record at a place, and in a mapped segment those behind it.
fn bytes_at<'a>(segment: &'a SegmentView, at: u64, window: &'a mut Window) -> Result<&'a [u8]> {
    match segment.source() {
        Source::Mapped(mapping) => Ok(mapping.published().get(index(at)..).unwrap_or_default()),
        Source::File(file) => read_record(segment, &**file, at, window),
    }
}

fn read_record<'a>(
    segment: &SegmentView,
    file: &dyn DiskFile,
    at: u64,
    window: &'a mut Window,
) -> Result<&'a [u8]> {
    let end = segment.published();
    let io = |error| Error::io("read", &segment.path, error);
    let fixed = window.get(file, at, RECORD_FIXED_BYTES, end).map_err(io)?;
    let length = record::length(fixed).map_err(|reason| segment.corrupt(at, reason))?;
    window.get(file, at, length, end).map_err(io)
}
