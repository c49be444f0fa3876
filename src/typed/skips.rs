//! The events that a run leaves out, until they are recorded in the store.
//!
//! Those of the store's own streams are left out without a record: that would be the next such event, and fail as well.

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
    /// What is to be recorded; none if nothing is, or it is there.
    record: Option<EventData>,
}

impl Skips {
    /// Leaves an event out.
    pub(crate) fn add(&mut self, event: &StoredEvent, part: u64, error: &str, tries: u32) -> Result<()> {
        let place = Place { position: event.position, part };
        if self.has(place) {
            return Ok(());
        }
        let is_ordinary = !event.stream.is_system();
        let record = is_ordinary.then(|| skip_record(event, part, error, tries)).transpose()?;
        self.0.push(Skip { place, record });
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

    /// Whether some up to a position are to be recorded.
    pub(crate) fn has_records_to(&self, last: Position) -> bool {
        self.0.iter().any(|skip| skip.place.position <= last && skip.record.is_some())
    }

    /// Adds the records of those up to a position that aren't recorded yet.
    pub(crate) fn add_to(&self, commit: Commit, name: &str, last: Position) -> Result<Commit> {
        let stream = skipped_stream(name)?;
        let due = self.0.iter().filter(|skip| skip.place.position <= last);
        let records = due.filter_map(|skip| skip.record.clone());
        Ok(records.fold(commit, |commit, record| commit.system(&stream, ExpectedVersion::Any, record)))
    }

    /// Looks which of them were recorded before, by a run that was interrupted.
    pub(crate) fn look_up(&mut self, reader: &Reader, name: &str) -> Result<()> {
        for skip in self.0.iter_mut().filter(|skip| skip.record.is_some()) {
            if is_recorded(reader, name, skip.place.position, skip.place.part)? {
                skip.record = None;
            }
        }
        Ok(())
    }

    /// Says that those up to a position are recorded.
    pub(crate) fn are_recorded_to(&mut self, last: Position) {
        for skip in self.0.iter_mut().filter(|skip| skip.place.position <= last) {
            skip.record = None;
        }
    }

    /// Forgets those up to a position, which are done.
    pub(crate) fn forget_to(&mut self, last: Position) {
        self.0.retain(|skip| skip.place.position > last);
    }
}
