//! Loading aggregates from their streams, and encoding what happened to them. Whatever reads a store will do for it;
//! `saving` and `execute` are for the store that writes.
//!
//! The version that is loaded is looked up first, and events are read up to it: so it is the stream's own, also where the
//! last events are dropped or split by upcasters.

use std::{fmt, marker::PhantomData, ops::Deref, sync::Arc, time::Instant};

use serde::{Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    error::{Error, Result},
    event::{EventData, EventRef},
    event_id::EventId,
    invalid::Invalid,
    position::{ExpectedVersion, Version},
    query::Query,
    reader::Reader,
    snapshot::Snapshot,
    store::EventStore,
    stream::StreamId,
    trace,
    typed::{
        aggregate::Aggregate,
        codec::{Codec, Json},
        context::Context,
        event_codec::EventCodec,
        loaded::{Loaded, Moment, Purpose, UnusedSnapshot},
        retry::Retry,
        snapshot_policy::SnapshotPolicy,
        state_codec::StateCodec,
    },
    writer::request::Commit,
};

/// Loads and saves the aggregates of one type.
///
/// Another writer never gets lost: a save expects the version that was loaded, and [`execute`](Self::execute) loads and
/// decides again where it isn't the stream's any more. A repository is cheap to make and to clone, and may be shared by
/// threads.
///
/// `S` is what points to the store: an `Arc<EventStore>` or a `&EventStore`. Where nothing is saved, a
/// [`Reader`](crate::Reader) or a [`Follower`](crate::Follower) will do: a repository of one loads, and has no `save`. So a
/// process manager decides with aggregates, which it loads by [`Output::reader`](crate::Output::reader).
///
/// ```
/// use std::sync::Arc;
///
/// use annals::{Aggregate, Context, EventStore, Handle, Repository};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Default)]
/// struct Counter {
///     count: u64,
/// }
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(tag = "type", content = "data")]
/// enum CounterEvent {
///     Counted { by: u64 },
/// }
///
/// impl Aggregate for Counter {
///     type Event = CounterEvent;
///     const CATEGORY: &'static str = "counter";
///
///     fn apply(&mut self, CounterEvent::Counted { by }: CounterEvent) {
///         self.count += by;
///     }
/// }
///
/// struct Count(u64);
///
/// impl Handle<Count> for Counter {
///     type Error = String;
///
///     fn handle(&self, command: &Count) -> Result<Vec<CounterEvent>, String> {
///         if command.0 > 100 { Err("too much".into()) } else { Ok(vec![CounterEvent::Counted { by: command.0 }]) }
///     }
/// }
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("counters");
/// let store = Arc::new(EventStore::open(path)?);
/// let counters = Repository::<Counter>::new(Arc::clone(&store));
/// counters.execute("visits", &Count(3), &Context::new())?;
/// // The same command twice, as a client sends it that got no answer: counted once.
/// let click = Context::new().command_id("click-1");
/// counters.execute("visits", &Count(4), &click)?;
/// let again = counters.execute("visits", &Count(4), &click)?;
/// assert!(again.appended.repeated);
///
/// let visits = counters.load("visits")?;
/// assert_eq!((visits.state().count, visits.version().get()), (7, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Repository<A: Aggregate, S = Arc<EventStore>> {
    pub(crate) store: S,
    codec: EventCodec<A::Event>,
    pub(crate) retry: Retry,
    pub(crate) snapshots: Option<Snapshots<A>>,
    aggregate: PhantomData<fn() -> A>,
}

/// The schema version of events that nobody has said another one for.
const FIRST_SCHEMA_VERSION: u32 = 1;

/// How a repository uses snapshots.
pub(crate) struct Snapshots<A> {
    pub(crate) policy: Arc<dyn SnapshotPolicy>,
    pub(crate) codec: StateCodec<A>,
}

impl<A, S> Repository<A, S>
where
    A: Aggregate,
    S: Deref,
    S::Target: AsRef<Reader>,
{
    /// A repository that writes JSON, keeps no snapshots, and tries as often as [`Retry::new`] says.
    pub fn new(store: S) -> Self {
        let (codec, retry) = (EventCodec::default(), Retry::new());
        Self { store, codec, retry, snapshots: None, aggregate: PhantomData }
    }

    /// The same, writing events with another codec. Events that were written as JSON or bincode before are read too.
    #[must_use]
    pub fn codec<C: Codec>(mut self) -> Self {
        self.codec = EventCodec::of::<C>();
        self
    }

    /// The same, with another number of tries and other waits.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The store, or what reads it.
    pub fn store(&self) -> &S::Target {
        &self.store
    }

    pub(crate) fn reader(&self) -> &Reader {
        (*self.store).as_ref()
    }

    /// The stream of the aggregate with this id: `category-id`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if no stream can have that name.
    pub fn stream(&self, id: &str) -> Result<StreamId, Invalid> {
        StreamId::from_parts(A::CATEGORY, id)
    }

    /// Loads an aggregate as it is now. One to which nothing has happened has the default state, and version 0.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the id can't be in a stream's name, or an event isn't of this type;
    /// [`Error::UnknownSchemaVersion`] if one has a schema version that this program doesn't know; [`Error::Io`] and
    /// [`Error::Corrupt`].
    pub fn load(&self, id: &str) -> Result<Loaded<A>> {
        self.load_stream(&self.stream(id)?, Purpose::Reading)
    }

    /// Loads an aggregate to decide about it. A save of this one checks the version also where there is nothing to
    /// append: a decision to do nothing is as stale as any other if somebody else was first.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_for_writing(&self, id: &str) -> Result<Loaded<A>> {
        self.load_stream(&self.stream(id)?, Purpose::Writing)
    }

    /// Loads an aggregate as it was at a version of its stream, or when the log had come to a position or a time. Where
    /// the stream hadn't come that far, it is as it is now.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_as_of(&self, id: &str, moment: impl Into<Moment>) -> Result<Loaded<A>> {
        let stream = self.stream(id)?;
        let version = match moment.into() {
            Moment::Version(version) => self.reader().stream_version(&stream)?.min(version),
            Moment::AsOf(moment) => self.reader().stream_version_as_of(&stream, moment)?,
        };
        self.load_up_to(&stream, version, Purpose::Reading)
    }

    /// Brings an aggregate up to date with its stream, reading only what came since.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load); the aggregate is as it was then.
    pub fn refresh(&self, loaded: &mut Loaded<A>) -> Result<()> {
        let version = self.reader().stream_version(&loaded.stream)?;
        self.catch_up(loaded, version)
    }

    pub(crate) fn load_stream(&self, stream: &StreamId, purpose: Purpose) -> Result<Loaded<A>> {
        let version = self.reader().stream_version(stream)?;
        self.load_up_to(stream, version, purpose)
    }

    fn load_up_to(&self, stream: &StreamId, version: Version, purpose: Purpose) -> Result<Loaded<A>> {
        let mut loaded = Loaded::new(stream.clone(), purpose);
        if let Some(snapshots) = &self.snapshots {
            self.begin_with_snapshot(&mut loaded, version, snapshots.codec);
        }
        // What a snapshot costs itself, a newer one can't spare.
        let begun = Instant::now();
        let (stream, after) = (loaded.stream.clone(), loaded.version);
        self.each_event(&stream, after, version, |event| loaded.apply_read(event))?;
        loaded.version = version;
        loaded.snapshots.load_time = (version > after).then(|| begun.elapsed());
        Ok(loaded)
    }

    /// Takes the newest snapshot that this program can read, if there is any. What is wrong with the others is noted: they
    /// are a cache, and no reason to fail.
    fn begin_with_snapshot(&self, loaded: &mut Loaded<A>, version: Version, codec: StateCodec<A>) {
        let mut version_max = version;
        while version_max > Version::NONE {
            let search = match self.reader().snapshot_at(&loaded.stream, A::STATE_TYPE, version_max) {
                Ok(search) => search,
                Err(error) => return self.pass_over(loaded, UnusedSnapshot::Failed(error)),
            };
            // The store has told `tracing` of these.
            loaded.snapshots.unused.extend(search.ignored.into_iter().map(UnusedSnapshot::Ignored));
            let Some(snapshot) = search.snapshot else { return };
            match state_of(&snapshot, codec) {
                Ok(state) => {
                    (loaded.state, loaded.version) = (state, snapshot.version);
                    return loaded.note_snapshot(&snapshot);
                }
                Err(unused) => self.pass_over(loaded, unused),
            }
            version_max = snapshot.version.previous();
        }
    }

    /// Notes a snapshot that isn't used, and tells operators.
    fn pass_over(&self, loaded: &mut Loaded<A>, unused: UnusedSnapshot) {
        let path = self.reader().snapshot_directory(&loaded.stream);
        trace::warn("a snapshot is passed over", &path, format_args!("stream {}: {unused}", loaded.stream));
        loaded.snapshots.unused.push(unused);
    }

    /// Applies the events behind the aggregate's version, up to another one, which the stream has. The aggregate is as it
    /// was where that fails: an event that upcasters split is applied whole.
    pub(crate) fn catch_up(&self, loaded: &mut Loaded<A>, version: Version) -> Result<()> {
        let mut events = Vec::new();
        self.each_event(&loaded.stream, loaded.version, version, |event| events.push(event))?;
        for event in events {
            loaded.apply_read(event);
        }
        loaded.version = loaded.version.max(version);
        Ok(())
    }

    /// Visits the events of a stream behind a version, up to another one.
    fn each_event(
        &self,
        stream: &StreamId,
        after: Version,
        to: Version,
        mut visit: impl FnMut(A::Event),
    ) -> Result<()> {
        if after >= to {
            return Ok(());
        }
        let mut events = self.reader().read(Query::stream(stream).after(after).to(to));
        while let Some(event) = events.try_next()? {
            self.check_schema_version(&event)?;
            visit(self.codec.decode(&event).map_err(|invalid| located(&event, &invalid))?);
        }
        Ok(())
    }

    /// An event of a version that this program doesn't know means something that it can't know. Where upcasters name the
    /// type, reading has checked it: they may name several versions that the program reads. A type that nobody names has
    /// had one version.
    fn check_schema_version(&self, event: &EventRef<'_>) -> Result<()> {
        let is_named = self.reader().upcasters().current_version(event.event_type).is_some();
        if is_named || event.schema_version == FIRST_SCHEMA_VERSION {
            return Ok(());
        }
        Err(Error::UnknownSchemaVersion {
            event_type: event.event_type.to_owned(),
            found: event.schema_version,
            newest: FIRST_SCHEMA_VERSION,
            position: event.position,
        })
    }

    /// Adds what happened to an aggregate to a commit, which can be of several aggregates, of any types: all or nothing.
    /// The commit's outcome has one entry for it, also where there are no events. The version that was loaded is expected;
    /// without events, only where the aggregate was [loaded for writing](Self::load_for_writing).
    ///
    /// The aggregate stays as it is: [`refresh`](Self::refresh) it once the commit is stored. No snapshot is taken.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if an event can't be encoded.
    pub fn add_to(
        &self,
        commit: Commit,
        loaded: &Loaded<A>,
        events: impl IntoIterator<Item = A::Event>,
        context: &Context,
    ) -> Result<Commit> {
        let events: Vec<A::Event> = events.into_iter().collect();
        let expected = match loaded.purpose {
            Purpose::Reading if events.is_empty() => ExpectedVersion::Any,
            _ => loaded.version.into(),
        };
        let encoded = self.encode_for(&loaded.stream, &events, context)?;
        Ok(commit.append(&loaded.stream, expected, encoded))
    }

    /// The events of the aggregate with this id as the repository writes them: with its codec, in the schema versions that
    /// upcasters lead to, with the context's metadata, and with ids where the context has a [command
    /// id](Context::command_id). For who appends them by other means, as a process manager to its
    /// [`Output`](crate::Output::append); [`save`](Self::save) and [`add_to`](Self::add_to) do it by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if the id can't be in a stream's name, or the command's in an event's id, or an event can't be
    /// encoded.
    pub fn encode(
        &self,
        id: &str,
        events: impl IntoIterator<Item = A::Event>,
        context: &Context,
    ) -> Result<Vec<EventData>> {
        let events: Vec<A::Event> = events.into_iter().collect();
        self.encode_for(&self.stream(id)?, &events, context)
    }

    pub(crate) fn encode_for(
        &self,
        stream: &StreamId,
        events: &[A::Event],
        context: &Context,
    ) -> Result<Vec<EventData>> {
        let upcasters = self.reader().upcasters();
        let mut encoded = Vec::with_capacity(events.len());
        for (event, number) in events.iter().zip(1..) {
            let event = self.codec.encode(event)?;
            let mut event = event.with_current_version(upcasters).with_context(context)?;
            if let Some(command) = context.command() {
                event = event.with_id(event_id_of(command, number, stream)?);
            }
            encoded.push(event);
        }
        Ok(encoded)
    }
}

impl<A, S> Repository<A, S>
where
    A: Aggregate + Serialize + DeserializeOwned,
    S: Deref,
    S::Target: AsRef<Reader>,
{
    /// The same, with snapshots: loading begins with one, and a save takes one when the policy says so. States are written
    /// as JSON. The events before a snapshot aren't read again, neither by a mended `apply` nor through new upcasters:
    /// [`Aggregate::STATE_VERSION`] passes older ones over.
    #[must_use]
    pub fn snapshots(self, policy: impl SnapshotPolicy + 'static) -> Self {
        self.snapshots_with::<Json>(policy)
    }

    /// The same, with snapshots whose states are written with another codec. Those of another one are passed over.
    #[must_use]
    pub fn snapshots_with<C: Codec>(mut self, policy: impl SnapshotPolicy + 'static) -> Self {
        self.snapshots = Some(Snapshots { policy: Arc::new(policy), codec: StateCodec::of::<C>() });
        self
    }
}

/// The state in a snapshot, or why it isn't one of this program's.
fn state_of<A: Aggregate>(snapshot: &Snapshot, codec: StateCodec<A>) -> Result<A, UnusedSnapshot> {
    let (version, found, wanted) = (snapshot.version, snapshot.schema_version, A::STATE_VERSION);
    if found != wanted {
        return Err(UnusedSnapshot::OtherStateVersion { version, found, wanted });
    }
    codec.decode(snapshot).map_err(|reason| UnusedSnapshot::Undecodable { version, reason })
}

/// The id of an event that a command has led to in a stream, the first of which is 1: `COMMAND:1:` and the hash of the
/// stream's name. By the hash it is the id of one event, though the command led to events in many streams; and the index,
/// which finds ids over all streams, finds one.
pub(crate) fn event_id_of(command_id: &str, number: u64, stream: &StreamId) -> Result<EventId, Invalid> {
    check_command_id(command_id)?;
    EventId::new(&format!("{command_id}:{number}:{:016x}", xxh3_64(stream.as_str().as_bytes())))
}

/// An empty id would be that of all who forgot to give one.
pub(crate) fn check_command_id(command_id: &str) -> Result<(), Invalid> {
    if command_id.is_empty() {
        return Err(Invalid::new(
            "command id",
            command_id,
            "it is empty: give each command its own, or none",
        ));
    }
    Ok(())
}

/// Says which event couldn't be read.
fn located(event: &EventRef<'_>, invalid: &Invalid) -> Invalid {
    let event = format!("{} {} of stream {}", event.event_type, event.version, event.stream);
    Invalid::new("event", &event, invalid.to_string())
}

impl<A: Aggregate, S: Clone> Clone for Repository<A, S> {
    fn clone(&self) -> Self {
        let Self { ref store, codec, retry, ref snapshots, aggregate } = *self;
        Self { store: store.clone(), codec, retry, snapshots: snapshots.clone(), aggregate }
    }
}

impl<A> Clone for Snapshots<A> {
    fn clone(&self) -> Self {
        Self { policy: Arc::clone(&self.policy), codec: self.codec }
    }
}

impl<A: Aggregate, S> fmt::Debug for Repository<A, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Repository")
            .field("category", &A::CATEGORY)
            .field("retry", &self.retry)
            .field("snapshots", &self.snapshots.as_ref().map(|snapshots| &snapshots.policy))
            .finish_non_exhaustive()
    }
}
