//! Subscriptions: a cursor over the log that sleeps at its head.
//!
//! There is one way for what is old and what is new: the subscription reads the log, and where that ends, it waits.
//! So it can't miss an event, nor see one that isn't committed, and a slow one costs nothing but its own delay:
//! nothing is kept for it.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::{
    committed::Committed,
    cursor::Cursor,
    error::Result,
    event::StoredEvent,
    events::Events,
    index::part::Direction,
    invalid::Invalid,
    listeners::{Ear, Interest},
    news::News,
    position::Position,
    selection::Selection,
};

/// What a subscription gives.
#[derive(Clone, PartialEq, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly all are events: a box would cost each of them an allocation"
)]
#[non_exhaustive]
pub enum Delivery {
    /// The next event.
    Event(StoredEvent),
    /// All events up to this position were looked at: what follows is new. It comes once, when all is delivered that
    /// was committed when the subscription first came to the log's end.
    CaughtUp(Position),
}

/// A query that goes on: the events that are there, then those that come, in the order of the log, each once.
/// Made by [`Reader::subscribe`](crate::Reader::subscribe).
///
/// As an iterator it blocks until there is something. [`next_timeout`](Self::next_timeout) waits for a while,
/// [`try_next`](Self::try_next) not at all, and [`poll_delivery`](Self::poll_delivery) calls a task; with the feature
/// `async` there is also `into_stream`. It ends when it is [cancelled](Self::canceller), behind
/// the query's last bound or limit, when the store is closed and everything is delivered, and behind an error.
/// Events of the store's own streams neither come nor wake it unless the query asks for them.
///
/// ```
/// use annals::{Delivery, EventData, EventStore, ExpectedVersion, Query, StreamId};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let order = StreamId::new("order-17")?;
/// store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
///
/// let subscription = store.subscribe(Query::all().category("order"));
/// let consumer = std::thread::spawn(move || {
///     let mut seen = Vec::new();
///     for delivery in subscription {
///         match delivery? {
///             Delivery::Event(event) => seen.push(event.event_type),
///             _ => seen.push("caught up".to_owned()),
///         }
///     }
///     Ok::<_, annals::Error>(seen)
/// });
/// store.append(&order, ExpectedVersion::StreamExists, [EventData::new("OrderPaid", "{}")])?;
/// store.close()?; // ends the subscription, behind the last event
/// let mut seen = consumer.join().expect("it doesn't panic")?;
/// seen.retain(|what| what != "caught up");
/// assert_eq!(seen, ["OrderPlaced", "OrderPaid"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a subscription delivers nothing until it is asked"]
pub struct Subscription {
    committed: Arc<Committed>,
    news: Arc<dyn News>,
    ear: Arc<Ear>,
    events: Events,
    phase: Phase,
    /// Everything up to here is within what `events` walks over.
    looked: Position,
}

/// How far a subscription has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing was read yet.
    New,
    /// It reads what was committed when it was made.
    Behind,
    /// It reads what was committed when it came to the end of that.
    LastRound,
    /// It has said that it caught up.
    Live,
    Ended,
}

impl Subscription {
    pub(crate) fn new(committed: &Arc<Committed>, news: &Arc<dyn News>, selection: Selection) -> Self {
        let ear = Arc::new(Ear::new(interest_of(&selection)));
        let looked = committed.head();
        let events = if let Err(error) = news.refresh() {
            Events::failed(committed, selection, error)
        } else if selection.direction == Direction::Backwards {
            let invalid = Invalid::new("query", "backwards", "a subscription goes forwards");
            Events::failed(committed, selection, invalid.into())
        } else {
            Events::new(committed, selection)
        };
        let (committed, news) = (Arc::clone(committed), Arc::clone(news));
        Self { committed, news, ear, events, phase: Phase::New, looked }
    }

    /// What is there to deliver; none if that has to be waited for, or if the subscription
    /// [has ended](Self::has_ended). Never blocks, but for reading the disk.
    ///
    /// # Errors
    ///
    /// [`Error::CursorMismatch`](crate::Error::CursorMismatch) if the query's cursor isn't of this log; [`Error::Corrupt`](crate::Error::Corrupt) and
    /// [`Error::Io`](crate::Error::Io) where
    /// the log can't be read; [`Error::Invalid`](crate::Error::Invalid) if the query goes backwards. The subscription has ended then: a new
    /// one from its [`cursor`](Self::cursor) goes on.
    pub fn try_next(&mut self) -> Result<Option<Delivery>> {
        if self.ear.is_cancelled() {
            self.phase = Phase::Ended;
        }
        self.step().inspect_err(|_| self.phase = Phase::Ended)
    }

    /// What comes next, waiting for it no longer than this; none if nothing came, or if the subscription
    /// [has ended](Self::has_ended).
    ///
    /// # Errors
    ///
    /// As [`try_next`](Self::try_next).
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>> {
        // A time that the clock doesn't reach is as good as none.
        self.wait(Instant::now().checked_add(timeout))
    }

    /// Waits until there is something to deliver, the subscription has ended, or the time has come.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<Option<Delivery>> {
        loop {
            let delivery = self.try_next()?;
            if delivery.is_some() || self.has_ended() || deadline.is_some_and(|end| Instant::now() >= end) {
                return Ok(delivery);
            }
            self.sleep(deadline)?;
        }
    }

    /// Sleeps until there is something to look at, it needn't be one of its events; or until it is cancelled, the store
    /// is closed, or the time has come. It may return early.
    pub(crate) fn sleep(&self, deadline: Option<Instant>) -> Result<()> {
        let (committed, ear, looked) = (&self.committed, &self.ear, self.looked);
        let is_over =
            || committed.head_for(ear.interest()) > looked || ear.is_cancelled() || committed.is_closed();
        self.news.sleep(ear.interest(), deadline, &is_over)
    }

    /// What comes next, for a task: it is called when there may be something. None: the subscription has ended.
    pub fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Delivery>>> {
        let mut is_listed = false;
        loop {
            match self.try_next() {
                Ok(Some(delivery)) => return Poll::Ready(Some(Ok(delivery))),
                Ok(None) if self.has_ended() => return Poll::Ready(None),
                // What came between the first look and the listing is seen by the second look.
                Ok(None) if is_listed => return Poll::Pending,
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            if let Err(error) = self.news.call_at_news(&self.ear, context.waker()) {
                self.phase = Phase::Ended;
                return Poll::Ready(Some(Err(error)));
            }
            is_listed = true;
        }
    }

    /// Whether nothing will come any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// What ends the subscription, from any thread.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller { ear: Arc::clone(&self.ear), news: Arc::clone(&self.news) }
    }

    /// The last event that was delivered or passed over: what to keep, to go on behind it with
    /// [`Query::after_cursor`](crate::Query::after_cursor). Events of the store's own streams that the query leaves
    /// out don't move it, so that saving it doesn't give cause to save it again.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.events.cursor()
    }

    /// The position of [`cursor`](Self::cursor).
    #[must_use]
    pub fn position(&self) -> Position {
        self.cursor().position
    }

    fn step(&mut self) -> Result<Option<Delivery>> {
        if self.phase == Phase::New {
            self.events.begin_behind()?;
            self.phase = Phase::Behind;
        }
        while self.phase != Phase::Ended {
            if let Some(event) = self.events.next() {
                return event.map(|event| Some(Delivery::Event(event)));
            }
            // Looked at before the head: what was published before the store was closed is delivered.
            let is_closed = self.committed.is_closed();
            self.news.refresh()?;
            if self.events.is_final(self.looked)? {
                self.phase = Phase::Ended;
                break;
            }
            let phase = self.phase;
            match phase {
                Phase::New | Phase::Behind => {
                    self.extend()?;
                    self.phase = Phase::LastRound;
                }
                Phase::LastRound => {
                    self.pass_over()?;
                    self.phase = Phase::Live;
                    return Ok(Some(Delivery::CaughtUp(self.looked)));
                }
                Phase::Live if self.extend()? => {}
                Phase::Live if !is_closed => {
                    self.pass_over()?;
                    break;
                }
                Phase::Live | Phase::Ended => self.phase = Phase::Ended,
            }
        }
        Ok(None)
    }

    /// Lets [`cursor`](Self::cursor) stand on the last event there is: all before it were looked at.
    fn pass_over(&mut self) -> Result<()> {
        let last = if self.events.selection().shows_system() {
            self.looked
        } else {
            self.looked.min(self.committed.head_for(Interest::Ordinary))
        };
        self.events.pass_over(last)
    }

    /// Lets the cursor walk over what was committed meanwhile. False: nothing was.
    fn extend(&mut self) -> Result<bool> {
        let head = self.committed.head();
        let is_new = head > self.looked;
        if is_new {
            self.events.extend_to_head()?;
            self.looked = head;
        }
        Ok(is_new)
    }
}

/// What can change what a query has to say.
fn interest_of(selection: &Selection) -> Interest {
    // Its end may be reached by an event that it doesn't show.
    let has_end = selection.last < u64::MAX || selection.filter.has_end();
    if selection.shows_system() || has_end { Interest::Everything } else { Interest::Ordinary }
}

impl Iterator for Subscription {
    type Item = Result<Delivery>;

    fn next(&mut self) -> Option<Self::Item> {
        self.wait(None).transpose()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.news.forget(&self.ear);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Subscription")
            .field("events", &self.events)
            .field("phase", &self.phase)
            .field("looked", &self.looked)
            .finish_non_exhaustive()
    }
}

/// Ends a subscription from any thread; clones end the same one.
#[derive(Clone, Debug)]
pub struct Canceller {
    ear: Arc<Ear>,
    news: Arc<dyn News>,
}

impl Canceller {
    /// Ends the subscription: who waits for it is woken, and nothing is delivered any more.
    pub fn cancel(&self) {
        self.ear.cancel();
        self.news.wake_sleepers();
    }
}
