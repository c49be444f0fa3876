//! Many threads at once.

use std::{
    collections::BTreeMap,
    sync::{
        Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use annals::{
    Appended, Durability, Error, EventData, EventStore, ExpectedVersion, Options, Position, Query, Result,
    StreamId,
};

use crate::support::{
    Outcome, SaysDone, buffered, event, events, positions, small_segments, store, store_with, stream,
    version, versions,
};

const THREADS: u64 = 64;
const STREAMS: u64 = 8;
const APPENDS_EACH_MIN: u64 = 40;

/// For how long the threads go on, if they have appended the least by then.
const LASTING: Duration = Duration::from_secs(2);

/// What a thread was told to be stored: the append's outcome, and the first event's payload.
type Acknowledged = (Appended, StreamId, String);

/// Appends to a stream with the version that it sees, again after each conflict.
fn append_with_retries(store: &EventStore, thread: u64, number: u64) -> Acknowledged {
    let name = stream(&format!("s-{}", (thread + number) % STREAMS));
    let payload = format!("{thread}/{number}");
    loop {
        let seen = store.stream_version(&name).expect("it can be looked up");
        let batch = (0..=number % 3).map(|place| EventData::new(format!("T{place}"), payload.clone()));
        match store.append(&name, seen, batch) {
            Ok(appended) => {
                assert_eq!(appended.first_version, seen.next());
                return (appended, name, payload);
            }
            Err(Error::VersionConflict { actual, .. }) => assert!(actual > seen, "versions only grow"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Every acknowledged event is there with its content, and nothing else; no number twice, none left out.
fn check_all(store: &EventStore, acknowledged: &[Acknowledged]) -> Outcome {
    let mut wanted = BTreeMap::new();
    for (appended, name, payload) in acknowledged {
        for place in 0..=appended.version.get() - appended.first_version.get() {
            let position = appended.first_position.get() + place;
            let content = (name.clone(), appended.first_version.get() + place, format!("T{place}"), payload);
            assert!(wanted.insert(position, content).is_none(), "position {position} twice");
        }
    }
    assert_eq!(store.last_position().get(), wanted.len() as u64);
    let mut events = store.read_all();
    for (expected, (position, content)) in (1..).zip(&wanted) {
        let event = events.try_next()?.ok_or("as many events")?;
        let (name, number, event_type, payload) = content;
        assert_eq!((event.position.get(), *position), (expected, expected));
        assert_eq!((event.stream, event.version.get()), (name.as_str(), *number));
        assert_eq!((event.event_type, event.data), (event_type.as_str(), payload.as_bytes()));
    }
    for number in 0..STREAMS {
        let name = stream(&format!("s-{number}"));
        let reached = store.stream_version(&name)?.get();
        assert_eq!(versions(store.read_stream(&name)), (1..=reached).collect::<Vec<_>>());
    }
    Ok(())
}

fn check_threads(options: Options) -> Outcome {
    let mut store = store_with(options);
    let begin = Barrier::new(usize::try_from(THREADS)?);
    let acknowledged: Vec<Acknowledged> = thread::scope(|scope| {
        let run = |thread| {
            let (store, begin) = (&store, &begin);
            move || -> Vec<Acknowledged> {
                begin.wait();
                let started = Instant::now();
                (0..u64::MAX)
                    .take_while(|number| *number < APPENDS_EACH_MIN || started.elapsed() < LASTING)
                    .map(|number| append_with_retries(store, thread, number))
                    .collect()
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(run(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert!(acknowledged.len() as u64 >= THREADS * APPENDS_EACH_MIN);
    check_all(&store, &acknowledged)?;
    store = store.reopen()?;
    check_all(&store, &acknowledged)
}

#[test]
fn threads_with_retries_lose_nothing_and_leave_no_gaps__B01_A23_A24_C09_D03() -> Outcome {
    check_threads(buffered().segment_bytes(64 << 10))
}

#[test]
fn threads_with_retries_lose_nothing_where_each_append_is_synced__B01_A23_A24_C09() -> Outcome {
    check_threads(Options::new().durability(Durability::Fsync))
}

#[test]
fn of_two_who_saw_one_version_exactly_one_succeeds__D28_A06_D08() -> Outcome {
    let store = store();
    let order = stream("order-1");
    let begin = Barrier::new(2);
    for round in 0..200 {
        let attempt = |name: &'static str| {
            let (store, order, begin) = (&store, &order, &begin);
            move || -> Result<Appended> {
                begin.wait();
                store.append(order, version(round), [event(name)])
            }
        };
        let outcomes = thread::scope(|scope| {
            let both = [scope.spawn(attempt("one")), scope.spawn(attempt("other"))];
            both.map(|thread| thread.join().expect("no thread panics"))
        });
        let [won, lost] = match &outcomes {
            [Ok(appended), Err(error)] | [Err(error), Ok(appended)] => {
                [appended.version, conflict_actual(error)]
            }
            both => return Err(format!("round {round}: {both:?}").into()),
        };
        assert_eq!((won, lost), (version(round + 1), version(round + 1)));
    }
    assert_eq!(versions(store.read_stream(&order)), (1..=200).collect::<Vec<_>>());
    Ok(())
}

fn conflict_actual(error: &Error) -> annals::Version {
    match error {
        Error::VersionConflict { actual, .. } => *actual,
        other => panic!("no conflict: {other}"),
    }
}

/// Reads everything over and over until the writer is done, and checks that it is a prefix that only grows.
fn read_until(store: &EventStore, is_done: &AtomicBool) -> Outcome {
    let mut seen = 0;
    loop {
        let was_done = is_done.load(Ordering::SeqCst);
        let head = store.last_position().get();
        let found = positions(store.read_all());
        assert!(found.len() as u64 >= head && head >= seen, "what was shown stays");
        assert_eq!(found, (1..=found.len() as u64).collect::<Vec<_>>());
        // Commits are of three events over two streams: none is seen in part.
        assert_eq!(found.len() % 3, 0);
        let (one, two) = (store.stream_version(&stream("one"))?, store.stream_version(&stream("two"))?);
        assert!(two.get() >= 2 * one.get(), "two is written with one, and was looked at later");
        let last = Query::stream(&stream("one")).backwards().limit(1);
        if let Some(event) = store.read(last).next() {
            assert!(event?.version >= one);
        }
        seen = found.len() as u64;
        if was_done {
            return Ok(());
        }
    }
}

#[test]
fn readers_see_whole_commits_that_only_grow__B01_A10() -> Outcome {
    for options in [small_segments(), buffered().segment_bytes(1 << 20)] {
        let store = store_with(options);
        let is_done = AtomicBool::new(false);
        thread::scope(|scope| -> Outcome {
            let reader = || scope.spawn(|| read_until(&store, &is_done).map_err(|error| error.to_string()));
            let readers = [reader(), reader()];
            let writing = SaysDone(&is_done);
            for round in 0..400 {
                let commit = annals::Commit::new()
                    .append(&stream("one"), version(round), events(round, 1))
                    .append(&stream("two"), version(round * 2), events(round, 2));
                store.commit(commit)?;
            }
            drop(writing);
            for reader in readers {
                reader.join().map_err(|_| "a reader panicked")??;
            }
            Ok(())
        })?;
        assert_eq!(store.last_position(), Position::new(1_200));
    }
    Ok(())
}

#[test]
fn new_streams_of_many_threads_are_each_made_once__A07_D28() {
    let store = store();
    for round in 0..20 {
        let name = stream(&format!("order-{round}"));
        let begin = Barrier::new(4);
        let made: u64 = thread::scope(|scope| {
            let attempt = || {
                begin.wait();
                u64::from(store.append(&name, ExpectedVersion::NoStream, [event("A")]).is_ok())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(attempt)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        });
        assert_eq!(made, 1, "round {round}");
        assert_eq!(store.stream_version(&name).expect("it can be looked up"), version(1));
    }
}
