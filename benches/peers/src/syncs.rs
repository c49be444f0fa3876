//! Counts with strace what each engine asks of the system for one durable append.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    io::{self, Write},
    path::Path,
};

use crate::{
    Outcome,
    engines::{Durability, Kind},
    figures::float,
    job::{Extent, Job},
    settings::Settings,
    workload::Work,
};

/// What is counted: what makes bytes durable, and what writes them.
const CALLS: &[&str] =
    &["fsync", "fdatasync", "sync_file_range", "msync", "write", "pwrite64", "writev", "pwritev"];

/// What one run does, and how many more appends the other does. The difference is what appends cost alone.
const FEW: u64 = 100;
const MORE: u64 = 1_000;

pub(crate) fn run(settings: &Settings) -> Outcome<()> {
    let mut output = io::stdout().lock();
    write!(output, "{:<16}", "calls an append")?;
    for call in CALLS {
        write!(output, "{call:>width$}", width = width(call))?;
    }
    writeln!(output)?;
    for engine in &settings.engines {
        let few = counts(settings, *engine, FEW)?;
        let many = counts(settings, *engine, FEW + MORE)?;
        write!(output, "{:<16}", engine.name())?;
        for call in CALLS {
            let count = |counts: &BTreeMap<String, u64>| counts.get(*call).copied().unwrap_or(0);
            let difference = float(count(&many)) - float(count(&few));
            write!(output, "{:>width$.2}", difference / float(MORE), width = width(call))?;
        }
        writeln!(output)?;
    }
    Ok(())
}

/// Of a column.
fn width(call: &str) -> usize {
    call.len().max(9) + 2
}

/// How often each call was made by a process that made a store and appended to it so often.
fn counts(settings: &Settings, engine: Kind, appends: u64) -> Outcome<BTreeMap<String, u64>> {
    let directory = tempfile::Builder::new().prefix("syncs-").tempdir_in(&settings.directory)?;
    let summary = directory.path().join("summary");
    let job = Job {
        engine,
        work: Work::Append { durability: Durability::Durable, callers: 1, batch: 1 },
        directory: directory.path().join("store"),
        size: settings.size,
        extent: Extent::Appends(appends),
    };
    job.start_under(&strace(&summary))?;
    Ok(parse(&fs::read_to_string(summary)?))
}

fn strace(summary: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["strace", "-c", "-f", "-e"].map(OsString::from).to_vec();
    words.push(format!("trace={}", CALLS.join(",")).into());
    words.extend(["-o".into(), summary.into()]);
    words
}

/// The calls of strace's summary, whose lines are: % time, seconds, usecs/call, calls, errors if any, name.
fn parse(summary: &str) -> BTreeMap<String, u64> {
    let parse_line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        Some((words.last().copied()?.to_owned(), words.get(3)?.parse().ok()?))
    };
    summary.lines().filter_map(parse_line).collect()
}
