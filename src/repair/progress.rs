//! How far a repair is: each of its passes over the log adds to what there is to be read.

use std::{ops::ControlFlow, path::Path};

use crate::{
    error::{Error, Result},
    inspect::report::{Progress, Tell},
};

/// Tells how far a repair is.
pub(crate) struct RepairProgress<'a> {
    store: &'a Path,
    tell: Tell<'a>,
    bytes: u64,
    bytes_total: u64,
    /// Whether it can still be stopped: nothing is changed yet.
    is_stoppable: bool,
    is_stopped: bool,
}

impl<'a> RepairProgress<'a> {
    pub(crate) fn new(store: &'a Path, tell: Tell<'a>) -> Self {
        Self { store, tell, bytes: 0, bytes_total: 0, is_stoppable: true, is_stopped: false }
    }

    /// A pass over so many bytes begins; the one before has read all that it was to read.
    pub(crate) fn expect(&mut self, bytes: u64) {
        self.bytes = self.bytes_total;
        self.bytes_total += bytes;
    }

    /// So many bytes more of the present pass were read.
    pub(crate) fn advance(&mut self, bytes: u64) -> Result<()> {
        self.bytes = (self.bytes + bytes).min(self.bytes_total);
        self.tell(Progress { bytes: self.bytes, bytes_total: self.bytes_total });
        self.check()
    }

    /// Passes on what a verification tells, as a further pass. An error if it was to be stopped.
    pub(crate) fn passing_on<T>(&mut self, verify: impl FnOnce(Tell<'_>) -> Result<T>) -> Result<T> {
        self.expect(0);
        let before = self.bytes;
        let verified = verify(&mut |progress: Progress| {
            self.bytes_total = before + progress.bytes_total;
            self.tell(Progress { bytes: before + progress.bytes, bytes_total: self.bytes_total });
            if self.check().is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.check()?;
        Ok(verified)
    }

    /// From now on it goes on to its end: what is half changed would have to be repaired again.
    pub(crate) fn go_on_to_the_end(&mut self) {
        self.is_stoppable = false;
    }

    fn tell(&mut self, progress: Progress) {
        self.is_stopped |= (self.tell)(progress).is_break();
    }

    fn check(&self) -> Result<()> {
        if self.is_stopped && self.is_stoppable {
            return Err(Error::RepairStopped { path: self.store.to_owned() });
        }
        Ok(())
    }
}
