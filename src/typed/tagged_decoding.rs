//! A value of an enum from event type and content: serde is shown the tag, and the codec reads the content.
//!
//! What serde's derive asks of a deserializer says which form an enum has: `deserialize_enum` in the default form,
//! `deserialize_struct` with two fields, tag and content, in the adjacently tagged form.

use std::{cell::Cell, fmt, marker::PhantomData};

use serde::{
    Deserializer,
    de::{
        DeserializeSeed, EnumAccess, Error as _, MapAccess, VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};

use crate::{
    invalid::Invalid,
    typed::{codec::Codec, tagged_content::ContentSeed},
};

/// Why an event can't be decoded.
#[derive(Debug)]
pub(crate) enum TaggedError {
    /// The enum has no such event type; these it has.
    UnknownType(&'static [&'static str]),
    /// The content isn't what the variant needs, or the Rust type is no enum.
    Unfit(String),
}

impl fmt::Display for TaggedError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType([]) => formatter.write_str("the program's enum has no event type"),
            Self::UnknownType(known) => {
                write!(formatter, "the program's enum has no such type, but {}", known.join(", "))
            }
            Self::Unfit(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for TaggedError {}

impl serde::de::Error for TaggedError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Unfit(message.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownType(expected)
    }
}

impl From<Invalid> for TaggedError {
    fn from(invalid: Invalid) -> Self {
        Self::Unfit(invalid.reason)
    }
}

/// What is said of Rust types that aren't tagged enums.
const NO_ENUM: &str = "the Rust type isn't an enum in serde's default form or with #[serde(tag = \"type\", \
                       content = \"data\")]: decode the payload alone, as `decode_data` does";

/// An event's type and content, as a deserializer of enums.
pub(crate) struct Tagged<'t, 'de, C> {
    /// None asks the enum which types it has: the answer is the error of an unknown type, with the list that it would
    /// look a type up in.
    event_type: Option<&'t str>,
    content: &'de [u8],
    codec: PhantomData<C>,
}

impl<'t, 'de, C> Tagged<'t, 'de, C> {
    pub(crate) fn new(event_type: &'t str, content: &'de [u8]) -> Self {
        Self { event_type: Some(event_type), content, codec: PhantomData }
    }

    /// Asks for the types that there are; no value comes of it.
    pub(crate) fn asking_for_types() -> Self {
        Self { event_type: None, content: &[], codec: PhantomData }
    }
}

impl<'de, C: Codec> Deserializer<'de> for Tagged<'_, 'de, C> {
    type Error = TaggedError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, TaggedError> {
        Err(TaggedError::custom(NO_ENUM))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, TaggedError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TaggedError> {
        let name = self.event_type.ok_or(TaggedError::UnknownType(known))?;
        let (is_known, content, codec) = (known.contains(&name), self.content, self.codec);
        visitor.visit_enum(Variant { name, is_known, content, codec })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TaggedError> {
        let &[tag, content] = fields else { return Err(TaggedError::custom(NO_ENUM)) };
        visitor.visit_map(TagAndContent { tagged: self, next: Next::Tag, tag, content })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map identifier ignored_any
    }
}

/// A variant in the default form.
struct Variant<'t, 'de, C> {
    name: &'t str,
    /// Whether the enum names the event's type; if not and it takes it all the same, then by `#[serde(other)]`.
    is_known: bool,
    content: &'de [u8],
    codec: PhantomData<C>,
}

impl<'de, C: Codec> EnumAccess<'de> for Variant<'_, 'de, C> {
    type Error = TaggedError;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), TaggedError> {
        let name: StrDeserializer<'_, TaggedError> = StrDeserializer::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de, C: Codec> VariantAccess<'de> for Variant<'_, 'de, C> {
    type Error = TaggedError;

    fn unit_variant(self) -> Result<(), TaggedError> {
        if self.is_known { Ok(C::decode(PhantomData, self.content)?) } else { Ok(()) }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, TaggedError> {
        Ok(C::decode(seed, self.content)?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, TaggedError> {
        Ok(C::decode(TupleSeed { length, visitor }, self.content)?)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TaggedError> {
        Ok(C::decode(StructSeed { fields, visitor }, self.content)?)
    }
}

struct TupleSeed<V> {
    length: usize,
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for TupleSeed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        inner.deserialize_tuple(self.length, self.visitor)
    }
}

struct StructSeed<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for StructSeed<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        inner.deserialize_struct("", self.fields, self.visitor)
    }
}

/// What the adjacently tagged form is asked for next.
enum Next {
    Tag,
    Content,
    Nothing,
}

/// The adjacently tagged form: a map of a tag, and of a content where the type is one that the enum names.
struct TagAndContent<'t, 'de, C> {
    tagged: Tagged<'t, 'de, C>,
    next: Next,
    tag: &'static str,
    content: &'static str,
}

impl<'de, C: Codec> MapAccess<'de> for TagAndContent<'_, 'de, C> {
    type Error = TaggedError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, TaggedError> {
        let key = match self.next {
            Next::Tag => self.tag,
            Next::Content => self.content,
            Next::Nothing => return Ok(None),
        };
        let key: StrDeserializer<'_, TaggedError> = StrDeserializer::new(key);
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, TaggedError> {
        if matches!(self.next, Next::Tag) {
            let is_known = Cell::new(false);
            let value = seed.deserialize(Tag { event_type: self.tagged.event_type, is_known: &is_known })?;
            self.next = if is_known.get() { Next::Content } else { Next::Nothing };
            return Ok(value);
        }
        self.next = Next::Nothing;
        Ok(C::decode(ContentSeed(seed), self.tagged.content)?)
    }
}

/// The tag of the adjacently tagged form, which is an enum of unit variants.
struct Tag<'t, 'k> {
    /// None asks which types there are.
    event_type: Option<&'t str>,
    is_known: &'k Cell<bool>,
}

impl<'de> Deserializer<'de> for Tag<'_, '_> {
    type Error = TaggedError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, TaggedError> {
        Err(TaggedError::custom(NO_ENUM))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, TaggedError> {
        let name = self.event_type.ok_or(TaggedError::UnknownType(known))?;
        self.is_known.set(known.contains(&name));
        visitor.visit_enum(TagName(name))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct struct map identifier ignored_any
    }
}

struct TagName<'t>(&'t str);

impl<'de> EnumAccess<'de> for TagName<'_> {
    type Error = TaggedError;
    type Variant = UnitOnly;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, UnitOnly), TaggedError> {
        let name: StrDeserializer<'_, TaggedError> = StrDeserializer::new(self.0);
        Ok((seed.deserialize(name)?, UnitOnly))
    }
}

struct UnitOnly;

impl<'de> VariantAccess<'de> for UnitOnly {
    type Error = TaggedError;

    fn unit_variant(self) -> Result<(), TaggedError> {
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, _: S) -> Result<S::Value, TaggedError> {
        Err(TaggedError::custom(NO_ENUM))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, TaggedError> {
        Err(TaggedError::custom(NO_ENUM))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, TaggedError> {
        Err(TaggedError::custom(NO_ENUM))
    }
}
