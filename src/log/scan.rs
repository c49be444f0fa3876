//! Walks over the frames of one segment, and checks all that can be checked of each.

use std::io;

use crate::{
    disk::contract::DiskFile,
    format::{
        control_frame::{Seal, check_epoch},
        frame::{EpochMode, FRAME_HEADER_BYTES, FrameFault, FrameHeader, FrameKind, zero_pieces},
        layout::{FRAME_ALIGNMENT, PIECE_BYTES, bytes, index, is_zero},
        record::{self, Record, RecordEnd},
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    log::{verdict::TailStop, window::Window},
    position::{LogOffset, Position},
};

/// How much is read ahead, in bytes: a frame of many commits, and a little more.
const AHEAD_BYTES: usize = (1 << 20) + (128 << 10);

/// How much is looked at together for the frame that ends at a place, in bytes.
const LOOK_BACK_BYTES: u64 = 4 << 10;

/// What the next frame must go on from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ChainEnd {
    /// Where the next frame begins in the file.
    pub(crate) file_offset: u64,
    pub(crate) chain: u32,
    pub(crate) epoch: u32,
    pub(crate) mode: EpochMode,
    pub(crate) next_position: Position,
    /// Set behind a SEAL: nothing may follow in this segment.
    pub(crate) seal: Option<Seal>,
}

impl ChainEnd {
    /// What a segment's first frame must go on from.
    pub(crate) fn beginning(header: &SegmentHeader) -> Self {
        Self {
            file_offset: bytes(SEGMENT_HEADER_BYTES),
            chain: header.chain,
            epoch: header.epoch,
            mode: header.mode,
            next_position: header.first_position,
            seal: None,
        }
    }

    /// The header of the segment behind, which has this number; none: no SEAL stands before the end.
    pub(crate) fn next_header(&self, store_id: u64, number: u64) -> Option<SegmentHeader> {
        let seal = self.seal?;
        Some(SegmentHeader {
            store_id,
            number,
            rewrite: 0,
            chain: seal.chain_next,
            base: seal.logical_end,
            first_position: self.next_position,
            durable: seal.logical_end,
            epoch: self.epoch,
            mode: self.mode,
        })
    }
}

/// Walks over the frames of a segment.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    file: &'a dyn DiskFile,
    file_bytes: u64,
    header: &'a SegmentHeader,
    window: Window,
    end: ChainEnd,
}

/// Why a scan stopped: no further frame is valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stop {
    pub(crate) reason: &'static str,
    pub(crate) tail: TailStop,
}

/// A frame that was found valid, all of it.
#[derive(Debug)]
pub(crate) struct WholeFrame<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) file_offset: u64,
    /// Header, payload and padding.
    pub(crate) bytes: &'a [u8],
}

impl<'a> WholeFrame<'a> {
    /// What stands in it.
    pub(crate) fn into_scanned(self) -> ScannedFrame<'a> {
        let payload_end = FRAME_HEADER_BYTES + self.header.payload_bytes as usize;
        let payload = &self.bytes[FRAME_HEADER_BYTES..payload_end];
        ScannedFrame { header: self.header, file_offset: self.file_offset, payload }
    }
}

/// A frame that was found valid, and its payload.
#[derive(Debug)]
pub(crate) struct ScannedFrame<'a> {
    pub(crate) header: FrameHeader,
    pub(crate) file_offset: u64,
    pub(crate) payload: &'a [u8],
}

impl<'a> ScannedFrame<'a> {
    /// The frame's events, with the place of each in the file. Their checksums were compared by the scan; what isn't
    /// understood of one is an error, and the last.
    pub(crate) fn records(&self) -> impl Iterator<Item = (u64, Result<Record<'a>, &'static str>)> {
        let payload = if self.header.kind == FrameKind::Data { self.payload } else { &[] };
        let payload_offset = self.file_offset + bytes(FRAME_HEADER_BYTES);
        let mut at = 0;
        std::iter::from_fn(move || {
            if at == payload.len() {
                return None;
            }
            let offset = payload_offset + bytes(at);
            let record = record::decode_checked(&payload[at..]);
            at = record.as_ref().map_or(payload.len(), |record| at + record.bytes.len());
            Some((offset, record))
        })
    }
}

impl<'a> Scan<'a> {
    /// Begins behind the segment's header.
    pub(crate) fn new(file: &'a dyn DiskFile, header: &'a SegmentHeader) -> io::Result<Self> {
        Self::until(file, header, u64::MAX)
    }

    /// The same, and nothing is read from an offset in the file on.
    pub(crate) fn until(
        file: &'a dyn DiskFile,
        header: &'a SegmentHeader,
        bytes_max: u64,
    ) -> io::Result<Self> {
        let file_bytes = file.len()?.min(bytes_max);
        let end = ChainEnd::beginning(header);
        Ok(Self { file, file_bytes, header, window: Window::new(AHEAD_BYTES), end })
    }

    /// Goes on behind frames that an earlier scan found valid.
    pub(crate) fn skip_to(&mut self, end: ChainEnd) {
        self.end = end;
    }

    /// Takes the file's length anew, which has been cut to its end meanwhile.
    pub(crate) fn shorten(&mut self) -> io::Result<()> {
        self.file_bytes = self.file_bytes.min(self.file.len()?);
        self.window.clear();
        Ok(())
    }

    /// Where the valid frames end so far.
    pub(crate) fn end(&self) -> ChainEnd {
        self.end
    }

    /// The next frame, or why there is none.
    pub(crate) fn next_frame(&mut self) -> io::Result<Result<ScannedFrame<'_>, Stop>> {
        Ok(self.next_whole_frame()?.map(WholeFrame::into_scanned))
    }

    /// The same, with header and padding.
    pub(crate) fn next_whole_frame(&mut self) -> io::Result<Result<WholeFrame<'_>, Stop>> {
        let at = self.end.file_offset;
        let header_bytes = self.window.get(self.file, at, FRAME_HEADER_BYTES, self.file_bytes)?;
        let header = match FrameHeader::decode(header_bytes) {
            Ok(header) => match self.check_header_at(at, &header) {
                Ok(()) => header,
                Err(reason) => return Ok(Err(self.no_header(reason)?)),
            },
            Err(FrameFault::Damaged(reason)) => return Ok(Err(self.no_header(reason)?)),
            Err(FrameFault::NotUnderstood(reason)) => {
                return Ok(Err(Stop { reason, tail: TailStop::NotUnderstood }));
            }
        };
        let frame_bytes = header.frame_bytes();
        // A cut may leave a file shorter than its bytes: what it lacks reads as zeros.
        let frame = self.window.get_with_zeros(self.file, at, frame_bytes, self.file_bytes)?;
        let (next_position, seal) =
            match check_frame(&header, at, frame, self.file_bytes, self.end.next_position) {
                Ok(next) => next,
                Err(stop) => return Ok(Err(stop)),
            };
        self.end = ChainEnd {
            file_offset: at + bytes(frame_bytes),
            chain: header.crc,
            epoch: header.epoch,
            mode: header.mode,
            next_position,
            seal,
        };
        // Asked for again: the borrow that was checked can't be returned from a branch. It costs nothing.
        let bytes = self.window.get_with_zeros(self.file, at, frame_bytes, self.file_bytes)?;
        Ok(Ok(WholeFrame { header, file_offset: at, bytes }))
    }

    /// Whether a header goes on the chain here.
    fn check_header_at(&self, at: u64, header: &FrameHeader) -> Result<(), &'static str> {
        if self.end.seal.is_some() {
            return Err("something stands behind the segment's SEAL");
        }
        if header.store_id != self.header.store_id {
            return Err("a frame is from another store");
        }
        if header.log_offset != self.header.base.plus(at) {
            return Err("a frame is from another place");
        }
        if header.chain != self.end.chain {
            return Err("a frame doesn't go on from the one before it");
        }
        let next_epoch = self.end.epoch.saturating_add(u32::from(header.kind == FrameKind::Epoch));
        if header.epoch != next_epoch || header.first_position != self.end.next_position {
            return Err("a frame's epoch or position doesn't go on from the one before it");
        }
        if header.kind != FrameKind::Epoch && header.mode != self.end.mode {
            return Err("a frame is of another mode than its epoch");
        }
        if header.durable > header.log_offset {
            return Err("a frame says that bytes behind it were durable");
        }
        Ok(())
    }

    fn no_header(&mut self, reason: &'static str) -> io::Result<Stop> {
        let at = self.end.file_offset;
        if (at + 1..at + bytes(FRAME_HEADER_BYTES)).contains(&self.file_bytes) {
            return Ok(Stop { reason, tail: TailStop::FileEnds });
        }
        let rest_of_sector = PIECE_BYTES - index(at % bytes(PIECE_BYTES));
        let sector = self.window.get(self.file, at, rest_of_sector, self.file_bytes)?;
        Ok(Stop { reason, tail: TailStop::NoHeader { sector_is_zero: is_zero(sector) } })
    }

    /// Looks at everything from the chain's end on: the end of the last byte that isn't zero, and the
    /// greatest D in any header of this store that stands where it says it does.
    pub(crate) fn look_beyond(&mut self) -> io::Result<(LogOffset, LogOffset)> {
        let mut bytes_end = self.end.file_offset;
        let mut durable = LogOffset::default();
        let mut at = self.end.file_offset;
        while at < self.file_bytes {
            let chunk = self.window.get(self.file, at, AHEAD_BYTES, self.file_bytes)?;
            for (slot, slot_bytes) in chunk.chunks(FRAME_ALIGNMENT).enumerate() {
                let Some(last) = slot_bytes.iter().rposition(|byte| *byte != 0) else { continue };
                let slot_offset = at + bytes(slot * FRAME_ALIGNMENT);
                bytes_end = slot_offset + bytes(last) + 1;
                if let Ok(header) = FrameHeader::decode(slot_bytes)
                    && header.store_id == self.header.store_id
                    && header.log_offset == self.header.base.plus(slot_offset)
                {
                    durable = durable.max(header.durable);
                }
            }
            at += bytes(chunk.len());
        }
        Ok((self.header.base.plus(bytes_end), durable))
    }
}

/// Whether the frame that ends where an index says is the last one that the index was made of: its header's
/// checksum, and by the chain all that stands before it.
pub(crate) fn is_end_of_chain(
    file: &dyn DiskFile,
    header: &SegmentHeader,
    end: &ChainEnd,
) -> io::Result<bool> {
    if end.file_offset == bytes(SEGMENT_HEADER_BYTES) {
        return Ok(end.chain == header.chain);
    }
    Ok(last_frame(file, header, end)?.is_some())
}

/// A frame, and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct LastFrame {
    pub(crate) header: FrameHeader,
    pub(crate) file_offset: u64,
}

impl LastFrame {
    /// Where its payload ends in the file.
    pub(crate) fn payload_end(&self) -> u64 {
        self.file_offset + bytes(FRAME_HEADER_BYTES) + u64::from(self.header.payload_bytes)
    }
}

/// The frame that ends there, and whose checksum the chain has there; none if there is no such frame.
pub(crate) fn last_frame(
    file: &dyn DiskFile,
    header: &SegmentHeader,
    end: &ChainEnd,
) -> io::Result<Option<LastFrame>> {
    let first = bytes(SEGMENT_HEADER_BYTES);
    let file_bytes = file.len()?;
    let mut window = Window::new(0);
    let mut behind = end.file_offset;
    while behind > first {
        let start = behind.saturating_sub(LOOK_BACK_BYTES).max(first);
        let chunk = window.get(file, start, index(behind - start), behind.min(file_bytes))?;
        for (slot, slot_bytes) in chunk.chunks(FRAME_ALIGNMENT).enumerate().rev() {
            let at = start + bytes(slot * FRAME_ALIGNMENT);
            if let Ok(found) = FrameHeader::decode(slot_bytes)
                && found.log_offset == header.log_offset(at)
                && at + bytes(found.frame_bytes()) == end.file_offset
                && found.crc == end.chain
                && found.store_id == header.store_id
            {
                // Any other that seems to end here is an event's data.
                let is_whole = has_payload(file, &found, at, file_bytes)?;
                return Ok(is_whole.then_some(LastFrame { header: found, file_offset: at }));
            }
        }
        behind = start;
    }
    Ok(None)
}

/// Whether a file that ends within a frame lacks nothing but zeros of it, which a cut may leave off; of one that goes on, that isn't
/// looked at.
fn has_payload(file: &dyn DiskFile, header: &FrameHeader, at: u64, file_bytes: u64) -> io::Result<bool> {
    if at + bytes(header.frame_bytes()) <= file_bytes {
        return Ok(true);
    }
    let mut window = Window::new(0);
    let frame = window.get_with_zeros(file, at, header.frame_bytes(), file_bytes)?;
    Ok(header.check_payload(frame).is_ok())
}

/// Checks a frame whose header goes on the chain: that it is there, as it was written, and understood.
/// Returns the next position, and the SEAL if it is one.
fn check_frame(
    header: &FrameHeader,
    file_offset: u64,
    frame: &[u8],
    file_bytes: u64,
    next_position: Position,
) -> Result<(Position, Option<Seal>), Stop> {
    if let Err(reason) = header.check_payload(frame) {
        let tail = if file_offset + bytes(header.frame_bytes()) > file_bytes {
            TailStop::FileEnds
        } else {
            let zero_pieces = zero_pieces(frame, file_offset);
            TailStop::BadPayload { zero_pieces, zero_pieces_named: header.zero_pieces }
        };
        return Err(Stop { reason, tail });
    }
    check_content(header, frame, next_position)
        .map_err(|reason| Stop { reason, tail: TailStop::NotUnderstood })
}

/// Checks what a frame's kind demands of its payload.
fn check_content(
    header: &FrameHeader,
    frame: &[u8],
    next_position: Position,
) -> Result<(Position, Option<Seal>), &'static str> {
    let payload = &frame[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + header.payload_bytes as usize];
    match header.kind {
        FrameKind::Epoch => check_epoch(payload, header.mode).map(|()| (next_position, None)),
        FrameKind::Seal => {
            let seal = Seal::decode(payload)?;
            let end = header.log_offset.plus(bytes(header.frame_bytes()));
            // A segment that was written anew keeps the end and the chain that its successor knows.
            if seal.logical_end < end {
                Err("a SEAL names an end before its own")
            } else {
                Ok((next_position, Some(seal)))
            }
        }
        FrameKind::Data => check_records(payload, next_position).map(|position| (position, None)),
    }
}

fn check_records(payload: &[u8], mut next_position: Position) -> Result<Position, &'static str> {
    let mut at = 0;
    let mut end = RecordEnd::None;
    while at < payload.len() {
        let record = record::check(&payload[at..])?;
        if record.position != next_position {
            return Err("an event's position doesn't go on from the one before it");
        }
        next_position = next_position.next();
        end = record.end;
        at += record.bytes;
    }
    if end == RecordEnd::Commit { Ok(next_position) } else { Err("a frame ends inside a commit") }
}
