//! Frames whose bytes are damaged and of which is known what they must have been: no event is lost by them.
//!
//! What is made here is believed only if a checksum that is right says the same: that of the payload, or the chain of the frame
//! behind; a SEAL, if all that it says stands in the header of the next segment too.

use std::io;

use crate::{
    disk::contract::DiskFile,
    format::{
        control_frame::{SEAL_BYTES, Seal, encode_epoch},
        frame::{
            EpochMode, FRAME_HEADER_BYTES, FrameHeader, FrameKind, FrameSpec, finish_frame, frame_bytes,
            seeming_durable,
        },
        layout::{FRAME_ALIGNMENT, PAYLOAD_BYTES_MAX, bytes, checksum, get_u32, index, is_zero},
        record,
        segment_header::SegmentHeader,
    },
    inspect::{allowance::Allowance, walk::header_at_end},
    log::{scan::ChainEnd, segment::Segment},
    position::LogOffset,
    repair::overlay::Patch,
};

/// Where a writer's name has its length in an EPOCH's payload, and where the name begins.
const WRITER_BYTES_AT: usize = 4;
const WRITER_AT: usize = 8;

/// Bytes that must have stood in a frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mended {
    pub(crate) patch: Patch,
    /// Where the frame ends in the file.
    pub(crate) frame_end: u64,
}

/// The bytes that must have stood where the chain ends, if that is known and can be paid for. `next` is the header of the next
/// segment, and `resumed` the place where frames go on.
pub(crate) fn mend(
    segment: &Segment,
    end: &ChainEnd,
    next: Option<&SegmentHeader>,
    resumed: Option<&ChainEnd>,
    allowance: &Allowance,
) -> io::Result<Option<Mended>> {
    if end.seal.is_some() {
        return Ok(None);
    }
    if let Some(seal) = next.and_then(|next| seal_before(segment, end, next)) {
        let patch = Patch::known(end.file_offset, seal);
        return Ok(Some(Mended { frame_end: patch.end, patch }));
    }
    match (header_at_end(segment, end)?, resumed) {
        (Some(header), _) => {
            let patch = mend_payload(&*segment.file, end, &header, allowance)?;
            let frame_end = end.file_offset + bytes(header.frame_bytes());
            Ok(patch.map(|patch| Mended { patch, frame_end }))
        }
        (None, Some(resumed)) => {
            let patch = mend_header(segment, end, resumed, allowance)?;
            Ok(patch.map(|patch| Mended { patch, frame_end: resumed.file_offset }))
        }
        (None, None) => Ok(None),
    }
}

/// As many bytes of a file as there are.
fn read(file: &dyn DiskFile, start: u64, length: usize) -> io::Result<Vec<u8>> {
    let there = index(file.len()?.saturating_sub(start)).min(length);
    let mut content = vec![0; there];
    file.read_exact_at(&mut content, start)?;
    Ok(content)
}

/// The SEAL that must stand here, if the next segment goes on from here.
fn seal_before(segment: &Segment, end: &ChainEnd, next: &SegmentHeader) -> Option<Vec<u8>> {
    let seal_end = end.file_offset + bytes(frame_bytes(SEAL_BYTES));
    let is_here = next.store_id == segment.header.store_id
        && next.number == segment.header.number + 1
        && next.base == segment.log_offset(seal_end)
        && next.chain == end.chain
        && next.first_position == end.next_position
        && next.epoch == end.epoch
        && next.mode == end.mode;
    is_here.then(|| {
        let seal = Seal { logical_end: next.base, chain_next: next.chain };
        // All before a SEAL was synced.
        frame_of(
            segment,
            end,
            (FrameKind::Seal, end.mode),
            segment.log_offset(end.file_offset),
            &seal.encode(),
        )
        .0
    })
}

/// A frame as its writer made it, and its checksum.
fn frame_of(
    segment: &Segment,
    end: &ChainEnd,
    (kind, mode): (FrameKind, EpochMode),
    durable: LogOffset,
    payload: &[u8],
) -> (Vec<u8>, u32) {
    let log_offset = segment.log_offset(end.file_offset);
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    frame.extend_from_slice(payload);
    let spec = FrameSpec {
        log_offset,
        file_offset: end.file_offset,
        durable,
        chain: end.chain,
        epoch: end.epoch.saturating_add(u32::from(kind == FrameKind::Epoch)),
        first_position: end.next_position,
        kind,
        mode,
        store_id: segment.header.store_id,
    };
    let crc = finish_frame(&mut frame, &spec);
    (frame, crc)
}

/// The header is right: its checksum says what the payload was, and behind that stand zeros.
fn mend_payload(
    file: &dyn DiskFile,
    end: &ChainEnd,
    header: &FrameHeader,
    allowance: &Allowance,
) -> io::Result<Option<Patch>> {
    let payload_bytes = header.payload_bytes as usize;
    let payload_start = end.file_offset + bytes(FRAME_HEADER_BYTES);
    if !allowance.pay(bytes(payload_bytes)) {
        return Ok(None);
    }
    let payload = read(file, payload_start, payload_bytes)?;
    if payload.len() == payload_bytes && checksum(&payload) == header.payload_crc {
        let padding = header.frame_bytes() - FRAME_HEADER_BYTES - payload_bytes;
        return Ok(Some(Patch::known(payload_start + bytes(payload_bytes), vec![0; padding])));
    }
    let epoch = encode_epoch(header.mode);
    let is_this_programs = header.kind == FrameKind::Epoch
        && epoch.len() == payload_bytes
        && checksum(&epoch) == header.payload_crc;
    Ok(is_this_programs.then(|| Patch::known(payload_start, epoch)))
}

/// The header is damaged: it is made again from the payload, and must have the checksum that the next frame names.
fn mend_header(
    segment: &Segment,
    end: &ChainEnd,
    next: &ChainEnd,
    allowance: &Allowance,
) -> io::Result<Option<Patch>> {
    let room = index(next.file_offset.saturating_sub(end.file_offset));
    if room <= FRAME_HEADER_BYTES || room > FRAME_HEADER_BYTES + PAYLOAD_BYTES_MAX + FRAME_ALIGNMENT {
        return Ok(None);
    }
    // It is read, and looked through for records.
    if !allowance.pay(2 * bytes(room)) {
        return Ok(None);
    }
    let frame = read(&*segment.file, end.file_offset, room)?;
    if frame.len() < room {
        return Ok(None);
    }
    let (damaged, content) = frame.split_at(FRAME_HEADER_BYTES);
    // In Fsync mode, and before an EPOCH in any, all before was synced. In Buffered mode the damaged header itself may say how much was.
    let durables = [segment.log_offset(end.file_offset), seeming_durable(damaged)];
    let modes = [EpochMode::Fsync, EpochMode::Buffered];
    let data = data_bytes(content).map(|length| (FrameKind::Data, end.mode, length));
    let epochs = modes.map(|mode| Some((FrameKind::Epoch, mode, epoch_bytes(content)?)));
    for (kind, mode, length) in data.into_iter().chain(epochs.into_iter().flatten()) {
        // What names its own length may name one that no frame has.
        let is_too_long = length > PAYLOAD_BYTES_MAX;
        if is_too_long || !is_zero(&content[length..]) || content.len() - length >= FRAME_ALIGNMENT {
            continue;
        }
        for durable in durables {
            if !allowance.pay(bytes(length)) {
                return Ok(None);
            }
            let (mut frame, crc) = frame_of(segment, end, (kind, mode), durable, &content[..length]);
            if crc == next.chain {
                frame.truncate(FRAME_HEADER_BYTES);
                return Ok(Some(Patch::known(end.file_offset, frame)));
            }
        }
    }
    Ok(None)
}

/// The length of a row of records; none: what is there is something else.
fn data_bytes(content: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = content.get(at..)
        && let Ok(checked) = record::check(rest)
    {
        at += checked.bytes;
    }
    (at > 0).then_some(at)
}

/// The length that an EPOCH's payload has by its own word.
fn epoch_bytes(content: &[u8]) -> Option<usize> {
    let name = content.get(..WRITER_AT).map(|fixed| get_u32(fixed, WRITER_BYTES_AT) as usize)?;
    let length = WRITER_AT.checked_add(name)?;
    (length <= content.len()).then_some(length)
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
        format::{layout::put_u32, segment_header::SEGMENT_HEADER_BYTES},
    };

    #[test]
    fn an_epoch_that_names_a_length_that_no_frame_has_isnt_made_again() -> io::Result<()> {
        let header = SegmentHeader { epoch: 1, ..SegmentHeader::first(7, EpochMode::Fsync) };
        let end = ChainEnd::beginning(&header);
        for payload_bytes in [PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, PAYLOAD_BYTES_MAX + FRAME_ALIGNMENT] {
            let payload_start = SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES;
            let frame_end = payload_start + payload_bytes.next_multiple_of(FRAME_ALIGNMENT);
            let mut content = vec![0; frame_end];
            let name_bytes = u32::try_from(payload_bytes - WRITER_AT).expect("bounded");
            put_u32(&mut content[payload_start..], WRITER_BYTES_AT, name_bytes);
            let disk = SimDisk::new(1);
            disk.write_file("/log", content)?;
            let file = disk.open("/log".as_ref(), OpenMode::Read)?;
            let segment =
                Segment::with_header(header.clone(), PathBuf::from("/log"), file).expect("it is there");
            // Nothing has this checksum.
            let next = ChainEnd { file_offset: bytes(frame_end), chain: 1, ..end };
            let allowance = Allowance::new(u64::MAX);
            assert_eq!(mend_header(&segment, &end, &next, &allowance)?, None);
        }
        Ok(())
    }

    #[test]
    fn what_cant_be_paid_for_isnt_made_again() -> io::Result<()> {
        let header = SegmentHeader { epoch: 1, ..SegmentHeader::first(7, EpochMode::Fsync) };
        let end = ChainEnd::beginning(&header);
        let disk = SimDisk::new(1);
        let with_file = |content: Vec<u8>| -> io::Result<Segment> {
            disk.write_file("/log", content)?;
            let file = disk.open("/log".as_ref(), OpenMode::Read)?;
            Ok(Segment::with_header(header.clone(), PathBuf::from("/log"), file).expect("it is there"))
        };
        let segment = with_file(vec![0; SEGMENT_HEADER_BYTES])?;
        let (kind, mode) = (FrameKind::Epoch, EpochMode::Fsync);
        let (epoch, crc) =
            frame_of(&segment, &end, (kind, mode), segment.log_offset(end.file_offset), &encode_epoch(mode));
        let next = ChainEnd { file_offset: end.file_offset + bytes(epoch.len()), chain: crc, ..end };
        let mended_with = |at: usize, allowed: u64| -> io::Result<bool> {
            let mut content = [vec![0; SEGMENT_HEADER_BYTES], epoch.clone()].concat();
            content[SEGMENT_HEADER_BYTES + at] ^= 1;
            let segment = with_file(content)?;
            let allowance = Allowance::new(allowed);
            let mended = mend(&segment, &end, None, Some(&next), &allowance)?;
            assert_eq!(mended.is_none(), allowance.is_spent());
            Ok(mended.is_some_and(|mended| mended.frame_end == next.file_offset))
        };
        let (header_costs, payload_costs) = (2 * epoch.len() as u64, encode_epoch(mode).len() as u64);
        assert!(mended_with(20, 1_000)? && !mended_with(20, header_costs)? && !mended_with(20, 10)?);
        assert!(mended_with(FRAME_HEADER_BYTES, 1_000)?);
        assert!(!mended_with(FRAME_HEADER_BYTES, payload_costs - 1)?);
        Ok(())
    }
}
