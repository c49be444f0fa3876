//! What runners note in the store's own streams: that a projection is there, and what was left out of it.
//!
//! ```text
//! $projection-NAME  $ProjectionStarted, once for who keeps the cursor; $ProjectionResetBegun, $ProjectionResetDone
//! $skipped-NAME     $EventSkipped, for each event that was left out; $SkippedCleared, where all begins anew
//! ```
//!
//! A reset is two notes with the projection's own work between. One that was begun and isn't done is done again at the
//! next start.

use serde::{Deserialize, Serialize};

use crate::{
    checkpoint::{CHECKPOINT_PREFIX, checkpoint_deleted, checkpoint_stream},
    error::Result,
    event::{ContentType, EventData, StoredEvent},
    event_id::EventId,
    invalid::Invalid,
    position::{ExpectedVersion, Position, Version},
    query::Query,
    reader::Reader,
    stream::StreamId,
    stream_list::StreamFilter,
    time::Timestamp,
    writer::request::Commit,
};

const PROJECTION_CATEGORY: &str = "$projection";
const PROJECTION_PREFIX: &str = "$projection-";
const SKIPPED_PREFIX: &str = "$skipped-";

const STARTED: &str = "$ProjectionStarted";
const RESET_BEGUN: &str = "$ProjectionResetBegun";
const RESET_DONE: &str = "$ProjectionResetDone";
const SKIPPED: &str = "$EventSkipped";
const CLEARED: &str = "$SkippedCleared";

/// How much is kept of the text of an error, in bytes.
const ERROR_BYTES_MAX: usize = 4_096;

/// Who keeps how far a projection has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CursorKeeper {
    /// The store, as a checkpoint of the projection's name.
    Store,
    /// The projection, in its own database: the store doesn't know it.
    Projection,
}

/// What the store knows of a projection that was started at least once.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ProjectionInfo {
    /// Its runner's name.
    pub name: String,
    /// Who keeps how far it has come.
    pub keeper: CursorKeeper,
    /// Up to where it has come, as it was saved last; 0 before the first saving. None where the projection keeps that itself.
    pub position: Option<Position>,
    /// How many positions of the log it was behind its last event when it was asked; none as above. Events of the
    /// store's own streams at the end don't count.
    pub behind: Option<u64>,
    /// How many events were left out since it began anew.
    pub skipped: u64,
    /// When its progress was saved last; none where it never was, or the projection does that itself.
    pub saved: Option<Timestamp>,
}

/// An event that was left out of a projection.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SkippedEvent {
    /// Its place in the log.
    pub position: Position,
    /// Which one it was of those that upcasting made of the stored event, from 1.
    pub part: u64,
    /// Its stream.
    pub stream: StreamId,
    /// Its number in the stream.
    pub version: Version,
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub event_type: String,
    /// Why it couldn't be handled; cut to 4,096 bytes.
    pub error: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it was left out.
    pub skipped: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct StartedNote {
    cursor: CursorKeeper,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SkippedNote {
    position: u64,
    part: u64,
    stream: StreamId,
    version: u64,
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    error: String,
    tries: u32,
}

// A name that a checkpoint can have is one for these streams, too.
const _: () = assert!(PROJECTION_PREFIX.len() <= CHECKPOINT_PREFIX.len());
const _: () = assert!(SKIPPED_PREFIX.len() <= CHECKPOINT_PREFIX.len());

/// Refuses a name that no checkpoint can have.
pub(crate) fn check_runner_name(name: &str) -> Result<(), Invalid> {
    checkpoint_stream(name).map(drop)
}

fn projection_stream(name: &str) -> Result<StreamId, Invalid> {
    StreamId::new(format!("{PROJECTION_PREFIX}{name}"))
}

pub(crate) fn skipped_stream(name: &str) -> Result<StreamId, Invalid> {
    StreamId::new(format!("{SKIPPED_PREFIX}{name}"))
}

fn empty(event_type: &str) -> EventData {
    EventData::new(event_type, "{}").with_content_type(ContentType::JSON)
}

/// What a projection's notes say.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Noted {
    /// Who keeps the cursor; none if it was never started.
    pub(crate) keeper: Option<CursorKeeper>,
    /// A reset was begun, and isn't done.
    pub(crate) is_resetting: bool,
}

/// Reads a projection's notes.
pub(crate) fn read_notes(reader: &Reader, name: &str) -> Result<Noted> {
    let mut noted = Noted::default();
    let mut is_last = true;
    for note in reader.read(Query::stream(&projection_stream(name)?).backwards()) {
        let note = note?;
        if note.event_type == STARTED {
            noted.keeper = Some(note.json::<StartedNote>()?.cursor);
            break;
        }
        noted.is_resetting |= is_last && note.event_type == RESET_BEGUN;
        is_last = false;
    }
    Ok(noted)
}

/// Notes that a projection is there, and who keeps its cursor.
pub(crate) fn note_started(name: &str, keeper: CursorKeeper) -> Result<Commit> {
    let note = EventData::json(STARTED, &StartedNote { cursor: keeper })?;
    Ok(Commit::new().system(&projection_stream(name)?, ExpectedVersion::Any, note))
}

/// Notes that a reset is begun; its checkpoint, if there is one, is gone from here on.
pub(crate) fn note_reset_begun(reader: &Reader, name: &str) -> Result<Commit> {
    let begun = Commit::new().system(&projection_stream(name)?, ExpectedVersion::Any, empty(RESET_BEGUN));
    if reader.checkpoint(name)?.is_none() {
        return Ok(begun);
    }
    Ok(begun.system(&checkpoint_stream(name)?, ExpectedVersion::Any, checkpoint_deleted()))
}

/// Notes that a reset is done; what was left out before isn't any more.
pub(crate) fn note_reset_done(reader: &Reader, name: &str) -> Result<Commit> {
    let done = Commit::new().system(&projection_stream(name)?, ExpectedVersion::Any, empty(RESET_DONE));
    let stream = skipped_stream(name)?;
    let mut last = reader.read(Query::stream(&stream).backwards().limit(1));
    if last.try_next()?.is_none_or(|note| note.event_type == CLEARED) {
        return Ok(done);
    }
    Ok(done.system(&stream, ExpectedVersion::Any, empty(CLEARED)))
}

/// The record of an event that is left out.
pub(crate) fn skip_record(
    event: &StoredEvent,
    part: u64,
    error: &str,
    tries: u32,
) -> Result<EventData, Invalid> {
    let cut = error.floor_char_boundary(ERROR_BYTES_MAX.min(error.len()));
    let note = SkippedNote {
        position: event.position.get(),
        part,
        stream: event.stream.clone(),
        version: event.version.get(),
        id: event.id.to_string(),
        event_type: event.event_type.clone(),
        error: error[..cut].to_owned(),
        tries,
    };
    EventData::json(SKIPPED, &note)
}

/// Whether an event is recorded as left out since all began anew. Records stand in the order of positions.
pub(crate) fn is_recorded(reader: &Reader, name: &str, position: Position, part: u64) -> Result<bool> {
    for note in reader.read(Query::stream(&skipped_stream(name)?).backwards()) {
        let note = note?;
        if note.event_type != SKIPPED {
            return Ok(false);
        }
        let skipped: SkippedNote = note.json()?;
        let place = (skipped.position, skipped.part);
        if place <= (position.get(), part) {
            return Ok(place == (position.get(), part));
        }
    }
    Ok(false)
}

/// The last event of a query: of those that aren't in the store's own streams, where a cursor comes to stand; 0 if there
/// is none.
pub(crate) fn last_ordinary_position(reader: &Reader, query: Query<Position>) -> Result<Position> {
    // As it is stored: that upcasters can't make anything of an event doesn't change where it is.
    let mut last = reader.read(query.raw().backwards().limit(1));
    Ok(last.try_next()?.map_or(Position::NONE, |event| event.position))
}

/// How many events were left out since all began anew. The records themselves aren't kept meanwhile.
fn count_skipped(reader: &Reader, name: &str) -> Result<u64> {
    let stream = skipped_stream(name)?;
    let last = reader.stream_version(&stream)?;
    let mut cleared = reader.read(Query::stream(&stream).event_type(CLEARED).backwards().limit(1));
    let cleared = cleared.try_next()?.map_or(Version::NONE, |note| note.version);
    Ok(last.get().saturating_sub(cleared.get()))
}

fn skipped_of(note: &StoredEvent) -> Result<SkippedEvent> {
    let skipped: SkippedNote = note.json()?;
    Ok(SkippedEvent {
        position: Position::new(skipped.position),
        part: skipped.part,
        stream: skipped.stream,
        version: Version::new(skipped.version),
        id: EventId::new(&skipped.id)?,
        event_type: skipped.event_type,
        error: skipped.error,
        tries: skipped.tries,
        skipped: note.timestamp,
    })
}

impl Reader {
    /// The projections and process managers that were ever started on this store, sorted by name, and what the store
    /// knows of each.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) and [`Error::Corrupt`](crate::Error::Corrupt) where they can't be looked up.
    pub fn projections(&self) -> Result<Vec<ProjectionInfo>> {
        let filter = StreamFilter::all().category(PROJECTION_CATEGORY).including_system();
        let last = last_ordinary_position(self, Query::all())?;
        let mut infos = Vec::new();
        for stream in self.streams(&filter)? {
            let Some(name) = stream.stream.as_str().strip_prefix(PROJECTION_PREFIX) else { continue };
            if let Some(keeper) = read_notes(self, name)?.keeper {
                infos.push(self.projection_info(name, keeper, last)?);
            }
        }
        Ok(infos)
    }

    /// What is known of a projection, in a log whose last ordinary event is this.
    fn projection_info(&self, name: &str, keeper: CursorKeeper, last: Position) -> Result<ProjectionInfo> {
        let (position, saved) = match keeper {
            CursorKeeper::Store => {
                let checkpoint = self.checkpoint(name)?;
                let position = checkpoint.as_ref().map_or(Position::NONE, |saved| saved.cursor.position);
                (Some(position), checkpoint.map(|checkpoint| checkpoint.saved))
            }
            CursorKeeper::Projection => (None, None),
        };
        Ok(ProjectionInfo {
            name: name.to_owned(),
            keeper,
            position,
            behind: position.map(|position| last.get().saturating_sub(position.get())),
            skipped: count_skipped(self, name)?,
            saved,
        })
    }

    /// The events that were left out of a projection since it began anew, in the order of the log; none where nothing was, or there is no such projection.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error::Invalid) if no projection can have this name; [`Error::Io`](crate::Error::Io) and
    /// [`Error::Corrupt`](crate::Error::Corrupt) where they can't be looked up.
    pub fn skipped(&self, name: &str) -> Result<Vec<SkippedEvent>> {
        check_runner_name(name)?;
        let mut skipped = Vec::new();
        for note in self.read(Query::stream(&skipped_stream(name)?).backwards()) {
            let note = note?;
            if note.event_type != SKIPPED {
                break;
            }
            skipped.push(skipped_of(&note)?);
        }
        skipped.reverse();
        Ok(skipped)
    }
}
