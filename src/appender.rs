//! What appends: the store, and what works beside it for as long as it is open. Every commit passes here.

use std::sync::Arc;

use crate::{
    committed::Committed,
    companions::Companions,
    error::Result,
    event::EventData,
    event_id::IdGenerator,
    event_type_definition::{EventTypeDefinition, Registration, RegistrationOutcome, event_types_stream},
    event_types::EventTypes,
    position::ExpectedVersion,
    reader::Reader,
    stream::StreamId,
    writer::{
        answer::{PendingAppend, PendingCommit},
        request::{Appended, Commit, EncodedCommit},
        thread::{Entrance, WhenFull},
    },
};

/// Appends to a store. It doesn't keep the store open: when that is closed, it refuses.
#[derive(Clone, Debug)]
pub(crate) struct Appender {
    committed: Arc<Committed>,
    reader: Reader,
    ids: Arc<dyn IdGenerator>,
    event_types: Arc<EventTypes>,
    entrance: Entrance,
    companions: Arc<Companions>,
}

impl Appender {
    pub(crate) fn new(
        committed: Arc<Committed>,
        reader: Reader,
        ids: Arc<dyn IdGenerator>,
        event_types: EventTypes,
        entrance: Entrance,
    ) -> Self {
        let (event_types, companions) = (Arc::new(event_types), Arc::default());
        Self { committed, reader, ids, event_types, entrance, companions }
    }

    /// Hands an append to one stream over.
    pub(crate) fn submit(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = EventData>,
        when_full: WhenFull,
    ) -> Result<PendingAppend> {
        let commit = match self.event_types.inspect(stream, &self.committed) {
            None => self.encode(stream, expected, events),
            Some(mut inspection) => {
                let admitted = events.into_iter().take_while(|event| inspection.admits(event));
                let commit = self.encode(stream, expected, admitted);
                inspection.conclude()?;
                commit
            }
        };
        self.entrance.submit(commit?, when_full).map(PendingAppend)
    }

    fn encode(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = EventData>,
    ) -> Result<EncodedCommit> {
        EncodedCommit::single(stream, expected, events, &*self.ids, self.committed.store_id())
    }

    /// Hands a commit over; blocks while the queue is full.
    pub(crate) fn submit_commit(&self, commit: Commit) -> Result<PendingCommit> {
        for (_, cursor) in commit.checkpoints() {
            self.reader.check_cursor(cursor)?;
        }
        self.inspect(&commit)?;
        let commit = commit.encode(&*self.ids, self.committed.store_id())?;
        self.entrance.submit(commit, WhenFull::Wait).map(PendingCommit)
    }

    /// Holds a commit's events to what is registered of their types.
    fn inspect(&self, commit: &Commit) -> Result<()> {
        for (stream, _, events) in commit.parts() {
            let Some(events) = events else { continue };
            let Some(mut inspection) = self.event_types.inspect(stream, &self.committed) else {
                return Ok(());
            };
            for event in events {
                if !inspection.admits(event) {
                    break;
                }
            }
            inspection.conclude()?;
        }
        Ok(())
    }

    /// Registers a version of an event type, and waits until that is stored.
    pub(crate) fn register(&self, definition: &EventTypeDefinition) -> Result<Registration> {
        let mut known = self.event_types.lock()?;
        let (registration, event) = known.decide(definition)?;
        if registration.outcome == RegistrationOutcome::Repeated {
            return Ok(registration);
        }
        self.commit(Commit::new().system(&event_types_stream()?, known.version(), event))?;
        self.event_types.catch_up(&mut known, &self.reader)?;
        Ok(registration)
    }

    /// Commits, and waits until it is stored.
    pub(crate) fn commit(&self, commit: Commit) -> Result<Vec<Appended>> {
        self.submit_commit(commit)?.wait()
    }

    /// What reads the store.
    pub(crate) fn reader(&self) -> &Reader {
        &self.reader
    }

    /// What is committed.
    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Whether this is the process that opened the store, and no child that was forked from it.
    pub(crate) fn is_at_home(&self) -> bool {
        self.entrance.is_at_home()
    }

    /// Those who end before the store closes.
    pub(crate) fn companions(&self) -> &Arc<Companions> {
        &self.companions
    }
}
