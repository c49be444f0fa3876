//! What a program says of an event type, and how that stands in the log.
//!
//! A definition is an event of the store's own stream `$event-types`. So what is registered is as durable as the
//! events, recovered with them, and seen by followers. What holds is what all these events say, one after the other.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    compatibility::Compatibility,
    error::Error,
    event::{EventData, EventRef},
    invalid::Invalid,
    schema_compatibility::version_compatibility,
    stream::{StreamId, check_name, is_system},
    time::Timestamp,
};

/// The stream that all definitions stand in.
const STREAM: &str = "$event-types";
const REGISTERED: &str = "$EventTypeRegistered";

/// The longest schema, in bytes of JSON without white space: 1 MiB.
pub const SCHEMA_BYTES_MAX: usize = 1 << 20;

/// The longest description of an event type, in bytes: 64 KiB.
pub const DESCRIPTION_BYTES_MAX: usize = 64 << 10;

/// How many versions of event types, all together, a store registers.
pub const DEFINITIONS_MAX: usize = 10_000;

const DEFINITION: &str = "event type definition";

/// What an append does with an event that isn't as its type is registered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Validation {
    /// It doesn't look.
    #[default]
    Off,
    /// It appends it, and tells [`Options::on_schema_warning`](crate::Options::on_schema_warning).
    Warn,
    /// It appends nothing, and fails with [`Error::SchemaViolation`].
    Enforce,
}

impl fmt::Display for Validation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Enforce => "enforce",
        })
    }
}

/// What a program says of one schema version of an event type.
///
/// ```
/// use annals::{EventTypeDefinition, Validation};
/// use serde_json::json;
///
/// let definition = EventTypeDefinition::new("OrderPlaced")
///     .with_category("order")
///     .with_schema(json!({"type": "object", "required": ["total"]}))
///     .with_validation(Validation::Enforce);
/// assert_eq!(definition.schema_version, 1);
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct EventTypeDefinition {
    /// The event type: 1 to 2,048 bytes, no control characters, no `$` at the beginning.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The category whose streams alone have such events; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The schema version; 1 unless said otherwise.
    pub schema_version: u32,
    /// The JSON Schema of the data, up to 1 MiB; none: any data, of any content type.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_value")]
    pub schema: Option<Value>,
    /// What the event means, for people, up to 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What appends do with events of this version that aren't so.
    pub validation: Validation,
}

/// A field that is there is a schema, also where it is `null`, which is refused where it matters.
fn some_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl EventTypeDefinition {
    /// Version 1 of a type, of which nothing else is said.
    pub fn new(event_type: impl Into<String>) -> Self {
        Self {
            event_type: event_type.into(),
            category: None,
            schema_version: 1,
            schema: None,
            description: None,
            validation: Validation::Off,
        }
    }

    /// The same for streams of one category alone.
    #[must_use]
    pub fn with_category(mut self, category: impl Into<String>) -> Self {
        self.category = Some(category.into());
        self
    }

    /// The same for another schema version.
    #[must_use]
    pub fn with_schema_version(mut self, schema_version: u32) -> Self {
        self.schema_version = schema_version;
        self
    }

    /// The same with a JSON Schema of the data.
    #[must_use]
    pub fn with_schema(mut self, schema: impl Into<Value>) -> Self {
        self.schema = Some(schema.into());
        self
    }

    /// The same with a description.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// The same with this validation.
    #[must_use]
    pub fn with_validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// Refuses what breaks the rules that hold for every definition.
    fn check(&self) -> Result<(), Invalid> {
        check_name("event type", &self.event_type)?;
        if is_system(self.event_type.as_bytes()) {
            let reason = "names that begin with '$' are the store's own";
            return Err(Invalid::new("event type", &self.event_type, reason));
        }
        if let Some(category) = &self.category {
            check_category(category)?;
        }
        if let Some(description) = &self.description
            && description.len() > DESCRIPTION_BYTES_MAX
        {
            const WHAT: &str = "description";
            return Err(Invalid::too_large(WHAT, description, description.len(), DESCRIPTION_BYTES_MAX));
        }
        let Some(schema) = &self.schema else { return Ok(()) };
        if !schema.is_object() && !schema.is_boolean() {
            let reason = "a JSON Schema is an object, true or false";
            return Err(Invalid::new("schema of event type", &self.event_type, reason));
        }
        let size = schema.to_string().len();
        if size > SCHEMA_BYTES_MAX {
            return Err(Invalid::too_large("schema of event type", &self.event_type, size, SCHEMA_BYTES_MAX));
        }
        Ok(())
    }

    /// The event that registers it; what couldn't be read again is refused.
    pub(crate) fn to_event(&self) -> Result<EventData, Invalid> {
        self.check()?;
        let event = EventData::json(REGISTERED, self)?;
        match serde_json::from_slice::<Self>(&event.data) {
            Ok(read) if read == *self => Ok(event),
            Ok(_) => {
                let reason = "JSON can't say it exactly, such as a number with very many digits";
                Err(Invalid::new(DEFINITION, &self.event_type, reason))
            }
            Err(error) => Err(Invalid::new(DEFINITION, &self.event_type, error.to_string())),
        }
    }
}

fn check_category(category: &str) -> Result<(), Invalid> {
    const WHAT: &str = "stream category";
    check_name(WHAT, category)?;
    if category.contains('-') {
        return Err(Invalid::new(WHAT, category, "it has a '-', which ends a category"));
    }
    if is_system(category.as_bytes()) {
        return Err(Invalid::new(WHAT, category, "names that begin with '$' are the store's own"));
    }
    Ok(())
}

/// An event type of which something is registered.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RegisteredEventType {
    /// Its name.
    pub event_type: String,
    /// When it was registered first.
    pub created: Timestamp,
    /// Its schema versions, the lowest first; at least one.
    pub versions: Vec<RegisteredVersion>,
}

/// A registered schema version of an event type.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct RegisteredVersion {
    /// What is registered, as it is now.
    pub definition: EventTypeDefinition,
    /// When this version was registered first.
    pub registered: Timestamp,
    /// When its description or validation was changed last; its registration if never.
    pub updated: Timestamp,
}

impl RegisteredEventType {
    /// The highest schema version.
    #[must_use]
    pub fn newest(&self) -> &RegisteredVersion {
        // Each is made with a version, and loses none.
        &self.versions[self.versions.len() - 1]
    }

    /// A schema version; none if it isn't registered.
    #[must_use]
    pub fn version(&self, schema_version: u32) -> Option<&RegisteredVersion> {
        let place = self.place(schema_version).ok()?;
        self.versions.get(place)
    }

    /// How a schema version's schema fits that of the version before it; none for the first, or if it isn't registered.
    #[must_use]
    pub fn compatibility(&self, schema_version: u32) -> Option<Compatibility> {
        let place = self.place(schema_version).ok()?;
        let before = self.versions.get(place.checked_sub(1)?)?;
        let schema = |version: &RegisteredVersion| version.definition.schema.clone();
        let new = &self.versions[place];
        Some(version_compatibility(schema(before).as_ref(), schema(new).as_ref()))
    }

    fn place(&self, schema_version: u32) -> Result<usize, usize> {
        self.versions.binary_search_by_key(&schema_version, |version| version.definition.schema_version)
    }
}

/// What a registration did.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Registration {
    /// The event type.
    pub event_type: String,
    /// The schema version.
    pub schema_version: u32,
    /// What was new about it.
    pub outcome: RegistrationOutcome,
    /// For a new version of a known type, how its schema fits that of the version before.
    pub compatibility: Option<Compatibility>,
}

/// What was new about a registration.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RegistrationOutcome {
    /// The event type.
    NewType,
    /// The schema version, of a type that was known.
    NewVersion,
    /// Description or validation, of a version that was known.
    Changed,
    /// Nothing: it was registered so already, and nothing was written.
    Repeated,
}

/// All that is registered.
#[derive(Clone, Default, Debug)]
pub(crate) struct Registered {
    pub(crate) types: BTreeMap<String, RegisteredEventType>,
}

impl Registered {
    /// Takes what the next event of the stream says, and returns the type's name.
    pub(crate) fn take(&mut self, event: &EventRef<'_>) -> Result<String, Invalid> {
        if event.event_type != REGISTERED {
            let reason = "this version doesn't know its type: use a newer annals";
            return Err(Invalid::new("event of the registered types", event.event_type, reason));
        }
        let definition: EventTypeDefinition = event.json()?;
        let (name, now) = (definition.event_type.clone(), event.timestamp);
        let version = RegisteredVersion { definition, registered: now, updated: now };
        let registered = self.types.entry(name.clone()).or_insert_with(|| RegisteredEventType {
            event_type: name.clone(),
            created: now,
            versions: Vec::new(),
        });
        match registered.place(version.definition.schema_version) {
            Ok(place) => {
                let registered = &mut registered.versions[place];
                *registered = RegisteredVersion { registered: registered.registered, ..version };
            }
            Err(place) => registered.versions.insert(place, version),
        }
        Ok(name)
    }

    /// How many definitions there are.
    pub(crate) fn count(&self) -> usize {
        self.types.values().map(|registered| registered.versions.len()).sum()
    }

    /// What registering a definition would do; an error if it would contradict what is registered.
    pub(crate) fn decide(&self, definition: &EventTypeDefinition) -> Result<Registration, Error> {
        let EventTypeDefinition { event_type, schema_version, schema, category, .. } = definition;
        let conflict = |newest: u32, reason: &'static str| Error::EventTypeConflict {
            event_type: event_type.clone(),
            schema_version: *schema_version,
            newest,
            reason,
        };
        let decided = |outcome, compatibility| {
            let (event_type, schema_version) = (event_type.clone(), *schema_version);
            Ok(Registration { event_type, schema_version, outcome, compatibility })
        };
        let Some(known) = self.types.get(event_type) else {
            return decided(RegistrationOutcome::NewType, None);
        };
        let newest = &known.newest().definition;
        match known.version(*schema_version) {
            Some(same) if same.definition == *definition => decided(RegistrationOutcome::Repeated, None),
            Some(same) if same.definition.schema != *schema => {
                Err(conflict(newest.schema_version, "with another schema"))
            }
            Some(same) if same.definition.category != *category => {
                Err(conflict(newest.schema_version, "with another category"))
            }
            Some(_) => decided(RegistrationOutcome::Changed, None),
            None if *schema_version < newest.schema_version => {
                Err(conflict(newest.schema_version, "later than a higher one"))
            }
            None => {
                let compatibility = version_compatibility(newest.schema.as_ref(), schema.as_ref());
                decided(RegistrationOutcome::NewVersion, Some(compatibility))
            }
        }
    }
}

/// The stream that all definitions stand in.
pub(crate) fn event_types_stream() -> Result<StreamId, Invalid> {
    StreamId::new(STREAM)
}
