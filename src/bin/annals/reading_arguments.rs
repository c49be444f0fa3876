//! What can be asked of the commands that read, and the help that says so.

use std::time::Duration;

use annals::{AsOf, EventId, StreamId, Timestamp};
use clap::{ArgGroup, Args};

use crate::{
    arguments::Format,
    clock_text::{self, Beginning},
    completion,
    fields::Field,
    numbers,
    selection::Selection,
};

const READ_EXAMPLES: &str = "Examples:
  annals read order-17
  annals read order-17 --after 3
  annals read order-17 --backwards --limit 1
  annals read order-17 --as-of 2025-11-21
  annals read --all --from 100 --to 200 --format json
  annals read --category order --type OrderPaid --since '2h ago'
  annals read --category order --since yesterday --fields time,type,data
  annals read order-17 --pretty
  annals read --event order-17-paid

Bounds are versions for a stream, and positions otherwise. A stream that doesn't exist has no events:
nothing is printed, and the exit code is 0.

A TIME is the store's time of an event: 2025-11-21T09:30:00+01:00; without an offset, of this system's zone (TZ names another),
as 2025-11-21T09:30 or '2025-11-21 09:30'; how long ago it was ('2h ago', '3 days ago'); now; or a date, today or yesterday, which
are whole days of that zone: since their beginning, until their end. Times are printed in UTC.

Text stands in columns, with colours on a terminal, and cut to its width there; a pipe gets all of it. It is for people: programs
take JSON, which has all fields, or those that --fields names, under the names that they have there.";

#[derive(Args, Debug)]
#[command(after_long_help = READ_EXAMPLES)]
#[command(group = ArgGroup::new("source").required(true))]
pub(crate) struct ReadArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// The event with this id, of whatever stream.
    #[arg(
        long,
        group = "source",
        value_name = "ID",
        conflicts_with_all = [
            "event_type", "correlation", "group", "including_system", "from", "after", "to", "before", "since",
            "until", "as_of", "backwards", "limit",
        ]
    )]
    pub(crate) event: Option<EventId>,
    /// Only from this one on, itself included.
    #[arg(long, value_name = "N", conflicts_with = "after", value_parser = numbers::parse::<u64>)]
    pub(crate) from: Option<u64>,
    /// Only what comes after this one.
    #[arg(long, value_name = "N", value_parser = numbers::parse::<u64>)]
    pub(crate) after: Option<u64>,
    /// Only up to this one, itself included.
    #[arg(long, value_name = "N", conflicts_with = "before", value_parser = numbers::parse::<u64>)]
    pub(crate) to: Option<u64>,
    /// Only what comes before this one.
    #[arg(long, value_name = "N", value_parser = numbers::parse::<u64>)]
    pub(crate) before: Option<u64>,
    /// Only what was stored at this time or later.
    #[arg(long, value_name = "TIME", value_parser = clock_text::parse_since, add = completion::words(&["today", "yesterday"]))]
    pub(crate) since: Option<Timestamp>,
    /// Only what was stored at this time or earlier.
    #[arg(long, value_name = "TIME", value_parser = clock_text::parse_until, add = completion::words(&["today", "yesterday"]))]
    pub(crate) until: Option<Timestamp>,
    /// As the store was at this time, or at this position.
    #[arg(long, value_name = "TIME|POSITION", value_parser = clock_text::parse_as_of)]
    pub(crate) as_of: Option<AsOf>,
    /// The last event first.
    #[arg(long)]
    pub(crate) backwards: bool,
    /// No more events than this; it counts in the order in which they are printed.
    #[arg(long, value_name = "N", value_parser = numbers::parse::<u64>)]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) layout: LayoutArguments,
}

/// How events are laid out.
#[derive(Args, Debug)]
pub(crate) struct LayoutArguments {
    /// Only these fields, in this order, with commas between them.
    #[arg(long, value_enum, value_name = "FIELD,…", value_delimiter = ',')]
    pub(crate) fields: Vec<Field>,
    /// Lay the JSON of data and metadata out below the line.
    #[arg(long)]
    pub(crate) pretty: bool,
    /// Cut nothing to the terminal's width.
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// How the events are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

impl LayoutArguments {
    /// What makes no sense together; none if all does.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        (self.pretty && self.format == Format::Json)
            .then_some("--pretty is for text: json is one object a line, which jq lays out")
    }
}

const TAIL_EXAMPLES: &str = "Examples:
  annals tail -n 20 --follow
  annals tail order-17 --from now --follow
  annals tail --category order --type OrderPaid --from '2h ago' --format json
  annals tail --category order --checkpoint mailer --follow --format json | mailer
  annals tail --checkpoint reports-1 --group 1/4

With --follow it ends by Ctrl-C, which is a success, as is a reader that goes away.

A checkpoint is saved when the events up to it are written to standard output: at most once a second, when all
there is was printed, and at the end. So what a crash interrupts is printed again, and nothing is left out. It is an
event in the store, so saving it needs that nobody else has the store open for writing at that moment: where
somebody has at the beginning, nothing is printed (exit code 5); where somebody comes later, saving waits until they
have gone. A program that has the store open saves checkpoints itself.";

#[derive(Args, Debug)]
#[command(after_long_help = TAIL_EXAMPLES)]
pub(crate) struct TailArguments {
    #[command(flatten)]
    pub(crate) selection: Selection,
    /// Where to begin: at a version of a stream, or a position otherwise; at a time; with what comes now; at the
    /// start, which is what happens if nothing is said.
    ///
    /// With --checkpoint this counts only as long as the checkpoint isn't there.
    #[arg(long, value_name = "N|start|now|TIME", value_parser = clock_text::parse_beginning, add = completion::words(&["start", "now", "today", "yesterday"]))]
    pub(crate) from: Option<Beginning>,
    /// Begin with the last N of the events that are asked for and are there.
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        conflicts_with_all = ["from", "checkpoint"],
        value_parser = numbers::parse::<u64>
    )]
    pub(crate) last: Option<u64>,
    /// Go on with what comes, until Ctrl-C.
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// End after so many events.
    #[arg(long, value_name = "N", value_parser = numbers::parse::<u64>)]
    pub(crate) limit: Option<u64>,
    /// Begin behind the checkpoint of this name, and save there how far it went.
    #[arg(long, value_name = "NAME", add = completion::checkpoints())]
    pub(crate) checkpoint: Option<String>,
    /// How long to wait, at the beginning and at the end, while another process has the store open for writing:
    /// 500ms, 90s, 10m, 1h30m; 0 not at all.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "10s",
        requires = "checkpoint",
        value_parser = clock_text::parse_duration
    )]
    pub(crate) wait: Duration,
    #[command(flatten)]
    pub(crate) layout: LayoutArguments,
}

impl TailArguments {
    /// What makes no sense together; none if all does.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let shows_nothing = self.from == Some(Beginning::Now) && !self.follow && self.checkpoint.is_none();
        if shows_nothing {
            return Some("--from now shows nothing unless --follow waits for what comes");
        }
        self.layout.problem()
    }
}

const STREAMS_EXAMPLES: &str = "Examples:
  annals streams
  annals streams --category order
  annals streams --prefix order-1 --limit 20
  annals streams --format json

A line has the name, the version and the time of the last event. They are listed by name.";

#[derive(Args, Debug)]
#[command(after_long_help = STREAMS_EXAMPLES)]
pub(crate) struct StreamsArguments {
    /// Only streams whose name begins with this.
    #[arg(long, add = completion::streams())]
    pub(crate) prefix: Option<String>,
    /// Only streams of this category: what stands before the first `-` of the name.
    #[arg(long, add = completion::categories())]
    pub(crate) category: Option<String>,
    /// No more streams than this.
    #[arg(long, value_name = "N", value_parser = numbers::parse::<usize>)]
    pub(crate) limit: Option<usize>,
    /// Also the store's own streams, whose names begin with `$`.
    #[arg(long)]
    pub(crate) including_system: bool,
    /// How the streams are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Args, Debug)]
pub(crate) struct NamesArguments {
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const INFO_EXAMPLES: &str = "Examples:
  annals info
  annals info order-17
  annals info order-17 --format json

`annals stats` says more of a store.";

#[derive(Args, Debug)]
#[command(after_long_help = INFO_EXAMPLES)]
pub(crate) struct InfoArguments {
    /// The stream; without it, the whole store.
    #[arg(add = completion::streams())]
    pub(crate) stream: Option<StreamId>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const EXPORT_EXAMPLES: &str = "Examples:
  annals export | gzip > events.ndjson.gz
  annals export --from 5001 --to 6000
  annals export | annals --store copy.annals import -

A store that takes the lines in gives positions and times of its own; `annals backup` makes a copy that has the same ones.
`annals help json` says what a line has.";

#[derive(Args, Debug)]
#[command(after_long_help = EXPORT_EXAMPLES)]
pub(crate) struct ExportArguments {
    /// Only from this position on, itself included.
    #[arg(long, value_name = "POSITION", value_parser = numbers::parse::<u64>)]
    pub(crate) from: Option<u64>,
    /// Only up to this position, itself included.
    #[arg(long, value_name = "POSITION", value_parser = numbers::parse::<u64>)]
    pub(crate) to: Option<u64>,
}
