//! What an event says, apart from where it is: what upcasters change.

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    event::{ContentType, decode_json, encode_json},
    invalid::Invalid,
};

/// What an event says, without its place in the log: what a step of [`Upcasters`](crate::Upcasters) is given, and gives back.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct EventContent {
    /// What happened.
    pub event_type: String,
    /// The version of the payload's schema.
    pub schema_version: u32,
    /// The payload.
    pub data: Vec<u8>,
    /// How the payload is written.
    pub content_type: ContentType,
    /// The metadata's bytes; empty: none.
    pub metadata: Vec<u8>,
    /// How the metadata are written.
    pub metadata_content_type: ContentType,
}

impl EventContent {
    /// The payload, read as JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it isn't JSON, or not of this type.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        decode_json(&self.event_type, &self.data)
    }

    /// The same, its payload replaced by this, as JSON.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if `data` can't be written as JSON, such as a map whose keys aren't texts.
    pub fn with_json(self, data: &impl Serialize) -> Result<Self, Invalid> {
        Ok(self.with_data(encode_json(data)?, ContentType::JSON))
    }

    /// The same, its payload replaced by these bytes.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Vec<u8>>, content_type: ContentType) -> Self {
        self.data = data.into();
        self.content_type = content_type;
        self
    }

    /// The same as an event of another type.
    #[must_use]
    pub fn with_type(mut self, event_type: impl Into<String>, schema_version: u32) -> Self {
        self.event_type = event_type.into();
        self.schema_version = schema_version;
        self
    }
}
