//! What stands at a place in JSON, found without reading the rest of it and without changing a byte.
//!
//! The library of JSON Pointers resolves them in values that were read, where numbers have become what a program can hold. An
//! event's data are stored as they stood, so the places are found in the text.

use std::fmt;

use jsonptr::{Pointer, Token, index::Index};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// How many bytes of JSON a message shows.
const SHOWN_BYTES_MAX: usize = 60;

/// How many bytes of names it lists.
const NAMES_BYTES_MAX: usize = 200;

/// Nothing is at a place.
#[derive(Debug)]
pub(crate) struct Missing<'a> {
    /// The last value on the way there, and where it is.
    holder: &'a RawValue,
    holder_path: String,
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = match self.holder_path.as_str() {
            "" => "the line",
            path => path,
        };
        match names_in(self.holder) {
            Some(names) if names.is_empty() => write!(formatter, "nothing is there; {holder} is empty"),
            Some(names) => write!(
                formatter,
                "nothing is there; {holder} has {}",
                shorten(&names.join(", "), NAMES_BYTES_MAX)
            ),
            None => write!(formatter, "nothing is there; {holder} is {}", show(self.holder)),
        }
    }
}

/// What a pointer leads to. An object that has a name twice, on the way, is an error: nobody knows which is meant.
pub(crate) fn find<'a>(
    value: &'a RawValue,
    pointer: &Pointer,
) -> Result<Result<&'a RawValue, Missing<'a>>, serde_json::Error> {
    let mut holder = value;
    for (depth, token) in pointer.tokens().enumerate() {
        let Some(found) = member(holder, &token)? else {
            let way: Vec<Token<'_>> = pointer.tokens().take(depth).collect();
            let holder_path = jsonptr::PointerBuf::from_tokens(way).to_string();
            return Ok(Err(Missing { holder, holder_path }));
        };
        holder = found;
    }
    Ok(Ok(holder))
}

/// JSON for a message: its beginning, if it is long.
pub(crate) fn show(value: &RawValue) -> String {
    shorten(value.get(), SHOWN_BYTES_MAX)
}

fn shorten(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max)])
}

/// The names in an object; none where it is something else.
fn names_in(value: &RawValue) -> Option<Vec<String>> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
            let mut names = Vec::new();
            while let Some((name, IgnoredAny)) = map.next_entry()? {
                names.push(name);
            }
            Ok(names)
        }
    }

    serde_json::Deserializer::from_str(value.get()).deserialize_map(Names).ok()
}

fn member<'a>(holder: &'a RawValue, token: &Token<'_>) -> Result<Option<&'a RawValue>, serde_json::Error> {
    let text = holder.get();
    match text.as_bytes().first() {
        Some(b'{') => serde_json::Deserializer::from_str(text).deserialize_map(Member(&token.decoded())),
        Some(b'[') => {
            let Ok(Index::Num(index)) = token.to_index() else { return Ok(None) };
            let elements: Vec<&RawValue> = serde_json::from_str(text)?;
            Ok(elements.get(index).copied())
        }
        _ => Ok(None),
    }
}

/// Finds the value of a name.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsName(self.0))? {
            if !is_it {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value()?).is_some() {
                return Err(A::Error::custom(format!("{:?} is there twice", self.0)));
            }
        }
        Ok(found)
    }
}

/// Whether a name is the one that is looked for.
struct IsName<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    const NAMES: [&str; 8] = ["a", "b", "a/b", "~", "", "0", "1", "ü\""];

    /// Objects and arrays, one in the other, with few names, so that pointers of the same names lead somewhere.
    fn json() -> impl Strategy<Value = Value> {
        let leaf =
            prop_oneof![Just(Value::Null), any::<i64>().prop_map(Value::from), ".*".prop_map(Value::from)];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(prop::sample::select(&NAMES[..]), inner, 0..6).prop_map(
                    |object| object.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
                ),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_serde_json_finds_in_the_value(
            value in json(),
            names in prop::collection::vec(prop::sample::select(&NAMES[..]), 0..5),
        ) {
            let pointer = jsonptr::PointerBuf::from_tokens(names);
            let text = value.to_string();
            let raw: &RawValue = serde_json::from_str(&text).expect("JSON");
            let found = match find(raw, &pointer).expect("no name is there twice") {
                Ok(found) => Some(serde_json::from_str::<Value>(found.get()).expect("JSON")),
                Err(missing) => {
                    prop_assert!(missing.to_string().starts_with("nothing is there; "));
                    None
                }
            };
            prop_assert_eq!(found.as_ref(), value.pointer(pointer.as_str()));
        }
    }

    const LINE: &str = r#"{"a":{"b/c":[1,{"~":1.10e+400}]},"ü":"","a\u0062":null,"twice":1,"twice":2}"#;

    fn found(pointer: &str) -> Result<String, String> {
        let line: &RawValue = serde_json::from_str(LINE).expect("JSON");
        match find(line, Pointer::parse(pointer).expect("a pointer")) {
            Ok(Ok(value)) => Ok(value.get().to_owned()),
            Ok(Err(missing)) => Err(missing.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn what_a_pointer_leads_to_is_found_byte_by_byte() {
        for (pointer, expected) in
            [("", LINE), ("/a/b~1c/0", "1"), ("/a/b~1c/1/~0", "1.10e+400"), ("/ü", "\"\""), ("/ab", "null")]
        {
            assert_eq!(found(pointer).as_deref(), Ok(expected), "{pointer}");
        }
    }

    #[test]
    fn where_nothing_is_there_it_is_said_what_is() {
        for (pointer, expected) in [
            ("/b", "nothing is there; the line has a, ü, ab, twice, twice"),
            ("/a/c", "nothing is there; /a has b/c"),
            ("/a/b~1c/2", "nothing is there; /a/b~1c is [1,{\"~\":1.10e+400}]"),
            ("/a/b~1c/x", "nothing is there; /a/b~1c is [1,{\"~\":1.10e+400}]"),
            ("/ü/a", "nothing is there; /ü is \"\""),
        ] {
            assert_eq!(found(pointer), Err(expected.to_owned()), "{pointer}");
        }
    }

    #[test]
    fn a_name_that_is_there_twice_is_an_error() {
        let error = found("/twice").expect_err("which one?");
        assert!(error.starts_with("\"twice\" is there twice"), "{error}");
    }

    #[test]
    fn a_message_shows_the_beginning_of_what_is_long() {
        let long = format!("\"{}\"", "ü".repeat(100));
        let shown = show(serde_json::from_str(&long).expect("JSON"));
        assert_eq!(shown, format!("\"{}…", "ü".repeat(29)));
    }
}
