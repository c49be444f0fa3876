//! A bound for lists whose elements take no bytes, in a codec that writes lengths: the bytes of one length could ask for
//! more elements than anyone can wait for.
//!
//! An element that takes bytes is bounded by them: since a list's own length takes eight, the lists in some bytes, one in
//! another, have fewer than twice as many elements. What is read beyond that is free of charge, and has a bound of its own.

use std::{cell::Cell, fmt};

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use crate::format::layout::bytes;

/// How many elements that take no bytes a value may have in its lists, sets and maps.
const FREE_ELEMENTS_MAX: u64 = 1 << 20;

/// How many elements may still be read.
pub(crate) struct ElementLimit(Cell<u64>);

impl ElementLimit {
    /// The limit for a value in so many bytes.
    pub(crate) fn of(byte_count: usize) -> Self {
        Self(Cell::new(FREE_ELEMENTS_MAX + 2 * bytes(byte_count)))
    }

    /// The seed, which reads up to this limit.
    pub(crate) fn apply<S>(&self, seed: S) -> Limited<'_, S> {
        Limited { inner: seed, limit: self, counts: Counts::Nothing }
    }

    fn take_one<E: Error>(&self) -> Result<(), E> {
        let left = self.0.get().checked_sub(1).ok_or_else(|| {
            E::custom(format_args!("its lists have more than {FREE_ELEMENTS_MAX} elements without bytes"))
        })?;
        self.0.set(left);
        Ok(())
    }
}

/// Something of serde's, under a limit.
pub(crate) struct Limited<'l, T> {
    inner: T,
    limit: &'l ElementLimit,
    counts: Counts,
}

/// What counts as an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// A tuple's and a struct's fields are as many as the type says.
    Nothing,
    /// A list's elements are as many as the bytes say.
    Elements,
}

impl<'l, T> Limited<'l, T> {
    fn around<U>(&self, inner: U) -> Limited<'l, U> {
        Limited { inner, limit: self.limit, counts: Counts::Nothing }
    }

    fn counting<U>(&self, inner: U) -> Limited<'l, U> {
        Limited { inner, limit: self.limit, counts: Counts::Elements }
    }

    fn count<E: Error>(&self) -> Result<(), E> {
        if self.counts == Counts::Elements { self.limit.take_one() } else { Ok(()) }
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Limited<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        let limited = self.around(deserializer);
        self.inner.deserialize(limited)
    }
}

/// Methods of a deserializer that take a visitor and, before it, what else is named.
macro_rules! forward {
    ($($method:ident($($argument:ident: $kind:ty),*) $around:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, $($argument: $kind,)* visitor: V) -> Result<V::Value, D::Error> {
            let visitor = self.$around(visitor);
            self.inner.$method($($argument,)* visitor)
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Limited<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any() around;
        deserialize_bool() around;
        deserialize_i8() around;
        deserialize_i16() around;
        deserialize_i32() around;
        deserialize_i64() around;
        deserialize_i128() around;
        deserialize_u8() around;
        deserialize_u16() around;
        deserialize_u32() around;
        deserialize_u64() around;
        deserialize_u128() around;
        deserialize_f32() around;
        deserialize_f64() around;
        deserialize_char() around;
        deserialize_str() around;
        deserialize_string() around;
        deserialize_bytes() around;
        deserialize_byte_buf() around;
        deserialize_option() around;
        deserialize_unit() around;
        deserialize_unit_struct(name: &'static str) around;
        deserialize_newtype_struct(name: &'static str) around;
        deserialize_seq() counting;
        deserialize_tuple(len: usize) around;
        deserialize_tuple_struct(name: &'static str, len: usize) around;
        deserialize_map() counting;
        deserialize_struct(name: &'static str, fields: &'static [&'static str]) around;
        deserialize_enum(name: &'static str, variants: &'static [&'static str]) around;
        deserialize_identifier() around;
        deserialize_ignored_any() around;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Methods of a visitor that take a value without parts.
macro_rules! visit {
    ($($method:ident: $value:ty;)*) => {$(
        fn $method<E: Error>(self, value: $value) -> Result<V::Value, E> {
            self.inner.$method(value)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Limited<'_, V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    visit! {
        visit_bool: bool;
        visit_i8: i8;
        visit_i16: i16;
        visit_i32: i32;
        visit_i64: i64;
        visit_i128: i128;
        visit_u8: u8;
        visit_u16: u16;
        visit_u32: u32;
        visit_u64: u64;
        visit_u128: u128;
        visit_f32: f32;
        visit_f64: f64;
        visit_char: char;
        visit_str: &str;
        visit_borrowed_str: &'de str;
        visit_string: String;
        visit_bytes: &[u8];
        visit_borrowed_bytes: &'de [u8];
        visit_byte_buf: Vec<u8>;
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let limited = self.around(deserializer);
        self.inner.visit_some(limited)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        let limited = self.around(deserializer);
        self.inner.visit_newtype_struct(limited)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let Self { inner, limit, counts } = self;
        inner.visit_seq(Limited { inner: access, limit, counts })
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let Self { inner, limit, counts } = self;
        inner.visit_map(Limited { inner: access, limit, counts })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<V::Value, A::Error> {
        let limited = self.around(access);
        self.inner.visit_enum(limited)
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.count()?;
        let seed = self.around(seed);
        self.inner.next_element_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.count()?;
        let seed = self.around(seed);
        self.inner.next_key_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.next_value_seed(seed)
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, 'l, A: EnumAccess<'de>> EnumAccess<'de> for Limited<'l, A> {
    type Error = A::Error;
    type Variant = Limited<'l, A::Variant>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self::Variant), A::Error> {
        let Self { inner, limit, counts } = self;
        let (value, variant) = inner.variant_seed(Limited { inner: seed, limit, counts })?;
        Ok((value, Limited { inner: variant, limit, counts }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Limited<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.around(seed);
        self.inner.newtype_variant_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let visitor = self.around(visitor);
        self.inner.tuple_variant(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let visitor = self.around(visitor);
        self.inner.struct_variant(fields, visitor)
    }
}
