//! Finds the log whole again at opening: checks the last segment, decides about its end, and makes sure that all
//! that is shown from now on is on the disk.
//!
//! It may be cut off at any operation and started again, with the same result: cutting off leaves fewer bytes
//! that aren't zero behind the chain, and writing again writes what is there already.

use std::{io, path::Path};

use crate::{
    backup_error::BACKUP_MANIFEST,
    disk::contract::{DirectoryEntry, Disk, EntryKind, OpenMode, SECTOR_BYTES, is_full, list_inner_dir},
    error::{Error, Result},
    format::{
        control::StoreMeta,
        layout::{bytes, index},
        segment_header::SEGMENT_HEADER_BYTES,
    },
    log::{
        creation::{NEVER_RESTORED, SEGMENTS_RESTORING, sync_names},
        mark::Mark,
        quarantine,
        scan::{ChainEnd, Scan, Stop},
        segment::{Segment, index_number, segment_number, segment_path, segments_directory},
        verdict::{BEHIND_END_BYTES_MAX, TailFacts, Verdict, judge},
        visiting::{Visit, visit_frames},
        window::Window,
    },
    position::{LogOffset, Position},
    trace,
};

/// How much is written at a time, in bytes.
const REWRITE_BYTES: usize = 1 << 20;

/// The files that are made whole, besides segments.
const NAMES: [&str; 4] = ["store.meta", "durable.mark", "head", BACKUP_MANIFEST];

/// What is known of the log before its last segment is read.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// How the segment before the last one ends; none: there is none.
    pub(crate) before: Option<ChainEnd>,
    /// The end of those frames of the last segment that an index holds already; they aren't read again.
    pub(crate) indexed: Option<ChainEnd>,
    /// How much of the log was durable, as the stream directory witnesses.
    pub(crate) durable: LogOffset,
}

/// A log that was found whole, or made so.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The last segment, which goes on.
    pub(crate) segment: Segment,
    /// What the next frame goes on from.
    pub(crate) end: ChainEnd,
    pub(crate) mark: Mark,
}

/// Checks and mends the end of the log of a store that is whole. The caller has the lock.
pub(crate) fn recover(
    disk: &dyn Disk,
    store: &Path,
    mark: Mark,
    segment: Segment,
    known: &Known,
    visit: Visit<'_>,
) -> Result<Recovered> {
    let mut segment = segment;
    let (end, stop) = visit_frames(&segment, known.indexed, visit)?;
    // Before anything is changed: its index may have spared it until now.
    let sealed = known.before.map(|before| open_sealed(disk, store, &segment, before)).transpose()?;
    let mark = settle_tail(disk, store, &mut segment, end, stop, mark, known.durable)?;
    // Nothing is damaged, so this may be tidied: what sealing would have cut off, and what was never finished.
    if let (Some(sealed), Some(before)) = (sealed, known.before) {
        sealed.trim(before.file_offset)?;
    }
    remove_leftovers(disk, store)?;
    remove_leftovers(disk, &segments_directory(store))?;
    Ok(Recovered { segment, end, mark })
}

/// Opens the segment before the last one, which ends as its index says.
fn open_sealed(disk: &dyn Disk, store: &Path, last: &Segment, end: ChainEnd) -> Result<Segment> {
    let sealed = Segment::open(disk, store, last.header.number - 1, OpenMode::ReadWrite)?;
    check_length(&sealed, end)?;
    Ok(sealed)
}

/// The numbers of the sealed segments, and that of the last; without holes.
pub(crate) fn list_segments(disk: &dyn Disk, store: &Path, meta: &StoreMeta) -> Result<(Vec<u64>, u64)> {
    let directory = segments_directory(store);
    let missing = |number, what: &str| Error::Corrupt {
        path: segment_path(store, number),
        offset: 0,
        reason: format!("this segment is missing{what}"),
        intact: (number == meta.first_segment).then_some(Position::NONE),
    };
    let entries = match list_inner_dir(disk, &directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refuse_restoring(disk, store)?;
            return Err(missing(meta.first_segment, ", with its directory"));
        }
        listed => listed.map_err(|error| Error::io("list", &directory, error))?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let path = directory.join(&entry.name);
        match segment_number(&entry.name) {
            Some(number) if entry.kind == EntryKind::File => numbers.push(number),
            Some(_) => return Err(not_a_file(&path)),
            None if is_leftover(&entry) || index_number(&entry.name).is_some() => {}
            None => trace::warn("ignored", &path, format_args!("it is no file of the store's")),
        }
    }
    numbers.sort_unstable();
    for (number, expected) in numbers.iter().zip(meta.first_segment..u64::MAX) {
        if *number != expected {
            return Err(missing(expected, &format!(", though segment {number} is there")));
        }
    }
    let last = numbers.pop().ok_or_else(|| missing(meta.first_segment, ""))?;
    Ok((numbers, last))
}

/// Refuses a directory in which all is but the last step of a restore: its segments aren't lost.
pub(crate) fn refuse_restoring(disk: &dyn Disk, store: &Path) -> Result<()> {
    let directory = store.join(SEGMENTS_RESTORING);
    match disk.kind(&directory).map_err(|error| Error::io("look at", &directory, error))? {
        None => Ok(()),
        Some(_) => Err(Error::NotAStore { path: store.to_owned(), reason: NEVER_RESTORED.to_owned() }),
    }
}

/// A file that was to become one of the store's, and never did.
fn is_leftover(entry: &DirectoryEntry) -> bool {
    let is_ours = |name: &str| NAMES.contains(&name) || segment_number(name).is_some();
    entry.kind == EntryKind::File && entry.name.strip_suffix(".tmp").is_some_and(is_ours)
}

/// Removes what was to become one of the store's files, and never did.
pub(crate) fn remove_leftovers(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let entries = disk.list(directory).map_err(|error| Error::io("list", directory, error))?;
    let mut leftovers = entries.iter().filter(|entry| is_leftover(entry)).peekable();
    if leftovers.peek().is_none() {
        return Ok(());
    }
    for entry in leftovers {
        let path = directory.join(&entry.name);
        disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
    }
    disk.sync_dir(directory).map_err(|error| Error::io("sync", directory, error))
}

fn not_a_file(path: &Path) -> Error {
    let reason = "this should be a segment, but isn't an ordinary file".to_owned();
    Error::corrupt(path, 0, reason, None)
}

/// Checks that a segment goes on from the one before it.
pub(crate) fn check_link(segment: &Segment, meta: &StoreMeta, before: Option<&ChainEnd>) -> Result<()> {
    let header = &segment.header;
    if header.store_id != meta.store_id {
        return Err(segment.corrupt(0, "the segment is from another store"));
    }
    let Some(end) = before else { return check_first(segment, meta) };
    let goes_on = end.seal.is_some_and(|seal| {
        header.is_behind(&seal)
            && header.first_position == end.next_position
            && header.epoch == end.epoch
            && header.mode == end.mode
    });
    if goes_on {
        return Ok(());
    }
    Err(segment.corrupt(0, "the segment doesn't go on from the one before it"))
}

/// What is said of a log whose first events were dropped: this version reads every log from its first event on.
pub(crate) const FIRST_EVENTS_DROPPED: &str = "the log doesn't begin with its first event";

/// The first segment that is kept; the first that there ever was begins with nothing.
fn check_first(segment: &Segment, meta: &StoreMeta) -> Result<()> {
    let header = &segment.header;
    let is_beginning = header.base == LogOffset::default()
        && header.chain == 0
        && header.epoch == 0
        && header.first_position == Position::FIRST;
    if meta.first_segment != header.number || (header.number == 1 && !is_beginning) {
        return Err(segment.corrupt(0, "the store's first segment doesn't begin as one"));
    }
    if header.first_position != Position::FIRST {
        return Err(segment.corrupt(0, FIRST_EVENTS_DROPPED));
    }
    Ok(())
}

/// Reads a whole segment that has a successor. Any deviation is corruption.
pub(crate) fn visit_sealed(segment: &Segment, visit: Visit<'_>) -> Result<ChainEnd> {
    let (end, stop) = visit_frames(segment, None, visit)?;
    check_sealed(segment, end, stop)?;
    Ok(end)
}

/// Any deviation in a segment that has a successor is corruption.
pub(crate) fn check_sealed(segment: &Segment, end: ChainEnd, stop: Stop) -> Result<()> {
    let corrupt = |reason: &str| {
        Error::corrupt(&segment.path, end.file_offset, reason, Some(end.next_position.previous()))
    };
    if end.seal.is_none() {
        let next = segment.header.number + 1;
        let reason = stop.reason;
        return Err(corrupt(&format!("{reason} (segment {next} is there, so a SEAL must end this one)")));
    }
    check_length(segment, end)
}

/// A sealed segment's file has all of it, and nothing but zeros behind.
fn check_length(segment: &Segment, end: ChainEnd) -> Result<()> {
    let corrupt = |reason: &str| {
        Error::corrupt(&segment.path, end.file_offset, reason, Some(end.next_position.previous()))
    };
    let io = |error| Error::io("read", &segment.path, error);
    let length = segment.file.len().map_err(io)?;
    if length == end.file_offset {
        return Ok(());
    }
    if length < end.file_offset {
        return Err(corrupt("the file ends inside its last frame"));
    }
    let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
    scan.skip_to(end);
    let (bytes_end, _) = scan.look_beyond().map_err(io)?;
    if bytes_end > segment.log_offset(end.file_offset) {
        return Err(corrupt("something stands behind the segment's SEAL"));
    }
    Ok(())
}

/// What stands at the end of the last segment, as the rules of [`judge`] need it.
pub(crate) fn tail_facts(segment: &Segment, end: ChainEnd, stop: Stop, mark: &Mark) -> Result<TailFacts> {
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
    scan.skip_to(end);
    let (bytes_end, durable_beyond) = scan.look_beyond().map_err(io)?;
    Ok(TailFacts {
        chain_end: segment.log_offset(end.file_offset),
        bytes_end,
        durable: durable_beyond.max(segment.header.durable).max(mark.durable().unwrap_or_default()),
        mode: end.mode,
        stop: stop.tail,
    })
}

fn settle_tail(
    disk: &dyn Disk,
    store: &Path,
    segment: &mut Segment,
    end: ChainEnd,
    stop: Stop,
    mut mark: Mark,
    durable: LogOffset,
) -> Result<Mark> {
    let mut facts = tail_facts(segment, end, stop, &mark)?;
    facts.durable = facts.durable.max(durable);
    let verdict = judge(&facts);
    if let Verdict::Corrupt(reason) = verdict {
        let (reason, intact) = (format!("{reason} ({})", stop.reason), end.next_position.previous());
        return Err(Error::corrupt(&segment.path, end.file_offset, reason, Some(intact)));
    }
    let length = segment.file.len().map_err(|error| Error::io("read", &segment.path, error))?;
    // A longer file was being prepared: if that failed, the disk may not have the length that the system shows.
    let is_closed = verdict == Verdict::Whole && length == end.file_offset;
    let is_done = is_closed && mark.durable() == Some(facts.chain_end);
    let names = segment.file.link_count().map_err(|error| Error::io("look at", &segment.path, error))?;
    // Nothing is written to a sealed segment that is as it should be.
    if names > 1 && !(is_done && end.seal.is_some()) {
        // A backup that was interrupted may end with a file that is the store's too, and others link files as well.
        *segment = segment.separated(disk, length.min(end.file_offset + BEHIND_END_BYTES_MAX))?;
    }
    if is_done {
        return Ok(mark);
    }
    sync(segment)?;
    if verdict == Verdict::Torn {
        let bytes_end = segment.file_offset(facts.bytes_end);
        quarantine::keep(disk, store, segment, end.file_offset, bytes_end);
        write_zeros(segment, end.file_offset, bytes_end)?;
        sync(segment)?;
    }
    // After a failed sync the system may show bytes and a length that the disk never got, and call them clean; also the zeros
    // behind the log's end, which what comes is told from damage by.
    let length = set_length_again(segment, end.file_offset)?;
    let start = facts.durable.max(segment.log_offset(bytes(SEGMENT_HEADER_BYTES)));
    write_again(segment, segment.file_offset(start), end.file_offset)?;
    write_prepared_again(segment, end.file_offset, length)?;
    sync(segment)?;
    // Frames of this segment that were durable came behind the sync of its name and of all before it.
    let frames_begin = segment.log_offset(bytes(SEGMENT_HEADER_BYTES));
    if mark.durable().is_none_or(|durable| durable <= frames_begin) {
        sync_names(disk, store)?;
    }
    mark.write(disk, facts.chain_end)?;
    Ok(mark)
}

fn sync(segment: &Segment) -> Result<()> {
    segment.file.sync().map_err(|error| Error::io("sync", &segment.path, error))
}

/// Makes the system write the file's length, which stays as it is, but for a valid frame that ends in zeros
/// which the length had lost, and for zeros that no store has prepared. Returns it.
fn set_length_again(segment: &Segment, end: u64) -> Result<u64> {
    let length = segment.file.len().map_err(|error| Error::io("read", &segment.path, error))?;
    let length = length.clamp(end, end + BEHIND_END_BYTES_MAX);
    segment.set_len(length + SECTOR_BYTES)?;
    segment.set_len(length)?;
    Ok(length)
}

/// Writes the zeros behind the log's end again. Where they had no place on the disk yet, and it is full, the file is cut off at the end
/// of the sector: as long as it is longer than the log, the next opening sees that what is on the disk there isn't known.
fn write_prepared_again(segment: &Segment, end: u64, length: u64) -> Result<()> {
    match write_again(segment, end, length) {
        Err(Error::Io { source, .. }) if is_full(&source) => {
            segment.set_len((end + 1).next_multiple_of(SECTOR_BYTES))
        }
        result => result,
    }
}

fn write_zeros(segment: &Segment, start: u64, end: u64) -> Result<()> {
    let zeros = vec![0; REWRITE_BYTES.min(index(end - start))];
    let mut at = start;
    while at < end {
        let count = zeros.len().min(index(end - at));
        write(segment, &zeros[..count], at)?;
        at += bytes(count);
    }
    Ok(())
}

fn write_again(segment: &Segment, start: u64, end: u64) -> Result<()> {
    let mut window = Window::new(0);
    let mut at = start;
    while at < end {
        let chunk = window
            .get(&*segment.file, at, REWRITE_BYTES, end)
            .map_err(|error| Error::io("read", &segment.path, error))?;
        write(segment, chunk, at)?;
        at += bytes(chunk.len());
    }
    Ok(())
}

fn write(segment: &Segment, content: &[u8], file_offset: u64) -> Result<()> {
    segment
        .file
        .write_all_at(content, file_offset)
        .map_err(|error| Error::io("write", &segment.path, error.source))
}
