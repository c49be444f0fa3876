//! The bytes of segments, and of the files that are made of them, taken apart as docs/file-format.md has them, without the crate's
//! own code: what a test makes with this, another program could have written.

/// The length of a segment's header.
pub(crate) const SEGMENT_HEADER_BYTES: usize = 512;

/// The length of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 64;

/// The length of a page of an index file, or of streams.dir.
const PAGE_BYTES: usize = 4_096;

pub(crate) const DATA: u8 = 1;
pub(crate) const EPOCH: u8 = 2;
pub(crate) const SEAL: u8 = 3;

/// Where a frame stands in its segment's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct FramePlace {
    pub(crate) start: usize,
    pub(crate) payload_end: usize,
    pub(crate) end: usize,
    pub(crate) kind: u8,
}

impl FramePlace {
    pub(crate) fn payload(self) -> usize {
        self.start + FRAME_HEADER_BYTES
    }
}

/// The frames of a segment, up to its end or to the first place where none begins.
pub(crate) fn frames(segment: &[u8]) -> Vec<FramePlace> {
    let mut frames = Vec::new();
    let mut start = SEGMENT_HEADER_BYTES;
    while segment.get(start..start + 4) == Some(b"aFRM") {
        let payload_bytes = get_u32(segment, start + 24) as usize;
        let payload_end = start + FRAME_HEADER_BYTES + payload_bytes;
        let end = payload_end.next_multiple_of(64);
        frames.push(FramePlace { start, payload_end, end, kind: segment[start + 52] });
        start = end;
    }
    frames
}

/// The last frame of a kind.
pub(crate) fn last_frame(segment: &[u8], kind: u8) -> FramePlace {
    let last = frames(segment).into_iter().rfind(|frame| frame.kind == kind);
    last.expect("the segment has a frame of this kind")
}

pub(crate) fn get_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

pub(crate) fn get_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}

pub(crate) fn put_u16(bytes: &mut [u8], offset: usize, number: u16) {
    bytes[offset..offset + 2].copy_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_u32(bytes: &mut [u8], offset: usize, number: u32) {
    bytes[offset..offset + 4].copy_from_slice(&number.to_le_bytes());
}

/// Makes the checksum of a segment's header or of an envelope right: at 8, of the bytes from 12 to `end`.
pub(crate) fn fix_checksum_at_8(bytes: &mut [u8], end: usize) {
    let crc = crc32fast::hash(&bytes[12..end]);
    put_u32(bytes, 8, crc);
}

/// Makes the checksums of a file of the index right: those of its pages, the one of these, and its header's.
pub(crate) fn fix_pages(file: &mut [u8]) {
    let pages = (file.len() - PAGE_BYTES) / (PAGE_BYTES + 4);
    let (header, behind) = file.split_at_mut(PAGE_BYTES);
    let (data, table) = behind.split_at_mut(pages * PAGE_BYTES);
    for (number, page) in (0_u32..).zip(data.chunks(PAGE_BYTES)) {
        let whose = [&header[16..32], &number.to_le_bytes(), &[header[40], 0, 0, 0]].concat();
        let crc = crc32fast::hash(&[&whose, page].concat());
        put_u32(table, number as usize * 4, crc);
    }
    put_u32(header, 36, crc32fast::hash(table));
    fix_checksum_at_8(header, PAGE_BYTES);
}

/// Makes a frame's two checksums right, and returns the header's, which the next frame goes on from.
pub(crate) fn fix_frame(segment: &mut [u8], frame: FramePlace) -> u32 {
    let payload_crc = crc32fast::hash(&segment[frame.payload()..frame.payload_end]);
    put_u32(segment, frame.start + 28, payload_crc);
    let crc = crc32fast::hash(&segment[frame.start + 8..frame.start + FRAME_HEADER_BYTES]);
    put_u32(segment, frame.start + 4, crc);
    crc
}

/// Makes the checksum of the record at an offset right.
pub(crate) fn fix_record(segment: &mut [u8], record: usize) {
    let length = get_u32(segment, record) as usize;
    let crc = crc32fast::hash(&segment[record + 8..record + length]);
    put_u32(segment, record + 4, crc);
}
