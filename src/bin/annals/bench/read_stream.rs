//! Streams, read by chance on several threads.

use crate::{
    bench::{reads, report::Row, session::Session, work::Random},
    bench_arguments::Workload,
};

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    for threads in session.arguments.callers(Workload::ReadStream) {
        let row = Row::new(Workload::ReadStream, "read a stream");
        let choices: Vec<Random> = (1..).take(threads).map(Random::new).collect();
        reads::measure_row(session, row, choices, |reading, choice| {
            reading.stop.check()?;
            let stream = choice.below(reading.filled.streams);
            reading.filled.read_stream(reading.store, stream, reading.work)
        })?;
    }
    Ok(())
}
