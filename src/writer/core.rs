//! The writer without its thread and its clock: requests and a time in; one frame; answers out.
//!
//! A turn takes what waits, plans it commit by commit, stamps and writes one frame, syncs it if that is
//! promised, publishes it and answers. The thread drives it, and so does the simulation.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use crate::{
    committed::Committed,
    error::{Error, Result},
    format::{
        frame::FRAME_HEADER_BYTES,
        layout::bytes,
        record::{self, RecordEnd, Stamp},
    },
    index::tail::{IndexedEvent, id_hash},
    log::{
        fetch,
        segment::Segment,
        segmented_log::{LogFailure, SegmentedLog},
        window::Window,
    },
    options::Durability,
    position::{LogOffset, Position, Version},
    stream::StreamId,
    time::Timestamp,
    writer::{
        answer::Responder,
        plan::{Heads, KnownContent, KnownEvent, Plan, plan},
        request::{AppendKind, Appended, EncodedCommit},
    },
};

/// How much a frame takes of what waits, in bytes of payload; one larger commit has a frame of its own.
const FRAME_PAYLOAD_BYTES_TARGET: usize = 1 << 20;

/// A commit and whom to answer.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) commit: EncodedCommit,
    pub(crate) responder: Responder,
}

/// The writer's state between two frames.
#[derive(Debug)]
pub(crate) struct Core {
    log: SegmentedLog,
    committed: Arc<Committed>,
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
    /// The versions of the streams that are staged.
    versions: HashMap<StreamId, Version>,
    /// The hashes of the given ids that are staged.
    ids: HashSet<u64>,
    staged: Vec<Staged>,
    /// Answers that need no write; given with the frame's, since they may rest on what is staged.
    settled: Vec<(Responder, Result<Vec<Appended>>)>,
}

#[derive(Debug)]
struct Staged {
    commit: EncodedCommit,
    responder: Responder,
    /// Where its records begin in the buffer.
    start: usize,
    reached: Vec<Appended>,
}

impl Core {
    pub(crate) fn new(
        log: SegmentedLog,
        committed: Arc<Committed>,
        durability: Durability,
        last_timestamp: Timestamp,
    ) -> Self {
        Self { log, committed, durability, last_timestamp, failure: None, frame: Frame::default() }
    }

    /// The log, for the background's jobs.
    pub(crate) fn log(&self) -> &SegmentedLog {
        &self.log
    }

    /// How much was written and not synced, in bytes.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.log.unsynced_bytes()
    }

    /// Makes the store take no more appends, after a failure outside of a turn.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.failure.get_or_insert_with(|| failure_reason(error));
    }

    /// Takes as many of the waiting requests as make one frame, and answers them.
    pub(crate) fn turn(&mut self, waiting: &mut VecDeque<Request>, now: Timestamp) {
        if let Some(reason) = &self.failure {
            for request in waiting.drain(..) {
                request.responder.answer(Err(Error::Failed { reason: Arc::clone(reason) }));
            }
            return;
        }
        self.last_timestamp = self.last_timestamp.max(now);
        self.frame.begin(self.committed.head().next());
        self.stage(waiting);
        let outcome = if self.frame.staged.is_empty() { Ok(()) } else { self.write_frame() };
        match outcome {
            Ok(()) => self.frame.answer(),
            Err(LogFailure::Refused(error)) => self.frame.refuse(&error),
            Err(LogFailure::Final(error)) => {
                self.fail(&error);
                self.frame.fail(&error, &failure_reason(&error));
            }
        }
    }

    /// Ends the opening: everything is durable, and durable.mark says so.
    pub(crate) fn close(&mut self) -> Result<()> {
        match &self.failure {
            Some(reason) => Err(Error::Failed { reason: Arc::clone(reason) }),
            None => self.log.close(),
        }
    }

    fn stage(&mut self, waiting: &mut VecDeque<Request>) {
        while let Some(request) = waiting.pop_front() {
            let together = self.frame.payload_bytes() + request.commit.records.len();
            let is_full = !self.frame.staged.is_empty() && together > FRAME_PAYLOAD_BYTES_TARGET;
            if is_full || self.frame.has_an_id_of(&request.commit) {
                waiting.push_front(request);
                break;
            }
            let heads = StagedHeads { committed: &self.committed, versions: &self.frame.versions };
            match plan(&request.commit, &heads) {
                Err(error) => self.frame.settled.push((request.responder, Err(error))),
                Ok(Plan::Repeated(reached)) => self.frame.settled.push((request.responder, Ok(reached))),
                Ok(Plan::Write) => self.stage_commit(request),
            }
        }
    }

    /// Puts a planned commit into the frame.
    fn stage_commit(&mut self, request: Request) {
        let frame = &mut self.frame;
        let Request { commit, responder } = request;
        let start = frame.buffer.len();
        frame.buffer.extend_from_slice(&commit.records);
        let mut at = start;
        let mut reached = Vec::with_capacity(commit.appends.len());
        for append in commit.appends.iter().filter(|append| append.kind == AppendKind::Append) {
            let staged = frame.versions.get(&append.stream).copied();
            let version =
                staged.unwrap_or_else(|| self.committed.state().index.version(append.stream.as_str()));
            if append.events == 0 {
                reached.push(Appended::nothing(version));
                continue;
            }
            reached.push(Appended {
                first_version: version.next(),
                version: version.plus(append.events),
                first_position: frame.next_position,
                position: frame.next_position.plus(append.events - 1),
                repeated: false,
            });
            for number in 1..=append.events {
                let end = if number < append.events {
                    RecordEnd::None
                } else if append.records_end < commit.records.len() {
                    RecordEnd::Append
                } else {
                    RecordEnd::Commit
                };
                let length = record::length(&frame.buffer[at..]).expect("encoded by this program");
                let stamp = Stamp {
                    position: frame.next_position,
                    version: version.plus(number),
                    timestamp: self.last_timestamp,
                    end,
                };
                let encoded = &mut frame.buffer[at..at + length];
                record::stamp(encoded, &stamp);
                if let Some((id, form)) = record::given_id(encoded) {
                    frame.ids.insert(id_hash(append.stream.as_str(), id, form));
                }
                frame.next_position = frame.next_position.next();
                at += length;
            }
            frame.versions.insert(append.stream.clone(), version.plus(append.events));
        }
        if at == start {
            frame.settled.push((responder, Ok(reached)));
        } else {
            frame.staged.push(Staged { commit, responder, start, reached });
        }
    }

    fn write_frame(&mut self) -> Result<(), LogFailure> {
        let new_segments = self.log.prepare(self.frame.payload_bytes())?;
        if !new_segments.is_empty() {
            self.committed.publish(|state| state.segments.extend(new_segments));
        }
        let start = self.log.end_in_file();
        self.log.write_events(&mut self.frame.buffer, self.frame.next_position)?;
        if self.durability == Durability::Fsync {
            self.log.sync()?;
        }
        let segment = Arc::clone(self.log.active());
        segment.publish(self.log.end_in_file());
        self.publish(&segment, start);
        Ok(())
    }

    /// Shows readers the frame that was written at `start` in the segment.
    fn publish(&self, segment: &Segment, start: u64) {
        let frame = &self.frame;
        self.committed.publish(|state| {
            for staged in &frame.staged {
                let mut at = staged.start;
                let appends = staged.commit.appends.iter().filter(|append| append.kind == AppendKind::Append);
                for (append, reached) in appends.zip(&staged.reached) {
                    for number in 0..append.events {
                        let encoded = &frame.buffer[at..];
                        let place = segment.log_offset(start + bytes(at));
                        let event = IndexedEvent {
                            place,
                            position: reached.first_position.plus(number),
                            version: reached.first_version.plus(number),
                            timestamp: self.last_timestamp,
                        };
                        let name = append.stream.as_str();
                        let added = state.index.add(name, || append.stream.clone(), event);
                        added.expect("the plan numbers events as the index does");
                        if let Some((id, form)) = record::given_id(encoded) {
                            state.index.add_id(id_hash(name, id, form), place);
                        }
                        at += record::length(encoded).expect("encoded by this program");
                    }
                }
            }
        });
    }
}

impl Frame {
    fn begin(&mut self, next_position: Position) {
        self.buffer.clear();
        self.buffer.resize(FRAME_HEADER_BYTES, 0);
        self.next_position = next_position;
        self.versions.clear();
        self.ids.clear();
    }

    fn payload_bytes(&self) -> usize {
        self.buffer.len() - FRAME_HEADER_BYTES
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

    fn answer(&mut self) {
        for staged in self.staged.drain(..) {
            staged.responder.answer(Ok(staged.reached));
        }
        for (responder, outcome) in self.settled.drain(..) {
            responder.answer(outcome);
        }
    }

    /// Nothing was written: everyone is told why.
    fn refuse(&mut self, error: &Error) {
        for staged in self.staged.drain(..) {
            staged.responder.answer(Err(error.clone()));
        }
        for (responder, _) in self.settled.drain(..) {
            responder.answer(Err(error.clone()));
        }
    }

    /// What was written is unknown.
    fn fail(&mut self, error: &Error, reason: &Arc<str>) {
        let unknown = match error {
            Error::Io { action, path, source } => {
                Error::OutcomeUnknown { action, path: path.clone(), source: Arc::clone(source) }
            }
            other => other.clone(),
        };
        for staged in self.staged.drain(..) {
            staged.responder.answer(Err(unknown.clone()));
        }
        for (responder, _) in self.settled.drain(..) {
            responder.answer(Err(Error::Failed { reason: Arc::clone(reason) }));
        }
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
    committed: &'a Committed,
    versions: &'a HashMap<StreamId, Version>,
}

impl Heads for StagedHeads<'_> {
    fn version(&self, stream: &StreamId) -> Version {
        let staged = self.versions.get(stream).copied();
        staged.unwrap_or_else(|| self.committed.state().index.version(stream.as_str()))
    }

    fn find(&self, stream: &StreamId, record: &[u8]) -> Result<Option<KnownEvent>> {
        let Some((id, form)) = record::given_id(record) else { return Ok(None) };
        let state = self.committed.state();
        let mut found = Ok(None);
        let hash = id_hash(stream.as_str(), id, form);
        state.index.find_id(hash, |place: LogOffset| {
            let segment = state.segment_of(place);
            found = known_event(segment, place, stream, record);
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
