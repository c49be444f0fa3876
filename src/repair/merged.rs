//! The log, put together of what there is: the store's own frames as far as they are valid, else a backup's, else what can
//! only have stood there. It ends where none of them goes on. One segment is put together at a time, again when it is written:
//! so no more than one segment's files are open, and of the others no more is kept than where they end.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::contract::Disk,
    error::{Error, Result},
    format::{
        control::StoreMeta,
        layout::bytes,
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    inspect::{
        inspection::rebuilt_header,
        marks::Marks,
        ordering::{SegmentFile, Slot},
        report::Verification,
        stream_table::StreamTable,
        tolerant_file::TolerantFile,
        walk::OpenSegment,
    },
    log::{
        recovery::check_link,
        scan::ChainEnd,
        segment::{Segment, segment_path},
    },
    position::{LogOffset, Position},
    repair::{
        judge::{Judge, Refusal},
        merged_segment::{Limit, MergedSegment, Pass},
        overlay::Overlay,
        planned_end::PlannedEnd,
        progress::RepairProgress,
        restored::Restored,
    },
};

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
    /// What the streams are where it ends.
    pub(crate) streams: StreamTable,
    /// Whether the backup has something else than the store where the store is intact.
    pub(crate) is_of_another_history: bool,
    /// The file of the segment in which the log ends because of a bound of the repair's own, and which that is.
    pub(crate) limit: Option<(PathBuf, Limit)>,
    /// The file that has a whole frame with which the log ends, since that isn't taken.
    pub(crate) refused: Option<(PathBuf, Refusal)>,
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

    /// Where the log ends, in its last segment.
    pub(crate) fn planned_end(&self) -> PlannedEnd {
        let is_cut = self.end == LogEnd::Cut;
        let of = |segment, end: &ChainEnd| {
            let ChainEnd { file_offset, chain, .. } = *end;
            PlannedEnd { segment, file_offset, chain, is_cut }
        };
        match (&self.last, &self.before) {
            (Some((header, end)), _) => of(header.number, end),
            (None, Some(before)) => of(self.first - 1, before),
            // A segment of no event.
            (None, None) => {
                PlannedEnd { segment: self.first, file_offset: bytes(SEGMENT_HEADER_BYTES), chain: 0, is_cut }
            }
        }
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
        found: &Verification,
        mut judge: Judge,
        marks: &Marks<'_>,
        progress: &mut RepairProgress<'_>,
    ) -> Result<Merged> {
        let (end, restored) = (LogEnd::Cut, Restored::new(&found.intact));
        let mut merged = Merged {
            first,
            before,
            last: None,
            end,
            rewrites: Vec::new(),
            restored,
            streams: StreamTable::new(),
            is_of_another_history: false,
            limit: None,
            refused: None,
        };
        let mut before = before;
        let greatest = self.own.keys().chain(self.backup.keys()).max().copied().unwrap_or(first);
        progress.expect(self.own.range(first..).map(|(_, own)| own.bytes).sum());
        for number in first..=greatest {
            let mut pass = Pass::Judged(&mut judge, &mut merged.restored);
            let Some(segment) = self.segment(number, before.as_ref(), &mut pass)? else { break };
            let is_last = self.own.range(number + 1..).next().is_none();
            let goes_on = segment.end.seal.is_some() && (!is_last || self.backup.contains_key(&(number + 1)));
            let is_last_to_judge = is_last && segment.limit.is_none() && segment.refused.is_none();
            let is_sound = goes_on || (is_last_to_judge && is_sound_end(&segment, marks)?);
            // A segment that is cut is written anew wherever it ends: whoever goes on in it goes on in a file of its own.
            let is_cut = !is_sound && segment.end.seal.is_none();
            if is_cut || segment.is_to_be_written()? {
                merged.rewrites.push(rewrite_of(number, before, &segment, is_cut)?);
            }
            progress.advance(segment.own.as_ref().map_or(0, |own| own.bytes))?;
            before = Some(segment.end);
            merged.is_of_another_history |= segment.is_of_another_history;
            merged.limit = segment.limit.map(|limit| (segment.path(), limit));
            merged.refused = segment.refused.map(|refusal| {
                let files = if refusal.is_of_backup { self.backup } else { self.own };
                (files.get(&number).map(|file| file.path.clone()).unwrap_or_default(), refusal)
            });
            merged.last = Some((segment.header, segment.end));
            if !goes_on {
                merged.end = if is_sound { LogEnd::Sound } else { LogEnd::Cut };
                break;
            }
        }
        merged.is_of_another_history |= self.is_passed_by(&merged);
        merged.streams = judge.into_streams();
        Ok(merged)
    }

    /// Whether the store has a segment behind the end that begins before it: the backup's frames have stood in for others.
    fn is_passed_by(&self, merged: &Merged) -> bool {
        let next = merged.next_position();
        let mut behind = self.own.range(merged.first_behind()..).filter_map(|(_, own)| own.header.as_ref());
        merged.restored.events > 0 && behind.any(|header| header.first_position < next)
    }

    /// Puts a segment together once more, as it is to be written. It must be as it was.
    pub(crate) fn again(&self, rewrite: &Rewrite) -> Result<Overlay> {
        let mut pass = Pass::Until(rewrite.end);
        let segment = self.segment(rewrite.number, rewrite.before.as_ref(), &mut pass)?;
        let segment = segment.filter(|segment| segment.end == rewrite.end);
        segment.map(|segment| segment.content.ending_at(rewrite.length)).ok_or_else(|| {
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
        pass: &mut Pass<'_>,
    ) -> Result<Option<MergedSegment>> {
        let (own, backup) = (self.own.get(&number), self.backup.get(&number));
        let Some(header) = self.header(number, before, own, backup)? else { return Ok(None) };
        let own_file = own.map(|own| self.open(own)).transpose()?;
        let backup_file = backup.map(|backup| self.open(backup)).transpose()?;
        if own_file.is_none() && backup_file.is_none() {
            return Ok(None);
        }
        let next = self.own.get(&(number + 1)).and_then(|next| next.header.as_ref());
        let mut segment = MergedSegment::new(header, own.cloned(), Overlay::new(own_file, backup_file));
        segment.go_on(next, pass)?;
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
        TolerantFile::open(self.disk, &file.path)
    }
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
