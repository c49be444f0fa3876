//! A full disk refuses an append, and nothing else.

use std::{io::ErrorKind, sync::Arc};

use annals::{DiskOperation, Error, EventData, EventStore, ExpectedVersion, Fault, Options, SimDisk};

use crate::support::{Outcome, stream};

fn open(disk: &SimDisk) -> annals::Result<EventStore> {
    EventStore::open_on(Arc::new(disk.mount()), "/store", Options::new().segment_bytes(4_096))
}

fn append(store: &EventStore, byte: u8) -> annals::Result<()> {
    let event = EventData::new("Written", vec![byte; 2_000]);
    store.append(&stream("page-1"), ExpectedVersion::Any, [event]).map(drop)
}

fn is_full(result: annals::Result<()>) -> bool {
    matches!(result, Err(Error::Io { source, .. }) if source.kind() == ErrorKind::StorageFull)
}

#[test]
fn a_new_segment_whose_first_frame_finds_no_room_is_read_later__F12() -> Outcome {
    let disk = SimDisk::new(1);
    let store = open(&disk)?;
    append(&store, b'a')?;
    // The segment is sealed, and there is no room for the next.
    disk.fail(Fault::new(ErrorKind::StorageFull).on(DiskOperation::Create));
    assert!(is_full(append(&store, b'b')));
    store.close()?;
    disk.clear_faults();
    let store = open(&disk)?;
    // Now there is room for the next segment, but not for the EPOCH in it.
    disk.fail(Fault::new(ErrorKind::StorageFull).on(DiskOperation::Write).at(2));
    assert!(is_full(append(&store, b'c')));
    disk.clear_faults();
    append(&store, b'd')?;
    append(&store, b'e')?;
    for store in [store, open(&disk.snapshot(2))?] {
        let read: Vec<u8> =
            store.read_all().map(|event| event.map(|event| event.data[0])).collect::<Result<_, _>>()?;
        assert_eq!(String::from_utf8(read)?, "ade");
        assert_eq!(store.info()?.segments, 3);
    }
    Ok(())
}
