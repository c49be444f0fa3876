//! System calls that fail, once or from then on, with each error that the system has for them.

use crate::{
    Outcome,
    child::{Refusal, Told},
    job::{Job, Role},
    ledger::Ledger,
    say,
    strace::{self, Kind, Kinds, Loading, ROOM},
};

/// Calls, and what they may fail with.
const CALLS: &[(Kind, &[&str])] = &[
    ("openat", &["EMFILE", "ENFILE", "ENOSPC", "EDQUOT", "EROFS", "EACCES", "ENOMEM", "EIO", "EINTR"]),
    ("?mkdir,?mkdirat", &["ENOSPC", "EROFS", "EACCES"]),
    ("pwrite64", &["ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EIO", "EINTR", "EAGAIN"]),
    ("pread64", &["EIO", "EINTR", "ENOMEM"]),
    ("fdatasync", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("fsync", &["EIO", "ENOSPC", "EDQUOT", "EROFS"]),
    ("ftruncate", &["EIO", "EFBIG", "EINTR", "EROFS"]),
    (ROOM, &["ENOSPC", "EOPNOTSUPP", "EFBIG", "EINTR", "EIO"]),
    ("?rename,?renameat,?renameat2", &["ENOSPC", "EDQUOT", "EROFS", "EIO"]),
    ("?unlink,?unlinkat", &["EROFS", "EACCES", "EIO"]),
    ("flock", &["ENOLCK", "EINTR", "EIO"]),
    (MEMORY, &["ENOMEM", "EAGAIN"]),
    ("?fstat,?newfstatat", &["EIO", "ENOMEM"]),
    ("statx", &["EIO", "ENOMEM", "EACCES"]),
    ("getdents64", &["EIO"]),
    (THREAD, &["EAGAIN", "ENOMEM"]),
];

/// The calls that give memory, and threads their stacks: without it a program may be ended by `malloc`, or by the library that was to
/// start a thread. Any other refusal is one that it has to bear.
const MEMORY: Kind = "mmap";
const THREAD: Kind = "clone3";

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
    let (loading, mut counts) = (Loading::watched()?, Counts::default());
    let mut kinds = Kinds::of(CALLS.iter().map(|(call, _)| *call));
    for (call, errors) in CALLS {
        for error in *errors {
            for ending in ["", "+"] {
                // Who is interrupted tries again, for as long as it takes.
                if ending == "+" && matches!(*error, "EINTR" | "EAGAIN") {
                    continue;
                }
                let mut nth = loading.first_behind(call);
                let fault = |nth| format!("{call}:error={error}:when={nth}{ending}");
                while live(call, &fault(nth), &mut counts, &mut kinds)
                    .map_err(|what| format!("{}: {what}", fault(nth)))?
                {
                    nth += sample;
                }
            }
        }
    }
    let Counts { faults, refused, aborted, stored } = counts;
    say(format!(
        "errors of system calls: {faults} faults of {} kinds of calls, each met, {refused} refused something, \
         {aborted} had no memory to go on, {stored} commits stored, 0 lost",
        kinds.all_met()?
    ))
}

/// A program that meets a fault, and then others that don't. Whether the fault was met.
fn live(call: Kind, fault: &str, counts: &mut Counts, kinds: &mut Kinds) -> Outcome<bool> {
    let directory = tempfile::tempdir()?;
    let directory = directory.path();
    let job = Job {
        threads: 2,
        is_buffered: counts.faults.is_multiple_of(3),
        segment_bytes: strace::segment_bytes(call),
        ..Job::within(directory, Role::Write, COMMITS)
    };
    let lived = strace::run(&job, fault, &directory.join("notes"))?;
    if !lived.is_met {
        lived.judge_ending()?;
        return Ok(false);
    }
    if lived.is_stuck {
        return Err(format!("it hung: {}", lived.ending).into());
    }
    kinds.note(call, &lived);
    let mut ledger = Ledger::default();
    ledger.note_excusing(&lived.told, Refusal::ANY)?;
    let has_ended = lived.told.last().is_some_and(Told::is_last);
    let may_abort = [MEMORY, THREAD].contains(&call);
    if lived.is_aborted && !may_abort || lived.has_begun() && !has_ended && !lived.is_aborted {
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
