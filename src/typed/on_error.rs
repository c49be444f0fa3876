//! What a runner does with an event that can't be handled.

use std::time::Duration;

use crate::typed::retry::{Retry, random_number};

/// What a runner does where a projection can't handle an event, or the store refuses a process manager's output for it.
///
/// It doesn't cover what keeps the event from coming at all: one that upcasters can't make
/// ([`RunError::Upcasting`](crate::RunError::Upcasting)) or that can't be read ends the runner, which has saved all before it. Nor can a
/// batch be left out that a projection can't begin or commit: that is tried again as [`Retry`](Self::Retry) says, and ends it
/// else. Where another was first to write what a process manager's output relies on, that is made anew up to 30 times before
/// it counts as a failed try.
///
/// A panic is never tried again and never left out. On a runner's own thread it ends the runner, with
/// [`RunError::Panicked`](crate::RunError::Panicked); [`Runner::run_to_end`](crate::Runner::run_to_end) and
/// [`run_process_to_end`](crate::Runner::run_process_to_end) let it through to their caller.
///
/// ```
/// use std::time::Duration;
///
/// use annals::{AfterRetries, OnError, Retry};
///
/// let patient = OnError::Retry {
///     retry: Retry::new().tries(8).backoff(Duration::from_millis(50)),
///     then: AfterRetries::Stop,
/// };
/// assert_ne!(patient, OnError::default());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum OnError {
    /// Ends the runner, in front of the event: the next start begins with it.
    #[default]
    Stop,
    /// Tries the event again, waiting between, and does something else when all tries have failed.
    Retry {
        /// How often, and how long it waits.
        retry: Retry,
        /// What comes then.
        then: AfterRetries,
    },
    /// Leaves the event out, and records that in the store: [`Reader::skipped`](crate::Reader::skipped) lists them.
    /// One of the store's own streams is counted, and not recorded: the record would be the next.
    Skip,
}

/// What comes behind the last try.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum AfterRetries {
    /// As [`OnError::Stop`].
    #[default]
    Stop,
    /// As [`OnError::Skip`].
    Skip,
}

/// What is done behind a failed try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Stop,
    Skip,
    Again(Duration),
}

impl OnError {
    /// What is done when so many tries have failed.
    pub(crate) fn verdict(self, tries: u32) -> Verdict {
        match self {
            Self::Retry { retry, .. } if tries < retry.tries_max() => {
                Verdict::Again(retry.delay(tries, random_number()))
            }
            Self::Stop | Self::Retry { then: AfterRetries::Stop, .. } => Verdict::Stop,
            Self::Skip | Self::Retry { then: AfterRetries::Skip, .. } => Verdict::Skip,
        }
    }

    /// The same for what is no event's fault, and can't be skipped.
    pub(crate) fn verdict_on_batch(self, tries: u32) -> Verdict {
        match self.verdict(tries) {
            Verdict::Skip => Verdict::Stop,
            verdict => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::typed::retry::Jitter;

    use super::*;

    #[test]
    fn an_event_is_tried_as_often_as_said_and_then_the_rest_counts() {
        let retry = Retry::new().tries(3).jitter(Jitter::None);
        let wait = |millis| Verdict::Again(Duration::from_millis(millis));
        let verdicts = |on_error: OnError| [1, 2, 3, 4].map(|tries| on_error.verdict(tries));
        let stop = OnError::Retry { retry, then: AfterRetries::Stop };
        assert_eq!(verdicts(stop), [wait(100), wait(200), Verdict::Stop, Verdict::Stop]);
        let skip = OnError::Retry { retry, then: AfterRetries::Skip };
        assert_eq!(verdicts(skip), [wait(100), wait(200), Verdict::Skip, Verdict::Skip]);
        assert_eq!(skip.verdict_on_batch(2), wait(200));
        assert_eq!(skip.verdict_on_batch(3), Verdict::Stop, "a batch can't be left out");
    }
}
