//! The walk over a segment by two threads: one reads and compares checksums, the other takes in what is there.

use std::{
    mem,
    ops::Range,
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use crate::{
    error::{Error, Result},
    format::frame::FrameHeader,
    inspect::walk::{End, Gap, Step, Walked, walk},
    log::scan::{ChainEnd, ScannedFrame},
};

/// How much there is at least to be read for a second thread, in bytes: some milliseconds of work.
const SHARED_BYTES_MIN: u64 = 4 << 20;

/// How much is handed over at a time, in bytes of payload; one larger frame is handed over alone.
const BATCH_BYTES: usize = 1 << 20;

/// How many batches wait at most.
const BATCHES_MAX: usize = 4;

/// Walks over a segment, and has each step taken in, in order. Returns where it ends.
pub(crate) fn pass(
    walked: &Walked,
    end: &End<'_>,
    take: &mut dyn FnMut(Step<'_>) -> Result<()>,
) -> Result<ChainEnd> {
    let from = ChainEnd::beginning(&walked.segment.header);
    let length = walked.segment.prepared().min(end.bytes_end());
    if length < SHARED_BYTES_MIN {
        return walk(walked, from, end, take);
    }
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let (give_back, used) = channel();
        let walking = scope.spawn(move || hand_over(walked, from, end, &sender, &used));
        for mut batch in batches {
            // An error drops the receiver, at which the walk ends.
            batch.each(take)?;
            // Its memory is used again; the last ones are given back to nobody.
            give_back.send(batch).ok();
        }
        walking.join().unwrap_or_else(|_| Err(Error::Failed { reason: "reading the log panicked".into() }))
    })
}

/// Steps with the bytes of their frames.
#[derive(Default)]
struct Batch {
    payloads: Vec<u8>,
    steps: Vec<Owned>,
}

enum Owned {
    Frame(FrameHeader, u64, Range<usize>),
    Gap(Gap),
}

impl Batch {
    fn cleared(mut self) -> Self {
        self.payloads.clear();
        self.steps.clear();
        self
    }

    fn add(&mut self, step: Step<'_>) {
        match step {
            Step::Frame(frame) => {
                let start = self.payloads.len();
                self.payloads.extend_from_slice(frame.payload);
                self.steps.push(Owned::Frame(frame.header, frame.file_offset, start..self.payloads.len()));
            }
            Step::Gap(gap) => self.steps.push(Owned::Gap(gap)),
        }
    }

    fn each(&mut self, take: &mut dyn FnMut(Step<'_>) -> Result<()>) -> Result<()> {
        for step in self.steps.drain(..) {
            match step {
                Owned::Frame(header, file_offset, range) => {
                    let payload = &self.payloads[range];
                    take(Step::Frame(ScannedFrame { header, file_offset, payload }))?;
                }
                Owned::Gap(gap) => take(Step::Gap(gap))?,
            }
        }
        Ok(())
    }
}

fn hand_over(
    walked: &Walked,
    from: ChainEnd,
    end: &End<'_>,
    sender: &SyncSender<Batch>,
    used: &Receiver<Batch>,
) -> Result<ChainEnd> {
    let given_up = || Error::Failed { reason: "nobody takes what is read".into() };
    let mut batch = Batch::default();
    let found = walk(walked, from, end, &mut |step| {
        batch.add(step);
        if batch.payloads.len() < BATCH_BYTES {
            return Ok(());
        }
        let next = used.try_recv().map_or_else(|_| Batch::default(), Batch::cleared);
        sender.send(mem::replace(&mut batch, next)).map_err(|_| given_up())
    });
    sender.send(batch).map_err(|_| given_up())?;
    found
}
