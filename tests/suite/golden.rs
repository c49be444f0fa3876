//! Stores of each format version, as they were written once, are read and written again for ever.
//!
//! tests/golden/v1 has a folder for each store: its files, `events.jsonl`, which says what is in it, and where it has
//! snapshots, `snapshots.jsonl`. They
//! were made by this file with `ANNALS_GOLDEN=write cargo test --locked --test suite golden`, which makes
//! what is missing and never changes what is there.
//!
//! Two things in a store don't come from its caller, so two things are compared in another way. An EPOCH
//! frame names the crate's version, and the chain rests on its checksum: before the comparison the golden
//! writer's name is put into the new store's EPOCH frames, and the chain made right again, with nothing but
//! what docs/file-format.md says. And durable.mark counts how often it was written, which a slow machine does
//! once more (it is written when the store is idle): where the counts differ, what it says is compared.

use std::{
    collections::BTreeMap,
    env, fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use annals::{
    Clock, Commit, ContentType, Creation, Durability, EventData, EventId, EventStore, ExpectedVersion,
    IdGenerator, Metadata, OccurredAt, Options, Snapshot, SnapshotData, SnapshotInfo, StoredEvent, Timestamp,
    Version,
};
use serde_json::{Value, json};

use crate::{
    log_bytes::{EPOCH, FramePlace, SEAL, fix_checksum_at_8, fix_frame, frames, get_u32, get_u64, put_u32},
    support::{Outcome, stream},
};

/// What the golden stores' EPOCH frames name as their writer.
const WRITER: &[u8] = b"annals 0.1.0";

/// 2026-01-02T03:04:05.000006Z.
const BEGINNING_MICROS: i64 = 1_767_323_045_000_006;

/// A clock that goes on by a second each time it is asked.
#[derive(Debug)]
struct SecondsClock(AtomicI64);

impl Clock for SecondsClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.fetch_add(1_000_000, Ordering::Relaxed))
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

/// A golden store: how it is opened, and what is done to it.
struct Golden {
    name: &'static str,
    durability: Durability,
    segment_bytes: u64,
    write: fn(&dyn Fn() -> EventStore),
}

const GOLDEN: &[Golden] = &[
    Golden { name: "one-event", durability: Durability::Fsync, segment_bytes: 64 << 20, write: one_event },
    Golden {
        name: "every-field",
        durability: Durability::Fsync,
        segment_bytes: 64 << 20,
        write: every_field,
    },
    Golden { name: "two-segments", durability: Durability::Fsync, segment_bytes: 4_096, write: two_segments },
    Golden { name: "buffered", durability: Durability::Buffered, segment_bytes: 64 << 20, write: buffered },
    Golden { name: "snapshots", durability: Durability::Fsync, segment_bytes: 64 << 20, write: snapshots },
];

fn append(store: &EventStore, name: &str, events: impl IntoIterator<Item = EventData>) {
    store.append(&stream(name), ExpectedVersion::Any, events).expect("an append");
}

fn one_event(open: &dyn Fn() -> EventStore) {
    let store = open();
    let event = EventData::json("OrderPlaced", &json!({"item": "book"})).expect("JSON");
    append(&store, "order-17", [event]);
    store.close().expect("closing");
}

fn every_field(open: &dyn Fn() -> EventStore) {
    let store = open();
    let mut metadata = Metadata {
        correlation_id: Some("checkout-7".into()),
        causation_id: Some("command-3".into()),
        user_id: Some("ana".into()),
        tenant_id: Some("north".into()),
        ..Metadata::default()
    };
    metadata.custom.insert("region".into(), "eu".into());
    let given_uuid = EventId::new("f81d4fae-7dec-41d0-a765-00a0c91e6bf6").expect("an id");
    let given_text = EventId::new("deposit № 1").expect("an id");
    let at = |micros, offset_minutes| OccurredAt { time: Timestamp::from_micros(micros), offset_minutes };
    let batch = [
        EventData::new("MoneyDeposited", "500").with_id(given_text).with_occurred_at(at(-1, 330)),
        EventData::new("MoneyWithdrawn", vec![0, 255, 7])
            .with_id(given_uuid)
            .with_content_type(ContentType::BINCODE)
            .with_schema_version(4_000_000_000)
            .with_occurred_at(at(1_767_323_000_000_000, -90))
            .with_metadata(&metadata)
            .expect("JSON"),
        EventData::new("AccountClosed", ""),
    ];
    append(&store, "account-1", batch);
    let names = [
        EventData::json("Größe geändert 📏", &json!({"größe": 3})).expect("JSON"),
        EventData::new("Sealed", "raw").with_content_type(ContentType::new(200)),
    ];
    let bytes = EventData::new("Moved", "x").with_metadata_bytes([1, 2, 0], ContentType::BYTES);
    let commit = Commit::new()
        .append(&stream("kunde-Åsa 顧客"), ExpectedVersion::NoStream, names)
        .append(&stream("warehouse"), ExpectedVersion::NoStream, [bytes])
        .check(&stream("account-1"), ExpectedVersion::StreamExists);
    store.commit(commit).expect("a commit");
    store.close().expect("closing");
}

fn two_segments(open: &dyn Fn() -> EventStore) {
    let store = open();
    for number in 0..3_u8 {
        // The second event has whole pieces of zeros; the third doesn't fit behind it.
        let mut data = vec![b'a' + number; 1_400];
        data[10..1_390].fill(if number == 1 { 0 } else { b'-' });
        append(&store, "page-1", [EventData::new("PageWritten", data)]);
    }
    store.close().expect("closing");
}

fn buffered(open: &dyn Fn() -> EventStore) {
    // One append an opening: what is durable when a frame is built doesn't depend on the machine then.
    for number in 0..2 {
        let store = open();
        append(&store, "counter-1", [EventData::json("Counted", &number).expect("JSON")]);
        store.close().expect("closing");
    }
}

fn snapshots(open: &dyn Fn() -> EventStore) {
    let store = open();
    for (number, cents) in [(1, 500), (2, 250), (1, -100), (1, 50)] {
        let event_type = if cents > 0 { "MoneyDeposited" } else { "MoneyWithdrawn" };
        append(&store, &format!("account-{number}"), [EventData::json(event_type, &cents).expect("JSON")]);
    }
    let states = [
        (1, 2, SnapshotData::json("Account", &json!({"cents": 400})).expect("JSON")),
        (1, 3, SnapshotData::json("Account", &json!({"cents": 450})).expect("JSON").with_schema_version(2)),
        (1, 3, SnapshotData::new("Größe", [3, 0, 0, 255]).with_content_type(ContentType::new(200))),
        (2, 1, SnapshotData::new("Account", "")),
    ];
    for (number, version, data) in states {
        let stream = stream(&format!("account-{number}"));
        store.save_snapshot(&stream, Version::new(version), data).expect("a snapshot is saved");
    }
    store.close().expect("closing");
}

impl Golden {
    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(self.name)
    }

    /// Writes the store below `directory`, and returns its path.
    fn make(&self, directory: &Path) -> PathBuf {
        let path = directory.join("store");
        let clock = Arc::new(SecondsClock(AtomicI64::new(BEGINNING_MICROS)));
        let ids = Arc::new(CountedIds(AtomicU64::new(1)));
        let open = || {
            let options = Options::new()
                .durability(self.durability)
                .segment_bytes(self.segment_bytes)
                .clock(clock.clone())
                .id_generator(ids.clone());
            EventStore::open_with(&path, options).expect("a store")
        };
        (self.write)(&open);
        path
    }

    fn expected_events(&self) -> Vec<Value> {
        lines_of(&fs::read_to_string(self.folder().join("events.jsonl")).expect("events.jsonl"))
    }

    /// None, where the store has none.
    fn expected_snapshots(&self) -> Vec<Value> {
        let path = self.folder().join("snapshots.jsonl");
        if path.exists() { lines_of(&fs::read_to_string(path).expect("readable")) } else { Vec::new() }
    }
}

fn lines_of(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The store's files below a path, without what isn't part of it.
fn files(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![store.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(store).expect("it is below").to_string_lossy().into_owned();
            let is_of_one_boot = name == "head" || name == "writer.pid";
            // The index's files are derived; tests/suite/index_files.rs is about them.
            let is_index = path.extension() == Some("idx".as_ref()) || name == "streams.dir";
            if path.is_dir() {
                waiting.push(path);
            } else if !is_of_one_boot && !is_index && path.extension() != Some("jsonl".as_ref()) {
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
    }
    files
}

fn write_files(store: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = store.join(name);
        fs::create_dir_all(path.parent().expect("it is below the store")).expect("a directory");
        fs::write(path, bytes).expect("a file");
    }
}

/// What a store says, in the form of events.jsonl.
fn events_of(store: &EventStore) -> Vec<Value> {
    store.read_all().map(|event| value_of(&event.expect("an event"))).collect()
}

fn value_of(event: &StoredEvent) -> Value {
    let occurred_at = event.occurred_at.map(|at| json!([at.time.micros(), at.offset_minutes]));
    json!({
        "position": event.position.get(),
        "stream": event.stream.as_str(),
        "version": event.version.get(),
        "id": event.id.to_string(),
        "idIsUuid": event.id.as_uuid().is_some(),
        "type": event.event_type,
        "timestampMicros": event.timestamp.micros(),
        "occurredAtMicrosAndOffsetMinutes": occurred_at,
        "schemaVersion": event.schema_version,
        "contentType": event.content_type.number(),
        "dataHex": hex(&event.data),
        "metadataContentType": event.metadata_content_type.number(),
        "metadataHex": hex(&event.metadata_bytes),
    })
}

/// The snapshots that a store gives, newest of each stream and type, in the form of snapshots.jsonl.
fn snapshots_of(store: &EventStore) -> Vec<Value> {
    let list = store.all_snapshots().expect("a list");
    assert!(list.ignored.is_empty(), "{:?}", list.ignored);
    let load = |info: &SnapshotInfo| {
        let search = store.snapshot_at(&info.stream, &info.state_type, info.version).expect("a search");
        search.snapshot.expect("it is listed")
    };
    list.snapshots.iter().map(|info| value_of_snapshot(&load(info))).collect()
}

fn value_of_snapshot(snapshot: &Snapshot) -> Value {
    json!({
        "stream": snapshot.stream.as_str(),
        "stateType": snapshot.state_type,
        "version": snapshot.version.get(),
        "position": snapshot.position.get(),
        "createdMicros": snapshot.created.micros(),
        "schemaVersion": snapshot.schema_version,
        "contentType": snapshot.content_type.number(),
        "stateHex": hex(&snapshot.state),
    })
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a text");
        text
    })
}

/// Puts the golden writer's name into the EPOCH frames of a store's segments, and makes the chain right; it
/// must have been right before.
fn put_golden_writer(files: &mut BTreeMap<String, Vec<u8>>) {
    let (mut chain_before, mut chain) = (0, 0);
    for (_, segment) in files.iter_mut().filter(|(name, _)| name.starts_with("segments/")) {
        assert_eq!(get_u32(segment, 36), chain_before, "a segment goes on from the one before it");
        assert_eq!(get_u32(segment, 8), crc32fast::hash(&segment[12..512]), "the header's checksum");
        put_u32(segment, 36, chain);
        fix_checksum_at_8(segment, 512);
        for mut frame in frames(segment) {
            let header_crc_before = get_u32(segment, frame.start + 4);
            assert_eq!(get_u32(segment, frame.start + 32), chain_before, "a frame goes on");
            assert_frame_checksums(segment, frame);
            if frame.kind == EPOCH {
                frame = with_golden_writer(segment, frame);
            }
            put_u32(segment, frame.start + 32, chain);
            if frame.kind == SEAL {
                // The next segment goes on from the frame before the SEAL.
                assert_eq!(get_u32(segment, frame.payload() + 8), chain_before, "what the SEAL names");
                put_u32(segment, frame.payload() + 8, chain);
                fix_frame(segment, frame);
            } else {
                chain_before = header_crc_before;
                chain = fix_frame(segment, frame);
            }
        }
    }
}

fn assert_frame_checksums(segment: &[u8], frame: FramePlace) {
    let mut fixed = segment.to_vec();
    fix_frame(&mut fixed, frame);
    assert!(fixed == segment, "the checksums of the frame at {} are right", frame.start);
}

/// Puts the golden writer's name into an EPOCH frame.
fn with_golden_writer(segment: &mut [u8], frame: FramePlace) -> FramePlace {
    let writer_bytes = u32::try_from(WRITER.len()).expect("short");
    let (name, payload_end) = (frame.payload() + 8, frame.payload() + 8 + WRITER.len());
    assert_eq!(frame.end, payload_end.next_multiple_of(64), "a writer's name has up to 56 bytes");
    segment[name..frame.end].fill(0);
    segment[name..payload_end].copy_from_slice(WRITER);
    put_u32(segment, frame.payload() + 4, writer_bytes);
    put_u32(segment, frame.start + 24, 8 + writer_bytes);
    FramePlace { payload_end, ..frame }
}

/// What durable.mark says: sequence, store id and D of its newer slot.
fn mark_of(bytes: &[u8]) -> (u64, u64, u64) {
    let slot = |at: usize| (get_u64(bytes, at + 28), get_u64(bytes, at + 20), get_u64(bytes, at + 36));
    assert_eq!((bytes.len(), get_u32(bytes, 16).max(get_u32(bytes, 528))), (1_024, 24));
    slot(0).max(slot(512))
}

#[test]
fn golden_stores_read_as_they_always_did() {
    for golden in GOLDEN {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("store");
        let before = files(&golden.folder());
        assert!(before.len() >= 3, "{}: tests/golden isn't whole", golden.name);
        write_files(&path, &before);
        let options = Options::new().creation(Creation::Never).durability(golden.durability);
        let store = EventStore::open_with(&path, options).expect("a golden store opens");
        assert_eq!(events_of(&store), golden.expected_events(), "{}", golden.name);
        assert_eq!(snapshots_of(&store), golden.expected_snapshots(), "{}", golden.name);
        store.close().expect("closing");
        assert!(files(&path) == before, "{}: reading it has changed it", golden.name);
        let verification = annals::verify(&path, &mut |_| ControlFlow::Continue(()))
            .expect("a golden store can be verified");
        assert!(verification.is_whole() && verification.findings.is_empty(), "{}", golden.name);
        assert_eq!(verification.interrupted_bytes, 0, "{}", golden.name);
    }
}

#[test]
fn golden_stores_are_written_again_byte_for_byte() {
    for golden in GOLDEN {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut made = files(&golden.make(directory.path()));
        put_golden_writer(&mut made);
        write_golden_if_asked(golden, &made);
        let expected = files(&golden.folder());
        assert!(made.keys().eq(expected.keys()), "{}: {:?}", golden.name, made.keys());
        for (name, bytes) in &made {
            let (new, old) = (bytes, &expected[name]);
            if name == "durable.mark" && mark_of(new).0 != mark_of(old).0 {
                let (_, store_id, durable) = mark_of(old);
                assert_eq!((mark_of(new).1, mark_of(new).2), (store_id, durable), "{}: {name}", golden.name);
                continue;
            }
            let same = new.iter().zip(old).take_while(|(new, old)| new == old).count();
            assert!(new == old, "{}: {name} differs from byte {same} on", golden.name);
        }
    }
}

#[test]
fn a_golden_store_can_be_appended_to() -> Outcome {
    for golden in GOLDEN {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("store");
        write_files(&path, &files(&golden.folder()));
        let store = EventStore::open_with(&path, Options::new().segment_bytes(4_096))?;
        append(&store, "new-1", [EventData::new("Appended", vec![b'n'; 3_000])]);
        store.close()?;
        let store = EventStore::open_with(&path, Options::new())?;
        let read = events_of(&store);
        let expected = golden.expected_events();
        assert_eq!(read[..expected.len()], expected, "{}", golden.name);
        assert_eq!(read.len(), expected.len() + 1, "{}", golden.name);
    }
    Ok(())
}

/// The bytes in the lines of the page's worked example for a file: `OFFSET  BYTES  MEANING`.
fn example_of(page: &str, file: &str) -> Vec<u8> {
    let start = format!("<!-- bytes: {file} -->\n```text\n");
    let (_, rest) = page.split_once(start.as_str()).expect("the page has the file's bytes");
    let (lines, _) = rest.split_once("```").expect("the lines have an end");
    let mut bytes = Vec::new();
    for line in lines.lines() {
        let (offset, rest) = line.split_once("  ").expect("two spaces behind the offset");
        assert_eq!(usize::from_str_radix(offset, 16).ok(), Some(bytes.len()), "{file}: {line}");
        let written = rest.split_once("  ").map_or(rest, |(written, _)| written);
        if let Some(count) = written.strip_prefix("00 × ") {
            bytes.resize(bytes.len() + count.parse::<usize>().expect("a number"), 0);
        } else {
            let byte = |text| u8::from_str_radix(text, 16).expect("a byte");
            bytes.extend(written.split(' ').map(byte));
        }
    }
    bytes
}

#[test]
fn the_worked_example_is_a_golden_store() {
    let page = include_str!("../../docs/file-format.md");
    for (name, bytes) in files(&GOLDEN[0].folder()) {
        assert!(
            example_of(page, &name) == bytes,
            "docs/file-format.md: the bytes of {name} aren't the file's"
        );
    }
}

/// Makes the golden folder, if it isn't there and that is wanted.
fn write_golden_if_asked(golden: &Golden, files: &BTreeMap<String, Vec<u8>>) {
    if env::var_os("ANNALS_GOLDEN").is_none_or(|wanted| wanted != "write") || golden.folder().exists() {
        return;
    }
    assert!(env::var_os("CI").is_none(), "golden stores are made by people who look at them");
    write_files(&golden.folder(), files);
    let path = golden.folder();
    let store = tempfile::tempdir().expect("a temporary directory");
    write_files(&store.path().join("store"), files);
    let opened = EventStore::open(store.path().join("store")).expect("the new golden store");
    for (name, values) in [("events.jsonl", events_of(&opened)), ("snapshots.jsonl", snapshots_of(&opened))] {
        let lines: Vec<String> = values.iter().map(Value::to_string).collect();
        if !lines.is_empty() {
            fs::write(path.join(name), lines.join("\n") + "\n").expect("a file of lines");
        }
    }
}
