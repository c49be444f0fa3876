//! `annals verify`: every byte of the store, read and checked.

use std::path::Path;

use annals::{Damage, Position, Verification};
use serde::Serialize;

use crate::{
    arguments::{Format, VerifyArguments},
    failure::Damaged,
    opening,
    output::{self, Output, OutputError, count},
    progress::Bar,
};

pub(crate) fn run(store: &Path, arguments: &VerifyArguments) -> anyhow::Result<()> {
    let bar = Bar::of_bytes(None);
    let verified = annals::verify(store, &mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
    });
    bar.clear();
    let verification = opening::explain_missing(verified)?;
    let printed = print(store, arguments.format, &verification);
    let places = u64::try_from(verification.damage.len()).unwrap_or(u64::MAX);
    if places > 0 {
        // Damage is the news, also where nobody reads the rest.
        return Err(Damaged { places }.into());
    }
    Ok(printed?)
}

/// The result as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    segments: u64,
    frames: u64,
    events: u64,
    streams: u64,
    bytes: u64,
    last_position: u64,
    interrupted_bytes: u64,
    damage: Vec<DamageReport<'a>>,
}

#[derive(Serialize)]
struct DamageReport<'a> {
    path: String,
    offset: u64,
    reason: &'a str,
    /// The last position before the damage, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    intact: Option<u64>,
}

fn print(store: &Path, format: Format, verification: &Verification) -> Result<(), OutputError> {
    let report = report_of(verification);
    Output::new().report(format, &report, |output, _| print_text(store, verification, output))
}

fn report_of(verification: &Verification) -> Report<'_> {
    let damage = verification.damage.iter().map(|damage| DamageReport {
        path: damage.path.to_string_lossy().into_owned(),
        offset: damage.offset,
        reason: &damage.reason,
        intact: damage.intact.map(Position::get),
    });
    Report {
        segments: verification.segments,
        frames: verification.frames,
        events: verification.events,
        streams: verification.streams,
        bytes: verification.bytes,
        last_position: verification.last_position.get(),
        interrupted_bytes: verification.interrupted_bytes,
        damage: damage.collect(),
    }
}

fn print_text(store: &Path, verification: &Verification, output: &mut Output) -> Result<(), OutputError> {
    for damage in &verification.damage {
        output.line(format_args!("{}", output::safe(&describe(damage))))?;
    }
    if verification.interrupted_bytes > 0 {
        output.line(format_args!(
            "{} of an interrupted write, which nobody was told is stored; the next opening clears them away",
            count(verification.interrupted_bytes, "byte"),
        ))?;
    }
    let verdict = if verification.damage.is_empty() { "is whole" } else { "is damaged" };
    output.line(format_args!(
        "{} {verdict}: {} in {}, up to position {}; {}, {}, {}",
        output::safe(&store.to_string_lossy()),
        count(verification.events, "event"),
        count(verification.streams, "stream"),
        verification.last_position,
        count(verification.segments, "segment"),
        count(verification.frames, "frame"),
        count(verification.bytes, "byte"),
    ))
}

fn describe(damage: &Damage) -> String {
    let intact = match damage.intact {
        Some(Position::NONE) => "no event before it".to_owned(),
        Some(position) => format!("events up to position {position} are intact"),
        None => "how many events are intact is not known".to_owned(),
    };
    format!("{}, offset {}: {} ({intact})", damage.path.display(), damage.offset, damage.reason)
}
