//! What a workload's process measures.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{median::median, percentile::percentile, rate::rate};

/// Only what was asked for is there.
#[derive(Clone, Copy, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) events: u64,
    pub(crate) events_per_second: Option<f64>,
    pub(crate) p50_micros: Option<f64>,
    pub(crate) p99_micros: Option<f64>,
    pub(crate) open_millis: Option<f64>,
    /// Anonymous memory that came with opening and reading a stream.
    pub(crate) memory_bytes: Option<f64>,
    /// Of a closed store, an event.
    pub(crate) disk_bytes: Option<f64>,
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    EventsPerSecond,
    P50,
    P99,
    Open,
    Memory,
    Disk,
}

impl Figures {
    pub(crate) fn get(&self, figure: Figure) -> Option<f64> {
        match figure {
            Figure::EventsPerSecond => self.events_per_second,
            Figure::P50 => self.p50_micros,
            Figure::P99 => self.p99_micros,
            Figure::Open => self.open_millis,
            Figure::Memory => self.memory_bytes,
            Figure::Disk => self.disk_bytes,
        }
    }

    pub(crate) fn rate(events: u64, elapsed: Duration) -> Self {
        Self { events, events_per_second: Some(rate(events, elapsed)), ..Self::default() }
    }

    /// With the latencies, which are put in order.
    pub(crate) fn with_latencies(self, latencies: &mut [Duration]) -> Self {
        latencies.sort_unstable();
        let at = |percent: usize| {
            (!latencies.is_empty()).then(|| percentile(latencies, percent).as_secs_f64() * 1e6)
        };
        Self { p50_micros: at(50), p99_micros: at(99), ..self }
    }
}

#[allow(clippy::cast_precision_loss, reason = "no count here comes near 52 bits")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// The middle one; none of none.
pub(crate) fn median_of(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    (!values.is_empty()).then(|| median(&mut values))
}
