//! What depends on features that are off by default, as a binary of its own: it is built in seconds, and the suite once.

#![cfg(all(feature = "async", feature = "cli", feature = "schema", feature = "tracing"))]
#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]
#![allow(dead_code, reason = "the suite uses more of what its files share")]

#[path = "suite/account.rs"]
mod account;
#[path = "suite/aggregate_snapshots.rs"]
mod aggregate_snapshots;
#[path = "suite/cli.rs"]
mod cli;
#[path = "suite/cli_types.rs"]
mod cli_types;
#[path = "suite/event_types.rs"]
mod event_types;
#[path = "suite/ids_and_clocks.rs"]
mod ids_and_clocks;
#[path = "suite/spans.rs"]
mod spans;
#[path = "suite/subscriptions.rs"]
mod subscriptions;
#[path = "suite/support.rs"]
mod support;
