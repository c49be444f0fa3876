//! The context of a command: who wants it, and what brought it about. Its events' metadata come from it.

use serde_json::Value;

use crate::{
    event::{EventData, EventRef},
    invalid::Invalid,
    metadata::Metadata,
    time::OccurredAt,
};

/// The custom keys that a context writes.
const COMMAND_ID_KEY: &str = "commandId";
const IP_ADDRESS_KEY: &str = "ipAddress";
const USER_AGENT_KEY: &str = "userAgent";
#[cfg(feature = "tracing")]
const TRACE_ID_KEY: &str = "traceId";

/// Who wants a command, and what brought it about: what its events say in their metadata.
///
/// ```
/// use annals::{Context, EventData};
///
/// let context = Context::new().command_id("withdraw-9").user_id("ann").ip_address("203.0.113.7").with("region", "eu");
/// let event = EventData::json("MoneyWithdrawn", &100)?.with_context(&context)?;
/// let metadata = context.metadata();
/// assert_eq!(metadata.causation_id.as_deref(), Some("withdraw-9"), "the command is the cause of its events");
/// assert_eq!(metadata.correlation_id.as_deref(), Some("withdraw-9"), "and nothing else began it");
/// assert_eq!(metadata.custom["ipAddress"], "203.0.113.7");
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Context {
    command_id: Option<String>,
    occurred_at: Option<OccurredAt>,
    metadata: Metadata,
}

impl Context {
    /// A context that says nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The context in which an event is answered, as by a process manager: the correlation id is the event's, or its
    /// id where it has none; the event's id is the causation; user and tenant are the event's.
    ///
    /// ```
    /// use annals::{Context, EventData, EventStore, ExpectedVersion, StreamId};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = EventStore::open(directory.path().join("shop.annals"))?;
    /// let order = StreamId::new("order-17")?;
    /// let placed = EventData::new("OrderPlaced", "{}").with_context(&Context::new().command_id("c-1").user_id("ann"))?;
    /// store.append(&order, ExpectedVersion::NoStream, [placed])?;
    /// let placed = store.read_stream(&order).next().expect("an event")?;
    ///
    /// let answer = Context::caused_by(&placed)?.metadata();
    /// assert_eq!(answer.correlation_id.as_deref(), Some("c-1"));
    /// assert_eq!(answer.causation_id, Some(placed.id.to_string()));
    /// assert_eq!(answer.user_id.as_deref(), Some("ann"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event's metadata aren't a JSON object.
    pub fn caused_by<'e>(event: impl Into<EventRef<'e>>) -> Result<Self, Invalid> {
        let event = event.into();
        let id = event.id.to_string();
        let metadata = event.metadata()?.unwrap_or_default();
        let metadata = Metadata {
            correlation_id: Some(metadata.correlation_id.unwrap_or_else(|| id.clone())),
            causation_id: Some(id),
            user_id: metadata.user_id,
            tenant_id: metadata.tenant_id,
            ..Metadata::default()
        };
        Ok(Self { metadata, ..Self::default() })
    }

    /// The same context for the command with this id, by which a [`Repository`](crate::Repository) executes it once for
    /// each aggregate. A command that is sent again has the same id again; two commands never have the same, since the
    /// second would be taken for the first. An empty id is refused when the command is executed.
    ///
    /// The events of a command that a repository encodes have ids that begin with it.
    #[must_use]
    pub fn command_id(mut self, id: impl Into<String>) -> Self {
        self.command_id = Some(id.into());
        self
    }

    /// The same context in what belongs together by this id: a request, a process.
    #[must_use]
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.metadata.correlation_id = Some(id.into());
        self
    }

    /// The same context, caused by the command or event with this id.
    #[must_use]
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.metadata.causation_id = Some(id.into());
        self
    }

    /// The same context, with who acts.
    #[must_use]
    pub fn user_id(mut self, id: impl Into<String>) -> Self {
        self.metadata.user_id = Some(id.into());
        self
    }

    /// The same context, with whom it is done for.
    #[must_use]
    pub fn tenant_id(mut self, id: impl Into<String>) -> Self {
        self.metadata.tenant_id = Some(id.into());
        self
    }

    /// The same context for something that happened at this time, where that isn't when it is stored.
    ///
    /// ```
    /// use annals::{Context, EventData, OccurredAt, Timestamp};
    ///
    /// let scanned = OccurredAt { time: Timestamp::from_micros(1_767_258_000_000_000), offset_minutes: 60 };
    /// let event = EventData::new("TicketScanned", "{}").with_context(&Context::new().occurred_at(scanned))?;
    /// assert_eq!(event.occurred_at, Some(scanned));
    /// # Ok::<(), annals::Error>(())
    /// ```
    #[must_use]
    pub fn occurred_at(mut self, occurred_at: OccurredAt) -> Self {
        self.occurred_at = Some(occurred_at);
        self
    }

    /// The same context, with the address that the command came from (custom key `ipAddress`). It is stored with each event,
    /// readable, and can't be taken out again.
    #[must_use]
    pub fn ip_address(self, address: impl Into<String>) -> Self {
        self.with(IP_ADDRESS_KEY, address.into())
    }

    /// The same context, with the program that the command came from (custom key `userAgent`).
    #[must_use]
    pub fn user_agent(self, user_agent: impl Into<String>) -> Self {
        self.with(USER_AGENT_KEY, user_agent.into())
    }

    /// The same context, in which a wrong event is made good: see [`EventData::corrects`].
    #[must_use]
    pub fn corrects<'e>(mut self, original: impl Into<EventRef<'e>>) -> Self {
        self.metadata = self.metadata.corrects(original);
        self
    }

    /// The same context with a key of the program's own. The keys of [`Metadata`]'s fields, as `userId`, are refused
    /// when an event gets the context.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.custom.insert(key.into(), value.into());
        self
    }

    /// The command's id.
    #[must_use]
    pub fn command(&self) -> Option<&str> {
        self.command_id.as_deref()
    }

    /// When it happened, if the context says so.
    #[must_use]
    pub fn occurred(&self) -> Option<OccurredAt> {
        self.occurred_at
    }

    /// What events of this context have as metadata. A command is the cause of its events, if nothing else is named
    /// as such, and what belongs together begins with it, if nothing says otherwise. Beside another cause its id is
    /// kept as `commandId`.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        let mut metadata = self.metadata.clone();
        let Some(command_id) = &self.command_id else { return metadata };
        if metadata.causation_id.is_some() {
            metadata.custom.insert(COMMAND_ID_KEY.to_owned(), command_id.clone().into());
        } else {
            metadata.causation_id = Some(command_id.clone());
            metadata.correlation_id.get_or_insert_with(|| command_id.clone());
        }
        metadata
    }

    /// The same context with the trace that it is part of.
    #[cfg(feature = "tracing")]
    pub(crate) fn trace_id(mut self, id: String) -> Self {
        self.metadata.correlation_id.get_or_insert_with(|| id.clone());
        self.with(TRACE_ID_KEY, id)
    }
}

impl EventData {
    /// The same event with a context's metadata, and the time at which it happened if the context says one. What the event
    /// says of that itself stays.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event has metadata that aren't a JSON object, or a custom key of the context is a field's,
    /// such as `userId`.
    pub fn with_context(mut self, context: &Context) -> Result<Self, Invalid> {
        self.occurred_at = self.occurred_at.or(context.occurred_at);
        let metadata = self.own_metadata()?.or(context.metadata());
        self.with_metadata(&metadata)
    }
}
