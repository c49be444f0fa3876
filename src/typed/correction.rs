//! Corrections: what was stored stays, and an event that makes it good names the one that was wrong.

use crate::{
    event::{ContentType, EventData, EventRef, StoredEvent},
    event_id::EventId,
    invalid::Invalid,
    metadata::Metadata,
    position::Position,
};

/// The metadata's keys that name the original.
const EVENT_ID_KEY: &str = "correctsEventId";
const POSITION_KEY: &str = "correctsPosition";

/// Which event a compensating event corrects: [`EventStore::event`](crate::Reader::event) finds it by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Correction {
    /// The original's id.
    pub event_id: EventId,
    /// The original's position; none where only its id was said.
    pub position: Option<Position>,
}

impl Metadata {
    /// The same metadata, which say that their event corrects this one (custom keys `correctsEventId` and
    /// `correctsPosition`).
    #[must_use]
    pub fn corrects<'e>(mut self, original: impl Into<EventRef<'e>>) -> Self {
        let original = original.into();
        self.custom.insert(EVENT_ID_KEY.to_owned(), original.id.to_string().into());
        self.custom.insert(POSITION_KEY.to_owned(), original.position.get().into());
        self
    }

    /// Which event is corrected; none where the metadata name none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if what names it isn't an event's id, or not a position.
    pub fn correction(&self) -> Result<Option<Correction>, Invalid> {
        let Some(id) = self.custom.get(EVENT_ID_KEY) else { return Ok(None) };
        let Some(text) = id.as_str() else {
            return Err(Invalid::new(
                "metadata key",
                EVENT_ID_KEY,
                format!("it is {id}, and must be an event's id"),
            ));
        };
        let position = match self.custom.get(POSITION_KEY) {
            None => None,
            Some(position) => Some(Position::new(position.as_u64().ok_or_else(|| {
                Invalid::new(
                    "metadata key",
                    POSITION_KEY,
                    format!("it is {position}, and must be a position"),
                )
            })?)),
        };
        Ok(Some(Correction { event_id: EventId::new(text)?, position }))
    }

    /// These metadata, and of others what these lack.
    pub(crate) fn or(mut self, other: Self) -> Self {
        self.correlation_id = self.correlation_id.or(other.correlation_id);
        self.causation_id = self.causation_id.or(other.causation_id);
        self.user_id = self.user_id.or(other.user_id);
        self.tenant_id = self.tenant_id.or(other.tenant_id);
        for (key, value) in other.custom {
            self.custom.entry(key).or_insert(value);
        }
        self
    }
}

impl EventData {
    /// The same event, which says in its metadata that it corrects this one. What is stored is never changed: a wrong
    /// event is made good by one that compensates it, and whoever reads either can tell.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, StreamId};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = EventStore::open(directory.path().join("shop.annals"))?;
    /// let account = StreamId::new("account-7")?;
    /// store.append(&account, ExpectedVersion::NoStream, [EventData::json("MoneyDeposited", &500)?])?;
    /// let wrong = store.read_stream(&account).next().expect("an event")?;
    ///
    /// let reversed = EventData::json("DepositReversed", &500)?.corrects(&wrong)?;
    /// store.append(&account, wrong.version, [reversed])?;
    /// let correction = store.read_stream(&account).last().expect("an event")?.correction()?.expect("it corrects one");
    /// assert_eq!((correction.event_id, correction.position), (wrong.id, Some(wrong.position)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event has metadata that aren't a JSON object.
    pub fn corrects<'e>(self, original: impl Into<EventRef<'e>>) -> Result<Self, Invalid> {
        let metadata = self.own_metadata()?.corrects(original);
        self.with_metadata(&metadata)
    }

    /// The metadata that the event has so far.
    pub(crate) fn own_metadata(&self) -> Result<Metadata, Invalid> {
        if self.metadata.is_empty() {
            return Ok(Metadata::default());
        }
        if self.metadata_content_type != ContentType::JSON {
            return Err(Invalid::new(
                "metadata of event type",
                &self.event_type,
                format!(
                    "content type {} is there, and nothing can be added to it",
                    self.metadata_content_type.number()
                ),
            ));
        }
        Ok(Metadata::from_bytes(&self.metadata)?.unwrap_or_default())
    }
}

impl EventRef<'_> {
    /// Which event this one corrects; none where it corrects none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the metadata aren't a JSON object, or what names the original isn't an event's id or position.
    pub fn correction(&self) -> Result<Option<Correction>, Invalid> {
        self.metadata()?.map_or(Ok(None), |metadata| metadata.correction())
    }
}

impl StoredEvent {
    /// Which event this one corrects; none where it corrects none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the metadata aren't a JSON object, or what names the original isn't an event's id or position.
    pub fn correction(&self) -> Result<Option<Correction>, Invalid> {
        EventRef::from(self).correction()
    }
}
