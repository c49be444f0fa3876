//! What `annals stats` prints: as JSON, and as text.

use annals::{LengthRange, NameCount, Reader, SegmentInfo, SegmentState, StoreSizes};
use serde::Serialize;

use crate::{
    clock_text,
    output::{Column, Output, OutputError, count, safe},
    sizes,
    stats::Statistics,
    stats_timeline::{DayReport, GrowthReport, Life, growth, last_days},
    streams::StreamReport,
};

/// How many segments are printed as text; JSON has all.
const SEGMENTS_MAX: usize = 20;

/// Of how many parts a percentage with one digit behind the point is.
const PER_MILLE: u128 = 1_000;

/// A store as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatsReport<'a> {
    store: &'a str,
    events: u64,
    system_events: u64,
    streams: u64,
    system_streams: u64,
    categories: usize,
    event_types: usize,
    first_time: Option<String>,
    last_time: Option<String>,
    /// From the first event's day to the last's, both counted.
    days: u64,
    sizes: SizesReport,
    last_days: Vec<DayReport>,
    growth: Vec<GrowthReport>,
    largest_streams: Vec<StreamReport<'a>>,
    stream_lengths: Vec<LengthReport>,
    segments: Vec<SegmentReport>,
}

/// Files in bytes, by what they are for.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct SizesReport {
    log: u64,
    /// What segment files are longer than the log.
    prepared: u64,
    indexes: u64,
    stream_directory: u64,
    snapshots: u64,
    other: u64,
    total: u64,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct LengthReport {
    events_min: u64,
    events_max: u64,
    streams: u64,
}

#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
struct SegmentReport {
    segment: u64,
    state: &'static str,
    first_position: u64,
    events: u64,
    system_events: u64,
    bytes: u64,
    file_bytes: u64,
    index_bytes: u64,
}

impl<'a> StatsReport<'a> {
    pub(crate) fn of(path: &'a str, store: &Reader, statistics: &'a Statistics) -> anyhow::Result<Self> {
        let Statistics { segments, sizes, lengths, life } = statistics;
        let system_events = segments.iter().map(|segment| segment.system_events).sum();
        let all_events: u64 = segments.iter().map(|segment| segment.events).sum();
        let time = |time| clock_text::print_timestamp(time);
        let names = |names: Vec<NameCount>| names.len();
        Ok(Self {
            store: path,
            events: all_events - system_events,
            system_events,
            streams: lengths.streams,
            system_streams: lengths.system_streams,
            categories: store.categories().map(names)?,
            event_types: store.event_types().map(names)?,
            first_time: life.map(|life| time(life.first)),
            last_time: life.map(|life| time(life.last)),
            days: life.map_or(0, Life::days),
            sizes: SizesReport::of(sizes),
            last_days: life.map_or_else(|| Ok(Vec::new()), |life| last_days(store, life))?,
            growth: life.map_or_else(|| Ok(Vec::new()), |life| growth(store, life))?,
            largest_streams: lengths.longest.iter().map(StreamReport::of).collect(),
            stream_lengths: lengths.ranges.iter().map(LengthReport::of).collect(),
            segments: segments.iter().map(SegmentReport::of).collect(),
        })
    }
}

impl SizesReport {
    fn of(sizes: &StoreSizes) -> Self {
        Self {
            log: sizes.log_bytes,
            prepared: sizes.prepared_bytes,
            indexes: sizes.index_bytes,
            stream_directory: sizes.stream_directory_bytes,
            snapshots: sizes.snapshot_bytes,
            other: sizes.other_bytes,
            total: sizes.total_bytes(),
        }
    }
}

impl LengthReport {
    fn of(range: &LengthRange) -> Self {
        Self { events_min: range.events_min, events_max: range.events_max, streams: range.streams }
    }
}

impl SegmentReport {
    fn of(segment: &SegmentInfo) -> Self {
        Self {
            segment: segment.number,
            state: if segment.state == SegmentState::Active { "active" } else { "sealed" },
            first_position: segment.first_position.get(),
            events: segment.events,
            system_events: segment.system_events,
            bytes: segment.log_bytes,
            file_bytes: segment.file_bytes,
            index_bytes: segment.index_bytes,
        }
    }

    /// `1-5407`, or a dash where there is no event.
    fn positions(&self) -> String {
        match self.events.checked_sub(1) {
            Some(further) => format!("{}-{}", self.first_position, self.first_position + further),
            None => "-".to_owned(),
        }
    }
}

pub(crate) fn print_text(output: &mut Output, report: &StatsReport<'_>) -> Result<(), OutputError> {
    print_counts(output, report)?;
    print_sizes(output, report)?;
    print_growth(output, report)?;
    if !report.largest_streams.is_empty() {
        let heading = ["Largest streams", "events", "last event"].map(str::to_owned);
        let row = |it: &StreamReport<'_>| [safe(it.stream), it.events.to_string(), it.updated.clone()];
        let rows: Vec<_> = [heading].into_iter().chain(report.largest_streams.iter().map(row)).collect();
        output.line(format_args!(""))?;
        output.table([Column::Name, Column::Number, Column::Rest], &rows)?;
    }
    print_segments(output, &report.segments)
}

fn print_counts(output: &mut Output, report: &StatsReport<'_>) -> Result<(), OutputError> {
    let own = match report.system_events {
        0 => String::new(),
        events => format!(
            " (and the store's own: {} in {})",
            count(events, "event"),
            count(report.system_streams, "stream")
        ),
    };
    let time = |time: &Option<String>| time.clone().unwrap_or_else(|| "-".to_owned());
    let rows = [
        ("store", safe(report.store)),
        ("events", format!("{}{own}", report.events)),
        ("streams", report.streams.to_string()),
        ("categories", report.categories.to_string()),
        ("event types", report.event_types.to_string()),
        ("first event", time(&report.first_time)),
        ("last event", time(&report.last_time)),
    ];
    output.table([Column::Name, Column::Rest], &rows.map(|(name, value)| [name.to_owned(), value]))
}

fn print_sizes(output: &mut Output, report: &StatsReport<'_>) -> Result<(), OutputError> {
    let SizesReport { log, prepared, indexes, stream_directory, snapshots, other, total } = report.sizes;
    let events = report.events + report.system_events;
    let per_event = log.checked_div(events).map(|bytes| format!("{} an event", sizes::print(bytes)));
    let overhead = percentage(indexes + stream_directory, log);
    let rows = [
        ("log", log, per_event.unwrap_or_default()),
        ("prepared ahead", prepared, String::new()),
        (
            "indexes",
            indexes,
            overhead.map(|it| format!("{it} of the log, with the directory")).unwrap_or_default(),
        ),
        ("stream directory", stream_directory, String::new()),
        ("snapshots", snapshots, String::new()),
        ("other files", other, String::new()),
        ("total", total, String::new()),
    ];
    output.line(format_args!("\nSizes"))?;
    let rows = rows.map(|(name, bytes, note)| [name.to_owned(), sizes::print(bytes), note]);
    output.table([Column::Name, Column::Number, Column::Rest], &rows)
}

fn print_growth(output: &mut Output, report: &StatsReport<'_>) -> Result<(), OutputError> {
    if report.days == 0 {
        return Ok(());
    }
    let heading = ["Last days with events", "events", "bytes"].map(str::to_owned);
    let row = |it: &DayReport| [it.day.clone(), it.events.to_string(), sizes::print(it.bytes)];
    let rows: Vec<_> = [heading].into_iter().chain(report.last_days.iter().map(row)).collect();
    output.line(format_args!(""))?;
    output.table([Column::Name, Column::Number, Column::Number], &rows)?;
    let heading = ["Growth", "events", "a day", "bytes", "a day"].map(str::to_owned);
    let log = report.sizes.log;
    let all = [
        format!("all {}", count(report.days, "day")),
        report.events.to_string(),
        rate(report.events, report.days),
        sizes::print(log),
        sizes::print(log / report.days),
    ];
    let row = |it: &GrowthReport| {
        [
            format!("last {}", count(it.days, "day")),
            it.events.to_string(),
            rate(it.events, it.days),
            sizes::print(it.bytes),
            sizes::print(it.bytes / it.days.max(1)),
        ]
    };
    // Where the store is younger than a week, both lines would say the same as the last.
    let younger = report.growth.iter().filter(|it| it.days == it.days_max && it.days < report.days);
    let rows: Vec<_> = [heading].into_iter().chain(younger.map(row)).chain([all]).collect();
    output.line(format_args!(""))?;
    output.table([Column::Name, Column::Number, Column::Number, Column::Number, Column::Number], &rows)
}

fn print_segments(output: &mut Output, segments: &[SegmentReport]) -> Result<(), OutputError> {
    let heading =
        ["Segments", "positions", "events", "bytes", "index", "overhead", "state"].map(str::to_owned);
    let unnamed = segments.len().saturating_sub(SEGMENTS_MAX);
    let row = |it: &SegmentReport| {
        [
            it.segment.to_string(),
            it.positions(),
            it.events.to_string(),
            sizes::print(it.bytes),
            sizes::print(it.index_bytes),
            percentage(it.index_bytes, it.bytes).unwrap_or_default(),
            it.state.to_owned(),
        ]
    };
    let rows: Vec<_> = [heading].into_iter().chain(segments[unnamed..].iter().map(row)).collect();
    output.line(format_args!(""))?;
    let number = Column::Number;
    output.table([Column::Name, number, number, number, number, number, Column::Rest], &rows)?;
    match unnamed {
        0 => Ok(()),
        unnamed => output.line(format_args!("and {unnamed} before them, which --format json names")),
    }
}

/// A part of a whole, with one digit behind the point; none of nothing.
fn percentage(part: u64, whole: u64) -> Option<String> {
    let tenths = (u128::from(part) * PER_MILLE).checked_div(u128::from(whole))?;
    Some(format!("{}.{}%", tenths / 10, tenths % 10))
}

/// How many a day, with one digit behind the point.
fn rate(count: u64, days: u64) -> String {
    let tenths = u128::from(count) * 10 / u128::from(days.max(1));
    format!("{}.{}", tenths / 10, tenths % 10)
}
