//! What a repair would do: which bytes it changes, and which events that costs.

use std::path::PathBuf;

use crate::{
    disk::contract::{DiskFile, OpenMode},
    error::{Error, Result},
    format::{
        control::StoreMeta,
        layout::{bytes, index, is_zero},
        segment_header::SEGMENT_HEADER_BYTES,
    },
    index::files::IndexFiles,
    inspect::{
        ordering::{SegmentFile, Stranger},
        report::{Finding, FindingKind, Listed, LostVersions, PositionRange, Verification},
        tolerant_file::TolerantFile,
        verify::Inspected,
    },
    log::{
        creation::meta_path,
        mark::mark_path,
        segment::{index_number, index_path, segment_path, segments_directory},
    },
    position::{LogOffset, Position},
    repair::{
        merged::{Files, LogEnd, Merged, MergedSegment},
        overlay::Overlay,
    },
};

/// Files that have another's name wait under numbers from here on, which no segment reaches.
const ASIDE_FROM: u64 = 900_000_000_000;

/// How much is looked at together for bytes that aren't zero.
const CHUNK_BYTES: usize = 1 << 20;

/// Something that a repair changes.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RepairStep {
    /// A segment's file gets its right name.
    Rename {
        /// The name that it has.
        from: PathBuf,
        /// The name that it should have.
        to: PathBuf,
    },
    /// A segment's file is written anew; the one that had its name, which a backup may share, goes to `quarantine/`.
    Write {
        /// The file.
        path: PathBuf,
        /// How long it is then.
        bytes: u64,
        /// How long it was before; none: it was missing.
        bytes_before: Option<u64>,
        /// How much of it comes from the backup.
        bytes_restored: u64,
        /// How much of it is what can only have stood there.
        bytes_mended: u64,
    },
    /// A file goes to `quarantine/`.
    TakeOut {
        /// The file.
        path: PathBuf,
    },
    /// A file that is made of the log is removed; it is made anew.
    MakeAnew {
        /// The file.
        path: PathBuf,
    },
    /// `store.meta` is written again.
    WriteMeta {
        /// The file.
        path: PathBuf,
    },
    /// `durable.mark` says how long the log is now.
    WriteMark {
        /// The file.
        path: PathBuf,
    },
}

/// What a repair would do, or has done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RepairPlan {
    /// What is damaged.
    pub verification: Verification,
    /// The position of the last event that stays.
    pub kept: Position,
    /// Whether the log is cut off behind that event.
    pub cuts: bool,
    /// The positions that the backup gives back.
    pub restored: Listed<PositionRange>,
    /// The positions of events behind the cut that can't be read: they are lost.
    pub lost: Listed<PositionRange>,
    /// How many they are; none: that isn't known.
    pub events_lost: Option<u64>,
    /// Their streams and versions, as far as those are known.
    pub lost_versions: Listed<LostVersions>,
    /// The positions of events behind the cut that can be read: they are set aside in `quarantine/`.
    pub set_aside: Listed<PositionRange>,
    /// How many they are.
    pub events_set_aside: u64,
    /// To how many streams those belong.
    pub streams_set_aside: u64,
    /// What is changed, in this order.
    pub steps: Vec<RepairStep>,
}

impl RepairPlan {
    /// Whether anything is to be changed.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Whether events are taken out of the log.
    #[must_use]
    pub fn loses_events(&self) -> bool {
        self.events_set_aside > 0 || self.events_lost != Some(0)
    }
}

/// A change, with what it takes to make it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    /// `was` is the file that is replaced, by the name which it has before any is renamed.
    Write {
        path: PathBuf,
        was: Option<SegmentFile>,
        content: Overlay,
        length: u64,
    },
    TakeOut {
        path: PathBuf,
        was: PathBuf,
    },
    MakeAnew {
        path: PathBuf,
    },
    Meta(StoreMeta),
    Mark(LogOffset),
}

/// All changes, in the order in which they are made.
///
/// What is missing is put back first, and durable.mark and store.meta come last: until then a store that was refused is refused.
pub(crate) struct Changes<'a> {
    files: &'a IndexFiles,
    all: Vec<Change>,
}

impl<'a> Changes<'a> {
    /// What makes a store of the merged log.
    pub(crate) fn of(
        files: &'a IndexFiles,
        inspected: &Inspected,
        own: &Files,
        merged: &Merged,
        meta: &StoreMeta,
        durable: Option<LogOffset>,
    ) -> Result<Vec<Change>> {
        let mut changes = Self { files, all: Vec::new() };
        changes.put_away(inspected, own)?;
        let is_cut = |segment: &&MergedSegment| merged.end == LogEnd::Cut && segment.end.seal.is_none();
        let cut = merged.segments.last().filter(is_cut);
        for segment in &merged.segments[..merged.segments.len() - usize::from(cut.is_some())] {
            changes.put_back(segment)?;
        }
        changes.take_out(own, merged)?;
        if let Some(segment) = cut {
            changes.cut(segment)?;
        }
        changes.make_anew(inspected, merged)?;
        let end = merged.log_end();
        let is_marked = durable.is_none_or(|durable| end.is_none_or(|end| durable <= end));
        if let Some(end) = end.filter(|_| !is_marked) {
            changes.all.push(Change::Mark(end));
        }
        if inspected.meta.is_none() {
            changes.all.push(Change::Meta(meta.clone()));
        }
        Ok(changes.all)
    }

    /// Takes out what is no segment of this log, and gives segments their names.
    fn put_away(&mut self, inspected: &Inspected, own: &Files) -> Result<()> {
        for stranger in &inspected.strangers {
            match stranger {
                Stranger::File(path) => {
                    self.all.push(Change::TakeOut { path: path.clone(), was: path.clone() })
                }
                Stranger::Other(path) => {
                    let reason = "this has a segment's name and is no file: move it out of segments/ yourself, and \
                                  repair again";
                    return Err(Error::corrupt(path, 0, reason, None));
                }
            }
        }
        let misnamed = own.iter().filter_map(|(number, file)| {
            let right = segment_path(&self.files.store, *number);
            let aside = segment_path(&self.files.store, ASIDE_FROM + number);
            (file.path != right).then(|| (file.path.clone(), aside, right))
        });
        let misnamed: Vec<(PathBuf, PathBuf, PathBuf)> = misnamed.collect();
        // First all of them aside, so that each right name is free.
        for (from, aside, _) in &misnamed {
            self.all.push(Change::Rename { from: from.clone(), to: aside.clone() });
        }
        for (_, from, to) in misnamed {
            self.all.push(Change::Rename { from, to });
        }
        Ok(())
    }

    /// Writes a segment that lacks something, or has too much behind its SEAL.
    fn put_back(&mut self, segment: &MergedSegment) -> Result<()> {
        let is_sealed = segment.end.seal.is_some();
        let is_right = segment.own.is_some()
            && segment.content.patches().is_empty()
            && !(is_sealed && self.has_more(segment)?);
        if !is_right {
            // What stands behind the end of the last segment is for its opening to judge.
            let length = if is_sealed { segment.end.file_offset } else { content_bytes(segment)? };
            self.write(segment, length);
        }
        Ok(())
    }

    /// Writes a segment up to where the log is cut.
    fn cut(&mut self, segment: &MergedSegment) -> Result<()> {
        let end = segment.end.file_offset;
        if !segment.content.patches().is_empty() || content_bytes(segment)? != end {
            self.write(segment, end);
        }
        Ok(())
    }

    fn write(&mut self, segment: &MergedSegment, length: u64) {
        let path = segment_path(&self.files.store, segment.header.number);
        let (was, content) = (segment.own.clone(), segment.content.clone());
        self.all.push(Change::Write { path, was, content, length });
    }

    /// Whether anything but zeros stands behind a segment's end in its file.
    fn has_more(&self, segment: &MergedSegment) -> Result<bool> {
        let Some(own) = &segment.own else { return Ok(false) };
        let io = |error| Error::io("read", &own.path, error);
        let file = TolerantFile::new(self.files.disk.open(&own.path, OpenMode::Read).map_err(io)?);
        let length = DiskFile::len(&*file).map_err(io)?;
        let mut at = segment.end.file_offset;
        while at < length {
            let mut chunk = vec![0; index(length - at).min(CHUNK_BYTES)];
            file.read_exact_at(&mut chunk, at).map_err(io)?;
            if !is_zero(&chunk) {
                return Ok(true);
            }
            at += bytes(chunk.len());
        }
        Ok(file.unreadable_in(segment.end.file_offset..u64::MAX).is_some())
    }

    /// Takes out the segments behind the place where the log can't go on.
    fn take_out(&mut self, own: &Files, merged: &Merged) -> Result<()> {
        if merged.end == LogEnd::Sound {
            return Ok(());
        }
        let first_behind = merged.segments.last().map_or(merged.first, |last| last.header.number + 1);
        for (number, file) in own.range(first_behind..).rev() {
            let (path, was) = (segment_path(&self.files.store, *number), file.path.clone());
            self.all.push(Change::TakeOut { path, was });
        }
        if merged.is_all() {
            // A store of no event is a segment of no event.
            let content = Overlay::known(merged.beginning()?.encode());
            let path = segment_path(&self.files.store, merged.first);
            let length = bytes(SEGMENT_HEADER_BYTES);
            self.all.push(Change::Write { path, was: None, content, length });
        }
        Ok(())
    }

    /// Removes what is made of the log and isn't as the log is, or won't be.
    fn make_anew(&mut self, inspected: &Inspected, merged: &Merged) -> Result<()> {
        let findings = &inspected.verification.findings;
        let is_index =
            |finding: &&Finding| matches!(finding.kind, FindingKind::Index | FindingKind::Directory);
        let mut paths: Vec<PathBuf> = findings.iter().filter(is_index).map(|it| it.path.clone()).collect();
        let is_changed =
            |segment: &&MergedSegment| segment.own.is_none() || !segment.content.patches().is_empty();
        let changed = merged.segments.iter().filter(is_changed).map(|segment| segment.header.number);
        let mut numbers: Vec<u64> = changed.collect();
        if merged.end == LogEnd::Cut {
            let first_cut = merged.segments.last().map_or(merged.first, |last| last.header.number);
            numbers.extend(self.index_numbers()?.into_iter().filter(|number| *number >= first_cut));
        }
        paths.extend(numbers.iter().map(|number| index_path(&self.files.store, *number)));
        if merged.end == LogEnd::Cut {
            paths.push(self.files.directory_path());
        }
        paths.sort();
        paths.dedup();
        paths.retain(|path| self.files.disk.kind(path).is_ok_and(|kind| kind.is_some()));
        self.all.extend(paths.into_iter().map(|path| Change::MakeAnew { path }));
        Ok(())
    }

    /// The numbers of all index files.
    fn index_numbers(&self) -> Result<Vec<u64>> {
        let directory = segments_directory(&self.files.store);
        let entries = match self.files.disk.list(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            listed => listed.map_err(|error| Error::io("list", &directory, error))?,
        };
        Ok(entries.iter().filter_map(|entry| index_number(&entry.name)).collect())
    }
}

/// How long a segment's file is, with what is put into it.
fn content_bytes(segment: &MergedSegment) -> Result<u64> {
    let path = segment.own.as_ref().map_or_else(PathBuf::new, |own| own.path.clone());
    DiskFile::len(&segment.content).map_err(|error| Error::io("read", path, error))
}

/// What a change is told as.
pub(crate) fn step_of(change: &Change, files: &IndexFiles) -> RepairStep {
    match change {
        Change::Rename { from, to } => RepairStep::Rename { from: from.clone(), to: to.clone() },
        Change::Write { path, was, content, length } => {
            let (bytes_restored, bytes_mended) = content.patched_bytes();
            RepairStep::Write {
                path: path.clone(),
                bytes: *length,
                bytes_before: was.as_ref().map(|was| was.bytes),
                bytes_restored,
                bytes_mended,
            }
        }
        Change::TakeOut { path, .. } => RepairStep::TakeOut { path: path.clone() },
        Change::MakeAnew { path } => RepairStep::MakeAnew { path: path.clone() },
        Change::Meta(_) => RepairStep::WriteMeta { path: meta_path(&files.store) },
        Change::Mark(_) => RepairStep::WriteMark { path: mark_path(&files.store) },
    }
}

/// The ranges from a position on.
pub(crate) fn ranges_from(ranges: &Listed<PositionRange>, first: Position) -> Listed<PositionRange> {
    let mut found = Listed::default();
    for range in ranges {
        if range.last.is_none_or(|last| last >= first) {
            found.push(PositionRange::new(range.first.max(first), range.last));
        }
    }
    found
}

/// How many events ranges have; none: nobody knows.
pub(crate) fn count_of(ranges: &Listed<PositionRange>) -> Option<u64> {
    let sum =
        |sum: Option<u64>, range: &PositionRange| sum.zip(range.count()).map(|(sum, count)| sum + count);
    ranges.iter().fold((ranges.unnamed() == 0).then_some(0), sum)
}

/// What the backup gives back.
pub(crate) fn restored_of(merged: &Merged) -> Listed<PositionRange> {
    let mut restored = Listed::default();
    for (first, beyond) in merged.segments.iter().flat_map(|segment| &segment.restored) {
        restored.push(PositionRange::new(*first, Some(beyond.previous())));
    }
    restored
}
