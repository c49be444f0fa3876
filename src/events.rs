//! The cursor that walks over what a query asks for.
//!
//! A cursor shows what was committed when it was made. It asks the index for a few hundred places at a time
//! and reads each record from the log, checked, so it never waits for the
//! writer's disk, only for the moment in which a frame goes into the index, and its memory is bounded. Events of
//! categories and types are found by the index; where the query asks for what only records tell, it reads every
//! record within its bounds, and passes over those that aren't wanted. Times are found by halving, since they never go back along the log.
//!
//! Where the query goes through upcasters, the cursor stands on a record until all the parts are given that these make of
//! it. It counts as given behind the last one.

use std::{fmt, mem, sync::Arc};

use crate::{
    committed::{Committed, Names},
    cursor::Cursor,
    error::{Error, Result},
    event::{EventRef, StoredEvent},
    format::record::{self, Record},
    index::part::Direction,
    log::{fetch, window::Window},
    position::{LogOffset, Position},
    records::{Kept, check_cursor, checked, checked_before, look_at, newest_of, places_of},
    selection::{Admission, Fate, Selection, Source},
    time::Timestamp,
    upcasting::{Parts, Rest},
};

/// How many places a cursor takes from the index at a time.
const PLACES_MAX: usize = 512;

/// How many records ahead a cursor asks the processor for, which is what memory takes to answer.
const AHEAD_RECORDS: usize = 4;

/// How much of such a record it asks for at most, in bytes: the processor itself sees what goes on behind.
const AHEAD_RECORD_BYTES_MAX: usize = 1 << 10;

/// Records that are no further apart are fetched without asking, in bytes.
const AHEAD_NEAR_BYTES: u64 = 2 << 10;

/// How much a cursor reads ahead where nothing is mapped, in bytes.
const AHEAD_BYTES: usize = 32 << 10;

/// A cursor over events, made by [`Reader::read`](crate::Reader::read).
///
/// As an iterator it gives events that own their bytes; [`try_next`](Self::try_next) lends them, which copies
/// nothing.
pub struct Events {
    committed: Arc<Committed>,
    selection: Selection,
    admission: Admission,
    start: Start,
    /// The number of the next record: its version, or its position.
    next: u64,
    /// How many records are left to walk over.
    left: u64,
    /// How many events may still be given.
    limit_left: u64,
    /// Whether there are events behind the query's last moment.
    is_cut: bool,
    /// The next records; those before `taken` are done.
    found: Vec<Found>,
    taken: usize,
    kept: Kept,
    window: Window,
    /// What the last record took, in bytes: those that come are taken to be as long.
    record_bytes: usize,
    /// The record whose parts are being given, and these.
    standing: Option<Found>,
    parts: Parts,
    /// The last event that was given or passed over. An event that is left out only since it is the store's own
    /// doesn't count.
    passed: Cursor,
}

/// A record that the index found.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Its version, or its position.
    number: u64,
    place: LogOffset,
}

/// Where a cursor is before its first step.
enum Start {
    /// Times and the query's cursor have to be looked up, in what was committed up to this number.
    Unknown {
        newest: u64,
    },
    /// It couldn't even be made.
    Failed(Error),
    Known,
}

impl Events {
    pub(crate) fn new(committed: &Arc<Committed>, selection: Selection) -> Self {
        match newest_of(committed, &selection.source) {
            Ok(newest) => Self::starting(committed, selection, Start::Unknown { newest }),
            Err(error) => Self::failed(committed, selection, error),
        }
    }

    /// A cursor that has nothing to give but an error.
    pub(crate) fn failed(committed: &Arc<Committed>, selection: Selection, error: Error) -> Self {
        Self::starting(committed, selection, Start::Failed(error))
    }

    fn starting(committed: &Arc<Committed>, selection: Selection, start: Start) -> Self {
        Self {
            committed: Arc::clone(committed),
            start,
            next: selection.first,
            left: 0,
            limit_left: selection.limit,
            is_cut: false,
            found: Vec::new(),
            taken: 0,
            kept: Kept::default(),
            window: Window::new(AHEAD_BYTES),
            record_bytes: AHEAD_RECORD_BYTES_MAX,
            standing: None,
            parts: Parts::default(),
            passed: selection.filter.cursor.unwrap_or_default(),
            admission: selection.admission(),
            selection,
        }
    }

    /// The next event, borrowed until the next call; none at the end.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the record isn't what was written, [`Error::UnknownSchemaVersion`] and [`Error::UpcastFailed`] if
    /// upcasters can't make anything of it, and [`Error::Io`]. The cursor goes on behind the
    /// event then. [`Error::CursorMismatch`] if the query's cursor isn't of this log, and either of the others where
    /// the query's beginning can't be found; the cursor has ended then.
    pub fn try_next(&mut self) -> Result<Option<EventRef<'_>>> {
        self.begin()?;
        let Some(Found { place, number }) = self.find_shown()? else { return Ok(None) };
        let segment = self.kept.here(&self.committed, &mut self.window, place)?;
        let through = self.selection.through.as_ref().filter(|_| self.parts.rest() == Rest::Some);
        let Some(through) = through else {
            let record = checked(segment, place, &self.selection.source, number, &mut self.window)?;
            self.passed = record.event.cursor();
            self.record_bytes = record.bytes.len();
            return Ok(Some(record.event));
        };
        let record = checked_before(segment, place, &mut self.window)?;
        let (event, rest) = self.parts.give(through, &record.event);
        if rest == Rest::None {
            self.passed = event.cursor();
        }
        Ok(Some(event))
    }

    /// Goes to the next record of which something is shown: that which it stands on while parts of it are left. What
    /// upcasters leave nothing of that is wanted is passed over.
    fn find_shown(&mut self) -> Result<Option<Found>> {
        if self.parts.rest() == Rest::Some {
            return Ok(self.standing);
        }
        while let Some((found, fate)) = self.find()? {
            let Selection { source, direction, through, .. } = &self.selection;
            let Some(through) = through.as_ref().filter(|_| fate == Fate::Upcast) else {
                return Ok(Some(found));
            };
            let Found { place, number } = found;
            let segment = self.kept.here(&self.committed, &mut self.window, place)?;
            let record = checked(segment, place, source, number, &mut self.window)?;
            self.record_bytes = record.bytes.len();
            if self.parts.unfold(through, *direction, &record.event)? == Rest::Some {
                self.standing = Some(found);
                return Ok(Some(found));
            }
            self.passed = record.event.cursor();
            self.limit_left += 1;
        }
        Ok(None)
    }

    /// Goes to the next record that seems to be wanted, and checks all on the way, since what is damaged may be
    /// wanted too.
    fn find(&mut self) -> Result<Option<(Found, Fate)>> {
        while let Some(found) = self.step()? {
            if self.admission == Admission::Everything {
                return Ok(Some((found, Fate::ShownAsStored)));
            }
            let Found { place, number } = found;
            let segment = self.kept.here(&self.committed, &mut self.window, place)?;
            let found_bytes = fetch::bytes_at(segment, place, &mut self.window)?;
            if self.admission == Admission::Ordinary && !record::seems_of_system_stream(found_bytes) {
                return Ok(Some((found, Fate::ShownAsStored)));
            }
            let fate =
                record::peek(found_bytes).map_or(Fate::ShownAsStored, |seen| self.selection.judge(seen));
            if fate != Fate::PassedOver {
                return Ok(Some((found, fate)));
            }
            let record = checked(segment, place, &self.selection.source, number, &mut self.window)?;
            self.record_bytes = record.bytes.len();
            if !self.selection.leaves_out(record.event.stream) {
                self.passed = record.event.cursor();
            }
            self.limit_left += 1;
        }
        Ok(None)
    }

    /// Takes the next record's place, as if it were given.
    fn step(&mut self) -> Result<Option<Found>> {
        while self.left > 0 && self.limit_left > 0 {
            let Some(found) = self.found.get(self.taken).copied() else {
                self.look_up()?;
                self.prefetch_first();
                continue;
            };
            self.prefetch(self.taken + AHEAD_RECORDS);
            self.taken += 1;
            self.limit_left -= 1;
            self.go_behind(found.number);
            return Ok(Some(found));
        }
        Ok(None)
    }

    /// Has the processor fetch the first of the records that were found.
    fn prefetch_first(&mut self) {
        let Some(first) = self.found.first() else { return };
        // What fails here is told when the record is read.
        if self.kept.here(&self.committed, &mut self.window, first.place).is_ok() {
            (1..AHEAD_RECORDS).for_each(|number| self.prefetch(number));
        }
    }

    /// Has the processor fetch one of the next records, not the first that was found, unless none is wanted so far ahead, or
    /// the processor comes to it by itself, since it goes on from the one before.
    fn prefetch(&mut self, number: usize) {
        if (number - self.taken) as u64 >= self.limit_left {
            return;
        }
        if let Some(&[before, Found { place, .. }]) =
            self.found.get(number - 1..=number).and_then(<[_]>::as_array)
            && place.get().abs_diff(before.place.get()) > AHEAD_NEAR_BYTES
        {
            self.kept.prefetch(&self.committed, place, self.record_bytes.min(AHEAD_RECORD_BYTES_MAX));
        }
    }

    /// Everything up to this number is done.
    fn go_behind(&mut self, number: u64) {
        let (next, passed) = match self.selection.direction {
            Direction::Forwards => (number + 1, (number + 1).saturating_sub(self.next)),
            Direction::Backwards => (number.saturating_sub(1), (self.next + 1).saturating_sub(number)),
        };
        self.next = next;
        self.left -= passed.min(self.left);
    }

    /// Takes the next records from the index. Where it finds none of those that are wanted, it goes on.
    fn look_up(&mut self) -> Result<()> {
        self.found.clear();
        self.taken = 0;
        let places_max = usize::try_from(self.left).unwrap_or(PLACES_MAX).min(PLACES_MAX);
        let Selection { source, direction, filter, .. } = &self.selection;
        if matches!(source, Source::All) && filter.names_any() {
            return self.look_up_named(places_max);
        }
        let mut places = Vec::with_capacity(places_max);
        places_of(&self.committed, source, self.next, *direction, places_max, &mut places)?;
        self.found.extend(places.into_iter().zip(0..).map(|(place, count)| {
            let number = match direction {
                Direction::Forwards => self.next + count,
                Direction::Backwards => self.next - count,
            };
            Found { number, place }
        }));
        Ok(())
    }

    /// The same for events of some categories or types alone.
    fn look_up_named(&mut self, places_max: usize) -> Result<()> {
        let Selection { direction, filter, .. } = &self.selection;
        let direction = *direction;
        let last = match direction {
            Direction::Forwards => self.next.saturating_add(self.left - 1),
            Direction::Backwards => (self.next + 1).saturating_sub(self.left),
        };
        let names = Names { categories: &filter.categories, event_types: &filter.event_types };
        let mut found = Vec::new();
        let from = Position::new(self.next);
        let looked_to = self.committed.matching(&names, from, direction, places_max, &mut found)?;
        let is_within = |number: u64| match direction {
            Direction::Forwards => number <= last,
            Direction::Backwards => number >= last,
        };
        let numbered = found.into_iter().map(|(position, place)| Found { number: position.get(), place });
        self.found.extend(numbered.take_while(|found| is_within(found.number)));
        if self.found.is_empty() {
            let has_looked = match direction {
                Direction::Forwards => looked_to >= from,
                Direction::Backwards => looked_to <= from,
            };
            if !has_looked {
                return Err(self.committed.settled().lost_event());
            }
            // What was committed since isn't passed over: a subscription comes to it later.
            self.go_behind(match direction {
                Direction::Forwards => looked_to.get().min(last),
                Direction::Backwards => looked_to.get().max(last),
            });
        }
        Ok(())
    }

    /// Finds the query's beginning and end, once.
    #[inline]
    fn begin(&mut self) -> Result<()> {
        if matches!(self.start, Start::Known) { Ok(()) } else { self.find_bounds() }
    }

    fn find_bounds(&mut self) -> Result<()> {
        match mem::replace(&mut self.start, Start::Known) {
            Start::Known => Ok(()),
            Start::Failed(error) => Err(error),
            Start::Unknown { newest } => {
                if let Some(cursor) = self.selection.filter.cursor {
                    check_cursor(&self.committed, cursor)?;
                }
                self.bound(self.selection.first, newest)
            }
        }
    }

    /// Lets the cursor walk over what is wanted from a number to the newest.
    fn bound(&mut self, first: u64, newest: u64) -> Result<()> {
        let last = newest.min(self.selection.last);
        let low = self.low(first, last)?;
        let high = self.high(low, last)?;
        self.is_cut = high < last;
        self.left = (high + 1).saturating_sub(low);
        self.next = match self.selection.direction {
            Direction::Forwards => low,
            Direction::Backwards => high,
        };
        if self.left > 0 {
            // All that comes behind is late enough.
            self.selection.filter.since = None;
        }
        Ok(())
    }

    /// The first number from `low` on whose event isn't too early; the one behind `high` if all are.
    fn low(&self, low: u64, high: u64) -> Result<u64> {
        match self.selection.filter.since {
            // Nothing is there yet: what comes is looked at from `low` on.
            Some(_) if low > high => Ok(low),
            None => Ok(low),
            Some(since) => {
                let (low, high) = self.narrow(since, low, high);
                self.first_that(low, high, |record| record.event.timestamp >= since)
            }
        }
    }

    /// The last number up to `high` whose event isn't too late; the one before `low` if all are.
    fn high(&self, low: u64, high: u64) -> Result<u64> {
        let filter = &self.selection.filter;
        if !filter.has_end() || low > high {
            return Ok(high);
        }
        let is_too_late =
            |record: &Record<'_>| !filter.is_before_end(record.event.timestamp, record.event.position);
        let (low, high) = match filter.until {
            Some(until) if filter.position_max.is_none() => self.narrow(until, low, high),
            _ => (low, high),
        };
        Ok(self.first_that(low, high, is_too_late)?.saturating_sub(1))
    }

    /// Takes from a range of positions the segments whose times say that a time isn't in them. What is asked for
    /// is never cut off: the first event at the time or behind it, or the one behind the range.
    fn narrow(&self, time: Timestamp, low: u64, high: u64) -> (u64, u64) {
        if !matches!(self.selection.source, Source::All) {
            return (low, high);
        }
        let (first, later) = self.committed.settled().sealed().positions_about(time);
        let high = later.map_or(high, |later| later.get().clamp(low.min(high), high));
        (low.max(first.get()).min(high + 1), high)
    }

    /// The first number from `low` to `high` whose record passes a test, which all behind it pass too; the one
    /// behind `high` if none does.
    fn first_that(&self, low: u64, high: u64, test: impl Fn(&Record<'_>) -> bool) -> Result<u64> {
        let (mut low, mut behind) = (low, high.saturating_add(1));
        while low < behind {
            let middle = low + (behind - low) / 2;
            if look_at(&self.committed, &self.selection.source, middle, &test)? {
                behind = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    /// What is walked over.
    pub(crate) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// The last event that was given or passed over, or where the query begins.
    pub(crate) fn cursor(&self) -> Cursor {
        self.passed
    }

    /// Begins, and counts what stands before the first event as passed over. For everything, forwards.
    pub(crate) fn begin_behind(&mut self) -> Result<()> {
        self.begin()?;
        let before = self.next.saturating_sub(1);
        if matches!(self.selection.source, Source::All) && before <= self.committed.head().get() {
            self.pass_over(Position::new(before))?;
        }
        Ok(())
    }

    /// Counts everything up to a position as passed over, which is committed.
    pub(crate) fn pass_over(&mut self, position: Position) -> Result<()> {
        if position > self.passed.position {
            let selection = &self.selection;
            let cursor = |record: &Record<'_>| {
                (!selection.leaves_out(record.event.stream)).then(|| record.event.cursor())
            };
            let passed = look_at(&self.committed, &Source::All, position.get(), cursor)?;
            self.passed = passed.unwrap_or(self.passed);
        }
        Ok(())
    }

    /// Lets a cursor that goes forwards, and has come to its end, walk over what was committed since.
    pub(crate) fn extend_to_head(&mut self) -> Result<()> {
        assert!(self.left == 0 || self.limit_left == 0, "only what was walked over is extended");
        if self.is_cut {
            return Ok(());
        }
        let newest = newest_of(&self.committed, &self.selection.source)?;
        self.bound(self.next, newest)
    }

    /// Whether nothing can come any more, for a cursor that goes forwards and has come to its end, which was at
    /// this position at least.
    pub(crate) fn is_final(&self, looked: Position) -> Result<bool> {
        let filter = &self.selection.filter;
        if self.limit_left == 0 || self.is_cut || self.next > self.selection.last {
            return Ok(true);
        }
        if filter.position_max.is_some_and(|last| last <= looked) {
            return Ok(true);
        }
        if filter.until.is_none() || looked == Position::NONE {
            return Ok(false);
        }
        let is_too_late = |record: &Record<'_>| !filter.is_before_end(record.event.timestamp, Position::NONE);
        look_at(&self.committed, &Source::All, looked.get(), is_too_late)
    }

    /// The number of the last record that is within the query's bounds; 0 or the one before the first if there is
    /// none. For a cursor that goes forwards and hasn't begun.
    pub(crate) fn last_number(mut self) -> Result<u64> {
        self.begin()?;
        Ok((self.next + self.left).saturating_sub(1))
    }
}

impl Iterator for Events {
    type Item = Result<StoredEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.try_next() {
            Ok(None) => None,
            Ok(Some(event)) => Some(event.to_stored().map_err(Into::into)),
            Err(error) => Some(Err(error)),
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Events")
            .field("selection", &self.selection)
            .field("next", &self.next)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
