//! What can be asked of the program, and the help that says so.

use std::{path::PathBuf, time::Duration};

use annals::{Durability, EventId, ExpectedVersion, OccurredAt, StreamId};
use clap::{
    ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint,
    builder::{OsStringValueParser, TypedValueParser},
    error::ErrorKind,
    parser::ValueSource,
};

use crate::{
    backup_arguments::{BackupArguments, RestoreArguments},
    bench_arguments::BenchArguments,
    clock_text, colours,
    completion::{self, CompletionsArguments},
    consumers_arguments::{CheckpointsArguments, ProjectionsArguments},
    global_arguments::{self, DEFAULT_STORE, EVERYWHERE, GlobalArguments, STORE_VARIABLE, StoreParser},
    help::{self, HelpArguments},
    input::{JsonArgument, Source},
    line_time::TimeSource,
    man::ManArguments,
    mapping::{self, Mapping},
    numbers,
    reading_arguments::{
        ExportArguments, InfoArguments, NamesArguments, ReadArguments, StreamsArguments, TailArguments,
    },
    repair_arguments::RepairArguments,
    selftest_arguments::SelftestArguments,
    snapshot_arguments::SnapshotArguments,
    stats_arguments::StatsArguments,
    types_arguments::TypesArguments,
};

/// An event store in a directory: append events to streams, read them back in order.
#[derive(Debug, Parser)]
#[command(name = "annals", version, styles = colours::HELP, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// The store's directory.
    #[arg(
        long,
        global = true,
        env = STORE_VARIABLE,
        default_value = DEFAULT_STORE,
        value_parser = StoreParser,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        help_heading = EVERYWHERE
    )]
    pub(crate) store: PathBuf,
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const CATEGORIES_EXAMPLES: &str = "Examples:
  annals categories
  annals categories --format json

A stream's category is what stands before the first - of its name: that of order-17 is order.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Append one event, or a batch of them, to a stream.
    Append(AppendArguments),
    /// Print the events of a stream, of a category, or all.
    Read(ReadArguments),
    /// Print what is there and, with --follow, what comes.
    Tail(TailArguments),
    /// List the streams.
    Streams(StreamsArguments),
    /// List the categories, and how many events each has.
    #[command(after_long_help = CATEGORIES_EXAMPLES)]
    Categories(NamesArguments),
    /// List the event types; register one, or show one.
    Types(TypesArguments),
    /// List how far consumers have come; delete a checkpoint.
    Checkpoints(CheckpointsArguments),
    /// List, show or delete states that programs have saved.
    Snapshot(SnapshotArguments),
    /// List projections, or the events that one left out.
    Projections(ProjectionsArguments),
    /// Say how much is in the store, or in one stream.
    Info(InfoArguments),
    /// Say what the store is made of and how it grew; draw it.
    Stats(StatsArguments),
    /// Take events in, one JSON object a line.
    Import(ImportArguments),
    /// Print all events as JSON lines, which `import` takes.
    Export(ExportArguments),
    /// Read every byte of the store, and check it.
    Verify(VerifyArguments),
    /// Copy the store while it is in use, or what is new.
    Backup(BackupArguments),
    /// Make a store from a backup, as of any moment.
    Restore(RestoreArguments),
    /// Make a damaged store whole, or show what that would cost.
    Repair(RepairArguments),
    /// Measure what a store does on this machine's disk.
    Bench(BenchArguments),
    /// Test the engine: simulated power cuts, failing disks, damage.
    Selftest(SelftestArguments),
    /// Explain a command or a topic.
    Help(HelpArguments),
    /// Print what has your shell complete commands and names.
    Completions(CompletionsArguments),
    /// Write the manual: a page for each command and topic.
    Man(ManArguments),
}

impl Arguments {
    /// What the command line says, if it makes sense; else the program ends here, with the code 2.
    pub(crate) fn given() -> Self {
        global_arguments::begin_with_colour(std::env::args_os());
        let given = help::command().try_get_matches().and_then(|matches| {
            if matches.subcommand_name().is_none() {
                help::begin();
            }
            Self::of(&matches)
        });
        given.unwrap_or_else(|error| help::end_with(&help::advised(error)))
    }

    /// What was given, if it makes sense together.
    pub(crate) fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let arguments = Self::from_arg_matches(matches)?;
        match arguments.problem(matches) {
            Some(problem) => Err(help::command().error(ErrorKind::ArgumentConflict, problem)),
            None => Ok(arguments),
        }
    }

    /// What makes no sense together; none if all does.
    fn problem(&self, matches: &ArgMatches) -> Option<String> {
        if let Some(problem) = self.global.problem() {
            return Some(problem.to_owned());
        }
        match &self.command {
            Command::Read(read) => read.layout.problem().map(str::to_owned),
            Command::Tail(tail) => tail.problem().map(str::to_owned),
            Command::Stats(stats) => stats.problem().map(str::to_owned),
            Command::Help(help) => help.problem(),
            Command::Import(import) => mapping::problem(&import.map, import.time_from),
            Command::Bench(_) if names_store(matches) => Some(
                "bench makes stores of its own, and never touches one that is there: --directory says where"
                    .to_owned(),
            ),
            Command::Bench(bench) => bench.problem(),
            Command::Selftest(_) if names_store(matches) => {
                Some("selftest works on simulated disks in memory, and touches no store".to_owned())
            }
            _ => None,
        }
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
  annals append order-18 --batch items.ndjson --expect no-stream

A line of a batch, all but "type" optional; a field of another name is an error:
  {"type":"OrderPlaced","id":"order-17-placed","occurredAt":"2025-11-21T09:30:00+01:00",
   "schemaVersion":2,"data":{"total":1200},"metadata":{"userId":"u-7"}}"#;

#[derive(Args, Debug)]
#[command(after_long_help = APPEND_EXAMPLES)]
pub(crate) struct AppendArguments {
    /// The stream: `category-id`, 1 to 2,048 bytes. It begins with its first event.
    #[arg(add = completion::streams())]
    pub(crate) stream: StreamId,
    /// What happened: past tense, specific, as `OrderPlaced`.
    #[arg(long = "type", value_name = "TYPE", required_unless_present = "batch", add = completion::event_types())]
    pub(crate) event_type: Option<String>,
    /// The event's data: JSON, or `@file`, or `-` for standard input; `{}` without this option.
    ///
    /// They are stored exactly as given, without the white space around them.
    #[arg(long, value_name = "JSON|@FILE|-", allow_negative_numbers = true)]
    pub(crate) data: Option<JsonArgument>,
    /// What stands beside the data: a JSON object, or `@file`, or `-`.
    ///
    /// Usual keys are correlationId, causationId, userId and tenantId; any other is taken as well.
    #[arg(long, value_name = "JSON|@FILE|-", allow_negative_numbers = true)]
    pub(crate) metadata: Option<JsonArgument>,
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
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = numbers::parse::<u32>)]
    pub(crate) schema_version: u32,
    /// Take the events from a file (or `-`, standard input) of JSON lines, and append all or none.
    #[arg(
        long,
        value_name = "FILE|-",
        value_hint = ValueHint::FilePath,
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
        add = completion::words(&["any", "no-stream", "exists"]),
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
and of how many equal lines came before it; the same line in another file is taken for the same event. With
--map it is made of the line as it stands there: mappings can be mended, and the import repeated.

With --time-from the store's own times, which --since and --until ask for, are those of the lines. They can't
go back along the log: an event that is earlier than the one before it gets that one's time, and keeps its own
as occurredAt; how many did is told at the end. A time more than a day ahead of now stops the import, since
every later event would have it."#;

#[derive(Args, Debug)]
#[command(after_long_help = IMPORT_EXAMPLES)]
pub(crate) struct ImportArguments {
    /// The file of JSON lines; `-`: standard input.
    #[arg(value_name = "FILE|-", value_hint = ValueHint::FilePath, value_parser = source_parser())]
    pub(crate) source: Source,
    /// Where a field of the event is in lines of another program; again for each field.
    ///
    /// FIELD is stream, type, id, data, dataBase64, metadata, metadata.KEY, occurredAt, timestamp or schemaVersion; what no
    /// --map names isn't taken. PATH is a JSON Pointer (/payload/time), a text with pointers in it (order-{/id}), or a
    /// constant as JSON (2, '"shop"'; not for id). Before a pointer: optional: (some lines haven't got it), json: (a text
    /// there is JSON), path: (/books/42 is the stream books-42), s:, ms:, us: (a number there is a time since 1970).
    #[arg(long, value_name = "FIELD=PATH")]
    pub(crate) map: Vec<Mapping>,
    /// Which of a line's times becomes the store's time of the event; without it, that is now.
    ///
    /// With --map, one has to find that field. Events of one time are stored together, those of the next time behind
    /// them: with many times, --durability buffered is much faster.
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

const VERIFY_EXAMPLES: &str = "Examples:
  annals verify
  annals verify --format json
  annals --store saved verify

It compares the log with its checksums, chain, positions and versions, and index files, snapshots and checkpoints with the log. It
works beside a program that has the store open, up to what that had committed when it began. Where something is damaged it ends with exit code 6,
and says what is lost and what is intact; `annals repair` shows what can be done. Ctrl-C stops it, and it says how far it was.";

#[derive(Args, Debug)]
#[command(after_long_help = VERIFY_EXAMPLES)]
pub(crate) struct VerifyArguments {
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A file's name is any bytes; `-` is standard input.
fn source_parser() -> impl TypedValueParser<Value = Source> {
    OsStringValueParser::new().map(Source::from)
}
