//! The summary as text and as JSON.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    arguments::Format,
    output::{Output, OutputError, count},
    selftest::{totals::Totals, work::Goal},
};

const CANT_SHOW: &str =
    "not shown: disks that say they have what they haven't, and the real kernel and file system";

/// The summary as JSON.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    version: &'static str,
    threads: usize,
    seconds: f64,
    is_interrupted: bool,
    /// The seed of the first life.
    from: u64,
    lives: u64,
    cuts: u64,
    cuts_per_second: f64,
    recoveries_cut: u64,
    openings: u64,
    events: u64,
    looks: u64,
    operations: u64,
    damage_cases: u64,
    damages: u64,
    damages_per_second: f64,
    refused: u64,
    right: u64,
    residue: u64,
    lost: u64,
    half_commits: u64,
    false_refusals: u64,
    wrong_answers: u64,
}

impl Report {
    /// The summary of what took so long: the damage, and the lives.
    pub(crate) fn new(
        totals: &Totals,
        threads: usize,
        from: u64,
        [damage_time, life_time]: [Duration; 2],
        is_interrupted: bool,
    ) -> Self {
        let counts = totals.counts;
        Self {
            version: env!("CARGO_PKG_VERSION"),
            threads,
            seconds: rounded((damage_time + life_time).as_secs_f64()),
            is_interrupted,
            from,
            lives: totals.lives,
            cuts: counts.cuts,
            cuts_per_second: rate(counts.cuts, life_time),
            recoveries_cut: counts.recoveries_cut,
            openings: counts.openings,
            events: counts.events,
            looks: counts.looks,
            operations: counts.operations,
            damage_cases: totals.damage_cases,
            damages: totals.damages(),
            damages_per_second: rate(totals.damages(), damage_time),
            refused: totals.refused,
            right: totals.right,
            residue: totals.residue,
            lost: totals.lost,
            half_commits: totals.half_commits,
            false_refusals: totals.false_refusals,
            wrong_answers: totals.wrong_answers,
        }
    }
}

/// Prints at once what a run that never comes to its end leaves to begin with.
pub(crate) fn print_head(threads: usize, from: Option<u64>) -> Result<(), OutputError> {
    let mut output = Output::new();
    let threads = count(threads as u64, "thread");
    let seeds = from.map_or_else(String::new, |from| format!(", seeds from {from} on"));
    output.line(format_args!(
        "annals {} on {threads}{seeds}; all of it in memory",
        env!("CARGO_PKG_VERSION")
    ))?;
    output.flush()
}

/// Prints the summary.
pub(crate) fn print(format: Format, report: &Report) -> Result<(), OutputError> {
    Output::new().report(format, report, print_text)
}

fn print_text(output: &mut Output, report: &Report) -> Result<(), OutputError> {
    if report.lives > 0 {
        let Report {
            lives, cuts, cuts_per_second, recoveries_cut, openings, events, looks, operations, ..
        } = report;
        output.line(format_args!(
            "lives      {lives}, of {operations} operations of the disk, any of which may be cut off, fail or be done in part"
        ))?;
        output.line(format_args!(
            "cuts       {cuts} states that a power cut or a kill left were opened and checked, {cuts_per_second:.0}/s; \
             {recoveries_cut} more were cut off again while they were opened"
        ))?;
        output.line(format_args!(
            "found      {events} events at {openings} openings, and {looks} looks by followers"
        ))?;
    }
    if report.damages > 0 {
        let Report { damages, damage_cases, damages_per_second, refused, right, residue, .. } = report;
        output.line(format_args!(
            "damage     {damages} of {damage_cases} cases, to every bit, length and block of stores of 64 KiB, \
             {damages_per_second:.0}/s: {refused} refused, {right} right, {residue} as if the end had never been written"
        ))?;
    }
    let Report { lost, half_commits, false_refusals, wrong_answers, .. } = report;
    output.line(format_args!(
        "wrong      {lost} lost, {half_commits} half commits, {false_refusals} false refusals, {wrong_answers} wrong answers"
    ))?;
    if report.is_interrupted {
        output.line(format_args!("it was interrupted"))?;
    }
    output.line(format_args!("{CANT_SHOW}"))
}

/// How far it is, for a terminal.
pub(crate) fn progress(totals: &Totals, elapsed: Duration, goal: &Goal) -> String {
    let left = match goal.end.map(|end| end.saturating_duration_since(Instant::now())) {
        Some(left) => format!(", {} s left", left.as_secs()),
        None => String::new(),
    };
    if totals.lives == 0 {
        let (damages, cases) = (totals.damages(), totals.damage_cases);
        return format!("damage: {damages} of {cases} cases, {:.0}/s{left}", rate(damages, elapsed));
    }
    let cuts = totals.counts.cuts;
    let of = goal.cuts.map_or_else(String::new, |goal| format!(" of {goal}"));
    format!("{} lives, {cuts}{of} cuts, {:.0}/s{left}", totals.lives, rate(cuts, elapsed))
}

fn rate(number: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { rounded(as_float(number) / time.as_secs_f64()) }
}

#[allow(clippy::cast_precision_loss, reason = "a rate is read to a few digits")]
fn as_float(number: u64) -> f64 {
    number as f64
}

/// To three digits behind the point.
fn rounded(number: f64) -> f64 {
    (number * 1_000.0).round() / 1_000.0
}
