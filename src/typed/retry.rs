//! Trying again where another writer was first.
//!
//! A conflict isn't a fault: it says that the decision was made on a state that isn't the stream's any more. So what is
//! tried again is the whole of it: load, decide, save. All other errors end it at once, and reach the caller as they are.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    thread,
    time::Duration,
};

use crate::error::Error;

/// An error that says whether trying again makes sense. [`Error`] is one, and
/// [`ExecuteError`](crate::ExecuteError); a program's own error, which holds one of them, passes on what it says.
pub trait Retriable {
    /// Whether loading again and deciding again is the remedy: another writer was first.
    fn is_retriable(&self) -> bool;
}

impl Retriable for Error {
    fn is_retriable(&self) -> bool {
        self.is_conflict()
    }
}

/// How a wait is spread by chance, so that those who met once don't meet again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Jitter {
    /// Not at all.
    None,
    /// Evenly, from no wait to the whole one.
    #[default]
    Full,
}

/// How often is tried, and how long is waited between: 3 tries, and waits of up to 100 ms and 200 ms, unless said
/// otherwise.
///
/// ```
/// use std::time::Duration;
///
/// use annals::{EventData, EventStore, ExpectedVersion, Jitter, Retry, StreamId};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let order = StreamId::new("order-17")?;
/// let mut tries = 0;
/// let appended = Retry::new().backoff(Duration::from_millis(1)).run(|| {
///     tries += 1;
///     let seen = store.stream_version(&order)?;
///     if tries == 1 {
///         // Another one appends, between the look and the append.
///         store.append(&order, ExpectedVersion::Any, [EventData::new("OrderPlaced", "{}")])?;
///     }
///     store.append(&order, seen, [EventData::new("OrderPaid", "{}")])
/// })?;
/// assert_eq!((tries, appended.version.get()), (2, 2));
///
/// let waits = Retry::new().jitter(Jitter::None);
/// assert_eq!(waits.delay(1, 0), Duration::from_millis(100));
/// assert_eq!(waits.delay(2, 0), Duration::from_millis(200));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    tries: u32,
    backoff: Duration,
    backoff_max: Duration,
    jitter: Jitter,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            tries: 3,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            jitter: Jitter::default(),
        }
    }
}

impl Retry {
    /// The default: 3 tries, waits from 100 ms doubling to 10 s at most, [`Jitter::Full`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One try.
    #[must_use]
    pub fn none() -> Self {
        Self::default().tries(1)
    }

    /// How often is tried in all; 0 counts as 1.
    #[must_use]
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries.max(1);
        self
    }

    /// The wait behind the first try; each further one is twice as long. Zero: nothing is waited for.
    #[must_use]
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// The longest wait.
    #[must_use]
    pub fn backoff_max(mut self, backoff_max: Duration) -> Self {
        self.backoff_max = backoff_max;
        self
    }

    /// How waits are spread by chance.
    #[must_use]
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The wait behind a try, the first of which is 1. `random` is any number, evenly spread: with
    /// [`Jitter::Full`] the wait is that part of the whole which the number is of `u64::MAX`.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(u32::BITS - 1);
        let whole = self.backoff.saturating_mul(1 << doublings).min(self.backoff_max);
        match self.jitter {
            Jitter::None => whole,
            Jitter::Full => {
                let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
                let part = u128::from(nanos) * u128::from(random) / u128::from(u64::MAX);
                Duration::from_nanos(u64::try_from(part).unwrap_or(nanos))
            }
        }
    }

    /// How often is tried in all.
    pub(crate) fn tries_max(&self) -> u32 {
        self.tries
    }

    /// Runs an operation, and runs it again where it ends with a conflict, as long as tries are left. It has to look
    /// at the store anew each time. Waits on the thread that calls.
    ///
    /// # Errors
    ///
    /// The operation's own: at once if it is no conflict, else that of the last try.
    pub fn run<T, E: Retriable>(&self, operation: impl FnMut() -> Result<T, E>) -> Result<T, E> {
        self.run_waiting(operation, |delay| {
            if !delay.is_zero() {
                thread::sleep(delay);
            }
        })
    }

    fn run_waiting<T, E: Retriable>(
        &self,
        mut operation: impl FnMut() -> Result<T, E>,
        mut wait: impl FnMut(Duration),
    ) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            match operation() {
                Err(error) if error.is_retriable() && attempt < self.tries => {
                    wait(self.delay(attempt, random_number()));
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// The standard library seeds its hashes by chance: good enough to keep two callers apart.
pub(crate) fn random_number() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
#[allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]
mod tests {
    use crate::{
        invalid::Invalid,
        position::{ExpectedVersion, Version},
        stream::StreamId,
    };

    use super::*;

    fn conflict(actual: u64) -> Error {
        Error::VersionConflict {
            stream: StreamId::new("account-1").expect("a valid name"),
            expected: ExpectedVersion::NoStream,
            actual: Version::new(actual),
        }
    }

    fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// What comes of an operation that conflicts so often: the outcome, its tries, and the waits.
    fn run(retry: Retry, conflicts: u64) -> (Result<u64, Error>, u64, Vec<Duration>) {
        let (mut tries, mut waits) = (0, Vec::new());
        let outcome = retry.run_waiting(
            || {
                tries += 1;
                if tries <= conflicts { Err(conflict(tries)) } else { Ok(tries) }
            },
            |delay| waits.push(delay),
        );
        (outcome, tries, waits)
    }

    #[test]
    fn a_conflict_is_tried_three_times_with_waits_that_double__D17() {
        let retry = Retry::new().jitter(Jitter::None);
        assert_eq!(run(retry, 0).2, []);
        let (outcome, tries, waits) = run(retry, 2);
        assert_eq!((outcome.expect("the third try succeeds"), tries), (3, 3));
        assert_eq!(waits, [millis(100), millis(200)]);
    }

    #[test]
    fn the_last_error_comes_back_as_it_was__D17_X21() {
        let (outcome, tries, waits) = run(Retry::new(), 9);
        assert!(matches!(outcome, Err(Error::VersionConflict { actual, .. }) if actual.get() == 3));
        assert_eq!((tries, waits.len()), (3, 2));
        let (outcome, tries, waits) = run(Retry::none(), 9);
        assert!(matches!(outcome, Err(Error::VersionConflict { actual, .. }) if actual.get() == 1));
        assert_eq!((tries, waits.len()), (1, 0));
        assert_eq!(run(Retry::new().tries(0), 9).1, 1);
    }

    #[test]
    fn other_errors_end_it_at_once__D17() {
        let mut tries = 0;
        let outcome: Result<(), Error> = Retry::new().run(|| {
            tries += 1;
            Err(Invalid::new("amount", "-1", "it is positive").into())
        });
        assert!(matches!(outcome, Err(Error::Invalid(_))));
        assert_eq!(tries, 1);
    }

    #[test]
    fn a_wait_has_a_bound_however_many_tries_there_are__D17() {
        let retry = Retry::new().backoff_max(millis(350)).jitter(Jitter::None);
        let waits: Vec<Duration> = [1, 2, 3, 4, 40, u32::MAX].map(|attempt| retry.delay(attempt, 0)).into();
        assert_eq!(waits, [millis(100), millis(200), millis(350), millis(350), millis(350), millis(350)]);
        let endless = Retry::new().backoff(Duration::MAX).backoff_max(Duration::MAX);
        assert_eq!(endless.jitter(Jitter::None).delay(u32::MAX, 0), Duration::MAX);
        assert_eq!(endless.delay(1, u64::MAX), Duration::from_nanos(u64::MAX));
    }

    #[test]
    fn jitter_spreads_a_wait_over_all_of_it__D17() {
        let retry = Retry::new();
        assert_eq!(retry.delay(2, 0), Duration::ZERO);
        assert_eq!(retry.delay(2, u64::MAX), millis(200));
        let half = retry.delay(2, u64::MAX / 2);
        assert!(half.abs_diff(millis(100)) < millis(1), "{half:?}");
        // Two conflicts in a row that wait the same to the nanosecond: once in 100,000,000.
        let waits: Vec<Vec<Duration>> = (0..4).map(|_| run(retry, 9).2).collect();
        assert!(waits.iter().any(|other| *other != waits[0]), "{waits:?}");
    }

    #[test]
    fn nothing_is_waited_for_without_a_backoff__D17() {
        assert_eq!(run(Retry::new().backoff(Duration::ZERO), 9).2, [Duration::ZERO; 2]);
    }
}
