//! The engine on a simulated disk whose power is cut: what holds after every reopening, checked.
//!
//! One thread drives writer and background step by step, so that a seed repeats a run exactly.
//!
//! ```text
//! history    what was appended, how far it is acknowledged, and what may be found after a cut
//! session    one opening of the store: turns of the writer, jobs of the background, its end
//! watcher    a follower beside the store: what it shows must stay
//! scenario   runs by a seed, and a run that is cut at every operation
//! ```

pub(crate) mod history;
pub(crate) mod scenario;
pub(crate) mod session;
pub(crate) mod watcher;
