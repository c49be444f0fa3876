//! The figures as text and as JSON.

use std::{path::Path, time::Duration};

use annals::{Clock, Durability, SystemClock};
use serde::Serialize;

use crate::{
    arguments::Format,
    bench::{
        machine::{Machine, Mount},
        measure::{Latencies, Measured, as_float},
        work::{METADATA_BYTES, Work},
    },
    bench_arguments::{BenchArguments, Workload},
    clock_text, failure,
    output::{self, Output, OutputError, count},
    sizes,
};

const IS_RELEASE: bool = !cfg!(debug_assertions);

const DURABLE: &str = "Ok means that the disk has the events: they survive a power cut";
const BUFFERED: &str = "Ok means that the operating system has the events: they survive the program, a power cut loses the last moments";

/// The percentiles of the table, as shares, and how many operations each needs at least: with fewer it is the longest one.
const PERCENTILES: [(f64, u64); 3] = [(0.5, 1), (0.99, 100), (0.999, 1_000)];

/// One line of the figures.
pub(crate) struct Row {
    pub(crate) workload: Workload,
    /// What a latency is of.
    operation: &'static str,
    durability: Option<Durability>,
    callers: Option<usize>,
    batch: Option<usize>,
    streams: Option<u64>,
    variant: Option<&'static str>,
    measured: Option<Measured>,
    raw: Option<RawDisk>,
}

/// What the disk does by itself.
struct RawDisk {
    frame_bytes: u64,
    measured: Measured,
}

impl Row {
    pub(crate) fn new(workload: Workload, operation: &'static str) -> Self {
        Self {
            workload,
            operation,
            durability: None,
            callers: None,
            batch: None,
            streams: None,
            variant: None,
            measured: None,
            raw: None,
        }
    }

    pub(crate) fn durability(self, durability: Durability) -> Self {
        Self { durability: Some(durability), ..self }
    }

    pub(crate) fn callers(self, callers: usize) -> Self {
        Self { callers: Some(callers), ..self }
    }

    pub(crate) fn batch(self, batch: usize) -> Self {
        Self { batch: Some(batch), ..self }
    }

    pub(crate) fn streams(self, streams: u64) -> Self {
        Self { streams: Some(streams), ..self }
    }

    pub(crate) fn variant(self, variant: &'static str) -> Self {
        Self { variant: Some(variant), ..self }
    }

    pub(crate) fn measured(self, measured: Measured) -> Self {
        Self { measured: Some(measured), ..self }
    }

    pub(crate) fn raw(self, frame_bytes: u64, measured: Measured) -> Self {
        Self { raw: Some(RawDisk { frame_bytes, measured }), ..self }
    }

    /// What tells it from the other rows of its workload.
    pub(crate) fn name(&self) -> String {
        let durability = self.durability.map(|durability| match durability {
            Durability::Buffered => "buffered".to_owned(),
            Durability::Fsync => "durable".to_owned(),
        });
        let does_append = matches!(self.workload, Workload::Append | Workload::Load);
        let noun = if does_append { "caller" } else { "thread" };
        // A subscription has one caller, whatever is asked for.
        let callers = self.callers.filter(|_| self.workload != Workload::Subscribe);
        let callers = callers.map(|callers| count(callers as u64, noun));
        let batch = self
            .batch
            .filter(|_| does_append)
            .map(|batch| format!("{} an append", count(batch as u64, "event")));
        let variant = self.variant.map(str::to_owned);
        [durability, callers, batch, variant].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// How its rate compares with that of the disk by itself.
    fn times_raw(&self) -> Option<f64> {
        let (measured, raw) = self.measured.as_ref().zip(self.raw.as_ref())?;
        Some(measured.events_per_second() / raw.measured.events_per_second())
    }

    /// Whether events a second say anything of it.
    fn has_rate(&self) -> bool {
        self.workload != Workload::Open
    }
}

/// What was measured where, as JSON: the first line.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunReport<'a> {
    kind: &'static str,
    version: &'static str,
    build: &'static str,
    date: &'a str,
    machine: &'a Machine,
    directory: &'a str,
    file_system: Option<&'a str>,
    device: Option<&'a str>,
    payload_bytes: u64,
    metadata_bytes: u64,
    duration_seconds: f64,
    fsync: &'static str,
    buffered: &'static str,
}

/// A row as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowReport<'a> {
    kind: &'static str,
    workload: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    durability: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    streams: Option<u64>,
    events: u64,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    events_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    megabytes_per_second: Option<f64>,
    operation: &'a str,
    #[serde(flatten)]
    latencies: LatencyReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<RawReport>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LatencyReport {
    operations: u64,
    p50_micros: f64,
    p99_micros: f64,
    p999_micros: f64,
    max_micros: f64,
}

impl LatencyReport {
    fn of(latencies: &Latencies) -> Self {
        let micros = |time: Duration| rounded(time.as_secs_f64() * 1e6);
        Self {
            operations: latencies.count(),
            p50_micros: micros(latencies.at(0.5)),
            p99_micros: micros(latencies.at(0.99)),
            p999_micros: micros(latencies.at(0.999)),
            max_micros: micros(latencies.max()),
        }
    }
}

/// The disk by itself, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawReport {
    frame_bytes: u64,
    writes_per_second: f64,
    #[serde(flatten)]
    latencies: LatencyReport,
    /// How many times the disk's rate the row's is.
    times_raw: Option<f64>,
}

/// Three digits behind the point.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}

/// Prints rows as they come.
pub(crate) struct Reporter {
    output: Output,
    format: Format,
    /// What an event's data and metadata have.
    event_bytes: u64,
    /// Whose heading was printed last.
    workload: Option<Workload>,
}

impl Reporter {
    /// Prints what is measured where.
    pub(crate) fn begin(arguments: &BenchArguments, work: &Work, directory: &Path) -> anyhow::Result<Self> {
        let (output, format, event_bytes) = (Output::new(), arguments.format, work.event_bytes());
        let mut reporter = Self { output, format, event_bytes, workload: None };
        let (machine, mount) = (Machine::this(), Mount::of(directory));
        if !IS_RELEASE {
            failure::tell("warning: this is a debug build, whose figures say nothing: build with --release");
        }
        if let Some(mount) = mount.as_ref().filter(|mount| mount.is_memory()) {
            let (place, kind) = (directory.display(), &mount.file_system);
            failure::tell(&format!(
                "warning: {place} is in memory ({kind}): durable figures say nothing of a disk (--directory says where)"
            ));
        }
        let run = RunReport {
            kind: "run",
            version: env!("CARGO_PKG_VERSION"),
            build: if IS_RELEASE { "release" } else { "debug" },
            date: &clock_text::print_timestamp(SystemClock.now()),
            machine: &machine,
            directory: &directory.to_string_lossy(),
            file_system: mount.as_ref().map(|mount| mount.file_system.as_str()),
            device: mount.as_ref().map(|mount| mount.device.as_str()),
            payload_bytes: arguments.payload,
            metadata_bytes: METADATA_BYTES as u64,
            duration_seconds: arguments.duration.as_secs_f64(),
            fsync: DURABLE,
            buffered: BUFFERED,
        };
        reporter.output.report(format, &run, print_run)?;
        Ok(reporter)
    }

    pub(crate) fn row(&mut self, row: &Row) -> Result<(), OutputError> {
        let Some(measured) = &row.measured else { return Ok(()) };
        let is_first = self.workload.replace(row.workload) != Some(row.workload);
        let report = self.row_report(row, measured);
        let megabytes = self.megabytes_per_second(measured);
        self.output.report(self.format, &report, |output, _| {
            if is_first {
                print_heading(output, row.workload)?;
            }
            print_row(output, row, measured, megabytes)
        })
    }

    fn megabytes_per_second(&self, measured: &Measured) -> f64 {
        measured.events_per_second() * as_float(self.event_bytes) / 1e6
    }

    fn row_report<'a>(&self, row: &'a Row, measured: &Measured) -> RowReport<'a> {
        let rate = row.has_rate().then_some(measured);
        RowReport {
            kind: "result",
            workload: row.workload.name(),
            durability: row.durability.map(|durability| match durability {
                Durability::Buffered => "buffered",
                Durability::Fsync => "fsync",
            }),
            variant: row.variant,
            callers: row.callers,
            batch: row.batch,
            streams: row.streams,
            events: measured.events,
            seconds: rounded(measured.elapsed.as_secs_f64()),
            events_per_second: rate.map(|measured| rounded(measured.events_per_second())),
            megabytes_per_second: rate.map(|measured| rounded(self.megabytes_per_second(measured))),
            operation: row.operation,
            latencies: LatencyReport::of(&measured.latencies),
            raw: row.raw.as_ref().map(|raw| RawReport {
                frame_bytes: raw.frame_bytes,
                writes_per_second: rounded(
                    as_float(raw.measured.latencies.count()) / raw.measured.elapsed.as_secs_f64(),
                ),
                latencies: LatencyReport::of(&raw.measured.latencies),
                times_raw: row.times_raw().map(rounded),
            }),
        }
    }
}

fn print_heading(output: &mut Output, workload: Workload) -> Result<(), OutputError> {
    let heading = heading(workload);
    output.line(format_args!(
        "\n{heading:<46} {:>10} {:>9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>6}",
        "events/s", "MB/s", "operations", "p50", "p99", "p99.9", "max", "x raw"
    ))
}

/// A row, and above it what the disk does by itself, if that was measured.
fn print_row(output: &mut Output, row: &Row, measured: &Measured, megabytes: f64) -> Result<(), OutputError> {
    if let Some(RawDisk { frame_bytes, measured }) = &row.raw {
        let name = format!("raw disk: writes and syncs of {frame_bytes} bytes");
        let written = as_float(measured.latencies.count() * frame_bytes);
        let megabytes = figure(written / measured.elapsed.as_secs_f64() / 1e6);
        let rate = format!("{:.0}", measured.events_per_second());
        print_figures(output, &name, (&rate, &megabytes), &measured.latencies, "1")?;
    }
    let (rate, megabytes) = if row.has_rate() {
        (format!("{:.0}", measured.events_per_second()), figure(megabytes))
    } else {
        ("-".to_owned(), "-".to_owned())
    };
    let times_raw = row.times_raw().map_or_else(|| "-".to_owned(), |times| format!("{times:.2}"));
    print_figures(output, &row.name(), (&rate, &megabytes), &measured.latencies, &times_raw)
}

fn print_figures(
    output: &mut Output,
    name: &str,
    (rate, megabytes): (&str, &str),
    latencies: &Latencies,
    times_raw: &str,
) -> Result<(), OutputError> {
    let operations = latencies.count();
    let [p50, p99, p999] = PERCENTILES.map(|(share, operations_min)| {
        if operations < operations_min { "-".to_owned() } else { time_text(latencies.at(share)) }
    });
    let max = time_text(latencies.max());
    output.line(format_args!(
        "{name:<46} {rate:>10} {megabytes:>9} {operations:>10} {p50:>9} {p99:>9} {p999:>9} {max:>9} {times_raw:>6}"
    ))
}

fn print_run(output: &mut Output, run: &RunReport<'_>) -> Result<(), OutputError> {
    let RunReport { machine, payload_bytes, metadata_bytes, .. } = run;
    let memory =
        machine.memory_bytes.map_or_else(String::new, |bytes| format!(", {} of memory", sizes::print(bytes)));
    let place = match (run.file_system, run.device) {
        (Some(file_system), Some(device)) => format!("{file_system} on {device}"),
        _ => "file system not known".to_owned(),
    };
    let seconds = rounded(run.duration_seconds);
    output.line(format_args!("annals     {}, {} build, {}", run.version, run.build, run.date))?;
    let (cores, processor) = (count(machine.cores as u64, "core"), output::safe(&machine.processor));
    output.line(format_args!("machine    {cores} of {processor}{memory}"))?;
    output.line(format_args!(
        "system     {}, {}",
        output::safe(&machine.system),
        output::safe(&machine.kernel)
    ))?;
    output.line(format_args!(
        "directory  {}, removed at the end; {}",
        output::safe(run.directory),
        output::safe(&place)
    ))?;
    output.line(format_args!(
        "events     {payload_bytes} bytes of data and {metadata_bytes} of metadata, which is what MB/s counts"
    ))?;
    output.line(format_args!("rows       {seconds} s each, after a warm-up"))?;
    output.line(format_args!("durable    {DURABLE}"))?;
    output.line(format_args!("buffered   {BUFFERED}"))
}

/// What a workload's latencies are of.
fn heading(workload: Workload) -> &'static str {
    match workload {
        Workload::Append => "append: latency of an append",
        Workload::Load => "load: latency of an append, many in flight",
        Workload::ReadStream => "read-stream: latency of a whole stream",
        Workload::ReadAll => "read-all: latency of reading all",
        Workload::Subscribe => "subscribe: from acknowledged to delivered",
        Workload::Open => "open: latency of opening, reading a stream",
    }
}

fn figure(number: f64) -> String {
    if number < 10.0 { format!("{number:.2}") } else { format!("{number:.1}") }
}

/// A time in the unit that suits it.
fn time_text(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match time.as_nanos() {
        0..1_000_000 => format!("{:.1} µs", seconds * 1e6),
        1_000_000..1_000_000_000 => format!("{:.2} ms", seconds * 1e3),
        _ => format!("{seconds:.2} s"),
    }
}
