//! Orders whose program has changed: what it wrote at first is read as what it writes now, and stays as it was.

use std::{error::Error, num::ParseIntError};

use annals::{
    EventContent, EventData, EventStore, ExpectedVersion, Invalid, Options, Query, Reader, StreamId,
    Upcasters,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

/// What the program wrote in its first year. Only its upcasters still know these.
#[derive(Serialize)]
#[serde(tag = "type", content = "data")]
enum FirstYear {
    OrderMade(PricedInEuros),
    OrderViewed,
    PaidAndSent(PaidAndSent),
}

#[derive(Serialize, Deserialize)]
struct PricedInEuros {
    item: String,
    euros: f64,
}

#[derive(Serialize, Deserialize)]
struct PaidAndSent {
    address: String,
}

/// What it writes and understands today.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "type", content = "data")]
enum OrderEvent {
    OrderPlaced { item: String, cents: u64 },
    PaymentReceived { cents: Option<u64> },
    OrderSent { street: String, city: String },
}

/// From each old form to the next, never further: with each change the program gets a step more.
fn upcasters() -> Result<Upcasters, Invalid> {
    Upcasters::new()
        // Before the first year was over, it was called otherwise.
        .rename("OrderMade", 1, ("OrderPlaced", 1))?
        // Version 2 has cents.
        .json("OrderPlaced", 1, |PricedInEuros { item, euros }| {
            let cents: u64 = format!("{:.0}", euros * 100.0).parse()?;
            Ok::<_, ParseIntError>(json!({ "item": item, "cents": cents }))
        })?
        // What was one event is two.
        .split("PaidAndSent", 1, &[("PaymentReceived", 1), ("OrderSent", 1)], pay_and_send)?
        // Nobody asks any more who has looked at an order.
        .discard("OrderViewed", 1)
}

fn pay_and_send(both: EventContent) -> Result<Vec<EventContent>, Invalid> {
    let PaidAndSent { address } = both.json()?;
    let (street, city) = address.split_once(", ").unwrap_or((&address, ""));
    // How much was paid, nobody wrote down then.
    let paid = both.clone().with_type("PaymentReceived", 1).with_json(&json!({ "cents": null }))?;
    let sent = both.with_type("OrderSent", 1).with_json(&json!({ "street": street, "city": city }))?;
    Ok(vec![paid, sent])
}

fn main() -> Result<(), Box<dyn Error>> {
    let order = StreamId::new("order-17")?;
    work_through_the_first_year(&order)?;

    let store = EventStore::open_with("orders.annals", Options::new().upcasters(upcasters()?))?;
    // From now on orders are written in version 2, which is said with the event.
    let placed = OrderEvent::OrderPlaced { item: "pen".to_owned(), cents: 250 };
    let placed = EventData::encode(&placed)?.with_current_version(store.upcasters());
    store.append(&StreamId::new("order-18")?, ExpectedVersion::NoStream, [placed])?;

    let (street, city) = ("Ring 1".to_owned(), "Wien".to_owned());
    let history = [
        OrderEvent::OrderPlaced { item: "book".to_owned(), cents: 1999 },
        OrderEvent::PaymentReceived { cents: None },
        OrderEvent::OrderSent { street, city },
    ];
    assert_eq!(decode_all(&store, Query::stream(&order))?, history);

    // Queries speak of what comes out: both orders, the old and the new.
    let placed = decode_all(&store, Query::all().event_type("OrderPlaced"))?;
    assert_eq!(placed.len(), 2);

    // What is stored is what was written, for ever.
    let raw = store.read(Query::stream(&order).raw());
    let types = raw.map(|event| event.map(|event| event.event_type)).collect::<Result<Vec<_>, _>>()?;
    assert_eq!(types, ["OrderMade", "OrderViewed", "PaidAndSent"]);
    store.close()?;
    Ok(())
}

/// The program of then: it knew no upcasters.
fn work_through_the_first_year(order: &StreamId) -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("orders.annals")?;
    let events = [
        FirstYear::OrderMade(PricedInEuros { item: "book".to_owned(), euros: 19.99 }),
        FirstYear::OrderViewed,
        FirstYear::PaidAndSent(PaidAndSent { address: "Ring 1, Wien".to_owned() }),
    ];
    let events = events.iter().map(EventData::encode).collect::<Result<Vec<_>, _>>()?;
    store.append(order, ExpectedVersion::NoStream, events)?;
    store.close()?;
    Ok(())
}

fn decode_all(store: &Reader, query: Query<impl annals::Bound>) -> annals::Result<Vec<OrderEvent>> {
    store.read(query).map(|event| Ok(event?.decode()?)).collect()
}
