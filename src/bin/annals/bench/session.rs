//! What all workloads share: the options, the directory, the stores in it, and where the figures go.

use std::{fs, path::PathBuf, time::Duration};

use annals::{Durability, EventStore, Options};

use crate::{
    bench::{
        filled::{Filled, SEGMENT_BYTES},
        measure::Stretch,
        report::{Reporter, Row},
        scratch::Scratch,
        work::{self, Work},
    },
    bench_arguments::{BenchArguments, Workload},
    interrupt::Stop,
    progress::Words,
};

/// How long a row is warmed up, at most, and as a part of its own time.
const WARM_UP_MAX: Duration = Duration::from_secs(1);
const WARM_UP_PART: u32 = 5;

pub(crate) struct Session<'a> {
    pub(crate) arguments: &'a BenchArguments,
    pub(crate) work: Work,
    pub(crate) stop: Stop,
    pub(crate) scratch: Scratch,
    reporter: Reporter,
    words: Words,
    filled: Option<Filled>,
}

/// How long a row takes.
#[derive(Clone, Copy)]
pub(crate) struct Stretches {
    pub(crate) warm_up: Stretch,
    pub(crate) measured: Stretch,
}

impl Stretch {
    /// One in which nothing is appended.
    pub(crate) fn unbounded(self) -> Self {
        Self { events_max: u64::MAX, ..self }
    }

    /// One of so many equal parts.
    pub(crate) fn divided(self, parts: u32) -> Self {
        Self { duration: self.duration / parts, events_max: (self.events_max / u64::from(parts)).max(1) }
    }
}

impl<'a> Session<'a> {
    pub(crate) fn begin_on(arguments: &'a BenchArguments, stop: Stop) -> anyhow::Result<Self> {
        let (work, scratch) = (Work::new(arguments.payload)?, Scratch::make(&arguments.directory)?);
        let reporter = Reporter::begin(arguments, &work, scratch.path())?;
        Ok(Self { arguments, work, stop, scratch, reporter, words: Words::new(), filled: None })
    }

    /// Measures a row for each durability, number of callers and size of a batch that a workload of appends has.
    pub(crate) fn each_row_of_appends(
        &mut self,
        workload: Workload,
        measure_row: impl Fn(&mut Self, Durability, usize, usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for durability in self.arguments.durabilities() {
            for callers in self.arguments.callers(workload) {
                for batch in self.arguments.batches(workload) {
                    measure_row(self, durability.into(), callers, batch)?;
                }
            }
        }
        Ok(())
    }

    /// Tells somebody at a terminal what is measured now.
    pub(crate) fn begin(&mut self, row: &Row) {
        self.words.set(&format!("{}: {}", row.workload.name(), row.name()));
    }

    /// Prints a row.
    pub(crate) fn report(&mut self, row: &Row) -> anyhow::Result<()> {
        self.words.clear();
        Ok(self.reporter.row(row)?)
    }

    /// The warm-up and what is measured, for each of so many callers.
    pub(crate) fn stretches(&self, callers: usize) -> Stretches {
        self.stretches_beside(callers, 0)
    }

    /// The same where so many bytes of the space are taken by something else.
    pub(crate) fn stretches_beside(&self, callers: usize, taken_bytes: u64) -> Stretches {
        let duration = self.arguments.duration;
        let events =
            self.arguments.space.saturating_sub(taken_bytes) / work::log_bytes(self.arguments.payload);
        let events_max = events / u64::try_from(callers).unwrap_or(u64::MAX);
        let warm_up_events = events_max / u64::from(WARM_UP_PART + 1);
        let warm_up = (duration / WARM_UP_PART).min(WARM_UP_MAX);
        Stretches {
            warm_up: Stretch { duration: warm_up, events_max: warm_up_events.max(1) },
            measured: Stretch { duration, events_max: (events_max - warm_up_events).max(1) },
        }
    }

    /// A new store.
    pub(crate) fn new_store(&self, durability: Durability) -> annals::Result<EventStore> {
        let options = Options::new().durability(durability).segment_bytes(SEGMENT_BYTES);
        EventStore::open_with(self.store_path(), options)
    }

    /// Closes and removes it.
    pub(crate) fn remove_store(&self, store: EventStore) -> anyhow::Result<()> {
        store.close()?;
        Ok(fs::remove_dir_all(self.store_path())?)
    }

    fn store_path(&self) -> PathBuf {
        self.scratch.path().join("store")
    }

    /// The store that is read, made at the first call.
    pub(crate) fn filled(&mut self) -> anyhow::Result<Filled> {
        if let Some(filled) = &self.filled {
            return Ok(filled.clone());
        }
        let size = (self.arguments.streams_read(), self.arguments.events);
        let filled = Filled::make(self.scratch.path().join("filled"), size, &self.work, &self.stop)?;
        Ok(self.filled.insert(filled).clone())
    }

    /// The store that is read has more events than it was made with.
    pub(crate) fn grown(&mut self, filled: &Filled) {
        self.filled = Some(filled.clone());
    }

    /// Removes everything.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        self.scratch.remove()
    }
}
