//! An event before it is stored ([`EventData`]), and after ([`StoredEvent`], [`EventRef`]).

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cursor::Cursor,
    event_id::{EventId, EventIdRef},
    invalid::Invalid,
    metadata::Metadata,
    position::{Position, Version},
    stream::StreamId,
    time::{OccurredAt, Timestamp},
};

/// The most that an event's data and metadata may have together, in bytes: 16 MiB.
pub const EVENT_BYTES_MAX: usize = 16 << 20;

/// How data or metadata are written, as one number. 128 to 255 are for programs' own use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ContentType(u8);

impl ContentType {
    /// Bytes that only the program understands.
    pub const BYTES: Self = Self(0);
    /// JSON in UTF-8.
    pub const JSON: Self = Self(1);
    /// bincode.
    pub const BINCODE: Self = Self(2);

    /// The content type with this number; programs take theirs from 128 to 255.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number that is stored.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// An event as its caller gives it. The store adds stream, version, position and timestamp.
///
/// ```
/// use annals::{ContentType, EventData, EventId};
///
/// let event = EventData::json("MoneyDeposited", &serde_json::json!({"cents": 500}))?
///     .with_id(EventId::new("deposit-1")?)
///     .with_schema_version(2);
/// assert_eq!(event.data, br#"{"cents":500}"#);
/// assert_eq!(event.content_type, ContentType::JSON);
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct EventData {
    /// The caller's id, which makes a repeated append harmless; none: the store makes one.
    pub id: Option<EventId>,
    /// What happened: past tense, specific, as `OrderPlaced`. 1 to 2,048 bytes, no control characters.
    pub event_type: String,
    /// The payload. The store never looks into it.
    pub data: Vec<u8>,
    /// How the payload is written.
    pub content_type: ContentType,
    /// The metadata's bytes; empty: none.
    pub metadata: Vec<u8>,
    /// How the metadata are written.
    pub metadata_content_type: ContentType,
    /// Which version of the payload's schema this is; 1 unless said otherwise.
    pub schema_version: u32,
    /// When it happened, as the source says.
    pub occurred_at: Option<OccurredAt>,
}

impl EventData {
    /// An event with a payload of bytes, of which nothing is said ([`ContentType::BYTES`]), also where they are JSON:
    /// [`json`](Self::json) says so, and so does [`with_content_type`](Self::with_content_type).
    pub fn new(event_type: impl Into<String>, data: impl Into<Vec<u8>>) -> Self {
        Self {
            id: None,
            event_type: event_type.into(),
            data: data.into(),
            content_type: ContentType::BYTES,
            metadata: Vec::new(),
            metadata_content_type: ContentType::JSON,
            schema_version: 1,
            occurred_at: None,
        }
    }

    /// An event with a payload of JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if `data` can't be written as JSON, such as a map whose keys aren't texts.
    pub fn json(event_type: impl Into<String>, data: &impl Serialize) -> Result<Self, Invalid> {
        Ok(Self::new(event_type, encode_json(data)?).with_content_type(ContentType::JSON))
    }

    /// The same event with this id, by which an append can be repeated: in one stream an id names one event for ever. Another
    /// stream may have an event of the same id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<EventId>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The same event, its payload said to be written like this.
    #[must_use]
    pub fn with_content_type(mut self, content_type: ContentType) -> Self {
        self.content_type = content_type;
        self
    }

    /// The same event with these metadata.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if a custom key is a field's, such as `userId`.
    pub fn with_metadata(self, metadata: &Metadata) -> Result<Self, Invalid> {
        Ok(self.with_metadata_bytes(metadata.to_bytes()?, ContentType::JSON))
    }

    /// The same event with metadata that are bytes already.
    #[must_use]
    pub fn with_metadata_bytes(mut self, bytes: impl Into<Vec<u8>>, content_type: ContentType) -> Self {
        self.metadata = bytes.into();
        self.metadata_content_type = content_type;
        self
    }

    /// The same event with this version of its payload's schema.
    #[must_use]
    pub fn with_schema_version(mut self, schema_version: u32) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// The same event with the time at which it happened.
    #[must_use]
    pub fn with_occurred_at(mut self, occurred_at: OccurredAt) -> Self {
        self.occurred_at = Some(occurred_at);
        self
    }
}

/// A stored event that owns what it holds.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its stream.
    pub stream: StreamId,
    /// Its number in the stream.
    pub version: Version,
    /// Its id: the caller's, or the store's.
    pub id: EventId,
    /// What happened.
    pub event_type: String,
    /// When the store took it.
    pub timestamp: Timestamp,
    /// When it happened, as the source said.
    pub occurred_at: Option<OccurredAt>,
    /// The version of its payload's schema.
    pub schema_version: u32,
    /// The payload, as it was given.
    pub data: Vec<u8>,
    /// How the payload is written.
    pub content_type: ContentType,
    /// The metadata's bytes; empty: none.
    pub metadata_bytes: Vec<u8>,
    /// How the metadata are written.
    pub metadata_content_type: ContentType,
    /// The checksum of its record; 0 in stores that keep none.
    pub checksum: u32,
}

/// A stored event whose texts and bytes are borrowed from the log, for as long as its cursor stands on it.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct EventRef<'a> {
    /// Its place in the log.
    pub position: Position,
    /// Its stream's name.
    pub stream: &'a str,
    /// Its number in the stream.
    pub version: Version,
    /// Its id: the caller's, or the store's.
    pub id: EventIdRef<'a>,
    /// What happened.
    pub event_type: &'a str,
    /// When the store took it.
    pub timestamp: Timestamp,
    /// When it happened, as the source said.
    pub occurred_at: Option<OccurredAt>,
    /// The version of its payload's schema.
    pub schema_version: u32,
    /// The payload, as it was given.
    pub data: &'a [u8],
    /// How the payload is written.
    pub content_type: ContentType,
    /// The metadata's bytes; empty: none.
    pub metadata_bytes: &'a [u8],
    /// How the metadata are written.
    pub metadata_content_type: ContentType,
    /// The checksum of its record.
    pub checksum: u32,
}

impl EventRef<'_> {
    /// The event, owned.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the log has a name that this version doesn't allow.
    pub fn to_stored(&self) -> Result<StoredEvent, Invalid> {
        Ok(StoredEvent {
            position: self.position,
            stream: StreamId::new(self.stream)?,
            version: self.version,
            id: self.id.to_owned(),
            event_type: self.event_type.to_owned(),
            timestamp: self.timestamp,
            occurred_at: self.occurred_at,
            schema_version: self.schema_version,
            data: self.data.to_vec(),
            content_type: self.content_type,
            metadata_bytes: self.metadata_bytes.to_vec(),
            metadata_content_type: self.metadata_content_type,
            checksum: self.checksum,
        })
    }

    /// The place behind the event, to go on from. The parts of an event that was [split](crate::Upcasters::split) have the
    /// same: to go on from there passes over those that weren't dealt with yet.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, checksum: self.checksum }
    }

    /// The metadata; none where the event has none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if they aren't a JSON object.
    pub fn metadata(&self) -> Result<Option<Metadata>, Invalid> {
        Metadata::from_bytes(self.metadata_bytes)
    }

    /// The payload, read as JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it isn't JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        decode_json(self.event_type, self.data)
    }
}

impl<'a> From<&'a StoredEvent> for EventRef<'a> {
    fn from(event: &'a StoredEvent) -> Self {
        Self {
            position: event.position,
            stream: event.stream.as_str(),
            version: event.version,
            id: (&event.id).into(),
            event_type: &event.event_type,
            timestamp: event.timestamp,
            occurred_at: event.occurred_at,
            schema_version: event.schema_version,
            data: &event.data,
            content_type: event.content_type,
            metadata_bytes: &event.metadata_bytes,
            metadata_content_type: event.metadata_content_type,
            checksum: event.checksum,
        }
    }
}

impl StoredEvent {
    /// The event that a store makes of what a caller gives; its checksum is 0.
    #[must_use]
    pub fn new(
        position: Position,
        stream: StreamId,
        version: Version,
        timestamp: Timestamp,
        id: EventId,
        event: EventData,
    ) -> Self {
        Self {
            position,
            stream,
            version,
            id,
            event_type: event.event_type,
            timestamp,
            occurred_at: event.occurred_at,
            schema_version: event.schema_version,
            data: event.data,
            content_type: event.content_type,
            metadata_bytes: event.metadata,
            metadata_content_type: event.metadata_content_type,
            checksum: 0,
        }
    }

    /// The place behind the event, to go on from. The parts of an event that was [split](crate::Upcasters::split) have the
    /// same: to go on from there passes over those that weren't dealt with yet.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        Cursor { position: self.position, checksum: self.checksum }
    }

    /// The metadata; none where the event has none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if they aren't a JSON object.
    pub fn metadata(&self) -> Result<Option<Metadata>, Invalid> {
        Metadata::from_bytes(&self.metadata_bytes)
    }

    /// The payload, read as JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it isn't JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        decode_json(&self.event_type, &self.data)
    }
}

/// A payload as JSON.
pub(crate) fn encode_json(data: &impl Serialize) -> Result<Vec<u8>, Invalid> {
    serde_json::to_vec(data).map_err(|error| Invalid::new("data", "", error.to_string()))
}

/// A payload of JSON.
pub(crate) fn decode_json<T: DeserializeOwned>(event_type: &str, data: &[u8]) -> Result<T, Invalid> {
    serde_json::from_slice(data)
        .map_err(|error| Invalid::new("data of event type", event_type, error.to_string()))
}
