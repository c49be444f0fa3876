//! The sealed segments with their indexes: opened when they are needed, a bounded number at a time, and made
//! anew from the log where an index file can't answer.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use parking_lot::RwLock;

use crate::{
    disk::contract::OpenMode,
    error::{Error, Result},
    format::{layout::index, segment_header::SegmentHeader},
    index::{
        directory::{SegmentEntry, SegmentTable},
        files::{Access, IndexFiles, index_error},
        key::StreamKey,
        part::{IndexFault, IndexPart, IndexResult, Times},
        scanning::{Reached, index_until, segment_number},
        sealed::SealedIndex,
        sealed_writer,
    },
    log::{
        scan::ChainEnd,
        segment::{Segment, index_path, segment_path},
        view::SegmentView,
    },
    options::ReadMode,
    position::{LogOffset, Position},
    time::Timestamp,
    trace,
};

/// How many segments stay open where they are mapped: two maps each, and the system allows some 65,000.
const MAPPED_MAX: usize = 4_096;

/// How many segments stay open where they are read with pread: two descriptors each, and 1,024 are usual.
const OPEN_MAX: usize = 128;

/// A segment with the index of what stands before `end` in it.
#[derive(Debug)]
pub(crate) struct SealedPart {
    pub(crate) number: u32,
    pub(crate) view: Arc<SegmentView>,
    end: u64,
    /// The position behind its last event.
    next_position: Position,
    /// Replaced where its file turns out to be damaged.
    part: RwLock<Arc<dyn IndexPart>>,
}

/// All sealed segments.
#[derive(Debug)]
pub(crate) struct SealedParts {
    files: IndexFiles,
    /// As the table has it; to look at without its lock.
    first_segment: u32,
    table: RwLock<SegmentTable>,
    open: RwLock<OpenParts>,
}

#[derive(Debug, Default)]
struct OpenParts {
    /// By number, from the first segment's.
    parts: Vec<Option<Arc<SealedPart>>>,
    /// The places of those that are open, in the order of their opening: the oldest goes first.
    order: VecDeque<usize>,
}

/// Where the next segment begins.
#[derive(Clone, Copy, Debug)]
struct NextSegment {
    base: LogOffset,
    first_position: Position,
}

impl SealedPart {
    /// A segment that is shown as far as `end`, with its index.
    pub(crate) fn new(number: u32, view: Arc<SegmentView>, end: u64, part: Arc<dyn IndexPart>) -> Self {
        let span = part.span();
        let next_position = span.first_position.plus(u64::from(span.events));
        Self { number, view, end, next_position, part: RwLock::new(part) }
    }

    /// Where in the file ends what the index is of.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// The index, as it is now.
    pub(crate) fn index(&self) -> Arc<dyn IndexPart> {
        Arc::clone(&self.part.read())
    }
}

impl SealedParts {
    pub(crate) fn new(files: IndexFiles, table: SegmentTable) -> Self {
        let first_segment = table.first_segment;
        Self { files, first_segment, table: RwLock::new(table), open: RwLock::default() }
    }

    pub(crate) fn files(&self) -> &IndexFiles {
        &self.files
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.table.read().entries.len()
    }

    /// The numbers of all, in order.
    pub(crate) fn numbers(&self) -> Range<u32> {
        self.first_segment..self.number_at(self.count())
    }

    fn number_at(&self, place: usize) -> u32 {
        self.first_segment + u32::try_from(place).expect("numbers have 32 bits")
    }

    /// Where they begin, and how the last one ends.
    pub(crate) fn table(&self) -> SegmentTable {
        self.table.read().clone()
    }

    /// How the last one ends, and the time of the last event.
    pub(crate) fn end(&self) -> (Option<ChainEnd>, Timestamp) {
        let table = self.table.read();
        (table.end, table.last_timestamp)
    }

    /// Adds the segment behind the last one; `times` are those of its first and last event.
    pub(crate) fn push(&self, header: &SegmentHeader, end: ChainEnd, times: Times) {
        let mut table = self.table.write();
        let (first_timestamp, last) = times.unwrap_or((table.last_timestamp, table.last_timestamp));
        let (base, first_position) = (header.base, header.first_position);
        table.entries.push(SegmentEntry { base, first_position, first_timestamp });
        table.end = Some(end);
        table.last_timestamp = table.last_timestamp.max(last);
    }

    /// The number of the segment that holds an event's position.
    pub(crate) fn number_of_position(&self, position: Position) -> u32 {
        self.number_before(|entry| entry.first_position <= position)
    }

    /// The number of the segment that holds a place in the log.
    pub(crate) fn number_of_place(&self, place: LogOffset) -> u32 {
        self.number_before(|entry| entry.base <= place)
    }

    /// Between which positions the first event is that was stored at a time, or behind it: before the first of
    /// them all are earlier, and the second one, if there is one, is later.
    pub(crate) fn positions_about(&self, time: Timestamp) -> (Position, Option<Position>) {
        let table = self.table.read();
        let earlier = table.entries.partition_point(|entry| entry.first_timestamp < time);
        let not_later = table.entries.partition_point(|entry| entry.first_timestamp <= time);
        let first = table.entries[..earlier].last().map_or(Position::FIRST, |entry| entry.first_position);
        (first, table.entries.get(not_later).map(|entry| entry.first_position))
    }

    fn number_before(&self, begins_before: impl Fn(&SegmentEntry) -> bool) -> u32 {
        let behind = self.table.read().entries.partition_point(begins_before);
        self.number_at(behind.saturating_sub(1))
    }

    /// A segment with its index.
    pub(crate) fn get(&self, number: u32) -> Result<Arc<SealedPart>> {
        self.get_noting(number, &mut |_| ())
    }

    /// The same; where the segment has to be read for it, `reached` is told how far.
    pub(crate) fn get_noting(&self, number: u32, reached: Reached<'_>) -> Result<Arc<SealedPart>> {
        let place = index(u64::from(number.saturating_sub(self.first_segment)));
        if let Some(Some(part)) = self.open.read().parts.get(place) {
            return Ok(Arc::clone(part));
        }
        // Two readers may open the same one: the second finds the first's, and drops its own.
        let opened = Arc::new(self.open(number, reached)?);
        let mut open = self.open.write();
        if let Some(Some(part)) = open.parts.get(place) {
            return Ok(Arc::clone(part));
        }
        let open_max = match self.files.read {
            ReadMode::Mapped => MAPPED_MAX,
            ReadMode::Pread => OPEN_MAX,
        };
        if open.order.len() >= open_max
            && let Some(oldest) = open.order.pop_front()
        {
            open.parts[oldest] = None;
        }
        if open.parts.len() <= place {
            open.parts.resize(place + 1, None);
        }
        open.order.push_back(place);
        open.parts[place] = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Where a segment begins, and where the next one does.
    fn entry(&self, number: u32) -> Option<(SegmentEntry, NextSegment)> {
        let table = self.table.read();
        let place = index(u64::from(number.checked_sub(self.first_segment)?));
        let entry = *table.entries.get(place)?;
        let next = match table.entries.get(place + 1) {
            Some(next) => NextSegment { base: next.base, first_position: next.first_position },
            None => NextSegment { base: table.log_end(), first_position: table.end?.next_position },
        };
        (next.base > entry.base).then_some((entry, next))
    }

    fn no_entry(&self) -> Error {
        let reason = "the index names a segment that isn't there; remove streams.dir, and it is made anew";
        Error::corrupt(self.files.directory_path(), 0, reason, None)
    }

    fn open(&self, number: u32, reached: Reached<'_>) -> Result<SealedPart> {
        let (entry, next) = self.entry(number).ok_or_else(|| self.no_entry())?;
        let segment = Segment::open(&*self.files.disk, &self.files.store, u64::from(number), OpenMode::Read)?;
        let header = &segment.header;
        let is_it = header.store_id == self.files.store_id
            && header.base == entry.base
            && header.first_position == entry.first_position;
        if !is_it {
            return Err(segment.corrupt(0, "the segment isn't the one that stood here"));
        }
        let end = header.file_offset(next.base);
        if segment.prepared() < end {
            return Err(segment.corrupt(segment.prepared(), "the file is shorter than the segment was"));
        }
        let view = segment.view(self.files.read, end)?;
        view.publish(end);
        let opened = self.files.open_index_of(&segment);
        let part: Arc<dyn IndexPart> =
            match opened.and_then(|index| index_until_end(index, end, next.first_position)) {
                Ok(index) => Arc::new(index),
                Err(fault) => self.make_index(header, end, next.first_position, &fault, reached)?,
            };
        Ok(SealedPart::new(number, Arc::new(view), end, part))
    }

    /// Makes a segment's index from its log, and its file, if this is who writes it.
    fn make_index(
        &self,
        header: &SegmentHeader,
        end: u64,
        next_position: Position,
        fault: &IndexFault,
        reached: Reached<'_>,
    ) -> Result<Arc<dyn IndexPart>> {
        let (files, number) = (&self.files, segment_number(header.number));
        trace::warn(
            "made an index anew",
            &index_path(&files.store, header.number),
            format_args!("{fault:?}"),
        );
        let (memory, chain_end) = index_until(&*files.disk, &files.store, number, end, reached)?;
        if chain_end.next_position != next_position {
            let reason = "the index names other events than the log has; remove streams.dir and the .idx files, \
                          and they are made anew";
            return Err(Error::corrupt(files.directory_path(), 0, reason, None));
        }
        if files.access == Access::Owner {
            // In order, so that making one never waits for the making of another that waits for a third.
            for earlier in self.first_segment..number {
                self.get(earlier)?;
            }
            let link = |key| self.latest_before(number, key);
            files.write_index(number, &sealed_writer::encode(&memory, &chain_end, files.store_id, &link)?);
            if let Ok(index) =
                files.open_index(header).and_then(|index| index_until_end(index, end, next_position))
            {
                return Ok(Arc::new(index));
            }
        }
        Ok(Arc::new(memory))
    }

    /// The segment that has a stream's latest run before this one. Costs a look-up in each segment back to
    /// that, so it is for segments whose links are lost.
    fn latest_before(&self, number: u32, key: StreamKey) -> Result<u32> {
        for earlier in (self.first_segment..number).rev() {
            let part = self.get(earlier)?;
            if self.ask(&part, |index| index.run(key))?.is_some() {
                return Ok(earlier);
            }
        }
        let path = segment_path(&self.files.store, u64::from(number));
        Err(Error::corrupt(path, 0, "a stream's first event isn't version 1", None))
    }

    /// Asks a segment's index. Where its file can't answer, the index is made anew and asked again.
    pub(crate) fn ask<T>(
        &self,
        part: &SealedPart,
        mut question: impl FnMut(&dyn IndexPart) -> IndexResult<T>,
    ) -> Result<T> {
        let fault = match question(&*part.index()) {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        let header = &part.view.header;
        let made = self.make_index(header, part.end, part.next_position, &fault, &mut |_| ())?;
        *part.part.write() = Arc::clone(&made);
        question(&*made).map_err(|fault| {
            let path = index_path(&self.files.store, u64::from(part.number));
            index_error(&path, fault)
        })
    }
}

/// The index, if it is one of its segment as far as `end`, with all events before the next segment's.
fn index_until_end(index: SealedIndex, end: u64, next_position: Position) -> IndexResult<SealedIndex> {
    let chain_end = index.chain_end();
    if chain_end.file_offset == end && chain_end.next_position == next_position {
        Ok(index)
    } else {
        Err(IndexFault::Damaged("it is of another end of the segment"))
    }
}
