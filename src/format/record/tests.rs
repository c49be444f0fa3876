//! The record's own tests.

#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]

use proptest::prelude::*;
use uuid::Uuid;

use crate::{
    event::{ContentType, EventData},
    event_id::EventId,
    format::{
        layout::{RECORD_BYTES_MAX, checksum, get_u16, put_u16, put_u32},
        record::{self, IdOrigin, RECORD_FIXED_BYTES, RecordEnd, Stamp},
        tests::is_refused_when_damaged,
    },
    position::{Position, Version},
    stream::StreamId,
    time::{OccurredAt, Timestamp},
};

/// An event, and all that stands beside it in its record.
#[derive(Clone, Debug)]
struct Sample {
    stream: StreamId,
    event: EventData,
    id: EventId,
    origin: IdOrigin,
    stamp: Stamp,
}

impl Sample {
    fn record(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        record::encode(&mut bytes, &self.stream, &self.event, &self.id, self.origin).expect("it is valid");
        record::stamp(&mut bytes, &self.stamp);
        bytes
    }

    #[track_caller]
    fn check(&self, bytes: &[u8]) {
        let read = record::decode(bytes).expect("the record is whole");
        let (event, given) = (read.event.to_stored().expect("its names are valid"), &self.event);
        assert_eq!((event.stream, event.id), (self.stream.clone(), self.id.clone()));
        assert_eq!((event.position, event.version), (self.stamp.position, self.stamp.version));
        assert_eq!((event.timestamp, event.occurred_at), (self.stamp.timestamp, given.occurred_at));
        assert_eq!((&event.event_type, event.schema_version), (&given.event_type, given.schema_version));
        assert_eq!((&event.data, event.content_type), (&given.data, given.content_type));
        assert_eq!(event.metadata_bytes, given.metadata);
        assert_eq!(event.metadata_content_type, given.metadata_content_type);
        assert_eq!((read.id_origin, read.bytes), (self.origin, bytes));
        let checked = record::check(bytes).expect("what is read is checked");
        assert_eq!((checked.end, checked.position), (self.stamp.end, self.stamp.position));
    }
}

/// A sample with every optional part.
fn full_sample() -> Sample {
    let event = EventData::new("MoneyDeposited", "500")
        .with_schema_version(7)
        .with_metadata_bytes(r#"{"userId":"ana"}"#, ContentType::JSON)
        .with_occurred_at(OccurredAt { time: Timestamp::from_micros(-5), offset_minutes: -90 });
    let stamp = Stamp {
        position: Position::new(9),
        version: Version::new(4),
        timestamp: Timestamp::from_micros(1_767_323_045_000_006),
        end: RecordEnd::Commit,
    };
    let id = EventId::new("deposit-1").expect("an id");
    let stream = StreamId::new("account-1").expect("a name");
    Sample { stream, event, id, origin: IdOrigin::Caller, stamp }
}

fn samples() -> impl Strategy<Value = Sample> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let name = || "[a-zé顧-]{1,12}";
    let id = prop_oneof![
        any::<u128>().prop_map(|number| EventId::from(Uuid::from_u128(number))),
        "[A-Z№]{1,20}".prop_map(|text| EventId::new(&text).expect("an id")),
    ];
    let occurred_at =
        proptest::option::of((any::<i64>(), any::<i16>()).prop_map(|(micros, offset_minutes)| OccurredAt {
            time: Timestamp::from_micros(micros),
            offset_minutes,
        }));
    let end = prop_oneof![Just(RecordEnd::None), Just(RecordEnd::Append), Just(RecordEnd::Commit)];
    let origin = prop_oneof![Just(IdOrigin::Caller), Just(IdOrigin::Store)];
    let stamp =
        (any::<u64>(), any::<u64>(), any::<i64>(), end).prop_map(|(position, version, micros, end)| {
            let (position, version) = (Position::new(position), Version::new(version));
            Stamp { position, version, timestamp: Timestamp::from_micros(micros), end }
        });
    let content = (name(), bytes(), any::<u8>(), bytes(), any::<u8>(), any::<u32>());
    (name(), content, id, occurred_at, origin, stamp).prop_map(
        |(stream, (event_type, data, data_is, metadata, metadata_is, schema), id, at, origin, stamp)| {
            let mut event = EventData::new(event_type, data)
                .with_content_type(ContentType::new(data_is))
                .with_metadata_bytes(metadata, ContentType::new(metadata_is))
                .with_schema_version(schema);
            event.occurred_at = at;
            Sample { stream: StreamId::new(stream).expect("a name"), event, id, origin, stamp }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn records_come_back_as_they_were_given__A19(sample in samples()) {
        let bytes = sample.record();
        sample.check(&bytes);
        let given = record::given_id(&bytes).map(|(id, _)| id.to_vec());
        prop_assert_eq!(given, (sample.origin == IdOrigin::Caller).then(|| sample.id.as_bytes().to_vec()));
        prop_assert_eq!(record::length(&bytes), Ok(bytes.len()));
    }

    #[test]
    fn records_one_after_the_other_are_split(samples in proptest::collection::vec(samples(), 0..4)) {
        let records: Vec<Vec<u8>> = samples.iter().map(Sample::record).collect();
        let together = records.concat();
        prop_assert_eq!(record::split(&together).collect::<Vec<_>>(), records);
    }
}

#[test]
fn no_damaged_record_is_read__F20() {
    is_refused_when_damaged(&full_sample().record(), |bytes| record::decode(bytes).is_ok());
}

#[test]
fn a_damaged_record_before_others_is_not_read() {
    let one = full_sample().record();
    let many = one.repeat(3);
    for bit in 0..one.len() * 8 {
        let mut flipped = many.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(record::decode(&flipped).is_err(), "bit {bit}");
    }
}

#[test]
fn lengths_are_bounded_however_right_the_checksum_is() {
    let most = u32::try_from(RECORD_BYTES_MAX).expect("it fits");
    for (length, is_possible) in [(0, false), (55, false), (56, true), (most, true), (most + 1, false)] {
        let mut record = full_sample().record();
        put_u32(&mut record, 0, length);
        assert_eq!(record::length(&record).is_ok(), is_possible, "{length}");
    }
    for offset in [40, 44] {
        assert!(changed_record(|record| put_u32(record, offset, u32::MAX)).is_err());
    }
    for offset in [48, 50, 52] {
        assert!(changed_record(|record| put_u16(record, offset, u16::MAX)).is_err());
    }
}

/// Whether the full sample's record is read with a change, its length and checksum made right.
fn changed_record(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), &'static str> {
    let mut record = full_sample().record();
    change(&mut record);
    let length = u32::try_from(record.len()).expect("small");
    put_u32(&mut record, 0, length);
    let crc = checksum(&record[8..]);
    put_u32(&mut record, 4, crc);
    // Whatever of this version's fields is read is read as it was written.
    record::decode(&record).map(|_| full_sample().check(&record))
}

#[test]
fn a_record_with_an_unknown_flag_is_refused() {
    assert_eq!(changed_record(|_| {}), Ok(()));
    for bit in 5..16 {
        let refused = changed_record(|record| {
            let flags = get_u16(record, 32);
            put_u16(record, 32, flags | 1 << bit);
        });
        assert_eq!(refused, Err("an event record has a flag that this version doesn't know"), "bit {bit}");
    }
    assert!(changed_record(|record| record[55] = 1).is_err(), "the reserved byte");
    let ends = changed_record(|record| record[32] &= !2);
    assert_eq!(ends, Err("an event record ends a commit but not its append"));
}

#[test]
fn a_record_whose_parts_are_not_as_they_must_be_is_refused() {
    let id = RECORD_FIXED_BYTES + 10;
    for at in [id, id + 9, id + 18] {
        assert!(changed_record(|record| record[at] = 0xFF).is_err(), "no UTF-8 at {at}");
    }
    assert!(changed_record(|record| record[32] &= !16).is_err(), "a UUID of 9 bytes");
    assert!(changed_record(|record| record[32] &= !8).is_err(), "ten bytes too many");
    assert!(changed_record(|record| record.push(0)).is_err(), "a byte too many");
    for (length, bytes, at) in [(54, 9, id), (48, 9, id + 9), (50, 14, id + 18)] {
        let emptied = changed_record(|record| {
            record[length] = 0;
            record.drain(at..at + bytes);
        });
        assert!(emptied.is_err(), "an empty text of {bytes} bytes before");
    }
}

/// An extension entry.
fn entry(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("small");
    [&kind.to_le_bytes(), &length.to_le_bytes(), content].concat()
}

fn extended(block: &[u8]) -> Result<(), &'static str> {
    changed_record(|record| {
        record.extend_from_slice(block);
        put_u16(record, 52, u16::try_from(block.len()).expect("small"));
    })
}

#[test]
fn extensions_of_even_types_are_passed_over_and_of_odd_ones_refused() {
    for even in [0, 2, 65_534] {
        assert_eq!(extended(&entry(even, b"content")), Ok(()), "{even}");
        assert_eq!(extended(&entry(even, b"")), Ok(()), "{even}, empty");
    }
    assert_eq!(extended(&[entry(2, b"a"), entry(8, b""), entry(2, &[0; 999])].concat()), Ok(()));
    let unknown = Err("an event record has an extension that this version doesn't know");
    for odd in [1, 3, 65_535] {
        assert_eq!(extended(&entry(odd, b"content")), unknown, "{odd}");
        assert_eq!(extended(&[entry(2, b"a"), entry(odd, b""), entry(4, b"b")].concat()), unknown, "{odd}");
    }
    let cut = Err("an event record's extension is cut off");
    let whole = entry(2, b"content");
    for length in (1..whole.len()).chain([whole.len() + 1]) {
        let mut block = whole.clone();
        block.resize(length, 0);
        assert_eq!(extended(&block), cut, "{length} bytes");
    }
}

#[test]
fn only_stamps_may_differ_in_a_repetition__X9() {
    let sample = full_sample();
    let one = sample.record();
    let mut stamped = sample.clone();
    stamped.stamp = Stamp {
        position: Position::new(700),
        version: Version::new(600),
        timestamp: Timestamp::from_micros(500),
        end: RecordEnd::None,
    };
    assert!(record::same_content(&one, &stamped.record()));
    let differs = |what: &str, change: &dyn Fn(&mut Sample)| {
        let mut other = sample.clone();
        change(&mut other);
        assert!(!record::same_content(&one, &other.record()), "another {what}");
        assert!(!record::same_content(&other.record(), &one), "another {what}");
    };
    differs("stream", &|other| other.stream = StreamId::new("account-2").expect("a name"));
    differs("type", &|other| other.event.event_type = "MoneyDeposite2".into());
    differs("id", &|other| other.id = EventId::new("deposit-2").expect("an id"));
    differs("origin of the id", &|other| other.origin = IdOrigin::Store);
    differs("data", &|other| other.event.data = b"501".to_vec());
    differs("length of data", &|other| other.event.data.push(0));
    differs("content type", &|other| other.event.content_type = ContentType::JSON);
    differs("metadata", &|other| other.event.metadata.clear());
    differs("metadata content type", &|other| other.event.metadata_content_type = ContentType::BYTES);
    differs("schema version", &|other| other.event.schema_version = 8);
    differs("occurred at", &|other| other.event.occurred_at = None);
}
