//! Where the index's files are, and who may write them.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::{
        frame::FrameKind,
        layout::bytes,
        record::{self, RECORD_FIXED_BYTES},
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    index::{
        directory::{Directory, SegmentTable},
        part::{IndexFault, IndexPart, IndexResult},
        sealed::SealedIndex,
    },
    log::{
        scan::{ChainEnd, LastFrame, last_frame},
        segment::{Segment, index_path},
        window::Window,
    },
    options::ReadMode,
    position::Position,
    trace,
};

/// Who uses the index's files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// The writer: what is missing is written.
    Owner,
    /// A reader beside it: nothing is ever written.
    Guest,
}

/// The index's files of a store.
#[derive(Clone, Debug)]
pub(crate) struct IndexFiles {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: PathBuf,
    pub(crate) store_id: u64,
    pub(crate) read: ReadMode,
    pub(crate) access: Access,
}

impl IndexFiles {
    /// Where the stream directory is.
    pub(crate) fn directory_path(&self) -> PathBuf {
        self.store.join("streams.dir")
    }

    /// Opens the index file of a segment. It may be of another end than the segment has.
    pub(crate) fn open_index(&self, header: &SegmentHeader) -> IndexResult<SealedIndex> {
        let path = index_path(&self.store, header.number);
        let file = self.disk.open(&path, OpenMode::Read).map_err(IndexFault::Io)?;
        let index = SealedIndex::open(file, self.read, self.store_id)?;
        let (span, end) = (index.span(), index.chain_end());
        if end.file_offset < bytes(SEGMENT_HEADER_BYTES) {
            return Err(IndexFault::Damaged("it ends before its segment begins"));
        }
        let is_its = u64::from(span.segment) == header.number
            && span.base == header.base
            && span.first_position == header.first_position
            && span.first_position.plus(u64::from(span.events)) == end.next_position;
        if is_its { Ok(index) } else { Err(IndexFault::Damaged("it is of another segment")) }
    }

    /// Opens the index file of a segment, which must end where a frame of this log does, with that frame's last event: what is
    /// appended goes on from what it says.
    pub(crate) fn open_index_of(&self, segment: &Segment) -> IndexResult<SealedIndex> {
        let index = self.open_index(&segment.header)?;
        let end = index.chain_end();
        let last = last_frame(&*segment.file, &segment.header, &end).map_err(IndexFault::Io)?;
        let is_its = match last {
            None => end == ChainEnd::beginning(&segment.header),
            Some(last) => {
                last.header.epoch == end.epoch
                    && last.header.mode == end.mode
                    && (last.header.kind == FrameKind::Seal) == end.seal.is_some()
                    && next_position(segment, &last, &index)? == Some(end.next_position)
            }
        };
        if is_its { Ok(index) } else { Err(IndexFault::Damaged("it is of another log")) }
    }

    /// Opens the stream directory.
    pub(crate) fn open_directory(&self) -> IndexResult<(Directory, SegmentTable)> {
        let file = self.disk.open(&self.directory_path(), OpenMode::Read).map_err(IndexFault::Io)?;
        Directory::open(file, self.read, self.store_id)
    }

    /// Writes a segment's index file. That it isn't there costs time at the next opening and no event, so a
    /// failure is only told.
    pub(crate) fn write_index(&self, number: u32, content: &[u8]) {
        // What stands there instead is looked at before it is believed.
        self.write(&index_path(&self.store, u64::from(number)), content);
    }

    /// Writes the stream directory, and opens it. None: it couldn't be written.
    pub(crate) fn write_directory(&self, content: &[u8]) -> Option<Directory> {
        if !self.write(&self.directory_path(), content) {
            // What stands there may be the one before.
            return None;
        }
        self.open_directory().ok().map(|(directory, _)| directory)
    }

    /// Writes a file anew, and says whether it did; the one that others may have mapped stays as it is, without a
    /// name. It is neither synced nor renamed: its checksums, and the end that it names, say what it is worth.
    fn write(&self, path: &Path, content: &[u8]) -> bool {
        if self.access == Access::Guest {
            return false;
        }
        let write = || -> io::Result<()> {
            if self.disk.kind(path)?.is_some() {
                self.disk.remove(path)?;
            }
            let file = self.disk.open(path, OpenMode::CreateNew)?;
            Ok(file.write_all_at(content, 0)?)
        };
        if let Err(error) = write() {
            trace::warn("an index file can't be written", path, format_args!("{error}"));
            self.disk.remove(path).ok();
            return false;
        }
        true
    }
}

/// The error for an index file that can't be used, nor made anew.
pub(crate) fn index_error(path: &Path, fault: IndexFault) -> Error {
    match fault {
        IndexFault::Io(error) => Error::io("read", path, error),
        IndexFault::Damaged(reason) => Error::corrupt(path, 0, reason, None),
    }
}

/// The answer of a part that is in memory, which never fails.
pub(crate) fn from_memory<T>(answer: IndexResult<T>) -> Result<T> {
    answer.map_err(|fault| index_error(Path::new("the index in memory"), fault))
}

/// The position behind a segment's last frame, in which the index finds the last event; none if that doesn't end the frame.
fn next_position(segment: &Segment, last: &LastFrame, index: &SealedIndex) -> IndexResult<Option<Position>> {
    if last.header.kind != FrameKind::Data {
        return Ok(Some(last.header.first_position));
    }
    let Some(file_offset) = index.last_event_offset()? else { return Ok(None) };
    if file_offset < last.file_offset {
        return Ok(None);
    }
    let mut window = Window::new(0);
    let file_bytes = segment.file.len().map_err(IndexFault::Io)?;
    let record = window.get_with_zeros(&*segment.file, file_offset, RECORD_FIXED_BYTES, file_bytes);
    let record = record.map_err(IndexFault::Io)?;
    let ends = record::length(record).is_ok_and(|length| file_offset + bytes(length) == last.payload_end());
    Ok(ends.then(|| record::position(record).next()))
}
