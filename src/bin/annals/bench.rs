//! `annals bench`: what the store does on the user's own disk.
//!
//! Each workload prints its rows, and each row is a store, or a way of reading one, that was measured for some seconds. What
//! a row says was done was done: the store is read again and compared with what was acknowledged.
//!
//! ```text
//! append  load  read_stream  read_all  subscribe  open    the workloads
//! raw       the disk by itself              filled   the store that is read
//! session   what workloads share            work     which events there are
//! measure   latencies and rates             report   the figures as text and as JSON
//! machine   what it runs on                 scratch  the directory, which is removed
//! stop      Ctrl-C                                window   appends on their way
//! reads     what both reading workloads share     mix      numbers that look like chance
//! ```

mod append;
mod filled;
mod load;
mod machine;
mod measure;
mod mix;
mod open;
mod raw;
mod read_all;
mod read_stream;
mod reads;
mod report;
mod scratch;
mod session;
mod stop;
mod subscribe;
mod window;
pub(crate) mod work;

use crate::{
    bench::{session::Session, stop::Interrupted},
    bench_arguments::{BenchArguments, Workload},
    interrupt::Stop,
};

pub(crate) fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    if let Some(path) = &arguments.abandon {
        return open::abandon(path, arguments);
    }
    let stop = Stop::at_interrupt()?;
    let mut session = Session::begin_on(arguments, stop)?;
    for workload in arguments.workloads() {
        measure(workload, &mut session).map_err(|error| {
            if error.is::<Interrupted>() {
                return error;
            }
            error.context(format!("can't measure {}", workload.name()))
        })?;
    }
    session.end()
}

fn measure(workload: Workload, session: &mut Session<'_>) -> anyhow::Result<()> {
    match workload {
        Workload::Append => append::measure(session),
        Workload::Load => load::measure(session),
        Workload::ReadStream => read_stream::measure(session),
        Workload::ReadAll => read_all::measure(session),
        Workload::Subscribe => subscribe::measure(session),
        Workload::Open => open::measure(session),
    }
}
