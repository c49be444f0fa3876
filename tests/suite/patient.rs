//! A small store on a simulated disk, with all that is known of its bytes: for surgery.

use std::{
    ops::ControlFlow,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    Clock, Creation, Durability, EventData, EventId, EventStore, ExpectedVersion, IdGenerator, Options,
    Position, SEGMENT_BYTES_MIN, SimDisk, StoredEvent, StreamId, Timestamp, Verification, verify_on,
};

use crate::log_bytes::{DATA, FramePlace, frames, get_u32, get_u64};

pub(crate) const STORE: &str = "/store";

/// How the patient's writer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// With index files of all segments.
    Closed,
    /// Without an index file of the last segment.
    Killed,
    /// Without any index file.
    Bare,
}

/// A store as its bytes, and what is known of them.
pub(crate) struct Patient {
    pub(crate) disk: SimDisk,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) records: Vec<RecordPlace>,
}

/// Where a record stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RecordPlace {
    pub(crate) position: u64,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Range<usize>,
    pub(crate) frame: FramePlace,
}

/// Ids and times that count up, so that two patients are the same to the byte.
#[derive(Default, Debug)]
struct Counting(AtomicU64);

impl Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

impl Clock for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_767_323_045_000_000 + i64::try_from(self.next()).expect("a small number"))
    }
}

impl IdGenerator for Counting {
    fn next_id(&self) -> EventId {
        EventId::new(&format!("event-{}", self.next())).expect("a valid id")
    }
}

pub(crate) fn options() -> Options {
    let (clock, ids) = (Arc::new(Counting::default()), Arc::new(Counting::default()));
    Options::new().segment_bytes(SEGMENT_BYTES_MIN).clock(clock).id_generator(ids)
}

pub(crate) fn log_path(number: u64) -> PathBuf {
    PathBuf::from(format!("{STORE}/segments/{number:012}.log"))
}

pub(crate) fn index_path(number: u64) -> PathBuf {
    PathBuf::from(format!("{STORE}/segments/{number:012}.idx"))
}

pub(crate) fn open(disk: &SimDisk) -> annals::Result<EventStore> {
    EventStore::open_on(Arc::new(disk.mount()), STORE, options().creation(Creation::Never))
}

pub(crate) fn verified(disk: &SimDisk) -> Verification {
    verify_on(Arc::new(disk.mount()), STORE, &mut |_| ControlFlow::Continue(()))
        .expect("a store that can be looked at")
}

/// All events, those of the store's own streams too.
pub(crate) fn everything(store: &EventStore) -> Vec<StoredEvent> {
    let all = annals::Query::all().including_system();
    store.read(all).collect::<annals::Result<_>>().expect("every event can be read")
}

/// Appends so many commits of three events to five streams.
pub(crate) fn append(store: &EventStore, numbers: Range<u8>) {
    for number in numbers {
        let stream = StreamId::new(format!("order-{}", number % 5)).expect("a valid name");
        let events = (0..3).map(|index| {
            let data =
                [vec![number; 60 + usize::from(number) * 7 % 90], vec![0; 40], vec![index; 9]].concat();
            EventData::new("OrderChanged", data)
        });
        store.append(&stream, ExpectedVersion::Any, events).expect("an append");
    }
}

impl Patient {
    /// A store of four segments or more, with a checkpoint, written in two sessions.
    pub(crate) fn new(end: End) -> Self {
        Self::of(end, &options(), 9, 20)
    }

    /// One of two segments.
    pub(crate) fn small(end: End) -> Self {
        Self::of(end, &options(), 2, 6)
    }

    /// One like the first, without syncs at each append.
    pub(crate) fn buffered(end: End) -> Self {
        Self::of(end, &options().durability(Durability::Buffered), 9, 20)
    }

    fn of(end: End, options: &Options, first_session: u8, commits: u8) -> Self {
        let disk = SimDisk::new(8);
        let begin = || EventStore::open_on(Arc::new(disk.mount()), STORE, options.clone()).expect("a store");
        let store = begin();
        append(&store, 0..first_session);
        let third = store.read_all().nth(2).expect("three events").expect("readable");
        store.save_checkpoint("mailer", third.cursor()).expect("it is an event of the log");
        store.close().expect("a close");
        let store = begin();
        append(&store, first_session..commits);
        let events = everything(&store);
        if end == End::Closed {
            store.close().expect("a close");
        } else {
            disk.crash_process();
            drop(store);
        }
        let disk = disk.snapshot(1);
        if end == End::Bare {
            let is_derived =
                |path: &PathBuf| path.extension() == Some("idx".as_ref()) || path.ends_with("streams.dir");
            disk.files().into_iter().filter(is_derived).for_each(|path| {
                disk.remove_file(path).expect("it is there");
            });
        }
        let records = records_of(&disk);
        assert_eq!(records.len(), events.len());
        Self { disk, events, records }
    }

    /// Another one that is just like it.
    pub(crate) fn copy(&self) -> Self {
        Self { disk: self.disk.snapshot(2), events: self.events.clone(), records: self.records.clone() }
    }

    pub(crate) fn logs(&self) -> Vec<(PathBuf, Vec<u8>)> {
        logs_of(&self.disk)
    }

    /// Makes it what a restore is that lacks no more than its last rename.
    pub(crate) fn restore_all_but_a_name(&self) -> std::io::Result<()> {
        for (path, content) in self.logs() {
            let name = path.file_name().expect("a log has a name");
            self.disk.write_file(Path::new(STORE).join("segments.restoring").join(name), content)?;
            self.disk.remove_file(&path)?;
        }
        Ok(())
    }

    pub(crate) fn last(&self) -> u64 {
        self.events.len() as u64
    }

    /// Changes a file's bytes.
    pub(crate) fn change(&self, path: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
        let path = path.as_ref();
        let mut content = self.disk.read_file(path).expect("it is there");
        change(&mut content);
        self.disk.write_file(path, content).expect("surgery");
    }

    /// Flips a bit in the record of a position.
    pub(crate) fn flip(&self, position: u64, at: usize) {
        let record = self.record(position).clone();
        self.change(&record.path, |content| content[record.bytes.start + at] ^= 4);
    }

    pub(crate) fn record(&self, position: u64) -> &RecordPlace {
        self.records.iter().find(|record| record.position == position).expect("a record of this position")
    }

    /// The position of the first event in a segment.
    pub(crate) fn first_in(&self, number: u64) -> u64 {
        let first = self.records.iter().find(|record| record.path == log_path(number));
        first.expect("every segment has events").position
    }

    /// The positions of the records that don't stand in the patient's disk as they did.
    pub(crate) fn touched(&self, original: &Self) -> Vec<u64> {
        let is_touched = |record: &&RecordPlace| {
            let (now, then) = (self.disk.read_file(&record.path), original.disk.read_file(&record.path));
            let then = then.expect("it was there");
            now.and_then(|now| now.get(record.bytes.clone()).map(<[u8]>::to_vec))
                != Some(then[record.bytes.clone()].to_vec())
        };
        original.records.iter().filter(is_touched).map(|record| record.position).collect()
    }
}

pub(crate) fn logs_of(disk: &SimDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let is_log = |path: &PathBuf| path.extension() == Some("log".as_ref()) && path.starts_with(STORE);
    let content = |path: PathBuf| (path.clone(), disk.read_file(&path).expect("it is listed"));
    let mut logs: Vec<_> = disk.files().into_iter().filter(is_log).map(content).collect();
    logs.retain(|(path, _)| path.parent().is_some_and(|parent| parent.ends_with("segments")));
    logs.sort();
    logs
}

/// Where each record stands, by the layout alone.
pub(crate) fn records_of(disk: &SimDisk) -> Vec<RecordPlace> {
    let mut records = Vec::new();
    for (path, content) in logs_of(disk) {
        for frame in frames(&content).into_iter().filter(|frame| frame.kind == DATA) {
            let mut at = frame.payload();
            while at < frame.payload_end {
                let end = at + get_u32(&content, at) as usize;
                let position = get_u64(&content, at + 8);
                records.push(RecordPlace { position, path: path.clone(), bytes: at..end, frame });
                at = end;
            }
        }
    }
    records
}

/// The positions that a verification says are lost, up to the last one that there was.
pub(crate) fn lost(verification: &Verification, last: u64) -> Vec<u64> {
    (1..=last)
        .filter(|position| verification.lost.iter().any(|range| range.contains(Position::new(*position))))
        .collect()
}

/// The positions that a verification says are intact.
pub(crate) fn intact(verification: &Verification) -> Vec<u64> {
    let all = |range: &annals::PositionRange| {
        range.first.get()..=range.last.expect("what is intact ends somewhere").get()
    };
    verification.intact.iter().flat_map(all).collect()
}

/// The streams and versions that a verification says are lost.
pub(crate) fn lost_versions(verification: &Verification) -> Vec<(String, u64)> {
    let all = |lost: &annals::LostVersions| {
        let name = lost.stream.as_ref().map_or("?".to_owned(), ToString::to_string);
        (lost.first.get()..=lost.last.get()).map(move |version| (name.clone(), version)).collect::<Vec<_>>()
    };
    verification.lost_versions.iter().flat_map(all).collect()
}

/// The positions and ids that a verification says events have that are lost.
pub(crate) fn lost_ids(verification: &Verification) -> Vec<(u64, String)> {
    verification.lost_ids.iter().map(|lost| (lost.position.get(), lost.seeming_id.to_string())).collect()
}

/// The streams and versions of events.
pub(crate) fn versions_of(events: &[StoredEvent], positions: &[u64]) -> Vec<(String, u64)> {
    let mut versions: Vec<(String, u64)> = events
        .iter()
        .filter(|event| positions.contains(&event.position.get()))
        .map(|event| (event.stream.to_string(), event.version.get()))
        .collect();
    versions.sort();
    versions
}
