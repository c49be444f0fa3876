//! Where a repair has the log end: by that a later one tells whether it was made, or somebody else has made the store whole.

use std::{io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::{frame::FrameKind, layout::bytes, segment_header::SEGMENT_HEADER_BYTES},
    log::{
        scan::{ChainEnd, is_end_of_chain},
        segment::Segment,
    },
};

/// Where a log is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlannedEnd {
    /// The number of the last segment.
    pub(crate) segment: u64,
    /// Where it ends in its file.
    pub(crate) file_offset: u64,
    /// The checksum of the last frame's header, and by that all that stands before it.
    pub(crate) chain: u32,
    /// Whether the log is cut there.
    pub(crate) is_cut: bool,
}

impl PlannedEnd {
    /// Whether a store, which is whole, is as it was to be. It may have been written to since.
    pub(crate) fn is_in(&self, disk: &dyn Disk, store: &Path) -> Result<bool> {
        let Some(segment) = segment_of(disk, store, self.segment)? else { return Ok(false) };
        let io = |error| Error::io("read", &segment.path, error);
        let beginning = ChainEnd::beginning(&segment.header);
        let end = ChainEnd { file_offset: self.file_offset, chain: self.chain, ..beginning };
        if !is_end_of_chain(&*segment.file, &segment.header, &end).map_err(io)? {
            return Ok(false);
        }
        if !self.is_cut {
            return Ok(true);
        }
        // Whoever opens a log that was cut begins with an EPOCH; else what was cut off is there again.
        let next = match segment.frame_header_at(self.file_offset).map_err(io)? {
            Some(header) => Some(header),
            None => match segment_of(disk, store, self.segment + 1)? {
                Some(next) => next.frame_header_at(bytes(SEGMENT_HEADER_BYTES)).map_err(io)?,
                None => None,
            },
        };
        Ok(next.is_none_or(|next| next.kind == FrameKind::Epoch))
    }
}

/// A segment, if it is there.
fn segment_of(disk: &dyn Disk, store: &Path, number: u64) -> Result<Option<Segment>> {
    match Segment::open(disk, store, number, OpenMode::Read) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}
