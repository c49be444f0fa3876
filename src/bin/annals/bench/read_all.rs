//! Everything, in order, on several threads.

use anyhow::bail;

use crate::{
    bench::{
        reads::{self, Reading},
        report::Row,
        session::Session,
        work::EVENTS_BETWEEN_LOOKS,
    },
    bench_arguments::Workload,
};

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    for threads in session.arguments.callers(Workload::ReadAll) {
        let row = Row::new(Workload::ReadAll, "read all");
        reads::measure_row(session, row, vec![(); threads], |reading, ()| read(reading))?;
    }
    Ok(())
}

/// Reads everything once, in the order of positions, without a gap.
fn read(reading: &Reading<'_>) -> anyhow::Result<u64> {
    let Reading { filled, store, work, stop } = reading;
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
    Ok(position)
}
