//! Events as JSON, one object a line: what every command takes. The library prints them (`write_event_line`), since a repair leaves
//! such lines too; docs/cli.md has the fields.
//!
//! When a line is taken in, `position`, `version` and `timestamp` are ignored, since the store gives its own;
//! any other name is an error, so that a slip of the pen doesn't lose data.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use annals::{ContentType, EventData, EventId, EventRef, OccurredAt, StreamId};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde::{Deserialize, Deserializer, de, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::clock_text;

/// The data of an event of which none were given.
pub(crate) const DATA_WHEN_NONE_GIVEN: &[u8] = b"{}";

/// What an event's bytes are, seen from JSON.
pub(crate) enum Payload<'a> {
    /// JSON on one line.
    Json(Cow<'a, RawValue>),
    /// Anything else.
    Bytes(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// Bytes that are said to be written like this.
    pub(crate) fn of(bytes: &'a [u8], content_type: ContentType) -> Self {
        match serde_json::from_slice::<&RawValue>(bytes) {
            Ok(value) if content_type == ContentType::JSON => Self::Json(on_one_line(value)),
            _ => Self::Bytes(bytes),
        }
    }

    /// The event's data.
    pub(crate) fn of_data(event: &EventRef<'a>) -> Self {
        Self::of(event.data, event.content_type)
    }

    /// The event's metadata, which are JSON only if they are an object; none where it has none.
    pub(crate) fn of_metadata(event: &EventRef<'a>) -> Option<Self> {
        if event.metadata_bytes.is_empty() {
            return None;
        }
        match Self::of(event.metadata_bytes, event.metadata_content_type) {
            Self::Json(value) if !is_object(&value) => Some(Self::Bytes(event.metadata_bytes)),
            payload => Some(payload),
        }
    }

    /// The JSON, if it is some.
    pub(crate) fn json(&self) -> Option<&RawValue> {
        match self {
            Self::Json(value) => Some(value),
            Self::Bytes(_) => None,
        }
    }

    /// The bytes as base64, if it isn't JSON.
    pub(crate) fn base64(&self) -> Option<String> {
        match self {
            Self::Json(_) => None,
            Self::Bytes(bytes) => Some(BASE64.encode(bytes)),
        }
    }

    /// The content type's number, where a reader can't know it from the form.
    pub(crate) fn unexpected(&self, content_type: ContentType) -> Option<u8> {
        let expected = match self {
            Self::Json(_) => ContentType::JSON,
            Self::Bytes(_) => ContentType::BYTES,
        };
        (content_type != expected).then(|| content_type.number())
    }
}

fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Inside its strings JSON has no line ends, so those outside can be spaces.
fn on_one_line(value: &RawValue) -> Cow<'_, RawValue> {
    if !value.get().contains(['\n', '\r']) {
        return Cow::Borrowed(value);
    }
    let line = value.get().replace(['\n', '\r'], " ");
    RawValue::from_string(line).map_or(Cow::Borrowed(value), Cow::Owned)
}

/// An event as it comes in.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Fields")]
pub(crate) struct Incoming {
    /// The stream, where the line names one.
    pub(crate) stream: Option<StreamId>,
    /// When the store had it that the line comes from, where the line says so.
    pub(crate) timestamp: Option<OccurredAt>,
    pub(crate) event: EventData,
}

/// The line's fields, as they stand there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Fields<'a> {
    #[serde(default, rename = "position")]
    _position: IgnoredAny,
    #[serde(default)]
    stream: Option<StreamId>,
    #[serde(default, rename = "version")]
    _version: IgnoredAny,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default, deserialize_with = "from_text")]
    id: Option<EventId>,
    #[serde(default, borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "occurred_at")]
    occurred_at: Option<OccurredAt>,
    #[serde(default)]
    schema_version: Option<u32>,
    #[serde(default, borrow, deserialize_with = "value_or_null")]
    data: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "base64")]
    data_base64: Option<Vec<u8>>,
    #[serde(default)]
    content_type: Option<u8>,
    #[serde(default, borrow, deserialize_with = "object")]
    metadata: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "base64")]
    metadata_base64: Option<Vec<u8>>,
    #[serde(default)]
    metadata_content_type: Option<u8>,
}

impl TryFrom<Fields<'_>> for Incoming {
    type Error = &'static str;

    fn try_from(fields: Fields<'_>) -> Result<Self, Self::Error> {
        let (data, content_type) = match (fields.data, fields.data_base64) {
            (Some(_), Some(_)) => return Err("data and dataBase64 are both given: only one can be the data"),
            (Some(json), None) => (json.get().as_bytes().to_vec(), ContentType::JSON),
            (None, Some(bytes)) => (bytes, ContentType::BYTES),
            (None, None) => (DATA_WHEN_NONE_GIVEN.to_vec(), ContentType::JSON),
        };
        let (metadata, metadata_content_type) = match (fields.metadata, fields.metadata_base64) {
            (Some(_), Some(_)) => {
                return Err("metadata and metadataBase64 are both given: only one can be the metadata");
            }
            (Some(json), None) => (metadata_bytes(json).to_vec(), ContentType::JSON),
            (None, Some(bytes)) => (bytes, ContentType::BYTES),
            (None, None) => (Vec::new(), ContentType::JSON),
        };
        let mut event = EventData::new(fields.event_type, data)
            .with_content_type(fields.content_type.map_or(content_type, ContentType::new))
            .with_metadata_bytes(
                metadata,
                fields.metadata_content_type.map_or(metadata_content_type, ContentType::new),
            )
            .with_schema_version(fields.schema_version.unwrap_or(1));
        event.id = fields.id;
        event.occurred_at = fields.occurred_at;
        Ok(Self { stream: fields.stream, timestamp: fields.timestamp.and_then(timestamp), event })
    }
}

/// Metadata given as JSON, which must be an object.
#[derive(Clone, Copy, Default, Debug, Deserialize)]
pub(crate) struct MetadataObject<'a>(#[serde(borrow, deserialize_with = "object")] Option<&'a RawValue>);

impl<'a> MetadataObject<'a> {
    /// The bytes to store.
    pub(crate) fn bytes(self) -> &'a [u8] {
        self.0.map_or(b"", metadata_bytes)
    }
}

/// An object with nothing in it is no metadata.
fn metadata_bytes(object: &RawValue) -> &[u8] {
    let text = object.get();
    let inside = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    if inside.is_some_and(|inside| inside.trim().is_empty()) { b"" } else { text.as_bytes() }
}

/// Tells `null` apart from a field that isn't there.
fn value_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    match Option::<&RawValue>::deserialize(deserializer)? {
        Some(value) if !is_object(value) => Err(de::Error::custom("metadata must be a JSON object")),
        value => Ok(value),
    }
}

fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    text.map(|text| text.parse()).transpose().map_err(de::Error::custom)
}

fn occurred_at<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<OccurredAt>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let time = text.map(|text| {
        let wrong = |reason| de::Error::custom(format!("invalid occurredAt {text:?}: {reason}"));
        clock_text::parse_occurred_at(&text).map_err(wrong)
    });
    time.transpose()
}

/// A time that is there and can be read. Whether it must be there is for who needs it to say.
fn timestamp(value: &RawValue) -> Option<OccurredAt> {
    let text: Cow<'_, str> = serde_json::from_str(value.get()).ok()?;
    clock_text::parse_occurred_at(&text).ok()
}

fn base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
    let text = Option::<Cow<'de, str>>::deserialize(deserializer)?;
    let wrong = |error| de::Error::custom(format!("this isn't base64: {error}"));
    text.map(|text| BASE64.decode(text.as_bytes()).map_err(wrong)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Problem, parse_json};

    fn take(line: &str) -> Result<Incoming, Problem> {
        parse_json("lines", 1, line.as_bytes())
    }

    fn check_refused(line: &str, reason: &str) {
        let message = take(line).expect_err(line).to_string();
        assert!(message.contains(reason), "{line}\n{message}");
    }

    #[test]
    fn json_is_taken_exactly_as_it_stands() {
        let line =
            r#"{"type":"T", "data" : {"n":1.10e+400, "big":123456789012345678901234567890,"b":"\u00e4"} }"#;
        let event = take(line).expect("a good line").event;
        let data = r#"{"n":1.10e+400, "big":123456789012345678901234567890,"b":"\u00e4"}"#;
        assert_eq!(event.data, data.as_bytes());
        assert_eq!(event.content_type, ContentType::JSON);
    }

    #[test]
    fn null_is_data_and_a_missing_field_is_an_empty_object() {
        assert_eq!(take(r#"{"type":"T","data":null}"#).expect("good").event.data, b"null");
        assert_eq!(take(r#"{"type":"T"}"#).expect("good").event.data, b"{}");
    }

    #[test]
    fn empty_metadata_are_none() {
        for metadata in ["{}", "{ }", "null"] {
            let line = format!(r#"{{"type":"T","metadata":{metadata}}}"#);
            assert_eq!(take(&line).expect("good").event.metadata, b"", "{metadata}");
        }
    }

    #[test]
    fn what_the_store_gives_itself_is_ignored() {
        let line = r#"{"position":5,"stream":"a","version":"x","type":"T","timestamp":[]}"#;
        let incoming = take(line).expect("good");
        assert_eq!(incoming.stream, Some(StreamId::new("a").expect("a name")));
        assert_eq!(incoming.event, EventData::new("T", "{}").with_content_type(ContentType::JSON));
    }

    #[test]
    fn bytes_come_as_base64() {
        let event = take(r#"{"type":"T","dataBase64":"AP8=","contentType":200}"#).expect("good").event;
        assert_eq!((event.data, event.content_type), (vec![0, 255], ContentType::new(200)));
    }

    #[test]
    fn a_slip_of_the_pen_does_not_lose_data() {
        check_refused(r#"{"type":"T","dat":1}"#, "line 1, column 17: unknown field `dat`");
        check_refused(r#"{"type":"T","data":1,"data":2}"#, "duplicate field `data`");
        check_refused(r#"{"type":"T","data":1,"dataBase64":""}"#, "only one can be the data");
        check_refused(r#"{"data":1}"#, "missing field `type`");
    }

    #[test]
    fn a_bad_value_is_named_with_its_place() {
        check_refused(r#"{"type":"T","stream":""}"#, "line 1, column 24: invalid stream id \"\"");
        check_refused(r#"{"type":"T","id":""}"#, "invalid event id \"\"");
        check_refused(r#"{"type":"T","metadata":[]}"#, "metadata must be a JSON object");
        check_refused(r#"{"type":"T","occurredAt":"noon"}"#, "invalid occurredAt \"noon\"");
        check_refused(r#"{"type":"T","dataBase64":"*"}"#, "this isn't base64");
        check_refused(r#"{"type":"T","schemaVersion":-1}"#, "invalid value");
    }
}
