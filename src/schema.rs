//! JSON Schemas, compiled to check the data of events by; with the feature `schema`.
//!
//! Nothing is fetched: a reference leads to a place in the same schema, or to a draft's own. Patterns run in time linear
//! in the text, so those that look ahead or behind, or back at a group, are refused when they are registered. So is a
//! schema whose references multiply it beyond measure.

#[cfg(feature = "schema")]
use std::fmt::{self, Write as _};
use std::{collections::HashMap, ptr};

#[cfg(feature = "schema")]
use jsonschema::{PatternOptions, error::ValidationErrorKind};
use serde_json::Value;

/// How many schemas one may come to when each of its references is replaced by what it names.
const EXPANSION_MAX: u64 = 1_000_000;

/// How deep a schema may be. What is read from JSON is less deep.
const DEPTH_MAX: usize = 256;

/// A schema that data can be checked by.
#[derive(Debug)]
pub(crate) struct CompiledSchema {
    #[cfg(feature = "schema")]
    validator: jsonschema::Validator,
}

/// Where data break a schema, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Breach {
    /// A JSON pointer into the data.
    pub(crate) path: String,
    pub(crate) reason: String,
}

/// Refuses a schema that can't be used. Without the feature `schema` most faults aren't noticed.
pub(crate) fn check_schema(schema: &Value) -> Result<(), String> {
    let mut expansion = Expansion { root: schema, known: HashMap::new() };
    if expansion.of(schema, 0).is_none_or(|expansion| expansion > EXPANSION_MAX) {
        return Err(format!(
            "it is too deep, or with its references replaced it would be more than {EXPANSION_MAX} schemas, \
             which takes too long to check data by"
        ));
    }
    if cfg!(feature = "schema") { CompiledSchema::new(schema).map(drop) } else { Ok(()) }
}

/// Counts what a schema comes to when references are replaced by what they name; a circle counts once.
struct Expansion<'a> {
    root: &'a Value,
    /// None while it is being counted.
    known: HashMap<*const Value, Option<u64>>,
}

impl<'a> Expansion<'a> {
    /// None if it is too deep.
    fn of(&mut self, schema: &'a Value, depth: usize) -> Option<u64> {
        if depth > DEPTH_MAX {
            return None;
        }
        if let Some(known) = self.known.get(&ptr::from_ref(schema)) {
            return Some(known.unwrap_or(1));
        }
        self.known.insert(ptr::from_ref(schema), None);
        let mut sum: u64 = 1;
        match schema {
            Value::Object(members) => {
                let reference = members.get("$ref").and_then(Value::as_str);
                let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
                if let Some(named) = pointer.and_then(|pointer| self.root.pointer(pointer)) {
                    sum = sum.saturating_add(self.of(named, depth + 1)?);
                }
                for (name, member) in members {
                    if name != "$defs" && name != "definitions" {
                        sum = sum.saturating_add(self.of(member, depth + 1)?);
                    }
                }
            }
            Value::Array(elements) => {
                for element in elements {
                    sum = sum.saturating_add(self.of(element, depth + 1)?);
                }
            }
            _ => {}
        }
        self.known.insert(ptr::from_ref(schema), Some(sum));
        Some(sum)
    }
}

#[cfg(not(feature = "schema"))]
impl CompiledSchema {
    /// Says that this program can't.
    pub(crate) fn new(_schema: &Value) -> Result<Self, String> {
        Err("this program was built without Annals' feature `schema`, and can't check data by a schema: build it \
             with the feature, or register the type with the validation warn or off"
            .to_owned())
    }

    #[allow(clippy::unused_self, reason = "with the feature it is used")]
    pub(crate) fn check(&self, _data: &[u8]) -> Result<(), Breach> {
        Ok(())
    }
}

#[cfg(feature = "schema")]
impl CompiledSchema {
    /// Compiles a schema; an error says what is wrong with it.
    pub(crate) fn new(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().offline().with_pattern_options(PatternOptions::regex());
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
        Ok(Self { validator })
    }

    /// Checks an event's data.
    pub(crate) fn check(&self, data: &[u8]) -> Result<(), Breach> {
        let value: Value = serde_json::from_slice(data).map_err(|error| Breach {
            path: String::new(),
            reason: format!("the data can't be read as JSON: {error}"),
        })?;
        self.validator.validate(&value).map_err(|error| Breach {
            path: error.instance_path().as_str().to_owned(),
            reason: bounded(&error),
        })
    }
}

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
