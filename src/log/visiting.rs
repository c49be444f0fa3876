//! Visiting the events of a segment in order, every frame checked.
//!
//! Where there is much to read, one thread reads and checks while the other visits.

use std::{
    mem,
    ops::Range,
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use crate::{
    error::{Error, Result},
    format::{frame::FrameHeader, record::Record},
    log::{
        scan::{ChainEnd, Scan, ScannedFrame, Stop},
        segment::Segment,
    },
};

/// How much there is at least to be read for a second thread, in bytes: some milliseconds of work.
const SHARED_BYTES_MIN: u64 = 4 << 20;

/// How much is handed over at a time, in bytes of payload; one larger frame is handed over alone.
const BATCH_BYTES: usize = 1 << 20;

/// How many batches wait for the visitor at most.
const BATCHES_MAX: usize = 2;

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
    if length.saturating_sub(start) < SHARED_BYTES_MIN {
        return scan_frames(segment, from, &mut |frame| visit_frame(segment, frame, visit));
    }
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let (give_back, used) = channel();
        let scanning = scope.spawn(move || hand_over_frames(segment, from, &sender, &used));
        for batch in batches {
            for frame in batch.frames() {
                // An error drops the receiver, at which the scanning ends.
                visit_frame(segment, &frame, visit)?;
            }
            // Its memory is used again; the last ones are given back to nobody.
            give_back.send(batch).ok();
        }
        scanning.join().unwrap_or_else(|_| Err(Error::Failed { reason: "reading the log panicked".into() }))
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
    take: &mut dyn FnMut(&ScannedFrame<'_>) -> Result<()>,
) -> Result<(ChainEnd, Stop)> {
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
    if let Some(from) = from {
        scan.skip_to(from);
    }
    loop {
        match scan.next_frame().map_err(io)? {
            Ok(frame) => take(&frame)?,
            Err(stop) => return Ok((scan.end(), stop)),
        }
    }
}

/// Frames that were found valid.
#[derive(Default)]
struct Batch {
    payloads: Vec<u8>,
    frames: Vec<(FrameHeader, u64, Range<usize>)>,
}

impl Batch {
    fn cleared(mut self) -> Self {
        self.payloads.clear();
        self.frames.clear();
        self
    }

    fn add(&mut self, frame: &ScannedFrame<'_>) {
        let start = self.payloads.len();
        self.payloads.extend_from_slice(frame.payload);
        self.frames.push((frame.header.clone(), frame.file_offset, start..self.payloads.len()));
    }

    fn frames(&self) -> impl Iterator<Item = ScannedFrame<'_>> {
        self.frames.iter().map(|(header, file_offset, range)| ScannedFrame {
            header: header.clone(),
            file_offset: *file_offset,
            payload: &self.payloads[range.clone()],
        })
    }
}

fn hand_over_frames(
    segment: &Segment,
    from: Option<ChainEnd>,
    sender: &SyncSender<Batch>,
    used: &Receiver<Batch>,
) -> Result<(ChainEnd, Stop)> {
    let given_up = || Error::Failed { reason: "nobody takes what is read".into() };
    let mut batch = Batch::default();
    let found = scan_frames(segment, from, &mut |frame| {
        batch.add(frame);
        if batch.payloads.len() < BATCH_BYTES {
            return Ok(());
        }
        let next = used.try_recv().map_or_else(|_| Batch::default(), Batch::cleared);
        sender.send(mem::replace(&mut batch, next)).map_err(|_| given_up())
    });
    sender.send(batch).map_err(|_| given_up())?;
    found
}
