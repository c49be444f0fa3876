//! What a repair may do.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::time::{Clock, SystemClock};

/// Whether events may be taken out of the log that can't be read, or that stand behind such.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Loss {
    /// A repair that would take any out is refused.
    #[default]
    Refused,
    /// They go into `quarantine/`, as far as they can be read.
    Accepted,
}

/// What a repair may do.
///
/// ```
/// use annals::{Loss, RepairOptions};
///
/// let options = RepairOptions::new().backup("/backups/shop.annals").loss(Loss::Accepted);
/// ```
#[derive(Clone, Debug)]
pub struct RepairOptions {
    pub(crate) backup: Option<PathBuf>,
    pub(crate) loss: Loss,
    pub(crate) lock_wait: Duration,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Default for RepairOptions {
    fn default() -> Self {
        Self { backup: None, loss: Loss::Refused, lock_wait: Duration::ZERO, clock: Arc::new(SystemClock) }
    }
}

impl RepairOptions {
    /// No backup, no loss, no waiting for the lock: such a repair changes nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what is damaged from another directory, which is a store with the same id and the same history: a backup.
    #[must_use]
    pub fn backup(mut self, path: impl AsRef<Path>) -> Self {
        self.backup = Some(path.as_ref().to_owned());
        self
    }

    /// Whether events may be taken out of the log.
    #[must_use]
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// How long to wait for another writer to end.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Where the time of the event comes from that tells of the repair.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }
}
