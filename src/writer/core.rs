//! The writer without its thread and its clock: requests and a time in; one frame; answers out.
//!
//! A turn takes what waits, plans it commit by commit, stamps and writes one frame, syncs it if that is
//! promised, publishes it and answers. The thread drives it, and so does the simulation.

use std::{
    collections::{HashSet, VecDeque},
    path::Path,
    sync::Arc,
};

use hashbrown::{HashTable, hash_table::Entry};

use crate::{
    committed::Committed,
    error::{Error, Result},
    format::{
        frame::FRAME_HEADER_BYTES,
        layout::bytes,
        record::{self, RecordEnd, Stamp},
    },
    index::{
        key::{StreamKey, id_hash},
        memory::{MemoryEvent, MemoryIndex, StreamBefore},
        scanning::{offset_in_file, segment_number},
    },
    indexing::index_active_segment,
    log::{
        fetch,
        head::Head,
        segmented_log::{LogFailure, SegmentedLog},
        view::SegmentView,
        window::Window,
    },
    options::Durability,
    position::{LogOffset, Position, Version},
    stream::{StreamId, category_of},
    time::Timestamp,
    trace,
    writer::{
        answer::{Outcome, Request},
        plan::{Heads, KnownContent, KnownEvent, Plan, plan},
        request::{AppendKind, Appended, EncodedAppend, EncodedCommit, Reached},
    },
};

/// How much a frame takes of what waits, in bytes of payload; one larger commit has a frame of its own.
const FRAME_PAYLOAD_BYTES_TARGET: usize = 1 << 20;

/// Whether the first of the waiting requests make a frame, whatever comes behind them.
pub(crate) fn fill_a_frame(waiting: &VecDeque<Request>) -> bool {
    let mut payload_bytes = 0;
    waiting.iter().any(|request| {
        payload_bytes += request.commit().records.len();
        payload_bytes >= FRAME_PAYLOAD_BYTES_TARGET
    })
}

/// The writer's state between two frames.
#[derive(Debug)]
pub(crate) struct Core {
    log: SegmentedLog,
    committed: Arc<Committed>,
    /// None where other processes can't be told.
    head: Option<Head>,
    durability: Durability,
    last_timestamp: Timestamp,
    failure: Option<Arc<str>>,
    frame: Frame,
}

/// One frame on its way: what is staged in it, and whom to answer. Kept between turns for its memory.
#[derive(Debug, Default)]
struct Frame {
    /// Room for the header, and the staged records.
    buffer: Vec<u8>,
    next_position: Position,
    /// The streams that are staged.
    heads: HashTable<StagedHead>,
    /// The given ids that are staged: the hashes of stream and id.
    ids: HashSet<(u64, u32)>,
    staged: Vec<Staged>,
    /// Answers that need no write; given with the frame's, since they may rest on what is staged.
    settled: Vec<(Request, Outcome)>,
}

/// How far a stream is behind what is staged. Streams that were only looked at are there too.
#[derive(Debug)]
struct StagedHead {
    key: StreamKey,
    stream: StreamId,
    version: Version,
    /// What the stream was before the tail, if the tail hasn't got it.
    before: Option<StreamBefore>,
}

#[derive(Debug)]
struct Staged {
    request: Request,
    /// Where its records begin in the buffer.
    start: usize,
    reached: Reached,
}

/// Why a frame wasn't stored.
enum FrameFailure {
    /// The disk is full: the store goes on.
    Refused(Error),
    /// Something failed before the frame was written: the store is done, and nothing of the frame is there.
    NotWritten(Error),
    /// The frame may be stored or not.
    Unknown(Error),
}

impl FrameFailure {
    fn before_the_frame(failure: LogFailure) -> Self {
        match failure {
            LogFailure::Refused(error) => Self::Refused(error),
            LogFailure::Final(error) => Self::NotWritten(error),
        }
    }

    fn of_the_frame(failure: LogFailure) -> Self {
        match failure {
            LogFailure::Refused(error) => Self::Refused(error),
            LogFailure::Final(error) => Self::Unknown(error),
        }
    }
}

impl Core {
    pub(crate) fn new(
        log: SegmentedLog,
        committed: Arc<Committed>,
        head: Option<Head>,
        durability: Durability,
        last_timestamp: Timestamp,
    ) -> Self {
        Self { log, committed, head, durability, last_timestamp, failure: None, frame: Frame::default() }
    }

    /// The log, for the background's jobs.
    pub(crate) fn log(&self) -> &SegmentedLog {
        &self.log
    }

    /// What is committed.
    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Makes the store take no more appends, after a failure outside of a turn.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.log.progress().fail();
        self.failure.get_or_insert_with(|| failure_reason(error));
    }

    /// Takes as many of the waiting requests as make one frame, and answers them.
    pub(crate) fn turn(&mut self, waiting: &mut VecDeque<Request>, now: Timestamp) {
        if let Some(reason) = &self.failure {
            for request in waiting.drain(..) {
                request.answer(Err(Error::Failed { reason: Arc::clone(reason) }));
            }
            return;
        }
        self.last_timestamp = self.last_timestamp.max(now);
        self.frame.begin(self.committed.head().next());
        self.stage(waiting);
        let outcome = if self.frame.staged.is_empty() { Ok(()) } else { self.write_frame() };
        match outcome {
            Ok(()) => self.frame.answer(),
            Err(failure) => self.fail_frame(failure),
        }
    }

    fn fail_frame(&mut self, failure: FrameFailure) {
        let (told, error) = match failure {
            FrameFailure::Refused(error) => return self.frame.fail(&error, &error),
            FrameFailure::NotWritten(error) => (error.clone(), error),
            FrameFailure::Unknown(error) => (unknown_outcome(&error), error),
        };
        self.fail(&error);
        self.frame.fail(&told, &Error::Failed { reason: failure_reason(&error) });
    }

    /// Ends the opening: everything is durable, and durable.mark says so.
    pub(crate) fn close(&mut self) -> Result<()> {
        if let Some(reason) = &self.failure {
            return Err(Error::Failed { reason: Arc::clone(reason) });
        }
        self.log.close()?;
        self.index_at_end();
        Ok(())
    }

    /// Makes the index files that the next opening looks for. Without them it reads the log.
    fn index_at_end(&self) {
        if let Err(error) = index_active_segment(&self.committed, &self.log.end()) {
            trace::warn("the index isn't written", Path::new("the store"), format_args!("{error}"));
        }
    }

    fn stage(&mut self, waiting: &mut VecDeque<Request>) {
        let store_id = self.store_id();
        while let Some(request) = waiting.pop_front() {
            let together = self.frame.payload_bytes() + request.commit().records.len();
            let is_full = !self.frame.staged.is_empty() && together > FRAME_PAYLOAD_BYTES_TARGET;
            if is_full || self.frame.has_an_id_of(request.commit(), store_id) {
                waiting.push_front(request);
                break;
            }
            let mut heads = StagedHeads { committed: &self.committed, frame: &mut self.frame };
            match plan(request.commit(), &mut heads) {
                Err(error) => self.frame.settled.push((request, Err(error))),
                Ok(Plan::Repeated(reached)) => self.frame.settled.push((request, Ok(reached))),
                Ok(Plan::Write) => self.frame.stage(request, self.last_timestamp, store_id),
            }
        }
    }

    fn write_frame(&mut self) -> Result<(), FrameFailure> {
        let changes = self.log.prepare(self.frame.payload_bytes());
        for change in changes.map_err(FrameFailure::before_the_frame)? {
            self.frame.forget_tail(&self.committed.state().tail, segment_number(change.sealed_number()));
            self.committed.change_segment(change);
        }
        let start = self.log.end_in_file();
        self.log
            .write_events(&mut self.frame.buffer, self.frame.next_position)
            .map_err(FrameFailure::of_the_frame)?;
        if self.durability == Durability::Fsync {
            self.log.sync().map_err(FrameFailure::of_the_frame)?;
        }
        self.log.active().publish(self.log.end_in_file());
        self.publish(start);
        if let Some(head) = &self.head {
            head.publish(self.log.progress().written(), self.committed.head());
        }
        Ok(())
    }

    /// Shows readers the frame that was written at `start` in the active segment.
    fn publish(&self, start: u64) {
        let frame = &self.frame;
        let store_id = self.store_id();
        self.committed.publish(|state| {
            for staged in &frame.staged {
                let mut at = staged.start;
                for (append, reached) in staged.appends() {
                    let before = frame.head(append).and_then(|head| head.before).unwrap_or_default();
                    if append.events > 0 && !append.stream.is_system() {
                        state.last_ordinary = reached.position;
                    }
                    let category = category_of(append.stream.as_str().as_bytes());
                    for number in 0..append.events {
                        let encoded = &frame.buffer[at..];
                        let event = MemoryEvent {
                            key: append.key,
                            category,
                            event_type: record::event_type(encoded),
                            file_offset: offset_in_file(start + bytes(at)),
                            version: reached.first_version.plus(number),
                            timestamp: self.last_timestamp,
                            id_hash: record::given_id(encoded).map(|(id, form)| id_hash(id, form, store_id)),
                        };
                        let added = state.tail.add(&event, || Ok(before));
                        added.expect("the plan numbers events as the index does");
                        at += record::length(encoded).expect("encoded by this program");
                    }
                }
            }
        });
    }

    fn store_id(&self) -> u64 {
        self.committed.store_id()
    }
}

impl Staged {
    /// The appends that are written, and what they reach.
    fn appends(&self) -> impl Iterator<Item = (&EncodedAppend, &Appended)> {
        let appends = self.request.commit().appends.iter();
        appends.filter(|append| append.kind != AppendKind::Check).zip(&self.reached)
    }
}

impl Frame {
    fn begin(&mut self, next_position: Position) {
        self.buffer.clear();
        self.buffer.resize(FRAME_HEADER_BYTES, 0);
        self.next_position = next_position;
        self.heads.clear();
        self.ids.clear();
    }

    fn payload_bytes(&self) -> usize {
        self.buffer.len() - FRAME_HEADER_BYTES
    }

    /// What is known of the append's stream, behind what is staged.
    fn head(&self, append: &EncodedAppend) -> Option<&StagedHead> {
        self.heads.find(append.key.hash, |head| head.stream == append.stream)
    }

    /// The same, looked up if it isn't known yet.
    fn head_or_look_up(&mut self, append: &EncodedAppend, committed: &Committed) -> Result<&mut StagedHead> {
        let is_it = |head: &StagedHead| head.stream == append.stream;
        match self.heads.entry(append.key.hash, is_it, |head| head.key.hash) {
            Entry::Occupied(occupied) => Ok(occupied.into_mut()),
            Entry::Vacant(vacant) => {
                let stream = append.stream.clone();
                let (version, before) = committed
                    .stream_end(append.key)?
                    .ok_or_else(|| Error::NameTaken { stream: stream.clone() })?;
                let head = StagedHead { key: append.key, stream, version, before };
                Ok(vacant.insert(head).into_mut())
            }
        }
    }

    /// The tail of the index becomes that of another segment: streams that it had go on from there.
    fn forget_tail(&mut self, tail: &MemoryIndex, segment: u32) {
        for head in &mut self.heads {
            if let Some(version) = tail.version(head.key) {
                head.before = Some(StreamBefore { version, latest: segment });
            }
        }
    }

    /// Puts a planned commit into the frame.
    fn stage(&mut self, request: Request, timestamp: Timestamp, store_id: u64) {
        let start = self.buffer.len();
        let commit = request.commit();
        self.buffer.extend_from_slice(&commit.records);
        let mut at = start;
        let mut reached = Reached::with_capacity(commit.appends.len());
        for append in commit.appends.iter().filter(|append| append.kind != AppendKind::Check) {
            let head = self.heads.find_mut(append.key.hash, |head| head.stream == append.stream);
            let head = head.expect("the plan looked at the stream's version");
            let before = head.version;
            if append.events == 0 {
                reached.push(Appended::nothing(before));
                continue;
            }
            head.version = before.plus(append.events);
            let end =
                if append.records_end < commit.records.len() { RecordEnd::Append } else { RecordEnd::Commit };
            let first_position = self.next_position;
            at = self.stamp_append(at, append, before, timestamp, end, store_id);
            reached.push(Appended::new(before, append.events, first_position));
        }
        if at == start {
            self.settled.push((request, Ok(reached)));
        } else {
            self.staged.push(Staged { request, start, reached });
        }
    }

    /// Stamps the records of an append, which stand at `at`, and returns where they end.
    fn stamp_append(
        &mut self,
        mut at: usize,
        append: &EncodedAppend,
        before: Version,
        timestamp: Timestamp,
        end: RecordEnd,
        store_id: u64,
    ) -> usize {
        for number in 1..=append.events {
            let length = record::length(&self.buffer[at..]).expect("encoded by this program");
            let encoded = &mut self.buffer[at..at + length];
            let (position, version) = (self.next_position, before.plus(number));
            let end = if number < append.events { RecordEnd::None } else { end };
            record::stamp(encoded, &Stamp { position, version, timestamp, end });
            if let Some((id, form)) = record::given_id(encoded) {
                self.ids.insert((append.key.hash, id_hash(id, form, store_id)));
            }
            self.next_position = position.next();
            at += length;
        }
        at
    }

    /// Whether a commit has an id that is staged: it waits for the next frame, where the index knows it.
    fn has_an_id_of(&self, commit: &EncodedCommit, store_id: u64) -> bool {
        !self.ids.is_empty()
            && commit.parts().filter(|(append, _)| append.given_ids > 0).any(|(append, records)| {
                record::split(records)
                    .filter_map(record::given_id)
                    .any(|(id, form)| self.ids.contains(&(append.key.hash, id_hash(id, form, store_id))))
            })
    }

    /// The frame is stored: everyone hears what was reached.
    fn answer(&mut self) {
        for Staged { request, mut reached, .. } in self.staged.drain(..) {
            reached.truncate(request.commit().answers());
            request.answer(Ok(reached));
        }
        for (request, outcome) in self.settled.drain(..) {
            request.answer(outcome);
        }
    }

    /// The frame is not stored: those who are in it hear of one error, the others of another.
    fn fail(&mut self, staged: &Error, settled: &Error) {
        for Staged { request, .. } in self.staged.drain(..) {
            request.answer(Err(staged.clone()));
        }
        for (request, _) in self.settled.drain(..) {
            request.answer(Err(settled.clone()));
        }
    }
}

/// What callers hear whose events may be stored or not.
fn unknown_outcome(error: &Error) -> Error {
    match error {
        Error::Io { action, path, source } => {
            Error::OutcomeUnknown { action, path: path.clone(), source: Arc::clone(source) }
        }
        other => other.clone(),
    }
}

fn failure_reason(error: &Error) -> Arc<str> {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}").into(),
        None => error.to_string().into(),
    }
}

/// The streams as they are behind what is staged.
struct StagedHeads<'a> {
    committed: &'a Committed,
    frame: &'a mut Frame,
}

impl Heads for StagedHeads<'_> {
    fn version(&mut self, append: &EncodedAppend) -> Result<Version> {
        self.frame.head_or_look_up(append, self.committed).map(|head| head.version)
    }

    fn find(&mut self, append: &EncodedAppend, record: &[u8]) -> Result<Option<KnownEvent>> {
        let Some((id, form)) = record::given_id(record) else { return Ok(None) };
        let hash = id_hash(id, form, self.committed.store_id());
        self.committed
            .find_id(append.key, hash, &mut |view, place| known_event(view, place, &append.stream, record))
    }
}

/// The event at a place, if it is the stream's and has the id of `record`.
fn known_event(
    segment: &SegmentView,
    place: LogOffset,
    stream: &StreamId,
    record: &[u8],
) -> Result<Option<KnownEvent>> {
    let mut window = Window::new(0);
    let record::Record { event, bytes, .. } = fetch::record_at(segment, place, &mut window)?;
    if event.stream != stream.as_str() || record::given_id(bytes) != record::given_id(record) {
        return Ok(None);
    }
    let is_same = record::same_content(bytes, record);
    let content = if is_same { KnownContent::Same } else { KnownContent::Other };
    Ok(Some(KnownEvent { version: event.version, position: event.position, content }))
}
