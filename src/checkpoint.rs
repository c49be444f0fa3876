//! Checkpoints: how far a consumer has come, kept in the log itself.
//!
//! A checkpoint is the last event of a stream of the store's own, `$checkpoint-NAME`. So it is as durable as the
//! events, recovered with them, seen by followers, and written in one commit with what the consumer has made.

use serde::{Deserialize, Serialize};

use crate::{
    cursor::Cursor,
    event::{ContentType, EventData, EventRef},
    invalid::Invalid,
    position::Position,
    stream::{NAME_BYTES_MAX, StreamId, check_name},
    time::Timestamp,
};

/// The category of the streams that hold checkpoints.
pub(crate) const CHECKPOINT_CATEGORY: &str = "$checkpoint";

pub(crate) const CHECKPOINT_PREFIX: &str = "$checkpoint-";
const SAVED: &str = "$CheckpointSaved";
const DELETED: &str = "$CheckpointDeleted";

/// How far a consumer has come: the place in the log that it saved last.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its name, which the consumer gave it.
    pub name: String,
    /// The last event that was dealt with.
    pub cursor: Cursor,
    /// When it was saved.
    pub saved: Timestamp,
}

/// The payload of `$CheckpointSaved`.
#[derive(Serialize, Deserialize)]
struct Saved {
    position: u64,
    /// Eight hexadecimal digits, as in a cursor's text.
    checksum: String,
}

/// The stream of a checkpoint. Its name is a name like that of a stream, shorter by the prefix.
pub(crate) fn checkpoint_stream(name: &str) -> Result<StreamId, Invalid> {
    const NAME: &str = "checkpoint name";
    check_name(NAME, name)?;
    let bytes_max = NAME_BYTES_MAX - CHECKPOINT_PREFIX.len();
    if name.len() > bytes_max {
        return Err(Invalid::too_large(NAME, name, name.len(), bytes_max));
    }
    StreamId::new(format!("{CHECKPOINT_PREFIX}{name}"))
}

/// The event that saves a checkpoint.
pub(crate) fn checkpoint_saved(cursor: Cursor) -> Result<EventData, Invalid> {
    let (position, checksum) = (cursor.position.get(), format!("{:08x}", cursor.checksum));
    EventData::json(SAVED, &Saved { position, checksum })
}

/// The event that deletes a checkpoint.
pub(crate) fn checkpoint_deleted() -> EventData {
    EventData::new(DELETED, "{}").with_content_type(ContentType::JSON)
}

/// The checkpoint that its stream's last event says; none if that deletes it.
pub(crate) fn checkpoint_of(event: &EventRef<'_>) -> Result<Option<Checkpoint>, Invalid> {
    let name = event.stream.strip_prefix(CHECKPOINT_PREFIX).unwrap_or(event.stream);
    match event.event_type {
        DELETED => Ok(None),
        SAVED => {
            let saved: Saved = event.json()?;
            let cursor: Cursor = format!("{}:{}", Position::new(saved.position), saved.checksum).parse()?;
            Ok(Some(Checkpoint { name: name.to_owned(), cursor, saved: event.timestamp }))
        }
        other => Err(Invalid::new("event of a checkpoint", other, "this version doesn't know its type")),
    }
}
