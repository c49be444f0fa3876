//! Events as a program's own types: an enum's variant is an event type, its content the data.

use std::{any::type_name, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    event::{ContentType, EventData, EventRef, StoredEvent},
    invalid::Invalid,
    typed::{
        codec::{Bincode, Codec, Json},
        tagged_decoding::{Tagged, TaggedError},
        tagged_encoding::Untagged,
    },
};

impl EventData {
    /// The event that a value of an enum is, with a payload of JSON: its variant's name is the event type, the
    /// variant's content the data. Serde's names count, after its renames.
    ///
    /// The enum has serde's default form, or `#[serde(tag = "type", content = "data")]`; the stored event is the
    /// same. A variant without content has the data `null`.
    ///
    /// Its schema version is 1. Where upcasters lead the type to a newer one, say so with
    /// [`with_current_version`](Self::with_current_version), or it is taken for an old event when it is read.
    ///
    /// ```
    /// use annals::{EventData, EventStore, ExpectedVersion, StreamId};
    /// use serde::{Deserialize, Serialize};
    ///
    /// #[derive(PartialEq, Debug, Serialize, Deserialize)]
    /// enum OrderEvent {
    ///     OrderPlaced { item: String, quantity: u32 },
    ///     OrderPaid,
    /// }
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let store = EventStore::open(directory.path().join("shop.annals"))?;
    /// let order = StreamId::new("order-17")?;
    /// let placed = OrderEvent::OrderPlaced { item: "book".to_owned(), quantity: 2 };
    /// let event = EventData::encode(&placed)?;
    /// assert_eq!((event.event_type.as_str(), &event.data[..]), ("OrderPlaced", &br#"{"item":"book","quantity":2}"#[..]));
    ///
    /// store.append(&order, ExpectedVersion::NoStream, [event, EventData::encode(&OrderEvent::OrderPaid)?])?;
    /// let events = store
    ///     .read_stream(&order)
    ///     .map(|event| Ok(event?.decode()?))
    ///     .collect::<Result<Vec<OrderEvent>, annals::Error>>()?;
    /// assert_eq!(events, [placed, OrderEvent::OrderPaid]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the value isn't an enum's in one of the two forms, or can't be written as JSON.
    pub fn encode<T: Serialize + ?Sized>(event: &T) -> Result<Self, Invalid> {
        Self::encode_with::<Json, T>(event)
    }

    /// The event that a value of an enum is, its content written by a codec: `EventData::encode_with::<Bincode,
    /// _>(&event)`.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the value isn't an enum's in one of the two forms of [`encode`](Self::encode), or the codec
    /// can't write its content.
    pub fn encode_with<C: Codec, T: Serialize + ?Sized>(event: &T) -> Result<Self, Invalid> {
        let untagged = Untagged::new(event);
        let encoded = C::encode(&untagged);
        let Some(name) = untagged.name() else {
            return Err(Invalid::new(
                "event",
                type_name::<T>(),
                "it isn't an enum in serde's default form or with #[serde(tag = \"type\", content = \"data\")]: make it \
                 one, or give its type and payload to `EventData::json` or `encode_data_with`",
            ));
        };
        let data = encoded.map_err(|refused| unfit(name, &refused.reason))?;
        Ok(Self::new(name, data).with_content_type(C::CONTENT_TYPE))
    }

    /// An event whose type is given by hand, and whose payload is written by a codec.
    ///
    /// ```
    /// use annals::{Bincode, ContentType, EventData};
    ///
    /// let event = EventData::encode_data_with::<Bincode, _>("MoneyDeposited", &(500_u32, "EUR"))?;
    /// assert_eq!(event.content_type, ContentType::BINCODE);
    /// # Ok::<(), annals::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the codec can't write it.
    pub fn encode_data_with<C: Codec, T: Serialize + ?Sized>(
        event_type: impl Into<String>,
        data: &T,
    ) -> Result<Self, Invalid> {
        let event_type = event_type.into();
        let data = C::encode(data).map_err(|refused| unfit(&event_type, &refused.reason))?;
        Ok(Self::new(event_type, data).with_content_type(C::CONTENT_TYPE))
    }

    /// The same event with metadata of the program's own type, written by a codec. What looks into metadata (reads by
    /// correlation id, [`StoredEvent::metadata`]) understands JSON objects alone.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the codec can't write them.
    pub fn with_encoded_metadata<C: Codec, M: Serialize + ?Sized>(
        self,
        metadata: &M,
    ) -> Result<Self, Invalid> {
        let bytes = C::encode(metadata)
            .map_err(|refused| Invalid::new("metadata of event type", &self.event_type, refused.reason))?;
        Ok(self.with_metadata_bytes(bytes, C::CONTENT_TYPE))
    }
}

impl EventRef<'_> {
    /// The event as a value of an enum, one of whose variants has the event's type as its name. The content is read
    /// as its content type says: JSON or bincode.
    ///
    /// An event type that the enum hasn't is an error, unless it has a unit variant with `#[serde(other)]` (in the
    /// adjacently tagged form), which takes them all.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the enum has no such event type, the data don't fit its variant, or are written otherwise.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        match self.content_type {
            ContentType::JSON => self.decode_with::<Json, T>(),
            ContentType::BINCODE => self.decode_with::<Bincode, T>(),
            other => Err(self.foreign(other, "give its codec to `decode_with`")),
        }
    }

    /// The event as a value of an enum, its content read by this codec.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event has another content type than the codec, the enum has no such event type, or the data
    /// don't fit its variant.
    pub fn decode_with<C: Codec, T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        self.check_content_type::<C>()?;
        T::deserialize(Tagged::<C>::new(self.event_type, self.data)).map_err(|error| match error {
            TaggedError::UnknownType(_) => {
                Invalid::new("event type", self.event_type, format!("{error}; {}", self.place()))
            }
            TaggedError::Unfit(reason) => self.unfit(&reason),
        })
    }

    /// The payload alone, read as its content type says: JSON or bincode. The event's type isn't looked at.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it isn't of this Rust type, or is written otherwise.
    pub fn decode_data<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        match self.content_type {
            ContentType::JSON => self.decode_data_with::<Json, T>(),
            ContentType::BINCODE => self.decode_data_with::<Bincode, T>(),
            other => Err(self.foreign(other, "give its codec to `decode_data_with`")),
        }
    }

    /// The payload alone, read by this codec. The event's type isn't looked at.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event has another content type than the codec, or the payload isn't of this Rust type.
    pub fn decode_data_with<C: Codec, T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        self.check_content_type::<C>()?;
        C::decode(PhantomData, self.data).map_err(|refused| self.unfit(&refused.reason))
    }

    /// The metadata, read by this codec; none where the event has none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if they have another content type than the codec, or aren't of this Rust type.
    pub fn decode_metadata_with<C: Codec, M: DeserializeOwned>(&self) -> Result<Option<M>, Invalid> {
        let refuse = |reason: String| {
            Invalid::new("metadata of event type", self.event_type, format!("{reason}; {}", self.place()))
        };
        if self.metadata_bytes.is_empty() {
            return Ok(None);
        }
        if self.metadata_content_type != C::CONTENT_TYPE {
            return Err(refuse(other_content(self.metadata_content_type, C::CONTENT_TYPE)));
        }
        C::decode(PhantomData, self.metadata_bytes).map(Some).map_err(|refused| refuse(refused.reason))
    }

    fn check_content_type<C: Codec>(&self) -> Result<(), Invalid> {
        if self.content_type == C::CONTENT_TYPE {
            return Ok(());
        }
        Err(self.unfit(&other_content(self.content_type, C::CONTENT_TYPE)))
    }

    /// What is said of a content type that no codec of this library has.
    fn foreign(&self, content_type: ContentType, remedy: &str) -> Invalid {
        let number = content_type.number();
        let made_by =
            if number == 0 { ", or write it by `EventData::json` or `encode` and not by `new`" } else { "" };
        self.unfit(&format!("content type {number} is neither JSON (1) nor bincode (2): {remedy}{made_by}"))
    }

    fn unfit(&self, reason: &str) -> Invalid {
        unfit(self.event_type, &format!("{reason}; {}", self.place()))
    }

    /// Where the event is, for messages.
    fn place(&self) -> String {
        format!("stream \"{}\", version {}, position {}", self.stream, self.version, self.position)
    }
}

impl StoredEvent {
    /// The event as a value of an enum; see [`EventRef::decode`].
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the enum has no such event type, the data don't fit its variant, or are written otherwise.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        EventRef::from(self).decode()
    }

    /// The event as a value of an enum, its content read by this codec.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event has another content type than the codec, the enum has no such event type, or the data
    /// don't fit its variant.
    pub fn decode_with<C: Codec, T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        EventRef::from(self).decode_with::<C, T>()
    }

    /// The payload alone, read as its content type says: JSON or bincode. The event's type isn't looked at.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if it isn't of this Rust type, or is written otherwise.
    pub fn decode_data<T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        EventRef::from(self).decode_data()
    }

    /// The payload alone, read by this codec. The event's type isn't looked at.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if the event has another content type than the codec, or the payload isn't of this Rust type.
    pub fn decode_data_with<C: Codec, T: DeserializeOwned>(&self) -> Result<T, Invalid> {
        EventRef::from(self).decode_data_with::<C, T>()
    }

    /// The metadata, read by this codec; none where the event has none.
    ///
    /// # Errors
    ///
    /// [`Invalid`] if they have another content type than the codec, or aren't of this Rust type.
    pub fn decode_metadata_with<C: Codec, M: DeserializeOwned>(&self) -> Result<Option<M>, Invalid> {
        EventRef::from(self).decode_metadata_with::<C, M>()
    }
}

/// The event types that an enum decodes, as serde names them, aliases too: what a subscription of a program asks for
/// that wants no others.
///
/// ```
/// #[derive(serde::Deserialize)]
/// enum AccountEvent {
///     AccountOpened,
///     MoneyDeposited { cents: u64 },
/// }
///
/// assert_eq!(annals::event_types_of::<AccountEvent>()?, ["AccountOpened", "MoneyDeposited"]);
/// # Ok::<(), annals::Error>(())
/// ```
///
/// # Errors
///
/// [`Invalid`] if it isn't an enum in serde's default form or with `#[serde(tag = "type", content = "data")]`.
pub fn event_types_of<T: DeserializeOwned>() -> Result<&'static [&'static str], Invalid> {
    let refuse = |reason: &str| Err(Invalid::new("event", type_name::<T>(), reason));
    match T::deserialize(Tagged::<Json>::asking_for_types()) {
        Err(TaggedError::UnknownType(known)) => Ok(known),
        Err(TaggedError::Unfit(reason)) => refuse(&reason),
        Ok(_) => refuse("it reads any event, whatever its type"),
    }
}

fn unfit(event_type: &str, reason: &str) -> Invalid {
    Invalid::new("data of event type", event_type, reason)
}

fn other_content(found: ContentType, wanted: ContentType) -> String {
    format!("content type {} is there, and the codec's is {}", found.number(), wanted.number())
}
