//! What programs are written with: events as their own types, aggregates, projections. All of it uses the store as any
//! program could; none of it is needed to use the store.
//!
//! ```text
//! snapshot_policy   when a snapshot is taken
//! ```

pub(crate) mod snapshot_policy;
