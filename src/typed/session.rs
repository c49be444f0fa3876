//! One run of a projection or process manager: from its cursor on, batch by batch, until it is told to end.
//!
//! ```text
//!            ┌──────────── redeliver: from `done` on ◀───────────────┐
//!            ▼                                                       │ given up, and undone
//!  subscription ─▶ take ─▶ begin ─▶ handle … handle ─▶ finish ─▶ save
//!                                     │ fails            what it puts out, what was skipped, the checkpoint
//!                                     └─▶ roll back ─▶ again │ skip │ stop
//! ```
//!
//! What is done is a prefix of the log at any time. A batch ends only between stored events, also where upcasting has
//! made several of one: the subscription's cursor is behind an event only when all its parts were given. An event
//! that has failed is a batch of its own from then on, so that what stands before it isn't undone again with it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    cursor::Cursor,
    error::{Error, Result},
    event::StoredEvent,
    position::Position,
    subscription::{Delivery, Subscription},
    typed::{
        batch::{Batch, Place, Trouble, Unsaved},
        control::{Control, Order, ProjectionState, Wait},
        notes::CursorKeeper,
        on_error::Verdict,
        projection::RollBack,
        run_error::{HandlerError, RunError, chain},
        settings::{self, Settings},
        skips::Skips,
        work::Work,
    },
    writer::request::Commit,
};

/// How often output is made anew at once where another was first, before that counts as an error of the event.
const CONFLICTS_MAX: u32 = 10;

/// When a run ends by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Until {
    /// When all is done that was there when it came to the log's end.
    End,
    /// Never: it waits for what comes.
    Told,
}

/// A run.
pub(crate) struct Session<'a, W> {
    work: W,
    settings: &'a Settings,
    control: &'a Control,
    keeper: CursorKeeper,
    /// Whether it is given events of the store's own streams.
    shows_system: bool,
    subscription: Subscription,
    phase: ProjectionState,
    /// Everything up to here is handled and committed.
    done: Cursor,
    unsaved: Unsaved,
    batch: Option<Batch>,
    /// The event that was taken last.
    place: Place,
    skips: Skips,
    trouble: Option<Trouble>,
    batch_tries: u32,
}

/// What is to be done with an event that failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Next {
    /// Handle it again, unless it is to be left out.
    Again,
    /// Nothing: it comes again.
    ComesAgain,
}

/// Where a run stands behind a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// The step is made.
    Made,
    /// It was given up, and its events come again.
    GivenUp,
}

impl<'a, W: Work> Session<'a, W> {
    /// Begins a run where the last one ended.
    pub(crate) fn begin(mut work: W, settings: &'a Settings, control: &'a Control) -> Result<Self, RunError> {
        let (keeper, done) = settings.begin(&mut work)?;
        let subscription = settings.subscribe(control, &work, done);
        let shows_system = work.query().select().shows_system();
        control.tell_progress(done.position, 0, 0);
        Ok(Self {
            work,
            settings,
            control,
            keeper,
            shows_system,
            subscription,
            phase: ProjectionState::CatchingUp,
            done,
            unsaved: Unsaved::nothing(done),
            batch: None,
            place: Place::BEFORE_ALL,
            skips: Skips::default(),
            trouble: None,
            batch_tries: 0,
        })
    }

    /// Runs until the end.
    pub(crate) fn run(&mut self, until: Until) -> Result<(), RunError> {
        loop {
            if self.control.has_orders() && self.obey()? == Order::Stop {
                return Ok(());
            }
            let before = self.subscription.cursor();
            let delivery = self.subscription.try_next();
            match self.settings.stored(delivery)? {
                Some(Delivery::Event(event)) => self.take(event, before)?,
                Some(Delivery::CaughtUp(_)) => {
                    if self.catch_up()? == Step::Made && until == Until::End {
                        return self.save();
                    }
                }
                None if !self.subscription.has_ended() => {
                    if self.catch_up()? == Step::Made {
                        self.wait()?;
                    }
                }
                None if self.control.has_orders() => {}
                None => {
                    if self.finish(self.subscription.cursor())? == Step::Made {
                        return self.save();
                    }
                }
            }
        }
    }

    /// Waits until there is something to look at, or to save.
    fn wait(&self) -> Result<(), RunError> {
        let due = self.unsaved.since.and_then(|since| since.checked_add(self.settings.save_time_max));
        self.settings.stored(self.subscription.sleep(due))
    }

    /// Ends the batch where nothing more is there.
    fn catch_up(&mut self) -> Result<Step, RunError> {
        let step = self.finish(self.subscription.cursor())?;
        if step == Step::Made {
            self.phase = ProjectionState::Live;
            self.control.tell_state(ProjectionState::Live);
            self.save_if_due()?;
        }
        Ok(step)
    }

    /// Does what is ordered.
    fn obey(&mut self) -> Result<Order, RunError> {
        self.leave_batch()?;
        let order = self.control.order();
        match order {
            Order::GoOn => {}
            Order::Stop => {
                self.save()?;
                return Ok(order);
            }
            Order::Rebuild => {
                self.settings.reset(&mut self.work)?;
                self.done = Cursor::default();
                self.unsaved = Unsaved::nothing(self.done);
                (self.trouble, self.batch_tries) = (None, 0);
                self.skips = Skips::default();
                self.phase = ProjectionState::CatchingUp;
                self.control.tell_rebuilt();
            }
            Order::Pause => {
                self.save()?;
                self.control.rest();
                self.control.tell_state(self.phase.clone());
            }
        }
        self.redeliver();
        Ok(order)
    }

    /// Ends the batch where it is; a stored event of which parts are missing is given up, if it can be.
    fn leave_batch(&mut self) -> Result<(), RunError> {
        let cursor = self.subscription.cursor();
        let is_whole = self.batch.is_none() || cursor.position >= self.place.position;
        if is_whole || self.roll_back()? == RollBack::Kept {
            self.finish(cursor)?;
        }
        self.batch = None;
        Ok(())
    }

    /// What comes behind all that is done is given again.
    fn redeliver(&mut self) {
        self.batch = None;
        self.place = Place::BEFORE_ALL;
        self.subscription = self.settings.subscribe(self.control, &self.work, self.done);
    }

    /// Takes an event in, which stands behind a cursor.
    fn take(&mut self, event: StoredEvent, before: Cursor) -> Result<(), RunError> {
        let part = if event.position == self.place.position { self.place.part + 1 } else { 1 };
        let place = Place { position: event.position, part };
        let is_troubled = self.trouble.as_ref().is_some_and(|it| it.position == place.position);
        if is_troubled && part == 1 && self.finish(before)? == Step::GivenUp {
            return Ok(());
        }
        self.place = place;
        if let Some(error) = self.trouble.as_mut().filter(|_| is_troubled).and_then(|it| it.end.take()) {
            self.save()?;
            return Err(error);
        }
        if self.begin_batch()? == Step::GivenUp {
            return Ok(());
        }
        let mut is_handled = false;
        while !is_handled && !self.skips.has(place) {
            match self.work.handle(&event, self.settings.reader()) {
                Ok(()) => is_handled = true,
                Err(error) => match self.after_failure(&event, part, before, error)? {
                    Next::Again => {}
                    Next::ComesAgain => return Ok(()),
                },
            }
        }
        if let Some(batch) = &mut self.batch {
            batch.count(event, is_handled);
        }
        let cursor = self.subscription.cursor();
        if cursor.position >= place.position && (is_troubled || self.is_batch_full()) {
            self.finish(cursor)?;
        }
        Ok(())
    }

    fn is_batch_full(&self) -> bool {
        let events_max = self.settings.batch_events_max.min(W::BATCH_EVENTS_MAX);
        let time_max = self.settings.batch_time_max;
        self.batch.as_ref().is_some_and(|it| it.events >= events_max || it.begun.elapsed() >= time_max)
    }

    fn begin_batch(&mut self) -> Result<Step, RunError> {
        if self.batch.is_some() {
            return Ok(Step::Made);
        }
        match self.work.begin() {
            Ok(()) => {
                self.batch = Some(Batch::new());
                Ok(Step::Made)
            }
            Err(error) => {
                self.roll_back()?;
                self.after_batch_failure("begin a batch", error)?;
                self.redeliver();
                Ok(Step::GivenUp)
            }
        }
    }

    /// Gives up the batch in which an event has failed, from one of its parts on up to the one that was taken last.
    fn after_failure(
        &mut self,
        event: &StoredEvent,
        first_part: u64,
        before: Cursor,
        error: HandlerError,
    ) -> Result<Next, RunError> {
        let roll_back = self.roll_back()?;
        let mut trouble = match self.trouble.take() {
            Some(known) if known.position == event.position => known,
            _ => Trouble::at(event.position),
        };
        let verdict = self.verdict(&mut trouble, &error);
        let (tries, mut wait) = (trouble.tries, Wait::TimeIsOver);
        match verdict {
            Verdict::Again(delay) => wait = self.wait_to_retry(delay),
            Verdict::Skip => {
                trouble = Trouble::at(event.position);
                for part in first_part..=self.place.part {
                    self.settings.stored(self.skips.add(event, part, &chain(&*error), tries))?;
                }
            }
            Verdict::Stop => trouble.end = Some(self.settings.event_error(event, tries, error)),
        }
        let is_kept = roll_back == RollBack::Kept;
        if is_kept && wait == Wait::TimeIsOver && trouble.end.is_none() {
            self.trouble = Some(trouble);
            return Ok(Next::Again);
        }
        let first = self.batch.as_ref().and_then(|batch| batch.first);
        let has_others = first.is_some_and(|first| first < event.position);
        if is_kept {
            self.finish(before)?;
        }
        if (is_kept || !has_others)
            && let Some(error) = trouble.end
        {
            self.batch = None;
            self.save()?;
            return Err(error);
        }
        self.trouble = Some(trouble);
        self.redeliver();
        Ok(Next::ComesAgain)
    }

    fn verdict(&self, trouble: &mut Trouble, error: &HandlerError) -> Verdict {
        let is_conflict = error.downcast_ref::<Error>().is_some_and(Error::is_conflict);
        if is_conflict && trouble.conflicts < CONFLICTS_MAX {
            trouble.conflicts += 1;
            return Verdict::Again(Duration::ZERO);
        }
        trouble.tries += 1;
        self.settings.on_error.verdict(trouble.tries)
    }

    fn wait_to_retry(&mut self, delay: Duration) -> Wait {
        if delay.is_zero() {
            return if self.control.has_orders() { Wait::Ordered } else { Wait::TimeIsOver };
        }
        self.control.tell_state(ProjectionState::Retrying);
        let wait = self.control.wait(delay);
        self.control.tell_state(self.phase.clone());
        wait
    }

    fn roll_back(&mut self) -> Result<RollBack, RunError> {
        self.work.roll_back().map_err(|error| self.settings.error("roll a batch back", error))
    }

    /// Waits to do something again that isn't one event's fault; an error if that was tried often enough.
    fn after_batch_failure(&mut self, action: &'static str, error: HandlerError) -> Result<Wait, RunError> {
        self.batch_tries += 1;
        match self.settings.on_error.verdict_on_batch(self.batch_tries) {
            Verdict::Again(delay) => Ok(self.wait_to_retry(delay)),
            Verdict::Stop | Verdict::Skip => Err(self.settings.error(action, error)),
        }
    }

    /// Ends the batch, if one was begun: everything up to the cursor is done then.
    fn finish(&mut self, cursor: Cursor) -> Result<Step, RunError> {
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
        if self.keeper == CursorKeeper::Store && (has_output || skipped > 0) {
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
                Err(error) => return Err(self.settings.store_error(error)),
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
            let roll_back = self.roll_back()?;
            let wait = self.after_batch_failure("commit a batch", Arc::clone(&error))?;
            if roll_back == RollBack::Undone {
                self.redeliver();
                return Ok(None);
            }
            if wait == Wait::Ordered {
                return Err(self.settings.error("commit a batch", error));
            }
        }
    }

    /// The store doesn't take the output: its event has failed.
    fn refuse_output(&mut self, error: Error) -> Result<Step, RunError> {
        let last = self.batch.as_mut().and_then(|batch| batch.last.take());
        let Some(event) = last else { return Err(self.settings.store_error(error)) };
        self.after_failure(&event, 1, self.done, Arc::new(error))?;
        Ok(Step::GivenUp)
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

    fn save_if_due(&mut self) -> Result<(), RunError> {
        let Unsaved { since, events, .. } = self.unsaved;
        let Settings { save_events_max, save_time_max, .. } = self.settings;
        match since {
            Some(since) if events >= *save_events_max || since.elapsed() >= *save_time_max => self.save(),
            _ => Ok(()),
        }
    }

    /// Saves how far it is, if it isn't saved yet. No batch is begun then.
    fn save(&mut self) -> Result<(), RunError> {
        if self.unsaved.cursor == self.done {
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
