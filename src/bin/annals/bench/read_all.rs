//! Everything, in order, on several threads.

use std::time::Instant;

use annals::{Creation, Reader};
use anyhow::bail;

use crate::{
    bench::{
        filled::Filled,
        measure::{self, Measured, Part, Stretch},
        report::Row,
        session::Session,
        stop::Stop,
        work::{EVENTS_BETWEEN_LOOKS, Work},
    },
    bench_arguments::Workload,
};

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    for threads in session.arguments.callers(Workload::ReadAll) {
        let row = Row::new(Workload::ReadAll, "read all").callers(threads);
        session.begin(&row);
        let filled = session.filled()?;
        let store = filled.open(Creation::Never)?;
        let stretches = session.stretches(threads);
        let (work, stop) = (&session.work, &session.stop);
        let run = |stretch: Stretch| {
            measure::together(&mut vec![(); threads], stop, |()| {
                let mut part = Part::begin()?;
                let mut begun = part.begun;
                while part.goes_on(stretch.unbounded()) {
                    read(&filled, &store, work, stop)?;
                    let ended = Instant::now();
                    part.add(ended, filled.events, ended - begun);
                    begun = ended;
                }
                Ok(part)
            })
        };
        run(stretches.warm_up)?;
        let mut measured = Measured::nothing()?;
        measured.add(&run(stretches.measured)?)?;
        store.close()?;
        session.report(&row.streams(filled.streams).measured(measured))?;
    }
    Ok(())
}

/// Reads everything once, in the order of positions, without a gap.
fn read(filled: &Filled, store: &Reader, work: &Work, stop: &Stop) -> anyhow::Result<()> {
    let (mut cursor, mut position) = (store.read_all(), 0);
    while let Some(event) = cursor.try_next()? {
        position += 1;
        // The streams had their turns.
        let version = (position - 1) / filled.streams + 1;
        if (event.position.get(), event.version.get()) != (position, version) || !work.looks_like(&event) {
            bail!("position {position} was read as {event:?}");
        }
        if position % EVENTS_BETWEEN_LOOKS == 0 {
            stop.check()?;
        }
    }
    if position != filled.events {
        bail!("the store has {} events, and {position} were read", filled.events);
    }
    Ok(())
}
