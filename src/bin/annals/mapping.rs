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

use crate::epoch::Unit;

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

/// How what is found is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reading {
    AsItIs,
    /// A text there is JSON itself.
    Json,
    /// A text there is a path, `/books/42`, whose first part becomes the category: `books-42`.
    Path,
    /// A number there counts from the beginning of 1970, in UTC.
    Epoch(Unit),
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
        check_together(&field, &source)?;
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
fn check_together(field: &Field, source: &Source) -> Result<(), String> {
    let Source::At { reading, absence, .. } = source else { return Ok(()) };
    if *absence == Absence::LeftOut && field.is_in_every_event() {
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

/// Why these can't describe events together; none if they can, or if there are none at all.
pub(crate) fn problem(mappings: &[Mapping]) -> Option<String> {
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
    (says(&Field::Data) && says(&Field::DataBase64))
        .then(|| "--map says where data and dataBase64 are: only one can be the data".to_owned())
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
    fn together_they_must_say_what_every_event_has_and_nothing_twice() {
        let said = |texts: &[&str]| {
            let mappings: Vec<Mapping> = texts.iter().map(|text| text.parse().expect("good")).collect();
            problem(&mappings)
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
}
