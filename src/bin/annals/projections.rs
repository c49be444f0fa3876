//! `annals projections`: the projections that were started on the store, and what they have left out.

use std::path::Path;

use annals::{CursorKeeper, Position, ProjectionInfo, SkippedEvent};
use serde::Serialize;

use crate::{
    arguments::Format,
    clock_text,
    consumers_arguments::{ProjectionsArguments, ProjectionsCommand, SkippedArguments},
    failure::NotFound,
    opening,
    output::{Column, Output, safe},
};

pub(crate) fn run(store: &Path, arguments: &ProjectionsArguments) -> anyhow::Result<()> {
    match &arguments.command {
        None => list(store, arguments.format),
        Some(ProjectionsCommand::List(arguments)) => list(store, arguments.format),
        Some(ProjectionsCommand::Skipped(arguments)) => skipped(store, arguments),
    }
}

/// A projection as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    projection: &'a str,
    /// `store`, or `projection` where it does that itself; `position` and `behind` are null then.
    cursor_kept_by: &'static str,
    position: Option<u64>,
    behind: Option<u64>,
    skipped: u64,
    saved: Option<String>,
}

impl<'a> Report<'a> {
    fn of(info: &'a ProjectionInfo) -> Self {
        Self {
            projection: &info.name,
            cursor_kept_by: match info.keeper {
                CursorKeeper::Store => "store",
                CursorKeeper::Projection => "projection",
            },
            position: info.position.map(Position::get),
            behind: info.behind,
            skipped: info.skipped,
            saved: info.saved.map(clock_text::print_timestamp),
        }
    }

    fn columns(&self) -> [String; 5] {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        [
            safe(self.projection),
            number(self.position),
            format!("{} behind", number(self.behind)),
            format!("{} skipped", self.skipped),
            self.saved.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }
}

fn list(store: &Path, format: Format) -> anyhow::Result<()> {
    let infos = opening::for_reading(store)?.projections()?;
    let reports: Vec<Report<'_>> = infos.iter().map(Report::of).collect();
    Ok(Output::new().list(format, &reports, |output, reports| {
        let columns = [Column::Name, Column::Number, Column::Number, Column::Number, Column::Rest];
        output.table(columns, &reports.iter().map(Report::columns).collect::<Vec<_>>())
    })?)
}

/// An event that was left out, as JSON.
#[derive(Serialize)]
struct SkippedReport<'a> {
    position: u64,
    part: u64,
    stream: &'a str,
    version: u64,
    #[serde(rename = "type")]
    event_type: &'a str,
    id: String,
    error: &'a str,
    tries: u32,
    skipped: String,
}

impl<'a> SkippedReport<'a> {
    fn of(skipped: &'a SkippedEvent) -> Self {
        Self {
            position: skipped.position.get(),
            part: skipped.part,
            stream: skipped.stream.as_str(),
            version: skipped.version.get(),
            event_type: &skipped.event_type,
            id: skipped.id.to_string(),
            error: &skipped.error,
            tries: skipped.tries,
            skipped: clock_text::print_timestamp(skipped.skipped),
        }
    }
}

fn skipped(store: &Path, arguments: &SkippedArguments) -> anyhow::Result<()> {
    let (store, name) = (opening::for_reading(store)?, arguments.name.as_str());
    if !store.projections()?.iter().any(|info| info.name == name) {
        let message = format!(
            "there is no projection {name:?}: it was never started on this store; \"annals projections\" lists those that were"
        );
        return Err(NotFound(message).into());
    }
    let list = store.skipped(name)?;
    let reports: Vec<SkippedReport<'_>> = list.iter().map(SkippedReport::of).collect();
    Ok(Output::new().list(arguments.format, &reports, |output, reports| {
        reports.iter().try_for_each(|report| output.line(format_args!("{}", skipped_line(report))))
    })?)
}

fn skipped_line(report: &SkippedReport<'_>) -> String {
    let SkippedReport { position, part, version, tries, skipped, .. } = report;
    let (stream, event_type) = (safe(report.stream), safe(report.event_type));
    let (tries, error) = (tried(*tries), safe(report.error));
    let part = if *part == 1 { String::new() } else { format!(" (part {part})") };
    format!("{position}  {stream}  {version}  {event_type}{part}  {skipped}  {tries}: {error}")
}

fn tried(tries: u32) -> String {
    if tries == 1 { "tried once".to_owned() } else { format!("tried {tries} times") }
}
