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

use std::slice;

use crate::{
    cursor::Cursor,
    event::StoredEvent,
    position::Position,
    subscription::{Delivery, Subscription},
    typed::{
        batch::{Batch, Failure, Next, Place, Trouble, Unsaved},
        control::{Control, Order, ProjectionState},
        notes::CursorKeeper,
        projection::RollBack,
        run_error::RunError,
        settings::Settings,
        skips::Skips,
        work::Work,
    },
};

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
    pub(crate) work: W,
    pub(crate) settings: &'a Settings,
    pub(crate) control: &'a Control,
    pub(crate) keeper: CursorKeeper,
    /// Whether it is given events of the store's own streams.
    pub(crate) shows_system: bool,
    pub(crate) subscription: Subscription,
    pub(crate) phase: ProjectionState,
    /// Everything up to here is handled and committed.
    pub(crate) done: Cursor,
    pub(crate) unsaved: Unsaved,
    pub(crate) batch: Option<Batch>,
    /// The event that was taken last.
    pub(crate) place: Place,
    pub(crate) skips: Skips,
    pub(crate) trouble: Option<Trouble>,
    pub(crate) batch_tries: u32,
}

/// Where a run stands behind a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
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

    /// Runs until the end. Where that is an error, no batch is left open.
    pub(crate) fn run(&mut self, until: Until) -> Result<(), RunError> {
        self.run_on(until).inspect_err(|_| self.drop_batch())
    }

    fn run_on(&mut self, until: Until) -> Result<(), RunError> {
        loop {
            if self.control.has_orders() && self.obey()? == Order::Stop {
                return Ok(());
            }
            let before = self.subscription.cursor();
            let delivery = match self.subscription.try_next() {
                Ok(delivery) => delivery,
                Err(error) => {
                    self.end_before_unreadable(error)?;
                    continue;
                }
            };
            match delivery {
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
                // An order has ended it; also one that was called off meanwhile.
                None if self.control.has_orders() => {}
                None => {
                    if self.finish(self.subscription.cursor())? == Step::Made {
                        self.save()?;
                        return self.settings.check_writer();
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
                // What it has is forgotten from here on, whether or not all of it can be.
                self.control.tell_progress(Position::NONE, 0, 0);
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
                self.control.rest(self.phase.clone());
            }
        }
        self.redeliver();
        Ok(order)
    }

    /// Ends the batch where it is; a stored event of which parts are missing is given up, if it can be.
    fn leave_batch(&mut self) -> Result<(), RunError> {
        let cursor = self.subscription.cursor();
        let is_whole = self.batch.is_none() || cursor.position >= self.place.position;
        let is_left = is_whole || {
            let roll_back = self.roll_back();
            roll_back.map_err(|error| self.settings.error("roll a batch back", error))? == RollBack::Kept
        };
        if is_left {
            self.finish(cursor)?;
        }
        self.batch = None;
        Ok(())
    }

    /// What comes behind all that is done is given again.
    pub(crate) fn redeliver(&mut self) {
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
            return Err(self.end_saved(error));
        }
        if self.begin_batch()? == Step::GivenUp {
            return Ok(());
        }
        let mut is_handled = false;
        while !is_handled && !self.skips.has(place) {
            let handled = self
                .control
                .while_handling(place.position, || self.work.handle(&event, self.settings.reader()));
            match handled {
                Ok(()) => is_handled = true,
                Err(error) => {
                    let failure = Failure {
                        parts: slice::from_ref(&event),
                        first_part: part,
                        before,
                        error,
                        is_conflict: false,
                    };
                    match self.after_failure(failure)? {
                        Next::Again => {}
                        Next::ComesAgain => return Ok(()),
                    }
                }
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

    pub(crate) fn begin_batch(&mut self) -> Result<Step, RunError> {
        if self.batch.is_some() {
            return Ok(Step::Made);
        }
        match self.work.begin() {
            Ok(()) => {
                self.batch = Some(Batch::new());
                Ok(Step::Made)
            }
            Err(error) => {
                // Nothing was begun, so that there is nothing to roll back.
                self.after_batch_failure("begin a batch", error)?;
                self.redeliver();
                Ok(Step::GivenUp)
            }
        }
    }
}
