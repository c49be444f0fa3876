//! Frames by two threads: one reads and checks, the other takes in what is there, in order.

use std::{
    mem,
    ops::Range,
    sync::mpsc::{Receiver, SyncSender, channel, sync_channel},
    thread,
};

use crate::{
    error::{Error, Result},
    format::frame::FrameHeader,
    log::scan::ScannedFrame,
};

/// How much there is at least to be read for a second thread, in bytes: some milliseconds of work.
pub(crate) const SHARED_BYTES_MIN: u64 = 4 << 20;

/// How much is handed over at a time, in bytes of payload; one larger frame is handed over alone.
const BATCH_BYTES: usize = 1 << 20;

/// How many steps are handed over at a time at most: damage has no payload, and takes memory all the same.
const BATCH_STEPS_MAX: usize = 16 << 10;

/// How many batches wait at most.
const BATCHES_MAX: usize = 2;

/// What a walk over a segment meets.
pub(crate) enum Step<'a, Note> {
    /// A valid frame.
    Frame(ScannedFrame<'a>),
    /// Whatever else there is to tell.
    Note(Note),
}

/// Takes one step after the other.
pub(crate) type Take<'a, Note> = &'a mut dyn FnMut(Step<'_, Note>) -> Result<()>;

/// Walks as `walk` does, on a thread of its own where there is much to read, and takes each step in on this one.
pub(crate) fn hand_over<Note: Send, Found: Send>(
    bytes: u64,
    walk: impl FnOnce(Take<'_, Note>) -> Result<Found> + Send,
    take: Take<'_, Note>,
) -> Result<Found> {
    if bytes < SHARED_BYTES_MIN {
        return walk(take);
    }
    thread::scope(|scope| {
        let (sender, batches) = sync_channel(BATCHES_MAX);
        let (give_back, used) = channel();
        let walking = scope.spawn(move || walk_ahead(walk, &sender, &used));
        for mut batch in batches {
            // An error drops the receiver, at which the walk ends.
            batch.each(take)?;
            // Its memory is used again; the last ones are given back to nobody.
            give_back.send(batch).ok();
        }
        walking.join().unwrap_or_else(|_| Err(Error::Failed { reason: "reading the log panicked".into() }))
    })
}

/// Steps, with the bytes of their frames.
struct Batch<Note> {
    payloads: Vec<u8>,
    steps: Vec<Owned<Note>>,
}

enum Owned<Note> {
    Frame(FrameHeader, u64, Range<usize>),
    Note(Note),
}

impl<Note> Default for Batch<Note> {
    fn default() -> Self {
        Self { payloads: Vec::new(), steps: Vec::new() }
    }
}

impl<Note> Batch<Note> {
    fn cleared(mut self) -> Self {
        self.payloads.clear();
        self.steps.clear();
        self
    }

    fn add(&mut self, step: Step<'_, Note>) {
        match step {
            Step::Frame(frame) => {
                let start = self.payloads.len();
                self.payloads.extend_from_slice(frame.payload);
                self.steps.push(Owned::Frame(frame.header, frame.file_offset, start..self.payloads.len()));
            }
            Step::Note(note) => self.steps.push(Owned::Note(note)),
        }
    }

    fn each(&mut self, take: Take<'_, Note>) -> Result<()> {
        for step in self.steps.drain(..) {
            match step {
                Owned::Frame(header, file_offset, range) => {
                    let payload = &self.payloads[range];
                    take(Step::Frame(ScannedFrame { header, file_offset, payload }))?;
                }
                Owned::Note(note) => take(Step::Note(note))?,
            }
        }
        Ok(())
    }
}

fn walk_ahead<Note, Found>(
    walk: impl FnOnce(Take<'_, Note>) -> Result<Found>,
    sender: &SyncSender<Batch<Note>>,
    used: &Receiver<Batch<Note>>,
) -> Result<Found> {
    let given_up = || Error::Failed { reason: "nobody takes what is read".into() };
    let mut batch = Batch::default();
    let found = walk(&mut |step| {
        batch.add(step);
        if batch.payloads.len() < BATCH_BYTES && batch.steps.len() < BATCH_STEPS_MAX {
            return Ok(());
        }
        let next = used.try_recv().map_or_else(|_| Batch::default(), Batch::cleared);
        sender.send(mem::replace(&mut batch, next)).map_err(|_| given_up())
    });
    sender.send(batch).map_err(|_| given_up())?;
    found
}
