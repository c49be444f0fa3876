//! The record at a place: the one way in which events are read, checked each time.

#![allow(clippy::inline_always, reason = "an event is a large value: see format/record")]

use crate::{
    disk::contract::DiskFile,
    error::{Error, Result},
    format::{
        layout::index,
        record::{self, RECORD_FIXED_BYTES, Record},
    },
    log::{
        view::{SegmentView, Source},
        window::Window,
    },
    position::LogOffset,
};

/// Reads and checks the record at a place that was published. The bytes are the map's where the segment is
/// mapped, and the window's otherwise, which must have been cleared since it was used for another segment.
#[inline(always)]
pub(crate) fn record_at<'a>(
    segment: &'a SegmentView,
    place: LogOffset,
    window: &'a mut Window,
) -> Result<Record<'a>> {
    let found = bytes_at(segment, place, window)?;
    record::decode(found).map_err(|reason| segment.corrupt(segment.file_offset(place), reason))
}

/// The bytes of the record at a place, which nothing was checked of, and in a mapped segment those behind it.
#[inline(always)]
pub(crate) fn bytes_at<'a>(
    segment: &'a SegmentView,
    place: LogOffset,
    window: &'a mut Window,
) -> Result<&'a [u8]> {
    let at = segment.file_offset(place);
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
