//! Checksums made right, and whatever else stands between bytes and the code that reads them: where a frame is, what it
//! goes on from, which event comes next. With nothing but what docs/file-format.md says, so that a hostile file
//! is what another program could have written.

use std::collections::HashMap;

use super::{
    little::{get_u16, get_u32, get_u64, long, put, put_u16, put_u32, put_u64, short},
    random::Random,
};

const SEGMENT_HEADER_BYTES: usize = 512;
const FRAME_HEADER_BYTES: usize = 64;
const RECORD_FIXED_BYTES: usize = 56;
pub(crate) const ENVELOPE_BYTES: usize = 20;
const PAGE_BYTES: usize = 4_096;
const SECTOR_BYTES: usize = 512;

const DATA: u8 = 1;
const EPOCH: u8 = 2;
const SEAL: u8 = 3;

/// What is made right beside checksums.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// What a structure begins with, its version and its kind.
    Magic,
    /// Whose it is.
    Store,
    /// Where it stands.
    Place,
    /// What it goes on from: chain, epoch, mode.
    Chain,
    Position,
    Version,
    /// Lengths that don't fit what is there.
    Length,
    /// What ends a commit.
    End,
    /// What must be zeros, and how many pieces are.
    Zeros,
    /// How much was durable.
    Durable,
}

/// Makes files right, or all but some of their parts.
#[derive(Debug)]
pub(crate) struct Mender {
    left_wrong: Vec<Part>,
    is_checked: bool,
}

/// Where a log ends: what the next frame or segment goes on from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LogEnd {
    pub(crate) store_id: u64,
    /// The next segment's number.
    pub(crate) number: u64,
    pub(crate) log_offset: u64,
    pub(crate) chain: u32,
    pub(crate) epoch: u32,
    pub(crate) mode: u8,
    pub(crate) position: u64,
    /// Whether a SEAL stands at the end.
    pub(crate) is_sealed: bool,
    /// How far each stream is.
    pub(crate) versions: HashMap<Vec<u8>, u64>,
}

impl LogEnd {
    /// What a store's first segment goes on from.
    pub(crate) fn beginning(store_id: u64) -> Self {
        Self {
            store_id,
            number: 1,
            log_offset: 0,
            chain: 0,
            epoch: 0,
            mode: 0,
            position: 1,
            is_sealed: false,
            versions: HashMap::new(),
        }
    }
}

/// A frame that is mended: where it stands, and where its payload ends.
#[derive(Clone, Copy, Debug)]
struct FramePlace {
    start: usize,
    payload_end: usize,
    end: usize,
}

impl Mender {
    /// Makes everything right.
    pub(crate) fn all() -> Self {
        Self { left_wrong: Vec::new(), is_checked: true }
    }

    /// Makes most of it right.
    pub(crate) fn some_of_it(random: &mut Random) -> Self {
        use Part::{Chain, Durable, End, Length, Magic, Place, Position, Store, Version, Zeros};
        let parts = [Magic, Store, Place, Chain, Position, Version, Length, End, Zeros, Durable];
        let left_wrong = parts.into_iter().filter(|_| random.one_in(12)).collect();
        Self { left_wrong, is_checked: !random.one_in(32) }
    }

    pub(crate) fn mends(&self, part: Part) -> bool {
        !self.left_wrong.contains(&part)
    }

    /// Puts a checksum of some of a file's bytes.
    fn check(&self, file: &mut [u8], at: usize, start: usize, end: usize) -> u32 {
        let crc = file.get(start..end).map_or(0, crc32fast::hash);
        if self.is_checked {
            put_u32(file, at, crc);
        }
        get_u32(file, at)
    }

    /// A structure in an envelope, up to where its length says that it ends. Returns that.
    pub(crate) fn envelope(&self, file: &mut [u8], magic: [u8; 8], store_id: u64) -> usize {
        let mut end = ENVELOPE_BYTES + get_u32(file, 16) as usize;
        if end > file.len() && self.mends(Part::Length) {
            end = file.len();
            put_u32(file, 16, short(end.saturating_sub(ENVELOPE_BYTES)));
        }
        if self.mends(Part::Magic) {
            put(file, 0, &magic);
            put_u32(file, 12, 1);
        }
        if self.mends(Part::Store) {
            put_u64(file, ENVELOPE_BYTES, store_id);
        }
        self.check(file, 8, 12, end.min(file.len()));
        end
    }

    /// Both slots of durable.mark.
    pub(crate) fn mark(&self, file: &mut [u8], store_id: u64) {
        for slot in file.chunks_mut(SECTOR_BYTES) {
            if self.mends(Part::Length) {
                put_u32(slot, 16, 24);
            }
            self.envelope(slot, *b"ANNALDUR", store_id);
        }
    }

    /// store.meta, which ends with its structure.
    pub(crate) fn meta(&self, file: &mut [u8], store_id: u64) {
        if self.mends(Part::Length) {
            put_u32(file, 16, short(file.len().saturating_sub(ENVELOPE_BYTES)));
        }
        self.envelope(file, *b"ANNALMET", store_id);
    }

    /// The constant part of `head`.
    pub(crate) fn head(&self, file: &mut Vec<u8>, store_id: u64, boot_id: u128) {
        if self.mends(Part::Length) {
            file.resize(PAGE_BYTES, 0);
        }
        if self.mends(Part::Magic) {
            put(file, 0, b"ANNALHED");
            put_u32(file, 12, 1);
        }
        if self.mends(Part::Store) {
            put_u64(file, 16, store_id);
        }
        if self.mends(Part::Place) {
            put(file, 24, &boot_id.to_le_bytes());
        }
        if self.mends(Part::Zeros) {
            put(file, 44, &[0; 20]);
        }
        self.check(file, 8, 12, 64);
    }

    /// A snapshot's file. `checksum_of` knows the checksum of a stream's event.
    pub(crate) fn snapshot(
        &self,
        file: &mut [u8],
        store_id: u64,
        event_of: impl Fn(&str, u64) -> Option<(u64, u32)>,
    ) {
        let end = self.envelope(file, *b"ANNALSNP", store_id);
        if let Some((stream, _)) = snapshot_names(file) {
            let version = get_u64(file, ENVELOPE_BYTES + 8);
            if let Some((position, checksum)) = event_of(&stream, version) {
                if self.mends(Part::Position) {
                    put_u64(file, ENVELOPE_BYTES + 16, position);
                }
                if self.mends(Part::Chain) {
                    put_u32(file, ENVELOPE_BYTES + 24, checksum);
                }
            }
        }
        if self.mends(Part::Length) {
            put_u64(file, ENVELOPE_BYTES + 41, long(file.len().saturating_sub(end)));
        }
        let length = file.len();
        self.check(file, ENVELOPE_BYTES + 49, end.min(length), length);
        self.check(file, 8, 12, end.min(length));
    }

    /// A file of pages: an index file or the directory of streams.
    pub(crate) fn paged(&self, file: &mut Vec<u8>, store_id: u64) {
        let pages = file.len().saturating_sub(PAGE_BYTES / 2) / (PAGE_BYTES + 4);
        if self.mends(Part::Length) {
            file.resize(PAGE_BYTES + pages * (PAGE_BYTES + 4), 0);
            put_u32(file, 32, short(pages));
        }
        if self.mends(Part::Magic) {
            put(file, 0, b"ANNALIDX");
            put_u32(file, 12, 1);
            if !(1..=2).contains(&file[40]) {
                file[40] = 1;
            }
        }
        if self.mends(Part::Store) {
            put_u64(file, 16, store_id);
        }
        let table = PAGE_BYTES * (pages + 1);
        let mut identity = [0; 24];
        put_u64(&mut identity, 0, get_u64(file, 16));
        put_u64(&mut identity, 8, get_u64(file, 24));
        identity[20] = file.get(40).copied().unwrap_or(0);
        for page in 0..pages {
            let start = PAGE_BYTES * (page + 1);
            let Some(content) = file.get(start..start + PAGE_BYTES) else { break };
            put_u32(&mut identity, 16, short(page));
            let crc = crc32fast::hash(&[&identity[..], content].concat());
            if self.is_checked {
                put_u32(file, table + 4 * page, crc);
            }
        }
        self.check(file, 36, table, table + 4 * pages);
        self.check(file, 8, 12, PAGE_BYTES);
    }

    /// A segment that goes on from a log's end. Returns the new end.
    pub(crate) fn segment(&self, file: &mut [u8], before: &LogEnd) -> LogEnd {
        let mut end = LogEnd { is_sealed: false, ..before.clone() };
        if self.mends(Part::Magic) {
            put(file, 0, b"ANNALSEG");
            put_u32(file, 12, 1);
        }
        if self.mends(Part::Store) {
            put_u64(file, 16, before.store_id);
        }
        if self.mends(Part::Place) {
            put_u64(file, 24, before.number);
            put_u64(file, 40, before.log_offset);
        }
        if self.mends(Part::Chain) {
            put_u32(file, 36, before.chain);
            put_u32(file, 64, before.epoch);
            put(file, 68, &[before.mode]);
        }
        if self.mends(Part::Position) {
            put_u64(file, 48, before.position);
        }
        if self.mends(Part::Durable) {
            put_u64(file, 56, before.log_offset);
        }
        if self.mends(Part::Zeros) {
            put(file, 69, &[0; 443]);
        }
        self.check(file, 8, 12, SEGMENT_HEADER_BYTES);
        self.frames(file, &mut end);
        end.number += 1;
        end
    }

    /// The frames behind a segment's header. `end` comes in as what the first one goes on from, its log offset being
    /// that of the segment.
    fn frames(&self, file: &mut [u8], end: &mut LogEnd) {
        let base = end.log_offset;
        let mut start = SEGMENT_HEADER_BYTES;
        while let Some(header) = file.get(start..start + FRAME_HEADER_BYTES) {
            if header.iter().all(|byte| *byte == 0) {
                break;
            }
            end.log_offset = base.saturating_add(long(start));
            let room = file.len() - start - FRAME_HEADER_BYTES;
            let mut payload_bytes = get_u32(file, start + 24) as usize;
            if payload_bytes > room && self.mends(Part::Length) {
                payload_bytes = room;
                put_u32(file, start + 24, short(room));
            }
            let payload_end = start + FRAME_HEADER_BYTES + payload_bytes;
            let place = FramePlace { start, payload_end, end: payload_end.next_multiple_of(64) };
            self.frame(file, place, end);
            if place.end > file.len() || end.is_sealed {
                break;
            }
            start = place.end;
        }
    }

    fn frame(&self, file: &mut [u8], place: FramePlace, end: &mut LogEnd) {
        let FramePlace { start, payload_end, .. } = place;
        if self.mends(Part::Magic) {
            put(file, start, b"aFRM");
            put_u16(file, start + 54, 0);
        }
        let kind = file[start + 52];
        if kind == EPOCH {
            end.epoch = end.epoch.saturating_add(1);
            end.mode = file[start + 53] & 1;
        }
        if self.mends(Part::Place) {
            put_u64(file, start + 8, end.log_offset);
        }
        if self.mends(Part::Durable) && get_u64(file, start + 16) > end.log_offset {
            put_u64(file, start + 16, end.log_offset);
        }
        if self.mends(Part::Chain) {
            put_u32(file, start + 32, end.chain);
            put_u32(file, start + 36, end.epoch);
            put(file, start + 53, &[end.mode]);
        }
        if self.mends(Part::Position) {
            put_u64(file, start + 40, end.position);
        }
        if self.mends(Part::Store) {
            put_u64(file, start + 56, end.store_id);
        }
        let goes_on_from = end.chain;
        if payload_end <= file.len() {
            self.payload(file, place, kind, end);
        }
        end.chain = self.check(file, start + 4, start + 8, start + FRAME_HEADER_BYTES);
        end.log_offset = end.log_offset.saturating_add(long(place.end - start));
        if kind == SEAL {
            end.is_sealed = true;
            end.log_offset = get_u64(file, start + FRAME_HEADER_BYTES);
            end.chain = goes_on_from;
        }
    }

    fn payload(&self, file: &mut [u8], place: FramePlace, kind: u8, end: &mut LogEnd) {
        let FramePlace { start, payload_end, .. } = place;
        let payload = start + FRAME_HEADER_BYTES;
        match kind {
            DATA => self.records(&mut file[payload..payload_end], end),
            EPOCH if self.mends(Part::Length) => {
                put_u32(&mut file[payload..payload_end], 0, u32::from(end.mode));
                put_u32(&mut file[payload..payload_end], 4, short((payload_end - payload).saturating_sub(8)));
            }
            SEAL if self.mends(Part::End) => {
                let frame_bytes = long(place.end - start);
                let logical_end = end.log_offset.saturating_add(frame_bytes);
                put_u64(&mut file[payload..payload_end], 0, logical_end);
                put_u32(&mut file[payload..payload_end], 8, end.chain);
                put_u32(&mut file[payload..payload_end], 12, 0);
            }
            _ => {}
        }
        let padded_end = place.end.min(file.len());
        if self.mends(Part::Zeros) {
            file[payload_end..padded_end].fill(0);
            let count = zero_pieces(&file[start..padded_end], start);
            put_u32(file, start + 48, count);
        }
        self.check(file, start + 28, payload, payload_end);
    }

    fn records(&self, payload: &mut [u8], end: &mut LogEnd) {
        let mut start = 0;
        while payload.len() - start >= RECORD_FIXED_BYTES {
            let left = payload.len() - start;
            let mut length = get_u32(payload, start) as usize;
            let leaves_room = length.saturating_add(RECORD_FIXED_BYTES) <= left;
            if length < RECORD_FIXED_BYTES || length != left && !leaves_room {
                if !self.mends(Part::Length) {
                    break;
                }
                length = left;
                put_u32(payload, start, short(length));
            }
            let is_last = start + length == payload.len();
            self.record(&mut payload[start..start + length], is_last, end);
            end.position = end.position.saturating_add(1);
            start += length;
        }
    }

    fn record(&self, record: &mut [u8], is_last: bool, end: &mut LogEnd) {
        let flags = get_u16(record, 32);
        let occurred_at_bytes = if flags & 8 == 0 { 0 } else { 10 };
        let stream_start = RECORD_FIXED_BYTES + occurred_at_bytes + usize::from(record[54]);
        let stream_end = stream_start + usize::from(get_u16(record, 48));
        let others = stream_end
            + usize::from(get_u16(record, 50))
            + get_u32(record, 44) as usize
            + usize::from(get_u16(record, 52));
        if self.mends(Part::Length)
            && let Some(data_bytes) = record.len().checked_sub(others)
        {
            put_u32(record, 40, short(data_bytes));
        }
        if self.mends(Part::Position) {
            put_u64(record, 8, end.position);
        }
        if self.mends(Part::Version)
            && let Some(stream) = record.get(stream_start..stream_end)
        {
            let version = end.versions.entry(stream.to_vec()).or_insert(0);
            *version += 1;
            put_u64(record, 16, *version);
        }
        if self.mends(Part::End) && (is_last || flags & 4 != 0) {
            put_u16(record, 32, flags | 6);
        }
        let length = record.len();
        self.check(record, 4, 8, length);
    }
}

/// How many of a frame's pieces are all zeros, that of its header left out.
fn zero_pieces(frame: &[u8], start: usize) -> u32 {
    let first = SECTOR_BYTES - start % SECTOR_BYTES;
    let pieces = frame.get(first..).unwrap_or(&[]).chunks(SECTOR_BYTES);
    short(pieces.filter(|piece| piece.iter().all(|byte| *byte == 0)).count())
}

/// The names of stream and state type in a snapshot's file.
pub(crate) fn snapshot_names(file: &[u8]) -> Option<(String, String)> {
    let text = |at: usize| {
        let length = usize::try_from(get_u64(file, at)).ok()?;
        let end = (at + 8).checked_add(length)?;
        let text = String::from_utf8(file.get(at + 8..end)?.to_vec()).ok()?;
        Some((text, end))
    };
    let (stream, end) = text(ENVELOPE_BYTES + 53)?;
    let (state_type, _) = text(end)?;
    Some((stream, state_type))
}
