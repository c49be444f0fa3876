//! `annals help`: the commands in groups, and what each of them and each topic is about.

use std::{
    fmt::Write as _,
    io::{self, Write},
    process,
};

use clap::{
    Args, Command, CommandFactory,
    builder::{PossibleValue, PossibleValuesParser, StyledStr},
    error::{ContextKind, ContextValue, Error, ErrorKind},
};

use crate::{
    arguments::Arguments,
    colours, failure, help_text,
    output::{self, Output, OutputError},
    topics::{TOPICS, Topic},
};

/// The commands, in the groups in which they are shown.
pub(crate) const GROUPS: &[(&str, &[&str])] = &[
    ("Events", &["append", "read", "tail"]),
    ("Looking around", &["streams", "categories", "types", "info", "stats"]),
    ("Consumers and states", &["checkpoints", "projections", "snapshot"]),
    ("In and out", &["import", "export"]),
    ("Care", &["verify", "backup", "restore", "repair"]),
    ("Proof", &["bench", "selftest"]),
    ("Help", &["help", "completions", "man"]),
];

const BEGINNING: &str = r#"Examples:
  annals append order-17 --type OrderPlaced --data '{"total":1200}'
  annals read order-17
  annals help start"#;

const HELP_EXAMPLES: &str = "Examples:
  annals help
  annals help append
  annals help types register
  annals help start
  annals help exit-codes";

/// The exit code of a command line that is wrong, as clap has it.
const WRONG: i32 = 2;

/// How wide help is at most, in columns: longer lines are hard to read.
const WIDTH_MAX: usize = 100;

#[derive(Args, Debug)]
#[command(after_long_help = HELP_EXAMPLES)]
pub(crate) struct HelpArguments {
    /// The command or the topic; without it, all of them are listed.
    #[arg(index = 1, value_name = "COMMAND|TOPIC", hide_possible_values = true)]
    name: Option<String>,
    /// One of the commands that the command has, as in `annals help types register`.
    #[arg(index = 2, value_name = "COMMAND")]
    below: Option<String>,
}

impl HelpArguments {
    /// What makes no sense together; none if all does.
    pub(crate) fn problem(&self) -> Option<String> {
        let topic = Topic::named(self.name.as_deref()?)?;
        let below = self.below.as_deref()?;
        Some(format!(
            "{} is a topic, not a command, so \"annals help {0}\" is all: {below} says nothing",
            topic.name
        ))
    }
}

pub(crate) fn run(arguments: &HelpArguments) -> anyhow::Result<()> {
    if let Some(topic) = arguments.name.as_deref().and_then(Topic::named) {
        let mut output = Output::new();
        output.write(topic.text.as_bytes())?;
        return Ok(output.flush()?);
    }
    // What the command itself says of it, or of a name that it doesn't have.
    let path = arguments.name.iter().chain(&arguments.below).map(String::as_str);
    let words = ["annals"].into_iter().chain(path).chain(["--help"]);
    match command().try_get_matches_from(words) {
        Ok(_) => Ok(()),
        Err(shown) => end_with(&shown),
    }
}

/// Shows what clap has to say, help or what is wrong with a command line, and ends the program.
pub(crate) fn end_with(shown: &Error) -> ! {
    if shown.use_stderr() {
        shown.exit();
    }
    match shown.print().and_then(|()| io::stdout().flush()) {
        Ok(()) => process::exit(0),
        Err(error) => failure::end_with(&OutputError::from(error).into()),
    }
}

/// All that can be asked of the program, with its help as it is shown.
pub(crate) fn command() -> Command {
    let command = with_unfolded_texts(Arguments::command());
    let names = PossibleValuesParser::new(names(&command));
    let command =
        command.mut_subcommand("help", |help| help.mut_arg("name", |name| name.value_parser(names.clone())));
    let template = template(&command);
    command
        .help_template(template)
        .override_usage("annals [OPTIONS] <COMMAND>")
        .after_help("`annals help` shows more, `annals help start` the first steps.")
        .after_long_help(format!("{}\n\n{}", with_heading(BEGINNING), topics()))
        .max_term_width(WIDTH_MAX)
        // Who asks for nothing is told how to begin.
        .subcommand_required(false)
        .arg_required_else_help(false)
}

/// Says on standard error how to begin.
pub(crate) fn begin() -> ! {
    let about = Arguments::command().get_about().map(ToString::to_string).unwrap_or_default();
    let text = format!(
        "{about}\n\n{}\n\n`annals help` lists all commands and topics, `annals COMMAND --help` explains a command.\n",
        BEGINNING.replacen(help_text::EXAMPLES, "Begin with:", 1)
    );
    // Where standard error is closed, the exit code has to say it alone.
    io::stderr().lock().write_all(text.as_bytes()).ok();
    process::exit(WRONG)
}

/// The words of a command line that is wrong, so that they can't do anything to a terminal but be read.
fn with_safe_words(mut error: Error) -> Error {
    let words: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(word) => Some((kind, output::safe(word))),
            _ => None,
        })
        .collect();
    for (kind, word) in words {
        error.insert(kind, ContextValue::String(word));
    }
    error
}

/// Says what to do where a command line is wrong in a way that has an answer.
pub(crate) fn advised(error: Error) -> Error {
    let mut error = with_safe_words(error);
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if error.kind() == ErrorKind::InvalidSubcommand
        && let Some(topic) = Topic::named(word)
    {
        let advice = StyledStr::from(format!("\"annals help {}\" explains that", topic.name));
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![advice]));
    }
    error
}

/// The text with what stands above its examples as other headings are.
fn with_heading(text: &str) -> String {
    let header = colours::HELP.get_header();
    text.replacen(help_text::EXAMPLES, &format!("{header}{}{header:#}", help_text::EXAMPLES), 1)
}

/// The texts behind the options with a paragraph in a line, for whatever width the terminal has.
fn with_unfolded_texts(command: Command) -> Command {
    let text = command.get_after_long_help().map(ToString::to_string);
    let command = match text {
        Some(text) => command.after_long_help(with_heading(&help_text::unfolded(&text))),
        None => command,
    };
    command.max_term_width(WIDTH_MAX).mut_subcommands(with_unfolded_texts)
}

/// What can be explained, and in a line what it is about.
fn names(command: &Command) -> Vec<PossibleValue> {
    let commands = GROUPS.iter().flat_map(|(_, names)| *names);
    let commands = commands.map(|name| PossibleValue::new(*name).help(about(command, name)));
    let topics = TOPICS.iter().map(|topic| PossibleValue::new(topic.name).help(topic.title()));
    commands.chain(topics).collect()
}

/// What a command does, in a line.
pub(crate) fn about(command: &Command, name: &str) -> String {
    let about = command.find_subcommand(name).and_then(Command::get_about);
    about.map(ToString::to_string).unwrap_or_default()
}

/// The program's help: the commands in groups, then the options.
fn template(command: &Command) -> String {
    let header = colours::HELP.get_header();
    let literal = colours::HELP.get_literal();
    let mut template = "{about-with-newline}\n{usage-heading} {usage}\n\n".to_owned();
    for (group, names) in GROUPS {
        // Writing to a String can't fail.
        writeln!(template, "{header}{group}:{header:#}").ok();
        for name in *names {
            writeln!(template, "  {literal}{name:<11}{literal:#}  {}", about(command, name)).ok();
        }
        template.push('\n');
    }
    write!(template, "{header}Options:{header:#}\n{{options}}{{after-help}}").ok();
    template
}

fn topics() -> String {
    let header = colours::HELP.get_header();
    let literal = colours::HELP.get_literal();
    let mut text = format!("{header}Topics (annals help TOPIC):{header:#}\n");
    for topic in TOPICS {
        // Writing to a String can't fail.
        writeln!(text, "  {literal}{:<11}{literal:#}  {}", topic.name, topic.title()).ok();
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::help_text::Block;

    const TOPIC_LINES_MAX: usize = 60;

    #[test]
    fn each_command_is_in_one_group() {
        let command = Arguments::command();
        let mut expected: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
        let mut grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        expected.sort_unstable();
        grouped.sort_unstable();
        assert_eq!(grouped, expected);
    }

    #[test]
    fn no_topic_has_a_commands_name_or_anothers() {
        let names: Vec<String> =
            names(&Arguments::command()).iter().map(|it| it.get_name().to_owned()).collect();
        let different: BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    /// The commands, and those that they have, each with the words that name it.
    fn all(command: &Command, path: &str) -> Vec<(String, Command)> {
        let below =
            command.get_subcommands().flat_map(|below| all(below, &format!("{path} {}", below.get_name())));
        [(path.to_owned(), command.clone())].into_iter().chain(below).collect()
    }

    fn texts() -> Vec<(String, String)> {
        let of_commands = all(&command(), "annals").into_iter().map(|(path, command)| {
            let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            (path, text)
        });
        let of_topics = TOPICS.iter().map(|topic| (topic.name.to_owned(), topic.text.to_owned()));
        of_commands.chain(of_topics).collect()
    }

    #[test]
    fn every_command_has_examples_of_itself() {
        for (path, command) in all(&command(), "annals") {
            let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
            let mut blocks = help_text::blocks(&text).into_iter();
            assert_eq!(blocks.next(), Some(Block::Paragraph(help_text::EXAMPLES.to_owned())), "{path}");
            let Some(Block::Lines(lines)) = blocks.next() else { panic!("{path} has no examples") };
            let (program, rest) = path.split_at("annals".len());
            let is_its_own = |line: &str| line.contains(program) && line.contains(rest.trim());
            assert!(lines.iter().any(|line| is_its_own(line)), "{path}: {lines:?}");
        }
    }

    #[test]
    fn examples_and_topics_fit_on_a_terminal() {
        for (name, text) in texts() {
            let topic = Topic::named(&name);
            let width_max = if topic.is_some() { 80 } else { WIDTH_MAX };
            let lines = text.lines().filter(|line| topic.is_some() || line.starts_with(' '));
            for line in lines {
                assert!(line.chars().count() <= width_max, "{name}: {line}");
            }
            assert!(topic.is_none() || text.lines().count() <= TOPIC_LINES_MAX, "{name}");
        }
        let shown = command().render_help().to_string();
        assert!(shown.lines().all(|line| line.chars().count() <= WIDTH_MAX), "{shown}");
    }

    /// Those that take minutes can't be run by a test as the others are: `tests/suite/cli_help.rs` runs those.
    #[test]
    fn examples_that_take_long_make_sense() {
        let mut count = 0;
        for (name, text) in texts() {
            for line in text.lines().filter(|line| line.starts_with(' ')).map(str::trim) {
                if line.starts_with("annals bench") || line.starts_with("annals selftest") {
                    let given = command().try_get_matches_from(line.split(' '));
                    let given = given.and_then(|matches| Arguments::of(&matches));
                    assert!(given.is_ok(), "{name}: {line}: {given:?}");
                    count += 1;
                }
            }
        }
        assert!(count > 8, "{count} of them");
    }

    #[test]
    fn the_definitions_fit_each_other() {
        command().debug_assert();
    }
}
