//! The command line of a benchmark: options with values, and `--short`.

use std::{collections::VecDeque, env, error::Error, path::PathBuf, str::FromStr};

use crate::Outcome;

/// Asks for tiny sizes, which show that a benchmark works and measure nothing.
const SHORT: &str = "--short";

/// What cargo passes to every benchmark.
const PASSED_BY_CARGO: &str = "--bench";

/// What was given, option by option.
pub(crate) struct CommandLine {
    arguments: VecDeque<String>,
    /// The option that was taken last.
    option: String,
    pub(crate) is_short: bool,
}

impl CommandLine {
    pub(crate) fn given() -> Self {
        let mut arguments: VecDeque<String> = env::args().skip(1).collect();
        let is_short = arguments.iter().any(|argument| argument == SHORT);
        arguments.retain(|argument| argument != SHORT && argument != PASSED_BY_CARGO);
        Self { arguments, option: String::new(), is_short }
    }

    /// The next option, to be followed by its `value`, if it has one.
    pub(crate) fn next(&mut self) -> Option<String> {
        let option = self.arguments.pop_front()?;
        self.option.clone_from(&option);
        Some(option)
    }

    /// The value of the option that was taken last.
    pub(crate) fn value<T>(&mut self) -> Outcome<T>
    where
        T: FromStr<Err: Error>,
    {
        let option = &self.option;
        let value = self.arguments.pop_front().ok_or_else(|| format!("{option} needs a value"))?;
        value.parse().map_err(|error| format!("{option} {value}: {error}").into())
    }

    /// The option that was taken last isn't one.
    pub(crate) fn unknown<T>(&self) -> Outcome<T> {
        Err(format!("unknown option {}", self.option).into())
    }
}

/// Where stores are made if nothing else is said: below the current directory, which cargo makes that of the package, since the
/// system's temporary directory may be in memory.
pub(crate) fn directory() -> PathBuf {
    PathBuf::from("target/annals-bench")
}
