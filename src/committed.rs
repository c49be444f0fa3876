//! What is committed: the one place where writer and readers meet.
//!
//! The writer publishes a frame whole, behind its sync; readers see it whole or not at all. Readers hold the
//! lock for a look-up, the writer while a frame goes into the index: neither while the disk is waited for. (The
//! writer alone reads a record under it, shared, to compare a repeated id.)

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use parking_lot::{RwLock, RwLockReadGuard};

use crate::{
    index::tail::TailIndex,
    log::segment::Segment,
    position::{LogOffset, Position},
};

/// What is committed, shared by the writer and all readers.
#[derive(Debug)]
pub(crate) struct Committed {
    head: AtomicU64,
    state: RwLock<CommittedState>,
}

/// The index and the files it points into.
#[derive(Debug)]
pub(crate) struct CommittedState {
    pub(crate) index: TailIndex,
    /// In order; the last one is active.
    pub(crate) segments: Vec<Arc<Segment>>,
}

impl Committed {
    pub(crate) fn new(index: TailIndex, segments: Vec<Arc<Segment>>) -> Self {
        let head = AtomicU64::new(index.last_position().get());
        Self { head, state: RwLock::new(CommittedState { index, segments }) }
    }

    /// The position of the last committed event.
    pub(crate) fn head(&self) -> Position {
        Position::new(self.head.load(Ordering::Acquire))
    }

    /// What is committed now. To be held for a look-up, never for a read of the disk.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, CommittedState> {
        self.state.read()
    }

    /// Lets the writer add what it has committed, and shows it.
    pub(crate) fn publish<T>(&self, add: impl FnOnce(&mut CommittedState) -> T) -> T {
        let mut state = self.state.write();
        let result = add(&mut state);
        self.head.store(state.index.last_position().get(), Ordering::Release);
        result
    }
}

impl CommittedState {
    /// The segment that holds a place.
    pub(crate) fn segment_of(&self, place: LogOffset) -> &Arc<Segment> {
        let behind = self.segments.partition_point(|segment| segment.header.base <= place);
        &self.segments[behind - 1]
    }
}
