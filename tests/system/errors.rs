//! System calls that fail, once or from then on, with each error that the system has for them.

use std::path::Path;

use crate::{
    Outcome,
    child::Told,
    job::{Job, Role},
    ledger::Ledger,
    say, strace,
};

/// Calls, and what they may fail with.
const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "ENOMEM", "EIO", "EINTR"]),
    ("mkdir", &["ENOSPC", "EROFS", "EACCES"]),
    ("pwrite64", &["ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EINTR", "EAGAIN"]),
    ("pread64", &["EIO", "EINTR", "ENOMEM"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("ftruncate", &["EIO", "EFBIG", "EINTR", "EROFS"]),
    ("fallocate", &["ENOSPC", "EOPNOTSUPP", "EFBIG", "EINTR", "EIO"]),
    ("rename", &["ENOSPC", "EDQUOT", "EROFS", "EIO"]),
    ("unlink", &["EROFS", "EACCES", "EIO"]),
    ("flock", &["ENOLCK", "EINTR", "EIO"]),
    ("mmap", &["ENOMEM", "EAGAIN"]),
    ("fstat", &["EIO", "ENOMEM"]),
    ("statx", &["EIO", "ENOMEM", "EACCES"]),
    ("getdents64", &["EIO"]),
    ("clone3", &["EAGAIN", "ENOMEM"]),
];

const COMMITS: u64 = 14;

#[derive(Default)]
struct Counts {
    faults: u64,
    /// In which something was refused.
    refused: u64,
    /// In which the program had no memory to go on with, as `malloc` itself had none.
    aborted: u64,
    stored: u64,
}

pub(crate) fn run(sample: u64) -> Outcome<()> {
    if let Some(obstacle) = strace::obstacle() {
        return say(format!("errors: skipped, {obstacle}"));
    }
    let mut counts = Counts::default();
    for (call, errors) in CALLS {
        for error in *errors {
            for ending in ["", "+"] {
                // Who is interrupted tries again, for as long as it takes.
                if ending == "+" && matches!(*error, "EINTR" | "EAGAIN") {
                    continue;
                }
                run_one(&format!("{call}:error={error}"), ending, sample, &mut counts)?;
            }
        }
    }
    let Counts { faults, refused, aborted, stored } = counts;
    say(format!(
        "errors of system calls: {faults} faults of {} calls, {refused} refused something, {aborted} had no memory to go on, \
         {stored} commits stored, 0 lost",
        CALLS.len()
    ))
}

/// Every occurrence of a call fails in turn.
fn run_one(fault: &str, ending: &str, sample: u64, counts: &mut Counts) -> Outcome<()> {
    let mut nth = 1;
    loop {
        let directory = tempfile::tempdir()?;
        let fault = format!("{fault}:when={nth}{ending}");
        if !live(directory.path(), &fault, counts).map_err(|error| format!("{fault}: {error}"))? {
            return Ok(());
        }
        nth += sample;
    }
}

/// A program that meets a fault, and then others that don't. Whether the fault was met.
fn live(directory: &Path, fault: &str, counts: &mut Counts) -> Outcome<bool> {
    let job = Job {
        role: Role::Write,
        store: directory.join("store"),
        backup: directory.join("backup"),
        first: 1,
        commits: COMMITS,
        threads: 2,
        is_buffered: counts.faults.is_multiple_of(3),
        segment_bytes: 4 << 10,
    };
    let lived = strace::run(&job, fault, &directory.join("notes"))?;
    if !lived.is_met {
        return Ok(false);
    }
    if lived.is_stuck {
        return Err(format!("it hung: {}", lived.ending).into());
    }
    let mut ledger = Ledger::default();
    ledger.note(&lived.told)?;
    let has_begun = matches!(lived.told.first(), Some(Told::Begun));
    let has_ended = matches!(lived.told.last(), Some(Told::Closed | Told::Failed { .. }));
    if has_begun && !has_ended && !lived.is_aborted {
        return Err(format!("it ended without a word: {}", lived.ending).into());
    }
    let is_refused = lived.told.iter().any(|told| matches!(told, Told::Failed { .. }));
    counts.faults += 1;
    counts.refused += u64::from(is_refused);
    counts.aborted += u64::from(lived.is_aborted);
    counts.stored += ledger.commits();
    ledger.check(&job.store)?;
    Ok(true)
}
