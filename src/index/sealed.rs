//! The index of a segment that is written no more, as a file: `segments/000000000001.idx`.
//!
//! ```text
//! header      span, times, and the end of the log that it covers
//! offsets     where each event begins in the segment's file, by ordinal
//! runs        hash of the stream, segment of its previous run, beginning of its postings; by hash, and a last one
//! postings    where the events of each run begin in the segment's file
//! categories  each event's number, by ordinal; the names by name; their texts
//! types       the same three
//! ids         hash, and where the event begins in the segment's file; by hash
//! ```
//!
//! A place is bounded by the end that the file covers, and each number by what it numbers: a file with right
//! checksums and wrong numbers is damaged, too.

use std::{ops::ControlFlow, sync::Arc};

use crate::{
    disk::contract::DiskFile,
    format::{
        layout::{bytes, get_u32},
        paged::PagedKind,
        paged_file::{PagedFile, SectionReader},
    },
    index::{
        column::{BLOCK_EVENTS, BlockMask, Width, search},
        key::StreamKey,
        lookup::{HashWidth, HashedItems, of_32_bits},
        part::{
            Direction, IndexFault, IndexPart, IndexResult, NameCount, PartFilter, Run, Span, Times, at,
            stretch,
        },
        sealed_layout::{
            ID_BYTES, IdItem, OFFSET_BYTES, RUN_BYTES, RunItem, SECTION_COUNT, SealedHeader, SealedSection,
        },
        sealed_names::SealedNames,
    },
    log::scan::ChainEnd,
    options::ReadMode,
    position::LogOffset,
};

/// The events of one segment file, in an index file.
#[derive(Debug)]
pub(crate) struct SealedIndex {
    file: PagedFile,
    header: SealedHeader,
    segment: u32,
    runs: HashedItems,
    ids: HashedItems,
}

impl SealedIndex {
    /// Opens an index file, and checks its header and its length. Whether it covers the segment that it is opened
    /// for, to the end, the caller compares: [`IndexPart::span`], [`Self::chain_end`].
    pub(crate) fn open(file: Arc<dyn DiskFile>, read: ReadMode, store_id: u64) -> IndexResult<Self> {
        let file = PagedFile::open(file, read, store_id, PagedKind::SegmentIndex)?;
        let header = SealedHeader::decode(file.content())?;
        if file.section_count() != SECTION_COUNT {
            return Err(IndexFault::Damaged("an index file has not all of its sections"));
        }
        let segment = u32::try_from(file.subject())
            .map_err(|_| IndexFault::Damaged("an index file is of a segment that there can't be"))?;
        let length = |section: SealedSection| file.section_bytes(section as usize);
        let events = u64::from(header.events);
        let expected = [
            (SealedSection::Offsets, events * bytes(OFFSET_BYTES)),
            (SealedSection::Postings, events * bytes(OFFSET_BYTES)),
            (SealedSection::Categories, events * bytes(header.category_width.bytes())),
            (SealedSection::Types, events * bytes(header.type_width.bytes())),
        ];
        let has_its_length = |(section, expected): (SealedSection, u64)| length(section) == expected;
        if !expected.into_iter().all(has_its_length) {
            return Err(IndexFault::Damaged("a section hasn't the length of so many events"));
        }
        // The last run only ends the one before it.
        let runs = items(length(SealedSection::Runs), RUN_BYTES, HashWidth::Eight)?;
        let runs_count = runs.count.checked_sub(1).ok_or(IndexFault::Damaged("the last run is missing"))?;
        let runs = HashedItems { count: runs_count, ..runs };
        let ids = items(length(SealedSection::Ids), ID_BYTES, HashWidth::Four)?;
        Ok(Self { file, header, segment, runs, ids })
    }

    /// The end of what the file covers: of the segment, with its seal, or of the log.
    pub(crate) fn chain_end(&self) -> ChainEnd {
        self.header.end
    }

    /// When the store took the first and the last event here.
    pub(crate) fn times(&self) -> Times {
        (self.header.events > 0).then_some(self.header.times)
    }

    /// Where the last event stands in the segment's file; none if there is no event.
    pub(crate) fn last_event_offset(&self) -> IndexResult<Option<u64>> {
        let Some(number) = self.header.events.checked_sub(1) else { return Ok(None) };
        let place = self.place_at(&mut self.section(SealedSection::Offsets), number)?;
        Ok(Some(place.get() - self.header.base.get()))
    }

    fn section(&self, section: SealedSection) -> SectionReader<'_> {
        self.file.section(section as usize)
    }

    fn place(&self, file_offset: u32) -> IndexResult<LogOffset> {
        if u64::from(file_offset) >= self.header.end.file_offset {
            return Err(IndexFault::Damaged("an event's place is beyond the log's end"));
        }
        Ok(self.header.base.plus(u64::from(file_offset)))
    }

    /// The place that a section of places has under a number.
    fn place_at(&self, section: &mut SectionReader<'_>, number: u32) -> IndexResult<LogOffset> {
        let item = section.get(u64::from(number) * bytes(OFFSET_BYTES), OFFSET_BYTES)?;
        self.place(get_u32(item, 0))
    }

    /// The places that a section of places has under some numbers.
    fn copy(
        &self,
        section: SealedSection,
        mut numbers: impl Iterator<Item = u32>,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        let mut reader = self.section(section);
        numbers.try_for_each(|number| {
            places.push(self.place_at(&mut reader, number)?);
            Ok(())
        })
    }

    fn copy_stretch(
        &self,
        section: SealedSection,
        start: u32,
        wanted: std::ops::Range<u32>,
        direction: Direction,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        let numbers = wanted.map(|number| start + number);
        match direction {
            Direction::Forwards => self.copy(section, numbers, places),
            Direction::Backwards => self.copy(section, numbers.rev(), places),
        }
    }

    /// A run and the one behind it.
    fn run_of(&self, item: RunItem, next: RunItem) -> IndexResult<Run> {
        let count = next.postings_start.checked_sub(item.postings_start).filter(|count| *count > 0);
        let count = count.filter(|_| next.postings_start <= self.header.events);
        let count = count.ok_or(IndexFault::Damaged("a stream's events aren't within the segment's"))?;
        Ok(Run { count, previous: item.previous, handle: u64::from(item.postings_start) })
    }

    fn category_names(&self) -> IndexResult<SealedNames<'_>> {
        SealedNames::new(&self.file, SealedSection::CategoryNames, SealedSection::CategoryTexts)
    }

    fn type_names(&self) -> IndexResult<SealedNames<'_>> {
        SealedNames::new(&self.file, SealedSection::TypeNames, SealedSection::TypeTexts)
    }

    /// Keeps those events of a block in the mask whose number in a column is wanted.
    fn narrow(
        &self,
        column: &mut Option<WantedColumn<'_>>,
        block: u32,
        mask: &mut BlockMask,
    ) -> IndexResult<()> {
        if let Some(WantedColumn { reader, width, wanted }) = column {
            let first = block * BLOCK_EVENTS;
            let events = (self.header.events - first).min(BLOCK_EVENTS);
            let numbers = reader.get(u64::from(first) * bytes(width.bytes()), at(events) * width.bytes())?;
            mask.keep(numbers, *width, wanted);
        }
        Ok(())
    }
}

/// A column that a filter asks for.
struct WantedColumn<'a> {
    reader: SectionReader<'a>,
    width: Width,
    wanted: &'a [u32],
}

/// The items that fill a section.
fn items(section_bytes: u64, item_bytes: usize, width: HashWidth) -> IndexResult<HashedItems> {
    if !section_bytes.is_multiple_of(bytes(item_bytes)) {
        return Err(IndexFault::Damaged("a section has a part of an item"));
    }
    Ok(HashedItems { width, item_bytes, count: section_bytes / bytes(item_bytes) })
}

impl IndexPart for SealedIndex {
    fn span(&self) -> Span {
        Span {
            segment: self.segment,
            base: self.header.base,
            first_position: self.header.first_position,
            events: self.header.events,
        }
    }

    fn run(&self, key: StreamKey) -> IndexResult<Option<Run>> {
        let mut runs = self.section(SealedSection::Runs);
        let number = self.runs.first_from(&mut runs, key.hash)?;
        if number == self.runs.count {
            return Ok(None);
        }
        let item = RunItem::decode(runs.get(number * bytes(RUN_BYTES), RUN_BYTES)?);
        if item.hash != key.hash {
            return Ok(None);
        }
        let next = RunItem::decode(runs.get((number + 1) * bytes(RUN_BYTES), RUN_BYTES)?);
        self.run_of(item, next).map(Some)
    }

    fn run_places(
        &self,
        run: &Run,
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        let end =
            run.handle.checked_add(u64::from(run.count)).filter(|end| *end <= u64::from(self.header.events));
        let start = end.and_then(|_| u32::try_from(run.handle).ok());
        let start = start.ok_or(IndexFault::Damaged("a stream's events are looked for where they aren't"))?;
        let wanted = stretch(from, direction, run.count, places_max);
        self.copy_stretch(SealedSection::Postings, start, wanted, direction, places)
    }

    fn places(
        &self,
        from: u32,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> IndexResult<()> {
        let wanted = stretch(from, direction, self.header.events, places_max);
        self.copy_stretch(SealedSection::Offsets, 0, wanted, direction, places)
    }

    fn filter(
        &self,
        categories: Option<&[String]>,
        types: Option<&[String]>,
    ) -> IndexResult<Option<PartFilter>> {
        let categories = match categories {
            Some(wanted) => Some(self.category_names()?.numbers(wanted)?),
            None => None,
        };
        let types = match types {
            Some(wanted) => Some(self.type_names()?.numbers(wanted)?),
            None => None,
        };
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
        let mut types = filter.types.as_ref().map(|wanted| WantedColumn {
            reader: self.section(SealedSection::Types),
            width: self.header.type_width,
            wanted,
        });
        let mut categories = filter.categories.as_ref().map(|wanted| WantedColumn {
            reader: self.section(SealedSection::Categories),
            width: self.header.category_width,
            wanted,
        });
        let narrow = |block, mask: &mut BlockMask| {
            self.narrow(&mut types, block, mask)?;
            self.narrow(&mut categories, block, mask)
        };
        let mut offsets = self.section(SealedSection::Offsets);
        let push = |ordinal| {
            found.push((ordinal, self.place_at(&mut offsets, ordinal)?));
            Ok(())
        };
        search(self.header.events, from, direction, places_max, narrow, push)
    }

    fn id_places(&self, hash: u32, places: &mut Vec<LogOffset>) -> IndexResult<()> {
        let mut ids = self.section(SealedSection::Ids);
        let first = self.ids.first_from(&mut ids, of_32_bits(hash))?;
        for number in first..self.ids.count {
            let item = IdItem::decode(ids.get(number * bytes(ID_BYTES), ID_BYTES)?);
            if item.hash != hash {
                break;
            }
            places.push(self.place(item.file_offset)?);
        }
        Ok(())
    }

    fn categories(&self) -> IndexResult<Vec<NameCount>> {
        self.category_names()?.all()
    }

    fn types(&self) -> IndexResult<Vec<NameCount>> {
        self.type_names()?.all()
    }

    fn each_run(&self, visit: &mut dyn FnMut(u64, &Run) -> ControlFlow<()>) -> IndexResult<()> {
        let mut runs = self.section(SealedSection::Runs);
        let mut item = RunItem::decode(runs.get(0, RUN_BYTES)?);
        for number in 1..=self.runs.count {
            let next = RunItem::decode(runs.get(number * bytes(RUN_BYTES), RUN_BYTES)?);
            if visit(item.hash, &self.run_of(item, next)?).is_break() {
                break;
            }
            item = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
