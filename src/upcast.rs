//! Upcasters: what old events are read as, once a program has changed what it writes.
//!
//! Stored bytes never change. A registry knows schemas, each an event type with a version, and for some of them a step
//! that leads on: to the next version, to another type, to several events, or to none. An event is led from the schema it
//! was stored with until no step applies. Each step says beforehand where it leads, so that a circle is found when it
//! is registered, and a query for a type knows which stored types can become it.
//!
//! ```text
//! OrderMade 1 ──rename──▶ OrderPlaced 1 ──json──▶ OrderPlaced 2
//!                                                     │ split
//!                                                     ├──▶ OrderOpened 1
//!                                                     └──▶ PaymentDue 1
//! OrderPeeked 1 ──discard──▶
//! ```

use std::{error, fmt, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Result,
    event::{EventData, EventRef, StoredEvent},
    event_content::EventContent,
    invalid::Invalid,
    stream::is_system,
    upcast_parts::{Part, unfold},
    upcast_steps::{Step, StepError, Steps},
};

/// How old events are read: by event type and schema version, step by step until no step applies. Given to a store or a
/// follower by [`Options::upcasters`](crate::Options::upcasters); every read and every subscription applies them, but for
/// a query that asks for [`raw`](crate::Query::raw) events. Events of the store's own streams are read as they are.
///
/// The version of an event's schema is what [`EventData::with_schema_version`](crate::EventData::with_schema_version)
/// said, or 1. Types that aren't named here are read as they are stored, in every version. Of a type that is named, each
/// version must be: as the source of a step, as the target of one, or by [`knows`](Self::knows). An event with another
/// version can't be read; the error is [`Error::UnknownSchemaVersion`](crate::Error::UnknownSchemaVersion).
///
/// What was made of events before isn't made anew. A snapshot has the state that the old reading led to, and the events before it
/// aren't read again: who adds a step by which old events mean something else raises
/// [`Aggregate::STATE_VERSION`](crate::Aggregate::STATE_VERSION), which passes over the snapshots that there are, and
/// [rebuilds](crate::RunningProjection::rebuild) the projections that it concerns.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, Invalid, Options, Query, StreamId, Upcasters};
/// use serde_json::{Value, json};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let upcasters = Upcasters::new()
///     // Version 1 had a price in euros; version 2 has cents.
///     .json("OrderPlaced", 1, |mut order: Value| {
///         let euros = order["euros"].as_u64().ok_or("an order has a price")?;
///         order["cents"] = json!(euros * 100);
///         Ok::<_, &str>(order)
///     })?
///     // An older program had another name for it.
///     .rename("OrderMade", 1, ("OrderPlaced", 1))?;
///
/// let store = EventStore::open_with(path, Options::new().upcasters(upcasters))?;
/// let order = StreamId::new("order-17")?;
/// let made = EventData::json("OrderMade", &json!({ "euros": 20 }))?;
/// store.append(&order, ExpectedVersion::NoStream, [made])?;
///
/// let event = store.read(Query::all().event_type("OrderPlaced")).next().expect("an event")?;
/// assert_eq!((event.event_type.as_str(), event.schema_version), ("OrderPlaced", 2));
/// assert_eq!(event.json::<Value>()?["cents"], 2000);
///
/// let stored = store.read(Query::all().raw()).next().expect("an event")?;
/// assert_eq!(stored.data, br#"{"euros":20}"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
#[must_use = "upcasters do nothing until a store is opened with them"]
pub struct Upcasters {
    steps: Steps,
}

/// Registering. All of it can be done in any order.
impl Upcasters {
    /// None: every event is read as it is stored.
    pub fn new() -> Self {
        Self::default()
    }

    /// A step to the next version, for payloads of JSON. `convert` takes the old payload as any type that can be read from
    /// JSON, and gives the new one; `serde_json::Value` is such a type too. The metadata stay.
    ///
    /// It is given payloads of [`ContentType::JSON`](crate::ContentType::JSON), and of [`ContentType::BYTES`](crate::ContentType::BYTES), which say nothing of how they are written; another
    /// content type is an error when the event is read.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if there is a step from this version already or it is [known](Self::knows) to have none, if the
    /// steps would go in a circle, and if the type can't be an event's or is the store's own.
    pub fn json<Old, New, E>(
        self,
        event_type: impl Into<String>,
        schema_version: u32,
        convert: impl Fn(Old) -> Result<New, E> + Send + Sync + 'static,
    ) -> Result<Self, Invalid>
    where
        Old: DeserializeOwned,
        New: Serialize,
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        let convert = move |data: &[u8]| -> Result<Vec<u8>, StepError> {
            let new = convert(serde_json::from_slice(data)?).map_err(Into::into)?;
            Ok(serde_json::to_vec(&new)?)
        };
        let convert = Arc::new(convert);
        self.next_version(event_type.into(), schema_version, |to| Step::Json { to, convert })
    }

    /// A step to the next version, for payloads of any kind. `convert` may change payload and metadata; the type
    /// stays, and the version is the next one, whatever it says of it.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub fn convert<E>(
        self,
        event_type: impl Into<String>,
        schema_version: u32,
        convert: impl Fn(EventContent) -> Result<EventContent, E> + Send + Sync + 'static,
    ) -> Result<Self, Invalid>
    where
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        let convert = Arc::new(move |old| convert(old).map_err(Into::into));
        self.next_version(event_type.into(), schema_version, |to| Step::Convert { to, convert })
    }

    fn next_version(
        self,
        event_type: String,
        version: u32,
        step: impl FnOnce(usize) -> Step,
    ) -> Result<Self, Invalid> {
        let Some(next) = version.checked_add(1) else {
            let schema = format!("{event_type} {version}");
            return Err(Invalid::new("upcaster of", &schema, "there is no version behind it"));
        };
        let target = (event_type.clone(), next);
        self.register(&(event_type, version), &[target], |to| step(to[0]))
    }

    /// Reads a type as another one, with another version or the same. Payload and metadata stay as they are.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub fn rename(
        self,
        event_type: impl Into<String>,
        schema_version: u32,
        becomes: (&str, u32),
    ) -> Result<Self, Invalid> {
        let (to_type, to_version) = becomes;
        let target = (to_type.to_owned(), to_version);
        self.register(&(event_type.into(), schema_version), &[target], |to| Step::Rename { to: to[0] })
    }

    /// Reads an event as several, in the order in which `split` gives them, each of one of the types and versions that are
    /// declared here: the same one several times, or none, as it likes.
    ///
    /// They share what says where the event is: stream, version, position, timestamp, and also the id and the cursor. A
    /// subscription's [`cursor`](crate::Subscription::cursor) stands behind the event when all are delivered.
    ///
    /// ```
    /// use annals::{Invalid, Upcasters};
    ///
    /// let upcasters = Upcasters::new().split(
    ///     "OrderPaidAndSent",
    ///     1,
    ///     &[("OrderPaid", 1), ("OrderSent", 1)],
    ///     |both| {
    ///         let paid = both.clone().with_type("OrderPaid", 1);
    ///         let sent = both.with_type("OrderSent", 1).with_json(&serde_json::json!({}))?;
    ///         Ok::<_, Invalid>(vec![paid, sent])
    ///     },
    /// )?;
    /// assert_eq!(upcasters.current_version("OrderSent"), Some(1));
    /// # Ok::<(), Invalid>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json), and if nothing is declared.
    pub fn split<E>(
        self,
        event_type: impl Into<String>,
        schema_version: u32,
        becomes: &[(&str, u32)],
        split: impl Fn(EventContent) -> Result<Vec<EventContent>, E> + Send + Sync + 'static,
    ) -> Result<Self, Invalid>
    where
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        let source = (event_type.into(), schema_version);
        if becomes.is_empty() {
            let reason = "it declares no type to be split into; to leave events out, discard them";
            return Err(Invalid::new("upcaster of", &format!("{} {}", source.0, source.1), reason));
        }
        let targets: Vec<_> = becomes.iter().map(|(to, version)| ((*to).to_owned(), *version)).collect();
        let split = Arc::new(move |old| split(old).map_err(Into::into));
        self.register(&source, &targets, |to| Step::Split { to, split })
    }

    /// Leaves events of this version out, as if they had never been.
    ///
    /// # Errors
    ///
    /// As [`json`](Self::json).
    pub fn discard(self, event_type: impl Into<String>, schema_version: u32) -> Result<Self, Invalid> {
        self.register(&(event_type.into(), schema_version), &[], |_| Step::Discard)
    }

    /// Says that a version is understood as it is, so that every other one that isn't named is an error. May be said
    /// twice, and of the target of a step.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if there is a step from this version, and if the type can't be an event's or is the store's own.
    pub fn knows(self, event_type: impl Into<String>, schema_version: u32) -> Result<Self, Invalid> {
        self.register(&(event_type.into(), schema_version), &[], |_| Step::Known)
    }

    /// The schema version that programs write a type with: the newest one that is named here and from which no step leads
    /// on. None if the type isn't named, or if each of its versions is read as something else.
    ///
    /// ```
    /// let upcasters = annals::Upcasters::new()
    ///     .json("OrderPlaced", 1, |old: serde_json::Value| Ok::<_, std::convert::Infallible>(old))?
    ///     // Version 3 was a mistake.
    ///     .discard("OrderPlaced", 3)?
    ///     .rename("OrderMade", 1, ("OrderPlaced", 1))?;
    /// assert_eq!(upcasters.current_version("OrderPlaced"), Some(2));
    /// assert_eq!(upcasters.current_version("OrderMade"), None);
    /// # Ok::<(), annals::Invalid>(())
    /// ```
    #[must_use]
    pub fn current_version(&self, event_type: &str) -> Option<u32> {
        let mut versions = self.steps.versions(event_type)?.iter().rev();
        versions.find(|(_, number)| self.steps.is_end(**number)).map(|(version, _)| *version)
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn register(
        mut self,
        source: &(String, u32),
        targets: &[(String, u32)],
        step: impl FnOnce(Vec<usize>) -> Step,
    ) -> Result<Self, Invalid> {
        self.steps.add(source, targets, step)?;
        Ok(self)
    }
}

/// Reading.
impl Upcasters {
    /// What a stored event is read as: itself, another one, several, or none. This is what reads and subscriptions do; it
    /// is here for tests of upcasters, and for other implementations of [`Store`](crate::Store).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownSchemaVersion`](crate::Error::UnknownSchemaVersion) and
    /// [`Error::UpcastFailed`](crate::Error::UpcastFailed).
    pub fn upcast(&self, event: StoredEvent) -> Result<Vec<StoredEvent>> {
        let stored = EventRef::from(&event);
        if !self.concern(stored.stream.as_bytes(), stored.event_type.as_bytes()) {
            return Ok(vec![event]);
        }
        let mut parts = Vec::new();
        self.unfold(&stored, &mut parts)?;
        parts.iter().map(|part| Ok(self.show(part, &stored).to_stored()?)).collect()
    }

    /// Whether events of this stream and type may be read as others.
    pub(crate) fn concern(&self, stream: &[u8], event_type: &[u8]) -> bool {
        let is_named = |event_type| self.steps.versions(event_type).is_some();
        !is_system(stream) && std::str::from_utf8(event_type).is_ok_and(is_named)
    }

    /// Adds what an event is read as that they concern.
    pub(crate) fn unfold(&self, stored: &EventRef<'_>, parts: &mut Vec<Part>) -> Result<()> {
        unfold(&self.steps, stored, parts)
    }

    /// The stored event, as one of its parts.
    pub(crate) fn show<'a>(&'a self, part: &'a Part, stored: &EventRef<'a>) -> EventRef<'a> {
        part.show(&self.steps, stored)
    }

    /// The types that events may be stored with which come out as one of these.
    pub(crate) fn stored_types(&self, event_types: &[String]) -> Vec<String> {
        self.steps.stored_types(event_types)
    }
}

impl EventData {
    /// The same event, with the schema version that these upcasters lead its type to: what a program says of the events that
    /// it [encodes](Self::encode) in its newest form. Without it they would be version 1, and be upcast when they are
    /// read, as if they were old. Aggregates' repositories do it by themselves.
    ///
    /// A type without a [current version](Upcasters::current_version) keeps what was said of it.
    ///
    /// ```
    /// use annals::{EventData, Upcasters};
    /// use serde_json::{Value, json};
    ///
    /// let upcasters = Upcasters::new().json("OrderPlaced", 1, |mut order: Value| {
    ///     let euros = order["euros"].as_u64().ok_or("an order has a price")?;
    ///     order["cents"] = json!(euros * 100);
    ///     Ok::<_, &str>(order)
    /// })?;
    /// let placed = EventData::json("OrderPlaced", &json!({ "cents": 250 }))?.with_current_version(&upcasters);
    /// assert_eq!(placed.schema_version, 2);
    /// let paid = EventData::new("OrderPaid", "{}").with_current_version(&upcasters);
    /// assert_eq!(paid.schema_version, 1);
    /// # Ok::<(), annals::Invalid>(())
    /// ```
    #[must_use]
    pub fn with_current_version(self, upcasters: &Upcasters) -> Self {
        match upcasters.current_version(&self.event_type) {
            Some(version) => self.with_schema_version(version),
            None => self,
        }
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.steps.names()).finish()
    }
}
