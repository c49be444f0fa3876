//! This program as another process, which does a job and tells what comes of it, a line at a time.

use std::{
    env,
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde::{Deserialize, Serialize};

use crate::{Outcome, job::Job};

/// The hidden argument before a job.
const ARGUMENT: &str = "--job";

/// What a process tells.
#[derive(Clone, Serialize, Deserialize, Debug)]
pub(crate) enum Told {
    /// It runs, and is about to open the store.
    Begun,
    /// A commit is stored, at this position.
    Stored { number: u64, position: u64 },
    /// A reader was shown everything up to here.
    Shown { position: u64 },
    /// A backup has everything up to here.
    BackedUp { position: u64 },
    /// The store is closed.
    Closed,
    /// Something was refused.
    Failed { why: String },
    /// Something isn't as it must be.
    Wrong { what: String },
}

/// Tells the process that started this one: one write, so that half of it is never taken for all.
pub(crate) fn tell(told: &Told) -> Outcome<()> {
    let line = serde_json::to_string(told)? + "\n";
    let mut output = io::stdout().lock();
    output.write_all(line.as_bytes())?;
    Ok(output.flush()?)
}

/// The job that this process was started for; none in the one that a person started.
pub(crate) fn given() -> Outcome<Option<Job>> {
    let mut words = env::args().skip(1);
    match (words.next(), words.next()) {
        (Some(word), Some(job)) if word == ARGUMENT => Ok(Some(serde_json::from_str(&job)?)),
        _ => Ok(None),
    }
}

/// A process that does a job.
pub(crate) struct Running {
    child: Child,
    output: Receiver<Outcome<Told>>,
    told: Vec<Told>,
}

impl Running {
    /// Starts one. It may run under another program, such as strace, whose words come first.
    pub(crate) fn start(job: &Job, under: &[OsString]) -> Outcome<Self> {
        let mut words = under.to_vec();
        words.extend([env::current_exe()?.into(), ARGUMENT.into(), serde_json::to_string(job)?.into()]);
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", words[0].display()))?;
        let output = child.stdout.take().ok_or("the process has no output")?;
        let (sender, receiver) = channel();
        // It ends with the process's output, or with who wants it.
        thread::spawn(move || lines(output).try_for_each(|line| sender.send(line)).ok());
        Ok(Self { child, output: receiver, told: Vec::new() })
    }

    /// Waits until it has told so many things more, or has ended.
    pub(crate) fn wait_for(&mut self, count: u64) -> Outcome<()> {
        for _ in 0..count {
            match self.output.recv() {
                Ok(told) => self.told.push(told?),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// All that has come from it up to now.
    pub(crate) fn told(&mut self) -> Outcome<Vec<Told>> {
        for told in self.output.try_iter() {
            self.told.push(told?);
        }
        Ok(self.told.clone())
    }

    /// Kills it, and returns all that it has told.
    pub(crate) fn kill(mut self) -> Outcome<Vec<Told>> {
        self.child.kill()?;
        self.end().map(|(told, _)| told)
    }

    /// Waits for its end, and returns all that it has told, and how it ended.
    pub(crate) fn end(mut self) -> Outcome<(Vec<Told>, ExitStatus)> {
        for told in &self.output {
            self.told.push(told?);
        }
        Ok((self.told, self.child.wait()?))
    }
}

/// What is told, line by line. A line that was cut off was never told.
fn lines(output: ChildStdout) -> impl Iterator<Item = Outcome<Told>> {
    let mut output = BufReader::new(output);
    std::iter::from_fn(move || {
        let mut line = String::new();
        match output.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => Some(
                serde_json::from_str(&line).map_err(|error| format!("{line:?} was told: {error}").into()),
            ),
            Ok(_) => None,
            Err(error) => Some(Err(error.into())),
        }
    })
}
