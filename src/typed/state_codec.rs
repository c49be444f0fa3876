//! How an aggregate's state becomes a snapshot's bytes, chosen while the program runs, and only for states that can.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use crate::{event::ContentType, invalid::Invalid, snapshot::Snapshot, typed::codec::Codec};

/// Encodes and decodes states of the type `A`.
pub(crate) struct StateCodec<A> {
    content_type: ContentType,
    encode: fn(&A) -> Result<Vec<u8>, Invalid>,
    decode: fn(&[u8]) -> Result<A, Invalid>,
}

impl<A: Serialize + DeserializeOwned> StateCodec<A> {
    pub(crate) fn of<C: Codec>() -> Self {
        let decode = |bytes: &[u8]| C::decode(PhantomData::<A>, bytes);
        Self { content_type: C::CONTENT_TYPE, encode: C::encode::<A>, decode }
    }
}

impl<A> StateCodec<A> {
    pub(crate) fn content_type(&self) -> ContentType {
        self.content_type
    }

    pub(crate) fn encode(&self, state: &A) -> Result<Vec<u8>, Invalid> {
        (self.encode)(state)
    }

    /// The state in a snapshot; refused if another codec wrote it.
    pub(crate) fn decode(&self, snapshot: &Snapshot) -> Result<A, Invalid> {
        let (found, wanted) = (snapshot.content_type.number(), self.content_type.number());
        if found != wanted {
            let reason = format!("its content type is {found}, and the repository's is {wanted}");
            return Err(Invalid::new("state of type", &snapshot.state_type, reason));
        }
        (self.decode)(&snapshot.state)
    }
}

impl<A> Clone for StateCodec<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for StateCodec<A> {}

impl<A> fmt::Debug for StateCodec<A> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StateCodec").field("content_type", &self.content_type).finish_non_exhaustive()
    }
}
