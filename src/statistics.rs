//! A store in numbers, asked of a reader: its segments, its files, how it grew, how long its streams are.

use std::ops::ControlFlow;

use crate::{
    error::Result,
    log_extent::{LogExtent, extents_before},
    reader::Reader,
    storage::{Segments, StoreSizes, measure},
    stream_lengths::{CountProgress, StreamLengths, count_lengths},
    time::Timestamp,
};

impl Reader {
    /// The segments, from the oldest on: what each has of the log, and how long its files are. Each is looked at when the
    /// iterator comes to it, which is a look at the beginning of its index.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, SegmentState, StreamId};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.annals");
    /// let store = EventStore::open(path)?;
    /// store.append(&StreamId::new("order-17")?, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
    ///
    /// let segments = store.segments()?.collect::<Result<Vec<_>, _>>()?;
    /// assert_eq!((segments[0].state, segments[0].events), (SegmentState::Active, 1));
    /// assert_eq!(segments[0].log_bytes, store.sizes()?.log_bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) and [`Error::Corrupt`](crate::Error::Corrupt) where they can't be looked up.
    pub fn segments(&self) -> Result<Segments> {
        Segments::new(self.current()?)
    }

    /// How long the store's files are, by what they are for. Costs a look at each file's length.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) where the store's directory can't be listed.
    pub fn sizes(&self) -> Result<StoreSizes> {
        measure(self.current()?)
    }

    /// How far the log was before each of some times, in any order: the events that were stored earlier, and their bytes.
    /// Events a day are the difference of two.
    ///
    /// Costs a search by halving for each time, a look at the names in each segment's index, and where the store has
    /// streams of its own, a search of a byte or two for each event of those segments in which a time lies.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, StreamId, Timestamp};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.annals");
    /// let store = EventStore::open(path)?;
    /// let events = [EventData::new("OrderPlaced", "{}"), EventData::new("OrderPaid", "{}")];
    /// store.append(&StreamId::new("order-17")?, ExpectedVersion::NoStream, events)?;
    ///
    /// let extents = store.extents_before(&[Timestamp::from_micros(0), Timestamp::MAX])?;
    /// assert_eq!((extents[0].events, extents[1].events), (0, 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) and [`Error::Corrupt`](crate::Error::Corrupt) where it can't be looked up.
    pub fn extents_before(&self, times: &[Timestamp]) -> Result<Vec<LogExtent>> {
        extents_before(self.current()?, times)
    }

    /// How long the streams are: how many of each length, and the longest by name, so many at most. None if `tell` stopped it,
    /// which is told now and then how far the count is.
    ///
    /// Costs a look at each stream in the index, and no read of the log but for the names of the longest.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, StreamId};
    /// use std::ops::ControlFlow;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.annals");
    /// let store = EventStore::open(path)?;
    /// let order = StreamId::new("order-17")?;
    /// store.append(&order, ExpectedVersion::NoStream, ["OrderPlaced", "OrderPaid"].map(|it| EventData::new(it, "{}")))?;
    /// store.append(&StreamId::new("order-18")?, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
    ///
    /// let lengths = store.stream_lengths(1, &mut |_| ControlFlow::Continue(()))?.expect("nothing stops it");
    /// assert_eq!(lengths.longest[0].stream, order);
    /// assert_eq!((lengths.ranges[1].events_min, lengths.ranges[1].events_max, lengths.ranges[1].streams), (2, 3, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) and [`Error::Corrupt`](crate::Error::Corrupt) where they can't be looked up.
    pub fn stream_lengths(
        &self,
        longest_max: usize,
        tell: &mut dyn FnMut(CountProgress) -> ControlFlow<()>,
    ) -> Result<Option<StreamLengths>> {
        count_lengths(self.current()?, longest_max, tell)
    }
}
