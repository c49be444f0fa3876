//! One segment, put together of what there is.

use std::{fmt, io, path::PathBuf, sync::Arc};

use crate::{
    disk::contract::DiskFile,
    error::{Error, Result},
    format::{
        frame::FRAME_HEADER_BYTES,
        layout::{bytes, index, is_zero},
        segment_header::SegmentHeader,
    },
    inspect::{
        allowance::Allowance, ordering::SegmentFile, search::Search, tolerant_file::TolerantFile,
        walk::header_at_end,
    },
    log::{
        scan::{ChainEnd, Scan, ScannedFrame, Stop},
        segment::Segment,
        verdict::TailStop,
    },
    repair::{
        backup_run::BackupRun,
        judge::{Judge, Refusal},
        mending::mend,
        overlay::{Overlay, PATCHES_MAX, Patch},
        restored::Restored,
    },
};

/// How much is looked at together for bytes that aren't zero.
const CHUNK_BYTES: usize = 1 << 20;

/// A bound of the repair's own that keeps a segment from being put together any further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    /// As many places are other than they were as can be.
    Patches,
    /// All that may be looked through of what is broken was.
    Allowance,
}

impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patches => {
                write!(
                    formatter,
                    "{PATCHES_MAX} places in it are mended, and a repair mends no more in one file"
                )
            }
            Self::Allowance => {
                formatter.write_str("so much of it is damaged that a repair doesn't look through all of that")
            }
        }
    }
}

/// A segment as it will be.
#[derive(Debug)]
pub(crate) struct MergedSegment {
    pub(crate) header: SegmentHeader,
    pub(crate) own: Option<SegmentFile>,
    pub(crate) content: Overlay,
    pub(crate) end: ChainEnd,
    /// Why no frame goes on behind it.
    pub(crate) stop: Stop,
    /// Whether the backup has something else than the store where the store is intact.
    pub(crate) is_of_another_history: bool,
    /// What else keeps it from going on.
    pub(crate) limit: Option<Limit>,
    /// The whole frame that isn't taken, and behind which nothing is.
    pub(crate) refused: Option<Refusal>,
}

/// A pass over a segment, in which it is put together: how far, and what takes its events in.
pub(crate) enum Pass<'a> {
    /// As far as its events may stay.
    Judged(&'a mut Judge, &'a mut Restored),
    /// As far as it was put together before.
    Until(ChainEnd),
}

impl Pass<'_> {
    fn is_reached(&self, end: &ChainEnd) -> bool {
        matches!(self, Self::Until(until) if until == end)
    }

    fn take(&mut self, frame: &ScannedFrame<'_>) -> Result<(), Refusal> {
        match self {
            Self::Judged(judge, _) => judge.frame(frame),
            Self::Until(_) => Ok(()),
        }
    }

    /// Takes a frame of the backup.
    fn take_of_backup(&mut self, frame: &ScannedFrame<'_>) -> Result<(), Refusal> {
        self.take(frame)?;
        if let Self::Judged(_, restored) = self {
            frame.records().filter_map(|(_, record)| record.ok()).for_each(|record| restored.event(&record));
        }
        Ok(())
    }
}

/// Why a source doesn't go on.
enum Halt {
    /// No frame is valid there.
    Stop(Stop),
    /// One is, and isn't taken.
    Refused(Refusal),
}

impl Halt {
    /// What the log ends with; none: something else may stand there.
    fn refusal(&self, file_offset: u64) -> Option<Refusal> {
        match self {
            Self::Stop(stop) => {
                let reason = stop.reason;
                Some(Refusal { file_offset, reason, is_of_backup: false }).filter(Refusal::is_newer)
            }
            Self::Refused(refusal) => Some(*refusal),
        }
    }
}

/// One of the files that a segment is put together of. What is looked at of it where it doesn't go on is paid for.
struct Source<'a> {
    scan: Scan<'a>,
    search: Search<'a>,
    allowance: &'a Allowance,
}

impl<'a> Source<'a> {
    fn new(segment: &'a Segment, allowance: &'a Allowance) -> io::Result<Self> {
        let scan = Scan::new(&*segment.file, &segment.header)?;
        Ok(Self { scan, search: Search::new(segment, u64::MAX, allowance)?, allowance })
    }

    /// Goes on behind an end of the chain with the frame there, which `take` is given; or says why none goes on.
    fn go_on(
        &mut self,
        from: &ChainEnd,
        take: impl FnOnce(&ScannedFrame<'_>) -> Result<(), Refusal>,
    ) -> io::Result<Result<ChainEnd, Halt>> {
        self.scan.skip_to(*from);
        let stop = match self.scan.next_frame()? {
            Ok(frame) => {
                let taken = take(&frame);
                return Ok(taken.map(|()| self.scan.end()).map_err(Halt::Refused));
            }
            Err(stop) => stop,
        };
        let header = header_at_end(self.search.segment, from)?;
        self.allowance.pay(bytes(header.map_or(FRAME_HEADER_BYTES, |header| header.frame_bytes())));
        Ok(Err(Halt::Stop(stop)))
    }
}

impl MergedSegment {
    /// A segment of which nothing is put together yet. `content` has its files.
    pub(crate) fn new(header: SegmentHeader, own: Option<SegmentFile>, content: Overlay) -> Self {
        let end = ChainEnd::beginning(&header);
        let stop = Stop { reason: "no frame begins here", tail: TailStop::NoHeader { sector_is_zero: true } };
        let (is_of_another_history, limit, refused) = (false, None, None);
        Self { header, own, content, end, stop, is_of_another_history, limit, refused }
    }

    /// The path that its file has; empty: the store hasn't got the file.
    pub(crate) fn path(&self) -> PathBuf {
        self.own.as_ref().map_or_else(PathBuf::new, |own| own.path.clone())
    }

    fn io(&self, error: io::Error) -> Error {
        Error::io("read", self.path(), error)
    }

    /// Whether its file isn't as it is to be: it lacks something, has bytes that can't be read, or too much behind its SEAL.
    pub(crate) fn is_to_be_written(&self) -> Result<bool> {
        let Some(own) = self.content.own() else { return Ok(true) };
        let has_more = self.has_more(own).map_err(|error| self.io(error))?;
        let is_unreadable = own.unreadable_in(0..u64::MAX).is_some();
        Ok(self.content.is_patched() || is_unreadable || (has_more && self.end.seal.is_some()))
    }

    /// Whether anything but zeros stands behind its end. All of it is read, so that bytes that can't be are met.
    fn has_more(&self, own: &TolerantFile) -> io::Result<bool> {
        let length = own.len()?;
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
    pub(crate) fn length(&self, is_cut: bool) -> Result<u64> {
        if is_cut || self.end.seal.is_some() {
            return Ok(self.end.file_offset);
        }
        self.content.len().map_err(|error| self.io(error))
    }

    /// Goes on as long as one of the sources does.
    pub(crate) fn go_on(&mut self, next: Option<&SegmentHeader>, pass: &mut Pass<'_>) -> Result<()> {
        if let Pass::Judged(judge, _) = pass {
            judge.begin(&self.header);
        }
        let segment_of = |file: Option<&Arc<TolerantFile>>| {
            let segment = |file| Segment::with_header(self.header.clone(), self.path(), file);
            file.map(|file| segment(Arc::clone(file) as _)).transpose()
        };
        let own = segment_of(self.content.own())?;
        let backup = segment_of(self.content.backup())?;
        self.put_together((own.as_ref(), backup.as_ref()), next, pass).map_err(|error| self.io(error))
    }

    fn put_together(
        &mut self,
        (own, backup): (Option<&Segment>, Option<&Segment>),
        next: Option<&SegmentHeader>,
        pass: &mut Pass<'_>,
    ) -> io::Result<()> {
        self.put_header()?;
        let file_bytes = [own, backup].into_iter().flatten().map(Segment::prepared).max().unwrap_or(0);
        let allowance = Allowance::of_segment(file_bytes);
        let source = |segment| Source::new(segment, &allowance);
        let (mut own, mut backup) = (own.map(source).transpose()?, backup.map(source).transpose()?);
        let mut run: Option<BackupRun> = None;
        while self.end.seal.is_none() && self.refused.is_none() && !pass.is_reached(&self.end) {
            let from = self.end;
            if let Some(own) = &mut own
                && self.take_own(own, pass)?
            {
                run = None;
                continue;
            }
            if !self.content.has_room() {
                self.limit = Some(Limit::Patches);
                break;
            }
            // What the store itself says comes before what a backup says, which may be of another history.
            let continued = run.take().filter(|run| !run.is_over(&from));
            let is_continued = continued.is_some();
            let mut current = match continued {
                Some(continued) => continued,
                None => BackupRun::begin(own.as_mut().map(|own| &mut own.search), &from)?,
            };
            if !is_continued && self.take_mended(own.as_ref(), next, &current, pass)? {
                continue;
            }
            // What is intact behind wasn't found then, and tells nothing of the backup.
            let may_go_on = !allowance.is_spent() && self.refused.is_none();
            if may_go_on
                && let Some(backup) = &mut backup
                && self.take_of_backup(backup, pass)?
            {
                current.take(&self.end);
                run = Some(current);
                continue;
            }
            if !is_continued || !self.take_mended(own.as_ref(), next, &current, pass)? {
                run = Some(current);
                break;
            }
        }
        if self.end.seal.is_none() && allowance.is_spent() {
            self.limit = Some(Limit::Allowance);
        }
        self.is_of_another_history = run.is_some_and(|run| run.is_of_another_history(&self.end, next));
        self.content.add_zeros_before(self.end.file_offset)
    }

    /// Takes the store's own frame that goes on here, or ends the log before it. False: none goes on.
    fn take_own(&mut self, own: &mut Source<'_>, pass: &mut Pass<'_>) -> io::Result<bool> {
        match own.go_on(&self.end, |frame| pass.take(frame))? {
            Ok(end) => {
                self.end = end;
                return Ok(true);
            }
            Err(halt) => {
                self.refused = halt.refusal(self.end.file_offset);
                if let Halt::Stop(stop) = halt {
                    self.stop = stop;
                }
            }
        }
        Ok(self.refused.is_some())
    }

    /// Takes the backup's frame that goes on here. False: it has none that may be taken.
    fn take_of_backup(&mut self, backup: &mut Source<'_>, pass: &mut Pass<'_>) -> io::Result<bool> {
        let from = self.end;
        match backup.go_on(&from, |frame| pass.take_of_backup(frame))? {
            Ok(end) => {
                self.end = end;
                self.content.add(Patch::of_backup(from.file_offset, end.file_offset));
                Ok(true)
            }
            Err(halt) => {
                let refusal = halt.refusal(from.file_offset);
                self.refused = refusal.map(|refusal| Refusal { is_of_backup: true, ..refusal });
                Ok(false)
            }
        }
    }

    /// Takes what must have stood here, if that is known and makes a valid frame. False: it isn't, or can't be paid for.
    fn take_mended(
        &mut self,
        own: Option<&Source<'_>>,
        next: Option<&SegmentHeader>,
        run: &BackupRun,
        pass: &mut Pass<'_>,
    ) -> io::Result<bool> {
        let Some(Source { search, allowance, .. }) = own.filter(|_| self.refused.is_none()) else {
            return Ok(false);
        };
        let mended = mend(search.segment, &self.end, next, run.resumed.as_ref(), allowance)?;
        let Some(mended) = mended else { return Ok(false) };
        if !allowance.pay(mended.frame_end - self.end.file_offset) {
            return Ok(false);
        }
        let mut trial = Overlay::new(self.content.own().cloned(), None);
        trial.add(mended.patch.clone());
        let mut scan = Scan::until(&trial, &self.header, mended.frame_end)?;
        scan.skip_to(self.end);
        let taken = match scan.next_frame()? {
            Ok(frame) => pass.take(&frame),
            Err(_) => return Ok(false),
        };
        if let Err(refusal) = taken {
            self.refused = Some(refusal);
            return Ok(false);
        }
        self.end = scan.end();
        self.content.add(mended.patch);
        Ok(true)
    }

    /// Puts the header there, where the file has another.
    fn put_header(&mut self) -> io::Result<()> {
        let header = self.header.encode();
        let mut found = vec![0; header.len()];
        let is_there = match self.content.own() {
            Some(own) if own.len()? >= bytes(found.len()) => {
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
}
