//! What went wrong, said on standard error, and as a number that programs can act on.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    path::Path,
    process::{self, ExitCode},
};

use annals::{BACKUP_MANIFEST, BackupError, Error};

use crate::{
    colours::{self, Colour},
    output::{self, OutputError},
    verbosity,
};

/// The exit codes; `annals help exit-codes` has the same list. Code 2, a wrong command line, is clap's.
const DONE: u8 = 0;
const FAILED: u8 = 1;
const CONFLICT: u8 = 3;
const NOT_FOUND: u8 = 4;
const LOCKED: u8 = 5;
const CORRUPT: u8 = 6;

/// What helps where a store, or a backup, is damaged.
const REPAIR_ADVICE: &str = "\"annals repair\" shows what can be done";
const BACKUP_ADVICE: &str =
    "restore what is intact of this backup (annals restore --to-position), or make another from the store";

/// The store's files are damaged, and `verify` has said where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Damaged {
    pub(crate) places: u64,
    /// Whether they are a backup's, which is never repaired.
    pub(crate) is_backup: bool,
}

impl Damaged {
    /// So many places of the store in a directory.
    pub(crate) fn of(store: &Path, places: u64) -> Self {
        Self { places, is_backup: store.join(BACKUP_MANIFEST).exists() }
    }
}

impl fmt::Display for Damaged {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = output::count(self.places, "place");
        let (what, advice) =
            if self.is_backup { ("backup", BACKUP_ADVICE) } else { ("store", REPAIR_ADVICE) };
        write!(formatter, "the {what} is damaged in {places}; {advice}")
    }
}

impl std::error::Error for Damaged {}

/// What was asked for isn't in the store.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NotFound(pub(crate) String);

impl fmt::Display for NotFound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl std::error::Error for NotFound {}

/// Says what went wrong: the message, and below it one line for each reason behind it.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let code = exit_code(error);
    if code == DONE {
        return ExitCode::SUCCESS;
    }
    let mut message = String::new();
    Colour::of_messages().push(colours::FAILURE, "annals:", &mut message);
    message.push(' ');
    for (depth, part) in error.chain().enumerate() {
        if depth > 0 {
            message.push_str("\n  because: ");
        }
        output::push_safe(&mut message, &part.to_string());
    }
    if let Some(advice) = advice(error) {
        message.push_str("\n  what to do: ");
        message.push_str(advice);
    }
    message.push('\n');
    // Where standard error is closed, the exit code has to say it alone.
    write(&message);
    ExitCode::from(code)
}

/// Says what went wrong, and ends the program at once.
pub(crate) fn end_with(error: &anyhow::Error) -> ! {
    report(error);
    process::exit(exit_code(error).into())
}

/// Says on standard error what is worth knowing and no failure, unless nothing but errors is wanted.
pub(crate) fn tell(message: &str) {
    if !verbosity::tells_messages() {
        return;
    }
    let mut line = String::from("annals: ");
    output::push_safe(&mut line, message);
    line.push('\n');
    write(&line);
}

/// Says to somebody at a terminal what a program sees from what it gets, such as that it is nothing.
pub(crate) fn tell_on_terminal(message: &str) {
    if io::stdout().is_terminal() {
        tell(message);
    }
}

fn write(message: &str) {
    io::stderr().lock().write_all(message.as_bytes()).ok();
}

/// What helps, where it isn't known from the message.
fn advice(error: &anyhow::Error) -> Option<&'static str> {
    let of_store = |part: &Error| match part {
        // Its message says all.
        Error::Corrupt { path, .. } if path.ends_with(BACKUP_MANIFEST) => None,
        Error::Corrupt { path, .. } if is_in_backup(path) => Some(BACKUP_ADVICE),
        Error::Corrupt { .. } => Some(REPAIR_ADVICE),
        Error::VersionConflict { .. } => Some("read the stream as it is now, and decide anew"),
        Error::StreamNotFound { .. } => Some("\"annals streams\" lists those there are"),
        Error::CheckpointNotFound { .. } => Some("\"annals checkpoints\" lists those there are"),
        Error::Backup(BackupError::NotABackup { .. }) => {
            Some("name a directory that \"annals backup\" has made; for a repair, one of this very store")
        }
        Error::Io { source, .. } | Error::OutcomeUnknown { source, .. } => match source.kind() {
            io::ErrorKind::PermissionDenied => {
                Some("run it as a user who has access to that path, or have its owner give it to you")
            }
            _ => advice_against_refusal(source),
        },
        _ => None,
    };
    let of_part = |part: &(dyn std::error::Error + 'static)| match part.downcast_ref() {
        Some(error) => of_store(error),
        None => part.downcast_ref().and_then(advice_against_refusal),
    };
    error.chain().find_map(of_part)
}

/// Whether a file is one of a directory of backups, which is never repaired.
fn is_in_backup(path: &Path) -> bool {
    path.ancestors().skip(1).take(2).any(|directory| directory.join(BACKUP_MANIFEST).exists())
}

/// What helps against what the system refused.
fn advice_against_refusal(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::PermissionDenied => {
            Some("name a path that you have access to, or have somebody give it to you")
        }
        Kind::StorageFull | Kind::QuotaExceeded => {
            Some("make room on that disk and try again; what is stored stays, and can be read meanwhile")
        }
        Kind::ReadOnlyFilesystem => Some("mount that disk for writing; what is stored can be read meanwhile"),
        Kind::NotFound => Some(
            "check the path: a file that is read must exist, and so must the directory in which something is made",
        ),
        _ => None,
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.downcast_ref::<OutputError>().is_some_and(OutputError::is_broken_pipe) {
        // Who read has what they wanted: `annals read --all | head`.
        return DONE;
    }
    if error.downcast_ref::<Damaged>().is_some() {
        return CORRUPT;
    }
    if error.downcast_ref::<NotFound>().is_some() {
        return NOT_FOUND;
    }
    match error.chain().find_map(|part| part.downcast_ref::<Error>()) {
        Some(Error::VersionConflict { .. }) => CONFLICT,
        Some(
            Error::NotAStore { .. }
            | Error::StreamNotFound { .. }
            | Error::CheckpointNotFound { .. }
            | Error::Backup(BackupError::NotABackup { .. }),
        ) => NOT_FOUND,
        Some(Error::Locked { .. }) => LOCKED,
        Some(Error::Corrupt { .. } | Error::NotRepairable { .. }) => CORRUPT,
        _ => FAILED,
    }
}
