//! What a run does where something fails: again, without the event, or no more.
//!
//! The first error is the one that is told. What fails while a run ends by it doesn't hide it.

use std::{sync::Arc, time::Duration};

use crate::{
    error::Error,
    typed::{
        batch::{Failure, Next, Trouble},
        control::{ProjectionState, Wait},
        on_error::Verdict,
        projection::RollBack,
        retry::{Retry, random_number},
        run_error::{HandlerError, RunError, chain},
        session::{Session, Step},
        work::Work,
    },
};

/// How often output is made anew where another was first, before that counts as an error of the event.
const CONFLICTS_MAX: u32 = 30;
/// How long is waited behind the first such conflict, at most; behind each further one twice as long.
const CONFLICT_WAIT: Duration = Duration::from_millis(1);
/// How long is waited behind any of them, at most.
const CONFLICT_WAIT_MAX: Duration = Duration::from_millis(100);

impl<W: Work> Session<'_, W> {
    /// Gives up the batch in which an event has failed.
    pub(crate) fn after_failure(&mut self, failure: Failure<'_>) -> Result<Next, RunError> {
        let Some(event) = failure.parts.last() else { return Ok(Next::ComesAgain) };
        let mut trouble = match self.trouble.take() {
            Some(known) if known.position == event.position => known,
            _ => Trouble::at(event.position),
        };
        let first = self.batch.as_ref().and_then(|batch| batch.first);
        let has_others = first.is_some_and(|first| first < event.position);
        let verdict = self.verdict(&mut trouble, failure.is_conflict);
        let Ok(roll_back) = self.roll_back() else {
            return Err(self.settings.event_error(event, trouble.tries.max(1), failure.error));
        };
        let is_kept = roll_back == RollBack::Kept;
        let mut wait = Wait::TimeIsOver;
        match verdict {
            Verdict::Again(delay) => wait = self.wait_to_retry(delay),
            Verdict::Skip => {
                self.leave_out(&failure, trouble.tries)?;
                trouble = Trouble::at(event.position);
            }
            Verdict::Stop => {
                trouble.end = Some(self.settings.event_error(event, trouble.tries, failure.error));
            }
        }
        if is_kept && wait == Wait::TimeIsOver && trouble.end.is_none() {
            self.trouble = Some(trouble);
            return Ok(Next::Again);
        }
        if is_kept {
            self.finish(failure.before)?;
        }
        if (is_kept || !has_others)
            && let Some(error) = trouble.end
        {
            return Err(self.end_saved(error));
        }
        self.trouble = Some(trouble);
        self.redeliver();
        Ok(Next::ComesAgain)
    }

    fn leave_out(&mut self, failure: &Failure<'_>, tries: u32) -> Result<(), RunError> {
        let error = chain(&*failure.error);
        for (event, part) in failure.parts.iter().zip(failure.first_part..) {
            self.settings.stored(self.skips.add(event, part, &error, tries))?;
        }
        Ok(())
    }

    fn verdict(&self, trouble: &mut Trouble, is_conflict: bool) -> Verdict {
        if is_conflict && trouble.conflicts < CONFLICTS_MAX {
            trouble.conflicts += 1;
            let waits = Retry::new().backoff(CONFLICT_WAIT).backoff_max(CONFLICT_WAIT_MAX);
            return Verdict::Again(waits.delay(trouble.conflicts, random_number()));
        }
        trouble.tries += 1;
        self.settings.on_error.verdict(trouble.tries)
    }

    fn wait_to_retry(&mut self, delay: Duration) -> Wait {
        if delay.is_zero() {
            return if self.control.has_orders() { Wait::Ordered } else { Wait::TimeIsOver };
        }
        self.control.tell_state(ProjectionState::Retrying);
        let wait = self.control.wait(delay);
        self.control.tell_state(self.phase.clone());
        wait
    }

    /// Rolls the batch back. It is open still where that undoes nothing.
    pub(crate) fn roll_back(&mut self) -> Result<RollBack, HandlerError> {
        let roll_back = self.work.roll_back();
        if !matches!(roll_back, Ok(RollBack::Kept)) {
            self.batch = None;
        }
        roll_back
    }

    /// Rolls a batch back that the run's end leaves open.
    pub(crate) fn drop_batch(&mut self) {
        if self.batch.is_some() {
            self.roll_back().ok();
            self.batch = None;
        }
    }

    /// Waits to do something again that isn't one event's fault; an error if that was tried often enough.
    pub(crate) fn after_batch_failure(
        &mut self,
        action: &'static str,
        error: HandlerError,
    ) -> Result<Wait, RunError> {
        self.batch_tries += 1;
        match self.settings.on_error.verdict_on_batch(self.batch_tries) {
            Verdict::Again(delay) => Ok(self.wait_to_retry(delay)),
            Verdict::Stop | Verdict::Skip => Err(self.settings.error(action, error)),
        }
    }

    /// The store doesn't take the output: its event has failed, with all its parts.
    pub(crate) fn refuse_output(&mut self, error: Error) -> Result<Step, RunError> {
        let parts = self.batch.as_mut().map(|batch| std::mem::take(&mut batch.last)).unwrap_or_default();
        if parts.is_empty() {
            return Err(self.settings.store_error(error));
        }
        let is_conflict = error.is_conflict();
        let (before, error) = (self.done, Arc::new(error));
        self.after_failure(Failure { parts: &parts, first_part: 1, before, error, is_conflict })?;
        Ok(Step::GivenUp)
    }

    /// The next event can't be read, or upcasters can't make it: what stands before it is done and saved first.
    pub(crate) fn end_before_unreadable(&mut self, error: Error) -> Result<(), RunError> {
        match self.finish(self.subscription.cursor()) {
            // Its batch comes again, and then the event, which can't be read.
            Ok(Step::GivenUp) => Ok(()),
            Ok(Step::Made) => Err(self.end_saved(self.settings.store_error(error))),
            Err(_) => Err(self.settings.store_error(error)),
        }
    }

    /// Saves what is done, if that can be, at a run's end by an error.
    pub(crate) fn end_saved(&mut self, error: RunError) -> RunError {
        self.save().ok();
        error
    }
}
