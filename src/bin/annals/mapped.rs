//! Events made of another program's objects, as `--map` says where everything is.
//!
//! What isn't found is an error unless it was said to be optional: a path with a slip in it would otherwise lose the data of
//! every event. `null` leaves a field out, except the data, which may be `null`.

use std::borrow::Cow;

use annals::{ContentType, EventData, EventId, OccurredAt, StreamId};
use jsonptr::PointerBuf;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    clock_text,
    contract::{DATA_WHEN_NONE_GIVEN, Incoming, MetadataObject},
    field_value::{self, Reading},
    input::{Line, Problem},
    mapping::{Absence, Field, Mapping, Part, Source},
    pointing::{find, show},
};

const ONE_OBJECT_A_LINE: &str = "this is no object, and an import takes one object a line; of an array, or of objects over several lines, \
     jq -c '.[]' or jq -c . makes such lines";

const EMPTY_TEXT: &str = "an empty text is there, which is no JSON";

/// The event that a line describes.
pub(crate) fn take(line: &Line<'_>, mappings: &[Mapping]) -> Result<Incoming, Problem> {
    let object: &RawValue = line.parse()?;
    if !object.get().starts_with('{') {
        return Err(line.problem(ONE_OBJECT_A_LINE));
    }
    let mut fields = Fields::default();
    for mapping in mappings {
        fields.take(object, mapping).map_err(|reason| line.problem(format!("{mapping}: {reason}")))?;
    }
    fields.event().map_err(|reason| line.problem(reason))
}

/// What was found of an event so far.
#[derive(Default)]
struct Fields<'a> {
    stream: Option<StreamId>,
    event_type: Option<String>,
    id: Option<EventId>,
    data: Option<(Vec<u8>, ContentType)>,
    metadata: Option<Cow<'a, RawValue>>,
    metadata_keys: Vec<(String, Cow<'a, RawValue>)>,
    occurred_at: Option<OccurredAt>,
    timestamp: Option<OccurredAt>,
    schema_version: Option<u32>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, object: &'a RawValue, mapping: &'a Mapping) -> Result<(), String> {
        let Some(value) = value_of(mapping, object)? else { return Ok(()) };
        let is_null = value.get() == "null";
        match &mapping.field {
            Field::Data => self.data = Some((value.get().as_bytes().to_vec(), ContentType::JSON)),
            Field::Stream => self.stream = Some(field_value::stream(&value, mapping.source.reading())?),
            Field::Type => self.event_type = Some(field_value::text(&value)?.into_owned()),
            _ if is_null => {}
            Field::Id => self.id = Some(field_value::id(&value)?),
            Field::DataBase64 => self.data = Some((field_value::bytes(&value)?, ContentType::BYTES)),
            Field::Metadata => {
                field_value::check_object(&value)?;
                self.metadata = Some(value);
            }
            Field::MetadataKey(key) => self.metadata_keys.push((key.clone(), value)),
            Field::OccurredAt => self.occurred_at = Some(time_of(mapping, &value)?),
            Field::Timestamp => self.timestamp = Some(time_of(mapping, &value)?),
            Field::SchemaVersion => self.schema_version = Some(field_value::schema_version(&value)?),
        }
        Ok(())
    }

    /// The event of what was found.
    fn event(self) -> Result<Incoming, String> {
        let metadata = self.metadata_bytes()?;
        // That there is a type, the command line was asked for.
        let event_type = self.event_type.unwrap_or_default();
        let (data, content_type) =
            self.data.unwrap_or_else(|| (DATA_WHEN_NONE_GIVEN.to_vec(), ContentType::JSON));
        let mut event = EventData::new(event_type, data)
            .with_content_type(content_type)
            .with_metadata_bytes(metadata, ContentType::JSON)
            .with_schema_version(self.schema_version.unwrap_or(1));
        event.id = self.id;
        event.occurred_at = self.occurred_at;
        Ok(Incoming { stream: self.stream, timestamp: self.timestamp, event })
    }

    /// The metadata as they stood there, and behind them the keys that were asked for one by one.
    fn metadata_bytes(&self) -> Result<Vec<u8>, String> {
        let given = match &self.metadata {
            None => MetadataObject::default(),
            Some(object) => serde_json::from_str(object.get()).map_err(|error| error.to_string())?,
        };
        if self.metadata_keys.is_empty() {
            return Ok(given.bytes().to_vec());
        }
        let mut object = given.bytes().strip_suffix(b"}").unwrap_or(b"{").to_vec();
        for (key, value) in &self.metadata_keys {
            if self.metadata.as_ref().is_some_and(|metadata| has(metadata, key)) {
                return Err(format!(
                    "--map metadata.{key}: the metadata that --map metadata finds have that key already"
                ));
            }
            if object.len() > 1 {
                object.push(b',');
            }
            let key = to_raw_value(key).map_err(|error| error.to_string())?;
            object.extend_from_slice(key.get().as_bytes());
            object.push(b':');
            object.extend_from_slice(value.get().as_bytes());
        }
        object.push(b'}');
        Ok(object)
    }
}

/// Whether an object has a name, once or more often.
fn has(object: &RawValue, name: &str) -> bool {
    !matches!(find(object, &PointerBuf::from_tokens([name])), Ok(Err(_)))
}

/// The time that a mapping found.
fn time_of(mapping: &Mapping, value: &RawValue) -> Result<OccurredAt, String> {
    let reading = mapping.source.reading();
    field_value::time(value, reading).map_err(|wrong| {
        let lacks_offset = field_value::text(value).is_ok_and(|text| clock_text::lacks_offset_alone(&text));
        let advice = if lacks_offset { mapping.advice_where_offset_is_missing() } else { String::new() };
        format!("{wrong}{advice}")
    })
}

/// What a source gives for an object; none where the field is to be left out.
fn value_of<'a>(mapping: &'a Mapping, object: &'a RawValue) -> Result<Option<Cow<'a, RawValue>>, String> {
    match &mapping.source {
        Source::Constant(value) => Ok(Some(Cow::Borrowed(value))),
        Source::Text(parts) => put_together(parts, object).map(|text| Some(Cow::Owned(text))),
        Source::At { pointer, reading, absence } => {
            let found = find(object, pointer).map_err(|error| error.to_string())?;
            let value = match found {
                Ok(value) if *reading == Reading::Json => unwrapped(value)?.ok_or(EMPTY_TEXT.to_owned()),
                Ok(value) => Ok(Cow::Borrowed(value)),
                Err(missing) => Err(missing.to_string()),
            };
            match value {
                Ok(value) => Ok(Some(value)),
                Err(_) if *absence == Absence::LeftOut => Ok(None),
                Err(missing) => Err(format!("{missing}{}", mapping.advice_where_nothing_is())),
            }
        }
    }
}

/// The JSON that a text is; none: the text is empty. What is no text is JSON already.
fn unwrapped(value: &RawValue) -> Result<Option<Cow<'_, RawValue>>, String> {
    if !value.get().starts_with('"') {
        return Ok(Some(Cow::Borrowed(value)));
    }
    let text = field_value::text(value)?.into_owned();
    if text.trim().is_empty() {
        return Ok(None);
    }
    let json = RawValue::from_string(text);
    json.map(|json| Some(Cow::Owned(json)))
        .map_err(|error| format!("the text {} isn't JSON: {error}", show(value)))
}

/// A text of parts, as JSON.
fn put_together(parts: &[Part], object: &RawValue) -> Result<Box<RawValue>, String> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(part) => text.push_str(part),
            Part::At(pointer) => {
                let found = find(object, pointer).map_err(|error| error.to_string())?;
                let value = found.map_err(|missing| format!("{{{pointer}}}: {missing}"))?;
                text.push_str(&field_value::text(value).map_err(|wrong| format!("{{{pointer}}}: {wrong}"))?);
            }
        }
    }
    to_raw_value(&text).map_err(|error| error.to_string())
}
