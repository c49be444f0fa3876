//! `annals selftest`: the engine of this program on simulated disks whose power is cut, and a store whose bytes are damaged.
//!
//! Everything is in memory. Each life and each case of damage follows from its number alone, so that what fails can be
//! repeated by one command.
//!
//! ```text
//! work     lives and cases of damage on all cores, until the time is over or something is wrong
//! totals   what was done, and what was wrong
//! report   the summary as text and as JSON
//! ```

mod report;
mod totals;
mod work;

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use annals::{Surgery, simulate};

use crate::{
    arguments::Format,
    interrupt::Stop,
    output::Output,
    selftest::{
        report::{Report, print},
        totals::{Failure, Totals},
        work::{Goal, guarded, operate, work},
    },
    selftest_arguments::SelftestArguments,
};

/// How long the log is of the store that is damaged, in bytes.
const LOG_BYTES: u64 = 64 << 10;

/// How many cases of damage lie between one and the next: a prime, so that a run that ends early has met all kinds.
const DAMAGE_STRIDE: u64 = 1_000_003;

pub(crate) fn run(arguments: &SelftestArguments) -> anyhow::Result<()> {
    if let Some(seed) = arguments.seed {
        return repeat_life(seed, arguments.format);
    }
    if let Some(case) = arguments.damage {
        return repeat_damage(case, arguments.format);
    }
    let stop = Stop::at_interrupt()?;
    let from = arguments.from().unwrap_or_else(seed_of_now);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    if arguments.format == Format::Text {
        report::print_head(threads, arguments.does_cuts().then_some(from))?;
    }
    let mut totals = Totals::default();
    let mut failure = None;
    let (mut damage_time, mut life_time) = (Duration::ZERO, Duration::ZERO);
    let surgery = arguments.does_damage().then(|| Surgery::new(LOG_BYTES));
    // To make the stores takes none of the time.
    let begun = Instant::now();
    if let Some(surgery) = &surgery {
        let cases = surgery.cases();
        totals.damage_cases = cases;
        let phase = Instant::now();
        let goal = Goal { numbers: Some(cases), cuts: None, end: end_of(phase, arguments.damage_time()) };
        let case = |number: u64| scattered(number, cases);
        failure = work(threads, &goal, &stop, &mut totals, |number| operate(surgery, case(number)))?;
        damage_time = phase.elapsed();
    }
    if arguments.does_cuts() && failure.is_none() && !stop.is_asked() {
        let phase = Instant::now();
        let end = end_of(begun, arguments.time());
        let goal = Goal { numbers: arguments.lives, cuts: arguments.cuts, end };
        failure = work(threads, &goal, &stop, &mut totals, |number| live(from.wrapping_add(number)))?;
        life_time = phase.elapsed();
    }
    let report = Report::new(&totals, threads, from, [damage_time, life_time], stop.is_asked());
    end(arguments.format, &report, failure)
}

/// Prints the summary; what was wrong is the news.
fn end(format: Format, report: &Report, failure: Option<Failure>) -> anyhow::Result<()> {
    let printed = print(format, report);
    match failure {
        Some(failure) => Err(failure.into()),
        None => Ok(printed?),
    }
}

/// Lives one life.
fn live(seed: u64) -> Result<Totals, Failure> {
    guarded(format!("seed {seed}"), format!("annals selftest --seed {seed}"), || simulate(seed))
        .map(Totals::of_life)
}

fn repeat_life(seed: u64, format: Format) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (totals, failure) = match live(seed) {
        Ok(totals) => (totals, None),
        Err(failure) => {
            let mut totals = Totals::default();
            totals.note(&failure);
            (totals, Some(failure))
        }
    };
    let report = Report::new(&totals, 1, seed, [Duration::ZERO, begun.elapsed()], false);
    end(format, &report, failure)
}

fn repeat_damage(case: u64, format: Format) -> anyhow::Result<()> {
    let surgery = Surgery::new(LOG_BYTES);
    let cases = surgery.cases();
    anyhow::ensure!(case < cases, "there are {cases} cases of damage, from 0 to {}", cases - 1);
    let done = operate(&surgery, case)?;
    let answer = match (done.refused, done.right) {
        (1, _) => "refused",
        (_, 1) => "right",
        _ => "residue",
    };
    let mut output = Output::new();
    match format {
        Format::Json => output.json(&serde_json::json!({ "case": case, "answer": answer }))?,
        Format::Text => output.line(format_args!("case {case}: {}: {answer}", surgery.describe(case)))?,
    }
    Ok(output.flush()?)
}

/// A number of all cases for each number below their count, far from that of the number before.
fn scattered(number: u64, cases: u64) -> u64 {
    // A stride that the count is no multiple of meets each case once.
    let stride = (DAMAGE_STRIDE..2 * DAMAGE_STRIDE).find(|stride| are_coprime(*stride, cases)).unwrap_or(1);
    let scaled = u128::from(number) * u128::from(stride) % u128::from(cases);
    u64::try_from(scaled).unwrap_or(0)
}

fn are_coprime(mut one: u64, mut other: u64) -> bool {
    while other > 0 {
        (one, other) = (other, one % other);
    }
    one == 1
}

fn end_of(begun: Instant, time: Option<Duration>) -> Option<Instant> {
    time.and_then(|time| begun.checked_add(time))
}

/// A seed that no earlier run began with, as a rule; short enough to be typed.
fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_secs().wrapping_mul(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_case_has_one_number() {
        for cases in [1, 2, 97, DAMAGE_STRIDE, 5 * DAMAGE_STRIDE / 3] {
            let checked = cases.min(2_000);
            let mut met: Vec<u64> = (0..checked).map(|number| scattered(number, cases)).collect();
            met.sort_unstable();
            met.dedup();
            assert_eq!(met.len() as u64, checked, "{cases}");
            assert!(met.iter().all(|case| *case < cases), "{cases}");
        }
    }
}
