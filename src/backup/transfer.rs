//! A segment on its way from one directory to another: every frame is checked, hashed, and written if it is to be.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::Xxh3;

use crate::{
    backup_error::BackupError,
    disk::contract::{Disk, DiskFile, OpenMode},
    error::{Error, Result},
    format::{
        layout::bytes,
        manifest::ManifestSegment,
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    index::scanning::INVALID_NAME,
    inspect::report::Progress,
    log::{
        recovery::check_sealed,
        scan::{ChainEnd, Scan},
        segment::Segment,
        visiting::visit_frame,
    },
    stream::check_name,
    time::Timestamp,
};

/// How much is written at a time, in bytes.
const WRITE_BYTES: usize = 1 << 20;

/// How often is told how far it is within a segment, in bytes.
const TELL_BYTES: u64 = 1 << 20;

/// Who is told how far it is, and says whether it goes on.
pub(crate) type Tell<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Tells how far it is.
pub(crate) struct Teller<'a> {
    tell: Tell<'a>,
    destination: &'a Path,
    done: u64,
    total: u64,
    told: u64,
}

impl<'a> Teller<'a> {
    pub(crate) fn new(tell: Tell<'a>, destination: &'a Path) -> Self {
        Self { tell, destination, done: 0, total: 0, told: 0 }
    }

    /// So many bytes more are to be read.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.total += bytes;
    }

    /// How many bytes were read.
    pub(crate) fn done(&self) -> u64 {
        self.done
    }

    /// So many bytes are read, which may be fewer than before.
    pub(crate) fn set(&mut self, done: u64) -> Result<()> {
        self.done = done;
        self.tell()
    }

    fn advance(&mut self, bytes: u64) -> Result<()> {
        self.done += bytes;
        if self.done >= self.told + TELL_BYTES { self.tell() } else { Ok(()) }
    }

    fn tell(&mut self) -> Result<()> {
        self.told = self.done;
        match (self.tell)(Progress { bytes: self.done, bytes_total: self.total.max(self.done) }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => {
                Err(Error::Backup(BackupError::Stopped { path: self.destination.to_owned() }))
            }
        }
    }
}

/// How much of a segment is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Portion {
    /// All of one that has a successor.
    Sealed,
    /// So many bytes of its file, where a frame ends.
    UpTo(u64),
    /// What is valid.
    Valid,
}

/// What was found in a segment.
#[derive(Clone, Debug)]
pub(crate) struct Walked {
    pub(crate) end: ChainEnd,
    pub(crate) hash: u128,
    /// Of the first and the last event, if there is one.
    pub(crate) times: Option<(Timestamp, Timestamp)>,
}

impl Walked {
    /// As the manifest has it.
    pub(crate) fn entry(&self, header: &SegmentHeader) -> ManifestSegment {
        ManifestSegment {
            bytes: self.end.file_offset,
            base: header.base.get(),
            first_position: header.first_position.get(),
            first_timestamp: self.times.map_or(0, |(first, _)| first.micros()),
            chain: header.chain,
            hash: self.hash,
        }
    }
}

/// Goes over a segment's frames, and writes them to a file, if there is one. Whatever isn't as it was written is
/// an error.
pub(crate) fn walk(
    segment: &Segment,
    portion: Portion,
    teller: &mut Teller<'_>,
    mut copy: Option<&mut NewFile>,
) -> Result<Walked> {
    let io = |error| Error::io("read", &segment.path, error);
    let bytes_max = if let Portion::UpTo(bytes) = portion { bytes } else { u64::MAX };
    let mut scan = Scan::until(&*segment.file, &segment.header, bytes_max).map_err(io)?;
    let mut hasher = Xxh3::new();
    let mut times: Option<(Timestamp, Timestamp)> = None;
    // A header is all fields and zeros, so this is what stands in the file.
    let header = segment.header.encode();
    hasher.update(&header);
    if let Some(copy) = &mut copy {
        copy.put(&header)?;
    }
    teller.advance(bytes(SEGMENT_HEADER_BYTES))?;
    while scan.end().file_offset < bytes_max {
        let frame = match scan.next_whole_frame().map_err(io)? {
            Ok(frame) => frame,
            Err(stop) if portion == Portion::Sealed => {
                check_sealed(segment, scan.end(), stop)?;
                break;
            }
            Err(_) if portion == Portion::Valid => break,
            Err(stop) => return Err(broken(segment, &scan.end(), stop.reason)),
        };
        hasher.update(frame.bytes);
        if let Some(copy) = &mut copy {
            copy.put(frame.bytes)?;
        }
        teller.advance(bytes(frame.bytes.len()))?;
        visit_frame(segment, &frame.into_scanned(), &mut |_, record| {
            // As opening asks it: what would be refused there is refused while the original is still at hand.
            check_name("stream id", record.event.stream).map_err(|_| INVALID_NAME)?;
            let timestamp = record.event.timestamp;
            times = Some((times.map_or(timestamp, |(first, _)| first), timestamp));
            Ok(())
        })?;
    }
    teller.tell()?;
    Ok(Walked { end: scan.end(), hash: hasher.digest128(), times })
}

/// A segment's bytes aren't as they were written.
pub(crate) fn broken(segment: &Segment, end: &ChainEnd, reason: &str) -> Error {
    Error::corrupt(&segment.path, end.file_offset, reason, Some(end.next_position.previous()))
}

/// A file that is being made, in large pieces.
#[derive(Debug)]
pub(crate) struct NewFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// What isn't written yet.
    buffer: Vec<u8>,
    written: u64,
}

impl NewFile {
    /// A file where there is none.
    pub(crate) fn create(disk: &dyn Disk, path: PathBuf) -> Result<Self> {
        let file =
            disk.open(&path, OpenMode::CreateNew).map_err(|error| Error::io("create", &path, error))?;
        Ok(Self { path, file, buffer: Vec::with_capacity(WRITE_BYTES), written: 0 })
    }

    pub(crate) fn put(&mut self, content: &[u8]) -> Result<()> {
        if self.buffer.len() + content.len() > WRITE_BYTES {
            self.flush()?;
        }
        if content.len() >= WRITE_BYTES {
            return self.write(content);
        }
        self.buffer.extend_from_slice(content);
        Ok(())
    }

    /// Writes what is left, and makes all of it durable. Returns the file's length in bytes.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync().map_err(|error| Error::io("sync", &self.path, error))?;
        Ok(self.written)
    }

    fn flush(&mut self) -> Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        self.buffer = buffer;
        self.buffer.clear();
        Ok(())
    }

    fn write(&mut self, content: &[u8]) -> Result<()> {
        self.file
            .write_all_at(content, self.written)
            .map_err(|error| Error::io("write", &self.path, error.source))?;
        self.written += bytes(content.len());
        Ok(())
    }
}
