//! How a run ends a batch, and saves how far it is.

use std::{sync::Arc, time::Instant};

use crate::{
    cursor::Cursor,
    position::Position,
    query::Query,
    typed::{
        batch::Unsaved,
        control::{Order, Wait},
        notes::{CursorKeeper, last_ordinary_position},
        projection::RollBack,
        run_error::{HandlerError, RunError},
        session::{Session, Step},
        settings::{self, Settings},
        work::Work,
    },
    writer::request::Commit,
};

impl<W: Work> Session<'_, W> {
    /// Ends the batch, if one was begun: everything up to the cursor is done then.
    pub(crate) fn finish(&mut self, cursor: Cursor) -> Result<Step, RunError> {
        if self.batch.is_none() {
            self.advance(cursor);
            return Ok(Step::Made);
        }
        if self.keeper == CursorKeeper::Projection {
            self.record_skips(cursor.position)?;
        }
        let Some(mut commit) = self.commit_work(cursor)? else { return Ok(Step::GivenUp) };
        let has_output = !commit.is_empty();
        let skipped = self.skips.count_to(cursor.position);
        let has_records = self.skips.has_records_to(cursor.position);
        if self.keeper == CursorKeeper::Store && (has_output || has_records) {
            let name = &self.settings.name;
            commit = self
                .settings
                .stored(self.skips.add_to(commit, name, cursor.position))?
                .checkpoint(name, cursor);
            match self.settings.appender.commit(commit) {
                // Output that was there already, by its ids, has saved nothing.
                Ok(reached) if reached.iter().any(|appended| appended.repeated) => {
                    self.write_progress(cursor)?;
                }
                Ok(_) => {}
                Err(error) if has_output && settings::is_about_output(&error) => {
                    return self.refuse_output(error);
                }
                Err(error) => {
                    if !has_output {
                        // The projection has committed it.
                        self.batch = None;
                    }
                    return Err(self.settings.store_error(error));
                }
            }
            self.unsaved = Unsaved::nothing(cursor);
        } else if self.keeper == CursorKeeper::Projection {
            self.unsaved = Unsaved::nothing(cursor);
        }
        self.end_batch(cursor, skipped)?;
        Ok(Step::Made)
    }

    /// Writes how far it is, and what was left out up to there.
    fn write_progress(&self, cursor: Cursor) -> Result<(), RunError> {
        let name = &self.settings.name;
        let skips = self.settings.stored(self.skips.add_to(Commit::new(), name, cursor.position))?;
        self.settings.write(skips.checkpoint(name, cursor))
    }

    /// Lets the projection commit; none if it can't, and the batch was given up.
    fn commit_work(&mut self, cursor: Cursor) -> Result<Option<Commit>, RunError> {
        loop {
            let error = match self.work.commit(cursor) {
                Ok(commit) => return Ok(Some(commit)),
                Err(error) => error,
            };
            // Where that can't be rolled back either, why it can't be committed is the cause.
            let roll_back = self.roll_back().map_err(|_| self.cant_commit(&error))?;
            let wait = self.after_batch_failure("commit a batch", Arc::clone(&error))?;
            if roll_back == RollBack::Undone {
                self.redeliver();
                return Ok(None);
            }
            if wait == Wait::Ordered {
                match self.control.order() {
                    Order::GoOn => {}
                    // It has the batch still, and commits it when it goes on.
                    Order::Pause => self.control.rest(self.phase.clone()),
                    // What is to be forgotten needn't be committed.
                    Order::Rebuild => {
                        self.redeliver();
                        return Ok(None);
                    }
                    Order::Stop => return Err(self.cant_commit(&error)),
                }
            }
        }
    }

    fn cant_commit(&self, error: &HandlerError) -> RunError {
        self.settings.error("commit a batch", Arc::clone(error))
    }

    fn end_batch(&mut self, cursor: Cursor, skipped: u64) -> Result<(), RunError> {
        let Some(batch) = self.batch.take() else { return Ok(()) };
        self.skips.forget_to(cursor.position);
        self.trouble.take_if(|trouble| trouble.position <= cursor.position);
        self.batch_tries = 0;
        self.done = cursor;
        self.control.tell_progress(cursor.position, batch.handled, skipped);
        if self.unsaved.cursor != cursor {
            self.unsaved.events += batch.events;
            if batch.has_ordinary {
                self.unsaved.since.get_or_insert_with(Instant::now);
            }
        }
        self.save_if_due()
    }

    /// Everything up to the cursor is done, without a batch.
    fn advance(&mut self, cursor: Cursor) {
        if cursor.position <= self.done.position {
            return;
        }
        self.done = cursor;
        self.control.tell_progress(cursor.position, 0, 0);
        // The store's own events, if they are asked for, give no cause to save: that would be the next one.
        if !self.shows_system {
            self.unsaved.since.get_or_insert_with(Instant::now);
        }
    }

    /// Records what is left out before the projection says that it is behind it, each once.
    fn record_skips(&mut self, last: Position) -> Result<(), RunError> {
        let (settings, name) = (self.settings, &self.settings.name);
        self.settings.stored(self.skips.look_up(settings.reader(), name))?;
        let records = self.settings.stored(self.skips.add_to(Commit::new(), name, last))?;
        if !records.is_empty() {
            settings.write(records)?;
            self.skips.are_recorded_to(last);
        }
        Ok(())
    }

    pub(crate) fn save_if_due(&mut self) -> Result<(), RunError> {
        let Unsaved { since, events, .. } = self.unsaved;
        let Settings { save_events_max, save_time_max, .. } = self.settings;
        match since {
            Some(since) if events >= *save_events_max || since.elapsed() >= *save_time_max => self.save(),
            _ => Ok(()),
        }
    }

    /// Whether an event of an ordinary stream was done since it saved. Where the store's own are asked for, each saving
    /// makes one: to save behind that would give cause to save again.
    fn is_worth_saving(&self) -> Result<bool, RunError> {
        if self.unsaved.since.is_some() {
            return Ok(true);
        }
        let unsaved = Query::all().after(self.unsaved.cursor.position).to(self.done.position);
        let last = last_ordinary_position(self.settings.reader(), unsaved);
        Ok(self.settings.stored(last)? != Position::NONE)
    }

    /// Saves how far it is, if it isn't saved yet. No batch is begun then.
    pub(crate) fn save(&mut self) -> Result<(), RunError> {
        if self.unsaved.cursor == self.done || !self.is_worth_saving()? {
            return Ok(());
        }
        match self.keeper {
            CursorKeeper::Store => {
                self.settings.write(Commit::new().checkpoint(&self.settings.name, self.done))?;
                self.unsaved = Unsaved::nothing(self.done);
            }
            CursorKeeper::Projection => {
                if self.begin_batch()? == Step::Made {
                    self.finish(self.done)?;
                }
            }
        }
        Ok(())
    }
}
