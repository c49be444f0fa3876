//! Appends that are handed over and waited for later, or never.

use std::{
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use annals::{Commit, Durability, Error, EventData, ExpectedVersion, Options, PendingAppend, Position};

use crate::support::{
    Outcome, all, buffered, event, events, gated_store, positions, small_segments, store, store_with, stream,
    types, version,
};

/// How long a test looks whether something happens that mustn't.
const GLANCE: Duration = Duration::from_millis(20);

/// Wakes a thread that is parked.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// All that a runtime has to be for the store.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_pending_append_is_waited_for__A05() -> Outcome {
    for durability in [Durability::Fsync, Durability::Buffered] {
        let store = store_with(Options::new().durability(durability));
        let order = stream("order-1");
        let pending: Vec<PendingAppend> = (0..50)
            .map(|number| store.submit(&order, version(number), events(number + 1, 1)))
            .collect::<Result<_, _>>()?;
        for (number, pending) in (1..).zip(pending) {
            assert_eq!(pending.wait()?.version, version(number));
        }
    }
    Ok(())
}

#[test]
fn a_pending_append_is_awaited_without_a_runtime() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    let first = store.submit(&order, ExpectedVersion::NoStream, events(1, 2))?;
    let conflicting = store.submit(&order, ExpectedVersion::NoStream, events(3, 1))?;
    let commit = Commit::new().append(&order, version(2), events(3, 1));
    let second = store.submit_commit(commit)?;
    let awaiting = thread::spawn(move || {
        block_on(async move { (first.await, conflicting.await.is_err(), second.await) })
    });
    gate.wait_for_writer();
    drop(gate);
    let (first, is_refused, second) = awaiting.join().map_err(|_| "it panicked")?;
    assert_eq!((first?.version, is_refused), (version(2), true));
    assert_eq!(second?[0].version, version(3));
    Ok(())
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn only_the_last_waker_is_woken_and_once() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    let mut pending = pin!(store.submit(&order, ExpectedVersion::Any, events(1, 1))?);
    gate.wait_for_writer();
    let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
    for count in [&old, &new] {
        let waker = Waker::from(Arc::clone(count));
        assert!(pending.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(!pending.is_done());
    drop(gate);
    // A later append is answered behind it.
    store.append(&order, ExpectedVersion::Any, events(2, 1))?;
    assert!(pending.is_done());
    assert_eq!((old.0.load(Ordering::SeqCst), new.0.load(Ordering::SeqCst)), (0, 1));
    let waker = Waker::from(Arc::clone(&new));
    let Poll::Ready(outcome) = pending.poll(&mut Context::from_waker(&waker)) else {
        return Err("it is done".into());
    };
    assert_eq!(outcome?.version, version(1));
    Ok(())
}

#[test]
fn a_dropped_pending_append_is_stored_all_the_same__F37() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    drop(store.submit(&order, ExpectedVersion::NoStream, events(1, 2))?);
    gate.wait_for_writer();
    drop(store.submit(&order, version(2), events(3, 1))?);
    drop(gate);
    let store = store.reopen()?;
    assert_eq!(types(store.read_stream(&order)), ["1", "2", "3"]);
    Ok(())
}

#[test]
fn appends_are_taken_in_the_order_in_which_they_were_handed_over__B01() -> Outcome {
    let store = store();
    for number in 0..500_u64 {
        drop(store.submit(&stream(&format!("s-{}", number % 7)), ExpectedVersion::Any, events(number, 1))?);
    }
    let store = store.reopen()?;
    let wanted: Vec<String> = (0..500).map(|number| number.to_string()).collect();
    assert_eq!(types(store.read_all()), wanted);
    Ok(())
}

#[test]
fn closing_stores_what_was_handed_over() -> Outcome {
    for options in [Options::new(), buffered(), small_segments()] {
        let store = store_with(options);
        let order = stream("order-1");
        let pending: Vec<PendingAppend> = (0..300)
            .map(|number| store.submit(&order, version(number), events(number + 1, 1)))
            .collect::<Result<_, _>>()?;
        let store = store.reopen()?;
        for (number, pending) in (1..).zip(pending) {
            assert!(pending.is_done());
            assert_eq!(pending.wait()?.version, version(number));
        }
        assert_eq!(positions(store.read_stream(&order)), (1..=300).collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn a_full_queue_refuses_or_makes_wait() -> Outcome {
    let (store, gate) = gated_store(buffered().queue_bytes_max(1));
    let order = stream("order-1");
    let first = store.submit(&order, ExpectedVersion::NoStream, events(1, 1))?;
    gate.wait_for_writer();
    // One append may always wait, however large it is.
    let second = store.try_submit(&order, version(1), events(2, 1))?;
    let refused = store.try_submit(&order, version(2), events(3, 1));
    assert!(matches!(refused, Err(Error::QueueFull)), "{refused:?}");
    let (appending, order) = (&store, &order);
    thread::scope(move |scope| -> Outcome {
        // Dropped before the scope waits for its thread: a test that fails doesn't hang.
        let gate = gate;
        let (sender, submitted) = mpsc::channel();
        scope.spawn(move || sender.send(appending.submit(order, version(2), events(4, 1))));
        assert!(submitted.recv_timeout(GLANCE).is_err(), "submit blocks while the queue is full");
        gate.let_go();
        // The writer takes the second append, which makes room for the third.
        gate.wait_for_writer();
        let third = submitted.recv()??;
        assert_eq!(first.wait()?.version, version(1));
        drop(gate);
        assert_eq!(second.wait()?.version, version(2));
        assert_eq!(third.wait()?.version, version(3));
        Ok(())
    })?;
    assert_eq!(types(store.read_stream(order)), ["1", "2", "4"]);
    Ok(())
}

#[test]
fn what_waits_for_a_slow_writer_is_bounded__F15() -> Outcome {
    // Frames take one of these appends each, so the writer leaves some of what waited.
    const APPEND_BYTES: usize = 700 << 10;
    const QUEUED_MAX: usize = 3;
    let (store, gate) = gated_store(buffered().queue_bytes_max(QUEUED_MAX * (APPEND_BYTES + 1_000)));
    let order = stream("order-1");
    let submit = || {
        let large = EventData::new("Large", vec![0; APPEND_BYTES]);
        store.try_submit(&order, ExpectedVersion::Any, [large])
    };
    let mut pending = vec![submit()?];
    for _ in 0..12 {
        gate.wait_for_writer();
        // More than there may ever be room for, and no more, should the queue have no end.
        pending.extend((0..4 * QUEUED_MAX).map_while(|_| submit().ok()));
        let waiting = pending.iter().filter(|pending| !pending.is_done()).count();
        // What the writer has taken (a queue of them behind less than a frame), and a queue of them again.
        assert!(waiting <= 2 * QUEUED_MAX + 1, "{waiting} appends wait, where {QUEUED_MAX} have room");
        gate.let_go();
    }
    drop(gate);
    let count = pending.len();
    for pending in pending {
        pending.wait()?;
    }
    assert_eq!(store.last_position(), Position::new(count as u64));
    Ok(())
}

#[test]
fn appends_of_nothing_fill_the_queue_too() -> Outcome {
    let (store, gate) = gated_store(buffered().queue_bytes_max(1));
    let order = stream("order-1");
    let first = store.submit(&order, ExpectedVersion::Any, [])?;
    gate.wait_for_writer();
    let second = store.try_submit(&order, ExpectedVersion::Any, [])?;
    let refused = store.try_submit(&order, ExpectedVersion::Any, []);
    assert!(matches!(refused, Err(Error::QueueFull)), "{refused:?}");
    drop(gate);
    assert_eq!((first.wait()?.version, second.wait()?.version), (version(0), version(0)));
    Ok(())
}

#[test]
fn ten_thousand_wait_at_once__F37() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    let pending: Vec<PendingAppend> = (0..10_000)
        .map(|_| store.submit(&order, ExpectedVersion::Any, [event("A")]))
        .collect::<Result<_, _>>()?;
    assert!(pending.iter().all(|pending| !pending.is_done()));
    drop(gate);
    for (number, pending) in (1..).zip(pending) {
        assert_eq!(pending.wait()?.version, version(number));
    }
    assert_eq!(all(store.read_stream(&order)).len(), 10_000);
    Ok(())
}
