//! An inspection on its way: segment by segment, and then what rests on the log.

use std::{
    ops::ControlFlow,
    sync::{Arc, mpsc::Receiver},
    thread,
};

use crate::{
    error::{Error, Result},
    format::{control::StoreMeta, frame::EpochMode, layout::bytes, segment_header::SegmentHeader},
    index::files::IndexFiles,
    inspect::{
        cache_check::{Reach, check_checkpoints, check_snapshots},
        census::{Census, VisitEvent},
        index_check::DirectoryCheck,
        lookup::{Lookup, Surveyed},
        losses::{Losses, Place},
        marks::{Marks, Writers, check_mark},
        ordering::{SegmentFile, Slot, missing},
        report::{Damage, Extent, Progress, Tell, Verification},
        search::infer_header,
        stream_table::StreamTable,
        survey::{Ahead, Message},
        tolerant_file::TolerantFile,
        walk::{End, OpenSegment, Step, walk},
    },
    log::{
        mark::Mark,
        recovery::check_link,
        scan::ChainEnd,
        segment::{Segment, read_header},
    },
    position::LogOffset,
    snapshot_file::SnapshotPlaces,
};

/// How whole segments are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looking {
    /// Several at once.
    Ahead,
    /// In order, so that each event is told.
    EventByEvent,
}

/// What an inspection has found.
pub(crate) struct Concluded {
    pub(crate) verification: Verification,
    /// The number of the first segment that is damaged, or of the last one; and the end of the one before that.
    pub(crate) sound_up_to: (u64, Option<ChainEnd>),
    /// What the streams were at that end; none: nobody wants to know, or nothing is damaged.
    pub(crate) streams_before: Option<StreamTable>,
    /// The first thing that a newer version seems to have written.
    pub(crate) newer: Option<Damage>,
}

/// An inspection on its way.
pub(crate) struct Inspection<'a> {
    files: &'a IndexFiles,
    meta: StoreMeta,
    /// Beside a writer: where what is committed ends.
    bound: Option<LogOffset>,
    marks: Marks<'a>,
    census: Census<'a>,
    surveyed: Vec<Surveyed>,
    /// How the segment before ends, if that is known.
    before: Option<ChainEnd>,
    sound_up_to: Option<(u64, Option<ChainEnd>)>,
    keeps_streams: bool,
    streams_before: Option<StreamTable>,
    /// The last segment, and the end of the one before it.
    last: (u64, Option<ChainEnd>),
    /// How the log ends, as far as it was looked at; none: it ends with damage.
    end: Option<ChainEnd>,
    bytes_total: u64,
    bytes: u64,
    progress: Tell<'a>,
    is_stopped: bool,
}

impl<'a> Inspection<'a> {
    pub(crate) fn new(
        files: &'a IndexFiles,
        meta: StoreMeta,
        bound: Option<LogOffset>,
        marks: Marks<'a>,
        census: Census<'a>,
        progress: Tell<'a>,
    ) -> Self {
        let last = (meta.first_segment, None);
        Self {
            files,
            meta,
            bound,
            marks,
            census,
            surveyed: Vec::new(),
            before: None,
            sound_up_to: None,
            keeps_streams: false,
            streams_before: None,
            last,
            end: None,
            bytes_total: 0,
            bytes: 0,
            progress,
            is_stopped: false,
        }
    }

    /// Begins with a whole log.
    pub(crate) fn begin(
        files: &'a IndexFiles,
        meta: StoreMeta,
        (writers, bound): (Writers, Option<LogOffset>),
        mut found: Verification,
        progress: Tell<'a>,
        visit: &'a mut VisitEvent<'a>,
    ) -> Result<Self> {
        let mark = Mark::read(&*files.disk, &files.store, files.store_id)?;
        if let Some(finding) = check_mark(&*files.disk, files, &mark)? {
            found.findings.push(finding);
        }
        let (directory, finding) = DirectoryCheck::open(files);
        // A writer may just be writing it.
        if let Some(finding) = finding
            && found.extent == Extent::Whole
            && writers.committed().is_none()
        {
            found.findings.push(finding);
        }
        let marks = Marks::new(files, writers, directory.as_ref().map(DirectoryCheck::covered));
        // One that a writer has made since covers a segment of which a part alone is looked at.
        let is_compared =
            |directory: &DirectoryCheck| bound.is_none_or(|bound| directory.covered().log_end() <= bound);
        let directory = directory.filter(is_compared);
        let census = Census::new(files, found, directory, mark.durable(), meta.first_segment, visit);
        Ok(Self::new(files, meta, bound, marks, census, progress))
    }

    /// Has it tell what the streams are before the first damage.
    pub(crate) fn keep_streams(&mut self) {
        self.keeps_streams = true;
    }

    /// Begins with a segment whose forerunner ends as `before` says.
    pub(crate) fn go_on_from(&mut self, first: u64, before: Option<ChainEnd>) {
        self.before = before;
        self.last = (first, before);
    }

    /// Has it tell and count only what is lost behind a place. The directory is a witness of that, if it goes as far as the segments
    /// that are looked at.
    pub(crate) fn tell_behind(&mut self, place: Place, directory: Option<DirectoryCheck>) {
        let (first, _) = self.last;
        let is_witness =
            |directory: &DirectoryCheck| directory.last_covered().is_some_and(|last| last >= first);
        self.census.losses = Losses::behind(place);
        self.census.directory = directory.filter(is_witness);
    }

    /// Looks at the segments, up to where the caller stops it.
    pub(crate) fn segments(&mut self, slots: &[Slot], looking: Looking) -> Result<()> {
        let is_looked_at = |slot: &&Slot| match (self.bound, slot.header()) {
            (Some(bound), Some(header)) => header.base < bound,
            _ => true,
        };
        let mut slots: Vec<&Slot> = slots.iter().take_while(is_looked_at).collect();
        // What the list leaves out before a segment that isn't looked at was made while it was read.
        while self.bound.is_some() && matches!(slots.last(), Some(Slot::Missing { .. })) {
            slots.pop();
        }
        self.bytes_total = slots.iter().map(|slot| slot.file_bytes()).sum();
        if slots.is_empty() {
            let damage = missing(&self.files.store, self.meta.first_segment, self.meta.first_segment, None);
            self.note(self.meta.first_segment, damage);
            self.census.cut_off();
        }
        let looked_at = self.each_slot(&slots, looking);
        if self.is_stopped {
            self.census.found.extent = Extent::Stopped;
            return Ok(());
        }
        looked_at
    }

    /// What was found, and where the log ends, if not with damage.
    pub(crate) fn found_so_far(self) -> (Verification, Option<ChainEnd>) {
        (self.census.found, self.end)
    }

    fn each_slot(&mut self, slots: &[&Slot], looking: Looking) -> Result<()> {
        let sealed = if looking == Looking::Ahead { slots.split_last() } else { None };
        let sealed =
            sealed.map_or(&[][..], |(_, sealed)| sealed).iter().filter_map(|slot| slot.file()).collect();
        thread::scope(|scope| {
            let mut ahead = Ahead::new(scope, self.files, sealed);
            for (place, slot) in slots.iter().enumerate() {
                let next = slots[place + 1..].iter().find_map(|slot| slot.file());
                match slot {
                    Slot::Missing { first, last } => {
                        let damage = missing(&self.files.store, *first, *last, next.map(|next| next.number));
                        self.note(*first, damage);
                        self.census.skip_missing(*first, *last);
                        self.before = None;
                    }
                    Slot::Present(file) => self.segment(file, next, ahead.survey(file.number))?,
                }
                if self.sound_up_to.is_some() {
                    // What is lost is told by what comes, event by event.
                    ahead.stop();
                }
            }
            Ok(())
        })
    }

    /// Notes damage in a segment.
    fn note(&mut self, number: u64, damage: Damage) {
        self.mark_unsound(number);
        self.census.damage(damage);
    }

    fn mark_unsound(&mut self, number: u64) {
        let before = self.before;
        self.sound_up_to.get_or_insert((number, before));
        self.note_streams();
    }

    /// Notes what the streams are before the present segment, unless that was done before.
    fn note_streams(&mut self) {
        if self.keeps_streams && self.streams_before.is_none() {
            self.streams_before = Some(self.census.table.clone());
        }
    }

    fn segment(
        &mut self,
        file: &SegmentFile,
        next: Option<&SegmentFile>,
        survey: Option<Receiver<Message>>,
    ) -> Result<()> {
        let begun = self.bytes;
        self.last = (file.number, self.before);
        let Some(walked) = self.open(file)? else {
            self.census.cut_off();
            self.before = None;
            self.end = None;
            return self.tell(begun + file.bytes);
        };
        if next.is_none() && self.census.found.damage.total() > 0 {
            self.note_streams();
        }
        self.census.begin(&walked);
        let damage_before = self.census.found.damage.total();
        let end = match survey.map(|survey| self.take_survey(&survey, begun)).transpose()?.flatten() {
            Some(end) => end,
            None => self.walk(&walked, next, begun)?,
        };
        if self.census.found.damage.total() > damage_before {
            self.mark_unsound(file.number);
        }
        if self.census.found.extent == Extent::Whole && self.marks.are_overtaken() {
            self.census.found.extent = Extent::Committed;
        }
        let ended = self.census.end(&walked, &end)?;
        self.before = end.seal.is_some().then_some(end);
        self.end = Some(end);
        let bytes_end = self.bytes_end(&walked, next);
        self.surveyed.push(Surveyed {
            path: file.path.clone(),
            header: walked.segment.header,
            next_position: ended.next_position,
            index_is_right: ended.index_is_right,
        });
        self.tell(begun + file.bytes.min(bytes_end.unwrap_or(u64::MAX)))
    }

    /// Takes in what was found of a segment ahead. None: it has to be walked over.
    fn take_survey(&mut self, survey: &Receiver<Message>, begun: u64) -> Result<Option<ChainEnd>> {
        for message in survey {
            match message {
                Message::Read(read) => self.tell(begun + read)?,
                Message::Ended(None) => break,
                Message::Ended(Some(survey)) => {
                    let end = survey.end;
                    return Ok(self.census.take(*survey)?.then_some(end));
                }
            }
        }
        Ok(None)
    }

    /// Beside a writer, where what is looked at of the last segment ends in its file.
    fn bytes_end(&self, walked: &OpenSegment, next: Option<&SegmentFile>) -> Option<u64> {
        let bound = self.bound.filter(|_| next.is_none())?;
        Some(bound.get().saturating_sub(walked.segment.header.base.get()))
    }

    fn walk(&mut self, walked: &OpenSegment, next: Option<&SegmentFile>, begun: u64) -> Result<ChainEnd> {
        let bytes_end = self.bytes_end(walked, next);
        let Self { marks, census, progress, bytes_total, bytes: reached, is_stopped, .. } = self;
        let judge = |walked: &OpenSegment, end, stop| marks.judge_end(walked, end, stop);
        let end = match (bytes_end, next) {
            (Some(bytes_end), _) => End::Committed(bytes_end),
            (None, Some(next)) => End::Sealed(next.number),
            (None, None) => End::Open(&judge),
        };
        walk(walked, &end, &mut |step| {
            let end = match &step {
                Step::Frame(frame) => {
                    census.frame(walked, frame)?;
                    frame.file_offset + bytes(frame.header.frame_bytes())
                }
                Step::Note(gap) => {
                    census.gap(walked, gap, next.and_then(|next| next.header.as_ref()))?;
                    gap.end
                }
            };
            *reached = (begun + end).min(*bytes_total);
            go_on(*progress, (*reached, *bytes_total), is_stopped)
        })
    }

    fn tell(&mut self, reached: u64) -> Result<()> {
        // A file may have grown meanwhile.
        self.bytes = reached.min(self.bytes_total);
        go_on(self.progress, (self.bytes, self.bytes_total), &mut self.is_stopped)
    }

    /// Opens a segment; none, and a note of it: nothing in it can be told to be of this place in the log.
    fn open(&mut self, slot: &SegmentFile) -> Result<Option<OpenSegment>> {
        let file = TolerantFile::open(&*self.files.disk, &slot.path)?;
        let walked = |header| -> Result<OpenSegment> {
            let segment = Segment::with_header(header, slot.path.clone(), Arc::clone(&file) as _)?;
            Ok(OpenSegment { segment, file: Arc::clone(&file) })
        };
        let Some(header) = &slot.header else {
            let reason = match read_header(&slot.path, &*file) {
                Err(Error::Corrupt { reason, .. }) => reason,
                read => read.map(|_| "the segment header can't be read".to_owned())?,
            };
            let intact = self.census.expected().previous();
            self.note(slot.number, Damage::new(&slot.path, 0, reason, Some(intact)));
            let inferred = match rebuilt_header(&self.meta, slot.number, self.before.as_ref()) {
                Some(header) => Some(header),
                None => infer_header(&*file, self.meta.store_id, slot.number)
                    .map_err(|error| Error::io("read", &slot.path, error))?,
            };
            let inferred = inferred.filter(|header| header.first_position >= self.census.expected());
            return inferred.map(walked).transpose();
        };
        let walked = walked(header.clone())?;
        let is_known = self.before.is_some() || slot.number == self.meta.first_segment;
        // Where the segment before is damaged, this one's word is taken.
        if is_known {
            match check_link(&walked.segment, &self.meta, self.before.as_ref()) {
                Ok(()) => {}
                Err(Error::Corrupt { path, offset, reason, .. }) => {
                    let intact = self.census.expected().previous();
                    let damage = Damage::new(path, offset, reason, Some(intact));
                    self.census.note_newer(&damage);
                    self.note(slot.number, damage);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        } else if header.first_position < self.census.expected() {
            let reason = "the segment doesn't go on from those before it";
            self.note(slot.number, Damage::new(&slot.path, 0, reason, None));
            return Ok(None);
        }
        Ok(Some(walked))
    }

    /// Ends the log.
    fn end_log(&mut self, slots: &[Slot]) {
        let last = slots.iter().filter_map(Slot::file).map(|file| file.number).max().unwrap_or(0);
        self.census.finish(last.max(self.meta.first_segment));
    }

    /// Says what was found of the log, and compares nothing that rests on it.
    pub(crate) fn conclude_log(mut self, slots: &[Slot]) -> Result<Verification> {
        self.end_log(slots);
        let Census { mut found, mut losses, last_index, .. } = self.census;
        name_streams(&mut losses, &mut Lookup::new(self.files, &self.surveyed, last_index.as_ref()))?;
        losses.finish(&mut found);
        Ok(found)
    }

    /// Compares what rests on the log, and says all that was found.
    pub(crate) fn conclude(mut self, slots: &[Slot]) -> Result<Concluded> {
        let is_stopped = self.is_stopped;
        if !is_stopped {
            self.end_log(slots);
        }
        let Self { files, marks, census, surveyed, bytes, sound_up_to, last: last_begun, end, .. } = self;
        let streams_before = self.streams_before;
        let Census { mut found, mut losses, newer, table, tally, last_index, .. } = census;
        found.streams = table.seen();
        let mut lookup = Lookup::new(files, &surveyed, last_index.as_ref());
        name_streams(&mut losses, &mut lookup)?;
        if !is_stopped {
            let has_grown = || match (surveyed.last(), end) {
                (Some(last), Some(end)) => marks.has_grown(&last.open(files)?, end),
                _ => Ok(false),
            };
            let reach = Reach::new(found.extent, found.last_position, &has_grown);
            let saved = check_checkpoints(&tally, &mut lookup, &files.store, &reach)?;
            let places = SnapshotPlaces::new(&files.store, files.store_id);
            let kept = check_snapshots(&*files.disk, &places, &mut lookup, &reach)?;
            (found.checkpoints, found.snapshots) = (saved.count, kept.count);
            for finding in saved.findings.into_iter().chain(kept.findings) {
                found.findings.push(finding);
            }
        }
        found.bytes = bytes;
        found.interrupted_bytes = marks.interrupted_bytes.into_inner();
        losses.finish(&mut found);
        let sound_up_to = sound_up_to.unwrap_or(last_begun);
        Ok(Concluded { verification: found, sound_up_to, streams_before, newer })
    }
}

/// Names the streams that have lost something, as far as their names can be read.
fn name_streams(losses: &mut Losses, lookup: &mut Lookup<'_>) -> Result<()> {
    for (hash, hint) in losses.unnamed() {
        if let Some(name) = lookup.name(hash, hint)? {
            losses.name(hash, &name);
        }
    }
    Ok(())
}

/// Tells how far it is, and goes on if it may.
fn go_on(progress: Tell<'_>, (bytes, bytes_total): (u64, u64), is_stopped: &mut bool) -> Result<()> {
    match progress(Progress { bytes, bytes_total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            *is_stopped = true;
            Err(Error::Failed { reason: "it was stopped by who was told of its progress".into() })
        }
    }
}

/// The header that a segment must have by what is before it; none: that isn't known, or no segment can have it.
pub(crate) fn rebuilt_header(
    meta: &StoreMeta,
    number: u64,
    before: Option<&ChainEnd>,
) -> Option<SegmentHeader> {
    let header = match before {
        Some(before) => before.next_header(meta.store_id, number),
        None => (number == 1 && meta.first_segment == 1)
            .then(|| SegmentHeader::first(meta.store_id, EpochMode::Fsync)),
    };
    header.filter(SegmentHeader::is_in_range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        format::{control_frame::Seal, segment_header::LOG_BYTES_MAX},
        position::Position,
    };

    #[test]
    fn a_header_that_none_can_be_isnt_made_again() {
        let meta = StoreMeta { store_id: 7, created: 0, first_segment: 1 };
        let header = |logical_end, next_position| {
            let seal = Seal { logical_end: LogOffset::new(logical_end), chain_next: 9 };
            let beginning = ChainEnd::beginning(&SegmentHeader::first(7, EpochMode::Fsync));
            let next_position = Position::new(next_position);
            rebuilt_header(&meta, 2, Some(&ChainEnd { seal: Some(seal), next_position, ..beginning }))
        };
        let last = header(LOG_BYTES_MAX, LOG_BYTES_MAX).expect("one that can be");
        assert_eq!(SegmentHeader::decode(&last.encode()), Ok(last));
        assert_eq!(header(LOG_BYTES_MAX + 1, 5), None);
        assert_eq!(header(4_096, LOG_BYTES_MAX + 1), None);
    }
}
