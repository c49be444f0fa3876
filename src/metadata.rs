//! What stands beside an event's data: who caused it, in which context.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::invalid::Invalid;

/// An event's metadata. It is kept as one JSON object; absent when empty.
///
/// ```
/// use annals::{EventData, Metadata};
///
/// let mut metadata = Metadata { correlation_id: Some("checkout-7".into()), ..Metadata::default() };
/// metadata.custom.insert("region".into(), "eu".into());
/// let event = EventData::new("OrderPlaced", "{}").with_metadata(&metadata)?;
/// assert_eq!(event.metadata, br#"{"correlationId":"checkout-7","region":"eu"}"#);
/// # Ok::<(), annals::Error>(())
/// ```
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// What belongs together: the same in all that one request or process brought about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// The id of the command or event that this event answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation_id: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// For whom it was done, where several share a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// All other keys; the fields' own are refused.
    #[serde(flatten)]
    pub custom: Map<String, Value>,
}

/// The fields' keys, which no custom key may be: an object that had one twice couldn't be read again.
const FIELD_KEYS: [&str; 4] = ["correlationId", "causationId", "userId", "tenantId"];

impl Metadata {
    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The bytes that are stored: none when empty.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Invalid> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(key) = FIELD_KEYS.into_iter().find(|key| self.custom.contains_key(*key)) {
            return Err(Invalid::new("metadata key", key, "it is a field's: set that, and no custom key"));
        }
        serde_json::to_vec(self).map_err(|error| Invalid::new("metadata", "", error.to_string()))
    }

    /// Reads stored bytes back; none where there are no bytes.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Option<Self>, Invalid> {
        if bytes.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(bytes)
            .map(Some)
            .map_err(|error| Invalid::new("metadata", &String::from_utf8_lossy(bytes), error.to_string()))
    }
}

/// The correlation id in stored metadata; none where they aren't a JSON object that has one.
pub(crate) fn correlation_id(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Correlated {
        correlation_id: Option<String>,
    }
    if bytes.is_empty() {
        return None;
    }
    serde_json::from_slice::<Correlated>(bytes).ok()?.correlation_id
}
