//! How runs end, rest and go on where something else goes wrong than an event: events that can't be read, batches that
//! can't be begun or committed, cursors of another log, a writer that is gone.

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use annals::{
    AfterRetries, Clock, Cursor, Error, EventStore, ExpectedVersion, Invalid, Jitter, OnError, Position,
    Projection, ProjectionState, Query, Retry, RollBack, RunError, Runner, SavedCursor, SimDisk, StoredEvent,
    Upcasters,
};

use crate::{
    projection_support::{Database, List, PATIENCE, append, system_events},
    support::{Outcome, PanickingClock, TestStore, buffered, event, store, store_with, stream},
};

fn waiting(backoff: Duration) -> OnError {
    let retry = Retry::new().tries(u32::MAX).backoff(backoff).backoff_max(backoff).jitter(Jitter::None);
    OnError::Retry { retry, then: AfterRetries::Stop }
}

/// Three events, and behind them one of which upcasters can't make anything.
fn store_with_an_event_that_cant_be_upcast() -> annals::Result<TestStore> {
    let upcasters = Upcasters::new().convert("Bad", 1, |_| Err(Invalid::new("event", "Bad", "no")))?;
    let store = store_with(buffered().upcasters(upcasters));
    append(&store, "a", 3);
    store.append(&stream("a"), ExpectedVersion::Any, [event("Bad")])?;
    Ok(store)
}

#[test]
fn what_stands_before_an_event_that_cant_be_upcast_is_done_and_saved() -> Outcome {
    let store = store_with_an_event_that_cant_be_upcast()?;
    let (list, mut database) = (List::default(), Database::default());
    let lists = Runner::new(&store, "list")?.on_error(OnError::Skip).save_time(PATIENCE);
    let own = Runner::new(&store, "own")?;
    // Twice: a batch that were left open couldn't be begun again.
    for _ in 0..2 {
        let failed = lists.run_to_end(&mut list.clone()).expect_err("it can't be made");
        assert!(failed.to_string().starts_with("upcasters can't make the next event of projection \"list\""));
        assert!(
            matches!(failed, RunError::Upcasting { source: Error::UpcastFailed { .. }, .. }),
            "{failed:?}"
        );
        own.run_to_end(&mut database).expect_err("it can't be made");
        assert_eq!((list.positions(), database.positions()), (vec![1, 2, 3], vec![1, 2, 3]));
        let saved = store.checkpoint("list")?.map(|it| it.cursor.position.get());
        assert_eq!((saved, database.cursor().map(|it| it.position.get())), (Some(3), Some(3)));
    }
    Ok(())
}

#[test]
fn how_far_the_log_goes_is_known_though_its_last_event_cant_be_upcast() -> Outcome {
    let store = store_with_an_event_that_cant_be_upcast()?;
    Runner::new(&store, "list")?.run_to_end(&mut List::default()).expect_err("it can't be made");
    assert_eq!(store.projections()?[0].behind, Some(1));
    let list = List::of(Query::all().category("b"));
    assert_eq!(Runner::new(&store, "other")?.run_to_end(&mut list.clone())?.behind, 0);
    Ok(())
}

#[test]
fn nobody_hears_of_a_position_that_is_another_logs() -> Outcome {
    let (longer, shorter) = (store(), store());
    append(&longer, "a", 20);
    append(&shorter, "a", 10);
    let database = Database::default();
    Runner::new(&longer, "own")?.run_to_end(&mut database.connect())?;
    let running = Runner::new(&shorter, "own")?.start(database.connect())?;
    let failed = running.wait_until(Position::new(15), PATIENCE).expect_err("it never had that event");
    assert!(matches!(failed, RunError::CursorMismatch { .. }), "{failed:?}");
    assert_eq!(running.progress().position, Position::NONE);
    Ok(())
}

/// A list that can't forget.
struct Stubborn(List);

impl Projection for Stubborn {
    type Error = io::Error;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn handle(&mut self, event: &StoredEvent) -> io::Result<()> {
        self.0.handle(event).map_err(|never| match never {})
    }

    fn reset(&mut self) -> io::Result<()> {
        Err(io::Error::other("never"))
    }
}

#[test]
fn nobody_hears_of_a_position_that_a_rebuild_has_begun_to_forget() -> Outcome {
    let store = store();
    let newest = append(&store, "a", 5);
    let running = Runner::new(&store, "list")?.start(Stubborn(List::default()))?;
    assert!(running.wait_until(newest, PATIENCE)?);
    running.rebuild().expect_err("it can't forget");
    running.wait_until(newest, PATIENCE).expect_err("what it has may be gone by half");
    Ok(())
}

/// As `SQLite` is: what isn't begun can't be rolled back.
struct Fragile {
    database: Database,
    is_begun: bool,
    refused_begins: u32,
    refuses_event: bool,
    loses_transaction: bool,
}

impl Fragile {
    fn new() -> Self {
        let database = Database::default();
        Self { database, is_begun: false, refused_begins: 0, refuses_event: false, loses_transaction: false }
    }
}

impl Projection for Fragile {
    type Error = io::Error;

    fn begin(&mut self) -> io::Result<()> {
        if self.refused_begins > 0 {
            self.refused_begins -= 1;
            return Err(io::Error::other("database is locked"));
        }
        self.is_begun = true;
        self.database.begin().map_err(|never| match never {})
    }

    fn handle(&mut self, event: &StoredEvent) -> io::Result<()> {
        if self.refuses_event {
            self.is_begun = !self.loses_transaction;
            return Err(io::Error::other("disk is full"));
        }
        self.database.handle(event).map_err(|never| match never {})
    }

    fn commit(&mut self, cursor: Cursor) -> io::Result<()> {
        self.is_begun = false;
        self.database.commit(cursor).map_err(|never| match never {})
    }

    fn roll_back(&mut self) -> io::Result<RollBack> {
        if !std::mem::take(&mut self.is_begun) {
            return Err(io::Error::other("no transaction is active"));
        }
        self.database.roll_back().map_err(|never| match never {})
    }

    fn saved_cursor(&mut self) -> io::Result<SavedCursor> {
        self.database.saved_cursor().map_err(|never| match never {})
    }

    fn reset(&mut self) -> io::Result<()> {
        self.database.reset().map_err(|never| match never {})
    }
}

#[test]
fn a_batch_that_couldnt_be_begun_isnt_rolled_back_and_is_begun_again() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let mut fragile = Fragile { refused_begins: 1, ..Fragile::new() };
    let runner = Runner::new(&store, "own")?;
    runner.clone().on_error(waiting(Duration::ZERO)).run_to_end(&mut fragile)?;
    assert_eq!(fragile.database.positions(), [1, 2, 3]);
    append(&store, "a", 1);
    fragile.refused_begins = 1;
    let failed = runner.run_to_end(&mut fragile).expect_err("it stops");
    assert!(failed.with_sources().ends_with(": database is locked"), "{failed:?}");
    Ok(())
}

#[test]
fn the_first_error_is_told_where_rolling_back_fails_too() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let mut fragile = Fragile { refuses_event: true, loses_transaction: true, ..Fragile::new() };
    let failed = Runner::new(&store, "own")?.run_to_end(&mut fragile).expect_err("it stops");
    assert!(matches!(failed, RunError::Event { tries: 1, .. }), "{failed:?}");
    assert!(failed.with_sources().ends_with(": disk is full"), "{failed:?}");
    Ok(())
}

/// A list whose commits fail until they are let through.
struct Blocked {
    list: List,
    is_blocked: Arc<AtomicBool>,
}

impl Projection for Blocked {
    type Error = io::Error;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn handle(&mut self, event: &StoredEvent) -> io::Result<()> {
        self.list.handle(event).map_err(|never| match never {})
    }

    fn commit(&mut self, _: Cursor) -> io::Result<()> {
        if self.is_blocked.load(Ordering::SeqCst) { Err(io::Error::other("blocked")) } else { Ok(()) }
    }

    fn reset(&mut self) -> io::Result<()> {
        self.list.reset().map_err(|never| match never {})
    }
}

#[test]
fn a_projection_that_waits_to_commit_again_can_rest_be_rebuilt_and_stopped() -> Outcome {
    let store = store();
    let newest = append(&store, "a", 3);
    let is_blocked = Arc::new(AtomicBool::new(true));
    let list = List::default();
    let blocked = || Blocked { list: list.clone(), is_blocked: Arc::clone(&is_blocked) };
    let running = Runner::new(&store, "list")?.on_error(waiting(PATIENCE)).start(blocked())?;
    let wait_for_the_retry = || {
        while running.progress().state != ProjectionState::Retrying {
            std::thread::yield_now();
        }
    };
    wait_for_the_retry();
    running.pause();
    assert_eq!(running.progress().state, ProjectionState::Paused);
    running.resume();
    wait_for_the_retry();
    running.rebuild()?;
    wait_for_the_retry();
    running.pause();
    is_blocked.store(false, Ordering::SeqCst);
    running.resume();
    assert!(running.wait_until(newest, PATIENCE)?);
    assert_eq!(list.positions(), [1, 2, 3], "what was handled before the rest is committed behind it");

    is_blocked.store(true, Ordering::SeqCst);
    append(&store, "a", 1);
    wait_for_the_retry();
    let failed = running.stop().map(drop).expect_err("its last batch isn't committed");
    assert!(
        failed
            .with_sources()
            .ends_with("can't commit a batch: mend what keeps it and start it again: blocked")
    );
    Ok(())
}

/// Takes nothing of the store's own streams, and of others only what it is told to.
struct Narrow {
    takes_ordinary: bool,
    tried: u32,
}

impl Projection for Narrow {
    type Error = Error;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn query(&self) -> Query<Position> {
        Query::all().including_system()
    }

    fn handle(&mut self, event: &StoredEvent) -> annals::Result<()> {
        self.tried += 1;
        if self.takes_ordinary && !event.stream.is_system() {
            return Ok(());
        }
        let (expected, actual) = (ExpectedVersion::NoStream, event.version);
        Err(Error::VersionConflict { stream: event.stream.clone(), expected, actual })
    }

    fn reset(&mut self) -> annals::Result<()> {
        Ok(())
    }
}

#[test]
fn leaving_out_an_event_of_the_stores_own_gives_no_cause_to_leave_out_another() -> Outcome {
    let store = store();
    append(&store, "a", 3);
    let runner = Runner::new(&store, "narrow")?.on_error(OnError::Skip);
    let mut narrow = Narrow { takes_ordinary: false, tried: 0 };
    let progress = runner.run_to_end(&mut narrow)?;
    assert!(progress.skipped >= 3, "{progress:?}");
    let before = system_events(&store);
    for _ in 0..3 {
        let progress = runner.run_to_end(&mut narrow)?;
        assert!(progress.skipped > 0, "they are counted: {progress:?}");
    }
    assert_eq!((system_events(&store), store.skipped("narrow")?.len()), (before, 3));
    // Beside others, it comes to rest as well.
    let running = Runner::new(&store, "live")?.on_error(OnError::Skip).save_time(Duration::ZERO);
    let running = running.start(Narrow { takes_ordinary: true, tried: 0 })?;
    let newest = append(&store, "a", 1);
    assert!(running.wait_until(newest, PATIENCE)?);
    running.stop()?;
    assert_eq!(store.skipped("live")?.len(), 0);
    Ok(())
}

#[test]
fn a_conflict_that_a_projection_tells_itself_is_an_error_like_others() -> Outcome {
    let store = store();
    append(&store, "a", 1);
    let mut narrow = Narrow { takes_ordinary: false, tried: 0 };
    let failed = Runner::new(&store, "narrow")?.run_to_end(&mut narrow).expect_err("it stops");
    assert!(matches!(failed, RunError::Event { tries: 1, .. }), "{failed:?}");
    assert_eq!(narrow.tried, 1);
    Ok(())
}

#[test]
fn a_run_that_ends_since_the_writer_panicked_says_so__F09() -> Outcome {
    let (disk, clock) = (SimDisk::new(1), Arc::new(PanickingClock::default()));
    let options = buffered().clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let store = EventStore::open_on(Arc::new(disk), Path::new("/store"), options)?;
    let running = Runner::new(&store, "list")?.start(List::default())?;
    let newest = append(&store, "a", 1);
    assert!(running.wait_until(newest, PATIENCE)?);
    // All is saved then.
    running.pause();
    running.resume();
    clock.is_due.store(true, Ordering::SeqCst);
    store.append(&stream("a"), ExpectedVersion::Any, [event("lost")]).expect_err("the writer panics");
    let failed = running.wait_for_end().expect_err("nobody closed the store");
    assert!(failed.with_sources().contains("the writer panicked"), "{failed:?}");
    Ok(())
}
