//! Projections that fail: what is tried again, what is left out and recorded, and where it stops.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    AfterRetries, Cursor, ExpectedVersion, Invalid, Jitter, OnError, Position, Projection, ProjectionState,
    Query, Retry, RollBack, RunError, Runner, SavedCursor, StoredEvent, Upcasters,
};

use crate::{
    projection_support::{Database, List, PATIENCE, append},
    support::{Outcome, buffered, event, store, store_with, stream, types},
};

/// What a projection here says when it fails.
#[derive(Debug)]
struct Refused(u64);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no to event {}", self.0)
    }
}

impl Error for Refused {}

/// Refuses events, each so many times; and commits, so many times.
struct Picky<P> {
    inner: P,
    refused: BTreeMap<u64, u32>,
    refused_commits: u32,
    /// The positions of all tries.
    tried: Arc<Mutex<Vec<u64>>>,
}

impl<P> Picky<P> {
    fn new(inner: P, refused: &[(u64, u32)]) -> Self {
        let refused = refused.iter().copied().collect();
        Self { inner, refused, refused_commits: 0, tried: Arc::default() }
    }

    fn tries_of(&self, position: u64) -> usize {
        let tried = self.tried.lock().expect("no test panics with it");
        tried.iter().filter(|tried| **tried == position).count()
    }
}

fn never<T>(result: Result<T, std::convert::Infallible>) -> Result<T, Refused> {
    result.map_err(|never| match never {})
}

impl<P: Projection<Error = std::convert::Infallible>> Projection for Picky<P> {
    type Error = Refused;

    fn query(&self) -> Query<Position> {
        self.inner.query()
    }

    fn begin(&mut self) -> Result<(), Refused> {
        never(self.inner.begin())
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Refused> {
        let position = event.position.get();
        self.tried.lock().expect("no test panics with it").push(position);
        let left = self.refused.get_mut(&position).filter(|left| **left > 0);
        let Some(left) = left else { return never(self.inner.handle(event)) };
        *left -= 1;
        // What can be undone is done by half before it fails.
        if never(self.inner.saved_cursor())? != SavedCursor::InStore {
            never(self.inner.handle(event))?;
        }
        Err(Refused(position))
    }

    fn commit(&mut self, cursor: Cursor) -> Result<(), Refused> {
        if self.refused_commits > 0 {
            self.refused_commits -= 1;
            return Err(Refused(0));
        }
        never(self.inner.commit(cursor))
    }

    fn roll_back(&mut self) -> Result<RollBack, Refused> {
        never(self.inner.roll_back())
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, Refused> {
        never(self.inner.saved_cursor())
    }

    fn reset(&mut self) -> Result<(), Refused> {
        never(self.inner.reset())
    }
}

fn retry(tries: u32, then: AfterRetries) -> OnError {
    OnError::Retry { retry: Retry::new().tries(tries).backoff(Duration::ZERO).jitter(Jitter::None), then }
}

const FOR_EVER: u32 = u32::MAX;

#[track_caller]
fn check_stopped_before(failed: &RunError, wanted: u64, wanted_tries: u32) {
    let RunError::Event { position, tries, source, .. } = failed else { panic!("{failed:?}") };
    assert_eq!((position.get(), *tries), (wanted, wanted_tries));
    assert_eq!(source.downcast_ref::<Refused>().map(|it| it.0), Some(wanted), "the error keeps its type");
}

#[test]
fn it_stops_before_an_event_that_fails_and_all_before_is_saved() -> Outcome {
    let store = store();
    append(&store, "a", 10);
    let (list, database) = (List::default(), Database::default());
    let runner = Runner::new(&store, "list")?.batch_events(4);
    let failed = runner.run_to_end(&mut Picky::new(list.clone(), &[(7, FOR_EVER)])).expect_err("it stops");
    check_stopped_before(&failed, 7, 1);
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position.get()), Some(6));

    let runner = Runner::new(&store, "own")?.batch_events(4);
    let mut picky = Picky::new(database.connect(), &[(7, FOR_EVER)]);
    let failed = runner.run_to_end(&mut picky).expect_err("it stops");
    check_stopped_before(&failed, 7, 1);
    assert_eq!(picky.tries_of(7), 1);
    assert_eq!(database.cursor().map(|it| it.position.get()), Some(6));
    assert_eq!(database.positions(), [1, 2, 3, 4, 5, 6]);

    runner.run_to_end(&mut database.connect())?;
    Runner::new(&store, "list")?.run_to_end(&mut list.clone())?;
    assert_eq!((database.positions(), list.positions().len()), ((1..=10).collect(), 10));
    Ok(())
}

#[test]
fn an_event_is_tried_again_and_what_was_undone_comes_again() -> Outcome {
    let store = store();
    append(&store, "a", 10);
    let (list, database) = (List::default(), Database::default());
    let runner = Runner::new(&store, "list")?.on_error(retry(5, AfterRetries::Stop));
    let mut picky = Picky::new(list.clone(), &[(3, 2), (7, 4)]);
    runner.run_to_end(&mut picky)?;
    assert_eq!((picky.tries_of(2), picky.tries_of(3), picky.tries_of(7)), (1, 3, 5));

    let runner = Runner::new(&store, "own")?.on_error(retry(5, AfterRetries::Stop));
    let mut picky = Picky::new(database.connect(), &[(3, 2), (7, 4)]);
    runner.run_to_end(&mut picky)?;
    assert_eq!((picky.tries_of(2), picky.tries_of(3), picky.tries_of(7)), (2, 3, 5), "once with each");
    assert_eq!((list.positions(), database.positions()), ((1..=10).collect(), (1..=10).collect()));
    assert_eq!((store.skipped("list")?, store.skipped("own")?), (vec![], vec![]));

    let list = Runner::new(&store, "other")?.on_error(retry(3, AfterRetries::Stop));
    let failed =
        list.run_to_end(&mut Picky::new(List::default(), &[(3, 3)])).expect_err("it has no try left");
    check_stopped_before(&failed, 3, 3);
    Ok(())
}

#[test]
fn what_is_left_out_is_recorded_and_the_rest_is_there() -> Outcome {
    let store = store();
    append(&store, "a", 10);
    let (list, database) = (List::default(), Database::default());
    let refused = [(3, FOR_EVER), (4, FOR_EVER), (10, FOR_EVER)];
    let on_error = retry(2, AfterRetries::Skip);
    let runner = Runner::new(&store, "list")?.on_error(on_error);
    let progress = runner.run_to_end(&mut Picky::new(list.clone(), &refused))?;
    assert_eq!((progress.handled, progress.skipped, progress.position.get()), (7, 3, 10));
    let runner = Runner::new(&store, "own")?.on_error(on_error);
    let progress = runner.run_to_end(&mut Picky::new(database.connect(), &refused))?;
    assert_eq!((progress.handled, progress.skipped, progress.position.get()), (7, 3, 10));
    let wanted = [1, 2, 5, 6, 7, 8, 9];
    assert_eq!((list.positions(), database.positions()), (wanted.to_vec(), wanted.to_vec()));
    for name in ["list", "own"] {
        let skipped = store.skipped(name)?;
        let places: Vec<u64> = skipped.iter().map(|it| it.position.get()).collect();
        assert_eq!(places, [3, 4, 10]);
        let event = store.read(Query::all().to(Position::new(3))).last().ok_or("an event")??;
        let first = &skipped[0];
        assert_eq!((&first.stream, first.version, &first.id), (&event.stream, event.version, &event.id));
        assert_eq!((first.event_type.as_str(), first.error.as_str()), ("3", "no to event 3"));
        assert_eq!((first.tries, first.part), (2, 1));
    }
    let skipped: Vec<u64> = store.projections()?.iter().map(|it| it.skipped).collect();
    assert_eq!(skipped, [3, 3]);
    Ok(())
}

#[test]
fn a_skip_is_in_one_commit_with_the_checkpoint_or_recorded_once_before() -> Outcome {
    let store = store();
    // The projection's commit behind the record fails: the next start leaves the event out again.
    let database = Database::default();
    let runner = Runner::new(&store, "own")?.on_error(OnError::Skip);
    append(&store, "a", 4);
    runner.run_to_end(&mut database.connect())?;
    let bad = append(&store, "a", 1).get();
    for _ in 0..3 {
        let mut picky = Picky::new(database.connect(), &[(bad, FOR_EVER)]);
        picky.refused_commits = 1;
        let failed = runner.run_to_end(&mut picky).expect_err("it can't commit");
        assert!(matches!(failed, RunError::Projection { action: "commit a batch", .. }), "{failed:?}");
        assert_eq!(store.skipped("own")?.len(), 1);
    }
    runner.run_to_end(&mut Picky::new(database.connect(), &[(bad, FOR_EVER)]))?;
    assert_eq!((store.skipped("own")?.len(), database.positions().len()), (1, 4));
    // Where the store keeps the checkpoint, nothing can come between.
    let list = Runner::new(&store, "list")?.on_error(OnError::Skip).save_time(PATIENCE);
    list.run_to_end(&mut Picky::new(List::default(), &[(2, FOR_EVER)]))?;
    let record = store.read(Query::stream(&stream("$skipped-list"))).next().ok_or("a record")??;
    let checkpoint =
        store.read(Query::stream(&stream("$checkpoint-list"))).next().ok_or("a checkpoint")??;
    assert_eq!(record.position.next(), checkpoint.position);
    assert_eq!(record.timestamp, checkpoint.timestamp);
    Ok(())
}

/// Refuses one type, and is given what upcasting makes of events.
struct Parts {
    database: Database,
    refused: &'static str,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Projection for Parts {
    type Error = Box<dyn Error + Send + Sync>;

    fn begin(&mut self) -> Result<(), Self::Error> {
        Ok(self.database.begin()?)
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Self::Error> {
        self.seen.lock().expect("no test panics with it").push(event.event_type.clone());
        self.database.handle(event)?;
        if event.event_type == self.refused { Err("not this one".into()) } else { Ok(()) }
    }

    fn commit(&mut self, cursor: Cursor) -> Result<(), Self::Error> {
        Ok(self.database.commit(cursor)?)
    }

    fn roll_back(&mut self) -> Result<RollBack, Self::Error> {
        Ok(self.database.roll_back()?)
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(self.database.saved_cursor()?)
    }

    fn reset(&mut self) -> Result<(), Self::Error> {
        Ok(self.database.reset()?)
    }
}

#[test]
fn a_batch_never_ends_between_the_parts_of_an_event_and_one_part_can_be_left_out__X22() -> Outcome {
    let becomes = [("Opened", 1), ("Filled", 1), ("Shut", 1)];
    let upcasters = Upcasters::new().split("Moved", 1, &becomes, move |moved| {
        Ok::<_, Invalid>(becomes.map(|(part, version)| moved.clone().with_type(part, version)).to_vec())
    })?;
    let store = store_with(buffered().upcasters(upcasters));
    for _ in 0..4 {
        store.append(&stream("box-1"), ExpectedVersion::Any, [event("Moved")])?;
    }
    let database = Database::default();
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let mut parts = Parts { database: database.connect(), refused: "Filled", seen: Arc::clone(&seen) };
    let runner = Runner::new(&store, "parts")?.batch_events(2).on_error(OnError::Stop);
    let failed = runner.run_to_end(&mut parts).expect_err("it can't fill");
    assert!(matches!(failed, RunError::Event { ref event_type, .. } if event_type == "Filled"), "{failed:?}");
    assert_eq!((database.cursor(), database.positions()), (None, vec![]), "no half of an event");

    let progress = runner.clone().on_error(OnError::Skip).run_to_end(&mut parts)?;
    assert_eq!((progress.handled, progress.skipped), (8, 4));
    assert_eq!(database.positions().len(), 8);
    let skipped: Vec<(u64, u64)> =
        store.skipped("parts")?.iter().map(|it| (it.version.get(), it.part)).collect();
    assert_eq!(skipped, [(1, 2), (2, 2), (3, 2), (4, 2)]);

    runner.reset(&mut parts)?;
    parts.refused = "";
    runner.run_to_end(&mut parts)?;
    let wanted: Vec<u64> =
        store.read_all().map(|event| event.map(|it| it.position.get())).collect::<Result<_, _>>()?;
    assert_eq!((wanted.len(), database.positions()), (12, wanted));
    Ok(())
}

#[test]
fn a_rebuild_forgets_what_was_left_out() -> Outcome {
    let store = store();
    append(&store, "a", 5);
    let runner = Runner::new(&store, "list")?.on_error(OnError::Skip);
    let mut picky = Picky::new(List::default(), &[(2, FOR_EVER), (3, 1)]);
    runner.run_to_end(&mut picky)?;
    assert_eq!(store.skipped("list")?.len(), 2);
    runner.reset(&mut picky)?;
    assert_eq!((store.skipped("list")?.len(), store.projections()?[0].position), (0, Some(Position::NONE)));
    runner.run_to_end(&mut picky)?;
    assert_eq!((store.skipped("list")?.len(), store.projections()?[0].skipped), (1, 1));
    // Cleared once for each time that there was something.
    runner.reset(&mut picky)?;
    runner.reset(&mut picky)?;
    assert_eq!(store.projections()?[0].skipped, 0);
    let notes = types(store.read(Query::stream(&stream("$skipped-list"))));
    assert_eq!(notes.iter().filter(|note| *note == "$SkippedCleared").count(), 2);
    Ok(())
}

#[test]
fn a_commit_that_fails_is_tried_again_and_never_left_out() -> Outcome {
    let store = store();
    append(&store, "a", 5);
    let (list, database) = (List::default(), Database::default());
    let on_error = retry(3, AfterRetries::Skip);
    for (refused, is_enough) in [(2, true), (3, false)] {
        let mut picky = Picky::new(database.connect(), &[]);
        picky.refused_commits = refused;
        let outcome = Runner::new(&store, "own")?.on_error(on_error).run_to_end(&mut picky);
        assert_eq!(outcome.is_ok(), is_enough, "{outcome:?}");
        assert_eq!(database.positions(), (1..=5).collect::<Vec<u64>>());
        append(&store, "a", 1);
    }
    let mut picky = Picky::new(list.clone(), &[]);
    picky.refused_commits = 2;
    Runner::new(&store, "list")?.on_error(on_error).run_to_end(&mut picky)?;
    assert_eq!(list.positions().len(), 7);
    Ok(())
}

#[test]
fn a_projection_that_waits_to_try_again_says_so_and_can_be_paused_and_stopped() -> Outcome {
    let store = store();
    append(&store, "a", 5);
    let patient = OnError::Retry {
        retry: Retry::new().tries(FOR_EVER).backoff(PATIENCE).backoff_max(PATIENCE).jitter(Jitter::None),
        then: AfterRetries::Stop,
    };
    let (list, database) = (List::default(), Database::default());
    let lists = Runner::new(&store, "list")?.on_error(patient);
    let running = lists.start(Picky::new(list.clone(), &[(3, 1)]))?;
    let own = Runner::new(&store, "own")?.on_error(patient);
    let own = own.start(Picky::new(database.connect(), &[(3, 1)]))?;
    while running.progress().state != ProjectionState::Retrying
        || own.progress().state != ProjectionState::Retrying
    {
        std::thread::yield_now();
    }
    running.pause();
    own.pause();
    assert_eq!((list.positions(), running.progress().position.get()), (vec![1, 2], 2));
    running.resume();
    own.resume();
    assert!(running.wait_until(Position::new(5), PATIENCE)?);
    assert!(own.wait_until(Position::new(5), PATIENCE)?);
    assert_eq!((list.positions(), database.positions()), ((1..=5).collect(), (1..=5).collect()));
    running.stop()?;
    own.stop()?;

    let running = Runner::new(&store, "third")?.on_error(patient);
    let running = running.start(Picky::new(List::default(), &[(1, FOR_EVER)]))?;
    while running.progress().state != ProjectionState::Retrying {
        std::thread::yield_now();
    }
    running.stop()?;
    Ok(())
}

#[test]
fn a_panic_ends_the_runner_is_told_and_the_store_goes_on() -> Outcome {
    struct Panics(List);
    impl Projection for Panics {
        type Error = std::convert::Infallible;

        fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
            Ok(SavedCursor::InStore)
        }
        fn handle(&mut self, event: &StoredEvent) -> Result<(), Self::Error> {
            assert!(event.stream.as_str() != "b", "b is too much");
            self.0.handle(event)
        }
        fn reset(&mut self) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let store = store();
    append(&store, "a", 2);
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(Panics(list.clone()))?;
    append(&store, "b", 1);
    append(&store, "a", 2);
    let failed = running.wait_for_end().expect_err("it panics");
    let said = failed.to_string();
    assert!(said.contains("panicked at position ") && said.contains(" (b is too much)"), "{said}");
    assert!(matches!(running.progress().state, ProjectionState::Failed(why) if why == failed.to_string()));
    assert!(running.rebuild().is_err() && running.stop().is_err());
    // Its name is free, and it begins where it was saved.
    let running = Runner::new(&store, "list")?.start(List::default())?;
    assert!(running.wait_until(append(&store, "a", 1), PATIENCE)?);
    Ok(())
}

#[test]
fn an_error_that_lasts_is_told_by_whoever_asks() -> Outcome {
    let store = store();
    let last = append(&store, "a", 4);
    let running = Runner::new(&store, "list")?.start(Picky::new(List::default(), &[(2, FOR_EVER)]))?;
    let failed = running.wait_until(last, PATIENCE).expect_err("it has stopped");
    assert!(failed.to_string().starts_with("projection \"list\" can't handle 2 at position 2 "), "{failed}");
    assert!(failed.with_sources().ends_with(": no to event 2"), "{failed:?}");
    assert!(matches!(running.progress().state, ProjectionState::Failed(_)));
    assert!(matches!(running.error(), Some(RunError::Event { .. })));
    assert!(running.stop().is_err());
    Ok(())
}
