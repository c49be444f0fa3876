//! What an account that keeps its events can tell: its history, its state at any moment, who did what, and what a
//! program would have made of it that was written only today.

use std::{collections::BTreeMap, error::Error};

use annals::{
    Commit, Cursor, Delivery, EventData, EventStore, ExpectedVersion, Metadata, Position, Query, Reader,
    StreamId,
};

fn main() -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("bank.annals")?;
    let (alice, bob) = (StreamId::new("account-alice")?, StreamId::new("account-bob")?);
    store.append(&alice, ExpectedVersion::NoStream, [moved("Deposited", 50_000, "teller-1", "visit-1")?])?;
    store.append(&bob, ExpectedVersion::NoStream, [moved("Deposited", 1_000, "teller-2", "visit-2")?])?;
    let transfer = Commit::new()
        .append(&alice, ExpectedVersion::StreamExists, [moved("Withdrawn", -20_000, "alice", "transfer-1")?])
        .append(&bob, ExpectedVersion::StreamExists, [moved("Deposited", 20_000, "alice", "transfer-1")?]);
    let before = store.last_position();
    store.commit(transfer)?;

    // The complete history: nothing was overwritten.
    let history: Vec<String> = store
        .read_stream(&alice)
        .map(|event| event.map(|event| event.event_type))
        .collect::<Result<_, _>>()?;
    assert_eq!(history, ["Deposited", "Withdrawn"]);

    // Time travel: the state at any point is read again.
    assert_eq!(balance(&store, &alice, before)?, 50_000);
    assert_eq!(balance(&store, &alice, store.last_position())?, 30_000);
    assert_eq!(store.stream_version_as_of(&alice, before)?.get(), 1);

    // The audit trail: all that belongs to one request, in every stream, and who made it.
    for event in store.read(Query::all().correlation("transfer-1")) {
        let event = event?;
        let user = event.metadata()?.and_then(|metadata| metadata.user_id);
        assert_eq!(user.as_deref(), Some("alice"), "{} {}", event.stream, event.event_type);
    }

    // Replay: what is made of the events is made anew, by whoever comes later, from the beginning.
    let mut totals = BTreeMap::new();
    let mut dealt_with = replay(&store, Cursor::START, &mut totals)?;
    assert_eq!(
        totals,
        BTreeMap::from([("account-alice".to_owned(), 30_000), ("account-bob".to_owned(), 21_000)])
    );

    // And it goes on where it stopped, also behind a restart.
    store.save_checkpoint("totals", dealt_with)?;
    store.append(&bob, ExpectedVersion::StreamExists, [moved("Withdrawn", -500, "bob", "visit-3")?])?;
    dealt_with = store.checkpoint("totals")?.map_or(Cursor::START, |checkpoint| checkpoint.cursor);
    replay(&store, dealt_with, &mut totals)?;
    assert_eq!(totals["account-bob"], 20_500);
    store.close()?;
    Ok(())
}

/// Money that was moved, by whom, and in which request.
fn moved(event_type: &str, cents: i64, user: &str, request: &str) -> annals::Result<EventData> {
    let metadata = Metadata {
        user_id: Some(user.to_owned()),
        correlation_id: Some(request.to_owned()),
        ..Metadata::default()
    };
    Ok(EventData::json(event_type, &cents)?.with_metadata(&metadata)?)
}

/// What an account held when everything up to a position was stored.
fn balance(reader: &Reader, account: &StreamId, moment: Position) -> annals::Result<i64> {
    let mut cents = 0;
    for event in reader.read(Query::stream(account).as_of(moment)) {
        cents += event?.json::<i64>()?;
    }
    Ok(cents)
}

/// Adds up what stands behind a cursor, until it has caught up, and says how far it came.
fn replay(reader: &Reader, from: Cursor, totals: &mut BTreeMap<String, i64>) -> annals::Result<Cursor> {
    let mut subscription = reader.subscribe(Query::all().category("account").after_cursor(from));
    while let Some(Delivery::Event(event)) = subscription.next().transpose()? {
        *totals.entry(event.stream.to_string()).or_default() += event.json::<i64>()?;
    }
    Ok(subscription.cursor())
}
