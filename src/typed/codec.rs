//! How typed values become bytes, and bytes values: JSON, bincode, and whatever a program has of its own.

use serde::{Serialize, de::DeserializeSeed};

use crate::{
    event::{ContentType, EVENT_BYTES_MAX},
    format::binary,
    invalid::Invalid,
    snapshot::SNAPSHOT_BYTES_MAX,
    typed::element_limit::ElementLimit,
};

/// A codec: how typed values become bytes. [`Json`] and [`Bincode`] are there; a program may have its own.
///
/// A codec's content type is stored with each event, and only the codec that has it reads the event again. A program's
/// own take numbers from 128 to 255. Whatever the bytes are, [`decode`](Codec::decode) must return an error rather than
/// panic or take memory without bound.
///
/// ```
/// use annals::{Codec, ContentType, EventData, Invalid, Json};
/// use serde::{Serialize, de::DeserializeSeed};
///
/// /// JSON whose bytes are turned over, so that nobody reads them over one's shoulder.
/// struct Mirrored;
///
/// impl Codec for Mirrored {
///     const CONTENT_TYPE: ContentType = ContentType::new(128);
///
///     fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Invalid> {
///         Ok(Json::encode(value)?.into_iter().map(|byte| !byte).collect())
///     }
///
///     fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, Invalid> {
///         let turned: Vec<u8> = bytes.iter().map(|byte| !byte).collect();
///         // The seed may borrow from `bytes` alone, so values are read as owned ones.
///         seed.deserialize(serde_json::from_slice::<serde_json::Value>(&turned).map_err(refused)?).map_err(refused)
///     }
/// }
///
/// fn refused(error: serde_json::Error) -> Invalid {
///     Invalid::new("mirrored data", "", error.to_string())
/// }
///
/// let event = EventData::encode_data_with::<Mirrored, _>("NoteTaken", "hidden")?;
/// assert_eq!((event.content_type.number(), event.data[0]), (128, !b'"'));
/// # Ok::<(), annals::Error>(())
/// ```
pub trait Codec {
    /// What is stored beside the bytes; no two codecs of a program may have the same.
    const CONTENT_TYPE: ContentType;

    /// The value's bytes.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if this codec can't write such a value. Its `reason` is what the program is told.
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Invalid>;

    /// What the seed makes of the bytes; for a type, [`PhantomData`](std::marker::PhantomData) is its seed.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if they aren't what the seed needs, or go on behind its value. Its `reason` is what the program is
    /// told.
    fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, Invalid>;
}

/// JSON in UTF-8, content type 1: the default. Programs in other languages, `annals read` and upcasters read it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Json;

impl Codec for Json {
    const CONTENT_TYPE: ContentType = ContentType::JSON;

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Invalid> {
        serde_json::to_vec(value).map_err(|error| Invalid::new("JSON", "", error.to_string()))
    }

    fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, Invalid> {
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let value = seed.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
        value.map_err(|error| Invalid::new("JSON", "", error.to_string()))
    }
}

/// bincode 2 with fixed integers in little-endian order, content type 2: small and fast.
///
/// Its bytes don't say what they are: they are read by the type that they were written by, so a changed type needs a
/// new schema version. Values whose form isn't known beforehand can't be read: `serde_json::Value`, untagged and
/// internally tagged enums, `flatten`, fields with `skip_serializing_if`.
///
/// A value has up to 64 MiB, as the state of a snapshot may; of an event the store takes 16 MiB. Lists whose elements take
/// no bytes, as those of a `Vec<()>`, are read with up to 1,048,576 elements in all: else a few bytes that nobody
/// wrote could ask for elements without end.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Bincode;

/// The most that is written and read: the larger of what events and snapshots may have. Both are held to their own bounds
/// where they are stored.
const BINCODE_BYTES_MAX: usize = SNAPSHOT_BYTES_MAX;

const _: () = assert!(EVENT_BYTES_MAX <= BINCODE_BYTES_MAX, "every event can be written");

impl Codec for Bincode {
    const CONTENT_TYPE: ContentType = ContentType::BINCODE;

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Invalid> {
        let bytes = binary::to_bytes(value).map_err(|reason| Invalid::new("bincode", "", reason))?;
        if bytes.len() > BINCODE_BYTES_MAX {
            return Err(Invalid::too_large("bincode", "", bytes.len(), BINCODE_BYTES_MAX));
        }
        Ok(bytes)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, Invalid> {
        let limit = ElementLimit::of(bytes.len());
        binary::from_bytes::<BINCODE_BYTES_MAX, _>(limit.apply(seed), bytes)
            .map_err(|reason| Invalid::new("bincode", "", reason))
    }
}
