//! How one program's events become bytes, chosen while it runs: the codec is no part of a repository's type.

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    event::{EventData, EventRef},
    invalid::Invalid,
    typed::codec::{Codec, Json},
};

/// Encodes and decodes events of the type `E`.
pub(crate) struct EventCodec<E> {
    encode: fn(&E) -> Result<EventData, Invalid>,
    decode: fn(&EventRef<'_>) -> Result<E, Invalid>,
}

impl<E: Serialize + DeserializeOwned> EventCodec<E> {
    /// Writes with `C`. Reads that, JSON and bincode, so that a program can change its codec.
    pub(crate) fn of<C: Codec>() -> Self {
        Self { encode: EventData::encode_with::<C, E>, decode: decode_with::<C, E> }
    }
}

fn decode_with<C: Codec, E: DeserializeOwned>(event: &EventRef<'_>) -> Result<E, Invalid> {
    if event.content_type == C::CONTENT_TYPE { event.decode_with::<C, E>() } else { event.decode() }
}

impl<E> EventCodec<E> {
    pub(crate) fn encode(&self, event: &E) -> Result<EventData, Invalid> {
        (self.encode)(event)
    }

    pub(crate) fn decode(&self, event: &EventRef<'_>) -> Result<E, Invalid> {
        (self.decode)(event)
    }
}

impl<E: Serialize + DeserializeOwned> Default for EventCodec<E> {
    fn default() -> Self {
        Self::of::<Json>()
    }
}

impl<E> Clone for EventCodec<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for EventCodec<E> {}

impl<E> fmt::Debug for EventCodec<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventCodec")
    }
}
