//! Which events are appended. All of an event follows from its stream and version, so what a store must hold can be said
//! without asking it.

use annals::{ContentType, EventData, EventRef, Reader, StreamId};
use anyhow::{Context, bail};

use crate::{bench::mix::mix, interrupt::Stop};

/// What an event's data begin with; the number follows.
const BEGIN: &[u8] = br#"{"number":""#;
const NUMBER_DIGITS: usize = 16;
/// What stands between the number and the text that fills the data up.
const MIDDLE: &[u8] = br#"","text":""#;
const END: &[u8] = br#""}"#;

/// The shortest data, in bytes.
pub(crate) const PAYLOAD_BYTES_MIN: usize = BEGIN.len() + NUMBER_DIGITS + MIDDLE.len() + END.len();

const METADATA: &str = r#"{"correlationId":"c-1234567890abcdef","userId":"u-48213"}"#;
pub(crate) const METADATA_BYTES: usize = METADATA.len();

const EVENT_TYPE: &str = "OrderPlaced";

/// What a name begins with; a number of eight digits follows, so that all names are of 14 bytes.
const NAME_BEGIN: &str = "order-";

/// How many bits of an event's number are its version; those above are its stream's number.
const VERSION_BITS: u32 = 40;

/// How often reading looks whether it is to stop, in events.
pub(crate) const EVENTS_BETWEEN_LOOKS: u64 = 4_096;

/// What an event takes in the log, in bytes, at most and about: data, metadata, names, id, frame.
pub(crate) const fn log_bytes(payload_bytes: u64) -> u64 {
    payload_bytes.saturating_add(METADATA_BYTES as u64 + 200)
}

/// A stream, by its number.
pub(crate) fn name(stream: u64) -> anyhow::Result<StreamId> {
    Ok(StreamId::new(format!("{NAME_BEGIN}{stream:08}"))?)
}

fn number_of(name: &str) -> Option<u64> {
    name.strip_prefix(NAME_BEGIN)?.parse().ok()
}

/// The events of one size.
pub(crate) struct Work {
    /// An event's data, with zeros where its number stands.
    data: Vec<u8>,
}

impl Work {
    pub(crate) fn new(payload_bytes: u64) -> anyhow::Result<Self> {
        let bytes = usize::try_from(payload_bytes)?;
        let filler = bytes.checked_sub(PAYLOAD_BYTES_MIN).context("the payload is too short")?;
        let mut data = BEGIN.to_vec();
        data.extend([b'0'; NUMBER_DIGITS]);
        data.extend(MIDDLE);
        data.extend(letters(filler));
        data.extend(END);
        Ok(Self { data })
    }

    /// What an event's data and metadata have, in bytes.
    pub(crate) fn event_bytes(&self) -> u64 {
        (self.data.len() + METADATA_BYTES) as u64
    }

    /// The event that has this version in its stream.
    pub(crate) fn event(&self, stream: u64, version: u64) -> EventData {
        let mut data = self.data.clone();
        put_number(&mut data, stream, version);
        EventData::new(EVENT_TYPE, data)
            .with_content_type(ContentType::JSON)
            .with_metadata_bytes(METADATA, ContentType::JSON)
    }

    /// Whether it is that event, as far as a look at its length tells: the store has compared the checksum.
    pub(crate) fn looks_like(&self, event: &EventRef<'_>) -> bool {
        event.data.len() == self.data.len() && event.metadata_bytes.len() == METADATA_BYTES
    }

    /// Reads the whole store, which must hold what was acknowledged and nothing else: for each stream, by its number,
    /// so many events.
    pub(crate) fn check_store(
        &self,
        store: &Reader,
        acknowledged: impl Fn(u64) -> u64,
        streams: u64,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let mut found = vec![0; usize::try_from(streams)?];
        let mut wanted = self.data.clone();
        let (mut cursor, mut position) = (store.read_all(), 0);
        while let Some(event) = cursor.try_next()? {
            position += 1;
            if position % EVENTS_BETWEEN_LOOKS == 0 {
                stop.check()?;
            }
            let stream = number_of(event.stream).filter(|stream| *stream < streams);
            let Some(stream) = stream else {
                bail!("the store has a stream \"{}\" of nobody's", event.stream)
            };
            let version = &mut found[usize::try_from(stream)?];
            *version += 1;
            put_number(&mut wanted, stream, *version);
            let is_right = (event.position.get(), event.version.get()) == (position, *version)
                && event.event_type == EVENT_TYPE
                && event.data == wanted
                && event.metadata_bytes == METADATA.as_bytes();
            if !is_right {
                bail!("the store doesn't hold what was appended: at position {position} it has {event:?}");
            }
        }
        for (stream, found) in (0..streams).zip(found) {
            let wanted = acknowledged(stream);
            if found != wanted {
                let name = name(stream)?;
                bail!("{wanted} events of stream \"{name}\" were acknowledged, and {found} are in the store");
            }
        }
        Ok(())
    }
}

/// Writes the number of an event into its data, in hexadecimal digits.
fn put_number(data: &mut [u8], stream: u64, version: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut number = (stream << VERSION_BITS) | version;
    for digit in data[BEGIN.len()..BEGIN.len() + NUMBER_DIGITS].iter_mut().rev() {
        *digit = DIGITS[usize::try_from(number % 16).unwrap_or_default()];
        number /= 16;
    }
}

/// Letters in no order, so that a file system that compresses gains little.
fn letters(count: usize) -> impl Iterator<Item = u8> {
    const LETTERS: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
    let mut random = Random::new(1);
    (0..count).map(move |_| LETTERS[usize::try_from(random.below(64)).unwrap_or_default()])
}

/// One number after the other, from a seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = mix(self.0);
        self.0 % end
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn data_are_json_of_the_size_that_was_asked_for() {
        for bytes in [PAYLOAD_BYTES_MIN as u64, 200, 4_096] {
            let data = Work::new(bytes).expect("long enough").event(7, 9).data;
            assert_eq!(data.len() as u64, bytes);
            let data: Value = serde_json::from_slice(&data).expect("JSON");
            assert_eq!(data["number"], "0000070000000009");
        }
    }

    #[test]
    fn a_store_that_lacks_an_event_or_has_another_is_found_out() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = annals::EventStore::open(directory.path().join("store")).expect("a store");
        let work = Work::new(100).expect("long enough");
        let append = |stream, event| {
            store.append(&name(stream).expect("a name"), annals::ExpectedVersion::Any, [event])
        };
        append(0, work.event(0, 1)).expect("appended");
        append(1, work.event(1, 1)).expect("appended");
        let check = |versions: [u64; 2]| {
            let acknowledged = |stream: u64| versions[usize::try_from(stream).expect("small")];
            work.check_store(&store, acknowledged, 2, &Stop::default()).map_err(|error| error.to_string())
        };
        assert_eq!(check([1, 1]), Ok(()));
        assert!(check([1, 2]).expect_err("one lacks").contains("2 events of stream \"order-00000001\""));
        append(0, work.event(0, 3)).expect("appended");
        assert!(check([2, 1]).expect_err("another").contains("at position 3 it has"));
        store.close().expect("closed");
    }
}
