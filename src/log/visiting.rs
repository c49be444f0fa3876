//! Visiting the events of a segment in order, every frame checked.
//!
//! Where there is much to read, one thread reads and checks while the other visits.

use std::convert::Infallible;

use crate::{
    error::{Error, Result},
    format::record::Record,
    log::{
        hand_over::{Step, Take, hand_over},
        scan::{ChainEnd, Scan, ScannedFrame, Stop},
        segment::Segment,
    },
};

/// Takes every event in order, with its place in the file; refuses one that doesn't go on from those before it.
pub(crate) type Visit<'a> = &'a mut dyn FnMut(u64, &Record<'_>) -> Result<(), &'static str>;

/// Visits the events of a segment, those behind `from` alone if it is given. Returns where the valid frames end,
/// and why.
pub(crate) fn visit_frames(
    segment: &Segment,
    from: Option<ChainEnd>,
    visit: Visit<'_>,
) -> Result<(ChainEnd, Stop)> {
    let length = segment.file.len().map_err(|error| Error::io("read", &segment.path, error))?;
    let start = from.map_or(0, |from| from.file_offset);
    hand_over(length.saturating_sub(start), |take| scan_frames(segment, from, take), &mut |step: Step<
        '_,
        Infallible,
    >| match step {
        Step::Frame(frame) => visit_frame(segment, &frame, visit),
        Step::Note(never) => match never {},
    })
}

/// Visits the events of one frame.
pub(crate) fn visit_frame(segment: &Segment, frame: &ScannedFrame<'_>, visit: Visit<'_>) -> Result<()> {
    for ((file_offset, record), number) in frame.records().zip(0..) {
        record.and_then(|record| visit(file_offset, &record)).map_err(|reason| {
            let intact = frame.header.first_position.plus(number).previous();
            Error::corrupt(&segment.path, file_offset, reason, Some(intact))
        })?;
    }
    Ok(())
}

/// Scans until no frame is valid.
fn scan_frames(
    segment: &Segment,
    from: Option<ChainEnd>,
    take: Take<'_, Infallible>,
) -> Result<(ChainEnd, Stop)> {
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
    if let Some(from) = from {
        scan.skip_to(from);
    }
    loop {
        match scan.next_frame().map_err(io)? {
            Ok(frame) => take(Step::Frame(frame))?,
            Err(stop) => return Ok((scan.end(), stop)),
        }
    }
}
