//! What can be asked of `annals bench`, and the help that says so.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, value_parser};

use crate::{
    arguments::{DurabilityArgument, Format},
    bench::work::{self, METADATA_BYTES, PAYLOAD_BYTES_MIN},
    clock_text, numbers, sizes,
};

/// How many threads append or read at once, at most.
const CALLERS_MAX: i64 = 1_024;

/// How many streams there are, at most: their names have numbers of eight digits.
const STREAMS_MAX: u64 = 10_000_000;

/// How long a row is measured, at most.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// How many events a stream has that is read, unless `--streams` says otherwise.
const EVENTS_A_STREAM: u64 = 100;

const BENCH_EXAMPLES: &str = "Examples:
  annals bench
  annals bench append --durability fsync --callers 1,8,64 --duration 10s
  annals bench load --batch 100 --payload 1KiB --format json
  annals bench read-stream open --events 5000000 --streams 100000 --directory /mnt/disk

The stores that are measured are made in a directory of their own below --directory, and removed at the end, also
after Ctrl-C. No other store is touched. Without options it takes some three minutes and up to 4 GiB of the disk at a time.

Each row is warmed up for a fifth of its time first, a second at most, which doesn't count. Latencies are of whole
operations, as who called sees them. Every answer is checked: what was appended is read again and compared with what was
acknowledged, byte by byte; reads must give each event once and in order.

A durable append can't be faster than the disk: beside it stands the disk's own figure, a pwrite of as many bytes into a
file that was filled before, and an fdatasync, measured in turns with the appends.";

#[derive(Args, Debug)]
#[command(after_long_help = BENCH_EXAMPLES)]
pub(crate) struct BenchArguments {
    /// What is measured; without any, all of it, one after the other.
    #[arg(value_enum, value_name = "WORKLOAD")]
    workloads: Vec<Workload>,
    /// How many threads append or read at once; several numbers, with commas between them, are a row each.
    ///
    /// Without it 1, 16 and 64 for append, 1 for load, and 1 and the number of cores for what reads.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = value_parser!(u16).range(1..=CALLERS_MAX))]
    callers: Vec<u16>,
    /// How many events an append has, for append and load; several numbers are a row each.
    ///
    /// Without it 1 for append, and 1 and 100 for load.
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = value_parser!(u16).range(1..))]
    batch: Vec<u16>,
    /// How many bytes of data an event has: 200, 4k, 1.5MB.
    #[arg(long, value_name = "BYTES", default_value = "200", value_parser = sizes::parse)]
    pub(crate) payload: u64,
    /// How many streams there are: those that are appended to, and those of the store that is read.
    ///
    /// Without it, one for each caller, and one for each 100 events of the store that is read.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=STREAMS_MAX))]
    streams: Option<u64>,
    /// How many events the store has that is read.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = numbers::parse_count)]
    pub(crate) events: u64,
    /// What an event has reached when it counts as stored; without it both are measured, durable first.
    #[arg(long, value_enum)]
    durability: Option<DurabilityArgument>,
    /// How long each row is measured: 500ms, 90s, 10m, 1h30m.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = parse_duration)]
    pub(crate) duration: Duration,
    /// How much of the disk a row may take, about: 64MiB, 1.5GB. It ends earlier there.
    #[arg(long, value_name = "BYTES", default_value = "4GiB", value_parser = sizes::parse)]
    pub(crate) space: u64,
    /// Where the stores are made, in a directory of their own: it says which disk is measured.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) directory: PathBuf,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// How this program starts itself as a writer that ends without closing its store.
    #[arg(long, value_name = "DIR", hide = true)]
    pub(crate) abandon: Option<PathBuf>,
}

/// What can be measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Workload {
    /// Callers that wait for each append.
    Append,
    /// Callers that have many appends on their way.
    Load,
    /// Streams, read by chance.
    ReadStream,
    /// Everything, in order.
    ReadAll,
    /// From the acknowledgement of an append to its delivery in the same process.
    Subscribe,
    /// Opening the store and reading one stream.
    Open,
}

impl Workload {
    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Append => "append",
            Self::Load => "load",
            Self::ReadStream => "read-stream",
            Self::ReadAll => "read-all",
            Self::Subscribe => "subscribe",
            Self::Open => "open",
        }
    }

    /// Whether callers append, each to streams of its own.
    fn has_appending_callers(self) -> bool {
        matches!(self, Self::Append | Self::Load)
    }

    /// Whether it reads a store that is filled before.
    fn reads(self) -> bool {
        matches!(self, Self::ReadStream | Self::ReadAll | Self::Open)
    }
}

impl BenchArguments {
    /// What is measured, each once.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let asked = if self.workloads.is_empty() { Workload::value_variants() } else { &self.workloads };
        let mut workloads = Vec::new();
        for workload in asked {
            if !workloads.contains(workload) {
                workloads.push(*workload);
            }
        }
        workloads
    }

    /// What is measured where durability matters.
    pub(crate) fn durabilities(&self) -> Vec<DurabilityArgument> {
        self.durability.map_or_else(|| DurabilityArgument::value_variants().to_vec(), |one| vec![one])
    }

    /// How many callers each row of a workload has.
    pub(crate) fn callers(&self, workload: Workload) -> Vec<usize> {
        if !self.callers.is_empty() {
            return self.callers.iter().copied().map(usize::from).collect();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        match workload {
            Workload::Append => vec![1, 16, 64],
            Workload::ReadStream | Workload::ReadAll if cores > 1 => vec![1, cores],
            _ => vec![1],
        }
    }

    /// How many events an append has in each row of a workload.
    pub(crate) fn batches(&self, workload: Workload) -> Vec<usize> {
        if !self.batch.is_empty() {
            return self.batch.iter().copied().map(usize::from).collect();
        }
        let fits = usize::try_from(self.batch_max()).unwrap_or(usize::MAX);
        if workload == Workload::Load && fits > 1 { vec![1, fits.min(100)] } else { vec![1] }
    }

    /// How many streams so many callers append to.
    pub(crate) fn streams_appended(&self, callers: usize) -> u64 {
        self.streams.unwrap_or(u64::try_from(callers).unwrap_or(u64::MAX))
    }

    /// How many streams the store has that is read.
    pub(crate) fn streams_read(&self) -> u64 {
        self.streams.unwrap_or(self.events.div_ceil(EVENTS_A_STREAM).min(STREAMS_MAX))
    }

    /// How many events fit into one append.
    fn batch_max(&self) -> u64 {
        annals::COMMIT_BYTES_MAX as u64 / work::log_bytes(self.payload)
    }

    /// What makes no sense, if anything doesn't.
    pub(crate) fn problem(&self) -> Option<String> {
        if self.abandon.is_some() {
            return None;
        }
        let payload_max = (annals::EVENT_BYTES_MAX - METADATA_BYTES) as u64;
        let workloads = self.workloads();
        if !(PAYLOAD_BYTES_MIN as u64..=payload_max).contains(&self.payload) {
            return Some(format!("--payload is from {PAYLOAD_BYTES_MIN} to {payload_max} bytes"));
        }
        let batch = self.batch.iter().max().copied().map_or(1, u64::from);
        if batch > self.batch_max() {
            let max = self.batch_max();
            return Some(format!(
                "an append has {max} events of {} bytes at most: give a smaller --batch",
                self.payload
            ));
        }
        for workload in workloads.iter().filter(|workload| workload.has_appending_callers()) {
            let callers = self.callers(*workload).into_iter().max().unwrap_or(1);
            let streams = self.streams_appended(callers);
            if u64::try_from(callers).is_ok_and(|callers| callers > streams) {
                let name = workload.name();
                return Some(format!(
                    "{callers} callers of {name} need {callers} --streams at least, since each expects a version: not {streams}"
                ));
            }
        }
        if workloads.iter().any(|workload| workload.reads()) {
            let (streams, events) = (self.streams_read(), self.events);
            if streams > events {
                return Some(format!("{events} --events can't be in {streams} --streams"));
            }
            if events.checked_mul(work::log_bytes(self.payload)).is_none_or(|bytes| bytes > self.space) {
                let (space, payload) = (sizes::print(self.space), self.payload);
                return Some(format!(
                    "{events} --events of {payload} bytes take more than {space}: give a larger --space, or fewer"
                ));
            }
        }
        None
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = clock_text::parse_duration(text)?;
    if duration.is_zero() || duration > DURATION_MAX {
        return Err("it is longer than nothing, and a day at most".to_owned());
    }
    Ok(duration)
}
