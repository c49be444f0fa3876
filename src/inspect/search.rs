//! Where valid frames go on behind damage: looked for at the places where frames can stand, and believed by checksums alone.

use std::io;

use crate::{
    disk::contract::DiskFile,
    format::{
        frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind},
        layout::{FRAME_ALIGNMENT, PIECE_BYTES, bytes, index},
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

/// How much is looked through at a time, in bytes: a little at first, since frames mostly go on soon, and twice as much each time
/// that they don't.
const CHUNK_BYTES_MIN: usize = 4 << 10;
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// How far beyond its file a frame may end, in bytes. What a file is too short for reads as zeros, so that a header could have any
/// number of them checked.
const BEYOND_BYTES_MAX: u64 = PIECE_BYTES as u64;

/// The header that a segment must have whose own is damaged, by its first frame that is whole.
pub(crate) fn infer_header(
    file: &dyn DiskFile,
    store_id: u64,
    number: u64,
) -> io::Result<Option<SegmentHeader>> {
    let file_bytes = file.len()?;
    let mut window = Window::new(0);
    let mut at = bytes(SEGMENT_HEADER_BYTES);
    let allowance = Allowance::of_segment(file_bytes);
    while at < file_bytes {
        let chunk = window.get(file, at, CHUNK_BYTES_MAX, file_bytes)?;
        for (slot, slot_bytes) in chunk.chunks(FRAME_ALIGNMENT).enumerate() {
            let place = at + bytes(slot * FRAME_ALIGNMENT);
            let Ok(found) = FrameHeader::decode(slot_bytes) else { continue };
            let Some(base) = found.log_offset.get().checked_sub(place) else { continue };
            let frame_end = place + bytes(found.frame_bytes());
            if found.store_id != store_id
                || frame_end > file_bytes + BEYOND_BYTES_MAX
                || !allowance.pay(bytes(found.frame_bytes()))
            {
                continue;
            }
            let header = header_before(&found, number, LogOffset::new(base));
            let mut scan = Scan::until(file, &header, frame_end)?;
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

/// The search in one segment, from its first damage to its last: what was read for one place is there for the next. All of them
/// share an allowance.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) segment: &'a Segment,
    /// Nothing is looked at from there on.
    bytes_end: u64,
    file_bytes: u64,
    window: Window,
    scan: Scan<'a>,
    allowance: &'a Allowance,
}

impl<'a> Search<'a> {
    pub(crate) fn new(segment: &'a Segment, bytes_end: u64, allowance: &'a Allowance) -> io::Result<Self> {
        let file_bytes = segment.file.len()?.min(bytes_end);
        let scan = Scan::until(&*segment.file, &segment.header, file_bytes)?;
        Ok(Self { segment, bytes_end, file_bytes, window: Window::new(0), scan, allowance })
    }

    /// Where frames go on behind the place where the chain ends; none if none do.
    ///
    /// A frame is one to go on from if its header is right (checksum, store, place in the log) and it is whole, or goes on the
    /// chain of the broken one, or is named by the chain of the one behind it.
    pub(crate) fn find_on(&mut self, end: &ChainEnd) -> io::Result<Option<ChainEnd>> {
        self.follow_length()?;
        let mut from = end.file_offset + bytes(FRAME_ALIGNMENT);
        if let Some(broken) = self.header_at(end, end.file_offset)?
            && broken.chain == end.chain
        {
            // Its length is right, so nothing within it is a frame.
            from = end.file_offset + bytes(broken.frame_bytes());
            if let Some(next) = self.header_at(end, from)?
                && next.chain == broken.crc
            {
                return Ok(Some(before(&next, from)));
            }
        }
        self.first_from(end, from)
    }

    /// Whether it has found nothing only because it may not look at more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.allowance.is_spent()
    }

    /// A file may have another length than before: a writer has cut it to its end.
    fn follow_length(&mut self) -> io::Result<()> {
        let file_bytes = self.segment.file.len()?.min(self.bytes_end);
        if file_bytes != self.file_bytes {
            *self = Self::new(self.segment, self.bytes_end, self.allowance)?;
        }
        Ok(())
    }

    /// The header at a place, if one is there that belongs there.
    fn header_at(&self, end: &ChainEnd, file_offset: u64) -> io::Result<Option<FrameHeader>> {
        header_at(self.segment, self.file_bytes, end, file_offset)
    }

    fn first_from(&mut self, end: &ChainEnd, from: u64) -> io::Result<Option<ChainEnd>> {
        let Self { segment, file_bytes, window, scan, allowance, .. } = self;
        let (segment, file_bytes) = (*segment, *file_bytes);
        let mut chunk_bytes = CHUNK_BYTES_MIN;
        let mut at = from;
        while at < file_bytes {
            let mut held = window.held_from(at);
            if held.len() < FRAME_HEADER_BYTES && at + bytes(held.len()) < file_bytes {
                if !allowance.pay(bytes(chunk_bytes).min(file_bytes - at)) {
                    return Ok(None);
                }
                held = window.get(&*segment.file, at, chunk_bytes, file_bytes)?;
                chunk_bytes = (2 * chunk_bytes).min(CHUNK_BYTES_MAX);
            }
            for (slot, slot_bytes) in held.chunks(FRAME_ALIGNMENT).enumerate() {
                let place = at + bytes(slot * FRAME_ALIGNMENT);
                let Ok(header) = FrameHeader::decode(slot_bytes) else { continue };
                let frame_bytes = bytes(header.frame_bytes());
                if !belongs(segment, end, &header, place)
                    || place + frame_bytes > file_bytes + BEYOND_BYTES_MAX
                    || !allowance.pay(frame_bytes)
                {
                    continue;
                }
                // It is whole, or the one behind it names it.
                scan.skip_to(before(&header, place));
                let is_one = scan.next_frame()?.is_ok()
                    || header_at(segment, file_bytes, end, place + frame_bytes)?
                        .is_some_and(|next| next.chain == header.crc);
                if is_one {
                    return Ok(Some(before(&header, place)));
                }
            }
            if allowance.is_spent() {
                return Ok(None);
            }
            at += bytes(held.len().next_multiple_of(FRAME_ALIGNMENT));
        }
        Ok(None)
    }
}

fn header_at(
    segment: &Segment,
    file_bytes: u64,
    end: &ChainEnd,
    file_offset: u64,
) -> io::Result<Option<FrameHeader>> {
    if file_bytes < file_offset + bytes(FRAME_HEADER_BYTES) {
        return Ok(None);
    }
    let header = segment.frame_header_at(file_offset)?;
    Ok(header.filter(|header| belongs(segment, end, header, file_offset)))
}

/// Whether a header says that it stands where it does, behind an end of the chain.
fn belongs(segment: &Segment, end: &ChainEnd, header: &FrameHeader, file_offset: u64) -> bool {
    header.store_id == segment.header.store_id
        && header.log_offset == segment.log_offset(file_offset)
        && header.durable <= header.log_offset
        && header.first_position >= end.next_position
        && header.epoch >= end.epoch
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
    use std::{
        path::PathBuf,
        sync::{
            Arc,
            atomic::{AtomicU64, Ordering},
        },
    };

    use super::*;
    use crate::{
        disk::{
            contract::{Disk, Mapping, OpenMode},
            sim::simulated::SimDisk,
        },
        format::{
            control_frame::Seal,
            frame::{EpochMode, FrameSpec, finish_frame},
        },
        position::Position,
    };

    /// A file that counts how many bytes are read of it.
    #[derive(Debug)]
    struct CountedFile {
        file: Arc<dyn DiskFile>,
        bytes_read: AtomicU64,
    }

    impl DiskFile for CountedFile {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let count = self.file.read_at(buffer, offset)?;
            self.bytes_read.fetch_add(bytes(count), Ordering::Relaxed);
            Ok(count)
        }

        fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
            self.file.write_at(bytes, offset)
        }

        fn sync(&self) -> io::Result<()> {
            self.file.sync()
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
        }

        fn allocate(&self, len: u64) -> io::Result<()> {
            self.file.allocate(len)
        }

        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn map(&self, capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
            self.file.map(capacity)
        }
    }

    const PAYLOAD_BYTES: usize = 64 << 10;

    fn header() -> SegmentHeader {
        SegmentHeader { epoch: 1, ..SegmentHeader::first(7, EpochMode::Fsync) }
    }

    fn frame_at(file_offset: usize) -> Vec<u8> {
        frame_with(file_offset, &vec![1; PAYLOAD_BYTES])
    }

    fn frame_with(file_offset: usize, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        frame.extend_from_slice(payload);
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

    /// A segment of these bytes, whose reads are counted.
    fn segment_of(content: Vec<u8>) -> io::Result<(Segment, Arc<CountedFile>)> {
        let disk = SimDisk::new(1);
        disk.write_file("/log", content)?;
        let file = disk.open("/log".as_ref(), OpenMode::Read)?;
        let file = Arc::new(CountedFile { file, bytes_read: AtomicU64::new(0) });
        let segment = Segment::with_header(header(), PathBuf::from("/log"), file.clone());
        Ok((segment.expect("it is there"), file))
    }

    #[test]
    fn headers_of_frames_that_arent_whole_cost_no_more_than_is_allowed() -> io::Result<()> {
        // Ten headers side by side, each of a frame that isn't there, and in vain.
        const FILE_BYTES: usize = 1 << 20;
        let mut content = vec![0; FILE_BYTES];
        for at in (1024..).step_by(FRAME_HEADER_BYTES).take(10) {
            content[at..at + FRAME_HEADER_BYTES].copy_from_slice(&frame_at(at)[..FRAME_HEADER_BYTES]);
        }
        let (segment, _) = segment_of(content)?;
        let end = ChainEnd::beginning(&segment.header);
        let looked_through = FILE_BYTES - SEGMENT_HEADER_BYTES - FRAME_ALIGNMENT;
        let spent_of = |allowed: usize| {
            let frames = allowed * (PAYLOAD_BYTES + FRAME_HEADER_BYTES);
            let allowance = Allowance::new(bytes(looked_through + frames));
            let found = Search::new(&segment, u64::MAX, &allowance)?.find_on(&end);
            found.map(|found| (found, allowance.is_spent()))
        };
        assert_eq!(spent_of(11)?, (None, false));
        assert_eq!(spent_of(10)?, (None, true));
        assert_eq!(spent_of(3)?, (None, true));
        Ok(())
    }

    #[test]
    fn a_frame_that_ends_far_beyond_the_file_isnt_tried() -> io::Result<()> {
        let frame_bytes = PAYLOAD_BYTES + FRAME_HEADER_BYTES;
        let frame = frame_at(1024);
        let left_of = |beyond: usize| {
            let mut content = vec![0; 1024];
            content.extend_from_slice(&frame[..FRAME_HEADER_BYTES]);
            content.resize(1024 + frame_bytes - beyond, 0);
            let (segment, _) = segment_of(content)?;
            let allowance = Allowance::new(1 << 30);
            let end = ChainEnd::beginning(&segment.header);
            assert_eq!(Search::new(&segment, u64::MAX, &allowance)?.find_on(&end)?, None);
            let looked_through = segment.file.len()? - end.file_offset - bytes(FRAME_ALIGNMENT);
            io::Result::Ok((1 << 30) - allowance.left() - looked_through)
        };
        assert_eq!(left_of(PIECE_BYTES)?, bytes(frame_bytes));
        assert_eq!(left_of(PIECE_BYTES + FRAME_ALIGNMENT)?, 0);
        Ok(())
    }

    #[test]
    fn a_segment_of_many_gaps_is_read_a_few_times_and_not_once_for_each() -> io::Result<()> {
        // Whole frames of nothing but a SEAL's length, and before each what no frame is.
        const FRAMES: usize = 10_000;
        const STEP: usize = 4 * FRAME_ALIGNMENT;
        let first = SEGMENT_HEADER_BYTES.next_multiple_of(STEP);
        let mut content = vec![0xA5; first + FRAMES * STEP];
        for at in (first + FRAME_ALIGNMENT..).step_by(STEP).take(FRAMES) {
            let frame =
                frame_with(at, &Seal { logical_end: LogOffset::new(1 << 40), chain_next: 9 }.encode());
            content[at..at + frame.len()].copy_from_slice(&frame);
        }
        let file_bytes = bytes(content.len());
        let (segment, file) = segment_of(content)?;
        let allowance = Allowance::new(8 * file_bytes);
        let mut search = Search::new(&segment, u64::MAX, &allowance)?;
        let mut end = ChainEnd::beginning(&segment.header);
        for _ in 0..FRAMES {
            end = search.find_on(&end)?.expect("a frame is there");
        }
        assert_eq!(end.file_offset, bytes(first + FRAME_ALIGNMENT + (FRAMES - 1) * STEP));
        let read = file.bytes_read.load(Ordering::Relaxed);
        assert!(read < 6 * file_bytes, "{read} of {file_bytes}");
        assert!(!allowance.is_spent());
        Ok(())
    }
}
