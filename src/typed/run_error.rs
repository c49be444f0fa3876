//! Why a runner has ended.

use std::{error, fmt, sync::Arc};

use crate::{
    error::Error,
    position::{Position, Version},
    stream::StreamId,
};

/// A program's own error, as the runner hands it on: its type is still there, by `downcast_ref`.
pub type HandlerError = Arc<dyn error::Error + Send + Sync>;

/// Why a runner has ended before it was told to. What the projection said is the source, and keeps its type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RunError {
    /// An event couldn't be handled. All before it is done and saved.
    Event {
        /// The runner's name.
        name: String,
        /// The event's place in the log.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its number in the stream.
        version: Version,
        /// What happened.
        event_type: String,
        /// How often it was tried.
        tries: u32,
        /// What the projection said; for a process manager also why the store refused its output.
        source: HandlerError,
    },
    /// The projection couldn't do something that isn't about one event.
    Projection {
        /// The runner's name.
        name: String,
        /// What it couldn't do.
        action: &'static str,
        /// What it said.
        source: HandlerError,
    },
    /// The projection has taken events that this log doesn't have: a power cut took them from the store (only in
    /// `Buffered` mode) and not from the projection, or the projection is another store's.
    CursorMismatch {
        /// The runner's name.
        name: String,
        /// What doesn't fit.
        source: Error,
    },
    /// Upcasters can't make the next event: a step failed, or the event has a schema version that they don't name. All
    /// before it is done and saved. No [`OnError`](crate::OnError) leaves it out: mend the upcasters, and start again.
    Upcasting {
        /// The runner's name.
        name: String,
        /// Which event it is, and what keeps the upcasters from it.
        source: Error,
    },
    /// The store failed.
    Store {
        /// The runner's name.
        name: String,
        /// What the store said.
        source: Error,
    },
    /// It was asked for something that only a running projection can do, and has stopped.
    NotRunning {
        /// The runner's name.
        name: String,
    },
    /// The projection panicked. What it had is gone; the store goes on.
    Panicked {
        /// The runner's name.
        name: String,
        /// The event that it was handling; none if it was at something else.
        position: Option<Position>,
        /// What it said.
        message: String,
    },
}

impl RunError {
    /// What the store said to the runner of this name.
    pub(crate) fn of_store(name: String, source: Error) -> Self {
        match source {
            Error::CursorMismatch { .. } => Self::CursorMismatch { name, source },
            Error::UpcastFailed { .. } | Error::UnknownSchemaVersion { .. } => {
                Self::Upcasting { name, source }
            }
            source => Self::Store { name, source },
        }
    }

    /// The message, and those of all that is behind it.
    #[must_use]
    pub fn with_sources(&self) -> String {
        chain(self)
    }
}

/// An error's message, and those of all that is behind it.
pub(crate) fn chain(error: &dyn error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

impl error::Error for RunError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Event { source, .. } | Self::Projection { source, .. } => Some(&**source),
            Self::CursorMismatch { source, .. }
            | Self::Upcasting { source, .. }
            | Self::Store { source, .. } => Some(source),
            Self::NotRunning { .. } | Self::Panicked { .. } => None,
        }
    }
}

impl fmt::Display for RunError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { name, position, stream, version, event_type, tries, .. } => write!(
                formatter,
                "projection {name:?} can't handle {event_type} at position {position} (version {version} of stream \
                 \"{stream}\"), tried {tries}×: mend what keeps it and start it again, or let it skip such events"
            ),
            Self::Projection { name, action, .. } => {
                write!(formatter, "projection {name:?} can't {action}: mend what keeps it and start it again")
            }
            Self::CursorMismatch { name, .. } => write!(
                formatter,
                "projection {name:?} has taken events that this log doesn't have: rebuild it (Runner::reset, and \
                 start it again)"
            ),
            Self::Upcasting { name, .. } => write!(
                formatter,
                "upcasters can't make the next event of projection {name:?}: mend the upcasters that the store is \
                 opened with, and start it again"
            ),
            Self::Store { name, .. } => {
                write!(
                    formatter,
                    "the store failed under projection {name:?}: reopen the store and start it again"
                )
            }
            Self::NotRunning { name } => {
                write!(formatter, "projection {name:?} has stopped: start it again")
            }
            Self::Panicked { name, position, message } => {
                let place = position.map(|position| format!(" at position {position}")).unwrap_or_default();
                write!(
                    formatter,
                    "projection {name:?} panicked{place} ({message}): mend it and start it again"
                )
            }
        }
    }
}
