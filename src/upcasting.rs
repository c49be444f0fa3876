//! What a cursor shows of the record that it stands on: the parts that upcasters make of it, one after the other.

use std::mem;

use crate::{error::Result, event::EventRef, index::part::Direction, selection::Through, upcast_parts::Part};

/// The parts of one record, of which some may have been given.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    parts: Vec<Part>,
    given: usize,
}

/// Whether more parts of a record follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    Some,
    None,
}

impl Parts {
    /// Makes the parts of a record that are wanted, in the order of reading. Says whether there are any.
    pub(crate) fn unfold(
        &mut self,
        through: &Through,
        direction: Direction,
        stored: &EventRef<'_>,
    ) -> Result<Rest> {
        // Taken, so that a step that fails or panics leaves no part behind.
        let mut parts = mem::take(&mut self.parts);
        parts.clear();
        self.given = 0;
        through.upcasters.unfold(stored, &mut parts)?;
        parts.retain(|part| {
            let shown = through.upcasters.show(part, stored);
            through.admits(shown.event_type.as_bytes(), shown.metadata_bytes)
        });
        if direction == Direction::Backwards {
            parts.reverse();
        }
        self.parts = parts;
        Ok(self.rest())
    }

    /// Whether a part is left to give.
    pub(crate) fn rest(&self) -> Rest {
        if self.given < self.parts.len() { Rest::Some } else { Rest::None }
    }

    /// The record as its next part, and what is left behind that.
    pub(crate) fn give<'a>(
        &'a mut self,
        through: &'a Through,
        stored: &EventRef<'a>,
    ) -> (EventRef<'a>, Rest) {
        self.given += 1;
        let rest = self.rest();
        (through.upcasters.show(&self.parts[self.given - 1], stored), rest)
    }
}
