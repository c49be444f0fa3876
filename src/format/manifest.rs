//! backup.manifest: what a backup has, and by which it is known.
//!
//! A manifest without segments says that the directory is to have backups of a store, and has none that is whole.

use serde::{Deserialize, Serialize};

use crate::{
    format::{
        control::{self, ENVELOPE_BYTES, EnvelopeFault, Magic, StoreMeta},
        layout::{FRAME_ALIGNMENT, bytes},
        segment_header::{LOG_BYTES_MAX, SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    position::{LogOffset, Position},
    time::Timestamp,
};

const MAGIC: Magic = *b"ANNALBKP";

/// The most that a manifest may have, in bytes: more than four million segments.
const MANIFEST_BYTES_MAX: usize = 256 << 20;

/// The longest file of a manifest, in bytes.
pub(crate) const FILE_BYTES_MAX: usize = ENVELOPE_BYTES + MANIFEST_BYTES_MAX;

/// What a backup has.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct BackupManifest {
    /// The store's own; a restored store has the same.
    pub(crate) meta: StoreMeta,
    /// The position of the last event; 0: there is none.
    pub(crate) position: u64,
    /// The timestamp of the last event; 0 where there is none.
    pub(crate) timestamp: i64,
    /// Where the log of the backup ends.
    pub(crate) log_offset: u64,
    /// What the next frame in the last segment would name as its chain.
    pub(crate) chain: u32,
    /// By number, without holes.
    pub(crate) segments: Vec<ManifestSegment>,
}

/// A segment in a backup. Its file may be longer: what stands behind these bytes isn't part of the backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct ManifestSegment {
    /// How much of the file counts, in bytes.
    pub(crate) bytes: u64,
    /// As in the segment's header.
    pub(crate) base: u64,
    /// As in the segment's header.
    pub(crate) first_position: u64,
    /// The timestamp of the first event; 0 where there is none.
    pub(crate) first_timestamp: i64,
    /// As in the segment's header.
    pub(crate) chain: u32,
    /// XXH3-128 of the bytes.
    pub(crate) hash: u128,
}

impl BackupManifest {
    /// The manifest of a directory that has no backup yet.
    pub(crate) fn begun(meta: StoreMeta) -> Self {
        Self { meta, position: 0, timestamp: 0, log_offset: 0, chain: 0, segments: Vec::new() }
    }

    /// The whole file; none: it would have more segments than a manifest can.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let file = control::encode(MAGIC, self);
        (file.len() <= FILE_BYTES_MAX).then_some(file)
    }

    pub(crate) fn decode(file: &[u8]) -> Result<Self, EnvelopeFault> {
        let manifest: Self = control::decode_up_to::<MANIFEST_BYTES_MAX, _>(MAGIC, file)?;
        let is_consistent = manifest.is_consistent();
        is_consistent.then_some(manifest).ok_or(EnvelopeFault::Damaged("what it says doesn't fit together"))
    }

    fn is_consistent(&self) -> bool {
        let goes_on = |pair: &[ManifestSegment]| {
            pair[0].end().is_some_and(|end| pair[1].base >= end)
                && pair[1].first_position >= pair[0].first_position
        };
        let is_whole = |segment: &ManifestSegment| {
            segment.bytes >= bytes(SEGMENT_HEADER_BYTES)
                && segment.bytes.is_multiple_of(bytes(FRAME_ALIGNMENT))
                && segment.first_position > 0
        };
        let end = self.segments.last().map_or((Some(0), 1), |last| (last.end(), last.first_position));
        self.meta.first_segment.checked_add(bytes(self.segments.len())).is_some()
            && self.segments.iter().all(is_whole)
            && self.segments.windows(2).all(goes_on)
            && end.0 == Some(self.log_offset)
            && self.position.checked_add(1).is_some_and(|next| next >= end.1)
    }

    /// Whether a backup was ever finished.
    pub(crate) fn is_finished(&self) -> bool {
        !self.segments.is_empty()
    }

    /// The segments with their numbers.
    pub(crate) fn numbered(
        &self,
    ) -> impl DoubleEndedIterator<Item = (u64, &ManifestSegment)> + ExactSizeIterator {
        let first = self.meta.first_segment;
        self.segments.iter().enumerate().map(move |(index, segment)| (first + bytes(index), segment))
    }

    /// What is said of a segment.
    pub(crate) fn segment(&self, number: u64) -> Option<&ManifestSegment> {
        let index = usize::try_from(number.checked_sub(self.meta.first_segment)?).ok()?;
        self.segments.get(index)
    }

    /// The number of the last segment.
    pub(crate) fn last_number(&self) -> Option<u64> {
        self.numbered().next_back().map(|(number, _)| number)
    }

    /// The position of the last event.
    pub(crate) fn position(&self) -> Position {
        Position::new(self.position)
    }

    /// The timestamp of the last event.
    pub(crate) fn timestamp(&self) -> Timestamp {
        Timestamp::from_micros(self.timestamp)
    }
}

impl ManifestSegment {
    /// Where in the log its bytes end; none where no log ends.
    fn end(&self) -> Option<u64> {
        self.base.checked_add(self.bytes).filter(|end| *end <= LOG_BYTES_MAX)
    }

    /// Whether this is said of a segment with such a header. The chain names all that stands before the segment.
    pub(crate) fn is_of(&self, header: &SegmentHeader) -> bool {
        LogOffset::new(self.base) == header.base
            && Position::new(self.first_position) == header.first_position
            && self.chain == header.chain
    }
}

#[cfg(test)]
mod tests;
