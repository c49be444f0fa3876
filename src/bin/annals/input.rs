//! What comes in: files and standard input, their lines, and where in them JSON is bad.

use std::{
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
    str::FromStr,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::{error::Category, value::RawValue};

/// The longest line that is taken: an event of 16 MiB fits in with room to spare, also as base64.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// The longest text that is taken as one event's data. The store's own limit is lower, and exact.
const DATA_TEXT_BYTES_MAX: u64 = 32 << 20;

const FILE_BUFFER_BYTES: usize = 256 << 10;

/// U+FEFF in UTF-8, which some programs write at the beginning of a file. It says nothing of what follows, and RFC 8259 lets
/// who reads JSON pass over it, as all of the field do.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file, or standard input, which is written `-`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    StandardInput,
    File(PathBuf),
}

impl From<OsString> for Source {
    fn from(text: OsString) -> Self {
        if text == "-" { Self::StandardInput } else { Self::File(text.into()) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandardInput => formatter.write_str("standard input"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

impl Source {
    /// Its bytes.
    pub(crate) fn open(&self) -> anyhow::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::StandardInput => Box::new(io::stdin()),
            // Some systems open a directory, and fail when it is read.
            Self::File(path) if path.is_dir() => {
                anyhow::bail!(
                    "can't read {self}: it is a directory, and a file is wanted, or - for standard input"
                )
            }
            Self::File(path) => Box::new(File::open(path).with_context(|| format!("can't open {self}"))?),
        })
    }

    /// How many bytes there will be, where that is known.
    pub(crate) fn bytes_total(&self) -> Option<u64> {
        let Self::File(path) = self else { return None };
        path.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
    }
}

/// JSON on the command line: itself, or where it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum JsonArgument {
    Literal(String),
    In(Source),
}

impl FromStr for JsonArgument {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix('@') {
            Some("") => Err("the file's name is missing behind the @"),
            Some(path) => Ok(Self::In(Source::File(path.into()))),
            None if text == "-" => Ok(Self::In(Source::StandardInput)),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }
}

impl JsonArgument {
    /// Where its JSON stands, for who reads of a mistake in it.
    pub(crate) fn name(&self, option: &str) -> String {
        match self {
            Self::Literal(_) => option.to_owned(),
            Self::In(source) => source.to_string(),
        }
    }

    /// The JSON's bytes, exactly as they are, without the white space around them.
    pub(crate) fn read(&self, option: &str) -> anyhow::Result<Vec<u8>> {
        let bytes = match self {
            Self::Literal(text) => text.clone().into_bytes(),
            Self::In(source) => read_whole(source)?,
        };
        let json = parse_json::<&RawValue>(&self.name(option), 1, &bytes).map_err(|problem| match self {
            Self::Literal(_) => problem
                .with_advice("a shell takes it in quotes, '{\"total\":1200}', and @FILE is what a file has"),
            Self::In(_) => problem,
        })?;
        Ok(json.get().as_bytes().to_vec())
    }
}

fn read_whole(source: &Source) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut reader = source.open()?.take(DATA_TEXT_BYTES_MAX + 1);
    reader.read_to_end(&mut bytes).with_context(|| format!("can't read {source}"))?;
    if reader.limit() == 0 {
        anyhow::bail!("{source} has more than {DATA_TEXT_BYTES_MAX} bytes, which is too much for one event");
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

/// A place in what came in that can't be taken, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    source: String,
    line: u64,
    /// From 1, in characters; none where the line as a whole is wrong.
    column: Option<usize>,
    reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, line, column, reason } = self;
        write!(formatter, "{source}, line {line}")?;
        if let Some(column) = column {
            write!(formatter, ", column {column}")?;
        }
        write!(formatter, ": {reason}")
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A line that is wrong as a whole.
    pub(crate) fn of_line(source: &str, line: u64, reason: impl Into<String>) -> Self {
        Self { source: source.to_owned(), line, column: None, reason: reason.into() }
    }

    fn with_advice(mut self, advice: &str) -> Self {
        self.reason = format!("{}; {advice}", self.reason);
        self
    }
}

/// Reads one JSON value; `line` is the source's line that the text begins on.
pub(crate) fn parse_json<'a, T: Deserialize<'a>>(
    source: &str,
    line: u64,
    text: &'a [u8],
) -> Result<T, Problem> {
    // So that an end that comes too early is on the last line with something on it.
    let text = text.trim_ascii_end();
    serde_json::from_slice(text).map_err(|error| {
        let said = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let said = said.strip_suffix(&place).unwrap_or(&said);
        let reason = match error.classify() {
            Category::Syntax | Category::Eof => format!("this isn't JSON: {said}"),
            Category::Data | Category::Io => said.to_owned(),
        };
        let lines_before = error.line().saturating_sub(1);
        let column = (error.line() > 0).then(|| column_in_characters(text, lines_before, error.column()));
        let line = line + u64::try_from(lines_before).unwrap_or(0);
        Problem { source: source.to_owned(), line, column, reason }
    })
}

/// What makes lines of something that isn't, where its first bytes tell what it is.
fn advice_on(line: &[u8]) -> Option<&'static str> {
    match line.trim_ascii() {
        [0x1f, 0x8b, ..] => Some("it is compressed: zcat FILE | annals import -"),
        [b'[', ..] => Some("a line is one object, and this is an array: jq -c '.[]' FILE | annals import -"),
        [b'{', .., b'}'] => None,
        [b'{', ..] => {
            Some("a line is one object, and this one goes on in the next: jq -c . FILE | annals import -")
        }
        _ => Some("a line is one object, {\"stream\":…,\"type\":…}"),
    }
}

/// `serde_json` counts bytes, people count characters.
fn column_in_characters(text: &[u8], lines_before: usize, column_bytes: usize) -> usize {
    let line = text.split(|&byte| byte == b'\n').nth(lines_before).unwrap_or_default();
    let before = &line[..column_bytes.saturating_sub(1).min(line.len())];
    String::from_utf8_lossy(before).chars().count() + 1
}

/// The lines of a source, one at a time, counted from 1. Empty ones are left out, and counted.
pub(crate) struct Lines {
    reader: Box<dyn BufRead>,
    name: String,
    number: u64,
    bytes_read: u64,
    line: Vec<u8>,
}

/// A line that has something in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Line<'a> {
    /// Its source's name.
    source: &'a str,
    /// Its number in the source, from 1.
    pub(crate) number: u64,
    bytes: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads the line as one JSON value.
    pub(crate) fn parse<T: Deserialize<'a>>(&self) -> Result<T, Problem> {
        parse_json(self.source, self.number, self.bytes).map_err(|problem| {
            if let Some(advice) = advice_on(self.bytes) { problem.with_advice(advice) } else { problem }
        })
    }

    /// The line as it stands there, without the white space around it.
    pub(crate) fn text(&self) -> &'a [u8] {
        self.bytes.trim_ascii()
    }

    /// The line as a whole is wrong.
    pub(crate) fn problem(&self, reason: impl Into<String>) -> Problem {
        Problem::of_line(self.source, self.number, reason)
    }
}

impl Lines {
    pub(crate) fn open(source: &Source) -> anyhow::Result<Self> {
        Ok(Self::read_from(source.open()?, source))
    }

    /// The lines of a source, whose bytes come from here.
    pub(crate) fn read_from(bytes: impl Read + 'static, source: &Source) -> Self {
        let reader = BufReader::with_capacity(FILE_BUFFER_BYTES, bytes);
        Self::of(Box::new(reader), source.to_string())
    }

    /// The lines that a reader has, under a name for messages.
    pub(crate) fn of(reader: Box<dyn BufRead>, name: String) -> Self {
        Self { reader, name, number: 0, bytes_read: 0, line: Vec::new() }
    }

    /// The source's name, for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The number of the last line that was begun.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The next line; none at the end.
    pub(crate) fn next(&mut self) -> anyhow::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let mut reader = self.reader.by_ref().take(LINE_BYTES_MAX + 1);
            let read = reader.read_until(b'\n', &mut self.line);
            let read = read.with_context(|| format!("can't read {}", self.name))?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            let bytes = u64::try_from(read).unwrap_or(u64::MAX);
            self.bytes_read = self.bytes_read.saturating_add(bytes);
            if bytes > LINE_BYTES_MAX {
                let reason = format!("the line has more than {LINE_BYTES_MAX} bytes");
                return Err(Problem::of_line(&self.name, self.number, reason).into());
            }
            if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                self.line.drain(..BYTE_ORDER_MARK.len());
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Line { source: &self.name, number: self.number, bytes: &self.line }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::Value;

    use super::*;

    fn check_problem(text: &str, message: &str) {
        let problem = parse_json::<Value>("events", 7, text.as_bytes()).expect_err("bad JSON");
        assert_eq!(problem.to_string(), message);
    }

    #[test]
    fn bad_json_is_named_by_line_and_column() {
        check_problem("nothing", "events, line 7, column 2: this isn't JSON: expected ident");
        check_problem("{\"a\":1,}", "events, line 7, column 8: this isn't JSON: trailing comma");
        check_problem("{\"a\":\n\n  ?}", "events, line 9, column 3: this isn't JSON: expected value");
        check_problem("{\"a\"", "events, line 7, column 4: this isn't JSON: EOF while parsing an object");
    }

    #[test]
    fn columns_count_characters() {
        check_problem("[\"äöü→\",?]", "events, line 7, column 9: this isn't JSON: expected value");
    }

    fn lines_of(text: &'static str) -> Lines {
        Lines::of(Box::new(text.as_bytes()), "text".to_owned())
    }

    #[test]
    fn empty_lines_are_left_out_and_counted() {
        let mut lines = lines_of("1\n\n  \r\n2");
        let first = lines.next().expect("readable").map(|line| (line.number, line.bytes.to_vec()));
        assert_eq!(first, Some((1, b"1\n".to_vec())));
        let second = lines.next().expect("readable").map(|line| (line.number, line.bytes.to_vec()));
        assert_eq!(second, Some((4, b"2".to_vec())));
        assert_eq!(lines.next().expect("readable"), None);
        assert_eq!(lines.bytes_read(), 8);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_at_the_beginning_and_nowhere_else() {
        let mut lines = lines_of("\u{feff}\n[1]\n\u{feff}[2]");
        let first = lines.next().expect("readable").expect("a line");
        assert_eq!((first.number, first.bytes), (2, &b"[1]\n"[..]));
        let second = lines.next().expect("readable").expect("a line");
        assert!(second.parse::<Value>().is_err());
        let mut lines = lines_of("\u{feff}[?]");
        let problem = lines.next().expect("readable").expect("a line").parse::<Value>().expect_err("bad");
        let said = problem.to_string();
        assert!(said.starts_with("text, line 1, column 2: this isn't JSON: expected value; "), "{said}");
    }

    #[test]
    fn what_is_no_line_is_told_with_what_makes_lines_of_it() {
        for (text, advice) in [
            ("[{\"stream\":\"a\"}]", "jq -c '.[]' FILE"),
            ("[\n", "jq -c '.[]' FILE"),
            ("{\n", "jq -c . FILE"),
            ("stream,type\n", "a line is one object"),
        ] {
            let problem =
                lines_of(text).next().expect("readable").expect("a line").parse::<BTreeMap<String, String>>();
            assert!(problem.expect_err("no line").to_string().contains(advice), "{text}");
        }
        let compressed = b"\x1f\x8b\x08\x00";
        assert!(advice_on(compressed).expect("advice").contains("zcat"));
        assert_eq!(advice_on(b"{\"a\":?}\n"), None);
    }

    #[test]
    fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let endless = BufReader::new(io::repeat(b' '));
        let mut lines = Lines::of(Box::new(endless), "text".to_owned());
        let error = lines.next().expect_err("too long");
        assert_eq!(error.to_string(), "text, line 1: the line has more than 67108864 bytes");
    }

    #[test]
    fn json_arguments_say_where_the_json_is() {
        assert_eq!("-".parse(), Ok(JsonArgument::In(Source::StandardInput)));
        assert_eq!("-5".parse(), Ok(JsonArgument::Literal("-5".to_owned())));
        assert_eq!("@a.json".parse(), Ok(JsonArgument::In(Source::File("a.json".into()))));
        assert!("@".parse::<JsonArgument>().is_err());
    }
}
