//! Callers that have many appends on their way at once.

use std::time::Instant;

use annals::{Durability, EventData, EventStore, Version};
use anyhow::bail;

use crate::{
    bench::{
        append::Caller,
        measure::{self, Measured, Part, Stretch},
        report::Row,
        session::Session,
        window::Window,
        work::Work,
    },
    bench_arguments::Workload,
    interrupt::Stop,
};

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    session.each_row_of_appends(Workload::Load, measure_row)
}

fn measure_row(
    session: &mut Session<'_>,
    durability: Durability,
    callers: usize,
    batch: usize,
) -> anyhow::Result<()> {
    let row = Row::new(Workload::Load, "submit").durability(durability).callers(callers).batch(batch);
    session.begin(&row);
    let store = session.new_store(durability)?;
    let streams = session.arguments.streams_appended(callers);
    let mut callers_on_it = Caller::several(callers, streams)?;
    let stretches = session.stretches(callers);
    let (work, stop, batch) = (&session.work, &session.stop, u64::try_from(batch)?);
    let mut run = |stretch: Stretch| {
        measure::together(&mut callers_on_it, stop, |caller| {
            Loading { store: &store, work, stop, batch, window: Window::new() }.run(caller, stretch)
        })
    };
    run(stretches.warm_up)?;
    let mut measured = Measured::nothing()?;
    measured.add(&run(stretches.measured)?)?;
    Caller::check_store(&callers_on_it, &store, work, stop)?;
    session.remove_store(store)?;
    session.report(&row.streams(streams).measured(measured))
}

/// An append that isn't answered yet.
struct Submitted {
    at: Instant,
    /// The version that it must reach.
    version: u64,
}

struct Loading<'a> {
    store: &'a EventStore,
    work: &'a Work,
    stop: &'a Stop,
    batch: u64,
    window: Window<Submitted>,
}

impl Loading<'_> {
    /// Hands over appends until the time is over, and waits for all of them.
    fn run(mut self, caller: &mut Caller, stretch: Stretch) -> anyhow::Result<Part> {
        let mut part = Part::begin()?;
        let (mut now, mut events) = (part.begun, 0);
        while events == 0 || now - part.begun < stretch.duration && events < stretch.events_max {
            self.stop.check()?;
            let target = caller.next();
            let (before, after) = (target.version, target.version + self.batch);
            let new = (before + 1..=after).map(|version| self.work.event(target.number, version));
            let new: Vec<EventData> = new.collect();
            let at = Instant::now();
            let pending = self.store.submit(&target.name, Version::new(before), new)?;
            target.version = after;
            events += self.batch;
            self.window.add(pending, Submitted { at, version: after });
            now = Instant::now();
            // What is answered is taken at once, so that its latency is its own.
            while self.window.is_full() || self.window.is_oldest_answered() {
                now = self.take(&mut part)?.unwrap_or(now);
            }
        }
        while self.take(&mut part)?.is_some() {}
        Ok(part)
    }

    /// Waits for the oldest append, if there is one that isn't taken yet, and says what time it is then.
    fn take(&mut self, part: &mut Part) -> anyhow::Result<Option<Instant>> {
        let Some((appended, Submitted { at, version })) = self.window.take()? else { return Ok(None) };
        let now = Instant::now();
        if appended.version.get() != version || appended.repeated {
            bail!("an append to version {version} came to {appended:?}");
        }
        part.add(now, self.batch, now - at);
        Ok(Some(now))
    }
}
