//! What an event breaks of what is registered about its type.

use std::fmt;

use crate::stream::StreamId;

/// An event that isn't as its type is registered. With [`Validation::Enforce`](crate::Validation::Enforce) its append is
/// refused with it, with [`Validation::Warn`](crate::Validation::Warn) it is told to who listens.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SchemaViolation {
    /// The stream of the append.
    pub stream: StreamId,
    /// Which of the events for that stream it is, from 0.
    pub index: usize,
    /// The event's type.
    pub event_type: String,
    /// The schema version that the event says.
    pub schema_version: u32,
    /// Where in the data, as a JSON pointer; empty: the event as a whole.
    pub path: String,
    /// What is wrong there. A value that is quoted is cut short.
    pub reason: String,
}

impl fmt::Display for SchemaViolation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stream, index, event_type, schema_version, path, reason } = self;
        write!(
            formatter,
            "event {event_type} (schema version {schema_version}, number {} for stream \"{stream}\") isn't as its \
             type is registered",
            index + 1
        )?;
        if !path.is_empty() {
            write!(formatter, ", at {path}")?;
        }
        write!(formatter, ": {reason}")
    }
}
