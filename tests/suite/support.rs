//! What the tests share.

use annals::{EventData, EventStore, StreamId};

pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A store in a directory of its own, which goes with it.
pub(crate) struct TestStore {
    pub(crate) store: EventStore,
    _directory: tempfile::TempDir,
}

impl std::ops::Deref for TestStore {
    type Target = EventStore;

    fn deref(&self) -> &EventStore {
        &self.store
    }
}

/// A new store.
pub(crate) fn store() -> TestStore {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = EventStore::open(directory.path().join("store")).expect("a new store");
    TestStore { store, _directory: directory }
}

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a valid name")
}

/// An event whose payload is its type.
pub(crate) fn event(event_type: &str) -> EventData {
    EventData::new(event_type, event_type)
}
