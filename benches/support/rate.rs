//! Rates.

use std::time::Duration;

/// So many a second.
#[allow(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
