//! `annals verify`: every byte of the store, read and compared.

use std::path::Path;

use annals::{Damage, Extent, Listed, Position, PositionRange, Progress, Verification};

use crate::{
    arguments::{Format, VerifyArguments},
    failure::Damaged,
    interrupt::Stopped,
    opening,
    output::{self, Output, OutputError, count},
    progress::showing_progress,
};

/// How many entries of a list are printed as text; JSON has all that the library names.
const NAMED_MAX: usize = 20;

pub(crate) fn run(store: &Path, arguments: &VerifyArguments) -> anyhow::Result<()> {
    let mut reached = None;
    let verified = showing_progress(|tell| {
        annals::verify(store, &mut |progress| {
            reached = Some(progress);
            tell(progress)
        })
    });
    let verification = opening::explain_missing(verified)?;
    let printed = print(store, arguments.format, &verification);
    if !verification.is_whole() {
        // Damage is the news, also where nobody reads the rest.
        return Err(Damaged::of(store, verification.damage.total()).into());
    }
    printed?;
    match reached {
        Some(reached) if verification.extent == Extent::Stopped => Err(stopped(reached).into()),
        _ => Ok(()),
    }
}

fn stopped(reached: Progress) -> Stopped {
    let Progress { bytes, bytes_total, .. } = reached;
    Stopped(format!(
        "stopped after {bytes} of {bytes_total} bytes: what follows wasn't looked at; verify again to look at all of it"
    ))
}

fn print(store: &Path, format: Format, verification: &Verification) -> Result<(), OutputError> {
    let mut output = Output::new();
    match format {
        Format::Json => output.line(format_args!("{}", verification.to_json()))?,
        Format::Text => print_text(store, verification, &mut output)?,
    }
    output.flush()
}

fn print_text(store: &Path, verification: &Verification, output: &mut Output) -> Result<(), OutputError> {
    print_list(output, &verification.damage, |damage| format!("damaged  {}", describe(damage)))?;
    print_ranges(output, "lost     positions", &verification.lost)?;
    print_list(output, &verification.lost_versions, |lost| format!("lost     {lost}"))?;
    print_list(output, &verification.lost_ids, |lost| format!("lost     seemingly {lost}"))?;
    if !verification.is_whole() {
        print_ranges(output, "intact   positions", &verification.intact)?;
    }
    print_list(output, &verification.findings, |finding| {
        let path = finding.path.display();
        let kind = finding.kind.to_string();
        format!("{kind:<8} {path}: {}; {}", finding.reason, finding.consequence())
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
        Extent::Stopped => ", as far as it was looked at",
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
    match more(items) {
        Some(more) => output.line(format_args!("         and {more}")),
        None => Ok(()),
    }
}

/// How many entries the text doesn't name, and where they are; none: it names all.
fn more<T>(items: &Listed<T>) -> Option<String> {
    let more = items.total().checked_sub(NAMED_MAX as u64).filter(|more| *more > 0)?;
    Some(match items.unnamed() {
        0 => format!("{more} more, which --format json names"),
        unnamed => format!("{more} more, of which --format json names {}", more - unnamed),
    })
}

fn print_ranges(output: &mut Output, what: &str, ranges: &Listed<PositionRange>) -> Result<(), OutputError> {
    if ranges.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = ranges.iter().take(NAMED_MAX).map(ToString::to_string).collect();
    let more = more(ranges).map_or(String::new(), |more| format!(", and {more}"));
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
