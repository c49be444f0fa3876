//! The format's own tests: the tables of docs/file-format.md, and what is refused. Records have theirs in
//! format/record/tests.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use proptest::prelude::*;

use crate::{
    disk::contract::SHARED_PAGE_BYTES,
    format::{
        control::{DurableMark, ENVELOPE_BYTES, ENVELOPE_FIELDS, EnvelopeFault, StoreMeta},
        control_frame::{
            EPOCH_BYTES, EPOCH_FIELDS, SEAL_BYTES, SEAL_FIELDS, Seal, check_epoch, encode_epoch,
        },
        frame::{
            EpochMode, FRAME_FIELDS, FRAME_HEADER_BYTES, FrameFault, FrameHeader, FrameKind, FrameSpec,
            finish_frame, zero_pieces,
        },
        head_page::{HEAD_FIELDS, HeadConstant},
        layout::{PAYLOAD_BYTES_MAX, checksum, get_u32, put_u16, put_u32},
        paged::{CONTENT_BYTES, PAGE_BYTES, PAGED_FIELDS, SECTION_BYTES, SECTION_FIELDS},
        record::{RECORD_FIELDS, RECORD_FIXED_BYTES},
        segment_header::{SEGMENT_FIELDS, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentHeaderFault},
        snapshot::{BEGINNING_BYTES_MAX, SnapshotHeader},
    },
    index::{
        chain_end::{CHAIN_END_BYTES, CHAIN_END_FIELDS},
        directory::{DIRECTORY_FIELDS, SEGMENT_BYTES, SEGMENT_ENTRY_FIELDS, STREAM_BYTES, STREAM_FIELDS},
        sealed_layout::{ID_BYTES, ID_FIELDS, NAME_BYTES, NAME_FIELDS, RUN_BYTES, RUN_FIELDS, SEALED_FIELDS},
    },
    position::{LogOffset, Position},
    snapshot::STATE_TYPE_BYTES_MAX,
    stream::NAME_BYTES_MAX,
};

const PAGE: &str = include_str!("../../docs/file-format.md");

/// A field: offset, bytes, name.
type Field = (usize, usize, String);

/// A table in the code: its name, the structure's length, its fields.
type Constants = (&'static str, usize, &'static [(usize, usize, &'static str)]);

/// The tables of the page behind `<!-- marker: NAME BYTES -->`: name, bytes, fields.
fn tables(marker: &str) -> Vec<(String, usize, Vec<Field>)> {
    let start = format!("<!-- {marker}: ");
    let mut tables = Vec::new();
    for part in PAGE.split(start.as_str()).skip(1) {
        let (head, rest) = part.split_once(" -->\n").expect("a comment ends on its line");
        let (name, bytes) = head.split_once(' ').expect("a name and a length");
        let rows = rest.lines().take_while(|line| line.starts_with('|')).collect::<Vec<_>>();
        assert_eq!(rows[..2], ["| offset | bytes | field | meaning |", "|---|---|---|---|"], "{name}");
        let fields = rows[2..].iter().map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let number = |cell: &str| cell.parse::<usize>().expect("a number");
            (number(cells[1]), number(cells[2]), cells[3].to_uppercase().replace(' ', "_"))
        });
        tables.push((name.to_owned(), bytes.parse().expect("a length"), fields.collect()));
    }
    tables
}

#[test]
fn the_tables_of_the_page_are_the_constants() {
    let constants: &[Constants] = &[
        ("SEGMENT_FIELDS", SEGMENT_HEADER_BYTES, SEGMENT_FIELDS),
        ("FRAME_FIELDS", FRAME_HEADER_BYTES, FRAME_FIELDS),
        ("EPOCH_FIELDS", EPOCH_BYTES, EPOCH_FIELDS),
        ("SEAL_FIELDS", SEAL_BYTES, SEAL_FIELDS),
        ("RECORD_FIELDS", RECORD_FIXED_BYTES, RECORD_FIELDS),
        ("ENVELOPE_FIELDS", ENVELOPE_BYTES, ENVELOPE_FIELDS),
        ("HEAD_FIELDS", SHARED_PAGE_BYTES, HEAD_FIELDS),
        ("PAGED_FIELDS", PAGE_BYTES, PAGED_FIELDS),
        ("SECTION_FIELDS", SECTION_BYTES, SECTION_FIELDS),
        ("CHAIN_END_FIELDS", CHAIN_END_BYTES, CHAIN_END_FIELDS),
        ("SEALED_FIELDS", CONTENT_BYTES, SEALED_FIELDS),
        ("RUN_FIELDS", RUN_BYTES, RUN_FIELDS),
        ("NAME_FIELDS", NAME_BYTES, NAME_FIELDS),
        ("ID_FIELDS", ID_BYTES, ID_FIELDS),
        ("DIRECTORY_FIELDS", CONTENT_BYTES, DIRECTORY_FIELDS),
        ("STREAM_FIELDS", STREAM_BYTES, STREAM_FIELDS),
        ("SEGMENT_ENTRY_FIELDS", SEGMENT_BYTES, SEGMENT_ENTRY_FIELDS),
    ];
    let wanted: Vec<(String, usize, Vec<Field>)> = constants
        .iter()
        .map(|(name, bytes, fields)| {
            let fields = fields.iter().map(|(offset, bytes, name)| (*offset, *bytes, (*name).to_owned()));
            ((*name).to_owned(), *bytes, fields.collect())
        })
        .collect();
    assert_eq!(tables("table"), wanted);
}

#[test]
fn the_structures_of_the_page_are_what_bincode_writes() {
    let meta = StoreMeta { store_id: 0x1111, created: 0x2222, first_segment: 0x3333 }.encode();
    let mark = DurableMark { store_id: 0x1111, sequence: 0x2222, durable: 0x3333 }.encode();
    let fields = |names: [&str; 3]| -> Vec<Field> {
        names.iter().zip([0, 8, 16]).map(|(name, offset)| (offset, 8, (*name).to_owned())).collect()
    };
    let structures = [
        ("StoreMeta".to_owned(), 24, fields(["STORE_ID", "CREATED", "FIRST_SEGMENT"])),
        ("DurableMark".to_owned(), 24, fields(["STORE_ID", "SEQUENCE", "DURABLE"])),
        ("SnapshotHeader".to_owned(), 53, snapshot_fields()),
        ("BackupManifest".to_owned(), 60, manifest_fields()),
        ("ManifestSegment".to_owned(), 52, manifest_segment_fields()),
    ];
    assert_eq!(tables("structure"), structures);
    for bytes in [&meta[ENVELOPE_BYTES..], &mark[ENVELOPE_BYTES..ENVELOPE_BYTES + 24]] {
        let written: Vec<u8> = [0x1111_u64, 0x2222, 0x3333].iter().flat_map(|n| n.to_le_bytes()).collect();
        assert_eq!(bytes, written);
    }
    assert!(mark[ENVELOPE_BYTES + 24..].iter().all(|byte| *byte == 0));
}

/// Fields one behind the other.
fn fields_of(fields: &[(usize, &str)]) -> Vec<Field> {
    let mut end = 0;
    let place = |(bytes, name): &(usize, &str)| {
        end += bytes;
        (end - bytes, *bytes, (*name).to_owned())
    };
    fields.iter().map(place).collect()
}

fn snapshot_fields() -> Vec<Field> {
    fields_of(&[
        (8, "STORE_ID"),
        (8, "VERSION"),
        (8, "POSITION"),
        (4, "EVENT_CHECKSUM"),
        (8, "CREATED"),
        (1, "CONTENT_TYPE"),
        (4, "SCHEMA_VERSION"),
        (8, "STATE_BYTES"),
        (4, "STATE_CRC"),
    ])
}

fn manifest_fields() -> Vec<Field> {
    fields_of(&[
        (8, "STORE_ID"),
        (8, "CREATED"),
        (8, "FIRST_SEGMENT"),
        (8, "POSITION"),
        (8, "TIMESTAMP"),
        (8, "LOG_OFFSET"),
        (4, "CHAIN"),
        (8, "SEGMENTS"),
    ])
}

fn manifest_segment_fields() -> Vec<Field> {
    fields_of(&[
        (8, "BYTES"),
        (8, "BASE"),
        (8, "FIRST_POSITION"),
        (8, "FIRST_TIMESTAMP"),
        (4, "CHAIN"),
        (16, "HASH"),
    ])
}

/// A header whose fields are all different.
fn snapshot_header(stream: &str, state_type: &str) -> SnapshotHeader {
    SnapshotHeader {
        store_id: 0x0101,
        version: 0x0202,
        position: 0x0303,
        event_checksum: 0x0404,
        created: -0x0505,
        content_type: 6,
        schema_version: 0x0707,
        state_bytes: 0x0808,
        state_checksum: 0x0909,
        stream: stream.to_owned(),
        state_type: state_type.to_owned(),
    }
}

#[test]
fn a_snapshots_header_is_what_the_page_says() {
    let mut wanted = Vec::new();
    for number in [0x0101_u64, 0x0202, 0x0303] {
        wanted.extend(number.to_le_bytes());
    }
    wanted.extend(0x0404_u32.to_le_bytes());
    wanted.extend((-0x0505_i64).to_le_bytes());
    wanted.push(6);
    wanted.extend(0x0707_u32.to_le_bytes());
    wanted.extend(0x0808_u64.to_le_bytes());
    wanted.extend(0x0909_u32.to_le_bytes());
    for text in ["account-1", "Account"] {
        wanted.extend(u64::try_from(text.len()).expect("short").to_le_bytes());
        wanted.extend(text.as_bytes());
    }
    let header = snapshot_header("account-1", "Account");
    let mut file = header.encode();
    assert_eq!(file[..8], *b"ANNALSNP");
    assert_eq!(file[ENVELOPE_BYTES..], wanted);
    let length = file.len();
    file.extend(b"state");
    assert_eq!(SnapshotHeader::decode(&file), Ok((header, length)));
}

#[test]
fn a_snapshots_header_has_room_for_the_longest_names_and_is_never_longer_than_is_read() {
    let header = snapshot_header(&"s".repeat(NAME_BYTES_MAX), &"t".repeat(STATE_TYPE_BYTES_MAX));
    let file = header.encode();
    assert!(file.len() <= BEGINNING_BYTES_MAX);
    assert_eq!(SnapshotHeader::decode(&file), Ok((header, file.len())));
    for end in 0..file.len() {
        assert!(SnapshotHeader::decode(&file[..end]).is_err(), "cut off at {end}");
    }
}

#[test]
fn the_checksum_is_the_page_s() {
    assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
}

/// A frame at a place, made by the code that the writer uses.
fn frame_of(payload: &[u8], file_offset: u64, kind: FrameKind, mode: EpochMode) -> (Vec<u8>, FrameSpec) {
    let spec = FrameSpec {
        log_offset: LogOffset::new(10_000 + file_offset),
        file_offset,
        durable: LogOffset::new(9_000),
        chain: 0xC0DE,
        epoch: 3,
        first_position: Position::new(9),
        kind,
        mode,
        store_id: 0xA11A_15ED,
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    frame.extend_from_slice(payload);
    finish_frame(&mut frame, &spec);
    (frame, spec)
}

/// What `zero pieces` means, said once more, sector by sector.
fn zero_pieces_by_definition(frame: &[u8], file_offset: u64) -> u32 {
    let place = |at: usize| usize::try_from(file_offset).expect("small") + at;
    let first_sector = place(0) / 512;
    let mut is_zero = std::collections::BTreeMap::new();
    for (at, byte) in frame.iter().enumerate().filter(|(at, _)| place(*at) / 512 != first_sector) {
        *is_zero.entry(place(at) / 512).or_insert(true) &= *byte == 0;
    }
    u32::try_from(is_zero.values().filter(|zero| **zero).count()).expect("small")
}

/// Bytes in runs of 64, most of them zeros.
fn holed_bytes(runs_max: usize) -> impl Strategy<Value = Vec<u8>> {
    let run = prop_oneof![4 => Just(vec![0; 64]), 1 => proptest::collection::vec(any::<u8>(), 64)];
    proptest::collection::vec(run, 0..runs_max).prop_map(|runs| runs.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn zero_pieces_are_counted_as_the_page_says(frame in holed_bytes(60), place in 0_u64..40) {
        let mut frame = frame;
        frame.splice(0..0, [1; 64]);
        prop_assert_eq!(zero_pieces(&frame, place * 64), zero_pieces_by_definition(&frame, place * 64));
    }

    #[test]
    fn frames_come_back_as_they_were_made(payload in holed_bytes(40), cut in 0_usize..64, place in 8_u64..24) {
        let payload = &payload[..payload.len().saturating_sub(cut)];
        for (kind, mode) in [(FrameKind::Data, EpochMode::Fsync), (FrameKind::Epoch, EpochMode::Buffered)] {
            let (frame, spec) = frame_of(payload, place * 64, kind, mode);
            let header = FrameHeader::decode(&frame).expect("a header");
            prop_assert_eq!(header.check_payload(&frame), Ok(()));
            prop_assert_eq!(header.frame_bytes(), frame.len());
            prop_assert_eq!(frame.len() % 64, 0);
            prop_assert_eq!(header.payload_bytes as usize, payload.len());
            prop_assert_eq!(header.zero_pieces, zero_pieces_by_definition(&frame, place * 64));
            prop_assert_eq!((header.log_offset, header.durable), (spec.log_offset, spec.durable));
            prop_assert_eq!((header.chain, header.epoch, header.store_id), (spec.chain, 3, spec.store_id));
            prop_assert_eq!((header.kind, header.mode, header.first_position), (kind, mode, spec.first_position));
            prop_assert_eq!(header.crc, get_u32(&frame, 4));
        }
    }
}

/// Flips each bit and cuts at each length: none of it may be read.
#[track_caller]
pub(crate) fn is_refused_when_damaged(bytes: &[u8], is_read: impl Fn(&[u8]) -> bool) {
    assert!(is_read(bytes), "the undamaged bytes are read");
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_read(&flipped), "bit {} of byte {} is flipped, and it is read", bit % 8, bit / 8);
    }
    for length in 0..bytes.len() {
        assert!(!is_read(&bytes[..length]), "{length} of {} bytes are left, and they are read", bytes.len());
    }
}

fn segment_header() -> SegmentHeader {
    SegmentHeader {
        store_id: 7,
        number: 3,
        rewrite: 0,
        chain: 0xC0DE,
        base: LogOffset::new(8_192),
        first_position: Position::new(9),
        durable: LogOffset::new(8_192),
        epoch: 2,
        mode: EpochMode::Buffered,
    }
}

#[test]
fn no_damaged_structure_is_read__F20() {
    let meta = StoreMeta { store_id: 7, created: -8, first_segment: 1 }.encode();
    is_refused_when_damaged(&meta, |bytes| StoreMeta::decode(bytes).is_ok());
    for first_segment in [0, u64::from(u32::MAX)] {
        let meta = StoreMeta { store_id: 7, created: -8, first_segment }.encode();
        assert!(matches!(StoreMeta::decode(&meta), Err(EnvelopeFault::Damaged(_))), "{first_segment}");
    }
    let mark = DurableMark { store_id: 7, sequence: 8, durable: 9 }.encode();
    is_refused_when_damaged(&mark[..44], |bytes| DurableMark::decode(bytes).is_ok());
    is_refused_when_damaged(&segment_header().encode(), |bytes| SegmentHeader::decode(bytes).is_ok());
    assert_eq!(SegmentHeader::decode(&segment_header().encode()), Ok(segment_header()));
    let (frame, _) = frame_of(&[5; 100], 512, FrameKind::Data, EpochMode::Fsync);
    is_refused_when_damaged(&frame[..64], |bytes| FrameHeader::decode(bytes).is_ok());
    let header = FrameHeader::decode(&frame).expect("a header");
    is_refused_when_damaged(&frame[64..], |bytes| {
        let frame = [&frame[..64], bytes].concat();
        frame.len() == header.frame_bytes() && header.check_payload(&frame).is_ok()
    });
}

#[test]
fn one_kind_of_structure_is_not_read_as_another() {
    let meta = StoreMeta { store_id: 7, created: 8, first_segment: 9 }.encode();
    let mark = DurableMark { store_id: 7, sequence: 8, durable: 9 }.encode();
    assert!(matches!(DurableMark::decode(&meta), Err(EnvelopeFault::Damaged(_))));
    assert!(matches!(StoreMeta::decode(&mark[..44]), Err(EnvelopeFault::Damaged(_))));
    let longer = [meta.as_slice(), &[0]].concat();
    assert!(matches!(StoreMeta::decode(&longer), Err(EnvelopeFault::Damaged(_))), "a byte behind it");
}

/// The bytes with a change, the checksum at 8 (of what stands behind it) made right.
fn changed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    change(&mut bytes);
    let crc = checksum(&bytes[12..]);
    put_u32(&mut bytes, 8, crc);
    bytes
}

#[test]
fn newer_versions_and_unknown_flags_are_told_from_damage() {
    let meta = StoreMeta { store_id: 7, created: 8, first_segment: 1 }.encode();
    let mark = DurableMark { store_id: 7, sequence: 8, durable: 9 }.encode();
    for (offset, number, found) in [(12, 2, 2), (12, 999, 999), (14, 1, 2), (14, 1 << 15, 2)] {
        let newer = |bytes: &[u8]| changed(bytes, |bytes| put_u16(bytes, offset, number));
        assert_eq!(StoreMeta::decode(&newer(&meta)), Err(EnvelopeFault::Newer(found)));
        assert_eq!(DurableMark::decode(&newer(&mark[..44])), Err(EnvelopeFault::Newer(found)));
        let segment = SegmentHeader::decode(&newer(&segment_header().encode()));
        assert_eq!(segment, Err(SegmentHeaderFault::Newer(found)));
    }
    let zero = |bytes: &[u8]| changed(bytes, |bytes| put_u16(bytes, 12, 0));
    assert!(matches!(StoreMeta::decode(&zero(&meta)), Err(EnvelopeFault::Damaged(_))));
    let segment = SegmentHeader::decode(&zero(&segment_header().encode()));
    assert!(matches!(segment, Err(SegmentHeaderFault::Damaged(_))));
    for (offset, byte) in [(68, 2), (69, 1), (511, 1)] {
        let segment = changed(&segment_header().encode(), |bytes| bytes[offset] = byte);
        assert!(matches!(SegmentHeader::decode(&segment), Err(SegmentHeaderFault::Damaged(_))), "{offset}");
    }
}

/// A frame's header with a change, its checksum made right.
fn changed_header(change: impl FnOnce(&mut [u8])) -> Result<FrameHeader, FrameFault> {
    let (mut frame, _) = frame_of(&[5; 100], 512, FrameKind::Data, EpochMode::Fsync);
    change(&mut frame[..FRAME_HEADER_BYTES]);
    let crc = checksum(&frame[8..FRAME_HEADER_BYTES]);
    put_u32(&mut frame, 4, crc);
    FrameHeader::decode(&frame)
}

#[test]
fn a_header_that_is_not_understood_is_told_from_a_damaged_one() {
    assert!(changed_header(|_| {}).is_ok());
    for (offset, byte) in [(52, 0), (52, 4), (52, 255), (53, 2), (53, 129), (54, 1), (55, 1)] {
        let header = changed_header(|header| header[offset] = byte);
        assert!(matches!(header, Err(FrameFault::NotUnderstood(_))), "{byte} at {offset}");
    }
    assert!(matches!(changed_header(|header| header[0] ^= 1), Err(FrameFault::Damaged(_))));
}

#[test]
fn lengths_are_bounded_however_right_the_checksums_are() {
    let most = u32::try_from(PAYLOAD_BYTES_MAX).expect("it fits");
    assert!(changed_header(|header| put_u32(header, 24, most)).is_ok());
    for length in [most + 1, u32::MAX] {
        let header = changed_header(|header| put_u32(header, 24, length));
        assert!(matches!(header, Err(FrameFault::NotUnderstood(_))));
    }
    let meta = StoreMeta { store_id: 7, created: 8, first_segment: 1 }.encode();
    for length in [0, 23, 25, 4_097, u32::MAX] {
        let meta = changed(&meta, |bytes| put_u32(bytes, 16, length));
        assert!(matches!(StoreMeta::decode(&meta), Err(EnvelopeFault::Damaged(_))), "{length}");
    }
}

#[test]
fn control_frames_carry_what_they_say() {
    let seal = Seal { logical_end: LogOffset::new(77), chain_next: 88 };
    let mut payload = seal.encode();
    assert_eq!(Seal::decode(&payload), Ok(seal));
    payload[16] = 1;
    assert_eq!(Seal::decode(&payload), Ok(seal), "a newer version may fill the hash");
    payload[12] = 1;
    assert!(Seal::decode(&payload).is_err() && Seal::decode(&payload[..47]).is_err());
    for (mode, other) in [(EpochMode::Fsync, EpochMode::Buffered), (EpochMode::Buffered, EpochMode::Fsync)] {
        let payload = encode_epoch(mode);
        assert!(check_epoch(&payload, mode).is_ok() && check_epoch(&payload, other).is_err());
        for length in 0..payload.len() {
            assert!(check_epoch(&payload[..length], mode).is_err(), "{length} bytes");
        }
        let mut huge = payload.clone();
        put_u32(&mut huge, 4, u32::MAX);
        assert!(check_epoch(&huge, mode).is_err());
        let another_writer = [&payload[..4], &3_u32.to_le_bytes(), b"me!"].concat();
        assert!(check_epoch(&another_writer, mode).is_ok(), "any name will do");
    }
}

#[test]
fn a_changed_bit_of_the_head_page_s_constant_part_makes_it_say_nothing() {
    let constant = HeadConstant { store_id: 7, boot_id: 1 << 100 | 9, epoch: 3 };
    let bytes = constant.encode();
    assert_eq!(HeadConstant::decode(&bytes), Some(constant));
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(HeadConstant::decode(&changed), None, "bit {bit}");
    }
    assert_eq!(HeadConstant::decode(&[0; 64]), None);
}
