//! The median.

use std::cmp::Ordering;

/// Sorts the figures, and returns the one in the middle.
pub(crate) fn median(figures: &mut [f64]) -> f64 {
    median_by(figures, f64::total_cmp)
}

/// The same of what has another order.
pub(crate) fn median_by<T: Copy>(figures: &mut [T], order: impl FnMut(&T, &T) -> Ordering) -> T {
    figures.sort_unstable_by(order);
    figures[figures.len() / 2]
}
