//! A program and its test against power cuts. A shop takes orders and sends a mail for each; wherever the power goes, no
//! customer is told of an order that is lost, and none waits for a mail for ever.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use annals::{
    Commit, Cursor, Delivery, EventData, EventId, EventStore, ExpectedVersion, PowerCuts, Query, StreamId,
};
use serde::{Deserialize, Serialize};

const ORDERS: u64 = 3;

#[derive(Serialize, Deserialize)]
enum ShopEvent {
    OrderPlaced { customer: String },
    MailSent { order: String },
}

/// What the power can't take back: what customers were told, and which mails have left the house.
#[derive(Clone, Default)]
struct World {
    confirmed: Vec<u64>,
    /// How often each mail was sent, by its key, by which the mail server knows a repetition.
    mails: BTreeMap<String, usize>,
}

/// Takes the orders. What was taken before a cut is taken again: the same ids make that harmless.
fn take_orders(store: &EventStore, world: &mut World) -> annals::Result<()> {
    for number in 1..=ORDERS {
        let placed = ShopEvent::OrderPlaced { customer: format!("customer {number}") };
        let event = EventData::encode(&placed)?.with_id(EventId::new(&format!("place-{number}"))?);
        store.append(&StreamId::new(format!("order-{number}"))?, ExpectedVersion::NoStream, [event])?;
        // Only now: the order is on the disk.
        world.confirmed.push(number);
    }
    Ok(())
}

/// Sends a mail for each order. That it was sent, and how far the work has come, is stored in one commit.
fn send_mails(store: &EventStore, world: &mut World) -> annals::Result<()> {
    let done = store.checkpoint("mails")?.map_or(Cursor::START, |checkpoint| checkpoint.cursor);
    let mut orders = store.reader().subscribe(Query::all().category("order").after_cursor(done));
    while let Some(Delivery::Event(order)) = orders.next().transpose()? {
        *world.mails.entry(order.id.to_string()).or_default() += 1;
        let sent = EventData::encode(&ShopEvent::MailSent { order: order.stream.to_string() })?;
        let commit = Commit::new()
            .append(&StreamId::new("mails")?, ExpectedVersion::Any, [sent])
            .checkpoint("mails", order.cursor());
        store.commit(commit)?;
    }
    Ok(())
}

fn run(store: &Arc<EventStore>, world: &mut World) -> annals::Result<()> {
    take_orders(store, world)?;
    send_mails(store, world)
}

fn main() -> Result<(), Box<dyn Error>> {
    let counts = PowerCuts::new(1).run(
        |_store| Ok(World::default()),
        run,
        |store, world| {
            // As the cut left it.
            for number in &world.confirmed {
                assert!(
                    store.stream_exists(&StreamId::new(format!("order-{number}"))?)?,
                    "confirmed, and lost"
                );
            }
            // The program starts again, and does what is left to do.
            run(store, world)?;
            let mut sent = BTreeMap::new();
            for event in store.read_stream(&StreamId::new("mails")?) {
                if let ShopEvent::MailSent { order } = event?.decode()? {
                    *sent.entry(order).or_insert(0) += 1;
                }
            }
            assert_eq!(sent.len() as u64, ORDERS, "each order's mail is noted");
            assert!(sent.values().all(|times| *times == 1), "once, since note and checkpoint are one commit");
            // A mail itself may go out again, if the power went between its sending and the note of it.
            assert!(world.mails.values().all(|times| (1..=2).contains(times)));
            assert!(world.mails.values().filter(|times| **times == 2).count() <= 1);
            Ok(())
        },
    )?;
    assert!(counts.operations > 0 && counts.checks > counts.operations);
    Ok(())
}
