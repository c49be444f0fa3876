//! An order is placed and paid; a second payment for a version that is gone is refused.

use std::error::Error;

use annals::{EventData, EventId, EventStore, ExpectedVersion, Query, StreamId};

fn main() -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("shop.annals")?; // a directory, made if it isn't there
    let order = StreamId::new("order-17")?;

    // A new stream: that nobody else has made it is checked at the moment when the event is stored. An event with an id is
    // stored once in its stream: run again, the program finds what it stored before.
    let placed = EventData::json("OrderPlaced", &serde_json::json!({ "item": "book", "cents": 1999 }))?
        .with_id(EventId::new("place-17")?);
    let appended = store.append(&order, ExpectedVersion::NoStream, [placed])?;

    // The next event, for the version that was seen. If somebody else was first, that is a conflict.
    let paid = EventData::json("OrderPaid", &serde_json::json!({ "cents": 1999 }))?;
    store.append(&order, appended.version, [paid.clone().with_id(EventId::new("pay-17")?)])?;
    if let Err(error) = store.append(&order, appended.version, [paid]) {
        assert!(error.is_conflict());
        assert_eq!(error.to_string(), "Expected version 1, but current is 2 (stream \"order-17\")");
    }

    for event in store.read_stream(&order) {
        let event = event?;
        let order: serde_json::Value = event.json()?;
        assert_eq!(order["cents"], 1999, "{} {}", event.version, event.event_type);
    }

    // Everything, newest first. `try_next` lends the events, and copies nothing.
    let mut newest = store.read(Query::all().backwards().limit(1));
    assert_eq!(newest.try_next()?.map(|event| event.event_type), Some("OrderPaid"));
    store.close()?;
    Ok(())
}
