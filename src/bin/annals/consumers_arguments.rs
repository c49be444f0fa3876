//! What can be asked of the commands about consumers: how far they have come, and what they have left out.

use clap::{Args, Subcommand};

use crate::{
    arguments::{Format, WaitingArguments},
    completion,
    reading_arguments::NamesArguments,
};

const CHECKPOINTS_EXAMPLES: &str = "Examples:
  annals checkpoints
  annals checkpoints --format json
  annals checkpoints delete mailer

A line has the name, the position up to which the consumer has come, and when it saved that. `annals tail --checkpoint NAME` keeps one, and so
do programs with the library.";

const LIST_CHECKPOINTS_EXAMPLES: &str = "Examples:
  annals checkpoints list
  annals checkpoints list --format json";

const DELETE_CHECKPOINT_EXAMPLES: &str = "Examples:
  annals checkpoints delete mailer
  annals checkpoints delete reports-1 --wait 2m

Where there is no such checkpoint, the exit code is 4.";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_long_help = CHECKPOINTS_EXAMPLES)]
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
    #[command(after_long_help = LIST_CHECKPOINTS_EXAMPLES)]
    List(NamesArguments),
    /// Delete a checkpoint: its consumer begins anew.
    Delete(DeleteCheckpointArguments),
}

#[derive(Args, Debug)]
#[command(after_long_help = DELETE_CHECKPOINT_EXAMPLES)]
pub(crate) struct DeleteCheckpointArguments {
    /// The checkpoint.
    #[arg(add = completion::checkpoints())]
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
    #[command(after_long_help = LIST_PROJECTIONS_EXAMPLES)]
    List(NamesArguments),
    /// Print the events that a projection has left out, and why.
    Skipped(SkippedArguments),
}

const LIST_PROJECTIONS_EXAMPLES: &str = "Examples:
  annals projections list
  annals projections list --format json";

const SKIPPED_EXAMPLES: &str = "Examples:
  annals projections skipped mails
  annals projections skipped mails --format json

A line has the event's position, stream, version and type, when it was left out, how often it was tried, and why it couldn't be handled. A rebuild of
the projection forgets it.";

#[derive(Args, Debug)]
#[command(after_long_help = SKIPPED_EXAMPLES)]
pub(crate) struct SkippedArguments {
    /// The projection.
    #[arg(add = completion::projections())]
    pub(crate) name: String,
    /// How the events are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
