//! What can be asked of every command: colour, and how much is told.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use clap::{
    Arg, ArgAction, Args, ColorChoice, Command, Error, ValueEnum,
    builder::{PathBufValueParser, TypedValueParser},
    parser::ValueSource,
};
use tracing::Level;

use crate::verbosity::Verbosity;

/// Names the store where the command line doesn't.
pub(crate) const STORE_VARIABLE: &str = "ANNALS_STORE";

/// The store where nothing names one.
pub(crate) const DEFAULT_STORE: &str = "./annals-data";

/// The store that the variable names, or else the one where nothing does.
pub(crate) fn store_without_option() -> PathBuf {
    let named = env::var_os(STORE_VARIABLE).filter(|named| !named.is_empty());
    named.map_or_else(|| DEFAULT_STORE.into(), PathBuf::from)
}

/// What stands above the options that every command has.
pub(crate) const EVERYWHERE: &str = "Options of every command";

/// The store's directory. A variable that is set to nothing names none.
#[derive(Clone)]
pub(crate) struct StoreParser;

impl TypedValueParser for StoreParser {
    type Value = PathBuf;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<PathBuf, Error> {
        PathBufValueParser::new().parse_ref(command, argument, value)
    }

    fn parse_ref_(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
        source: ValueSource,
    ) -> Result<PathBuf, Error> {
        if source == ValueSource::EnvVariable && value.is_empty() {
            return Ok(DEFAULT_STORE.into());
        }
        self.parse_ref(command, argument, value)
    }
}

#[derive(Args, Debug)]
pub(crate) struct GlobalArguments {
    /// Whether text has colours; auto: on a terminal, unless `NO_COLOR` is set.
    #[arg(
        long,
        global = true,
        value_enum,
        value_name = "WHEN",
        default_value_t = ColorChoice::Auto,
        help_heading = EVERYWHERE
    )]
    color: ColorChoice,
    /// Tell nothing but errors, and draw no bars.
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    quiet: bool,
    /// Tell on standard error what is done inside; twice (-vv), in detail.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = EVERYWHERE)]
    verbose: u8,
}

impl GlobalArguments {
    /// What makes no sense together; none if all does.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        (self.quiet && self.verbose > 0).then_some("--quiet and --verbose ask for the opposite")
    }

    /// Has what they say hold from now on.
    pub(crate) fn begin(&self) {
        apply(self.color);
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Usual,
            (false, 1) => Verbosity::Inside(Level::INFO),
            (false, 2) => Verbosity::Inside(Level::DEBUG),
            (false, _) => Verbosity::Inside(Level::TRACE),
        }
        .begin();
    }
}

/// Has `--color` hold before the command line is understood, since help, and what is wrong with the rest of it, are printed then.
pub(crate) fn begin_with_colour(words: impl Iterator<Item = OsString>) {
    apply(colour_in(words).unwrap_or(ColorChoice::Auto));
}

fn apply(choice: ColorChoice) {
    match choice {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    }
    .write_global();
}

/// The last `--color WHEN` or `--color=WHEN`; another value of it is told later, as any wrong option is.
fn colour_in(words: impl Iterator<Item = OsString>) -> Option<ColorChoice> {
    let words = words.map(|word| word.to_string_lossy().into_owned()).take_while(|word| word != "--");
    let mut choice = None;
    let mut is_value = false;
    for word in words {
        let value = if is_value { Some(word.as_str()) } else { word.strip_prefix("--color=") };
        choice = value.and_then(|value| ColorChoice::from_str(value, false).ok()).or(choice);
        is_value = word == "--color";
    }
    choice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colour_is_found_wherever_it_stands() {
        let found = |words: &[&str]| colour_in(words.iter().map(OsString::from));
        assert_eq!(found(&["read", "--color", "always", "--help"]), Some(ColorChoice::Always));
        assert_eq!(found(&["--color=never", "read"]), Some(ColorChoice::Never));
        assert_eq!(found(&["--color", "never", "read", "--color=auto"]), Some(ColorChoice::Auto));
        assert_eq!(found(&["read", "--", "--color=never"]), None);
        assert_eq!(found(&["read", "--color"]), None);
        assert_eq!(found(&["read", "--color", "blue"]), None);
    }
}
