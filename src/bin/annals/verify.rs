//! `annals verify`: every byte of the store, read and compared.

use std::path::Path;

use annals::{Damage, Extent, Finding, Listed, Position, PositionRange, Verification};
use serde::Serialize;

use crate::{
    arguments::{Format, VerifyArguments},
    failure::Damaged,
    opening,
    output::{self, Output, OutputError, count},
    progress::Bar,
};

/// How many entries of a list are printed as text; JSON has all that the library names.
const NAMED_MAX: usize = 20;

pub(crate) fn run(store: &Path, arguments: &VerifyArguments) -> anyhow::Result<()> {
    let bar = Bar::of_reading();
    let verified = annals::verify(store, &mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes);
    });
    bar.clear();
    let verification = opening::explain_missing(verified)?;
    let printed = print(store, arguments.format, &verification);
    if !verification.is_whole() {
        // Damage is the news, also where nobody reads the rest.
        return Err(Damaged { places: verification.damage.total() }.into());
    }
    Ok(printed?)
}

/// The result as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// Whether a writer went on beside it, so that only what it had committed was read.
    beside_writer: bool,
    segments: u64,
    frames: u64,
    events: u64,
    streams: u64,
    bytes: u64,
    last_position: u64,
    interrupted_bytes: u64,
    index_files: u64,
    snapshots: u64,
    checkpoints: u64,
    damage: Vec<DamageReport<'a>>,
    /// None: that isn't known.
    events_lost: Option<u64>,
    lost: Vec<RangeReport>,
    lost_versions: Vec<VersionsReport<'a>>,
    intact: Vec<RangeReport>,
    findings: Vec<FindingReport<'a>>,
    /// How many entries of the lists above aren't named, if some aren't.
    #[serde(skip_serializing_if = "is_zero")]
    unnamed: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DamageReport<'a> {
    path: String,
    offset: u64,
    reason: &'a str,
    /// The last position before the damage, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    intact: Option<u64>,
    events_lost: Option<u64>,
}

#[derive(Serialize)]
struct RangeReport {
    first: u64,
    /// None: nobody knows where it ends.
    last: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VersionsReport<'a> {
    stream: Option<&'a str>,
    stream_hash: String,
    first: u64,
    last: u64,
}

#[derive(Serialize)]
struct FindingReport<'a> {
    kind: &'static str,
    path: String,
    reason: &'a str,
    consequence: &'static str,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
fn is_zero(number: &u64) -> bool {
    *number == 0
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
        events_lost: damage.events_lost,
    });
    let versions = verification.lost_versions.iter().map(|lost| VersionsReport {
        stream: lost.stream.as_ref().map(|stream| stream.as_str()),
        stream_hash: format!("{:016x}", lost.stream_hash),
        first: lost.first.get(),
        last: lost.last.get(),
    });
    let findings = verification.findings.iter().map(|finding| FindingReport {
        kind: kind_of(finding),
        path: finding.path.to_string_lossy().into_owned(),
        reason: &finding.reason,
        consequence: finding.consequence(),
    });
    Report {
        beside_writer: verification.extent == Extent::Committed,
        segments: verification.segments,
        frames: verification.frames,
        events: verification.events,
        streams: verification.streams,
        bytes: verification.bytes,
        last_position: verification.last_position.get(),
        interrupted_bytes: verification.interrupted_bytes,
        index_files: verification.index_files,
        snapshots: verification.snapshots,
        checkpoints: verification.checkpoints,
        damage: damage.collect(),
        events_lost: verification.events_lost,
        lost: ranges(&verification.lost),
        lost_versions: versions.collect(),
        intact: ranges(&verification.intact),
        findings: findings.collect(),
        unnamed: unnamed(verification),
    }
}

fn ranges(ranges: &Listed<PositionRange>) -> Vec<RangeReport> {
    let report =
        |range: &PositionRange| RangeReport { first: range.first.get(), last: range.last.map(Position::get) };
    ranges.iter().map(report).collect()
}

fn unnamed(verification: &Verification) -> u64 {
    verification.damage.unnamed()
        + verification.lost.unnamed()
        + verification.lost_versions.unnamed()
        + verification.intact.unnamed()
        + verification.findings.unnamed()
}

fn kind_of(finding: &Finding) -> &'static str {
    match finding.kind {
        annals::FindingKind::Index => "index",
        annals::FindingKind::Directory => "directory",
        annals::FindingKind::Mark => "mark",
        annals::FindingKind::Snapshot => "snapshot",
        annals::FindingKind::Checkpoint => "checkpoint",
        _ => "other",
    }
}

fn print_text(store: &Path, verification: &Verification, output: &mut Output) -> Result<(), OutputError> {
    print_list(output, &verification.damage, |damage| format!("damaged  {}", describe(damage)))?;
    print_ranges(output, "lost     positions", &verification.lost)?;
    print_list(output, &verification.lost_versions, |lost| format!("lost     {lost}"))?;
    if !verification.is_whole() {
        print_ranges(output, "intact   positions", &verification.intact)?;
    }
    print_list(output, &verification.findings, |finding| {
        let path = finding.path.display();
        format!("{:<8} {path}: {}; {}", kind_of(finding), finding.reason, finding.consequence())
    })?;
    if verification.interrupted_bytes > 0 {
        output.line(format_args!(
            "{} of an interrupted write, which nobody was told is stored; the next opening clears them away",
            count(verification.interrupted_bytes, "byte"),
        ))?;
    }
    let verdict = if verification.is_whole() { "is whole" } else { "is damaged" };
    let beside = match verification.extent {
        Extent::Committed => ", as far as the program that writes to it had committed it",
        _ => "",
    };
    output.line(format_args!(
        "{} {verdict}{beside}: {} in {}, up to position {}; {}, {}, {}",
        output::safe(&store.to_string_lossy()),
        count(verification.events, "event"),
        count(verification.streams, "stream"),
        verification.last_position,
        count(verification.segments, "segment"),
        count(verification.frames, "frame"),
        count(verification.bytes, "byte"),
    ))
}

fn print_list<T>(
    output: &mut Output,
    items: &Listed<T>,
    text: impl Fn(&T) -> String,
) -> Result<(), OutputError> {
    for item in items.iter().take(NAMED_MAX) {
        output.line(format_args!("{}", output::safe(&text(item))))?;
    }
    match items.total().saturating_sub(NAMED_MAX as u64) {
        0 => Ok(()),
        more => output.line(format_args!("         and {more} more, which --format json names")),
    }
}

fn print_ranges(output: &mut Output, what: &str, ranges: &Listed<PositionRange>) -> Result<(), OutputError> {
    if ranges.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = ranges.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = match ranges.total().saturating_sub(NAMED_MAX as u64) {
        0 => String::new(),
        more => format!(", and {more} ranges more, which --format json names"),
    };
    output.line(format_args!("{what} {}{more}", named.join(", ")))
}

fn describe(damage: &Damage) -> String {
    let intact = match damage.intact {
        Some(Position::NONE) => "no event before it".to_owned(),
        Some(position) => format!("events up to position {position} are before it"),
        None => "how many events are before it is not known".to_owned(),
    };
    let lost = match damage.events_lost {
        Some(0) => "no event is lost by it".to_owned(),
        Some(lost) => format!("{} can't be read", count(lost, "event")),
        None => "how many events can't be read is not known".to_owned(),
    };
    format!("{}, offset {}: {} ({intact}; {lost})", damage.path.display(), damage.offset, damage.reason)
}
