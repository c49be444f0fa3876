//! Reading: all that can be asked of a store without writing to it.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use crate::{
    catalog::{
        Counted, StoreInfo, count_all, count_names, find_given_id, find_given_id_in, find_stream, has_id,
        list_streams,
    },
    checkpoint::{CHECKPOINT_CATEGORY, Checkpoint, checkpoint_of, checkpoint_stream},
    committed::Committed,
    cursor::Cursor,
    error::{Error, Result},
    event::StoredEvent,
    event_id::EventId,
    event_type_definition::{Registered, RegisteredEventType, event_types_stream},
    events::Events,
    index::part::NameCount,
    news::News,
    position::{Position, Version},
    query::{AsOf, Bound, Query},
    records::check_cursor,
    snapshot::{SnapshotList, SnapshotSearch},
    snapshots::SnapshotFolder,
    stream::StreamId,
    stream_list::{StreamFilter, StreamInfo},
    subscription::Subscription,
    time::Timestamp,
    upcast::Upcasters,
};

/// How long before or after an id was made its event may have been stored, by a look in the index, in
/// microseconds: a minute, for queues and for clocks that are set.
const MADE_BEFORE_MICROS: i64 = 60_000_000;

/// Reads a store. An [`EventStore`](crate::EventStore) is one by its `Deref`; a clone goes to another thread
/// without giving it the appends.
///
/// What an append has returned is seen by every read that begins behind it. A reader that outlives its store goes
/// on with what was committed when that was closed.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, Query, StreamId, Version};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let order = StreamId::new("order-17")?;
/// store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
///
/// let reader = store.reader().clone();
/// let placed = std::thread::spawn(move || reader.read(Query::all().category("order")).count());
/// assert_eq!(placed.join().expect("it doesn't panic"), 1);
/// assert_eq!(store.stream_version(&order)?, Version::new(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Reader {
    committed: Arc<Committed>,
    news: Arc<dyn News>,
    snapshots: Arc<SnapshotFolder>,
    upcasters: Arc<Upcasters>,
}

impl Reader {
    pub(crate) fn new(
        committed: Arc<Committed>,
        news: Arc<dyn News>,
        snapshots: Arc<SnapshotFolder>,
        upcasters: Arc<Upcasters>,
    ) -> Self {
        Self { committed, news, snapshots, upcasters }
    }

    /// What is committed, brought up to date.
    pub(crate) fn current(&self) -> Result<&Arc<Committed>> {
        self.news.refresh()?;
        Ok(&self.committed)
    }

    /// Through what events are read, as [`Options::upcasters`](crate::Options::upcasters) said.
    pub fn upcasters(&self) -> &Upcasters {
        &self.upcasters
    }

    /// Reads what a query asks for, as it is committed now. A stream that doesn't exist has no events. What goes
    /// wrong is told by the first step.
    #[must_use]
    pub fn read<B: Bound>(&self, query: Query<B>) -> Events {
        let selection = query.select_through(&self.upcasters);
        match self.news.refresh() {
            Ok(()) => Events::new(&self.committed, selection),
            Err(error) => Events::failed(&self.committed, selection, error),
        }
    }

    /// Reads a stream from its first event to its last.
    #[must_use]
    pub fn read_stream(&self, stream: &StreamId) -> Events {
        self.read(Query::stream(stream))
    }

    /// Reads all events in the order of their commits, but for those of the store's own streams.
    #[must_use]
    pub fn read_all(&self) -> Events {
        self.read(Query::all())
    }

    /// A stream's version: the number of its events; 0 if it doesn't exist.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where it can't be looked up.
    pub fn stream_version(&self, stream: &StreamId) -> Result<Version> {
        self.news.refresh()?;
        self.committed.version(self.committed.key(stream.as_str()))
    }

    /// The version that a stream had at a time or a position; 0 if it didn't exist yet.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where it can't be looked up.
    pub fn stream_version_as_of(&self, stream: &StreamId, moment: impl Into<AsOf>) -> Result<Version> {
        let number = self.read(Query::stream(stream).as_of(moment)).last_number()?;
        Ok(Version::new(number))
    }

    /// Whether a stream has at least one event.
    ///
    /// # Errors
    ///
    /// As [`stream_version`](Self::stream_version).
    pub fn stream_exists(&self, stream: &StreamId) -> Result<bool> {
        Ok(self.stream_version(stream)? > Version::NONE)
    }

    /// What is known of a stream.
    ///
    /// # Errors
    ///
    /// [`Error::StreamNotFound`] if it has no event; [`Error::Io`] and [`Error::Corrupt`] where it can't be looked
    /// up.
    pub fn stream_info(&self, stream: &StreamId) -> Result<StreamInfo> {
        self.news.refresh()?;
        let found = find_stream(&self.committed, stream)?;
        found.ok_or_else(|| Error::StreamNotFound { stream: stream.clone() })
    }

    /// Lists streams, sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where they can't be looked up.
    pub fn streams(&self, filter: &StreamFilter) -> Result<Vec<StreamInfo>> {
        self.news.refresh()?;
        list_streams(&self.committed, filter)
    }

    /// The categories there are, sorted by name, and how many events are in each. Those of the store's own streams
    /// are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where they can't be looked up.
    pub fn categories(&self) -> Result<Vec<NameCount>> {
        self.news.refresh()?;
        count_names(&self.committed, Counted::Categories).map(named)
    }

    /// The event types there are, sorted by name, and how many events are of each: as events are stored, whatever
    /// upcasters make of them. Those of the store's own streams are left out.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where they can't be looked up.
    pub fn event_types(&self) -> Result<Vec<NameCount>> {
        self.news.refresh()?;
        count_names(&self.committed, Counted::EventTypes).map(named)
    }

    /// The event with this id, whoever gave it: the first in the log, since only within a stream the store sees to
    /// it that an id names one event. None if there is none.
    ///
    /// Ids that callers gave are in the index, and UUIDs of version 7 name the time of their making. Any other id is
    /// looked for in the whole log, and so is one that isn't there.
    ///
    /// It comes as [`upcasters`](Self::upcasters) make it: none if they discard it, and the first part if they split it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where it can't be looked up; [`Error::UnknownSchemaVersion`] and
    /// [`Error::UpcastFailed`] where upcasters can't make anything of it.
    pub fn event(&self, id: &EventId) -> Result<Option<StoredEvent>> {
        let parts = self.event_raw(id)?.map(|stored| self.upcasters.upcast(stored)).transpose()?;
        Ok(parts.and_then(|parts| parts.into_iter().next()))
    }

    /// The event with this id, as it is stored; else as [`event`](Self::event).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where it can't be looked up.
    pub fn event_raw(&self, id: &EventId) -> Result<Option<StoredEvent>> {
        self.news.refresh()?;
        if let Some(found) = find_given_id(&self.committed, id)? {
            return Ok(Some(found));
        }
        let all = Query::all().including_system().raw();
        if let Some(made) = id.as_uuid().and_then(made_at) {
            let (first, last) = (made.micros() - MADE_BEFORE_MICROS, made.micros() + MADE_BEFORE_MICROS);
            let about = all.clone().since(Timestamp::from_micros(first)).until(Timestamp::from_micros(last));
            if let Some(found) = find_id(self.read(about), id)? {
                return Ok(Some(found));
            }
        }
        find_id(self.read(all), id)
    }

    /// The event of a stream whose caller gave it this id; none if there is none. An id names one event of a stream. It
    /// comes as [`event`](Self::event) says.
    ///
    /// Costs a look-up in the index of each segment that holds the stream. Ids that the store made aren't looked for:
    /// `event` finds those.
    ///
    /// # Errors
    ///
    /// As [`event`](Self::event).
    pub fn event_in(&self, stream: &StreamId, id: &EventId) -> Result<Option<StoredEvent>> {
        let parts = self.event_in_raw(stream, id)?.map(|stored| self.upcasters.upcast(stored)).transpose()?;
        Ok(parts.and_then(|parts| parts.into_iter().next()))
    }

    /// The event of a stream whose caller gave it this id, as it is stored; else as [`event_in`](Self::event_in).
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where it can't be looked up.
    pub fn event_in_raw(&self, stream: &StreamId, id: &EventId) -> Result<Option<StoredEvent>> {
        self.news.refresh()?;
        find_given_id_in(&self.committed, stream, id)
    }

    /// The store in numbers.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where they can't be looked up.
    pub fn info(&self) -> Result<StoreInfo> {
        self.news.refresh()?;
        count_all(&self.committed)
    }

    /// The checkpoint of this name; none if it was never saved, or is deleted.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no checkpoint can have this name; [`Error::Io`] and [`Error::Corrupt`] where it can't be
    /// looked up.
    pub fn checkpoint(&self, name: &str) -> Result<Option<Checkpoint>> {
        self.checkpoint_in(&checkpoint_stream(name)?)
    }

    fn checkpoint_in(&self, stream: &StreamId) -> Result<Option<Checkpoint>> {
        let mut last = self.read(Query::stream(stream).backwards().limit(1));
        Ok(last.try_next()?.map(|event| checkpoint_of(&event)).transpose()?.flatten())
    }

    /// All checkpoints, sorted by name.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where they can't be looked up.
    pub fn checkpoints(&self) -> Result<Vec<Checkpoint>> {
        let streams = self.streams(&StreamFilter::all().category(CHECKPOINT_CATEGORY).including_system())?;
        let checkpoints = streams.iter().map(|info| self.checkpoint_in(&info.stream));
        checkpoints.filter_map(Result::transpose).collect()
    }

    /// The newest snapshot of a stream and a state type; none if there is none that can be used.
    ///
    /// A snapshot is a cache. One that is damaged, or that was made from an event that the log hasn't got any more, is
    /// ignored, as is one that the system can't read: the search says so, and goes on with the next older.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, Query, SnapshotData, StreamId};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("bank.annals");
    /// let store = EventStore::open(path)?;
    /// let account = StreamId::new("account-1")?;
    /// let deposit = |cents: u64| EventData::json("MoneyDeposited", &cents);
    /// let appended = store.append(&account, ExpectedVersion::NoStream, [deposit(300)?, deposit(200)?])?;
    /// store.save_snapshot(&account, appended.version, SnapshotData::json("Balance", &500)?)?;
    /// store.append(&account, ExpectedVersion::StreamExists, [deposit(50)?])?;
    ///
    /// let snapshot = store.snapshot(&account, "Balance")?.snapshot.expect("it was saved");
    /// let mut cents: u64 = snapshot.json()?;
    /// for event in store.read(Query::stream(&account).after(snapshot.version)) {
    ///     cents += event?.json::<u64>()?;
    /// }
    /// assert_eq!(cents, 550);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no state type can have this name; [`Error::Io`] and [`Error::Corrupt`] where the log
    /// can't be looked at, never for a snapshot's own file.
    pub fn snapshot(&self, stream: &StreamId, state_type: &str) -> Result<SnapshotSearch> {
        self.snapshot_at(stream, state_type, Version::new(u64::MAX))
    }

    /// The newest snapshot at or before a version, as [`snapshot`](Self::snapshot): for a state as it was.
    ///
    /// # Errors
    ///
    /// As [`snapshot`](Self::snapshot).
    pub fn snapshot_at(
        &self,
        stream: &StreamId,
        state_type: &str,
        version_max: Version,
    ) -> Result<SnapshotSearch> {
        self.snapshots.search((&self.committed, &*self.news), stream, state_type, version_max)
    }

    /// The snapshots of a stream, without their states.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] and [`Error::Corrupt`] where the log can't be looked at.
    pub fn snapshots(&self, stream: &StreamId) -> Result<SnapshotList> {
        self.snapshots.list((&self.committed, &*self.news), stream)
    }

    /// Where a stream's snapshots are, whether there are any or not.
    pub(crate) fn snapshot_directory(&self, stream: &StreamId) -> PathBuf {
        self.snapshots.directory_of(stream)
    }

    /// The snapshots of all streams, without their states. Costs a look at each one's file.
    ///
    /// # Errors
    ///
    /// As [`snapshots`](Self::snapshots).
    pub fn all_snapshots(&self) -> Result<SnapshotList> {
        self.snapshots.list_all((&self.committed, &*self.news))
    }

    /// The event types of which something is registered, sorted by name, whether there are events of them or not.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if a newer version registered what this one doesn't understand; [`Error::Io`] and
    /// [`Error::Corrupt`] where they can't be looked up.
    pub fn registered_event_types(&self) -> Result<Vec<RegisteredEventType>> {
        Ok(self.registered()?.types.into_values().collect())
    }

    /// What is registered of an event type; none if nothing is.
    ///
    /// # Errors
    ///
    /// As [`registered_event_types`](Self::registered_event_types).
    pub fn registered_event_type(&self, event_type: &str) -> Result<Option<RegisteredEventType>> {
        Ok(self.registered()?.types.remove(event_type))
    }

    fn registered(&self) -> Result<Registered> {
        let mut registered = Registered::default();
        let mut events = self.read(Query::stream(&event_types_stream()?).raw());
        while let Some(event) = events.try_next()? {
            registered.take(&event)?;
        }
        Ok(registered)
    }

    /// Refuses a cursor whose event isn't there, or is another one.
    pub(crate) fn check_cursor(&self, cursor: Cursor) -> Result<()> {
        self.news.refresh()?;
        check_cursor(&self.committed, cursor)
    }

    /// Goes on where a query ends: what is there, then what comes, for as long as it is wanted.
    pub fn subscribe<B: Bound>(&self, query: Query<B>) -> Subscription {
        Subscription::new(&self.committed, &self.news, query.select_through(&self.upcasters))
    }

    /// The position of the last event, also of one in the store's own streams; 0 if there is none.
    #[must_use]
    pub fn last_position(&self) -> Position {
        // Where the log can't be looked at, what was known before is still there; the next read says why.
        self.news.refresh().ok();
        self.committed.head()
    }
}

impl AsRef<Reader> for Reader {
    fn as_ref(&self) -> &Reader {
        self
    }
}

fn named(counts: BTreeMap<String, u64>) -> Vec<NameCount> {
    counts.into_iter().map(|(name, events)| NameCount { name, events }).collect()
}

/// When a UUID that names the time of its making was made.
fn made_at(id: uuid::Uuid) -> Option<Timestamp> {
    let (seconds, nanoseconds) = id.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros.checked_add(i64::from(nanoseconds / 1_000))?))
}

fn find_id(mut events: Events, id: &EventId) -> Result<Option<StoredEvent>> {
    while let Some(event) = events.try_next()? {
        if has_id(event.id, id) {
            return Ok(Some(event.to_stored()?));
        }
    }
    Ok(None)
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("last_position", &self.committed.head())
            .finish_non_exhaustive()
    }
}
