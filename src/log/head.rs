//! head: the page that tells other processes how far the log is committed.
//!
//! What always holds: what the page says is true while the writer has the file locked, and stays true after that until
//! the system ends. The writer takes the lock when the page says what recovery found, and lets it go with its
//! life. Nothing of the page is relied upon after the system's end, so it is never synced.
//!
//! The constant part is taken away first and put back last, so that a writer that is killed in between leaves
//! a page that says nothing. A repair takes all of the page away before it changes the log, of which it may leave less than was
//! committed; the opening at its end makes another.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{
    disk::contract::{
        Disk, EntryKind, FileLock, LockKind, OpenMode, SHARED_PAGE_BYTES, ShareMode, SharedPage,
    },
    error::{Error, Result},
    format::{
        head_page::{
            COMMITTED_AT, HEAD_CONSTANT_BYTES, HeadConstant, LAST_POSITION_AT, WAITERS, WAKE_WORD_AT,
        },
        layout::get_u64,
    },
    log::segment::temporary,
    position::{LogOffset, Position},
    trace,
};

/// How often the writer tries the lock, while a reader looks whether it is taken.
const LOCK_RETRY: Duration = Duration::from_millis(1);

/// How long it tries: a reader has it for microseconds, unless it was stopped just then.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);

/// Where the page stands.
pub(crate) fn head_path(store: &Path) -> PathBuf {
    store.join("head")
}

/// Which run of the system this is; none where that can't be known.
pub(crate) fn boot_id(disk: &dyn Disk) -> Option<u128> {
    disk.boot_id().ok()
}

/// The page, as the writer has it.
#[derive(Debug)]
pub(crate) struct Head {
    page: Arc<dyn SharedPage>,
    /// None where a reader didn't let go of it: others then take the writer for dead, and are right about
    /// what they show all the same.
    _lock: Option<Box<dyn FileLock>>,
}

impl Head {
    /// Makes the page say what is committed, and locks it; none where the disk doesn't let us: the store works
    /// without, and other processes see less of it.
    pub(crate) fn open(
        disk: &dyn Disk,
        store: &Path,
        store_id: u64,
        epoch: u32,
        committed: (LogOffset, Position),
    ) -> Option<Self> {
        let constant = HeadConstant { store_id, boot_id: boot_id(disk).unwrap_or_default(), epoch };
        let opened = open_page(disk, store).and_then(|page| {
            reset(&*page, &constant, committed);
            Ok(Self { page, _lock: lock(disk, store)? })
        });
        let tell = |error: &io::Error| {
            trace::warn("others can't follow this store", store, format_args!("{error}"));
        };
        opened.inspect_err(tell).ok()
    }

    /// Says that the log is committed up to here, and wakes those who sleep.
    pub(crate) fn publish(&self, committed: LogOffset, last_position: Position) {
        self.page.store_u64(LAST_POSITION_AT, last_position.get());
        self.page.store_u64(COMMITTED_AT, committed.get());
        // Behind the store, as a sleeper's look is behind its bit: one of the two sees the other.
        if self.page.load_u32(WAKE_WORD_AT) & WAITERS != 0 {
            wake(&*self.page);
        }
    }
}

/// Clears the bit, counts, and wakes all. Where two do it at once, the bit of one who came between them may be
/// lost, but not his waking.
pub(crate) fn wake(page: &dyn SharedPage) {
    page.store_u32(WAKE_WORD_AT, (page.load_u32(WAKE_WORD_AT) | WAITERS).wrapping_add(1));
    page.wake_all(WAKE_WORD_AT);
}

/// The store's page: the file that is there, since others have it mapped, or a new one.
fn open_page(disk: &dyn Disk, store: &Path) -> io::Result<Arc<dyn SharedPage>> {
    let path = head_path(store);
    match disk.share(&path, ShareMode::ReadWrite) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            make_page(disk, store, &path)?;
            disk.share(&path, ShareMode::ReadWrite)
        }
        shared => shared,
    }
}

/// Takes the page away, so that nothing says how far the log was committed that is going to be changed: for who has the store's
/// lock. Followers that have it mapped look by its name each second. Its name isn't made durable: in another run of the system
/// the page says nothing, if it comes back.
pub(crate) fn take_away(disk: &dyn Disk, store: &Path) -> Result<()> {
    let path = head_path(store);
    match disk.kind(&path).map_err(|error| Error::io("look at", &path, error))? {
        // No page, so nobody can have it mapped.
        None | Some(EntryKind::Directory) => Ok(()),
        Some(EntryKind::File | EntryKind::Other) => {
            disk.remove(&path).map_err(|error| Error::io("remove", &path, error))
        }
    }
}

/// Makes a page of zeros, which says nothing. It has its name only when it is whole: no one maps less. The name is
/// made durable for tidiness alone, so that no temporary file comes back after a power cut.
fn make_page(disk: &dyn Disk, store: &Path, path: &Path) -> io::Result<()> {
    let temporary = temporary(path);
    if disk.kind(&temporary)?.is_some() {
        disk.remove(&temporary)?;
    }
    disk.open(&temporary, OpenMode::CreateNew)?.write_all_at(&[0; SHARED_PAGE_BYTES], 0)?;
    disk.rename(&temporary, path)?;
    disk.sync_dir(store)
}

fn reset(page: &dyn SharedPage, constant: &HeadConstant, (committed, last_position): (LogOffset, Position)) {
    page.store_u64(0, 0);
    page.store_u64(LAST_POSITION_AT, last_position.get());
    page.store_u64(COMMITTED_AT, committed.get());
    let bytes = constant.encode();
    for offset in (0..HEAD_CONSTANT_BYTES).step_by(8).rev() {
        page.store_u64(offset, get_u64(&bytes, offset));
    }
    wake(page);
}

/// Takes the lock that tells others that a writer is alive.
fn lock(disk: &dyn Disk, store: &Path) -> io::Result<Option<Box<dyn FileLock>>> {
    let begun = Instant::now();
    loop {
        let lock = disk.lock_file(&head_path(store), LockKind::Exclusive)?;
        if lock.is_some() {
            return Ok(lock);
        }
        if begun.elapsed() > LOCK_PATIENCE {
            trace::warn("another program keeps head locked", store, format_args!("it is left to it"));
            return Ok(None);
        }
        thread::sleep(LOCK_RETRY);
    }
}
