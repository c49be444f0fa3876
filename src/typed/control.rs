//! What a runner and those who watch and command it share.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::{
    companions::Companion,
    position::Position,
    query::Query,
    reader::Reader,
    subscription::{Canceller, Subscription},
    typed::run_error::RunError,
};

/// What a runner is at.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ProjectionState {
    /// It handles what was there when it began.
    CatchingUp,
    /// It handles what comes.
    Live,
    /// It was told to rest.
    Paused,
    /// Something went wrong, and it waits to try that again.
    Retrying,
    /// It was told to stop, or the store was closed, or its query has an end and it is there. What it did is saved.
    Stopped,
    /// It has ended since it couldn't go on; why, in one line.
    Failed(String),
}

/// How far a runner is.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct ProjectionProgress {
    /// What it is at.
    pub state: ProjectionState,
    /// Everything up to here is handled, and its batch committed.
    pub position: Position,
    /// How many positions of the log it hasn't looked at yet.
    pub behind: u64,
    /// How many events it handled in a second, over the last one or two.
    pub events_per_second: f64,
    /// How many events it has handled since it was started.
    pub handled: u64,
    /// How many events it has left out since it was started.
    pub skipped: u64,
}

/// Shared by a runner's thread, its handle, and the store, which ends it before it closes.
#[derive(Debug)]
pub(crate) struct Control {
    /// Whether something was ordered since the runner has subscribed; to look at without the lock. Others set it, and
    /// only the runner takes it back: an order may be called off when the subscription is cancelled already.
    has_orders: AtomicBool,
    /// The position of the event that the projection has in its hands; 0: it is at something else.
    handling: AtomicU64,
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Debug)]
struct Shared {
    stops: bool,
    pauses: bool,
    rebuilds_ordered: u64,
    rebuilds_done: u64,
    canceller: Option<Canceller>,
    thread: Option<ThreadId>,
    state: ProjectionState,
    position: Position,
    handled: u64,
    skipped: u64,
    rate: Rate,
    error: Option<RunError>,
    is_over: bool,
}

/// What a runner is to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    GoOn,
    Stop,
    Rebuild,
    Pause,
}

/// How a wait ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wait {
    TimeIsOver,
    Ordered,
}

impl Control {
    pub(crate) fn new() -> Self {
        Self {
            has_orders: AtomicBool::new(false),
            handling: AtomicU64::new(Position::NONE.get()),
            shared: Mutex::new(Shared {
                stops: false,
                pauses: false,
                rebuilds_ordered: 0,
                rebuilds_done: 0,
                canceller: None,
                thread: None,
                state: ProjectionState::CatchingUp,
                position: Position::NONE,
                handled: 0,
                skipped: 0,
                rate: Rate::new(Instant::now()),
                error: None,
                is_over: false,
            }),
            changed: Condvar::new(),
        }
    }

    // The runner's side.

    /// Says that this thread is the runner's.
    pub(crate) fn work_here(&self) {
        self.shared.lock().thread = Some(thread::current().id());
    }

    /// Whether something was ordered since it has subscribed. It may be called off again.
    pub(crate) fn has_orders(&self) -> bool {
        self.has_orders.load(Ordering::Acquire)
    }

    /// Does with an event what the projection does, and has it known meanwhile which one it is: a panic doesn't say.
    pub(crate) fn while_handling<T>(&self, position: Position, handle: impl FnOnce() -> T) -> T {
        self.handling.store(position.get(), Ordering::Relaxed);
        let handled = handle();
        self.handling.store(Position::NONE.get(), Ordering::Relaxed);
        handled
    }

    /// The event that the projection has in its hands, or that it panicked over; none: it is at something else.
    pub(crate) fn handling(&self) -> Option<Position> {
        Some(Position::new(self.handling.load(Ordering::Relaxed))).filter(|it| *it != Position::NONE)
    }

    pub(crate) fn order(&self) -> Order {
        self.shared.lock().order()
    }

    /// Subscribes, so that an order ends the subscription.
    pub(crate) fn subscribe(&self, reader: &Reader, query: Query<Position>) -> Subscription {
        let subscription = reader.subscribe(query);
        let mut shared = self.shared.lock();
        let has_orders = shared.order() != Order::GoOn;
        self.has_orders.store(has_orders, Ordering::Release);
        if has_orders {
            subscription.canceller().cancel();
        }
        shared.canceller = Some(subscription.canceller());
        subscription
    }

    /// Sleeps until something is ordered, or for so long.
    pub(crate) fn wait(&self, time: Duration) -> Wait {
        let mut shared = self.shared.lock();
        let Some(deadline) = Instant::now().checked_add(time) else {
            while shared.order() == Order::GoOn {
                self.changed.wait(&mut shared);
            }
            return Wait::Ordered;
        };
        while shared.order() == Order::GoOn {
            if self.changed.wait_until(&mut shared, deadline).timed_out() {
                return Wait::TimeIsOver;
            }
        }
        Wait::Ordered
    }

    /// Sleeps as long as it is to rest, and says what it is at then.
    pub(crate) fn rest(&self, then: ProjectionState) {
        let mut shared = self.shared.lock();
        shared.state = ProjectionState::Paused;
        self.changed.notify_all();
        while shared.order() == Order::Pause {
            self.changed.wait(&mut shared);
        }
        // Under the same lock: who orders the next rest doesn't take this one for it.
        shared.state = then;
        self.changed.notify_all();
    }

    pub(crate) fn tell_state(&self, state: ProjectionState) {
        let mut shared = self.shared.lock();
        if shared.state != state {
            shared.state = state;
            self.changed.notify_all();
        }
    }

    /// Says how far it is, and what it did since it said so last.
    pub(crate) fn tell_progress(&self, position: Position, handled: u64, skipped: u64) {
        let mut shared = self.shared.lock();
        shared.position = position;
        shared.handled += handled;
        shared.skipped += skipped;
        if handled > 0 {
            shared.rate.count(handled, Instant::now());
        }
        self.changed.notify_all();
    }

    /// Says that it has begun anew, as often as it was told until then.
    pub(crate) fn tell_rebuilt(&self) {
        let mut shared = self.shared.lock();
        shared.rebuilds_done = shared.rebuilds_ordered;
        shared.state = ProjectionState::CatchingUp;
        self.changed.notify_all();
    }

    /// Says that it has ended.
    pub(crate) fn tell_end(&self, error: Option<RunError>) {
        let mut shared = self.shared.lock();
        shared.state = match &error {
            Some(error) => ProjectionState::Failed(error.with_sources()),
            None => ProjectionState::Stopped,
        };
        (shared.error, shared.is_over, shared.canceller) = (error, true, None);
        self.changed.notify_all();
    }

    // The others' side.

    /// Orders a rest, and waits until it is kept, unless that is called off or the runner has ended.
    pub(crate) fn pause(&self) {
        self.order_anew(|shared| shared.pauses = true);
        let mut shared = self.shared.lock();
        while !shared.is_over && shared.pauses && shared.state != ProjectionState::Paused {
            self.changed.wait(&mut shared);
        }
    }

    pub(crate) fn resume(&self) {
        self.order_anew(|shared| shared.pauses = false);
    }

    /// Orders a rebuild, and waits until it is begun. False: the runner has ended before.
    pub(crate) fn rebuild(&self) -> bool {
        let mut shared = self.shared.lock();
        shared.rebuilds_ordered += 1;
        let ordered = shared.rebuilds_ordered;
        self.tell_runner(&mut shared);
        while shared.rebuilds_done < ordered && !shared.is_over {
            self.changed.wait(&mut shared);
        }
        shared.rebuilds_done >= ordered
    }

    /// Waits until everything up to a position is done. False: the time is over, or the runner has stopped before.
    pub(crate) fn wait_until(&self, position: Position, timeout: Duration) -> Result<bool, RunError> {
        let deadline = Instant::now().checked_add(timeout);
        let mut shared = self.shared.lock();
        while shared.position < position {
            if shared.is_over {
                return shared.error.clone().map_or(Ok(false), Err);
            }
            match deadline {
                None => self.changed.wait(&mut shared),
                Some(deadline) => {
                    if self.changed.wait_until(&mut shared, deadline).timed_out() {
                        return Ok(shared.position >= position);
                    }
                }
            }
        }
        Ok(true)
    }

    /// How far the runner is, in a log whose last event is this.
    pub(crate) fn progress(&self, last: Position) -> ProjectionProgress {
        let shared = self.shared.lock();
        ProjectionProgress {
            state: shared.state.clone(),
            position: shared.position,
            behind: last.get().saturating_sub(shared.position.get()),
            events_per_second: shared.rate.per_second(Instant::now()),
            handled: shared.handled,
            skipped: shared.skipped,
        }
    }

    /// Why the runner has ended, if it failed.
    pub(crate) fn error(&self) -> Option<RunError> {
        self.shared.lock().error.clone()
    }

    fn order_anew(&self, change: impl FnOnce(&mut Shared)) {
        let mut shared = self.shared.lock();
        change(&mut shared);
        self.tell_runner(&mut shared);
    }

    /// Lets the runner hear of what is ordered, wherever it waits.
    fn tell_runner(&self, shared: &mut MutexGuard<'_, Shared>) {
        if shared.order() != Order::GoOn {
            // Before the subscription ends: the runner sees why.
            self.has_orders.store(true, Ordering::Release);
            if let Some(canceller) = &shared.canceller {
                canceller.cancel();
            }
        }
        self.changed.notify_all();
    }
}

impl Companion for Control {
    fn ask_to_end(&self) {
        self.order_anew(|shared| shared.stops = true);
    }

    fn wait_for_end(&self) {
        let mut shared = self.shared.lock();
        if shared.thread == Some(thread::current().id()) {
            return;
        }
        while !shared.is_over {
            self.changed.wait(&mut shared);
        }
    }
}

impl Shared {
    fn order(&self) -> Order {
        if self.stops {
            Order::Stop
        } else if self.rebuilds_done < self.rebuilds_ordered {
            Order::Rebuild
        } else if self.pauses {
            Order::Pause
        } else {
            Order::GoOn
        }
    }
}

/// How many events there were in a second: counted over at least one, and shown until the next is over.
#[derive(Clone, Copy, Debug)]
struct Rate {
    since: Instant,
    counted: u64,
    last: Option<f64>,
}

const RATE_TIME: Duration = Duration::from_secs(1);

impl Rate {
    fn new(now: Instant) -> Self {
        Self { since: now, counted: 0, last: None }
    }

    fn count(&mut self, events: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= RATE_TIME {
            let last = (elapsed < 2 * RATE_TIME).then(|| per_second(self.counted, elapsed));
            *self = Self { since: now, counted: 0, last };
        }
        self.counted += events;
    }

    fn per_second(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since);
        match self.last {
            Some(last) if elapsed < RATE_TIME => last,
            // So that a first moment of a few events doesn't show as thousands a second.
            _ => per_second(self.counted, elapsed.max(RATE_TIME)),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate is shown, not counted with")]
fn per_second(events: u64, time: Duration) -> f64 {
    events as f64 / time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_of_the_last_seconds_and_dies_away() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut rate = Rate::new(start);
        assert!(rate.per_second(at(10)).abs() < 0.001);
        for millis in (10..=1_000).step_by(10) {
            rate.count(5, at(millis));
        }
        assert!((rate.per_second(at(1_010)) - 495.0).abs() < 5.0, "{rate:?}");
        assert!(rate.per_second(at(4_000)) < 5.0, "{rate:?}");
        rate.count(5, at(9_000));
        assert!(rate.per_second(at(9_100)) < 6.0, "{rate:?}");
    }
}
