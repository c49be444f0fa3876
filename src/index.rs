//! The index: where the events of a stream are, from versions to places in the log.
//!
//! What always holds: it is derived from the log, so it is never wrong for longer than it takes to rebuild it;
//! what it finds is checked against the record on use.
//!
//! ```text
//! tail   the streams, positions and callers' ids of the log, in memory, made anew at opening
//! ```

pub(crate) mod tail;
