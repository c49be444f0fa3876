//! The hand-over to the writer, its answers and its news, with threads that take turns as a seed says: nobody waits for
//! ever, whatever the order. The store is the whole one, on the simulated disk; `src/sync.rs` alone is exchanged.
//!
//! A test that fails prints a schedule; `shuttle::replay` repeats it.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of faults behind __")]

use std::{
    env,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
};

use annals::{
    Clock, Delivery, Error, EventData, EventStore, ExpectedVersion, Options, Query, SimDisk, StreamId,
    Subscription, Timestamp,
};
use shuttle::{
    Config, Runner, future,
    scheduler::{PctScheduler, RandomScheduler},
    thread,
};

/// How many orders each test tries, if `ANNALS_ORDERS` doesn't say.
const ORDERS: usize = 150;

/// Runs a program in many orders: half of them by pure chance, half with few changes at ill-chosen moments.
fn check(program: impl Fn() + Send + Sync + 'static) {
    let orders = env::var("ANNALS_ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(ORDERS);
    let program = Arc::new(program);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    let (by_chance, by_priority) = (Arc::clone(&program), program);
    Runner::new(RandomScheduler::new(orders), config.clone()).run(move || by_chance());
    Runner::new(PctScheduler::new(3, orders), config).run(move || by_priority());
}

fn stream(number: usize) -> StreamId {
    StreamId::new(format!("order-{number}")).expect("a valid name")
}

fn event() -> EventData {
    EventData::new("Placed", "{}")
}

fn open(options: Options) -> Arc<EventStore> {
    let disk = Arc::new(SimDisk::new(7));
    Arc::new(EventStore::open_on(disk, "/store", options).expect("a new store"))
}

fn close(store: Arc<EventStore>) -> annals::Result<()> {
    Arc::into_inner(store).expect("nobody else has it any more").close()
}

/// Takes deliveries until so many events came; positions have no gaps.
fn take(subscription: &mut Subscription, count: u64) {
    let mut next = 1;
    while next <= count {
        match subscription.next() {
            Some(Ok(Delivery::Event(event))) => {
                assert_eq!(event.position.get(), next, "each event once, in order");
                next += 1;
            }
            Some(Ok(_)) => {}
            other => panic!("the subscription ended: {other:?}"),
        }
    }
}

#[test]
fn every_append_is_answered_and_every_subscriber_sees_it_whatever_the_order() {
    check(|| {
        let store = open(Options::new());
        let subscribers: Vec<_> = (0..2)
            .map(|_| {
                let mut subscription = store.reader().subscribe(Query::all());
                thread::spawn(move || take(&mut subscription, 4))
            })
            .collect();
        let callers: Vec<_> = (0..2)
            .map(|number| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    for _ in 0..2 {
                        store.append(&stream(number), ExpectedVersion::Any, [event()]).expect("an append");
                    }
                })
            })
            .collect();
        for thread in callers.into_iter().chain(subscribers) {
            thread.join().expect("it ends well");
        }
        close(store).expect("a close");
    });
}

#[test]
fn what_is_dropped_is_stored_and_what_waits_is_answered_whatever_the_order__F37() {
    check(|| {
        let store = open(Options::new());
        let callers: Vec<_> = (0..3)
            .map(|number| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let kept = store.submit(&stream(number), ExpectedVersion::Any, [event()]);
                    let dropped = store.submit(&stream(number), ExpectedVersion::Any, [event()]);
                    drop(dropped.expect("it is taken"));
                    kept.expect("it is taken").wait().expect("an append");
                })
            })
            .collect();
        let awaiting = store.submit(&stream(9), ExpectedVersion::NoStream, [event()]).expect("it is taken");
        assert_eq!(future::block_on(awaiting).expect("an append").version.get(), 1);
        for caller in callers {
            caller.join().expect("it ends well");
        }
        // Those that were dropped may still be on their way; closing answers all.
        let reader = store.reader().clone();
        close(store).expect("a close");
        assert_eq!(reader.read_all().count(), 7);
    });
}

#[test]
fn who_waits_for_room_in_the_queue_gets_it_whatever_the_order__F37() {
    check(|| {
        let store = open(Options::new().queue_bytes_max(1));
        let callers: Vec<_> = (0..4)
            .map(|number| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    store.append(&stream(number), ExpectedVersion::NoStream, [event()]).expect("an append");
                })
            })
            .collect();
        for caller in callers {
            caller.join().expect("it ends well");
        }
        close(store).expect("a close");
    });
}

/// A clock that panics when it is asked for the nth time, and with it the writer.
#[derive(Debug)]
struct PanickingClock {
    left: AtomicU32,
}

impl Clock for PanickingClock {
    fn now(&self) -> Timestamp {
        let left = self.left.fetch_sub(1, Ordering::Relaxed);
        assert!(left != 1, "the clock panics, as the test wants it");
        Timestamp::from_micros(1)
    }
}

#[test]
fn when_the_writer_panics_all_who_wait_get_an_error_whatever_the_order__F09() {
    check(|| {
        // Asked once when the store is made, and once for each turn of the writer: the second turn panics.
        let clock = Arc::new(PanickingClock { left: AtomicU32::new(3) });
        let store = open(Options::new().clock(clock).queue_bytes_max(700));
        let mut subscription = store.reader().subscribe(Query::all());
        let subscriber = thread::spawn(move || subscription.by_ref().take_while(Result::is_ok).count());
        let callers: Vec<_> = (0..3)
            .map(|number| {
                let store = Arc::clone(&store);
                thread::spawn(move || {
                    let outcomes = (0..2).map(|_| store.append(&stream(number), ExpectedVersion::Any, [event()]));
                    outcomes.filter(|outcome| is_failure(outcome.as_ref().err())).count()
                })
            })
            .collect();
        let failed: usize = callers.into_iter().map(|caller| caller.join().expect("it ends")).sum();
        // Six appends of three callers never fit into one turn: each caller has two, one behind the other.
        assert!(failed > 0, "the second turn never answers well");
        subscriber.join().expect("it ends");
        assert!(close(store).is_err(), "closing tells of it");
    });
}

/// An append that failed says that the writer has.
fn is_failure(error: Option<&Error>) -> bool {
    match error {
        None => false,
        Some(Error::Failed { .. } | Error::Closed) => true,
        Some(other) => panic!("another error: {other:?}"),
    }
}

#[test]
fn a_task_that_waits_for_events_is_called_whatever_the_order() {
    check(|| {
        let store = open(Options::new());
        let mut subscription = store.reader().subscribe(Query::all());
        let task = thread::spawn(move || {
            let mut seen = 0;
            while seen < 3 {
                let delivery = future::block_on(std::future::poll_fn(|context| {
                    subscription.poll_delivery(context)
                }));
                seen += u64::from(matches!(delivery, Some(Ok(Delivery::Event(_)))));
            }
        });
        for number in 0..3 {
            store.append(&stream(number), ExpectedVersion::Any, [event()]).expect("an append");
        }
        task.join().expect("it ends well");
        close(store).expect("a close");
    });
}

#[test]
fn who_cancels_or_closes_wakes_those_who_wait_whatever_the_order() {
    check(|| {
        let store = open(Options::new());
        let mut cancelled = store.reader().subscribe(Query::all());
        let canceller = cancelled.canceller();
        let mut closed = store.reader().subscribe(Query::all());
        let waiting = [
            thread::spawn(move || cancelled.by_ref().take_while(Result::is_ok).count()),
            thread::spawn(move || closed.by_ref().take_while(Result::is_ok).count()),
        ];
        let cancelling = thread::spawn(move || canceller.cancel());
        store.append(&stream(1), ExpectedVersion::Any, [event()]).expect("an append");
        cancelling.join().expect("it ends well");
        close(store).expect("a close");
        for thread in waiting {
            thread.join().expect("it ends");
        }
    });
}

#[test]
fn a_pending_append_that_was_polled_and_dropped_disturbs_nobody__F37() {
    check(|| {
        let store = open(Options::new());
        let other = Arc::clone(&store);
        let polled = thread::spawn(move || {
            let pending = other.submit(&stream(1), ExpectedVersion::Any, [event()]).expect("it is taken");
            future::block_on(async {
                let mut pending = pin!(pending);
                std::future::poll_fn(|context| {
                    drop(pending.as_mut().poll(context));
                    Poll::Ready(())
                })
                .await;
            });
        });
        store.append(&stream(2), ExpectedVersion::Any, [event()]).expect("an append");
        polled.join().expect("it ends well");
        close(store).expect("a close");
    });
}
