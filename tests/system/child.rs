//! This program as another process, which does a job and tells what comes of it, a line at a time.

use std::{
    env,
    error::Error,
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use annals::BackupError;
use serde::{Deserialize, Serialize};

use crate::{Outcome, job::Job};

/// The hidden argument before a job.
const ARGUMENT: &str = "--job";

/// Who tells nothing for so long hangs: then the run ends, rather than never.
const PATIENCE: Duration = Duration::from_mins(2);

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
    Failed { refusal: Refusal, why: String },
    /// Something isn't as it must be.
    Wrong { what: String },
}

/// Why something was refused, as far as that may be nobody's fault.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub(crate) enum Refusal {
    /// No store is there yet.
    NoStore,
    /// A backup has events that the store hasn't, or hasn't any more.
    OtherHistory,
    /// Any other: where nothing is made to fail, a mistake of the store's.
    Other,
}

impl Refusal {
    /// Where calls are made to fail, anything may be refused.
    #[cfg(target_os = "linux")]
    pub(crate) const ANY: &[Self] = &[Self::NoStore, Self::OtherHistory, Self::Other];

    fn of(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        match error.downcast_ref() {
            Some(annals::Error::NotAStore { .. }) => Self::NoStore,
            Some(annals::Error::Backup(BackupError::OtherHistory { .. })) => Self::OtherHistory,
            _ => Self::Other,
        }
    }
}

impl Told {
    /// That an error refused something.
    pub(crate) fn failed(error: &(dyn Error + Send + Sync + 'static)) -> Self {
        let mut why = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            why = format!("{why}: {cause}");
            source = cause.source();
        }
        Self::Failed { refusal: Refusal::of(error), why }
    }

    /// Whether a program that told this at last has come to an end by itself.
    pub(crate) fn is_last(&self) -> bool {
        matches!(self, Self::Closed | Self::Failed { .. })
    }
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
            match self.output.recv_timeout(PATIENCE) {
                Ok(told) => self.told.push(told?),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    self.child.kill()?;
                    return Err(format!("it hung, having told at last: {:?}", self.told.last()).into());
                }
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

    /// Kills it, and returns all that it has told. An error, if it had ended already without a word of its end: it has panicked, or
    /// the system has killed it.
    pub(crate) fn kill(mut self) -> Outcome<Vec<Told>> {
        let ended = self.child.try_wait()?;
        let (told, _) = self.put_down()?;
        match (ended, told.last()) {
            (Some(status), last) if !last.is_some_and(Told::is_last) => {
                Err(format!("it ended without a word ({status}), having told at last: {last:?}").into())
            }
            _ => Ok(told),
        }
    }

    /// Kills it, if it hasn't ended yet, and returns all that it has told, and how it ended.
    pub(crate) fn put_down(mut self) -> Outcome<(Vec<Told>, ExitStatus)> {
        self.child.kill()?;
        self.end()
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
