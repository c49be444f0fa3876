//! The log, put together of what there is: the store's own frames as far as they are valid, else a backup's, else what can
//! only have stood there. It ends where none of them goes on. One segment is put together at a time, again when it is written:
//! so no more than one segment's files are open, and of the others no more is kept than where they end.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::contract::{Disk, DiskFile, OpenMode},
    error::{Error, Result},
    format::{
        control::StoreMeta,
        layout::{bytes, index, is_zero},
        record::Record,
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    index::key::StreamKey,
    inspect::{
        allowance::Allowance,
        inspection::rebuilt_header,
        marks::Marks,
        ordering::{SegmentFile, Slot},
        report::{Listed, LostVersions, PositionRange},
        tolerant_file::TolerantFile,
        walk::OpenSegment,
    },
    log::{
        recovery::check_link,
        scan::{ChainEnd, Scan, Stop},
        segment::{Segment, segment_path},
        verdict::TailStop,
    },
    position::{LogOffset, Position, Version},
    repair::{
        backup_run::BackupRun,
        mending::mend,
        overlay::{Overlay, Patch},
        progress::RepairProgress,
    },
};

/// How much is looked at together for bytes that aren't zero.
const CHUNK_BYTES: usize = 1 << 20;

/// The segments of a store by number.
pub(crate) type Files = BTreeMap<u64, SegmentFile>;

pub(crate) fn files_of(slots: &[Slot]) -> Files {
    slots.iter().filter_map(Slot::file).map(|file| (file.number, file.clone())).collect()
}

/// The same files when all of them have their right names.
pub(crate) fn with_right_names(own: &Files, store: &Path) -> Files {
    let named = |(number, file): (&u64, &SegmentFile)| {
        (*number, SegmentFile { path: segment_path(store, *number), ..file.clone() })
    };
    own.iter().map(named).collect()
}

/// A segment as it will be.
#[derive(Debug)]
pub(crate) struct MergedSegment {
    header: SegmentHeader,
    own: Option<SegmentFile>,
    pub(crate) content: Overlay,
    pub(crate) end: ChainEnd,
    /// Why no frame goes on behind it.
    stop: Stop,
    /// Whether the backup has something else than the store where the store is intact.
    is_of_another_history: bool,
}

impl MergedSegment {
    fn path(&self) -> PathBuf {
        self.own.as_ref().map_or_else(PathBuf::new, |own| own.path.clone())
    }

    fn io(&self, error: std::io::Error) -> Error {
        Error::io("read", self.path(), error)
    }

    /// Whether its file isn't as it is to be: it lacks something, has bytes that can't be read, or too much behind its SEAL.
    fn is_to_be_written(&self) -> Result<bool> {
        let Some(own) = self.content.own() else { return Ok(true) };
        let has_more = self.has_more(own).map_err(|error| self.io(error))?;
        let is_unreadable = own.unreadable_in(0..u64::MAX).is_some();
        Ok(self.content.is_patched() || is_unreadable || (has_more && self.end.seal.is_some()))
    }

    /// Whether anything but zeros stands behind its end. All of it is read, so that bytes that can't be are met.
    fn has_more(&self, own: &TolerantFile) -> std::io::Result<bool> {
        let length = DiskFile::len(own)?;
        let mut at = self.end.file_offset;
        let mut has_more = false;
        while at < length {
            let mut chunk = vec![0; index(length - at).min(CHUNK_BYTES)];
            own.read_exact_at(&mut chunk, at)?;
            has_more |= !is_zero(&chunk);
            at += bytes(chunk.len());
        }
        Ok(has_more)
    }

    /// How long its file will be. What stands behind the end of a last segment that is sound is for its opening to judge.
    fn length(&self, is_cut: bool) -> Result<u64> {
        if is_cut || self.end.seal.is_some() {
            return Ok(self.end.file_offset);
        }
        self.content.len().map_err(|error| self.io(error))
    }
}

/// A segment that is written anew, and how that is found again when it comes to it.
#[derive(Clone, Debug)]
pub(crate) struct Rewrite {
    pub(crate) number: u64,
    /// The end of the segment before.
    before: Option<ChainEnd>,
    end: ChainEnd,
    pub(crate) was: Option<SegmentFile>,
    /// How long the file will be.
    pub(crate) length: u64,
    pub(crate) bytes_restored: u64,
    pub(crate) bytes_mended: u64,
}

/// Where a log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogEnd {
    /// As it should, or as a power cut has left it.
    Sound,
    /// Before what can't be read.
    Cut,
}

/// What the backup gives back.
#[derive(Default, Debug)]
pub(crate) struct Restored {
    ranges: Listed<PositionRange>,
    /// What isn't in the list yet.
    latest: Option<PositionRange>,
    pub(crate) events: u64,
    /// The latest version that is given back of each stream that has lost any.
    versions: HashMap<u64, Version>,
}

impl Restored {
    fn new(lost: &[LostVersions]) -> Self {
        let versions = lost.iter().map(|lost| (lost.stream_hash, Version::NONE)).collect();
        Self { versions, ..Self::default() }
    }

    fn event(&mut self, record: &Record<'_>, store_id: u64) {
        let event = &record.event;
        self.events += 1;
        match &mut self.latest {
            Some(latest) if latest.last.map(Position::next) == Some(event.position) => {
                latest.last = Some(event.position);
            }
            latest => {
                let one = PositionRange::new(event.position, Some(event.position));
                latest.replace(one).into_iter().for_each(|before| self.ranges.push(before));
            }
        }
        if let Some(version) = self.versions.get_mut(&StreamKey::of(event.stream, store_id).hash) {
            *version = event.version.max(*version);
        }
    }

    /// The positions.
    pub(crate) fn ranges(&self) -> Listed<PositionRange> {
        let mut ranges = self.ranges.clone();
        self.latest.into_iter().for_each(|latest| ranges.push(latest));
        ranges
    }

    /// What is lost of a range of versions all the same.
    pub(crate) fn still_lost(&self, lost: &LostVersions) -> Option<LostVersions> {
        let restored = self.versions.get(&lost.stream_hash).copied().unwrap_or(Version::NONE);
        let first = lost.first.max(restored.next());
        (first <= lost.last).then(|| LostVersions { first, ..lost.clone() })
    }
}

/// The log from some segment on.
#[derive(Debug)]
pub(crate) struct Merged {
    /// The number of the first segment of these.
    first: u64,
    /// The end of the log before these segments.
    before: Option<ChainEnd>,
    /// The last segment that stays, and its end; none: all of these go.
    last: Option<(SegmentHeader, ChainEnd)>,
    pub(crate) end: LogEnd,
    pub(crate) rewrites: Vec<Rewrite>,
    pub(crate) restored: Restored,
    /// Whether the backup has something else than the store where the store is intact.
    pub(crate) is_of_another_history: bool,
}

impl Merged {
    /// The position behind the last event.
    pub(crate) fn next_position(&self) -> Position {
        let end = self.last.as_ref().map(|(_, end)| *end).or(self.before);
        end.map_or(Position::FIRST, |end| end.next_position)
    }

    /// The number of the first segment that goes where the log is cut.
    pub(crate) fn first_behind(&self) -> u64 {
        self.last.as_ref().map_or(self.first, |(header, _)| header.number + 1)
    }

    /// Whether nothing stays of a log that begins with this segment.
    pub(crate) fn is_nothing(&self, first_segment: u64) -> bool {
        self.first == first_segment && self.last.is_none()
    }

    /// Where the log ends, as an offset in it.
    pub(crate) fn log_end(&self) -> LogOffset {
        let before = || self.before.and_then(|before| before.seal).map(|seal| seal.logical_end);
        match &self.last {
            Some((header, end)) => header.log_offset(end.file_offset),
            None => before().unwrap_or(LogOffset::new(bytes(SEGMENT_HEADER_BYTES))),
        }
    }
}

/// What a log is put together of.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) meta: &'a StoreMeta,
    pub(crate) own: &'a Files,
    pub(crate) backup: &'a Files,
}

impl Sources<'_> {
    /// Puts the log together, from a segment on whose forerunner ends as it should.
    pub(crate) fn merge(
        &self,
        (first, before): (u64, Option<ChainEnd>),
        lost: &[LostVersions],
        marks: &Marks<'_>,
        progress: &mut RepairProgress<'_>,
    ) -> Result<Merged> {
        let (end, restored) = (LogEnd::Cut, Restored::new(lost));
        let (rewrites, is_of_another_history) = (Vec::new(), false);
        let mut merged = Merged { first, before, last: None, end, rewrites, restored, is_of_another_history };
        let mut before = before;
        let greatest = self.own.keys().chain(self.backup.keys()).max().copied().unwrap_or(first);
        progress.expect(self.own.range(first..).map(|(_, own)| own.bytes).sum());
        for number in first..=greatest {
            let Some(segment) = self.segment(number, before.as_ref(), &mut merged.restored)? else { break };
            let is_last = self.own.range(number + 1..).next().is_none();
            let goes_on = segment.end.seal.is_some() && (!is_last || self.backup.contains_key(&(number + 1)));
            let is_sound = goes_on || (is_last && is_sound_end(&segment, marks)?);
            // A segment that is cut is written anew wherever it ends: whoever goes on in it goes on in a file of its own.
            let is_cut = !is_sound && segment.end.seal.is_none();
            if is_cut || segment.is_to_be_written()? {
                merged.rewrites.push(rewrite_of(number, before, &segment, is_cut)?);
            }
            progress.advance(segment.own.as_ref().map_or(0, |own| own.bytes))?;
            before = Some(segment.end);
            merged.is_of_another_history |= segment.is_of_another_history;
            merged.last = Some((segment.header, segment.end));
            if !goes_on {
                merged.end = if is_sound { LogEnd::Sound } else { LogEnd::Cut };
                break;
            }
        }
        merged.is_of_another_history |= self.is_passed_by(&merged);
        Ok(merged)
    }

    /// Whether the store has a segment behind the end that begins before it: the backup's frames have stood in for others.
    fn is_passed_by(&self, merged: &Merged) -> bool {
        let next = merged.next_position();
        let mut behind = self.own.range(merged.first_behind()..).filter_map(|(_, own)| own.header.as_ref());
        merged.restored.events > 0 && behind.any(|header| header.first_position < next)
    }

    /// Puts a segment together once more, to be written. It must be as it was.
    pub(crate) fn again(&self, rewrite: &Rewrite) -> Result<MergedSegment> {
        let segment = self.segment(rewrite.number, rewrite.before.as_ref(), &mut Restored::default())?;
        segment.filter(|segment| segment.end == rewrite.end).ok_or_else(|| {
            let reason = "this segment isn't any more as it was when the repair was planned: it, or the backup, is changing";
            let path = self.own.get(&rewrite.number).or(self.backup.get(&rewrite.number)).map(|file| &file.path);
            Error::not_repairable(path.cloned().unwrap_or_default(), reason)
        })
    }

    /// One segment as far as it goes; none: it can't even begin.
    fn segment(
        &self,
        number: u64,
        before: Option<&ChainEnd>,
        restored: &mut Restored,
    ) -> Result<Option<MergedSegment>> {
        let (own, backup) = (self.own.get(&number), self.backup.get(&number));
        let Some(header) = self.header(number, before, own, backup)? else { return Ok(None) };
        let own_file = own.map(|own| self.open(own)).transpose()?;
        let backup_file = backup.map(|backup| self.open(backup)).transpose()?;
        if own_file.is_none() && backup_file.is_none() {
            return Ok(None);
        }
        let next = self.own.get(&(number + 1)).and_then(|next| next.header.as_ref());
        let content = Overlay::new(own_file, backup_file);
        let (end, stop) = (ChainEnd::beginning(&header), no_frame());
        let mut segment =
            MergedSegment { header, own: own.cloned(), content, end, stop, is_of_another_history: false };
        segment.go_on(next, restored).map_err(|error| segment.io(error))?;
        Ok(Some(segment))
    }

    /// The header that the segment has or must have.
    fn header(
        &self,
        number: u64,
        before: Option<&ChainEnd>,
        own: Option<&SegmentFile>,
        backup: Option<&SegmentFile>,
    ) -> Result<Option<SegmentHeader>> {
        for file in [own, backup].into_iter().flatten() {
            if let Some(header) = &file.header
                && header.number == number
                && self.goes_on(file, header, before)?
            {
                return Ok(Some(header.clone()));
            }
        }
        Ok(rebuilt_header(self.meta, number, before))
    }

    fn goes_on(&self, file: &SegmentFile, header: &SegmentHeader, before: Option<&ChainEnd>) -> Result<bool> {
        let opened = self.open(file)?;
        let segment = Segment::with_header(header.clone(), file.path.clone(), opened)?;
        match check_link(&segment, self.meta, before) {
            Err(Error::Corrupt { .. }) => Ok(false),
            checked => checked.map(|()| true),
        }
    }

    fn open(&self, file: &SegmentFile) -> Result<Arc<TolerantFile>> {
        let opened = self.disk.open(&file.path, OpenMode::Read);
        Ok(TolerantFile::new(opened.map_err(|error| Error::io("open", &file.path, error))?))
    }
}

fn no_frame() -> Stop {
    Stop { reason: "no frame begins here", tail: TailStop::NoHeader { sector_is_zero: true } }
}

fn rewrite_of(
    number: u64,
    before: Option<ChainEnd>,
    segment: &MergedSegment,
    is_cut: bool,
) -> Result<Rewrite> {
    let (bytes_restored, bytes_mended) = segment.content.patched_bytes();
    let (was, length) = (segment.own.clone(), segment.length(is_cut)?);
    Ok(Rewrite { number, before, end: segment.end, was, length, bytes_restored, bytes_mended })
}

/// Whether the last segment ends as it should.
fn is_sound_end(last: &MergedSegment, marks: &Marks<'_>) -> Result<bool> {
    let file = TolerantFile::new(Arc::new(last.content.clone()));
    let segment = Segment::with_header(last.header.clone(), last.path(), file.clone())?;
    Ok(marks.judge_end(&OpenSegment { segment, file }, last.end, last.stop)?.is_none())
}

impl MergedSegment {
    /// Goes on as long as one of the sources does.
    fn go_on(&mut self, next: Option<&SegmentHeader>, restored: &mut Restored) -> std::io::Result<()> {
        let header = self.header.clone();
        let (own, backup) = (self.content.own().cloned(), self.content.backup().cloned());
        self.put_header(own.as_deref())?;
        let own_segment = own.clone().and_then(|own| segment_of(&header, own));
        let mut own_scan = own.as_deref().map(|file| Scan::new(file, &header)).transpose()?;
        let mut backup_scan = backup.as_deref().map(|file| Scan::new(file, &header)).transpose()?;
        let allowance = Allowance::of_segment();
        let mut run: Option<BackupRun> = None;
        while self.end.seal.is_none() {
            let from = self.end;
            if let Some(scan) = &mut own_scan {
                scan.skip_to(from);
                match scan.next_frame()?.err() {
                    None => {
                        self.end = scan.end();
                        run = None;
                        continue;
                    }
                    Some(stop) => self.stop = stop,
                }
            }
            // What the store itself says comes before what a backup says, which may be of another history.
            let mut current = if let Some(current) = run.take().filter(|run| !run.is_over(&from)) {
                current
            } else {
                let begun = BackupRun::begin(own_segment.as_ref(), &from, &allowance)?;
                if self.take_mended(own_segment.as_ref(), next, &begun)? {
                    continue;
                }
                begun
            };
            if let Some(scan) = &mut backup_scan
                && self.take_of_backup(scan, restored)?
            {
                current.take(&self.end);
                run = Some(current);
                continue;
            }
            if !self.take_mended(own_segment.as_ref(), next, &current)? {
                run = Some(current);
                break;
            }
        }
        self.is_of_another_history = run.is_some_and(|run| run.is_of_another_history(&self.end, next));
        self.content.add_zeros_before(self.end.file_offset)
    }

    /// Takes the backup's frame that goes on here. False: it has none.
    fn take_of_backup(&mut self, scan: &mut Scan<'_>, restored: &mut Restored) -> std::io::Result<bool> {
        let from = self.end;
        scan.skip_to(from);
        let Ok(frame) = scan.next_frame()? else { return Ok(false) };
        frame.records().filter_map(|(_, record)| record.ok()).for_each(|record| {
            restored.event(&record, self.header.store_id);
        });
        self.end = scan.end();
        self.content.add(Patch::of_backup(from.file_offset, self.end.file_offset));
        Ok(true)
    }

    /// Takes what must have stood here. False: that isn't known.
    fn take_mended(
        &mut self,
        own: Option<&Segment>,
        next: Option<&SegmentHeader>,
        run: &BackupRun,
    ) -> std::io::Result<bool> {
        let Some((patch, end)) = self.mended(own, next, run)? else { return Ok(false) };
        self.content.add(patch);
        self.end = end;
        Ok(true)
    }

    /// Puts the header there, where the file has another.
    fn put_header(&mut self, own: Option<&TolerantFile>) -> std::io::Result<()> {
        let header = self.header.encode();
        let mut found = vec![0; header.len()];
        let is_there = match own {
            Some(own) if DiskFile::len(own)? >= bytes(found.len()) => {
                own.read_exact_at(&mut found, 0)?;
                found[..] == header[..]
            }
            _ => false,
        };
        if !is_there {
            self.content.add(Patch::known(0, header));
        }
        Ok(())
    }

    /// What must have stood here, if that is known and makes a valid frame.
    fn mended(
        &self,
        own: Option<&Segment>,
        next: Option<&SegmentHeader>,
        run: &BackupRun,
    ) -> std::io::Result<Option<(Patch, ChainEnd)>> {
        let Some(segment) = own else { return Ok(None) };
        let Some(patch) = mend(segment, &self.end, next, run.resumed.as_ref())? else { return Ok(None) };
        let mut trial = Overlay::new(self.content.own().cloned(), None);
        trial.add(patch.clone());
        let mut scan = Scan::new(&trial, &self.header)?;
        scan.skip_to(self.end);
        let is_valid = scan.next_frame()?.is_ok();
        Ok(is_valid.then(|| (patch, scan.end())))
    }
}

/// The store's own file as a segment with the header that it must have.
fn segment_of(header: &SegmentHeader, own: Arc<TolerantFile>) -> Option<Segment> {
    Segment::with_header(header.clone(), PathBuf::new(), own).ok()
}
