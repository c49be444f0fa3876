//! Opening where a log's end is far: offsets beyond 4 GiB.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{ops::ControlFlow, path::Path, sync::Arc};

use crate::{
    disk::sim::simulated::SimDisk,
    error::Result,
    event::{EventData, StoredEvent},
    format::{control::StoreMeta, frame::EpochMode, segment_header::SegmentHeader},
    inspect::verify::verify_on,
    log::{creation, segment::Segment},
    options::{Options, SEGMENT_BYTES_MIN},
    position::{ExpectedVersion, LogOffset, Position},
    store::EventStore,
    stream::StreamId,
};

const STORE: &str = "/store";

/// The number of the store's first segment, as if those before it had been dropped.
const FIRST_SEGMENT: u64 = 70;

/// A store whose log goes on from an offset.
fn store_at(base: u64) -> SimDisk {
    let disk = SimDisk::new(1);
    let (path, store_id) = (Path::new(STORE), 7);
    creation::create_directory(&disk, path).expect("a directory");
    creation::create_directory(&disk, &path.join("segments")).expect("a directory");
    let base = LogOffset::new(base);
    let header = SegmentHeader {
        store_id,
        number: FIRST_SEGMENT,
        rewrite: 0,
        chain: 0x1234_5678,
        base,
        first_position: Position::FIRST,
        durable: base,
        epoch: 3,
        mode: EpochMode::Fsync,
    };
    Segment::create(&disk, path, header).expect("a segment");
    let meta = StoreMeta { store_id, created: 0, first_segment: FIRST_SEGMENT };
    creation::write_meta(&disk, path, &meta).expect("store.meta");
    disk
}

#[test]
fn a_log_beyond_four_gibibytes_is_written_cut_off_and_read__F29() {
    // One crosses the boundary with its segments, the others lie far behind it.
    for base in [(4_u64 << 30) - (8 << 10), 5 << 30, 1 << 40, 1 << 60] {
        let disk = store_at(base);
        let options = || Options::new().segment_bytes(SEGMENT_BYTES_MIN);
        let open = || EventStore::open_on(Arc::new(disk.mount()), STORE, options()).expect("it opens");
        let order = StreamId::new("order-1").expect("a valid name");
        for round in 0_u64..4 {
            let store = open();
            assert_eq!(store.last_position(), Position::new(10 * round), "base {base}");
            for number in 0..10 {
                let event = EventData::new("Changed", vec![number; 900]);
                store.append(&order, ExpectedVersion::Any, [event]).expect("an append");
            }
            if round % 2 == 0 {
                store.close().expect("it closes");
            } else {
                disk.power_cut();
            }
        }
        let store = open();
        let events: Vec<StoredEvent> = store.read_all().collect::<Result<_>>().expect("all is read");
        assert_eq!(events.len(), 40, "base {base}");
        assert!(events.iter().zip(0_u64..).all(|(event, number)| u64::from(event.data[0]) == number % 10));
        store.close().expect("it closes");
        let found = verify_on(Arc::new(disk.clone()), STORE, &mut |_| ControlFlow::Continue(()))
            .expect("it is verified");
        assert!(found.damage.is_empty() && found.events == 40, "base {base}: {found:?}");
    }
}
