//! Index files: as a look at each event, whatever is done to them; small; and quick.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{error::Error, fmt::Debug, ops::ControlFlow, sync::Arc};

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

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
        key::StreamKey,
        memory::{MemoryEvent, MemoryIndex, StreamBefore},
        part::{Direction, IndexFault, IndexPart, IndexResult, Run},
        sealed::SealedIndex,
        sealed_writer,
        tests::{
            Answers, BASE, FIRST, Model, ModelEvent, SEGMENT, STORE, TestFile, check_damage, check_part,
            disk_file, models,
        },
    },
    log::scan::ChainEnd,
    options::ReadMode,
    position::Version,
    time::Timestamp,
};

fn end_of(index: &MemoryIndex) -> ChainEnd {
    ChainEnd {
        file_offset: 1 << 31,
        chain: 0xC0DE,
        epoch: 9,
        mode: EpochMode::Buffered,
        next_position: index.next_position(),
        seal: Some(Seal { logical_end: BASE.plus(1 << 31), chain_next: 0xBEEF }),
    }
}

fn encode(index: &MemoryIndex) -> Vec<u8> {
    sealed_writer::encode(index, &end_of(index), STORE, &|_| Ok(0)).expect("no link is unknown")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_file_answers_as_a_look_at_each_event_does(model in models(3_000)) {
        let memory = model.memory();
        let file = encode(&memory);
        for (read, is_mapped) in [(ReadMode::Mapped, true), (ReadMode::Mapped, false), (ReadMode::Pread, true)] {
            let sealed = SealedIndex::open(disk_file(&file, is_mapped), read, STORE).expect("an undamaged file opens");
            check_part(&sealed, &model);
            prop_assert_eq!(sealed.chain_end(), end_of(&memory));
            prop_assert_eq!(sealed.times(), memory.times());
        }
    }
}

/// What an index file says to all that it can be asked, of a model with few streams.
fn answers(file: &[u8], read: ReadMode) -> IndexResult<Answers> {
    let sealed = SealedIndex::open(disk_file(file, true), read, STORE)?;
    let mut answers = vec![Ok(format!("{:?} {:?}", sealed.span(), sealed.chain_end()))];
    let mut add = |answer: IndexResult<String>| {
        answers.push(answer.map_err(|fault| {
            assert!(matches!(fault, IndexFault::Damaged(_)), "{fault:?}");
        }));
    };
    for direction in [Direction::Forwards, Direction::Backwards] {
        let from = if direction == Direction::Forwards { 0 } else { u32::MAX };
        add(filled(|places| sealed.places(from, direction, usize::MAX, places)));
        for stream in 0..9 {
            add(filled(|places| match sealed.run(Model::key(stream))? {
                Some(run) => sealed.run_places(&run, from, direction, usize::MAX, places),
                None => Ok(()),
            }));
        }
        let category = ["category1".to_owned()];
        let types = ["Type0".to_owned(), "Type1".to_owned()];
        for (categories, types) in [(Some(&category[..]), None), (None, Some(&types[..]))] {
            add(filled(|found| match sealed.filter(categories, types)? {
                Some(filter) => sealed.matching(&filter, from, direction, usize::MAX, found),
                None => Ok(()),
            }));
        }
    }
    for id in 0..6 {
        add(filled(|places| sealed.id_places(id, places)));
    }
    add(sealed.categories().map(|names| format!("{names:?}")));
    add(sealed.types().map(|names| format!("{names:?}")));
    add(filled(|runs: &mut Vec<(u64, Run)>| {
        sealed.each_run(&mut |hash, run| {
            runs.push((hash, *run));
            ControlFlow::Continue(())
        })
    }));
    Ok(answers)
}

fn filled<T: Debug>(fill: impl FnOnce(&mut Vec<T>) -> IndexResult<()>) -> IndexResult<String> {
    let mut items = Vec::new();
    fill(&mut items).map(|()| format!("{items:?}"))
}

fn small_model() -> Model {
    let event = |number: u32| ModelEvent {
        stream: number * 5 % 7,
        event_type: number % 3,
        id: number.is_multiple_of(2).then_some(number % 6),
        distance: 350,
    };
    Model { events: (0..40).map(event).collect(), categories: 3 }
}

#[test]
fn a_damaged_index_file_never_answers_wrongly__F24() {
    check_damage(&encode(&small_model().memory()), answers);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A file that someone made to harm: its checksums are right, its numbers aren't.
    #[test]
    fn an_index_file_of_wrong_numbers_is_no_panic(
        changes in proptest::collection::vec((any::<u16>(), prop_oneof![Just(0), Just(255), any::<u8>()]), 1..6),
        is_in_header in any::<bool>(),
    ) {
        let mut file = encode(&small_model().memory());
        for (at, byte) in changes {
            let at = usize::from(at);
            // The part of the header behind its checksum that has a meaning, or the data.
            let (start, length) = if is_in_header { (32, 380) } else { (PAGE_BYTES, file.len() - PAGE_BYTES) };
            file[start + at % length] = byte;
        }
        let identity = PagedIdentity { store_id: STORE, kind: PagedKind::SegmentIndex, subject: u64::from(SEGMENT) };
        let file = with_right_checksums(file, identity);
        if let Ok(answers) = answers(&file, ReadMode::Mapped) {
            prop_assert!(!answers.is_empty());
        }
    }
}

/// An index file on real disks: mapped, with pread, simulated.
#[test]
fn an_index_file_answers_from_every_disk() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let model = small_model();
    let disks: [(Arc<dyn Disk>, _); 2] = [
        (Arc::new(OsDisk), directory.path().join("000000000012.idx")),
        (Arc::new(SimDisk::new(3)), "/000000000012.idx".into()),
    ];
    for (disk, path) in disks {
        let file = disk.open(&path, OpenMode::CreateNew)?;
        file.write_all_at(&encode(&model.memory()), 0)?;
        for read in [ReadMode::Mapped, ReadMode::Pread] {
            let file: Arc<dyn DiskFile> = disk.open(&path, OpenMode::Read)?;
            let handle = Arc::downgrade(&file);
            let sealed = SealedIndex::open(file, read, STORE).expect("an undamaged file opens");
            check_part(&sealed, &model);
            let is_kept = handle.upgrade().is_some();
            let is_mapped = read == ReadMode::Mapped && path.parent() == Some(directory.path());
            assert_eq!(is_kept, !is_mapped, "a mapped file needs no handle");
        }
    }
    Ok(())
}

#[test]
fn an_index_file_of_another_store_is_not_read() {
    let file = encode(&small_model().memory());
    assert!(SealedIndex::open(disk_file(&file, true), ReadMode::Mapped, STORE + 1).is_err());
}

/// A full segment: 190,000 events in 100,000 streams at random, each with an id.
fn full_segment() -> MemoryIndex {
    let mut index = MemoryIndex::new(SEGMENT, BASE, FIRST);
    for number in 0..190_000_u32 {
        let stream = xxh3_64(&number.to_le_bytes());
        let key = StreamKey::of(&format!("order-{}", stream % 100_000), STORE);
        let version = index.version(key).unwrap_or_default().next();
        let event = MemoryEvent {
            key,
            category: b"order",
            event_type: ["OrderPlaced", "OrderPaid", "OrderShipped"]
                [usize::try_from(number % 3).expect("64 bits")]
            .as_bytes(),
            file_offset: number * 350 + 512,
            version,
            timestamp: Timestamp::from_micros(i64::from(number)),
            id_hash: Some(number.wrapping_mul(2_654_435_761)),
        };
        index.add(&event, || Ok(StreamBefore { version: Version::NONE, latest: 0 })).expect("it goes on");
    }
    index
}

#[test]
fn an_index_file_has_up_to_30_bytes_an_event() {
    let index = full_segment();
    assert!(index.streams().len() > 80_000, "{} streams", index.streams().len());
    let file = encode(&index);
    assert!(file.len() <= 30 * 190_000, "{} bytes", file.len());
}

/// What a look-up costs where each look is a read: the guess is right, or its neighbour is.
#[test]
fn a_stream_or_an_id_is_found_in_two_pages_as_a_rule() {
    let file = TestFile::new(&encode(&full_segment()), false);
    let sealed = SealedIndex::open(file.clone(), ReadMode::Mapped, STORE).expect("an undamaged file opens");
    let before = file.reads();
    let mut places = Vec::new();
    for number in 0..1_000_u32 {
        let key = StreamKey::of(&format!("order-{number}"), STORE);
        sealed.run(key).expect("an undamaged file answers");
        sealed
            .id_places(number.wrapping_mul(2_654_435_761) ^ 5, &mut places)
            .expect("an undamaged file answers");
    }
    let reads = file.reads() - before;
    assert!(reads < 2 * 2_000, "{reads} pages for 2,000 look-ups");
}
