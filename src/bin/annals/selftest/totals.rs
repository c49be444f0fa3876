//! What was done, and what was wrong.

use std::fmt;

use annals::{Promise, SimulationCounts, SurgeryAnswer};

/// What a run did, or a part of it.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Totals {
    pub(crate) lives: u64,
    pub(crate) counts: SimulationCounts,
    /// How many cases of damage there are.
    pub(crate) damage_cases: u64,
    pub(crate) refused: u64,
    pub(crate) right: u64,
    /// A killed store's last frames, which nothing names yet, read as if they had never been written.
    pub(crate) residue: u64,
    pub(crate) lost: u64,
    pub(crate) half_commits: u64,
    pub(crate) false_refusals: u64,
    pub(crate) wrong_answers: u64,
}

impl Totals {
    pub(crate) fn of_life(counts: SimulationCounts) -> Self {
        Self { lives: 1, counts, ..Self::default() }
    }

    pub(crate) fn of_damage(answer: SurgeryAnswer) -> Self {
        let mut totals = Self::default();
        match answer {
            SurgeryAnswer::Refused => totals.refused = 1,
            SurgeryAnswer::Right => totals.right = 1,
            SurgeryAnswer::Fewer(_) => totals.residue = 1,
        }
        totals
    }

    pub(crate) fn damages(&self) -> u64 {
        self.refused + self.right + self.residue
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.lives += other.lives;
        self.counts.add(other.counts);
        self.refused += other.refused;
        self.right += other.right;
        self.residue += other.residue;
    }

    /// Counts a promise that was broken.
    pub(crate) fn note(&mut self, failure: &Failure) {
        match failure.promise {
            Some(Promise::NothingLost) => self.lost += 1,
            Some(Promise::WholeCommits) => self.half_commits += 1,
            Some(Promise::NoFalseRefusal) => self.false_refusals += 1,
            Some(Promise::RightAnswers) | None => self.wrong_answers += 1,
        }
    }
}

/// Something was wrong.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// None: it panicked.
    pub(crate) promise: Option<Promise>,
    /// Where it was.
    pub(crate) place: String,
    pub(crate) what: String,
    /// The command that repeats it.
    pub(crate) command: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, place, what, command } = self;
        let promise = match promise {
            Some(Promise::NothingLost) => "something is lost",
            Some(Promise::WholeCommits) => "a commit is there in part",
            Some(Promise::NoFalseRefusal) => "a whole store was refused",
            Some(Promise::RightAnswers) => "an answer is wrong",
            None => "the program panicked",
        };
        write!(formatter, "{promise} ({place}): {what}; \"{command}\" repeats it")
    }
}

impl std::error::Error for Failure {}
