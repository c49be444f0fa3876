//! What can be asked of `annals snapshot`, and the help that says so.

use annals::{StreamId, Version};
use clap::{ArgGroup, Args, Subcommand};

use crate::{
    arguments::{Format, WaitingArguments},
    completion,
};

const SNAPSHOT_EXAMPLES: &str = "Examples:
  annals snapshot list
  annals snapshot list account-1 --format json
  annals snapshot show account-1 --type Account
  annals snapshot show account-1 --type Account --at 2
  annals snapshot delete account-1 --type Account
  annals snapshot delete --all

Snapshots are states that a program has saved, so that it doesn't have to read all events again. They are a cache:
deleting them loses time and nothing else. One that is damaged, or made from an event that isn't in the log any more,
is ignored, and told on standard error.";

#[derive(Args, Debug)]
#[command(after_long_help = SNAPSHOT_EXAMPLES)]
pub(crate) struct SnapshotArguments {
    #[command(subcommand)]
    pub(crate) command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// List the snapshots, by stream, state type and version.
    List(ListSnapshotsArguments),
    /// Print a stream's newest snapshot: what it is of, and the state.
    Show(ShowSnapshotArguments),
    /// Delete a stream's snapshots, or all.
    Delete(DeleteSnapshotsArguments),
}

const LIST_EXAMPLES: &str = "Examples:
  annals snapshot list
  annals snapshot list account-1
  annals snapshot list --format json

A line has the stream, the type of the state, the version that it is of, how long it is, and when it was saved.";

#[derive(Args, Debug)]
#[command(after_long_help = LIST_EXAMPLES)]
pub(crate) struct ListSnapshotsArguments {
    /// The stream; without it, all streams.
    #[arg(add = completion::streams())]
    pub(crate) stream: Option<StreamId>,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const SHOW_EXAMPLES: &str = "Examples:
  annals snapshot show account-1 --type Account
  annals snapshot show account-1 --type Account --at 2
  annals snapshot show account-1 --type Account --format json

Where there is none, the exit code is 4.";

#[derive(Args, Debug)]
#[command(after_long_help = SHOW_EXAMPLES)]
pub(crate) struct ShowSnapshotArguments {
    /// The stream.
    #[arg(add = completion::streams())]
    pub(crate) stream: StreamId,
    /// The type of the state; needed only where the stream has snapshots of several types.
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) state_type: Option<String>,
    /// The newest one at this version or before.
    #[arg(long, value_name = "VERSION", value_parser = parse_version)]
    pub(crate) at: Option<Version>,
    /// How the snapshot is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const DELETE_EXAMPLES: &str = "Examples:
  annals snapshot delete account-1 --type Account
  annals snapshot delete account-1
  annals snapshot delete --all

It costs the time to read the events again, and nothing else.";

#[derive(Args, Debug)]
#[command(after_long_help = DELETE_EXAMPLES)]
#[command(group = ArgGroup::new("which").required(true))]
pub(crate) struct DeleteSnapshotsArguments {
    /// The stream.
    #[arg(group = "which", add = completion::streams())]
    pub(crate) stream: Option<StreamId>,
    /// Only those whose state is of this type.
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "all")]
    pub(crate) state_type: Option<String>,
    /// The snapshots of all streams.
    #[arg(long, group = "which")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

fn parse_version(text: &str) -> Result<Version, String> {
    text.parse().map(Version::new).map_err(|_| "it is a number from 0 up".to_owned())
}
