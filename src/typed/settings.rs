//! What a runner was told, and how a run begins: where the last one ended, or anew.

use std::time::Duration;

use crate::{
    appender::Appender,
    cursor::Cursor,
    error::Error,
    event::StoredEvent,
    reader::Reader,
    subscription::Subscription,
    typed::{
        control::Control,
        notes::{CursorKeeper, note_reset_begun, note_reset_done, note_started, read_notes},
        on_error::OnError,
        projection::SavedCursor,
        run_error::{HandlerError, RunError},
        work::Work,
    },
    writer::request::Commit,
};

/// What a runner was told before it began.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) appender: Appender,
    pub(crate) name: String,
    pub(crate) batch_events_max: u64,
    pub(crate) batch_time_max: Duration,
    pub(crate) save_events_max: u64,
    pub(crate) save_time_max: Duration,
    pub(crate) on_error: OnError,
}

impl Settings {
    pub(crate) fn reader(&self) -> &Reader {
        self.appender.reader()
    }

    /// Writes something that isn't a handler's.
    pub(crate) fn write(&self, commit: Commit) -> Result<(), RunError> {
        self.appender.commit(commit).map(drop).map_err(|error| self.store_error(error))
    }

    /// Who keeps the cursor, and where it is: in this log. A reset that was interrupted is done again.
    pub(crate) fn begin<W: Work>(&self, work: &mut W) -> Result<(CursorKeeper, Cursor), RunError> {
        let noted = self.stored(read_notes(self.reader(), &self.name))?;
        if noted.is_resetting {
            self.reset(work)?;
        }
        let saved = work.saved_cursor().map_err(|error| self.error("find its cursor", error))?;
        let (keeper, cursor) = match saved {
            SavedCursor::Own(cursor) => (CursorKeeper::Projection, cursor),
            SavedCursor::InStore => {
                let checkpoint = self.stored(self.reader().checkpoint(&self.name))?;
                (CursorKeeper::Store, checkpoint.map(|checkpoint| checkpoint.cursor))
            }
        };
        let cursor = cursor.unwrap_or_default();
        // Before anybody hears how far it is: a power cut may have taken what the projection has.
        self.stored(self.reader().check_cursor(cursor))?;
        if noted.keeper != Some(keeper) {
            self.write(self.stored(note_started(&self.name, keeper))?)?;
        }
        Ok((keeper, cursor))
    }

    /// Lets all begin anew. Wherever this ends, the next start does it again, unless it was done.
    pub(crate) fn reset<W: Work>(&self, work: &mut W) -> Result<(), RunError> {
        self.write(self.stored(note_reset_begun(self.reader(), &self.name))?)?;
        work.reset().map_err(|error| self.error("forget what it has", error))?;
        self.write(self.stored(note_reset_done(self.reader(), &self.name))?)
    }

    /// Asks for what comes behind a cursor.
    pub(crate) fn subscribe<W: Work>(&self, control: &Control, work: &W, done: Cursor) -> Subscription {
        let query = work.query();
        let query = if done == Cursor::default() { query } else { query.after_cursor(done) };
        control.subscribe(self.reader(), query)
    }

    /// The error of a writer that has ended, though nobody closed the store: no order ended the run.
    pub(crate) fn check_writer(&self) -> Result<(), RunError> {
        if self.appender.committed().is_closed() { self.write(Commit::new()) } else { Ok(()) }
    }

    /// What the store said, as an end of the run where it failed.
    pub(crate) fn stored<T>(&self, result: Result<T, Error>) -> Result<T, RunError> {
        result.map_err(|error| self.store_error(error))
    }

    /// What the store said, as an end of the run.
    pub(crate) fn store_error(&self, source: Error) -> RunError {
        RunError::of_store(self.name.clone(), source)
    }

    /// What the projection said, as an end of the run.
    pub(crate) fn error(&self, action: &'static str, source: HandlerError) -> RunError {
        RunError::Projection { name: self.name.clone(), action, source }
    }

    /// What the projection said of an event, as an end of the run.
    pub(crate) fn event_error(&self, event: &StoredEvent, tries: u32, source: HandlerError) -> RunError {
        RunError::Event {
            name: self.name.clone(),
            position: event.position,
            stream: event.stream.clone(),
            version: event.version,
            event_type: event.event_type.clone(),
            tries,
            source,
        }
    }
}

/// Whether the store refuses what it was given, and goes on itself.
pub(crate) fn is_about_output(error: &Error) -> bool {
    !matches!(
        error,
        Error::Io { .. }
            | Error::OutcomeUnknown { .. }
            | Error::Failed { .. }
            | Error::Closed
            | Error::Forked
            | Error::Corrupt { .. }
            | Error::CursorMismatch { .. }
    )
}
