//! What stands in an event beside its stream and version, and JSON on both ends.

use annals::{
    ContentType, EventData, EventId, ExpectedVersion, Invalid, Metadata, OccurredAt, Position, StoredEvent,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    ids_and_clocks::ListClock,
    support::{Outcome, all, buffered, event, store, store_with, stream, version},
};

#[derive(PartialEq, Debug, Serialize, Deserialize)]
struct Placed {
    item: String,
    cents: u64,
}

/// Stores an event, opens the store again, and reads it.
fn stored(event: EventData) -> StoredEvent {
    let store = store_with(buffered().clock(ListClock::of(&[1, 1_234])));
    store.append(&stream("order-17"), ExpectedVersion::NoStream, [event]).expect("an append");
    let store = store.reopen().expect("the store opens again");
    let mut found = all(store.read_stream(&stream("order-17")));
    assert_eq!(found.len(), 1);
    found.remove(0)
}

#[test]
fn a_stored_event_has_all_that_was_said_of_it__A19_C02_D01_B05() -> Outcome {
    let occurred_at = OccurredAt { time: Timestamp::from_micros(99), offset_minutes: 120 };
    let metadata = Metadata {
        user_id: Some("u".into()),
        correlation_id: Some("c".into()),
        causation_id: Some("e".into()),
        ..Metadata::default()
    };
    let given = EventData::json("OrderPlaced", &json!({"item": "book"}))?
        .with_id(EventId::new("placed-1")?)
        .with_metadata(&metadata)?
        .with_schema_version(3)
        .with_occurred_at(occurred_at);
    let found = stored(given.clone());
    assert_eq!((found.position, found.version), (Position::new(1), version(1)));
    assert_eq!((found.stream.as_str(), found.stream.category()), ("order-17", "order"));
    assert_eq!((found.id.to_string(), &found.event_type), ("placed-1".to_owned(), &given.event_type));
    assert_eq!((found.timestamp, found.occurred_at), (Timestamp::from_micros(1_234), Some(occurred_at)));
    assert_eq!((found.schema_version, &found.data), (3, &given.data));
    assert_eq!((found.content_type, found.metadata_content_type), (ContentType::JSON, ContentType::JSON));
    assert_eq!(found.metadata()?, Some(metadata));
    Ok(())
}

#[test]
fn what_isnt_said_is_absent__A19_C14() -> Outcome {
    let found = stored(event("A"));
    assert_eq!((found.occurred_at, found.metadata()?, &found.metadata_bytes[..]), (None, None, &b""[..]));
    assert_eq!((found.schema_version, found.content_type), (1, ContentType::BYTES));
    Ok(())
}

#[test]
fn the_payloads_type_is_the_programs__A19_A03() -> Outcome {
    let placed = Placed { item: "book".into(), cents: 1_250 };
    let found = stored(EventData::json("OrderPlaced", &placed)?);
    assert_eq!(found.json::<Placed>()?, placed);
    assert_eq!(found.json::<Value>()?, json!({"item": "book", "cents": 1250}));
    Ok(())
}

#[test]
fn the_default_serializer_is_json__A03() -> Outcome {
    let event = EventData::json("OrderPlaced", &Placed { item: "ö".into(), cents: 1 })?;
    assert_eq!(event.data, "{\"item\":\"ö\",\"cents\":1}".as_bytes());
    assert_eq!(event.content_type, ContentType::JSON);
    Ok(())
}

#[test]
fn a_payload_that_isnt_of_the_type_is_an_error_that_names_the_event_type__A03() {
    let found = stored(EventData::new("OrderPlaced", "{\"item\":1}"));
    let Err(Invalid { what, value, .. }) = found.json::<Placed>() else { panic!("a number is no text") };
    assert_eq!((what, value.as_str()), ("data of event type", "OrderPlaced"));
    let keys_are_no_texts = std::collections::BTreeMap::from([((1, 2), 3)]);
    assert!(EventData::json("A", &keys_are_no_texts).is_err());
}

#[test]
fn another_serializer_says_its_content_type__A03_C01() {
    let own = ContentType::new(200);
    let event = EventData::new("A", [1, 2, 3]).with_content_type(own).with_metadata_bytes([9, 0], own);
    let found = stored(event);
    assert_eq!((found.content_type, &found.data[..]), (own, &[1, 2, 3][..]));
    assert_eq!((found.metadata_content_type, &found.metadata_bytes[..]), (own, &[9, 0][..]));
    assert!(found.metadata().is_err());
}

#[test]
fn metadata_have_causation_correlation_user_tenant_and_any_key__A20_C14() -> Outcome {
    let custom = json!({"ip": "::1", "nested": {"a": [1, null]}, "": false, "ö": 1.5});
    let Value::Object(custom) = custom else { return Err("an object".into()) };
    let metadata = Metadata {
        correlation_id: Some("checkout-7".into()),
        causation_id: Some("command-3".into()),
        user_id: Some("anna".into()),
        tenant_id: Some("shop".into()),
        custom,
    };
    let found = stored(event("A").with_metadata(&metadata)?);
    assert_eq!(found.metadata()?.as_ref(), Some(&metadata));
    let written: Value = serde_json::from_slice(&found.metadata_bytes)?;
    assert_eq!(written["correlationId"], "checkout-7");
    assert_eq!(written["causationId"], "command-3");
    assert_eq!((&written["userId"], &written["tenantId"]), (&json!("anna"), &json!("shop")));
    assert_eq!(written["nested"], json!({"a": [1, null]}));
    Ok(())
}

#[test]
fn empty_metadata_are_absent__C14() -> Outcome {
    assert!(Metadata::default().is_empty());
    let found = stored(event("A").with_metadata(&Metadata::default())?);
    assert_eq!((found.metadata()?, found.metadata_bytes.len()), (None, 0));
    let only_custom =
        Metadata { custom: Map::from_iter([("region".to_owned(), json!("eu"))]), ..Metadata::default() };
    assert!(!only_custom.is_empty());
    let found = stored(event("A").with_metadata(&only_custom)?);
    assert_eq!(found.metadata_bytes, br#"{"region":"eu"}"#);
    Ok(())
}

#[test]
fn a_custom_key_that_is_a_field_is_refused__A20_C14() {
    // Else one object would have the key twice, and couldn't be read again.
    for key in ["correlationId", "causationId", "userId", "tenantId"] {
        let custom = Map::from_iter([(key.to_owned(), json!("custom"))]);
        let metadata = Metadata { correlation_id: Some("field".into()), custom, ..Metadata::default() };
        let told = event("A").with_metadata(&metadata).expect_err("it is a field");
        assert_eq!((told.what, told.value.as_str()), ("metadata key", key));
    }
}

#[test]
fn a_lent_event_gives_metadata_and_json_too__A03_A20() -> Outcome {
    let store = store();
    let order = stream("order-1");
    let metadata = Metadata { user_id: Some("anna".into()), ..Metadata::default() };
    let event = EventData::json("A", &[1, 2])?.with_metadata(&metadata)?;
    store.append(&order, ExpectedVersion::Any, [event])?;
    let mut events = store.read_stream(&order);
    let lent = events.try_next()?.ok_or("an event")?;
    assert_eq!(lent.json::<Vec<u8>>()?, [1, 2]);
    assert_eq!(lent.metadata()?, Some(metadata));
    Ok(())
}
