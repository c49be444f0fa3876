//! The runner: drives a projection or a process manager, on a thread of its own or on the caller's.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use crate::{
    companions::{Companion, Membership},
    error::{Error, Result},
    query::Query,
    reader::Reader,
    store::EventStore,
    subscription::Delivery,
    typed::{
        control::{Control, ProjectionProgress},
        notes::{check_runner_name, last_ordinary_position},
        on_error::OnError,
        process_manager::{Managing, ProcessManager},
        projection::Projection,
        run_error::RunError,
        running::RunningProjection,
        session::{Session, Until},
        settings::Settings,
        work::{Projecting, Work, keep_type},
    },
};

/// Drives a [`Projection`] or a [`ProcessManager`]: gives it the events that are there and then those that come, in
/// batches, and keeps how far it has come. The name is that of its checkpoint and its records.
///
/// [`start`](Self::start) does it on a thread of its own, [`run_to_end`](Self::run_to_end) on the caller's. Several run
/// beside each other, each with a name of its own. Closing the store ends them: each finishes its batch and saves.
/// An order, such as a pause or the store's closing, is heard between events that the query asks for: a long walk over
/// others comes to its end first.
///
/// A model in memory, as this one, is made anew at each start: it says that there is no cursor.
///
/// ```
/// use std::{convert::Infallible, time::Duration};
///
/// use annals::{
///     EventData, EventStore, ExpectedVersion, Projection, Runner, SavedCursor, StoredEvent, StreamId,
/// };
///
/// #[derive(Default)]
/// struct Orders {
///     placed: u64,
/// }
///
/// impl Projection for Orders {
///     type Error = Infallible;
///
///     fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
///         self.placed += u64::from(event.event_type == "OrderPlaced");
///         Ok(())
///     }
///
///     fn saved_cursor(&mut self) -> Result<SavedCursor, Infallible> {
///         Ok(SavedCursor::Own(None))
///     }
///
///     fn reset(&mut self) -> Result<(), Infallible> {
///         *self = Self::default();
///         Ok(())
///     }
/// }
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let running = Runner::new(&store, "orders")?.start(Orders::default())?;
///
/// let order = StreamId::new("order-17")?;
/// let placed = store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
/// assert!(running.wait_until(placed.position, Duration::from_secs(10))?);
/// assert_eq!(running.stop()?.placed, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a runner does nothing until it is started"]
pub struct Runner {
    settings: Settings,
    path: PathBuf,
}

/// How many events a batch has at most, if nothing is said.
const BATCH_EVENTS: u64 = 500;
/// How long a batch lasts at most, if nothing is said.
const BATCH_TIME: Duration = Duration::from_millis(100);
/// After how many events is saved, if nothing is said.
const SAVE_EVENTS: u64 = 1_000;
/// After how long is saved, if nothing is said.
const SAVE_TIME: Duration = Duration::from_secs(1);

impl Runner {
    /// A runner of this name. It doesn't keep the store open.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if no checkpoint can have this name, or it is too long for the streams of its records.
    pub fn new(store: &EventStore, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        check_runner_name(&name)?;
        let settings = Settings {
            appender: store.appender().clone(),
            name,
            batch_events_max: BATCH_EVENTS,
            batch_time_max: BATCH_TIME,
            save_events_max: SAVE_EVENTS,
            save_time_max: SAVE_TIME,
            on_error: OnError::default(),
        };
        Ok(Self { settings, path: store.path().to_owned() })
    }

    /// How many events a batch has at most; 500, if nothing is said. Each is one transaction of a projection that has
    /// such. It ends earlier where nothing more is there. A process manager's are of one event.
    pub fn batch_events(mut self, events_max: u64) -> Self {
        self.settings.batch_events_max = events_max.max(1);
        self
    }

    /// How long a batch lasts at most while events come without a pause; 100 ms, if nothing is said.
    pub fn batch_time(mut self, time_max: Duration) -> Self {
        self.settings.batch_time_max = time_max;
        self
    }

    /// After how many events the checkpoint is saved; 1,000, if nothing is said. After a crash so many may come again
    /// to a projection that doesn't keep its cursor itself.
    pub fn save_events(mut self, events_max: u64) -> Self {
        self.settings.save_events_max = events_max.max(1);
        self
    }

    /// After how long the checkpoint is saved, if there is something to save; 1 second, if nothing is said. Events of the store's own streams are
    /// nothing to save: the next start may be given those behind the last saving again.
    pub fn save_time(mut self, time_max: Duration) -> Self {
        self.settings.save_time_max = time_max;
        self
    }

    /// What is done with an event that can't be handled; [`OnError::Stop`], if nothing is said.
    pub fn on_error(mut self, on_error: OnError) -> Self {
        self.settings.on_error = on_error;
        self
    }

    /// Runs a projection on a thread of its own, until it is stopped or the store is closed.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] if a runner of this name is at work on this store, [`Error::Closed`], and [`Error::Io`] if
    /// no thread can be started. All else is told by the running projection.
    pub fn start<P: Projection + 'static>(self, projection: P) -> Result<RunningProjection<P>> {
        self.start_work(projection, |settings, projection, control| {
            run(settings, Projecting(projection), control, Until::Told)
        })
    }

    /// Runs a process manager on a thread of its own, until it is stopped or the store is closed.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_process<M: ProcessManager + 'static>(self, manager: M) -> Result<RunningProjection<M>> {
        self.start_work(manager, |settings, manager, control| {
            run(settings, Managing::new(manager), control, Until::Told)
        })
    }

    /// Runs a projection on this thread over all that is there, saves, and returns how far it came.
    ///
    /// # Errors
    ///
    /// Why it couldn't go on. What it did before is saved, unless it is the saving that failed.
    ///
    /// # Panics
    ///
    /// Where the projection does: the panic is the caller's.
    pub fn run_to_end<P: Projection>(&self, projection: &mut P) -> Result<ProjectionProgress, RunError> {
        self.work_here(|control| run(&self.settings, Projecting(projection), control, Until::End))
    }

    /// Runs a process manager on this thread over all that is there, saves, and returns how far it came. What it puts
    /// out meanwhile may be left for the next time.
    ///
    /// # Errors
    ///
    /// As [`run_to_end`](Self::run_to_end).
    pub fn run_process_to_end<M: ProcessManager>(
        &self,
        manager: &mut M,
    ) -> Result<ProjectionProgress, RunError> {
        self.work_here(|control| run(&self.settings, Managing::new(manager), control, Until::End))
    }

    /// Lets a projection begin anew: it forgets what it has, its checkpoint is deleted, and what was skipped isn't any
    /// more. For one that isn't running; else see [`RunningProjection::rebuild`]. Interrupted at any moment, it is done
    /// again by the next start.
    ///
    /// # Errors
    ///
    /// Why that couldn't be done.
    pub fn reset<P: Projection>(&self, projection: &mut P) -> Result<(), RunError> {
        self.work_here(|_| self.settings.reset(&mut Projecting(projection))).map(drop)
    }

    fn enter(&self, control: &Arc<Control>) -> Result<Membership> {
        let companions = self.settings.appender.companions();
        companions.enter(&self.settings.name, Arc::clone(control) as Arc<dyn Companion>)
    }

    fn work_here(
        &self,
        work: impl FnOnce(&Control) -> Result<(), RunError>,
    ) -> Result<ProjectionProgress, RunError> {
        let control = Arc::new(Control::new());
        let membership = self.enter(&control).map_err(|error| self.settings.store_error(error))?;
        let at_end = AtEnd { control: &control, membership: Some(membership) };
        control.work_here();
        work(&control)?;
        drop(at_end);
        let last = last_ordinary_position(self.settings.reader(), Query::all());
        Ok(control.progress(last.map_err(|error| self.settings.store_error(error))?))
    }

    fn start_work<T: Send + 'static>(
        self,
        mut subject: T,
        work: fn(&Settings, &mut T, &Control) -> Result<(), RunError>,
    ) -> Result<RunningProjection<T>> {
        let control = Arc::new(Control::new());
        let membership = self.enter(&control)?;
        let (settings, shared) = (self.settings, Arc::clone(&control));
        let (name, appender) = (settings.name.clone(), settings.appender.clone());
        let thread = thread::Builder::new().name(format!("annals-{name}")).spawn(move || {
            shared.work_here();
            let run = AssertUnwindSafe(|| work(&settings, &mut subject, &shared));
            let outcome = catch_unwind(run).map_err(|panic| RunError::Panicked {
                name: settings.name.clone(),
                position: shared.handling(),
                message: message_of(&*panic),
            });
            drop(membership);
            let has_panicked = outcome.is_err();
            shared.tell_end(outcome.and_then(|outcome| outcome).err());
            (!has_panicked).then_some(subject)
        });
        let thread = thread.map_err(|error| {
            control.tell_end(None);
            Error::io("start a thread for", self.path, error)
        })?;
        Ok(RunningProjection::new(name, appender, control, thread))
    }
}

fn run<W: Work>(settings: &Settings, work: W, control: &Control, until: Until) -> Result<(), RunError> {
    Session::begin(work, settings, control)?.run(until)
}

/// Lets those who wait for the end of a run go, however it ends.
struct AtEnd<'a> {
    control: &'a Control,
    membership: Option<Membership>,
}

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        // The name is free before anybody hears of the end.
        drop(self.membership.take());
        self.control.tell_end(None);
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}

/// Gives a projection all events that it asks for and that are there, from the first on, and gives it back. Nothing is
/// saved, and its own cursor isn't asked for: for tests, and for what is made anew each time.
///
/// # Errors
///
/// Why it couldn't go on.
pub fn project<P: Projection>(reader: &Reader, mut projection: P) -> Result<P, RunError> {
    const NAME: &str = "in memory";
    let name = || NAME.to_owned();
    let store_error = |source| RunError::of_store(name(), source);
    let failed = |action, error| RunError::Projection { name: name(), action, source: keep_type(error) };
    let mut subscription = reader.subscribe(projection.query());
    projection.begin().map_err(|error| failed("begin a batch", error))?;
    while let Some(Delivery::Event(event)) = subscription.try_next().map_err(store_error)? {
        projection.handle(&event).map_err(|error| RunError::Event {
            name: name(),
            position: event.position,
            stream: event.stream.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            tries: 1,
            source: keep_type(error),
        })?;
    }
    projection.commit(subscription.cursor()).map_err(|error| failed("commit a batch", error))?;
    Ok(projection)
}
