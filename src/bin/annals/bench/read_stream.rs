//! Streams, read by chance on several threads.

use std::time::Instant;

use annals::Creation;

use crate::{
    bench::{
        measure::{self, Measured, Part, Stretch},
        report::Row,
        session::Session,
        work::Random,
    },
    bench_arguments::Workload,
};

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    for threads in session.arguments.callers(Workload::ReadStream) {
        let row = Row::new(Workload::ReadStream, "read a stream").callers(threads);
        session.begin(&row);
        let filled = session.filled()?;
        let store = filled.open(Creation::Never)?;
        let stretches = session.stretches(threads);
        let (work, stop) = (&session.work, &session.stop);
        let mut choices: Vec<Random> = (1..).take(threads).map(Random::new).collect();
        let mut run = |stretch: Stretch| {
            measure::together(&mut choices, stop, |choice| {
                let mut part = Part::begin()?;
                let mut begun = part.begun;
                while part.goes_on(stretch.unbounded()) {
                    stop.check()?;
                    let events = filled.read_stream(&store, choice.below(filled.streams), work)?;
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
        session.report(&row.streams(filled.streams).measured(measured))?;
    }
    Ok(())
}
