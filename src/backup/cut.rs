//! Where a log ends as of a moment: behind the last commit that was whole then.

use crate::{
    backup::transfer::broken,
    error::{Error, Result},
    format::{
        frame::{FRAME_HEADER_BYTES, FrameKind, FrameSpec, finish_frame},
        layout::{bytes, index},
        record::{self, Record, RecordEnd},
        segment_header::SEGMENT_HEADER_BYTES,
    },
    log::{
        scan::{Scan, ScannedFrame, WholeFrame},
        segment::Segment,
        visiting::visit_frame,
    },
    position::Position,
    query::AsOf,
};

/// Where a restored log ends in a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cut {
    /// So much of the file is wanted as it is, in bytes.
    pub(crate) whole_bytes: u64,
    /// So much of the payload of the DATA frame behind is wanted too, in bytes: some of its commits.
    pub(crate) part_bytes: Option<usize>,
}

/// How much is wanted of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    All,
    /// So many bytes of the payload.
    Part(usize),
    Nothing,
}

/// Finds the cut in a segment of which so many bytes count. If the moment is behind all of its events, that is behind the last
/// of them.
pub(crate) fn find_cut(segment: &Segment, bytes_max: u64, moment: AsOf) -> Result<Cut> {
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::until(&*segment.file, &segment.header, bytes_max).map_err(io)?;
    let mut cut = Cut { whole_bytes: bytes(SEGMENT_HEADER_BYTES), part_bytes: None };
    // What stands behind the last event that is wanted isn't looked at: it may be damaged.
    while scan.end().file_offset < bytes_max && is_wanted(scan.end().next_position, moment) {
        let frame = match scan.next_frame().map_err(io)? {
            Ok(frame) => frame,
            Err(stop) => return Err(broken(segment, &scan.end(), stop.reason)),
        };
        let (kind, file_offset) = (frame.header.kind, frame.file_offset);
        let frame_bytes = bytes(frame.header.frame_bytes());
        match wanted_of(segment, &frame, moment)? {
            // What isn't events counts if events come behind it.
            Wanted::All if kind == FrameKind::Data => cut.whole_bytes = file_offset + frame_bytes,
            Wanted::All => {}
            Wanted::Part(part_bytes) => {
                return Ok(Cut { whole_bytes: file_offset, part_bytes: Some(part_bytes) });
            }
            Wanted::Nothing => return Ok(cut),
        }
    }
    Ok(cut)
}

/// Whether an event of this position may be wanted.
fn is_wanted(position: Position, moment: AsOf) -> bool {
    match moment {
        AsOf::Position(last) => position <= last,
        AsOf::Time(_) => true,
    }
}

/// How much of a frame was there at a moment: its commits up to the first of which not all was.
fn wanted_of(segment: &Segment, frame: &ScannedFrame<'_>, moment: AsOf) -> Result<Wanted> {
    let payload_begin = frame.file_offset + bytes(FRAME_HEADER_BYTES);
    let (mut wanted_bytes, mut is_over) = (0, false);
    visit_frame(segment, frame, &mut |file_offset, record| {
        is_over |= !was_there(record, moment);
        if !is_over && record::check(record.bytes)?.end == RecordEnd::Commit {
            wanted_bytes = index(file_offset - payload_begin) + record.bytes.len();
        }
        Ok(())
    })?;
    Ok(match (is_over, wanted_bytes) {
        (false, _) => Wanted::All,
        (true, 0) => Wanted::Nothing,
        (true, part_bytes) => Wanted::Part(part_bytes),
    })
}

fn was_there(record: &Record<'_>, moment: AsOf) -> bool {
    match moment {
        AsOf::Position(position) => record.event.position <= position,
        AsOf::Time(time) => record.event.timestamp <= time,
    }
}

/// A frame of the first so many bytes of another one's payload, which end with a commit, at the same place.
pub(crate) fn shorten(frame: &WholeFrame<'_>, payload_bytes: usize) -> Vec<u8> {
    let header = &frame.header;
    let spec = FrameSpec {
        log_offset: header.log_offset,
        file_offset: frame.file_offset,
        durable: header.durable,
        chain: header.chain,
        epoch: header.epoch,
        first_position: header.first_position,
        kind: header.kind,
        mode: header.mode,
        store_id: header.store_id,
    };
    let mut shortened = frame.bytes[..FRAME_HEADER_BYTES + payload_bytes].to_vec();
    finish_frame(&mut shortened, &spec);
    shortened
}
