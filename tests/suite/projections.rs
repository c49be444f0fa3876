//! Projections and their runner: every event once and in order, wherever it begins, rests, ends and begins anew.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use annals::{
    Cursor, CursorKeeper, Durability, EventStore, ExpectedVersion, Options, Position, Projection,
    ProjectionState, Query, RollBack, RunError, Runner, SavedCursor, StoredEvent, project,
};

use crate::support::{Outcome, event, events, store, stream, version};

/// Longer than anything here takes; a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Writes down the positions it is given. Clones have the same list.
#[derive(Clone, Default)]
pub(crate) struct List {
    pub(crate) positions: Arc<Mutex<Vec<u64>>>,
    pub(crate) query: Option<Query<Position>>,
}

impl List {
    pub(crate) fn of(query: Query<Position>) -> Self {
        Self { query: Some(query), ..Self::default() }
    }

    pub(crate) fn positions(&self) -> Vec<u64> {
        self.positions.lock().expect("no test panics with it").clone()
    }
}

impl Projection for List {
    type Error = Infallible;

    fn query(&self) -> Query<Position> {
        self.query.clone().unwrap_or_else(Query::all)
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
        self.positions.lock().expect("no test panics with it").push(event.position.get());
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Infallible> {
        self.positions.lock().expect("no test panics with it").clear();
        Ok(())
    }
}

/// A database of one table, with transactions: positions, and the cursor that was committed with them. Clones are
/// connections to the same one.
#[derive(Clone, Default)]
pub(crate) struct Database {
    pub(crate) committed: Arc<Mutex<(Vec<u64>, Option<Cursor>)>>,
    open: Option<Vec<u64>>,
}

impl Database {
    pub(crate) fn positions(&self) -> Vec<u64> {
        self.committed.lock().expect("no test panics with it").0.clone()
    }

    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.committed.lock().expect("no test panics with it").1
    }

    /// Another connection, without what this one has begun.
    pub(crate) fn connect(&self) -> Self {
        Self { committed: Arc::clone(&self.committed), open: None }
    }

    pub(crate) fn insert(&mut self, position: Position) {
        self.open.as_mut().expect("a transaction is begun").push(position.get());
    }
}

impl Projection for Database {
    type Error = Infallible;

    fn begin(&mut self) -> Result<(), Infallible> {
        assert!(self.open.replace(Vec::new()).is_none(), "one transaction at a time");
        Ok(())
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
        self.insert(event.position);
        Ok(())
    }

    fn commit(&mut self, cursor: Cursor) -> Result<(), Infallible> {
        let rows = self.open.take().expect("a transaction is begun");
        let mut committed = self.committed.lock().expect("no test panics with it");
        committed.0.extend(rows);
        committed.1 = Some(cursor);
        Ok(())
    }

    fn roll_back(&mut self) -> Result<RollBack, Infallible> {
        self.open = None;
        Ok(RollBack::Undone)
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, Infallible> {
        Ok(SavedCursor::Own(self.cursor()))
    }

    fn reset(&mut self) -> Result<(), Infallible> {
        *self.committed.lock().expect("no test panics with it") = Default::default();
        Ok(())
    }
}

/// Appends so many events to a stream of its own, and says where the last one is.
pub(crate) fn append(store: &EventStore, name: &str, count: u64) -> Position {
    let stream = stream(name);
    let before = store.stream_version(&stream).expect("readable").get();
    store.append(&stream, version(before), events(before + 1, count)).expect("appended").position
}

/// How many events the store has of its own: checkpoints and notes.
fn system_events(store: &EventStore) -> u64 {
    let all = store.read(Query::all().including_system()).count();
    let ordinary = store.read_all().count();
    u64::try_from(all - ordinary).expect("more than none")
}

#[test]
fn a_projection_has_every_event_once_what_is_there_and_what_comes__B12_B18() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let end = append(&store, "b", 2);
    assert!(running.wait_until(end, PATIENCE)?);
    let progress = running.progress();
    assert_eq!((progress.handled, progress.skipped, progress.behind), (5, 0, 0));
    running.stop()?;
    let wanted: Vec<u64> =
        store.read_all().map(|event| event.map(|it| it.position.get())).collect::<Result<_, _>>()?;
    assert_eq!(list.positions(), wanted);
    Ok(())
}

#[test]
fn an_append_never_waits_for_a_projection_nor_fails_by_one__D27() -> Outcome {
    struct Stuck(Receiver<()>);
    impl Projection for Stuck {
        type Error = Infallible;
        fn handle(&mut self, _: &StoredEvent) -> Result<(), Infallible> {
            self.0.recv().expect("it is let go");
            panic!("a projection that is no good");
        }
        fn reset(&mut self) -> Result<(), Infallible> {
            Ok(())
        }
    }
    let store = store();
    let (go, gate) = channel();
    let running = Runner::new(&store, "stuck")?.start(Stuck(gate))?;
    let end = append(&store, "a", 100);
    assert_eq!((store.read_all().count(), running.progress().position), (100, Position::NONE));
    go.send(())?;
    let failed = running.wait_until(end, PATIENCE);
    assert!(matches!(failed, Err(RunError::Panicked { .. })), "{failed:?}");
    append(&store, "a", 1);
    Ok(())
}

#[test]
fn it_goes_on_where_it_ended_and_saves_nothing_where_nothing_came() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let mut list = List::default();
    let runner = Runner::new(&store, "list")?;
    assert_eq!(runner.run_to_end(&mut list)?.handled, 3);
    let before = system_events(&store);
    assert_eq!(before, 2, "that it is there, and how far it is");
    for _ in 0..3 {
        assert_eq!(runner.run_to_end(&mut list)?.handled, 0);
    }
    assert_eq!(system_events(&store), before);
    append(&store, "a", 2);
    assert_eq!(runner.run_to_end(&mut list)?.handled, 2);
    assert_eq!(list.positions().len(), 5);
    let checkpoint = store.checkpoint("list")?.ok_or("a checkpoint")?;
    assert_eq!(checkpoint.cursor.position.get(), *list.positions().last().ok_or("an event")?);
    Ok(())
}

#[test]
fn a_checkpoint_is_saved_after_so_many_events() -> Outcome {
    let store = store();
    append(&store, "a", 95);
    let runner = Runner::new(&store, "list")?.batch_events(5).save_events(10).save_time(PATIENCE);
    runner.run_to_end(&mut List::default())?;
    let saved = store.stream_version(&stream("$checkpoint-list"))?.get();
    assert_eq!(saved, 10, "nine times within, and once at the end");
    Ok(())
}

#[test]
fn a_checkpoint_is_saved_in_time_though_few_events_come() -> Outcome {
    let store = store();
    let runner = Runner::new(&store, "list")?.save_time(Duration::from_millis(1));
    let running = runner.start(List::default())?;
    let end = append(&store, "a", 1);
    let mut saved = store.subscribe(Query::stream(&stream("$checkpoint-list")));
    while saved.next_timeout(PATIENCE)?.is_some_and(|it| !matches!(it, annals::Delivery::Event(_))) {}
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(end));
    running.stop()?;
    Ok(())
}

#[test]
fn who_keeps_the_cursor_itself_has_each_event_once_and_the_store_saves_nothing() -> Outcome {
    let store = store();
    append(&store, "a", 10);
    let database = Database::default();
    let runner = Runner::new(&store, "own")?.batch_events(3);
    runner.run_to_end(&mut database.connect())?;
    append(&store, "a", 5);
    runner.run_to_end(&mut database.connect())?;
    let wanted: Vec<u64> =
        store.read_all().map(|event| event.map(|it| it.position.get())).collect::<Result<_, _>>()?;
    assert_eq!(database.positions(), wanted);
    assert_eq!(system_events(&store), 1, "that it is there");
    assert_eq!(store.checkpoint("own")?, None);
    let info = &store.projections()?[0];
    assert_eq!((info.keeper, info.position, info.behind), (CursorKeeper::Projection, None, None));
    Ok(())
}

#[test]
fn only_events_of_its_query_come_and_the_others_are_passed_over() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let wanted = append(&store, "b", 1);
    let end = append(&store, "a", 3);
    let list = List::of(Query::all().category("b"));
    let progress = Runner::new(&store, "list")?.run_to_end(&mut list.clone())?;
    assert_eq!((progress.position, progress.handled, progress.behind), (end, 1, 0));
    assert_eq!(list.positions(), [wanted.get()]);
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(end));

    let running = Runner::new(&store, "list")?.start(list)?;
    let end = append(&store, "a", 1);
    assert!(running.wait_until(end, PATIENCE)?, "it needn't be one of its events");
    assert!(running.wait_until(store.last_position(), PATIENCE)?, "nor one of anybody's");
    Ok(())
}

#[test]
fn waiting_for_what_never_comes_has_an_end() -> Outcome {
    let store = store();
    let running = Runner::new(&store, "list")?.start(List::default())?;
    assert!(!running.wait_until(Position::new(7), Duration::from_millis(1))?);
    Ok(())
}

#[test]
fn a_paused_projection_takes_nothing_until_it_goes_on() -> Outcome {
    let store = store();
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let first = append(&store, "a", 4);
    assert!(running.wait_until(first, PATIENCE)?);
    running.pause();
    assert_eq!(running.progress().state, ProjectionState::Paused);
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(first), "it has saved");
    let end = append(&store, "a", 4);
    assert!(!running.wait_until(end, Duration::from_millis(1))?);
    assert_eq!((list.positions().len(), running.progress().behind > 0), (4, true));
    running.resume();
    assert!(running.wait_until(end, PATIENCE)?);
    assert_eq!(list.positions().len(), 8);
    Ok(())
}

#[test]
fn a_paused_projection_can_be_stopped_and_the_store_closed() -> Outcome {
    let (store, directory) = store().into_parts();
    let running = Runner::new(&store, "list")?.start(List::default())?;
    running.pause();
    store.close()?;
    assert_eq!(running.progress().state, ProjectionState::Stopped);
    running.stop()?;
    drop(directory);
    Ok(())
}

#[test]
fn closing_the_store_ends_runners_which_save_before() -> Outcome {
    let (store, directory) = store().into_parts();
    let own = Database::default();
    let (list, database) = (
        Runner::new(&store, "list")?.save_time(PATIENCE).start(List::default())?,
        Runner::new(&store, "own")?.save_time(PATIENCE).start(own.connect())?,
    );
    let end = append(&store, "a", 10);
    assert!(list.wait_until(end, PATIENCE)? && database.wait_until(end, PATIENCE)?);
    assert_eq!(store.checkpoint("list")?, None);
    store.close()?;
    assert_eq!(
        (list.progress().state, database.progress().state),
        (ProjectionState::Stopped, ProjectionState::Stopped)
    );
    list.stop()?;
    database.stop()?;

    let store = EventStore::open(directory.path().join("store"))?;
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(end));
    assert_eq!(own.cursor().map(|it| it.position), Some(end));
    Ok(())
}

#[test]
fn dropping_the_store_ends_runners_too_and_a_later_start_is_refused() -> Outcome {
    let (store, directory) = store().into_parts();
    let late = Runner::new(&store, "late")?;
    let running = Runner::new(&store, "list")?.start(List::default())?;
    drop(store);
    assert_eq!(running.progress().state, ProjectionState::Stopped);
    assert!(matches!(late.start(List::default()), Err(annals::Error::Closed)));
    drop(directory);
    Ok(())
}

#[test]
fn a_name_is_one_runners_at_a_time() -> Outcome {
    let store = store();
    let running = Runner::new(&store, "list")?.start(List::default())?;
    let second = Runner::new(&store, "list")?.start(List::default()).map(drop).expect_err("it is taken");
    assert!(second.to_string().contains("a runner of this name is at work"), "{second}");
    let third = Runner::new(&store, "list")?.run_to_end(&mut List::default()).expect_err("it is taken");
    assert!(third.with_sources().contains("a runner of this name is at work"), "{third:?}");
    running.stop()?;
    Runner::new(&store, "list")?.run_to_end(&mut List::default())?;
    Ok(())
}

#[test]
fn a_name_is_what_a_checkpoints_can_be() -> Outcome {
    let store = store();
    for name in ["", "a\nb", &"x".repeat(2_048 - 11)] {
        assert!(Runner::new(&store, name).is_err(), "{} bytes", name.len());
    }
    let longest = "x".repeat(2_048 - "$projection-".len());
    let runner = Runner::new(&store, longest.clone())?;
    append(&store, "a", 1);
    runner.run_to_end(&mut List::default())?;
    assert_eq!(store.projections()?[0].name, longest);
    Ok(())
}

#[test]
fn eight_projections_beside_sixteen_writers_miss_nothing_and_double_nothing() -> Outcome {
    const WRITERS: u64 = 16;
    const EVENTS_A_WRITER: u64 = 250;
    let store = Arc::new(store());
    let lists: Vec<List> = (0..4).map(|_| List::default()).collect();
    let databases: Vec<Database> = (0..4).map(|_| Database::default()).collect();
    let runner =
        |name: String| Ok::<_, annals::Error>(Runner::new(&store, name)?.batch_events(7).save_events(50));
    let mut running_lists = Vec::new();
    let mut running_databases = Vec::new();
    for (index, list) in lists.iter().enumerate() {
        running_lists.push(runner(format!("list-{index}"))?.start(list.clone())?);
    }
    for (index, database) in databases.iter().enumerate() {
        running_databases.push(runner(format!("own-{index}"))?.start(database.connect())?);
    }
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = &store;
            scope.spawn(move || {
                let stream = stream(&format!("writer-{writer}"));
                for number in 0..EVENTS_A_WRITER {
                    store.append(&stream, version(number), [event("E")]).expect("appended");
                }
            });
        }
        // Resting and going on meanwhile changes nothing.
        running_lists[0].pause();
        running_lists[0].resume();
    });
    let wanted: Vec<u64> =
        store.read_all().map(|event| event.map(|it| it.position.get())).collect::<Result<_, _>>()?;
    assert_eq!(u64::try_from(wanted.len())?, WRITERS * EVENTS_A_WRITER);
    let end = store.last_position();
    for (running, list) in running_lists.iter().zip(&lists) {
        assert!(running.wait_until(end, PATIENCE)?);
        assert!(list.positions() == wanted);
    }
    for (running, database) in running_databases.iter().zip(&databases) {
        assert!(running.wait_until(end, PATIENCE)?);
        assert!(database.positions() == wanted);
    }
    Ok(())
}

#[test]
fn a_rebuilt_projection_is_as_one_that_is_made_anew__B12() -> Outcome {
    let store = store();
    append(&store, "a", 50);
    let (list, database) = (List::default(), Database::default());
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let own = Runner::new(&store, "own")?.batch_events(7).start(database.connect())?;
    let end = append(&store, "a", 50);
    assert!(running.wait_until(end, PATIENCE)? && own.wait_until(end, PATIENCE)?);
    running.rebuild()?;
    own.rebuild()?;
    let end = append(&store, "a", 5);
    assert!(running.wait_until(end, PATIENCE)? && own.wait_until(end, PATIENCE)?);
    running.stop()?;
    own.stop()?;
    let fresh = project(&store, List::default())?.positions();
    assert_eq!(fresh.len(), 105);
    assert_eq!((list.positions(), database.positions()), (fresh.clone(), fresh));
    Ok(())
}

#[test]
fn what_is_paused_is_rebuilt_and_rests_on() -> Outcome {
    let store = store();
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let end = append(&store, "a", 5);
    assert!(running.wait_until(end, PATIENCE)?);
    running.pause();
    running.rebuild()?;
    running.pause();
    assert_eq!((list.positions().len(), running.progress().position), (0, Position::NONE));
    assert_eq!(store.checkpoint("list")?, None);
    running.resume();
    assert!(running.wait_until(end, PATIENCE)?);
    assert_eq!(list.positions().len(), 5);
    Ok(())
}

/// A projection that can't forget the first time it is told to.
struct Forgetful {
    list: List,
    refuses: bool,
}

impl Projection for Forgetful {
    type Error = std::io::Error;

    fn handle(&mut self, event: &StoredEvent) -> Result<(), std::io::Error> {
        self.list.handle(event).map_err(|never| match never {})
    }

    fn reset(&mut self) -> Result<(), std::io::Error> {
        if std::mem::take(&mut self.refuses) {
            return Err(std::io::Error::other("no"));
        }
        self.list.reset().map_err(|never| match never {})
    }
}

#[test]
fn a_reset_that_was_interrupted_is_done_at_the_next_start() -> Outcome {
    let store = store();
    append(&store, "a", 5);
    let list = List::default();
    let mut forgetful = Forgetful { list: list.clone(), refuses: true };
    let runner = Runner::new(&store, "list")?;
    runner.run_to_end(&mut forgetful)?;
    let failed = runner.reset(&mut forgetful).expect_err("it can't forget");
    assert!(
        failed
            .with_sources()
            .ends_with("can't forget what it has: mend what keeps it and start it again: no")
    );
    assert_eq!(list.positions().len(), 5);
    runner.run_to_end(&mut forgetful)?;
    assert_eq!(list.positions().len(), 5, "forgotten, and made again, and not doubled");
    Ok(())
}

#[test]
fn a_projection_that_is_ahead_of_the_log_is_told_to_be_rebuilt() -> Outcome {
    let (longer, shorter) = (store(), store());
    append(&longer, "a", 20);
    append(&shorter, "a", 10);
    let database = Database::default();
    Runner::new(&longer, "own")?.run_to_end(&mut database.connect())?;
    let runner = Runner::new(&shorter, "own")?;
    let failed = runner.run_to_end(&mut database.connect()).expect_err("the log ends before");
    assert!(matches!(failed, RunError::CursorMismatch { .. }), "{failed:?}");
    assert!(failed.to_string().contains("rebuild it (Runner::reset"), "{failed}");
    runner.reset(&mut database.connect())?;
    runner.run_to_end(&mut database.connect())?;
    assert_eq!(database.positions().len(), 10);
    Ok(())
}

#[test]
fn a_query_that_has_an_end_ends_the_runner() -> Outcome {
    let store = store();
    append(&store, "a", 10);
    let list = List::of(Query::all().to(Position::new(4)));
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    running.wait_for_end()?;
    assert_eq!(running.progress().state, ProjectionState::Stopped);
    assert_eq!(list.positions(), [1, 2, 3, 4]);
    let backwards = Runner::new(&store, "back")?.run_to_end(&mut List::of(Query::all().backwards()));
    assert!(backwards.expect_err("it goes forwards").with_sources().contains("a subscription goes forwards"));
    Ok(())
}

#[test]
fn the_stores_own_events_can_be_asked_for_and_saving_comes_to_rest() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let list = List::of(Query::all().including_system());
    let running =
        Runner::new(&store, "list")?.save_time(Duration::ZERO).save_events(1).start(list.clone())?;
    let end = append(&store, "a", 3);
    assert!(running.wait_until(end, PATIENCE)?);
    running.pause();
    running.resume();
    running.pause();
    assert!(store.stream_version(&stream("$checkpoint-list"))?.get() < 12);
    running.stop()?;
    Ok(())
}

/// Tells each event, and waits until it is let go.
struct Slow {
    told: Sender<u64>,
    go: Receiver<()>,
}

impl Projection for Slow {
    type Error = Infallible;

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
        self.told.send(event.position.get()).expect("the test waits");
        self.go.recv().expect("the test waits");
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

#[test]
fn progress_tells_what_it_is_at() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let ((told, hears), (go, gate)) = (channel(), channel());
    let running = Runner::new(&store, "slow")?.batch_events(1).start(Slow { told, go: gate })?;
    // Dropped before the projection, so that it doesn't wait for a test that has failed.
    let go = go;
    hears.recv()?;
    let progress = running.progress();
    assert_eq!((progress.state, progress.behind), (ProjectionState::CatchingUp, 3));
    for _ in 0..3 {
        go.send(())?;
    }
    while running.progress().state == ProjectionState::CatchingUp {
        thread::yield_now();
    }
    append(&store, "a", 1);
    for _ in 0..3 {
        hears.recv()?;
    }
    let progress = running.progress();
    assert_eq!((progress.state, progress.handled), (ProjectionState::Live, 3));
    assert!(progress.events_per_second > 0.0);
    go.send(())?;
    running.stop()?;
    Ok(())
}

#[test]
fn a_projection_in_memory_has_all_and_leaves_no_trace__B12_B18() -> Outcome {
    let store = store();
    append(&store, "a", 10);
    append(&store, "b", 1);
    let list = project(&store, List::of(Query::all().category("a")))?;
    assert_eq!(list.positions().len(), 10);
    let database = project(&store, Database::default())?;
    assert_eq!(database.positions().len(), 11);
    assert_eq!(system_events(&store), 0);
    Ok(())
}

#[test]
fn dropping_a_running_projection_stops_it() -> Outcome {
    let store = store();
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let end = append(&store, "a", 1);
    assert!(running.wait_until(end, PATIENCE)?);
    drop(running);
    append(&store, "a", 1);
    assert_eq!(list.positions().len(), 1);
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(end));
    Ok(())
}

#[test]
fn events_that_a_projection_appends_itself_come_to_it_as_all_others() -> Outcome {
    struct Counter(Arc<EventStore>);
    impl Projection for Counter {
        type Error = annals::Error;
        fn handle(&mut self, event: &StoredEvent) -> Result<(), annals::Error> {
            if event.version.get() < 5 {
                self.0.append(&event.stream, event.version, [crate::support::event("Counted")])?;
            }
            Ok(())
        }
        fn reset(&mut self) -> Result<(), annals::Error> {
            Ok(())
        }
    }
    let directory = tempfile::tempdir()?;
    let options = Options::new().durability(Durability::Buffered);
    let store = Arc::new(EventStore::open_with(directory.path().join("store"), options)?);
    store.append(&stream("a"), ExpectedVersion::NoStream, [event("Begun")])?;
    let running = Runner::new(&store, "counter")?.start(Counter(Arc::clone(&store)))?;
    assert!(running.wait_until(Position::new(6), PATIENCE)?, "five, and a note before them");
    // The runner's thread has the store's last handle then, and lets go of it without waiting for itself.
    drop(store);
    running.stop()?;
    let store = EventStore::open(directory.path().join("store"))?;
    assert_eq!(store.stream_version(&stream("a"))?, version(5));
    Ok(())
}
