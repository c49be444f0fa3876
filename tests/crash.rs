//! Power cuts, kills and failing disks on the simulated disk: what was acknowledged is there, whole.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{
    io::{self, Write},
    num::NonZero,
    panic::resume_unwind,
    thread,
};

use annals::{
    BrokenPromise, Durability, SimulatedDuration, SimulatedMoment, SimulatedRefusal, SimulationCounts,
    simulate, simulate_every_error, simulate_every_operation, simulate_moment, simulate_nested_recovery,
    simulate_old_frames,
};

/// How many lives a store lives by chance.
const SEEDS: u64 = 15_000;

/// How many straight lives are cut at every operation.
const STRAIGHT_LIVES: u64 = 4;

/// How many lives each moment is cut in.
const MOMENT_LIVES: u64 = 3;

/// How many lives are cut where they go on behind a closing: few operations, of which chance leaves much or little.
const REOPENED_LIVES: u64 = 20;

/// How many lives are cut and have their recovery cut twice.
const NESTED_LIVES: u64 = 5;

/// How many logs lose frames that others then stand in the place of.
const OLD_FRAMES: u64 = 2_000;

const BOTH: [Durability; 2] = [Durability::Fsync, Durability::Buffered];

/// Prints past the test harness, which keeps what tests print to itself.
fn say(what: &str, counts: SimulationCounts) -> io::Result<()> {
    let SimulationCounts { cuts, recoveries_cut, openings, events, looks, .. } = counts;
    writeln!(
        io::stderr(),
        "{what}: {cuts} cuts, {recoveries_cut} more in recoveries, {openings} openings, {events} events found, \
         {looks} looks by followers, 0 lost"
    )
}

/// Lives all of some seeds; a failure names the command that repeats it.
fn live(seeds: impl Iterator<Item = u64>) -> SimulationCounts {
    let mut counts = SimulationCounts::default();
    for seed in seeds {
        match simulate(seed) {
            Ok(more) => counts.add(more),
            Err(broken) => panic!("{broken}\nagain: annals selftest --seed {seed}"),
        }
    }
    counts
}

#[test]
fn no_seed_loses_an_acknowledged_event__F01_F02_F03_F04_F08_F10_F12_F13_F33() -> io::Result<()> {
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let mut counts = SimulationCounts::default();
    thread::scope(|scope| {
        let share = |worker| scope.spawn(move || live((0..SEEDS).skip(worker).step_by(workers)));
        for worker in (0..workers).map(share).collect::<Vec<_>>() {
            counts.add(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    say("lives by chance", counts)
}

/// Adds up what a simulation did for each number below a count.
fn check(
    what: &str,
    count: u64,
    simulation: impl Fn(u64) -> Result<SimulationCounts, BrokenPromise>,
) -> io::Result<()> {
    let mut counts = SimulationCounts::default();
    for number in 0..count {
        counts.add(simulation(number).unwrap_or_else(|broken| panic!("{broken}")));
    }
    say(what, counts)
}

#[test]
fn a_seed_is_the_same_life_each_time() {
    for seed in 0..50 {
        assert_eq!(simulate(seed), simulate(seed), "seed {seed}");
    }
}

#[test]
fn a_cut_at_any_operation_loses_nothing_with_fsync__F02_F05() -> io::Result<()> {
    let cut = |seed| simulate_every_operation(Durability::Fsync, seed);
    check("cut at every operation, Fsync", STRAIGHT_LIVES, cut)
}

#[test]
fn a_cut_at_any_operation_loses_nothing_that_was_synced_when_buffered__F02_F05() -> io::Result<()> {
    let cut = |seed| simulate_every_operation(Durability::Buffered, seed);
    check("cut at every operation, Buffered", STRAIGHT_LIVES, cut)
}

#[test]
fn a_recovery_that_is_cut_and_then_cut_again_leaves_what_an_undisturbed_one_does__F05() -> io::Result<()> {
    for durability in BOTH {
        let cut = |seed| simulate_nested_recovery(durability, seed);
        check(&format!("recovery cut twice, {durability:?}"), NESTED_LIVES, cut)?;
    }
    Ok(())
}

fn check_moment(moment: SimulatedMoment, lives: u64) -> io::Result<()> {
    for durability in BOTH {
        let cut = |seed| simulate_moment(moment, durability, seed);
        check(&format!("{moment:?} cut at every operation, {durability:?}"), lives, cut)?;
    }
    Ok(())
}

#[test]
fn a_store_whose_creation_is_cut_off_anywhere_is_finished_later__F06() -> io::Result<()> {
    check_moment(SimulatedMoment::Creation, MOMENT_LIVES)
}

#[test]
fn a_change_of_segment_that_is_cut_off_anywhere_is_done_or_not__F06() -> io::Result<()> {
    check_moment(SimulatedMoment::SegmentChange, MOMENT_LIVES)
}

#[test]
fn indexing_that_is_cut_off_anywhere_changes_no_answer__F07() -> io::Result<()> {
    check_moment(SimulatedMoment::Indexing, MOMENT_LIVES)
}

#[test]
fn a_mark_that_is_cut_off_anywhere_is_the_old_or_the_new_one__F07() -> io::Result<()> {
    check_moment(SimulatedMoment::Marking, MOMENT_LIVES)
}

#[test]
fn a_closing_that_is_cut_off_anywhere_loses_nothing__F07() -> io::Result<()> {
    check_moment(SimulatedMoment::Closing, MOMENT_LIVES)
}

#[test]
fn the_first_append_behind_a_closing_that_is_cut_off_anywhere_is_done_or_not__F03() -> io::Result<()> {
    check_moment(SimulatedMoment::Reopening, REOPENED_LIVES)
}

#[test]
fn an_old_frame_from_before_a_cut_never_comes_back__F21() -> io::Result<()> {
    check("frames in the place of lost ones", OLD_FRAMES, simulate_old_frames)
}

fn check_errors(refusal: SimulatedRefusal) -> io::Result<()> {
    for durability in BOTH {
        for duration in [SimulatedDuration::Once, SimulatedDuration::Forever] {
            let what = format!("errors {refusal:?}, {duration:?}, at every operation, {durability:?}");
            check(&what, 1, |seed| simulate_every_error(refusal, duration, durability, seed))?;
        }
    }
    Ok(())
}

#[test]
fn whichever_sync_fails_nothing_is_acknowledged_until_reopened__F10_F14() -> io::Result<()> {
    check_errors(SimulatedRefusal::OfSyncs)
}

#[test]
fn whichever_sync_of_a_directory_fails_nothing_is_lost__F11_F14() -> io::Result<()> {
    check_errors(SimulatedRefusal::OfDirectorySyncs)
}

#[test]
fn whichever_operation_fails_nothing_is_lost_and_every_caller_hears__F12_F13_F14() -> io::Result<()> {
    check_errors(SimulatedRefusal::OfOthers)
}
