//! An event as a line: of text, for people, or of JSON.

use annals::EventRef;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use crate::{arguments::Format, clock_text, contract::Payload, output};

/// Appends the event's line, with its end.
pub(crate) fn write(event: &EventRef<'_>, format: Format, line: &mut Vec<u8>) {
    match format {
        Format::Json => annals::write_event_line(event, line),
        Format::Text => write_text(event, line),
    }
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
