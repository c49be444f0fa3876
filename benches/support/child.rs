//! A benchmark's own program as another process, which is given a job and tells what came of it: each one line of JSON.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, Read, Write},
    process::{Command, Stdio},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::Outcome;

/// The hidden argument before a job.
const ARGUMENT: &str = "--job";

/// How a process ends that was given a job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    ByItself,
    /// SIGKILL, as soon as it has told.
    Kill,
}

/// The job that this process was started for; none in the one that a person started.
pub(crate) fn given<T: DeserializeOwned>() -> Outcome<Option<T>> {
    let mut arguments = env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(argument), Some(job)) if argument == ARGUMENT => Ok(Some(serde_json::from_str(&job)?)),
        _ => Ok(None),
    }
}

/// Starts a process that does a job, and takes what it tells. It may run under another program, such as strace, whose
/// words come before this one's path.
pub(crate) fn start<T>(job: &impl Serialize, ending: Ending, under: &[OsString]) -> Outcome<T>
where
    T: DeserializeOwned,
{
    let mut words = under.to_vec();
    words.extend([env::current_exe()?.into(), ARGUMENT.into(), serde_json::to_string(job)?.into()]);
    let mut child = Command::new(&words[0])
        .args(&words[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", words[0].display()))?;
    let mut told = String::new();
    let stdout = child.stdout.take().ok_or("the process has no output")?;
    BufReader::new(stdout).read_line(&mut told)?;
    let is_killed = ending == Ending::Kill && !told.is_empty();
    if is_killed {
        child.kill()?;
    }
    let status = child.wait()?;
    if !is_killed && !status.success() {
        return Err(format!("a process of the benchmark failed: {status}").into());
    }
    serde_json::from_str(&told).map_err(|error| format!("a process told {told:?}: {error}").into())
}

/// Tells the process that started this one.
pub(crate) fn tell(what: &impl Serialize) -> Outcome<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(what)?)?;
    Ok(output.flush()?)
}

/// What a process does that has told and is to be killed.
pub(crate) fn wait_to_be_killed() -> Outcome<()> {
    // Standard input ends only if who should have killed this has ended before.
    Ok(io::stdin().read_to_end(&mut Vec::new()).map(drop)?)
}
