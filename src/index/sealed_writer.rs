//! Writes the index of a segment as a file: a [`MemoryIndex`] in, bytes out.

use crate::{
    error::Result,
    format::paged::{PagedIdentity, PagedKind, PagedWriter},
    index::{
        column::{Column, numbers},
        key::StreamKey,
        memory::{LINK_UNKNOWN, MemoryIndex, StreamRun},
        names::Names,
        part::{IndexPart, at, count_of},
        sealed_layout::{
            ID_BYTES, IdItem, NAME_BYTES, NameItem, OFFSET_BYTES, RUN_BYTES, RunItem, SECTION_COUNT,
            SealedHeader,
        },
    },
    log::scan::ChainEnd,
    time::Timestamp,
};

/// The file's bytes. `end` is the end of what the index covers: of the segment, with its seal, or of the log. `link`
/// says which segment has a stream's latest run before this one, where that wasn't looked up yet.
pub(crate) fn encode(
    index: &MemoryIndex,
    end: &ChainEnd,
    store_id: u64,
    link: &dyn Fn(StreamKey) -> Result<u32>,
) -> Result<Vec<u8>> {
    let span = index.span();
    assert_eq!(index.next_position(), end.next_position, "the index has all events up to the end");
    let subject = u64::from(span.segment);
    let identity = PagedIdentity { store_id, kind: PagedKind::SegmentIndex, subject };
    let capacity = at(span.events) * (2 * OFFSET_BYTES + 2)
        + index.streams().len() * RUN_BYTES
        + index.ids().len() * ID_BYTES;
    let mut file = PagedWriter::new(identity, capacity);
    file.begin(at(span.events) * OFFSET_BYTES);
    index.file_offsets().iter().for_each(|offset| file.put(&offset.to_le_bytes()));
    put_runs(&mut file, index, link)?;
    put_names(&mut file, index.category_column());
    put_names(&mut file, index.type_column());
    put_ids(&mut file, index);
    assert_eq!(file.section_count(), SECTION_COUNT, "every section was written");
    let none = Timestamp::from_micros(0);
    let header = SealedHeader {
        base: span.base,
        first_position: span.first_position,
        times: index.times().unwrap_or((none, none)),
        events: span.events,
        category_width: index.category_column().1.width(),
        type_width: index.type_column().1.width(),
        end: *end,
    };
    Ok(file.finish(&header.encode()))
}

/// The runs by hash, a last one that ends the one before it, and the postings.
fn put_runs(
    file: &mut PagedWriter,
    index: &MemoryIndex,
    link: &dyn Fn(StreamKey) -> Result<u32>,
) -> Result<()> {
    let mut streams: Vec<&StreamRun> = index.streams().collect();
    streams.sort_unstable_by_key(|stream| stream.key().hash);
    file.begin((streams.len() + 1) * RUN_BYTES);
    let mut postings_start = 0;
    for stream in &streams {
        let run = stream.run();
        let previous = if run.previous == LINK_UNKNOWN { link(stream.key())? } else { run.previous };
        let item = RunItem { hash: stream.key().hash, previous, postings_start };
        file.put(&item.encode());
        postings_start += run.count;
    }
    file.put(&RunItem { hash: u64::MAX, previous: 0, postings_start }.encode());
    file.begin(at(postings_start) * OFFSET_BYTES);
    let postings = streams.iter().flat_map(|stream| stream.file_offsets());
    postings.for_each(|offset| file.put(&offset.to_le_bytes()));
    Ok(())
}

/// Each event's number; the names by name, a last one that ends the one before it; and their texts.
fn put_names(file: &mut PagedWriter, (names, column): (&Names, &Column)) {
    let mut sorted: Vec<(&str, u64, usize)> =
        names.all().enumerate().map(|(number, (name, events))| (name, events, number)).collect();
    sorted.sort_unstable();
    let mut ranks = vec![0; sorted.len()];
    (0_u32..).zip(&sorted).for_each(|(rank, (_, _, number))| ranks[*number] = rank);
    file.begin(column.bytes().len());
    let width = column.width();
    numbers(column.bytes(), width, |number| {
        file.put(&ranks[at(number)].to_le_bytes()[..width.bytes()]);
    });
    file.begin((sorted.len() + 1) * NAME_BYTES);
    let mut text_start = 0;
    for (name, events, _) in &sorted {
        let events = u32::try_from(*events).expect("a segment has fewer than 2^32 events");
        file.put(&NameItem { text_start, events }.encode());
        text_start += count_of(name.len());
    }
    file.put(&NameItem { text_start, events: 0 }.encode());
    file.begin(at(text_start));
    for (name, _, _) in &sorted {
        file.put(name.as_bytes());
    }
}

fn put_ids(file: &mut PagedWriter, index: &MemoryIndex) {
    let mut ids: Vec<(u32, u32)> = index.ids().collect();
    ids.sort_unstable();
    file.begin(ids.len() * ID_BYTES);
    for (hash, file_offset) in &ids {
        file.put(&IdItem { hash: *hash, file_offset: *file_offset }.encode());
    }
}
