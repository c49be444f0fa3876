//! A process manager: each order that is placed is answered with a reservation or a refusal, exactly once, since the
//! answer and how far the process manager has come are one commit.

use std::error::Error;

use annals::{
    EventData, EventStore, ExpectedVersion, Output, Position, ProcessManager, Query, Runner, StoredEvent,
    StreamId,
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[allow(clippy::enum_variant_names, reason = "the variants are the event types")]
enum OrderEvent {
    OrderPlaced { item: String },
    OrderCancelled,
    ReservationRefused { item: String },
}

#[derive(Serialize, Deserialize)]
enum StockEvent {
    ItemsReceived { count: u64 },
    ItemReserved { order: String },
}

/// Reserves what is ordered.
struct Reservations;

impl ProcessManager for Reservations {
    type Error = annals::Error;

    fn query(&self) -> Query<Position> {
        Query::all().category("order").event_type("OrderPlaced")
    }

    fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), annals::Error> {
        let OrderEvent::OrderPlaced { item } = event.decode()? else { return Ok(()) };
        // The order may have gone on since: what is cancelled needs no answer.
        let mut order_version = event.version;
        for known in output.reader().read_stream(&event.stream) {
            let known = known?;
            order_version = known.version;
            if known.event_type == "OrderCancelled" {
                return Ok(());
            }
        }
        let stock = StreamId::from_parts("stock", &item)?;
        // What it decides on, it reads anew; that this is still so when it is written is what the version demands.
        let (mut left, mut version) = (0, ExpectedVersion::NoStream);
        for known in output.reader().read_stream(&stock) {
            let known = known?;
            version = known.version.into();
            match known.decode()? {
                StockEvent::ItemsReceived { count } => left += count,
                StockEvent::ItemReserved { .. } => left -= 1,
            }
        }
        if left > 0 {
            let order = event.stream.as_str().to_owned();
            output.check(&event.stream, order_version);
            output.append(&stock, version, [EventData::encode(&StockEvent::ItemReserved { order })?]);
        } else {
            output.check(&stock, version);
            let refused = EventData::encode(&OrderEvent::ReservationRefused { item })?;
            output.append(&event.stream, order_version, [refused]);
        }
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("stock.annals")?;
    let stock = StreamId::new("stock-book")?;
    let received = EventData::encode(&StockEvent::ItemsReceived { count: 2 })?;
    store.append(&stock, ExpectedVersion::NoStream, [received])?;
    for number in 1..=4 {
        let order = StreamId::from_parts("order", &number.to_string())?;
        let placed = EventData::encode(&OrderEvent::OrderPlaced { item: "book".to_owned() })?;
        store.append(&order, ExpectedVersion::NoStream, [placed])?;
        if number == 2 {
            let cancelled = EventData::encode(&OrderEvent::OrderCancelled)?;
            store.append(&order, ExpectedVersion::StreamExists, [cancelled])?;
        }
    }

    let runner = Runner::new(&store, "reservations")?;
    runner.run_process_to_end(&mut Reservations)?;
    // It goes on behind what it has answered, also after a crash at any moment.
    runner.run_process_to_end(&mut Reservations)?;

    let orders: Vec<String> = store
        .read(Query::all().event_type("ItemReserved").event_type("ReservationRefused"))
        .map(|event| event.map(|event| format!("{} in {}", event.event_type, event.stream)))
        .collect::<Result<_, annals::Error>>()?;
    assert_eq!(
        orders,
        ["ItemReserved in stock-book", "ItemReserved in stock-book", "ReservationRefused in order-4"]
    );

    // Each answer names what it answers.
    let refused = store.read(Query::all().event_type("ReservationRefused")).next().ok_or("a refusal")??;
    let placed = store.read_stream(&refused.stream).next().ok_or("an order")??;
    let cause = refused.metadata()?.and_then(|metadata| metadata.causation_id);
    assert_eq!(cause, Some(placed.id.to_string()));
    store.close()?;
    Ok(())
}
