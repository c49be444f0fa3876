//! `annals backup`: a copy of the store, which is a store itself, of all that is new since the last one.

use std::path::Path;

use annals::{BackupOptions, BackupReport, Checking, Linking};
use serde::Serialize;

use crate::{
    backup_arguments::BackupArguments,
    opening,
    output::{Output, OutputError, count, safe},
    progress::showing_progress,
    sizes,
};

pub(crate) fn run(store: &Path, arguments: &BackupArguments) -> anyhow::Result<()> {
    let reader = opening::for_copying(store)?;
    let linking = if arguments.copy { Linking::Never } else { Linking::WherePossible };
    let checking = if arguments.check { Checking::Everything } else { Checking::New };
    let options = BackupOptions::new().linking(linking).checking(checking);
    let report = showing_progress(|tell| reader.backup(&arguments.destination, &options, tell))?;
    Ok(print(store, arguments, &report)?)
}

/// The result as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    store: String,
    backup: String,
    last_position: u64,
    log_bytes: u64,
    segments: u64,
    copied: u64,
    linked: u64,
    kept: u64,
    mended: u64,
    bytes_copied: u64,
}

fn print(store: &Path, arguments: &BackupArguments, report: &BackupReport) -> Result<(), OutputError> {
    let report = Report {
        store: store.to_string_lossy().into_owned(),
        backup: arguments.destination.to_string_lossy().into_owned(),
        last_position: report.last_position.get(),
        log_bytes: report.log_bytes,
        segments: report.segments_copied + report.segments_linked + report.segments_kept,
        copied: report.segments_copied,
        linked: report.segments_linked,
        kept: report.segments_kept,
        mended: report.segments_mended,
        bytes_copied: report.bytes_copied,
    };
    Output::new().report(arguments.format, &report, print_text)
}

fn print_text(output: &mut Output, report: &Report) -> Result<(), OutputError> {
    output.line(format_args!(
        "{} is backed up in {}, up to position {}: {} ({} copied, {} linked, {} there before), {} copied",
        safe(&report.store),
        safe(&report.backup),
        report.last_position,
        count(report.segments, "segment"),
        report.copied,
        report.linked,
        report.kept,
        sizes::print(report.bytes_copied),
    ))?;
    if report.mended > 0 {
        output.line(format_args!(
            "{} there before had been damaged, and can be read again",
            count(report.mended, "segment")
        ))?;
    }
    Ok(())
}
