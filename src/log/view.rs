//! What readers see of one segment: its committed bytes, mapped or read with pread.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    disk::contract::{DiskFile, Mapping},
    error::{Error, Result},
    format::{
        layout::{bytes, index},
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    options::ReadMode,
    position::LogOffset,
};

/// A segment, as readers have it.
#[derive(Debug)]
pub(crate) struct SegmentView {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    source: Source,
    /// Readers see the bytes below; they were committed and never change.
    published: AtomicU64,
}

/// Where the bytes come from. A map keeps no file open, so that many segments can be seen at once.
#[derive(Debug)]
pub(crate) enum Source {
    Mapped(Arc<dyn Mapping>),
    File(Arc<dyn DiskFile>),
}

impl SegmentView {
    /// Shows nothing yet. Of `capacity` bytes some may be written later.
    pub(crate) fn new(
        header: SegmentHeader,
        path: PathBuf,
        file: &Arc<dyn DiskFile>,
        read: ReadMode,
        capacity: u64,
    ) -> Result<Self> {
        let mapping = match read {
            ReadMode::Mapped => file.map(capacity).map_err(|error| Error::io("map", &path, error))?,
            ReadMode::Pread => None,
        };
        let source = mapping.map_or_else(|| Source::File(Arc::clone(file)), Source::Mapped);
        Ok(Self { header, path, source, published: AtomicU64::new(bytes(SEGMENT_HEADER_BYTES)) })
    }

    /// The log offset of a place in the file.
    pub(crate) fn log_offset(&self, file_offset: u64) -> LogOffset {
        self.header.log_offset(file_offset)
    }

    /// The place in the file of a log offset that is in it.
    pub(crate) fn file_offset(&self, log_offset: LogOffset) -> u64 {
        self.header.file_offset(log_offset)
    }

    /// Whether a place is in what is shown.
    pub(crate) fn holds(&self, place: LogOffset) -> bool {
        place >= self.header.base && place < self.log_offset(self.published())
    }

    /// Whether readers see the segment's bytes through a map.
    pub(crate) fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Mapped(_))
    }

    /// Says that the record at a place that is shown is read soon, which takes about so many bytes.
    pub(crate) fn prefetch(&self, place: LogOffset, record_bytes: usize) {
        if let Source::Mapped(mapping) = &self.source {
            mapping.prefetch(index(self.file_offset(place)), record_bytes);
        }
    }

    /// Shows what is committed.
    pub(crate) fn publish(&self, end: u64) {
        if let Source::Mapped(mapping) = &self.source {
            mapping.publish(end);
        }
        self.published.fetch_max(end, Ordering::Release);
    }

    /// The end of what is shown.
    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Where the bytes come from.
    pub(crate) fn source(&self) -> &Source {
        &self.source
    }

    /// An error that says that bytes of this segment aren't what was written.
    pub(crate) fn corrupt(&self, file_offset: u64, reason: &str) -> Error {
        Error::corrupt(&self.path, file_offset, reason, None)
    }
}
