//! Events' ids: the caller's or the store's, and where the store's come from.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use uuid::{NoContext, Uuid};

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
            return Err(Invalid::new(
                "event id",
                text,
                "it is empty: give it 1 to 255 bytes, or give none, and the store makes one",
            ));
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
    last: Mutex<Option<LastId>>,
}

/// The last id that was made.
#[derive(Clone, Copy, Debug)]
struct LastId {
    uuid: Uuid,
    /// When the id's millisecond is over. To compare this costs less than to take the time out of the id.
    millisecond_end: SystemTime,
}

/// The random bits behind a UUID's variant.
const UUID_TAIL_MASK: u128 = (1 << 62) - 1;

impl LastId {
    /// The first id of the millisecond that this time is in. A time before 1970 can't stand in an id, and counts as 1970.
    fn first_at(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let uuid = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()));
        let into_millisecond = Duration::from_nanos((since.subsec_nanos() % 1_000_000).into());
        Self { uuid, millisecond_end: UNIX_EPOCH + since - into_millisecond + Duration::from_millis(1) }
    }

    /// The id behind this one: of the same millisecond while that lasts, also if the clock went back; else the first of the
    /// new one.
    fn next_at(self, time: SystemTime) -> Self {
        let number = self.uuid.as_u128();
        if time >= self.millisecond_end {
            Self::first_at(time)
        } else if number & UUID_TAIL_MASK == UUID_TAIL_MASK {
            Self::first_at(self.millisecond_end)
        } else {
            Self { uuid: Uuid::from_u128(number + 1), ..self }
        }
    }
}

impl IdGenerator for UuidV7 {
    fn next_id(&self) -> EventId {
        let now = SystemTime::now();
        let mut last = self.last.lock();
        let next = last.map_or_else(|| LastId::first_at(now), |last| last.next_at(now));
        *last = Some(next);
        next.uuid.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn at(micros: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(micros)
    }

    /// The millisecond that an id says.
    fn millisecond(id: LastId) -> u128 {
        id.uuid.as_u128() >> 80
    }

    #[test]
    fn ids_of_a_millisecond_count_on_and_the_next_begins_at_random() {
        let first = LastId::first_at(at(1_795_219_200_000_700));
        assert_eq!((millisecond(first), first.uuid.get_version_num()), (1_795_219_200_000, 7));
        assert_eq!(first.millisecond_end, at(1_795_219_200_001_000));
        // Also by a clock that has gone back.
        for time in [at(1_795_219_200_000_999), at(1_795_219_200_000_000), at(5), UNIX_EPOCH - MILLISECOND] {
            assert_eq!(first.next_at(time).uuid.as_u128(), first.uuid.as_u128() + 1);
        }
        let next = first.next_at(first.millisecond_end);
        assert_eq!(millisecond(next), 1_795_219_200_001);
        let tail = |id: LastId| id.uuid.as_u128() & UUID_TAIL_MASK;
        assert_ne!(tail(next), tail(first));
        assert_ne!(tail(next), tail(first) + 1);
    }

    #[test]
    fn behind_the_last_number_of_a_millisecond_comes_the_next_millisecond() {
        let first = LastId::first_at(at(7_000));
        let last = LastId { uuid: Uuid::from_u128(first.uuid.as_u128() | UUID_TAIL_MASK), ..first };
        let next = last.next_at(at(7_000));
        assert!(next.uuid > last.uuid);
        assert_eq!((millisecond(next), next.uuid.get_version_num()), (8, 7));
        assert_eq!(next.uuid.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn a_clock_before_1970_makes_ids_that_ascend() {
        let first = LastId::first_at(UNIX_EPOCH - MILLISECOND);
        assert_eq!(millisecond(first), 0);
        assert!(first.next_at(UNIX_EPOCH - MILLISECOND).uuid > first.uuid);
    }
}
