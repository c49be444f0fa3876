//! The operating system's locks on files and directories.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::disk::contract::{DirectoryLock, FileLock, LockKind};

/// `flock` on a file, or on a directory itself, which goes with the process however that ends. It is let go by name: a
/// program that another thread is just starting has a copy of the descriptor until its exec, which would keep
/// the lock for that long. A forked child lets go of nothing, since the lock is its parent's.
#[derive(Debug)]
pub(crate) struct OsLock {
    file: File,
    process: u32,
}

impl Drop for OsLock {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // Closing the descriptor does the same, only later.
            self.file.unlock().ok();
        }
    }
}

impl DirectoryLock for OsLock {}

impl FileLock for OsLock {}

/// Locks what is open; none if another has a lock that excludes this one.
pub(crate) fn lock(file: File, kind: LockKind) -> io::Result<Option<OsLock>> {
    let locked = match kind {
        LockKind::Exclusive => file.try_lock(),
        LockKind::Shared => file.try_lock_shared(),
    };
    match locked {
        Ok(()) => Ok(Some(OsLock { file, process: std::process::id() })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Locks what has the name when the lock is taken: a restore may give a store another name between opening and locking, and
/// the lock of that one keeps nobody from the store that has the name now.
pub(crate) fn lock_named(
    path: &Path,
    open: &mut dyn FnMut(&Path) -> io::Result<File>,
) -> io::Result<Option<OsLock>> {
    loop {
        let Some(lock) = lock(open(path)?, LockKind::Exclusive)? else { return Ok(None) };
        let (locked, named) = (lock.file.metadata()?, fs::metadata(path)?);
        if (locked.dev(), locked.ino()) == (named.dev(), named.ino()) {
            return Ok(Some(lock));
        }
    }
}
