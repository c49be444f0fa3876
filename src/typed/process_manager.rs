//! Process managers: what answers events with other events, each once.

use std::{cell::OnceCell, fmt, mem};

use crate::{
    cursor::Cursor,
    event::{EventData, StoredEvent},
    position::{ExpectedVersion, Position},
    query::Query,
    reader::Reader,
    stream::StreamId,
    typed::{
        context::Context,
        projection::{RollBack, SavedCursor},
        run_error::HandlerError,
        work::{Work, keep_type},
    },
    writer::request::Commit,
};

/// Answers events with other events, such as an order that is placed with a reservation of goods. A
/// [`Runner`](crate::Runner) gives it each event once, and commits what it puts out together with its checkpoint: after a
/// crash at any moment an answer is there exactly once, or its event comes again.
///
/// It decides on what is in the store, read through [`Output::reader`], and says by expected versions what it relies
/// on. Where another was first meanwhile, nothing is written, and the event is handled again with what is there then.
/// Each such time it waits a moment, up to 100 ms, so that others come to their end. When another was first 30 times
/// in a row, it is an error of the event, and [`OnError`](crate::OnError) says what comes then.
/// What it keeps in memory is for speed alone: it is gone at the next start.
///
/// Of an event that upcasting makes into several, each part is handled by itself, and the answers to all of them are one
/// commit. So a part doesn't see in the store what was put out for those before it. Where two parts append to the same
/// stream, they demand the same version of it, which is what they have read, and their events follow each other. The parts
/// have the same id: ids of answers that are made of it have to name the part as well.
///
/// ```
/// use std::convert::Infallible;
///
/// use annals::{
///     EventData, EventStore, ExpectedVersion, Output, Position, ProcessManager, Query, Runner, StoredEvent,
///     StreamId,
/// };
///
/// /// Welcomes who signs up.
/// struct Welcome;
///
/// impl ProcessManager for Welcome {
///     type Error = annals::Error;
///
///     fn query(&self) -> Query<Position> {
///         Query::all().event_type("CustomerSignedUp")
///     }
///
///     fn handle(&mut self, event: &StoredEvent, output: &mut Output) -> Result<(), annals::Error> {
///         let mail = StreamId::from_parts("mail", event.stream.id().unwrap_or_default())?;
///         output.append(&mail, ExpectedVersion::NoStream, [EventData::new("WelcomeMailDue", "{}")]);
///         Ok(())
///     }
/// }
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let customer = StreamId::new("customer-7")?;
/// store.append(&customer, ExpectedVersion::NoStream, [EventData::new("CustomerSignedUp", "{}")])?;
/// let runner = Runner::new(&store, "welcome")?;
/// runner.run_process_to_end(&mut Welcome)?;
/// runner.run_process_to_end(&mut Welcome)?;
///
/// let mail: Vec<_> = store.read_stream(&StreamId::new("mail-7")?).collect::<Result<_, _>>()?;
/// assert_eq!(mail.len(), 1);
/// let caused_by = mail[0].metadata()?.and_then(|metadata| metadata.causation_id);
/// assert_eq!(caused_by, Some(store.read_stream(&customer).next().expect("an event")?.id.to_string()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProcessManager: Send {
    /// What keeps it from going on: an error of its own, or a box of any.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// Which events it is given: all, unless said otherwise. If its own answers are among them, it is given those
    /// too.
    fn query(&self) -> Query<Position> {
        Query::all()
    }

    /// Answers an event, by what it puts into the output; nothing is an answer, too. It may be called again for the
    /// same event, each time with an empty output.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from that: nothing of its output is written. What comes then is for
    /// [`OnError`](crate::OnError) to say, as where the store refuses the output. An error that says that another was
    /// first is one like others here: the store itself finds that out for the output.
    fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Self::Error>;

    /// Forgets what it remembers of the event that was handled last: its output wasn't written, and it comes again.
    fn roll_back(&mut self) {}
}

/// What a process manager puts out for one event: written all or not at all, together with its checkpoint.
pub struct Output<'a> {
    reader: &'a Reader,
    cause: &'a StoredEvent,
    commit: Commit,
    context: OnceCell<Context>,
}

impl<'a> Output<'a> {
    fn new(reader: &'a Reader, cause: &'a StoredEvent) -> Self {
        Self { reader, cause, commit: Commit::new(), context: OnceCell::new() }
    }

    /// What reads the store. It doesn't show what is in the output. A [`Repository`](crate::Repository) of it loads aggregates;
    /// what they decide comes into the output by [`add`](Self::add):
    ///
    /// ```
    /// # use annals::{Aggregate, Error, Output, Repository, StoredEvent};
    /// fn open_account<A: Aggregate>(output: &mut Output<'_>, id: &str, opened: A::Event) -> Result<(), Error> {
    ///     let accounts = Repository::<A, _>::new(output.reader());
    ///     let account = accounts.load_for_writing(id)?;
    ///     if !account.exists() {
    ///         let context = output.context().clone();
    ///         output.add(|commit| accounts.add_to(commit, &account, [opened], &context))?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use]
    pub fn reader(&self) -> &'a Reader {
        self.reader
    }

    /// The context of what is put out: caused by the event, and of its correlation, user and tenant.
    #[must_use]
    pub fn context(&self) -> &Context {
        self.context.get_or_init(|| context_of(self.cause))
    }

    /// Appends to a stream. Each stream may stand in the output once; those of an event's parts are told apart. Events get the metadata of
    /// [`context`](Self::context); what their own say already stays.
    pub fn append(
        &mut self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = EventData>,
    ) -> &mut Self {
        let context = self.context();
        // Metadata that aren't a JSON object take nothing in: they stay as they are.
        let in_context = |event: EventData| event.clone().with_context(context).unwrap_or(event);
        let events: Vec<EventData> = events.into_iter().map(in_context).collect();
        self.commit = mem::take(&mut self.commit).append(stream, expected, events);
        self
    }

    /// Demands a version of a stream that isn't written.
    pub fn check(&mut self, stream: &StreamId, expected: impl Into<ExpectedVersion>) -> &mut Self {
        self.commit = mem::take(&mut self.commit).check(stream, expected);
        self
    }

    /// Lets something else add to what is committed, such as a repository with an aggregate's events.
    ///
    /// # Errors
    ///
    /// Those of what adds. The output is empty then; what was put out for parts of the event before this one stays.
    pub fn add<E>(&mut self, add: impl FnOnce(Commit) -> Result<Commit, E>) -> Result<&mut Self, E> {
        self.commit = add(mem::take(&mut self.commit))?;
        Ok(self)
    }
}

/// What an event's answers have in common. Metadata that aren't a JSON object name neither a correlation nor a user.
fn context_of(cause: &StoredEvent) -> Context {
    Context::caused_by(cause).unwrap_or_else(|_| {
        Context::new().correlation_id(cause.id.to_string()).causation_id(cause.id.to_string())
    })
}

impl fmt::Debug for Output<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Output")
            .field("commit", &self.commit)
            .field("cause", &self.cause)
            .finish_non_exhaustive()
    }
}

/// A process manager at work.
pub(crate) struct Managing<'a, M> {
    manager: &'a mut M,
    commit: Commit,
}

impl<'a, M> Managing<'a, M> {
    pub(crate) fn new(manager: &'a mut M) -> Self {
        Self { manager, commit: Commit::new() }
    }
}

impl<M: ProcessManager> Work for Managing<'_, M> {
    // What it reads for the next event has to have its answer to this one.
    const BATCH_EVENTS_MAX: u64 = 1;

    fn query(&self) -> Query<Position> {
        self.manager.query()
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, HandlerError> {
        Ok(SavedCursor::InStore)
    }

    fn begin(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }

    fn handle(&mut self, event: &StoredEvent, reader: &Reader) -> Result<(), HandlerError> {
        let mut output = Output::new(reader, event);
        self.manager.handle(event, &mut output).map_err(keep_type)?;
        // Of an event that upcasting made into several, all parts' answers are one commit.
        self.commit = mem::take(&mut self.commit).join(output.commit);
        Ok(())
    }

    fn commit(&mut self, _: Cursor) -> Result<Commit, HandlerError> {
        Ok(mem::take(&mut self.commit))
    }

    fn roll_back(&mut self) -> Result<RollBack, HandlerError> {
        self.commit = Commit::new();
        self.manager.roll_back();
        Ok(RollBack::Undone)
    }

    fn reset(&mut self) -> Result<(), HandlerError> {
        Ok(())
    }
}
