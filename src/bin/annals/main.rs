//! The program `annals`: an event store from the command line.
//!
//! It sees only what the library exports. Data goes to standard output and messages to standard error; what
//! goes out as JSON and what comes in as JSON is one contract ([`contract`]); the exit code says what kind of
//! failure it was ([`failure`]).
//!
//! ```text
//! arguments   what can be asked, and the help
//! append  read  streams  info  import  export  verify      one command each
//! contract    events as JSON lines, in and out             identity   ids for lines that have none
//! input       files, standard input, lines, where JSON is bad
//! output      standard output, and text that is safe on a terminal
//! clock_text  times as RFC 3339                            opening    how commands open the store
//! failure     messages and exit codes                      progress   a bar, on a terminal only
//! ```

mod append;
mod arguments;
mod clock_text;
mod contract;
mod export;
mod failure;
mod identity;
mod import;
mod info;
mod input;
mod opening;
mod output;
mod progress;
mod read;
mod streams;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let store = arguments.store.as_path();
    match &arguments.command {
        Command::Append(arguments) => append::run(store, arguments),
        Command::Read(arguments) => read::run(store, arguments),
        Command::Streams(arguments) => streams::run(store, arguments),
        Command::Info(arguments) => info::run(store, arguments),
        Command::Import(arguments) => import::run(store, arguments),
        Command::Export(arguments) => export::run(store, arguments),
        Command::Verify(arguments) => verify::run(store, arguments),
    }
}
