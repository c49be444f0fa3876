//! What JSON of another program is as a field of an event: found in a line, or the same for all.

use std::{borrow::Cow, fmt::Display, str::FromStr};

use annals::{EventId, OccurredAt, StreamId};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::value::RawValue;

use crate::{
    clock_text,
    epoch::{self, Unit},
    pointing::show,
};

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

/// A text, or a number as it stands there.
pub(crate) fn text(value: &RawValue) -> Result<Cow<'_, str>, String> {
    let json = value.get();
    match json.as_bytes().first() {
        Some(b'"') => match serde_json::from_str(json) {
            Ok(text) => Ok(Cow::Borrowed(text)),
            // With escapes in it, it can't be borrowed.
            Err(_) => serde_json::from_str(json).map(Cow::Owned).map_err(|error| error.to_string()),
        },
        Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(json)),
        _ => Err(format!("{} is there, and a text or a number is wanted", show(value))),
    }
}

pub(crate) fn stream(value: &RawValue, reading: Reading) -> Result<StreamId, String> {
    let text = text(value)?;
    if reading == Reading::Path { of_path(&text) } else { parse(&text) }
}

/// The stream of a path. Each path has one of its own: its first part has no `-`, so the first `-` of the stream stands for the second `/`
/// of the path, and where there is none, it had none. `/` alone is itself, since no other path's stream begins with it.
fn of_path(path: &str) -> Result<StreamId, String> {
    const AS_IT_IS: &str = "without path: the text itself is the stream's name";
    let wrong = |why: &str| format!("{path:?} is there, and {why}; {AS_IT_IS}");
    let below = path.strip_prefix('/').ok_or_else(|| wrong("path: wants such as /books/42"))?;
    if below.is_empty() {
        return parse(path);
    }
    let (category, id) = match below.split_once('/') {
        Some((category, id)) => (category, Some(id)),
        None => (below, None),
    };
    if category.is_empty() {
        return Err(wrong("its first part, which path: makes the category, is empty"));
    }
    if category.contains('-') {
        return Err(wrong("its first part has a -, so that it couldn't be told from what follows"));
    }
    match id {
        Some(id) => parse(&format!("{category}-{id}")),
        None => parse(category),
    }
}

pub(crate) fn id(value: &RawValue) -> Result<EventId, String> {
    parse(&text(value)?)
}

pub(crate) fn bytes(value: &RawValue) -> Result<Vec<u8>, String> {
    let bytes = BASE64.decode(text(value)?.as_bytes());
    bytes.map_err(|error| format!("{} isn't base64: {error}", show(value)))
}

pub(crate) fn check_object(value: &RawValue) -> Result<(), String> {
    if value.get().starts_with('{') {
        return Ok(());
    }
    Err(format!("{} is there, and metadata are an object", show(value)))
}

pub(crate) fn time(value: &RawValue, reading: Reading) -> Result<OccurredAt, String> {
    let text = text(value)?;
    if let Reading::Epoch(unit) = reading {
        return epoch::parse(&text, unit).map_err(|wrong| format!("{} is there, and {wrong}", show(value)));
    }
    if !value.get().starts_with('"') {
        return Err(format!(
            "the number {text} is there: write s:, ms: or us: before the path, as it counts"
        ));
    }
    clock_text::parse_occurred_at(&text).map_err(|wrong| format!("invalid time {}: {wrong}", show(value)))
}

pub(crate) fn schema_version(value: &RawValue) -> Result<u32, String> {
    let wrong = |_| format!("{} is there, and a schema's version is a whole number", show(value));
    text(value)?.parse().map_err(wrong)
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|wrong: T::Err| wrong.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_paths_first_part_becomes_the_category() {
        for (path, name) in [
            ("/books/42", "books-42"),
            ("/books/42/pages/1-2", "books-42/pages/1-2"),
            ("/books", "books"),
            ("/books/", "books-"),
            ("/books//1", "books-/1"),
            ("/", "/"),
        ] {
            let stream = of_path(path).expect(path);
            assert_eq!(stream.as_str(), name);
        }
        for (path, said) in [
            ("books/42", "path: wants such as /books/42"),
            ("", "path: wants such as /books/42"),
            ("//42", "its first part, which path: makes the category, is empty"),
            ("/a-b/c", "its first part has a -, so that it couldn't be told from what follows"),
        ] {
            let message = of_path(path).expect_err(path);
            assert!(
                message.starts_with(&format!("{path:?} is there, and {said}; without path: ")),
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_two_paths_become_one_stream(paths in prop::collection::hash_set("/[ab/-]{0,6}", 2..40)) {
            let mut made_of = HashMap::new();
            for path in &paths {
                let Ok(stream) = of_path(path) else { continue };
                let other = made_of.insert(stream.as_str().to_owned(), path);
                prop_assert_eq!(other, None, "{} is the stream of {} as well", stream, path);
            }
        }
    }
}
