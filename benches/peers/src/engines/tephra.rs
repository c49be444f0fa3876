//! tephra, an event store. It has no streams: an event's tag is its stream's name, and an append fails if
//! any event with this tag has come since the last one that its caller knows. It groups commits by itself,
//! and has no buffered mode. Id, time, version and metadata stand before the data in its payload.

use std::path::Path;

use tephra::{
    AppendCondition, AppendError, Event, EventType, Position, Query, QueryItem, ReadHandle, SegmentConfig,
    SegmentSet, Tag, Tags, WriteCoordinator, WriteHandle, WriterConfig,
};

use super::{Engine, PerStream, Reader, Writer, conflict, record};
use crate::{
    Outcome,
    payload::{EVENT_TYPE, METADATA, NewEvent, Stream, Tally},
};

/// As large as those of Annals.
const SEGMENT_BYTES: usize = 64 << 20;

/// How many appends `submit` hands over before it waits for the first.
const IN_FLIGHT: usize = 1_024;

/// Id, time, version and the length of the metadata.
const PREFIX_BYTES: usize = 16 + 8 + 8 + 4;

pub(super) struct Tephra {
    coordinator: WriteCoordinator,
    handle: WriteHandle,
}

impl Tephra {
    pub(super) fn open(directory: &Path) -> Outcome<Self> {
        let set = SegmentSet::open(directory, SegmentConfig::new(SEGMENT_BYTES))?;
        let (coordinator, handle) = WriteCoordinator::start(set, WriterConfig::default())?;
        Ok(Self { coordinator, handle })
    }
}

impl Engine for Tephra {
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>> {
        let (reply, replies) = flume::unbounded();
        Ok(Box::new(TephraWriter {
            handle: self.handle.clone(),
            event_type: EventType::new(EVENT_TYPE)?,
            known: PerStream::new(),
            payload: Vec::new(),
            reply,
            replies,
            under_way: 0,
        }))
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(TephraReader { handle: self.handle.reader(), queries: PerStream::new() }))
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        drop(self.handle);
        drop(self.coordinator.shutdown());
        Ok(())
    }
}

struct TephraWriter {
    handle: WriteHandle,
    event_type: EventType,
    known: PerStream<Known>,
    payload: Vec<u8>,
    /// Where the answers to what was submitted come from; a token is a stream's number.
    reply: tephra::writer::AppendReply,
    replies: flume::Receiver<(u64, Result<tephra::PositionRange, tephra::AppendError>)>,
    under_way: usize,
}

/// What a caller knows of a stream.
struct Known {
    tags: Tags,
    query: Query,
    last: Position,
    version: u64,
    /// Whether an append was handed over whose positions aren't known yet, so that no other can name them.
    is_under_way: bool,
}

impl Known {
    fn new(name: &str) -> Outcome<Self> {
        let tags = Tags::new([Tag::new(name)?])?;
        let query = Query::item(QueryItem::with_tags(tags.clone()));
        Ok(Self { tags, query, last: Position::ZERO, version: 0, is_under_way: false })
    }
}

impl TephraWriter {
    /// What is appended, and the condition: nothing with this tag behind the last that is known.
    fn prepare(
        &mut self,
        stream: &Stream,
        expected: u64,
        events: &[NewEvent],
    ) -> Outcome<(Vec<Event>, AppendCondition)> {
        let known = self.known.get_or_make(stream, Known::new)?;
        if known.version != expected {
            return Err(conflict(stream, expected));
        }
        let time = record::now_micros()?;
        let mut encoded = Vec::with_capacity(events.len());
        for event in events {
            known.version += 1;
            self.payload.clear();
            self.payload.extend_from_slice(&event.id);
            self.payload.extend_from_slice(&time.to_le_bytes());
            self.payload.extend_from_slice(&known.version.to_le_bytes());
            self.payload.extend_from_slice(&u32::try_from(METADATA.len())?.to_le_bytes());
            self.payload.extend_from_slice(METADATA);
            self.payload.extend_from_slice(event.data());
            encoded.push(Event::new(&self.event_type, &known.tags, &self.payload)?);
        }
        Ok((encoded, AppendCondition::new(known.query.clone()).after(known.last)))
    }

    fn take_reply(&mut self) -> Outcome<()> {
        let (token, outcome) = self.replies.recv()?;
        self.under_way -= 1;
        let known = self.known.0.get_mut(usize::try_from(token)?).and_then(Option::as_mut);
        let known = known.ok_or("an answer for a stream that isn't known")?;
        (known.last, known.is_under_way) = (outcome?.last, false);
        Ok(())
    }
}

impl Writer for TephraWriter {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        let (events, condition) = self.prepare(stream, expected, events)?;
        let range = self.handle.append(events, Some(condition)).map_err(|error| match error {
            AppendError::Conflict { .. } => conflict(stream, expected),
            error => error.into(),
        })?;
        self.known.get_or_make(stream, Known::new)?.last = range.last;
        Ok(())
    }

    fn submit(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        while self.under_way == IN_FLIGHT || self.known.get_or_make(stream, Known::new)?.is_under_way {
            self.take_reply()?;
        }
        let (events, condition) = self.prepare(stream, expected, events)?;
        self.handle.append_submit(events, Some(condition), stream.number, self.reply.clone())?;
        self.known.get_or_make(stream, Known::new)?.is_under_way = true;
        self.under_way += 1;
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        while self.under_way > 0 {
            self.take_reply()?;
        }
        Ok(())
    }
}

struct TephraReader {
    handle: ReadHandle,
    queries: PerStream<Query>,
}

impl Reader for TephraReader {
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()> {
        let query = self.queries.get_or_make(stream, |name| Ok(Known::new(name)?.query))?;
        let mut events = self.handle.read(query, Position::ZERO, None);
        while let Some(event) = events.next() {
            let event = event?.event;
            let (prefix, rest) =
                event.data().split_at_checked(PREFIX_BYTES).ok_or("a payload is too short")?;
            let version = u64::from_le_bytes(prefix[24..32].try_into()?);
            count(event.event_type(), version, prefix, rest, tally)?;
        }
        Ok(())
    }

    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()> {
        let mut events = self.handle.read(&Query::all(), Position::ZERO, None);
        while let Some(event) = events.next() {
            let (position, event) = event.map(|found| (found.position, found.event))?;
            let (prefix, rest) =
                event.data().split_at_checked(PREFIX_BYTES).ok_or("a payload is too short")?;
            count(event.event_type(), position.get(), prefix, rest, tally)?;
        }
        Ok(())
    }
}

fn count(event_type: &str, number: u64, prefix: &[u8], rest: &[u8], tally: &mut Tally) -> Outcome<()> {
    let metadata_length = u32::from_le_bytes(prefix[32..36].try_into()?);
    let (metadata, data) =
        rest.split_at_checked(usize::try_from(metadata_length)?).ok_or("metadata are too long")?;
    tally.add(number, event_type.as_bytes(), metadata, data);
    Ok(())
}
