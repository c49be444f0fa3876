//! A cut at every operation of a life, and at every operation of the recovery behind it.

use std::path::PathBuf;

use crate::{
    disk::sim::{random::Random, simulated::SimDisk},
    options::{Durability, SEGMENT_BYTES_MIN},
    simulation::{
        failure::BrokenPromise,
        scenario::{Run, SimulationCounts, refuse_corruption},
        session::options,
        watcher::Watcher,
    },
};

/// How many operations a straight life has, about.
const OPERATIONS_ABOUT: usize = 80;

/// How many turns of the writer a straight life has.
const TURNS: usize = 4;

/// A seed of its own for each number below a seed.
pub(crate) fn mixed(seed: u64, number: u64) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(number)
}

/// Cuts the power at every operation of a life that makes a store and crosses segments, and again at every
/// operation of the recovery that follows; by a seed, which also says what each cut leaves.
///
/// # Errors
///
/// What didn't hold, and where the cut was.
pub fn simulate_every_operation(
    durability: Durability,
    seed: u64,
) -> Result<SimulationCounts, BrokenPromise> {
    let mut counts = SimulationCounts::default();
    for nth in 1.. {
        let at = |broken: BrokenPromise| {
            broken.at(format_args!("cut at operation {nth} of seed {seed}, {durability:?}"))
        };
        let mut run = Run::new(SimDisk::new(mixed(seed, nth)));
        // A follower syncs what it shows beside no writer: every second life goes without.
        run.watcher = (nth % 2 == 1).then(Watcher::default);
        run.disk.cut_at(nth);
        live_straight(&mut run, durability, seed).map_err(at)?;
        let was_cut = run.disk.is_cut();
        run.cut_power();
        recover_cut_at_every_operation(&mut run, durability).map_err(at)?;
        counts.add(run.counts());
        if !was_cut {
            break;
        }
    }
    Ok(counts)
}

/// Cuts the power at an operation of the same life, by the seed; then at every operation of the recovery behind that;
/// and then at every operation of the recovery behind that one. Each time the result is that of a recovery that nothing
/// interrupts.
///
/// # Errors
///
/// What didn't hold, and where the cuts were.
pub fn simulate_nested_recovery(
    durability: Durability,
    seed: u64,
) -> Result<SimulationCounts, BrokenPromise> {
    let nth = 1 + Random::new(seed).below(OPERATIONS_ABOUT) as u64;
    let at = |broken: BrokenPromise| {
        broken.at(format_args!("cut at operation {nth} of seed {seed}, {durability:?}"))
    };
    let mut run = Run::new(SimDisk::new(seed));
    run.disk.cut_at(nth);
    live_straight(&mut run, durability, seed).map_err(at)?;
    run.cut_power();
    let mut counts = SimulationCounts::default();
    recover_twice_nested(&run, durability, &mut counts).map_err(at)?;
    Ok(counts)
}

/// A fixed life that makes a store, crosses segments, does every job, and closes.
pub(crate) fn live_straight(run: &mut Run, durability: Durability, seed: u64) -> Result<(), BrokenPromise> {
    let mut random = Random::new(seed);
    let Ok(mut session) = run.open(&options(durability, SEGMENT_BYTES_MIN))? else {
        return Ok(());
    };
    for _ in 0..TURNS {
        run.watch(durability)?;
        let goes_on = session.append(&mut random, &mut run.history)?;
        run.watch(durability)?;
        let job = session.choose_job(&mut random);
        if !goes_on || !session.run_job(job, &mut run.history) {
            return Ok(());
        }
    }
    session.close(&mut run.history);
    run.watch_alone()
}

/// Opens again and again, cut one operation later each time, until an opening comes through.
fn recover_cut_at_every_operation(run: &mut Run, durability: Durability) -> Result<(), BrokenPromise> {
    for nth in 1.. {
        run.watch_alone()?;
        let is_open = open_cut_at(run, durability, nth)?;
        run.cut_power();
        if is_open {
            break;
        }
    }
    run.check_whole(durability)
}

/// Opens the store with a cut at an operation, and says whether it was open before it.
fn open_cut_at(run: &mut Run, durability: Durability, nth: u64) -> Result<bool, BrokenPromise> {
    let at = |broken: BrokenPromise| broken.at(format_args!("recovery cut at operation {nth}"));
    run.disk.cut_at(nth);
    match run.open(&options(durability, SEGMENT_BYTES_MIN)).map_err(at)? {
        Ok(_) => Ok(true),
        Err(error) => refuse_corruption(&error).map_err(at).map(|()| false),
    }
}

/// What a recovery leaves: how many events, and the bytes of the log.
#[derive(PartialEq, Eq)]
struct Outcome {
    events: usize,
    log: Vec<(PathBuf, Vec<u8>)>,
}

fn recover_twice_nested(
    left: &Run,
    durability: Durability,
    counts: &mut SimulationCounts,
) -> Result<(), BrokenPromise> {
    let mut undisturbed = left.fork(0);
    let expected = recover(&mut undisturbed, durability)?;
    for first in 1.. {
        let mut once = left.fork(first);
        open_cut_at(&mut once, durability, first)?;
        let was_cut = once.disk.is_cut();
        once.cut_power();
        for second in 1.. {
            let at = |broken: BrokenPromise| {
                broken.at(format_args!("recovery cut at operation {first}, and the next at {second}"))
            };
            let mut twice = once.fork(mixed(first, second));
            open_cut_at(&mut twice, durability, second).map_err(at)?;
            let was_cut_again = twice.disk.is_cut();
            twice.cut_power();
            if recover(&mut twice, durability).map_err(at)? != expected {
                return Err(at("it leaves another log than without a cut".to_owned().into()));
            }
            counts.add(twice.counts());
            if !was_cut_again {
                break;
            }
        }
        if !was_cut {
            break;
        }
    }
    Ok(())
}

/// Recovers without a cut.
fn recover(run: &mut Run, durability: Durability) -> Result<Outcome, BrokenPromise> {
    drop(run.open_whole(durability)?);
    Ok(Outcome { events: run.history.len(), log: run.log_bytes() })
}
