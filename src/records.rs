//! Records by their number: their places by the index, and that they are what the index named.

#![allow(clippy::inline_always, reason = "an event is a large value: see format/record")]

use std::{iter, sync::Arc};

use smallvec::SmallVec;

use crate::{
    committed::Committed,
    cursor::Cursor,
    error::{Error, Result},
    format::record::{self, Record},
    index::part::Direction,
    log::{fetch, view::SegmentView, window::Window},
    position::{LogOffset, Position, Version},
    selection::Source,
};

/// The number of the newest event of what is walked over.
pub(crate) fn newest_of(committed: &Committed, source: &Source) -> Result<u64> {
    match source {
        Source::Stream(stream) => Ok(committed.version(committed.key(stream.as_str()))?.get()),
        Source::All => Ok(committed.head().get()),
    }
}

/// The places of records from a number on, which is committed: one at least.
pub(crate) fn places_of(
    committed: &Committed,
    source: &Source,
    from: u64,
    direction: Direction,
    places_max: usize,
    places: &mut Vec<LogOffset>,
) -> Result<()> {
    match source {
        Source::Stream(stream) => {
            let (key, from) = (committed.key(stream.as_str()), Version::new(from));
            committed.stream_places(key, from, direction, places_max, places)?;
        }
        Source::All => committed.places(Position::new(from), direction, places_max, places)?,
    }
    if places.is_empty() {
        return Err(committed.settled().lost_event());
    }
    Ok(())
}

/// How many segments a cursor keeps that it comes to soon.
const AHEAD_SEGMENTS_MAX: usize = 4;

/// The segments that a cursor reads from, kept from one record to the next.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    here: Option<Arc<SegmentView>>,
    /// Those to which it comes soon, in its order.
    ahead: SmallVec<[Arc<SegmentView>; AHEAD_SEGMENTS_MAX]>,
}

impl Kept {
    /// The segment that has a place.
    #[inline(always)]
    pub(crate) fn here(
        &mut self,
        committed: &Committed,
        window: &mut Window,
        place: LogOffset,
    ) -> Result<&Arc<SegmentView>> {
        if self.here.as_ref().is_some_and(|same| !same.holds(place)) {
            window.clear();
            self.here = self.take_ahead(place);
        }
        match &mut self.here {
            Some(same) => Ok(same),
            none => Ok(none.insert(committed.view_of(place)?)),
        }
    }

    /// The segment that has a place, if it is among those ahead. Those before it were passed; all, if it isn't.
    fn take_ahead(&mut self, place: LogOffset) -> Option<Arc<SegmentView>> {
        let passed = self.ahead.iter().take_while(|ahead| !ahead.holds(place)).count();
        self.ahead.drain(..passed);
        if self.ahead.is_empty() { None } else { Some(self.ahead.remove(0)) }
    }

    /// Has the processor fetch a record that is read soon, of about so many bytes, where segments are mapped.
    pub(crate) fn prefetch(&mut self, committed: &Committed, place: LogOffset, record_bytes: usize) {
        let Some(here) = self.here.as_ref().filter(|here| here.is_mapped()) else { return };
        let mut known = iter::once(here).chain(&self.ahead);
        if let Some(view) = known.find(|view| view.holds(place)) {
            view.prefetch(place, record_bytes);
            return;
        }
        if self.ahead.len() == AHEAD_SEGMENTS_MAX {
            return;
        }
        // What fails here is told when the record is read.
        if let Ok(view) = committed.view_of(place) {
            view.prefetch(place, record_bytes);
            self.ahead.push(view);
        }
    }
}

/// The record at a place, checked, also that it is the one which the index named.
#[inline(always)]
pub(crate) fn checked<'a>(
    segment: &'a SegmentView,
    place: LogOffset,
    source: &Source,
    number: u64,
    window: &'a mut Window,
) -> Result<Record<'a>> {
    let record = fetch::record_at(segment, place, window)?;
    let is_it = match source {
        Source::Stream(stream) => {
            record.event.version.get() == number && record.event.stream == stream.as_str()
        }
        Source::All => record.event.position.get() == number,
    };
    if is_it {
        return Ok(record);
    }
    Err(segment.corrupt(segment.file_offset(place), "the index found another event here"))
}

/// The record at a place, which was checked before and is the last that was looked at.
pub(crate) fn checked_before<'a>(
    segment: &'a SegmentView,
    place: LogOffset,
    window: &'a mut Window,
) -> Result<Record<'a>> {
    let bytes = fetch::bytes_at(segment, place, window)?;
    record::decode_checked(bytes).map_err(|reason| segment.corrupt(segment.file_offset(place), reason))
}

/// Looks at one record by its number, which is committed.
pub(crate) fn look_at<T>(
    committed: &Committed,
    source: &Source,
    number: u64,
    look: impl FnOnce(&Record<'_>) -> T,
) -> Result<T> {
    let mut places = Vec::with_capacity(1);
    places_of(committed, source, number, Direction::Forwards, 1, &mut places)?;
    let place = places[0];
    let segment = committed.view_of(place)?;
    let mut window = Window::new(0);
    checked(&segment, place, source, number, &mut window).map(|record| look(&record))
}

/// Refuses a cursor whose event isn't there, or is another one.
pub(crate) fn check_cursor(committed: &Committed, cursor: Cursor) -> Result<()> {
    let last_position = committed.head();
    let found = if cursor.position == Position::NONE {
        Some(0)
    } else if cursor.position <= last_position {
        let checksum = |record: &Record<'_>| record.event.checksum;
        Some(look_at(committed, &Source::All, cursor.position.get(), checksum)?)
    } else {
        None
    };
    if found == Some(cursor.checksum) {
        return Ok(());
    }
    Err(Error::CursorMismatch { cursor, found, last_position })
}
