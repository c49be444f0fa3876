//! A read model in `SQLite` that misses no event and counts none twice: its rows and its cursor are one transaction.

use std::{error::Error, time::Duration};

use annals::{
    Cursor, EventData, EventStore, ExpectedVersion, Position, Projection, Query, RollBack, Runner,
    SavedCursor, StoredEvent, StreamId,
};
use rusqlite::{Connection, OptionalExtension, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum OrderEvent {
    OrderPlaced { customer: String, cents: i64 },
    OrderCancelled,
}

/// What each customer has ordered.
struct Customers {
    database: Connection,
}

impl Customers {
    fn open(path: &str) -> Result<Self> {
        let database = Connection::open(path)?;
        database.execute_batch(
            "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, customer TEXT, cents INTEGER);
             CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT);",
        )?;
        Ok(Self { database })
    }

    fn ordered(&self, customer: &str) -> Result<i64> {
        let sum = "SELECT coalesce(sum(cents), 0) FROM orders WHERE customer = ?1";
        self.database.query_row(sum, [customer], |row| row.get(0))
    }
}

impl Projection for Customers {
    type Error = Box<dyn Error + Send + Sync>;

    fn query(&self) -> Query<Position> {
        Query::all().category("order")
    }

    fn handle(&mut self, event: &StoredEvent) -> Result<(), Self::Error> {
        let id = event.stream.as_str();
        match event.decode()? {
            OrderEvent::OrderPlaced { customer, cents } => {
                let insert = "INSERT INTO orders VALUES (?1, ?2, ?3)";
                self.database.execute(insert, (id, customer, cents))?;
            }
            OrderEvent::OrderCancelled => {
                self.database.execute("DELETE FROM orders WHERE id = ?1", [id])?;
            }
        }
        Ok(())
    }

    // The cursor is written in the transaction of the rows, and read back from there: that is all it takes.

    fn begin(&mut self) -> Result<(), Self::Error> {
        Ok(self.database.execute_batch("BEGIN IMMEDIATE")?)
    }

    fn commit(&mut self, cursor: Cursor) -> Result<(), Self::Error> {
        self.database.execute("INSERT OR REPLACE INTO progress VALUES (1, ?1)", [cursor.to_string()])?;
        Ok(self.database.execute_batch("COMMIT")?)
    }

    fn roll_back(&mut self) -> Result<RollBack, Self::Error> {
        if !self.database.is_autocommit() {
            self.database.execute_batch("ROLLBACK")?;
        }
        Ok(RollBack::Undone)
    }

    fn saved_cursor(&mut self) -> Result<SavedCursor, Self::Error> {
        let select = "SELECT cursor FROM progress";
        let saved: Option<String> = self.database.query_row(select, [], |row| row.get(0)).optional()?;
        Ok(SavedCursor::Own(saved.map(|text| text.parse()).transpose()?))
    }

    fn reset(&mut self) -> Result<(), Self::Error> {
        Ok(self.database.execute_batch("BEGIN; DELETE FROM orders; DELETE FROM progress; COMMIT")?)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = EventStore::open("orders.annals")?;
    let customers = Runner::new(&store, "customers")?.start(Customers::open("customers.sqlite")?)?;

    let (first, second) = (StreamId::new("order-1")?, StreamId::new("order-2")?);
    let placed = |cents| OrderEvent::OrderPlaced { customer: "ann".to_owned(), cents };
    store.append(&first, ExpectedVersion::NoStream, [EventData::encode(&placed(1_200))?])?;
    store.append(&second, ExpectedVersion::NoStream, [EventData::encode(&placed(300))?])?;
    let cancelled = EventData::encode(&OrderEvent::OrderCancelled)?;
    let last = store.append(&first, ExpectedVersion::StreamExists, [cancelled])?;

    // Who has appended and wants to see it in the read model waits for it.
    assert!(customers.wait_until(last.position, Duration::from_secs(10))?);
    assert_eq!(Customers::open("customers.sqlite")?.ordered("ann")?, 300);

    // Rows and cursor are deleted, and made again of the events.
    customers.rebuild()?;
    assert!(customers.wait_until(last.position, Duration::from_secs(10))?);
    assert_eq!(customers.stop()?.ordered("ann")?, 300);
    store.close()?;
    Ok(())
}
