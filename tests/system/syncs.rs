//! What a program syncs before it tells that something is stored: each of its system calls is looked at, in order. A disk that
//! keeps everything can't show that a sync is missing; this can.

use std::{collections::BTreeSet, path::Path};

use crate::{
    Outcome,
    child::Told,
    job::{Job, Role},
    say, strace,
};

const COMMITS: u64 = 40;

/// The calls that are looked at; `write` is how the program tells.
const CALLS: &str = "rename,fdatasync,fsync,write";

/// What isn't synced yet.
#[derive(Default, Debug)]
struct Unsynced {
    /// Directories in which a file of the truth got its name.
    directories: BTreeSet<String>,
    /// Whether a segment was synced since something was stored the last time.
    is_log_synced: bool,
    /// Files that were synced, as a whole, under the name that they had.
    files: BTreeSet<String>,
    names: u64,
    stored: u64,
}

pub(crate) fn run() -> Outcome<()> {
    if let Some(obstacle) = strace::obstacle() {
        return say(format!("syncs: skipped, {obstacle}"));
    }
    let directory = tempfile::tempdir()?;
    let job = Job::within(directory.path(), Role::Write, COMMITS);
    let (told, calls) = strace::watch(&job, CALLS, &directory.path().join("calls"))?;
    if !matches!(told.last(), Some(Told::Closed)) {
        return Err(format!("the program told at last: {:?}", told.last()).into());
    }
    let mut unsynced = Unsynced::default();
    for call in calls.lines() {
        unsynced.meet(call).map_err(|missing| format!("{missing}: {call}"))?;
    }
    let Unsynced { names, stored, .. } = unsynced;
    if stored != COMMITS || names < 3 {
        return Err(format!("{stored} of {COMMITS} commits and {names} names were seen in:\n{calls}").into());
    }
    say(format!(
        "syncs: {stored} commits and {names} names of files, each synced before anything was told of them"
    ))
}

impl Unsynced {
    /// `4711 fdatasync(5</tmp/store/segments/000000000001.log>) = 0`
    fn meet(&mut self, line: &str) -> Result<(), String> {
        let line = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        let Some((call, arguments)) = line.split_once('(') else {
            return Ok(());
        };
        match call {
            "fdatasync" | "fsync" => {
                let path = between(arguments, '<', '>').unwrap_or_default();
                self.is_log_synced |= has_extension(path, "log");
                self.directories.remove(path);
                self.files.insert(path.to_owned());
            }
            "rename" => {
                let mut names = arguments.split('"').skip(1).step_by(2);
                let (from, to) = (names.next().unwrap_or_default(), names.next().unwrap_or_default());
                if is_truth(to) {
                    self.names += 1;
                    if !self.files.contains(from) {
                        return Err("a file gets its name before its content is synced".to_owned());
                    }
                    self.directories
                        .extend(Path::new(to).parent().map(|it| it.to_string_lossy().into_owned()));
                }
            }
            "write" if arguments.starts_with('1') && arguments.contains("Stored") => {
                self.stored += 1;
                if let Some(directory) = self.directories.first() {
                    return Err(format!("told while {directory} isn't synced behind a new name in it"));
                }
                if !std::mem::take(&mut self.is_log_synced) {
                    return Err("told without a sync of the log".to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether a file isn't made from others.
fn is_truth(path: &str) -> bool {
    has_extension(path, "log") || has_extension(path, "meta") || has_extension(path, "mark")
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|it| it == extension)
}

fn between(text: &str, begin: char, end: char) -> Option<&str> {
    text.split_once(begin)?.1.split_once(end).map(|(inner, _)| inner)
}
