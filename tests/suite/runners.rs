//! Runners: resting, ending, beginning anew, and their names.

use std::{
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};

use annals::{EventStore, Position, Projection, ProjectionState, Runner, SavedCursor, StoredEvent, project};

use crate::{
    projection_support::{Database, List, PATIENCE, append},
    support::{Outcome, store},
};

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
    let newest = append(&store, "a", 4);
    assert!(!running.wait_until(newest, Duration::from_millis(1))?);
    assert_eq!((list.positions().len(), running.progress().behind > 0), (4, true));
    running.resume();
    assert!(running.wait_until(newest, PATIENCE)?);
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
    let newest = append(&store, "a", 10);
    assert!(list.wait_until(newest, PATIENCE)? && database.wait_until(newest, PATIENCE)?);
    assert_eq!(store.checkpoint("list")?, None);
    store.close()?;
    assert_eq!(
        (list.progress().state, database.progress().state),
        (ProjectionState::Stopped, ProjectionState::Stopped)
    );
    list.stop()?;
    database.stop()?;

    let store = EventStore::open(directory.path().join("store"))?;
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(newest));
    assert_eq!(own.cursor().map(|it| it.position), Some(newest));
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
fn a_rebuilt_projection_is_as_one_that_is_made_anew__B12() -> Outcome {
    let store = store();
    append(&store, "a", 50);
    let (list, database) = (List::default(), Database::default());
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let own = Runner::new(&store, "own")?.batch_events(7).start(database.connect())?;
    let newest = append(&store, "a", 50);
    assert!(running.wait_until(newest, PATIENCE)? && own.wait_until(newest, PATIENCE)?);
    running.rebuild()?;
    own.rebuild()?;
    let newest = append(&store, "a", 5);
    assert!(running.wait_until(newest, PATIENCE)? && own.wait_until(newest, PATIENCE)?);
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
    let newest = append(&store, "a", 5);
    assert!(running.wait_until(newest, PATIENCE)?);
    running.pause();
    running.rebuild()?;
    running.pause();
    assert_eq!((list.positions().len(), running.progress().position), (0, Position::NONE));
    assert_eq!(store.checkpoint("list")?, None);
    running.resume();
    assert!(running.wait_until(newest, PATIENCE)?);
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

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

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
fn dropping_a_running_projection_stops_it() -> Outcome {
    let store = store();
    let list = List::default();
    let running = Runner::new(&store, "list")?.start(list.clone())?;
    let newest = append(&store, "a", 1);
    assert!(running.wait_until(newest, PATIENCE)?);
    drop(running);
    append(&store, "a", 1);
    assert_eq!(list.positions().len(), 1);
    assert_eq!(store.checkpoint("list")?.map(|it| it.cursor.position), Some(newest));
    Ok(())
}

/// Holds each event until it is let through.
struct Held {
    list: List,
    told: Sender<u64>,
    gate: Receiver<()>,
}

impl Projection for Held {
    type Error = std::convert::Infallible;

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        Ok(SavedCursor::InStore)
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Self::Error> {
        self.told.send(event.position.get()).expect("the test listens");
        // A gate that is gone is open.
        self.gate.recv().ok();
        self.list.handle(event)
    }

    fn reset(&mut self) -> Result<(), Self::Error> {
        self.list.reset()
    }
}

#[test]
fn a_rest_that_is_called_off_before_it_began_changes_nothing() -> Outcome {
    let store = store();
    let ((told, hears), (go, gate)) = (channel(), channel());
    let list = List::default();
    let running = Runner::new(&store, "held")?.start(Held { list: list.clone(), told, gate })?;
    append(&store, "a", 1);
    hears.recv()?;
    thread::scope(|scope| {
        let pausing = scope.spawn(|| running.pause());
        // Until the other thread has ordered it, there is nothing to call off: so it is called off over and over.
        while !pausing.is_finished() {
            running.resume();
            thread::yield_now();
        }
    });
    go.send(())?;
    drop(go);
    let newest = append(&store, "a", 1);
    assert!(running.wait_until(newest, PATIENCE)?, "{:?}", running.progress());
    assert_eq!(list.positions().len(), 2);
    // One thread, that doesn't wait for the rest to end.
    for _ in 0..200 {
        running.pause();
        running.resume();
    }
    let newest = append(&store, "a", 1);
    assert!(running.wait_until(newest, PATIENCE)?, "{:?}", running.progress());
    running.stop()?;
    Ok(())
}
