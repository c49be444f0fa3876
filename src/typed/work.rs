//! What a runner drives: a projection, or a process manager, seen alike.

use std::{error::Error, sync::Arc};

use crate::{
    cursor::Cursor,
    event::StoredEvent,
    position::Position,
    query::Query,
    reader::Reader,
    typed::{
        projection::{Projection, RollBack, SavedCursor},
        run_error::HandlerError,
    },
    writer::request::Commit,
};

/// A projection or a process manager, as the runner sees it.
pub(crate) trait Work {
    /// How many events a batch may have, whatever the runner's options say.
    const BATCH_EVENTS_MAX: u64;

    fn query(&self) -> Query<Position>;
    fn saved_cursor(&mut self) -> Result<SavedCursor, HandlerError>;
    fn begin(&mut self) -> Result<(), HandlerError>;
    fn handle(&mut self, event: &StoredEvent, reader: &Reader) -> Result<(), HandlerError>;
    /// Ends a batch. What comes back is for the runner to commit, together with the checkpoint.
    fn commit(&mut self, cursor: Cursor) -> Result<Commit, HandlerError>;
    fn roll_back(&mut self) -> Result<RollBack, HandlerError>;
    fn reset(&mut self) -> Result<(), HandlerError>;
}

/// A projection at work.
pub(crate) struct Projecting<'a, P>(pub(crate) &'a mut P);

/// What the runner hands on has the type that it had.
pub(crate) fn keep_type(error: impl Into<Box<dyn Error + Send + Sync>>) -> HandlerError {
    Arc::from(error.into())
}

impl<P: Projection> Work for Projecting<'_, P> {
    const BATCH_EVENTS_MAX: u64 = u64::MAX;

    fn query(&self) -> Query<Position> {
        self.0.query()
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, HandlerError> {
        self.0.saved_cursor().map_err(keep_type)
    }

    fn begin(&mut self) -> Result<(), HandlerError> {
        self.0.begin().map_err(keep_type)
    }

    fn handle(&mut self, event: &StoredEvent, _: &Reader) -> Result<(), HandlerError> {
        self.0.handle(event).map_err(keep_type)
    }

    fn commit(&mut self, cursor: Cursor) -> Result<Commit, HandlerError> {
        self.0.commit(cursor).map_err(keep_type)?;
        Ok(Commit::new())
    }

    fn roll_back(&mut self) -> Result<RollBack, HandlerError> {
        self.0.roll_back().map_err(keep_type)
    }

    fn reset(&mut self) -> Result<(), HandlerError> {
        self.0.reset().map_err(keep_type)
    }
}
