//! The store, tested from outside: one binary, a file a subject.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]

#[path = "suite/append.rs"]
mod append;
#[path = "suite/commits.rs"]
mod commits;
#[path = "suite/concurrency.rs"]
mod concurrency;
#[path = "suite/conflicts.rs"]
mod conflicts;
#[path = "suite/failures.rs"]
mod failures;
#[path = "suite/idempotency.rs"]
mod idempotency;
#[path = "suite/ids_and_clocks.rs"]
mod ids_and_clocks;
#[path = "suite/limits.rs"]
mod limits;
#[path = "suite/metadata.rs"]
mod metadata;
#[path = "suite/names.rs"]
mod names;
#[path = "suite/opening.rs"]
mod opening;
#[path = "suite/pending.rs"]
mod pending;
#[path = "suite/reading.rs"]
mod reading;
#[path = "suite/streams.rs"]
mod streams;
#[path = "suite/support.rs"]
mod support;
