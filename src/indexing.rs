//! Index files are made beside the writer: of a segment when it is sealed, and of the active one at closing.
//!
//! All of it is derived from the log. Where it can't be made, the index stays in memory until the next opening.

use std::sync::Arc;

use crate::{
    committed::Committed,
    error::Result,
    format::layout::bytes,
    index::{
        files::Access,
        folding::fold,
        key::StreamKey,
        memory::MemoryIndex,
        part::{IndexPart, Times},
        scanning::{index_until, segment_number},
        sealed::SealedIndex,
        sealed_writer,
        settled::{FrozenPart, Settled},
    },
    log::scan::ChainEnd,
    position::LogOffset,
    trace,
};

/// How much of the active segment may lack in its index file when a store is closed, in bytes: the next opening
/// reads it.
const UNINDEXED_BYTES_MAX: u64 = 1 << 20;

/// Makes the index file of the oldest segment that waits for one. False: none does.
pub(crate) fn index_sealed_segment(committed: &Committed) -> Result<bool> {
    let settled = committed.settled();
    let Some(frozen) = settled.oldest_frozen() else { return Ok(false) };
    let times = write_index(&settled, &frozen.index, frozen.index.span().segment, &frozen.end)?;
    take_among_sealed(committed, &settled, &frozen, times)?;
    Ok(true)
}

/// Goes over from the index in memory of a sealed segment to that in its file, and to the directory behind it.
fn take_among_sealed(
    committed: &Committed,
    settled: &Settled,
    frozen: &FrozenPart,
    times: Times,
) -> Result<()> {
    let sealed = settled.sealed();
    let number = frozen.index.span().segment;
    // Where this has failed before, the segment is among them already.
    if sealed.numbers().end == number {
        sealed.push(&frozen.view.header, frozen.end, times);
    }
    let changes = fold(sealed, number, |hash| settled.known(hash))?;
    let (files, table) = (sealed.files(), sealed.table());
    // One question, so that where a page of the file before is damaged, both are made of the one that heals it.
    let (directory, content) = settled.ask_directory(|before| {
        let directory = before.with(changes.iter().copied())?;
        let is_written = files.access == Access::Owner && directory.is_due();
        let content = is_written.then(|| directory.encode(&table, files.store_id)).transpose()?;
        Ok((directory, content))
    })?;
    let written = content.and_then(|content| files.write_directory(&content));
    committed.settle(number, Arc::new(written.unwrap_or(directory)));
    Ok(())
}

/// Takes the index file of the oldest segment that waits for one, if the writer has made it. False: there is
/// none. For those who follow the writer.
pub(crate) fn adopt_index_file(committed: &Committed) -> Result<bool> {
    let settled = committed.settled();
    let Some(frozen) = settled.oldest_frozen() else { return Ok(false) };
    let is_whole = |index: &SealedIndex| index.chain_end() == frozen.end;
    match settled.sealed().files().open_index(&frozen.view.header).ok().filter(is_whole) {
        Some(index) => {
            take_among_sealed(committed, &settled, &frozen, index.times())?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// Makes an index file of the active segment's beginning, which ends at `end` in the log, where a frame ends.
pub(crate) fn index_beginning(committed: &Committed, end: LogOffset) -> Result<()> {
    let settled = committed.settled();
    let header = committed.state().active.header.clone();
    if settled.oldest_frozen().is_some() || header.base >= end {
        return Ok(());
    }
    let (files, number) = (settled.sealed().files(), segment_number(header.number));
    let (index, chain_end) =
        index_until(&*files.disk, &files.store, number, header.file_offset(end), &mut |_| ())?;
    let link = |key: StreamKey| Ok(settled.head(key)?.map_or(0, |head| head.latest));
    if chain_end.seal.is_none() {
        files.write_index(number, &sealed_writer::encode(&index, &chain_end, files.store_id, &link)?);
    }
    Ok(())
}

/// Makes the index file of the active segment, if the one that it has lacks much, and the directory's file. For
/// closing: nothing is appended any more, and everything is durable.
pub(crate) fn index_active_segment(committed: &Committed, end: &ChainEnd) -> Result<()> {
    while index_sealed_segment(committed)? {}
    let settled = committed.settled();
    let state = committed.state();
    if u64::from(state.tail.span().segment) != state.active.header.number
        || state.tail.next_position() != end.next_position
        || state.active.header.base.plus(end.file_offset) != state.active.log_offset(state.active.published())
    {
        // The log has gone on to a segment without events, which readers don't know.
        return Ok(());
    }
    let begun_end = settled.begun().map_or(0, |begun| begun.end());
    let lacks_much = begun_end == 0 || end.file_offset - begun_end > UNINDEXED_BYTES_MAX;
    if state.tail.span().events > 0 && lacks_much {
        write_index(&settled, &state.tail, state.tail.span().segment, end)?;
    }
    drop(state);
    if !settled.directory().is_whole() {
        let (files, table) = (settled.sealed().files(), settled.sealed().table());
        let content = settled.ask_directory(|directory| directory.encode(&table, files.store_id))?;
        files.write_directory(&content);
    }
    Ok(())
}

/// Writes a segment's index, of which `tail` is all or the end. Returns the times of its first and last event.
fn write_index(settled: &Settled, tail: &MemoryIndex, number: u32, end: &ChainEnd) -> Result<Times> {
    let files = settled.sealed().files();
    let begun_elsewhere = settled.has_part_before(number, tail.span().first_position);
    let read_anew = if begun_elsewhere {
        Some(index_until(&*files.disk, &files.store, number, end.file_offset, &mut |_| ())?.0)
    } else {
        None
    };
    let index = read_anew.as_ref().unwrap_or(tail);
    // Behind all that is sealed comes this segment, so the directory has the links into it.
    let link = |key: StreamKey| Ok(settled.head(key)?.map_or(0, |head| head.latest));
    let content = sealed_writer::encode(index, end, files.store_id, &link)?;
    files.write_index(number, &content);
    trace::info("indexed a segment", &files.store, format_args!("{number}: {} bytes", bytes(content.len())));
    Ok(index.times())
}
