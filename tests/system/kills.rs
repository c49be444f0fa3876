//! kill -9 at every system call: a program is killed as it enters the first of a kind, the second, and so on.

use std::path::Path;

use crate::{
    Outcome,
    job::{Job, Role},
    ledger::Ledger,
    mix::mix,
    repairs::Original,
    say, strace,
};

/// The calls by which a store touches its files, or its own threads and memory.
const CALLS: &[&str] = &[
    "openat",
    "mkdir",
    "pwrite64",
    "pread64",
    "fdatasync",
    "fsync",
    "ftruncate",
    "fallocate",
    "rename",
    "unlink",
    "link",
    "flock",
    "fcntl",
    "mmap",
    "munmap",
    "msync",
    "madvise",
    "fstat",
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
    call: &'static str,
    nth: u64,
    job: Job,
}

pub(crate) fn run(sample: u64) -> Outcome<()> {
    if let Some(obstacle) = strace::obstacle() {
        return say(format!("kills: skipped, {obstacle}"));
    }
    let (mut kills, mut stored) = (0_u64, 0);
    for call in CALLS {
        let mut nth = 1;
        loop {
            let directory = tempfile::tempdir()?;
            let case = Case { directory: directory.path(), call, nth, job: job(directory.path(), nth) };
            let lived = case.live().map_err(|error| format!("killed at {call} {nth}: {error}"))?;
            let Some((more_kills, more_stored)) = lived else { break };
            (kills, stored) = (kills + more_kills, stored + more_stored);
            nth += sample;
        }
    }
    say(format!(
        "kills at system calls: {kills} kills at {} calls, {stored} commits stored, 0 lost",
        CALLS.len()
    ))?;
    repairs(sample)
}

/// A repair of a damaged store is killed at each call.
fn repairs(sample: u64) -> Outcome<()> {
    let original = Original::make()?;
    let mut kills = 0_u64;
    for call in CALLS {
        let mut nth = 1;
        loop {
            let damaged = original.damage(nth)?;
            let fault = format!("{call}:signal=KILL:when={nth}");
            let directory = tempfile::tempdir()?;
            let lived = strace::run(&damaged.job, &fault, &directory.path().join("notes"))?;
            let checked = if lived.is_stuck { Err("it hung".into()) } else { original.check(&damaged) };
            checked.map_err(|error| format!("a repair killed at {call} {nth}: {error}"))?;
            if !lived.is_met {
                break;
            }
            kills += 1;
            nth += sample;
        }
    }
    say(format!("kills at system calls: {kills} repairs killed, 0 events lost that could be read"))
}

fn job(directory: &Path, nth: u64) -> Job {
    Job {
        role: Role::Write,
        store: directory.join("store"),
        backup: directory.join("backup"),
        first: 1,
        commits: COMMITS,
        threads: 1,
        is_buffered: nth.is_multiple_of(3),
        segment_bytes: 4 << 10,
    }
}

impl Case<'_> {
    /// Programs write one after another, and each is killed. None: the first of them met its end before the call came.
    fn live(&self) -> Outcome<Option<(u64, u64)>> {
        let mut ledger = Ledger::default();
        let first = self.kill(&mut ledger, &self.job, self.nth)?;
        if first == 0 {
            return Ok(None);
        }
        // What comes after it is killed as well, at some call of its own: first a recovery, then more commits.
        let chance = mix(self.nth);
        let opening = Job { role: Role::Open, ..self.job.clone() };
        let second = self.kill(&mut ledger, &opening, 1 + chance % 12)?;
        let going_on = Job { first: 1_000, ..self.job.clone() };
        let third = self.kill(&mut ledger, &going_on, 1 + chance / 16 % 40)?;
        ledger.check(&self.job.store)?;
        Ok(Some((first + second + third, ledger.commits())))
    }

    /// Returns 1, if the program was killed.
    fn kill(&self, ledger: &mut Ledger, job: &Job, nth: u64) -> Outcome<u64> {
        let fault = format!("{}:signal=KILL:when={nth}", self.call);
        let lived = strace::run(job, &fault, &self.directory.join("notes"))?;
        ledger.note(&lived.told)?;
        if lived.is_stuck {
            return Err(format!("it hung: {}", lived.ending).into());
        }
        Ok(u64::from(lived.is_met))
    }
}
