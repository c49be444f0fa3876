//! `annals restore`: a store from a backup, all of it or up to a moment.

use std::path::Path;

use annals::{ExistingStore, Position, RestoreOptions, RestoreReport};
use serde::Serialize;

use crate::{
    backup_arguments::RestoreArguments,
    clock_text,
    output::{Output, OutputError, count, safe},
    progress::showing_progress,
    sizes,
};

pub(crate) fn run(store: &Path, arguments: &RestoreArguments) -> anyhow::Result<()> {
    let destination = arguments.destination.as_deref().unwrap_or(store);
    let existing = if arguments.force { ExistingStore::SetAside } else { ExistingStore::Refuse };
    let mut options = RestoreOptions::new().existing(existing);
    if let Some(position) = arguments.to_position {
        options = options.as_of(Position::new(position));
    }
    if let Some(time) = arguments.to_time {
        options = options.as_of(time);
    }
    let report = showing_progress(|tell| annals::restore(&arguments.backup, destination, &options, tell))?;
    Ok(print(destination, arguments, report)?)
}

/// The result as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    store: String,
    backup: String,
    last_position: u64,
    /// When the last event was stored, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_timestamp: Option<String>,
    backup_position: u64,
    segments: u64,
    log_bytes: u64,
    /// Where the store is now that was there before, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    set_aside: Option<String>,
}

fn print(store: &Path, arguments: &RestoreArguments, report: RestoreReport) -> Result<(), OutputError> {
    let report = Report {
        store: store.to_string_lossy().into_owned(),
        backup: arguments.backup.to_string_lossy().into_owned(),
        last_position: report.last_position.get(),
        last_timestamp: report.last_timestamp.map(clock_text::print_timestamp),
        backup_position: report.backup_position.get(),
        segments: report.segments,
        log_bytes: report.log_bytes,
        set_aside: report.set_aside.map(|path| path.to_string_lossy().into_owned()),
    };
    Output::new().report(arguments.format, &report, print_text)
}

fn print_text(output: &mut Output, report: &Report) -> Result<(), OutputError> {
    let reached = match &report.last_timestamp {
        Some(time) => format!("position {} of {}, of {time}", report.last_position, report.backup_position),
        None => format!("position 0 of {}: it is empty", report.backup_position),
    };
    output.line(format_args!(
        "{} is restored from {}, up to {reached}; {}, {}",
        safe(&report.store),
        safe(&report.backup),
        count(report.segments, "segment"),
        sizes::print(report.log_bytes),
    ))?;
    if let Some(aside) = &report.set_aside {
        output.line(format_args!("the store that was there is now {}", safe(aside)))?;
    }
    Ok(())
}
