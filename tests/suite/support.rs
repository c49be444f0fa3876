//! What the tests share.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};

use annals::{
    Clock, Durability, EventData, EventId, EventStore, Events, Options, Result, SEGMENT_BYTES_MIN,
    StoredEvent, StreamId, Timestamp, Version,
};
use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner},
};

pub(crate) type Outcome = std::result::Result<(), Box<dyn std::error::Error>>;

/// A store in a directory of its own, which goes with it.
pub(crate) struct TestStore {
    store: EventStore,
    options: Options,
    directory: tempfile::TempDir,
}

impl TestStore {
    /// Closes the store, and opens it again.
    pub(crate) fn reopen(self) -> Result<Self> {
        let Self { store, options, directory } = self;
        store.close()?;
        let store = EventStore::open_with(directory.path().join("store"), options.clone())?;
        Ok(Self { store, options, directory })
    }

    /// Takes the store out of its directory, which stays.
    pub(crate) fn into_parts(self) -> (EventStore, tempfile::TempDir) {
        (self.store, self.directory)
    }
}

impl std::ops::Deref for TestStore {
    type Target = EventStore;

    fn deref(&self) -> &EventStore {
        &self.store
    }
}

/// A new store that doesn't wait for the disk: most tests aren't about power cuts.
pub(crate) fn store() -> TestStore {
    store_with(buffered())
}

/// A new store with options.
pub(crate) fn store_with(options: Options) -> TestStore {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("store");
    let store = EventStore::open_with(path, options.clone()).expect("a new store");
    TestStore { store, options, directory }
}

/// Says that something is done when it goes, after an error or a panic too: threads of a scope that go on until then would
/// never end otherwise.
pub(crate) struct SaysDone<'a>(pub(crate) &'a AtomicBool);

impl Drop for SaysDone<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The options of most tests.
pub(crate) fn buffered() -> Options {
    Options::new().durability(Durability::Buffered)
}

/// A few events fill a segment.
pub(crate) fn small_segments() -> Options {
    buffered().segment_bytes(SEGMENT_BYTES_MIN)
}

pub(crate) fn stream(name: &str) -> StreamId {
    StreamId::new(name).expect("a valid name")
}

/// An event whose payload is its type.
pub(crate) fn event(event_type: &str) -> EventData {
    EventData::new(event_type, event_type)
}

/// An event with an id; its type and payload are the id's text.
pub(crate) fn event_with_id(id: &str) -> EventData {
    event(id).with_id(EventId::new(id).expect("a valid id"))
}

/// So many events, with their numbers as types, from a number on.
pub(crate) fn events(from: u64, count: u64) -> Vec<EventData> {
    (from..from + count).map(|number| event(&number.to_string())).collect()
}

pub(crate) fn all(events: Events) -> Vec<StoredEvent> {
    events.collect::<Result<_>>().expect("every event can be read")
}

pub(crate) fn types(events: Events) -> Vec<String> {
    all(events).into_iter().map(|event| event.event_type).collect()
}

pub(crate) fn versions(events: Events) -> Vec<u64> {
    all(events).into_iter().map(|event| event.version.get()).collect()
}

pub(crate) fn positions(events: Events) -> Vec<u64> {
    all(events).into_iter().map(|event| event.position.get()).collect()
}

pub(crate) fn version(number: u64) -> Version {
    Version::new(number)
}

/// A clock that holds the writer before each turn until the test lets it go on: what is submitted meanwhile
/// waits in the queue.
pub(crate) struct GateClock {
    arrived: Mutex<Sender<()>>,
    go: Mutex<Receiver<()>>,
}

/// The test's side of a [`GateClock`]. When it is dropped, the clock holds no one any more.
pub(crate) struct Gate {
    arrived: Receiver<()>,
    go: Sender<()>,
}

impl Gate {
    /// Waits until the writer stands before a turn.
    pub(crate) fn wait_for_writer(&self) {
        self.arrived.recv().expect("the writer lives");
    }

    /// Lets it make the turn.
    pub(crate) fn let_go(&self) {
        self.go.send(()).expect("the writer lives");
    }
}

/// A clock that holds the writer, and its gate. The clock is also asked once when a store is created, so the
/// store has to be there already.
pub(crate) fn gate() -> (Gate, Arc<dyn Clock>) {
    let (arrived_sender, arrived) = channel();
    let (go, go_receiver) = channel();
    let clock = GateClock { arrived: Mutex::new(arrived_sender), go: Mutex::new(go_receiver) };
    (Gate { arrived, go }, Arc::new(clock))
}

/// An open store whose writer is held before each turn. The gate is dropped before the store, as locals are
/// dropped from the last to the first: a test that fails doesn't hang.
pub(crate) fn gated_store(options: Options) -> (TestStore, Gate) {
    let (store, directory) = store_with(options.clone()).into_parts();
    store.close().expect("a new store closes");
    let (gate, clock) = gate();
    let options = options.clock(clock);
    let store = EventStore::open_with(directory.path().join("store"), options.clone()).expect("a store");
    (TestStore { store, options, directory }, gate)
}

impl Clock for GateClock {
    fn now(&self) -> Timestamp {
        // Without a gate both fail at once, and the writer goes on.
        if self.arrived.lock().expect("no test panics with it").send(()).is_ok() {
            self.go.lock().expect("no test panics with it").recv().ok();
        }
        Timestamp::from_micros(0)
    }
}

impl fmt::Debug for GateClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GateClock").finish_non_exhaustive()
    }
}

/// A clock that panics when it is told to, and with it the writer.
#[derive(Default, Debug)]
pub(crate) struct PanickingClock {
    pub(crate) is_due: AtomicBool,
}

impl Clock for PanickingClock {
    fn now(&self) -> Timestamp {
        assert!(!self.is_due.load(Ordering::SeqCst), "the clock panics, as the test wants it");
        Timestamp::from_micros(1)
    }
}

/// Checks a property for so many values, the same at each run: a failure is repeated by running the test
/// again, and prints the smallest value found that shows it.
pub(crate) fn check_property<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> std::result::Result<(), TestCaseError>,
) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    if let Err(failure) = TestRunner::new_with_rng(config, random).run(strategy, property) {
        panic!("{failure}");
    }
}
