//! Projections: what a program makes of the events, to read it in another way than by stream.
//!
//! A projection is made of committed events, behind the append and never within it. What it may cost, and whether it
//! fails, is nothing to those who append.

use crate::{cursor::Cursor, event::StoredEvent, position::Position, query::Query};

/// What is made of events: a read model, a report, mails. A [`Runner`](crate::Runner) gives it each event that it asks
/// for, in the order of the log, what is there and then what comes.
///
/// There are three ways to be exact, though a program may end at any moment:
///
/// 1. State and cursor in one transaction of your database. [`begin`](Self::begin) begins it,
///    [`commit`](Self::commit) writes the cursor into it and commits, [`roll_back`](Self::roll_back) undoes it, and
///    [`saved_cursor`](Self::saved_cursor) gives the cursor back. Each event counts once.
/// 2. Output events and checkpoint in one commit of the store: a [`ProcessManager`](crate::ProcessManager).
/// 3. A checkpoint in the store: `SavedCursor::InStore`. It is saved behind the state, so that after a crash the events since
///    the last saving come again: [`handle`](Self::handle) has to be idempotent, as "set the
///    price to 5" is, and "add 5" isn't. The state has to outlive the program, as the checkpoint does. In
///    [`Durability::Buffered`](crate::Durability::Buffered) mode a power cut may take events from the log whose traces stay in the state: the
///    checkpoint goes with them, so that nobody notices.
///
/// A model in memory is gone when the program ends, and a checkpoint in the store isn't: it would go on in an empty model.
/// Let [`saved_cursor`](Self::saved_cursor) say `SavedCursor::Own(None)` there, so that each start begins with the first event.
///
/// ```
/// use std::{collections::BTreeMap, convert::Infallible};
///
/// use annals::{EventData, EventStore, ExpectedVersion, Projection, SavedCursor, StoredEvent, StreamId, project};
///
/// #[derive(Default)]
/// struct EventsByType(BTreeMap<String, u64>);
///
/// impl Projection for EventsByType {
///     type Error = Infallible;
///
///     // It is in memory: each start begins with the first event.
///     fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
///         Ok(SavedCursor::Own(None))
///     }
///
///     fn handle(&mut self, event: &StoredEvent) -> Result<(), Infallible> {
///         *self.0.entry(event.event_type.clone()).or_default() += 1;
///         Ok(())
///     }
///
///     fn reset(&mut self) -> Result<(), Infallible> {
///         self.0.clear();
///         Ok(())
///     }
/// }
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(path)?;
/// let order = StreamId::new("order-17")?;
/// store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
/// let counted = project(&store, EventsByType::default())?;
/// assert_eq!(counted.0["OrderPlaced"], 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Projection: Send {
    /// What keeps it from going on: an error of its own, or a box of any.
    type Error: Into<Box<dyn std::error::Error + Send + Sync>>;

    /// Which events it is given: all, unless said otherwise. Where it begins is for its cursor to say.
    ///
    /// Who changes this has to [rebuild](crate::RunningProjection::rebuild): what is behind the cursor isn't looked at again. A limit
    /// counts anew at each start.
    fn query(&self) -> Query<Position> {
        Query::all()
    }

    /// Takes an event in.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from that. What comes then is for [`OnError`](crate::OnError) to say. Where
    /// [`roll_back`](Self::roll_back) undoes nothing, an event that fails must have changed nothing.
    fn handle(&mut self, event: &StoredEvent) -> Result<(), Self::Error>;

    /// Begins a batch: a transaction, where there are such things.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from that. It is tried again as [`OnError::Retry`](crate::OnError::Retry) says, and else ends
    /// the runner.
    fn begin(&mut self) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Ends a batch: what was handled since [`begin`](Self::begin) is kept. Who keeps the cursor itself writes this
    /// one, in the same transaction; a batch may have no event, and only another cursor.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin).
    fn commit(&mut self, cursor: Cursor) -> Result<(), Self::Error> {
        let _ = cursor;
        Ok(())
    }

    /// Gives a batch up that was begun, and says what became of what was handled in it: behind an error of
    /// [`handle`](Self::handle) or [`commit`](Self::commit), or where the runner ends by another.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from that, which ends the runner; the error behind which it was asked for is the one that is told.
    fn roll_back(&mut self) -> Result<RollBack, Self::Error> {
        Ok(RollBack::Kept)
    }

    /// Who keeps the cursor, and where it is. Asked once, at the start. It has to be said, since the cursor has to be kept as the
    /// state is: where the state is in memory, `SavedCursor::Own(None)`; where it outlives the program, `SavedCursor::InStore`, or
    /// `Own` with the cursor that was written with the state.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from looking, which ends the runner.
    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error>;

    /// Forgets all that was made of events, and the cursor, if it is kept here: the next event is the first. May be
    /// asked for twice.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from that, which ends the runner. The next start asks for it again.
    fn reset(&mut self) -> Result<(), Self::Error>;
}

/// Who keeps how far a projection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SavedCursor {
    /// The store does, as a checkpoint of the runner's name. It is saved behind the state, now and then. Not for what is
    /// only in memory.
    InStore,
    /// The projection does, in the transaction of its state; this is the last one, none before the first. The runner saves nothing then.
    /// None at each start is for a model in memory, which begins with the first event each time.
    Own(Option<Cursor>),
}

/// What became of the events that were handled in a batch which was given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RollBack {
    /// They count: the event that failed is all that is handled again.
    Kept,
    /// They don't, as if they had never come: they come again.
    Undone,
}
