//! A projection at work on a thread of its own, as its program sees it.

use std::{
    fmt, mem,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    appender::Appender,
    companions::Companion,
    position::Position,
    query::Query,
    typed::{
        control::{Control, ProjectionProgress},
        notes::last_ordinary_position,
        projection::Projection,
        run_error::RunError,
    },
};

/// A projection or process manager that is at work on a thread of its own, from
/// [`Runner::start`](crate::Runner::start) on. Dropping it stops it, as [`stop`](Self::stop) does.
#[must_use = "a projection stops when this is dropped"]
pub struct RunningProjection<P> {
    name: String,
    appender: Appender,
    control: Arc<Control>,
    /// Ends with the projection, unless that has panicked.
    thread: Option<JoinHandle<Option<P>>>,
}

impl<P> RunningProjection<P> {
    pub(crate) fn new(
        name: String,
        appender: Appender,
        control: Arc<Control>,
        thread: JoinHandle<Option<P>>,
    ) -> Self {
        Self { name, appender, control, thread: Some(thread) }
    }

    /// The runner's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> ProjectionProgress {
        // Where the log can't be looked at, the runner says so itself.
        let last = last_ordinary_position(self.appender.reader(), Query::all()).unwrap_or_default();
        self.control.progress(last)
    }

    /// Why it has ended, if it failed.
    #[must_use]
    pub fn error(&self) -> Option<RunError> {
        self.control.error()
    }

    /// Lets it rest, once its batch is done and saved, and waits until it does. One that has ended stays so. One whose
    /// batch can't be committed, and that waits to try again, rests with it, and tries again when it goes on.
    pub fn pause(&self) {
        self.control.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.control.resume();
    }

    /// Waits until everything up to a position is handled and committed, such as what an append has just reached: what
    /// the projection shows then has it. False: the time is over, or it was stopped before.
    ///
    /// A position in one of the store's own streams counts as the event before it, and one that isn't there yet as
    /// itself.
    ///
    /// # Errors
    ///
    /// Why it has ended, if it failed before.
    pub fn wait_until(&self, position: Position, timeout: Duration) -> Result<bool, RunError> {
        let reader = self.appender.reader();
        let wanted = if position <= reader.last_position() {
            // Where that can't be read, the runner fails as well, and says why.
            last_ordinary_position(reader, Query::all().to(position)).unwrap_or(position)
        } else {
            position
        };
        self.control.wait_until(wanted, timeout)
    }

    /// Waits until it has ended by itself: since it failed, the store was closed, or its query has an end.
    ///
    /// # Errors
    ///
    /// Why it failed.
    pub fn wait_for_end(&self) -> Result<(), RunError> {
        self.control.wait_for_end();
        self.control.error().map_or(Ok(()), Err)
    }

    /// Stops it, once its batch is done and saved, and gives the projection back.
    ///
    /// # Errors
    ///
    /// Why it has ended, if it failed before, or failed to save; the projection is dropped then.
    /// [`RunError::NotRunning`] in a child that was forked from the program, which has no such thread.
    pub fn stop(mut self) -> Result<P, RunError> {
        if !self.appender.is_at_home() {
            return Err(self.not_running());
        }
        let projection = self.end();
        match (self.control.error(), projection) {
            (None, Some(projection)) => Ok(projection),
            (error, _) => Err(error.unwrap_or_else(|| self.not_running())),
        }
    }

    fn not_running(&self) -> RunError {
        RunError::NotRunning { name: self.name.clone() }
    }

    /// Waits for the thread's end, unless this is that thread.
    fn end(&mut self) -> Option<P> {
        if !self.appender.is_at_home() {
            // A forked child has no such thread to wait for, and one that it hasn't may hold the lock.
            mem::forget(self.thread.take());
            return None;
        }
        self.control.ask_to_end();
        let thread = self.thread.take().filter(|it| it.thread().id() != thread::current().id());
        thread.and_then(|thread| thread.join().ok().flatten())
    }
}

impl<P: Projection> RunningProjection<P> {
    /// Lets it begin anew: it forgets what it has, its checkpoint is deleted, what was skipped isn't any more, and all
    /// events come again. Returns when that is begun; [`wait_until`](Self::wait_until) says when it is there again.
    /// A paused one stays so. What is interrupted is done again by the next start.
    ///
    /// # Errors
    ///
    /// Why it has ended, if it did: one that isn't running is rebuilt by [`Runner::reset`](crate::Runner::reset).
    pub fn rebuild(&self) -> Result<(), RunError> {
        if self.control.rebuild() {
            return Ok(());
        }
        Err(self.control.error().unwrap_or_else(|| self.not_running()))
    }
}

impl<P> Drop for RunningProjection<P> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<P> fmt::Debug for RunningProjection<P> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RunningProjection").field("control", &self.control).finish_non_exhaustive()
    }
}
