//! A backup's manifest, made right: a part of `mend`.

use xxhash_rust::xxh3::xxh3_128;

use super::{
    little::{get_u32, long, put, put_u32, put_u64, short},
    mend::{ENVELOPE_BYTES, LogEnd, Mender, Part},
};

/// The fields before the segments, behind the envelope.
const FIXED_BYTES: usize = 60;
const ENTRY_BYTES: usize = 52;
const SEGMENT_HEADER_BYTES: u64 = 512;

/// A segment that a manifest may name: its file, what it goes on from, and where it ends.
#[derive(Clone, Debug)]
pub(crate) struct ListedSegment {
    pub(crate) content: Vec<u8>,
    pub(crate) before: LogEnd,
    pub(crate) end: LogEnd,
}

impl ListedSegment {
    /// How much of the file counts.
    fn bytes(&self) -> u64 {
        self.end.log_offset.saturating_sub(self.before.log_offset).max(SEGMENT_HEADER_BYTES)
    }
}

impl Mender {
    /// backup.manifest. What its timestamps are stays.
    pub(crate) fn manifest(&self, file: &mut Vec<u8>, store_id: u64, segments: &[ListedSegment]) {
        let fixed_end = ENVELOPE_BYTES + FIXED_BYTES;
        if self.mends(Part::Length) {
            // One without segments is right as well.
            let is_begun = get_u32(file, ENVELOPE_BYTES + 52) == 0 && file.len() <= fixed_end;
            let count = if is_begun { 0 } else { segments.len() };
            file.resize(fixed_end + count * ENTRY_BYTES, 0);
            put_u64(file, ENVELOPE_BYTES + 52, long(count));
            let length = short(file.len() - ENVELOPE_BYTES);
            put_u32(file, 16, length);
        }
        if self.mends(Part::Place) {
            put_u64(file, ENVELOPE_BYTES + 16, 1);
        }
        let count = file.len().saturating_sub(fixed_end) / ENTRY_BYTES;
        let named = &segments[..count.min(segments.len())];
        for (index, segment) in named.iter().enumerate() {
            self.entry(&mut file[fixed_end + index * ENTRY_BYTES..], segment);
        }
        if let Some(last) = named.last() {
            if self.mends(Part::Position) {
                put_u64(file, ENVELOPE_BYTES + 24, last.end.position.saturating_sub(1));
            }
            if self.mends(Part::Place) {
                put_u64(file, ENVELOPE_BYTES + 40, last.before.log_offset.saturating_add(last.bytes()));
            }
            if self.mends(Part::Chain) {
                put_u32(file, ENVELOPE_BYTES + 48, last.end.chain);
            }
        }
        self.envelope(file, *b"ANNALBKP", store_id);
    }

    fn entry(&self, entry: &mut [u8], segment: &ListedSegment) {
        if self.mends(Part::Place) {
            put_u64(entry, 0, segment.bytes());
            put_u64(entry, 8, segment.before.log_offset);
        }
        if self.mends(Part::Position) {
            put_u64(entry, 16, segment.before.position);
        }
        if self.mends(Part::Chain) {
            put_u32(entry, 32, segment.before.chain);
        }
        if self.mends(Part::End) {
            let bytes = usize::try_from(segment.bytes()).unwrap_or(usize::MAX);
            let counted = segment.content.get(..bytes).unwrap_or(&segment.content);
            put(entry, 36, &xxh3_128(counted).to_le_bytes());
        }
    }
}
