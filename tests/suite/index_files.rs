//! The index's files are derived: deleted, cut short, damaged, stale or another store's, they change no answer.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    Error, EventData, EventId, EventStore, ExpectedVersion, Follower, Options, Query, SEGMENT_BYTES_MIN,
    SimDisk, StoredEvent, StreamFilter, StreamInfo, Version,
};

use crate::support::{Outcome, all, stream};

const STORE: &str = "/store";
const STREAMS: [&str; 5] = ["order-1", "order-2", "cart-1", "cart-2", "lonely"];

fn options() -> Options {
    Options::new().segment_bytes(SEGMENT_BYTES_MIN)
}

/// Everything that can be asked of a store.
#[derive(PartialEq, Debug)]
struct Answers {
    all: Vec<StoredEvent>,
    backwards: Vec<StoredEvent>,
    streams: BTreeMap<&'static str, (Version, Vec<StoredEvent>, Vec<StoredEvent>)>,
    listed: Vec<StreamInfo>,
    counts: Vec<(String, u64)>,
    named: Vec<Vec<StoredEvent>>,
    by_id: Vec<Option<StoredEvent>>,
    count: (u64, u64, u64),
}

fn ask(store: &EventStore) -> annals::Result<Answers> {
    let collect = |query: Query<annals::Position>| store.read(query).collect::<annals::Result<Vec<_>>>();
    let mut streams = BTreeMap::new();
    for name in STREAMS {
        let of = Query::stream(&stream(name));
        let forwards = store.read(of.clone()).collect::<annals::Result<_>>()?;
        let backwards = store.read(of.backwards()).collect::<annals::Result<_>>()?;
        streams.insert(name, (store.stream_version(&stream(name))?, forwards, backwards));
    }
    let names = store.categories()?.into_iter().chain(store.event_types()?);
    let info = store.info()?;
    Ok(Answers {
        all: collect(Query::all())?,
        backwards: collect(Query::all().backwards())?,
        streams,
        listed: store.streams(&StreamFilter::all())?,
        counts: names.map(|name| (name.name, name.events)).collect(),
        named: vec![
            collect(Query::all().category("cart"))?,
            collect(Query::all().event_type("Type3").backwards())?,
            collect(Query::all().category("order").event_type("Type0").event_type("Type1"))?,
        ],
        by_id: (0..60)
            .map(|number| store.event(&EventId::new(&format!("id-{number}"))?))
            .collect::<annals::Result<_>>()?,
        count: (info.events, info.streams, info.segments),
    })
}

/// A closed store of some segments, and what it answers.
fn patient() -> (SimDisk, Answers) {
    let disk = SimDisk::new(3);
    let store = EventStore::open_on(Arc::new(disk.clone()), STORE, options()).expect("a new store");
    for number in 0..60_usize {
        let name = if number == 7 { "lonely" } else { STREAMS[number % 4] };
        let event = EventData::new(format!("Type{}", number % 7), vec![b'x'; 200 + number])
            .with_id(EventId::new(&format!("id-{number}")).expect("a valid id"));
        store.append(&stream(name), ExpectedVersion::Any, [event]).expect("an append");
    }
    store.close().expect("a close");
    let answers = reopened(&disk);
    assert!(answers.count.2 >= 4, "the store has some sealed segments");
    (disk, answers)
}

fn reopened(disk: &SimDisk) -> Answers {
    let store = EventStore::open_on(Arc::new(disk.mount()), STORE, options()).expect("it opens");
    let answers = ask(&store).expect("it answers");
    store.close().expect("a close");
    answers
}

fn index_files(disk: &SimDisk) -> Vec<PathBuf> {
    let is_derived = |path: &PathBuf| {
        path.extension() == Some("idx".as_ref()) || path.file_name() == Some("streams.dir".as_ref())
    };
    disk.files().into_iter().filter(is_derived).collect()
}

/// Opens a copy of the store in which a file is other, and compares what it answers.
fn check_with(disk: &SimDisk, answers: &Answers, path: &Path, content: Vec<u8>, what: &str) {
    let copy = disk.fork(1);
    copy.write_file(path, content).expect("the file is there");
    assert!(reopened(&copy) == *answers, "{} {what}: another answer", path.display());
}

#[test]
fn every_segment_and_the_directory_has_a_file_when_a_store_is_closed() {
    let (disk, answers) = patient();
    let names = index_files(&disk);
    let indexes = names.iter().filter(|path| path.extension() == Some("idx".as_ref())).count() as u64;
    assert_eq!((indexes, names.len() as u64), (answers.count.2, answers.count.2 + 1));
}

#[test]
fn index_files_can_be_deleted__F24() {
    let (disk, answers) = patient();
    let files = index_files(&disk);
    for path in &files {
        let copy = disk.fork(1);
        copy.remove_file(path).expect("it is there");
        assert!(reopened(&copy) == answers, "without {}: another answer", path.display());
        assert_eq!(index_files(&copy), files, "what was deleted is made again");
    }
    let copy = disk.fork(1);
    for path in &files {
        copy.remove_file(path).expect("it is there");
    }
    assert!(reopened(&copy) == answers, "without any of them: another answer");
    assert_eq!(index_files(&copy), files, "what was deleted is made again");
}

#[test]
fn index_files_can_be_cut_short_and_damaged__F24() {
    let (disk, answers) = patient();
    let mut seed = 7_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % below
    };
    for path in index_files(&disk) {
        let content = disk.read_file(&path).expect("it is listed");
        for length in (0..content.len()).step_by(997).chain([1, 4_095, 4_096, content.len() - 1]) {
            check_with(&disk, &answers, &path, content[..length].to_vec(), &format!("cut to {length} bytes"));
        }
        for _ in 0..150 {
            let (byte, bit) = (random(content.len()), random(8));
            let mut damaged = content.clone();
            damaged[byte] ^= 1 << bit;
            check_with(&disk, &answers, &path, damaged, &format!("with bit {bit} of byte {byte} flipped"));
        }
        let mut longer = content.clone();
        longer.push(0);
        check_with(&disk, &answers, &path, longer, "with a byte more");
        check_with(&disk, &answers, &path, vec![0; content.len()], "all zeros");
    }
}

#[test]
fn index_files_of_other_segments_and_other_times_are_not_believed__F24() {
    let (disk, answers) = patient();
    let files = index_files(&disk);
    for (path, other) in files.iter().flat_map(|path| files.iter().map(move |other| (path, other))) {
        let content = disk.read_file(other).expect("it is listed");
        check_with(&disk, &answers, path, content, &format!("replaced by {}", other.display()));
    }
    // Of an earlier time: what was appended since isn't in them.
    let later = disk.fork(1);
    let store = EventStore::open_on(Arc::new(later.mount()), STORE, options()).expect("it opens");
    for number in 0..30 {
        let event = EventData::new("Later", vec![b'y'; 300]);
        store.append(&stream(STREAMS[number % 5]), ExpectedVersion::Any, [event]).expect("an append");
    }
    store.close().expect("a close");
    let answers = reopened(&later);
    for path in files {
        let content = disk.read_file(&path).expect("it is listed");
        check_with(&later, &answers, &path, content, "of an earlier time");
    }
}

#[test]
fn index_files_of_another_history_of_the_same_length_are_not_believed__F24() {
    let (disk, _) = patient();
    let append = |disk: &SimDisk, kind: &str| {
        let store = EventStore::open_on(Arc::new(disk.mount()), STORE, options()).expect("it opens");
        for number in 0..20 {
            let event = EventData::new(kind, vec![b'z'; 300]);
            store.append(&stream(STREAMS[number % 5]), ExpectedVersion::Any, [event]).expect("an append");
        }
        store.close().expect("a close");
    };
    let (one, other) = (disk.fork(1), disk.fork(2));
    append(&one, "One");
    append(&other, "Two");
    let answers = reopened(&one);
    for path in index_files(&other) {
        let content = other.read_file(&path).expect("it is listed");
        check_with(&one, &answers, &path, content, "of another history");
    }
    let all = one.fork(3);
    for path in index_files(&other) {
        all.write_file(&path, other.read_file(&path).expect("it is listed")).expect("it is there");
    }
    assert!(reopened(&all) == answers, "all of another history: another answer");
}

#[test]
fn mapped_index_files_can_be_damaged__F24() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    let store = EventStore::open_with(&path, options())?;
    for number in 0..40_usize {
        let event = EventData::new(format!("Type{}", number % 7), vec![b'x'; 300]);
        store.append(&stream(STREAMS[number % 5]), ExpectedVersion::Any, [event])?;
    }
    let answers = ask(&store)?;
    store.close()?;
    let mut files: Vec<_> = std::fs::read_dir(path.join("segments"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension() == Some("idx".as_ref()));
    files.push(path.join("streams.dir"));
    for file in files {
        let whole = std::fs::read(&file)?;
        for byte in (0..whole.len()).step_by(1_361) {
            let mut damaged = whole.clone();
            damaged[byte] ^= 0x40;
            std::fs::write(&file, damaged)?;
            let store = EventStore::open_with(&path, options())?;
            assert!(ask(&store)? == answers, "{}, byte {byte}: another answer", file.display());
            store.close()?;
        }
        std::fs::write(&file, whole)?;
    }
    Ok(())
}

#[test]
fn a_missing_segment_is_named_though_its_index_is_there__F23() {
    let (disk, answers) = patient();
    let last = format!("{STORE}/segments/{:012}.log", answers.count.2);
    disk.remove_file(&last).expect("it is there");
    let opened = EventStore::open_on(Arc::new(disk.mount()), STORE, options());
    let error = opened.map(drop).expect_err("the log has lost its end");
    assert!(error.is_corruption(), "{error}");
    assert!(error.to_string().contains(&format!("{:012}.log", answers.count.2)), "{error}");
}

/// What durable.mark doesn't call durable is read, whatever an index file says of it.
#[test]
fn the_index_of_the_last_segment_is_believed_as_far_as_durable_mark_says__F24() -> Outcome {
    let (disk, _) = patient();
    let last = index_files(&disk).into_iter().filter(|path| path.extension() == Some("idx".as_ref())).max();
    let log = last.ok_or("an index file")?.with_extension("log");
    let mut content = disk.read_file(&log).ok_or("a segment")?;
    let first_event = content.windows(100).position(|part| part == [b'x'; 100]).ok_or("an event")?;
    content[first_event] ^= 1;
    disk.write_file(&log, content)?;
    let open = || EventStore::open_on(Arc::new(disk.snapshot(1)), STORE, options());
    let store = open()?;
    assert!(store.read_all().any(|event| event.is_err()), "it is found where it is read");
    drop(store);
    disk.remove_file(Path::new(STORE).join("durable.mark"))?;
    let refused = open().expect_err("the segment is read");
    assert!(matches!(&refused, Error::Corrupt { path, .. } if *path == log), "{refused}");
    Ok(())
}

#[test]
fn opening_says_how_far_it_is_where_it_has_to_read_segments() {
    let (disk, answers) = patient();
    for path in index_files(&disk) {
        disk.remove_file(&path).expect("it is there");
    }
    let sealed = answers.count.2 - 1;
    let expected: Vec<_> = (0..=sealed).map(|number| (number, sealed)).collect();
    let check = |open: &dyn Fn(Options)| {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let to_tell = Arc::clone(&told);
        open(options().on_opening_progress(move |progress| {
            to_tell.lock().expect("no one panicked").push((progress.segments, progress.segments_total));
        }));
        assert_eq!(*told.lock().expect("no one panicked"), expected);
    };
    check(&|options| drop(Follower::open_on(Arc::new(disk.mount()), STORE, options).expect("it opens")));
    check(&|options| drop(EventStore::open_on(Arc::new(disk.mount()), STORE, options).expect("it opens")));
}

#[test]
fn opening_says_how_far_it_is_while_it_reads_a_segment_and_also_the_last_one() {
    let disk = SimDisk::new(5);
    let options = || Options::new().segment_bytes(4 << 20);
    let store = EventStore::open_on(Arc::new(disk.clone()), STORE, options()).expect("a new store");
    for _ in 0..100 {
        let event = EventData::new("Happened", vec![b'x'; 64 << 10]);
        store.append(&stream("order-1"), ExpectedVersion::Any, [event]).expect("an append");
    }
    store.close().expect("a close");
    for path in index_files(&disk) {
        disk.remove_file(&path).expect("it is there");
    }
    let check = |open: &dyn Fn(Options)| {
        let told = Arc::new(std::sync::Mutex::new(Vec::new()));
        let to_tell = Arc::clone(&told);
        open(options().on_opening_progress(move |progress| {
            to_tell.lock().expect("no one panicked").push(progress);
        }));
        let told = told.lock().expect("no one panicked");
        let (first, last) = (told[0], *told.last().expect("something is told"));
        assert_eq!((first.segments, first.bytes, first.segments_total), (0, 0, 2));
        assert_eq!((last.segments, last.bytes), (2, first.bytes_total));
        assert!(first.bytes_total > 100 << 16, "{first:?}");
        assert!(told.iter().all(|it| (it.segments_total, it.bytes_total) == (2, first.bytes_total)));
        for segments in [0, 1] {
            let of_one = told.iter().filter(|it| it.segments == segments).count();
            assert!((2..8).contains(&of_one), "{told:?}");
        }
        assert!(told.is_sorted_by(|one, next| one.bytes < next.bytes), "{told:?}");
    };
    check(&|options| drop(Follower::open_on(Arc::new(disk.mount()), STORE, options).expect("it opens")));
    check(&|options| drop(EventStore::open_on(Arc::new(disk.mount()), STORE, options).expect("it opens")));
}

#[test]
fn what_was_appended_is_read_while_its_segments_are_sealed() -> Outcome {
    let disk = SimDisk::new(4);
    let store = EventStore::open_on(Arc::new(disk), STORE, options())?;
    for number in 0..200_u64 {
        let of = stream(STREAMS[usize::try_from(number % 4)?]);
        let appended = store.append(&of, ExpectedVersion::Any, [EventData::new("Happened", vec![0; 500])])?;
        assert_eq!(appended.position.get(), number + 1);
        assert_eq!(store.stream_version(&of)?, appended.version);
        assert_eq!(all(store.read_stream(&of)).len() as u64, appended.version.get());
    }
    assert_eq!(all(store.read_all()).len(), 200);
    Ok(())
}

/// The last segments are gone, and durable.mark with them: what is left ends with a SEAL, as a store may.
#[test]
fn a_stream_directory_that_knows_of_more_log_is_a_witness_of_loss__F25() {
    let (disk, answers) = patient();
    for number in [answers.count.2, answers.count.2 - 1] {
        for extension in ["log", "idx"] {
            let path = format!("{STORE}/segments/{number:012}.{extension}");
            disk.remove_file(path).expect("it is there");
        }
    }
    disk.remove_file(format!("{STORE}/durable.mark")).expect("it is there");
    let before: Vec<_> = disk.files().into_iter().map(|path| disk.read_file(path)).collect();
    let told = EventStore::open_on(Arc::new(disk.mount()), STORE, options());
    assert!(matches!(told, Err(Error::Corrupt { .. })), "{told:?}");
    let log = |path: &PathBuf| path.extension() == Some("log".as_ref());
    assert!(disk.files().iter().any(log), "segments are left");
    let kept: Vec<_> = disk.files().into_iter().map(|path| disk.read_file(path)).collect();
    assert!(before.iter().all(|content| kept.contains(content)), "a store that is refused isn't touched");
    // Nothing else knows of what is gone.
    disk.remove_file(format!("{STORE}/streams.dir")).expect("it is there");
    let store = EventStore::open_on(Arc::new(disk.mount()), STORE, options()).expect("an ordinary end");
    assert!(store.last_position().get() < answers.count.0);
}
