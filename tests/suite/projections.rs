//! Projections and their runner: every event once and in order, wherever it begins, rests, ends and begins anew.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use annals::{
    CursorKeeper, Durability, EventStore, ExpectedVersion, Options, Position, Projection, ProjectionState,
    Query, RunError, Runner, SavedCursor, StoredEvent, project,
};

use crate::{
    projection_support::{Database, List, PATIENCE, append, system_events},
    support::{Outcome, event, store, stream, version},
};

#[test]
fn a_projection_has_every_event_once_what_is_there_and_what_comes__B12_B18() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let newest = append(&store, "b", 2);
    assert!(running.wait_until(newest, PATIENCE)?);
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

        fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
            Ok(SavedCursor::InStore)
        }
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
    let newest = append(&store, "a", 100);
    assert_eq!((store.read_all().count(), running.progress().position), (100, Position::NONE));
    go.send(())?;
    let failed = running.wait_until(newest, PATIENCE);
    let first = store.read_all().next().expect("100 of them")?.position;
    assert!(
        matches!(failed, Err(RunError::Panicked { position, .. }) if position == Some(first)),
        "{failed:?}"
    );
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
    let newest = append(&store, "a", 1);
    let mut saved = store.subscribe(Query::stream(&stream("$checkpoint-list")));
    while saved.next_timeout(PATIENCE)?.is_some_and(|it| !matches!(it, annals::Delivery::Event(_))) {}
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(newest));
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
    let newest = append(&store, "a", 3);
    let list = List::of(Query::all().category("b"));
    let progress = Runner::new(&store, "list")?.run_to_end(&mut list.clone())?;
    assert_eq!((progress.position, progress.handled, progress.behind), (newest, 1, 0));
    assert_eq!(list.positions(), [wanted.get()]);
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(newest));

    let running = Runner::new(&store, "list")?.start(list)?;
    let newest = append(&store, "a", 1);
    assert!(running.wait_until(newest, PATIENCE)?, "it needn't be one of its events");
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
    let newest = store.last_position();
    for (running, list) in running_lists.iter().zip(&lists) {
        assert!(running.wait_until(newest, PATIENCE)?);
        assert!(list.positions() == wanted);
    }
    for (running, database) in running_databases.iter().zip(&databases) {
        assert!(running.wait_until(newest, PATIENCE)?);
        assert!(database.positions() == wanted);
    }
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
    let newest = append(&store, "a", 3);
    assert!(running.wait_until(newest, PATIENCE)?);
    running.pause();
    let saved = system_events(&store);
    for _ in 0..10 {
        running.resume();
        running.pause();
    }
    running.stop()?;
    assert_eq!(system_events(&store), saved, "a saving is no cause to save");

    let runner = Runner::new(&store, "other")?;
    runner.run_to_end(&mut list.clone())?;
    let saved = system_events(&store);
    for _ in 0..3 {
        assert!(runner.run_to_end(&mut list.clone())?.handled > 0, "it is given what it saved");
    }
    assert_eq!(system_events(&store), saved, "nor from run to run");

    // What it passes over of other streams is.
    let passing = List::of(Query::all().category("none").including_system());
    let runner = Runner::new(&store, "passing")?;
    runner.run_to_end(&mut passing.clone())?;
    assert_eq!(store.checkpoint("passing")?.map(|it| it.cursor.position >= newest), Some(true));
    Ok(())
}

/// Tells each event, and waits until it is let go.
struct Slow {
    told: Sender<u64>,
    go: Receiver<()>,
}

impl Projection for Slow {
    type Error = Infallible;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

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
fn events_that_a_projection_appends_itself_come_to_it_as_all_others() -> Outcome {
    struct Counter(Arc<EventStore>);
    impl Projection for Counter {
        type Error = annals::Error;

        fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
            Ok(SavedCursor::InStore)
        }
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
