//! The log, put together of what there is: the store's own frames as far as they are valid, else a backup's, else what can
//! only have stood there. It ends where none of them goes on.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use crate::{
    disk::contract::{Disk, DiskFile, OpenMode},
    error::{Error, Result},
    format::{
        control::StoreMeta,
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    inspect::{
        inspection::rebuilt_header,
        marks::Marks,
        ordering::{SegmentFile, Slot},
        tolerant_file::TolerantFile,
        walk::OpenSegment,
    },
    log::{
        recovery::check_link,
        scan::{ChainEnd, Scan, Stop},
        segment::Segment,
        verdict::TailStop,
    },
    position::{LogOffset, Position},
    repair::{
        mending::mend,
        overlay::{Overlay, Patch, Source},
    },
};

/// The segments of a store by number.
pub(crate) type Files = BTreeMap<u64, SegmentFile>;

pub(crate) fn files_of(slots: &[Slot]) -> Files {
    slots.iter().filter_map(Slot::file).map(|file| (file.number, file.clone())).collect()
}

/// A segment as it will be.
#[derive(Clone, Debug)]
pub(crate) struct MergedSegment {
    pub(crate) header: SegmentHeader,
    /// The store's own file, under whatever name.
    pub(crate) own: Option<SegmentFile>,
    pub(crate) content: Overlay,
    pub(crate) end: ChainEnd,
    /// Events that come from the backup, from one position up to another, excluded.
    pub(crate) restored: Vec<(Position, Position)>,
}

/// Where a log ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogEnd {
    /// As it should, or as a cut has left it.
    Sound,
    /// Before what can't be read.
    Cut,
}

/// The log from some segment on.
#[derive(Debug)]
pub(crate) struct Merged {
    /// The number of the first segment of these.
    pub(crate) first: u64,
    pub(crate) segments: Vec<MergedSegment>,
    pub(crate) end: LogEnd,
    store_id: u64,
    first_segment: u64,
    /// The end of the log before these segments.
    before: Option<ChainEnd>,
}

impl Merged {
    /// A log of which nothing is to be changed.
    pub(crate) fn untouched(meta: &StoreMeta, own: &Files) -> Self {
        let last = own.keys().next_back().copied().unwrap_or(meta.first_segment);
        Self {
            first: last + 1,
            segments: Vec::new(),
            end: LogEnd::Sound,
            store_id: meta.store_id,
            first_segment: meta.first_segment,
            before: None,
        }
    }

    /// The position behind the last event.
    pub(crate) fn next_position(&self) -> Position {
        let last = self.segments.last().map(|segment| segment.end);
        last.or(self.before).map_or(Position::FIRST, |end| end.next_position)
    }

    /// Whether nothing stays of the log.
    pub(crate) fn is_all(&self) -> bool {
        self.first == self.first_segment && self.segments.is_empty()
    }

    /// The header of a log of no event.
    pub(crate) fn beginning(&self) -> Result<SegmentHeader> {
        let meta = StoreMeta { store_id: self.store_id, created: 0, first_segment: self.first_segment };
        rebuilt_header(&meta, self.first_segment, None).ok_or_else(|| Error::Failed {
            reason:
                "the log's first segments were dropped before, and what is left of it can't be begun anew"
                    .into(),
        })
    }

    /// Where the log ends, as an offset in it; none: that isn't changed.
    pub(crate) fn log_end(&self) -> Option<LogOffset> {
        match self.segments.last() {
            Some(last) => Some(last.header.log_offset(last.end.file_offset)),
            None if self.is_all() => Some(LogOffset::new(SEGMENT_HEADER_BYTES as u64)),
            None => self.before.and_then(|before| before.seal).map(|seal| seal.logical_end),
        }
    }
}

/// What a log is put together of.
pub(crate) struct Parts<'a> {
    pub(crate) disk: &'a dyn Disk,
    pub(crate) meta: &'a StoreMeta,
    pub(crate) own: &'a Files,
    pub(crate) backup: &'a Files,
    pub(crate) marks: &'a Marks<'a>,
}

impl Parts<'_> {
    /// Puts the log together, from a segment on whose forerunner ends as it should.
    pub(crate) fn merge(&self, first: u64, before: Option<ChainEnd>) -> Result<Merged> {
        let mut merged = Merged {
            first,
            segments: Vec::new(),
            end: LogEnd::Cut,
            store_id: self.meta.store_id,
            first_segment: self.meta.first_segment,
            before,
        };
        let mut before = before;
        let last = self.own.keys().chain(self.backup.keys()).next_back().copied().unwrap_or(first);
        let last = last.max(self.own.keys().next_back().copied().unwrap_or(first));
        for number in first..=last {
            let Some(segment) = self.segment(number, before.as_ref())? else { return Ok(merged) };
            let is_sealed = segment.segment.end.seal.is_some();
            let (end, stop) = (segment.segment.end, segment.stop);
            merged.segments.push(segment.segment);
            before = Some(end);
            let is_last = self.own.range(number + 1..).next().is_none();
            let goes_on = is_sealed && (!is_last || self.backup.contains_key(&(number + 1)));
            if !goes_on {
                if is_last && self.is_sound(merged.segments.last(), stop)? {
                    merged.end = LogEnd::Sound;
                }
                return Ok(merged);
            }
        }
        Ok(merged)
    }

    /// Whether the last segment ends as it should.
    fn is_sound(&self, last: Option<&MergedSegment>, stop: Stop) -> Result<bool> {
        let Some(last) = last else { return Ok(false) };
        let path = last.own.as_ref().map_or_else(PathBuf::new, |own| own.path.clone());
        let file = TolerantFile::new(Arc::new(last.content.clone()));
        let segment = Segment::with_header(last.header.clone(), path, file.clone())?;
        let walked = OpenSegment { segment, file };
        let is_right = self.marks.judge_end(&walked, last.end, stop)?.is_none();
        Ok(is_right && walked.file.unreadable_in(0..u64::MAX).is_none())
    }

    /// One segment as far as it goes; none: it can't even begin.
    fn segment(&self, number: u64, before: Option<&ChainEnd>) -> Result<Option<Going>> {
        let (own, backup) = (self.own.get(&number), self.backup.get(&number));
        let Some(header) = self.header(number, before, own, backup)? else { return Ok(None) };
        let own_file = own.map(|own| self.open(own)).transpose()?;
        let backup_file = backup.map(|backup| self.open(backup)).transpose()?;
        if own_file.is_none() && backup_file.is_none() {
            return Ok(None);
        }
        let own_header = own.and_then(|own| own.header.as_ref());
        let mut content = Overlay::new(own_file.clone());
        if own_header != Some(&header) {
            content.add(Patch::known(0, header.encode()));
        }
        let next = self.own.get(&(number + 1)).and_then(|next| next.header.as_ref());
        let mut going = Going::new(header, own.cloned(), content);
        going.go(own_file.as_ref(), backup_file.as_ref(), next)?;
        Ok(Some(going))
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

    fn open(&self, file: &SegmentFile) -> Result<Arc<dyn DiskFile>> {
        let opened = self.disk.open(&file.path, OpenMode::Read);
        Ok(TolerantFile::new(opened.map_err(|error| Error::io("open", &file.path, error))?))
    }
}

/// A segment on the way to its end.
struct Going {
    segment: MergedSegment,
    stop: Stop,
}

impl Going {
    fn new(header: SegmentHeader, own: Option<SegmentFile>, content: Overlay) -> Self {
        let end = ChainEnd::beginning(&header);
        let stop = Stop { reason: "no frame begins here", tail: TailStop::NoHeader { sector_is_zero: true } };
        Self { segment: MergedSegment { header, own, content, end, restored: Vec::new() }, stop }
    }

    /// Goes on as long as one of the sources does.
    fn go(
        &mut self,
        own: Option<&Arc<dyn DiskFile>>,
        backup: Option<&Arc<dyn DiskFile>>,
        next: Option<&SegmentHeader>,
    ) -> Result<()> {
        let header = self.segment.header.clone();
        let path = self.segment.own.as_ref().map_or_else(PathBuf::new, |own| own.path.clone());
        let io = |error| Error::io("read", &path, error);
        let mut own_scan = own.map(|file| Scan::new(&**file, &header)).transpose().map_err(io)?;
        let mut backup_scan = backup.map(|file| Scan::new(&**file, &header)).transpose().map_err(io)?;
        while self.segment.end.seal.is_none() {
            let from = self.segment.end;
            if let Some(scan) = &mut own_scan {
                match next_end(scan, from).map_err(io)? {
                    Ok(end) => {
                        self.segment.end = end;
                        continue;
                    }
                    Err(stop) => self.stop = stop,
                }
            }
            if let (Some(scan), Some(backup)) = (&mut backup_scan, backup)
                && let Ok(end) = next_end(scan, from).map_err(io)?
            {
                let source = Source::Backup(Arc::clone(backup));
                self.patch(Patch { start: from.file_offset, end: end.file_offset, source }, end);
                continue;
            }
            let Some((patch, end)) = self.mended(own, &header, next).map_err(io)? else { return Ok(()) };
            self.segment.content.add(patch);
            self.segment.end = end;
        }
        Ok(())
    }

    /// Takes a frame from the backup.
    fn patch(&mut self, patch: Patch, end: ChainEnd) {
        let (first, beyond) = (self.segment.end.next_position, end.next_position);
        self.segment.content.add(patch);
        self.segment.end = end;
        match self.segment.restored.last_mut() {
            Some((_, last)) if *last == first => *last = beyond,
            _ if first < beyond => self.segment.restored.push((first, beyond)),
            _ => {}
        }
    }

    /// What must have stood here, if that is known and makes a valid frame.
    fn mended(
        &self,
        own: Option<&Arc<dyn DiskFile>>,
        header: &SegmentHeader,
        next: Option<&SegmentHeader>,
    ) -> std::io::Result<Option<(Patch, ChainEnd)>> {
        let Some(own) = own else { return Ok(None) };
        let Ok(segment) = Segment::with_header(header.clone(), PathBuf::new(), Arc::clone(own)) else {
            return Ok(None);
        };
        let Some(patch) = mend(&segment, &self.segment.end, next)? else { return Ok(None) };
        let mut trial = Overlay::new(Some(Arc::clone(own)));
        trial.add(patch.clone());
        let mut scan = Scan::new(&trial, header)?;
        let end = next_end(&mut scan, self.segment.end)?.ok();
        Ok(end.map(|end| (patch, end)))
    }
}

/// The end behind the frame that goes on from a place, or why none does.
fn next_end(scan: &mut Scan<'_>, from: ChainEnd) -> std::io::Result<Result<ChainEnd, Stop>> {
    scan.skip_to(from);
    let stop = scan.next_frame()?.err();
    Ok(match stop {
        None => Ok(scan.end()),
        Some(stop) => Err(stop),
    })
}
