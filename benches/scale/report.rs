//! The tables.

use std::{io::Write, time::Duration};

use crate::{Outcome, median::median_by, probe::Probed, rate::rate, store::Bench};

/// The medians of some rounds.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    open: Duration,
    read: Duration,
    both: Duration,
    events: u64,
    memory_bytes: Option<u64>,
    memory_bytes_goal: u64,
}

pub(crate) struct Row {
    pub(crate) name: String,
    /// One for each store.
    pub(crate) figures: Vec<Figures>,
}

impl Figures {
    pub(crate) fn median(probed: &[Probed], memory_bytes_goal: u64) -> Self {
        fn of<T: Ord + Copy>(probed: &[Probed], value: impl Fn(&Probed) -> T) -> T {
            let mut values: Vec<T> = probed.iter().map(value).collect();
            median_by(&mut values, T::cmp)
        }
        Self {
            open: of(probed, |probed| probed.open),
            read: of(probed, |probed| probed.read),
            both: of(probed, |probed| probed.open + probed.read),
            events: of(probed, |probed| probed.events),
            memory_bytes: of(probed, |probed| probed.memory_bytes),
            memory_bytes_goal,
        }
    }
}

/// What the stores take on the disk.
pub(crate) fn sizes(output: &mut impl Write, stores: &[Bench]) -> Outcome<()> {
    writeln!(
        output,
        "\n{:>12} {:>10} {:>9} {:>16} {:>18}",
        "events", "streams", "segments", "log bytes/event", "index bytes/event"
    )?;
    for store in stores {
        let log = ratio(store.log_bytes, store.events());
        let index = ratio(store.index_bytes()?, store.events());
        let (events, streams, segments) = (store.events(), store.streams(), store.segments);
        writeln!(output, "{events:>12} {streams:>10} {segments:>9} {log:>16.1} {index:>18.1}")?;
    }
    Ok(())
}

pub(crate) fn heading(output: &mut impl Write, stores: &[Bench]) -> Outcome<()> {
    writeln!(
        output,
        "\n{:<22} {:>12} {:>10} {:>10} {:>10} {:>8} {:>10} {:>10}",
        "open, read one stream", "events", "open ms", "read ms", "both ms", "read", "memory MB", "of goal"
    )?;
    if stores.len() > 1 {
        writeln!(output, "{:<22} (first the store, then the compared one, then the ratio)", "")?;
    }
    Ok(())
}

/// A row's line for each store, and the ratio of the first to the second.
pub(crate) fn row(output: &mut impl Write, row: &Row, stores: &[Bench]) -> Outcome<()> {
    for (figures, store) in row.figures.iter().zip(stores) {
        let memory =
            figures.memory_bytes.map_or("-".to_owned(), |bytes| format!("{:.2}", ratio(bytes, 1_000_000)));
        let goal = figures
            .memory_bytes
            .map_or("-".to_owned(), |bytes| format!("{:.2}", ratio(bytes, figures.memory_bytes_goal)));
        writeln!(
            output,
            "{:<22} {:>12} {:>10.2} {:>10.3} {:>10.2} {:>8} {memory:>10} {goal:>10}",
            row.name,
            store.events(),
            milliseconds(figures.open),
            milliseconds(figures.read),
            milliseconds(figures.both),
            figures.events,
        )?;
    }
    if let [one, other] = row.figures.as_slice() {
        let of = |value: fn(&Figures) -> Duration| milliseconds(value(one)) / milliseconds(value(other));
        let (open, read, both) =
            (of(|figures| figures.open), of(|figures| figures.read), of(|figures| figures.both));
        writeln!(output, "{:<22} {:>12} {open:>10.2} {read:>10.2} {both:>10.2}", "", "ratio")?;
    }
    Ok(())
}

pub(crate) fn skipped(output: &mut impl Write, name: &str) -> Outcome<()> {
    Ok(writeln!(output, "{name:<22} skipped: this system's dd can't make the page cache forget a file")?)
}

pub(crate) fn scattered_heading(output: &mut impl Write, store: &Bench) -> Outcome<()> {
    writeln!(
        output,
        "\na stream in each of {} segments of {} bytes, {} events in the store",
        store.segments,
        store.work.segment_bytes,
        store.events()
    )?;
    writeln!(
        output,
        "{:<22} {:>10} {:>10} {:>10} {:>12} {:>14}",
        "", "open ms", "read ms", "read", "events/s", "µs a segment"
    )?;
    Ok(())
}

pub(crate) fn scattered_row(
    output: &mut impl Write,
    name: &str,
    figures: &Figures,
    segments: u64,
) -> Outcome<()> {
    let (open, read) = (milliseconds(figures.open), milliseconds(figures.read));
    let rate = rate(figures.events, figures.read);
    let segment = read * 1_000.0 / ratio(segments, 1);
    let events = figures.events;
    Ok(writeln!(output, "{name:<22} {open:>10.2} {read:>10.3} {events:>10} {rate:>12.0} {segment:>14.1}")?)
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[allow(clippy::cast_precision_loss, reason = "a table needs no more than 52 bits")]
pub(crate) fn ratio(one: u64, other: u64) -> f64 {
    one as f64 / other as f64
}
