//! What `annals stats` can be asked.

use std::path::PathBuf;

use clap::Args;

use crate::{arguments::Format, numbers};

const STATS_EXAMPLES: &str = "Examples:
  annals stats
  annals stats --top 20 --chart
  annals stats --svg stats.svg
  annals stats --format json

Days are those of UTC, and the last of them is that of the last event. An index's overhead is what its file has
for each byte of the log. The store's own events, as of checkpoints, are in sizes and segments, and counted apart
everywhere else.

No event is read but the first and the last of some streams: what it takes is a look at each segment's index and
at each stream in the directory of streams.";

#[derive(Args, Debug)]
#[command(after_long_help = STATS_EXAMPLES)]
pub(crate) struct StatsArguments {
    /// How many of the largest streams are listed.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = numbers::parse::<usize>)]
    pub(crate) top: usize,
    /// Draw events over time, and how many streams there are of each length.
    #[arg(long)]
    pub(crate) chart: bool,
    /// Write these two plots into a file; one of that name is replaced.
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

impl StatsArguments {
    /// What makes no sense together; none if all does.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        let draws_into_json = self.chart && self.format == Format::Json;
        draws_into_json.then_some("--chart draws for people: --format json has the numbers, and --svg a plot")
    }
}
