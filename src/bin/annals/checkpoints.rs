//! `annals checkpoints`: how far consumers have come.

use std::path::Path;

use annals::Checkpoint;
use serde::Serialize;

use crate::{
    arguments::Format,
    clock_text,
    consumers_arguments::{CheckpointsArguments, CheckpointsCommand, DeleteCheckpointArguments},
    opening,
    output::{Column, Output, safe},
};

pub(crate) fn run(store: &Path, arguments: &CheckpointsArguments) -> anyhow::Result<()> {
    match &arguments.command {
        None => list(store, arguments.format),
        Some(CheckpointsCommand::List(arguments)) => list(store, arguments.format),
        Some(CheckpointsCommand::Delete(arguments)) => delete(store, arguments),
    }
}

/// A checkpoint as JSON.
#[derive(Serialize)]
struct Report<'a> {
    checkpoint: &'a str,
    position: u64,
    /// The position, and the checksum of the event there.
    cursor: String,
    saved: String,
}

impl<'a> Report<'a> {
    fn of(checkpoint: &'a Checkpoint) -> Self {
        Self {
            checkpoint: &checkpoint.name,
            position: checkpoint.cursor.position.get(),
            cursor: checkpoint.cursor.to_string(),
            saved: clock_text::print_timestamp(checkpoint.saved),
        }
    }
}

fn list(store: &Path, format: Format) -> anyhow::Result<()> {
    let checkpoints = opening::for_reading(store)?.checkpoints()?;
    let reports: Vec<Report<'_>> = checkpoints.iter().map(Report::of).collect();
    Ok(Output::new().list(format, &reports, |output, reports| {
        let row = |it: &Report<'_>| [safe(it.checkpoint), it.position.to_string(), it.saved.clone()];
        output
            .table([Column::Name, Column::Number, Column::Rest], &reports.iter().map(row).collect::<Vec<_>>())
    })?)
}

/// A deletion as JSON.
#[derive(Serialize)]
struct DeletedReport<'a> {
    checkpoint: &'a str,
    deleted: bool,
}

fn delete(store: &Path, arguments: &DeleteCheckpointArguments) -> anyhow::Result<()> {
    let name = arguments.name.as_str();
    let store = opening::for_changing(store, arguments.waiting.wait)?;
    store.delete_checkpoint(name)?;
    let report = DeletedReport { checkpoint: name, deleted: true };
    Output::new().report(arguments.format, &report, |output, report| {
        output.line(format_args!("{}: deleted", safe(report.checkpoint)))
    })?;
    Ok(store.close()?)
}
