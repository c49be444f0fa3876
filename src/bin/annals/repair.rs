//! `annals repair`: shows what a repair would do, or does it.

use std::path::Path;

use annals::{Error, RepairPlan};
use anyhow::Context;

use crate::{
    arguments::Format,
    failure::{self, Damaged},
    opening,
    output::{self, Output, OutputError},
    progress::showing_progress,
    repair_arguments::RepairArguments,
};

pub(crate) fn run(store: &Path, arguments: &RepairArguments) -> anyhow::Result<()> {
    let options = arguments.options();
    if arguments.only_shows() {
        let planned = showing_progress(|tell| annals::plan_repair(store, &options, tell));
        let plan = explain_missing(arguments, planned)?;
        print(arguments.format, &plan.to_json(), &plan.to_string())?;
        return conclude_showing(store, arguments, &plan);
    }
    let repaired = showing_progress(|tell| annals::repair(store, &options, tell));
    let repaired = explain_missing(arguments, repaired)?;
    let text = match &repaired.folder {
        Some(folder) => {
            format!("{}\nrepaired     all that was changed is kept in {}", repaired.plan, folder.display())
        }
        None if repaired.plan.is_needed() => {
            format!("{}\nrepaired     nothing of the log was changed", repaired.plan)
        }
        None => repaired.plan.to_string(),
    };
    let told = repaired.told.map_or(String::new(), |told| {
        format!("\ntold         repair {told} had come to its end before; the store's stream $repairs tells of it now")
    });
    let text = format!("{text}{told}");
    Ok(print(arguments.format, &repaired.to_json(), &text)?)
}

/// Says how to name another store where there is none. That a backup is none of this store is another matter.
fn explain_missing<T>(arguments: &RepairArguments, result: anyhow::Result<T>) -> anyhow::Result<T> {
    let is_backup = |error: &anyhow::Error| {
        let missing = error.downcast_ref();
        matches!(missing, Some(Error::NotAStore { path, .. }) if arguments.backup.as_ref() == Some(path))
    };
    if result.as_ref().is_err_and(is_backup) {
        return result.context("--backup takes a directory that \"annals backup\" has made of this store, or a copy of the store");
    }
    opening::explain_missing(result)
}

/// What was asked for without an answer to what may be lost is no success where something is damaged.
fn conclude_showing(store: &Path, arguments: &RepairArguments, plan: &RepairPlan) -> anyhow::Result<()> {
    if !plan.is_needed() {
        return Ok(());
    }
    let is_allowed = arguments.accept_loss || (arguments.backup.is_some() && !plan.loses_events());
    let how = if is_allowed {
        "Nothing was changed; to do it, leave out --dry-run"
    } else if plan.loses_events() {
        "Nothing was changed. To do it, name a backup that has what is damaged (--backup DIR), or allow the loss \
         (--accept-loss)"
    } else {
        "Nothing was changed. No event would be lost; to do it: --accept-loss, or --backup DIR"
    };
    failure::tell(how);
    if arguments.dry_run {
        return Ok(());
    }
    Err(Damaged::of(store, plan.verification.damage.total()).into())
}

fn print(format: Format, json: &str, text: &str) -> Result<(), OutputError> {
    let mut output = Output::new();
    match format {
        Format::Json => output.line(format_args!("{json}"))?,
        Format::Text => {
            for line in text.lines() {
                output.line(format_args!("{}", output::safe(line)))?;
            }
        }
    }
    output.flush()
}
