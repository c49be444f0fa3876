//! A segment's file with other bytes in some places: how it will be when it is repaired.

use std::{io, sync::Arc};

use crate::{
    disk::contract::{DiskFile, Mapping},
    format::layout::{bytes, index},
};

/// Where the other bytes come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The same place in a backup's file.
    Backup(Arc<dyn DiskFile>),
    /// What can only have stood there.
    Known(Arc<[u8]>),
}

/// Other bytes, from an offset in the file up to another.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) source: Source,
}

impl Patch {
    /// Bytes that are known.
    pub(crate) fn known(start: u64, content: Vec<u8>) -> Self {
        Self { start, end: start + bytes(content.len()), source: Source::Known(content.into()) }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let length = index(self.end - offset).min(buffer.len());
        match &self.source {
            Source::Backup(file) => file.read_at(&mut buffer[..length], offset),
            Source::Known(content) => {
                let from = index(offset - self.start);
                buffer[..length].copy_from_slice(&content[from..from + length]);
                Ok(length)
            }
        }
    }
}

/// A file with patches, to read.
#[derive(Clone, Debug)]
pub(crate) struct Overlay {
    base: Option<Arc<dyn DiskFile>>,
    /// In order; none overlaps another.
    patches: Vec<Patch>,
}

impl Overlay {
    /// A file, or nothing, without a patch.
    pub(crate) fn new(base: Option<Arc<dyn DiskFile>>) -> Self {
        Self { base, patches: Vec::new() }
    }

    /// Bytes that are known, and nothing else.
    pub(crate) fn known(content: Vec<u8>) -> Self {
        Self { base: None, patches: vec![Patch::known(0, content)] }
    }

    pub(crate) fn patches(&self) -> &[Patch] {
        &self.patches
    }

    /// How many bytes come from the backup, and how many are what can only have stood there.
    pub(crate) fn patched_bytes(&self) -> (u64, u64) {
        let sum = |(restored, mended): (u64, u64), patch: &Patch| {
            let length = patch.end - patch.start;
            match patch.source {
                Source::Backup(_) => (restored + length, mended),
                Source::Known(_) => (restored, mended + length),
            }
        };
        self.patches.iter().fold((0, 0), sum)
    }

    /// Adds a patch behind those that are there. One that goes on from the last, from the same source, makes that longer.
    pub(crate) fn add(&mut self, patch: Patch) {
        if let Some(last) = self.patches.last_mut()
            && last.end == patch.start
            && let (Source::Backup(one), Source::Backup(other)) = (&last.source, &patch.source)
            && Arc::ptr_eq(one, other)
        {
            last.end = patch.end;
            return;
        }
        self.patches.push(patch);
    }

    fn base_bytes(&self) -> io::Result<u64> {
        self.base.as_ref().map_or(Ok(0), |base| base.len())
    }
}

impl DiskFile for Overlay {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let behind = self.patches.partition_point(|patch| patch.end <= offset);
        match self.patches.get(behind) {
            Some(patch) if patch.start <= offset => patch.read(buffer, offset),
            next => {
                let length = next.map_or(buffer.len(), |patch| index(patch.start - offset).min(buffer.len()));
                let buffer = &mut buffer[..length];
                match &self.base {
                    Some(base) if offset < base.len()? => base.read_at(buffer, offset),
                    _ if next.is_some() => {
                        // A hole before a patch, as the file will have it.
                        buffer.fill(0);
                        Ok(length)
                    }
                    _ => Ok(0),
                }
            }
        }
    }

    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.base_bytes()?.max(self.patches.last().map_or(0, |patch| patch.end)))
    }

    fn map(&self, _capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        Ok(None)
    }
}
