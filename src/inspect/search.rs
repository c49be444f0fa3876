//! Where valid frames go on behind damage: looked for at the places where frames can stand, and believed by checksums alone.

use std::io;

use crate::{
    disk::contract::DiskFile,
    format::{
        frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
        layout::{FRAME_ALIGNMENT, bytes, index},
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    inspect::allowance::Allowance,
    log::{
        scan::{ChainEnd, Scan},
        segment::Segment,
        window::Window,
    },
    position::LogOffset,
};

/// How much is looked through at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// Where frames of a segment go on behind the place where the chain ends; none if none do before `bytes_end`.
///
/// A frame is one to go on from if its header is right (checksum, store, place in the log) and it is whole, or goes on the chain
/// of the broken one, or is named by the chain of the one behind it. All stretches of a segment share an allowance.
pub(crate) fn find_on_within(
    segment: &Segment,
    end: &ChainEnd,
    bytes_end: u64,
    allowance: &Allowance,
) -> io::Result<Option<ChainEnd>> {
    let file_bytes = segment.file.len()?.min(bytes_end);
    let mut search = Search::new(segment, file_bytes, end, allowance)?;
    let mut from = end.file_offset + bytes(FRAME_ALIGNMENT);
    if let Some(broken) = search.header_at(end.file_offset)?
        && broken.chain == end.chain
    {
        // Its length is right, so nothing within it is a frame.
        from = end.file_offset + bytes(broken.frame_bytes());
        if let Some(next) = search.header_at(from)?
            && next.chain == broken.crc
        {
            return Ok(Some(before(&next, from)));
        }
    }
    search.first_from(from)
}

/// The header that a segment must have whose own is damaged, by its first frame that is whole.
pub(crate) fn infer_header(
    file: &dyn DiskFile,
    store_id: u64,
    number: u64,
) -> io::Result<Option<SegmentHeader>> {
    let file_bytes = file.len()?;
    let mut window = Window::new(0);
    let mut at = bytes(SEGMENT_HEADER_BYTES);
    let allowance = Allowance::of_segment();
    while at < file_bytes {
        let chunk = window.get(file, at, CHUNK_BYTES, file_bytes)?.to_vec();
        for (slot, slot_bytes) in chunk.chunks(FRAME_ALIGNMENT).enumerate() {
            let place = at + bytes(slot * FRAME_ALIGNMENT);
            let Ok(found) = FrameHeader::decode(slot_bytes) else { continue };
            let Some(base) = found.log_offset.get().checked_sub(place) else { continue };
            // As much is read for each, at least.
            if found.store_id != store_id || !allowance.pay(bytes(found.frame_bytes().max(CHUNK_BYTES))) {
                continue;
            }
            let header = header_before(&found, number, LogOffset::new(base));
            let mut scan = Scan::new(file, &header)?;
            scan.skip_to(before(&found, place));
            if scan.next_frame()?.is_ok() {
                return Ok(Some(header));
            }
        }
        at += bytes(chunk.len());
    }
    Ok(None)
}

/// A header that fits a frame of the segment; whether it is that of the first one, nobody knows.
fn header_before(frame: &FrameHeader, number: u64, base: LogOffset) -> SegmentHeader {
    SegmentHeader {
        store_id: frame.store_id,
        number,
        rewrite: 0,
        chain: frame.chain,
        base,
        first_position: frame.first_position,
        durable: base,
        epoch: epoch_before(frame),
        mode: frame.mode,
    }
}

/// What a frame goes on from.
fn before(frame: &FrameHeader, file_offset: u64) -> ChainEnd {
    ChainEnd {
        file_offset,
        chain: frame.chain,
        epoch: epoch_before(frame),
        mode: frame.mode,
        next_position: frame.first_position,
        seal: None,
    }
}

fn epoch_before(frame: &FrameHeader) -> u32 {
    frame.epoch.saturating_sub(u32::from(frame.kind == FrameKind::Epoch))
}

struct Search<'a> {
    segment: &'a Segment,
    file_bytes: u64,
    end: &'a ChainEnd,
    window: Window,
    scan: Scan<'a>,
    allowance: &'a Allowance,
}

impl<'a> Search<'a> {
    fn new(
        segment: &'a Segment,
        file_bytes: u64,
        end: &'a ChainEnd,
        allowance: &'a Allowance,
    ) -> io::Result<Self> {
        let scan = Scan::until(&*segment.file, &segment.header, file_bytes)?;
        Ok(Self { segment, file_bytes, end, window: Window::new(0), scan, allowance })
    }

    /// The header at a place, if one is there that belongs there.
    fn header_at(&mut self, file_offset: u64) -> io::Result<Option<FrameHeader>> {
        let found = self.window.get(&*self.segment.file, file_offset, FRAME_HEADER_BYTES, self.file_bytes)?;
        let header = FrameHeader::decode(found).ok();
        Ok(header.filter(|header| self.belongs(header, file_offset)))
    }

    fn belongs(&self, header: &FrameHeader, file_offset: u64) -> bool {
        header.store_id == self.segment.header.store_id
            && header.log_offset == self.segment.log_offset(file_offset)
            && header.durable <= header.log_offset
            && header.first_position >= self.end.next_position
            && header.epoch >= self.end.epoch
    }

    fn first_from(&mut self, from: u64) -> io::Result<Option<ChainEnd>> {
        let mut chunk = Vec::new();
        let mut at = from;
        while at < self.file_bytes {
            chunk.clear();
            let read = self.window.get(&*self.segment.file, at, CHUNK_BYTES, self.file_bytes)?;
            chunk.extend_from_slice(&read[..read.len().min(CHUNK_BYTES)]);
            for (slot, slot_bytes) in chunk.chunks(FRAME_ALIGNMENT).enumerate() {
                let place = at + bytes(slot * FRAME_ALIGNMENT);
                if let Ok(header) = FrameHeader::decode(slot_bytes)
                    && self.belongs(&header, place)
                    && self.is_one(&header, place)?
                {
                    return Ok(Some(before(&header, place)));
                }
            }
            if self.allowance.is_spent() {
                return Ok(None);
            }
            at += bytes(chunk.len());
        }
        Ok(None)
    }

    /// Whether a header is that of a frame: it is whole, or the one behind it names it.
    fn is_one(&mut self, header: &FrameHeader, file_offset: u64) -> io::Result<bool> {
        if !self.allowance.pay(bytes(header.frame_bytes())) {
            return Ok(false);
        }
        self.scan.skip_to(before(header, file_offset));
        if self.scan.next_frame()?.is_ok() {
            return Ok(true);
        }
        let next = self.header_at(file_offset + bytes(header.frame_bytes()))?;
        Ok(next.is_some_and(|next| next.chain == header.crc))
    }
}

/// The bytes of a stretch of a segment's file, at most so many.
pub(crate) fn stretch_of(segment: &Segment, start: u64, end: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
    let end = end.min(segment.file.len()?);
    let mut content = vec![0; index(end.saturating_sub(start)).min(bytes_max)];
    segment.file.read_exact_at(&mut content, start)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::{
        disk::{
            contract::{Disk, OpenMode},
            sim::simulated::SimDisk,
        },
        format::frame::{EpochMode, FrameSpec, finish_frame},
        position::Position,
    };

    const PAYLOAD_BYTES: usize = 64 << 10;

    fn header() -> SegmentHeader {
        SegmentHeader {
            store_id: 7,
            number: 1,
            rewrite: 0,
            chain: 0,
            base: LogOffset::default(),
            first_position: Position::FIRST,
            durable: LogOffset::default(),
            epoch: 1,
            mode: EpochMode::Fsync,
        }
    }

    fn frame_at(file_offset: usize) -> Vec<u8> {
        let mut frame = vec![1; FRAME_HEADER_BYTES + PAYLOAD_BYTES];
        let spec = FrameSpec {
            log_offset: LogOffset::new(bytes(file_offset)),
            file_offset: bytes(file_offset),
            durable: LogOffset::default(),
            chain: 9,
            epoch: 1,
            first_position: Position::FIRST,
            kind: FrameKind::Seal,
            mode: EpochMode::Fsync,
            store_id: 7,
        };
        finish_frame(&mut frame, &spec);
        frame
    }

    #[test]
    fn headers_of_frames_that_arent_whole_cost_no_more_than_is_allowed() -> io::Result<()> {
        // Ten headers side by side, each of a frame that isn't there, and in vain.
        let mut content = vec![0; 512 << 10];
        for at in (1024..).step_by(FRAME_HEADER_BYTES).take(10) {
            content[at..at + FRAME_HEADER_BYTES].copy_from_slice(&frame_at(at)[..FRAME_HEADER_BYTES]);
        }
        let disk = SimDisk::new(1);
        disk.write_file("/log", content)?;
        let file = disk.open("/log".as_ref(), OpenMode::Read)?;
        let segment = Segment::with_header(header(), PathBuf::from("/log"), file).expect("it is there");
        let end = ChainEnd::beginning(&segment.header);
        let spent_of = |allowed: usize| {
            let allowance = Allowance::new(bytes(allowed * (PAYLOAD_BYTES + FRAME_HEADER_BYTES)));
            find_on_within(&segment, &end, u64::MAX, &allowance).map(|found| (found, allowance.is_spent()))
        };
        assert_eq!(spent_of(11)?, (None, false));
        assert_eq!(spent_of(10)?, (None, true));
        assert_eq!(spent_of(3)?, (None, true));
        Ok(())
    }
}
