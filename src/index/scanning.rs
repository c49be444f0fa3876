//! From the log to the index: how records go into a part of it.

use std::path::Path;

use crate::{
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    event_id::EventIdRef,
    format::record::{IdForm, IdOrigin, Record},
    index::{
        key::{StreamKey, id_hash},
        memory::{MemoryEvent, MemoryIndex, StreamBefore},
    },
    log::{
        recovery::visit_sealed,
        scan::{ChainEnd, Scan},
        segment::Segment,
        visiting::visit_frame,
    },
    position::Version,
    stream::{category_of, check_name},
};

/// Why a record is refused with a stream of a name that no store takes.
pub(crate) const INVALID_NAME: &str = "an event's stream has an invalid name";

/// The largest version that an event can have: no log can have as many events, and the streams that are gone through when a store is
/// verified have a bit of their own in its place.
pub(crate) const VERSION_MAX: Version = Version::new(u64::MAX >> 1);

/// Why a record is refused with a larger one.
pub(crate) const VERSION_TOO_LARGE: &str = "an event's version is larger than one can be";

/// Adds the next event of a segment to its index, which believes the log that it goes on from those before.
pub(crate) fn add_record(
    index: &mut MemoryIndex,
    store_id: u64,
    file_offset: u64,
    record: &Record<'_>,
) -> Result<(), &'static str> {
    add_record_behind(index, store_id, file_offset, record, |_| {
        Ok(StreamBefore::trusting(record.event.version))
    })
}

/// Adds the next event of a segment to its index. `before` says what a stream was before the segment, by its key.
pub(crate) fn add_record_behind(
    index: &mut MemoryIndex,
    store_id: u64,
    file_offset: u64,
    record: &Record<'_>,
    before: impl FnOnce(StreamKey) -> Result<StreamBefore, &'static str>,
) -> Result<(), &'static str> {
    let event = &record.event;
    if event.position != index.next_position() {
        return Err("an event's position doesn't go on from the one before it");
    }
    if event.version > VERSION_MAX {
        return Err(VERSION_TOO_LARGE);
    }
    let key = StreamKey::of(event.stream, store_id);
    let id_hash = (record.id_origin == IdOrigin::Caller).then(|| match &event.id {
        EventIdRef::Uuid(uuid) => id_hash(uuid.as_bytes(), IdForm::Uuid, store_id),
        EventIdRef::Text(text) => id_hash(text.as_bytes(), IdForm::Text, store_id),
    });
    let indexed = MemoryEvent {
        key,
        category: category_of(event.stream.as_bytes()),
        event_type: event.event_type.as_bytes(),
        file_offset: offset_in_file(file_offset),
        version: event.version,
        timestamp: event.timestamp,
        id_hash,
    };
    index.add(&indexed, || {
        // A name that this version would refuse can only stand in a log that another program wrote.
        check_name("stream id", event.stream).map_err(|_| INVALID_NAME)?;
        before(key)
    })
}

/// A segment has less than 4 GiB.
pub(crate) fn offset_in_file(file_offset: u64) -> u32 {
    u32::try_from(file_offset).expect("options and commits bound a segment to less than 4 GiB")
}

/// Is told up to which place in its file a segment was read.
pub(crate) type Reached<'a> = &'a mut dyn FnMut(u64);

/// Indexes a whole segment that has a successor, from its log file alone.
pub(crate) fn index_sealed(segment: &Segment, reached: Reached<'_>) -> Result<(MemoryIndex, ChainEnd)> {
    let header = &segment.header;
    let mut index = MemoryIndex::new(segment_number(header.number), header.base, header.first_position);
    let end = visit_sealed(segment, &mut |file_offset, record| {
        reached(file_offset);
        add_record(&mut index, header.store_id, file_offset, record)
    })?;
    Ok((index, end))
}

/// Indexes what stands in a segment before `end`, where a frame ends, from its log file alone.
pub(crate) fn index_until(
    disk: &dyn Disk,
    store: &Path,
    number: u32,
    end: u64,
    reached: Reached<'_>,
) -> Result<(MemoryIndex, ChainEnd)> {
    let segment = Segment::open(disk, store, u64::from(number), OpenMode::Read)?;
    let header = &segment.header;
    let mut index = MemoryIndex::new(number, header.base, header.first_position);
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::new(&*segment.file, header).map_err(io)?;
    while scan.end().file_offset < end {
        let at = scan.end().file_offset;
        reached(at);
        let frame = scan.next_frame().map_err(io)?;
        let frame = frame.map_err(|stop| Error::corrupt(&segment.path, at, stop.reason, None))?;
        visit_frame(&segment, &frame, &mut |file_offset, record| {
            add_record(&mut index, header.store_id, file_offset, record)
        })?;
    }
    Ok((index, scan.end()))
}

/// A segment's number as indexes have it.
pub(crate) fn segment_number(number: u64) -> u32 {
    u32::try_from(number).expect("a segment header's number is bounded")
}
