//! Which events are gone: their positions, and their streams and versions as far as those are known.

use std::collections::HashMap;

use crate::{
    inspect::report::{LISTED_MAX, Listed, LostVersions, PositionRange},
    position::{Position, Version},
    stream::StreamId,
};

/// Where a stream's name can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NameHint {
    /// In the record at an offset in a segment's file.
    Record { segment: u64, file_offset: u64 },
    /// In any event of the stream that the index of a segment has.
    Segment(u64),
}

/// A stream that is to be named.
#[derive(Clone, Default, Debug)]
pub(crate) struct Unnamed {
    pub(crate) name: Option<StreamId>,
    pub(crate) hints: Vec<NameHint>,
}

/// What was lost so far.
#[derive(Debug)]
pub(crate) struct Losses {
    positions: Listed<PositionRange>,
    /// None: somewhere nobody knows how many.
    events: Option<u64>,
    versions: Listed<LostVersions>,
    streams: HashMap<u64, Unnamed>,
}

impl Losses {
    pub(crate) fn new() -> Self {
        Self {
            positions: Listed::default(),
            events: Some(0),
            versions: Listed::default(),
            streams: HashMap::new(),
        }
    }

    /// Whether anything was lost.
    pub(crate) fn is_empty(&self) -> bool {
        self.events == Some(0)
    }

    /// How many events are lost; none: nobody knows.
    pub(crate) fn count(&self) -> Option<u64> {
        self.events
    }

    /// The events from one position up to another, excluded, are lost; none: nobody knows up to where.
    pub(crate) fn lose(&mut self, first: Position, beyond: Option<Position>) {
        if beyond.is_some_and(|beyond| beyond <= first) {
            return;
        }
        let last = beyond.map(Position::previous);
        let count = PositionRange::new(first, last).count();
        self.events = self.events.zip(count).map(|(events, count)| events + count);
        let is_full = self.positions.total() > LISTED_MAX as u64;
        match self.positions.items_mut().next_back() {
            Some(range) if !is_full && range.last.map(Position::next) == Some(first) => range.last = last,
            _ => self.positions.push(PositionRange::new(first, last)),
        }
    }

    /// Versions of a stream are lost.
    pub(crate) fn lose_versions(&mut self, hash: u64, first: Version, last: Version) {
        if last < first {
            return;
        }
        let is_full = self.versions.total() > LISTED_MAX as u64;
        match self.versions.items_mut().next_back() {
            Some(range) if !is_full && range.stream_hash == hash && range.last.next() == first => {
                range.last = last;
                return;
            }
            _ => self.versions.push(LostVersions { stream: None, stream_hash: hash, first, last }),
        }
        if self.streams.len() < LISTED_MAX {
            self.streams.entry(hash).or_default();
        }
    }

    /// Whether a stream is to be named.
    pub(crate) fn wants_name(&self, hash: u64) -> bool {
        !self.streams.is_empty() && self.streams.get(&hash).is_some_and(|stream| stream.name.is_none())
    }

    /// Names a stream that has lost something.
    pub(crate) fn name(&mut self, hash: u64, name: &str) {
        if let Some(stream) = self.streams.get_mut(&hash) {
            stream.name = stream.name.take().or_else(|| StreamId::new(name).ok());
        }
    }

    /// Says where the name of a stream can be read that has lost something.
    pub(crate) fn hint(&mut self, hash: u64, hint: NameHint) {
        if let Some(stream) = self.streams.get_mut(&hash) {
            stream.hints.push(hint);
        }
    }

    /// The streams that are to be named yet, with where their names can be read.
    pub(crate) fn unnamed(&self) -> Vec<(u64, Vec<NameHint>)> {
        let unnamed = self.streams.iter().filter(|(_, stream)| stream.name.is_none());
        unnamed.map(|(hash, stream)| (*hash, stream.hints.clone())).collect()
    }

    /// All that was lost: how many events, their positions, their versions by stream.
    pub(crate) fn finish(mut self) -> (Option<u64>, Listed<PositionRange>, Listed<LostVersions>) {
        for range in self.versions.items_mut() {
            range.stream = self.streams.get(&range.stream_hash).and_then(|stream| stream.name.clone());
        }
        self.versions.sort_by(|one, other| {
            (&one.stream, one.stream_hash, one.first).cmp(&(&other.stream, other.stream_hash, other.first))
        });
        (self.events, self.positions, self.versions)
    }
}

/// What lies between the positions that are lost, up to the last one there is.
pub(crate) fn intact_between(lost: &Listed<PositionRange>, last: Position) -> Listed<PositionRange> {
    let mut intact = Listed::default();
    let mut first = Position::FIRST;
    for range in lost {
        if first < range.first {
            intact.push(PositionRange::new(first, Some(range.first.previous())));
        }
        let Some(end) = range.last else { return intact };
        first = end.next();
    }
    // Beyond what the list names, nothing is said.
    if first <= last && lost.unnamed() == 0 {
        intact.push(PositionRange::new(first, Some(last)));
    }
    intact
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> PositionRange {
        PositionRange::new(Position::new(first), Some(Position::new(last)))
    }

    #[test]
    fn neighbours_are_one_range_and_what_lies_between_is_intact() {
        let mut losses = Losses::new();
        for (first, beyond) in [(3, 5), (5, 6), (6, 6), (9, 10)] {
            losses.lose(Position::new(first), Some(Position::new(beyond)));
        }
        let (events, positions, _) = losses.finish();
        assert_eq!((events, &*positions), (Some(4), &[range(3, 5), range(9, 9)][..]));
        let intact = intact_between(&positions, Position::new(12));
        assert_eq!(&*intact, &[range(1, 2), range(6, 8), range(10, 12)]);
    }

    #[test]
    fn an_end_that_isnt_known_is_said() {
        let mut losses = Losses::new();
        losses.lose(Position::new(3), None);
        let (events, positions, _) = losses.finish();
        assert_eq!((events, positions[0].to_string()), (None, "3 to an end that isn't known".to_owned()));
        assert_eq!(&*intact_between(&positions, Position::new(9)), &[range(1, 2)]);
    }

    #[test]
    fn lists_are_bounded_and_go_on_counting() {
        let mut losses = Losses::new();
        for number in 0..2 * LISTED_MAX as u64 {
            losses.lose(Position::new(2 * number + 1), Some(Position::new(2 * number + 2)));
            losses.lose_versions(number, Version::FIRST, Version::FIRST);
        }
        let (events, positions, versions) = losses.finish();
        assert_eq!(events, Some(2 * LISTED_MAX as u64));
        assert_eq!((positions.len(), positions.total()), (LISTED_MAX, 2 * LISTED_MAX as u64));
        assert_eq!((versions.len(), versions.unnamed()), (LISTED_MAX, LISTED_MAX as u64));
    }
}
