//! What bincode writes: fixed integers in little-endian order, and nothing behind the end.
//!
//! A reader gets a limit. Lengths that are read are compared with it before memory is taken for them. Neither depth nor time
//! is limited here: bytes that nobody wrote so can exhaust the stack where a type contains itself, and go on for ever where
//! a list's elements take no bytes. Annals has no type of either form in its files. Of the programs' own types, which the
//! codec `Bincode` reads, `typed/element_limit` bounds the elements; types that contain themselves aren't read from bytes
//! of strangers.

#![allow(clippy::disallowed_methods, reason = "this file alone may call bincode")]

use bincode::{
    config::{Configuration, Fixint, Limit, LittleEndian},
    serde::{encode_to_vec, seed_decode_from_slice},
};
use serde::{Serialize, de::DeserializeSeed};

fn configuration<const BYTES_MAX: usize>() -> Configuration<LittleEndian, Fixint, Limit<BYTES_MAX>> {
    bincode::config::standard().with_fixed_int_encoding().with_limit::<BYTES_MAX>()
}

/// The value's bytes; an error says why there are none, as of a list whose length isn't known beforehand.
pub(crate) fn to_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    encode_to_vec(value, configuration::<{ usize::MAX }>()).map_err(|error| error.to_string())
}

/// What the seed makes of the bytes, of which none may be left, and which take up to `BYTES_MAX` of memory.
pub(crate) fn from_bytes<'de, const BYTES_MAX: usize, S: DeserializeSeed<'de>>(
    seed: S,
    bytes: &'de [u8],
) -> Result<S::Value, String> {
    let (value, read) = seed_decode_from_slice(seed, bytes, configuration::<BYTES_MAX>())
        .map_err(|error| error.to_string())?;
    if read < bytes.len() {
        return Err(format!("it ends at byte {read} of {}", bytes.len()));
    }
    Ok(value)
}
