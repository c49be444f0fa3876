//! Every bound: what is allowed at it works, and one more is refused with a message.

use annals::{
    Appended, Commit, ContentType, EVENT_BYTES_MAX, EVENT_ID_BYTES_MAX, Error, EventData, EventId,
    ExpectedVersion, Invalid, NAME_BYTES_MAX, Position, Result, StreamId,
};

use crate::support::{Outcome, TestStore, all, event, store, stream, types};

/// The refusal of something too large.
fn refusal(result: Result<Appended>) -> Invalid {
    match result {
        Err(Error::Invalid(invalid)) => invalid,
        other => panic!("not refused: {:?}", other.map(|appended| appended.version)),
    }
}

fn says(invalid: &Invalid, size: usize, limit: usize) -> bool {
    invalid.reason == format!("it has {size} bytes, and the limit is {limit}")
}

/// Texts of exactly so many bytes: of one, and of two bytes a character.
fn texts(bytes: usize) -> [String; 2] {
    ["n".repeat(bytes), format!("{}{}", "n".repeat(bytes % 2), "ä".repeat(bytes / 2))]
}

#[test]
fn a_streams_name_has_up_to_2048_bytes__X25_C08_B10() -> Outcome {
    assert_eq!(NAME_BYTES_MAX, 2_048);
    let mut store = store();
    let names: Vec<String> =
        [1, 255, 500, 2_047, 2_048].into_iter().flat_map(texts).filter(|name| !name.is_empty()).collect();
    for name in &names {
        store.append(&StreamId::new(name)?, ExpectedVersion::Any, [event("A")])?;
    }
    for name in texts(2_049) {
        let invalid = StreamId::new(name).expect_err("it is too long");
        assert!(invalid.what == "stream id" && says(&invalid, 2_049, 2_048), "{invalid}");
    }
    store = store.reopen()?;
    let found: Vec<String> =
        all(store.read_all()).into_iter().map(|event| event.stream.to_string()).collect();
    assert_eq!(found, names);
    Ok(())
}

#[test]
fn a_category_may_be_as_long_as_a_name__C08() -> Outcome {
    let category = "c".repeat(250);
    let name = StreamId::from_parts(&category, &"i".repeat(249))?;
    let store = store();
    store.append(&name, ExpectedVersion::NoStream, [event("A")])?;
    assert_eq!(store.stream_info(&name)?.category(), category);
    Ok(())
}

#[test]
fn a_types_name_has_up_to_2048_bytes__X25_B10_C09() -> Outcome {
    let mut store = store();
    let order = stream("order-1");
    let names: Vec<String> = [1, 255, 500, 2_048].into_iter().flat_map(texts).collect();
    for name in &names {
        store.append(&order, ExpectedVersion::Any, [event(name)])?;
    }
    for name in texts(2_049) {
        let invalid = refusal(store.append(&order, ExpectedVersion::Any, [event(&name)]));
        assert!(invalid.what == "event type" && says(&invalid, 2_049, 2_048), "{invalid}");
    }
    store = store.reopen()?;
    assert_eq!(types(store.read_stream(&order)), names);
    Ok(())
}

#[test]
fn an_id_has_up_to_255_bytes__X25_X10_B10() -> Outcome {
    assert_eq!(EVENT_ID_BYTES_MAX, 255);
    let mut store = store();
    let order = stream("order-1");
    for text in texts(255) {
        store.append(&order, ExpectedVersion::Any, [event("A").with_id(EventId::new(&text)?)])?;
    }
    for text in texts(256) {
        let invalid = EventId::new(&text).expect_err("it is too long");
        assert!(says(&invalid, 256, 255), "{invalid}");
    }
    assert!(EventId::new("").is_err());
    store = store.reopen()?;
    let found: Vec<String> = all(store.read_all()).into_iter().map(|event| event.id.to_string()).collect();
    assert_eq!(found, texts(255));
    Ok(())
}

/// Bytes that differ from place to place.
fn bytes(count: usize) -> Vec<u8> {
    (0..=250_u8).cycle().take(count).collect()
}

/// Reads the events of a store one after the other, and compares their data and metadata.
fn check_content(store: &TestStore, wanted: &[(usize, usize)]) -> Outcome {
    let mut events = store.read_all();
    for (data, metadata) in wanted {
        let event = events.try_next()?.ok_or("as many events")?;
        assert!(event.data == bytes(*data) && event.metadata_bytes == bytes(*metadata), "{}", event.position);
    }
    assert!(events.try_next()?.is_none());
    Ok(())
}

fn event_of(data: usize, metadata: usize) -> EventData {
    EventData::new("Large", bytes(data)).with_metadata_bytes(bytes(metadata), ContentType::BYTES)
}

#[test]
fn an_event_has_up_to_16_mib_of_data_and_metadata__X25() -> Outcome {
    assert_eq!(EVENT_BYTES_MAX, 16 << 20);
    let mut store = store();
    let order = stream("order-1");
    let split = (EVENT_BYTES_MAX - 1_000, 1_000);
    store.append(&order, ExpectedVersion::Any, [event_of(split.0, split.1)])?;
    store.append(&order, ExpectedVersion::Any, [event_of(0, EVENT_BYTES_MAX)])?;
    for (data, metadata) in [(split.0 + 1, split.1), (split.0, split.1 + 1), (EVENT_BYTES_MAX + 1, 0)] {
        let invalid = refusal(store.append(&order, ExpectedVersion::Any, [event_of(data, metadata)]));
        assert!(says(&invalid, EVENT_BYTES_MAX + 1, EVENT_BYTES_MAX), "{invalid}");
    }
    assert_eq!(store.last_position(), Position::new(2));
    store = store.reopen()?;
    check_content(&store, &[split, (0, EVENT_BYTES_MAX)])
}

#[test]
fn a_commit_has_up_to_64_mib__X25() -> Outcome {
    // A segment that can't hold the commit's frame: it gets one of its size.
    let mut store = crate::support::store_with(crate::support::small_segments());
    let large = || event_of(15 << 20, 0);
    store.append(&stream("first"), ExpectedVersion::Any, [event("First")])?;
    let appended = store.append(&stream("order-1"), ExpectedVersion::Any, (0..4).map(|_| large()))?;
    assert_eq!(appended.version.get(), 4);
    let events = (0..5).map(|_| large());
    let invalid = refusal(store.append(&stream("order-1"), ExpectedVersion::Any, events));
    assert!(invalid.reason.ends_with(&format!("and the limit is {}", 64 << 20)), "{invalid}");
    // The sum over all streams counts.
    let mut commit = Commit::new();
    for number in 0..5 {
        commit = commit.append(&stream(&format!("part-{number}")), ExpectedVersion::Any, [large()]);
    }
    assert!(matches!(store.commit(commit), Err(Error::Invalid(_))));
    assert_eq!(store.last_position(), Position::new(5));
    store.append(&stream("last"), ExpectedVersion::Any, [event("Last")])?;
    store = store.reopen()?;
    assert_eq!(store.last_position(), Position::new(6));
    let mut events = store.read_all();
    for position in 1..=6 {
        let event = events.try_next()?.ok_or("as many events")?;
        let is_large = (2..=5).contains(&position);
        assert_eq!((event.position.get(), event.data.len() == 15 << 20), (position, is_large));
        assert!(!is_large || event.data == bytes(15 << 20));
    }
    Ok(())
}

#[test]
fn a_refused_append_says_what_is_wrong_and_keeps_the_message_short__X25() {
    let store = store();
    let long = "n".repeat(3_000);
    let told = store.append(&stream("order-1"), ExpectedVersion::Any, [event(&long)]);
    let message = told.expect_err("it is too long").to_string();
    assert!(message.starts_with("invalid event type \"nnn") && message.len() < 200, "{message}");
    assert!(message.ends_with("it has 3000 bytes, and the limit is 2048"), "{message}");
}
