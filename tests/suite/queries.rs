//! What queries find: by category, type, time, correlation, id, group and moment.

use std::sync::Arc;

use annals::{
    Cursor, Error, EventId, EventStore, ExpectedVersion, GroupMember, Metadata, Position, Query, ReadMode,
    SimDisk, Timestamp, Version,
};

use crate::{
    ids_and_clocks::ListClock,
    support::{
        Outcome, TestStore, all, buffered, event, events, positions, store, store_with, stream, types,
        version, versions,
    },
};

/// A store with orders and carts at the times 10, 20, … 60.
fn six() -> TestStore {
    let store = store_with(buffered().clock(ListClock::of(&[0, 10, 20, 30, 40, 50, 60])));
    let names = ["order-1", "cart-1", "order-2", "order-1", "cart-1", "order-1"];
    for (name, event_type) in names.iter().zip(["Placed", "Filled", "Placed", "Paid", "Emptied", "Sent"]) {
        store.append(&stream(name), ExpectedVersion::Any, [event(event_type)]).expect("an append");
    }
    store
}

#[test]
fn events_are_read_by_type_from_a_time_or_a_position__D14_X15() {
    let store = six();
    let placed = || Query::all().event_type("Placed");
    assert_eq!(positions(store.read(placed())), [1, 3]);
    assert_eq!(positions(store.read(placed().since(Timestamp::from_micros(11)))), [3]);
    assert_eq!(positions(store.read(placed().after(Position::new(1)))), [3]);
    assert_eq!(positions(store.read(placed().event_type("Paid").backwards())), [4, 3, 1]);
    assert_eq!(positions(store.read(placed().event_type("Paid").backwards().limit(2))), [4, 3]);
}

#[test]
fn events_of_a_category_are_read_from_a_position__D15() {
    let store = six();
    let orders = || Query::all().category("order");
    assert_eq!(positions(store.read(orders())), [1, 3, 4, 6]);
    assert_eq!(positions(store.read(orders().from(Position::new(4)))), [4, 6]);
    assert_eq!(positions(store.read(orders().category("cart").limit(2))), [1, 2]);
    assert_eq!(positions(store.read(orders().event_type("Filled"))), [0; 0]);
}

#[test]
fn times_are_the_stores_and_inclusive__X11() {
    let store = six();
    let between =
        |from, to| Query::all().since(Timestamp::from_micros(from)).until(Timestamp::from_micros(to));
    assert_eq!(positions(store.read(between(20, 40))), [2, 3, 4]);
    assert_eq!(positions(store.read(between(21, 39))), [3]);
    assert_eq!(positions(store.read(between(40, 20))), [0; 0]);
    assert_eq!(positions(store.read(between(-1, 9))), [0; 0]);
    assert_eq!(positions(store.read(between(61, 99).backwards())), [0; 0]);
    let of_stream = Query::stream(&stream("order-1")).since(Timestamp::from_micros(11));
    assert_eq!(versions(store.read(of_stream)), [2, 3]);
}

#[test]
fn a_stream_is_read_as_it_was__B18() -> Outcome {
    let store = six();
    let order = stream("order-1");
    for (moment, then) in [(0, 0), (9, 0), (10, 1), (39, 1), (40, 2), (60, 3), (99, 3)] {
        let time = Timestamp::from_micros(moment);
        assert_eq!(store.stream_version_as_of(&order, time)?, version(then), "{moment}");
        assert_eq!(store.read(Query::stream(&order).as_of(time)).count() as u64, then, "{moment}");
    }
    for (position, then) in [(0, 0), (1, 1), (3, 1), (4, 2), (6, 3), (99, 3)] {
        let position = Position::new(position);
        assert_eq!(store.stream_version_as_of(&order, position)?, version(then), "{position}");
        assert_eq!(types(store.read(Query::stream(&order).as_of(position).backwards())).len() as u64, then);
    }
    assert_eq!(store.stream_version_as_of(&stream("none"), Position::new(3))?, Version::NONE);
    Ok(())
}

#[test]
fn what_belongs_together_is_an_audit_trail__B18() -> Outcome {
    let store = store();
    for (name, request) in [("order-1", "r1"), ("stock-7", "r1"), ("order-2", "r2"), ("mail-1", "r1")] {
        let metadata = Metadata { correlation_id: Some(request.into()), ..Metadata::default() };
        store.append(&stream(name), ExpectedVersion::Any, [event("Done").with_metadata(&metadata)?])?;
    }
    store.append(&stream("order-1"), ExpectedVersion::Any, [event("Done")])?;
    assert_eq!(positions(store.read(Query::all().correlation("r1"))), [1, 2, 4]);
    assert_eq!(positions(store.read(Query::all().correlation("r1").correlation("r2"))), [1, 2, 3, 4]);
    assert_eq!(versions(store.read(Query::stream(&stream("order-1")).correlation("r1"))), [1]);
    Ok(())
}

#[test]
fn an_event_is_found_by_its_id_whoever_gave_it() -> Outcome {
    let store = store();
    let given = event("A").with_id(EventId::new("mine")?);
    store.append(&stream("a"), ExpectedVersion::Any, [event("B"), given.clone()])?;
    store.append(&stream("b"), ExpectedVersion::Any, [given])?;
    let found = store.event(&EventId::new("mine")?)?.ok_or("an event")?;
    assert_eq!(found.position, Position::new(2));
    let made = all(store.read_all())[0].clone();
    assert_eq!(store.event(&made.id)?, Some(made));
    assert_eq!(store.event(&EventId::new("MINE")?)?, None);
    Ok(())
}

#[test]
fn each_stream_has_exactly_one_member_of_a_group() -> Outcome {
    // These numbers are promised: another hash would deal the streams of running consumers out anew.
    let member_of = |name: &str| {
        let members: Vec<u32> = (1..=4)
            .filter(|member| GroupMember::new(*member, 4).is_ok_and(|member| member.has(name)))
            .collect();
        assert_eq!(members.len(), 1, "{name}");
        members[0]
    };
    assert_eq!(["order-1", "order-2", "cart-1", "käse-1"].map(member_of), [3, 1, 4, 2]);
    assert!(GroupMember::new(1, 1)?.has("anything"));
    for (member, members) in [(0, 1), (2, 1), (1, 0), (0, 0)] {
        GroupMember::new(member, members).expect_err("members are counted from 1");
    }
    for text in ["", "1", "1/", "/1", "3/2", "-1/2", "1/2/3", "0/0", "1/4294967296"] {
        text.parse::<GroupMember>().expect_err(text);
    }
    assert_eq!("2/4".parse::<GroupMember>()?.to_string(), "2/4");
    Ok(())
}

#[test]
fn a_cursor_is_its_text() -> Outcome {
    for (text, position, checksum) in [
        ("0:00000000", 0, 0),
        ("4211:89abcdef", 4_211, 0x89ab_cdef),
        ("18446744073709551615:ffffffff", u64::MAX, u32::MAX),
    ] {
        let cursor = Cursor { position: Position::new(position), checksum };
        assert_eq!((cursor.to_string().as_str(), text.parse::<Cursor>()?), (text, cursor));
        assert_eq!(serde_json::from_str::<Cursor>(&serde_json::to_string(&cursor)?)?, cursor);
    }
    for text in [
        "",
        ":",
        "1",
        "1:",
        ":00000000",
        "1:0000000",
        "1:000000000",
        "+1:00000000",
        "1:+0000000",
        "a:00000000",
    ] {
        text.parse::<Cursor>().expect_err(text);
    }
    assert!(matches!(
        "1:xyz".parse::<Cursor>().map_err(Error::from),
        Err(Error::Invalid(invalid)) if invalid.what == "cursor"
    ));
    Ok(())
}

#[test]
fn a_damaged_event_isnt_passed_over_as_another_one() -> Outcome {
    let disk = SimDisk::new(1);
    let options = buffered().read(ReadMode::Pread);
    let store = EventStore::open_on(Arc::new(disk.mount()), "/store", options)?;
    let three = ["Placed", "Shipped", "Placed"].map(event);
    store.append(&stream("order-1"), ExpectedVersion::Any, three)?;
    let path = "/store/segments/000000000001.log";
    let mut bytes = disk.read_file(path).ok_or("a segment")?;
    let at = bytes.windows(7).position(|part| part == b"Shipped").ok_or("the second event's type")?;
    bytes[at] ^= 1;
    disk.write_file(path, bytes)?;
    let mut found = store.read(Query::all().event_type("Shipped"));
    assert!(found.next().ok_or("an error")?.is_err_and(|error| error.is_corruption()));
    // The index knows that it wasn't what else is looked for.
    assert_eq!(positions(store.read(Query::all().event_type("Placed"))), [1, 3]);
    // What only the record tells may have been there.
    let mut related = store.read(Query::all().correlation("c-1"));
    assert!(related.next().ok_or("an error")?.is_err_and(|error| error.is_corruption()));
    assert!(related.next().is_none());
    Ok(())
}

#[test]
fn a_reader_reads_on_when_its_store_is_closed() -> Outcome {
    let (store, _directory) = store().into_parts();
    store.append(&stream("a"), ExpectedVersion::Any, events(1, 3))?;
    let reader = store.reader().clone();
    store.close()?;
    assert_eq!(positions(reader.read_all()), [1, 2, 3]);
    assert_eq!(
        (reader.stream_version(&stream("a"))?, reader.last_position()),
        (version(3), Position::new(3))
    );
    Ok(())
}
