//! How much is checked of a segment's broken stretches: what hostile bytes may cost is bounded, whatever they look like.

use std::cell::Cell;

/// How often as many bytes as a segment's file has are checked of its broken stretches, at most: each few times, and more where
/// frames, or what looks like them, overlap.
const CHECKED_TIMES_MAX: u64 = 64;

/// The same in bytes, whatever the file's length: four times those of the largest segment.
const CHECKED_BYTES_MAX: u64 = 4 << 30;

/// What is checked in any case, in bytes.
const CHECKED_BYTES_MIN: u64 = 1 << 20;

/// The bytes that may be read or checked yet. Each is paid for before; when they are spent, what isn't known yet stays so.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Cell<u64>,
}

impl Allowance {
    /// What there is for a segment whose file has so many bytes.
    pub(crate) fn of_segment(file_bytes: u64) -> Self {
        let bytes = file_bytes.saturating_mul(CHECKED_TIMES_MAX);
        Self::new(bytes.clamp(CHECKED_BYTES_MIN, CHECKED_BYTES_MAX))
    }

    pub(crate) fn new(bytes: u64) -> Self {
        Self { left: Cell::new(bytes) }
    }

    /// Pays for so many bytes. False: that isn't left, and then nothing is.
    pub(crate) fn pay(&self, bytes: u64) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// What is left, in bytes.
    #[cfg(test)]
    pub(crate) fn left(&self) -> u64 {
        self.left.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cant_be_paid_for_ends_it() {
        let allowance = Allowance::new(10);
        assert!(allowance.pay(6) && !allowance.is_spent());
        assert!(!allowance.pay(5) && allowance.is_spent());
        assert!(!allowance.pay(1));
    }

    #[test]
    fn a_small_file_is_worth_less_than_a_large_one() {
        let left_of = |file_bytes| Allowance::of_segment(file_bytes).left();
        assert_eq!((left_of(0), left_of(10_000)), (1 << 20, 1 << 20));
        assert_eq!((left_of(1 << 20), left_of(64 << 20)), (64 << 20, 4 << 30));
        assert_eq!((left_of(1 << 30), left_of(u64::MAX)), (4 << 30, 4 << 30));
    }
}
