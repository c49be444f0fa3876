//! The directory of streams: for each its version, when it was made, and the segment of its latest run. And the file
//! that keeps it, `streams.dir`.
//!
//! ```text
//! header    the covered segments' first number, the last event's time, the end of the last covered segment
//! streams   key, latest segment, version, creation; by key
//! segments  base, first position, time of the first event; in the order of the log
//! ```
//!
//! A directory never changes: another one takes its place, so that readers need no lock. What a file lacks is in memory,
//! until that is a quarter of the file and it is written anew.

use std::{ops::ControlFlow, sync::Arc};

use hashbrown::{HashTable, hash_table::Entry};

use crate::{
    disk::contract::DiskFile,
    format::{
        layout::{bytes, get_i64, get_u32, get_u64, index, layout, put_i64, put_u32, put_u64},
        paged::{CONTENT_BYTES, PagedIdentity, PagedKind, PagedWriter},
        paged_file::{PagedFile, SectionReader},
        segment_header::SEGMENT_NUMBER_MAX,
    },
    index::{
        chain_end::{self, CHAIN_END_BYTES},
        key::StreamKey,
        lookup::{HashWidth, HashedItems},
        part::{IndexFault, IndexResult},
    },
    log::scan::ChainEnd,
    options::ReadMode,
    position::{LogOffset, Position, Version},
    time::Timestamp,
};

layout! { DIRECTORY_FIELDS, CONTENT_BYTES;
    0 8 LAST_TIMESTAMP;
    8 4 FIRST_SEGMENT;
    12 1 HAS_END;
    13 3 RESERVED;
    16 40 END;
    56 200 REST;
}

/// A stream in the file, in bytes.
pub(crate) const STREAM_BYTES: usize = 32;

layout! { STREAM_FIELDS, STREAM_BYTES;
    0 8 STREAM_HASH;
    8 4 STREAM_CHECK;
    12 4 LATEST;
    16 8 VERSION;
    24 8 CREATED;
}

/// A segment in the file, in bytes.
pub(crate) const SEGMENT_BYTES: usize = 24;

layout! { SEGMENT_ENTRY_FIELDS, SEGMENT_BYTES;
    0 8 BASE;
    8 8 FIRST_POSITION;
    16 8 FIRST_TIMESTAMP;
}

const _: () = assert!(REST - END == CHAIN_END_BYTES, "the end has its room");

/// The sections, in the order of the file.
const STREAMS: usize = 0;
const SEGMENTS: usize = 1;
const SECTION_COUNT: usize = 2;

/// The newest of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreamHead {
    pub(crate) version: Version,
    /// When the store took its first event.
    pub(crate) created: Timestamp,
    /// The segment of its latest run.
    pub(crate) latest: u32,
}

/// A sealed segment, as it is found by position and time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentEntry {
    /// The log offset of the file's first byte.
    pub(crate) base: LogOffset,
    pub(crate) first_position: Position,
    /// When the store took its first event.
    pub(crate) first_timestamp: Timestamp,
}

/// Sealed segments, in order and without holes: all there are, or those that a directory file covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SegmentTable {
    /// The number of the first one.
    pub(crate) first_segment: u32,
    pub(crate) entries: Vec<SegmentEntry>,
    /// How the last one ends, with its seal; none where there is none.
    pub(crate) end: Option<ChainEnd>,
    /// The time of the last event, or the earliest there is.
    pub(crate) last_timestamp: Timestamp,
}

/// All streams of the sealed segments.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    base: Option<Arc<DirectoryFile>>,
    /// What the file lacks, or has in an older state.
    changed: HashTable<StreamEntry>,
    /// How many of them the file lacks.
    added: u64,
}

#[derive(Debug)]
struct DirectoryFile {
    file: PagedFile,
    streams: HashedItems,
}

/// A stream, with its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct StreamEntry {
    key: StreamKey,
    head: StreamHead,
}

impl Directory {
    /// The directory of a store that has no sealed segment.
    pub(crate) fn empty() -> Self {
        Self { base: None, changed: HashTable::new(), added: 0 }
    }

    /// Opens a directory file, and reads which segments it covers. No stream is read. Whether the log goes on from
    /// what it covers, the caller compares.
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        read: ReadMode,
        store_id: u64,
    ) -> IndexResult<(Self, SegmentTable)> {
        let file = PagedFile::open(file, read, store_id, PagedKind::Directory)?;
        if file.section_count() != SECTION_COUNT {
            return Err(IndexFault::Damaged("a directory file has not all of its sections"));
        }
        let covered = SegmentTable::decode(&file)?;
        let streams_bytes = file.section_bytes(STREAMS);
        if !streams_bytes.is_multiple_of(bytes(STREAM_BYTES)) {
            return Err(IndexFault::Damaged("a directory file has a part of a stream"));
        }
        let count = streams_bytes / bytes(STREAM_BYTES);
        let streams = HashedItems { width: HashWidth::Eight, item_bytes: STREAM_BYTES, count };
        let base = Some(Arc::new(DirectoryFile { file, streams }));
        Ok((Self { base, changed: HashTable::new(), added: 0 }, covered))
    }

    /// A stream's head; none if it has no event in the sealed segments.
    pub(crate) fn get(&self, key: StreamKey) -> IndexResult<Option<StreamHead>> {
        if let Some(entry) = self.changed.find(key.hash, |entry| entry.key == key) {
            return Ok(Some(entry.head));
        }
        let Some(base) = &self.base else { return Ok(None) };
        let found = base.find(&mut base.file.section(STREAMS), key.hash, |entry| entry.key == key)?;
        Ok(found.map(|entry| entry.head))
    }

    /// The `check` of the stream with this hash, if there is one: another name with the same hash is refused.
    pub(crate) fn check_of(&self, hash: u64) -> IndexResult<Option<u32>> {
        if let Some(entry) = self.changed.find(hash, |entry| entry.key.hash == hash) {
            return Ok(Some(entry.key.check));
        }
        let Some(base) = &self.base else { return Ok(None) };
        let found = base.find(&mut base.file.section(STREAMS), hash, |_| true)?;
        Ok(found.map(|entry| entry.key.check))
    }

    /// How many streams there are.
    pub(crate) fn stream_count(&self) -> u64 {
        self.base_count() + self.added
    }

    fn base_count(&self) -> u64 {
        self.base.as_ref().map_or(0, |base| base.streams.count)
    }

    /// A directory with these changes; of several to one stream the last counts. This one stays as it is.
    pub(crate) fn with(&self, changes: impl Iterator<Item = (StreamKey, StreamHead)>) -> IndexResult<Self> {
        let mut changes: Vec<StreamEntry> = changes.map(|(key, head)| StreamEntry { key, head }).collect();
        // In the order of the file each of its pages is looked at once.
        changes.sort_by_key(|entry| entry.key);
        let mut next = self.clone();
        let mut streams = self.base.as_ref().map(|base| (base, base.file.section(STREAMS)));
        for change in changes {
            let key = change.key;
            match next.changed.entry(key.hash, |entry| entry.key == key, |entry| entry.key.hash) {
                Entry::Occupied(mut occupied) => *occupied.get_mut() = change,
                Entry::Vacant(vacant) => {
                    let in_file = match &mut streams {
                        Some((base, reader)) => base.find(reader, key.hash, |entry| entry.key == key)?,
                        None => None,
                    };
                    next.added += u64::from(in_file.is_none());
                    vacant.insert(change);
                }
            }
        }
        Ok(next)
    }

    /// Whether what the file lacks exceeds a quarter of it.
    pub(crate) fn is_due(&self) -> bool {
        bytes(self.changed.len()) > self.base_count() / 4
    }

    /// Whether the file lacks nothing.
    pub(crate) fn is_whole(&self) -> bool {
        self.changed.is_empty()
    }

    /// The bytes of a file that lacks nothing.
    pub(crate) fn encode(&self, covered: &SegmentTable, store_id: u64) -> IndexResult<Vec<u8>> {
        let mut changed: Vec<&StreamEntry> = self.changed.iter().collect();
        changed.sort_unstable_by_key(|entry| entry.key);
        let mut changed = changed.into_iter().peekable();
        let identity = PagedIdentity { store_id, kind: PagedKind::Directory, subject: 0 };
        let streams_bytes = index(self.stream_count()) * STREAM_BYTES;
        let mut file = PagedWriter::new(identity, streams_bytes + covered.entries.len() * SEGMENT_BYTES);
        file.begin(streams_bytes);
        self.each_in_file(&mut |entry| {
            while let Some(before) = changed.next_if(|changed| changed.key < entry.key) {
                file.put(&before.encode());
            }
            let newer = changed.next_if(|changed| changed.key == entry.key);
            file.put(&newer.unwrap_or(entry).encode());
            ControlFlow::Continue(())
        })?;
        changed.for_each(|entry| file.put(&entry.encode()));
        file.begin(covered.entries.len() * SEGMENT_BYTES);
        covered.entries.iter().for_each(|segment| file.put(&segment.encode()));
        Ok(file.finish(&covered.encode()))
    }

    /// Every stream, in no order, until the visitor has enough.
    pub(crate) fn each(
        &self,
        visit: &mut dyn FnMut(StreamKey, &StreamHead) -> ControlFlow<()>,
    ) -> IndexResult<()> {
        let is_changed = |key: StreamKey| self.changed.find(key.hash, |entry| entry.key == key).is_some();
        let mut flow = ControlFlow::Continue(());
        self.each_in_file(&mut |entry| {
            if !is_changed(entry.key) {
                flow = visit(entry.key, &entry.head);
            }
            flow
        })?;
        let mut changed = self.changed.iter();
        while flow.is_continue()
            && let Some(entry) = changed.next()
            && visit(entry.key, &entry.head).is_continue()
        {}
        Ok(())
    }

    /// Every stream of the file, by key.
    fn each_in_file(&self, visit: &mut dyn FnMut(&StreamEntry) -> ControlFlow<()>) -> IndexResult<()> {
        let Some(base) = &self.base else { return Ok(()) };
        let mut reader = base.file.section(STREAMS);
        let mut last = None;
        for number in 0..base.streams.count {
            let entry = StreamEntry::decode(reader.get(number * bytes(STREAM_BYTES), STREAM_BYTES)?);
            if last >= Some(entry.key) {
                return Err(IndexFault::Damaged("the streams of a directory file aren't in order"));
            }
            last = Some(entry.key);
            if visit(&entry).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl DirectoryFile {
    /// The first stream with a hash that is the one.
    fn find(
        &self,
        reader: &mut SectionReader<'_>,
        hash: u64,
        is_it: impl Fn(&StreamEntry) -> bool,
    ) -> IndexResult<Option<StreamEntry>> {
        let first = self.streams.first_from(reader, hash)?;
        for number in first..self.streams.count {
            let entry = StreamEntry::decode(reader.get(number * bytes(STREAM_BYTES), STREAM_BYTES)?);
            if entry.key.hash != hash {
                break;
            }
            if is_it(&entry) {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }
}

impl StreamEntry {
    fn encode(&self) -> [u8; STREAM_BYTES] {
        let mut bytes = [0; STREAM_BYTES];
        put_u64(&mut bytes, STREAM_HASH, self.key.hash);
        put_u32(&mut bytes, STREAM_CHECK, self.key.check);
        put_u32(&mut bytes, LATEST, self.head.latest);
        put_u64(&mut bytes, VERSION, self.head.version.get());
        put_i64(&mut bytes, CREATED, self.head.created.micros());
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        let key = StreamKey { hash: get_u64(bytes, STREAM_HASH), check: get_u32(bytes, STREAM_CHECK) };
        let head = StreamHead {
            version: Version::new(get_u64(bytes, VERSION)),
            created: Timestamp::from_micros(get_i64(bytes, CREATED)),
            latest: get_u32(bytes, LATEST),
        };
        Self { key, head }
    }
}

impl SegmentEntry {
    fn encode(&self) -> [u8; SEGMENT_BYTES] {
        let mut bytes = [0; SEGMENT_BYTES];
        put_u64(&mut bytes, BASE, self.base.get());
        put_u64(&mut bytes, FIRST_POSITION, self.first_position.get());
        put_i64(&mut bytes, FIRST_TIMESTAMP, self.first_timestamp.micros());
        bytes
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            base: LogOffset::new(get_u64(bytes, BASE)),
            first_position: Position::new(get_u64(bytes, FIRST_POSITION)),
            first_timestamp: Timestamp::from_micros(get_i64(bytes, FIRST_TIMESTAMP)),
        }
    }
}

impl SegmentTable {
    /// The table of a store whose sealed segments begin with this number, when it has none.
    pub(crate) fn empty(first_segment: u32) -> Self {
        Self { first_segment, entries: Vec::new(), end: None, last_timestamp: Timestamp::MIN }
    }

    /// Where the segment behind the last one begins.
    pub(crate) fn log_end(&self) -> LogOffset {
        self.end.and_then(|end| end.seal).map_or(LogOffset::default(), |seal| seal.logical_end)
    }

    fn encode(&self) -> [u8; CONTENT_BYTES] {
        assert_eq!(self.entries.is_empty(), self.end.is_none(), "the last segment ends somewhere");
        let mut bytes = [0; CONTENT_BYTES];
        put_i64(&mut bytes, LAST_TIMESTAMP, self.last_timestamp.micros());
        put_u32(&mut bytes, FIRST_SEGMENT, self.first_segment);
        if let Some(end) = &self.end {
            bytes[HAS_END] = 1;
            bytes[END..REST].copy_from_slice(&chain_end::encode(end));
        }
        bytes
    }

    fn decode(file: &PagedFile) -> IndexResult<Self> {
        let content = file.content();
        let end = match content[HAS_END] {
            0 => None,
            _ => Some(chain_end::decode(&content[END..REST])?),
        };
        let mut entries = Vec::new();
        file.section(SEGMENTS).read(0, index(file.section_bytes(SEGMENTS)), &mut entries)?;
        let (entries, rest) = entries.as_chunks::<SEGMENT_BYTES>();
        if !rest.is_empty() || entries.is_empty() != end.is_none() {
            return Err(IndexFault::Damaged("a directory file covers a part of a segment"));
        }
        let table = Self {
            first_segment: get_u32(content, FIRST_SEGMENT),
            entries: entries.iter().map(|entry| SegmentEntry::decode(entry)).collect(),
            end,
            last_timestamp: Timestamp::from_micros(get_i64(content, LAST_TIMESTAMP)),
        };
        if table.is_in_order() {
            Ok(table)
        } else {
            Err(IndexFault::Damaged("the segments of a directory file aren't in order"))
        }
    }

    /// Whether each segment begins behind the one before it, as who looks something up by halving relies on. A segment
    /// may have no event.
    fn is_in_order(&self) -> bool {
        let number_max = u64::from(self.first_segment) + bytes(self.entries.len());
        let ascends = |pair: &[SegmentEntry]| {
            pair[0].base < pair[1].base && pair[0].first_position <= pair[1].first_position
        };
        let ends_behind = |last: &SegmentEntry| {
            last.base < self.log_end() && self.end.is_some_and(|end| last.first_position <= end.next_position)
        };
        number_max <= SEGMENT_NUMBER_MAX
            && self.entries.windows(2).all(ascends)
            && self.entries.last().is_none_or(ends_behind)
    }
}

#[cfg(test)]
mod tests;
