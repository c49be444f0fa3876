//! Every way of reading goes through upcasters: queries, subscriptions, cursors, followers, a store of one's own.

use annals::{
    Cursor, Delivery, Error, EventContent, EventData, EventId, EventStore, ExpectedVersion, Follower,
    Invalid, Metadata, Options, Position, Query, Reader, Store, Upcasters,
};
use serde_json::{Value, json};

use crate::{
    support::{Outcome, all, buffered, event, positions, store_with, types},
    upcasting::{in_parts, order, orders, said, saying, store_of},
};

#[test]
fn queries_speak_of_types_as_they_come_out__X22() -> Outcome {
    let upcasters = orders().rename("Paid", 1, ("Closed", 1))?;
    let euros = |event_type, euros: u64| (event_type, 1, json!({ "euros": euros }));
    let store = store_of(upcasters, &[euros("OrderMade", 1), euros("OrderPlaced", 2), ("Paid", 1, json!(0))]);
    let of_type = |event_type: &str| Query::all().event_type(event_type);
    assert_eq!(positions(store.read(of_type("OrderPlaced"))), [1, 2]);
    assert_eq!(positions(store.read(of_type("OrderMade"))), [0; 0]);
    assert_eq!(positions(store.read(of_type("Paid"))), [0; 0]);
    assert_eq!(positions(store.read(of_type("Closed"))), [3]);
    assert_eq!(positions(store.read(of_type("OrderMade").raw())), [1]);
    assert_eq!(positions(store.read(of_type("Closed").raw())), [0; 0]);
    let in_stream = Query::stream(&order()).event_type("OrderPlaced").backwards();
    assert_eq!(positions(store.read(in_stream)), [2, 1]);
    let names: Vec<String> = store.event_types()?.into_iter().map(|count| count.name).collect();
    assert_eq!(names, ["OrderMade", "OrderPlaced", "Paid"], "what is counted is what is stored");
    Ok(())
}

#[test]
fn queries_speak_of_correlations_as_they_come_out__X22() -> Outcome {
    let upcasters = Upcasters::new().convert("Sent", 1, |mut old: EventContent| {
        old.metadata = br#"{"correlationId":"new"}"#.to_vec();
        Ok::<_, Invalid>(old)
    })?;
    let store = store_with(buffered().upcasters(upcasters));
    let old = Metadata { correlation_id: Some("old".to_owned()), ..Metadata::default() };
    let events = [event("Sent").with_metadata(&old)?, event("Paid").with_metadata(&old)?];
    store.append(&order(), ExpectedVersion::Any, events)?;
    let of = |id: &str| Query::all().including_system().correlation(id);
    assert_eq!(positions(store.read(of("new"))), [1]);
    assert_eq!(positions(store.read(of("old"))), [2]);
    assert_eq!(positions(store.read(of("old").raw())), [1, 2]);
    Ok(())
}

#[test]
fn a_subscription_ends_at_an_event_that_cant_be_upcast_and_stands_before_it__D21_X22() -> Outcome {
    let euros = |euros: Value| ("OrderMade", 1, json!({ "euros": euros }));
    let store = store_of(orders(), &[euros(json!(1)), euros(json!("two")), euros(json!(3))]);
    let mut subscription = store.subscribe(Query::all());
    assert!(matches!(subscription.try_next()?, Some(Delivery::Event(event)) if event.position.get() == 1));
    let error = subscription.try_next().expect_err("the second has no price");
    let Error::UpcastFailed { position, .. } = error else { return Err(error.into()) };
    assert!(subscription.has_ended());
    // A mended program finds the event again.
    assert_eq!(subscription.position(), Position::new(1));
    // One that can't be mended goes on behind it.
    let mut next = store.subscribe(Query::all().after(position));
    assert!(matches!(next.try_next()?, Some(Delivery::Event(event)) if event.position.get() == 3));
    Ok(())
}

#[test]
fn the_stores_own_events_are_never_upcast__X22() -> Outcome {
    let store = store_with(buffered().upcasters(Upcasters::new().discard("Peeked", 1)?));
    store.append(&order(), ExpectedVersion::Any, [event("Peeked"), event("Paid")])?;
    let cursor = all(store.read_all()).remove(0).cursor();
    store.save_checkpoint("mailer", cursor)?;
    let saved = store.checkpoint("mailer")?.ok_or("a checkpoint")?;
    assert_eq!(saved.cursor, cursor);
    assert_eq!(types(store.read(Query::all().including_system())), ["Paid", "$CheckpointSaved"]);
    Ok(())
}

#[test]
fn every_way_of_reading_goes_through_upcasters__X22() -> Outcome {
    let store = store_with(buffered().upcasters(orders()));
    let id = EventId::new("made-1")?;
    let made = EventData::json("OrderMade", &json!({ "euros": 1 }))?.with_id(id.clone());
    store.append(&order(), ExpectedVersion::Any, [made])?;
    let expected = saying(&[("OrderPlaced", 2, json!({ "cents": 100 }))]);
    let check = |reader: &Reader| -> Outcome {
        assert_eq!(said(all(reader.read_all())), expected);
        assert_eq!(said(all(reader.read_stream(&order()))), expected);
        assert_eq!(said(all(reader.read(Query::all().backwards()))), expected);
        assert_eq!(said(reader.event(&id)?), expected);
        let mut subscription = reader.subscribe(Query::all().event_type("OrderPlaced"));
        let Some(Delivery::Event(event)) = subscription.try_next()? else { return Err("an event".into()) };
        assert_eq!(said([event]), expected);
        let stored = saying(&[("OrderMade", 1, json!({ "euros": 1 }))]);
        assert_eq!(said(reader.event_raw(&id)?), stored);
        let mut subscription = reader.subscribe(Query::all().event_type("OrderMade").raw());
        let Some(Delivery::Event(event)) = subscription.try_next()? else { return Err("an event".into()) };
        assert_eq!(said([event]), stored);
        Ok(())
    };
    check(store.reader())?;
    check(Follower::open_with(store.path(), Options::new().upcasters(orders()))?.reader())?;
    let as_trait: &dyn Store = &*store;
    let read = as_trait.read_stream(Query::stream(&order())).collect::<annals::Result<Vec<_>>>()?;
    assert_eq!(said(read), expected);
    let read = as_trait.read_all(Query::all()).collect::<annals::Result<Vec<_>>>()?;
    assert_eq!(said(read), expected);
    // Who has no upcasters reads what is stored.
    let plain = Follower::open(store.path())?;
    assert_eq!(types(plain.read_all()), ["OrderMade"]);
    Ok(())
}

#[test]
fn an_event_is_found_by_its_id_as_its_first_part_or_not_at_all__X22() -> Outcome {
    let store = store_with(buffered().upcasters(in_parts().discard("Peeked", 1)?));
    let with_id = |event_type: &str, id: &str| -> Result<EventData, Invalid> {
        Ok(EventData::json(event_type, &2)?.with_id(EventId::new(id)?))
    };
    store.append(&order(), ExpectedVersion::Any, [with_id("Order", "split")?, with_id("Peeked", "gone")?])?;
    let found =
        |id: &str| -> Result<_, Error> { Ok(store.event(&EventId::new(id)?)?.map(|event| event.event_type)) };
    assert_eq!(found("split")?.as_deref(), Some("Opened"));
    assert_eq!(found("gone")?, None);
    assert!(store.event_raw(&EventId::new("gone")?)?.is_some());
    Ok(())
}

#[test]
fn a_cursor_stands_behind_an_event_when_all_its_parts_were_given__X22() -> Outcome {
    let log = [("Paid", 1, json!(0)), ("Order", 1, json!(3)), ("Order", 1, json!(0)), ("Paid", 1, json!(0))];
    let store = store_of(in_parts(), &log);
    let mut subscription = store.subscribe(Query::all());
    let mut stands = Vec::new();
    let mut cursors = vec![Cursor::START];
    while let Some(Delivery::Event(event)) = subscription.try_next()? {
        stands.push((event.position.get(), subscription.position().get()));
        cursors.push(subscription.cursor());
    }
    assert_eq!(stands, [(1, 1), (2, 1), (2, 1), (2, 2), (4, 4)]);
    // From wherever it is taken up again, an event that wasn't delivered whole comes whole.
    let rest = |cursor| positions(store.read(Query::all().after_cursor(cursor)));
    let rests: Vec<Vec<u64>> = cursors.into_iter().map(rest).collect();
    let (from_2, from_3) = (vec![2, 2, 2, 4], vec![4]);
    assert_eq!(rests, [vec![1, 2, 2, 2, 4], from_2.clone(), from_2.clone(), from_2, from_3, vec![]]);
    Ok(())
}

#[test]
fn a_checkpoint_between_parts_goes_back_to_before_the_event__X22() -> Outcome {
    let store = store_of(in_parts(), &[("Paid", 1, json!(0)), ("Order", 1, json!(2))]);
    let mut subscription = store.subscribe(Query::all());
    for _ in 0..2 {
        subscription.try_next()?;
    }
    store.save_checkpoint("mailer", subscription.cursor())?;
    drop(subscription);
    let saved = store.checkpoint("mailer")?.ok_or("a checkpoint")?;
    assert_eq!(positions(store.read(Query::all().after_cursor(saved.cursor))), [2, 2]);
    Ok(())
}

#[test]
fn a_subscription_passes_over_what_is_discarded_and_sleeps_behind_it__X22() -> Outcome {
    let (store, directory) =
        store_of(in_parts().discard("Peeked", 1)?, &[("Peeked", 1, json!(0))]).into_parts();
    let mut subscription = store.subscribe(Query::all());
    assert_eq!(subscription.try_next()?, Some(Delivery::CaughtUp(Position::new(1))));
    assert_eq!(subscription.position(), Position::new(1), "what was discarded was passed over");
    // A consumer that sleeps is woken by what it sees, and ended by the closing, not by what is discarded.
    let consumer = std::thread::spawn(move || {
        let events = subscription.by_ref().map(|delivery| {
            delivery.map(|delivery| match delivery {
                Delivery::Event(event) => event.position.get(),
                _ => 0,
            })
        });
        let seen = events.collect::<annals::Result<Vec<u64>>>();
        seen.map(|seen| (seen, subscription.position().get()))
    });
    for (event_type, data) in [("Peeked", 0), ("Order", 2), ("Order", 0), ("Paid", 0), ("Peeked", 0)] {
        let event = EventData::json(event_type, &data)?;
        store.append(&order(), ExpectedVersion::StreamExists, [event])?;
    }
    store.close()?;
    let (seen, stands) = consumer.join().expect("it doesn't panic")?;
    assert_eq!((seen, stands), (vec![3, 3, 5], 6));
    drop(directory);
    Ok(())
}

#[test]
fn a_subscriptions_limit_ends_it_behind_a_whole_event__X22() -> Outcome {
    let log = [("Order", 1, json!(0)), ("Order", 1, json!(2)), ("Order", 1, json!(3))];
    let store = store_of(in_parts(), &log);
    let deliveries = store.subscribe(Query::all().limit(1)).collect::<annals::Result<Vec<_>>>()?;
    let positions = deliveries.iter().map(|delivery| match delivery {
        Delivery::Event(event) => event.position.get(),
        _ => 0,
    });
    assert_eq!(positions.collect::<Vec<_>>(), [2, 2]);
    Ok(())
}

#[test]
fn a_store_of_ones_own_upcasts_alike__X22() -> Outcome {
    let upcasters = in_parts().rename("Made", 1, ("Order", 1))?;
    let log = [("Made", 1, json!(2)), ("Paid", 4, json!(0)), ("Order", 1, json!(0))];
    let store = store_of(upcasters.clone(), &log);
    let query = Query::all().event_type("Filled").event_type("Paid");
    let mut own = Vec::new();
    for stored in all(store.read(Query::all().raw())) {
        assert_eq!(
            upcasters.upcast(stored.clone())?,
            all(store.read(Query::all().from(stored.position).limit(1).to(stored.position)))
        );
        own.extend(upcasters.upcast(stored)?.into_iter().filter(|event| query.admits(event)));
    }
    assert_eq!(own, all(store.read(query.clone())));
    assert_eq!(own.len(), 2);
    assert!(query.clone().raw().is_raw() && !query.is_raw());
    Ok(())
}

#[test]
fn an_open_store_takes_its_upcasters_anew_at_each_opening__D21() -> Outcome {
    let (store, directory) =
        store_of(Upcasters::new(), &[("OrderMade", 1, json!({ "euros": 1 }))]).into_parts();
    assert_eq!(types(store.read_all()), ["OrderMade"]);
    store.close()?;
    let store = EventStore::open_with(directory.path().join("store"), buffered().upcasters(orders()))?;
    assert_eq!(types(store.read_all()), ["OrderPlaced"]);
    Ok(())
}
