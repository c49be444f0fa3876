//! The writer: the one thread that appends, so that every version check is atomic.
//!
//! What always holds: an append is checked against all commits before it, also those of its own frame; a
//! frame is published whole, and only when it has reached what `Durability` promises; every caller gets
//! exactly one answer; after a failed write or sync no append succeeds.
//!
//! ```text
//! callers: encode ──> queue ──> thread: drain ──> core: plan, stamp │ write │ sync │ publish ──> answers
//!                    (bounded)                    └──────────── one frame ────────────┘
//! ```

pub(crate) mod answer;
pub(crate) mod bell;
pub(crate) mod core;
pub(crate) mod futex;
pub(crate) mod plan;
pub(crate) mod request;
pub(crate) mod thread;
