//! `annals read`: a stream's events, or all, as text or as JSON lines.

use std::path::Path;

use annals::{Bound, EventRef, Events, Position, Query, Version};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::{
    arguments::{Format, ReadArguments},
    clock_text,
    contract::{self, Payload},
    opening,
    output::{self, Output},
};

pub(crate) fn run(store: &Path, arguments: &ReadArguments) -> anyhow::Result<()> {
    let store = opening::for_reading(store, &arguments.waiting)?;
    let events = match &arguments.stream {
        Some(stream) => store.read(bounded::<Version>(Query::stream(stream), arguments)),
        None => store.read(bounded::<Position>(Query::all(), arguments)),
    };
    print(events, arguments.format)?;
    Ok(store.close()?)
}

fn bounded<B: Bound + From<u64>>(mut query: Query<B>, arguments: &ReadArguments) -> Query<B> {
    if let Some(from) = arguments.from {
        query = query.from(B::from(from));
    }
    if let Some(after) = arguments.after {
        query = query.after(B::from(after));
    }
    if let Some(to) = arguments.to {
        query = query.to(B::from(to));
    }
    if let Some(before) = arguments.before {
        query = query.before(B::from(before));
    }
    if let Some(limit) = arguments.limit {
        query = query.limit(limit);
    }
    if arguments.backwards { query.backwards() } else { query }
}

/// Prints events one by one, however many they are.
pub(crate) fn print(mut events: Events, format: Format) -> anyhow::Result<()> {
    let mut output = Output::new();
    let mut line = Vec::new();
    while let Some(event) = events.try_next()? {
        line.clear();
        match format {
            Format::Json => contract::write_event(&event, &mut line)?,
            Format::Text => write_text(&event, &mut line),
        }
        output.write(&line)?;
    }
    Ok(output.flush()?)
}

/// `17  order-1  3  OrderPlaced  2025-11-21T08:30:00.000000Z  {"total":1200}  {"userId":"u-7"}`
fn write_text(event: &EventRef<'_>, line: &mut Vec<u8>) {
    let stream = output::safe(event.stream);
    let event_type = output::safe(event.event_type);
    let time = clock_text::print_timestamp(event.timestamp);
    let mut text = format!("{}  {stream}  {}  {event_type}  {time}", event.position, event.version);
    let payloads = [Some(Payload::of_data(event)), Payload::of_metadata(event)];
    for payload in payloads.iter().flatten() {
        text.push_str("  ");
        push_payload(&mut text, payload);
    }
    text.push('\n');
    line.extend_from_slice(text.as_bytes());
}

fn push_payload(text: &mut String, payload: &Payload<'_>) {
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
