//! The log's own tests: each rule of the decision torn or corrupt, and their order.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{io, path::Path};

use crate::{
    disk::{
        contract::{Disk, OpenMode},
        sim::{
            faults::{DiskOperation, Fault},
            simulated::SimDisk,
            survival::CutStyle,
        },
    },
    error::Error,
    event::EventData,
    event_id::EventId,
    format::{
        control::DurableMark,
        control_frame::encode_epoch,
        frame::{EpochMode, FRAME_HEADER_BYTES, FrameKind, FrameSpec, finish_frame},
        record::{self, IdOrigin, RecordEnd, Stamp},
        segment_header::SegmentHeader,
    },
    log::{
        mark::Mark,
        recovery::tail_facts,
        scan::{ChainEnd, Scan, is_end_of_chain},
        segment::{Growth, Segment},
        verdict::{BEHIND_END_BYTES_MAX, TailFacts, TailStop, Verdict, judge},
    },
    position::{LogOffset, Position, Version},
    stream::StreamId,
    time::Timestamp,
};

const SEGMENT_1: &str = "/store/segments/000000000001.log";

/// Where the chain ends in these tests.
const CHAIN_END: u64 = 4_096;

fn facts(durable: u64, bytes_end: u64, mode: EpochMode, stop: TailStop) -> TailFacts {
    let (durable, bytes_end) = (LogOffset::new(durable), LogOffset::new(bytes_end));
    TailFacts { chain_end: LogOffset::new(CHAIN_END), bytes_end, durable, mode, stop }
}

const WRITTEN: TailStop = TailStop::NoHeader { sector_is_zero: false };
const UNWRITTEN: TailStop = TailStop::NoHeader { sector_is_zero: true };

fn payload(zero_pieces: u32, zero_pieces_named: u32) -> TailStop {
    TailStop::BadPayload { zero_pieces, zero_pieces_named }
}

#[test]
fn each_rule_decides_where_those_before_it_do_not__F25() {
    use EpochMode::{Buffered, Fsync};
    let corrupt = |reason: &'static str| Some(reason);
    let lost = corrupt("frames are missing or damaged that were durable");
    let newer = corrupt("a frame was written whole, but not as this version writes them");
    let header = corrupt("a frame's header is damaged: its sector was written");
    let whole_payload = corrupt("a frame's payload is damaged: all its sectors were written");
    let far = corrupt("something stands further behind the frames than a store writes");
    let at = CHAIN_END;
    // durable, end of the bytes, mode, what stands there; and why it is corrupt, if it is.
    let cases = [
        // 1: a witness speaks before everything else, in both modes, also where nothing is left.
        (at + 1, at, Fsync, UNWRITTEN, lost),
        (at + 1, at, Buffered, UNWRITTEN, lost),
        (at + 64, at + 64, Buffered, WRITTEN, lost),
        (at + 64, at + 64, Fsync, payload(1, 0), lost),
        (at + 64, at + 64, Fsync, TailStop::NotUnderstood, lost),
        // 4: what isn't understood is never torn.
        (at, at + 1, Fsync, TailStop::NotUnderstood, newer),
        (at, at + 1, Buffered, TailStop::NotUnderstood, newer),
        // 3: no store writes so far ahead.
        (at, at + BEHIND_END_BYTES_MAX, Buffered, WRITTEN, None),
        (at, at + BEHIND_END_BYTES_MAX + 1, Buffered, WRITTEN, far),
        (at, at + BEHIND_END_BYTES_MAX + 1, Fsync, TailStop::FileEnds, far),
        (at, at + BEHIND_END_BYTES_MAX + 1, Fsync, TailStop::NotUnderstood, far),
        // 5: in Buffered mode sectors may be mixed, so neither header nor payload say anything.
        (at, at + 1, Buffered, WRITTEN, None),
        (at, at + 1, Buffered, payload(0, 0), None),
        (at, at + 1, Buffered, UNWRITTEN, None),
        // 6: a header's sector is old or new.
        (at, at + 1, Fsync, WRITTEN, header),
        // 7: every sector of the payload arrived.
        (at, at + 1, Fsync, payload(0, 0), whole_payload),
        (at, at + 1, Fsync, payload(3, 3), whole_payload),
        (at, at + 1, Fsync, payload(2, 3), whole_payload),
        // 8: something didn't arrive.
        (at, at + 1, Fsync, UNWRITTEN, None),
        (at, at + 1, Fsync, payload(4, 3), None),
        (at, at + 1, Fsync, payload(1, 0), None),
        (at, at + 1, Fsync, TailStop::FileEnds, None),
    ];
    for (durable, bytes_end, mode, stop, reason) in cases {
        let expected = reason.map_or(Verdict::Torn, Verdict::Corrupt);
        let facts = facts(durable, bytes_end, mode, stop);
        assert_eq!(judge(&facts), expected, "{facts:?}");
    }
}

#[test]
fn a_log_with_nothing_behind_its_chain_is_whole() {
    for mode in [EpochMode::Fsync, EpochMode::Buffered] {
        for durable in [0, CHAIN_END - 64, CHAIN_END] {
            for stop in [UNWRITTEN, WRITTEN] {
                assert_eq!(judge(&facts(durable, CHAIN_END, mode, stop)), Verdict::Whole);
            }
        }
    }
}

/// A segment with an EPOCH, and behind it, at 640, a frame with D = 640 and a payload of 960 bytes: the header's
/// sector ends at 1,024, and pieces follow from 1,024 to 1,536 (all zero) and to 1,664.
fn segment_bytes(mode: EpochMode) -> Vec<u8> {
    let mut payload = vec![1; 960];
    payload[1_024 - 704..1_536 - 704].fill(0);
    let bytes = segment_with(mode, payload);
    assert_eq!(bytes.len(), 1_664);
    bytes
}

/// A segment with an EPOCH, and behind it, at 640, a DATA frame with this payload.
fn segment_with(mode: EpochMode, payload: Vec<u8>) -> Vec<u8> {
    let header = SegmentHeader::first(7, mode);
    let mut bytes = header.encode();
    let mut chain = 0;
    for (kind, payload) in [(FrameKind::Epoch, encode_epoch(mode)), (FrameKind::Data, payload)] {
        let file_offset = bytes.len() as u64;
        let mut frame = vec![0; FRAME_HEADER_BYTES];
        frame.extend_from_slice(&payload);
        chain = finish_frame(&mut frame, &spec_at(file_offset, (kind, mode), chain));
        bytes.extend_from_slice(&frame);
    }
    bytes
}

/// What a frame says of itself that stands there.
fn spec_at(file_offset: u64, (kind, mode): (FrameKind, EpochMode), chain: u32) -> FrameSpec {
    let log_offset = LogOffset::new(file_offset);
    let (durable, first_position) = (log_offset, Position::FIRST);
    FrameSpec { log_offset, file_offset, durable, chain, epoch: 1, first_position, kind, mode, store_id: 7 }
}

/// A record of an event with this position, and with this end.
fn record(position: u64, end: RecordEnd) -> Vec<u8> {
    let (stream, id) = (StreamId::new("a").expect("a name"), EventId::new("1").expect("an id"));
    let mut record = Vec::new();
    record::encode(&mut record, &stream, &EventData::new("T", "x"), &id, IdOrigin::Store).expect("small");
    let (position, version) = (Position::new(position), Version::new(position));
    record::stamp(&mut record, &Stamp { position, version, timestamp: Timestamp::from_micros(0), end });
    record
}

#[test]
fn a_frame_holds_whole_commits_with_positions_that_go_on() {
    let check = |payload: Vec<u8>, stop: TailStop, chain_end: u64| {
        let found = facts_of(segment_with(EpochMode::Fsync, payload));
        assert_eq!((found.stop, found.chain_end.get()), (stop, chain_end));
    };
    let whole = [record(1, RecordEnd::Append), record(2, RecordEnd::Commit)].concat();
    let end = 640 + (FRAME_HEADER_BYTES + whole.len()).next_multiple_of(64) as u64;
    check(whole, UNWRITTEN, end);
    check(record(1, RecordEnd::None), TailStop::NotUnderstood, 640);
    check(record(1, RecordEnd::Append), TailStop::NotUnderstood, 640);
    check(record(2, RecordEnd::Commit), TailStop::NotUnderstood, 640);
    check([record(1, RecordEnd::None), record(3, RecordEnd::Commit)].concat(), TailStop::NotUnderstood, 640);
    check(Vec::new(), TailStop::NotUnderstood, 640);
}

/// A disk with a store's directories and its first segment.
fn disk_with(segment: Vec<u8>) -> SimDisk {
    let (disk, store) = (SimDisk::new(1), Path::new("/store"));
    for path in [store, &store.join("segments")] {
        disk.create_dir(path).expect("a directory");
    }
    disk.write_file(SEGMENT_1, segment).expect("a file");
    disk
}

/// What recovery sees at the end of a segment with these bytes.
fn facts_of(bytes: Vec<u8>) -> TailFacts {
    let (disk, store) = (disk_with(bytes), Path::new("/store"));
    let segment = Segment::open(&disk, store, 1, OpenMode::Read).expect("its header is whole");
    let mut scan = Scan::new(&*segment.file, &segment.header).expect("the disk reads");
    let stop = loop {
        match scan.next_frame().expect("the disk reads") {
            Ok(_) => {}
            Err(stop) => break stop,
        }
    };
    let mark = Mark::read(&disk, store, 7).expect("there is none");
    tail_facts(&segment, scan.end(), stop, &mark).expect("the disk reads")
}

#[test]
fn a_scan_sees_what_the_rules_ask_for() {
    let check = |what: &str, change: &dyn Fn(&mut Vec<u8>), ends: (u64, u64), stop: TailStop| {
        for mode in [EpochMode::Fsync, EpochMode::Buffered] {
            let mut bytes = segment_bytes(mode);
            change(&mut bytes);
            let found = facts_of(bytes);
            assert_eq!((found.chain_end.get(), found.bytes_end.get()), ends, "{what}");
            assert_eq!((found.stop, found.mode), (stop, mode), "{what}");
        }
    };
    // The payload isn't made of records, though its checksum is right.
    check("nothing changed", &|_| {}, (640, 1_664), TailStop::NotUnderstood);
    check("zeros behind it", &|bytes| bytes.resize(9_999, 0), (640, 1_664), TailStop::NotUnderstood);
    check("a byte far behind", &|bytes| bytes.resize(600_000, 1), (640, 600_000), TailStop::NotUnderstood);
    check("a bit of the header", &|bytes| bytes[660] ^= 1, (640, 1_664), WRITTEN);
    check("no header's sector", &|bytes| bytes[640..1_024].fill(0), (640, 1_664), UNWRITTEN);
    check("nothing", &|bytes| bytes[640..].fill(0), (640, 640), UNWRITTEN);
    check("cut off before it", &|bytes| bytes.truncate(640), (640, 640), UNWRITTEN);
    check("cut off in its header", &|bytes| bytes.truncate(700), (640, 697), TailStop::FileEnds);
    check("cut off in its zeros", &|bytes| bytes.truncate(1_536), (640, 1_024), TailStop::FileEnds);
    check("cut off at its end", &|bytes| bytes.truncate(1_663), (640, 1_663), TailStop::FileEnds);
    check("a bit of the payload", &|bytes| bytes[1_600] ^= 1, (640, 1_664), payload(1, 1));
    check("a bit in its zeros", &|bytes| bytes[1_100] ^= 1, (640, 1_664), payload(0, 1));
    check("no last sector", &|bytes| bytes[1_536..].fill(0), (640, 1_024), payload(2, 1));
    check("no EPOCH", &|bytes| bytes[512..640].fill(0), (512, 1_664), WRITTEN);
}

#[test]
fn frames_behind_the_chain_are_witnesses_of_what_was_durable__F25() {
    let mut bytes = segment_bytes(EpochMode::Buffered);
    bytes[600] ^= 1;
    let found = facts_of(bytes.clone());
    assert_eq!((found.chain_end.get(), found.durable.get()), (512, 640), "the DATA frame's D");
    let lost = "frames are missing or damaged that were durable";
    assert_eq!(judge(&found), Verdict::Corrupt(lost));
    // A frame at another place is no witness, nor is a damaged one: what is left is the EPOCH's own D.
    let mut moved = bytes.clone();
    moved.splice(640..640, [0; 64]);
    assert_eq!(facts_of(moved).durable.get(), 512);
    bytes[660] ^= 1;
    assert_eq!(facts_of(bytes).durable.get(), 512);
}

#[test]
fn a_chain_ends_where_it_did_although_the_file_has_lost_zeros_and_not_where_it_has_lost_more()
-> io::Result<()> {
    // Its last frame ends with zeros of the payload, and of the padding.
    let mut payload = record(1, RecordEnd::Commit);
    payload.extend([0; 30]);
    let whole = segment_with(EpochMode::Fsync, payload);
    let zeros = whole.iter().rev().take_while(|byte| **byte == 0).count();
    assert!(zeros > 30 && zeros < 128);
    let header = SegmentHeader::first(7, EpochMode::Fsync);
    let file_offset = whole.len() as u64;
    let chain = u32::from_le_bytes(whole[644..648].try_into().expect("four bytes"));
    let end = ChainEnd { file_offset, chain, ..ChainEnd::beginning(&header) };
    for (left_off, is_end) in
        [(0, true), (1, true), (zeros, true), (zeros + 1, false), (whole.len() - 640, false)]
    {
        let disk = SimDisk::new(1);
        disk.write_file("/log", whole[..whole.len() - left_off].to_vec())?;
        let file = disk.open("/log".as_ref(), OpenMode::Read)?;
        assert_eq!(is_end_of_chain(&*file, &header, &end)?, is_end, "{left_off} bytes less");
    }
    Ok(())
}

#[test]
fn what_looks_like_a_frame_in_an_events_data_is_no_end_of_a_chain() -> io::Result<()> {
    // It says that it stands where it does, and ends where the frame does that has it.
    let mut forged = vec![7; FRAME_HEADER_BYTES + 64];
    finish_frame(&mut forged, &spec_at(768, (FrameKind::Data, EpochMode::Fsync), 9));
    let whole = segment_with(EpochMode::Fsync, [vec![5; 64], forged].concat());
    let chain = u32::from_le_bytes(whole[644..648].try_into().expect("four bytes"));
    let header = SegmentHeader::first(7, EpochMode::Fsync);
    let disk = SimDisk::new(1);
    let file_offset = whole.len() as u64;
    disk.write_file("/log", whole)?;
    let file = disk.open("/log".as_ref(), OpenMode::Read)?;
    let is_end = |chain| {
        is_end_of_chain(&*file, &header, &ChainEnd { file_offset, chain, ..ChainEnd::beginning(&header) })
    };
    assert_eq!((is_end(chain)?, is_end(!chain)?), (true, false));
    Ok(())
}

#[test]
fn numbers_at_their_ends_with_right_checksums_are_refused_without_a_panic() {
    let segment = segment_bytes(EpochMode::Fsync);
    let header = SegmentHeader::decode(&segment).expect("it is whole");
    for base in [1 << 63, u64::MAX - 100, u64::MAX] {
        let far = SegmentHeader { base: LogOffset::new(base), ..header.clone() };
        assert!(SegmentHeader::decode(&far.encode()).is_err(), "base {base}");
    }
    for first_position in [0, 1 << 63, u64::MAX] {
        let far = SegmentHeader { first_position: Position::new(first_position), ..header.clone() };
        assert!(SegmentHeader::decode(&far.encode()).is_err(), "first position {first_position}");
    }
    let last_epoch = SegmentHeader { epoch: u32::MAX, ..header }.encode();
    let found = facts_of([&last_epoch, &segment[last_epoch.len()..]].concat());
    assert_eq!((found.chain_end.get(), found.stop), (512, WRITTEN));
}

#[test]
fn a_mark_that_none_could_follow_is_passed_over() {
    let (disk, store) = (SimDisk::new(1), Path::new("/store"));
    disk.create_dir(store).expect("a directory");
    let slot = |sequence, durable| DurableMark { store_id: 7, sequence, durable }.encode();
    let both = [slot(u64::MAX, 1 << 40), slot(3, 640)].concat();
    disk.write_file("/store/durable.mark", both).expect("a file");
    let mut mark = Mark::read(&disk, store, 7).expect("it reads");
    assert_eq!(mark.durable(), Some(LogOffset::new(640)));
    mark.write(&disk, LogOffset::new(704)).expect("it writes");
    let again = Mark::read(&disk, store, 7).expect("it reads");
    assert_eq!(again.durable(), Some(LogOffset::new(704)));
}

#[test]
fn a_file_is_prepared_as_far_as_its_zeros_are_synced__F03() {
    const BEFORE: u64 = 1_664;
    const PAGE: u64 = 4 << 10;
    const TARGET: u64 = 1 << 20;
    const PIECE: u64 = 64 << 10;
    let full = Fault::new(io::ErrorKind::StorageFull).on(DiskOperation::Write).at(3);
    let failing = Fault::new(io::ErrorKind::Other).on(DiskOperation::Sync);
    let cases = [
        (None, TARGET, None),
        (Some(full), PAGE + 2 * PIECE, Some("grow")),
        (Some(failing), BEFORE, Some("sync")),
    ];
    for (fault, expected, failed) in cases {
        let disk = disk_with(segment_bytes(EpochMode::Fsync));
        let segment = Segment::open(&disk, Path::new("/store"), 1, OpenMode::ReadWrite).expect("it is whole");
        if let Some(fault) = fault {
            disk.fail(fault);
        }
        let told = segment.grow(TARGET, Growth::Synced, &*segment.file);
        let action = told.err().map(|error| match error {
            Error::Io { action, .. } => action,
            error => panic!("{error}"),
        });
        assert_eq!((segment.prepared(), action), (expected, failed));
        disk.clear_faults();
        // Where a sync failed, none knows what the next one makes durable.
        assert_eq!(segment.write(&[1; 64], BEFORE).is_err(), failed == Some("sync"));
        disk.power_cut_keeping(CutStyle::Nothing);
        let on_disk = disk.read_file(SEGMENT_1).expect("it is there");
        assert!(on_disk.len() as u64 >= expected || failed == Some("sync"), "{failed:?}: {}", on_disk.len());
    }
}
