//! `annals checkpoints`: how far consumers have come.

use std::path::Path;

use annals::Checkpoint;
use serde::Serialize;

use crate::{
    arguments::{CheckpointsArguments, CheckpointsCommand, DeleteCheckpointArguments, Format},
    clock_text, opening,
    output::{self, Output},
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
    let mut output = Output::new();
    match format {
        Format::Json => {
            for report in &reports {
                output.json(report)?;
            }
        }
        Format::Text => {
            let names: Vec<String> = reports.iter().map(|report| output::safe(report.checkpoint)).collect();
            let width = output::column_width(&names);
            let position_width = reports.iter().map(|it| it.position.to_string().len()).max().unwrap_or(0);
            for (Report { position, saved, .. }, name) in reports.iter().zip(&names) {
                output.line(format_args!("{name:width$}  {position:>position_width$}  {saved}"))?;
            }
        }
    }
    Ok(output.flush()?)
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
    let mut output = Output::new();
    match arguments.format {
        Format::Json => output.json(&DeletedReport { checkpoint: name, deleted: true })?,
        Format::Text => output.line(format_args!("{}: deleted", output::safe(name)))?,
    }
    output.flush()?;
    Ok(store.close()?)
}
