//! Standard output, and text that can't do anything to a terminal but be read.

use std::{
    fmt::{self, Write as _},
    io::{self, BufWriter, Stdout, Write},
};

use serde::Serialize;

use crate::{arguments::Format, failure};

/// Standard output refused what was written to it.
#[derive(Debug)]
pub(crate) struct OutputError(io::Error);

impl OutputError {
    /// Whether nobody reads any more.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("can't write to standard output")
    }
}

impl std::error::Error for OutputError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

/// Standard output, buffered: `flush` it before the program ends, since only that reports what went wrong.
pub(crate) struct Output {
    writer: BufWriter<Stdout>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { writer: BufWriter::with_capacity(64 << 10, io::stdout()) }
    }

    /// Writes bytes that end their line themselves.
    pub(crate) fn write(&mut self, lines: &[u8]) -> Result<(), OutputError> {
        Ok(self.writer.write_all(lines)?)
    }

    /// Writes one line.
    pub(crate) fn line(&mut self, text: fmt::Arguments<'_>) -> Result<(), OutputError> {
        Ok(writeln!(self.writer, "{text}")?)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), OutputError> {
        serde_json::to_writer(&mut self.writer, value).map_err(io::Error::from)?;
        Ok(self.writer.write_all(b"\n")?)
    }

    /// Prints a report in the format that was asked for, as JSON or as what `text` makes of it, to its end.
    pub(crate) fn report<T: Serialize>(
        &mut self,
        format: Format,
        report: &T,
        text: impl FnOnce(&mut Self, &T) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        match format {
            Format::Json => self.json(report)?,
            Format::Text => text(self, report)?,
        }
        self.flush()
    }

    /// Prints a list in the format that was asked for: as JSON a line for each, as text what `text` makes of all.
    pub(crate) fn list<T: Serialize>(
        &mut self,
        format: Format,
        reports: &[T],
        text: impl FnOnce(&mut Self, &[T]) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        match format {
            Format::Json => reports.iter().try_for_each(|report| self.json(report))?,
            Format::Text => text(self, reports)?,
        }
        if reports.is_empty() {
            failure::tell_on_terminal("there are none");
        }
        self.flush()
    }

    /// Writes lines of columns, with two spaces between them.
    pub(crate) fn table<const N: usize>(
        &mut self,
        columns: [Column; N],
        rows: &[[String; N]],
    ) -> Result<(), OutputError> {
        let widths: Vec<usize> = (0..N).map(|column| width_of(columns[column], rows, column)).collect();
        for row in rows {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(columns).zip(&widths) {
                let between = if line.is_empty() { "" } else { "  " };
                // Writing to a String can't fail.
                match column {
                    Column::Name => write!(line, "{between}{cell:width$}").ok(),
                    Column::Number => write!(line, "{between}{cell:>width$}").ok(),
                    Column::Rest if cell.is_empty() => None,
                    Column::Rest => write!(line, "{between}{cell}").ok(),
                };
            }
            self.line(format_args!("{line}"))?;
        }
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        Ok(self.writer.flush()?)
    }
}

/// How wide the terminal is that standard output is; none where it isn't one.
pub(crate) fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size_of(io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Appends text, with all escaped that a terminal would act on instead of showing it.
pub(crate) fn push_safe(safe: &mut String, text: &str) {
    for character in text.chars() {
        if is_dangerous(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                write!(safe, "\\u{unit:04x}").ok();
            }
        } else {
            safe.push(character);
        }
    }
}

/// The text, with all escaped that a terminal would act on instead of showing it.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    push_safe(&mut safe, text);
    safe
}

/// Control characters move the cursor and more; line separators break lines; the others reverse text.
fn is_dangerous(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// How a table's column stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Column {
    /// At the left, and as wide as the longest name that isn't too long.
    Name,
    /// At the right, and as wide as the longest.
    Number,
    /// The last one, which nothing follows.
    Rest,
}

/// Names longer than this don't widen the column for all others.
const NAME_COLUMN_CHARACTERS_MAX: usize = 48;

/// How wide a column is, in characters.
fn width_of<const N: usize>(column: Column, rows: &[[String; N]], number: usize) -> usize {
    let widths = rows.iter().map(|row| row[number].chars().count());
    let is_counted = |width: &usize| column != Column::Name || *width <= NAME_COLUMN_CHARACTERS_MAX;
    widths.filter(is_counted).max().unwrap_or(0)
}

/// `1 event`, `2 events`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_escaped() {
        assert_eq!(safe("a\u{1b}[2Jb\r\n\u{9b}\u{202e}ä→😀"), "a\\u001b[2Jb\\u000d\\u000a\\u009b\\u202eä→😀");
    }

    #[test]
    fn a_column_is_as_wide_as_what_it_holds_but_for_very_long_names() {
        let long = "x".repeat(NAME_COLUMN_CHARACTERS_MAX + 1);
        let rows = [
            ["ä".to_owned(), "5".to_owned()],
            ["order".to_owned(), "1000".to_owned()],
            [long, "7".to_owned()],
        ];
        assert_eq!(width_of(Column::Name, &rows, 0), 5);
        assert_eq!(width_of(Column::Number, &rows, 1), 4);
        assert_eq!(width_of::<2>(Column::Number, &[], 1), 0);
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(count(1, "event"), "1 event");
        assert_eq!(count(0, "event"), "0 events");
    }
}
