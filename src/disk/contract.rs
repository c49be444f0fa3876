//! What the store asks of a disk.
//!
//! - A write is visible to reads at once. It survives a power cut only behind a [`DiskFile::sync`].
//! - A name (creation, rename, removal) survives a power cut only behind a [`Disk::sync_dir`] of its directory.
//! - A failed sync says nothing about what is on the disk. It is never retried: see docs/durability.md.
//! - Sectors of 512 bytes are written whole or not at all, in any order.

use std::{fmt, io, path::Path, sync::Arc, time::Duration};

/// What a disk writes whole or not at all, in bytes.
pub const SECTOR_BYTES: u64 = 512;

/// How long a file is that processes share as a [`SharedPage`], in bytes.
pub const SHARED_PAGE_BYTES: usize = 4_096;

/// A disk: names of files and directories.
///
/// A disk that wraps another passes on what has a default here too: a default is what a disk does that can't do better.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory in an existing one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if there is anything of that name.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory inside of a store's. Whoever may read the one around it may read this one, on a disk that knows
    /// such things.
    ///
    /// # Errors
    ///
    /// As of [`create_dir`](Self::create_dir).
    fn create_inner_dir(&self, path: &Path) -> io::Result<()> {
        self.create_dir(path)
    }

    /// What is in a directory, in no order.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] if it isn't there.
    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// What stands at a path, links not followed; none if nothing does.
    ///
    /// # Errors
    ///
    /// The system's, other than that it isn't there.
    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>>;

    /// Whether a directory is its caller's alone: nobody else owns it, or may write there. On a disk that doesn't know such
    /// things it is. A disk that wraps another must pass this on: by the default a restore makes its store in a directory that
    /// another user has put there, which [`OsDisk`](crate::OsDisk) would have it refuse.
    ///
    /// # Errors
    ///
    /// The system's.
    fn is_own_dir(&self, _path: &Path) -> io::Result<bool> {
        Ok(true)
    }

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] or [`io::ErrorKind::AlreadyExists`] where the mode doesn't fit.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name in the same directory, replacing the file that had it; or a directory one that nothing
    /// has.
    ///
    /// # Errors
    ///
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a further name, in any directory, which nothing has: both stand for the same bytes, and the file is
    /// there until the last of its names is removed.
    ///
    /// # Errors
    ///
    /// The system's, as where the directories are on two file systems; [`io::ErrorKind::Unsupported`], unless the disk
    /// does it: who asks for it has to do with a copy then.
    fn hard_link(&self, original: &Path, _link: &Path) -> io::Result<()> {
        let message = format!("this disk gives {} no further name", original.display());
        Err(io::Error::new(io::ErrorKind::Unsupported, message))
    }

    /// Removes a file's name.
    ///
    /// # Errors
    ///
    /// The system's.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    ///
    /// The system's; what is durable is unknown then.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Locks a directory against all other writers, until the lock is dropped; none if another has it.
    ///
    /// # Errors
    ///
    /// The system's.
    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>>;

    /// Locks a file until the lock is dropped, or the process ends; none if another has a lock on it that
    /// excludes this one. Never waits.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::Unsupported`], unless the disk does it: other processes then can't tell
    /// whether a writer is alive.
    fn lock_file(&self, path: &Path, _kind: LockKind) -> io::Result<Option<Box<dyn FileLock>>> {
        Err(unsupported("locks", path))
    }

    /// Shares a file of [`SHARED_PAGE_BYTES`] with other processes, as memory. What is written there is never
    /// relied upon after the system's end, since nothing syncs it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidData`] for a file of another length; the system's;
    /// [`io::ErrorKind::Unsupported`], unless the disk does it: other processes then go by the log alone.
    fn share(&self, path: &Path, _mode: ShareMode) -> io::Result<Arc<dyn SharedPage>> {
        Err(unsupported("memory", path))
    }

    /// Which run of the system this is: another after each restart of it. Not 0.
    ///
    /// # Errors
    ///
    /// The system's; [`io::ErrorKind::Unsupported`] where it can't be known.
    fn boot_id(&self) -> io::Result<u128> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Makes a directory inside of a store's if it is missing. Returns whether it was.
///
/// # Errors
///
/// As of [`has_inner_dir`].
pub(crate) fn ensure_inner_dir(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    if has_inner_dir(disk, path)? {
        return Ok(false);
    }
    match disk.create_inner_dir(path) {
        // Another program was first, with whatever it made.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            has_inner_dir(disk, path).map(|_| false)
        }
        made => made.map(|()| true),
    }
}

/// Whether a directory inside of a store's is there.
///
/// # Errors
///
/// [`io::ErrorKind::NotADirectory`] if anything else is, also a link to a directory: what it leads to is another's. The
/// system's.
pub(crate) fn has_inner_dir(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let found = match disk.kind(path)? {
        None => return Ok(false),
        Some(EntryKind::Directory) => return Ok(true),
        Some(found) => found,
    };
    // What a link leads to may well be the directory that is missed here.
    let what_to_do = match found {
        EntryKind::Other => {
            "if it leads to that, put the directory itself here, or mount it here (a bind mount); else move it away"
        }
        EntryKind::File | EntryKind::Directory => "move it away",
    };
    let found = found.words();
    let message = format!("it is {found}, where only a directory of the store's own may stand; {what_to_do}");
    Err(io::Error::new(io::ErrorKind::NotADirectory, message))
}

/// What is in a directory inside of a store's.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if it isn't there; as of [`has_inner_dir`].
pub(crate) fn list_inner_dir(disk: &dyn Disk, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
    has_inner_dir(disk, path)?;
    disk.list(path)
}

fn unsupported(what: &str, path: &Path) -> io::Error {
    let message = format!("this disk doesn't share {what} on {}", path.display());
    io::Error::new(io::ErrorKind::Unsupported, message)
}

fn only_read() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "this file is only read")
}

/// A lock on a directory; dropping it lets go.
pub trait DirectoryLock: Send + Sync + fmt::Debug {}

/// A lock on a file; dropping it lets go.
pub trait FileLock: Send + Sync + fmt::Debug {}

/// Whom a lock on a file excludes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockKind {
    /// Exclusive locks.
    Shared,
    /// All other locks.
    Exclusive,
}

/// How a page is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShareMode {
    /// To look at.
    Read,
    /// To look at and change.
    ReadWrite,
}

/// A page of memory that processes share: numbers at multiples of their size, little-endian in the file.
///
/// All operations are sequentially consistent with each other, in all processes.
///
/// # Panics
///
/// All of them for an offset that isn't a multiple of the number's size, or beyond the page; those that change
/// it, if it is shared to be read.
pub trait SharedPage: Send + Sync + fmt::Debug {
    /// The number of 8 bytes at an offset.
    fn load_u64(&self, offset: usize) -> u64;

    /// Changes the number of 8 bytes at an offset.
    fn store_u64(&self, offset: usize, number: u64);

    /// The number of 4 bytes at an offset.
    fn load_u32(&self, offset: usize) -> u32;

    /// Changes the number of 4 bytes at an offset.
    fn store_u32(&self, offset: usize, number: u32);

    /// Sets bits of the number of 4 bytes at an offset, and returns what it was before.
    fn set_bits_u32(&self, offset: usize, bits: u32) -> u32;

    /// Sleeps while the number of 4 bytes at an offset is `expected`, until any process calls
    /// [`wake_all`](Self::wake_all) for it, or the time is over; may wake without a reason.
    fn wait(&self, offset: usize, expected: u32, timeout: Duration);

    /// Wakes all who wait on the number at an offset, in all processes.
    fn wake_all(&self, offset: usize);
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DirectoryEntry {
    /// The name; bytes that aren't UTF-8 are replaced, so that it matches none of the store's.
    pub name: String,
    /// What has it.
    pub kind: EntryKind,
}

/// What a name stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum EntryKind {
    /// An ordinary file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, a device, a socket.
    Other,
}

impl EntryKind {
    /// What messages call it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Other => "a symbolic link (or a device, a pipe, a socket)",
        }
    }
}

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OpenMode {
    /// An existing one, to read.
    Read,
    /// An existing one, to read and write.
    ReadWrite,
    /// A new one, to read and write; there must be none.
    CreateNew,
}

/// An open file. One that is only read needs no more than how it is read, how long it is, and its map: it refuses to be changed.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads up to `buffer.len()` bytes from an offset; fewer at the end of the file, or when interrupted.
    ///
    /// # Errors
    ///
    /// The system's.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes bytes at an offset, and says how many it wrote; the file grows where it must.
    ///
    /// # Errors
    ///
    /// The system's; then no byte was written. [`io::ErrorKind::InvalidInput`] for bytes that a
    /// [`Mapping`] of this file shows already.
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<usize> {
        Err(only_read())
    }

    /// Makes all that was written durable, and as much of the length as reading it needs.
    ///
    /// # Errors
    ///
    /// The system's; what is durable is unknown then, and another sync may wrongly succeed.
    fn sync(&self) -> io::Result<()> {
        Err(only_read())
    }

    /// Cuts the file off, or grows it with zeros.
    ///
    /// # Errors
    ///
    /// The system's. [`io::ErrorKind::InvalidInput`] for a length that cuts off bytes that a [`Mapping`] of
    /// this file shows already.
    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(only_read())
    }

    /// Grows the file to at least this length with zeros, with room on the disk where the system can
    /// promise it. Never shrinks it, unless another write makes it longer at the same moment.
    ///
    /// # Errors
    ///
    /// The system's, such as [`io::ErrorKind::StorageFull`].
    fn allocate(&self, _len: u64) -> io::Result<()> {
        Err(only_read())
    }

    /// The file's length in bytes.
    ///
    /// # Errors
    ///
    /// The system's.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no byte.
    ///
    /// # Errors
    ///
    /// The system's.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// How many names the file has: 1, unless the disk [gives files further ones](Disk::hard_link).
    ///
    /// # Errors
    ///
    /// The system's.
    fn link_count(&self) -> io::Result<u64> {
        Ok(1)
    }

    /// Maps `capacity` bytes from the beginning for reading, also beyond the file's present end; none where
    /// the disk doesn't map.
    ///
    /// # Errors
    ///
    /// The system's.
    fn map(&self, capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>>;

    /// Reads exactly `buffer.len()` bytes from an offset.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] if the file ends before; the system's.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            match self.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all bytes at an offset. Short writes go on where they stopped.
    ///
    /// # Errors
    ///
    /// How many bytes were written before the system refused, and what it said.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), WriteError> {
        let mut written = 0;
        while written < bytes.len() {
            let source = match self.write_at(&bytes[written..], offset + written as u64) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            return Err(WriteError { written, source });
        }
        Ok(())
    }
}

/// A write that stopped.
#[derive(Debug)]
pub struct WriteError {
    /// How many bytes were written before it.
    pub written: usize,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for WriteError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the write stopped after {} bytes", self.written)
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        error.source
    }
}

/// A file's bytes in memory, read-only, as far as they will never change again.
pub trait Mapping: Send + Sync + fmt::Debug {
    /// Shows the bytes below `end`, which were written before and are never written again, by anyone. An `end`
    /// beyond the capacity or the file's end, beyond the beginning of a write that is under way, or behind an
    /// earlier one changes nothing.
    fn publish(&self, end: u64);

    /// The bytes that are shown.
    fn published(&self) -> &[u8];

    /// Says that `length` bytes from an offset on are read soon, so that the processor can fetch them meanwhile. Changes
    /// nothing but speed, wherever the bytes are.
    #[allow(unused_variables, reason = "a mapping that can't say so to the processor doesn't")]
    fn prefetch(&self, offset: usize, length: usize) {}
}
