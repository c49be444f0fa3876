//! A file whose bad sectors read as zeros, and are told: so that one of them doesn't end the look at all the others.

use std::{io, ops::Range, path::Path, sync::Arc};

use parking_lot::Mutex;

use crate::{
    disk::contract::{Disk, DiskFile, Mapping, OpenMode, SECTOR_BYTES},
    error::{Error, Result},
    format::layout::{bytes, index},
};

/// What the system says of a sector that the disk can't read, on all systems that there are: `EIO`.
const BAD_SECTOR: i32 = 5;

/// How much is read at a time around bad sectors, in bytes: what systems read at least, and then a sector.
const PAGE_BYTES: u64 = 4 << 10;

/// How many stretches that can't be read are kept; others are joined to the last.
const STRETCHES_MAX: usize = 1_000;

fn is_bad(error: &io::Error) -> bool {
    error.raw_os_error() == Some(BAD_SECTOR)
}

/// A file that is only read.
#[derive(Debug)]
pub(crate) struct TolerantFile {
    file: Arc<dyn DiskFile>,
    /// What couldn't be read, as it was met.
    unreadable: Mutex<Vec<Range<u64>>>,
}

impl TolerantFile {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> Arc<Self> {
        Arc::new(Self { file, unreadable: Mutex::default() })
    }

    /// Opens a file of a disk.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Arc<Self>> {
        disk.open(path, OpenMode::Read).map(Self::new).map_err(|error| Error::io("open", path, error))
    }

    /// The first place in a stretch that couldn't be read, as far as it was tried.
    pub(crate) fn unreadable_in(&self, stretch: Range<u64>) -> Option<u64> {
        let unreadable = self.unreadable.lock();
        let within = unreadable.iter().filter(|bad| bad.start < stretch.end && stretch.start < bad.end);
        within.map(|bad| bad.start.max(stretch.start)).min()
    }

    fn note(&self, bad: Range<u64>) {
        let mut unreadable = self.unreadable.lock();
        let is_full = unreadable.len() >= STRETCHES_MAX;
        match unreadable.last_mut() {
            Some(last) if last.end == bad.start || is_full => {
                last.start = last.start.min(bad.start);
                last.end = last.end.max(bad.end);
            }
            _ => unreadable.push(bad),
        }
    }
}

impl DiskFile for TolerantFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.file.read_at(buffer, offset) {
            Err(error) if is_bad(&error) => {}
            read => return read,
        }
        // Up to the next border: the caller comes back for the rest.
        for piece_bytes in [PAGE_BYTES, SECTOR_BYTES] {
            let length = bytes(buffer.len()).min((offset / piece_bytes + 1) * piece_bytes - offset);
            match self.file.read_at(&mut buffer[..index(length)], offset) {
                Err(error) if is_bad(&error) => {}
                read => return read,
            }
        }
        let border = (offset / SECTOR_BYTES + 1) * SECTOR_BYTES;
        let end = border.min(offset + bytes(buffer.len())).min(self.file.len()?);
        let length = index(end.saturating_sub(offset));
        buffer[..length].fill(0);
        self.note(offset..end);
        Ok(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn map(&self, _capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        Ok(None)
    }
}
