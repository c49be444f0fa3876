//! Events as lines: of text, for people, or of JSON.

use std::{collections::BTreeMap, io};

use annals::{EventRef, Timestamp, print_occurred_at};
use anstyle::Style;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::Serializer;
use serde_json::value::RawValue;

use crate::{
    arguments::Format,
    clock_text,
    colours::{self, Colour},
    columns::{Below, BelowText, Cell, Columns, Kind, Row, Window},
    contract::Payload,
    fields::{self, Field},
    output::{self, Output, OutputError},
    reading_arguments::LayoutArguments,
};

/// Standard output, as lines of events. `flush` it at the end, and whenever what comes next is waited for.
pub(crate) struct EventPrinter {
    output: Output,
    layout: Layout,
    lines: Vec<u8>,
    has_printed: bool,
}

enum Layout {
    /// The contract: all there is.
    Json,
    /// Only these fields of it.
    JsonOf(Vec<Field>),
    Text(TextLayout),
}

impl EventPrinter {
    /// Prints events as JSON, all there is of them.
    pub(crate) fn of_json() -> Self {
        Self::of(Layout::Json)
    }

    /// Prints events as it is asked for.
    pub(crate) fn new(arguments: &LayoutArguments) -> Self {
        let fields = fields::distinct(&arguments.fields);
        Self::of(match arguments.format {
            Format::Json if fields.is_empty() => Layout::Json,
            Format::Json => Layout::JsonOf(fields),
            Format::Text => Layout::Text(TextLayout::new(arguments, fields)),
        })
    }

    fn of(layout: Layout) -> Self {
        Self { output: Output::new(), layout, lines: Vec::new(), has_printed: false }
    }

    /// Prints an event; what is aligned waits for its window.
    pub(crate) fn print(&mut self, event: &EventRef<'_>) -> Result<(), OutputError> {
        self.has_printed = true;
        self.lines.clear();
        match &mut self.layout {
            Layout::Json => annals::write_event_line(event, &mut self.lines),
            Layout::JsonOf(fields) => write_fields(event, fields, &mut self.lines)?,
            Layout::Text(text) => match text.columns.add(text.shape.row_of(event)) {
                Window::Open => return Ok(()),
                Window::Full => text.write(&mut self.lines),
            },
        }
        self.output.write(&self.lines)
    }

    /// Whether there was any event.
    pub(crate) fn has_printed(&self) -> bool {
        self.has_printed
    }

    pub(crate) fn flush(&mut self) -> Result<(), OutputError> {
        if let Layout::Text(text) = &mut self.layout {
            self.lines.clear();
            text.write(&mut self.lines);
            self.output.write(&self.lines)?;
        }
        self.output.flush()
    }
}

/// Appends the members of an event's line of JSON that hold these fields, in their order. They are taken out of the whole line, so
/// that they are the same as there.
fn write_fields(event: &EventRef<'_>, fields: &[Field], lines: &mut Vec<u8>) -> Result<(), OutputError> {
    let mut whole = Vec::new();
    annals::write_event_line(event, &mut whole);
    let members: BTreeMap<&str, &RawValue> = serde_json::from_slice(&whole).map_err(io::Error::from)?;
    let asked = fields.iter().flat_map(|field| field.members());
    let found = asked.filter_map(|name| Some((name, members.get(name)?)));
    serde_json::Serializer::new(&mut *lines).collect_map(found).map_err(io::Error::from)?;
    lines.push(b'\n');
    Ok(())
}

/// `17  order-1  3  OrderPlaced  2025-11-21T08:30:00.000000Z  {"total":1200}  {"userId":"u-7"}`
struct TextLayout {
    shape: Shape,
    columns: Columns,
    cutting: Cutting,
}

/// What stands in a line, and what below it.
struct Shape {
    in_line: Vec<Field>,
    below: Vec<Field>,
    print_time: fn(Timestamp) -> String,
}

/// Whether lines are cut to the terminal's width, if there is a terminal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cutting {
    ToTerminal,
    Never,
}

impl TextLayout {
    fn new(arguments: &LayoutArguments, fields: Vec<Field>) -> Self {
        let fields = if fields.is_empty() { fields::USUAL.to_vec() } else { fields };
        let (below, in_line) = fields.into_iter().partition(|field| arguments.pretty && field.is_payload());
        let cutting = if arguments.no_trunc { Cutting::Never } else { Cutting::ToTerminal };
        let is_narrow = cutting == Cutting::ToTerminal && output::terminal_width().is_some();
        let print_time =
            if is_narrow { clock_text::print_to_the_second } else { clock_text::print_timestamp };
        let shape = Shape { in_line, below, print_time };
        let kinds = shape.in_line.iter().map(|field| kind_of(*field)).collect();
        Self { shape, columns: Columns::new(kinds, Colour::of_output()), cutting }
    }

    /// Appends what waits. The terminal may have another width than the last time.
    fn write(&mut self, lines: &mut Vec<u8>) {
        let width = match self.cutting {
            Cutting::ToTerminal => output::terminal_width(),
            Cutting::Never => None,
        };
        let mut text = String::new();
        self.columns.write(width, &mut text);
        lines.extend_from_slice(text.as_bytes());
    }
}

fn kind_of(field: Field) -> Kind {
    match field {
        Field::Position | Field::Version | Field::SchemaVersion => Kind::Number,
        Field::Stream | Field::Type | Field::Time | Field::Id | Field::OccurredAt => Kind::Name,
        Field::Data | Field::Metadata => Kind::Value,
    }
}

impl Shape {
    fn row_of(&self, event: &EventRef<'_>) -> Row {
        Row {
            cells: self.in_line.iter().map(|field| self.cell_of(event, *field)).collect(),
            below: self.below.iter().filter_map(|field| below_of(event, *field)).collect(),
        }
    }

    fn cell_of(&self, event: &EventRef<'_>, field: Field) -> Cell {
        let plain = Style::new();
        let (text, style) = match field {
            Field::Position => (event.position.to_string(), colours::DIM),
            Field::Stream => (output::safe(event.stream), plain),
            Field::Version => (event.version.to_string(), plain),
            Field::Type => (output::safe(event.event_type), colours::of_type(event.event_type)),
            Field::Time => ((self.print_time)(event.timestamp), colours::DIM),
            Field::Id => (output::safe(&event.id.to_string()), colours::DIM),
            Field::OccurredAt => (event.occurred_at.map(print_occurred_at).unwrap_or_default(), colours::DIM),
            Field::SchemaVersion => (event.schema_version.to_string(), colours::DIM),
            Field::Data => (text_of(&Payload::of_data(event)), plain),
            Field::Metadata => {
                (Payload::of_metadata(event).as_ref().map(text_of).unwrap_or_default(), colours::DIM)
            }
        };
        Cell { text, style }
    }
}

fn below_of(event: &EventRef<'_>, field: Field) -> Option<Below> {
    let (label, payload) = match field {
        Field::Metadata => ("metadata", Payload::of_metadata(event)?),
        _ => ("data", Payload::of_data(event)),
    };
    let text = match payload.json() {
        Some(json) => BelowText::Json(json.get().to_owned()),
        None => BelowText::Plain(text_of(&payload)),
    };
    Some(Below { label, text })
}

fn text_of(payload: &Payload<'_>) -> String {
    let mut text = String::new();
    push_payload(&mut text, payload);
    text
}

/// Appends what an event or a snapshot holds.
pub(crate) fn push_payload(text: &mut String, payload: &Payload<'_>) {
    match payload {
        Payload::Json(value) => output::push_safe(text, value.get()),
        Payload::Bytes([]) => text.push_str("(empty)"),
        Payload::Bytes(bytes) => {
            if let Ok(readable) = std::str::from_utf8(bytes) {
                text.push_str("text:");
                output::push_safe(text, readable);
            } else {
                text.push_str("base64:");
                BASE64.encode_string(bytes, text);
            }
        }
    }
}
