//! What a simulation finds that must never be.

use std::fmt;

/// What the store promises, as far as a simulation can see it broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// What was acknowledged, or shown as durable, is there.
    NothingLost,
    /// A commit is there whole or not at all.
    WholeCommits,
    /// Power cuts, kills and failing disks are never taken for damage.
    NoFalseRefusal,
    /// Everything else: no wrong event, no wrong version, no append behind a failure, no temporary file left.
    RightAnswers,
}

/// A promise that was broken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct BrokenPromise {
    /// Which one.
    pub promise: Promise,
    /// How.
    pub what: String,
}

impl BrokenPromise {
    pub(crate) fn new(promise: Promise, what: impl Into<String>) -> Self {
        Self { promise, what: what.into() }
    }

    /// The same, with words before it that say where.
    pub(crate) fn at(self, place: impl fmt::Display) -> Self {
        Self { promise: self.promise, what: format!("{place}: {}", self.what) }
    }
}

impl From<String> for BrokenPromise {
    fn from(what: String) -> Self {
        Self::new(Promise::RightAnswers, what)
    }
}

impl fmt::Display for BrokenPromise {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.what)
    }
}

impl std::error::Error for BrokenPromise {}
