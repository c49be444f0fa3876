//! The operating system's disk: `std::fs`, allocation, and memory maps.
//!
//! - The only file with `unsafe` code: one slice over mapped memory, and numbers in a page that is shared.
//! - The bytes that a mapping shows never change again. This file keeps that by itself: what is shown ends at
//!   `Frontier::published`, a write or a cut below it is refused, and nothing is published that is being
//!   written, or that lies beyond the file's end.
//! - Links in a path's last component aren't followed to a file: a store's directory can be one, its files can't.

#![allow(clippy::disallowed_methods, reason = "this file alone may rename and sync")]
#![allow(unsafe_code, reason = "memory maps give slices over memory that the kernel fills")]

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    slice,
    sync::{
        Arc, Weak,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use memmap2::{MmapOptions, MmapRaw};
use parking_lot::Mutex;

use crate::disk::contract::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, FileLock, LockKind, Mapping, OpenMode,
    SHARED_PAGE_BYTES, ShareMode, SharedPage,
};
use crate::disk::os_lock::{lock, lock_named};
use crate::disk::shared_futex;

/// Only the owner reads a store: events are as private as what they tell.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// What the group gets where it may read the directory that a file or a directory is made in.
const GROUP_READS_FILE: u32 = 0o040;
const GROUP_READS_DIRECTORY: u32 = 0o050;
const OTHERS: u32 = 0o007;
const OTHERS_WRITE: u32 = 0o022;

/// What the processor fetches at a time.
#[cfg(target_arch = "x86_64")]
const CACHE_LINE_BYTES: usize = 64;

/// The disk of the operating system.
///
/// Files are made readable and writable by their owner alone, and readable by the group where that may read the directory and
/// others may not: who makes a store's directory, or changes its mode, decides it. A file is never reached through a symbolic
/// link in its path's last component.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(DIRECTORY_MODE).create(path)
    }

    fn create_inner_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(mode_in(path, DIRECTORY_MODE, GROUP_READS_DIRECTORY)?).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        fs::read_dir(path)?
            .map(|entry| {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                Ok(DirectoryEntry { name, kind: entry_kind(entry.file_type()?) })
            })
            .collect()
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(|metadata| Some(entry_kind(metadata.file_type()))),
        }
    }

    fn is_own_dir(&self, path: &Path) -> io::Result<bool> {
        let found = fs::symlink_metadata(path)?;
        #[cfg(target_os = "linux")]
        let is_owner = found.uid() == rustix::process::geteuid().as_raw();
        #[cfg(not(target_os = "linux"))]
        let is_owner = true;
        Ok(found.is_dir() && is_owner && found.mode() & OTHERS_WRITE == 0)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = open_file(path, mode)?;
        Ok(Arc::new(OsFile { file: Arc::new(file), frontier: Arc::new(Frontier::default()) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, original: &Path, link: &Path) -> io::Result<()> {
        fs::hard_link(original, link)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        open_dir(path)?.sync_all()
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        let lock = lock_named(path, &mut open_dir)?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn DirectoryLock>))
    }

    fn lock_file(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn FileLock>>> {
        let lock = lock(open_file(path, OpenMode::Read)?, kind)?;
        Ok(lock.map(|lock| Box::new(lock) as Box<dyn FileLock>))
    }

    fn share(&self, path: &Path, mode: ShareMode) -> io::Result<Arc<dyn SharedPage>> {
        let file = match mode {
            ShareMode::Read => open_file(path, OpenMode::Read)?,
            ShareMode::ReadWrite => open_file(path, OpenMode::ReadWrite)?,
        };
        if file.metadata()?.len() != SHARED_PAGE_BYTES as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file isn't a page long"));
        }
        let mut options = MmapOptions::new();
        options.len(SHARED_PAGE_BYTES);
        let map = match mode {
            ShareMode::Read => options.map_raw_read_only(&file)?,
            ShareMode::ReadWrite => options.map_raw(&file)?,
        };
        Ok(Arc::new(OsSharedPage { map, mode }))
    }

    #[cfg(target_os = "linux")]
    fn boot_id(&self) -> io::Result<u128> {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
        let digits = text.trim().replace('-', "");
        let id = u128::from_str_radix(&digits, 16).ok().filter(|id| *id != 0);
        id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the system's boot id is none"))
    }
}

/// Opens an ordinary file.
fn open_file(path: &Path, mode: OpenMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags::OPEN);
    match mode {
        OpenMode::Read => {}
        OpenMode::ReadWrite => {
            options.write(true);
        }
        OpenMode::CreateNew => {
            options.write(true).create_new(true).mode(mode_in(path, FILE_MODE, GROUP_READS_FILE)?);
        }
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an ordinary file"));
    }
    Ok(file)
}

/// The mode of what is made in a directory: the owner's, and the group's where the directory gives the group that and others
/// nothing. A directory that everybody may read was hardly made with events in mind.
fn mode_in(path: &Path, owner: u32, group: u32) -> io::Result<u32> {
    let around = path.parent().filter(|around| !around.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mode = fs::metadata(around)?.mode();
    let given = if mode & OTHERS == 0 { mode & group } else { 0 };
    Ok(owner | given)
}

/// Opens a directory; the link that its path may end in is followed.
pub(crate) fn open_dir(path: &Path) -> io::Result<File> {
    let directory = OpenOptions::new().read(true).custom_flags(flags::NONBLOCK).open(path)?;
    if !directory.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    Ok(directory)
}

fn entry_kind(file_type: fs::FileType) -> EntryKind {
    if file_type.is_file() {
        EntryKind::File
    } else if file_type.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

/// `O_NOFOLLOW` refuses links, and `O_NONBLOCK` keeps the opening of a pipe from waiting for its other end.
#[cfg(target_os = "linux")]
mod flags {
    use rustix::fs::OFlags;

    pub(super) const NONBLOCK: i32 = OFlags::NONBLOCK.bits().cast_signed();
    pub(super) const OPEN: i32 = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).bits().cast_signed();
}

/// The same two, as macOS and the BSDs number them.
#[cfg(not(target_os = "linux"))]
mod flags {
    pub(super) const NONBLOCK: i32 = 0x0004;
    pub(super) const OPEN: i32 = 0x0100 | NONBLOCK;
}

struct OsFile {
    file: Arc<File>,
    /// Shared with the mappings that were made from this file.
    frontier: Arc<Frontier>,
}

impl fmt::Debug for OsFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OsFile").field("file", &self.file).finish_non_exhaustive()
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut change = self.frontier.begin_change(offset)?;
        let written = self.file.write_at(bytes, offset)?;
        change.reached = offset.saturating_add(written as u64);
        Ok(written)
    }

    fn sync(&self) -> io::Result<()> {
        // On macOS this is F_FULLFSYNC: there, fsync alone leaves the bytes in the drive's cache.
        self.file.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut change = self.frontier.begin_cut(len)?;
        self.file.set_len(len)?;
        change.reached = len;
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let present = self.len()?;
        if len <= present { Ok(()) } else { grow(&self.file, present, len) }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn link_count(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.nlink())
    }

    fn map(&self, capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        let capacity_bytes = usize::try_from(capacity)
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "more bytes than memory can show"))?;
        let map = MmapOptions::new().len(capacity_bytes).map_raw_read_only(&*self.file)?;
        let (file, frontier) = (Arc::downgrade(&self.file), Arc::clone(&self.frontier));
        Ok(Some(Arc::new(OsMapping { map, file, frontier })))
    }
}

/// Grows a file with room that the file system promises; with a hole, where it promises none.
#[cfg(target_os = "linux")]
fn grow(file: &File, from: u64, to: u64) -> io::Result<()> {
    use rustix::{
        fs::{FallocateFlags, fallocate},
        io::{Errno, retry_on_intr},
    };
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), from, to - from)) {
        Ok(()) => Ok(()),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => file.set_len(to),
        Err(error) => Err(error.into()),
    }
}

/// Grows a file with a hole.
#[cfg(not(target_os = "linux"))]
fn grow(file: &File, _from: u64, to: u64) -> io::Result<()> {
    file.set_len(to)
}

/// Makes a page of this process read as zeros in children that are forked from it.
#[cfg(target_os = "linux")]
pub(crate) fn wipe_in_children(page: &mut memmap2::MmapMut) -> io::Result<()> {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the range is the whole of a private anonymous map that is borrowed mutably; the advice changes
    // nothing of it here, only what a child's copy of it holds.
    unsafe { madvise(page.as_mut_ptr().cast(), page.len(), Advice::LinuxWipeOnFork) }?;
    Ok(())
}

/// Where the bytes end that never change again, and what is changing behind them.
///
/// The mutex is held for some nanoseconds, never during a write: a background that fills a segment's end with
/// zeros doesn't hold up the writer that publishes before it.
#[derive(Default)]
struct Frontier {
    /// Grows only, under the mutex; read without it.
    published: AtomicU64,
    changes: Mutex<Changes>,
}

#[derive(Default)]
struct Changes {
    /// From where on each change changes bytes that is under way.
    under_way: Vec<u64>,
    /// The file is known to have reached this length, and this handle hasn't cut it since.
    reached: u64,
}

impl Frontier {
    fn begin_change(&self, from: u64) -> io::Result<Change<'_>> {
        let mut changes = self.changes.lock();
        if from < self.published.load(Ordering::Relaxed) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "these bytes are shown by a mapping"));
        }
        changes.under_way.push(from);
        Ok(Change { frontier: self, from, reached: 0 })
    }

    fn begin_cut(&self, len: u64) -> io::Result<Change<'_>> {
        let change = self.begin_change(len)?;
        let mut changes = self.changes.lock();
        changes.reached = changes.reached.min(len);
        drop(changes);
        Ok(change)
    }

    fn publish(&self, end: u64, file: &Weak<File>) {
        let mut changes = self.changes.lock();
        if end <= self.published.load(Ordering::Relaxed) || changes.under_way.iter().any(|from| *from < end) {
            return;
        }
        if changes.reached < end {
            // Written by another handle, or before this one was opened.
            let len =
                file.upgrade().and_then(|file| file.metadata().ok()).map_or(0, |metadata| metadata.len());
            changes.reached = changes.reached.max(len);
        }
        if end <= changes.reached {
            self.published.store(end, Ordering::Release);
        }
    }
}

/// A write or a cut that is under way.
struct Change<'a> {
    frontier: &'a Frontier,
    from: u64,
    /// The length that it has given the file, if it did.
    reached: u64,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        let mut changes = self.frontier.changes.lock();
        changes.reached = changes.reached.max(self.reached);
        if let Some(index) = changes.under_way.iter().position(|from| *from == self.from) {
            changes.under_way.swap_remove(index);
        }
    }
}

/// A read-only shared map. It keeps no descriptor open: ten thousand segments can be mapped at once.
struct OsMapping {
    map: MmapRaw,
    /// Asked for its length as long as its handle is open.
    file: Weak<File>,
    frontier: Arc<Frontier>,
}

impl Mapping for OsMapping {
    fn publish(&self, end: u64) {
        if end <= self.map.len() as u64 {
            self.frontier.publish(end, &self.file);
        }
    }

    fn published(&self) -> &[u8] {
        let end = self.frontier.published.load(Ordering::Acquire);
        // Another mapping of the same file may be larger than this one, and have published more.
        let end = usize::try_from(end).unwrap_or(usize::MAX).min(self.map.len());
        // SAFETY: the pointer is that of a map of at least `end` bytes, which lives as long as `self`, whose
        // borrow the slice has; it is readable, page-aligned, and shorter than `isize::MAX` (memmap2 checks). The
        // bytes don't change while the slice lives: `Frontier` let `end` be published only when no write through
        // this handle was under way below it, and has refused each one since; Release and Acquire make what was
        // written before visible. No slice is ever made over the rest of the map, whose bytes do change. That
        // neither another handle nor another process changes them is the promise of `Mapping::publish`'s caller:
        // the store's files have one writer, which holds the directory's lock, and it writes no segment through
        // two handles (recovery writes again only the very bytes that are there). Whoever breaks that from
        // outside breaks this slice as with any mapped file. So does a cursor that outlives its store after a
        // failed sync, if another opening in the same process then cuts off what that cursor was shown: changed
        // bytes are caught by the checksums of what is decoded, and reading pages that were cut off ends the
        // process with SIGBUS. Where that isn't bearable, the store reads without maps (`ReadMode::Pread`).
        unsafe { slice::from_raw_parts(self.map.as_ptr(), end) }
    }

    #[cfg(target_arch = "x86_64")]
    fn prefetch(&self, offset: usize, length: usize) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in (0..length).step_by(CACHE_LINE_BYTES) {
            // SAFETY: a hint, which reads nothing that the program could see, and faults at no address.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(self.map.as_ptr().wrapping_add(offset).wrapping_add(line).cast());
            }
        }
    }
}

impl fmt::Debug for OsMapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let published = self.frontier.published.load(Ordering::Relaxed);
        formatter
            .debug_struct("OsMapping")
            .field("map", &self.map)
            .field("published", &published)
            .finish_non_exhaustive()
    }
}

/// A page of a file that other processes have mapped too.
#[derive(Debug)]
struct OsSharedPage {
    map: MmapRaw,
    mode: ShareMode,
}

impl OsSharedPage {
    fn number_u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8) && offset + 8 <= self.map.len(), "a number of the page");
        #[allow(clippy::cast_ptr_alignment, reason = "a page is aligned, and the offset was checked")]
        // SAFETY: the pointer is aligned and stays within the map, which lives as long as `self`, whose borrow
        // the reference has. In this program the page is reached by atomic operations alone; what other processes
        // do to it is as if done by such. A map that is read-only is never written: all that write go through
        // `check_writable`, and a load writes nothing. The page stays in the file: the store never cuts `head`
        // off, and whoever does from outside ends this process with SIGBUS.
        unsafe {
            AtomicU64::from_ptr(self.map.as_mut_ptr().add(offset).cast())
        }
    }

    fn number_u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset.is_multiple_of(4) && offset + 4 <= self.map.len(), "a number of the page");
        #[allow(clippy::cast_ptr_alignment, reason = "a page is aligned, and the offset was checked")]
        // SAFETY: as in `number_u64`. The page's layout has no number of 4 bytes within one of 8.
        unsafe {
            AtomicU32::from_ptr(self.map.as_mut_ptr().add(offset).cast())
        }
    }

    fn check_writable(&self) {
        assert_eq!(self.mode, ShareMode::ReadWrite, "a page that is shared to be read isn't changed");
    }
}

impl SharedPage for OsSharedPage {
    fn load_u64(&self, offset: usize) -> u64 {
        u64::from_le(self.number_u64(offset).load(Ordering::SeqCst))
    }

    fn store_u64(&self, offset: usize, number: u64) {
        self.check_writable();
        self.number_u64(offset).store(number.to_le(), Ordering::SeqCst);
    }

    fn load_u32(&self, offset: usize) -> u32 {
        u32::from_le(self.number_u32(offset).load(Ordering::SeqCst))
    }

    fn store_u32(&self, offset: usize, number: u32) {
        self.check_writable();
        self.number_u32(offset).store(number.to_le(), Ordering::SeqCst);
    }

    fn set_bits_u32(&self, offset: usize, bits: u32) -> u32 {
        self.check_writable();
        u32::from_le(self.number_u32(offset).fetch_or(bits.to_le(), Ordering::SeqCst))
    }

    fn wait(&self, offset: usize, expected: u32, timeout: Duration) {
        shared_futex::wait(self.number_u32(offset), expected.to_le(), timeout);
    }

    fn wake_all(&self, offset: usize) {
        shared_futex::wake_all(self.number_u32(offset));
    }
}

#[cfg(test)]
mod tests;
