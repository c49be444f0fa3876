//! Appends that are handed over and not answered yet.

use std::collections::VecDeque;

use annals::{Appended, PendingAppend, Result};

/// How many appends are on their way at once, at most.
const IN_FLIGHT_MAX: usize = 4_096;

/// Appends on their way, the oldest first, each with what its caller wants to know of it when it is answered.
pub(crate) struct Window<T> {
    pending: VecDeque<(PendingAppend, T)>,
}

impl<T> Window<T> {
    pub(crate) fn new() -> Self {
        Self { pending: VecDeque::with_capacity(IN_FLIGHT_MAX) }
    }

    pub(crate) fn add(&mut self, pending: PendingAppend, of_it: T) {
        self.pending.push_back((pending, of_it));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.pending.len() >= IN_FLIGHT_MAX
    }

    pub(crate) fn is_oldest_answered(&self) -> bool {
        self.pending.front().is_some_and(|(oldest, _)| oldest.is_done())
    }

    /// Waits for the oldest, if there is one.
    pub(crate) fn take(&mut self) -> Result<Option<(Appended, T)>> {
        let oldest = self.pending.pop_front();
        oldest.map(|(pending, of_it)| Ok((pending.wait()?, of_it))).transpose()
    }
}
