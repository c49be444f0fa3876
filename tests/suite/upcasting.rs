//! Old events, read as what a program understands now: the kinds of steps, and what they can't make anything of.

use std::{error::Error as _, fs};

use annals::{
    ContentType, Error, EventContent, EventData, ExpectedVersion, Follower, Invalid, Metadata, Options,
    Query, StoredEvent, StreamId, Upcasters, Version,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::support::{Outcome, TestStore, all, buffered, event, positions, store_with, stream, versions};

/// A store that reads through upcasters, with these events in one stream: types, schema versions, payloads.
pub(crate) fn store_of(upcasters: Upcasters, events: &[(&str, u32, Value)]) -> TestStore {
    let store = store_with(buffered().upcasters(upcasters));
    let events = events.iter().map(|(event_type, version, data)| {
        EventData::json(*event_type, data).expect("JSON").with_schema_version(*version)
    });
    store.append(&order(), ExpectedVersion::NoStream, events).expect("an append");
    store
}

pub(crate) fn order() -> StreamId {
    stream("order-1")
}

/// Type, schema version and payload of what was read.
pub(crate) fn said(events: impl IntoIterator<Item = StoredEvent>) -> Vec<(String, u32, Value)> {
    let said = |event: StoredEvent| {
        let data = event.json().expect("JSON");
        (event.event_type, event.schema_version, data)
    };
    events.into_iter().map(said).collect()
}

/// What is expected of it.
pub(crate) fn saying(events: &[(&str, u32, Value)]) -> Vec<(String, u32, Value)> {
    events
        .iter()
        .map(|(event_type, version, data)| ((*event_type).to_owned(), *version, data.clone()))
        .collect()
}

/// Euros become cents, and the old name the new one.
pub(crate) fn orders() -> Upcasters {
    let in_cents = |mut order: Value| {
        let euros = order["euros"].take().as_u64().ok_or("an order has a price in euros")?;
        Ok::<_, &str>(json!({ "cents": euros * 100 }))
    };
    let upcasters = Upcasters::new().json("OrderPlaced", 1, in_cents).expect("a step");
    upcasters.rename("OrderMade", 1, ("OrderPlaced", 1)).expect("a step")
}

/// An order becomes what is in it, each part with its number.
pub(crate) fn in_parts() -> Upcasters {
    let split = |order: EventContent| {
        let count: u64 = order.json()?;
        let part = |number| {
            order.clone().with_type(if number == 1 { "Opened" } else { "Filled" }, 1).with_json(&number)
        };
        (1..=count).map(part).collect::<Result<Vec<_>, Invalid>>()
    };
    Upcasters::new().split("Order", 1, &[("Opened", 1), ("Filled", 1)], split).expect("a step")
}

#[test]
fn a_payload_is_read_in_its_next_version_and_stays_stored_as_it_was__D21_D23() -> Outcome {
    let upcasters = Upcasters::new()
        .json("OrderPlaced", 1, |old: OldOrder| Ok::<_, Invalid>(NewOrder { cents: old.euros * 100 }))?;
    let log = [("OrderPlaced", 1, json!({ "euros": 3 }))];
    let (store, directory) = store_of(Upcasters::new(), &log).into_parts();
    let path = store.path().to_owned();
    store.close()?;
    let bytes = || -> std::io::Result<Vec<u8>> {
        let mut files: Vec<_> = fs::read_dir(path.join("segments"))?.collect::<std::io::Result<_>>()?;
        files.sort_by_key(fs::DirEntry::path);
        let bytes = files.iter().map(|file| fs::read(file.path())).collect::<std::io::Result<Vec<_>>>()?;
        Ok(bytes.concat())
    };
    let before = bytes()?;
    let store = Follower::open_with(&path, Options::new().upcasters(upcasters))?;
    let read = all(store.read_stream(&order()));
    assert_eq!((read[0].schema_version, read[0].content_type), (2, ContentType::JSON));
    assert_eq!(read[0].json::<NewOrder>()?, NewOrder { cents: 300 });
    let stored = all(store.read(Query::stream(&order()).raw()));
    assert_eq!(said(stored), saying(&[("OrderPlaced", 1, json!({ "euros": 3 }))]));
    assert!(bytes()? == before, "a byte of the log has changed");
    drop(directory);
    Ok(())
}

#[derive(Deserialize)]
struct OldOrder {
    euros: u64,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct NewOrder {
    cents: u64,
}

#[test]
fn steps_are_chained_until_none_applies__D21_X23() -> Outcome {
    let add = |name: &'static str| {
        move |mut steps: Vec<String>| {
            steps.push(name.to_owned());
            Ok::<_, Invalid>(steps)
        }
    };
    // The order of registration doesn't matter.
    let upcasters = Upcasters::new()
        .json("Placed", 3, add("to 4"))?
        .rename("Made", 7, ("Placed", 2))?
        .json("Placed", 2, add("to 3"))?
        .json("Placed", 1, add("to 2"))?
        .json("Made", 6, add("to 7"))?;
    let from = |event_type, version| (event_type, version, json!([]));
    let store = store_of(
        upcasters,
        &[from("Made", 6), from("Placed", 1), from("Made", 7), from("Placed", 3), from("Placed", 4)],
    );
    let to = |steps: &[&str]| ("Placed", 4, json!(steps));
    let expected = saying(&[
        to(&["to 7", "to 3", "to 4"]),
        to(&["to 2", "to 3", "to 4"]),
        to(&["to 3", "to 4"]),
        to(&["to 4"]),
        to(&[]),
    ]);
    assert_eq!(said(all(store.read_stream(&order()))), expected);
    Ok(())
}

#[test]
fn a_step_may_change_payloads_of_any_kind_and_metadata__D21() -> Outcome {
    let upcasters = Upcasters::new().convert("Sent", 1, |old: EventContent| {
        assert_eq!((old.event_type.as_str(), old.schema_version), ("Sent", 1));
        let mut new = old.with_data(b"new".to_vec(), ContentType::new(130));
        new.metadata = br#"{"userId":"carol"}"#.to_vec();
        new.schema_version = 77; // the version is the next one, whatever a step says
        Ok::<_, Invalid>(new)
    })?;
    let store = store_with(buffered().upcasters(upcasters));
    let metadata = Metadata { user_id: Some("bob".to_owned()), ..Metadata::default() };
    let sent = EventData::new("Sent", b"old".to_vec()).with_content_type(ContentType::new(129));
    store.append(&order(), ExpectedVersion::Any, [sent.with_metadata(&metadata)?])?;
    let read = all(store.read_all()).remove(0);
    assert_eq!((read.data.as_slice(), read.content_type.number()), (&b"new"[..], 130));
    assert_eq!((read.event_type.as_str(), read.schema_version), ("Sent", 2));
    assert_eq!(read.metadata()?.and_then(|metadata| metadata.user_id).as_deref(), Some("carol"));
    let stored = all(store.read(Query::all().raw())).remove(0);
    assert_eq!((stored.data.as_slice(), stored.content_type.number()), (&b"old"[..], 129));
    assert_eq!((read.id, read.timestamp, read.checksum), (stored.id, stored.timestamp, stored.checksum));
    Ok(())
}

#[test]
fn a_renamed_type_is_lent_from_the_log__D21() -> Outcome {
    let upcasters = Upcasters::new().rename("Made", 1, ("Placed", 3))?;
    let store = store_of(upcasters, &[("Made", 1, json!(1)), ("Paid", 5, json!(2))]);
    let mut events = store.read_all();
    let lent = events.try_next()?.ok_or("an event")?;
    assert_eq!((lent.event_type, lent.schema_version, lent.data), ("Placed", 3, &b"1"[..]));
    // A type that no upcaster names is read as it is, in every version.
    let lent = events.try_next()?.ok_or("an event")?;
    assert_eq!((lent.event_type, lent.schema_version, lent.data), ("Paid", 5, &b"2"[..]));
    assert!(events.try_next()?.is_none());
    Ok(())
}

#[test]
fn an_event_is_split_into_parts_that_share_its_place__D21() {
    let store =
        store_of(in_parts(), &[("Order", 1, json!(3)), ("Paid", 1, json!(0)), ("Order", 1, json!(2))]);
    let whole = [
        ("Opened", 1, json!(1)),
        ("Filled", 1, json!(2)),
        ("Filled", 1, json!(3)),
        ("Paid", 1, json!(0)),
        ("Opened", 1, json!(1)),
        ("Filled", 1, json!(2)),
    ];
    let read = all(store.read_all());
    assert_eq!(versions(store.read_all()), [1, 1, 1, 2, 3, 3]);
    for parts in read.windows(2).filter(|parts| parts[0].position == parts[1].position) {
        let [one, other] = parts else { unreachable!("windows of two") };
        assert_eq!((&one.id, one.timestamp, one.cursor()), (&other.id, other.timestamp, other.cursor()));
    }
    assert_eq!(said(read), saying(&whole));
    let mut backwards = saying(&whole);
    backwards.reverse();
    assert_eq!(said(all(store.read(Query::all().backwards()))), backwards);
    assert_eq!(said(all(store.read(Query::stream(&order()).backwards()))), backwards);
}

#[test]
fn what_is_split_into_nothing_or_discarded_was_never_there__D21() -> Outcome {
    let upcasters = in_parts().discard("Peeked", 1)?;
    let log =
        [("Order", 1, json!(0)), ("Peeked", 1, json!(0)), ("Paid", 1, json!(0)), ("Peeked", 1, json!(1))];
    let store = store_of(upcasters, &log);
    assert_eq!(positions(store.read_all()), [3]);
    assert_eq!(positions(store.read(Query::all().backwards().limit(1))), [3]);
    assert_eq!(positions(store.read(Query::all().event_type("Peeked"))), [0; 0]);
    assert_eq!(positions(store.read(Query::all().event_type("Peeked").raw())), [2, 4]);
    assert_eq!(store.stream_version(&order())?, Version::new(4), "versions are those of what is stored");
    Ok(())
}

#[test]
fn a_limit_counts_stored_events_and_cuts_none_apart__D21() {
    let log = [("Order", 1, json!(0)), ("Order", 1, json!(3)), ("Paid", 1, json!(0)), ("Order", 1, json!(2))];
    let store = store_of(in_parts(), &log);
    assert_eq!(positions(store.read(Query::all().limit(1))), [2, 2, 2]);
    assert_eq!(positions(store.read(Query::all().limit(2))), [2, 2, 2, 3]);
    assert_eq!(positions(store.read(Query::all().limit(1).backwards())), [4, 4]);
    assert_eq!(positions(store.read(Query::all().event_type("Filled").limit(1))), [2, 2]);
    assert_eq!(
        positions(store.read(Query::all().event_type("Filled").event_type("Paid").limit(2))),
        [2, 2, 3]
    );
    assert_eq!(positions(store.read(Query::all().limit(0))), [0; 0]);
}

#[test]
fn an_unknown_schema_version_is_an_error_that_says_so__D20() -> Outcome {
    let upcasters = orders().knows("Paid", 2)?;
    let placed = |version| ("OrderPlaced", version, json!({ "cents": 1 }));
    let store = store_of(upcasters, &[placed(2), placed(3), ("Paid", 1, json!(0)), placed(2)]);
    let mut events = store.read_all();
    assert_eq!(events.try_next()?.map(|event| event.position.get()), Some(1));
    let error = events.try_next().expect_err("version 3 isn't known");
    let Error::UnknownSchemaVersion { event_type, found, newest, position } = &error else {
        return Err(error.into());
    };
    assert_eq!((event_type.as_str(), *found, *newest, position.get()), ("OrderPlaced", 3, 2, 2));
    assert_eq!(
        error.to_string(),
        "event 2 is of type \"OrderPlaced\" in schema version 3, which no upcaster knows (the newest known is 2): \
         use the program that wrote it, or a newer one, or register the version"
    );
    let error = events.try_next().expect_err("version 1 isn't known");
    assert!(matches!(error, Error::UnknownSchemaVersion { found: 1, newest: 2, .. }), "{error}");
    // The cursor goes on behind it.
    assert_eq!(events.try_next()?.map(|event| event.position.get()), Some(4));
    assert!(events.try_next()?.is_none());
    // Who asks for another type doesn't meet it, and who reads raw reads it.
    assert_eq!(positions(store.read(Query::all().event_type("Sent"))), [0; 0]);
    assert!(store.read(Query::all().event_type("OrderPlaced")).any(|event| event.is_err()));
    assert_eq!(positions(store.read(Query::all().raw())), [1, 2, 3, 4]);
    Ok(())
}

#[test]
fn a_step_that_fails_is_an_error_that_names_it_and_reading_goes_on__D21() -> Outcome {
    let euros = |euros: Value| ("OrderMade", 1, json!({ "euros": euros }));
    let store = store_of(orders(), &[euros(json!(1)), euros(json!("two")), euros(json!(3))]);
    let mut events = store.read_all();
    assert_eq!(events.try_next()?.map(|event| event.position.get()), Some(1));
    let error = events.try_next().expect_err("the second has no price");
    assert_eq!(
        error.to_string(),
        "event 2 of type \"OrderMade\" in schema version 1 can't be upcast by the step OrderPlaced 1 -> OrderPlaced 2: \
         mend the step, or read the event raw"
    );
    assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("an order has a price in euros"));
    assert_eq!(events.try_next()?.map(|event| event.position.get()), Some(3));
    Ok(())
}

#[test]
fn a_step_may_lead_only_where_it_said__X23() -> Outcome {
    let failing = |upcasters: Upcasters| {
        let store = store_of(upcasters, &[("Order", 1, json!(1))]);
        let error = store.read_all().next().expect("one event").expect_err("it isn't declared");
        let source = error.source().map(ToString::to_string).unwrap_or_default();
        format!("{error}; {source}")
    };
    let turned = |old: EventContent| Ok::<_, Invalid>(old.with_type("Opened", 2));
    let text = failing(Upcasters::new().convert("Order", 1, turned)?);
    assert!(text.contains("the step Order 1 -> Order 2: "), "{text}");
    assert!(text.contains("\"Opened 2\": the step doesn't declare that it leads there"), "{text}");
    let turned = |old: EventContent| Ok::<_, Invalid>(vec![old.with_type("Opened", 2)]);
    let declared = [("Opened", 1), ("Filled", 1), ("Opened", 1)];
    let text = failing(Upcasters::new().split("Order", 1, &declared, turned)?);
    assert!(text.contains("the step Order 1 -> Opened 1 + Filled 1: "), "{text}");
    assert!(text.contains("\"Opened 2\": the step doesn't declare that it leads there"), "{text}");
    Ok(())
}

#[test]
fn a_step_for_json_refuses_another_content_type__D21() -> Outcome {
    let store = store_with(buffered().upcasters(orders()));
    let placed =
        |content_type| EventData::new("OrderPlaced", r#"{"euros":1}"#).with_content_type(content_type);
    let events = [placed(ContentType::BYTES), placed(ContentType::BINCODE), placed(ContentType::new(200))];
    store.append(&order(), ExpectedVersion::Any, events)?;
    let read: Vec<_> = store.read_all().collect();
    assert_eq!(read[0].as_ref().expect("it doesn't say what it is").content_type, ContentType::JSON);
    for event in &read[1..] {
        assert!(matches!(event, Err(Error::UpcastFailed { .. })), "{event:?}");
    }
    Ok(())
}

/// The old way and the new one stand side by side in the program.
#[derive(Deserialize)]
enum Payment {
    Card { number: String },
    Transfer { account: String },
}

#[test]
fn a_new_event_type_stands_beside_the_old_and_both_are_handled__D22() -> Outcome {
    // With or without upcasters for others, types that aren't named come as they are.
    for upcasters in [Upcasters::new(), orders()] {
        let log = [
            ("PaidByCard", 1, json!({ "number": "4711" })),
            ("PaidByTransfer", 1, json!({ "account": "DE1" })),
        ];
        let store = store_of(upcasters, &log);
        let payments =
            all(store.read_stream(&order())).into_iter().map(|event| match event.event_type.as_str() {
                "PaidByCard" => event.json().map(|PaidByCard { number }| Payment::Card { number }),
                _ => event.json().map(|PaidByTransfer { account }| Payment::Transfer { account }),
            });
        let handled = payments.map(|payment| {
            payment.map(|payment| match payment {
                Payment::Card { number } => format!("card {number}"),
                Payment::Transfer { account } => format!("account {account}"),
            })
        });
        assert_eq!(handled.collect::<Result<Vec<_>, _>>()?, ["card 4711", "account DE1"]);
    }
    Ok(())
}

#[derive(Deserialize)]
struct PaidByCard {
    number: String,
}

#[derive(Deserialize)]
struct PaidByTransfer {
    account: String,
}

#[test]
fn ten_thousand_old_events_are_read_through_an_upcaster_without_a_rewrite__D23() -> Outcome {
    const EVENTS: u64 = 10_000;
    let (store, directory) = store_with(buffered()).into_parts();
    for batch in 0..EVENTS / 100 {
        let placed = (0..100).map(|number| {
            let event_type = if number % 2 == 0 { "OrderMade" } else { "OrderPlaced" };
            EventData::json(event_type, &json!({ "euros": batch * 100 + number })).expect("JSON")
        });
        store.append(&stream(&format!("order-{batch}")), ExpectedVersion::NoStream, placed)?;
    }
    let segments = || -> std::io::Result<Vec<(std::path::PathBuf, std::time::SystemTime)>> {
        let files = fs::read_dir(directory.path().join("store/segments"))?;
        files.map(|file| file.and_then(|file| Ok((file.path(), file.metadata()?.modified()?)))).collect()
    };
    store.close()?;
    let written = segments()?;
    let reader = Follower::open_with(directory.path().join("store"), Options::new().upcasters(orders()))?;
    let mut events = reader.read(Query::all().event_type("OrderPlaced"));
    let (mut count, mut cents) = (0, 0);
    while let Some(event) = events.try_next()? {
        assert_eq!((event.event_type, event.schema_version), ("OrderPlaced", 2));
        let NewOrder { cents: of_order } = event.json()?;
        (count, cents) = (count + 1, cents + of_order);
    }
    assert_eq!((count, cents), (EVENTS, (0..EVENTS).sum::<u64>() * 100));
    assert_eq!(segments()?, written, "no file was written");
    Ok(())
}

#[test]
fn a_step_that_panics_leaves_no_part_behind__D21() -> Outcome {
    let upcasters = Upcasters::new().split("Order", 1, &[("Part", 1), ("Made", 1)], |order| {
        let part = order.clone().with_type("Part", 1);
        Ok::<_, Invalid>(vec![part, order.with_type("Made", 1)])
    })?;
    let upcasters = upcasters.convert("Made", 1, |made: EventContent| {
        assert!(made.data != b"13", "a step's own mistake");
        Ok::<_, Invalid>(made)
    })?;
    let store = store_of(upcasters, &[("Order", 1, json!(13)), ("Order", 1, json!(1))]);
    let mut events = store.read_all();
    let unwinding = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| events.try_next().is_ok()));
    assert!(unwinding.is_err());
    let next = events.try_next()?.map(|event| (event.position.get(), event.event_type.to_owned()));
    assert_eq!(next, Some((2, "Part".to_owned())));
    Ok(())
}

#[test]
fn parts_are_lent_one_by_one_also_with_pread__D21() -> Outcome {
    for read in [annals::ReadMode::Mapped, annals::ReadMode::Pread] {
        let store = store_with(buffered().read(read).upcasters(in_parts()));
        // Longer than what is read ahead.
        let long = vec![b' '; 100_000];
        let order_of = |count: u8| EventData::new("Order", [&long[..], &[b'0' + count]].concat());
        store.append(&order(), ExpectedVersion::Any, [order_of(3), event("Paid"), order_of(2)])?;
        let mut events = store.read_all();
        let mut seen = Vec::new();
        while let Some(event) = events.try_next()? {
            seen.push((event.position.get(), event.event_type.to_owned(), event.data.to_vec()));
        }
        let data: Vec<&[u8]> = seen.iter().map(|(_, _, data)| data.as_slice()).collect();
        assert_eq!(data, [&b"1"[..], b"2", b"3", b"Paid", b"1", b"2"], "{read:?}");
    }
    Ok(())
}
