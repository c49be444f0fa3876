//! What changes as a store grows: one table, a column for each size.

use std::{io::Write, path::Path};

use crate::{
    End, Outcome,
    appends::AppendedOn,
    files,
    median::median,
    probe::{Dropping, Probed},
    reads::ReadStreams,
    report::{self, milliseconds, ratio},
    settings::Settings,
    store::Bench,
};

/// Which part of the smallest store's rate the largest one's must be.
const GOAL: f64 = 0.9;

/// What was measured of a store in one round.
struct Measured {
    probed: Probed,
    read: ReadStreams,
    appended: AppendedOn,
}

struct Row {
    name: &'static str,
    decimals: usize,
    value: fn(&Measured) -> Option<f64>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// May not fall as the store grows.
    Rate,
    Other,
}

const ROWS: &[Row] = &[
    Row {
        name: "append, many in flight, events/s",
        decimals: 0,
        value: |measured| Some(measured.appended.filling_rate),
        kind: Kind::Rate,
    },
    Row {
        name: "append, 1 caller, 1 event, events/s",
        decimals: 0,
        value: |measured| Some(measured.appended.lone_rate),
        kind: Kind::Rate,
    },
    Row {
        name: "read streams of a window, events/s",
        decimals: 0,
        value: |measured| Some(measured.read.window_rate),
        kind: Kind::Rate,
    },
    Row {
        name: "read streams over all, events/s",
        decimals: 0,
        value: |measured| Some(measured.read.scattered_rate),
        kind: Kind::Rate,
    },
    Row {
        name: "open, ms",
        decimals: 2,
        value: |measured| Some(milliseconds(measured.probed.open)),
        kind: Kind::Other,
    },
    Row {
        name: "open and read one stream, ms",
        decimals: 2,
        value: |measured| Some(milliseconds(measured.probed.open + measured.probed.read)),
        kind: Kind::Other,
    },
    Row {
        name: "memory behind that, MB",
        decimals: 2,
        value: |measured| measured.probed.memory_bytes.map(megabytes),
        kind: Kind::Other,
    },
    Row {
        name: "memory behind the appends, MB",
        decimals: 2,
        value: |measured| measured.appended.memory_bytes.map(megabytes),
        kind: Kind::Other,
    },
];

/// Makes the stores, measures them in turns, and prints the table.
pub(crate) fn run(output: &mut impl Write, directory: &Path, settings: &Settings) -> Outcome<()> {
    let mut stores = Vec::new();
    for work in settings.growth_works() {
        let path = directory.join(format!("growth-{}", work.events));
        stores.push(Bench::make(&path, work, End::Close)?);
    }
    report::sizes(output, &stores)?;
    for store in &stores {
        files::warm(store.path())?;
    }
    let mut rounds = Vec::new();
    for round in 0..settings.rounds {
        rounds.push(measure(&mut stores, round)?);
    }
    print(output, &stores, &rounds)
}

/// One round: each store in turn, for each thing that is measured, so that a noisy moment meets all of them.
fn measure(stores: &mut [Bench], round: u64) -> Outcome<Vec<Measured>> {
    let mut probed = Vec::new();
    for store in stores.iter_mut() {
        let stream = store.stream_by_chance(round);
        probed.push(store.probe(stream, Dropping::Nothing)?);
    }
    let read = stores.iter().map(|store| store.read_streams(round)).collect::<Outcome<Vec<_>>>()?;
    let appended = stores.iter().map(Bench::append_on).collect::<Outcome<Vec<_>>>()?;
    let measured = probed.into_iter().zip(read).zip(appended);
    Ok(measured.map(|((probed, read), appended)| Measured { probed, read, appended }).collect())
}

fn print(output: &mut impl Write, stores: &[Bench], rounds: &[Vec<Measured>]) -> Outcome<()> {
    write!(output, "\n{:<36}", "Durability::Buffered, warm")?;
    for store in stores {
        write!(output, " {:>12}", store.events())?;
    }
    writeln!(output, " {:>12} {:>8} {:>8}", "last/first", "goal", "reached")?;
    for row in ROWS {
        // None where one is missing.
        let median_of = |store: usize| {
            let mut values: Vec<f64> =
                rounds.iter().map(|round| (row.value)(&round[store])).collect::<Option<_>>()?;
            Some(median(&mut values))
        };
        let medians: Vec<Option<f64>> = (0..stores.len()).map(median_of).collect();
        write!(output, "{:<36}", row.name)?;
        for value in &medians {
            let shown = value.map_or("-".to_owned(), |value| format!("{value:.*}", row.decimals));
            write!(output, " {shown:>12}")?;
        }
        let held = medians.first().copied().flatten().zip(medians.last().copied().flatten());
        let held = held.map(|(first, last)| last / first);
        write!(output, " {:>12}", held.map_or("-".to_owned(), |held| format!("{held:.2}")))?;
        if row.kind == Kind::Rate {
            let reached = if held.is_some_and(|held| held >= GOAL) { "yes" } else { "no" };
            write!(output, " {GOAL:>8.2} {reached:>8}")?;
        }
        writeln!(output)?;
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    ratio(bytes, 1_000_000)
}
