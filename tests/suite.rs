//! The store, tested from outside: one binary, a file a subject.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]

#[path = "suite/append.rs"]
mod append;
#[path = "suite/format.rs"]
mod format;
#[path = "suite/full_disk.rs"]
mod full_disk;
#[path = "suite/golden.rs"]
mod golden;
#[path = "suite/log_bytes.rs"]
mod log_bytes;
#[path = "suite/support.rs"]
mod support;
