//! What callers hand to the writer: commits, encoded on the callers' own threads.

use std::collections::HashSet;

use smallvec::SmallVec;

use crate::{
    checkpoint::{checkpoint_saved, checkpoint_stream},
    cursor::Cursor,
    error::{Error, Result},
    event::EventData,
    event_id::IdGenerator,
    format::{
        layout::PAYLOAD_BYTES_MAX,
        record::{self, IdOrigin},
    },
    index::key::StreamKey,
    invalid::Invalid,
    position::{ExpectedVersion, Position, Version},
    stream::StreamId,
};

/// How much room is made at once for the records of an append whose events say how many they are, in bytes. What is
/// longer grows as it comes.
const RESERVED_BYTES_MAX: usize = 64 << 10;

/// What an append reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Appended {
    /// The version of the append's first event; the stream's version if the append was empty.
    pub first_version: Version,
    /// The version of its last event, which is the stream's version by this append.
    pub version: Version,
    /// The position of its first event; 0 if the append was empty.
    pub first_position: Position,
    /// The position of its last event; 0 if the append was empty.
    pub position: Position,
    /// Whether the events were there already, from an earlier append with the same ids: nothing was written.
    pub repeated: bool,
}

impl Appended {
    /// What an append of `count` events behind `before` reaches, whose first event has this position.
    #[must_use]
    pub fn new(before: Version, count: u64, first_position: Position) -> Self {
        if count == 0 {
            return Self::nothing(before);
        }
        Self {
            first_version: before.next(),
            version: before.plus(count),
            first_position,
            position: first_position.plus(count - 1),
            repeated: false,
        }
    }

    /// What an append of no events reaches: nothing, at the stream's version.
    pub(crate) fn nothing(version: Version) -> Self {
        Self {
            first_version: version,
            version,
            first_position: Position::NONE,
            position: Position::NONE,
            repeated: false,
        }
    }
}

/// What the appends of a commit reached.
pub(crate) type Reached = SmallVec<[Appended; 1]>;

/// Appends to several streams, and checks of others: all or nothing.
///
/// ```
/// use annals::{Commit, EventData, ExpectedVersion, StreamId};
///
/// let (from, to) = (StreamId::new("account-1")?, StreamId::new("account-2")?);
/// let commit = Commit::new()
///     .append(&from, ExpectedVersion::StreamExists, [EventData::new("MoneyWithdrawn", "5")])
///     .append(&to, ExpectedVersion::StreamExists, [EventData::new("MoneyDeposited", "5")])
///     .check(&StreamId::new("limits")?, ExpectedVersion::NoStream);
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, Default, Debug)]
pub struct Commit {
    parts: Vec<Part>,
    checkpoints: Vec<(String, Cursor)>,
    /// Events for the store's own streams.
    system: Vec<(StreamId, ExpectedVersion, Vec<EventData>)>,
}

#[derive(Clone, Debug)]
struct Part {
    stream: StreamId,
    expected: ExpectedVersion,
    /// None: the stream is only checked.
    events: Option<Vec<EventData>>,
}

impl Part {
    /// Whether both demand what the other does.
    fn takes_in(&self, other: &Self) -> bool {
        let demand = |part: &Self| match part.expected {
            ExpectedVersion::NoStream => ExpectedVersion::Exact(Version::NONE),
            expected => expected,
        };
        let (one, two) = (demand(self), demand(other));
        let is_any = one == ExpectedVersion::Any || two == ExpectedVersion::Any;
        self.stream == other.stream && (one == two || is_any)
    }

    fn take_in(&mut self, other: Self) {
        if self.expected == ExpectedVersion::Any {
            self.expected = other.expected;
        }
        if let Some(events) = other.events {
            self.events.get_or_insert_default().extend(events);
        }
    }
}

impl Commit {
    /// A commit of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to a stream. Each stream may stand in a commit once.
    #[must_use]
    pub fn append(
        mut self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        events: impl IntoIterator<Item = EventData>,
    ) -> Self {
        let events = Some(events.into_iter().collect());
        self.parts.push(Part { stream: stream.clone(), expected: expected.into(), events });
        self
    }

    /// Demands a version of a stream that isn't written.
    #[must_use]
    pub fn check(mut self, stream: &StreamId, expected: impl Into<ExpectedVersion>) -> Self {
        self.parts.push(Part { stream: stream.clone(), expected: expected.into(), events: None });
        self
    }

    /// Saves a checkpoint in the same step: a consumer's output and its progress are one then. It has no entry in
    /// the list of what the appends reached.
    ///
    /// It is written behind the events. Where those are a repetition, nothing is written, also no checkpoint: it was
    /// saved with them.
    #[must_use]
    pub fn checkpoint(mut self, name: impl Into<String>, cursor: Cursor) -> Self {
        self.checkpoints.push((name.into(), cursor));
        self
    }

    /// Appends an event to a stream of the store's own, behind those that the commit has for it already. It has no
    /// entry in the list of what the appends reached.
    #[must_use]
    pub(crate) fn system(
        mut self,
        stream: &StreamId,
        expected: impl Into<ExpectedVersion>,
        event: EventData,
    ) -> Self {
        match self.system.iter_mut().find(|(known, ..)| known == stream) {
            Some((_, _, events)) => events.push(event),
            None => self.system.push((stream.clone(), expected.into(), vec![event])),
        }
        self
    }

    /// Adds all of another commit. Where both have the same stream and demand the same version of it, or one of them
    /// any, its events follow those that are there; else the stream stands twice, and is refused as such. A stream that
    /// stands twice in the other one stays so.
    #[must_use]
    pub(crate) fn join(mut self, other: Self) -> Self {
        let mut left: Vec<usize> = (0..self.parts.len()).collect();
        for part in other.parts {
            let nth = left.iter().position(|index| self.parts[*index].takes_in(&part));
            match nth.map(|nth| left.swap_remove(nth)) {
                Some(index) => self.parts[index].take_in(part),
                None => self.parts.push(part),
            }
        }
        self.checkpoints.extend(other.checkpoints);
        for (stream, expected, events) in other.system {
            for event in events {
                self = self.system(&stream, expected, event);
            }
        }
        self
    }

    /// Whether it has nothing to do.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.checkpoints.is_empty() && self.system.is_empty()
    }

    /// The checkpoints that are saved with it. A [`Store`](crate::Store) that keeps none refuses a commit that has
    /// one.
    pub fn checkpoints(&self) -> impl Iterator<Item = (&str, Cursor)> {
        self.checkpoints.iter().map(|(name, cursor)| (name.as_str(), *cursor))
    }

    /// What the commit consists of beside checkpoints, in its order: stream, expected version, and the events, or none where the
    /// stream is only checked.
    pub fn parts(&self) -> impl Iterator<Item = (&StreamId, ExpectedVersion, Option<&[EventData]>)> {
        self.parts.iter().map(|part| (&part.stream, part.expected, part.events.as_deref()))
    }

    /// Encodes everything, and refuses what can't be stored.
    pub(crate) fn encode(self, ids: &dyn IdGenerator, store_id: u64) -> Result<EncodedCommit> {
        let mut streams = HashSet::with_capacity(self.parts.len());
        let mut encoded = EncodedCommit::new(store_id);
        for part in self.parts {
            if !streams.insert(part.stream.clone()) {
                return Err(Error::StreamTwice { stream: part.stream });
            }
            match part.events {
                Some(events) => encoded.add(&part.stream, part.expected, events, ids)?,
                None => encoded.add_check(&part.stream, part.expected),
            }
        }
        // Behind all others, so that what the caller hears of comes first.
        let mut system = self.system;
        for (name, cursor) in self.checkpoints {
            system.push((checkpoint_stream(&name)?, ExpectedVersion::Any, vec![checkpoint_saved(cursor)?]));
        }
        for (stream, expected, events) in system {
            if !streams.insert(stream.clone()) {
                return Err(Error::StreamTwice { stream });
            }
            encoded.add_of_kind(AppendKind::System, &stream, expected, events, ids)?;
        }
        Ok(encoded)
    }
}

/// A commit as the writer takes it: records that lack only what the writer knows.
#[derive(Debug)]
pub(crate) struct EncodedCommit {
    store_id: u64,
    pub(crate) appends: SmallVec<[EncodedAppend; 1]>,
    /// The records of all appends, one after the other.
    pub(crate) records: Vec<u8>,
}

/// One append of a commit.
#[derive(Debug)]
pub(crate) struct EncodedAppend {
    pub(crate) stream: StreamId,
    /// What the index knows the stream by.
    pub(crate) key: StreamKey,
    pub(crate) expected: ExpectedVersion,
    pub(crate) kind: AppendKind,
    /// Where its records end in the commit's; they begin where those of the append before it end.
    pub(crate) records_end: usize,
    /// How many events it has.
    pub(crate) events: u64,
    /// How many of them have ids that their caller gave.
    pub(crate) given_ids: u64,
}

/// Who wants an append, and whether a caller hears of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AppendKind {
    /// It is answered, also when it has no events.
    Append,
    /// It only checks a version.
    Check,
    /// It is an event of the store's own: written, and not answered. Those of a commit stand behind its others.
    System,
}

impl EncodedAppend {
    fn new(stream: &StreamId, expected: ExpectedVersion, kind: AppendKind, store_id: u64) -> Self {
        let (stream, key) = (stream.clone(), StreamKey::of(stream.as_str(), store_id));
        Self { stream, key, expected, kind, records_end: 0, events: 0, given_ids: 0 }
    }
}

impl EncodedCommit {
    fn new(store_id: u64) -> Self {
        Self { store_id, appends: SmallVec::new(), records: Vec::new() }
    }

    /// How many appends are answered.
    pub(crate) fn answers(&self) -> usize {
        self.appends.iter().filter(|append| append.kind == AppendKind::Append).count()
    }

    /// A commit of one append.
    pub(crate) fn single(
        stream: &StreamId,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = EventData>,
        ids: &dyn IdGenerator,
        store_id: u64,
    ) -> Result<Self> {
        let mut commit = Self::new(store_id);
        commit.add(stream, expected, events, ids)?;
        Ok(commit)
    }

    fn add_check(&mut self, stream: &StreamId, expected: ExpectedVersion) {
        let append = EncodedAppend::new(stream, expected, AppendKind::Check, self.store_id);
        self.appends.push(EncodedAppend { records_end: self.records.len(), ..append });
    }

    fn add(
        &mut self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = EventData>,
        ids: &dyn IdGenerator,
    ) -> Result<()> {
        if stream.is_system() {
            return Err(Error::ReservedStream { stream: stream.clone() });
        }
        self.add_of_kind(AppendKind::Append, stream, expected, events, ids)
    }

    fn add_of_kind(
        &mut self,
        kind: AppendKind,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = EventData>,
        ids: &dyn IdGenerator,
    ) -> Result<()> {
        let mut append = EncodedAppend::new(stream, expected, kind, self.store_id);
        let mut seen = HashSet::new();
        let start = self.records.len();
        let events = events.into_iter();
        let (events_min, _) = events.size_hint();
        for event in events {
            let (id, origin) = match &event.id {
                Some(id) => (id.clone(), IdOrigin::Caller),
                None => (ids.next_id(), IdOrigin::Store),
            };
            record::encode(&mut self.records, stream, &event, &id, origin)?;
            if self.records.len() > PAYLOAD_BYTES_MAX {
                let size = self.records.len();
                return Err(Invalid::too_large("commit", stream.as_str(), size, PAYLOAD_BYTES_MAX).into());
            }
            if append.events == 0 {
                // The events of an append are mostly of one length.
                let bytes = (self.records.len() - start).saturating_mul(events_min.saturating_sub(1));
                self.records.reserve(bytes.min(RESERVED_BYTES_MAX));
            }
            append.events += 1;
            if origin == IdOrigin::Caller {
                append.given_ids += 1;
                if let Some(id) = seen.replace(id) {
                    return Err(Error::IdTwice { stream: stream.clone(), id });
                }
            }
        }
        append.records_end = self.records.len();
        self.appends.push(append);
        Ok(())
    }

    /// Each append with its records.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (&EncodedAppend, &[u8])> {
        let mut start = 0;
        self.appends.iter().map(move |append| {
            let records = &self.records[start..append.records_end];
            start = append.records_end;
            (append, records)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_id::UuidV7;

    fn stream() -> StreamId {
        StreamId::new("a").expect("a name")
    }

    fn commit(demands: &[ExpectedVersion]) -> Commit {
        demands.iter().fold(Commit::new(), |commit, demand| {
            commit.append(&stream(), *demand, [EventData::new(format!("{demand:?}"), "{}")])
        })
    }

    /// Events that claim to be without an end.
    struct Claimed(u32);

    impl Iterator for Claimed {
        type Item = EventData;

        fn next(&mut self) -> Option<EventData> {
            self.0 = self.0.checked_sub(1)?;
            Some(EventData::new("Placed", "{}"))
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (usize::MAX, None)
        }
    }

    #[test]
    fn room_is_made_once_for_events_that_say_how_many_they_are_and_is_bounded() {
        let ids = UuidV7::default();
        let ten: [EventData; 10] = std::array::from_fn(|_| EventData::new("Placed", "{}"));
        let ten =
            EncodedCommit::single(&stream(), ExpectedVersion::Any, ten, &ids, 7).expect("they are valid");
        assert_eq!(ten.records.capacity(), ten.records.len());
        let claimed = EncodedCommit::single(&stream(), ExpectedVersion::Any, Claimed(2), &ids, 7);
        let claimed = claimed.expect("they are valid");
        assert_eq!(claimed.appends[0].events, 2);
        assert_eq!(claimed.records.capacity(), claimed.records.len() / 2 + RESERVED_BYTES_MAX);
    }

    #[track_caller]
    fn check(one: &[ExpectedVersion], other: &[ExpectedVersion], wanted: &[(ExpectedVersion, usize)]) {
        let joined = commit(one).join(commit(other));
        let parts = joined.parts().map(|(_, demand, events)| (demand, events.map_or(0, <[_]>::len)));
        assert_eq!(parts.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn commits_are_joined_by_stream_where_they_demand_the_same() {
        let (any, none) = (ExpectedVersion::Any, ExpectedVersion::NoStream);
        let exact = |version| ExpectedVersion::Exact(Version::new(version));
        check(&[], &[exact(1)], &[(exact(1), 1)]);
        check(&[exact(1)], &[exact(1)], &[(exact(1), 2)]);
        check(&[none], &[exact(0)], &[(none, 2)]);
        check(&[any], &[exact(1)], &[(exact(1), 2)]);
        check(&[exact(1)], &[any], &[(exact(1), 2)]);
        // What can't both be, or stood twice in one of them, stands twice still, and is refused.
        check(&[exact(1)], &[exact(2)], &[(exact(1), 1), (exact(2), 1)]);
        check(&[any], &[any, any], &[(any, 2), (any, 1)]);
        check(&[], &[any, any], &[(any, 1), (any, 1)]);
    }
}
