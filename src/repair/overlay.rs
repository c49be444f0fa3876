//! A segment's file with other bytes in some places: how it will be when it is repaired.

use std::{io, sync::Arc};

use crate::{
    disk::contract::{DiskFile, Mapping},
    format::layout::{bytes, index},
    inspect::tolerant_file::TolerantFile,
};

/// How many patches a file has at most, but for one of zeros at its end. Honest damage has few; hostile bytes could make each header
/// of a segment one.
pub(crate) const PATCHES_MAX: usize = 10_000;

/// Where the other bytes come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum PatchSource {
    /// The same place in the backup's file.
    Backup,
    /// What can only have stood there.
    Known(Vec<u8>),
}

/// Other bytes, from an offset in the file up to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Patch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) source: PatchSource,
}

impl Patch {
    /// Bytes that are known.
    pub(crate) fn known(start: u64, content: Vec<u8>) -> Self {
        Self { start, end: start + bytes(content.len()), source: PatchSource::Known(content) }
    }

    /// The backup's bytes.
    pub(crate) fn of_backup(start: u64, end: u64) -> Self {
        Self { start, end, source: PatchSource::Backup }
    }
}

/// A file with patches, to read. It exists while its segment is looked at or written, and keeps two files open.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    own: Option<Arc<TolerantFile>>,
    backup: Option<Arc<TolerantFile>>,
    /// In order; none overlaps another.
    patches: Vec<Patch>,
    /// Where the file ends, if not where the store's own does, or the last patch.
    end: Option<u64>,
}

impl Overlay {
    /// The store's file without a patch, and the backup's file that patches may come from.
    pub(crate) fn new(own: Option<Arc<TolerantFile>>, backup: Option<Arc<TolerantFile>>) -> Self {
        Self { own, backup, patches: Vec::new(), end: None }
    }

    pub(crate) fn own(&self) -> Option<&Arc<TolerantFile>> {
        self.own.as_ref()
    }

    pub(crate) fn backup(&self) -> Option<&Arc<TolerantFile>> {
        self.backup.as_ref()
    }

    pub(crate) fn is_patched(&self) -> bool {
        !self.patches.is_empty()
    }

    /// Whether there is room for another patch.
    pub(crate) fn has_room(&self) -> bool {
        self.patches.len() < PATCHES_MAX
    }

    /// How many bytes come from the backup, and how many are what can only have stood there.
    pub(crate) fn patched_bytes(&self) -> (u64, u64) {
        let sum = |(restored, mended): (u64, u64), patch: &Patch| {
            let length = patch.end - patch.start;
            match patch.source {
                PatchSource::Backup => (restored + length, mended),
                PatchSource::Known(_) => (restored, mended + length),
            }
        };
        self.patches.iter().fold((0, 0), sum)
    }

    /// Adds a patch behind those that are there. One of the backup that goes on from the last makes that longer.
    pub(crate) fn add(&mut self, patch: Patch) {
        match self.patches.last_mut() {
            Some(last)
                if last.end == patch.start
                    && last.source == PatchSource::Backup
                    && patch.source == PatchSource::Backup =>
            {
                last.end = patch.end;
            }
            _ => self.patches.push(patch),
        }
    }

    /// The file as it is to be written, so many bytes long; no patch is added any more.
    pub(crate) fn ending_at(self, end: u64) -> Self {
        Self { end: Some(end), ..self }
    }

    /// Adds the zeros that the file lacks before an end: a scan takes what a file is too short for as zeros.
    pub(crate) fn add_zeros_before(&mut self, end: u64) -> io::Result<()> {
        let length = self.len()?;
        if length < end {
            self.add(Patch::known(length, vec![0; index(end - length)]));
        }
        Ok(())
    }
}

/// Reads from a file as if zeros stood behind it.
fn read_with_zeros(file: Option<&Arc<TolerantFile>>, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    match file {
        Some(file) if offset < file.len()? => file.read_at(buffer, offset),
        _ => {
            buffer.fill(0);
            Ok(buffer.len())
        }
    }
}

impl DiskFile for Overlay {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let behind = self.patches.partition_point(|patch| patch.end <= offset);
        let (end, source) = match self.patches.get(behind) {
            Some(patch) if patch.start <= offset => (patch.end, Some((patch.start, &patch.source))),
            Some(next) => (next.start, None),
            None => (self.len()?, None),
        };
        let length = index(end.saturating_sub(offset)).min(buffer.len());
        let buffer = &mut buffer[..length];
        match source {
            Some((start, PatchSource::Known(content))) => {
                let from = index(offset - start);
                buffer.copy_from_slice(&content[from..from + length]);
                Ok(length)
            }
            Some((_, PatchSource::Backup)) => read_with_zeros(self.backup.as_ref(), buffer, offset),
            None => read_with_zeros(self.own.as_ref(), buffer, offset),
        }
    }

    fn len(&self) -> io::Result<u64> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let own_bytes = self.own.as_ref().map_or(Ok(0), |own| own.len())?;
        Ok(own_bytes.max(self.patches.last().map_or(0, |patch| patch.end)))
    }

    fn map(&self, _capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        Ok(None)
    }
}
