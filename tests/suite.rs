//! The store and its program, tested from outside: one binary, a file a subject.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]

#[path = "suite/account.rs"]
mod account;
#[path = "suite/aggregate_readers.rs"]
mod aggregate_readers;
#[path = "suite/aggregate_snapshots.rs"]
mod aggregate_snapshots;
#[path = "suite/aggregates.rs"]
mod aggregates;
#[path = "suite/append.rs"]
mod append;
#[path = "suite/backup.rs"]
mod backup;
#[path = "suite/backup_faults.rs"]
mod backup_faults;
#[path = "suite/backup_refusals.rs"]
mod backup_refusals;
#[path = "suite/checkpoints.rs"]
mod checkpoints;
#[cfg(feature = "cli")]
#[path = "suite/cli.rs"]
mod cli;
#[cfg(feature = "cli")]
#[path = "suite/cli_backup.rs"]
mod cli_backup;
#[cfg(feature = "cli")]
#[path = "suite/cli_bench.rs"]
mod cli_bench;
#[cfg(feature = "cli")]
#[path = "suite/cli_commands.rs"]
mod cli_commands;
#[cfg(feature = "cli")]
#[path = "suite/cli_completions.rs"]
mod cli_completions;
#[cfg(feature = "cli")]
#[path = "suite/cli_contract.rs"]
mod cli_contract;
#[cfg(feature = "cli")]
#[path = "suite/cli_failures.rs"]
mod cli_failures;
#[cfg(feature = "cli")]
#[path = "suite/cli_help.rs"]
mod cli_help;
#[cfg(feature = "cli")]
#[path = "suite/cli_import.rs"]
mod cli_import;
#[cfg(feature = "cli")]
#[path = "suite/cli_interrupt.rs"]
mod cli_interrupt;
#[cfg(feature = "cli")]
#[path = "suite/cli_kill.rs"]
mod cli_kill;
#[cfg(feature = "cli")]
#[path = "suite/cli_map.rs"]
mod cli_map;
#[cfg(feature = "cli")]
#[path = "suite/cli_processes.rs"]
mod cli_processes;
#[cfg(feature = "cli")]
#[path = "suite/cli_projections.rs"]
mod cli_projections;
#[cfg(feature = "cli")]
#[path = "suite/cli_queries.rs"]
mod cli_queries;
#[cfg(feature = "cli")]
#[path = "suite/cli_repair.rs"]
mod cli_repair;
#[path = "suite/cli_selftest.rs"]
mod cli_selftest;
#[cfg(feature = "cli")]
#[path = "suite/cli_snapshots.rs"]
mod cli_snapshots;
#[cfg(feature = "cli")]
#[path = "suite/cli_stats.rs"]
mod cli_stats;
#[cfg(feature = "cli")]
#[path = "suite/cli_tail.rs"]
mod cli_tail;
#[cfg(all(feature = "cli", target_os = "linux"))]
#[path = "suite/cli_terminal.rs"]
mod cli_terminal;
#[cfg(feature = "cli")]
#[path = "suite/cli_types.rs"]
mod cli_types;
#[path = "suite/codecs.rs"]
mod codecs;
#[path = "suite/commands.rs"]
mod commands;
#[path = "suite/commits.rs"]
mod commits;
#[path = "suite/concurrency.rs"]
mod concurrency;
#[path = "suite/conflicts.rs"]
mod conflicts;
#[path = "suite/contexts.rs"]
mod contexts;
#[cfg(feature = "cli")]
#[path = "suite/document_commands.rs"]
mod document_commands;
#[cfg(feature = "cli")]
#[path = "suite/documents.rs"]
mod documents;
#[path = "suite/event_types.rs"]
mod event_types;
#[path = "suite/failures.rs"]
mod failures;
#[path = "suite/follower.rs"]
mod follower;
#[path = "suite/format.rs"]
mod format;
#[path = "suite/full_disk.rs"]
mod full_disk;
#[path = "suite/given.rs"]
mod given;
#[path = "suite/golden.rs"]
mod golden;
#[allow(dead_code, reason = "the fuzzer uses more of it")]
#[path = "fuzz/src/hostile/mod.rs"]
mod hostile;
#[path = "suite/hostile_bytes.rs"]
mod hostile_bytes;
#[path = "suite/idempotency.rs"]
mod idempotency;
#[path = "suite/idempotency_table.rs"]
mod idempotency_table;
#[path = "suite/ids_and_clocks.rs"]
mod ids_and_clocks;
#[path = "suite/index_files.rs"]
mod index_files;
#[path = "suite/interface.rs"]
mod interface;
#[path = "suite/limits.rs"]
mod limits;
#[path = "suite/links.rs"]
mod links;
#[path = "suite/live.rs"]
mod live;
#[path = "suite/log_bytes.rs"]
mod log_bytes;
#[cfg(target_os = "linux")]
#[path = "system/memory.rs"]
mod memory;
#[path = "suite/metadata.rs"]
mod metadata;
#[path = "../src/bin/annals/bench/mix.rs"]
mod mix;
#[path = "suite/names.rs"]
mod names;
#[path = "suite/opening.rs"]
mod opening;
#[cfg(feature = "cli")]
#[path = "suite/operator_errors.rs"]
mod operator_errors;
#[path = "suite/patient.rs"]
mod patient;
#[path = "suite/pending.rs"]
mod pending;
#[cfg(all(feature = "cli", target_os = "linux"))]
#[path = "suite/pictures.rs"]
mod pictures;
#[path = "suite/pitfalls.rs"]
mod pitfalls;
#[path = "suite/power_cuts.rs"]
mod power_cuts;
#[path = "suite/process_managers.rs"]
mod process_managers;
#[path = "suite/projection_errors.rs"]
mod projection_errors;
#[path = "suite/projection_kill.rs"]
mod projection_kill;
#[path = "suite/projection_support.rs"]
mod projection_support;
#[path = "suite/projections.rs"]
mod projections;
#[path = "suite/queries.rs"]
mod queries;
#[path = "suite/random.rs"]
mod random;
#[path = "suite/random_queries.rs"]
mod random_queries;
#[path = "suite/reading.rs"]
mod reading;
#[path = "suite/repair.rs"]
mod repair;
#[path = "suite/repair_backup.rs"]
mod repair_backup;
#[path = "suite/repair_bounds.rs"]
mod repair_bounds;
#[path = "suite/repair_counts.rs"]
mod repair_counts;
#[path = "suite/repair_faults.rs"]
mod repair_faults;
#[path = "suite/repair_history.rs"]
mod repair_history;
#[path = "suite/repair_planned_end.rs"]
mod repair_planned_end;
#[path = "suite/repair_refused.rs"]
mod repair_refused;
#[path = "suite/requirements.rs"]
mod requirements;
#[path = "suite/restore.rs"]
mod restore;
#[path = "suite/run_ends.rs"]
mod run_ends;
#[path = "suite/runners.rs"]
mod runners;
#[cfg(feature = "cli")]
#[path = "suite/shell.rs"]
mod shell;
#[path = "suite/slow_syncs.rs"]
mod slow_syncs;
#[path = "suite/snapshot_faults.rs"]
mod snapshot_faults;
#[path = "suite/snapshot_policies.rs"]
mod snapshot_policies;
#[path = "suite/snapshots.rs"]
mod snapshots;
#[path = "suite/statistics.rs"]
mod statistics;
#[path = "suite/streams.rs"]
mod streams;
#[path = "suite/subscriptions.rs"]
mod subscriptions;
#[path = "suite/support.rs"]
mod support;
#[cfg(all(feature = "cli", target_os = "linux"))]
#[path = "suite/surroundings.rs"]
mod surroundings;
#[cfg(all(feature = "cli", target_os = "linux"))]
#[path = "suite/terminal.rs"]
mod terminal;
#[path = "suite/upcasters.rs"]
mod upcasters;
#[path = "suite/upcasting.rs"]
mod upcasting;
#[path = "suite/upcasting_model.rs"]
mod upcasting_model;
#[path = "suite/upcasting_reads.rs"]
mod upcasting_reads;
#[path = "suite/verify.rs"]
mod verify;
#[path = "suite/verify_beside.rs"]
mod verify_beside;
#[path = "suite/verify_hostile.rs"]
mod verify_hostile;
#[path = "suite/watched_disk.rs"]
mod watched_disk;
#[path = "suite/write_back.rs"]
mod write_back;
