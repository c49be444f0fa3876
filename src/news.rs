//! How a reader hears of what was committed: from the writer where that is in the process, and by looking at what
//! it left where it is in another.

use std::{fmt, sync::Arc, task::Waker, time::Instant};

use crate::{
    committed::Committed,
    error::Result,
    listeners::{Ear, Interest},
};

/// Where news of the log come from.
pub(crate) trait News: Send + Sync + fmt::Debug {
    /// Brings what is committed up to date.
    fn refresh(&self) -> Result<()>;

    /// Sleeps until it is over, which is looked at whenever something may be new for this interest, and behind each
    /// [`wake_sleepers`](Self::wake_sleepers), or until the deadline. It may return early.
    fn sleep(&self, interest: Interest, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) -> Result<()>;

    /// Wakes all who sleep, so that they look whether it is over.
    fn wake_sleepers(&self);

    /// Calls a task once when something may be new for its ear. What was there before isn't told: the task looks
    /// once more behind this.
    fn call_at_news(&self, ear: &Arc<Ear>, waker: &Waker) -> Result<()>;

    /// Calls that task no more.
    fn forget(&self, ear: &Arc<Ear>);
}

/// The writer is in the process, and publishes what it commits itself.
impl News for Committed {
    fn refresh(&self) -> Result<()> {
        Ok(())
    }

    fn sleep(&self, interest: Interest, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) -> Result<()> {
        self.listeners().sleep(interest, deadline, is_over);
        Ok(())
    }

    fn wake_sleepers(&self) {
        self.listeners().wake_sleepers();
    }

    fn call_at_news(&self, ear: &Arc<Ear>, waker: &Waker) -> Result<()> {
        self.listeners().list(ear, waker);
        Ok(())
    }

    fn forget(&self, ear: &Arc<Ear>) {
        self.listeners().strike_out(ear);
    }
}
