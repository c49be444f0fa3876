//! What a process of this benchmark's own does, and how it is told.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Outcome, appends::AppendOn, make::Make, probe::Probe, reads::Reads};

/// The hidden argument before a job.
const ARGUMENT: &str = "--job";

#[derive(Serialize, Deserialize)]
pub(crate) enum Job {
    Make(Make),
    Probe(Probe),
    Reads(Reads),
    AppendOn(AppendOn),
}

/// The job that this process was started for; none in the one that a person started.
pub(crate) fn given() -> Outcome<Option<Job>> {
    let mut arguments = env::args().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(argument), Some(job)) if argument == ARGUMENT => Ok(Some(serde_json::from_str(&job)?)),
        _ => Ok(None),
    }
}

impl Job {
    /// Does the job, in a process that was started for it.
    pub(crate) fn run(self) -> Outcome<()> {
        match self {
            Self::Make(make) => make.run(),
            Self::Probe(probe) => tell(&probe.run()?),
            Self::Reads(reads) => tell(&reads.run()?),
            Self::AppendOn(appends) => tell(&appends.run()?),
        }
    }

    /// Starts a process that does the job, and takes what it tells. The process ends by itself, or is killed.
    pub(crate) fn start<T: DeserializeOwned>(&self, ending: Ending) -> Outcome<T> {
        let mut child = Command::new(env::current_exe()?)
            .args([ARGUMENT, &serde_json::to_string(self)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut told = String::new();
        let stdout = child.stdout.take().ok_or("the process has no output")?;
        BufReader::new(stdout).read_line(&mut told)?;
        if ending == Ending::Kill && !told.is_empty() {
            child.kill()?;
        }
        let status = child.wait()?;
        if ending == Ending::ByItself && !status.success() {
            return Err(format!("a process of the benchmark failed: {status}").into());
        }
        serde_json::from_str(&told).map_err(|error| format!("a process told {told:?}: {error}").into())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    ByItself,
    /// SIGKILL, as soon as it has told.
    Kill,
}

/// Tells the process that started this one.
pub(crate) fn tell(what: &impl Serialize) -> Outcome<()> {
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(what)?)?;
    Ok(output.flush()?)
}
