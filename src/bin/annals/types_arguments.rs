//! What can be asked of `annals types`: the event types that there are, and what is registered of them.

use annals::Validation;
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    arguments::{Format, WritingArguments},
    completion,
    input::JsonArgument,
    numbers,
    reading_arguments::NamesArguments,
};

const TYPES_EXAMPLES: &str = "Examples:
  annals types
  annals types --format json
  annals types register OrderPlaced --category order --validation warn
  annals types show OrderPlaced

A line has the type, how many events are of it, and what is registered of it, if anything is. Events of a type that isn't registered can be
appended as any others.";

const LIST_TYPES_EXAMPLES: &str = "Examples:
  annals types list
  annals types list --format json";

const SHOW_TYPE_EXAMPLES: &str = "Examples:
  annals types show OrderPlaced
  annals types show OrderPlaced --format json";

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, after_long_help = TYPES_EXAMPLES)]
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
    #[command(after_long_help = LIST_TYPES_EXAMPLES)]
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
    #[arg(value_name = "TYPE", add = completion::event_types())]
    pub(crate) event_type: String,
    /// The category whose streams alone have such events; '' for any.
    #[arg(long, add = completion::categories())]
    pub(crate) category: Option<String>,
    /// The schema version; without it the newest, or 1.
    #[arg(long, value_name = "N", value_parser = numbers::parse::<u32>)]
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
#[command(after_long_help = SHOW_TYPE_EXAMPLES)]
pub(crate) struct ShowTypeArguments {
    /// The event type.
    #[arg(value_name = "TYPE", add = completion::registered_types())]
    pub(crate) event_type: String,
    /// How it is printed; as JSON, one object for each schema version.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
