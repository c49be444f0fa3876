//! Stores around the bytes of an input, on the simulated disk.

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use annals::{
    Clock, Creation, Disk, EventData, EventId, EventStore, ExpectedVersion, IdGenerator, Options, SimDisk,
    SnapshotData, StoredEvent, StreamId, Timestamp, Version,
};

use super::mend::{LogEnd, Mender};

pub(crate) const STORE: &str = "/store";

/// The store id of the stores that are made of an input.
pub(crate) const STORE_ID: u64 = 0x0A11_A15E_ED0F_F022;

/// Files by their names in a directory.
pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// The time at which everything begins.
pub(crate) const BEGIN_MICROS: i64 = 1_767_323_045_000_006;

/// A clock that goes on by a millisecond each time it is asked.
#[derive(Debug)]
struct CountedClock(AtomicI64);

impl Clock for CountedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1_000, Ordering::Relaxed))
    }
}

/// Makes UUIDs that count up.
#[derive(Debug)]
struct CountedIds(AtomicU64);

impl IdGenerator for CountedIds {
    fn next_id(&self) -> EventId {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        EventId::new(&format!("01234567-89ab-7def-8123-{count:012x}")).expect("a UUID")
    }
}

pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(CountedClock(AtomicI64::new(BEGIN_MICROS)))
}

/// Options by which nothing depends on the machine, for a store that is there.
pub(crate) fn options() -> Options {
    Options::new()
        .segment_bytes(4 << 10)
        .creation(Creation::Never)
        .clock(clock())
        .id_generator(Arc::new(CountedIds(AtomicU64::new(1))))
}

pub(crate) fn path(name: &str) -> PathBuf {
    PathBuf::from(STORE).join(name)
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("segments/{number:012}.log")
}

/// A disk on which a store's directory has these files.
pub(crate) fn disk_with(files: &[(&str, &[u8])]) -> SimDisk {
    let disk = SimDisk::new(7);
    for (name, content) in files {
        put(&disk, name, content);
    }
    disk
}

/// Puts a file into the store. What the disk can't have, such as a file in a file, isn't there.
pub(crate) fn put(disk: &SimDisk, name: &str, content: &[u8]) {
    drop(disk.write_file(path(name), content));
}

/// The run of the system in which all of these disks are.
pub(crate) fn boot_id() -> u128 {
    SimDisk::new(7).boot_id().expect("a whole disk has one")
}

/// The store.meta of a store whose first segment is number 1.
pub(crate) fn meta(store_id: u64) -> Vec<u8> {
    let mut file = vec![0; 44];
    file[36] = 1;
    Mender::all().meta(&mut file, store_id);
    file
}

/// A segment with these bytes behind its header, which goes on from a log's end.
pub(crate) fn segment_with(frames: &[u8], before: &LogEnd) -> Vec<u8> {
    let mut file = vec![0; 512];
    // The frames stay as they are: nothing stands behind the header yet.
    Mender::all().segment(&mut file, before);
    file.extend_from_slice(frames);
    file
}

/// A frame with one event, not checked in any way: all but lengths and names is for the mender to put.
pub(crate) fn frame_with(stream: &str, event_type: &str, data: &[u8]) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).expect("a short name").to_le_bytes();
    let long = |length: usize| u32::try_from(length).expect("an input is short").to_le_bytes();
    let mut record = vec![0; 56];
    record[32] = 6;
    record[34] = 1;
    record[40..44].copy_from_slice(&long(data.len()));
    record[48..50].copy_from_slice(&short(stream.len()));
    record[50..52].copy_from_slice(&short(event_type.len()));
    record[54] = 16;
    record.extend_from_slice(&[7; 16]);
    for part in [stream.as_bytes(), event_type.as_bytes(), data] {
        record.extend_from_slice(part);
    }
    let length = record.len();
    record[..4].copy_from_slice(&long(length));
    let mut frame = vec![0; 64];
    frame[24..28].copy_from_slice(&long(length));
    frame[52] = 1;
    frame.extend_from_slice(&record);
    frame.resize(frame.len().next_multiple_of(64), 0);
    frame
}

/// A store that is whole, and what it holds.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) disk: SimDisk,
    pub(crate) store_id: u64,
    pub(crate) segments: u64,
    pub(crate) events: Vec<StoredEvent>,
}

/// A store of a few small segments, with index files, a directory of streams and snapshots.
pub(crate) fn reference() -> &'static Reference {
    static REFERENCE: OnceLock<Reference> = OnceLock::new();
    REFERENCE.get_or_init(|| {
        let disk = SimDisk::new(7);
        let open =
            || EventStore::open_on(Arc::new(disk.clone()), STORE, options().creation(Creation::IfMissing));
        let store = open().expect("a new store");
        for number in 0..16_u64 {
            let stream = StreamId::new(format!("order-{}", number % 4)).expect("a name");
            let id = EventId::new(&format!("request-{number}")).expect("an id");
            let data = vec![b'a' + u8::try_from(number).expect("few"); 450];
            let event =
                EventData::new(["Placed", "Paid", "Sent"][usize::try_from(number % 3).expect("few")], data);
            let event = if number % 2 == 0 { event.with_id(id) } else { event };
            store.append(&stream, ExpectedVersion::Any, [event]).expect("an append");
        }
        for (stream, version) in [("order-0", 2), ("order-0", 4), ("order-1", 3)] {
            let stream = StreamId::new(stream).expect("a name");
            let state = SnapshotData::new("Order", vec![1, 2, 3, 0, 0, 9]);
            store.save_snapshot(&stream, Version::new(version), state).expect("a snapshot");
        }
        let events = store.read_all().collect::<Result<Vec<_>, _>>().expect("a whole store");
        store.close().expect("a close");
        let meta = disk.read_file(path("store.meta")).expect("it is there");
        let store_id = super::little::get_u64(&meta, 20);
        let is_log = |path: &PathBuf| path.extension() == Some("log".as_ref());
        let segments = disk.files().iter().filter(|path| is_log(path)).count() as u64;
        assert!(segments > 2, "the reference is to have sealed segments");
        Reference { disk: disk.snapshot(7), store_id, segments, events }
    })
}
