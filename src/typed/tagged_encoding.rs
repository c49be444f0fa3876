//! An enum's value as event type and content: serde's tag is taken off while the codec writes.
//!
//! Serde knows two forms that keep a variant's name and its content apart, and both are taken: the default (externally
//! tagged), which calls `serialize_…_variant`, and the adjacently tagged form, which is a structure of one or two
//! fields, the first of which is a unit variant of an enum with the structure's name. The content is written as if it
//! had been alone; so both forms give the same bytes.

use std::{cell::Cell, fmt::Display};

use serde::{
    Serialize, Serializer,
    de::value::Error as NameError,
    ser::{
        Error as _, Impossible, SerializeStruct, SerializeStructVariant, SerializeTuple,
        SerializeTupleVariant,
    },
};

/// An enum's value that writes its content and keeps its variant's name.
pub(crate) struct Untagged<'a, T: ?Sized> {
    event: &'a T,
    /// The variant's name; none until the value was written, or if it isn't an enum's.
    name: Cell<Option<&'static str>>,
}

impl<'a, T: ?Sized> Untagged<'a, T> {
    pub(crate) fn new(event: &'a T) -> Self {
        Self { event, name: Cell::new(None) }
    }

    /// The variant's name, once the value was written.
    pub(crate) fn name(&self) -> Option<&'static str> {
        self.name.get()
    }
}

impl<T: Serialize + ?Sized> Serialize for Untagged<'_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        // A codec may write a value twice, to learn its size first; the tag is taken off each time.
        self.name.set(None);
        self.event.serialize(Untagging { inner, name: &self.name })
    }
}

/// What is said of values that have no tag of their own.
const NO_ENUM: &str =
    "it isn't an enum in serde's default form or with #[serde(tag = \"type\", content = \"data\")]";

/// Refuses all values that are neither structures nor variants.
macro_rules! refuse_others {
    () => {
        refuse_others! {
            serialize_bool(bool), serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64),
            serialize_i128(i128), serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64),
            serialize_u128(u128), serialize_f32(f32), serialize_f64(f64), serialize_char(char),
            serialize_str(&str), serialize_bytes(&[u8]), serialize_none(), serialize_unit(),
            serialize_unit_struct(&'static str),
        }
    };
    ($($method:ident($($argument:ty),*)),* $(,)?) => {
        $(fn $method(self $(, _: $argument)*) -> Result<Self::Ok, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        })*
        fn serialize_some<V: Serialize + ?Sized>(self, _: &V) -> Result<Self::Ok, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        }
        fn collect_str<V: Display + ?Sized>(self, _: &V) -> Result<Self::Ok, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        }
        fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        }
        fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        }
        fn serialize_tuple_struct(
            self,
            _: &'static str,
            _: usize,
        ) -> Result<Self::SerializeTupleStruct, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        }
        fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Self::Error> {
            Err(Self::Error::custom(NO_ENUM))
        }
    };
}

/// Takes the tag off, and hands the content on to the codec's own serializer.
struct Untagging<'a, S> {
    inner: S,
    name: &'a Cell<Option<&'static str>>,
}

impl<'a, S: Serializer> Serializer for Untagging<'a, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Impossible<S::Ok, S::Error>;
    type SerializeTuple = Impossible<S::Ok, S::Error>;
    type SerializeTupleStruct = Impossible<S::Ok, S::Error>;
    type SerializeTupleVariant = Content<S::SerializeTuple>;
    type SerializeMap = Impossible<S::Ok, S::Error>;
    type SerializeStruct = Adjacent<'a, S>;
    type SerializeStructVariant = Content<S::SerializeStruct>;

    refuse_others!();

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }

    fn serialize_newtype_struct<V: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &V,
    ) -> Result<S::Ok, S::Error> {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, name: &'static str) -> Result<S::Ok, S::Error> {
        self.name.set(Some(name));
        self.inner.serialize_unit()
    }

    fn serialize_newtype_variant<V: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &V,
    ) -> Result<S::Ok, S::Error> {
        self.name.set(Some(name));
        value.serialize(self.inner)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.name.set(Some(name));
        self.inner.serialize_tuple(length).map(Content)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        length: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.name.set(Some(name));
        self.inner.serialize_struct(name, length).map(Content)
    }

    fn serialize_struct(self, enum_name: &'static str, _: usize) -> Result<Self::SerializeStruct, S::Error> {
        Ok(Adjacent { enum_name, name: self.name, inner: Some(self.inner), written: None })
    }
}

/// The content of a variant in the default form.
struct Content<I>(I);

impl<I: SerializeTuple> SerializeTupleVariant for Content<I> {
    type Ok = I::Ok;
    type Error = I::Error;

    fn serialize_field<V: Serialize + ?Sized>(&mut self, value: &V) -> Result<(), I::Error> {
        self.0.serialize_element(value)
    }

    fn end(self) -> Result<I::Ok, I::Error> {
        self.0.end()
    }
}

impl<I: SerializeStruct> SerializeStructVariant for Content<I> {
    type Ok = I::Ok;
    type Error = I::Error;

    fn serialize_field<V: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &V,
    ) -> Result<(), I::Error> {
        self.0.serialize_field(key, value)
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), I::Error> {
        self.0.skip_field(key)
    }

    fn end(self) -> Result<I::Ok, I::Error> {
        self.0.end()
    }
}

/// A structure that must be an adjacently tagged enum: its tag, then its content, if it has some.
struct Adjacent<'a, S: Serializer> {
    enum_name: &'static str,
    name: &'a Cell<Option<&'static str>>,
    /// What writes the content; none: it was written.
    inner: Option<S>,
    written: Option<S::Ok>,
}

impl<S: Serializer> SerializeStruct for Adjacent<'_, S> {
    type Ok = S::Ok;
    type Error = S::Error;

    fn serialize_field<V: Serialize + ?Sized>(&mut self, _: &'static str, value: &V) -> Result<(), S::Error> {
        if self.name.get().is_none() {
            let name = value.serialize(TagName { enum_name: self.enum_name }).map_err(S::Error::custom)?;
            self.name.set(Some(name));
            return Ok(());
        }
        let inner = self.inner.take().ok_or_else(|| S::Error::custom(NO_ENUM))?;
        self.written = Some(value.serialize(inner)?);
        Ok(())
    }

    fn end(self) -> Result<S::Ok, S::Error> {
        match (self.written, self.inner) {
            (Some(written), _) => Ok(written),
            (None, Some(inner)) if self.name.get().is_some() => inner.serialize_unit(),
            (None, _) => Err(S::Error::custom(NO_ENUM)),
        }
    }
}

/// Takes the tag of an adjacently tagged enum: a unit variant of that enum, and nothing else.
struct TagName {
    enum_name: &'static str,
}

impl Serializer for TagName {
    type Ok = &'static str;
    type Error = NameError;
    type SerializeSeq = Impossible<&'static str, NameError>;
    type SerializeTuple = Impossible<&'static str, NameError>;
    type SerializeTupleStruct = Impossible<&'static str, NameError>;
    type SerializeTupleVariant = Impossible<&'static str, NameError>;
    type SerializeMap = Impossible<&'static str, NameError>;
    type SerializeStruct = Impossible<&'static str, NameError>;
    type SerializeStructVariant = Impossible<&'static str, NameError>;

    refuse_others!();

    fn serialize_unit_variant(
        self,
        enum_name: &'static str,
        _: u32,
        name: &'static str,
    ) -> Result<&'static str, NameError> {
        if enum_name == self.enum_name { Ok(name) } else { Err(NameError::custom(NO_ENUM)) }
    }

    fn serialize_newtype_struct<V: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &V,
    ) -> Result<&'static str, NameError> {
        Err(NameError::custom(NO_ENUM))
    }

    fn serialize_newtype_variant<V: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &V,
    ) -> Result<&'static str, NameError> {
        Err(NameError::custom(NO_ENUM))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NameError> {
        Err(NameError::custom(NO_ENUM))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NameError> {
        Err(NameError::custom(NO_ENUM))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, NameError> {
        Err(NameError::custom(NO_ENUM))
    }
}
