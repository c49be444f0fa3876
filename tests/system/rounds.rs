//! Writers, followers, backups and repairs that are killed at random times, over and over.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    child::{Running, Told},
    job::{Job, Role},
    ledger::{Beyond, Ledger, judge},
    mix::mix,
    repairs::Original,
    say,
};

/// How many are enough to see that all works.
pub(crate) const ROUNDS_SHORT: u64 = 12;

/// After so many rounds a store is big enough to begin with another.
const ROUNDS_A_STORE: u64 = 25;

/// Room for the numbers of a round's commits.
const NUMBERS_A_ROUND: u64 = 1 << 20;

/// So many repairs, and one was killed amid its changes.
const ROUNDS_TELLING: u64 = 100;

/// In one of so many rounds the follower and the backup get somewhere before anybody is killed, and nobody kills the recovery.
const ROUNDS_AN_AWAITED: u64 = 8;

/// Who is killed in a round; the others are killed behind it, in whatever order.
const VICTIMS: [Role; 4] = [Role::Write, Role::Follow, Role::BackUp, Role::Open];

/// What was done, by each of them.
#[derive(Default)]
struct Counts {
    kills: [u64; VICTIMS.len()],
    /// How many got somewhere: a follower was shown events, a backup was made. A role that never does shows nothing by its end.
    arrivals: [u64; VICTIMS.len()],
}

pub(crate) fn run(rounds: u64) -> Outcome<()> {
    let mut counts = Counts::default();
    repairs(rounds)?;
    let mut done = 0;
    let mut stored = 0;
    while done < rounds {
        let directory = tempfile::tempdir()?;
        let mut ledger = Ledger::default();
        for nth in done..rounds.min(done + ROUNDS_A_STORE) {
            live(directory.path(), nth, &mut ledger, &mut counts)
                .map_err(|error| format!("round {nth}: {error}"))?;
        }
        stored += ledger.commits();
        done += ROUNDS_A_STORE;
    }
    if let Some(at) = counts.arrivals.iter().position(|arrivals| *arrivals == 0) {
        return Err(format!("in {rounds} rounds nobody with the role {:?} got anywhere", VICTIMS[at]).into());
    }
    let [writers, followers, backups, openings] = counts.kills;
    say(format!(
        "rounds of kill -9: {rounds} rounds, {writers} writers, {followers} followers, {backups} backups and {openings} \
         recoveries killed, {stored} commits stored, 0 lost"
    ))
}

/// Kills repairs of a damaged store, over and over.
fn repairs(rounds: u64) -> Outcome<()> {
    let original = Original::make()?;
    let whole_micros = undisturbed_micros(&original)?;
    let mut changing = 0;
    for nth in 0..rounds {
        let damaged = original.damage(nth)?;
        let mut repair = Running::start(&damaged.job, &[])?;
        repair.wait_for(1)?;
        pause(nth, whole_micros);
        let told = repair.kill()?;
        judge(&told, &[]).map_err(|error| format!("repair {nth}: {error}"))?;
        let is_done = told.iter().any(|told| matches!(told, Told::Closed));
        changing += u64::from(!is_done && damaged.job.store.join("quarantine").exists());
        original.check(&damaged).map_err(|error| format!("repair {nth}: {error}"))?;
    }
    if rounds >= ROUNDS_TELLING && changing == 0 {
        return Err("no repair was killed while it changed anything: the pauses are wrong".into());
    }
    say(format!(
        "rounds of kill -9: {rounds} repairs killed, {changing} of them amid their changes, 0 events lost that could be read"
    ))
}

/// How long a repair takes that nobody kills, from its beginning, in microseconds.
fn undisturbed_micros(original: &Original) -> Outcome<u64> {
    let damaged = original.damage(0)?;
    let mut repair = Running::start(&damaged.job, &[])?;
    repair.wait_for(1)?;
    let begin = Instant::now();
    let (told, status) = repair.end()?;
    if !matches!(told.last(), Some(Told::Closed)) {
        return Err(format!("a repair that nobody kills: {status}, told at last: {:?}", told.last()).into());
    }
    Ok(u64::try_from(begin.elapsed().as_micros())?.max(1))
}

/// Waits a moment by chance.
fn pause(chance: u64, micros_max: u64) {
    let (pause, begin) = (Duration::from_micros(mix(chance) % micros_max), Instant::now());
    while begin.elapsed() < pause {
        std::thread::yield_now();
    }
}

/// One round. Nothing is made to fail, and the writer has begun before the others do: so nobody is refused anything.
fn live(directory: &Path, nth: u64, ledger: &mut Ledger, counts: &mut Counts) -> Outcome<()> {
    let job = Job {
        first: (nth + 1) * NUMBERS_A_ROUND,
        threads: 1 + mix(nth) % 4,
        is_buffered: nth.is_multiple_of(3),
        segment_bytes: [4 << 10, 64 << 10][usize::from(nth.is_multiple_of(2))],
        ..Job::within(directory, Role::Write, NUMBERS_A_ROUND)
    };
    let as_role = |role| Running::start(&Job { role, ..job.clone() }, &[]);
    let mut writer = as_role(Role::Write)?;
    writer.wait_for(2 + mix(nth ^ 1) % 20)?;
    let (mut follower, mut saver) = (as_role(Role::Follow)?, as_role(Role::BackUp)?);
    // Of both the second word is that they got somewhere, as the opening's is that it is done.
    let awaited = if nth.is_multiple_of(ROUNDS_AN_AWAITED) { 2 } else { 0 };
    follower.wait_for(awaited)?;
    saver.wait_for(awaited)?;
    pause(nth ^ 2, 30_000);
    let mut running = vec![(0, writer), (1, follower), (2, saver)];
    while !running.is_empty() {
        let victim = usize::try_from(mix(nth ^ 3) % 3)? % running.len();
        let (role, process) = running.swap_remove(victim);
        let told = process.kill()?;
        note(ledger, role, &told, counts)?;
        counts.kills[role] += 1;
        pause(nth ^ 4, 2_000);
    }
    let mut opening = as_role(Role::Open)?;
    opening.wait_for(awaited.max(1))?;
    pause(nth ^ 5, 3_000);
    let told = opening.kill()?;
    counts.kills[3] += u64::from(!told.iter().any(|told| matches!(told, Told::Closed)));
    note(ledger, 3, &told, counts)?;
    let found = ledger.check(&job.store)?;
    // A kill takes nothing that was written, with whichever durability.
    ledger.check_backup(&job.backup, &found, Beyond::Nothing)
}

/// Notes what somebody told, and whether that got anywhere.
fn note(ledger: &mut Ledger, role: usize, told: &[Told], counts: &mut Counts) -> Outcome<()> {
    ledger.note(told).map_err(|error| format!("{:?}: {error}", VICTIMS[role]))?;
    counts.arrivals[role] += u64::from(told.iter().any(|told| !matches!(told, Told::Begun)));
    Ok(())
}
