//! Reads of the filled store: the same operation again and again, on several threads.

use std::time::Instant;

use annals::{Creation, EventStore};

use crate::{
    bench::{
        filled::Filled,
        measure::{self, Measured, Part, Stretch},
        report::Row,
        session::Session,
        work::Work,
    },
    interrupt::Stop,
};

/// What is read, and with what.
pub(crate) struct Reading<'a> {
    pub(crate) filled: &'a Filled,
    pub(crate) store: &'a EventStore,
    pub(crate) work: &'a Work,
    pub(crate) stop: &'a Stop,
}

/// Measures a row in which each reader, on a thread of its own, reads until its time is over. `read` says how many events
/// it has read.
pub(crate) fn measure_row<R: Send>(
    session: &mut Session<'_>,
    row: Row,
    mut readers: Vec<R>,
    read: impl Fn(&Reading<'_>, &mut R) -> anyhow::Result<u64> + Sync,
) -> anyhow::Result<()> {
    let row = row.callers(readers.len());
    session.begin(&row);
    let filled = session.filled()?;
    let store = filled.open(Creation::Never)?;
    let stretches = session.stretches(readers.len());
    let reading = Reading { filled: &filled, store: &store, work: &session.work, stop: &session.stop };
    let mut run = |stretch: Stretch| {
        measure::together(&mut readers, reading.stop, |reader| {
            let mut part = Part::begin()?;
            let mut begun = part.begun;
            while part.goes_on(stretch.unbounded()) {
                let events = read(&reading, reader)?;
                let ended = Instant::now();
                part.add(ended, events, ended - begun);
                begun = ended;
            }
            Ok(part)
        })
    };
    run(stretches.warm_up)?;
    let mut measured = Measured::nothing()?;
    measured.add(&run(stretches.measured)?)?;
    store.close()?;
    session.report(&row.streams(filled.streams).measured(measured))
}
