//! Checkpoints: how far consumers have come, kept in the log itself.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use annals::{
    Commit, Cursor, Delivery, Error, EventStore, ExpectedVersion, NAME_BYTES_MAX, Position, Query, SimDisk,
    StreamFilter, Subscription, Timestamp, Version,
};
use serde_json::{Value, json};

use crate::{
    ids_and_clocks::ListClock,
    support::{
        Outcome, TestStore, all, buffered, event, event_with_id, events, positions, small_segments, store,
        store_with, stream, types,
    },
};

/// A store with three orders, and the cursors behind them.
fn three() -> (TestStore, Vec<Cursor>) {
    let store = store_with(small_segments());
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 3)).expect("an append");
    let cursors = all(store.read_all()).iter().map(annals::StoredEvent::cursor).collect();
    (store, cursors)
}

fn names(store: &EventStore) -> Vec<String> {
    store.checkpoints().expect("they can be read").into_iter().map(|checkpoint| checkpoint.name).collect()
}

fn cursor_of(store: &EventStore, name: &str) -> Option<Cursor> {
    store.checkpoint(name).expect("it can be read").map(|checkpoint| checkpoint.cursor)
}

#[test]
fn the_last_checkpoint_counts_and_survives_reopening__B11() -> Outcome {
    let (store, cursors) = three();
    assert_eq!((store.checkpoint("mailer")?, store.checkpoints()?), (None, vec![]));
    store.save_checkpoint("mailer", cursors[0])?;
    store.save_checkpoint("mailer", cursors[2])?;
    store.save_checkpoint("a b-c/§", Cursor::START)?;
    let before = store.checkpoints()?;
    assert_eq!(names(&store), ["a b-c/§", "mailer"]);
    let store = store.reopen()?;
    assert_eq!(store.checkpoints()?, before);
    assert_eq!(cursor_of(&store, "mailer"), Some(cursors[2]));
    assert_eq!(cursor_of(&store, "a b-c/§"), Some(Cursor::START));
    assert_eq!(cursor_of(&store, "a b"), None);
    Ok(())
}

#[test]
fn a_checkpoint_says_when_it_was_saved() -> Outcome {
    let store = store_with(buffered().clock(ListClock::of(&[0, 10, 20])));
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 1))?;
    store.save_checkpoint("mailer", Cursor::START)?;
    let saved = store.checkpoint("mailer")?.ok_or("a checkpoint")?;
    assert_eq!((saved.name.as_str(), saved.saved), ("mailer", Timestamp::from_micros(20)));
    Ok(())
}

#[test]
fn a_deleted_checkpoint_is_gone_and_can_be_saved_again() -> Outcome {
    let (store, cursors) = three();
    store.save_checkpoint("mailer", cursors[0])?;
    store.delete_checkpoint("mailer")?;
    assert_eq!((cursor_of(&store, "mailer"), names(&store)), (None, vec![]));
    for name in ["mailer", "nobody"] {
        let told = store.delete_checkpoint(name).expect_err("there is none");
        assert!(matches!(&told, Error::CheckpointNotFound { name: named } if named == name));
        assert!(told.to_string().contains(name), "{told}");
    }
    store.save_checkpoint("mailer", cursors[1])?;
    assert_eq!(cursor_of(&*store.reopen()?, "mailer"), Some(cursors[1]));
    Ok(())
}

#[test]
fn output_and_progress_are_one_commit() -> Outcome {
    let (store, cursors) = three();
    let mail = stream("mail-1");
    let commit = |expected: ExpectedVersion, cursor| {
        Commit::new().append(&mail, expected, [event("Sent")]).checkpoint("mailer", cursor)
    };
    let appended = store.commit(commit(ExpectedVersion::NoStream, cursors[1]))?;
    // The checkpoint stands behind the events, and has no entry.
    assert_eq!(appended.len(), 1);
    assert_eq!((appended[0].position, store.last_position()), (Position::new(4), Position::new(5)));
    assert_eq!(cursor_of(&store, "mailer"), Some(cursors[1]));
    // All or nothing.
    let refused = store.commit(commit(ExpectedVersion::NoStream, cursors[2]));
    assert!(refused.expect_err("the stream is there").is_conflict());
    assert_eq!(cursor_of(&store, "mailer"), Some(cursors[1]));
    let beyond = Cursor { position: Position::new(99), checksum: 0 };
    store.commit(commit(ExpectedVersion::Any, beyond)).expect_err("it is beyond the log's end");
    assert_eq!(store.stream_version(&mail)?, Version::new(1));
    let checked = Commit::new().check(&mail, Version::new(1)).checkpoint("mailer", cursors[2]);
    assert_eq!(store.commit(checked)?, []);
    assert_eq!(cursor_of(&*store.reopen()?, "mailer"), Some(cursors[2]));
    Ok(())
}

#[test]
fn a_commit_with_a_checkpoint_can_be_repeated__X9() -> Outcome {
    let (store, cursors) = three();
    let commit = || {
        let sent = [event_with_id("sent-1"), event_with_id("sent-2")];
        Commit::new().append(&stream("mail-1"), ExpectedVersion::NoStream, sent).checkpoint("m", cursors[2])
    };
    let first = store.commit(commit())?;
    let head = store.last_position();
    let again = store.commit(commit())?;
    assert!(again[0].repeated);
    assert_eq!((again.len(), again[0].version, again[0].position), (1, first[0].version, first[0].position));
    assert_eq!(store.last_position(), head);
    assert_eq!(cursor_of(&store, "m"), Some(cursors[2]));
    Ok(())
}

#[test]
fn a_checkpoint_that_isnt_of_this_log_is_refused() -> Outcome {
    let (store, cursors) = three();
    let head = store.last_position();
    for (position, checksum, found) in [
        (4, 0, None),
        (u64::MAX, 0, None),
        (2, cursors[0].checksum, Some(cursors[1].checksum)),
        (0, 1, Some(0)),
    ] {
        let cursor = Cursor { position: Position::new(position), checksum };
        let told = store.save_checkpoint("mailer", cursor).expect_err("it isn't of this log");
        let Error::CursorMismatch { cursor: named, found: there, last_position } = &told else {
            return Err(told.into());
        };
        assert_eq!((*named, *there, *last_position), (cursor, found, head), "{told}");
        assert!(told.to_string().contains(&cursor.to_string()), "{told}");
    }
    assert_eq!((store.last_position(), names(&store)), (head, vec![]));
    Ok(())
}

#[test]
fn a_cursor_of_moments_that_a_power_cut_took_is_refused__F25() -> Outcome {
    let open = |disk: &SimDisk| EventStore::open_on(Arc::new(disk.mount()), "/store", buffered());
    let disk = SimDisk::new(1);
    let store = open(&disk)?;
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 3))?;
    store.close()?;
    // What the disk will have behind the power cut.
    let left = disk.snapshot(2);
    let store = open(&disk)?;
    store.append(&stream("order-1"), ExpectedVersion::Any, [event("Lost")])?;
    let kept = all(store.read_all())[2].cursor();
    let lost = all(store.read_all())[3].cursor();
    drop(store);
    let store = open(&left)?;
    let read = |cursor| store.read(Query::all().after_cursor(cursor)).collect::<Result<Vec<_>, _>>();
    assert!(matches!(read(lost), Err(Error::CursorMismatch { found: None, .. })));
    store.append(&stream("order-1"), ExpectedVersion::Any, [event("Other")])?;
    let told = read(lost).expect_err("position 4 is another event");
    assert!(matches!(told, Error::CursorMismatch { found: Some(_), .. }), "{told}");
    assert_eq!(read(kept)?.len(), 1);
    // A cursor behind an error has ended.
    let mut events = store.read(Query::all().after_cursor(lost));
    assert!(events.try_next().is_err() && events.try_next()?.is_none());
    Ok(())
}

#[test]
fn names_of_checkpoints_follow_the_rules_of_names() -> Outcome {
    let (store, cursors) = three();
    let longest = "n".repeat(NAME_BYTES_MAX - "$checkpoint-".len());
    store.save_checkpoint(&longest, cursors[0])?;
    assert_eq!(cursor_of(&store, &longest), Some(cursors[0]));
    for name in ["", "a\nb", &format!("{longest}n"), &"n".repeat(9_000)] {
        let told = store.save_checkpoint(name, cursors[0]).expect_err("no such name");
        assert!(matches!(&told, Error::Invalid(invalid) if invalid.what == "checkpoint name"), "{told}");
        assert!(store.checkpoint(name).is_err() && store.delete_checkpoint(name).is_err());
    }
    let twice = Commit::new().checkpoint("a", cursors[0]).checkpoint("a", cursors[1]);
    assert!(matches!(store.commit(twice), Err(Error::StreamTwice { .. })));
    Ok(())
}

#[test]
fn checkpoints_are_events_of_the_stores_own() -> Outcome {
    let (store, cursors) = three();
    store.save_checkpoint("mailer", cursors[1])?;
    store.append(&stream("order-1"), ExpectedVersion::Any, events(4, 1))?;
    store.delete_checkpoint("mailer")?;
    let own = stream("$checkpoint-mailer");
    let told = all(store.read_stream(&own));
    assert_eq!(types(store.read_stream(&own)), ["$CheckpointSaved", "$CheckpointDeleted"]);
    let checksum = format!("{:08x}", cursors[1].checksum);
    assert_eq!(told[0].json::<Value>()?, json!({ "position": 2, "checksum": checksum }));
    // Left out unless asked for, so that positions skip.
    assert_eq!(positions(store.read_all()), [1, 2, 3, 5]);
    assert_eq!(positions(store.read(Query::all().backwards().limit(2))), [5, 3]);
    assert_eq!(positions(store.read(Query::all().including_system())), [1, 2, 3, 4, 5, 6]);
    assert_eq!(store.streams(&StreamFilter::all())?.len(), 1);
    assert_eq!(store.streams(&StreamFilter::all().including_system())?.len(), 2);
    assert_eq!((store.categories()?.len(), store.event_types()?.len()), (1, 4));
    assert_eq!(store.last_position(), Position::new(6));
    // And no caller's.
    let forged = [event("$CheckpointSaved")];
    let refused = store.append(&own, ExpectedVersion::Any, forged.clone());
    assert!(matches!(refused, Err(Error::ReservedStream { .. })));
    let refused = store.commit(Commit::new().append(&own, ExpectedVersion::Any, forged));
    assert!(matches!(refused, Err(Error::ReservedStream { .. })));
    Ok(())
}

/// Counts how often it is called.
#[derive(Default)]
struct Calls(AtomicU64);

impl Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Takes what a subscription delivers, and lets it call when there is more.
fn listen(subscription: &mut Subscription, calls: &Arc<Calls>) -> Vec<Delivery> {
    let waker = Waker::from(Arc::clone(calls));
    let mut context = Context::from_waker(&waker);
    let mut seen = Vec::new();
    while let Poll::Ready(Some(delivery)) = subscription.poll_delivery(&mut context) {
        seen.push(delivery.expect("it can be read"));
    }
    seen
}

#[test]
fn a_checkpoint_wakes_only_those_who_asked_for_the_stores_own_events__B11() -> Outcome {
    let (store, cursors) = three();
    let mut ordinary = store.subscribe(Query::all());
    let mut everything = store.subscribe(Query::all().including_system());
    let mut own = store.subscribe(Query::stream(&stream("$checkpoint-mailer")));
    let calls = [(); 3].map(|()| Arc::new(Calls::default()));
    let mut all = [&mut ordinary, &mut everything, &mut own];
    for (subscription, calls) in all.iter_mut().zip(&calls) {
        listen(subscription, calls);
    }
    let called = || calls.each_ref().map(|calls| calls.0.swap(0, Ordering::SeqCst));
    store.save_checkpoint("mailer", cursors[2])?;
    assert_eq!(called(), [0, 1, 1]);
    let seen: Vec<usize> =
        all.iter_mut().zip(&calls).map(|(subscription, calls)| listen(subscription, calls).len()).collect();
    assert_eq!(seen, [0, 1, 1]);
    store.append(&stream("order-1"), ExpectedVersion::Any, events(4, 1))?;
    assert_eq!(called(), [1, 1, 1]);
    // Together with an ordinary event it wakes everyone, and is still shown to none who didn't ask for it.
    listen(&mut ordinary, &calls[0]);
    let commit = Commit::new().append(&stream("order-1"), ExpectedVersion::Any, events(5, 1));
    store.commit(commit.checkpoint("mailer", cursors[2]))?;
    assert_eq!(called()[0], 1);
    assert_eq!(listen(&mut ordinary, &calls[0]).len(), 1);
    Ok(())
}

#[test]
fn saving_a_checkpoint_gives_no_cause_to_save_another__B11() -> Outcome {
    let (mut store, cursors) = three();
    for query in [Query::all(), Query::all().category("order")] {
        let mut subscription = store.subscribe(query);
        check_rest(&store, &mut subscription, cursors[2])?;
        store = store.reopen()?;
    }
    let mut of_stream = store.subscribe(Query::stream(&stream("order-1")));
    check_rest(&store, &mut of_stream, cursors[2])?;
    Ok(())
}

/// A consumer that saves whenever its cursor has moved comes to rest.
fn check_rest(store: &EventStore, subscription: &mut Subscription, expected: Cursor) -> Outcome {
    let mut saved = None;
    for _ in 0..5 {
        while subscription.try_next()?.is_some() {}
        if saved != Some(subscription.cursor()) {
            saved = Some(subscription.cursor());
            store.save_checkpoint("mailer", subscription.cursor())?;
            store.save_checkpoint("another", Cursor::START)?;
        }
    }
    assert_eq!(saved, Some(expected));
    assert_eq!(subscription.cursor(), expected);
    Ok(())
}

#[test]
fn a_consumer_goes_on_where_it_stopped__B11_B12() -> Outcome {
    let mut store = store();
    let orders = stream("order-1");
    let mut sent = Vec::new();
    for round in 0..4 {
        store.append(&orders, ExpectedVersion::Any, events(round * 3 + 1, 3))?;
        let cursor = cursor_of(&store, "mailer").unwrap_or_default();
        let mut subscription = store.subscribe(Query::all().category("order").after_cursor(cursor).limit(2));
        for delivery in &mut subscription {
            let Delivery::Event(event) = delivery? else { continue };
            // What it makes of an event and that it has dealt with it are stored together.
            let mail = event_with_id(&format!("mail-{}", event.position));
            let commit = Commit::new().append(&stream("mail"), ExpectedVersion::Any, [mail]);
            store.commit(commit.checkpoint("mailer", event.cursor()))?;
            sent.push(event.version.get());
        }
        store = store.reopen()?;
    }
    assert_eq!(sent, (1..=8).collect::<Vec<_>>());
    assert_eq!(store.stream_version(&stream("mail"))?, Version::new(8));
    Ok(())
}
