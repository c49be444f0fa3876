//! What can be asked of the program, and the help that says so.

use std::{path::PathBuf, time::Duration};

use annals::{Durability, EventId, ExpectedVersion, OccurredAt, StreamId, Validation};
use clap::{
    ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};

use crate::{
    backup_arguments::{BackupArguments, RestoreArguments},
    bench_arguments::BenchArguments,
    clock_text, colours,
    global_arguments::{self, GlobalArguments},
    input::{JsonArgument, Source},
    mapping::{self, Mapping},
    reading_arguments::{
        ExportArguments, InfoArguments, NamesArguments, ReadArguments, StreamsArguments, TailArguments,
    },
    repair_arguments::RepairArguments,
    selftest_arguments::SelftestArguments,
    snapshot_arguments::SnapshotArguments,
    stats_arguments::StatsArguments,
};

const EXAMPLES: &str = r#"Examples:
  annals append order-17 --type OrderPlaced --data '{"total":1200}'
  annals append order-17 --type OrderPaid --expect 1
  annals read order-17
  annals read --all --format json --after 5000 --limit 100
  annals read --category order --type OrderPaid --since '2h ago'
  annals tail --category order --follow
  zcat history.ndjson.gz | annals import -
  annals --store copy.annals import <(annals export)
  annals backup /mnt/backups/shop
  annals restore /mnt/backups/shop restored.annals --to-time '1h ago'

Exit codes:
  0  done (also when the reader of standard output went away)
  1  an error that has no number of its own
  2  the command line is wrong
  3  the stream isn't at the expected version; nothing was written
  4  not found: there is no store, or no such stream, event, checkpoint, snapshot, projection, registered event
     type or backup
  5  another process has the store open for writing, and this command would have to write
  6  the store's files are damaged

Environment:
  ANNALS_STORE  the store, where --store doesn't name it
  TZ            the zone of times without an offset, where that isn't to be the system's
  NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM  whether --color auto shows colours"#;

/// An event store in a directory: append events to streams, read them back in order.
#[derive(Debug, Parser)]
#[command(name = "annals", version, styles = colours::HELP, after_long_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The store's directory. `append`, `import`, `types register` and `restore` make it where there is none.
    #[arg(long, global = true, env = "ANNALS_STORE", default_value = "./annals-data", value_name = "DIR")]
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append one event, or a batch of them, to a stream.
    Append(AppendArguments),
    /// Print a stream's events, a category's, all, or one by its id.
    Read(ReadArguments),
    /// Print the events that are there, and with --follow those that come.
    Tail(TailArguments),
    /// List the streams, by name.
    Streams(StreamsArguments),
    /// List the categories, and how many events are in each.
    Categories(NamesArguments),
    /// List the event types, and how many events are of each; register one; show what is registered of one.
    Types(TypesArguments),
    /// List how far consumers have come, or delete a checkpoint.
    Checkpoints(CheckpointsArguments),
    /// List, print or delete the states that programs have saved.
    Snapshot(SnapshotArguments),
    /// List the projections that were started on the store, or what one has left out.
    Projections(ProjectionsArguments),
    /// Say how much is in the store, or in one stream.
    Info(InfoArguments),
    /// Say what the store is made of, how it grew, and how long its streams are; draw it.
    Stats(StatsArguments),
    /// Take events in, one JSON object a line.
    Import(ImportArguments),
    /// Print all events as JSON lines, which `import` takes.
    Export(ExportArguments),
    /// Read every byte of the store and compare it, also beside a program that writes to it.
    Verify(VerifyArguments),
    /// Copy the store while it is in use, or what is new since the last time.
    Backup(BackupArguments),
    /// Make a store from a backup: all of it, or up to a position or a time.
    Restore(RestoreArguments),
    /// Make a damaged store whole, as far as its own bytes and a backup go; or show what that would cost.
    Repair(RepairArguments),
    /// Measure what a store does on this machine's disk.
    Bench(BenchArguments),
    /// Test this program's engine against simulated power cuts, failing disks and damage.
    Selftest(SelftestArguments),
}

impl Arguments {
    /// What the command line says, if it makes sense; else the program ends here, with the code 2.
    pub(crate) fn given() -> Self {
        global_arguments::begin_with_colour(std::env::args_os());
        let matches = Self::command().get_matches();
        let arguments = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let problem = match &arguments.command {
            _ if arguments.global.problem().is_some() => arguments.global.problem().map(str::to_owned),
            Command::Read(read) => read.layout.problem().map(str::to_owned),
            Command::Tail(tail) => tail.problem().map(str::to_owned),
            Command::Stats(stats) => stats.problem().map(str::to_owned),
            Command::Import(import) => mapping::problem(&import.map),
            Command::Bench(_) if names_store(&matches) => Some(
                "bench makes stores of its own, and never touches one that is there: --directory says where"
                    .to_owned(),
            ),
            Command::Bench(bench) => bench.problem(),
            Command::Selftest(_) if names_store(&matches) => {
                Some("selftest works on simulated disks in memory, and touches no store".to_owned())
            }
            _ => None,
        };
        if let Some(problem) = problem {
            Self::command().error(ErrorKind::ArgumentConflict, problem).exit();
        }
        arguments
    }
}

/// Whether the command line itself has `--store`.
fn names_store(matches: &ArgMatches) -> bool {
    let below = matches.subcommand().map(|(_, matches)| matches);
    [Some(matches), below]
        .into_iter()
        .flatten()
        .any(|it| it.value_source("store") == Some(ValueSource::CommandLine))
}

/// How results are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Format {
    /// For people; may change.
    Text,
    /// For programs: one JSON object a line.
    Json,
}

const APPEND_EXAMPLES: &str = r#"Examples:
  annals append order-17 --type OrderPlaced --data '{"total":1200}'
  annals append order-17 --type OrderPaid --data @paid.json --expect 1
  annals append order-17 --type OrderSent --id order-17-sent --occurred-at 2025-11-21T09:30:00+01:00
  annals append order-17 --batch events.ndjson --expect no-stream

A line of a batch, all but "type" optional; a field of another name is an error:
  {"type":"OrderPlaced","id":"order-17-placed","occurredAt":"2025-11-21T09:30:00+01:00",
   "schemaVersion":2,"data":{"total":1200},"metadata":{"userId":"u-7"}}"#;

#[derive(Args, Debug)]
#[command(after_long_help = APPEND_EXAMPLES)]
pub(crate) struct AppendArguments {
    /// The stream: `category-id`, 1 to 2,048 bytes. It begins with its first event.
    pub(crate) stream: StreamId,
    /// What happened: past tense, specific, as `OrderPlaced`.
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "batch")]
    pub(crate) event_type: Option<String>,
    /// The event's data: JSON, or `@file`, or `-` for standard input; `{}` without this option.
    ///
    /// They are stored exactly as given, without the white space around them.
    #[arg(long, value_name = "JSON|@FILE|-", allow_negative_numbers = true)]
    pub(crate) data: Option<JsonArgument>,
    /// What stands beside the data: a JSON object.
    ///
    /// Usual keys are correlationId, causationId, userId and tenantId; any other is taken as well.
    #[arg(long, value_name = "JSON")]
    pub(crate) metadata: Option<String>,
    /// The event's id, 1 to 255 bytes; without it the store makes one.
    ///
    /// Repeating an append with the same id writes nothing and succeeds.
    #[arg(long)]
    pub(crate) id: Option<EventId>,
    /// When it happened, with the zone's offset: 2025-11-21T09:30:00+01:00.
    ///
    /// Microseconds are kept, and what is finer is dropped. The offset is stored with the event, so it must be said, and isn't
    /// that of the machine where it is typed.
    #[arg(long, value_name = "TIME", value_parser = clock_text::parse_occurred_at)]
    pub(crate) occurred_at: Option<OccurredAt>,
    /// The version of the data's schema.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) schema_version: u32,
    /// Take the events from a file (or `-`, standard input) of JSON lines, and append all or none.
    #[arg(
        long,
        value_name = "FILE|-",
        value_parser = source_parser(),
        conflicts_with_all = ["event_type", "data", "metadata", "id", "occurred_at", "schema_version"]
    )]
    pub(crate) batch: Option<Source>,
    /// The version that the stream must have: a number, or any (the default, -1), no-stream (0), exists (-2).
    ///
    /// Where it has another, nothing is written, and the exit code is 3.
    #[arg(
        long,
        value_name = "N|any|no-stream|exists",
        default_value = "any",
        hide_default_value = true,
        allow_negative_numbers = true
    )]
    pub(crate) expect: ExpectedVersion,
    #[command(flatten)]
    pub(crate) writing: WritingArguments,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// How the store is opened to write to it.
#[derive(Args, Debug)]
pub(crate) struct WritingArguments {
    /// What an event has reached when it counts as stored.
    #[arg(long, value_enum, default_value_t = DurabilityArgument::Fsync)]
    pub(crate) durability: DurabilityArgument,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
}

/// How long a command waits for the store.
#[derive(Args, Debug)]
pub(crate) struct WaitingArguments {
    /// How long to wait while another process has the store open for writing: 500ms, 90s, 10m, 1h30m; 0 not at all.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = clock_text::parse_duration)]
    pub(crate) wait: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DurabilityArgument {
    /// The disk has it: it survives a power cut.
    Fsync,
    /// The operating system has it: it survives the end of the program, and a power cut loses the last
    /// moments.
    Buffered,
}

impl From<DurabilityArgument> for Durability {
    fn from(argument: DurabilityArgument) -> Self {
        match argument {
            DurabilityArgument::Fsync => Self::Fsync,
            DurabilityArgument::Buffered => Self::Buffered,
        }
    }
}

const IMPORT_EXAMPLES: &str = r#"Examples:
  annals import events.ndjson
  zcat events.ndjson.gz | annals import -

A line, all but "stream" and "type" optional; a field of another name is an error:
  {"stream":"order-17","type":"OrderPlaced","id":"order-17-placed","data":{"total":1200},
   "metadata":{"userId":"u-7"},"occurredAt":"2025-11-21T09:30:00+01:00","schemaVersion":2}

"position", "version" and "timestamp" may be there, as in what export prints: the store gives its own. Data
that isn't JSON comes as "dataBase64". Order is kept. A line whose id is in its stream already adds nothing,
so an import that was cut off is simply repeated. A line without an id gets one made of what it says
and of how many equal lines came before it; the same line in another file is taken for the same event.

With --time-from the store's own times, which --since and --until ask for, are those of the lines. They can't
go back along the log: an event that is earlier than the one before it gets that one's time, and keeps its own
as occurredAt; how many did is told at the end."#;

#[derive(Args, Debug)]
#[command(after_long_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArguments {
    /// The file of JSON lines; `-`: standard input.
    #[arg(value_name = "FILE|-", value_parser = source_parser())]
    pub(crate) source: Source,
    /// Where a field of the event is in lines of another program; again for each field.
    ///
    /// FIELD is stream, type, id, data, dataBase64, metadata, metadata.KEY, occurredAt, timestamp or schemaVersion; what no
    /// --map names isn't taken. PATH is a JSON Pointer (/payload/time), a text with pointers in it (order-{/id}), or a
    /// constant as JSON (2, '"shop"'). Before a pointer: optional: (some lines haven't got it), json: (a text there is
    /// JSON), path: (/books/42 is the stream books-42), s:, ms:, us: (a number there is a time since 1970).
    #[arg(long, value_name = "FIELD=PATH")]
    pub(crate) map: Vec<Mapping>,
    /// Which of a line's times becomes the store's time of the event; without it, that is now.
    ///
    /// Events of one time are stored together, those of the next time behind them: with many times, --durability
    /// buffered is much faster.
    #[arg(long, value_enum, value_name = "FIELD")]
    pub(crate) time_from: Option<TimeSource>,
    #[command(flatten)]
    pub(crate) writing: WritingArguments,
    /// How the result is printed.
    ///
    /// `json` prints a line as soon as events are stored, counted from the beginning:
    /// {"lines":300,"added":300,"repeated":0,"position":300}.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// Where an import finds the time of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum TimeSource {
    /// `occurredAt` of the line, or where that is missing, of its metadata.
    #[value(name = "occurredAt")]
    OccurredAt,
    /// `timestamp` of the line: the time of the store that it was exported from.
    #[value(name = "timestamp")]
    Timestamp,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct CheckpointsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<CheckpointsCommand>,
    /// How the checkpoints are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointsCommand {
    /// List the checkpoints, by name; so does leaving `list` out.
    List(NamesArguments),
    /// Delete a checkpoint: its consumer begins anew.
    Delete(DeleteCheckpointArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DeleteCheckpointArguments {
    /// The checkpoint.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const PROJECTIONS_EXAMPLES: &str = "Examples:
  annals projections
  annals projections skipped mails --format json

A line of text has the name, the position up to which the projection has come, how far that is behind the last event,
how many events it has left out, and when it saved that. A projection that keeps its cursor in a database of its own
has - for what only that knows.";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_long_help = PROJECTIONS_EXAMPLES)]
pub(crate) struct ProjectionsArguments {
    #[command(subcommand)]
    pub(crate) command: Option<ProjectionsCommand>,
    /// How the projections are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionsCommand {
    /// List the projections, by name; so does leaving `list` out.
    List(NamesArguments),
    /// Print the events that a projection has left out, and why.
    Skipped(SkippedArguments),
}

#[derive(Args, Debug)]
pub(crate) struct SkippedArguments {
    /// The projection.
    pub(crate) name: String,
    /// How the events are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct TypesArguments {
    #[command(subcommand)]
    pub(crate) command: Option<TypesCommand>,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TypesCommand {
    /// List the event types, and how many events are of each; so does leaving `list` out.
    List(NamesArguments),
    /// Say what the events of a type are: their category, their schema, and what is done with others.
    Register(RegisterTypeArguments),
    /// Show what is registered of an event type, and how its schema versions fit each other.
    Show(ShowTypeArguments),
}

const REGISTER_EXAMPLES: &str = "Examples:
  annals types register OrderPlaced --category order --schema @order-placed.json --validation warn
  annals types register OrderPlaced --validation enforce
  annals types register OrderPlaced --schema-version 2 --schema @order-placed-2.json

What an option doesn't say stays as it is registered; a new version has no schema unless one is given. The schema and
the category of a version can't be changed any more: that takes a higher version.

Where there is no store yet, one is made, as `append` does.

Schemas are checked, and data by them, if the program was built with the feature `schema`. Without it, appends of
events that have an enforced schema are refused.";

#[derive(Args, Debug)]
#[command(after_long_help = REGISTER_EXAMPLES)]
pub(crate) struct RegisterTypeArguments {
    /// The event type: what happened, past tense, specific, as `OrderPlaced`.
    #[arg(value_name = "TYPE")]
    pub(crate) event_type: String,
    /// The category whose streams alone have such events; '' for any.
    #[arg(long)]
    pub(crate) category: Option<String>,
    /// The schema version; without it the newest, or 1.
    #[arg(long, value_name = "N")]
    pub(crate) schema_version: Option<u32>,
    /// The JSON Schema of the events' data: JSON, or `@file`, or `-` for standard input.
    #[arg(long, value_name = "JSON|@FILE|-")]
    pub(crate) schema: Option<JsonArgument>,
    /// What the event means, for people; '' for none.
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
    /// What is done with events of this version that aren't so; `off` unless something was said.
    #[arg(long, value_enum)]
    pub(crate) validation: Option<ValidationArgument>,
    #[command(flatten)]
    pub(crate) writing: WritingArguments,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ValidationArgument {
    /// Nobody looks.
    Off,
    /// They are appended, and told of on standard error.
    Warn,
    /// They are refused.
    Enforce,
}

impl From<ValidationArgument> for Validation {
    fn from(argument: ValidationArgument) -> Self {
        match argument {
            ValidationArgument::Off => Self::Off,
            ValidationArgument::Warn => Self::Warn,
            ValidationArgument::Enforce => Self::Enforce,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ShowTypeArguments {
    /// The event type.
    #[arg(value_name = "TYPE")]
    pub(crate) event_type: String,
    /// How it is printed; as JSON, one object for each schema version.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyArguments {
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A file's name is any bytes; `-` is standard input.
fn source_parser() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().map(Source::from)
}
