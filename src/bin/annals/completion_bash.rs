//! Bash, which takes a line apart at `=` and `:` as well: `--type=OrderPaid` are three words of it, and what is completed takes the place
//! of the last one alone.

use std::{
    env,
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::{
    engine::complete,
    env::{Bash, EnvCompleter},
};

/// What the script does to the word at the cursor: it takes its quotes off. Where the word is `=` or `:`, that would leave nothing of it.
const UNQUOTED: &str = r#"words[COMP_CWORD]="$2""#;

const UNQUOTED_UNLESS_BETWEEN: &str = r#"[[ "${words[COMP_CWORD]}" == [=:]* ]] || words[COMP_CWORD]="$2""#;

/// Bash as the library knows it, with the words of a line put together again.
pub(crate) struct WholeWords;

impl EnvCompleter for WholeWords {
    fn name(&self) -> &'static str {
        Bash.name()
    }

    fn is(&self, name: &str) -> bool {
        Bash.is(name)
    }

    fn write_registration(
        &self,
        variable: &str,
        name: &str,
        program: &str,
        completer: &str,
        script: &mut dyn Write,
    ) -> io::Result<()> {
        let mut written = Vec::new();
        Bash.write_registration(variable, name, program, completer, &mut written)?;
        let written = String::from_utf8_lossy(&written).replace(UNQUOTED, UNQUOTED_UNLESS_BETWEEN);
        script.write_all(written.as_bytes())
    }

    fn write_complete(
        &self,
        command: &mut Command,
        words: Vec<OsString>,
        directory: Option<&Path>,
        answer: &mut dyn Write,
    ) -> io::Result<()> {
        let index = env::var("_CLAP_COMPLETE_INDEX").ok().and_then(|index| index.parse().ok());
        let line = Line::of(words, index.unwrap_or_default());
        let separator = env::var("_CLAP_IFS").unwrap_or_else(|_| "\n".to_owned());
        let candidates = complete(command, line.words, line.index, directory)?;
        let values: Vec<_> = candidates.iter().map(|it| it.get_value().to_string_lossy()).collect();
        let replacing = values.iter().map(|value| value.strip_prefix(&*line.before).unwrap_or(value));
        answer.write_all(replacing.collect::<Vec<_>>().join(&separator).as_bytes())
    }
}

/// A line in whole words.
#[derive(PartialEq, Debug)]
pub(crate) struct Line {
    pub(crate) words: Vec<OsString>,
    /// The word at the cursor.
    index: usize,
    /// What of that word stands before the part that bash replaces.
    before: String,
}

impl Line {
    /// Puts the words of bash together; `index` says at which of them the cursor is.
    pub(crate) fn of(parts: Vec<OsString>, index: usize) -> Self {
        let mut line = Self { words: Vec::new(), index: 0, before: String::new() };
        let mut is_behind_border = false;
        for (place, part) in parts.into_iter().enumerate() {
            let is_border = is_border(&part);
            // A new word that is still empty goes on from nothing.
            let goes_on = is_border || (is_behind_border && !part.is_empty());
            is_behind_border = is_border;
            let before = match line.words.last_mut() {
                Some(word) if goes_on => {
                    let before = word.clone();
                    word.push(part);
                    before
                }
                _ => {
                    line.words.push(part);
                    OsString::new()
                }
            };
            if place == index {
                line.index = line.words.len() - 1;
                let replaced_behind = if is_border { line.words.last() } else { Some(&before) };
                line.before = replaced_behind.map(|it| it.to_string_lossy().into_owned()).unwrap_or_default();
            }
        }
        line
    }
}

/// Whether it is what bash takes a word apart at.
fn is_border(part: &OsStr) -> bool {
    let part = part.to_string_lossy();
    !part.is_empty() && part.chars().all(|letter| matches!(letter, '=' | ':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_bash_took_apart_are_whole_again_and_what_it_replaces_is_known() {
        for (parts, index, expected, word, before) in [
            ("read|order-1", 1, "read|order-1", 1, ""),
            ("read|--type|=|Fi", 3, "read|--type=Fi", 1, "--type="),
            ("read|--type|=", 2, "read|--type=", 1, "--type="),
            ("read|--type|=|Fi|x", 4, "read|--type=Fi|x", 2, ""),
            ("read|--type|=|", 3, "read|--type=|", 2, ""),
            ("read|shop|:|order|:|b", 5, "read|shop:order:b", 1, "shop:order:"),
            ("read|a|::", 2, "read|a::", 1, "a::"),
            ("read|--store|=|c|:|d|=|e|o", 8, "read|--store=c:d=e|o", 2, ""),
        ] {
            let line = Line::of(parts.split('|').map(OsString::from).collect(), index);
            let words = expected.split('|').map(OsString::from).collect();
            assert_eq!(line, Line { words, index: word, before: before.to_owned() }, "{parts}");
        }
    }

    #[test]
    fn the_script_keeps_a_border_at_the_cursor() {
        let mut script = Vec::new();
        WholeWords.write_registration("V", "annals", "annals", "annals", &mut script).expect("it is written");
        assert!(String::from_utf8_lossy(&script).contains(UNQUOTED_UNLESS_BETWEEN));
    }
}
