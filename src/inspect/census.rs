//! What the events of a log add up to: counted, followed by stream, and compared with what is made of them.

use std::rc::Rc;

use crate::{
    disk::contract::OpenMode,
    error::Result,
    format::{
        control_frame::Seal,
        frame::{FRAME_HEADER_BYTES, FrameKind},
        layout::bytes,
        record::{self, Record},
        segment_header::SegmentHeader,
    },
    index::{
        directory::{SegmentEntry, SegmentTable},
        files::IndexFiles,
        key::StreamKey,
        memory::{LINK_UNKNOWN, MemoryIndex, StreamBefore, StreamRun},
        scanning::{VERSION_MAX, VERSION_TOO_LARGE, add_record_behind, segment_number},
        sealed::SealedIndex,
    },
    inspect::{
        allowance::Allowance,
        damaged_segment::{DamagedSegment, Witness, account_for_missing},
        index_check::{DirectoryCheck, IndexCheck, Links, LogAtEnd},
        losses::{Losses, NameHint},
        newer::is_of_newer_version,
        report::{Damage, Finding, FindingKind, Verification},
        salvage::seeming_id,
        stream_table::StreamTable,
        survey::{Survey, Tally},
        walk::OpenSegment,
    },
    log::{
        scan::{ChainEnd, ScannedFrame},
        segment::index_path,
    },
    options::ReadMode,
    position::{LogOffset, Position, Version},
};

/// How many missing segments are accounted for by their index files at most.
const MISSING_MAX: u64 = 10_000;

/// Visits each event that is whole, in order.
pub(crate) type VisitEvent<'a> = dyn FnMut(&OpenSegment, u64, &Record<'_>) -> Result<()> + 'a;

/// The log so far.
pub(crate) struct Census<'a> {
    pub(super) files: &'a IndexFiles,
    pub(crate) found: Verification,
    pub(crate) losses: Losses,
    /// The first thing that a newer version seems to have written.
    pub(crate) newer: Option<Damage>,
    pub(crate) table: StreamTable,
    segments: SegmentTable,
    pub(crate) tally: Tally,
    pub(super) directory: Option<DirectoryCheck>,
    /// How far durable.mark says that the log was durable.
    durable: Option<LogOffset>,
    /// The position that the next event has.
    pub(super) expected: Position,
    /// Events are lost from there on, up to the first one that comes next.
    is_cut_off: bool,
    pub(super) intake: Intake,
    /// Whether something of the present segment is damaged.
    pub(super) is_broken: bool,
    /// What may be checked of the present segment's gaps yet.
    pub(super) allowance: Rc<Allowance>,
    pub(crate) last_index: Option<(u64, MemoryIndex)>,
    visit: &'a mut VisitEvent<'a>,
}

/// How the events of the present segment are taken in.
pub(super) enum Intake {
    Nothing,
    /// As an index, which the segment's file is compared with.
    Indexed(MemoryIndex, IndexCheck),
    /// Behind damage.
    Damaged(DamagedSegment),
}

/// What is known of a segment behind its end.
pub(crate) struct Ended {
    pub(crate) next_position: Position,
    pub(crate) index_is_right: bool,
}

impl<'a> Census<'a> {
    pub(crate) fn new(
        files: &'a IndexFiles,
        found: Verification,
        directory: Option<DirectoryCheck>,
        durable: Option<LogOffset>,
        first_segment: u64,
        visit: &'a mut VisitEvent<'a>,
    ) -> Self {
        Self {
            files,
            found,
            losses: Losses::new(),
            newer: None,
            table: StreamTable::new(),
            segments: SegmentTable::empty(segment_number(first_segment)),
            tally: Tally::default(),
            directory,
            durable,
            expected: Position::FIRST,
            is_cut_off: false,
            intake: Intake::Nothing,
            is_broken: false,
            allowance: Rc::new(Allowance::new(0)),
            last_index: None,
            visit,
        }
    }

    /// Begins with the event of a position, and not with the first.
    pub(crate) fn begin_behind(&mut self, next_position: Position) {
        self.expected = next_position;
    }

    /// The position that the next event has.
    pub(crate) fn expected(&self) -> Position {
        self.expected
    }

    /// Notes what a newer version seems to have written, by the reason for which it is refused.
    pub(crate) fn note_newer(&mut self, damage: &Damage) {
        if is_of_newer_version(&damage.reason) {
            self.newer.get_or_insert_with(|| damage.clone());
        }
    }

    /// Notes damage.
    pub(crate) fn damage(&mut self, damage: Damage) {
        self.found.damage.push(damage);
    }

    pub(crate) fn finding(&mut self, finding: Option<Finding>) {
        if let Some(finding) = finding {
            self.found.findings.push(finding);
        }
    }

    /// From here on nothing can be read, up to the segment that begins next.
    pub(crate) fn cut_off(&mut self) {
        self.is_cut_off = true;
    }

    /// Segments are missing: what their index files still say of them is taken in.
    pub(crate) fn skip_missing(&mut self, first: u64, last: u64) {
        self.cut_off();
        let mut next = self.expected;
        for number in first..=last.min(first.saturating_add(MISSING_MAX)) {
            self.close_directory(number);
            let path = index_path(&self.files.store, number);
            let opened = self.files.disk.open(&path, OpenMode::Read).ok();
            let index =
                opened.and_then(|file| SealedIndex::open(file, ReadMode::Pread, self.files.store_id).ok());
            let Some(witness) = index.and_then(Witness::of) else { return };
            if witness.first_position() != next || !witness.is_of(segment_number(number)) {
                return;
            }
            account_for_missing(&witness, segment_number(number), &mut self.table, &mut self.losses);
            next = witness.next_position();
        }
    }

    /// Begins a segment. `next` is what the one behind it says of itself.
    pub(crate) fn begin(&mut self, walked: &OpenSegment) {
        let header = &walked.segment.header;
        self.lose_until(header.first_position);
        self.close_directory(header.number);
        let number = segment_number(header.number);
        self.is_broken = false;
        self.allowance = Rc::new(Allowance::of_segment(walked.segment.prepared()));
        let memory = MemoryIndex::new(number, header.base, header.first_position);
        self.intake = Intake::Indexed(memory, IndexCheck::open(self.files, header));
    }

    /// Everything up to a position is lost.
    fn lose_until(&mut self, first: Position) {
        if self.expected < first {
            let count = first.get() - self.expected.get();
            self.losses.lose(self.expected, Some(first));
            if let Some(damage) = self.found.damage.last_mut() {
                damage.events_lost = damage.events_lost.map(|lost| lost + count);
            }
            self.expected = first;
        }
        self.is_cut_off = false;
    }

    /// Takes in what a survey has found of the segment that was just begun. False: that doesn't go on from what is
    /// before, or an index file is of another end, and nothing was taken in.
    pub(crate) fn take(&mut self, survey: Survey) -> Result<bool> {
        let Intake::Indexed(memory, check) = &mut self.intake else { return Ok(false) };
        let table = &self.table;
        let goes_on = |run: &StreamRun| {
            let known = table.get(run.key().hash);
            let version = known.map_or(Version::NONE, |known| known.version);
            let is_same = known.and_then(|known| known.check).is_none_or(|check| check == run.key().check);
            is_same && run.first_version() == version.next()
        };
        let end = survey.end;
        let is_known = self.losses.is_empty() && self.expected == memory.next_position();
        let is_due = check.is_due(end.file_offset);
        if !is_known || is_due != check.is_waiting() || !survey.memory.streams().all(goes_on) {
            return Ok(false);
        }
        let first = self.expected;
        *memory = survey.memory;
        self.found.frames += survey.frames;
        self.found.events += end.next_position.get() - first.get();
        self.found.last_position = end.next_position.previous();
        self.expected = end.next_position;
        self.tally.join(survey.tally);
        if is_due {
            let finding = check.compare(self.files, memory, &end, Links::Known(table))?;
            self.found.index_files += 1;
            self.finding(finding);
        }
        Ok(true)
    }

    /// Takes a valid frame in.
    pub(crate) fn frame(&mut self, walked: &OpenSegment, frame: &ScannedFrame<'_>) -> Result<()> {
        self.found.frames += 1;
        let payload = if frame.header.kind == FrameKind::Data { frame.payload } else { &[] };
        let mut at = 0;
        // The scan has seen that lengths and checksums are right.
        while let Ok(length) = record::length(&payload[at..]) {
            let file_offset = frame.file_offset + bytes(FRAME_HEADER_BYTES + at);
            match record::decode_checked(&payload[at..]) {
                Ok(record) if record.event.version > VERSION_MAX => {
                    self.not_understood(walked, file_offset, &payload[at..], VERSION_TOO_LARGE);
                }
                Ok(record) => self.event(walked, file_offset, &record)?,
                Err(reason) => self.not_understood(walked, file_offset, &payload[at..], reason),
            }
            at += length;
        }
        let end = frame.file_offset + bytes(frame.header.frame_bytes());
        let links = if self.losses.is_empty() { Links::Known(&self.table) } else { Links::Unknown };
        if let Intake::Indexed(memory, check) = &mut self.intake
            && check.is_due(end)
        {
            let end = chain_end_behind(frame, memory.next_position());
            let finding = check.compare(self.files, memory, &end, links)?;
            self.found.index_files += 1;
            self.finding(finding);
        }
        Ok(())
    }

    /// A record whose checksum is right and which isn't understood.
    fn not_understood(
        &mut self,
        walked: &OpenSegment,
        file_offset: u64,
        content: &[u8],
        reason: &'static str,
    ) {
        let position = self.expected;
        self.note_id(walked, file_offset, content, position);
        let mut damage = Damage::new(&walked.segment.path, file_offset, reason, Some(position.previous()));
        damage.events_lost = Some(1);
        self.note_newer(&damage);
        self.give_up_index(walked, None);
        self.lose_here(position, position.next());
        self.expected = position.next();
        self.damage(damage);
    }

    pub(super) fn event(
        &mut self,
        walked: &OpenSegment,
        file_offset: u64,
        record: &Record<'_>,
    ) -> Result<()> {
        let event = &record.event;
        let store_id = self.files.store_id;
        self.found.events += 1;
        self.found.last_position = event.position;
        self.expected = event.position.next();
        if let Err(reason) = self.tally.add(event, store_id) {
            self.finding(Some(Finding::new(FindingKind::Checkpoint, &walked.segment.path, reason)));
        }
        let (table, losses) = (&self.table, &mut self.losses);
        let taken = match &mut self.intake {
            Intake::Indexed(memory, _) if u32::try_from(file_offset).is_err() => {
                debug_assert!(memory.next_position() == event.position, "events come in order");
                Err("a segment is longer than one can be")
            }
            Intake::Indexed(memory, _) => add_record_behind(memory, store_id, file_offset, record, |key| {
                before(key, record, table, losses)
            }),
            Intake::Damaged(_) | Intake::Nothing => Ok(()),
        };
        let taken = match taken {
            Ok(()) => self.take_without_index(file_offset, record),
            Err(reason) => {
                self.give_up_index(walked, None);
                self.take_without_index(file_offset, record).ok();
                Err(reason)
            }
        };
        if let Err(reason) = taken {
            let intact = Some(event.position.previous());
            self.damage(Damage::new(&walked.segment.path, file_offset, reason, intact));
        }
        (self.visit)(walked, file_offset, record)
    }

    /// Takes an event in where the segment isn't indexed any more. Its error is what is wrong with the event's version.
    fn take_without_index(&mut self, file_offset: u64, record: &Record<'_>) -> Result<(), &'static str> {
        let Intake::Damaged(segment) = &mut self.intake else { return Ok(()) };
        let event = &record.event;
        let key = StreamKey::of(event.stream, self.files.store_id);
        let what = (event.stream, event.version, event.position);
        segment.take(key, what, file_offset, &self.table, &mut self.losses)
    }

    /// Events of the present segment are lost.
    pub(super) fn lose_here(&mut self, first: Position, beyond: Position) {
        self.losses.lose(first, Some(beyond));
        if let Intake::Damaged(segment) = &mut self.intake {
            segment.lose(first, beyond);
        }
    }

    /// Notes the id that a lost event's record still shows, if the disk could read all of it up to there.
    pub(super) fn note_id(
        &mut self,
        walked: &OpenSegment,
        file_offset: u64,
        content: &[u8],
        position: Position,
    ) {
        let Some((id, id_end)) = seeming_id(content, position) else { return };
        if walked.file.unreadable_in(file_offset..file_offset + bytes(id_end)).is_none() {
            self.losses.note_id(position, id);
        }
    }

    /// Goes over to taking the segment in without an index.
    pub(super) fn give_up_index(&mut self, walked: &OpenSegment, next: Option<&SegmentHeader>) {
        let header = &walked.segment.header;
        if let Intake::Indexed(memory, _) = &self.intake {
            let durable = self.durable;
            let is_whole = |end: &ChainEnd| match (end.seal, next) {
                (Some(seal), Some(next)) => next.is_behind(&seal),
                (Some(_), None) => true,
                (None, _) => durable == Some(header.log_offset(end.file_offset)),
            };
            let witness = Witness::open(self.files, header, is_whole);
            self.intake =
                Intake::Damaged(DamagedSegment::new(segment_number(header.number), memory, witness));
        }
    }

    /// Ends a segment.
    pub(crate) fn end(&mut self, walked: &OpenSegment, end: &ChainEnd) -> Result<Ended> {
        let number = walked.segment.header.number;
        let mut index_is_right = false;
        self.found.segments += 1;
        match std::mem::replace(&mut self.intake, Intake::Nothing) {
            Intake::Indexed(memory, check) => {
                if !self.is_broken {
                    let finding =
                        check.conclude(self.files, (&memory, &self.table), end, self.found.extent)?;
                    self.finding(finding);
                }
                index_is_right = check.is_right();
                for run in memory.streams() {
                    self.table.set(run.key(), run.version(), segment_number(number));
                }
                self.push_segment(walked, end, memory.times());
                if !index_is_right || end.seal.is_none() {
                    self.last_index = Some((number, memory));
                }
            }
            Intake::Damaged(segment) => {
                segment.finish(walked, &mut self.table, &mut self.losses);
                self.push_segment(walked, end, None);
            }
            Intake::Nothing => {}
        }
        Ok(Ended { next_position: self.expected, index_is_right })
    }

    fn push_segment(&mut self, walked: &OpenSegment, end: &ChainEnd, times: crate::index::part::Times) {
        let segments = &mut self.segments;
        let (first_timestamp, last) = times.unwrap_or((segments.last_timestamp, segments.last_timestamp));
        let header = &walked.segment.header;
        let (base, first_position) = (header.base, header.first_position);
        segments.entries.push(SegmentEntry { base, first_position, first_timestamp });
        segments.end = Some(*end);
        segments.last_timestamp = segments.last_timestamp.max(last);
    }

    /// Compares the directory with the log, if that is now where the directory ends.
    fn close_directory(&mut self, next_segment: u64) {
        let is_due = |check: &DirectoryCheck| check.last_covered().is_some_and(|last| last < next_segment);
        let Some(directory) = self.directory.take_if(|directory| is_due(directory)) else { return };
        self.found.index_files += 1;
        if self.found.damage.is_empty() {
            let log =
                LogAtEnd { table: &self.table, segments: &self.segments, creations: self.tally.creations };
            let finding = directory.compare(&log);
            self.finding(finding);
        } else if !self.losses.is_empty() || self.is_cut_off {
            self.lose_by_directory(&directory);
        }
    }

    /// What the directory knows of streams beyond what was found is lost.
    fn lose_by_directory(&mut self, directory: &DirectoryCheck) {
        let (table, losses) = (&mut self.table, &mut self.losses);
        // One that can't be read says nothing.
        let walked = directory.each(&mut |hash, version, latest| {
            let found = table.get(hash).map_or(Version::NONE, |state| state.version);
            if found < version {
                losses.lose_versions(hash, found.next(), version);
                losses.hint(hash, NameHint::Segment(u64::from(latest)));
                table.set_unseen(hash, version, latest);
            }
        });
        if let Err(error) = walked {
            crate::trace::warn(
                "the stream directory can't be read",
                &self.files.directory_path(),
                format_args!("{error}"),
            );
        }
    }

    /// Ends the log. `last` is the number of the last segment.
    pub(crate) fn finish(&mut self, last: u64) {
        self.close_directory(last + 1);
        if self.is_cut_off {
            self.losses.lose(self.expected, None);
            if let Some(damage) = self.found.damage.last_mut() {
                damage.events_lost = None;
            }
        }
    }
}

/// What a stream was before the present segment.
fn before(
    key: StreamKey,
    record: &Record<'_>,
    table: &StreamTable,
    losses: &mut Losses,
) -> Result<StreamBefore, &'static str> {
    let event = &record.event;
    let known = table.get(key.hash);
    let version = known.map_or(Version::NONE, |known| known.version);
    if known.and_then(|known| known.check).is_some_and(|check| check != key.check) {
        return Err("the names of two streams have the same hash");
    }
    if losses.is_empty() {
        return Ok(StreamBefore { version, latest: known.map_or(0, |known| known.latest) });
    }
    losses.lose_versions(key.hash, version.next(), event.version.previous());
    if losses.wants_name(key.hash) {
        losses.name(key.hash, event.stream);
    }
    // What is lost may be its latest run.
    let latest = if event.version == Version::FIRST { 0 } else { LINK_UNKNOWN };
    Ok(StreamBefore { version: version.max(event.version.previous()), latest })
}

/// What a frame makes of the chain.
fn chain_end_behind(frame: &ScannedFrame<'_>, next_position: Position) -> ChainEnd {
    let header = &frame.header;
    let seal = if header.kind == FrameKind::Seal { Seal::decode(frame.payload).ok() } else { None };
    ChainEnd {
        file_offset: frame.file_offset + bytes(header.frame_bytes()),
        chain: header.crc,
        epoch: header.epoch,
        mode: header.mode,
        next_position,
        seal,
    }
}
