//! Appends that are handed over and not answered yet.

use std::collections::VecDeque;

use annals::{PendingAppend, Result};

/// How many appends are handed over before the first is waited for.
const IN_FLIGHT_MAX: usize = 4_096;

pub(crate) struct InFlight {
    pending: VecDeque<PendingAppend>,
}

impl InFlight {
    pub(crate) fn new() -> Self {
        Self { pending: VecDeque::with_capacity(IN_FLIGHT_MAX) }
    }

    /// Waits for the oldest, if there is no room for one more.
    pub(crate) fn make_room(&mut self) -> Result<()> {
        if self.pending.len() == IN_FLIGHT_MAX
            && let Some(oldest) = self.pending.pop_front()
        {
            oldest.wait()?;
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, append: PendingAppend) {
        self.pending.push_back(append);
    }

    pub(crate) fn wait_for_all(&mut self) -> Result<()> {
        self.pending.drain(..).try_for_each(|append| append.wait().map(drop))
    }
}
