//! What is committed: the one place where writer and readers meet.
//!
//! The writer publishes a frame whole, behind its sync; readers see it whole or not at all. Readers hold the
//! lock for a look into the tail, the writer while a frame goes into it: neither while the disk is waited for.
//! What is older than the tail is looked up without the lock, in [`Settled`], which is replaced whole.

use std::sync::Arc;

use crate::{
    error::Result,
    index::{
        directory::Directory,
        files::from_memory,
        key::StreamKey,
        memory::{MemoryIndex, StreamBefore},
        part::{Direction, IndexPart, IndexResult},
        scanning::segment_number,
        settled::{FrozenPart, Settled, SettledPart},
    },
    listeners::{Interest, Listeners},
    log::{segmented_log::SegmentChange, view::SegmentView},
    position::{LogOffset, Position, Version},
    sync::{AtomicBool, AtomicU64, Ordering, RwLock, RwLockReadGuard},
};

/// What is committed, shared by the writer and all readers.
#[derive(Debug)]
pub(crate) struct Committed {
    store_id: u64,
    head: AtomicU64,
    /// The position of the last event of an ordinary stream, as far as it is known.
    ordinary: AtomicU64,
    is_closed: AtomicBool,
    listeners: Listeners,
    state: RwLock<CommittedState>,
}

/// The index, and the segment that is written.
#[derive(Debug)]
pub(crate) struct CommittedState {
    /// What was committed since the active segment was begun, or its index file written.
    pub(crate) tail: MemoryIndex,
    /// The segment that the tail points into.
    pub(crate) active: Arc<SegmentView>,
    /// All before the tail.
    pub(crate) settled: Arc<Settled>,
    /// The position of the last event of an ordinary stream: who publishes one says so here. What was there at
    /// opening counts as ordinary, which lets a subscription look once in vain.
    pub(crate) last_ordinary: Position,
}

/// Where the committed events of a stream stand, as the tail has them.
#[derive(Clone, Copy, Debug)]
struct TailRun {
    first: Version,
    last: Version,
}

impl CommittedState {
    pub(crate) fn new(tail: MemoryIndex, active: Arc<SegmentView>, settled: Settled) -> Self {
        let last_ordinary = tail.next_position().previous();
        Self { tail, active, settled: Arc::new(settled), last_ordinary }
    }

    /// The position of the last committed event.
    pub(crate) fn last_position(&self) -> Position {
        self.tail.next_position().previous()
    }

    /// The segment that holds a place, if that is the active one.
    fn active_view_of(&self, place: LogOffset) -> Option<Arc<SegmentView>> {
        (place >= self.active.header.base).then(|| Arc::clone(&self.active))
    }

    fn tail_run(&self, key: StreamKey) -> Result<Option<TailRun>> {
        let Some(last) = self.tail.version(key) else { return Ok(None) };
        let run = from_memory(self.tail.run(key))?;
        let count = run.map_or(0, |run| u64::from(run.count));
        Ok(Some(TailRun { first: Version::new(last.get() + 1 - count), last }))
    }
}

impl Committed {
    pub(crate) fn new(store_id: u64, state: CommittedState) -> Self {
        let head = state.last_position().get();
        Self {
            store_id,
            head: AtomicU64::new(head),
            ordinary: AtomicU64::new(head),
            is_closed: AtomicBool::new(false),
            listeners: Listeners::default(),
            state: RwLock::new(state),
        }
    }

    /// What seeds the hashes of names and ids.
    pub(crate) fn store_id(&self) -> u64 {
        self.store_id
    }

    /// What the index knows a stream by.
    pub(crate) fn key(&self, stream: &str) -> StreamKey {
        StreamKey::of(stream, self.store_id)
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

    /// What is committed now. To be held for a look into the tail, never for a read of the disk.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, CommittedState> {
        self.state.read()
    }

    /// All before the tail, as it is now.
    pub(crate) fn settled(&self) -> Arc<Settled> {
        Arc::clone(&self.state.read().settled)
    }

    /// Lets the writer add what it has committed, shows it, and tells those who wait for it.
    pub(crate) fn publish<T>(&self, add: impl FnOnce(&mut CommittedState) -> T) -> T {
        let mut state = self.state.write();
        let result = add(&mut state);
        let (head, ordinary) = (state.last_position().get(), state.last_ordinary.get());
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

    /// Goes over to a new segment: the tail is frozen until its index file is made.
    pub(crate) fn change_segment(&self, change: SegmentChange) {
        let SegmentChange { sealed_end, begun } = change;
        let mut state = self.state.write();
        let next = state.tail.next_position();
        let new_tail = MemoryIndex::new(segment_number(begun.header.number), begun.header.base, next);
        let frozen = FrozenPart {
            index: std::mem::replace(&mut state.tail, new_tail),
            view: std::mem::replace(&mut state.active, begun),
            end: sealed_end,
        };
        state.settled = Arc::new(state.settled.with_recent(SettledPart::Frozen(Arc::new(frozen))));
    }

    /// A frozen segment has its index file, and the directory knows it. Both were made from `settled`'s.
    pub(crate) fn settle(&self, number: u32, directory: Arc<Directory>) {
        let mut state = self.state.write();
        state.settled = Arc::new(state.settled.with_sealed(number, directory));
    }

    /// A stream's version; 0 if it doesn't exist.
    pub(crate) fn version(&self, key: StreamKey) -> Result<Version> {
        let (version, settled) = {
            let state = self.state.read();
            (state.tail.version(key), Arc::clone(&state.settled))
        };
        version.map_or_else(|| settled.version(key), Ok)
    }

    /// A stream's version, and what it was before the tail, if the tail hasn't got it: what its next event goes
    /// on from. None: it can't have one, since another stream has the hash of its name.
    pub(crate) fn stream_end(&self, key: StreamKey) -> Result<Option<(Version, Option<StreamBefore>)>> {
        let (version, is_taken, settled) = {
            let state = self.state.read();
            let is_taken = state.tail.has_hash(key.hash);
            (state.tail.version(key), is_taken, Arc::clone(&state.settled))
        };
        if let Some(version) = version {
            return Ok(Some((version, None)));
        }
        let before = settled.before(key)?;
        if before.version == Version::NONE && (is_taken || settled.is_taken(key)?) {
            return Ok(None);
        }
        Ok(Some((before.version, Some(before))))
    }

    /// The places of a stream's events from a version on, one at least if it is there, `places_max` at most.
    pub(crate) fn stream_places(
        &self,
        key: StreamKey,
        from: Version,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> Result<()> {
        let settled = {
            let state = self.state.read();
            match state.tail_run(key)? {
                Some(run) if run.first <= from && from <= run.last => {
                    return from_memory(state.tail_places(key, run, from, direction, places_max, places));
                }
                _ => Arc::clone(&state.settled),
            }
        };
        settled.stream_places(key, from, direction, places_max, places)
    }

    /// The places of all events from a position on, one at least if it is there, `places_max` at most.
    pub(crate) fn places(
        &self,
        from: Position,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> Result<()> {
        let settled = {
            let state = self.state.read();
            let first = state.tail.span().first_position;
            if from >= first {
                let ordinal = ordinal(from, first);
                return from_memory(state.tail.places(ordinal, direction, places_max, places));
            }
            Arc::clone(&state.settled)
        };
        let part = settled.part_of_position(from)?;
        let (first, _) = part.positions();
        let start = places.len();
        settled.ask(&part, |index| {
            places.truncate(start);
            index.places(ordinal(from, first), direction, places_max, places)
        })
    }

    /// Events of some categories and types from a position on, `places_max` at most; perhaps none, though more
    /// follow. Returns the position up to which it has looked.
    pub(crate) fn matching(
        &self,
        names: &Names<'_>,
        from: Position,
        direction: Direction,
        places_max: usize,
        found: &mut Vec<(Position, LogOffset)>,
    ) -> Result<Position> {
        let settled = {
            let state = self.state.read();
            let positions = (state.tail.span().first_position, state.tail.next_position());
            if from >= positions.0 {
                let look = names.look(from, positions, direction, places_max, found);
                return from_memory(look(&state.tail));
            }
            Arc::clone(&state.settled)
        };
        let part = settled.part_of_position(from)?;
        let start = found.len();
        settled.ask(&part, |index| {
            found.truncate(start);
            names.look(from, part.positions(), direction, places_max, found)(index)
        })
    }

    /// The first answer that `look` gives for an event of a stream whose caller-given id has this hash, the newest
    /// events first. Costs a look-up in each segment that holds the stream.
    pub(crate) fn find_id<T>(
        &self,
        key: StreamKey,
        hash: u32,
        look: &mut dyn FnMut(&SegmentView, LogOffset) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut places = Vec::new();
        let (active, settled) = {
            let state = self.state.read();
            from_memory(state.tail.id_places(hash, &mut places))?;
            (Arc::clone(&state.active), Arc::clone(&state.settled))
        };
        for place in places {
            if let Some(found) = look(&active, place)? {
                return Ok(Some(found));
            }
        }
        settled.find_id(key, hash, look)
    }

    /// The segment that holds a place.
    pub(crate) fn view_of(&self, place: LogOffset) -> Result<Arc<SegmentView>> {
        let settled = {
            let state = self.state.read();
            match state.active_view_of(place) {
                Some(view) => return Ok(view),
                None => Arc::clone(&state.settled),
            }
        };
        settled.view_of(place)
    }
}

impl CommittedState {
    fn tail_places(
        &self,
        key: StreamKey,
        run: TailRun,
        from: Version,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        let Some(found) = self.tail.run(key)? else { return Ok(()) };
        let number = u32::try_from(from.get() - run.first.get()).unwrap_or(u32::MAX);
        self.tail.run_places(&found, number, direction, places_max, places)
    }
}

/// The categories and event types that are wanted; none named: any.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    pub(crate) categories: &'a [String],
    pub(crate) event_types: &'a [String],
}

impl Names<'_> {
    /// Looks in the part that has these positions, the second one excluded.
    fn look<'b>(
        &'b self,
        from: Position,
        positions: (Position, Position),
        direction: Direction,
        places_max: usize,
        found: &'b mut Vec<(Position, LogOffset)>,
    ) -> impl FnOnce(&dyn IndexPart) -> IndexResult<Position> + 'b {
        let (first, end) = positions;
        let looked_to = match direction {
            Direction::Forwards => end.previous(),
            Direction::Backwards => first,
        };
        move |index| {
            let any = |names: &'b [String]| (!names.is_empty()).then_some(names);
            let Some(filter) = index.filter(any(self.categories), any(self.event_types))? else {
                return Ok(looked_to);
            };
            let mut matching = Vec::new();
            index.matching(&filter, ordinal(from, first), direction, places_max, &mut matching)?;
            let position = |ordinal: u32| first.plus(u64::from(ordinal));
            found.extend(matching.iter().map(|(ordinal, place)| (position(*ordinal), *place)));
            let is_full = matching.len() == places_max;
            Ok(matching.last().filter(|_| is_full).map_or(looked_to, |last| position(last.0)))
        }
    }
}

/// The number of a position among those from `first` on.
fn ordinal(position: Position, first: Position) -> u32 {
    u32::try_from(position.get() - first.get()).unwrap_or(u32::MAX)
}
