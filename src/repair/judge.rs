//! Which events may stay in a log that is put together: those that opening takes too. A frame with any other ends the log, as one
//! that is broken does; else the repair would end with a store that is refused.

use crate::{
    format::{control_frame::Seal, frame::FrameKind, layout::bytes, segment_header::SegmentHeader},
    index::{
        key::StreamKey,
        memory::{MemoryIndex, StreamBefore},
        scanning::{add_record_behind, segment_number},
    },
    inspect::{
        newer::{WRITTEN_ANEW, is_of_newer_version},
        stream_table::StreamTable,
    },
    log::scan::ScannedFrame,
    position::Version,
};

/// A whole frame that isn't taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Refusal {
    /// Where it is refused, in the segment's file.
    pub(crate) file_offset: u64,
    pub(crate) reason: &'static str,
    /// Whether it is the backup's.
    pub(crate) is_of_backup: bool,
}

impl Refusal {
    /// Whether a newer version seems to have written it.
    pub(crate) fn is_newer(&self) -> bool {
        is_of_newer_version(self.reason)
    }
}

/// The streams so far, and those of the present segment.
#[derive(Debug)]
pub(crate) struct Judge {
    streams: StreamTable,
    segment: Option<MemoryIndex>,
}

impl Judge {
    /// Goes on from what the streams are.
    pub(crate) fn behind(streams: StreamTable) -> Self {
        Self { streams, segment: None }
    }

    /// Begins a segment.
    pub(crate) fn begin(&mut self, header: &SegmentHeader) {
        self.end();
        let number = segment_number(header.number);
        self.segment = Some(MemoryIndex::new(number, header.base, header.first_position));
    }

    /// Ends the segment that was begun last.
    fn end(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        for run in segment.streams() {
            self.streams.set(run.key(), run.version(), 0);
        }
    }

    /// What the streams are behind all that it has taken in.
    pub(crate) fn into_streams(mut self) -> StreamTable {
        self.end();
        self.streams
    }

    /// Takes in the events of a frame, or says which of them is refused. Then nothing may come behind it.
    pub(crate) fn frame(&mut self, frame: &ScannedFrame<'_>) -> Result<(), Refusal> {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        if is_seal_of_more(frame) {
            let file_offset = frame.file_offset;
            return Err(Refusal { file_offset, reason: WRITTEN_ANEW, is_of_backup: false });
        }
        let store_id = frame.header.store_id;
        for (file_offset, record) in frame.records() {
            let refusal = |reason| Refusal { file_offset, reason, is_of_backup: false };
            let record = record.map_err(refusal)?;
            u32::try_from(file_offset).map_err(|_| refusal("a segment is longer than one can be"))?;
            let before = |key| before(&self.streams, key);
            add_record_behind(segment, store_id, file_offset, &record, before).map_err(refusal)?;
        }
        Ok(())
    }
}

/// Whether a frame is a SEAL that names an end behind its own.
fn is_seal_of_more(frame: &ScannedFrame<'_>) -> bool {
    let end = frame.header.log_offset.plus(bytes(frame.header.frame_bytes()));
    let seal = if frame.header.kind == FrameKind::Seal { Seal::decode(frame.payload).ok() } else { None };
    seal.is_some_and(|seal| seal.logical_end > end)
}

/// What a stream was before the present segment.
fn before(streams: &StreamTable, key: StreamKey) -> Result<StreamBefore, &'static str> {
    let known = streams.get(key.hash);
    if known.and_then(|known| known.check).is_some_and(|check| check != key.check) {
        return Err("the names of two streams have the same hash");
    }
    Ok(StreamBefore { version: known.map_or(Version::NONE, |known| known.version), latest: 0 })
}
