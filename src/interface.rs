//! What a program asks of a store, as a trait: programs that are written against it run on any store that
//! implements it, such as one of their tests' own.

use crate::{
    error::Result,
    event::{EventData, StoredEvent},
    position::{ExpectedVersion, Position, Version},
    query::Query,
    stream::StreamId,
    stream_list::{StreamFilter, StreamInfo},
    writer::request::{Appended, Commit},
};

/// Events, one after the other, each of which may fail to be read.
pub type EventIterator<'a> = Box<dyn Iterator<Item = Result<StoredEvent>> + 'a>;

/// The operations of an event store. [`EventStore`](crate::EventStore) is one.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, Result, Store, StreamId};
///
/// fn open_account(store: &dyn Store, account: &StreamId) -> Result<()> {
///     let opened = EventData::new("AccountOpened", "{}");
///     store.append(account, ExpectedVersion::NoStream, vec![opened]).map(drop)
/// }
/// # let directory = tempfile::tempdir()?;
/// let store = EventStore::open(directory.path().join("bank"))?;
/// let account = StreamId::new("account-1")?;
/// open_account(&store, &account)?;
/// assert!(open_account(&store, &account).unwrap_err().is_conflict());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Store: Send + Sync {
    /// Appends events to a stream, all or none, and waits until they are stored. No events: only the expected
    /// version is checked.
    ///
    /// # Errors
    ///
    /// [`Error::VersionConflict`](crate::Error::VersionConflict) if the stream is at another version than
    /// expected, and whatever else keeps the store from storing.
    fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<EventData>,
    ) -> Result<Appended>;

    /// Appends to several streams and checks others, all or nothing. The outcome has an entry for each
    /// append.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    fn commit(&self, commit: Commit) -> Result<Vec<Appended>>;

    /// Reads a part of a stream. One that doesn't exist has no events.
    fn read_stream(&self, query: Query<Version>) -> EventIterator<'_>;

    /// Reads a part of all events, in the order of their commits.
    fn read_all(&self, query: Query<Position>) -> EventIterator<'_>;

    /// A stream's version: the number of its events; 0 if it doesn't exist.
    ///
    /// # Errors
    ///
    /// Whatever keeps the store from looking.
    fn stream_version(&self, stream: &StreamId) -> Result<Version>;

    /// What is known of the streams that a filter admits, sorted by name.
    ///
    /// # Errors
    ///
    /// Whatever keeps the store from looking.
    fn streams(&self, filter: &StreamFilter) -> Result<Vec<StreamInfo>>;

    /// The position of the last event; 0 if there is none.
    ///
    /// # Errors
    ///
    /// Whatever keeps the store from looking.
    fn last_position(&self) -> Result<Position>;
}
