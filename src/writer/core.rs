//! The writer without its thread and its clock: requests and a time in; one frame; answers out.
//!
//! A turn takes what waits, plans it commit by commit, stamps and writes one frame, syncs it if that is
//! promised, publishes it and answers. The thread drives it, and so does the simulation.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use hashbrown::HashTable;

use crate::{
    committed::{Committed, CommittedState},
    error::{Error, Result},
    format::{
        frame::FRAME_HEADER_BYTES,
        layout::bytes,
        record::{self, RecordEnd, Stamp},
    },
    index::tail::{IndexedEvent, TailIndex, id_hash},
    log::{
        fetch,
        head::Head,
        segment::Segment,
        segmented_log::{LogFailure, SegmentedLog},
        window::Window,
    },
    options::Durability,
    position::{LogOffset, Position, Version},
    stream::StreamId,
    time::Timestamp,
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
    /// The hashes of the given ids that are staged.
    ids: HashSet<u64>,
    staged: Vec<Staged>,
    /// Answers that need no write; given with the frame's, since they may rest on what is staged.
    settled: Vec<(Request, Outcome)>,
}

/// How far a stream is behind what is staged.
#[derive(Debug)]
struct StagedHead {
    stream_hash: u64,
    stream: StreamId,
    version: Version,
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

    /// What is committed.
    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// The log, for the background's jobs.
    pub(crate) fn log(&self) -> &SegmentedLog {
        &self.log
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
        match &self.failure {
            Some(reason) => Err(Error::Failed { reason: Arc::clone(reason) }),
            None => self.log.close(),
        }
    }

    fn stage(&mut self, waiting: &mut VecDeque<Request>) {
        // Only this thread ever changes what is committed: holding it here holds up nobody.
        let state = self.committed.state();
        while let Some(request) = waiting.pop_front() {
            let together = self.frame.payload_bytes() + request.commit().records.len();
            let is_full = !self.frame.staged.is_empty() && together > FRAME_PAYLOAD_BYTES_TARGET;
            if is_full || self.frame.has_an_id_of(request.commit()) {
                waiting.push_front(request);
                break;
            }
            let planned = plan(request.commit(), &StagedHeads { state: &state, frame: &self.frame });
            match planned {
                Err(error) => self.frame.settled.push((request, Err(error))),
                Ok(Plan::Repeated(reached)) => self.frame.settled.push((request, Ok(reached))),
                Ok(Plan::Write) => self.frame.stage(request, &state, self.last_timestamp),
            }
        }
    }

    fn write_frame(&mut self) -> Result<(), FrameFailure> {
        let new_segments = self.log.prepare(self.frame.payload_bytes());
        let new_segments = new_segments.map_err(FrameFailure::before_the_frame)?;
        if !new_segments.is_empty() {
            self.committed.publish(|state| state.segments.extend(new_segments));
        }
        let start = self.log.end_in_file();
        self.log
            .write_events(&mut self.frame.buffer, self.frame.next_position)
            .map_err(FrameFailure::of_the_frame)?;
        if self.durability == Durability::Fsync {
            self.log.sync().map_err(FrameFailure::of_the_frame)?;
        }
        let segment = Arc::clone(self.log.active());
        segment.publish(self.log.end_in_file());
        self.publish(&segment, start);
        if let Some(head) = &self.head {
            head.publish(self.log.progress().written(), self.committed.head());
        }
        Ok(())
    }

    /// Shows readers the frame that was written at `start` in the segment.
    fn publish(&self, segment: &Segment, start: u64) {
        let frame = &self.frame;
        self.committed.publish(|state| {
            for staged in &frame.staged {
                let mut at = staged.start;
                for (append, reached) in staged.appends() {
                    if append.events > 0 && !append.stream.is_system() {
                        state.last_ordinary = reached.position;
                    }
                    for number in 0..append.events {
                        let place = segment.log_offset(start + bytes(at));
                        let event = IndexedEvent {
                            place,
                            position: reached.first_position.plus(number),
                            version: reached.first_version.plus(number),
                            timestamp: self.last_timestamp,
                        };
                        at += add_to_index(&mut state.index, append, event, &frame.buffer[at..]);
                    }
                }
            }
        });
    }
}

/// Adds an event to the index, whose record `encoded` begins with. Returns the record's length.
fn add_to_index(index: &mut TailIndex, append: &EncodedAppend, event: IndexedEvent, encoded: &[u8]) -> usize {
    let name = append.stream.as_str();
    let added = index.add(append.stream_hash, name, || append.stream.clone(), event);
    added.expect("the plan numbers events as the index does");
    if let Some((id, form)) = record::given_id(encoded) {
        index.add_id(id_hash(name, id, form), event.place);
    }
    record::length(encoded).expect("encoded by this program")
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

    /// The version of the append's stream, behind what is staged.
    fn version(&self, append: &EncodedAppend, state: &CommittedState) -> Version {
        let is_it = |head: &StagedHead| head.stream == append.stream;
        match self.heads.find(append.stream_hash, is_it) {
            Some(head) => head.version,
            None => state.index.version_at(append.stream_hash, append.stream.as_str()),
        }
    }

    fn set_version(&mut self, append: &EncodedAppend, version: Version) {
        let is_it = |head: &StagedHead| head.stream == append.stream;
        let entry = self.heads.entry(append.stream_hash, is_it, |head| head.stream_hash);
        let (stream_hash, stream) = (append.stream_hash, append.stream.clone());
        entry.insert(StagedHead { stream_hash, stream, version });
    }

    /// Puts a planned commit into the frame.
    fn stage(&mut self, request: Request, state: &CommittedState, timestamp: Timestamp) {
        let start = self.buffer.len();
        let commit = request.commit();
        self.buffer.extend_from_slice(&commit.records);
        let mut at = start;
        let mut reached = Reached::with_capacity(commit.appends.len());
        for append in commit.appends.iter().filter(|append| append.kind != AppendKind::Check) {
            let before = self.version(append, state);
            if append.events == 0 {
                reached.push(Appended::nothing(before));
                continue;
            }
            let end =
                if append.records_end < commit.records.len() { RecordEnd::Append } else { RecordEnd::Commit };
            let first_position = self.next_position;
            at = self.stamp_append(at, append, before, timestamp, end);
            reached.push(Appended::new(before, append.events, first_position));
            self.set_version(append, before.plus(append.events));
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
    ) -> usize {
        for number in 1..=append.events {
            let length = record::length(&self.buffer[at..]).expect("encoded by this program");
            let encoded = &mut self.buffer[at..at + length];
            let (position, version) = (self.next_position, before.plus(number));
            let end = if number < append.events { RecordEnd::None } else { end };
            record::stamp(encoded, &Stamp { position, version, timestamp, end });
            if let Some((id, form)) = record::given_id(encoded) {
                self.ids.insert(id_hash(append.stream.as_str(), id, form));
            }
            self.next_position = position.next();
            at += length;
        }
        at
    }

    /// Whether a commit has an id that is staged: it waits for the next frame, where the index knows it.
    fn has_an_id_of(&self, commit: &EncodedCommit) -> bool {
        !self.ids.is_empty()
            && commit.parts().filter(|(append, _)| append.given_ids > 0).any(|(append, records)| {
                record::split(records)
                    .filter_map(record::given_id)
                    .any(|(id, form)| self.ids.contains(&id_hash(append.stream.as_str(), id, form)))
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

/// The streams' versions as they are behind what is staged.
struct StagedHeads<'a> {
    state: &'a CommittedState,
    frame: &'a Frame,
}

impl Heads for StagedHeads<'_> {
    fn version(&self, append: &EncodedAppend) -> Version {
        self.frame.version(append, self.state)
    }

    fn find(&self, stream: &StreamId, record: &[u8]) -> Result<Option<KnownEvent>> {
        let Some((id, form)) = record::given_id(record) else { return Ok(None) };
        let mut found = Ok(None);
        let hash = id_hash(stream.as_str(), id, form);
        self.state.index.find_id(hash, |place: LogOffset| {
            found = known_event(self.state.segment_of(place), place, stream, record);
            !matches!(found, Ok(None))
        });
        found
    }
}

/// The event at a place, if it is the stream's and has the id of `record`.
fn known_event(
    segment: &Segment,
    place: LogOffset,
    stream: &StreamId,
    record: &[u8],
) -> Result<Option<KnownEvent>> {
    let mut window = Window::new(0);
    let (stored, stored_bytes) = fetch::record_at(segment, place, &mut window)?;
    let event = stored.event;
    if event.stream != stream.as_str() || record::given_id(stored_bytes) != record::given_id(record) {
        return Ok(None);
    }
    let is_same = record::same_content(stored_bytes, record);
    let content = if is_same { KnownContent::Same } else { KnownContent::Other };
    Ok(Some(KnownEvent { version: event.version, position: event.position, content }))
}
