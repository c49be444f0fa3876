//! One segment file: made, opened, written, grown, read.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;

use crate::{
    disk::contract::{Disk, DiskFile, OpenMode, WriteError},
    error::{Error, Result},
    format::{
        frame::{FRAME_HEADER_BYTES, FrameHeader},
        layout::{FORMAT_VERSION, bytes, index},
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader, SegmentHeaderFault},
    },
    log::{view::SegmentView, window::Window},
    options::ReadMode,
    position::LogOffset,
};

/// The zeros that are written at a time, in bytes; in `Buffered` mode the writer waits for one such write at most. Pieces of a mebibyte would
/// let the system keep the file in large folios, into which every small write takes more than twice as long.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What is prepared begins at a multiple of this, in bytes, and so in a page that no frame stands in: a page is written
/// back as a whole.
const PREPARED_ALIGNMENT: u64 = 4 << 10;

/// What is wrong with a segment's file whose header is another's.
pub(crate) const OTHER_NUMBER: &str = "the segment header names another number than the file";
/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 1 << 20;

/// How a file grows ahead of the head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Growth {
    /// Room is set aside, filled with zeros and synced, so that a frame's sync carries no metadata.
    Synced,
    /// Room is set aside and filled with zeros: a frame's write finds its pages in memory, and takes half as long.
    Unsynced,
}

/// A segment's file, as the writer has it, and whoever checks it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    /// The file is prepared below; changed under `preparing` alone.
    prepared: AtomicU64,
    /// Held also while what was prepared is synced, in `Fsync` mode: the writer, where it comes to the last page of it, waits.
    preparing: Mutex<Preparation>,
}

/// What the zeros ahead are worth.
#[derive(Debug)]
enum Preparation {
    /// They are on the disk, or it doesn't matter.
    Sound,
    /// A sync of them failed: what the disk has of the file, and how long it is there, none can say.
    Failed,
}

/// The directory of the segments.
pub(crate) fn segments_directory(store: &Path) -> PathBuf {
    store.join("segments")
}

/// A segment's file.
pub(crate) fn segment_path(store: &Path, number: u64) -> PathBuf {
    segments_directory(store).join(segment_name(number))
}

/// The name of a segment's file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:012}.log")
}

/// A segment's index file.
pub(crate) fn index_path(store: &Path, number: u64) -> PathBuf {
    segments_directory(store).join(format!("{number:012}.idx"))
}

/// The number in a segment file's name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    number_before(".log", name)
}

/// The number in an index file's name.
pub(crate) fn index_number(name: &str) -> Option<u64> {
    number_before(".idx", name)
}

fn number_before(ending: &str, name: &str) -> Option<u64> {
    let digits = name.strip_suffix(ending)?;
    let number = digits.parse().ok()?;
    (format!("{number:012}") == digits).then_some(number)
}

/// Where a file is written before it has its name.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

/// Makes a whole file appear under its name at once, durably: temporary file, sync, rename, directory sync.
pub(crate) fn create_whole(disk: &dyn Disk, path: &Path, content: &[u8]) -> Result<Arc<dyn DiskFile>> {
    let temporary = temporary(path);
    let file = create_new(disk, &temporary)?;
    file.write_all_at(content, 0).map_err(|error| Error::io("write", &temporary, error.source))?;
    put_in_place(disk, &*file, &temporary, path)?;
    Ok(file)
}

/// Makes the first `length` bytes of a file appear under a name at once, as [`create_whole`] does.
pub(crate) fn copy_whole(disk: &dyn Disk, from: &dyn DiskFile, length: u64, path: &Path) -> Result<()> {
    let temporary = temporary(path);
    let copy = create_new(disk, &temporary)?;
    let mut window = Window::new(0);
    let mut at = 0;
    while at < length {
        let chunk =
            window.get(from, at, COPY_BYTES, length).map_err(|error| Error::io("read", path, error))?;
        copy.write_all_at(chunk, at).map_err(|error| Error::io("write", &temporary, error.source))?;
        at += bytes(chunk.len());
    }
    put_in_place(disk, &*copy, &temporary, path)
}

/// Reads the header of a segment's file.
pub(crate) fn read_header(path: &Path, file: &dyn DiskFile) -> Result<SegmentHeader> {
    let io = |error| Error::io("read", path, error);
    let length = file.len().map_err(io)?;
    let mut window = Window::new(0);
    let header_bytes = window.get(file, 0, SEGMENT_HEADER_BYTES, length).map_err(io)?;
    SegmentHeader::decode(header_bytes).map_err(|fault| match fault {
        SegmentHeaderFault::Newer(found) => {
            Error::NewerFormat { path: path.to_owned(), found, supported: FORMAT_VERSION }
        }
        SegmentHeaderFault::Damaged(reason) => Error::corrupt(path, 0, reason, None),
    })
}

/// Makes a temporary file, in place of one that was left.
fn create_new(disk: &dyn Disk, temporary: &Path) -> Result<Arc<dyn DiskFile>> {
    if disk.kind(temporary).map_err(|error| Error::io("look at", temporary, error))?.is_some() {
        disk.remove(temporary).map_err(|error| Error::io("remove", temporary, error))?;
    }
    disk.open(temporary, OpenMode::CreateNew).map_err(|error| Error::io("create", temporary, error))
}

/// Gives a temporary file that is written its name, durably.
fn put_in_place(disk: &dyn Disk, file: &dyn DiskFile, temporary: &Path, path: &Path) -> Result<()> {
    file.sync().map_err(|error| Error::io("sync", temporary, error))?;
    disk.rename(temporary, path).map_err(|error| Error::io("rename", temporary, error))?;
    let directory = path.parent().expect("every file of the store stands in a directory");
    disk.sync_dir(directory).map_err(|error| Error::io("sync", directory, error))
}

impl Segment {
    /// Makes a segment, durably.
    pub(crate) fn create(disk: &dyn Disk, store: &Path, header: SegmentHeader) -> Result<Self> {
        let path = segment_path(store, header.number);
        let file = create_whole(disk, &path, &header.encode())?;
        Ok(Self::new(header, path, file, bytes(SEGMENT_HEADER_BYTES)))
    }

    /// Opens a segment and reads its header.
    pub(crate) fn open(disk: &dyn Disk, store: &Path, number: u64, mode: OpenMode) -> Result<Self> {
        Self::open_at(disk, &segment_path(store, number), number, mode)
    }

    /// Opens a segment that stands anywhere.
    pub(crate) fn open_at(disk: &dyn Disk, path: &Path, number: u64, mode: OpenMode) -> Result<Self> {
        let path = path.to_owned();
        let file = disk.open(&path, mode).map_err(|error| Error::io("open", &path, error))?;
        let header = read_header(&path, &*file)?;
        if header.number != number {
            return Err(Error::corrupt(&path, 0, OTHER_NUMBER, None));
        }
        Self::with_header(header, path, file)
    }

    /// A segment whose header is known, whatever its file says.
    pub(crate) fn with_header(header: SegmentHeader, path: PathBuf, file: Arc<dyn DiskFile>) -> Result<Self> {
        let length = file.len().map_err(|error| Error::io("read", &path, error))?;
        Ok(Self::new(header, path, file, length))
    }

    fn new(header: SegmentHeader, path: PathBuf, file: Arc<dyn DiskFile>, prepared: u64) -> Self {
        Self {
            header,
            path,
            file,
            prepared: AtomicU64::new(prepared),
            preparing: Mutex::new(Preparation::Sound),
        }
    }

    /// What readers see of it, nothing yet, with room for `capacity` bytes.
    pub(crate) fn view(&self, read: ReadMode, capacity: u64) -> Result<SegmentView> {
        SegmentView::new(self.header.clone(), self.path.clone(), &self.file, read, capacity)
    }

    /// The log offset of a place in the file.
    pub(crate) fn log_offset(&self, file_offset: u64) -> LogOffset {
        self.header.log_offset(file_offset)
    }

    /// The place in the file of a log offset that is in it.
    pub(crate) fn file_offset(&self, log_offset: LogOffset) -> u64 {
        self.header.file_offset(log_offset)
    }

    /// The header at a place in the file, if one is there that says that it stands there.
    pub(crate) fn frame_header_at(&self, file_offset: u64) -> io::Result<Option<FrameHeader>> {
        let mut content = [0; FRAME_HEADER_BYTES];
        if self.file.len()? < file_offset + bytes(content.len()) {
            return Ok(None);
        }
        self.file.read_exact_at(&mut content, file_offset)?;
        let header = FrameHeader::decode(&content).ok();
        Ok(header.filter(|header| {
            header.store_id == self.header.store_id && header.log_offset == self.log_offset(file_offset)
        }))
    }

    /// Writes a frame behind everything that was written before.
    pub(crate) fn write(&self, frame: &[u8], file_offset: u64) -> Result<(), WriteError> {
        let end = file_offset + bytes(frame.len());
        let prepared = self.prepared();
        // To set room aside may change the page with the file's end, so that it is written back as those of the zeros are.
        let left_alone = prepared - prepared % PREPARED_ALIGNMENT;
        if end <= left_alone {
            return self.file.write_all_at(frame, file_offset);
        }
        let preparation = self.preparing.lock();
        if let Preparation::Failed = *preparation {
            return Err(WriteError {
                written: 0,
                source: io::Error::other("an earlier sync of the file failed"),
            });
        }
        self.prepared.fetch_max(end, Ordering::Release);
        self.file.write_all_at(frame, file_offset)
    }

    /// How far the file is prepared.
    pub(crate) fn prepared(&self) -> u64 {
        self.prepared.load(Ordering::Acquire)
    }

    /// Prepares the file up to `target`, which nothing but zeros stands beyond yet. The writer may write meanwhile: in what is
    /// prepared already, and where nothing is synced also beyond, which is left alone then. `syncer` is a handle of the same file.
    pub(crate) fn grow(&self, target: u64, growth: Growth, syncer: &dyn DiskFile) -> Result<()> {
        let mut preparation = self.preparing.lock();
        if self.prepared() >= target {
            return Ok(());
        }
        self.file.allocate(target).map_err(|error| Error::io("grow", &self.path, error))?;
        match growth {
            Growth::Synced => self.prepare_synced(target, syncer, &mut preparation),
            Growth::Unsynced => {
                drop(preparation);
                while self.prepare_piece(target)? {}
                Ok(())
            }
        }
    }

    /// Writes zeros up to `target` and syncs them before it calls them prepared: a sector in which a frame is written mustn't be
    /// on its way to the disk as zeros, or the disk may get a part of each.
    fn prepare_synced(
        &self,
        target: u64,
        syncer: &dyn DiskFile,
        preparation: &mut Preparation,
    ) -> Result<()> {
        let mut reached = self.next_page();
        let written = loop {
            match self.write_zeros(reached, target) {
                Ok(0) => break Ok(()),
                Ok(count) => reached += count,
                Err(error) => break Err(error),
            }
        };
        // Where the disk is full too: a part of it may have been written, and the writer goes on there.
        if let Err(error) = syncer.sync() {
            *preparation = Preparation::Failed;
            return Err(Error::io("sync", &self.path, error));
        }
        self.prepared.fetch_max(reached, Ordering::Release);
        written
    }

    /// Prepares one piece, if there is a place below `target` that isn't prepared yet.
    fn prepare_piece(&self, target: u64) -> Result<bool> {
        let _preparing = self.preparing.lock();
        let from = self.next_page();
        let count = self.write_zeros(from, target)?;
        self.prepared.fetch_max(from + count, Ordering::Release);
        Ok(count > 0)
    }

    /// Where preparing goes on: in a page that no frame stands in.
    fn next_page(&self) -> u64 {
        self.prepared().checked_next_multiple_of(PREPARED_ALIGNMENT).unwrap_or(u64::MAX)
    }

    /// Writes one piece of zeros below `target`; returns how many.
    fn write_zeros(&self, from: u64, target: u64) -> Result<u64> {
        let count = target.saturating_sub(from).min(bytes(ZEROS.len()));
        if count > 0 {
            let zeros = &ZEROS[..index(count)];
            self.file
                .write_all_at(zeros, from)
                .map_err(|error| Error::io("grow", &self.path, error.source))?;
        }
        Ok(count)
    }

    /// Sets the file's length, while nobody writes; what is behind it isn't prepared any more.
    pub(crate) fn set_len(&self, length: u64) -> Result<()> {
        let _preparing = self.preparing.lock();
        self.file.set_len(length).map_err(|error| Error::io("set the length of", &self.path, error))?;
        self.prepared.store(length, Ordering::Release);
        Ok(())
    }

    /// Cuts off what was prepared behind the end, and prepares no more: for a segment that is done. False: there was nothing.
    pub(crate) fn trim(&self, end: u64) -> Result<bool> {
        let _preparing = self.preparing.lock();
        self.prepared.store(u64::MAX, Ordering::Release);
        let length = self.file.len().map_err(|error| Error::io("read", &self.path, error))?;
        if length <= end {
            return Ok(false);
        }
        self.file.set_len(end).map_err(|error| Error::io("cut off", &self.path, error))?;
        Ok(true)
    }

    /// Puts a copy of so many bytes in the file's place, durably, so that what is written from now on reaches no other name
    /// of the file.
    pub(crate) fn separated(&self, disk: &dyn Disk, length: u64) -> Result<Self> {
        copy_whole(disk, &*self.file, length, &self.path)?;
        Self::open_at(disk, &self.path, self.header.number, OpenMode::ReadWrite)
    }

    /// An error that says that bytes of this segment aren't what was written.
    pub(crate) fn corrupt(&self, file_offset: u64, reason: &str) -> Error {
        Error::corrupt(&self.path, file_offset, reason, None)
    }
}
