//! Every part of the index is compared with a look at each event.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    disk::contract::{DiskFile, Mapping},
    format::layout::bytes,
    index::{
        key::StreamKey,
        memory::{MemoryEvent, MemoryIndex, StreamBefore},
        part::{Direction, IndexPart, IndexResult, NameCount, PartFilter, Run, Span, count_of},
    },
    options::ReadMode,
    position::{LogOffset, Position, Version},
    time::Timestamp,
};

pub(crate) const STORE: u64 = 0xA11A_15ED;
pub(crate) const SEGMENT: u32 = 12;
pub(crate) const BASE: LogOffset = LogOffset::new(1 << 33);
pub(crate) const FIRST: Position = Position::new(5_000);

/// A file in memory that nobody changes.
#[derive(Debug)]
pub(crate) struct TestFile {
    bytes: Arc<TestMapping>,
    is_mapped: bool,
    reads: AtomicUsize,
}

impl TestFile {
    /// A file with these bytes, on a disk that maps or doesn't.
    pub(crate) fn new(bytes: &[u8], is_mapped: bool) -> Arc<Self> {
        let bytes = Arc::new(TestMapping(bytes.to_vec()));
        Arc::new(Self { bytes, is_mapped, reads: AtomicUsize::new(0) })
    }

    /// How often it was read, but for its map.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct TestMapping(Vec<u8>);

impl Mapping for TestMapping {
    fn publish(&self, _end: u64) {}

    fn published(&self) -> &[u8] {
        &self.0
    }
}

impl DiskFile for TestFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let offset = usize::try_from(offset).expect("64 bits");
        let from = self.bytes.0.get(offset..).unwrap_or_default();
        let count = from.len().min(buffer.len());
        buffer[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(bytes(self.bytes.0.len()))
    }

    fn map(&self, capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        assert_eq!(capacity, self.len()?, "the whole file is mapped");
        let map: Arc<dyn Mapping> = self.bytes.clone();
        Ok(self.is_mapped.then_some(map))
    }
}

/// A file with these bytes, on a disk that maps or doesn't.
pub(crate) fn disk_file(bytes: &[u8], is_mapped: bool) -> Arc<dyn DiskFile> {
    TestFile::new(bytes, is_mapped)
}

/// An event of the model.
#[derive(Clone, Debug)]
pub(crate) struct ModelEvent {
    pub(crate) stream: u32,
    pub(crate) event_type: u32,
    pub(crate) id: Option<u32>,
    /// How far its record is behind the one before it, in bytes.
    pub(crate) distance: u32,
}

/// The events of a segment, as plain as can be.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) events: Vec<ModelEvent>,
    /// How many categories the streams are in.
    pub(crate) categories: u32,
}

impl Model {
    pub(crate) fn key(stream: u32) -> StreamKey {
        StreamKey::of(&format!("stream-{stream}"), STORE)
    }

    fn category(&self, stream: u32) -> String {
        format!("category{}", stream % self.categories)
    }

    fn event_type(event_type: u32) -> String {
        format!("Type{event_type}")
    }

    /// What a stream was before: every third is new.
    pub(crate) fn before(stream: u32) -> StreamBefore {
        match stream % 3 {
            0 => StreamBefore::default(),
            _ => StreamBefore { version: Version::new(u64::from(stream) << 33), latest: stream % 11 + 1 },
        }
    }

    fn file_offsets(&self) -> Vec<u32> {
        let mut offset = 512;
        let next = |event: &ModelEvent| {
            offset += event.distance;
            offset
        };
        self.events.iter().map(next).collect()
    }

    pub(crate) fn places(&self) -> Vec<LogOffset> {
        self.file_offsets().into_iter().map(|offset| BASE.plus(u64::from(offset))).collect()
    }

    pub(crate) fn memory(&self) -> MemoryIndex {
        let mut index = MemoryIndex::new(SEGMENT, BASE, FIRST);
        let mut versions = BTreeMap::new();
        for (time, (event, file_offset)) in (0..).zip(self.events.iter().zip(self.file_offsets())) {
            let before = Self::before(event.stream);
            let version = versions.entry(event.stream).or_insert(before.version);
            *version = version.next();
            let event = MemoryEvent {
                key: Self::key(event.stream),
                category: &self.category(event.stream).into_bytes(),
                event_type: &Self::event_type(event.event_type).into_bytes(),
                file_offset,
                version: *version,
                timestamp: Timestamp::from_micros(time - 3),
                id_hash: event.id,
            };
            index.add(&event, || Ok(before)).expect("the event goes on from those before");
        }
        index
    }

    fn counts(&self, name: impl Fn(&ModelEvent) -> String) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        self.events.iter().for_each(|event| *counts.entry(name(event)).or_default() += 1);
        counts
    }
}

/// What is found from a number on in a direction.
pub(crate) fn slice<T: Copy>(all: &[T], from: u32, direction: Direction, count_max: usize) -> Vec<T> {
    let from = usize::try_from(from).expect("64 bits");
    match direction {
        Direction::Forwards => all.iter().skip(from).take(count_max).copied().collect(),
        Direction::Backwards => {
            all.iter().take(from.saturating_add(1)).rev().take(count_max).copied().collect()
        }
    }
}

/// Where to begin, in which direction, and how much to ask for: every bound.
fn questions(count: usize) -> Vec<(u32, Direction, usize)> {
    let count = count_of(count);
    let starts: BTreeSet<u32> =
        [0, 1, 7, count / 2, count.saturating_sub(1), count, count + 1, u32::MAX].into_iter().collect();
    let with = |from| {
        [Direction::Forwards, Direction::Backwards].into_iter().flat_map(move |direction| {
            [0, 1, 3, 1_000, usize::MAX].map(|count_max| (from, direction, count_max))
        })
    };
    starts.into_iter().flat_map(with).collect()
}

fn as_map(names: Vec<NameCount>) -> BTreeMap<String, u64> {
    let count = names.len();
    let map: BTreeMap<_, _> = names.into_iter().map(|name| (name.name, name.events)).collect();
    assert_eq!(map.len(), count, "each name is there once");
    map
}

/// Asks a part everything, and compares.
pub(crate) fn check_part(part: &dyn IndexPart, model: &Model) {
    let events = count_of(model.events.len());
    assert_eq!(part.span(), Span { segment: SEGMENT, base: BASE, first_position: FIRST, events });
    let all = model.places();
    for (from, direction, count_max) in questions(all.len()) {
        let mut places = Vec::new();
        part.places(from, direction, count_max, &mut places).expect("an undamaged part answers");
        assert_eq!(places, slice(&all, from, direction, count_max), "{from} {direction:?} {count_max}");
    }
    check_runs(part, model);
    check_ids(part, model);
    check_filters(part, model);
    let types = model.counts(|event| Model::event_type(event.event_type));
    assert_eq!(as_map(part.types().expect("an undamaged part answers")), types);
    let categories = model.counts(|event| model.category(event.stream));
    assert_eq!(as_map(part.categories().expect("an undamaged part answers")), categories);
}

fn check_runs(part: &dyn IndexPart, model: &Model) {
    let streams: BTreeSet<u32> = model.events.iter().map(|event| event.stream).collect();
    let mut visited = BTreeMap::new();
    let mut visit = |hash, run: &Run| {
        assert_eq!(visited.insert(hash, *run), None, "each stream is visited once");
        ControlFlow::Continue(())
    };
    part.each_run(&mut visit).expect("an undamaged part answers");
    let all_places = model.places();
    for stream in &streams {
        let run = part.run(Model::key(*stream)).expect("an undamaged part answers").expect("it is there");
        assert_eq!(visited.remove(&Model::key(*stream).hash), Some(run));
        let places = all_places.iter().copied().zip(&model.events);
        let all: Vec<_> =
            places.filter(|(_, event)| event.stream == *stream).map(|(place, _)| place).collect();
        assert_eq!((run.count, run.previous), (count_of(all.len()), Model::before(*stream).latest));
        for (from, direction, count_max) in questions(all.len()) {
            let mut places = vec![LogOffset::new(7)];
            part.run_places(&run, from, direction, count_max, &mut places)
                .expect("an undamaged part answers");
            assert_eq!(places.remove(0), LogOffset::new(7), "what was there stays");
            assert_eq!(places, slice(&all, from, direction, count_max));
        }
    }
    assert!(visited.is_empty(), "no other stream is visited");
    for stream in (0..70).filter(|stream| !streams.contains(stream)) {
        assert_eq!(part.run(Model::key(stream)).expect("an undamaged part answers"), None);
    }
    let mut visits = 0;
    let mut visit = |_, _: &Run| {
        visits += 1;
        ControlFlow::Break(())
    };
    part.each_run(&mut visit).expect("an undamaged part answers");
    assert_eq!(visits, usize::from(!streams.is_empty()), "the visitor may stop");
}

fn check_ids(part: &dyn IndexPart, model: &Model) {
    let given = model.events.iter().filter_map(|event| event.id);
    let all_places = model.places();
    for hash in given.chain([0, 3, 77, u32::MAX]).collect::<BTreeSet<u32>>() {
        let mut places = Vec::new();
        part.id_places(hash, &mut places).expect("an undamaged part answers");
        places.sort_unstable();
        let with_id =
            all_places.iter().copied().zip(&model.events).filter(|(_, event)| event.id == Some(hash));
        assert_eq!(places, with_id.map(|(place, _)| place).collect::<Vec<_>>(), "id {hash}");
    }
}

fn check_filters(part: &dyn IndexPart, model: &Model) {
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let categories = [None, names(&["category0"]), names(&["nothing", "category1", "category0"]), names(&[])];
    let types = [None, names(&["Type2"]), names(&["Type0", "Type300", "Type1"]), names(&["Type"])];
    for (categories, types) in categories.iter().flat_map(|one| types.iter().map(move |other| (one, other))) {
        let passes = |event: &ModelEvent| {
            let category = model.category(event.stream);
            let event_type = Model::event_type(event.event_type);
            categories.as_ref().is_none_or(|wanted| wanted.contains(&category))
                && types.as_ref().is_none_or(|wanted| wanted.contains(&event_type))
        };
        let filter = part.filter(categories.as_deref(), types.as_deref()).expect("an undamaged part answers");
        let Some(filter) = filter else {
            assert!(!model.events.iter().any(passes), "an event passes: {categories:?} {types:?}");
            continue;
        };
        check_matching(part, model, &filter, passes);
    }
}

fn check_matching(
    part: &dyn IndexPart,
    model: &Model,
    filter: &PartFilter,
    passes: impl Fn(&ModelEvent) -> bool,
) {
    let all: Vec<(u32, LogOffset)> = (0..).zip(model.places()).collect();
    for (from, direction, count_max) in questions(model.events.len()) {
        let mut found = Vec::new();
        part.matching(filter, from, direction, count_max, &mut found).expect("an undamaged part answers");
        let mut wanted = slice(&all, from, direction, usize::MAX);
        wanted.retain(|(ordinal, _)| passes(&model.events[usize::try_from(*ordinal).expect("64 bits")]));
        wanted.truncate(count_max);
        assert_eq!(found, wanted, "{filter:?} from {from} {direction:?}, {count_max} at most");
    }
}

/// Segments of all sizes, with few and with many names.
pub(crate) fn models(events_max: usize) -> impl Strategy<Value = Model> {
    let shape =
        (1_u32..60, prop_oneof![1_u32..5, Just(400)], prop_oneof![1_u32..4, Just(300)], 0..events_max);
    shape.prop_flat_map(|(streams, types, categories, count)| {
        let id =
            prop_oneof![2 => any::<u32>().prop_map(Some), 1 => (0_u32..6).prop_map(Some), 2 => Just(None)];
        let event = (0..streams, 0..types, id, 1_u32..100_000)
            .prop_map(|(stream, event_type, id, distance)| ModelEvent { stream, event_type, id, distance });
        proptest::collection::vec(event, count).prop_map(move |events| Model { events, categories })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_in_memory_answers_as_a_look_at_each_event_does(model in models(3_000)) {
        check_part(&model.memory(), &model);
    }
}

fn event(key: StreamKey, file_offset: u32, version: u64) -> MemoryEvent<'static> {
    let (version, timestamp) = (Version::new(version), Timestamp::from_micros(i64::from(file_offset)));
    MemoryEvent { key, category: b"a", event_type: b"b", file_offset, version, timestamp, id_hash: Some(9) }
}

#[test]
fn an_event_that_does_not_go_on_is_refused_and_changes_nothing() {
    let (key, other) = (Model::key(1), Model::key(2));
    let mut index = MemoryIndex::new(SEGMENT, BASE, FIRST);
    let unasked = || Err("not to be asked");
    assert_eq!(index.add(&event(key, 600, 1), unasked), Err("not to be asked"));
    let before = || Ok(StreamBefore { version: Version::new(3), latest: 4 });
    assert!(index.add(&event(key, 600, 3), before).is_err());
    assert_eq!((index.next_position(), index.streams().len()), (FIRST, 0));
    assert_eq!(index.times(), None);
    index.add(&event(key, 600, 4), before).expect("it goes on");
    for (key, file_offset, version) in [(key, 600, 5), (key, 700, 4), (key, 700, 6), (other, 599, 4)] {
        let refused = index.add(&event(key, file_offset, version), before);
        assert!(refused.is_err(), "{file_offset} {version}");
    }
    let collides = StreamKey { hash: key.hash, check: key.check ^ 1 };
    assert!(index.add(&event(collides, 700, 5), before).is_err());
    assert_eq!(
        (index.version(key), index.version(collides), index.version(other)),
        (Some(Version::new(4)), None, None)
    );
    assert_eq!((index.has_hash(key.hash), index.has_hash(other.hash)), (true, false));
    index.add(&event(key, 700, 5), unasked).expect("it goes on, and nobody is asked");
    index.add(&event(other, 800, 1), || Ok(StreamBefore::default())).expect("it is new");
    assert_eq!((index.next_position(), index.streams_new()), (FIRST.plus(3), 1));
    let times = index.times();
    assert_eq!(times, Some((Timestamp::from_micros(600), Timestamp::from_micros(800))));
    let mut places = Vec::new();
    index.id_places(9, &mut places).expect("memory answers");
    assert_eq!(places.len(), 3, "refused events left no id");
}

#[test]
fn a_run_keeps_its_bounds_while_its_stream_grows() {
    let key = Model::key(1);
    let mut index = MemoryIndex::new(SEGMENT, BASE, FIRST);
    index.add(&event(key, 600, 1), || Ok(StreamBefore::default())).expect("it goes on");
    let run = index.run(key).expect("memory answers").expect("it is there");
    index.add(&event(key, 700, 2), || Ok(StreamBefore::default())).expect("it goes on");
    let mut places = Vec::new();
    index.run_places(&run, u32::MAX, Direction::Backwards, 9, &mut places).expect("memory answers");
    assert_eq!(places, [BASE.plus(600)]);
}

/// A full segment: 190,000 events in up to 85,000 streams, each with an id.
#[test]
fn the_index_in_memory_is_small() {
    let mut index = MemoryIndex::new(SEGMENT, BASE, FIRST);
    let mut versions = BTreeMap::new();
    for number in 0..190_000_u32 {
        let stream = xxh3_64(&number.to_le_bytes()) % 85_000;
        let key = StreamKey::of(&stream.to_string(), STORE);
        let version = versions.entry(stream).or_insert(0);
        *version += 1;
        let id_hash = Some(number.wrapping_mul(2_654_435_761));
        let event = MemoryEvent { id_hash, ..event(key, number * 350 + 512, *version) };
        index.add(&event, || Ok(StreamBefore::default())).expect("it goes on");
    }
    assert!(index.streams().len() > 70_000, "{} streams", index.streams().len());
    assert!(index.memory_bytes() <= 10_500_000, "{} bytes", index.memory_bytes());
}

/// What a file says to all that it can be asked, each answer as text; an error where its damage was noticed.
pub(crate) type Answers = Vec<Result<String, ()>>;

/// Damages a file in each of its bits, and at each length: it answers as it did before, or not at all, and something of it
/// notices.
pub(crate) fn check_damage(file: &[u8], answers: impl Fn(&[u8], ReadMode) -> IndexResult<Answers>) {
    let right = answers(file, ReadMode::Mapped).expect("an undamaged file opens");
    assert!(right.iter().all(Result::is_ok));
    let mut damaged = file.to_vec();
    for bit in 0..file.len() * 8 {
        damaged[bit / 8] ^= 1 << (bit % 8);
        let read = if bit % 11 == 0 { ReadMode::Pread } else { ReadMode::Mapped };
        if let Ok(answers) = answers(&damaged, read) {
            let is_right = |(answer, right): (&Result<_, ()>, _)| answer.is_err() || answer == right;
            assert!(answers.iter().zip(&right).all(is_right), "bit {} of byte {}", bit % 8, bit / 8);
            assert!(answers.iter().any(Result::is_err), "bit {} of byte {} is noticed", bit % 8, bit / 8);
        }
        damaged[bit / 8] ^= 1 << (bit % 8);
    }
    for length in 0..file.len() {
        assert!(answers(&file[..length], ReadMode::Mapped).is_err(), "{length} bytes");
    }
}
