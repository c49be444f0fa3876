//! The operating system's disk, with a test that looks on.

use std::{fmt::Debug, io, path::Path, sync::Arc};

use annals::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, FileLock, LockKind, Mapping, OpenMode, OsDisk,
    ShareMode, SharedPage,
};

/// What a test does when something happens on a disk. What it leaves out happens unseen.
pub(crate) trait Watcher: Debug + Send + Sync + 'static {
    /// A directory is about to be made, in which a store may come to stand.
    fn directory_is_made(&self, _path: &Path) {}

    /// A file is about to be opened.
    fn file_opens(&self, _path: &Path) {}

    /// So many bytes were read of a segment.
    fn segment_read(&self, _bytes: usize) {}

    /// These bytes are about to be written to a segment, there.
    fn segment_writes(&self, _bytes: &[u8], _offset: u64) {}

    /// Room is about to be set aside behind the end of a segment's file, which is there.
    fn segment_grows(&self, _end: u64) {}

    /// A segment is about to be synced.
    fn segment_syncs(&self) {}

    /// A segment was synced.
    fn segment_synced(&self) {}

    /// The lock of a directory was tried, and another has it.
    fn lock_refused(&self) {}
}

#[derive(Debug)]
pub(crate) struct WatchedDisk<W>(pub(crate) Arc<W>);

impl<W: Watcher> Disk for WatchedDisk<W> {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.directory_is_made(path);
        OsDisk.create_dir(path)
    }

    fn create_inner_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_inner_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        OsDisk.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        OsDisk.kind(path)
    }

    fn is_own_dir(&self, path: &Path) -> io::Result<bool> {
        OsDisk.is_own_dir(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.0.file_opens(path);
        let file = OsDisk.open(path, mode)?;
        if path.extension() != Some("log".as_ref()) {
            return Ok(file);
        }
        Ok(Arc::new(WatchedFile { file, watcher: Arc::clone(&self.0) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        let lock = OsDisk.lock_dir(path)?;
        if lock.is_none() {
            self.0.lock_refused();
        }
        Ok(lock)
    }

    fn lock_file(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn FileLock>>> {
        OsDisk.lock_file(path, kind)
    }

    fn share(&self, path: &Path, mode: ShareMode) -> io::Result<Arc<dyn SharedPage>> {
        OsDisk.share(path, mode)
    }

    fn boot_id(&self) -> io::Result<u128> {
        OsDisk.boot_id()
    }
}

#[derive(Debug)]
struct WatchedFile<W> {
    file: Arc<dyn DiskFile>,
    watcher: Arc<W>,
}

impl<W: Watcher> DiskFile for WatchedFile<W> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.file.read_at(buffer, offset)?;
        self.watcher.segment_read(count);
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.watcher.segment_writes(bytes, offset);
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.watcher.segment_syncs();
        self.file.sync()?;
        self.watcher.segment_synced();
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.watcher.segment_grows(self.file.len()?);
        self.file.allocate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn map(&self, capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        self.file.map(capacity)
    }
}
