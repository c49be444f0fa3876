//! System calls in which a program is killed, or that fail, by strace.

use std::{ffi::OsString, fs, os::unix::process::ExitStatusExt, path::Path, process::Command};

use crate::{
    Outcome,
    child::{Running, Told},
    job::Job,
};

/// Kills by itself what hangs, so that no run waits for ever.
const SECONDS_MAX: &str = "60";

const SIGKILL: i32 = 9;

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
