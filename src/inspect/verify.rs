//! Verifying a store: segment by segment, and then what rests on the log.

use std::{
    path::Path,
    sync::{Arc, mpsc::Receiver},
    thread,
};

use crate::{
    disk::{
        contract::{Disk, OpenMode},
        os::OsDisk,
    },
    error::{Error, Result},
    format::{control::StoreMeta, frame::EpochMode, layout::bytes, segment_header::SegmentHeader},
    index::files::{Access, IndexFiles},
    inspect::{
        cache_check::{Reach, check_checkpoints, check_snapshots},
        census::{Census, Told},
        index_check::DirectoryCheck,
        lookup::{Lookup, Surveyed},
        losses::intact_between,
        marks::{Marks, Writers, check_mark},
        ordering::{Ordering, SegmentFile, Slot, Stranger, missing, order_segments},
        report::{Damage, Extent, Finding, Progress, Verification},
        search::infer_header,
        survey::{Ahead, Message},
        tolerant_file::TolerantFile,
        walk::{End, Step, Walked, walk},
    },
    log::{
        creation,
        followed_head::FollowedHead,
        mark::Mark,
        recovery::check_link,
        scan::ChainEnd,
        segment::{Segment, read_header, segments_directory},
    },
    opening::check_directory,
    options::{Creation, ReadMode},
    position::{LogOffset, Position},
    snapshot_file::SnapshotPlaces,
};

/// Reads every byte of the store in a directory, and checks it: the log with its chain, positions and versions; the index files,
/// snapshots and checkpoints against the log. Changes nothing.
///
/// A writer may go on beside it: then the log is looked at as far as it is committed now, which
/// [`Verification::extent`] says. Memory is that of a few segments' indexes, and 64 bytes a stream at most.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, StreamId, verify};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(&path)?;
/// store.append(&StreamId::new("order-17")?, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
///
/// let verification = verify(&path, &mut |_progress| {})?;
/// assert!(verification.is_whole());
/// assert_eq!((verification.events, verification.streams), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::NotAStore`], [`Error::NewerFormat`], [`Error::Io`]. Damage is no error here, but what is returned; so is
/// what the disk can't read of the log.
pub fn verify(path: impl AsRef<Path>, progress: &mut dyn FnMut(Progress)) -> Result<Verification> {
    verify_on(Arc::new(OsDisk), path, progress)
}

/// [`verify`] on a disk of the caller's.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_on(
    disk: Arc<dyn Disk>,
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Verification> {
    let path = path.as_ref();
    check_directory(&*disk, path, Creation::Never)?;
    Ok(inspect(disk, path, Presence::Beside, progress)?.verification)
}

/// Whether somebody may be writing meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// The caller has the lock.
    Alone,
    Beside,
}

/// What an inspection found, for who wants to mend it.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) verification: Verification,
    /// None: nothing tells which store it is.
    pub(crate) store_id: Option<u64>,
    /// What store.meta says; none: it is damaged.
    pub(crate) meta: Option<StoreMeta>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) strangers: Vec<Stranger>,
    /// The number of the first segment that is damaged, or of the last one; and the end of the one before that.
    pub(crate) sound_up_to: (u64, Option<ChainEnd>),
}

/// Looks at a whole store.
pub(crate) fn inspect(
    disk: Arc<dyn Disk>,
    store: &Path,
    presence: Presence,
    progress: &mut dyn FnMut(Progress),
) -> Result<Inspected> {
    let mut found = Verification { events_lost: Some(0), ..Verification::default() };
    let meta = read_meta(&*disk, store, &mut found)?;
    let first_segment = meta.as_ref().map_or(1, |meta| meta.first_segment);
    let store_id = meta.as_ref().map(|meta| meta.store_id);
    let Ordering { slots, damage, strangers } = order_segments(&*disk, store, store_id, first_segment)?;
    damage.into_iter().for_each(|damage| found.damage.push(damage));
    let headers = slots.iter().filter_map(Slot::header);
    let store_id = store_id.or_else(|| headers.map(|header| header.store_id).next());
    let Some(store_id) = store_id else {
        let sound_up_to = (first_segment, None);
        let nothing = Inspected { verification: found, store_id, meta, slots, strangers, sound_up_to };
        return if nothing.verification.damage.is_empty() {
            Err(creation::no_meta(store))
        } else {
            Ok(nothing)
        };
    };
    let files = IndexFiles {
        disk: Arc::clone(&disk),
        store: store.to_owned(),
        store_id,
        read: ReadMode::Pread,
        access: Access::Guest,
    };
    let writers = match presence {
        Presence::Alone => Writers::None,
        Presence::Beside => Writers::Perhaps(FollowedHead::new(&disk, store, store_id)),
    };
    let believed = StoreMeta { store_id, created: 0, first_segment };
    let bound = writers.committed();
    found.extent = if bound.is_some() { Extent::Committed } else { Extent::Whole };
    let told: &mut Told<'_> = &mut |_, _, _| Ok(());
    let mut inspection = Inspection::begin(&files, believed, (writers, bound), found, progress, told)?;
    inspection.segments(&slots, Looking::Ahead)?;
    let (verification, sound_up_to) = inspection.conclude(&slots)?;
    Ok(Inspected { verification, store_id: Some(store_id), meta, slots, strangers, sound_up_to })
}

/// Walks over the segments from one on, whose forerunner ends as `before` says, and tells of each event that is whole. For
/// who has the lock, and has inspected the whole store.
pub(crate) fn walk_from(
    files: &IndexFiles,
    meta: &StoreMeta,
    slots: &[Slot],
    (first, before): (u64, Option<ChainEnd>),
    told: &mut Told<'_>,
) -> Result<()> {
    let slots: Vec<Slot> = slots.iter().filter_map(|slot| slot.from_number(first)).collect();
    let found = Verification { events_lost: Some(0), ..Verification::default() };
    let progress: &mut dyn FnMut(Progress) = &mut |_| {};
    let mark = Mark::read(&*files.disk, &files.store, files.store_id)?;
    let marks = Marks::new(files, Writers::None, None);
    let mut census = Census::new(files, found, None, mark.durable(), meta.first_segment, told);
    census.begin_behind(before.map_or(Position::FIRST, |before| before.next_position));
    let mut inspection = Inspection {
        files,
        meta: meta.clone(),
        bound: None,
        marks,
        census,
        surveyed: Vec::new(),
        before,
        sound_up_to: None,
        last: (first, before),
        bytes_total: 0,
        bytes: 0,
        progress,
    };
    inspection.segments(&slots, Looking::EventByEvent)
}

/// store.meta; none and a note of it, if it is damaged, or missing where segments are.
fn read_meta(disk: &dyn Disk, store: &Path, found: &mut Verification) -> Result<Option<StoreMeta>> {
    match creation::read_meta(disk, store) {
        Ok(None) => {
            let segments = segments_directory(store);
            let kind = disk.kind(&segments).map_err(|error| Error::io("look at", &segments, error))?;
            if kind.is_none() {
                return Err(creation::no_meta(store));
            }
            let path = creation::meta_path(store);
            found.damage.push(Damage::new(path, 0, "store.meta is missing, though segments are there", None));
            Ok(None)
        }
        Err(Error::Corrupt { path, offset, reason, .. }) => {
            found.damage.push(Damage::new(path, offset, reason, None));
            Ok(None)
        }
        read => read,
    }
}

/// How whole segments are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looking {
    /// Several at once.
    Ahead,
    /// In order, so that each event is told.
    EventByEvent,
}

/// An inspection on its way.
struct Inspection<'a> {
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
    /// The last segment, and the end of the one before it.
    last: (u64, Option<ChainEnd>),
    bytes_total: u64,
    bytes: u64,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Inspection<'a> {
    fn begin(
        files: &'a IndexFiles,
        meta: StoreMeta,
        (writers, bound): (Writers, Option<LogOffset>),
        mut found: Verification,
        progress: &'a mut dyn FnMut(Progress),
        told: &'a mut Told<'a>,
    ) -> Result<Self> {
        let mark = Mark::read(&*files.disk, &files.store, files.store_id)?;
        if let Some(finding) = check_mark(&*files.disk, files, &mark)? {
            found.findings.push(finding);
        }
        let (directory, finding) = DirectoryCheck::open(files, found.extent);
        finding.into_iter().for_each(|finding| found.findings.push(finding));
        let marks = Marks::new(files, writers, directory.as_ref().map(DirectoryCheck::covered));
        let census = Census::new(files, found, directory, mark.durable(), meta.first_segment, told);
        let last = (meta.first_segment, None);
        Ok(Self {
            files,
            meta,
            bound,
            marks,
            census,
            surveyed: Vec::new(),
            before: None,
            sound_up_to: None,
            last,
            bytes_total: 0,
            bytes: 0,
            progress,
        })
    }

    fn segments(&mut self, slots: &[Slot], looking: Looking) -> Result<()> {
        let is_looked_at = |slot: &&Slot| match (self.bound, slot.header()) {
            (Some(bound), Some(header)) => header.base < bound,
            _ => true,
        };
        let slots: Vec<&Slot> = slots.iter().take_while(is_looked_at).collect();
        self.bytes_total = slots.iter().map(|slot| slot.file_bytes()).sum();
        if slots.is_empty() {
            let damage = missing(&self.files.store, self.meta.first_segment, self.meta.first_segment, None);
            self.note(self.meta.first_segment, damage);
            self.census.cut_off();
        }
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
            self.advance(begun + file.bytes);
            return Ok(());
        };
        self.census.begin(&walked);
        let damage_before = self.census.found.damage.total();
        let end = match survey.map(|survey| self.take_survey(&survey, begun)).transpose()?.flatten() {
            Some(end) => end,
            None => self.walk(&walked, next, begun)?,
        };
        if self.census.found.damage.total() > damage_before {
            self.mark_unsound(file.number);
        }
        let ended = self.census.end(&walked, &end)?;
        self.before = end.seal.is_some().then_some(end);
        let bytes_end = self.bytes_end(&walked, next);
        self.surveyed.push(Surveyed {
            path: file.path.clone(),
            header: walked.segment.header,
            next_position: ended.next_position,
            index_is_right: ended.index_is_right,
        });
        self.advance(begun + file.bytes.min(bytes_end.unwrap_or(u64::MAX)));
        Ok(())
    }

    /// Takes in what was found of a segment ahead. None: it has to be walked over.
    fn take_survey(&mut self, survey: &Receiver<Message>, begun: u64) -> Result<Option<ChainEnd>> {
        for message in survey {
            match message {
                Message::Read(read) => self.tell(begun + read),
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
    fn bytes_end(&self, walked: &Walked, next: Option<&SegmentFile>) -> Option<u64> {
        let bound = self.bound.filter(|_| next.is_none())?;
        Some(bound.get().saturating_sub(walked.segment.header.base.get()))
    }

    fn walk(&mut self, walked: &Walked, next: Option<&SegmentFile>, begun: u64) -> Result<ChainEnd> {
        let bytes_end = self.bytes_end(walked, next);
        let Self { marks, census, progress, bytes_total, .. } = self;
        let judge = |walked: &Walked, end, stop| marks.judge_end(walked, end, stop);
        let end = match (bytes_end, next) {
            (Some(bytes_end), _) => End::Committed(bytes_end),
            (None, Some(next)) => End::Sealed(next.number),
            (None, None) => End::Open(&judge),
        };
        walk(walked, &end, &mut |step| {
            let reached = match &step {
                Step::Frame(frame) => {
                    census.frame(walked, frame)?;
                    frame.file_offset + bytes(frame.header.frame_bytes())
                }
                Step::Note(gap) => {
                    census.gap(walked, gap, next.and_then(|next| next.header.as_ref()))?;
                    gap.end
                }
            };
            (progress)(Progress { bytes: begun + reached, bytes_total: *bytes_total });
            Ok(())
        })
    }

    fn tell(&mut self, reached: u64) {
        (self.progress)(Progress { bytes: reached, bytes_total: self.bytes_total });
    }

    fn advance(&mut self, reached: u64) {
        self.bytes = reached;
        self.tell(reached);
    }

    /// Opens a segment; none, and a note of it: nothing in it can be told to be of this place in the log.
    fn open(&mut self, slot: &SegmentFile) -> Result<Option<Walked>> {
        let opened = self.files.disk.open(&slot.path, OpenMode::Read);
        let file = TolerantFile::new(opened.map_err(|error| Error::io("open", &slot.path, error))?);
        let walked = |header| -> Result<Walked> {
            let segment = Segment::with_header(header, slot.path.clone(), file.clone())?;
            Ok(Walked { segment, file: file.clone() })
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
                    self.note(slot.number, Damage::new(path, offset, reason, Some(intact)));
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

    /// Compares what rests on the log, and says all that was found.
    fn conclude(mut self, slots: &[Slot]) -> Result<(Verification, (u64, Option<ChainEnd>))> {
        let last = slots.iter().filter_map(Slot::file).map(|file| file.number).max().unwrap_or(0);
        self.census.finish(last.max(self.meta.first_segment));
        let Self { files, marks, census, surveyed, bytes, sound_up_to, last: last_begun, .. } = self;
        let Census { mut found, mut losses, tally, last_index, .. } = census;
        let reach = Reach { extent: found.extent, last_position: found.last_position };
        let mut lookup = Lookup::new(files, &surveyed, last_index.as_ref());
        for (hash, hints) in losses.unnamed() {
            for hint in hints {
                if let Some(name) = lookup.name(hash, hint)? {
                    losses.name(hash, &name);
                }
            }
        }
        let saved = check_checkpoints(&tally.checkpoints, &mut lookup, &files.store, reach)?;
        found.checkpoints = saved.count;
        let places = SnapshotPlaces::new(&files.store, files.store_id);
        let kept = check_snapshots(&*files.disk, &places, &mut lookup, reach)?;
        found.snapshots = kept.count;
        let findings = saved.findings.into_iter().chain(kept.findings);
        findings.for_each(|finding: Finding| found.findings.push(finding));
        found.bytes = bytes;
        found.interrupted_bytes = marks.interrupted_bytes.into_inner();
        (found.events_lost, found.lost, found.lost_versions) = losses.finish();
        found.intact = intact_between(&found.lost, found.last_position);
        Ok((found, sound_up_to.unwrap_or(last_begun)))
    }
}

/// The header that a segment must have by what is before it; none: that isn't known.
pub(crate) fn rebuilt_header(
    meta: &StoreMeta,
    number: u64,
    before: Option<&ChainEnd>,
) -> Option<SegmentHeader> {
    let beginning = SegmentHeader {
        store_id: meta.store_id,
        number,
        rewrite: 0,
        chain: 0,
        base: LogOffset::default(),
        first_position: Position::FIRST,
        durable: LogOffset::default(),
        epoch: 0,
        mode: EpochMode::Fsync,
    };
    let Some(before) = before else { return (number == 1 && meta.first_segment == 1).then_some(beginning) };
    let seal = before.seal?;
    Some(SegmentHeader {
        chain: seal.chain_next,
        base: seal.logical_end,
        first_position: before.next_position,
        durable: seal.logical_end,
        epoch: before.epoch,
        mode: before.mode,
        ..beginning
    })
}
