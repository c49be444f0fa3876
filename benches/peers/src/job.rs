//! What a process of this benchmark's own does, and how it is told.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{Outcome, engines::Kind, figures::Figures, workload::Work};

/// The hidden argument before a job.
const ARGUMENT: &str = "--job";

/// One workload on one engine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) engine: Kind,
    pub(crate) work: Work,
    pub(crate) directory: PathBuf,
    pub(crate) size: Size,
    pub(crate) extent: Extent,
}

/// What a store that is read holds.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Size {
    pub(crate) streams: u64,
    pub(crate) events_a_stream: u64,
}

/// When an append or a read is enough.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Extent {
    /// After this time, and for larger appends when also this much was written.
    Seconds { seconds: f64, bytes_min: u64 },
    /// After so many appends of each caller.
    Appends(u64),
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
    /// Does the job, in a process that was started for it, and tells the one that started it.
    pub(crate) fn run(&self) -> Outcome<()> {
        self.work.run(self, |figures| {
            let mut output = io::stdout().lock();
            writeln!(output, "{}", serde_json::to_string(figures)?)?;
            Ok(output.flush()?)
        })
    }

    /// Starts a process that does the job, and takes what it tells. If it is to be killed, it is as soon as it has told.
    pub(crate) fn start(&self) -> Outcome<Figures> {
        self.start_under(&[])
    }

    /// The same below another program, whose arguments come before this one's path.
    pub(crate) fn start_under(&self, program: &[OsString]) -> Outcome<Figures> {
        let mut words = program.to_vec();
        words.extend([env::current_exe()?.into(), ARGUMENT.into(), serde_json::to_string(self)?.into()]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", words[0].display()))?;
        let mut told = String::new();
        let stdout = child.stdout.take().ok_or("the process has no output")?;
        BufReader::new(stdout).read_line(&mut told)?;
        let is_killed = self.work.is_killed() && !told.is_empty();
        if is_killed {
            child.kill()?;
        }
        let status = child.wait()?;
        if !is_killed && !status.success() {
            return Err(format!("{}, {:?}: {status}", self.engine.name(), self.work).into());
        }
        Ok(serde_json::from_str(&told)?)
    }
}
