//! What programs are written with: events as their own types, aggregates, projections. All of it uses the store as any
//! program could; none of it is needed to use the store.
//!
//! ```text
//! snapshot_policy   when a snapshot is taken
//! retry             trying again where another was first
//! context           who and what caused events
//! on_error  run_error                what a runner does where something fails, and why it has ended
//! projection  process_manager        what programs make of events: read models; other events
//! work              both, as the runner sees them
//! notes             what runners note in the store's own streams
//! control           what a runner shares with those who watch and command it
//! settings          what a runner was told, and how a run begins
//! batch  skips  session              a run, batch by batch
//! running  runner                    a runner's handle, and what starts it
//! ```

pub(crate) mod batch;
pub(crate) mod context;
pub(crate) mod control;
pub(crate) mod notes;
pub(crate) mod on_error;
pub(crate) mod process_manager;
pub(crate) mod projection;
pub(crate) mod retry;
pub(crate) mod run_error;
pub(crate) mod runner;
pub(crate) mod running;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod skips;
pub(crate) mod snapshot_policy;
pub(crate) mod work;
