//! How much is checked of a segment's broken stretches: what hostile bytes may cost is bounded, whatever they look like.

use std::cell::Cell;

/// How many bytes are checked of one segment's broken stretches at most: four times those of the largest segment, which is
/// more than honest damage needs.
const CHECKED_BYTES_MAX: u64 = 4 << 30;

/// The bytes that may be checked yet. Each is paid for before it is checked; when they are spent, what isn't known yet stays so.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Cell<u64>,
}

impl Allowance {
    /// What there is for a segment.
    pub(crate) fn of_segment() -> Self {
        Self::new(CHECKED_BYTES_MAX)
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
}
