//! What the tests of projections have in common: two projections that tell what they were given, with the cursor in the
//! store and with one of their own.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{Cursor, EventStore, Position, Projection, Query, RollBack, SavedCursor, StoredEvent};

use crate::support::{events, stream, version};

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Writes down the positions it is given. Clones have the same list.
#[derive(Clone, Default)]
pub(crate) struct List {
    pub(crate) positions: Arc<Mutex<Vec<u64>>>,
    pub(crate) query: Option<Query<Position>>,
}

impl List {
    pub(crate) fn of(query: Query<Position>) -> Self {
        Self { query: Some(query), ..Self::default() }
    }

    pub(crate) fn positions(&self) -> Vec<u64> {
        self.positions.lock().expect("no test panics with it").clone()
    }
}

impl Projection for List {
    type Error = Infallible;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn query(&self) -> Query<Position> {
        self.query.clone().unwrap_or_else(Query::all)
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
        self.positions.lock().expect("no test panics with it").push(event.position.get());
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Infallible> {
        self.positions.lock().expect("no test panics with it").clear();
        Ok(())
    }
}

/// A database of one table, with transactions: positions, and the cursor that was committed with them. Clones are
/// connections to the same one.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) committed: Arc<Mutex<(Vec<u64>, Option<Cursor>)>>,
    open: Option<Vec<u64>>,
}

impl Database {
    pub(crate) fn positions(&self) -> Vec<u64> {
        self.committed.lock().expect("no test panics with it").0.clone()
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.committed.lock().expect("no test panics with it").1
    }

    /// Another connection, without what this one has begun.
    pub(crate) fn connect(&self) -> Self {
        Self { committed: Arc::clone(&self.committed), open: None }
    }

    pub(crate) fn insert(&mut self, position: Position) {
        self.open.as_mut().expect("a transaction is begun").push(position.get());
    }
}

impl Projection for Database {
    type Error = Infallible;

    fn begin(&mut self) -> Result<(), Infallible> {
        assert!(self.open.replace(Vec::new()).is_none(), "one transaction at a time");
        Ok(())
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
        self.insert(event.position);
        Ok(())
    }

    fn commit(&mut self, cursor: Cursor) -> Result<(), Infallible> {
        let rows = self.open.take().expect("a transaction is begun");
        let mut committed = self.committed.lock().expect("no test panics with it");
        committed.0.extend(rows);
        committed.1 = Some(cursor);
        Ok(())
    }

    fn roll_back(&mut self) -> Result<RollBack, Infallible> {
        self.open = None;
        Ok(RollBack::Undone)
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, Infallible> {
        Ok(SavedCursor::Own(self.cursor()))
    }

    fn reset(&mut self) -> Result<(), Infallible> {
        *self.committed.lock().expect("no test panics with it") = Default::default();
        Ok(())
    }
}

/// Appends so many events to a stream of its own, and says where the last one is.
pub(crate) fn append(store: &EventStore, name: &str, count: u64) -> Position {
    let stream = stream(name);
    let before = store.stream_version(&stream).expect("readable").get();
    store.append(&stream, version(before), events(before + 1, count)).expect("appended").position
}

/// How many events the store has of its own: checkpoints and notes.
pub(crate) fn system_events(store: &EventStore) -> u64 {
    let all = store.read(Query::all().including_system()).count();
    let ordinary = store.read_all().count();
    u64::try_from(all - ordinary).expect("more than none")
}
