//! The directory: as a plain map, whatever is done to its file.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use proptest::prelude::*;

use crate::{
    disk::{
        contract::{Disk, DiskFile, OpenMode},
        os::OsDisk,
        sim::simulated::SimDisk,
    },
    format::{
        control_frame::Seal,
        frame::EpochMode,
        paged::{PAGE_BYTES, PagedIdentity, PagedKind, with_right_checksums},
    },
    index::{
        directory::{Directory, SegmentEntry, SegmentTable, StreamHead},
        key::StreamKey,
        part::{IndexFault, IndexResult},
        tests::{Answers, STORE, check_damage, disk_file},
    },
    log::scan::ChainEnd,
    options::ReadMode,
    position::{LogOffset, Position, Version},
    time::Timestamp,
};

type Heads = BTreeMap<StreamKey, StreamHead>;

fn key(stream: u32) -> StreamKey {
    let key = StreamKey::of(&stream.to_string(), STORE);
    // Every eighth has the hash of the one before it: the structures know them apart.
    if stream % 8 == 7 {
        StreamKey { check: key.check, ..StreamKey::of(&(stream - 1).to_string(), STORE) }
    } else {
        key
    }
}

fn head(number: u32) -> StreamHead {
    StreamHead {
        version: Version::new(u64::from(number) << 20 | 1),
        created: Timestamp::from_micros(i64::from(number) - 100),
        latest: number % 17 + 1,
    }
}

fn covered(segments: u64) -> SegmentTable {
    let entry = |number| SegmentEntry {
        base: LogOffset::new(number << 26),
        first_position: Position::new(number * 1_000 + 1),
        first_timestamp: Timestamp::from_micros(-7),
    };
    let end = ChainEnd {
        file_offset: 9_000,
        chain: 1,
        epoch: 2,
        mode: EpochMode::Fsync,
        next_position: Position::new(segments * 1_000 + 1),
        seal: Some(Seal { logical_end: LogOffset::new(segments << 26), chain_next: 3 }),
    };
    SegmentTable {
        first_segment: 4,
        entries: (0..segments).map(entry).collect(),
        end: (segments > 0).then_some(end),
        last_timestamp: Timestamp::from_micros(77),
    }
}

fn check(directory: &Directory, heads: &Heads, streams: u32) {
    assert_eq!(directory.stream_count(), heads.len() as u64);
    for stream in 0..streams + 8 {
        let key = key(stream);
        assert_eq!(directory.get(key).expect("it is undamaged"), heads.get(&key).copied(), "stream {stream}");
        let check = directory.check_of(key.hash).expect("it is undamaged");
        let is_known = heads.keys().any(|other| other.hash == key.hash);
        assert_eq!(check.is_some(), is_known, "stream {stream}");
        assert!(check.is_none_or(|check| heads.contains_key(&StreamKey { check, ..key })));
    }
    let mut visited = Heads::new();
    let mut visit = |key, head: &StreamHead| {
        assert_eq!(visited.insert(key, *head), None, "each stream is visited once");
        ControlFlow::Continue(())
    };
    directory.each(&mut visit).expect("it is undamaged");
    assert_eq!(visited, *heads);
    for visits_max in 1..4 {
        let mut visits = 0;
        let mut visit = |_, _: &StreamHead| {
            visits += 1;
            if visits == visits_max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        directory.each(&mut visit).expect("it is undamaged");
        assert_eq!(visits, visits_max.min(heads.len()), "the visitor may stop");
    }
}

/// What is done to a directory: changes to streams, and whether the file is written anew behind them.
fn steps() -> impl Strategy<Value = Vec<(Vec<(u32, u32)>, bool)>> {
    let changes = proptest::collection::vec((0_u32..700, any::<u32>()), 0..300);
    proptest::collection::vec((changes, any::<bool>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_directory_knows_what_a_plain_map_knows(steps in steps(), is_mapped in any::<bool>(), segments in 0_u64..400) {
        let (mut directory, mut heads) = (Directory::empty(), Heads::new());
        let mut in_file = 0;
        check(&directory, &heads, 700);
        for (changes, is_written) in steps {
            let changes: Vec<_> = changes.into_iter().map(|(stream, number)| (key(stream), head(number))).collect();
            let (before, heads_before) = (directory.clone(), heads.clone());
            directory = directory.with(changes.iter().copied()).expect("it is undamaged");
            heads.extend(changes);
            check(&before, &heads_before, 700);
            check(&directory, &heads, 700);
            let lacking = heads.iter().filter(|(key, _)| directory.changed.iter().any(|entry| entry.key == **key));
            prop_assert_eq!(directory.is_due(), lacking.count() > in_file / 4);
            if is_written {
                let covered = covered(segments);
                let file = directory.encode(&covered, STORE).expect("it is undamaged");
                let opened = Directory::open(disk_file(&file, is_mapped), ReadMode::Mapped, STORE);
                let (opened, covered_by_file) = opened.expect("it is undamaged");
                prop_assert_eq!(covered_by_file, covered);
                prop_assert!(opened.is_whole() && !opened.is_due());
                (directory, in_file) = (opened, heads.len());
                check(&directory, &heads, 700);
            }
        }
    }
}

fn small_file() -> Vec<u8> {
    let changes = (0..50).map(|stream| (key(stream), head(stream)));
    Directory::empty()
        .with(changes)
        .expect("it is undamaged")
        .encode(&covered(3), STORE)
        .expect("it is undamaged")
}

/// What a file says to all that it can be asked.
fn answers(file: &[u8], read: ReadMode) -> IndexResult<Answers> {
    let (directory, covered) = Directory::open(disk_file(file, true), read, STORE)?;
    let mut answers = vec![Ok(format!("{covered:?} {}", directory.stream_count()))];
    let mut add = |answer: IndexResult<String>| {
        answers.push(answer.map_err(|fault| assert!(matches!(fault, IndexFault::Damaged(_)), "{fault:?}")));
    };
    for stream in 0..55 {
        add(directory.get(key(stream)).map(|head| format!("{head:?}")));
    }
    add(directory.check_of(key(3).hash).map(|check| format!("{check:?}")));
    add(directory
        .with([(key(60), head(60)), (key(2), head(9))].into_iter())
        .map(|directory| format!("{}", directory.stream_count())));
    let mut streams = Vec::new();
    let each = directory.each(&mut |key, head| {
        streams.push((key, *head));
        ControlFlow::Continue(())
    });
    add(each.map(|()| format!("{streams:?}")));
    add(directory.encode(&covered, STORE).map(|file| format!("{file:?}")));
    Ok(answers)
}

#[test]
fn a_damaged_directory_file_never_answers_wrongly__F24() {
    check_damage(&small_file(), answers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A file that someone made to harm: its checksums are right, its numbers aren't.
    #[test]
    fn a_directory_file_of_wrong_numbers_is_no_panic(
        changes in proptest::collection::vec((any::<u16>(), prop_oneof![Just(0), Just(255), any::<u8>()]), 1..6),
        is_in_header in any::<bool>(),
    ) {
        let mut file = small_file();
        for (at, byte) in changes {
            let at = usize::from(at);
            let (start, length) = if is_in_header { (32, 300) } else { (PAGE_BYTES, 50 * 32 + 100) };
            file[start + at % length] = byte;
        }
        let identity = PagedIdentity { store_id: STORE, kind: PagedKind::Directory, subject: 0 };
        if let Ok(answers) = answers(&with_right_checksums(file, identity), ReadMode::Mapped) {
            prop_assert!(!answers.is_empty());
        }
    }
}

#[test]
fn a_directory_answers_from_every_disk() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let heads: Heads = (0..50).map(|stream| (key(stream), head(stream))).collect();
    let disks: [(Arc<dyn Disk>, _); 2] = [
        (Arc::new(OsDisk), directory.path().join("streams.dir")),
        (Arc::new(SimDisk::new(3)), "/streams.dir".into()),
    ];
    for (disk, path) in disks {
        disk.open(&path, OpenMode::CreateNew)?.write_all_at(&small_file(), 0)?;
        for read in [ReadMode::Mapped, ReadMode::Pread] {
            let file: Arc<dyn DiskFile> = disk.open(&path, OpenMode::Read)?;
            let (directory, _) = Directory::open(file, read, STORE).expect("an undamaged file opens");
            check(&directory, &heads, 50);
        }
    }
    Ok(())
}

#[test]
fn a_directory_file_of_another_store_or_kind_is_not_read() {
    let file = small_file();
    assert!(Directory::open(disk_file(&file, true), ReadMode::Mapped, STORE + 1).is_err());
    assert!(
        crate::index::sealed::SealedIndex::open(disk_file(&file, true), ReadMode::Mapped, STORE).is_err()
    );
}

#[test]
fn a_stream_takes_32_bytes_of_the_file() {
    let changes = (0..20_000_u32).map(|stream| (StreamKey::of(&stream.to_string(), STORE), head(stream)));
    let directory = Directory::empty().with(changes).expect("it is undamaged");
    let file = directory.encode(&covered(50), STORE).expect("it is undamaged");
    let pages = (20_000 * 32 + 50 * 24_usize).div_ceil(PAGE_BYTES);
    assert!(file.len() <= PAGE_BYTES + (pages + 1) * (PAGE_BYTES + 4), "{} bytes", file.len());
}
