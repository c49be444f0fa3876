//! The store and its program, seen from outside: what a caller is promised.

#![allow(non_snake_case, reason = "tests name the requirement that they prove behind two underscores: __A16")]

#[cfg(feature = "cli")]
#[path = "suite/cli.rs"]
mod cli;
#[cfg(feature = "cli")]
#[path = "suite/cli_commands.rs"]
mod cli_commands;
#[cfg(feature = "cli")]
#[path = "suite/cli_contract.rs"]
mod cli_contract;
#[cfg(feature = "cli")]
#[path = "suite/cli_failures.rs"]
mod cli_failures;
#[cfg(feature = "cli")]
#[path = "suite/cli_import.rs"]
mod cli_import;
#[cfg(feature = "cli")]
#[path = "suite/cli_kill.rs"]
mod cli_kill;
#[cfg(feature = "cli")]
#[path = "suite/cli_processes.rs"]
mod cli_processes;
#[cfg(feature = "cli")]
#[path = "suite/documents.rs"]
mod documents;
