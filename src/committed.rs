//! What is committed: the one place where writer and readers meet.
//!
//! The writer publishes a frame whole, behind its sync; readers see it whole or not at all. Readers hold the
//! lock for a look-up, the writer while a frame goes into the index: neither while the disk is waited for. (The
//! writer alone reads a record under it, shared, to compare a repeated id.)

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use parking_lot::{RwLock, RwLockReadGuard};

use crate::{
    index::tail::TailIndex,
    listeners::{Interest, Listeners},
    log::segment::Segment,
    position::{LogOffset, Position},
};

/// What is committed, shared by the writer and all readers.
#[derive(Debug)]
pub(crate) struct Committed {
    head: AtomicU64,
    /// The position of the last event of an ordinary stream, as far as it is known.
    ordinary: AtomicU64,
    is_closed: AtomicBool,
    listeners: Listeners,
    state: RwLock<CommittedState>,
}

/// The index and the files it points into.
#[derive(Debug)]
pub(crate) struct CommittedState {
    pub(crate) index: TailIndex,
    /// In order; the last one is active.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The position of the last event of an ordinary stream: who publishes one says so here. What was there at
    /// opening counts as ordinary, which lets a subscription look once in vain.
    pub(crate) last_ordinary: Position,
}

impl Committed {
    pub(crate) fn new(index: TailIndex, segments: Vec<Arc<Segment>>) -> Self {
        let last_ordinary = index.last_position();
        let head = last_ordinary.get();
        Self {
            head: AtomicU64::new(head),
            ordinary: AtomicU64::new(head),
            is_closed: AtomicBool::new(false),
            listeners: Listeners::default(),
            state: RwLock::new(CommittedState { index, segments, last_ordinary }),
        }
    }

    /// The position of the last committed event.
    pub(crate) fn head(&self) -> Position {
        Position::new(self.head.load(Ordering::Acquire))
    }

    /// The position of the last committed event that somebody with this interest hears of.
    pub(crate) fn head_for(&self, interest: Interest) -> Position {
        match interest {
            Interest::Ordinary => Position::new(self.ordinary.load(Ordering::Acquire)),
            Interest::Everything => self.head(),
        }
    }

    /// Those who wait for more.
    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Whether nothing more will be published.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Says that nothing more will be published.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.listeners.tell(Interest::Ordinary);
    }

    /// What is committed now. To be held for a look-up, never for a read of the disk.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, CommittedState> {
        self.state.read()
    }

    /// Lets the writer add what it has committed, shows it, and tells those who wait for it.
    pub(crate) fn publish<T>(&self, add: impl FnOnce(&mut CommittedState) -> T) -> T {
        let mut state = self.state.write();
        let result = add(&mut state);
        let (head, ordinary) = (state.index.last_position().get(), state.last_ordinary.get());
        // Only one thread publishes, so that what it loads is what it stored.
        let brings_events = head > self.head.load(Ordering::Relaxed);
        let brings_ordinary = ordinary > self.ordinary.load(Ordering::Relaxed);
        // The head first: who sees an ordinary event finds it below the head.
        self.head.store(head, Ordering::Release);
        self.ordinary.store(ordinary, Ordering::Release);
        drop(state);
        if brings_events {
            self.listeners.tell(if brings_ordinary { Interest::Ordinary } else { Interest::Everything });
        }
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
