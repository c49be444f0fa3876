//! What `--map` says: which field of an event is found where in the objects of another program.
//!
//! ```text
//! MAPPING   = FIELD "=" SOURCE
//! SOURCE    = ["optional:"] [READING ":"] POINTER     what is there
//!           | a text with "{" POINTER "}" in it       put together
//!           | JSON                                    the same for every event
//! READING   = "json" | "path" | "s" | "ms" | "us"
//! POINTER   = a JSON Pointer (RFC 6901); the empty one is the whole object
//! ```
//!
//! No JSON begins with `/`, so a pointer can't be taken for a constant, and a name without quotes is neither: who
//! forgets the `/` is told so, and doesn't get the same stream for all events.

use std::{fmt, str::FromStr};

use jsonptr::PointerBuf;
use serde_json::value::RawValue;

use crate::{
    epoch::Unit,
    field_value::{self, Reading},
    line_time::TimeSource,
};

/// What one `--map` says.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    /// As it was written, for messages.
    text: String,
    pub(crate) field: Field,
    pub(crate) source: Source,
}

impl fmt::Display for Mapping {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "--map {}", self.text)
    }
}

impl Mapping {
    /// What helps where nothing is found that isn't said to be optional.
    pub(crate) fn advice_where_nothing_is(&self) -> &'static str {
        if self.field.is_in_every_event() {
            ""
        } else {
            "; where only some have it, write optional: before the path"
        }
    }

    /// What helps where times are found that say no offset.
    pub(crate) fn advice_where_offset_is_missing(&self) -> String {
        let field = self.text.split('=').next().unwrap_or_default();
        match &self.source {
            Source::At { pointer, .. } => format!(
                "; a text with the path in it adds one: --map {field}={{{pointer}}}Z where such times are UTC, or +01:00 in place of the Z"
            ),
            Source::Text(_) | Source::Constant(_) => {
                "; write Z at the text's end where such times are UTC, or such as +01:00".to_owned()
            }
        }
    }
}

/// A field of an event, as a line of `import` names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Field {
    Stream,
    Type,
    Id,
    Data,
    DataBase64,
    Metadata,
    /// One key of the metadata.
    MetadataKey(String),
    OccurredAt,
    Timestamp,
    SchemaVersion,
}

/// Where a field's value comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    At { pointer: PointerBuf, reading: Reading, absence: Absence },
    Text(Vec<Part>),
    Constant(Box<RawValue>),
}

impl Source {
    pub(crate) fn reading(&self) -> Reading {
        match self {
            Self::At { reading, .. } => *reading,
            Self::Text(_) | Self::Constant(_) => Reading::AsItIs,
        }
    }
}

/// What it means if nothing is found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Absence {
    Wrong,
    /// The event hasn't got the field.
    LeftOut,
}

/// A part of a text that is put together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Text(String),
    At(PointerBuf),
}

const FIELDS: &str =
    "stream, type, id, data, dataBase64, metadata, metadata.KEY, occurredAt, timestamp, schemaVersion";

const SOURCES: &str = "a JSON Pointer, such as /payload/time, a text with pointers in it, such as order-{/id}, or a constant \
                       as JSON, such as 2 or '\"shop\"'";

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (field, source) = text.split_once('=').ok_or_else(|| {
            format!("it is FIELD=PATH, where the field is one of {FIELDS}, and the path {SOURCES}")
        })?;
        let field: Field = field.parse()?;
        let source = parse_source(source)?;
        match &source {
            Source::At { reading, absence, .. } => check_together(&field, *reading, *absence)?,
            Source::Text(_) => {}
            Source::Constant(value) => check_constant(&field, value)?,
        }
        Ok(Self { text: text.to_owned(), field, source })
    }
}

impl Field {
    fn is_in_every_event(&self) -> bool {
        matches!(self, Self::Stream | Self::Type)
    }
}

impl FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "stream" => Self::Stream,
            "type" => Self::Type,
            "id" => Self::Id,
            "data" => Self::Data,
            "dataBase64" => Self::DataBase64,
            "metadata" => Self::Metadata,
            "occurredAt" => Self::OccurredAt,
            "timestamp" => Self::Timestamp,
            "schemaVersion" => Self::SchemaVersion,
            _ => match text.strip_prefix("metadata.") {
                Some(key) if !key.is_empty() => Self::MetadataKey(key.to_owned()),
                _ => return Err(format!("{text:?} is no field of an event: it is one of {FIELDS}")),
            },
        })
    }
}

fn parse_source(text: &str) -> Result<Source, String> {
    let (absence, rest) = match text.strip_prefix("optional:") {
        Some(rest) => (Absence::LeftOut, rest),
        None => (Absence::Wrong, text),
    };
    let (reading, path) = parse_reading(rest);
    if path.is_empty() || path.starts_with('/') {
        return Ok(Source::At { pointer: parse_pointer(path)?, reading, absence });
    }
    if path.len() < text.len() {
        return Err(format!("{path:?} is no JSON Pointer, which begins with /"));
    }
    if let Ok(constant) = RawValue::from_string(text.to_owned()) {
        return Ok(Source::Constant(constant));
    }
    if text.contains("{/") {
        return parse_parts(text).map(Source::Text);
    }
    Err(format!("{text:?} is no path: it is {SOURCES}"))
}

fn parse_reading(text: &str) -> (Reading, &str) {
    let readings = [
        ("json:", Reading::Json),
        ("path:", Reading::Path),
        ("s:", Reading::Epoch(Unit::Seconds)),
        ("ms:", Reading::Epoch(Unit::Milliseconds)),
        ("us:", Reading::Epoch(Unit::Microseconds)),
    ];
    let read = readings.into_iter().find_map(|(name, reading)| Some((reading, text.strip_prefix(name)?)));
    read.unwrap_or((Reading::AsItIs, text))
}

fn parse_pointer(text: &str) -> Result<PointerBuf, String> {
    PointerBuf::parse(text)
        .map_err(|_| format!("{text:?} is no JSON Pointer: in one, ~ is written ~0, and / in a name ~1"))
}

/// A text whose parts in braces, if they begin as pointers do, are pointers.
fn parse_parts(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{/") {
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        let (name, behind) =
            behind.split_once('}').ok_or_else(|| format!("in {text:?} a {{ has no }} behind it"))?;
        parts.push(Part::At(parse_pointer(&format!("/{name}"))?));
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

/// Whether a field can be read like that.
fn check_together(field: &Field, reading: Reading, absence: Absence) -> Result<(), String> {
    if absence == Absence::LeftOut && field.is_in_every_event() {
        return Err("every event has a stream and a type: they can't be optional".to_owned());
    }
    match (reading, field) {
        (Reading::AsItIs, _)
        | (Reading::Json, Field::Data | Field::Metadata | Field::MetadataKey(_))
        | (Reading::Path, Field::Stream)
        | (Reading::Epoch(_), Field::OccurredAt | Field::Timestamp) => Ok(()),
        (Reading::Json, _) => Err("json: is for data, metadata and metadata.KEY".to_owned()),
        (Reading::Path, _) => Err("path: is for stream".to_owned()),
        (Reading::Epoch(_), _) => Err("s:, ms: and us: are for occurredAt and timestamp".to_owned()),
    }
}

/// Whether the events of all lines can have this value.
fn check_constant(field: &Field, value: &RawValue) -> Result<(), String> {
    if *field == Field::Id {
        return Err("an id is one event's, and with the same id for all lines they would be one event: write where the id is, \
                    or leave it out, and ids are made"
            .to_owned());
    }
    if *field == Field::Data {
        return Ok(());
    }
    if value.get() == "null" {
        return Err("null is no value: without --map of this field, no event has one".to_owned());
    }
    let checked = match field {
        Field::Stream => field_value::stream(value, Reading::AsItIs).and_then(|stream| {
            if stream.is_system() {
                Err("streams that begin with $ are the store's own".to_owned())
            } else {
                Ok(())
            }
        }),
        Field::Type => field_value::text(value).and_then(|text| check_type(&text)),
        Field::Id | Field::Data | Field::MetadataKey(_) => Ok(()),
        Field::DataBase64 => field_value::bytes(value).map(drop),
        Field::Metadata => field_value::check_object(value),
        Field::OccurredAt | Field::Timestamp if !value.get().starts_with('"') => {
            Err("a time is a text, such as '\"2025-11-21T08:30:00Z\"'".to_owned())
        }
        Field::OccurredAt | Field::Timestamp => field_value::time(value, Reading::AsItIs).map(drop),
        Field::SchemaVersion => field_value::schema_version(value).map(drop),
    };
    checked.map_err(|wrong| format!("no event can have this: {wrong}"))
}

/// The store checks types itself, when an event comes; this finds what is plainly none before.
fn check_type(text: &str) -> Result<(), String> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err("a type has 1 to 2,048 bytes, and no control characters".to_owned());
    }
    Ok(())
}

/// Why these can't describe events together, of which these are to be the store's times; none if they can, or if there are none at all.
pub(crate) fn problem(mappings: &[Mapping], time_from: Option<TimeSource>) -> Option<String> {
    if mappings.is_empty() {
        return None;
    }
    let says = |field: &Field| mappings.iter().any(|it| it.field == *field);
    let is_again = |(at, mapping): (usize, &Mapping)| {
        mappings[..at]
            .iter()
            .find(|before| before.field == mapping.field)
            .map(|before| (before, mapping.clone()))
    };
    if let Some((first, second)) = mappings.iter().enumerate().find_map(is_again) {
        return Some(format!("{first} and {second} are of the same field: leave one of them out"));
    }
    for (field, name) in [(Field::Stream, "stream"), (Field::Type, "type")] {
        if !says(&field) {
            return Some(format!(
                "--map says nothing of the {name}, which every event has: add --map {name}=PATH"
            ));
        }
    }
    if says(&Field::Data) && says(&Field::DataBase64) {
        return Some("--map says where data and dataBase64 are: only one can be the data".to_owned());
    }
    problem_of_times(says, time_from).map(str::to_owned)
}

const TIMESTAMP_UNASKED: &str = "--map timestamp finds the store's time of an event, which is taken with --time-from timestamp alone: say that, \
     or map the time to occurredAt";

/// Times that are found and not taken, or asked for and not found.
fn problem_of_times(says: impl Fn(&Field) -> bool, time_from: Option<TimeSource>) -> Option<&'static str> {
    match time_from {
        Some(TimeSource::Timestamp) if !says(&Field::Timestamp) => {
            Some("--time-from timestamp asks for what no --map finds: add --map timestamp=PATH")
        }
        Some(TimeSource::OccurredAt) if says(&Field::Timestamp) => Some(TIMESTAMP_UNASKED),
        Some(TimeSource::OccurredAt) => {
            let in_metadata = Field::MetadataKey("occurredAt".to_owned());
            let is_found = says(&Field::OccurredAt) || says(&Field::Metadata) || says(&in_metadata);
            (!is_found)
                .then_some("--time-from occurredAt asks for what no --map finds: add --map occurredAt=PATH")
        }
        Some(TimeSource::Timestamp) => None,
        None => says(&Field::Timestamp).then_some(TIMESTAMP_UNASKED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<Mapping>().expect(text).source
    }

    #[track_caller]
    fn check_refused(text: &str, said: &str) {
        let message = text.parse::<Mapping>().expect_err(text);
        assert!(message.contains(said), "{text}: {message}");
    }

    #[test]
    fn a_path_is_a_json_pointer_and_may_say_how_it_is_read() {
        for (text, expected, expected_reading, expected_absence) in [
            ("data=/payload/data", "/payload/data", Reading::AsItIs, Absence::Wrong),
            ("data=", "", Reading::AsItIs, Absence::Wrong),
            ("data=json:/a~1b/0", "/a~1b/0", Reading::Json, Absence::Wrong),
            ("metadata=optional:json:/meta", "/meta", Reading::Json, Absence::LeftOut),
            ("stream=path:/subject", "/subject", Reading::Path, Absence::Wrong),
            ("occurredAt=ms:/at", "/at", Reading::Epoch(Unit::Milliseconds), Absence::Wrong),
            ("data=/a{/b}", "/a{/b}", Reading::AsItIs, Absence::Wrong),
        ] {
            let Source::At { pointer, reading, absence } = source(text) else { panic!("{text}") };
            assert_eq!((pointer.as_str(), reading, absence), (expected, expected_reading, expected_absence));
        }
    }

    #[test]
    fn a_constant_is_json() {
        for (text, expected) in [
            ("schemaVersion=2", "2"),
            ("metadata.source=\"the {/shop}\"", "\"the {/shop}\""),
            ("metadata={\"a\":1}", "{\"a\":1}"),
            ("data=null", "null"),
            ("metadata.a=[null]", "[null]"),
            ("occurredAt=\"2025-11-21T08:30:00Z\"", "\"2025-11-21T08:30:00Z\""),
        ] {
            let Source::Constant(constant) = source(text) else { panic!("{text}") };
            assert_eq!(constant.get(), expected);
        }
    }

    #[test]
    fn a_text_can_be_put_together() {
        let Source::Text(parts) = source("stream={/kind}-{/id/0}!") else { panic!("it has parts") };
        let at = |pointer| Part::At(PointerBuf::parse(pointer).expect("a pointer"));
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(parts, [at("/kind"), text("-"), at("/id/0"), text("!")]);
    }

    #[test]
    fn anything_else_is_refused_with_what_it_could_be() {
        check_refused("stream", "it is FIELD=PATH");
        check_refused("steam=/id", "\"steam\" is no field of an event: it is one of stream, type, ");
        check_refused("metadata.=/id", "is no field of an event");
        check_refused(
            "stream=streamId",
            "\"streamId\" is no path: it is a JSON Pointer, such as /payload/time",
        );
        check_refused("data=json:data", "\"data\" is no JSON Pointer, which begins with /");
        check_refused("data=/a~b", "~ is written ~0");
        check_refused("stream=order-{/id", "a { has no } behind it");
        check_refused("stream=optional:/id", "can't be optional");
        check_refused("id=json:/id", "json: is for data, metadata and metadata.KEY");
        check_refused("data=path:/id", "path: is for stream");
        check_refused("data=ms:/id", "s:, ms: and us: are for occurredAt and timestamp");
    }

    #[test]
    fn a_constant_that_no_event_can_have_is_refused() {
        check_refused("id=\"one\"", "with the same id for all lines they would be one event");
        check_refused("id=null", "they would be one event");
        check_refused("stream=\"\"", "no event can have this: invalid stream id \"\"");
        check_refused("stream=\"$own\"", "streams that begin with $ are the store's own");
        check_refused("stream={}", "{} is there, and a text or a number is wanted");
        check_refused("type=\"\"", "a type has 1 to 2,048 bytes");
        check_refused("type=true", "a text or a number is wanted");
        check_refused("type=null", "null is no value");
        check_refused("dataBase64=\"*\"", "isn't base64");
        check_refused("metadata=[]", "metadata are an object");
        check_refused("metadata.a=null", "null is no value");
        check_refused("occurredAt=5", "a time is a text, such as '\"2025-11-21T08:30:00Z\"'");
        check_refused("occurredAt=\"noon\"", "invalid time \"noon\"");
        check_refused("timestamp=\"2025-11-21 08:30\"", "a time with its offset");
        check_refused("schemaVersion=\"two\"", "a schema's version is a whole number");
        check_refused("schemaVersion=-1", "a schema's version is a whole number");
    }

    #[test]
    fn together_they_must_say_what_every_event_has_and_nothing_twice() {
        let said = |texts: &[&str]| {
            let mappings: Vec<Mapping> = texts.iter().map(|text| text.parse().expect("good")).collect();
            problem(&mappings, None)
        };
        assert_eq!(said(&[]), None);
        assert_eq!(said(&["type=/t", "stream=/s"]), None);
        assert!(said(&["stream=/s"]).expect("no type").contains("add --map type=PATH"));
        assert!(said(&["type=/t"]).expect("no stream").contains("add --map stream=PATH"));
        let twice = said(&["stream=/s", "type=/t", "stream=/u"]).expect("twice");
        assert_eq!(twice, "--map stream=/s and --map stream=/u are of the same field: leave one of them out");
        assert_eq!(said(&["stream=/s", "type=/t", "metadata.a=/a", "metadata.b=/b"]), None);
        assert!(said(&["stream=/s", "type=/t", "data=/a", "dataBase64=/b"]).is_some());
    }

    #[test]
    fn times_are_found_where_they_are_asked_for_and_asked_for_where_they_are_found() {
        let said = |time_from, texts: &[&str]| {
            let all = ["stream=/s", "type=/t"].iter().chain(texts);
            let mappings: Vec<Mapping> = all.map(|text| text.parse().expect("good")).collect();
            problem(&mappings, time_from)
        };
        let (occurred_at, timestamp) = (Some(TimeSource::OccurredAt), Some(TimeSource::Timestamp));
        for (time_from, texts) in [
            (None, &["occurredAt=/at"] as &[&str]),
            (timestamp, &["timestamp=/at"]),
            (timestamp, &["timestamp=/at", "occurredAt=/at"]),
            (occurred_at, &["occurredAt=/at"]),
            (occurred_at, &["metadata=/m"]),
            (occurred_at, &["metadata.occurredAt=/at"]),
        ] {
            assert_eq!(said(time_from, texts), None, "{time_from:?} {texts:?}");
        }
        for (time_from, texts, advice) in [
            (
                None,
                &["timestamp=/at"] as &[&str],
                "--time-from timestamp alone: say that, or map the time to occurredAt",
            ),
            (occurred_at, &["timestamp=/at", "occurredAt=/at"], "--time-from timestamp alone"),
            (timestamp, &[], "add --map timestamp=PATH"),
            (timestamp, &["occurredAt=/at"], "add --map timestamp=PATH"),
            (occurred_at, &["metadata.at=/at"], "add --map occurredAt=PATH"),
        ] {
            let message = said(time_from, texts).expect("it is refused");
            assert!(message.contains(advice), "{time_from:?} {texts:?}: {message}");
        }
        assert_eq!(problem(&[], timestamp), None);
    }
}
