//! Reading: a query, and the cursor that walks over what it finds.
//!
//! A cursor shows what was committed when it was made. It asks the index for a few hundred places at a time
//! and reads each record from the log, checked, so it never waits for the
//! writer's disk, only for the moment in which a frame goes into the index, and its memory is bounded.

use std::{fmt, ops::RangeInclusive, sync::Arc};

use crate::{
    committed::Committed,
    error::Result,
    event::{EventRef, StoredEvent},
    format::record::Record,
    index::part::Direction,
    log::{fetch, segment::Segment, window::Window},
    position::{LogOffset, Position, Version},
    stream::StreamId,
};

/// How many places a cursor takes from the index at a time.
const PLACES_MAX: usize = 512;

/// How much a cursor reads ahead where nothing is mapped, in bytes.
const AHEAD_BYTES: usize = 32 << 10;

/// What to read: a stream, bounded by versions, or everything, bounded by positions.
///
/// `from` and `to` are inclusive, `after` and `before` exclusive. The limit counts in the order of reading.
///
/// ```
/// use annals::{Position, Query, StreamId, Version};
///
/// let stream = StreamId::new("order-1")?;
/// let last_ten = Query::stream(&stream).backwards().limit(10);
/// let news = Query::all().after(Position::new(4_211));
/// let part = Query::stream(&stream).from(Version::new(3)).before(Version::new(9));
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a query reads nothing until a store is given it"]
pub struct Query<B: Bound> {
    source: B::Bounded,
    first: B,
    last: B,
    limit: u64,
    direction: Direction,
}

/// What bounds a query: [`Version`] in a stream, [`Position`] in everything.
pub trait Bound: Copy + Ord + From<u64> + Into<u64> + fmt::Debug + sealed::Sealed {}

impl Bound for Version {}
impl Bound for Position {}

mod sealed {
    use std::fmt;

    use crate::{
        position::{Position, Version},
        stream::StreamId,
    };

    /// What a cursor walks over.
    #[derive(Clone, Debug)]
    pub enum Source {
        Stream(StreamId),
        All,
    }

    pub trait Sealed {
        /// What is bounded: a stream, or nothing but the log.
        type Bounded: Clone + fmt::Debug;

        fn walk_over(bounded: Self::Bounded) -> Source;
    }

    impl Sealed for Version {
        type Bounded = StreamId;

        fn walk_over(stream: StreamId) -> Source {
            Source::Stream(stream)
        }
    }

    impl Sealed for Position {
        type Bounded = ();

        fn walk_over((): ()) -> Source {
            Source::All
        }
    }
}

use sealed::Source;

impl Query<Version> {
    /// The events of a stream, from its first to its last.
    pub fn stream(stream: &StreamId) -> Self {
        Self::new(stream.clone())
    }

    /// The stream that is read.
    #[must_use]
    pub fn source(&self) -> &StreamId {
        &self.source
    }
}

impl Query<Position> {
    /// All events, in the order of their commits.
    pub fn all() -> Self {
        Self::new(())
    }
}

impl<B: Bound> Query<B> {
    fn new(source: B::Bounded) -> Self {
        let (first, last) = (B::from(1), B::from(u64::MAX));
        Self { source, first, last, limit: u64::MAX, direction: Direction::Forwards }
    }

    /// No event before this one.
    pub fn from(mut self, first: B) -> Self {
        self.first = self.first.max(first);
        self
    }

    /// Only events behind this one.
    pub fn after(self, before_first: B) -> Self {
        match before_first.into().checked_add(1) {
            Some(first) => self.from(B::from(first)),
            None => self.limit(0),
        }
    }

    /// No event behind this one.
    pub fn to(mut self, last: B) -> Self {
        self.last = self.last.min(last);
        self
    }

    /// Only events before this one.
    pub fn before(self, after_last: B) -> Self {
        match after_last.into().checked_sub(1) {
            Some(last) => self.to(B::from(last)),
            None => self.limit(0),
        }
    }

    /// At most so many events, counted in the order of reading.
    pub fn limit(mut self, events_max: u64) -> Self {
        self.limit = self.limit.min(events_max);
        self
    }

    /// From the last event to the first.
    pub fn backwards(mut self) -> Self {
        self.direction = Direction::Backwards;
        self
    }

    /// The first and the last number that are read, both inclusive: from 1, to the greatest there is, unless
    /// bounds say otherwise.
    #[must_use]
    pub fn bounds(&self) -> RangeInclusive<B> {
        self.first..=self.last
    }

    /// How many events are read at most.
    #[must_use]
    pub fn events_max(&self) -> u64 {
        self.limit
    }

    /// Whether the last event comes first.
    #[must_use]
    pub fn is_backwards(&self) -> bool {
        self.direction == Direction::Backwards
    }
}

/// A cursor over events, made by [`EventStore::read`](crate::EventStore::read).
///
/// As an iterator it gives events that own their bytes; [`try_next`](Self::try_next) lends them, which copies
/// nothing.
pub struct Events {
    committed: Arc<Committed>,
    source: Source,
    direction: Direction,
    /// The number of the next event: its version, or its position.
    next: u64,
    /// How many events are left.
    left: u64,
    /// The places of the next events; those before `taken` are done.
    places: Vec<LogOffset>,
    taken: usize,
    segment: Option<Arc<Segment>>,
    window: Window,
}

impl Events {
    pub(crate) fn new<B: Bound>(committed: &Arc<Committed>, query: Query<B>) -> Self {
        let source = B::walk_over(query.source);
        let newest = match &source {
            Source::Stream(stream) => committed.state().index.version(stream.as_str()).get(),
            Source::All => committed.head().get(),
        };
        let first: u64 = query.first.into().max(1);
        let last: u64 = query.last.into().min(newest);
        let left = if first > last { 0 } else { (last - first + 1).min(query.limit) };
        let next = match query.direction {
            Direction::Forwards => first,
            Direction::Backwards => last,
        };
        Self {
            committed: Arc::clone(committed),
            source,
            direction: query.direction,
            next,
            left,
            places: Vec::new(),
            taken: 0,
            segment: None,
            window: Window::new(AHEAD_BYTES),
        }
    }

    /// The next event, borrowed until the next call; none at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`](crate::Error::Corrupt) if the record isn't what was written, and
    /// [`Error::Io`](crate::Error::Io). The cursor goes on behind the event then.
    pub fn try_next(&mut self) -> Result<Option<EventRef<'_>>> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.taken == self.places.len() {
            self.look_up();
        }
        let place = self.places[self.taken];
        let number = self.next;
        self.taken += 1;
        self.left -= 1;
        self.next = match self.direction {
            Direction::Forwards => number + 1,
            Direction::Backwards => number - 1,
        };
        let here = self.segment.take().filter(|segment| segment.holds(place));
        let segment = self.segment.insert(here.unwrap_or_else(|| {
            self.window.clear();
            Arc::clone(self.committed.state().segment_of(place))
        }));
        let (record, _) = fetch::record_at(segment, place, &mut self.window)?;
        if is_wanted(&self.source, number, &record) {
            return Ok(Some(record.event));
        }
        Err(segment.corrupt(segment.file_offset(place), "the index found another event here"))
    }

    /// Takes the places of the next events from the index.
    fn look_up(&mut self) {
        self.places.clear();
        self.taken = 0;
        let places_max = usize::try_from(self.left).unwrap_or(PLACES_MAX).min(PLACES_MAX);
        let state = self.committed.state();
        match &self.source {
            Source::Stream(stream) => state.index.stream_places(
                stream.as_str(),
                Version::new(self.next),
                self.direction,
                places_max,
                &mut self.places,
            ),
            Source::All => {
                let from = Position::new(self.next);
                state.index.all_places(from, self.direction, places_max, &mut self.places);
            }
        }
        assert_eq!(self.places.len(), places_max, "the index never loses an event that was committed");
    }
}

/// Checks what the index found against the record itself.
fn is_wanted(source: &Source, number: u64, record: &Record<'_>) -> bool {
    match source {
        Source::Stream(stream) => {
            record.event.version.get() == number && record.event.stream == stream.as_str()
        }
        Source::All => record.event.position.get() == number,
    }
}

impl Iterator for Events {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.try_next() {
            Ok(None) => None,
            Ok(Some(event)) => Some(event.to_stored().map_err(Into::into)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Events")
            .field("source", &self.source)
            .field("direction", &self.direction)
            .field("next", &self.next)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
