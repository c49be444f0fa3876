//! The events that every engine is given, and the check of what comes back.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::mix::mix;

/// Which stream: the benchmark's own number of it, and its name.
pub(crate) struct Stream {
    pub(crate) number: u64,
    pub(crate) name: String,
}

impl Stream {
    /// Names have 14 bytes.
    pub(crate) fn new(number: u64) -> Self {
        Self { number, name: format!("order-{number:08}") }
    }

    /// The streams 0, 1, … of a store.
    pub(crate) fn list(count: u64) -> Vec<Self> {
        (0..count).map(Self::new).collect()
    }
}

/// The name of what happened, in every event.
pub(crate) const EVENT_TYPE: &str = "OrderPlaced";

/// The metadata of every event: 57 bytes.
pub(crate) const METADATA: &[u8] = br#"{"correlationId":"c-1234567890abcdef","userId":"u-48213"}"#;

/// The data of every event, but for its two numbers.
const DATA: &[u8; DATA_BYTES] = br#"{"order":"00000000","line":"0000000000","orderId":"6f1c2a34-90ab-4def-8123-456789abcdef","item":"a book on event sourcing","quantity":3,"priceCents":4999,"currency":"EUR","customer":"c-48213","vat":7}"#;

const DATA_BYTES: usize = 200;

/// Behind the last digit of the stream's number.
const STREAM_DIGITS_END: usize = 18;

/// Behind the last digit of the version.
const VERSION_DIGITS_END: usize = 38;

const _: () = assert!(METADATA.len() == 57);
const _: () = assert!(DATA[STREAM_DIGITS_END] == b'"' && DATA[VERSION_DIGITS_END] == b'"');

/// What an event takes that is stored one behind the other, with nothing to find it by: its position, stream,
/// version and time, the lengths of its parts, and the parts.
pub(crate) const EVENT_BYTES: usize =
    8 + 14 + 8 + 8 + 4 + 16 + EVENT_TYPE.len() + METADATA.len() + DATA_BYTES;

/// An event that is to be appended.
pub(crate) struct NewEvent {
    pub(crate) id: [u8; 16],
    data: [u8; DATA_BYTES],
}

impl NewEvent {
    pub(crate) fn new(stream: u64, version: u64) -> Self {
        let mut data = *DATA;
        write_digits(&mut data[STREAM_DIGITS_END - 8..STREAM_DIGITS_END], stream);
        write_digits(&mut data[VERSION_DIGITS_END - 10..VERSION_DIGITS_END], version);
        Self { id: id_of(stream, version), data }
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }
}

fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = digit_of(number);
        number /= 10;
    }
}

/// The last decimal digit, as it is written.
fn digit_of(number: u64) -> u8 {
    b"0123456789"[usize::try_from(number % 10).unwrap_or_default()]
}

/// An id that is another for each event, and looks like a random UUID.
fn id_of(stream: u64, version: u64) -> [u8; 16] {
    let (high, low) = (mix(stream << 32 | version), mix(version << 32 | stream));
    uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_le_bytes())
        .into_uuid()
        .into_bytes()
}

/// What was read: how many events, in which order, how many bytes, the sum of the last digits of their streams' numbers and
/// versions, and where it is asked for, all their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    bytes: u64,
    digits: u64,
    /// How many had another number than the one behind the number before.
    out_of_order: u64,
    /// The sum of hashes over each event's type, metadata and data, which are too slow for what is timed.
    contents: Option<u64>,
}

impl Tally {
    /// One that looks at all bytes.
    pub(crate) fn whole() -> Self {
        Self { contents: Some(0), ..Self::default() }
    }

    /// Takes an event in: its version if a stream is read, its position if everything is.
    #[inline]
    pub(crate) fn add(&mut self, number: u64, event_type: &[u8], metadata: &[u8], data: &[u8]) {
        self.events += 1;
        self.out_of_order += u64::from(number != self.events);
        self.bytes += (event_type.len() + metadata.len() + data.len()) as u64;
        if let Some(digits) = data.get(..VERSION_DIGITS_END) {
            self.digits += u64::from(digits[STREAM_DIGITS_END - 1]);
            self.digits += u64::from(digits[VERSION_DIGITS_END - 1]);
        }
        if let Some(contents) = &mut self.contents {
            *contents = contents.wrapping_add(hash_of(event_type, metadata, data));
        }
    }

    /// What reading these events must come to: streams' numbers, and how many events each has.
    pub(crate) fn expected(streams: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut tally = Self::default();
        for (stream, events) in streams {
            tally.events += events;
            tally.digits += events * u64::from(digit_of(stream));
            tally.digits += (1..=events).map(|version| u64::from(digit_of(version))).sum::<u64>();
        }
        tally.bytes = tally.events * (EVENT_TYPE.len() + METADATA.len() + DATA_BYTES) as u64;
        tally
    }

    /// The same of one that looks at all bytes.
    pub(crate) fn expected_whole(streams: &[(u64, u64)]) -> Self {
        let mut contents: u64 = 0;
        for (stream, events) in streams {
            for version in 1..=*events {
                let event = NewEvent::new(*stream, version);
                contents = contents.wrapping_add(hash_of(EVENT_TYPE.as_bytes(), METADATA, event.data()));
            }
        }
        Self { contents: Some(contents), ..Self::expected(streams.iter().copied()) }
    }

    pub(crate) fn check(&self, expected: &Self) -> crate::Outcome<()> {
        if self == expected { Ok(()) } else { Err(format!("read {self:?} instead of {expected:?}").into()) }
    }
}

fn hash_of(event_type: &[u8], metadata: &[u8], data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (event_type, metadata, data).hash(&mut hasher);
    hasher.finish()
}
