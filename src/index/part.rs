//! What a part of the index answers: the events of one segment file, whether they are indexed in memory or in
//! a file.
//!
//! - A part never answers wrongly: what it can't trust is an [`IndexFault`], and the caller makes it anew.
//! - Places and numbers are appended to the caller's buffer, at most as many as it asks for; the caller goes on from
//!   the last one.

use std::{fmt, io, ops::ControlFlow, ops::Range};

use crate::{
    format::paged::PagedFault,
    index::key::StreamKey,
    position::{LogOffset, Position},
    time::Timestamp,
};

/// In which order places are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Forwards,
    Backwards,
}

/// Why a part of the index can't answer.
#[derive(Debug)]
pub(crate) enum IndexFault {
    /// What it has isn't what was written.
    Damaged(&'static str),
    /// It can't be read.
    Io(io::Error),
}

impl From<PagedFault> for IndexFault {
    fn from(fault: PagedFault) -> Self {
        match fault {
            PagedFault::Damaged(reason) => Self::Damaged(reason),
            PagedFault::Io(error) => Self::Io(error),
        }
    }
}

/// A result whose error is [`IndexFault`].
pub(crate) type IndexResult<T> = Result<T, IndexFault>;

/// A stretch of the log in one segment file, which one part indexes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// The segment's number.
    pub(crate) segment: u32,
    /// The log offset of the file's first byte.
    pub(crate) base: LogOffset,
    pub(crate) first_position: Position,
    pub(crate) events: u32,
}

/// The times of a part's first and last event; none: it has no event.
pub(crate) type Times = Option<(Timestamp, Timestamp)>;

/// A stream's events in one part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Run {
    /// How many there are; never 0.
    pub(crate) count: u32,
    /// The segment that has the stream's run before this one; 0: none has.
    pub(crate) previous: u32,
    /// How the part that gave the run finds it again. No one else looks at it.
    pub(crate) handle: u64,
}

/// A name, and how many events have it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct NameCount {
    /// The category, or the event type.
    pub name: String,
    /// How many events are in it, or of it.
    pub events: u64,
}

/// Which events of a part are wanted: numbers of its own dictionaries, ascending and each once. None: any.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PartFilter {
    pub(crate) categories: Option<Vec<u32>>,
    pub(crate) types: Option<Vec<u32>>,
}

impl PartFilter {
    /// The filter for these numbers; none if nothing can pass.
    pub(crate) fn of(categories: Option<Vec<u32>>, types: Option<Vec<u32>>) -> Option<Self> {
        let is_empty = |numbers: &Option<Vec<u32>>| numbers.as_ref().is_some_and(Vec::is_empty);
        let passes_none = is_empty(&categories) || is_empty(&types);
        (!passes_none).then_some(Self { categories, types })
    }
}

/// The events of one segment file.
pub(crate) trait IndexPart: Send + Sync + fmt::Debug {
    /// What the part covers.
    fn span(&self) -> Span;

    /// The events of a stream; none if the part has none.
    fn run(&self, key: StreamKey) -> IndexResult<Option<Run>>;

    /// Places of a run's events, from number `from` on (from 0, within the run), `places_max` at most. Backwards from
    /// beyond the run's end is from its last event.
    fn run_places(
        &self,
        run: &Run,
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()>;

    /// Places of the part's events, from ordinal `from` on (from 0: position - first position), `places_max` at most.
    /// Backwards from beyond the end is from the last event.
    fn places(
        &self,
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()>;

    /// The filter that lets events of these categories and these types pass; none given: any. None is the answer if
    /// the part has no event of them.
    fn filter(
        &self,
        categories: Option<&[String]>,
        types: Option<&[String]>,
    ) -> IndexResult<Option<PartFilter>>;

    /// Ordinals and places of the events that pass, from ordinal `from` on as in [`Self::places`], `places_max` at
    /// most.
    fn matching(
        &self,
        filter: &PartFilter,
        from: u32,
        direction: Direction,
        places_max: usize,
        found: &mut Vec<(u32, LogOffset)>,
    ) -> IndexResult<()>;

    /// The places of the events whose caller-given id has this hash, in no order. They are candidates: the
    /// record decides.
    fn id_places(&self, hash: u32, places: &mut Vec<LogOffset>) -> IndexResult<()>;

    /// All categories, in no order.
    fn categories(&self) -> IndexResult<Vec<NameCount>>;

    /// All event types, in no order.
    fn types(&self) -> IndexResult<Vec<NameCount>>;

    /// Every stream's run with the hash of its key, in no order, until the visitor has enough.
    fn each_run(&self, visit: &mut dyn FnMut(u64, &Run) -> ControlFlow<()>) -> IndexResult<()>;
}

/// Which of `count` numbered things are wanted: from number `from` on in a direction, `things_max` at most. The numbers
/// ascend; backwards they are to be taken from the end.
pub(crate) fn stretch(from: u32, direction: Direction, count: u32, things_max: usize) -> Range<u32> {
    let things_max = u32::try_from(things_max).unwrap_or(u32::MAX);
    match direction {
        Direction::Forwards => {
            let start = from.min(count);
            start..start + things_max.min(count - start)
        }
        Direction::Backwards => {
            let end = from.saturating_add(1).min(count);
            end - things_max.min(end)..end
        }
    }
}

/// A count of things in memory that a segment file bounds, as the index numbers them.
pub(crate) fn count_of(length: usize) -> u32 {
    u32::try_from(length).expect("a segment file has fewer than 2^32 bytes, and more bytes than things")
}

/// An index number as one of memory.
pub(crate) fn at(number: u32) -> usize {
    usize::try_from(number).expect("lib.rs refuses systems of less than 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_stays_within_its_bounds() {
        let check = |from, direction, count, things_max, wanted: Range<u32>| {
            assert_eq!(stretch(from, direction, count, things_max), wanted, "{from} {direction:?} {count}");
        };
        check(0, Direction::Forwards, 0, 5, 0..0);
        check(0, Direction::Backwards, 0, 5, 0..0);
        check(3, Direction::Forwards, 10, 5, 3..8);
        check(8, Direction::Forwards, 10, 5, 8..10);
        check(u32::MAX, Direction::Forwards, 10, 5, 10..10);
        check(3, Direction::Backwards, 10, 5, 0..4);
        check(8, Direction::Backwards, 10, 5, 4..9);
        check(u32::MAX, Direction::Backwards, 10, usize::MAX, 0..10);
        check(u32::MAX, Direction::Backwards, u32::MAX, usize::MAX, 0..u32::MAX);
        check(5, Direction::Forwards, 10, 0, 5..5);
        check(5, Direction::Backwards, 10, 0, 6..6);
    }
}
