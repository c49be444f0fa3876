//! The events that a run leaves out, until they are recorded in the store.

use crate::{
    error::Result,
    event::{EventData, StoredEvent},
    position::{ExpectedVersion, Position},
    reader::Reader,
    typed::{
        batch::Place,
        notes::{is_recorded, skip_record, skipped_stream},
    },
    writer::request::Commit,
};

/// Events that are left out, and aren't done.
#[derive(Default, Debug)]
pub(crate) struct Skips(Vec<Skip>);

#[derive(Debug)]
struct Skip {
    place: Place,
    record: EventData,
    is_recorded: bool,
}

impl Skips {
    /// Leaves an event out.
    pub(crate) fn add(&mut self, event: &StoredEvent, part: u64, error: &str, tries: u32) -> Result<()> {
        let place = Place { position: event.position, part };
        let record = skip_record(event, part, error, tries)?;
        if !self.has(place) {
            self.0.push(Skip { place, record, is_recorded: false });
        }
        Ok(())
    }

    /// Whether an event is left out.
    pub(crate) fn has(&self, place: Place) -> bool {
        self.0.iter().any(|skip| skip.place == place)
    }

    /// How many are left out up to a position.
    pub(crate) fn count_to(&self, last: Position) -> u64 {
        let count = self.0.iter().filter(|skip| skip.place.position <= last).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Adds the records of those up to a position that aren't recorded yet.
    pub(crate) fn add_to(&self, commit: Commit, name: &str, last: Position) -> Result<Commit> {
        let stream = skipped_stream(name)?;
        let due = self.0.iter().filter(|skip| skip.place.position <= last && !skip.is_recorded);
        Ok(due.fold(commit, |commit, skip| commit.system(&stream, ExpectedVersion::Any, skip.record.clone())))
    }

    /// Looks which of them were recorded before, by a run that was interrupted.
    pub(crate) fn look_up(&mut self, reader: &Reader, name: &str) -> Result<()> {
        for skip in self.0.iter_mut().filter(|skip| !skip.is_recorded) {
            skip.is_recorded = is_recorded(reader, name, skip.place.position, skip.place.part)?;
        }
        Ok(())
    }

    /// Says that those up to a position are recorded.
    pub(crate) fn are_recorded_to(&mut self, last: Position) {
        for skip in self.0.iter_mut().filter(|skip| skip.place.position <= last) {
            skip.is_recorded = true;
        }
    }

    /// Forgets those up to a position, which are done.
    pub(crate) fn forget_to(&mut self, last: Position) {
        self.0.retain(|skip| skip.place.position > last);
    }
}
