//! kill -9 at every system call: a program is killed as it enters the first of a kind, the second, and so on.

use std::path::Path;

use crate::{
    Outcome,
    job::{Job, Role},
    ledger::{Ledger, judge},
    mix::mix,
    repairs::Original,
    say,
    strace::{self, Kind, Kinds, Loading, ROOM},
};

/// The calls by which a store touches its files, or its own threads and memory.
const CALLS: &[Kind] = &[
    "openat",
    "?mkdir,?mkdirat",
    "pwrite64",
    "pread64",
    "fdatasync",
    "fsync",
    "ftruncate",
    ROOM,
    "?rename,?renameat,?renameat2",
    "?unlink,?unlinkat",
    "?link,?linkat",
    "flock",
    "mmap",
    "munmap",
    "madvise",
    "?fstat,?newfstatat",
    "statx",
    "getdents64",
    "close",
    "futex",
    "clone3",
    "write",
];

/// How many commits a program makes, if it isn't killed before.
const COMMITS: u64 = 16;

/// A program, killed at one call.
struct Case<'a> {
    directory: &'a Path,
    call: Kind,
    nth: u64,
    /// The first occurrence that is the store's.
    first: u64,
    job: Job,
}

pub(crate) fn run(sample: u64) -> Outcome<()> {
    if let Some(obstacle) = strace::obstacle() {
        return say(format!("kills: skipped, {obstacle}"));
    }
    let (loading, mut kinds) = (Loading::watched()?, Kinds::of(CALLS.iter().copied()));
    let (mut kills, mut stored) = (0_u64, 0);
    for call in CALLS {
        let first = loading.first_behind(call);
        let mut nth = first;
        loop {
            let directory = tempfile::tempdir()?;
            let job = job(directory.path(), call, nth);
            let case = Case { directory: directory.path(), call, nth, first, job };
            let lived = case.live(&mut kinds).map_err(|error| format!("killed at {call} {nth}: {error}"))?;
            let Some((more_kills, more_stored)) = lived else { break };
            (kills, stored) = (kills + more_kills, stored + more_stored);
            nth += sample;
        }
    }
    let repairs = repairs(sample, &loading, &mut kinds)?;
    say(format!(
        "kills at system calls: {kills} programs killed, {stored} commits stored, 0 lost; {repairs} repairs killed, 0 events lost \
         that could be read; {} kinds of calls, each met",
        kinds.all_met()?
    ))
}

/// A repair of a damaged store is killed at each call.
fn repairs(sample: u64, loading: &Loading, kinds: &mut Kinds) -> Outcome<u64> {
    let original = Original::make()?;
    let mut kills = 0_u64;
    for call in CALLS {
        let mut nth = loading.first_behind(call);
        loop {
            let damaged = original.damage(nth)?;
            let fault = format!("{call}:signal=KILL:when={nth}");
            let directory = tempfile::tempdir()?;
            let lived = strace::run(&damaged.job, &fault, &directory.path().join("notes"))?;
            let checked = lived.judge_ending().and_then(|()| judge(&lived.told, &[]));
            let checked = checked.and_then(|()| original.check(&damaged));
            checked.map_err(|error| format!("a repair killed at {call} {nth}: {error}"))?;
            kinds.note(call, &lived);
            if !lived.is_met {
                break;
            }
            kills += 1;
            nth += sample;
        }
    }
    Ok(kills)
}

fn job(directory: &Path, call: Kind, nth: u64) -> Job {
    Job {
        is_buffered: nth.is_multiple_of(3),
        segment_bytes: strace::segment_bytes(call),
        ..Job::within(directory, Role::Write, COMMITS)
    }
}

impl Case<'_> {
    /// Programs write one after another, and each is killed. None: the first of them met its end before the call came.
    fn live(&self, kinds: &mut Kinds) -> Outcome<Option<(u64, u64)>> {
        let mut ledger = Ledger::default();
        let first = self.kill(&mut ledger, &self.job, self.nth, kinds)?;
        if first == 0 {
            return Ok(None);
        }
        // What comes after it is killed as well, at some call of its own: first a recovery, then more commits.
        let chance = mix(self.nth);
        let opening = Job { role: Role::Open, ..self.job.clone() };
        let second = self.kill(&mut ledger, &opening, self.first + chance % 12, kinds)?;
        let going_on = Job { first: 1_000, ..self.job.clone() };
        let third = self.kill(&mut ledger, &going_on, self.first + chance / 16 % 40, kinds)?;
        ledger.check(&self.job.store)?;
        Ok(Some((first + second + third, ledger.commits())))
    }

    /// Returns 1, if the program was killed.
    fn kill(&self, ledger: &mut Ledger, job: &Job, nth: u64, kinds: &mut Kinds) -> Outcome<u64> {
        let fault = format!("{}:signal=KILL:when={nth}", self.call);
        let lived = strace::run(job, &fault, &self.directory.join("notes"))?;
        ledger.note(&lived.told)?;
        lived.judge_ending()?;
        kinds.note(self.call, &lived);
        Ok(u64::from(lived.is_met))
    }
}
