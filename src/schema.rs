//! JSON Schemas, compiled to check the data of events by; with the feature `schema`.
//!
//! Nothing is fetched: a reference leads to a place in the same schema. Patterns run in time linear in the text, so those
//! that look ahead or behind, or back at a group, are refused when they are registered. So is a schema whose references
//! multiply it beyond measure, or lead in a circle in place.
//!
//! Whether data fit is asked first, and where they don't only then. The first question is answered once for each
//! schema that a circle leads through and each part of the data; the second is not, and collects what each alternative
//! has to say. So it isn't asked where references lead in a circle, nor of much data by much schema.

#[cfg(feature = "schema")]
use std::fmt::{self, Write as _};

#[cfg(feature = "schema")]
use jsonschema::{PatternOptions, error::ValidationErrorKind};
use serde_json::Value;

use crate::schema_shape::Shape;

/// A schema that data can be checked by.
#[cfg(feature = "schema")]
#[derive(Debug)]
pub(crate) struct CompiledSchema {
    validator: jsonschema::Validator,
    shape: Shape,
}

/// A schema that data can be checked by: without the feature there is none.
#[cfg(not(feature = "schema"))]
#[derive(Debug)]
pub(crate) enum CompiledSchema {}

/// Where data break a schema, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Breach {
    /// A JSON pointer into the data.
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// Refuses a schema that can't be used. Without the feature `schema` most faults aren't noticed.
pub(crate) fn check_schema(schema: &Value) -> Result<(), String> {
    if cfg!(feature = "schema") { CompiledSchema::new(schema).map(drop) } else { Shape::of(schema).map(drop) }
}

#[cfg(not(feature = "schema"))]
impl CompiledSchema {
    /// Says that this program can't.
    pub(crate) fn new(_schema: &Value) -> Result<Self, String> {
        Err("this program was built without Annals' feature `schema`, and can't check data by a schema: build it \
             with the feature, or register the type with the validation warn or off"
            .to_owned())
    }

    pub(crate) fn check(&self, _data: &[u8]) -> Result<(), Breach> {
        match *self {}
    }
}

#[cfg(feature = "schema")]
impl CompiledSchema {
    /// Compiles a schema; an error says what is wrong with it.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        let shape = Shape::of(schema)?;
        let pattern_bytes_max = PATTERNS_BYTES_MAX / shape.patterns.max(PATTERNS_COUNTED_MIN);
        let patterns =
            PatternOptions::regex().size_limit(pattern_bytes_max).dfa_size_limit(pattern_bytes_max);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(schema).map_err(|error| {
            let message = bounded(&error);
            let place = error.instance_path().as_str();
            let hint = match error.kind() {
                // The only format that drafts' own schemas check so strictly.
                ValidationErrorKind::Format { format } if format == "regex" => {
                    " that can be used: patterns don't look ahead, behind or back at a group, and are of moderate size"
                }
                _ => "",
            };
            if place.is_empty() { format!("{message}{hint}") } else { format!("at {place}: {message}{hint}") }
        })?;
        Ok(Self { validator, shape })
    }

    /// Checks an event's data.
    pub(crate) fn check(&self, data: &[u8]) -> Result<(), Breach> {
        let value: Value = serde_json::from_slice(data).map_err(|error| Breach {
            path: String::new(),
            reason: format!("the data can't be read as JSON: {error}"),
        })?;
        if self.validator.is_valid(&value) {
            return Ok(());
        }
        let whole = |why: &str| Breach {
            path: String::new(),
            reason: format!("the data don't fit the schema; the place isn't looked for, since {why}"),
        };
        if self.shape.has_circle {
            return Err(whole("the schema refers back to itself"));
        }
        let bytes = u64::try_from(data.len()).unwrap_or(u64::MAX);
        if self.shape.expansion.saturating_mul(bytes) > PLACE_STEPS_MAX {
            return Err(whole("schema and data are large"));
        }
        self.validator.validate(&value).map_err(|error| Breach {
            path: error.instance_path().as_str().to_owned(),
            reason: bounded(&error),
        })
    }
}

/// How many bytes the patterns of a schema take at most when they are compiled, all together.
#[cfg(feature = "schema")]
const PATTERNS_BYTES_MAX: usize = 64 << 20;

/// One pattern alone takes at most as much as if there were so many.
#[cfg(feature = "schema")]
const PATTERNS_COUNTED_MIN: usize = 8;

/// Up to how many bytes of data, times what the schema comes to, the place of a breach is looked for.
#[cfg(feature = "schema")]
const PLACE_STEPS_MAX: u64 = 10_000_000;

/// The longest message that is taken from a schema's checks, in bytes.
#[cfg(feature = "schema")]
const MESSAGE_BYTES_MAX: usize = 400;

/// A message, which may quote the data whole, cut to a length that messages have.
#[cfg(feature = "schema")]
fn bounded(message: &impl fmt::Display) -> String {
    let mut text = BoundedText(String::new());
    if write!(text, "{message}").is_err() {
        text.0.push('…');
    }
    text.0
}

/// Takes text up to a length, and refuses what is behind it: so no more is made of it than is kept.
#[cfg(feature = "schema")]
struct BoundedText(String);

#[cfg(feature = "schema")]
impl fmt::Write for BoundedText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = MESSAGE_BYTES_MAX - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests;
