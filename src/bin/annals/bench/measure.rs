//! What is measured: operations, their latencies, the time they took together.

use std::{
    sync::RwLock,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use hdrhistogram::Histogram;

use crate::interrupt::Stop;

/// The longest latency that is told apart, in nanoseconds: an hour.
const LATENCY_NANOS_MAX: u64 = 3_600_000_000_000;

/// How exactly latencies are kept, in decimal digits.
const DIGITS: u8 = 3;

/// How many operations took how long.
#[derive(Clone)]
pub(crate) struct Latencies {
    nanos: Histogram<u64>,
}

impl Latencies {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let nanos = Histogram::new_with_bounds(1, LATENCY_NANOS_MAX, DIGITS);
        Ok(Self { nanos: nanos.context("a histogram has bounds that it can have")? })
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        // A latency of more than an hour counts as an hour, and none at all as a nanosecond.
        self.nanos.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        self.nanos.add(&other.nanos).context("two histograms have the same bounds")
    }

    pub(crate) fn count(&self) -> u64 {
        self.nanos.len()
    }

    /// What this share of the operations didn't exceed.
    pub(crate) fn at(&self, share: f64) -> Duration {
        Duration::from_nanos(self.nanos.value_at_quantile(share))
    }

    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.nanos.max())
    }
}

/// What a thread has done.
pub(crate) struct Part {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) events: u64,
    pub(crate) latencies: Latencies,
}

impl Part {
    /// One that begins at this moment.
    pub(crate) fn begin() -> anyhow::Result<Self> {
        let latencies = Latencies::new()?;
        let begun = Instant::now();
        Ok(Self { begun, ended: begun, events: 0, latencies })
    }

    /// An operation has ended at this moment.
    pub(crate) fn add(&mut self, ended: Instant, events: u64, latency: Duration) {
        self.ended = ended;
        self.events += events;
        self.latencies.record(latency);
    }

    /// Whether the stretch isn't over. One operation is made in each, however short that is.
    pub(crate) fn goes_on(&self, stretch: Stretch) -> bool {
        let is_within = self.ended - self.begun < stretch.duration && self.events < stretch.events_max;
        self.latencies.count() == 0 || is_within
    }
}

/// What several threads have done, in one stretch of time or in several.
pub(crate) struct Measured {
    pub(crate) events: u64,
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Latencies,
}

impl Measured {
    pub(crate) fn nothing() -> anyhow::Result<Self> {
        Ok(Self { events: 0, elapsed: Duration::ZERO, latencies: Latencies::new()? })
    }

    /// Adds what was done in another stretch of time, by threads of the same time.
    pub(crate) fn add(&mut self, parts: &[Part]) -> anyhow::Result<()> {
        for part in parts {
            self.events += part.events;
            self.latencies.add(&part.latencies)?;
        }
        let begun = parts.iter().map(|part| part.begun).min();
        let ended = parts.iter().map(|part| part.ended).max();
        if let (Some(begun), Some(ended)) = (begun, ended) {
            self.elapsed += ended - begun;
        }
        Ok(())
    }

    pub(crate) fn events_per_second(&self) -> f64 {
        as_float(self.events) / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
pub(crate) fn as_float(number: u64) -> f64 {
    number as f64
}

/// How long a stretch lasts, and how many events each thread may append in it.
#[derive(Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) duration: Duration,
    pub(crate) events_max: u64,
}

/// Lets each worker work on a thread of its own; all begin at once.
pub(crate) fn together<W: Send>(
    workers: &mut [W],
    stop: &Stop,
    work: impl Fn(&mut W) -> anyhow::Result<Part> + Sync,
) -> anyhow::Result<Vec<Part>> {
    if let [only] = workers {
        return Ok(vec![work(only)?]);
    }
    let gate = RwLock::new(());
    let closed = gate.write();
    thread::scope(|scope| {
        let mut threads = Vec::with_capacity(workers.len());
        for worker in workers {
            let (gate, work) = (&gate, &work);
            let wait_and_work = move || {
                drop(gate.read());
                work(worker)
            };
            match thread::Builder::new().spawn_scoped(scope, wait_and_work) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    stop.ask();
                    return Err(error).context("can't start so many threads: give fewer --callers");
                }
            }
        }
        drop(closed);
        let joined =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a thread failed"))?);
        // All are waited for, and the first error is told.
        joined.collect::<Vec<anyhow::Result<Part>>>().into_iter().collect()
    })
}
