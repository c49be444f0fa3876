//! Power cuts, kills and failing syncs on the simulated disk: what was acknowledged is there, whole.

#![allow(missing_docs, reason = "a test's name says what it shows")]

use std::{
    io::{self, Write},
    num::NonZero,
    panic::resume_unwind,
    thread,
};

use annals::{Durability, SimulationCounts, simulate, simulate_every_operation};

/// How many lives a store lives by chance.
const SEEDS: u64 = 20_000;

/// How many straight lives are cut at every operation.
const STRAIGHT_LIVES: u64 = 4;

/// Prints past the test harness, which keeps what tests print to itself.
fn say(what: &str, counts: SimulationCounts) -> io::Result<()> {
    let SimulationCounts { cuts, openings, events, looks, .. } = counts;
    writeln!(
        io::stderr(),
        "{what}: {cuts} cuts, {openings} openings, {events} events found, {looks} looks by followers, 0 lost"
    )
}

/// Lives all of some seeds; a failure names the command that repeats it.
fn live(seeds: impl Iterator<Item = u64>) -> SimulationCounts {
    let mut counts = SimulationCounts::default();
    for seed in seeds {
        match simulate(seed) {
            Ok(more) => counts.add(more),
            Err(what) => panic!("{what}\nagain: ANNALS_SEED={seed} cargo test --test crash no_seed"),
        }
    }
    counts
}

#[test]
fn no_seed_loses_an_acknowledged_event() -> io::Result<()> {
    let seed: Option<u64> = std::env::var("ANNALS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = seed.map_or(0..SEEDS, |seed| seed..seed + 1);
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    let mut counts = SimulationCounts::default();
    thread::scope(|scope| {
        let share = |worker| {
            scope.spawn({
                let seeds = seeds.clone().skip(worker).step_by(workers);
                move || live(seeds)
            })
        };
        for worker in (0..workers).map(share).collect::<Vec<_>>() {
            counts.add(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    say("lives by chance", counts)
}

fn check_every_operation(durability: Durability) -> io::Result<()> {
    let mut counts = SimulationCounts::default();
    for seed in 0..STRAIGHT_LIVES {
        match simulate_every_operation(durability, seed) {
            Ok(more) => counts.add(more),
            Err(what) => panic!("{what}"),
        }
    }
    say(&format!("cut at every operation, {durability:?}"), counts)
}

#[test]
fn a_cut_at_any_operation_loses_nothing_with_fsync() -> io::Result<()> {
    check_every_operation(Durability::Fsync)
}

#[test]
fn a_cut_at_any_operation_loses_nothing_that_was_synced_when_buffered() -> io::Result<()> {
    check_every_operation(Durability::Buffered)
}
