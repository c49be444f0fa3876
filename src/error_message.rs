//! What each error says: what, where, and what to do.

use std::{fmt, path::Path};

use crate::{
    backup_error::BACKUP_MANIFEST,
    cursor::Cursor,
    error::{Error, HELD_HERE},
    position::{ExpectedVersion, Position, Version},
    stream::StreamId,
};

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VersionConflict { stream, expected, actual } => {
                formatter.write_str(&conflict_message(stream, *expected, *actual))
            }
            Self::PartialRepeat { .. }
            | Self::IdTaken { .. }
            | Self::IdTwice { .. }
            | Self::MixedRepeat { .. } => self.fmt_of_repeat(formatter),
            Self::StreamTwice { stream } => write!(
                formatter,
                "stream \"{stream}\" stands twice in one commit: put its events into one append"
            ),
            Self::ReservedStream { stream } => write!(
                formatter,
                "stream \"{stream}\" can't be appended to: names that begin with '$' are the store's own"
            ),
            Self::NameTaken { stream } => write!(
                formatter,
                "stream \"{stream}\" can't be made: the hash of its name is another stream's; choose another name"
            ),
            Self::Invalid(invalid) => invalid.fmt(formatter),
            Self::Backup(backup) => backup.fmt(formatter),
            Self::SchemaViolation(_) | Self::EventTypeConflict { .. } => self.fmt_of_type(formatter),
            Self::StreamNotFound { stream } => {
                write!(formatter, "stream \"{stream}\" doesn't exist: it has no event")
            }
            Self::CursorMismatch { cursor, found, last_position } => {
                formatter.write_str(&mismatch_message(*cursor, *found, *last_position))
            }
            Self::UnknownSchemaVersion { .. } | Self::UpcastFailed { .. } => self.fmt_of_upcast(formatter),
            Self::CheckpointNotFound { name } => {
                write!(formatter, "there is no checkpoint {name:?}: it was never saved, or is deleted")
            }
            Self::SnapshotAhead { stream, version, actual } => write!(
                formatter,
                "a snapshot of stream \"{stream}\" at version {version} is ahead of it: the stream is at version \
                 {actual}; append the events first"
            ),
            Self::Closed => formatter.write_str("the store is closed: this append wasn't written"),
            Self::QueueFull => {
                formatter.write_str("the queue of appends is full: wait, or use submit, which does")
            }
            Self::Forked => formatter.write_str(
                "this process didn't open the store (it was forked from one that did): open it here",
            ),
            Self::Locked { .. }
            | Self::NotAStore { .. }
            | Self::NewerFormat { .. }
            | Self::Corrupt { .. }
            | Self::RepairNotAllowed { .. }
            | Self::NotRepairable { .. }
            | Self::RepairStopped { .. }
            | Self::Replaced { .. }
            | Self::Io { .. }
            | Self::OutcomeUnknown { .. }
            | Self::Failed { .. } => self.fmt_of_file(formatter),
        }
    }
}

impl Error {
    /// The messages about ids that are there already.
    fn fmt_of_repeat(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartialRepeat { stream, id, version } => write!(
                formatter,
                "event id {id} is already version {version} of stream \"{stream}\", but the append isn't a \
                 whole repetition: give new events new ids, or repeat the append as it was"
            ),
            Self::IdTaken { stream, id, version } => write!(
                formatter,
                "event id {id} is already version {version} of stream \"{stream}\" with other content: an \
                 id names one event for ever, so give the new event a new id"
            ),
            Self::IdTwice { stream, id } => {
                write!(formatter, "event id {id} stands twice in one append to stream \"{stream}\"")
            }
            Self::MixedRepeat { repeated, new } => write!(
                formatter,
                "the commit is a mixture: its events for stream \"{repeated}\" are already there, those for \
                 stream \"{new}\" aren't; commit the new ones alone"
            ),
            _ => Ok(()),
        }
    }

    /// The messages about events that can't be read as what a program understands.
    fn fmt_of_upcast(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSchemaVersion { event_type, found, newest, position } => write!(
                formatter,
                "event {position} is of type {event_type:?} in schema version {found}, which no upcaster knows (the \
                 newest known is {newest}): use the program that wrote it, or a newer one, or register the version"
            ),
            Self::UpcastFailed { event_type, schema_version, position, step, .. } => write!(
                formatter,
                "event {position} of type {event_type:?} in schema version {schema_version} can't be upcast by the \
                 step {step}: mend the step, or read the event raw"
            ),
            _ => Ok(()),
        }
    }

    /// The messages about event types and what is registered of them.
    fn fmt_of_type(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SchemaViolation(violation) => write!(
                formatter,
                "{violation}. Nothing was written: mend the event, or register a schema version that allows it"
            ),
            Self::EventTypeConflict { event_type, schema_version, newest, reason } => write!(
                formatter,
                "schema version {schema_version} of event type {event_type:?} can't be registered {reason}: \
                 events may be stored by what is registered. The newest version is {newest}; give this one a higher \
                 number"
            ),
            _ => Ok(()),
        }
    }

    /// The messages about files and directories, and about what failed with them.
    fn fmt_of_file(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path, holder } => formatter.write_str(&locked_message(path, holder)),
            Self::NotAStore { path, reason } => {
                write!(formatter, "{} is not an Annals store: {reason}", path.display())
            }
            Self::NewerFormat { path, found, supported } => write!(
                formatter,
                "{} has format version {found}, and this program reads up to {supported}: use a newer annals",
                path.display()
            ),
            Self::Corrupt { path, reason, .. } if path.ends_with(BACKUP_MANIFEST) => write!(
                formatter,
                "{}: {reason}. The segments beside it are a store that can be read, and \"annals backup\" of that, into a new \
                 directory, is a backup again",
                path.display()
            ),
            Self::Corrupt { path, offset, reason, intact } => write!(
                formatter,
                "{}, offset {offset}: {reason}. {}; \"annals verify\" shows the rest",
                path.display(),
                intact_message(*intact)
            ),
            Self::RepairNotAllowed { path, cost } => write!(
                formatter,
                "{} wasn't repaired: {cost}. Name a backup that has what is damaged (--backup DIR), or allow the loss \
                 (--accept-loss)",
                path.display()
            ),
            Self::NotRepairable { path, reason } => {
                write!(formatter, "{} can't be repaired: {reason}", path.display())
            }
            Self::RepairStopped { path } => {
                write!(formatter, "the repair of {} was stopped: nothing of it was changed", path.display())
            }
            Self::Replaced { path } => write!(
                formatter,
                "the log in {} ends before what was read of it: it was replaced, or a failed sync has lost its \
                 end; open it again",
                path.display()
            ),
            Self::Io { action, path, .. } => write!(formatter, "can't {action} {}", path.display()),
            Self::OutcomeUnknown { action, path, .. } => write!(
                formatter,
                "can't {action} {}: it is unknown whether the append is stored; reopen the store and look",
                path.display()
            ),
            Self::Failed { reason } => write!(
                formatter,
                "the store takes no more appends since an earlier failure ({reason}): reopen it"
            ),
            _ => Ok(()),
        }
    }
}

fn locked_message(path: &Path, holder: &str) -> String {
    let remedy = if holder.starts_with(HELD_HERE) {
        "share that store, in an Arc, or close it first"
    } else {
        "end that, or wait for it"
    };
    format!("{} is open for writing by {holder}: {remedy}", path.display())
}

fn conflict_message(stream: &StreamId, expected: ExpectedVersion, actual: Version) -> String {
    let wanted = match expected {
        ExpectedVersion::Any => "any".to_owned(),
        ExpectedVersion::NoStream => "0 (no stream)".to_owned(),
        ExpectedVersion::StreamExists => "1 or more (the stream exists)".to_owned(),
        ExpectedVersion::Exact(version) => version.to_string(),
    };
    let missing = if actual == Version::NONE { ", which doesn't exist" } else { "" };
    format!("Expected version {wanted}, but current is {actual} (stream \"{stream}\"{missing})")
}

fn mismatch_message(cursor: Cursor, found: Option<u32>, last_position: Position) -> String {
    let what = match found {
        Some(_) => format!("event {} is another one than it was made of", cursor.position),
        None => format!("the last event is {last_position}"),
    };
    format!(
        "cursor {cursor} doesn't fit this log: {what}. It is of another store, or of moments that a power cut \
         took; go on from an earlier cursor"
    )
}

fn intact_message(intact: Option<Position>) -> String {
    match intact {
        Some(Position::NONE) => "No event before it".to_owned(),
        Some(position) => format!("Events up to position {position} are intact"),
        None => "How many events are intact is not known".to_owned(),
    }
}
