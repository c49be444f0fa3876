//! JSON lines as `annals import` takes them: what is taken can be printed, and taken again, and is the same.
//!
//! The program's own tests run the corpus through this file too.

use std::sync::Arc;

use annals::{EventData, EventStore, ExpectedVersion, Options, Query, SimDisk, StreamId};

use crate::{contract::Incoming, identity::Identities, input::Lines};

/// How many lines of an input are looked at.
const LINES_MAX: usize = 32;

/// Gives an input to what reads lines.
pub(crate) fn run(input: &[u8]) {
    let events = take(input);
    if events.is_empty() {
        return;
    }
    let store =
        EventStore::open_on(Arc::new(SimDisk::new(7)), "/store", Options::new()).expect("a new store");
    let mut stored = Vec::new();
    for (stream, event) in events {
        // What the store doesn't take, it says.
        if store
            .append(&stream, ExpectedVersion::Any, [event.clone()])
            .is_ok_and(|appended| !appended.repeated)
        {
            stored.push((stream, event));
        }
    }
    let mut printed = Vec::new();
    let mut cursor = store.read(Query::all());
    while let Some(event) = cursor.try_next().expect("a whole store") {
        annals::write_event_line(&event, &mut printed);
    }
    assert_eq!(printed.split(|byte| *byte == b'\n').count() - 1, stored.len(), "an event is a line");
    let again = take(&printed);
    assert!(again.len() == stored.len().min(LINES_MAX), "what is printed can be taken");
    for ((stream, event), (stream_again, event_again)) in stored.iter().zip(&again) {
        assert_eq!(
            (stream, &event.event_type, &event.id),
            (stream_again, &event_again.event_type, &event_again.id)
        );
        assert_eq!(
            (event.occurred_at, event.schema_version),
            (event_again.occurred_at, event_again.schema_version)
        );
        assert_eq!(
            (event.content_type, &event.metadata_content_type),
            (event_again.content_type, &event_again.metadata_content_type)
        );
        assert_eq!(
            (on_one_line(&event.data), on_one_line(&event.metadata)),
            (on_one_line(&event_again.data), on_one_line(&event_again.metadata))
        );
    }
    store.close().expect("a whole store closes");
}

/// JSON goes out with spaces for line ends.
fn on_one_line(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }).collect()
}

/// The events of those lines that can be taken, with ids. A line that can't be is named with its place.
fn take(input: &[u8]) -> Vec<(StreamId, EventData)> {
    let mut lines = Lines::of(Box::new(std::io::Cursor::new(input.to_vec())), "lines".to_owned());
    let mut identities = Identities::default();
    let mut events = Vec::new();
    while events.len() < LINES_MAX {
        let Ok(Some(line)) = lines.next() else { break };
        let incoming = match line.parse::<Incoming>() {
            Ok(incoming) => incoming,
            Err(problem) => {
                assert!(problem.to_string().starts_with("lines, line "), "{problem}");
                continue;
            }
        };
        let Incoming { stream: Some(stream), mut event, .. } = incoming else { continue };
        if event.id.is_none() {
            event.id = Some(identities.next(&stream, &event).expect("a derived id is an id"));
        }
        events.push((stream, event));
    }
    events
}
