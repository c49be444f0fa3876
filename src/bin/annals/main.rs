//! The program `annals`: an event store from the command line.
//!
//! It sees only what the library exports. Data goes to standard output and messages to standard error; what
//! goes out as JSON and what comes in as JSON is one contract ([`contract`]); the exit code says what kind of
//! failure it was ([`failure`]).
//!
//! ```text
//! arguments  reading_arguments  snapshot_arguments  backup_arguments  repair_arguments  bench_arguments  selection
//! selftest_arguments  stats_arguments  consumers_arguments  types_arguments  global_arguments    what can be asked
//! append  read  tail  streams  categories  types  checkpoints  snapshot  projections  info  stats  import  export
//! verify  repair  backup  restore  bench  selftest         the commands
//! help  topics  help_text                                  what is explained
//! completion  completion_bash                              what shells complete
//! man  reference                                           the same as pages and as a document
//! stats_report  stats_timeline                             what stats counts
//! stats_chart  stats_svg                                   what stats draws
//! contract    events as JSON lines, in and out             event_text events as lines of either format
//! fields      what of an event is printed                  columns    lines of columns, on a terminal as wide as that
//! pretty      JSON over several lines                      colours    types, help
//! input       files, standard input, lines, where JSON is bad
//! mapping     what --map says                              mapped     events of other programs' lines
//! pointing    what stands at a place in JSON               epoch      times as numbers
//! identity    ids for lines that have none                 line_time  times for the store from lines
//! output      standard output, and text that is safe on a terminal
//! clock_text  times and durations as people write them     opening    how commands open the store
//! saving      checkpoints, beside others who write         interrupt  Ctrl-C
//! sizes       sizes as text                                interruptible  input that Ctrl-C ends
//! failure     messages and exit codes                      progress   a bar, on a terminal only
//! verbosity   how much is told
//! ```

mod append;
mod arguments;
mod backup;
mod backup_arguments;
mod bench;
mod bench_arguments;
mod categories;
mod checkpoints;
mod clock_text;
mod colours;
mod columns;
mod completion;
mod completion_bash;
mod consumers_arguments;
mod contract;
mod epoch;
mod event_text;
mod export;
mod failure;
mod field_value;
mod fields;
mod global_arguments;
mod help;
mod help_text;
mod identity;
mod import;
mod import_advice;
mod info;
mod input;
mod interrupt;
mod interruptible;
mod line_time;
mod man;
mod mapped;
mod mapping;
mod numbers;
mod opening;
mod output;
mod pointing;
mod pretty;
mod progress;
mod projections;
mod read;
mod reading_arguments;
#[cfg(test)]
mod reference;
mod repair;
mod repair_arguments;
mod restore;
mod saving;
mod selection;
mod selftest;
mod selftest_arguments;
mod sizes;
mod snapshot;
mod snapshot_arguments;
mod stats;
mod stats_arguments;
mod stats_chart;
mod stats_report;
mod stats_svg;
mod stats_timeline;
mod streams;
mod tail;
mod topics;
mod types;
mod types_arguments;
mod verbosity;
mod verify;

/// The fuzz target over what `import` reads, run here over its corpus.
#[cfg(test)]
#[path = "../../../tests/fuzz/src/lines.rs"]
mod lines;

use std::{process::ExitCode, time::Instant};

use crate::arguments::{Arguments, Command};

fn main() -> ExitCode {
    completion::answer();
    let arguments = Arguments::given();
    arguments.global.begin();
    tracing::debug!(?arguments, "begins");
    let begun = Instant::now();
    let done = run(&arguments);
    tracing::info!(time = ?begun.elapsed(), "ends");
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let store = arguments.store.as_path();
    match &arguments.command {
        Command::Append(arguments) => append::run(store, arguments),
        Command::Read(arguments) => read::run(store, arguments),
        Command::Tail(arguments) => tail::run(store, arguments),
        Command::Categories(arguments) => categories::run(store, arguments),
        Command::Types(arguments) => types::run(store, arguments),
        Command::Checkpoints(arguments) => checkpoints::run(store, arguments),
        Command::Snapshot(arguments) => snapshot::run(store, arguments),
        Command::Projections(arguments) => projections::run(store, arguments),
        Command::Streams(arguments) => streams::run(store, arguments),
        Command::Info(arguments) => info::run(store, arguments),
        Command::Stats(arguments) => stats::run(store, arguments),
        Command::Import(arguments) => import::run(store, arguments),
        Command::Export(arguments) => export::run(store, arguments),
        Command::Verify(arguments) => verify::run(store, arguments),
        Command::Repair(arguments) => repair::run(store, arguments),
        Command::Backup(arguments) => backup::run(store, arguments),
        Command::Restore(arguments) => restore::run(store, arguments),
        Command::Bench(arguments) => bench::run(arguments),
        Command::Selftest(arguments) => selftest::run(arguments),
        Command::Help(arguments) => help::run(arguments),
        Command::Completions(arguments) => completion::run(arguments),
        Command::Man(arguments) => man::run(arguments),
    }
}

#[cfg(test)]
#[allow(non_snake_case, reason = "tests are named after behaviours, with the ids of faults behind __")]
mod tests {
    use std::fs;

    #[test]
    fn hostile_lines_are_refused_or_come_back_as_they_were__F28() {
        let corpus = fs::read_dir("tests/fuzz/corpus/import").expect("it is there");
        let mut count = 0;
        for entry in corpus {
            let input = fs::read(entry.expect("a name").path()).expect("a file");
            crate::lines::run(&input);
            count += 1;
        }
        assert!(count > 0, "the target has a corpus");
    }
}
