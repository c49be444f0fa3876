//! Subscriptions: what is there, then what comes, each event once and in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use annals::{
    Bound, Commit, Cursor, Delivery, Error, EventStore, ExpectedVersion, GroupMember, Position, Query,
    Reader, Result, Subscription, Timestamp, Version,
};

use crate::{
    ids_and_clocks::ListClock,
    support::{Outcome, buffered, event, events, positions, small_segments, store, store_with, stream},
};

/// What a subscription delivers until it ends or would have to wait: positions, and `None` for "caught up".
fn taken(subscription: &mut Subscription) -> Vec<Option<u64>> {
    let mut deliveries = Vec::new();
    while let Some(delivery) = subscription.try_next().expect("it can be read") {
        deliveries.push(number(&delivery));
    }
    deliveries
}

fn number(delivery: &Delivery) -> Option<u64> {
    match delivery {
        Delivery::Event(event) => Some(event.position.get()),
        _ => None,
    }
}

/// Follows the store by blocking, until this position. Checks that nothing is missing, twice, or out of order.
fn follow(reader: &Reader, after: Position, last: u64) {
    let mut next = after.get() + 1;
    let mut caught_up = 0;
    for delivery in reader.subscribe(Query::all().after(after)) {
        match delivery.expect("it can be read") {
            Delivery::Event(event) => {
                assert_eq!(event.position.get(), next);
                // What is delivered is committed: it can be read at once.
                assert!(reader.last_position() >= event.position);
                next += 1;
            }
            _ => caught_up += 1,
        }
        if next > last && caught_up > 0 {
            break;
        }
    }
    assert_eq!((next, caught_up), (last + 1, 1));
}

#[test]
fn a_subscriber_that_starts_at_any_moment_gets_every_event_once_and_in_order__B11_X20() {
    const THREADS: u64 = 4;
    const APPENDS: u64 = 150;
    let store = store_with(small_segments());
    let last = THREADS * APPENDS * 2;
    thread::scope(|scope| {
        for number in 0..THREADS {
            let store = &*store;
            scope.spawn(move || {
                let name = stream(&format!("order-{number}"));
                for round in 0..APPENDS {
                    if round % 30 == number {
                        let (reader, after) = (store.reader().clone(), Position::new(round));
                        scope.spawn(move || follow(&reader, Position::NONE, last));
                        let reader = store.reader().clone();
                        scope.spawn(move || follow(&reader, after, last));
                    }
                    let from = round * 2 + 1;
                    store.append(&name, Version::new(from - 1), events(from, 2)).expect("an append");
                }
            });
        }
    });
    assert_eq!(store.last_position().get(), last);
}

#[test]
fn it_says_once_that_it_has_caught_up__C07() -> Outcome {
    let store = store();
    let order = stream("order-1");
    let mut subscription = store.subscribe(Query::all());
    assert_eq!(taken(&mut subscription), [None]);
    store.append(&order, ExpectedVersion::Any, events(1, 2))?;
    assert_eq!(taken(&mut subscription), [Some(1), Some(2)]);
    let mut late = store.subscribe(Query::all());
    // Committed while it was behind: it isn't caught up before it has delivered that too.
    assert_eq!(late.try_next()?.as_ref().and_then(number), Some(1));
    store.append(&order, ExpectedVersion::Any, events(3, 1))?;
    assert_eq!(taken(&mut late), [Some(2), Some(3), None]);
    assert_eq!(late.try_next()?, None);
    assert!(!late.has_ended());
    store.append(&order, ExpectedVersion::Any, events(4, 1))?;
    assert_eq!(taken(&mut late), [Some(4)]);
    Ok(())
}

#[test]
fn it_says_how_far_it_was_caught_up__C07() -> Outcome {
    let store = store();
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 3))?;
    let mut subscription = store.subscribe(Query::stream(&stream("cart-1")));
    assert_eq!(subscription.try_next()?, Some(Delivery::CaughtUp(Position::new(3))));
    Ok(())
}

#[test]
fn it_starts_from_a_version_a_position_a_time_and_now__C07_D14_D15_X15() -> Outcome {
    let store = store_with(buffered().clock(ListClock::of(&[0, 10, 20, 30, 40, 50])));
    let (order, cart) = (stream("order-1"), stream("cart-1"));
    store.append(&order, ExpectedVersion::Any, events(1, 2))?;
    store.append(&cart, ExpectedVersion::Any, events(1, 2))?;
    store.append(&order, ExpectedVersion::Any, events(3, 1))?;
    let mut now = store.subscribe(Query::all().after(store.last_position()));
    let since = |micros| Query::all().since(Timestamp::from_micros(micros));
    let mut cases = [
        store.subscribe(Query::stream(&order).from(Version::new(2))),
        store.subscribe(Query::all().from(Position::new(3))),
        store.subscribe(Query::all().category("order").after(Position::new(1))),
        store.subscribe(since(20)),
        store.subscribe(since(35)),
        store.subscribe(since(20).event_type("2").event_type("1")),
    ];
    let there = cases.each_mut().map(taken);
    assert_eq!(there[0], [Some(2), Some(5), None]);
    assert_eq!(there[1], [Some(3), Some(4), Some(5), None]);
    assert_eq!(there[2], [Some(2), Some(5), None]);
    assert_eq!(there[3], [Some(3), Some(4), Some(5), None]);
    assert_eq!(there[4], [None]);
    assert_eq!(there[5], [Some(3), Some(4), None]);
    assert_eq!(taken(&mut now), [None]);
    store.append(&order, ExpectedVersion::Any, [event("1")])?;
    for (number, case) in cases.iter_mut().enumerate() {
        assert_eq!(taken(case), [Some(6)], "{number}");
    }
    assert_eq!(taken(&mut now), [Some(6)]);
    Ok(())
}

#[test]
fn it_waits_no_longer_than_it_is_told__C07() -> Outcome {
    let store = store();
    let mut subscription = store.subscribe(Query::all());
    let short = Duration::from_millis(5);
    assert_eq!(subscription.next_timeout(short)?, Some(Delivery::CaughtUp(Position::NONE)));
    assert_eq!(subscription.next_timeout(short)?, None);
    assert_eq!(subscription.next_timeout(Duration::ZERO)?, None);
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 1))?;
    let delivery = subscription.next_timeout(Duration::MAX)?;
    assert_eq!(delivery.as_ref().and_then(number), Some(1));
    assert!(!subscription.has_ended());
    Ok(())
}

#[test]
fn one_that_waits_is_woken_by_the_next_append__D11() -> Outcome {
    let store = store();
    let reader = store.reader().clone();
    let seen = Arc::new(AtomicU64::new(0));
    let written = Arc::clone(&seen);
    let consumer = thread::spawn(move || {
        for delivery in reader.subscribe(Query::all().limit(100)) {
            if let Some(position) = number(&delivery.expect("it can be read")) {
                written.store(position, Ordering::SeqCst);
            }
        }
    });
    // Each append waits for the delivery of the one before, so the consumer sleeps in between.
    for number in 1..=100 {
        store.append(&stream("order-1"), ExpectedVersion::Any, events(number, 1))?;
        while seen.load(Ordering::SeqCst) < number {
            thread::yield_now();
        }
    }
    consumer.join().expect("it ends at its limit");
    Ok(())
}

#[test]
fn it_can_be_cancelled_from_another_thread__C07() -> Outcome {
    let store = store();
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 3))?;
    let mut subscription = store.subscribe(Query::all());
    let canceller = subscription.canceller();
    let has_caught_up = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&has_caught_up);
    let consumer = thread::spawn(move || {
        let count = subscription.by_ref().inspect(|_| says.store(true, Ordering::SeqCst)).count();
        (count, subscription)
    });
    while !has_caught_up.load(Ordering::SeqCst) {
        thread::yield_now();
    }
    canceller.clone().cancel();
    let (count, mut subscription) = consumer.join().expect("it ends");
    assert!(count <= 4);
    assert!(subscription.has_ended());
    store.append(&stream("order-1"), ExpectedVersion::Any, events(4, 1))?;
    assert_eq!(subscription.next_timeout(Duration::MAX)?, None);
    // Before its first step as well.
    let mut another = store.subscribe(Query::all());
    another.canceller().cancel();
    assert_eq!(another.try_next()?, None);
    assert!(another.has_ended());
    Ok(())
}

#[test]
fn closing_the_store_ends_it_behind_the_last_event__B11() -> Outcome {
    let (store, _directory) = store().into_parts();
    let subscription = store.subscribe(Query::all());
    let consumer = thread::spawn(move || subscription.collect::<Result<Vec<_>>>());
    for number in 1..=50 {
        store.submit(&stream("order-1"), ExpectedVersion::Any, events(number, 1))?.wait()?;
    }
    let mut polled = store.subscribe(Query::all().after(Position::new(48)));
    store.close()?;
    let deliveries = consumer.join().expect("it ends")?;
    assert_eq!(deliveries.iter().filter_map(number).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert_eq!(taken(&mut polled), [Some(49), Some(50), None]);
    assert!(polled.has_ended());
    Ok(())
}

fn check_end<B: Bound>(store: &EventStore, query: &Query<B>, expected: &[u64]) {
    let mut subscription = store.subscribe(query.clone());
    let found = taken(&mut subscription);
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), expected, "{query:?}");
    assert!(subscription.has_ended(), "{query:?}");
    assert_eq!(subscription.next_timeout(Duration::MAX).expect("it has ended"), None, "{query:?}");
}

#[test]
fn it_ends_at_its_bound_or_limit__C07() -> Outcome {
    let store = store_with(buffered().clock(ListClock::of(&[0, 10, 20, 30, 40, 50])));
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, events(1, 2))?;
    store.append(&stream("cart-1"), ExpectedVersion::Any, events(1, 1))?;
    store.append(&order, ExpectedVersion::Any, events(3, 1))?;
    let until = |micros| Query::all().until(Timestamp::from_micros(micros));
    check_end(&store, &Query::all().limit(2), &[1, 2]);
    check_end(&store, &Query::all().limit(0), &[]);
    check_end(&store, &Query::all().category("order").limit(3), &[1, 2, 4]);
    check_end(&store, &Query::all().to(Position::new(3)), &[1, 2, 3]);
    check_end(&store, &Query::all().to(Position::new(4)), &[1, 2, 3, 4]);
    check_end(&store, &Query::all().category("cart").to(Position::new(4)), &[3]);
    check_end(&store, &Query::all().before(Position::new(1)), &[]);
    check_end(&store, &Query::all().from(Position::new(9)).to(Position::new(8)), &[]);
    check_end(&store, &until(20), &[1, 2, 3]);
    check_end(&store, &until(9), &[]);
    check_end(&store, &Query::stream(&order).to(Version::new(2)), &[1, 2]);
    check_end(&store, &Query::stream(&order).as_of(Position::new(3)), &[1, 2]);
    check_end(&store, &Query::stream(&order).as_of(Position::NONE), &[]);
    check_end(&store, &Query::stream(&stream("none")).as_of(Timestamp::from_micros(25)), &[]);
    // Not yet: what is there may go on.
    let mut open = [store.subscribe(until(30)), store.subscribe(Query::all().to(Position::new(5)))];
    for subscription in &mut open {
        assert_eq!(taken(subscription), [Some(1), Some(2), Some(3), Some(4), None]);
        assert!(!subscription.has_ended());
    }
    store.append(&order, ExpectedVersion::Any, events(4, 1))?;
    assert_eq!(open.each_mut().map(taken), [vec![], vec![Some(5)]]);
    assert!(open.iter().all(Subscription::has_ended));
    Ok(())
}

#[test]
fn a_bound_in_time_is_reached_by_whatever_is_stored_later__C07() -> Outcome {
    let store = store_with(buffered().clock(ListClock::of(&[0, 10, 20, 30])));
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 1))?;
    let query = Query::stream(&stream("order-1")).until(Timestamp::from_micros(15));
    let mut subscription = store.subscribe(query);
    assert_eq!(taken(&mut subscription), [Some(1), None]);
    assert!(!subscription.has_ended());
    store.append(&stream("cart-1"), ExpectedVersion::Any, events(1, 1))?;
    assert_eq!(subscription.next_timeout(Duration::MAX)?, None);
    assert!(subscription.has_ended());
    Ok(())
}

#[test]
fn it_goes_on_behind_a_cursor__C07() -> Outcome {
    let store = store();
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 5))?;
    store.append(&stream("cart-1"), ExpectedVersion::Any, events(1, 2))?;
    let mut subscription = store.subscribe(Query::all().category("order"));
    assert_eq!(subscription.cursor(), Cursor::START);
    for _ in 0..3 {
        subscription.try_next()?;
    }
    let cursor = subscription.cursor();
    assert_eq!(cursor.position, Position::new(3));
    let mut resumed = store.subscribe(Query::all().category("order").after_cursor(cursor));
    assert_eq!(resumed.cursor(), cursor);
    assert_eq!(taken(&mut resumed), [Some(4), Some(5), None]);
    // What it passes over counts: the carts needn't be looked at again.
    assert_eq!(resumed.position(), Position::new(7));
    let mut of_stream = store.subscribe(Query::stream(&stream("order-1")));
    taken(&mut of_stream);
    assert_eq!(of_stream.cursor(), resumed.cursor());
    // One that starts in the midst knows where it stands before anything comes.
    let mut now = store.subscribe(Query::all().after(Position::new(7)));
    assert_eq!((taken(&mut now), now.cursor()), (vec![None], resumed.cursor()));
    Ok(())
}

#[test]
fn one_from_a_cursor_of_another_log_fails_and_has_ended() -> Outcome {
    let store = store();
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 2))?;
    let there = Cursor { position: Position::new(2), checksum: 1 };
    let beyond = Cursor { position: Position::new(3), checksum: 1 };
    for cursor in [there, beyond] {
        let mut subscription = store.subscribe(Query::all().after_cursor(cursor));
        let told = subscription.try_next().expect_err("the cursor is of another log");
        assert!(matches!(told, Error::CursorMismatch { cursor: named, .. } if named == cursor), "{told}");
        assert!(subscription.has_ended());
        assert_eq!(subscription.next_timeout(Duration::MAX)?, None);
    }
    Ok(())
}

#[test]
fn one_that_would_go_backwards_is_refused() {
    let store = store();
    let mut subscription = store.subscribe(Query::all().backwards());
    let told = subscription.next().expect("an error").expect_err("it can't go backwards");
    assert!(matches!(told, Error::Invalid(_)), "{told}");
    assert!(subscription.next().is_none());
}

#[test]
fn what_is_refused_is_never_delivered__D11_X20() -> Outcome {
    let store = store();
    let mut subscription = store.subscribe(Query::all());
    store.append(&stream("a"), ExpectedVersion::NoStream, [event("A")])?;
    let refused = Commit::new().append(&stream("b"), ExpectedVersion::NoStream, [event("B")]).append(
        &stream("a"),
        ExpectedVersion::NoStream,
        [event("C")],
    );
    assert!(store.commit(refused).expect_err("a is there").is_conflict());
    store.append(&stream("a"), ExpectedVersion::Any, [event("D")])?;
    assert_eq!(taken(&mut subscription), [Some(1), Some(2), None]);
    Ok(())
}

#[test]
fn the_members_of_a_group_share_all_streams_and_keep_their_order__C07() -> Outcome {
    let store = store();
    for number in 0..60 {
        store.append(&stream(&format!("order-{}", number % 20)), ExpectedVersion::Any, events(number, 2))?;
    }
    let mut together = Vec::new();
    for member in 1..=3 {
        let query = Query::all().group(GroupMember::new(member, 3)?);
        let mut subscription = store.subscribe(query.clone());
        let seen: Vec<u64> = taken(&mut subscription).into_iter().flatten().collect();
        assert_eq!(seen, positions(store.read(query)));
        assert!(seen.is_sorted() && !seen.is_empty());
        together.extend(seen);
    }
    together.sort_unstable();
    assert_eq!(together, (1..=120).collect::<Vec<_>>());
    Ok(())
}

/// Wakes a thread, and counts how often it is called.
struct Caller {
    thread: Thread,
    calls: AtomicU64,
}

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn caller() -> Arc<Caller> {
    Arc::new(Caller { thread: thread::current(), calls: AtomicU64::new(0) })
}

/// The smallest of all executors: polls, and parks until it is called.
fn run<T>(caller: &Arc<Caller>, mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let waker = Waker::from(Arc::clone(caller));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = poll(&mut context) {
            return value;
        }
        thread::park();
    }
}

#[test]
fn a_task_is_called_for_each_news_and_at_the_end__B11() -> Outcome {
    let (store, _directory) = store().into_parts();
    let mut subscription = store.subscribe(Query::all());
    let consumer = thread::spawn(move || {
        let caller = caller();
        let mut seen = Vec::new();
        while let Some(delivery) = run(&caller, |context| subscription.poll_delivery(context)) {
            seen.extend(number(&delivery.expect("it can be read")));
        }
        seen
    });
    for number in 1..=200 {
        store.append(&stream("order-1"), ExpectedVersion::Any, events(number, 1))?;
    }
    store.close()?;
    assert_eq!(consumer.join().expect("it ends"), (1..=200).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_task_is_called_when_its_subscription_is_cancelled() {
    let store = store();
    let mut subscription = store.subscribe(Query::all());
    let canceller = subscription.canceller();
    let caller = caller();
    let waker = Waker::from(Arc::clone(&caller));
    let mut context = Context::from_waker(&waker);
    assert!(matches!(subscription.poll_delivery(&mut context), Poll::Ready(Some(Ok(Delivery::CaughtUp(_))))));
    assert!(subscription.poll_delivery(&mut context).is_pending());
    assert_eq!(caller.calls.load(Ordering::SeqCst), 0);
    canceller.cancel();
    assert_eq!(caller.calls.load(Ordering::SeqCst), 1);
    assert!(matches!(subscription.poll_delivery(&mut context), Poll::Ready(None)));
}

#[cfg(feature = "async")]
#[test]
fn it_is_a_stream_of_futures() -> Outcome {
    use futures_core::{FusedStream, Stream};
    use std::pin::Pin;

    let store = store();
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 3))?;
    let mut stream = store.subscribe(Query::all().limit(3)).into_stream();
    let caller = caller();
    let mut seen = Vec::new();
    while let Some(delivery) = run(&caller, |context| Pin::new(&mut stream).poll_next(context)) {
        seen.extend(number(&delivery?));
    }
    assert_eq!(seen, [1, 2, 3]);
    assert!(stream.is_terminated());
    assert_eq!(stream.into_inner().position(), Position::new(3));
    Ok(())
}
