//! Sealed segments that are looked at ahead, several at once: what the events of each add up to, if all of it is whole. The census
//! takes that in instead of event by event. Whatever isn't as it should be leaves the segment to the walk, which says what it is.

use std::{
    collections::{HashMap, VecDeque},
    sync::mpsc::{Receiver, channel},
    thread::{self, Scope},
};

use crate::{
    checkpoint::{CHECKPOINT_PREFIX, checkpoint_of},
    cursor::Cursor,
    event::EventRef,
    format::segment_header::SegmentHeader,
    index::{
        files::IndexFiles,
        key::StreamKey,
        memory::MemoryIndex,
        scanning::{add_record, segment_number},
    },
    inspect::{
        index_check::creation_number, newer::is_shorter_than_it_was, ordering::SegmentFile,
        tolerant_file::TolerantFile,
    },
    log::{
        hand_over::SHARED_BYTES_MIN,
        recovery::check_sealed,
        scan::{ChainEnd, Scan, ScannedFrame},
        segment::Segment,
    },
    position::Version,
};

/// How many segments are looked at at once, at most: each takes the memory of its index.
const AT_ONCE_MAX: usize = 4;

/// How many checkpoints are compared with the log at most.
pub(crate) const CHECKPOINTS_MAX: usize = 10_000;

/// What a segment adds up to, all of which is whole.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Its versions go on within the segment; whether they go on from earlier ones wasn't looked at.
    pub(crate) memory: MemoryIndex,
    pub(crate) end: ChainEnd,
    pub(crate) frames: u64,
    pub(crate) tally: Tally,
}

/// What is noted of events beside the index.
#[derive(Default, Debug)]
pub(crate) struct Tally {
    /// Of all streams that begin, without an order.
    pub(crate) creations: u64,
    /// The last cursor of each checkpoint; none: it was deleted.
    pub(crate) checkpoints: HashMap<String, Option<Cursor>>,
    /// Whether there are others.
    pub(crate) has_more_checkpoints: bool,
}

impl Tally {
    /// Takes an event in. Its error is what is wrong with a checkpoint.
    pub(crate) fn add(&mut self, event: &EventRef<'_>, store_id: u64) -> Result<(), String> {
        if event.version == Version::FIRST {
            let key = StreamKey::of(event.stream, store_id);
            self.creations = self.creations.wrapping_add(creation_number(key, event.timestamp));
        }
        let Some(name) = event.stream.strip_prefix(CHECKPOINT_PREFIX) else { return Ok(()) };
        let saved = checkpoint_of(event);
        let saved = saved.map_err(|error| format!("checkpoint {name:?} can't be read: {error}"))?;
        self.note(name, saved.map(|checkpoint| checkpoint.cursor));
        Ok(())
    }

    fn note(&mut self, name: &str, cursor: Option<Cursor>) {
        if let Some(known) = self.checkpoints.get_mut(name) {
            *known = cursor;
        } else if self.checkpoints.len() < CHECKPOINTS_MAX {
            self.checkpoints.insert(name.to_owned(), cursor);
        } else {
            self.has_more_checkpoints = true;
        }
    }

    /// Takes in what comes behind.
    pub(crate) fn join(&mut self, later: Self) {
        self.creations = self.creations.wrapping_add(later.creations);
        self.has_more_checkpoints |= later.has_more_checkpoints;
        later.checkpoints.into_iter().for_each(|(name, cursor)| self.note(&name, cursor));
    }
}

/// A survey on its way.
pub(crate) enum Message {
    /// So much of the file was read, in bytes.
    Read(u64),
    /// It has ended; none: the segment isn't whole.
    Ended(Option<Box<Survey>>),
}

/// The surveys that are on their way, in the order of the segments.
pub(crate) struct Ahead<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    files: &'env IndexFiles,
    waiting: VecDeque<&'env SegmentFile>,
    running: VecDeque<(u64, Receiver<Message>)>,
    at_once: usize,
}

impl<'scope, 'env> Ahead<'scope, 'env> {
    /// Looks at these segments ahead.
    pub(crate) fn new(
        scope: &'scope Scope<'scope, 'env>,
        files: &'env IndexFiles,
        waiting: VecDeque<&'env SegmentFile>,
    ) -> Self {
        let at_once = thread::available_parallelism().map_or(1, |cores| cores.get().min(AT_ONCE_MAX));
        Self { scope, files, waiting, running: VecDeque::new(), at_once }
    }

    /// The survey of a segment; none: there is none. Those behind it begin.
    pub(crate) fn survey(&mut self, number: u64) -> Option<Receiver<Message>> {
        while self.running.len() < self.at_once
            && let Some(file) = self.waiting.pop_front()
        {
            self.running.push_back((file.number, self.begin(file)));
        }
        let (_, messages) = self.running.pop_front_if(|(running, _)| *running == number)?;
        Some(messages)
    }

    /// Ends all surveys: what comes is looked at event by event.
    pub(crate) fn stop(&mut self) {
        self.waiting.clear();
        self.running.clear();
    }

    fn begin(&self, file: &'env SegmentFile) -> Receiver<Message> {
        let (sender, messages) = channel();
        let files = self.files;
        let run = move || {
            // Nobody who listens: then nobody wants to know the end either.
            let survey = look_at(files, file, &mut |read| sender.send(Message::Read(read)).ok());
            sender.send(Message::Ended(survey.map(Box::new))).ok();
        };
        if file.bytes < SHARED_BYTES_MIN {
            run();
        } else {
            self.scope.spawn(run);
        }
        messages
    }
}

/// Surveys a segment. None: it isn't whole, or `tell` returns none.
fn look_at(
    files: &IndexFiles,
    segment: &SegmentFile,
    tell: &mut dyn FnMut(u64) -> Option<()>,
) -> Option<Survey> {
    let header = segment.header.clone()?;
    let file = TolerantFile::open(&*files.disk, &segment.path).ok()?;
    let segment = Segment::with_header(header, segment.path.clone(), file.clone()).ok()?;
    let mut survey = Survey::begin(&segment.header);
    let mut scan = Scan::new(&*segment.file, &segment.header).ok()?;
    let stop = loop {
        match scan.next_frame().ok()? {
            Ok(frame) => survey.take(&frame, files.store_id)?,
            Err(stop) => break stop,
        }
        tell(scan.end().file_offset)?;
    };
    survey.end = scan.end();
    let is_whole = survey.end.seal.is_some()
        && check_sealed(&segment, survey.end, stop).is_ok()
        && !is_shorter_than_it_was(&segment, &survey.end)
        && file.unreadable_in(0..u64::MAX).is_none();
    is_whole.then_some(survey)
}

impl Survey {
    fn begin(header: &SegmentHeader) -> Self {
        let number = segment_number(header.number);
        Self {
            memory: MemoryIndex::new(number, header.base, header.first_position),
            end: ChainEnd::beginning(header),
            frames: 0,
            tally: Tally::default(),
        }
    }

    /// Takes a frame in. None: something of it isn't as it should be.
    fn take(&mut self, frame: &ScannedFrame<'_>, store_id: u64) -> Option<()> {
        self.frames += 1;
        for (file_offset, record) in frame.records() {
            let record = record.ok()?;
            u32::try_from(file_offset).ok()?;
            add_record(&mut self.memory, store_id, file_offset, &record).ok()?;
            self.tally.add(&record.event, store_id).ok()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_that_arent_compared_are_told() {
        let tally_of = |names: std::ops::Range<usize>| {
            let mut tally = Tally::default();
            names.for_each(|number| tally.note(&format!("consumer-{number}"), None));
            tally
        };
        let mut tally = tally_of(0..CHECKPOINTS_MAX);
        tally.join(tally_of(5..50));
        assert_eq!((tally.checkpoints.len(), tally.has_more_checkpoints), (CHECKPOINTS_MAX, false));
        tally.join(tally_of(CHECKPOINTS_MAX - 5..CHECKPOINTS_MAX + 1));
        assert_eq!((tally.checkpoints.len(), tally.has_more_checkpoints), (CHECKPOINTS_MAX, true));
        assert!(tally_of(0..CHECKPOINTS_MAX + 1).has_more_checkpoints);
    }
}
