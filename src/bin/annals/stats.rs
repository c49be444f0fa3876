//! `annals stats`: what a store is made of, how it grew, and how long its streams are.

use std::path::Path;

use annals::{Reader, SegmentInfo, StoreSizes, StreamLengths};

use crate::{
    arguments::Format,
    interrupt::{Stop, Stopped},
    opening,
    output::Output,
    progress::Bar,
    stats_arguments::StatsArguments,
    stats_chart,
    stats_report::{StatsReport, print_text},
    stats_svg,
    stats_timeline::{Life, Timeline},
};

pub(crate) fn run(path: &Path, arguments: &StatsArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(path)?;
    let stop = Stop::at_interrupt()?;
    let bar = Bar::of_steps();
    let statistics = Statistics::of(&store, arguments.top, &bar, &stop);
    bar.clear();
    let statistics = statistics?;
    if let Some(file) = &arguments.svg {
        let timeline = statistics.timeline(&store, stats_svg::BARS_MAX)?;
        stats_svg::write(file, &stats_svg::draw(timeline.as_ref(), &statistics.lengths.ranges)?)?;
    }
    let name = path.to_string_lossy();
    let report = StatsReport::of(&name, &store, &statistics)?;
    let mut output = Output::new();
    match arguments.format {
        Format::Json => output.json(&report)?,
        Format::Text => print_text(&mut output, &report)?,
    }
    if arguments.chart {
        print_charts(&mut output, &store, &statistics)?;
    }
    Ok(output.flush()?)
}

/// A store in numbers.
#[derive(Debug)]
pub(crate) struct Statistics {
    pub(crate) segments: Vec<SegmentInfo>,
    pub(crate) sizes: StoreSizes,
    pub(crate) lengths: StreamLengths,
    /// None: there is no event, but perhaps of the store's own.
    pub(crate) life: Option<Life>,
}

impl Statistics {
    fn of(store: &Reader, longest_max: usize, bar: &Bar, stop: &Stop) -> anyhow::Result<Self> {
        let segments = store.segments()?;
        let segments_total = segments.len();
        bar.set_length(segments_total as u64);
        let mut found = Vec::with_capacity(segments_total);
        for segment in segments {
            if stop.is_asked() {
                return Err(stopped(&format!("{} of {segments_total} segments", found.len())).into());
            }
            found.push(segment?);
            bar.set_position(found.len() as u64);
        }
        let sizes = store.sizes()?;
        let mut at = (0, 0);
        let lengths = store.stream_lengths(longest_max, &mut |progress| {
            at = (progress.steps, progress.steps_total);
            bar.set_length(progress.steps_total);
            bar.set_position(progress.steps);
            stop.flow()
        })?;
        let lengths =
            lengths.ok_or_else(|| stopped(&format!("{} of {} segments and streams", at.0, at.1)))?;
        Ok(Self { segments: found, sizes, lengths, life: Life::of(store)? })
    }

    /// Events over time, in so many stretches at most; none if there is no event.
    fn timeline(&self, store: &Reader, stretches_max: usize) -> annals::Result<Option<Timeline>> {
        self.life.map(|life| Timeline::of(store, life, stretches_max)).transpose()
    }
}

/// How far it came.
fn stopped(done: &str) -> Stopped {
    Stopped(format!("stopped after {done}: nothing was printed or written"))
}

fn print_charts(output: &mut Output, store: &Reader, statistics: &Statistics) -> anyhow::Result<()> {
    let columns = stats_chart::columns();
    let Some(timeline) = statistics.timeline(store, stats_chart::bars_max(columns))? else {
        return Ok(output.line(format_args!("\nThere is no event to draw."))?);
    };
    output.line(format_args!("\nEvents {}", timeline.rate))?;
    for line in stats_chart::draw_timeline(&timeline, columns) {
        output.line(format_args!("{line}"))?;
    }
    output.line(format_args!("\nStreams by length (events, streams)"))?;
    for line in stats_chart::draw_lengths(&statistics.lengths.ranges, columns) {
        output.line(format_args!("{line}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use annals::EventStore;

    use super::*;

    #[test]
    fn ctrl_c_stops_it_before_the_next_segment_and_says_where() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let store = EventStore::open(directory.path().join("store"))?;
        let stop = Stop::default();
        stop.ask();
        let stopped = Statistics::of(&store, 10, &Bar::of_steps(), &stop);
        let message = stopped.expect_err("it is stopped").to_string();
        assert_eq!(message, "stopped after 0 of 1 segments: nothing was printed or written");
        Ok(())
    }
}
