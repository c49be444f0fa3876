//! Which events are gone: their positions, and their streams and versions as far as those are known.

use std::collections::HashMap;

use crate::{
    event_id::EventId,
    inspect::{
        report::{LISTED_MAX, Listed, LostId, LostVersions, PositionRange, Verification},
        stream_table::StreamTable,
    },
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
struct Unnamed {
    name: Option<StreamId>,
    hint: Option<NameHint>,
}

/// A place in the log, and what the streams are there.
#[derive(Debug)]
pub(crate) struct Place {
    /// The position of the first event behind it.
    pub(crate) first_behind: Position,
    pub(crate) streams: StreamTable,
}

/// What was lost so far.
#[derive(Debug)]
pub(crate) struct Losses {
    /// What is before this place isn't told, nor counted; none: all is.
    place: Option<Place>,
    /// Whether anything was lost, before that place too.
    is_empty: bool,
    positions: Listed<PositionRange>,
    /// What lies between them.
    intact: Listed<PositionRange>,
    /// The position behind the last one that is lost; none: nobody knows where that is.
    behind: Option<Position>,
    /// None: somewhere nobody knows how many.
    events: Option<u64>,
    versions: Listed<LostVersions>,
    ids: Listed<LostId>,
    /// The last position whose id was noted.
    last_with_id: Position,
    /// The stream, and the version behind the last one that is lost, of those that were noted last.
    behind_version: Option<(u64, Version)>,
    streams: HashMap<u64, Unnamed>,
}

impl Losses {
    pub(crate) fn new() -> Self {
        Self {
            place: None,
            is_empty: true,
            positions: Listed::default(),
            intact: Listed::default(),
            behind: Some(Position::FIRST),
            events: Some(0),
            versions: Listed::default(),
            ids: Listed::default(),
            last_with_id: Position::NONE,
            behind_version: None,
            streams: HashMap::new(),
        }
    }

    /// Tells and counts only what is lost behind a place, however much is lost before it: no list's bound is spent on that.
    pub(crate) fn behind(place: Place) -> Self {
        Self { behind: Some(place.first_behind), place: Some(place), ..Self::new() }
    }

    /// Whether nothing was lost, before what is told neither.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The first position that is told of.
    fn first_told(&self) -> Position {
        self.place.as_ref().map_or(Position::FIRST, |place| place.first_behind)
    }

    /// The first version of a stream that is told of.
    fn first_version_told(&self, hash: u64) -> Version {
        let before = self.place.as_ref().and_then(|place| place.streams.get(hash));
        before.map_or(Version::FIRST, |stream| stream.version.next())
    }

    /// How many events are lost; none: nobody knows.
    pub(crate) fn count(&self) -> Option<u64> {
        self.events
    }

    /// The events from one position up to another, excluded, are lost; none: nobody knows up to where. They come in order.
    pub(crate) fn lose(&mut self, first: Position, beyond: Option<Position>) {
        if beyond.is_some_and(|beyond| beyond <= first) {
            return;
        }
        self.is_empty = false;
        let first = first.max(self.first_told());
        if beyond.is_some_and(|beyond| beyond <= first) {
            return;
        }
        let last = beyond.map(Position::previous);
        let range = PositionRange::new(first, last);
        self.events = self.events.zip(range.count()).map(|(events, count)| events + count);
        let goes_on = self.behind == Some(first) && !self.positions.is_empty();
        if !goes_on {
            self.keep_until(first);
            self.positions.push(range);
        } else if let Some(range) = self.positions.last_mut() {
            range.last = last;
        }
        self.behind = beyond;
    }

    /// The events behind those that are lost are intact, up to a position, excluded.
    fn keep_until(&mut self, first: Position) {
        if let Some(behind) = self.behind.filter(|behind| *behind < first) {
            self.intact.push(PositionRange::new(behind, Some(first.previous())));
        }
    }

    /// Versions of a stream are lost.
    pub(crate) fn lose_versions(&mut self, hash: u64, first: Version, last: Version) {
        let first = first.max(self.first_version_told(hash));
        if last < first {
            return;
        }
        let goes_on = self.behind_version == Some((hash, first));
        self.behind_version = Some((hash, last.next()));
        if goes_on {
            if let Some(range) = self.versions.last_mut() {
                range.last = last;
            }
            return;
        }
        self.versions.push(LostVersions { stream: None, stream_hash: hash, first, last });
        if self.streams.len() < LISTED_MAX {
            self.streams.entry(hash).or_default();
        }
    }

    /// An event that is lost seems to have an id. They come in order; what comes again isn't taken.
    pub(crate) fn note_id(&mut self, position: Position, seeming_id: EventId) {
        if position > self.last_with_id && position >= self.first_told() {
            self.last_with_id = position;
            self.ids.push(LostId { position, seeming_id });
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

    /// Says where the name of a stream can be read that has lost something. The latest word counts, but a record that was
    /// read is a better one than an index.
    pub(crate) fn hint(&mut self, hash: u64, hint: NameHint) {
        let Some(stream) = self.streams.get_mut(&hash).filter(|stream| stream.name.is_none()) else { return };
        if !matches!((stream.hint, hint), (Some(NameHint::Record { .. }), NameHint::Segment(_))) {
            stream.hint = Some(hint);
        }
    }

    /// The streams that are to be named yet, with where their names can be read.
    pub(crate) fn unnamed(&self) -> Vec<(u64, NameHint)> {
        let unnamed = self.streams.iter().filter(|(_, stream)| stream.name.is_none());
        unnamed.filter_map(|(hash, stream)| Some((*hash, stream.hint?))).collect()
    }

    /// Says all that was lost, and what is left, up to the last event that was found.
    pub(crate) fn finish(mut self, found: &mut Verification) {
        self.keep_until(found.last_position.next());
        for range in self.versions.items_mut() {
            range.stream = self.streams.get(&range.stream_hash).and_then(|stream| stream.name.clone());
        }
        self.versions.sort_by(|one, other| {
            (&one.stream, one.stream_hash, one.first).cmp(&(&other.stream, other.stream_hash, other.first))
        });
        (found.events_lost, found.lost, found.intact) = (self.events, self.positions, self.intact);
        (found.lost_versions, found.lost_ids) = (self.versions, self.ids);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u64, last: u64) -> PositionRange {
        PositionRange::new(Position::new(first), Some(Position::new(last)))
    }

    fn finished(losses: Losses, last: u64) -> Verification {
        let mut found = Verification { last_position: Position::new(last), ..Verification::default() };
        losses.finish(&mut found);
        found
    }

    #[test]
    fn neighbours_are_one_range_and_what_lies_between_is_intact() {
        let mut losses = Losses::new();
        for (first, beyond) in [(3, 5), (5, 6), (6, 6), (9, 10)] {
            losses.lose(Position::new(first), Some(Position::new(beyond)));
        }
        let found = finished(losses, 12);
        assert_eq!((found.events_lost, &*found.lost), (Some(4), &[range(3, 5), range(9, 9)][..]));
        assert_eq!(&*found.intact, &[range(1, 2), range(6, 8), range(10, 12)]);
    }

    #[test]
    fn what_is_lost_from_the_first_event_on_has_nothing_intact_before_it() {
        let mut losses = Losses::new();
        losses.lose(Position::FIRST, Some(Position::new(3)));
        let found = finished(losses, 4);
        assert_eq!((&*found.lost, &*found.intact), (&[range(1, 2)][..], &[range(3, 4)][..]));
    }

    #[test]
    fn behind_a_place_all_is_told_and_before_it_nothing() {
        let mut streams = StreamTable::new();
        streams.set_unseen(1, Version::new(4), 1);
        let mut losses = Losses::behind(Place { first_behind: Position::new(7), streams });
        assert!(losses.is_empty());
        let id = EventId::new("event-1").expect("a valid id");
        for (first, beyond) in [(2, 3), (5, 9), (12, 13)] {
            losses.lose(Position::new(first), Some(Position::new(beyond)));
            losses.note_id(Position::new(first), id.clone());
            assert!(!losses.is_empty());
        }
        for (hash, first, last) in [(1, 2, 3), (1, 4, 6), (2, 1, 1)] {
            losses.lose_versions(hash, Version::new(first), Version::new(last));
        }
        let found = finished(losses, 14);
        assert_eq!((found.events_lost, &*found.lost), (Some(3), &[range(7, 8), range(12, 12)][..]));
        assert_eq!(&*found.intact, &[range(9, 11), range(13, 14)]);
        assert_eq!(found.lost_ids.iter().map(|lost| lost.position.get()).collect::<Vec<_>>(), [12]);
        let versions =
            found.lost_versions.iter().map(|lost| (lost.stream_hash, lost.first.get(), lost.last.get()));
        assert_eq!(versions.collect::<Vec<_>>(), [(1, 5, 6), (2, 1, 1)]);
    }

    #[test]
    fn an_end_that_isnt_known_is_said() {
        let mut losses = Losses::new();
        losses.lose(Position::new(3), None);
        let found = finished(losses, 2);
        let text = found.lost[0].to_string();
        assert_eq!((found.events_lost, text), (None, "3 to an end that isn't known".to_owned()));
        assert_eq!(&*found.intact, &[range(1, 2)]);
    }

    #[test]
    fn lists_are_bounded_and_go_on_counting_what_belongs_together_once() {
        let mut losses = Losses::new();
        for number in 0..2 * LISTED_MAX as u64 {
            let first = 3 * number + 2;
            losses.lose(Position::new(first), Some(Position::new(first + 1)));
            losses.lose(Position::new(first + 1), Some(Position::new(first + 2)));
            losses.lose_versions(number, Version::FIRST, Version::FIRST);
            losses.lose_versions(number, Version::new(2), Version::new(2));
        }
        let (count, total) = (LISTED_MAX, 2 * LISTED_MAX as u64);
        let found = finished(losses, 3 * total + 1);
        assert_eq!(found.events_lost, Some(2 * total));
        assert_eq!((found.lost.len(), found.lost.total()), (count, total));
        assert_eq!((found.intact.len(), found.intact.total()), (count, total + 1));
        assert_eq!((found.lost_versions.len(), found.lost_versions.unnamed()), (count, LISTED_MAX as u64));
        assert_eq!(found.lost[count - 1], range(3 * count as u64 - 1, 3 * count as u64));
    }

    #[test]
    fn a_stream_is_looked_for_in_one_place_at_most() {
        let mut losses = Losses::new();
        let record = NameHint::Record { segment: 3, file_offset: 64 };
        losses.lose_versions(1, Version::FIRST, Version::FIRST);
        losses.lose_versions(2, Version::FIRST, Version::FIRST);
        for segment in 1..1_000 {
            losses.hint(1, NameHint::Segment(segment));
            losses.hint(2, NameHint::Segment(segment));
            losses.hint(9, NameHint::Segment(segment));
        }
        losses.hint(1, record);
        losses.hint(1, NameHint::Segment(7));
        let mut unnamed = losses.unnamed();
        unnamed.sort_by_key(|(hash, _)| *hash);
        assert_eq!(unnamed, [(1, record), (2, NameHint::Segment(999))]);
        losses.name(1, "order-1");
        losses.hint(1, NameHint::Segment(8));
        assert_eq!(losses.unnamed(), [(2, NameHint::Segment(999))]);
    }
}
