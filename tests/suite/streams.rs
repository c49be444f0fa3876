//! Streams: their names, and what is known of them.

use annals::{Error, ExpectedVersion, Position, StreamFilter, StreamId, Timestamp};

use crate::{
    ids_and_clocks::ListClock,
    support::{
        Outcome, TestStore, buffered, event, events, small_segments, store, store_with, stream, version,
    },
};

#[test]
fn a_streams_identity_is_its_text_and_its_category_is_derived__C03_X12_X13() -> Outcome {
    for (name, category, id) in [
        ("order-17", "order", Some("17")),
        ("order-2026-17", "order", Some("2026-17")),
        ("settings", "settings", None),
        ("-x", "", Some("x")),
        ("x-", "x", Some("")),
        ("-", "", Some("")),
        ("ordér-ß", "ordér", Some("ß")),
    ] {
        let stream = StreamId::new(name)?;
        assert_eq!((stream.as_str(), stream.category(), stream.id()), (name, category, id));
        assert_eq!(stream.to_string(), name);
        assert_eq!(name.parse::<StreamId>()?, stream);
    }
    Ok(())
}

#[test]
fn category_and_id_make_the_text__C03_X12_X13() -> Outcome {
    let stream = StreamId::from_parts("order", "2026-17")?;
    assert_eq!(stream, StreamId::new("order-2026-17")?);
    // A category that wouldn't be the stream's own is refused.
    for category in ["", "a-b", "-"] {
        assert!(StreamId::from_parts(category, "1").is_err(), "{category}");
    }
    Ok(())
}

#[test]
fn an_empty_stream_id_is_refused__C18() {
    let invalid = StreamId::new("").expect_err("it is empty");
    assert_eq!(
        (invalid.what, invalid.reason.as_str()),
        ("stream id", "it is empty: give it 1 to 2,048 bytes")
    );
}

#[test]
fn streams_are_the_same_if_their_texts_are__X12() -> Outcome {
    let store = store();
    for name in ["order-1", "order-01", "Order-1", "order-1 ", "order"] {
        store.append(&stream(name), ExpectedVersion::NoStream, [event("A")])?;
    }
    assert_eq!(store.info()?.streams, 5);
    assert_eq!(store.stream_version(&stream("order-1"))?, version(1));
    Ok(())
}

#[test]
fn a_stream_is_described__C08_C19_D03() -> Outcome {
    let clock = ListClock::of(&[10, 20, 30, 40]);
    let store = store_with(buffered().clock(clock));
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, events(1, 2))?;
    store.append(&stream("cart-1"), ExpectedVersion::Any, events(1, 1))?;
    store.append(&order, ExpectedVersion::Any, events(3, 1))?;
    let info = store.stream_info(&order)?;
    assert_eq!((&info.stream, info.category(), info.version), (&order, "order", version(3)));
    assert_eq!(info.events(), 3);
    // The clock's first time is the store's creation.
    assert_eq!((info.created, info.updated), (Timestamp::from_micros(20), Timestamp::from_micros(40)));
    assert_eq!(store.last_position(), Position::new(4));
    Ok(())
}

#[test]
fn what_is_known_of_streams_survives_reopening__C08_C19() -> Outcome {
    let store = many();
    let (before, infos) = (store.info()?, store.streams(&StreamFilter::all())?);
    let store = store.reopen()?;
    assert_eq!(store.streams(&StreamFilter::all())?, infos);
    assert_eq!((store.info()?.events, store.info()?.streams), (before.events, before.streams));
    assert_eq!(store.last_position().get(), before.events);
    Ok(())
}

#[test]
fn a_stream_that_isnt_there_is_not_found__C18_C19() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, [])?;
    let told = store.stream_info(&order).expect_err("it has no event");
    assert!(matches!(&told, Error::StreamNotFound { stream } if *stream == order));
    assert_eq!(told.to_string(), "stream \"order-1\" doesn't exist: it has no event");
    Ok(())
}

/// A store with 20 orders and 3 carts, the first order at version 20, and so on.
fn many() -> TestStore {
    let store = store_with(small_segments());
    for number in 0..20 {
        let order = stream(&format!("order-{number:02}"));
        store.append(&order, ExpectedVersion::NoStream, events(1, 20 - number)).expect("an append");
    }
    for name in ["cart-1", "cart-2", "cart", "cartridge-1"] {
        store.append(&stream(name), ExpectedVersion::NoStream, events(1, 1)).expect("an append");
    }
    store
}

fn names(store: &TestStore, filter: &StreamFilter) -> Vec<String> {
    store
        .streams(filter)
        .expect("it can be looked up")
        .into_iter()
        .map(|info| info.stream.to_string())
        .collect()
}

#[test]
fn streams_are_listed_by_prefix_and_category_and_in_parts__C08_C19() {
    let store = many();
    let carts = StreamFilter::all().category("cart");
    assert_eq!(names(&store, &carts), ["cart", "cart-1", "cart-2"]);
    let prefixed = StreamFilter::all().prefix("cart");
    assert_eq!(names(&store, &prefixed), ["cart", "cart-1", "cart-2", "cartridge-1"]);
    let both = StreamFilter::all().category("order").prefix("order-1");
    assert_eq!(names(&store, &both).len(), 10);
    assert_eq!(names(&store, &StreamFilter::all().category("ord")), [""; 0]);
    let everything = names(&store, &StreamFilter::all());
    assert_eq!(everything.len(), 24);
    assert!(everything.is_sorted());
    let mut in_parts = Vec::new();
    let mut filter = StreamFilter::all().limit(7);
    loop {
        let part = names(&store, &filter);
        assert!(part.len() <= 7);
        let Some(last) = part.last() else { break };
        filter = StreamFilter::all().limit(7).after(&stream(last));
        in_parts.extend(part);
    }
    assert_eq!(in_parts, everything);
}

#[test]
fn each_listed_stream_has_its_own_version__C08_D03() {
    let store = many();
    for (number, info) in
        (0..).zip(store.streams(&StreamFilter::all().category("order")).expect("it can be looked up"))
    {
        assert_eq!(info.version, version(20 - number), "{}", info.stream);
        assert_eq!(store.stream_version(&info.stream).expect("it can be looked up"), info.version);
        assert!(info.created <= info.updated);
    }
}
