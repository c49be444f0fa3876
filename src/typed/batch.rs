//! What a run keeps of the batch it is at, and of what went wrong in it.

use std::time::Instant;

use crate::{
    cursor::Cursor,
    event::StoredEvent,
    position::Position,
    typed::run_error::{HandlerError, RunError},
};

/// What was done since the cursor was saved.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsaved {
    /// What was saved.
    pub(crate) cursor: Cursor,
    /// When something was done first that is worth saving.
    pub(crate) since: Option<Instant>,
    pub(crate) events: u64,
}

/// What was handled and isn't committed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) begun: Instant,
    pub(crate) events: u64,
    pub(crate) handled: u64,
    /// Whether an event of an ordinary stream is among them.
    pub(crate) has_ordinary: bool,
    pub(crate) first: Option<Position>,
    /// The stored event that was taken last: all its parts, as upcasting made them.
    pub(crate) last: Vec<StoredEvent>,
}

/// An event among all: where it is stored, and which it is of those that upcasting made of it, from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) position: Position,
    pub(crate) part: u64,
}

/// A stored event that couldn't be handled.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) position: Position,
    pub(crate) tries: u32,
    pub(crate) conflicts: u32,
    /// What ends the run when all before the event is done.
    pub(crate) end: Option<RunError>,
}

/// An event that failed.
pub(crate) struct Failure<'a> {
    /// Its parts that failed, as upcasting made them, the last one last.
    pub(crate) parts: &'a [StoredEvent],
    /// Which of its parts the first of these is, from 1.
    pub(crate) first_part: u64,
    /// What stands before it.
    pub(crate) before: Cursor,
    pub(crate) error: HandlerError,
    /// Whether its output came behind another's, so that it is to be made anew.
    pub(crate) is_conflict: bool,
}

/// What is to be done with an event that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// Handle it again, unless it is to be left out.
    Again,
    /// Nothing: it comes again.
    ComesAgain,
}

impl Unsaved {
    pub(crate) fn nothing(cursor: Cursor) -> Self {
        Self { cursor, since: None, events: 0 }
    }
}

impl Batch {
    pub(crate) fn new() -> Self {
        Self {
            begun: Instant::now(),
            events: 0,
            handled: 0,
            has_ordinary: false,
            first: None,
            last: Vec::new(),
        }
    }

    /// Counts an event in.
    pub(crate) fn count(&mut self, event: StoredEvent, is_handled: bool) {
        self.events += 1;
        self.handled += u64::from(is_handled);
        self.has_ordinary |= !event.stream.is_system();
        self.first.get_or_insert(event.position);
        if self.last.first().is_some_and(|last| last.position != event.position) {
            self.last.clear();
        }
        self.last.push(event);
    }
}

impl Place {
    pub(crate) const BEFORE_ALL: Self = Self { position: Position::NONE, part: 0 };
}

impl Trouble {
    pub(crate) fn at(position: Position) -> Self {
        Self { position, tries: 0, conflicts: 0, end: None }
    }
}
