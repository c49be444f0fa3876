//! What appends: the store, and what works beside it for as long as it is open. Every commit passes here.

use std::sync::Arc;

use crate::{
    committed::Committed,
    companions::Companions,
    error::Result,
    event::EventData,
    event_id::IdGenerator,
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
    entrance: Entrance,
    companions: Arc<Companions>,
}

impl Appender {
    pub(crate) fn new(
        committed: Arc<Committed>,
        reader: Reader,
        ids: Arc<dyn IdGenerator>,
        entrance: Entrance,
    ) -> Self {
        Self { committed, reader, ids, entrance, companions: Arc::default() }
    }

    /// Hands an append to one stream over.
    pub(crate) fn submit(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: impl IntoIterator<Item = EventData>,
        when_full: WhenFull,
    ) -> Result<PendingAppend> {
        let commit = EncodedCommit::single(stream, expected, events, &*self.ids, self.committed.store_id())?;
        self.entrance.submit(commit, when_full).map(PendingAppend)
    }

    /// Hands a commit over; blocks while the queue is full.
    pub(crate) fn submit_commit(&self, commit: Commit) -> Result<PendingCommit> {
        for (_, cursor) in commit.checkpoints() {
            self.reader.check_cursor(cursor)?;
        }
        let commit = commit.encode(&*self.ids, self.committed.store_id())?;
        self.entrance.submit(commit, WhenFull::Wait).map(PendingCommit)
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

    /// Those who end before the store closes.
    pub(crate) fn companions(&self) -> &Arc<Companions> {
        &self.companions
    }
}
