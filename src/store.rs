//! The store: what programs open, append to and read.

use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    appender::Appender,
    background::{Background, Jobs},
    checkpoint::{checkpoint_deleted, checkpoint_stream},
    cursor::Cursor,
    disk::{
        contract::{DirectoryLock, Disk},
        os::OsDisk,
    },
    error::{Error, Result},
    event::EventData,
    event_type_definition::{EventTypeDefinition, Registration},
    event_types::EventTypes,
    events::Events,
    interface::{EventIterator, Store},
    news::News,
    opening::{self, Opened},
    options::Options,
    position::{ExpectedVersion, Position, Version},
    query::Query,
    reader::Reader,
    snapshot::{Snapshot, SnapshotData},
    snapshots::{SnapshotFolder, Unsaved},
    stream::StreamId,
    stream_list::{StreamFilter, StreamInfo},
    time::{Clock, Timestamp},
    writer::{
        answer::{PendingAppend, PendingCommit},
        request::{Appended, Commit},
        thread::{WhenFull, Writer},
    },
};

/// An open event store: one directory, this one writer, any number of readers in the program's threads. All that
/// reads is a [`Reader`]'s, which the store is too.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, StreamId};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let order = StreamId::new("order-17")?;
/// let placed = EventData::json("OrderPlaced", &serde_json::json!({"item": "book"}))?;
/// let appended = store.append(&order, ExpectedVersion::NoStream, [placed])?;
/// assert_eq!(appended.version.get(), 1);
///
/// for event in store.read_stream(&order) {
///     let event = event?;
///     assert_eq!(event.event_type, "OrderPlaced");
/// }
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct EventStore {
    path: PathBuf,
    appender: Appender,
    clock: Arc<dyn Clock>,
    snapshots: Arc<SnapshotFolder>,
    snapshots_kept: usize,
    writer: Writer,
    /// Let go last, when the writer has ended.
    _lock: Box<dyn DirectoryLock>,
}

impl EventStore {
    /// Opens the store in a directory, or makes one there, with the default [`Options`].
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// Opens the store in a directory, or makes one there.
    ///
    /// Checks the log's end, and mends what a power cut has interrupted; that no one was told is stored. Of older
    /// segments damage is told by the reads that meet it, and by [`verify`](crate::verify).
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] while another writer has it, [`Error::NotAStore`] where something else stands,
    /// [`Error::Corrupt`] if what was stored is damaged (no file is touched then), [`Error::NewerFormat`],
    /// [`Error::Io`].
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_on(Arc::new(OsDisk), path, options)
    }

    /// Opens the store on a disk of the caller's, such as a [`SimDisk`](crate::SimDisk).
    ///
    /// # Errors
    ///
    /// As [`open_with`](Self::open_with).
    pub fn open_on(disk: Arc<dyn Disk>, path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let opened = opening::open(&disk, &path, &options)?;
        Self::begin(disk, path, options, opened)
    }

    /// Opens a store whose lock the caller has.
    pub(crate) fn open_locked(
        disk: Arc<dyn Disk>,
        path: &Path,
        options: Options,
        lock: Box<dyn DirectoryLock>,
    ) -> Result<Self> {
        let opened = opening::open_locked(&disk, path, &options, lock)?;
        Self::begin(disk, path.to_owned(), options, opened)
    }

    /// Starts the threads of a store that is open.
    fn begin(disk: Arc<dyn Disk>, path: PathBuf, options: Options, opened: Opened) -> Result<Self> {
        let snapshots = SnapshotFolder::new(Arc::clone(&disk), &path, opened.committed.store_id());
        let snapshots = Arc::new(snapshots);
        let jobs = Jobs::new(disk, &opened.core, options.durability);
        let thread = |error| Error::io("start a thread for", &path, error);
        let background = Background::start(jobs).map_err(thread)?;
        let (clock, queue_bytes_max) = (Arc::clone(&options.clock), options.queue_bytes_max);
        let writer = Writer::start(opened.core, background, clock, options.durability, queue_bytes_max)
            .map_err(thread)?;
        let committed = opened.committed;
        let news = Arc::clone(&committed) as Arc<dyn News>;
        let Options { ids, clock, snapshots_kept, upcasters, schema_warning, .. } = options;
        let reader = Reader::new(Arc::clone(&committed), news, Arc::clone(&snapshots), upcasters);
        let event_types = EventTypes::load(&reader, &path, schema_warning);
        let appender = Appender::new(committed, reader, ids, event_types, writer.entrance().clone());
        Ok(Self { path, appender, clock, snapshots, snapshots_kept, writer, _lock: opened.lock })
    }

    /// The store's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends events to a stream, all or none, and waits until they are stored.
    ///
    /// Events with ids of their caller may be appended again: if all are there already in this stream, in this order, that
    /// is a success, and nothing is written. Ids are looked for in the stream alone: in two streams the same id is two
    /// events. No events: only the expected version is checked.
    ///
    /// # Durability
    ///
    /// `Ok` means what [`Options::durability`] says; by default that the disk has the events.
    ///
    /// # Errors
    ///
    /// Nothing is written with: [`Error::VersionConflict`], [`Error::PartialRepeat`], [`Error::IdTaken`],
    /// [`Error::IdTwice`], [`Error::Invalid`], [`Error::ReservedStream`], [`Error::SchemaViolation`], [`Error::Io`]
    /// (the disk is full), [`Error::Failed`], [`Error::Forked`]. Unknown is it with [`Error::OutcomeUnknown`].
    pub fn append(
        &self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = EventData>,
    ) -> Result<Appended> {
        self.submit(stream, expected, events)?.wait()
    }

    /// Hands an append to the writer, and returns before it is stored. Blocks while the queue is full.
    /// Appends are taken in the order in which they were handed over.
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append) that can be known at once; the others come from the pending append.
    pub fn submit(
        &self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = EventData>,
    ) -> Result<PendingAppend> {
        self.appender.submit(stream, expected.into(), events, WhenFull::Wait)
    }

    /// Like [`submit`](Self::submit), but never blocks.
    ///
    /// # Errors
    ///
    /// Also [`Error::QueueFull`].
    pub fn try_submit(
        &self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = EventData>,
    ) -> Result<PendingAppend> {
        self.appender.submit(stream, expected.into(), events, WhenFull::Refuse)
    }

    /// Appends to several streams and checks others, all or nothing, and waits until it is stored. The
    /// outcome has an entry for each append, in their order.
    ///
    /// # Durability
    ///
    /// As [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// Those of [`append`](Self::append), [`Error::StreamTwice`], [`Error::MixedRepeat`], and
    /// [`Error::CursorMismatch`] for a checkpoint that isn't of this log.
    pub fn commit(&self, commit: Commit) -> Result<Vec<Appended>> {
        self.submit_commit(commit)?.wait()
    }

    /// Hands a commit to the writer, and returns before it is stored. Blocks while the queue is full.
    ///
    /// # Errors
    ///
    /// Those of [`commit`](Self::commit) that can be known at once.
    pub fn submit_commit(&self, commit: Commit) -> Result<PendingCommit> {
        self.appender.submit_commit(commit)
    }

    /// Saves how far a consumer has come, under a name of its own, and waits until it is stored. The next one
    /// replaces it. [`Commit::checkpoint`] saves it in one step with events.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, Query, StreamId};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.annals");
    /// let store = EventStore::open(path)?;
    /// let order = StreamId::new("order-17")?;
    /// store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
    ///
    /// let event = store.read_all().next().expect("an event")?;
    /// store.save_checkpoint("mailer", event.cursor())?;
    ///
    /// let saved = store.checkpoint("mailer")?.expect("it was saved");
    /// assert_eq!(store.read(Query::all().after_cursor(saved.cursor)).count(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Durability
    ///
    /// As [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// [`Error::CursorMismatch`] if the cursor isn't of this log, or is beyond its end; [`Error::Invalid`] if no
    /// checkpoint can have this name; those of an append.
    pub fn save_checkpoint(&self, name: &str, cursor: Cursor) -> Result<()> {
        self.commit(Commit::new().checkpoint(name, cursor)).map(drop)
    }

    /// Deletes a checkpoint, and waits until that is stored.
    ///
    /// # Durability
    ///
    /// As [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// [`Error::CheckpointNotFound`] if there is none of this name, [`Error::Invalid`] if there can't be, and those
    /// of an append.
    pub fn delete_checkpoint(&self, name: &str) -> Result<()> {
        let stream = checkpoint_stream(name)?;
        loop {
            let version = self.stream_version(&stream)?;
            if self.checkpoint(name)?.is_none() {
                return Err(Error::CheckpointNotFound { name: name.to_owned() });
            }
            match self.commit(Commit::new().system(&stream, version, checkpoint_deleted())) {
                // Somebody saved it meanwhile: it is looked at again.
                Err(Error::VersionConflict { .. }) => {}
                outcome => return outcome.map(drop),
            }
        }
    }

    /// The time now, by the store's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Saves the state that a stream's events up to a version lead to. [`Reader::snapshot`] gives it back.
    ///
    /// One of the same version is replaced. Of each stream and state type those of the newest versions are kept,
    /// [`Options::snapshots_kept`] of them, and older ones are removed: among them this one, if it is older than that
    /// many others. Those that can't be used any more don't count and are removed too.
    ///
    /// # Durability
    ///
    /// None: a snapshot is a cache, and isn't synced. After a power cut it is there or not, and never wrong.
    ///
    /// # Errors
    ///
    /// [`Error::SnapshotAhead`] if the stream hasn't got that version, [`Error::Invalid`] for version 0, a name that no
    /// state type can have and a state of more than 64 MiB, [`Error::Forked`]; [`Error::Io`] if it can't be written:
    /// then the snapshots before it are as they were, and the store goes on. [`Error::Corrupt`] if the event of that
    /// version is damaged.
    pub fn save_snapshot(&self, stream: &StreamId, version: Version, data: SnapshotData) -> Result<Snapshot> {
        self.writer.entrance().check_process()?;
        let unsaved = Unsaved { stream, version, created: self.now() };
        self.snapshots.save(self.appender.committed(), data, unsaved, self.snapshots_kept)
    }

    /// Deletes the snapshots of a stream: those of one state type, or of all types. Says how many there were.
    ///
    /// # Durability
    ///
    /// As [`save_snapshot`](Self::save_snapshot): after a power cut they may be there again, and are right.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no state type can have this name, [`Error::Forked`]; [`Error::Io`] where one can't be
    /// removed: those before it are.
    pub fn delete_snapshots(&self, stream: &StreamId, state_type: Option<&str>) -> Result<usize> {
        self.writer.entrance().check_process()?;
        self.snapshots.delete(stream, state_type)
    }

    /// Deletes the snapshots of all streams. Says how many there were.
    ///
    /// # Durability
    ///
    /// As [`delete_snapshots`](Self::delete_snapshots).
    ///
    /// # Errors
    ///
    /// As [`delete_snapshots`](Self::delete_snapshots).
    pub fn delete_all_snapshots(&self) -> Result<usize> {
        self.writer.entrance().check_process()?;
        self.snapshots.delete_all()
    }

    /// Registers a schema version of an event type, and waits until that is stored. What is registered already in the
    /// same way is left as it is, so a program can register its types whenever it starts.
    ///
    /// A version's description and validation can be changed, its schema and category can't; a new version is higher
    /// than those before. How its schema fits the one before is told, and refused is nothing for that.
    ///
    /// Appends that begin behind this look at the events of the type, each by its own schema version. Where that isn't
    /// registered, what the newest says of validation counts. An append that repeats an earlier one isn't looked at.
    ///
    /// Schemas are checked with the feature `schema`. Without it a faulty one isn't noticed, `Warn` says nothing
    /// about data, and `Enforce` refuses every event of a version that has a schema.
    ///
    /// ```
    /// use annals::{EventStore, EventTypeDefinition, Judgement, RegistrationOutcome};
    /// use serde_json::json;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("shop.annals");
    /// let store = EventStore::open(path)?;
    /// let schema = json!({"type": "object", "properties": {"total": {"type": "number"}}});
    /// let first = EventTypeDefinition::new("OrderPlaced").with_category("order").with_schema(schema);
    /// store.register_event_type(first.clone())?;
    /// assert_eq!(store.register_event_type(first)?.outcome, RegistrationOutcome::Repeated);
    ///
    /// let schema = json!({"type": "object", "properties": {"total": {"type": "integer"}}});
    /// let second = EventTypeDefinition::new("OrderPlaced").with_schema_version(2).with_schema(schema);
    /// let compatibility = store.register_event_type(second)?.compatibility.expect("there was a version before");
    /// assert_eq!(compatibility.backward(), Judgement::Breaks);
    /// assert_eq!(compatibility.findings[0].pointer, "/properties/total/type");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Durability
    ///
    /// As [`append`](Self::append).
    ///
    /// # Errors
    ///
    /// [`Error::EventTypeConflict`] if the version is registered otherwise, or isn't higher; [`Error::Invalid`] if a name
    /// breaks its rules, the schema can't be used, or a limit is passed; those of an append.
    #[allow(clippy::needless_pass_by_value, reason = "as append takes its events")]
    pub fn register_event_type(&self, definition: EventTypeDefinition) -> Result<Registration> {
        self.appender.register(&definition)
    }

    /// What reads the store, which this store is too, by its `Deref`. A clone of it reads on another thread, and
    /// can't append.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        self.appender.reader()
    }

    /// What appends, also for those who work beside the store.
    pub(crate) fn appender(&self) -> &Appender {
        &self.appender
    }

    // These three have namesakes in the trait, which would be found before the reader's.

    /// As [`Reader::read_stream`].
    #[must_use]
    pub fn read_stream(&self, stream: &StreamId) -> Events {
        self.reader().read_stream(stream)
    }

    /// As [`Reader::read_all`].
    #[must_use]
    pub fn read_all(&self) -> Events {
        self.reader().read_all()
    }

    /// As [`Reader::last_position`].
    #[must_use]
    pub fn last_position(&self) -> Position {
        self.reader().last_position()
    }

    /// Stores what was handed over, and closes. The next opening has nothing to mend then. Dropping the
    /// store does the same, but can't say whether it went well. Runners of projections end before: each saves how
    /// far it has come.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] if an append had failed before, [`Error::Io`] if the end couldn't be made durable;
    /// what was acknowledged is stored all the same.
    pub fn close(mut self) -> Result<()> {
        self.end_companions();
        self.writer.close()
    }

    fn end_companions(&self) {
        // A forked child has none of their threads to wait for.
        if self.writer.entrance().is_at_home() {
            self.appender.companions().end();
        }
    }
}

impl Drop for EventStore {
    fn drop(&mut self) {
        self.end_companions();
    }
}

impl Deref for EventStore {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.reader()
    }
}

impl AsRef<Reader> for EventStore {
    fn as_ref(&self) -> &Reader {
        self.reader()
    }
}

impl Store for EventStore {
    fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<EventData>,
    ) -> Result<Appended> {
        self.append(stream, expected, events)
    }

    fn commit(&self, commit: Commit) -> Result<Vec<Appended>> {
        self.commit(commit)
    }

    fn read_stream(&self, query: Query<Version>) -> EventIterator<'_> {
        Box::new(self.read(query))
    }

    fn read_all(&self, query: Query<Position>) -> EventIterator<'_> {
        Box::new(self.read(query))
    }

    fn stream_version(&self, stream: &StreamId) -> Result<Version> {
        self.reader().stream_version(stream)
    }

    fn streams(&self, filter: &StreamFilter) -> Result<Vec<StreamInfo>> {
        self.reader().streams(filter)
    }

    fn last_position(&self) -> Result<Position> {
        Ok(self.last_position())
    }
}

impl fmt::Debug for EventStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EventStore")
            .field("path", &self.path)
            .field("last_position", &self.last_position())
            .finish_non_exhaustive()
    }
}
