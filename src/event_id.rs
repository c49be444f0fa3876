//! Events' ids: the caller's or the store's, and where the store's come from.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use uuid::Uuid;

use crate::invalid::Invalid;

/// The longest text that can be an event's id, in bytes of UTF-8.
pub const EVENT_ID_BYTES_MAX: usize = 255;

/// An event's id: any text of 1 to 255 bytes. A UUID in its usual form (lower case, hyphens) takes 16 bytes
/// in the store; ids are the same if their texts are the same, byte for byte.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EventId(IdForm);

#[derive(Clone, PartialEq, Eq, Hash)]
enum IdForm {
    Uuid(Uuid),
    Text(Box<str>),
}

impl EventId {
    /// Takes a text as the id.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it is empty, longer than 255 bytes, or has a control character.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::new("event id", text, "it is empty"));
        }
        if text.len() > EVENT_ID_BYTES_MAX {
            return Err(Invalid::too_large("event id", text, text.len(), EVENT_ID_BYTES_MAX));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid::new("event id", text, "it has a control character"));
        }
        Ok(Self(canonical_uuid(text).map_or_else(|| IdForm::Text(text.into()), IdForm::Uuid)))
    }

    /// The id as a UUID, if it is one.
    #[must_use]
    pub fn as_uuid(&self) -> Option<Uuid> {
        match self.0 {
            IdForm::Uuid(uuid) => Some(uuid),
            IdForm::Text(_) => None,
        }
    }

    /// The bytes that are stored: a UUID's 16, or a text's.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            IdForm::Uuid(uuid) => uuid.as_bytes(),
            IdForm::Text(text) => text.as_bytes(),
        }
    }
}

/// The UUID that prints as exactly this text.
fn canonical_uuid(text: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(text).ok()?;
    let mut buffer = Uuid::encode_buffer();
    (uuid.hyphenated().encode_lower(&mut buffer) == text).then_some(uuid)
}

impl FromStr for EventId {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(IdForm::Uuid(uuid))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        EventIdRef::from(self).fmt(formatter)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "EventId({self})")
    }
}

/// An event's id, borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EventIdRef<'a> {
    /// A UUID.
    Uuid(Uuid),
    /// Any other text.
    Text(&'a str),
}

impl EventIdRef<'_> {
    /// The id, owned.
    #[must_use]
    pub fn to_owned(self) -> EventId {
        match self {
            Self::Uuid(uuid) => EventId(IdForm::Uuid(uuid)),
            Self::Text(text) => EventId(IdForm::Text(text.into())),
        }
    }
}

impl<'a> From<&'a EventId> for EventIdRef<'a> {
    fn from(id: &'a EventId) -> Self {
        match &id.0 {
            IdForm::Uuid(uuid) => Self::Uuid(*uuid),
            IdForm::Text(text) => Self::Text(text),
        }
    }
}

impl fmt::Display for EventIdRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid(uuid) => uuid.hyphenated().fmt(formatter),
            Self::Text(text) => text.fmt(formatter),
        }
    }
}

/// Where ids of events come from whose caller gave none.
pub trait IdGenerator: Send + Sync + fmt::Debug {
    /// A new id, unlike all others.
    fn next_id(&self) -> EventId;
}

/// Makes UUIDs of version 7, each greater than the one before. The first of each millisecond is random, those
/// behind it count on from it (RFC 9562, 6.2, method 2), also where the clock goes back; they cost no system
/// call.
#[derive(Default, Debug)]
pub struct UuidV7 {
    last: Mutex<Option<Uuid>>,
}

/// The random bits behind a UUID's variant.
const UUID_TAIL_MASK: u128 = (1 << 62) - 1;

impl UuidV7 {
    /// The id behind another one, if that is of this millisecond, or of a later one by a clock that went back.
    fn following(last: Uuid) -> Option<Uuid> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_millis();
        let number = last.as_u128();
        let has_room = number & UUID_TAIL_MASK < UUID_TAIL_MASK;
        (number >> 80 >= now && has_room).then(|| Uuid::from_u128(number + 1))
    }
}

impl IdGenerator for UuidV7 {
    fn next_id(&self) -> EventId {
        let mut last = self.last.lock();
        let next = last.and_then(Self::following).unwrap_or_else(Uuid::now_v7);
        *last = Some(next);
        next.into()
    }
}
