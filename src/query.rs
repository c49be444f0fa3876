//! What to read: a stream, bounded by versions, or everything, bounded by positions; and which of its events.

use std::{fmt, ops::RangeInclusive, sync::Arc};

use crate::{
    cursor::Cursor,
    event::StoredEvent,
    format::record::Peek,
    group::GroupMember,
    index::part::Direction,
    position::{Position, Version},
    selection::{Filter, Selection, Source, SystemStreams, Through},
    stream::StreamId,
    time::Timestamp,
    upcast::Upcasters,
};

/// What to read: a stream, bounded by versions, or everything, bounded by positions.
///
/// `from` and `to` are inclusive, `after` and `before` exclusive, `since` and `until` inclusive. Each call narrows what
/// is read, but for those that say so. The limit counts what is left, in the order of reading.
///
/// Where the store has [`Upcasters`], events come as these make them, and types and correlation ids are asked of what comes
/// out; [`raw`](Self::raw) reads events as they are stored.
///
/// ```
/// use annals::{Position, Query, StreamId, Timestamp, Version};
///
/// let stream = StreamId::new("order-1")?;
/// let last_ten = Query::stream(&stream).backwards().limit(10);
/// let part = Query::stream(&stream).from(Version::new(3)).before(Version::new(9));
/// let as_it_was = Query::stream(&stream).as_of(Position::new(4_211));
/// let news = Query::all().after(Position::new(4_211)).category("order").category("cart");
/// let today = Query::all().event_type("OrderPaid").since(Timestamp::from_micros(1_795_219_200_000_000));
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
    form: Form,
    filter: Filter,
}

/// In which form events are read.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Form {
    /// As upcasters make them.
    #[default]
    Upcast,
    /// As they are stored.
    Raw,
}

/// What bounds a query: [`Version`] in a stream, [`Position`] in everything.
pub trait Bound: Copy + Ord + From<u64> + Into<u64> + fmt::Debug + sealed::Sealed {}

impl Bound for Version {}
impl Bound for Position {}

pub(crate) mod sealed {
    use std::fmt;

    use crate::{
        event::StoredEvent,
        position::{Position, Version},
        selection::Source,
        stream::StreamId,
    };

    pub trait Sealed {
        /// What is bounded: a stream, or nothing but the log.
        type Bounded: Clone + fmt::Debug;

        fn walk_over(bounded: Self::Bounded) -> Source;

        /// The event's number in what is bounded; none if it isn't in it.
        fn number_of(event: &StoredEvent, bounded: &Self::Bounded) -> Option<Self>
        where
            Self: Sized;
    }

    impl Sealed for Version {
        type Bounded = StreamId;

        fn walk_over(stream: StreamId) -> Source {
            Source::Stream(stream)
        }

        fn number_of(event: &StoredEvent, stream: &StreamId) -> Option<Self> {
            (event.stream == *stream).then_some(event.version)
        }
    }

    impl Sealed for Position {
        type Bounded = ();

        fn walk_over((): ()) -> Source {
            Source::All
        }

        fn number_of(event: &StoredEvent, (): &()) -> Option<Self> {
            Some(event.position)
        }
    }
}

/// A moment in the store's life: by the clock, or by the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AsOf {
    /// When everything up to this time was stored, and nothing later.
    Time(Timestamp),
    /// When everything up to this position was stored, and nothing behind it.
    Position(Position),
}

impl From<Timestamp> for AsOf {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl From<Position> for AsOf {
    fn from(position: Position) -> Self {
        Self::Position(position)
    }
}

impl Query<Version> {
    /// The events of a stream, from its first to its last.
    pub fn stream(stream: &StreamId) -> Self {
        let mut query = Self::new(stream.clone());
        // Who names a stream asks for it, also for one of the store's own.
        query.filter.system = SystemStreams::Included;
        query
    }

    /// The stream that is read.
    #[must_use]
    pub fn source(&self) -> &StreamId {
        &self.source
    }

    /// The stream as it was at a time or a position: only events that were stored then. Given twice, the
    /// earlier moment counts.
    pub fn as_of(mut self, moment: impl Into<AsOf>) -> Self {
        match moment.into() {
            AsOf::Time(time) => self.until(time),
            AsOf::Position(position) => {
                let last = &mut self.filter.position_max;
                *last = Some(last.map_or(position, |last| last.min(position)));
                self
            }
        }
    }
}

impl Query<Position> {
    /// All events, in the order of their commits, but for those of the store's own streams.
    pub fn all() -> Self {
        Self::new(())
    }

    /// Only events of this category's streams; called again, also those of that one's.
    pub fn category(mut self, category: impl Into<String>) -> Self {
        self.filter.categories.push(category.into());
        self
    }

    /// Also the events of the store's own streams, whose names begin with `$`. Without it they are left out, so
    /// that positions may skip.
    pub fn including_system(mut self) -> Self {
        self.filter.system = SystemStreams::Included;
        self
    }

    /// Only events of the streams that belong to this member of a group. Given twice, the last one counts.
    pub fn group(mut self, member: GroupMember) -> Self {
        self.filter.group = Some(member);
        self
    }

    /// Only events behind the cursor. If the event that it was made of isn't there any more, reading fails with
    /// [`Error::CursorMismatch`](crate::Error::CursorMismatch). Given twice, the later cursor counts.
    pub fn after_cursor(mut self, cursor: Cursor) -> Self {
        if self.filter.cursor.is_none_or(|before| before.position <= cursor.position) {
            self.filter.cursor = Some(cursor);
        }
        self.after(cursor.position)
    }
}

impl<B: Bound> Query<B> {
    fn new(source: B::Bounded) -> Self {
        let (first, last) = (B::from(1), B::from(u64::MAX));
        let (direction, filter) = (Direction::Forwards, Filter::default());
        Self { source, first, last, limit: u64::MAX, direction, form: Form::Upcast, filter }
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

    /// Only events that were stored at this time or later. The time is the store's, which never goes back along
    /// the log, so the first of them is found without reading those before it.
    pub fn since(mut self, time: Timestamp) -> Self {
        let since = &mut self.filter.since;
        *since = Some(since.map_or(time, |before| before.max(time)));
        self
    }

    /// Only events that were stored at this time or earlier.
    pub fn until(mut self, time: Timestamp) -> Self {
        let until = &mut self.filter.until;
        *until = Some(until.map_or(time, |before| before.min(time)));
        self
    }

    /// Only events of this type; called again, also those of that one. Where the store has [`Upcasters`], the type is the one
    /// with which events come out: those of older types that become it are among them, and those that left it aren't.
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.filter.event_types.push(event_type.into());
        self
    }

    /// Only events whose metadata has this `correlationId`; called again, also those with that one. Answered by
    /// looking into the metadata of each event within the other bounds.
    pub fn correlation(mut self, id: impl Into<String>) -> Self {
        self.filter.correlations.push(id.into());
        self
    }

    /// At most so many events, counted in the order of reading. What [`Upcasters`] split counts as the one event that is
    /// stored, and comes whole; what they discard doesn't count.
    pub fn limit(mut self, events_max: u64) -> Self {
        self.limit = self.limit.min(events_max);
        self
    }

    /// From the last event to the first.
    pub fn backwards(mut self) -> Self {
        self.direction = Direction::Backwards;
        self
    }

    /// Events as they are stored, whatever [`Upcasters`] the store has.
    pub fn raw(mut self) -> Self {
        self.form = Form::Raw;
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

    /// Whether events are read as they are stored.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.form == Form::Raw
    }

    /// Whether an event is among those that are wanted, leaving the limit aside, and the checksum of a cursor.
    ///
    /// It is asked as it stands here: a store that upcasts asks for each event that [`Upcasters::upcast`] gave it, and for the
    /// stored one where the query [is raw](Self::is_raw).
    #[must_use]
    pub fn admits(&self, event: &StoredEvent) -> bool {
        let number = B::number_of(event, &self.source);
        number.is_some_and(|number| self.bounds().contains(&number))
            && self.filter.since.is_none_or(|since| event.timestamp >= since)
            && self.filter.is_before_end(event.timestamp, event.position)
            && self.filter.admits(Peek {
                stream: event.stream.as_str().as_bytes(),
                event_type: event.event_type.as_bytes(),
                metadata: &event.metadata_bytes,
            })
    }

    /// The same for events as these upcasters make them, without its type.
    pub(crate) fn select_through(self, upcasters: &Arc<Upcasters>) -> Selection {
        let is_raw = self.is_raw();
        let mut selection = self.select();
        let is_of_system = matches!(&selection.source, Source::Stream(stream) if stream.is_system());
        if !(upcasters.is_empty() || is_raw || is_of_system) {
            selection.through = Some(Through::new(upcasters, &mut selection.filter));
        }
        selection
    }

    /// The same for events as they are stored, without its type.
    pub(crate) fn select(self) -> Selection {
        Selection {
            source: B::walk_over(self.source),
            first: self.first.into().max(1),
            last: self.last.into(),
            limit: self.limit,
            direction: self.direction,
            filter: self.filter,
            through: None,
        }
    }
}
