//! docs/cli-reference.md: every command and option, from the definitions. The test compares the document with them; this writes it:
//!
//! ```text
//! SNAPSHOTS=overwrite cargo test --bin annals reference
//! ```

use std::{env, fs};

use clap::Command;
use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::{
    help,
    help_text::{self, Block},
    topics::TOPICS,
};

const LIBRARYS_INTRODUCTION: &str =
    "This document contains the help content for the `annals` command-line program.";

const INTRODUCTION: &str = "All that `annals help` says, made from the program's definitions; [cli.md](cli.md) shows it at work. Every command also takes
the options of `annals` itself. The topics stand at the end.";

const PATH: &str = "docs/cli-reference.md";

/// A text behind the options as Markdown: what stands in lines of its own is code.
fn markdown(text: &str) -> String {
    let block = |block: Block| match block {
        Block::Paragraph(text) if text == help_text::EXAMPLES => "**Examples:**".to_owned(),
        Block::Paragraph(text) => text,
        Block::Lines(lines) => format!("```text\n{}\n```", lines.join("\n")),
    };
    help_text::blocks(text).into_iter().map(block).collect::<Vec<_>>().join("\n\n")
}

fn with_markdown(command: Command) -> Command {
    let text = command.get_after_long_help().map(|text| markdown(&text.to_string()));
    command.after_long_help(text.unwrap_or_default()).mut_subcommands(with_markdown)
}

fn reference() -> String {
    let options =
        MarkdownOptions::new().title("The command line: every option".to_owned()).show_footer(false);
    let commands = help_markdown_command_custom(&with_markdown(help::command()), &options);
    let topics = TOPICS.iter().map(|topic| {
        format!("\n\n## `annals help {}`\n\n{}\n\n{}", topic.name, topic.title(), markdown(topic.body()))
    });
    let text = commands.replacen(LIBRARYS_INTRODUCTION, INTRODUCTION, 1).trim_end().to_owned()
        + &topics.collect::<String>();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

#[test]
fn the_reference_says_what_the_program_takes() {
    let reference = reference();
    if env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
        fs::write(PATH, &reference).expect("the reference can be written");
    }
    let document = fs::read_to_string(PATH).unwrap_or_default();
    let differing =
        document.lines().zip(reference.lines()).find(|(document, reference)| document != reference);
    assert!(
        document == reference,
        "{PATH} is to be written anew: SNAPSHOTS=overwrite cargo test --bin annals reference\nfirst difference: {differing:?}"
    );
}
