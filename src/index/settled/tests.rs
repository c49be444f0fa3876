//! What can't be met from outside: names whose hashes are equal.

use std::{path::Path, sync::Arc};

use crate::{
    committed::Committed,
    disk::{contract::Disk, sim::simulated::SimDisk},
    event::EventData,
    index::{
        key::StreamKey,
        memory::{MemoryEvent, MemoryIndex, StreamBefore},
        part::IndexPart,
        settled::{FrozenPart, SettledPart},
    },
    log::scan::ChainEnd,
    opening,
    options::{Options, SEGMENT_BYTES_MIN},
    position::{ExpectedVersion, Version},
    store::EventStore,
    stream::StreamId,
    time::Timestamp,
};

const STORE: &str = "/store";
const STREAMS: [&str; 4] = ["sealed-1", "sealed-2", "begun-1", "tail-1"];

fn options() -> Options {
    Options::new().segment_bytes(SEGMENT_BYTES_MIN)
}

fn append(store: &EventStore, stream: &str) {
    let stream = StreamId::new(stream).expect("a valid name");
    let event = EventData::new("Happened", vec![0; 600]);
    store.append(&stream, ExpectedVersion::Any, [event]).expect("an append");
}

/// A store with streams in sealed segments, one in the active segment's index file, and one in the tail.
fn committed() -> Arc<Committed> {
    let disk = SimDisk::new(1);
    let open = || EventStore::open_on(Arc::new(disk.mount()), STORE, options()).expect("a whole store");
    let store = open();
    for number in 0..8 {
        append(&store, STREAMS[number % 2]);
    }
    append(&store, "begun-1");
    store.close().expect("a close");
    let store = open();
    append(&store, "tail-1");
    disk.crash_process();
    drop(store);
    let disk: Arc<dyn Disk> = Arc::new(disk.mount());
    let committed = opening::open(&disk, Path::new(STORE), &options()).expect("a whole store").committed;
    let settled = committed.settled();
    assert!(settled.sealed().count() > 1 && settled.begun().is_some(), "every kind of part is there");
    committed
}

/// Another name's key, with the same hash.
fn colliding(key: StreamKey) -> StreamKey {
    StreamKey { check: key.check ^ 1, ..key }
}

#[test]
fn a_name_with_the_hash_of_another_stream_is_refused_wherever_that_is() {
    let committed = committed();
    for stream in STREAMS {
        let key = committed.key(stream);
        let version = committed.version(key).expect("it is looked up");
        let (end, _) = committed.stream_end(key).expect("it is looked up").expect("it is the stream's own");
        assert!(end == version && end > Version::NONE, "{stream}: {end}");
        assert_eq!(committed.version(colliding(key)).expect("it is looked up"), Version::NONE, "{stream}");
        let taken = committed.stream_end(colliding(key)).expect("it is looked up");
        assert_eq!(taken, None, "{stream}");
    }
    let new = committed.stream_end(committed.key("new-1")).expect("it is looked up");
    assert_eq!(new, Some((Version::NONE, Some(StreamBefore::default()))));
}

#[test]
fn a_name_with_the_hash_of_a_stream_whose_index_file_is_being_made_is_refused() {
    let committed = committed();
    let key = committed.key("frozen-1");
    let state = committed.state();
    let mut index =
        MemoryIndex::new(state.tail.span().segment, state.active.header.base, state.tail.next_position());
    let event = MemoryEvent {
        key,
        category: b"frozen",
        event_type: b"Happened",
        file_offset: 2_048,
        version: Version::FIRST,
        timestamp: Timestamp::MIN,
        id_hash: None,
    };
    index.add(&event, || Ok(StreamBefore::default())).expect("it is the first");
    let frozen =
        FrozenPart { index, view: Arc::clone(&state.active), end: ChainEnd::beginning(&state.active.header) };
    let settled = state.settled.with_recent(SettledPart::Frozen(Arc::new(frozen)));
    assert!(settled.is_taken(colliding(key)).expect("memory answers"));
    assert_eq!(settled.version(colliding(key)).expect("memory answers"), Version::NONE);
    assert!(!settled.is_taken(committed.key("new-1")).expect("memory answers"));
}
