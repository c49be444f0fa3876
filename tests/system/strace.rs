//! System calls in which a program is killed, or that fail, by strace.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::Command,
};

use crate::{
    Outcome,
    child::{Running, Told},
    job::{Job, Role},
};

/// Kills by itself what hangs, so that no run waits for ever.
const SECONDS_MAX: &str = "60";

const SIGKILL: i32 = 9;

/// A kind of calls, by the names that systems and their libraries have for it, as strace takes them: where a machine has no call of
/// a name, the question mark passes it over.
pub(crate) type Kind = &'static str;

/// The call by which a file gets room ahead.
pub(crate) const ROOM: Kind = "fallocate";

/// How big segments are where a kind of calls is to be met: many small ones, except that those which one commit fills get no room ahead.
pub(crate) fn segment_bytes(kind: Kind) -> u64 {
    if kind == ROOM { 16 << 10 } else { 4 << 10 }
}

/// Why it can't be used here; none, if it can.
pub(crate) fn obstacle() -> Option<&'static str> {
    // Where a container forbids one process to trace another, it is there and can't.
    let traced = Command::new("strace").args(["-qq", "-e", "trace=none", "true"]).output();
    match traced {
        Ok(output) if output.status.success() => None,
        Ok(_) => Some("strace isn't allowed to trace"),
        Err(_) => Some("it needs strace"),
    }
}

/// What became of a program.
pub(crate) struct Outlived {
    pub(crate) told: Vec<Told>,
    /// Whether it met the fault at all.
    pub(crate) is_met: bool,
    /// How it ended, in words.
    pub(crate) ending: String,
    /// Whether it hung, and had to be killed.
    pub(crate) is_stuck: bool,
    pub(crate) is_aborted: bool,
}

impl Outlived {
    /// Whether it had told that it begins, so that what it met was a call of the store's.
    pub(crate) fn has_begun(&self) -> bool {
        matches!(self.told.first(), Some(Told::Begun))
    }

    /// An error, if it hung, or came to its end without its fault and without having done its job.
    pub(crate) fn judge_ending(&self) -> Outcome<()> {
        let (ending, last) = (&self.ending, self.told.last());
        if self.is_stuck {
            return Err(format!("it hung: {ending}").into());
        }
        if !self.is_met && !matches!(last, Some(Told::Closed)) {
            return Err(format!("it met no fault, and told at last: {last:?} ({ending})").into());
        }
        Ok(())
    }
}

/// How often a program makes each call before it begins: what the system does to load it says nothing of a store.
pub(crate) struct Loading(BTreeMap<String, u64>);

impl Loading {
    pub(crate) fn watched() -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let job = Job::within(directory.path(), Role::Open, 0);
        let (_, calls) = watch(&job, "all", &directory.path().join("calls"))?;
        let mut counts = BTreeMap::new();
        for line in calls.lines() {
            let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
            let Some((name, arguments)) = call.split_once('(') else { continue };
            if name == "write" && arguments.contains("Begun") {
                return Ok(Self(counts));
            }
            *counts.entry(name.to_owned()).or_default() += 1;
        }
        Err(format!("the program never told that it begins:\n{calls}").into())
    }

    /// The first occurrence of a kind that is the store's.
    pub(crate) fn first_behind(&self, kind: Kind) -> u64 {
        let names = kind.split(',').map(|name| name.trim_start_matches('?'));
        // Each name is counted by itself, and a program uses one of them.
        1 + names.filter_map(|name| self.0.get(name)).max().copied().unwrap_or(0)
    }
}

/// The kinds of calls that a fault was met at, of those that are to be met: a list can't claim what no program does.
pub(crate) struct Kinds {
    missing: BTreeSet<Kind>,
    count: usize,
}

impl Kinds {
    pub(crate) fn of(kinds: impl IntoIterator<Item = Kind>) -> Self {
        let missing: BTreeSet<_> = kinds.into_iter().collect();
        Self { count: missing.len(), missing }
    }

    /// Notes what became of a program that had a fault at a call of this kind.
    pub(crate) fn note(&mut self, kind: Kind, lived: &Outlived) {
        if lived.is_met && lived.has_begun() {
            self.missing.remove(kind);
        }
    }

    /// How many there are; an error, if there is one that nobody met.
    pub(crate) fn all_met(&self) -> Outcome<usize> {
        if self.missing.is_empty() {
            return Ok(self.count);
        }
        let missing: Vec<&str> = self.missing.iter().copied().collect();
        Err(format!("no program made a call of these kinds: {}", missing.join("; ")).into())
    }
}

/// Does a job, and returns what it told, and the calls of these kinds that it made, with the paths of its files.
pub(crate) fn watch(job: &Job, calls: &str, notes: &Path) -> Outcome<(Vec<Told>, String)> {
    let (told, _) = Running::start(job, &under(calls, &["-y", "-s", "200"], notes))?.end()?;
    Ok((told, fs::read_to_string(notes)?))
}

/// The words before a program that is traced.
fn under(calls: &str, options: &[&str], notes: &Path) -> Vec<OsString> {
    let words = ["timeout", "--signal=KILL", SECONDS_MAX, "strace", "-f", "-qq"];
    let mut under: Vec<OsString> = words.iter().chain(options).map(Into::into).collect();
    under.extend(["-e".into(), format!("trace={calls}").into(), "-o".into(), notes.into()]);
    under
}

/// Does a job under a fault, such as `pwrite64:signal=KILL:when=3`.
pub(crate) fn run(job: &Job, fault: &str, notes: &Path) -> Outcome<Outlived> {
    let call = fault.split(':').next().unwrap_or(fault);
    let under = under(call, &["-e", &format!("inject={fault}")], notes);
    let (told, status) = Running::start(job, &under)?.end()?;
    let notes = fs::read_to_string(notes)?;
    Ok(Outlived {
        told,
        is_met: notes.contains("(INJECTED)") || notes.contains("killed by SIGKILL"),
        ending: status.to_string(),
        is_stuck: status.signal() == Some(SIGKILL) && !notes.contains("killed by SIGKILL"),
        is_aborted: notes.contains("killed by SIGABRT") || notes.contains("killed by SIGSEGV"),
    })
}
