//! The index of the active segment, in memory: it grows with each event.
//!
//! 48 bytes a stream, 6 and more an event, 8 for an id that a caller gave; no name of a stream.

use std::ops::ControlFlow;

use hashbrown::{HashTable, hash_table::Entry};
use smallvec::SmallVec;

use crate::{
    index::{
        column::{Column, reserve_little, search},
        key::StreamKey,
        names::Names,
        part::{
            Direction, IndexFault, IndexPart, IndexResult, NameCount, PartFilter, Run, Span, Times, at,
            count_of, stretch,
        },
    },
    position::{LogOffset, Position, Version},
    time::Timestamp,
};

/// An event, as the index takes it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MemoryEvent<'a> {
    pub(crate) key: StreamKey,
    /// In UTF-8, like the type: who reads or writes a record has checked both.
    pub(crate) category: &'a [u8],
    pub(crate) event_type: &'a [u8],
    /// Where its record begins in the segment's file.
    pub(crate) file_offset: u32,
    pub(crate) version: Version,
    pub(crate) timestamp: Timestamp,
    /// Of its id, if its caller gave that.
    pub(crate) id_hash: Option<u32>,
}

/// A link that wasn't looked up: the directory has it, and it is put into the index file when that is written.
pub(crate) const LINK_UNKNOWN: u32 = u32::MAX;

/// What a stream was before this part.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct StreamBefore {
    pub(crate) version: Version,
    /// The segment of its latest run; 0: it has none.
    pub(crate) latest: u32,
}

impl StreamBefore {
    /// What follows from an event's version alone, of a log that is believed: for reading a segment fast.
    pub(crate) fn trusting(version: Version) -> Self {
        let latest = if version == Version::FIRST { 0 } else { LINK_UNKNOWN };
        Self { version: version.previous(), latest }
    }
}

/// The events of one segment file, in memory.
#[derive(Debug)]
pub(crate) struct MemoryIndex {
    segment: u32,
    base: LogOffset,
    first_position: Position,
    times: Times,
    streams_new: u64,
    /// In the file, by ordinal; they ascend.
    offsets: Vec<u32>,
    categories: Names,
    category_column: Column,
    types: Names,
    type_column: Column,
    streams: HashTable<StreamRun>,
    ids: HashTable<IdPlace>,
}

/// A stream's events.
#[derive(Clone, Debug)]
pub(crate) struct StreamRun {
    hash: u64,
    version: Version,
    /// In the file; they ascend.
    offsets: SmallVec<[u32; 4]>,
    check: u32,
    previous: u32,
}

const _: () = assert!(size_of::<StreamRun>() == 48, "memory is bounded by what a stream needs");

impl StreamRun {
    pub(crate) fn key(&self) -> StreamKey {
        StreamKey { hash: self.hash, check: self.check }
    }

    /// The version of the first event here.
    pub(crate) fn first_version(&self) -> Version {
        // A log that is believed may say anything of its versions.
        Version::new(self.version.get().saturating_sub(self.offsets.len() as u64 - 1))
    }

    /// The version of the last event here.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// Where the events begin in the segment's file, by version.
    pub(crate) fn file_offsets(&self) -> &[u32] {
        &self.offsets
    }

    pub(crate) fn run(&self) -> Run {
        Run { count: count_of(self.offsets.len()), previous: self.previous, handle: self.hash }
    }
}

/// An id that a caller gave.
#[derive(Clone, Copy, Debug)]
struct IdPlace {
    hash: u32,
    file_offset: u32,
}

/// 32 bits spread over the 64 that a hash table looks at.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

impl MemoryIndex {
    /// The index of a segment that has no event yet.
    pub(crate) fn new(segment: u32, base: LogOffset, first_position: Position) -> Self {
        Self {
            segment,
            base,
            first_position,
            times: None,
            streams_new: 0,
            offsets: Vec::new(),
            categories: Names::default(),
            category_column: Column::default(),
            types: Names::default(),
            type_column: Column::default(),
            streams: HashTable::new(),
            ids: HashTable::new(),
        }
    }

    /// Adds the next event. `before` is asked only for a stream that this part doesn't have yet. An event that
    /// doesn't go on from what is there, or that `before` refuses, changes nothing.
    pub(crate) fn add(
        &mut self,
        event: &MemoryEvent<'_>,
        before: impl FnOnce() -> Result<StreamBefore, &'static str>,
    ) -> Result<(), &'static str> {
        if self.offsets.last().is_some_and(|last| *last >= event.file_offset) {
            return Err("an event doesn't stand behind the one before it");
        }
        let key = event.key;
        match self.streams.entry(key.hash, |stream| stream.hash == key.hash, |stream| stream.hash) {
            Entry::Occupied(mut occupied) => {
                let stream = occupied.get_mut();
                if stream.check != key.check {
                    return Err("the names of two streams have the same hash");
                }
                if event.version != stream.version.next() {
                    return Err("an event's version doesn't go on from the one before it in its stream");
                }
                stream.version = event.version;
                stream.offsets.push(event.file_offset);
            }
            Entry::Vacant(vacant) => {
                let before = before()?;
                if event.version != before.version.next() {
                    return Err(
                        "the version of a stream's first event in a segment doesn't go on from those before",
                    );
                }
                self.streams_new += u64::from(before.version == Version::NONE);
                let mut offsets = SmallVec::new();
                offsets.push(event.file_offset);
                let (hash, check, previous) = (key.hash, key.check, before.latest);
                vacant.insert(StreamRun { hash, version: event.version, offsets, check, previous });
            }
        }
        self.add_to_columns(event);
        Ok(())
    }

    fn add_to_columns(&mut self, event: &MemoryEvent<'_>) {
        reserve_little(&mut self.offsets, 1);
        self.offsets.push(event.file_offset);
        self.category_column.push(self.categories.count(event.category));
        self.type_column.push(self.types.count(event.event_type));
        if let Some(hash) = event.id_hash {
            let place = IdPlace { hash, file_offset: event.file_offset };
            self.ids.insert_unique(spread(hash), place, |place| spread(place.hash));
        }
        let (first, _) = self.times.unwrap_or((event.timestamp, event.timestamp));
        self.times = Some((first, event.timestamp));
    }

    /// A stream's version, if the part has an event of it.
    pub(crate) fn version(&self, key: StreamKey) -> Option<Version> {
        self.stream(key).map(|stream| stream.version)
    }

    /// Whether a stream has this hash: another name with the same hash is refused.
    pub(crate) fn has_hash(&self, hash: u64) -> bool {
        self.streams.find(hash, |stream| stream.hash == hash).is_some()
    }

    /// A stream's events.
    pub(crate) fn stream(&self, key: StreamKey) -> Option<&StreamRun> {
        self.streams.find(key.hash, |stream| stream.hash == key.hash && stream.check == key.check)
    }

    /// All streams, in no order.
    pub(crate) fn streams(&self) -> impl ExactSizeIterator<Item = &StreamRun> {
        self.streams.iter()
    }

    /// How many streams have their first event here.
    pub(crate) fn streams_new(&self) -> u64 {
        self.streams_new
    }

    /// The position that the next event gets.
    pub(crate) fn next_position(&self) -> Position {
        self.first_position.plus(self.offsets.len() as u64)
    }

    /// When the store took the first and the last event here.
    pub(crate) fn times(&self) -> Times {
        self.times
    }

    /// Where the events begin in the segment's file, by ordinal.
    pub(crate) fn file_offsets(&self) -> &[u32] {
        &self.offsets
    }

    /// The categories, and each event's.
    pub(crate) fn category_column(&self) -> (&Names, &Column) {
        (&self.categories, &self.category_column)
    }

    /// The event types, and each event's.
    pub(crate) fn type_column(&self) -> (&Names, &Column) {
        (&self.types, &self.type_column)
    }

    /// The hashes of all ids that callers gave, and where their events begin in the file, in no order.
    pub(crate) fn ids(&self) -> impl ExactSizeIterator<Item = (u32, u32)> {
        self.ids.iter().map(|place| (place.hash, place.file_offset))
    }

    /// What the index takes of memory, in bytes, but for names and runs of more than four events.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        let spilled =
            |stream: &StreamRun| if stream.offsets.spilled() { stream.offsets.capacity() * 4 } else { 0 };
        self.streams.allocation_size()
            + self.ids.allocation_size()
            + self.offsets.capacity() * 4
            + self.category_column.memory_bytes()
            + self.type_column.memory_bytes()
            + self.streams.iter().map(spilled).sum::<usize>()
    }

    fn place(&self, file_offset: u32) -> LogOffset {
        self.base.plus(u64::from(file_offset))
    }

    fn copy(
        &self,
        offsets: &[u32],
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) {
        let wanted = stretch(from, direction, count_of(offsets.len()), places_max);
        let wanted = offsets[at(wanted.start)..at(wanted.end)].iter().map(|offset| self.place(*offset));
        match direction {
            Direction::Forwards => places.extend(wanted),
            Direction::Backwards => places.extend(wanted.rev()),
        }
    }
}

impl IndexPart for MemoryIndex {
    fn span(&self) -> Span {
        Span {
            segment: self.segment,
            base: self.base,
            first_position: self.first_position,
            events: count_of(self.offsets.len()),
        }
    }

    fn run(&self, key: StreamKey) -> IndexResult<Option<Run>> {
        Ok(self.stream(key).map(StreamRun::run))
    }

    fn run_places(
        &self,
        run: &Run,
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        let stream = self.streams.find(run.handle, |stream| stream.hash == run.handle);
        // The stream may have got more events since the run was asked for.
        let offsets = stream.and_then(|stream| stream.offsets.get(..at(run.count)));
        let offsets =
            offsets.ok_or(IndexFault::Damaged("a stream's events are looked for where they aren't"))?;
        self.copy(offsets, from, direction, places_max, places);
        Ok(())
    }

    fn places(
        &self,
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        self.copy(&self.offsets, from, direction, places_max, places);
        Ok(())
    }

    fn filter(
        &self,
        categories: Option<&[String]>,
        types: Option<&[String]>,
    ) -> IndexResult<Option<PartFilter>> {
        let categories = categories.map(|wanted| self.categories.numbers(wanted));
        let types = types.map(|wanted| self.types.numbers(wanted));
        Ok(PartFilter::of(categories, types))
    }

    fn matching(
        &self,
        filter: &PartFilter,
        from: u32,
        direction: Direction,
        places_max: usize,
        found: &mut Vec<(u32, LogOffset)>,
    ) -> IndexResult<()> {
        let columns = [(&filter.categories, &self.category_column), (&filter.types, &self.type_column)];
        let narrow = |block, mask: &mut _| {
            for (wanted, column) in &columns {
                if let Some(wanted) = wanted {
                    column.narrow(block, wanted, mask);
                }
            }
            Ok(())
        };
        let push = |ordinal| {
            found.push((ordinal, self.place(self.offsets[at(ordinal)])));
            Ok(())
        };
        search(count_of(self.offsets.len()), from, direction, places_max, narrow, push)
    }

    fn id_places(&self, hash: u32, places: &mut Vec<LogOffset>) -> IndexResult<()> {
        let candidates = self.ids.iter_hash(spread(hash)).filter(|place| place.hash == hash);
        places.extend(candidates.map(|place| self.place(place.file_offset)));
        Ok(())
    }

    fn categories(&self) -> IndexResult<Vec<NameCount>> {
        Ok(self.categories.name_counts())
    }

    fn types(&self) -> IndexResult<Vec<NameCount>> {
        Ok(self.types.name_counts())
    }

    fn each_run(&self, visit: &mut dyn FnMut(u64, &Run) -> ControlFlow<()>) -> IndexResult<()> {
        for stream in &self.streams {
            if visit(stream.hash, &stream.run()).is_break() {
                break;
            }
        }
        Ok(())
    }
}
