//! From the acknowledgement of an append to its event's delivery in the same process.
//!
//! One caller appends to one stream, and one subscriber takes everything. A delivery's latency is the time from the return of
//! the append to the event's coming out of the subscription; where that was first, nothing. *Back to back* the next append
//! follows at once, so that the latency has the events in it that wait for the subscriber; *after a pause* the subscriber
//! sleeps whenever an event comes, so that it is the time of a wake-up.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, Sender, TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use annals::{Delivery, Durability, EventStore, Query, Subscription, Version};
use anyhow::{anyhow, bail};

use crate::{
    bench::{
        measure::{Measured, Part, Stretch},
        report::Row,
        session::Session,
        work::{self, Work},
    },
    bench_arguments::Workload,
    interrupt::Stop,
};

/// How long the caller rests between two appends, if it does.
const PAUSE: Duration = Duration::from_millis(1);

/// How often the subscriber looks whether all has come, while nothing comes.
const LOOK: Duration = Duration::from_millis(20);

/// How long it waits for an event that was acknowledged, before it counts as lost.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    for durability in session.arguments.durabilities() {
        for (variant, pause) in [("after a pause", PAUSE), ("back to back", Duration::ZERO)] {
            measure_row(session, durability.into(), variant, pause)?;
        }
    }
    Ok(())
}

fn measure_row(
    session: &mut Session<'_>,
    durability: Durability,
    variant: &'static str,
    pause: Duration,
) -> anyhow::Result<()> {
    let row = Row::new(Workload::Subscribe, "delivery").durability(durability).callers(1).batch(1);
    let row = row.variant(variant);
    session.begin(&row);
    let store = session.new_store(durability)?;
    let stretches = session.stretches(1);
    let (work, stop) = (&session.work, &session.stop);
    let (acknowledge, acknowledged) = channel();
    let mut subscription = store.subscribe(Query::all());
    catch_up(&mut subscription)?;
    let (appended, delivered) = thread::scope(|scope| {
        let subscriber = scope.spawn(|| Subscriber::new(subscription, acknowledged, work)?.run(stop));
        let mut caller = Caller { store: &store, work, stop, pause, acknowledge, version: 0 };
        let appended = caller
            .append(stretches.warm_up, Count::No)
            .and_then(|()| caller.append(stretches.measured, Count::Yes))
            .map(|()| caller.version);
        // Without the caller, the subscriber comes to its end.
        drop(caller);
        (appended, subscriber.join().map_err(|_| anyhow!("the subscriber failed")))
    });
    let (events, part) = (appended?, delivered??);
    work.check_store(&store, |_| events, 1, stop)?;
    session.remove_store(store)?;
    let mut measured = Measured::nothing()?;
    measured.add(&[part])?;
    session.report(&row.streams(1).measured(measured))
}

/// A new subscription to an empty store says first that it has caught up.
fn catch_up(subscription: &mut Subscription) -> anyhow::Result<()> {
    match subscription.next_timeout(PATIENCE)? {
        Some(Delivery::CaughtUp(_)) => Ok(()),
        other => bail!("an empty store delivers {other:?}"),
    }
}

/// Whether an event's delivery is measured, or part of the warm-up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Count {
    No,
    Yes,
}

struct Acknowledged {
    at: Instant,
    count: Count,
}

struct Caller<'a> {
    store: &'a EventStore,
    work: &'a Work,
    stop: &'a Stop,
    pause: Duration,
    acknowledge: Sender<Acknowledged>,
    version: u64,
}

impl Caller<'_> {
    fn append(&mut self, stretch: Stretch, count: Count) -> anyhow::Result<()> {
        let (begun, stream) = (Instant::now(), work::name(0)?);
        let before = self.version;
        // One event at least, however short the time is.
        while self.version == before
            || begun.elapsed() < stretch.duration && self.version - before < stretch.events_max
        {
            self.stop.check()?;
            let event = self.work.event(0, self.version + 1);
            self.store.append(&stream, Version::new(self.version), [event])?;
            let at = Instant::now();
            self.version += 1;
            if self.acknowledge.send(Acknowledged { at, count }).is_err() {
                // The subscriber has ended, and says why.
                return Ok(());
            }
            if !self.pause.is_zero() {
                thread::sleep(self.pause);
            }
        }
        Ok(())
    }
}

struct Subscriber<'a> {
    subscription: Subscription,
    acknowledged: Receiver<Acknowledged>,
    work: &'a Work,
    events: u64,
    /// Acknowledgements whose events haven't come, and events whose acknowledgement hasn't: one of both is empty.
    waiting: VecDeque<Acknowledged>,
    early: VecDeque<Instant>,
    acknowledgements: u64,
    part: Part,
}

impl<'a> Subscriber<'a> {
    fn new(
        subscription: Subscription,
        acknowledged: Receiver<Acknowledged>,
        work: &'a Work,
    ) -> anyhow::Result<Self> {
        let (waiting, early, part) = (VecDeque::new(), VecDeque::new(), Part::begin()?);
        Ok(Self { subscription, acknowledged, work, events: 0, waiting, early, acknowledgements: 0, part })
    }

    /// Takes events until all that was acknowledged has come, each once and in order.
    fn run(mut self, stop: &Stop) -> anyhow::Result<Part> {
        let mut last_came = Instant::now();
        loop {
            if let Some(Delivery::Event(event)) = self.subscription.next_timeout(LOOK)? {
                last_came = Instant::now();
                self.events += 1;
                let number = self.events;
                let is_right = (event.position.get(), event.version.get()) == (number, number)
                    && self.work.looks_like(&(&event).into());
                if !is_right {
                    bail!("event {number} was delivered as {event:?}");
                }
                self.early.push_back(last_came);
            }
            let has_caller = self.take_acknowledgements();
            self.pair();
            if !has_caller && self.events >= self.acknowledgements {
                break;
            }
            if !has_caller && last_came.elapsed() > PATIENCE {
                let (events, acknowledgements) = (self.events, self.acknowledgements);
                bail!("{acknowledgements} events were acknowledged, and {events} delivered");
            }
        }
        stop.check()?;
        // What comes behind the last would be one too many.
        match self.subscription.try_next()? {
            Some(Delivery::Event(event)) => bail!("an event was delivered that nobody appended: {event:?}"),
            _ => Ok(self.part),
        }
    }

    /// Takes what was acknowledged meanwhile, without waiting. Says whether there can be more.
    fn take_acknowledgements(&mut self) -> bool {
        loop {
            match self.acknowledged.try_recv() {
                Ok(acknowledged) => {
                    self.acknowledgements += 1;
                    self.waiting.push_back(acknowledged);
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Measures the deliveries whose acknowledgements are there.
    fn pair(&mut self) {
        while !self.waiting.is_empty()
            && let Some(delivered) = self.early.pop_front()
        {
            let Some(Acknowledged { at, count }) = self.waiting.pop_front() else { return };
            match count {
                Count::Yes => self.part.add(delivered, 1, delivered.saturating_duration_since(at)),
                // What is measured begins behind the warm-up.
                Count::No => (self.part.begun, self.part.ended) = (delivered, delivered),
            }
        }
    }
}
