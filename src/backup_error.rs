//! What keeps a backup from being made or restored, besides what may go wrong with any store.

use std::{fmt, path::PathBuf};

use crate::position::Position;

/// The file that a directory of backups has beside what a store has. What else is in it, this file says.
pub const BACKUP_MANIFEST: &str = "backup.manifest";

/// Why a backup wasn't made, or not restored. What was there before is there still, except as [`NotPutBack`](Self::NotPutBack)
/// says.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BackupError {
    /// The directory is no backup that can be restored, or used to repair the store.
    NotABackup {
        /// The directory.
        path: PathBuf,
        /// What was found instead.
        reason: String,
    },

    /// What stands at the destination isn't to be written over.
    DestinationTaken {
        /// The destination.
        path: PathBuf,
        /// What stands there, and what to do.
        reason: String,
    },

    /// The destination has backups of another store.
    OtherStore {
        /// The destination.
        path: PathBuf,
        /// The id of the store that is in it.
        found: u64,
        /// The id of the store that was to be backed up.
        expected: u64,
    },

    /// The destination has backups of the same store, and events that the store hasn't: it was restored to an earlier
    /// moment since, or a power cut took its last moments, or events were appended to the backup itself.
    OtherHistory {
        /// The destination.
        path: PathBuf,
        /// In which way it differs.
        reason: String,
        /// The last position up to which both are known to have the same events.
        common: Position,
    },

    /// A restored store couldn't be put in place of the one that was there, nor that one back. No file of either is
    /// changed.
    NotPutBack {
        /// The destination.
        path: PathBuf,
        /// Where the store is that was there.
        set_aside: PathBuf,
        /// Why it couldn't be put in place.
        reason: String,
    },

    /// It was stopped by who was told of its progress.
    Stopped {
        /// Where it was writing.
        path: PathBuf,
    },
}

impl fmt::Display for BackupError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABackup { path, reason } => {
                write!(formatter, "{} can't be used as a backup: {reason}", path.display())
            }
            Self::DestinationTaken { path, reason } => {
                write!(formatter, "nothing was written to {}: {reason}", path.display())
            }
            Self::OtherStore { path, found, expected } => write!(
                formatter,
                "{} has backups of another store (its id is {found:016x}, this store's is {expected:016x}): choose \
                 another destination",
                path.display()
            ),
            Self::OtherHistory { path, reason, common } => write!(
                formatter,
                "{} has another history of this store: {reason}. They agree up to position {common} at least. The backup \
                 there is as it was: choose another destination",
                path.display()
            ),
            Self::NotPutBack { path, set_aside, reason } => write!(
                formatter,
                "the restored store wasn't put in place at {}: {reason}. The store that was there is {} now, whole: rename \
                 it back, or restore again",
                path.display(),
                set_aside.display()
            ),
            Self::Stopped { path } => write!(
                formatter,
                "stopped before {} was whole; what was there before is as it was, and the same once more completes it",
                path.display()
            ),
        }
    }
}

impl std::error::Error for BackupError {}
