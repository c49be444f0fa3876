//! durable.mark: two checksummed slots that say how much of the log was synced.
//!
//! A slot is written only behind a sync of the log, so a mark beyond the log's end is a witness that bytes
//! were lost. The slots are written in turn: a cut leaves one of them whole. Losing the file loses a witness
//! and no event.

use std::path::{Path, PathBuf};

use crate::{
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::{
        control::{DurableMark, EnvelopeFault, MARK_SLOT_BYTES},
        layout::{FORMAT_VERSION, bytes},
    },
    log::{segment::create_whole, window::Window},
    position::LogOffset,
};

/// The store's mark: what it says, and where.
#[derive(Debug)]
pub(crate) struct Mark {
    path: PathBuf,
    store_id: u64,
    last: Option<DurableMark>,
}

/// Where the mark of a store stands.
pub(crate) fn mark_path(store: &Path) -> PathBuf {
    store.join("durable.mark")
}

impl Mark {
    /// Reads the newest whole slot of the store's own mark.
    pub(crate) fn read(disk: &dyn Disk, store: &Path, store_id: u64) -> Result<Self> {
        let path = mark_path(store);
        let mut mark = Self { path, store_id, last: None };
        let io = |error| Error::io("read", &mark.path, error);
        if disk.kind(&mark.path).map_err(io)?.is_none() {
            return Ok(mark);
        }
        let file = disk.open(&mark.path, OpenMode::Read).map_err(io)?;
        let length = file.len().map_err(io)?;
        let mut window = Window::new(0);
        for slot in 0..2 {
            let slot_bytes =
                window.get(&*file, slot * bytes(MARK_SLOT_BYTES), MARK_SLOT_BYTES, length).map_err(io)?;
            match DurableMark::decode(slot_bytes) {
                // The last sequence there is can't be written: it is damage, whose checksum is right.
                Ok(found) if found.store_id == store_id && found.sequence < u64::MAX => {
                    let newer = mark.last.as_ref().is_none_or(|last| last.sequence < found.sequence);
                    if newer {
                        mark.last = Some(found);
                    }
                }
                Err(EnvelopeFault::Newer(found)) => {
                    return Err(Error::NewerFormat { path: mark.path, found, supported: FORMAT_VERSION });
                }
                Ok(_) | Err(EnvelopeFault::Damaged(_)) => {}
            }
        }
        Ok(mark)
    }

    /// Its file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What the mark says.
    pub(crate) fn durable(&self) -> Option<LogOffset> {
        self.last.as_ref().map(|last| LogOffset::new(last.durable))
    }

    fn next(&self, durable: LogOffset) -> DurableMark {
        let sequence = self.last.as_ref().map_or(0, |last| last.sequence) + 1;
        DurableMark { store_id: self.store_id, sequence, durable: durable.get() }
    }

    /// A whole file that says that the log is synced up to here, and nothing else.
    pub(crate) fn anew(&self, durable: LogOffset) -> Vec<u8> {
        let next = self.next(durable);
        let mut slots = [vec![0; MARK_SLOT_BYTES], vec![0; MARK_SLOT_BYTES]];
        slots[usize::from(next.sequence % 2 == 1)] = next.encode();
        slots.concat()
    }

    /// Says durably that the log is synced up to here. The caller has synced it.
    pub(crate) fn write(&mut self, disk: &dyn Disk, durable: LogOffset) -> Result<()> {
        if self.durable() == Some(durable) {
            return Ok(());
        }
        let next = self.next(durable);
        if disk.kind(&self.path).map_err(|error| Error::io("read", &self.path, error))?.is_none() {
            create_whole(disk, &self.path, &self.anew(durable))?;
        } else {
            let io = |error| Error::io("write", &self.path, error);
            let file = disk.open(&self.path, OpenMode::ReadWrite).map_err(io)?;
            let slot_offset = (next.sequence % 2) * bytes(MARK_SLOT_BYTES);
            file.write_all_at(&next.encode(), slot_offset).map_err(|error| io(error.source))?;
            file.sync().map_err(|error| Error::io("sync", &self.path, error))?;
        }
        self.last = Some(next);
        Ok(())
    }
}
