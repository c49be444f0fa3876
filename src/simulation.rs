//! The engine on a simulated disk whose power is cut and whose files are damaged: what must hold, checked.
//!
//! One thread drives writer and background step by step, so that a seed repeats a run exactly.
//!
//! ```text
//! failure    what a simulation finds that must never be
//! history    what was appended, how far it is acknowledged, and what may be found after a cut
//! answers    whether everything else that can be asked gets the answers that the log gives
//! session    one opening of the store: turns of the writer, jobs of the background, its end
//! watcher    a follower beside the store: what it shows must stay
//! mishaps    what goes wrong in an opening
//! scenario   lives by a seed
//! loops      a cut at every operation of a life, and of the recovery behind it
//! moments    a cut at every operation of one thing that the store does, in every style
//! errors     an error at every operation
//! reference  a small store as its bytes, and what it must answer
//! surgery    damage to that store
//! ```

pub(crate) mod answers;
pub(crate) mod errors;
pub(crate) mod failure;
pub(crate) mod history;
pub(crate) mod loops;
pub(crate) mod mishaps;
pub(crate) mod moments;
pub(crate) mod reference;
pub(crate) mod scenario;
pub(crate) mod session;
pub(crate) mod surgery;
pub(crate) mod watcher;
