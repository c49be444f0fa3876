//! What an append does where nothing stands in its way.

use annals::{EventData, EventStore, ExpectedVersion, Invalid, OccurredAt, Position, Timestamp};

use crate::support::{
    Outcome, all, buffered, event, events, positions, small_segments, store, store_with, stream, types,
    version, versions,
};

#[test]
fn one_event_is_appended_and_comes_back__A01_A05() -> Outcome {
    let directory = tempfile::tempdir()?;
    let store = EventStore::open(directory.path().join("store"))?;
    let order = stream("order-1");
    let appended = store.append(&order, ExpectedVersion::NoStream, [EventData::new("Placed", "book")])?;
    assert_eq!((appended.first_version, appended.version), (version(1), version(1)));
    let found = all(store.read_stream(&order));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0].stream, found[0].event_type.as_str(), &found[0].data[..]),
        (&order, "Placed", &b"book"[..])
    );
    Ok(())
}

#[test]
fn a_new_stream_is_expected_with_0_and_its_first_event_is_version_1__A07_X2() -> Outcome {
    let store = store();
    for (name, expected) in
        [("order-1", ExpectedVersion::Exact(version(0))), ("order-2", ExpectedVersion::NoStream)]
    {
        let appended = store.append(&stream(name), expected, [event("Placed")])?;
        assert_eq!(appended.version, version(1), "{name}");
        assert_eq!(versions(store.read_stream(&stream(name))), [1], "{name}");
    }
    assert_eq!(positions(store.read_all()), [1, 2]);
    Ok(())
}

#[test]
fn without_an_expected_version_nothing_is_checked__A08_C05() -> Outcome {
    let store = store();
    let order = stream("order-1");
    for reached in 1..=3 {
        let appended = store.append(&order, ExpectedVersion::Any, [event("Any")])?;
        assert_eq!(appended.version, version(reached));
    }
    Ok(())
}

#[test]
fn a_batch_gets_versions_without_gaps_behind_the_current_one__A09_A10_A12_B02_B04() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, [event("A")])?;
    let appended = store.append(&order, version(1), [event("B"), event("C")])?;
    assert_eq!((appended.first_version, appended.version), (version(2), version(3)));
    assert_eq!(versions(store.read_stream(&order)), [1, 2, 3]);
    assert_eq!(types(store.read_stream(&order)), ["A", "B", "C"]);
    Ok(())
}

#[test]
fn where_one_event_of_a_batch_is_refused_none_is_appended__A11_D08() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, [event("A")])?;
    for place in 0..3 {
        let mut batch = events(1, 3);
        batch[place].event_type = String::new();
        let refused = store.append(&order, version(1), batch);
        assert!(matches!(refused, Err(annals::Error::Invalid(Invalid { what: "event type", .. }))));
        assert_eq!(store.stream_version(&order)?, version(1));
        assert_eq!(store.last_position(), Position::new(1));
    }
    let appended = store.append(&order, version(1), events(1, 3))?;
    assert_eq!((appended.version, appended.position), (version(4), Position::new(4)));
    Ok(())
}

#[test]
fn no_events_write_nothing_and_give_the_current_version__A13_D07_X8() -> Outcome {
    let store = store();
    let order = stream("order-1");
    let nothing = store.append(&order, ExpectedVersion::NoStream, [])?;
    assert_eq!((nothing.first_version, nothing.version), (version(0), version(0)));
    assert!(!store.stream_exists(&order)?);
    store.append(&order, ExpectedVersion::NoStream, events(1, 2))?;
    let log_bytes = store.info()?.log_bytes;
    for expected in [ExpectedVersion::Any, ExpectedVersion::StreamExists, version(2).into()] {
        let nothing = store.append(&order, expected, [])?;
        assert_eq!((nothing.first_version, nothing.version), (version(2), version(2)));
        assert_eq!((nothing.first_position, nothing.position), (Position::NONE, Position::NONE));
        assert!(!nothing.repeated);
    }
    assert_eq!(store.info()?.log_bytes, log_bytes);
    assert_eq!(store.last_position(), Position::new(2));
    Ok(())
}

#[test]
fn an_append_returns_versions_and_positions__C04_C12() -> Outcome {
    let store = store();
    store.append(&stream("order-1"), ExpectedVersion::Any, events(1, 4))?;
    let appended = store.append(&stream("order-2"), ExpectedVersion::Any, events(1, 3))?;
    assert_eq!((appended.first_version, appended.version), (version(1), version(3)));
    assert_eq!((appended.first_position, appended.position), (Position::new(5), Position::new(7)));
    assert_eq!(positions(store.read_stream(&stream("order-2"))), [5, 6, 7]);
    Ok(())
}

#[test]
fn the_store_alone_numbers_events__D10() -> Outcome {
    // What a caller can say of an event has neither version nor position: what it claims is payload.
    let store = store();
    let order = stream("order-1");
    let claim = EventData::json("Claimed", &serde_json::json!({"version": 40, "position": 41}))?;
    store.append(&order, ExpectedVersion::Any, [claim.clone(), claim])?;
    assert_eq!(versions(store.read_stream(&order)), [1, 2]);
    assert_eq!(positions(store.read_stream(&order)), [1, 2]);
    Ok(())
}

#[test]
fn versions_and_positions_only_grow_and_have_no_gaps__A23_A24_B17_C09_X2() -> Outcome {
    let mut store = store_with(small_segments());
    let names = ["order-1", "order-2", "cart-1"];
    for round in 0..60 {
        let name = names[round % names.len()];
        let count = 1 + u64::try_from(round)? % 4;
        let before = store.stream_version(&stream(name))?;
        let head = store.last_position();
        let appended = store.append(&stream(name), before, events(1, count))?;
        assert_eq!(appended.first_version, before.next());
        assert_eq!(appended.version.get(), before.get() + count);
        assert_eq!(appended.first_position, head.next());
        assert_eq!(store.last_position(), appended.position);
        if round % 20 == 19 {
            store = store.reopen()?;
        }
    }
    assert!(store.info()?.segments > 2);
    let head = store.last_position().get();
    assert_eq!(positions(store.read_all()), (1..=head).collect::<Vec<_>>());
    for name in names {
        let reached = store.stream_version(&stream(name))?.get();
        assert_eq!(versions(store.read_stream(&stream(name))), (1..=reached).collect::<Vec<_>>());
    }
    Ok(())
}

#[test]
fn later_appends_change_no_event_that_is_there__B17_B18() -> Outcome {
    let mut store = store_with(small_segments());
    let order = stream("order-1");
    let occurred_at = OccurredAt { time: Timestamp::from_micros(-5), offset_minutes: -90 };
    let first = EventData::new("Placed", vec![0, 255, 13, 10]).with_occurred_at(occurred_at);
    store.append(&order, ExpectedVersion::NoStream, [first, event("Paid")])?;
    let before = all(store.read_stream(&order));
    for round in 0..40 {
        store.append(&order, version(2 + round), [EventData::new("Noted", vec![b'x'; 300])])?;
    }
    assert_eq!(all(store.read_stream(&order))[..2], before);
    store = store.reopen()?;
    assert_eq!(all(store.read_stream(&order))[..2], before);
    Ok(())
}

#[test]
fn what_was_appended_is_there_after_reopening() -> Outcome {
    let mut store = store_with(buffered());
    let order = stream("order-1");
    for round in 0..5 {
        assert_eq!(store.stream_version(&order)?, version(round * 2));
        store.append(&order, version(round * 2), events(round * 2, 2))?;
        store = store.reopen()?;
    }
    let expected: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    assert_eq!(types(store.read_stream(&order)), expected);
    Ok(())
}

#[test]
fn payloads_come_back_byte_for_byte__C01() -> Outcome {
    let store = store();
    let order = stream("order-1");
    let payloads: Vec<Vec<u8>> =
        vec![Vec::new(), vec![0], (0..=255).collect(), vec![0; 5_000], b"not {json".to_vec()];
    let batch: Vec<EventData> =
        payloads.iter().map(|payload| EventData::new("Bytes", payload.clone())).collect();
    store.append(&order, ExpectedVersion::Any, batch)?;
    let store = store.reopen()?;
    let found: Vec<Vec<u8>> = all(store.read_stream(&order)).into_iter().map(|event| event.data).collect();
    assert_eq!(found, payloads);
    Ok(())
}
