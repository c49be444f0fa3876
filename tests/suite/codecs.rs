//! Events as a program's enums: both of serde's forms, each codec, and bytes that nobody wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use annals::{
    Bincode, Codec, ContentType, EVENT_BYTES_MAX, Error, EventData, EventId, ExpectedVersion, Invalid, Json,
    Position, SNAPSHOT_BYTES_MAX, StoredEvent, Timestamp, event_types_of,
};
use proptest::prelude::*;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeOwned, DeserializeSeed},
};
use serde_json::json;

use crate::support::{Outcome, all, check_property, store, stream, version};

/// Each kind of variant, in serde's default form.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Plain<T> {
    Opened,
    Deposited(T),
    Moved(u32, String),
    #[serde(rename = "closed.v1")]
    Closed {
        reason: Option<String>,
        notes: Vec<u8>,
        last: Point,
    },
    Emptied {},
}

/// The same, adjacently tagged.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
enum Adjacent<T> {
    Opened,
    Deposited(T),
    Moved(u32, String),
    #[serde(rename = "closed.v1")]
    Closed {
        reason: Option<String>,
        notes: Vec<u8>,
        last: Point,
    },
    Emptied {},
}

/// The same with other names of tag and content, and strict.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename = "strict", tag = "kind", content = "payload", rename_all = "snake_case", deny_unknown_fields)]
enum Strict<T> {
    Opened,
    Deposited(T),
    Moved(u32, String),
    #[serde(rename = "closed.v1")]
    Closed {
        reason: Option<String>,
        notes: Vec<u8>,
        last: Point,
    },
    Emptied {},
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: f64,
}

/// A codec of the program's own: JSON behind one byte.
#[derive(Debug)]
struct Marked;

const MARK: u8 = 0xA5;

impl Codec for Marked {
    const CONTENT_TYPE: ContentType = ContentType::new(200);

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Invalid> {
        Ok([vec![MARK], Json::encode(value)?].concat())
    }

    fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, Invalid> {
        match bytes.split_first() {
            Some((&MARK, json)) => Json::decode(seed, json),
            _ => Err(Invalid::new("marked data", "", "it has no mark")),
        }
    }
}

/// Stores an event and reads it.
fn stored(event: EventData) -> StoredEvent {
    let store = store();
    store.append(&stream("a-1"), ExpectedVersion::NoStream, [event]).expect("an append");
    all(store.read_stream(&stream("a-1"))).remove(0)
}

/// All kinds of an enum's variants with their types and their data as JSON.
macro_rules! samples {
    ($events:ident) => {
        vec![
            ($events::Opened, "opened", json!(null)),
            ($events::Deposited(Point { x: -5, y: 0.5 }), "deposited", json!({"x": -5, "y": 0.5})),
            ($events::Moved(7, "ö".into()), "moved", json!([7, "ö"])),
            (
                $events::Closed { reason: None, notes: vec![1, 2], last: Point { x: 1, y: 2.0 } },
                "closed.v1",
                json!({"reason": null, "notes": [1, 2], "last": {"x": 1, "y": 2.0}}),
            ),
            ($events::Emptied {}, "emptied", json!({})),
        ]
    };
}

/// Writes by a codec and reads again what was stored.
fn check<C: Codec, T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
    events: &[(T, &str, serde_json::Value)],
) {
    for (event, event_type, _) in events {
        let given = EventData::encode_with::<C, T>(event).expect("the codec writes it");
        assert_eq!((given.event_type.as_str(), given.content_type), (*event_type, C::CONTENT_TYPE));
        assert_eq!(stored(given).decode_with::<C, T>().expect("the codec reads it"), *event);
    }
}

#[test]
fn an_enum_is_read_as_it_was_written_by_each_codec_in_each_form__A03_B09_C13() {
    let default: Vec<(Plain<Point>, _, _)> = samples!(Plain);
    let adjacent: Vec<(Adjacent<Point>, _, _)> = samples!(Adjacent);
    let strict: Vec<(Strict<Point>, _, _)> = samples!(Strict);
    check::<Json, _>(&default);
    check::<Json, _>(&adjacent);
    check::<Json, _>(&strict);
    check::<Bincode, _>(&default);
    check::<Bincode, _>(&adjacent);
    check::<Bincode, _>(&strict);
    check::<Marked, _>(&default);
    check::<Marked, _>(&adjacent);
    check::<Marked, _>(&strict);
}

#[test]
fn the_variant_is_the_type_and_its_content_the_data_in_either_form__B09() -> Outcome {
    let default: Vec<(Plain<Point>, _, _)> = samples!(Plain);
    let adjacent: Vec<(Adjacent<Point>, _, _)> = samples!(Adjacent);
    for ((default, event_type, content), (adjacent, _, _)) in default.iter().zip(&adjacent) {
        let event = EventData::encode(default)?;
        assert_eq!(event.event_type, *event_type);
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&event.data)?, *content);
        assert_eq!(event, EventData::encode(adjacent)?);
        let binary = EventData::encode_with::<Bincode, _>(default)?;
        assert_eq!(binary, EventData::encode_with::<Bincode, _>(adjacent)?);
        assert_eq!(stored(binary).decode::<Adjacent<Point>>()?, *adjacent);
    }
    Ok(())
}

#[test]
fn bincode_is_fixed_little_endian__A03() -> Outcome {
    let event = EventData::encode_with::<Bincode, _>(&Plain::<Point>::Moved(7, "ö".into()))?;
    assert_eq!(event.data, [7, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0xC3, 0xB6]);
    assert_eq!(event.content_type, ContentType::BINCODE);
    Ok(())
}

#[test]
fn the_payload_is_any_type_of_the_programs__A19() -> Outcome {
    fn round<T: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug>(payload: &T) {
        for encode in [EventData::encode, EventData::encode_with::<Bincode, _>] {
            let event = encode(&Plain::Deposited(payload.clone())).expect("the payload is written");
            let read: Plain<T> = stored(event).decode().expect("the payload is read");
            assert_eq!(read, Plain::Deposited(payload.clone()));
        }
    }
    round(&());
    round(&7_i128);
    round(&"text".to_owned());
    round(&vec![Some(Point { x: 1, y: 2.0 }), None]);
    round(&std::collections::BTreeMap::from([("a".to_owned(), [1_u8, 2]), ("b".to_owned(), [3, 4])]));
    round(&Box::new((true, 'ß', Plain::Moved::<()>(1, String::new()))));
    let by_hand = EventData::encode_data_with::<Bincode, _>("Measured", &(1_u8, [2_u16, 3]))?;
    assert_eq!(by_hand.data, [1, 2, 0, 3, 0]);
    assert_eq!(stored(by_hand.clone()).decode_data::<(u8, [u16; 2])>()?, (1, [2, 3]));
    let foreign = stored(EventData::encode_data_with::<Marked, _>("Measured", "deep")?);
    assert_eq!(foreign.decode_data_with::<Marked, String>()?, "deep");
    Ok(())
}

#[test]
fn an_enum_may_stand_in_wrappers__B09() -> Outcome {
    #[derive(PartialEq, Debug, Serialize, Deserialize)]
    struct Wrapped(Box<Adjacent<u8>>);
    let event = Wrapped(Box::new(Adjacent::Deposited(3)));
    let read = stored(EventData::encode(&event)?);
    assert_eq!((read.event_type.as_str(), &read.data[..]), ("deposited", &b"3"[..]));
    assert_eq!(read.decode::<Wrapped>()?, event);
    assert_eq!(event_types_of::<Wrapped>()?.len(), 5);
    Ok(())
}

#[test]
fn a_program_may_take_the_types_it_knows_and_pass_over_the_others__B09_C13() -> Outcome {
    #[derive(PartialEq, Debug, Deserialize)]
    #[serde(tag = "type", content = "data", rename_all = "snake_case")]
    enum Known {
        #[serde(alias = "paid_in")]
        Deposited(u8),
        #[serde(other)]
        Other,
    }
    for encode in [EventData::encode, EventData::encode_with::<Bincode, _>] {
        let moved = encode(&Plain::<u8>::Moved(7, "x".into()))?;
        assert_eq!(stored(moved).decode::<Known>()?, Known::Other);
        assert_eq!(stored(encode(&Plain::Deposited(9))?).decode::<Known>()?, Known::Deposited(9));
    }
    assert_eq!(stored(EventData::json("paid_in", &4)?).decode::<Known>()?, Known::Deposited(4));
    assert_eq!(event_types_of::<Known>()?, ["deposited", "paid_in", "other"]);
    assert_eq!(event_types_of::<Plain<u8>>()?, event_types_of::<Adjacent<u8>>()?);
    Ok(())
}

#[test]
fn an_unknown_event_type_is_named_with_those_that_are_known__B09_C13() -> Outcome {
    for refused in [
        stored(EventData::json("burnt", &1)?).decode::<Plain<u8>>().expect_err("no variant has this name"),
        stored(EventData::json("burnt", &1)?).decode::<Adjacent<u8>>().expect_err("no variant has this name"),
    ] {
        assert_eq!((refused.what, refused.value.as_str()), ("event type", "burnt"));
        let known = "no such type, but opened, deposited, moved, closed.v1, emptied; stream \"a-1\", version 1, position 1";
        assert!(refused.reason.contains(known), "{refused}");
    }
    Ok(())
}

#[test]
fn data_that_dont_fit_are_refused_with_their_place__C13() -> Outcome {
    let event = stored(EventData::json("closed.v1", &json!({"reason": 3}))?);
    let refused = event.decode::<Plain<u8>>().expect_err("a reason is a text");
    assert_eq!((refused.what, refused.value.as_str()), ("data of event type", "closed.v1"));
    assert!(refused.reason.contains("expected a string"), "{refused}");
    assert!(refused.reason.ends_with("stream \"a-1\", version 1, position 1"), "{refused}");
    let strict = stored(EventData::json("emptied", &json!({"more": 3}))?);
    assert_eq!(strict.decode::<Adjacent<u8>>()?, Adjacent::Emptied {});
    assert!(strict.decode::<Strict<u8>>().is_err());
    assert!(stored(EventData::json("opened", &3)?).decode::<Plain<u8>>().is_err());
    assert!(stored(EventData::json("opened", &3)?).decode::<Adjacent<u8>>().is_err());
    Ok(())
}

#[test]
fn an_event_is_read_by_the_codec_of_its_content_type__C13() -> Outcome {
    let json = stored(EventData::encode(&Adjacent::Deposited(3_u8))?);
    let refused = json.decode_with::<Bincode, Adjacent<u8>>().expect_err("it is JSON");
    assert!(refused.reason.starts_with("content type 1 is there, and the codec's is 2"), "{refused}");
    let marked = stored(EventData::encode_with::<Marked, _>(&Adjacent::Deposited(3_u8))?);
    for refused in [
        marked.decode::<Adjacent<u8>>().expect_err("only the program knows the codec"),
        marked.decode_data::<u8>().expect_err("only the program knows the codec"),
    ] {
        assert!(refused.reason.contains("content type 200 is neither JSON (1) nor bincode (2)"), "{refused}");
    }
    assert_eq!(marked.decode_with::<Marked, Adjacent<u8>>()?, Adjacent::Deposited(3));
    Ok(())
}

#[test]
fn what_has_no_tag_of_its_own_is_refused__B09() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Internal {
        A { data: u8 },
    }
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        A { r#type: Kind, data: u8 },
    }
    #[derive(Serialize, Deserialize)]
    enum Kind {
        A,
    }
    #[derive(Serialize, Deserialize)]
    struct Pair {
        r#type: Kind,
        data: u8,
    }
    fn check<T: Serialize + DeserializeOwned>(value: &T) {
        let refused = EventData::encode(value).expect_err("it has no tag");
        assert_eq!(refused.what, "event");
        assert!(refused.reason.contains("#[serde(tag = \"type\", content = \"data\")]"), "{refused}");
        assert!(refused.reason.contains("`EventData::json`"), "{refused}");
        let event = stored(EventData::json("A", &json!({"type": "A", "data": 3})).expect("an event"));
        assert!(event.decode::<T>().is_err());
        assert!(event_types_of::<T>().is_err() || std::any::type_name::<T>().ends_with("Pair"));
    }
    check(&Internal::A { data: 3 });
    check(&Untagged::A { r#type: Kind::A, data: 3 });
    check(&Pair { r#type: Kind::A, data: 3 });
    check(&json!({"type": "A", "data": 3}));
    check(&("A".to_owned(), 3));
    check(&Some(3));
    check(&"A".to_owned());
    check(&());
}

/// Writes each value twice, as a codec does that learns its size first.
struct Twice;

impl Codec for Twice {
    const CONTENT_TYPE: ContentType = ContentType::new(201);

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Invalid> {
        let size = Json::encode(value)?.len();
        let written = Json::encode(value)?;
        assert_eq!(written.len(), size);
        Ok(written)
    }

    fn decode<'de, S: DeserializeSeed<'de>>(seed: S, bytes: &'de [u8]) -> Result<S::Value, Invalid> {
        Json::decode(seed, bytes)
    }
}

#[test]
fn a_codec_may_write_a_value_twice__A03_C13() -> Outcome {
    let (plain, adjacent) = (samples!(Plain), samples!(Adjacent));
    check::<Twice, _>(&plain);
    check::<Twice, _>(&adjacent);
    for (event, ..) in adjacent {
        let (once, twice) = (EventData::encode(&event)?, EventData::encode_with::<Twice, _>(&event)?);
        assert_eq!((once.event_type, once.data), (twice.event_type, twice.data));
    }
    Ok(())
}

#[test]
fn metadata_are_written_by_any_codec__A03() -> Outcome {
    let event = EventData::new("A", "{}").with_encoded_metadata::<Bincode, _>(&("user", 7_u8))?;
    let read = stored(event);
    assert_eq!(read.metadata_content_type, ContentType::BINCODE);
    assert_eq!(read.decode_metadata_with::<Bincode, (String, u8)>()?, Some(("user".to_owned(), 7)));
    assert!(read.decode_metadata_with::<Json, (String, u8)>().is_err());
    assert_eq!(stored(EventData::new("A", "{}")).decode_metadata_with::<Bincode, u8>()?, None);
    Ok(())
}

#[test]
fn an_events_borrowed_form_decodes_too__C13() -> Outcome {
    let store = store();
    let events = [Adjacent::Deposited(1_u8), Adjacent::Opened];
    let encoded = [EventData::encode(&events[0])?, EventData::encode_with::<Bincode, _>(&events[1])?];
    store.append(&stream("a-1"), ExpectedVersion::NoStream, encoded)?;
    let mut cursor = store.read_stream(&stream("a-1"));
    for event in events {
        assert_eq!(cursor.try_next()?.expect("an event").decode::<Adjacent<u8>>()?, event);
    }
    Ok(())
}

/// Damages an event's data in every way of one kind, and reads each.
fn damage<C: Codec>(event: &EventData) {
    let read = |data: &[u8]| {
        let event: StoredEvent = {
            let mut event = event.clone();
            event.data = data.to_vec();
            stored_in_memory(event)
        };
        // Whether it is refused depends on the bytes; that it returns is what is shown.
        let default = event.decode_with::<C, Plain<Point>>().is_ok();
        let adjacent = event.decode_with::<C, Adjacent<Point>>().is_ok();
        assert_eq!(default, adjacent, "both forms read the same");
        default
    };
    for length in 0..event.data.len() {
        assert!(!read(&event.data[..length]), "{length} bytes of {} were read", event.event_type);
    }
    assert!(!read(&[&event.data[..], b"!"].concat()), "a byte behind the end was read");
    for at in 0..event.data.len() {
        for bit in 0..8 {
            let mut data = event.data.clone();
            data[at] ^= 1 << bit;
            read(&data);
        }
        let mut data = event.data.clone();
        data[at..].fill(0xFF);
        read(&data);
    }
}

/// A stored event without a store.
fn stored_in_memory(event: EventData) -> StoredEvent {
    let id = EventId::new("e").expect("an id");
    StoredEvent::new(Position::new(1), stream("a-1"), version(1), Timestamp::from_micros(0), id, event)
}

#[test]
fn damaged_data_are_errors_and_never_more__C13() -> Outcome {
    let samples: Vec<(Plain<Point>, _, _)> = samples!(Plain);
    for (event, _, _) in &samples {
        damage::<Json>(&EventData::encode(event)?);
        damage::<Bincode>(&EventData::encode_with::<Bincode, _>(event)?);
        damage::<Marked>(&EventData::encode_with::<Marked, _>(event)?);
    }
    Ok(())
}

#[test]
fn lengths_that_nobody_wrote_take_no_memory__C13() {
    for length in [u64::MAX, 1 << 62, 1 << 40, 1 << 25, 1 << 24] {
        let event = EventData::new("deposited", length.to_le_bytes()).with_content_type(ContentType::BINCODE);
        let event = stored_in_memory(event);
        assert!(event.decode::<Plain<String>>().is_err());
        assert!(event.decode::<Plain<Vec<Point>>>().is_err());
        assert!(event.decode::<Adjacent<std::collections::BTreeMap<String, u8>>>().is_err());
    }
}

fn any_event() -> impl Strategy<Value = Adjacent<Option<Point>>> {
    let point = (any::<i64>(), proptest::num::f64::NORMAL).prop_map(|(x, y)| Point { x, y });
    prop_oneof![
        Just(Adjacent::Opened),
        proptest::option::of(point.clone()).prop_map(Adjacent::Deposited),
        (any::<u32>(), any::<String>()).prop_map(|(number, text)| Adjacent::Moved(number, text)),
        (any::<Option<String>>(), any::<Vec<u8>>(), point)
            .prop_map(|(reason, notes, last)| Adjacent::Closed { reason, notes, last }),
        Just(Adjacent::Emptied {}),
    ]
}

#[test]
fn any_event_is_read_as_it_was_written__A03_A19() {
    check_property(256, &any_event(), |event| {
        for encode in [EventData::encode, EventData::encode_with::<Bincode, _>] {
            let encoded = stored_in_memory(encode(&event).expect("the codec writes it"));
            prop_assert_eq!(
                encoded.decode::<Adjacent<Option<Point>>>().expect("the codec reads it"),
                event.clone()
            );
        }
        Ok(())
    });
}

/// What comes of decoding bytes that are nothing but lengths, each of so many elements.
fn of_lengths<T: DeserializeOwned>(lengths: &[u64]) -> Result<T, Invalid> {
    let bytes: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
    Bincode::decode(PhantomData::<T>, &bytes)
}

#[test]
#[allow(clippy::zero_sized_map_values, reason = "that is what is tested")]
fn lengths_of_elements_without_bytes_come_to_an_end() -> Outcome {
    #[derive(PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
    struct Nothing {}
    const FREE: u64 = 1 << 20;
    let refusals = [
        of_lengths::<Vec<()>>(&[u64::MAX]).map(drop),
        of_lengths::<Vec<Nothing>>(&[u64::MAX]).map(drop),
        of_lengths::<BTreeSet<Nothing>>(&[u64::MAX]).map(drop),
        of_lengths::<BTreeMap<(), [(); 3]>>(&[u64::MAX]).map(drop),
        of_lengths::<Vec<Vec<()>>>(&[3, FREE / 2, FREE / 2, FREE / 2]).map(drop),
        of_lengths::<(Nothing, Vec<()>)>(&[FREE + 2 * 8 + 1]).map(drop),
    ];
    for refusal in refusals {
        let reason = refusal.expect_err("too many").reason;
        assert!(reason.contains("more than 1048576 elements"), "{reason}");
    }
    assert_eq!(of_lengths::<Vec<()>>(&[FREE])?.len(), 1 << 20);
    // An element that takes bytes is bounded by those that are there.
    assert!(of_lengths::<Vec<u8>>(&[u64::MAX]).is_err());
    let nested: Vec<Vec<Vec<u8>>> = vec![vec![vec![7; 1_000]; 100]; 30];
    assert_eq!(Bincode::decode(PhantomData::<Vec<Vec<Vec<u8>>>>, &Bincode::encode(&nested)?)?, nested);
    let empty: Vec<Vec<()>> = vec![vec![]; 1 << 20];
    assert_eq!(Bincode::decode(PhantomData::<Vec<Vec<()>>>, &Bincode::encode(&empty)?)?, empty);
    Ok(())
}

#[test]
fn bincode_writes_what_a_snapshot_may_have_and_events_keep_their_own_bound() -> Outcome {
    let large = vec![7_u8; EVENT_BYTES_MAX + 1];
    let bytes = Bincode::encode(&large)?;
    assert_eq!(Bincode::decode(PhantomData::<Vec<u8>>, &bytes)?, large);
    let event = EventData::encode_data_with::<Bincode, _>("Large", &large)?;
    let refused = store().append(&stream("a-1"), ExpectedVersion::Any, [event]);
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    drop((large, bytes));
    let refused = Bincode::encode(&"x".repeat(SNAPSHOT_BYTES_MAX)).expect_err("its length takes bytes, too");
    assert!(refused.reason.contains("limit is 67108864"), "{refused}");
    Ok(())
}
