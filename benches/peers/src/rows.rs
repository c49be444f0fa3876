//! The table's rows: what is measured, in which figure, and what Annals is to reach.

use crate::{engines::Durability, figures::Figure, workload::Work};

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    pub(crate) figure: Figure,
    pub(crate) goal: Goal,
}

/// What Annals is to reach, and what the ratio is to.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// At least so many times the raw disk.
    TimesRaw(f64),
    /// At most so many times the raw disk.
    AtMostTimesRaw(f64),
    /// At least so many times the best of the other stores.
    TimesBest(f64),
    /// At least so many times the best of the other stores at another work.
    TimesBestAt(f64, Work),
    /// At least so many times what Annals itself does at another work.
    TimesOwn(f64, Work),
    /// At least so much; the ratio is to the best of the other stores.
    AtLeast(f64),
    /// At most so much; the ratio is to the best of the other stores.
    AtMost(f64),
    /// So many bytes, and so many for each stream of the store.
    BytesAndAStream(f64, f64),
    /// Nothing was said.
    None,
}

impl Figure {
    pub(crate) fn is_better_if_less(self) -> bool {
        self != Self::EventsPerSecond
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::EventsPerSecond => "events/s",
            Self::P50 | Self::P99 => "µs",
            Self::Open => "ms",
            Self::Memory => "MB",
            Self::Disk => "bytes",
        }
    }

    /// By how much a figure is divided to be in its unit.
    pub(crate) fn divisor(self) -> f64 {
        if self == Self::Memory { 1e6 } else { 1.0 }
    }
}

const fn append(durability: Durability, callers: u64, batch: u64) -> Work {
    Work::Append { durability, callers, batch }
}

const DURABLE: Work = append(Durability::Durable, 1, 1);
const BUFFERED: Work = append(Durability::Buffered, 1, 1);
const READ_STREAMS: Work = Work::ReadStreams { threads: 1 };

const fn row(name: &'static str, work: Work, figure: Figure, goal: Goal) -> Row {
    Row { name, work, figure, goal }
}

pub(crate) const ROWS: &[Row] = &[
    row("durable, 1 caller", DURABLE, Figure::EventsPerSecond, Goal::TimesRaw(0.95)),
    row("durable, 1 caller, p50", DURABLE, Figure::P50, Goal::None),
    row("durable, 1 caller, p99", DURABLE, Figure::P99, Goal::AtMostTimesRaw(1.25)),
    row(
        "durable, 16 callers",
        append(Durability::Durable, 16, 1),
        Figure::EventsPerSecond,
        Goal::TimesBest(2.0),
    ),
    row(
        "durable, 64 callers",
        append(Durability::Durable, 64, 1),
        Figure::EventsPerSecond,
        Goal::TimesBest(2.0),
    ),
    row("buffered, 1 caller", BUFFERED, Figure::EventsPerSecond, Goal::AtLeast(300_000.0)),
    row("buffered, many in flight", Work::Submit, Figure::EventsPerSecond, Goal::TimesBestAt(7.0, BUFFERED)),
    row(
        "buffered, 10 events an append",
        append(Durability::Buffered, 1, 10),
        Figure::EventsPerSecond,
        Goal::TimesBest(4.0),
    ),
    row("read streams, 1 thread", READ_STREAMS, Figure::EventsPerSecond, Goal::TimesBest(5.0)),
    row(
        "read streams, 2 threads",
        Work::ReadStreams { threads: 2 },
        Figure::EventsPerSecond,
        Goal::TimesOwn(1.8, READ_STREAMS),
    ),
    row("read everything", Work::ReadAll, Figure::EventsPerSecond, Goal::TimesBest(1.6)),
    row("open, read one stream", Work::Open, Figure::Open, Goal::AtMost(5.0)),
    row("the same after kill -9", Work::OpenKilled, Figure::Open, Goal::AtMost(50.0)),
    row("memory of that open", Work::Open, Figure::Memory, Goal::BytesAndAStream(8e6, 64.0)),
    row("the same after kill -9, memory", Work::OpenKilled, Figure::Memory, Goal::BytesAndAStream(8e6, 64.0)),
    row("disk an event, 10 an append", Work::Make { batch: 10 }, Figure::Disk, Goal::AtMost(400.0)),
    row("disk an event, 1 an append", Work::Make { batch: 1 }, Figure::Disk, Goal::None),
];
