//! The content of an adjacently tagged enum, for codecs that don't describe themselves too.
//!
//! In that form serde's derive asks for a unit variant's content and for a struct variant's by `deserialize_any`,
//! since its content might stand before its tag. A codec such as bincode can't answer that: its bytes don't say what
//! they are. Here the tag is known, and the visitor tells what it expects; so the codec is asked for that. Struct
//! variants in this form understand maps only, where bincode has a sequence; their fields are then numbered, which
//! serde's derive understands as well as their names.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, Expected, MapAccess, SeqAccess, Visitor, value::U64Deserializer},
};

/// What the derive's visitors say that they expect.
const UNIT_VARIANT: &str = "unit variant ";
const STRUCT_VARIANT: &str = "struct variant ";

/// As many fields as a struct variant may have, their names unknown. Codecs whose structures have no end read as many
/// as they are asked for; others end by themselves.
const FIELDS: &[&str] = &[""; 256];

/// Forwards all methods to a codec's deserializer, except `deserialize_any` and `deserialize_ignored_any`.
macro_rules! forward_to_inner {
    () => {
        forward_to_inner! {
            deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
            deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
            deserialize_byte_buf deserialize_option deserialize_unit deserialize_seq deserialize_map
            deserialize_identifier
        }
    };
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.inner.$method(visitor)
        })*
        fn is_human_readable(&self) -> bool {
            self.inner.is_human_readable()
        }
        fn deserialize_unit_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.deserialize_unit_struct(name, visitor)
        }
        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.deserialize_newtype_struct(name, visitor)
        }
        fn deserialize_tuple<V: Visitor<'de>>(
            self,
            length: usize,
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.deserialize_tuple(length, visitor)
        }
        fn deserialize_tuple_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            length: usize,
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.deserialize_tuple_struct(name, length, visitor)
        }
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            name: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.deserialize_struct(name, fields, visitor)
        }
        fn deserialize_enum<V: Visitor<'de>>(
            self,
            name: &'static str,
            variants: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.deserialize_enum(name, variants, visitor)
        }
    };
}

/// What an adjacently tagged enum's derive makes of its content.
pub(crate) struct ContentSeed<S>(pub(crate) S);

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for ContentSeed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.0.deserialize(Content { inner })
    }
}

/// A codec's deserializer that can be asked for anything a variant may be.
struct Content<D> {
    inner: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Content<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        let expected = (&visitor as &dyn Expected).to_string();
        if expected.starts_with(UNIT_VARIANT) {
            self.inner.deserialize_unit(visitor)
        } else if expected.starts_with(STRUCT_VARIANT) {
            self.inner.deserialize_struct("", FIELDS, StructVisitor(visitor))
        } else {
            self.inner.deserialize_any(visitor)
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    forward_to_inner!();
}

/// A struct variant's visitor, which understands maps, for codecs that may have sequences.
struct StructVisitor<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for StructVisitor<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(formatter)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(NumberedFields { fields, next: 0, at_end: Cell::new(false) })
    }
}

/// A sequence of fields as a map whose keys are numbers.
///
/// How many there are isn't known. The first number that isn't a field's is refused as a key, or its value is ignored;
/// that is the end.
struct NumberedFields<A> {
    fields: A,
    next: u64,
    at_end: Cell<bool>,
}

impl<'de, A: SeqAccess<'de>> MapAccess<'de> for NumberedFields<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if self.at_end.get() || self.fields.size_hint() == Some(0) {
            return Ok(None);
        }
        let key: U64Deserializer<A::Error> = U64Deserializer::new(self.next);
        self.next += 1;
        Ok(seed.deserialize(key).ok())
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let value = self.fields.next_element_seed(FieldSeed { seed, at_end: &self.at_end })?;
        value.ok_or_else(|| A::Error::custom("it has too few fields"))
    }
}

struct FieldSeed<'a, S> {
    seed: S,
    at_end: &'a Cell<bool>,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for FieldSeed<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Field { inner, at_end: self.at_end })
    }
}

/// A field's value. One that is ignored is behind the last field, and isn't there.
struct Field<'a, D> {
    inner: D,
    at_end: &'a Cell<bool>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Field<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.at_end.set(true);
        visitor.visit_unit()
    }

    forward_to_inner!();
}
