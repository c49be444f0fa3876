//! Lines of columns for as many rows as there may be, in one pass and in bounded memory.
//!
//! Rows wait until there is a window of them, or until nothing more comes. Each column is as wide as its widest cell up to there: the
//! first window stands straight, and a later one moves to the right at most. Long names and values widen no column for all others.
//!
//! Where lines have to fit a terminal, each row does by itself: very long names are cut, and then the line where the terminal ends.
//!
//! ```text
//!  9  order-17  1  OrderPlaced  2025-11-21T08:30:00Z  {"total":1200}  {"userId":"u…
//! 10  order-17  2  OrderPaid    2025-11-21T08:30:01Z  {"iban":"DE02120300000000…
//!     name         name                               value           value
//! ```

use std::borrow::Cow;

use anstyle::Style;
use unicode_truncate::UnicodeTruncateStr;
use unicode_width::UnicodeWidthStr;

use crate::{
    colours::{self, Colour},
    output,
    pretty::PrettyLines,
};

/// How many rows wait for each other at most: more than a screen has.
const WINDOW_ROWS: usize = 256;

/// How many bytes wait at most, but for the last row's.
const WINDOW_BYTES: usize = 1 << 20;

/// A name or a value that is wider doesn't widen its column.
const COLUMN_WIDTH_MAX: usize = 48;

/// How many spaces stand between columns.
const BETWEEN: usize = 2;

/// Stands where something was cut.
const CUT: &str = "…";

/// Stands where a row has nothing, and something follows.
const ABSENT: &str = "-";

/// How a column stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// At the right, never cut.
    Number,
    /// At the left, cut only where it is very long.
    Name,
    /// At the left, cut where the line ends.
    Value,
}

/// What stands in a column; its text is safe on a terminal. Without any text it is absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) style: Style,
}

/// What stands in lines of its own below a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Below {
    pub(crate) label: &'static str,
    pub(crate) text: BelowText,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BelowText {
    /// JSON as it was stored, which is laid out and made safe when it is printed.
    Json(String),
    /// Text that is safe on a terminal.
    Plain(String),
}

/// A line of cells, one for each column, and what stands below it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Row {
    pub(crate) cells: Vec<Cell>,
    pub(crate) below: Vec<Below>,
}

impl Row {
    fn bytes(&self) -> usize {
        let below = self.below.iter().map(|below| match &below.text {
            BelowText::Json(text) | BelowText::Plain(text) => text.len(),
        });
        self.cells.iter().map(|cell| cell.text.len()).chain(below).sum()
    }
}

/// Whether a window is to be printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Window {
    Open,
    Full,
}

pub(crate) struct Columns {
    kinds: Vec<Kind>,
    widths: Vec<usize>,
    colour: Colour,
    rows: Vec<Row>,
    bytes: usize,
}

impl Columns {
    pub(crate) fn new(kinds: Vec<Kind>, colour: Colour) -> Self {
        Self { widths: vec![0; kinds.len()], kinds, colour, rows: Vec::new(), bytes: 0 }
    }

    /// Has a row wait for its window.
    pub(crate) fn add(&mut self, row: Row) -> Window {
        self.bytes += row.bytes();
        for ((cell, kind), width) in row.cells.iter().zip(&self.kinds).zip(&mut self.widths) {
            let found = width_of(cell);
            if *kind == Kind::Number || found <= COLUMN_WIDTH_MAX {
                *width = (*width).max(found);
            }
        }
        self.rows.push(row);
        if self.rows.len() >= WINDOW_ROWS || self.bytes >= WINDOW_BYTES { Window::Full } else { Window::Open }
    }

    /// Appends the lines of all rows that wait, none wider than `width`, if there is one.
    pub(crate) fn write(&mut self, width: Option<usize>, lines: &mut String) {
        self.bytes = 0;
        for row in std::mem::take(&mut self.rows) {
            self.write_row(&row, width, lines);
            for below in &row.below {
                self.write_below(below, width, lines);
            }
        }
    }

    fn write_row(&self, row: &Row, width: Option<usize>, lines: &mut String) {
        let end = row.cells.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
        let cells = &row.cells[..end];
        let mut parts = Vec::new();
        let mut before = 0;
        for (number, cell) in cells.iter().enumerate() {
            let place = self.place(number, cells.len(), width);
            let text = if cell.text.is_empty() { ABSENT } else { &cell.text };
            let text = cut(text, place.limit);
            let missing = place.wanted.saturating_sub(text.width());
            let (left, right) = if self.kinds[number] == Kind::Number { (missing, 0) } else { (0, missing) };
            parts.push(Part { before: before + left, text, style: cell.style });
            before = right + BETWEEN;
        }
        self.write_line(&parts, width, lines);
    }

    /// How wide a cell may be, and how wide it is to be, so that the next one stands below others.
    fn place(&self, column: usize, columns: usize, width: Option<usize>) -> Place {
        let kind = self.kinds[column];
        let limit = if kind == Kind::Name && width.is_some() { COLUMN_WIDTH_MAX } else { usize::MAX };
        // What nothing follows needs no room behind it.
        let is_last = column + 1 == columns;
        Place { limit, wanted: if is_last && kind != Kind::Number { 0 } else { self.widths[column] } }
    }

    fn write_below(&self, below: &Below, width: Option<usize>, lines: &mut String) {
        let mut write = |label: &'static str, text: &str| {
            let label = Part { before: BETWEEN, text: label.into(), style: colours::DIM };
            let gap = usize::from(!label.text.is_empty());
            let text = Part { before: gap, text: text.into(), style: Style::new() };
            self.write_line(&[label, text], width, lines);
        };
        match &below.text {
            BelowText::Plain(text) => write(below.label, text),
            BelowText::Json(json) => {
                for (number, text) in PrettyLines::of(json).enumerate() {
                    write(if number == 0 { below.label } else { "" }, &output::safe(&text));
                }
            }
        }
    }

    /// Appends a line of these parts, with its end, as far as it fits.
    fn write_line(&self, parts: &[Part<'_>], width: Option<usize>, lines: &mut String) {
        let whole = || parts.iter().map(|part| part.before + part.text.width()).sum::<usize>();
        match width.filter(|width| whole() > *width) {
            None => parts.iter().for_each(|part| self.push(part.before, &part.text, part.style, lines)),
            Some(width) => self.push_beginning(parts, width, lines),
        }
        lines.push('\n');
    }

    /// Appends as much of a line as is no wider than this together with the sign that it was cut.
    fn push_beginning(&self, parts: &[Part<'_>], width: usize, lines: &mut String) {
        let mut left = width.saturating_sub(CUT.width());
        for Part { before, text, style } in parts {
            let before = left.min(*before);
            let (shown, width) = text.unicode_truncate(left - before);
            self.push(before, shown, *style, lines);
            left -= before + width;
            if shown.len() < text.len() {
                break;
            }
        }
        lines.push_str(CUT);
    }

    fn push(&self, before: usize, text: &str, style: Style, lines: &mut String) {
        lines.extend(std::iter::repeat_n(' ', before));
        self.colour.push(style, text, lines);
    }
}

/// How wide a cell may be, and is to be at least.
#[derive(Clone, Copy)]
struct Place {
    limit: usize,
    wanted: usize,
}

/// A part of a line: how many spaces stand before it, and what it says.
struct Part<'a> {
    before: usize,
    text: Cow<'a, str>,
    style: Style,
}

fn width_of(cell: &Cell) -> usize {
    if cell.text.is_empty() { ABSENT.width() } else { cell.text.width() }
}

/// The text, or as much of its beginning as is no wider than `limit` together with the sign that it was cut.
fn cut(text: &str, limit: usize) -> Cow<'_, str> {
    if limit == usize::MAX || text.width() <= limit {
        return text.into();
    }
    let (beginning, _) = text.unicode_truncate(limit.saturating_sub(CUT.width()));
    format!("{beginning}{CUT}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [Kind; 4] = [Kind::Number, Kind::Name, Kind::Value, Kind::Value];

    fn row(texts: [&str; 4]) -> Row {
        let cell = |text: &str| Cell { text: text.to_owned(), style: Style::new() };
        Row { cells: texts.map(cell).to_vec(), below: Vec::new() }
    }

    fn lines_of(rows: &[[&str; 4]], width: Option<usize>) -> Vec<String> {
        let mut columns = Columns::new(KINDS.to_vec(), Colour::Plain);
        for texts in rows {
            columns.add(row(*texts));
        }
        let mut lines = String::new();
        columns.write(width, &mut lines);
        lines.lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["9", "a", "{}", ""], ["10", "größer", "[1]", "{}"], ["11", "a", "{\"b\":1}", "{}"]];
        let lines = [" 9  a       {}", "10  größer  [1]      {}", "11  a       {\"b\":1}  {}"];
        assert_eq!(lines_of(&rows, None), lines);
        assert_eq!(lines_of(&rows, Some(80)), lines);
    }

    #[test]
    fn columns_only_grow() {
        let mut columns = Columns::new(KINDS.to_vec(), Colour::Plain);
        let mut lines = String::new();
        for texts in [
            ["10", "long", "{}", "1"],
            ["9", "a", "{}", "2"],
            ["100", "longer", "{}", "3"],
            ["1", "a", "{}", "4"],
        ] {
            columns.add(row(texts));
            columns.write(None, &mut lines);
        }
        assert_eq!(lines, "10  long  {}  1\n 9  a     {}  2\n100  longer  {}  3\n  1  a       {}  4\n");
    }

    #[test]
    fn wide_characters_take_two_columns_and_accents_none() {
        let rows = [["1", "日本", "{}", ""], ["2", "e\u{301}", "{}", ""], ["3", "abcde", "{}", ""]];
        assert_eq!(lines_of(&rows, None), ["1  日本   {}", "2  e\u{301}      {}", "3  abcde  {}"]);
    }

    #[test]
    fn what_is_missing_in_the_midst_is_marked_so_that_words_can_be_counted() {
        assert_eq!(lines_of(&[["1", "", "", "{}"], ["2", "a", "", ""]], None), ["1  -  -  {}", "2  a"]);
    }

    #[test]
    fn a_very_long_name_widens_no_column_and_is_cut_on_a_terminal_alone() {
        let long = "x".repeat(200);
        let rows = [["1", long.as_str(), "{}", ""], ["2", "a", "{}", ""]];
        assert_eq!(lines_of(&rows, None), [format!("1  {long}  {{}}"), "2  a  {}".to_owned()]);
        let cut = format!("1  {}…  {{}}", "x".repeat(COLUMN_WIDTH_MAX - 1));
        assert_eq!(lines_of(&rows, Some(80)), [cut, "2  a  {}".to_owned()]);
    }

    #[test]
    fn the_line_is_cut_where_the_terminal_ends_and_what_comes_first_has_the_room() {
        let (long, longer) = ("d".repeat(30), "m".repeat(60));
        let line = |data: &str, metadata: &str| lines_of(&[["1", "a", data, metadata]], Some(40)).concat();
        assert_eq!(line("{}", &longer), format!("1  a  {{}}  {}…", "m".repeat(29)));
        assert_eq!(line(&long, "{}"), format!("1  a  {long}  {{}}"));
        assert_eq!(line(&long, &longer), format!("1  a  {long}  m…"));
        assert_eq!(line(&longer, "{}"), format!("1  a  {}…", "m".repeat(33)));
        assert_eq!(line(&long, ""), format!("1  a  {long}"));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_whatever_is_in_it() {
        let texts =
            ["", "a", "日本語日本語", "e\u{301}e\u{301}e\u{301}", "👩‍👩‍👧👩‍👩‍👧", "0123456789012345678901234567890"];
        for width in 1..60 {
            for name in texts {
                for data in texts {
                    for metadata in texts {
                        let rows = [["123", name, data, metadata], ["9", "name", "{}", "{}"]];
                        for line in lines_of(&rows, Some(width)) {
                            assert!(line.width() <= width, "{width}: {line}");
                        }
                    }
                }
            }
        }
        assert_eq!(lines_of(&[["123456", "a", "{}", ""]], Some(4)), ["123…"]);
        assert_eq!(lines_of(&[["1", "abc", "{}", ""]], Some(6)), ["1  ab…"]);
        assert_eq!(lines_of(&[["1", "abc", "{}", ""]], Some(7)), ["1  abc…"]);
    }

    #[test]
    fn colours_begin_and_end_around_what_is_shown() {
        let mut columns = Columns::new(vec![Kind::Name, Kind::Value], Colour::Shown);
        let cell = |text: &str, style| Cell { text: text.to_owned(), style };
        let cells = vec![cell("ab", colours::DIM), cell("0123456789", colours::DIM)];
        columns.add(Row { cells, below: Vec::new() });
        columns.add(Row { cells: vec![cell("a", Style::new()), cell("1", Style::new())], below: Vec::new() });
        let mut lines = String::new();
        columns.write(Some(8), &mut lines);
        assert_eq!(lines, "\u{1b}[2mab\u{1b}[0m  \u{1b}[2m012\u{1b}[0m…\na   1\n");
    }

    #[test]
    fn what_stands_below_is_laid_out_and_cut_too() {
        let mut columns = Columns::new(vec![Kind::Number], Colour::Plain);
        let json = BelowText::Json("{\"a\":\"\u{9b}\",\"b\":[]}".to_owned());
        let below = vec![
            Below { label: "data", text: json },
            Below { label: "metadata", text: BelowText::Plain("text:0123456789".to_owned()) },
        ];
        columns.add(Row { cells: vec![Cell { text: "1".to_owned(), style: Style::new() }], below });
        let mut lines = String::new();
        columns.write(Some(20), &mut lines);
        let printed = "1\n  data {\n    \"a\": \"\\u009b\",\n    \"b\": []\n  }\n  metadata text:012…\n";
        assert_eq!(lines, printed);
    }

    #[test]
    fn a_window_is_full_of_rows_or_of_bytes() {
        let mut columns = Columns::new(KINDS.to_vec(), Colour::Plain);
        let short = row(["1", "a", "{}", ""]);
        for _ in 1..WINDOW_ROWS {
            assert_eq!(columns.add(short.clone()), Window::Open);
        }
        assert_eq!(columns.add(short.clone()), Window::Full);
        columns.write(None, &mut String::new());
        assert_eq!(columns.add(short), Window::Open);
        assert_eq!(columns.add(row(["2", "a", &"x".repeat(WINDOW_BYTES), ""])), Window::Full);
    }
}
