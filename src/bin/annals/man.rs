//! `annals man`: a manual page for each command and each topic, made of the same definitions and texts as the help.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::{Args, Command, ValueHint};
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use crate::{
    help::{self, GROUPS},
    help_text::{self, Block},
    output::{self, Output, safe},
    topics::{TOPICS, Topic},
};

const MAN_EXAMPLES: &str = "Examples:
  annals man ~/.local/share/man
  annals man build/man

Pages of commands go to DIR/man1, and those of topics to DIR/man7; what isn't there is made, and older pages of these names are replaced. Where `man` looks for
pages in DIR, `man annals` shows the first, `man annals-read` that of a command, and `man annals-times` that of a topic.";

/// Where pages of commands are, and those of everything else.
const COMMANDS_SECTION: &str = "1";
const TOPICS_SECTION: &str = "7";

/// What stands in a page's corners. The version stands in the place of a date: a page is as old as its program.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"));
const SOURCE: &str = "Annals";
const MANUAL: &str = "The manual of Annals";

/// The topics that are parts of the program's own page too, and what they are called there.
const PARTS: &[(&str, &str)] = &[("environment", "ENVIRONMENT"), ("exit-codes", "EXIT STATUS")];

#[derive(Args, Debug)]
#[command(after_long_help = MAN_EXAMPLES)]
pub(crate) struct ManArguments {
    /// The directory of the manual, in which man1 and man7 are.
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    directory: PathBuf,
}

/// A page, and where it belongs below the manual's directory.
struct Page {
    path: PathBuf,
    text: Vec<u8>,
}

impl Page {
    fn new(section: &str, name: &str) -> Self {
        Self { path: Path::new(&format!("man{section}")).join(format!("{name}.{section}")), text: Vec::new() }
    }
}

pub(crate) fn run(arguments: &ManArguments) -> anyhow::Result<()> {
    let pages = pages()?;
    for page in &pages {
        let path = arguments.directory.join(&page.path);
        let directory = path.parent().unwrap_or(&arguments.directory);
        let written = fs::create_dir_all(directory).and_then(|()| fs::write(&path, &page.text));
        written.with_context(|| {
            format!("can't write {}; name a directory that you may write to", path.display())
        })?;
    }
    let count = output::count(u64::try_from(pages.len())?, "page");
    let directory = safe(&arguments.directory.to_string_lossy());
    let mut output = Output::new();
    output.line(format_args!("{count} written into {directory}"))?;
    Ok(output.flush()?)
}

/// All pages: of the program, of its commands and theirs, and of the topics.
fn pages() -> anyhow::Result<Vec<Page>> {
    let mut command = help::command();
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, &mut pages)?;
    for topic in TOPICS {
        pages.push(page_of_topic(topic)?);
    }
    Ok(pages)
}

/// Adds the page of a command, and those of the commands that it has.
fn add_pages(command: &Command, pages: &mut Vec<Page>) -> anyhow::Result<()> {
    pages.push(page_of_command(command)?);
    command.get_subcommands().try_for_each(|below| add_pages(below, pages))
}

fn page_of_command(command: &Command) -> anyhow::Result<Page> {
    let mut command = command.clone();
    // As the help has it: the list of all options would be longer than it helps.
    let usage = command.render_usage().to_string();
    let command = command.override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let is_program = command.get_name() == "annals";
    let mut page = Page::new(COMMANDS_SECTION, command.get_display_name().unwrap_or("annals"));
    let man = Man::new(command.clone()).date(VERSION).source(SOURCE).manual(MANUAL);
    man.render_title(&mut page.text)?;
    man.render_name_section(&mut page.text)?;
    man.render_synopsis_section(&mut page.text)?;
    man.render_description_section(&mut page.text)?;
    let mut roff = Roff::new();
    if is_program {
        add_groups(&mut roff, &command);
    }
    roff.to_writer(&mut page.text)?;
    man.render_options_section(&mut page.text)?;
    if command.has_subcommands() && !is_program {
        man.render_subcommands_section(&mut page.text)?;
    }
    let mut roff = Roff::new();
    let text = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
    add_texts(&mut roff, &text);
    if is_program {
        for (topic, title) in PARTS {
            add_part(&mut roff, topic, title);
        }
    } else {
        roff.control("SH", ["SEE ALSO"]).text([bold("annals"), roman("(1)")]);
    }
    roff.to_writer(&mut page.text)?;
    Ok(page)
}

/// The commands, in the groups in which the help shows them.
fn add_groups(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["COMMANDS"]);
    for (group, names) in GROUPS {
        roff.control("SS", [*group]);
        for name in *names {
            let page = [bold(format!("annals-{name}")), roman(format!("({COMMANDS_SECTION})"))];
            roff.control("TP", []).text(page).text([roman(help::about(command, name))]);
        }
    }
}

/// The text behind the options: the examples, and what else there is to say.
fn add_texts(roff: &mut Roff, text: &str) {
    let mut is_among_examples = false;
    for block in help_text::blocks(text) {
        match &block {
            Block::Paragraph(heading) if heading == help_text::EXAMPLES => {
                roff.control("SH", ["EXAMPLES"]);
                is_among_examples = true;
                continue;
            }
            Block::Paragraph(_) if is_among_examples => {
                roff.control("SH", ["NOTES"]);
                is_among_examples = false;
            }
            _ => {}
        }
        add_block(roff, &block);
    }
}

fn add_part(roff: &mut Roff, topic: &str, title: &str) {
    roff.control("SH", [title]);
    let text = Topic::named(topic).map_or("", Topic::body);
    for block in help_text::blocks(text) {
        add_block(roff, &block);
    }
}

fn add_block(roff: &mut Roff, block: &Block) {
    match block {
        Block::Paragraph(text) => {
            roff.control("PP", []).text([roman(text)]);
        }
        Block::Lines(lines) => {
            roff.control("PP", []).control("RS", ["4"]).control("nf", []);
            for line in lines {
                roff.text([roman(line)]);
            }
            roff.control("fi", []).control("RE", []);
        }
    }
}

fn page_of_topic(topic: &Topic) -> anyhow::Result<Page> {
    let name = format!("annals-{}", topic.name);
    let mut page = Page::new(TOPICS_SECTION, &name);
    let mut roff = Roff::new();
    roff.control("TH", [name.as_str(), TOPICS_SECTION, VERSION, SOURCE, MANUAL]);
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {}", topic.title()))]);
    add_part(&mut roff, topic.name, "DESCRIPTION");
    roff.control("SH", ["SEE ALSO"]).text([bold("annals"), roman("(1)")]);
    roff.to_writer(&mut page.text)?;
    Ok(page)
}
