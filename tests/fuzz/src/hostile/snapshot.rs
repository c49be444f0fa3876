//! A snapshot's file: it stands in the place that its header names, beside the log of a store that is whole.

use std::sync::Arc;

use annals::{EventStore, Follower, Reader, SimDisk, SnapshotData, StoredEvent, StreamId, Version};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::{
    little::get_u64,
    mend::{Mender, snapshot_names},
    stores::{self, Reference, STORE},
};

/// Of so many inputs one stands in a store that is written.
const WRITTEN_ONE_IN: u32 = 8;

pub(crate) fn run(input: &[u8]) {
    let reference = stores::reference();
    let disk = reference.disk.snapshot(7);
    let (stream, state_type) =
        snapshot_names(input).unwrap_or_else(|| ("order-0".to_owned(), "Order".to_owned()));
    let name = name_of(&stream, &state_type, get_u64(input, 28), reference.store_id);
    stores::put(&disk, &name, input);
    let stream = StreamId::new(stream).or_else(|_| StreamId::new("order-0")).expect("a name");
    let follower =
        Follower::open_on(Arc::new(disk.clone()), STORE, stores::options()).expect("a whole store");
    check(follower.reader(), &stream, &state_type, reference);
    // Opening for writing takes most of the time, and looks at snapshots in no other way.
    if crc32fast::hash(input).is_multiple_of(WRITTEN_ONE_IN) {
        let store =
            EventStore::open_on(Arc::new(disk.clone()), STORE, stores::options()).expect("a whole store");
        check(store.reader(), &stream, &state_type, reference);
        save_and_delete(&store, &stream, &state_type, &disk);
        store.close().expect("a whole store closes");
    }
}

/// A snapshot that is given out is one of an event that the log has; no other disturbs anything.
fn check(reader: &Reader, stream: &StreamId, state_type: &str, reference: &Reference) {
    for found in
        [reader.snapshot(stream, state_type), reader.snapshot_at(stream, state_type, Version::new(3))]
    {
        let Ok(found) = found else { continue };
        let Some(snapshot) = found.snapshot else { continue };
        let is_its_event = |event: &StoredEvent| {
            event.stream == *stream
                && event.version == snapshot.version
                && event.position == snapshot.position
        };
        assert!(reference.events.iter().any(is_its_event), "no event of the log has led to it");
        assert_eq!((&snapshot.stream, snapshot.state_type.as_str()), (stream, state_type));
    }
    drop(reader.snapshots(stream));
    drop(reader.all_snapshots());
    let count = reader.read_all().flatten().count();
    assert_eq!(count, reference.events.len(), "snapshots change nothing of the log");
}

/// What is saved now is found; nothing that stands beside it keeps it from that.
fn save_and_delete(store: &EventStore, stream: &StreamId, state_type: &str, disk: &SimDisk) {
    let version = store.stream_version(stream).expect("a whole store");
    let saved = store.save_snapshot(stream, version, SnapshotData::new(state_type, vec![4, 5]));
    if saved.is_ok() {
        let found = store.snapshot(stream, state_type).expect("a whole store").snapshot;
        let found = found.expect("what was just saved");
        assert_eq!((found.version, found.state), (version, vec![4, 5]));
    }
    store.delete_snapshots(stream, None).expect("snapshots can be deleted");
    store.delete_all_snapshots().expect("snapshots can be deleted");
    let left = |path: &std::path::PathBuf| path.extension() == Some("snap".as_ref());
    assert!(!disk.files().iter().any(left), "a snapshot is left");
}

/// The path of a snapshot, as docs/file-format.md says it.
fn name_of(stream: &str, state_type: &str, version: u64, store_id: u64) -> String {
    let stream_hash = xxh3_128_with_seed(stream.as_bytes(), store_id);
    let type_hash = xxh3_64_with_seed(state_type.as_bytes(), store_id);
    format!("snapshots/{stream_hash:032x}/{version:020}-{type_hash:016x}.snap")
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let reference = stores::reference();
    let mut file = input.to_vec();
    mender.snapshot(&mut file, reference.store_id, |stream, version| {
        let event = reference
            .events
            .iter()
            .find(|event| event.stream.as_str() == stream && event.version == Version::new(version))?;
        Some((event.position.get(), event.checksum))
    });
    file
}
