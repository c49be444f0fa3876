//! What upcasters cost where events are read.
//!
//! ```text
//! cargo bench --bench upcast -- [--events N] [--rounds N] [--directory DIR] [--short]
//! ```
//!
//! `--events` events of version 1, some 60 bytes of JSON each, are written once and never again. They are read from first
//! to last in several ways, each as the cursor lends them and as events that own their bytes: as they are stored; with
//! upcasters that name other types; with a rename; and with a step that takes the JSON apart and writes it anew, as a
//! struct and as a `serde_json::Value`. The ways take turns, each figure is the median of the rounds, and the ratio is the
//! one of the medians to that of reading what is stored. Each way must read every event, in the right type and
//! version.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use annals::{
    Durability, EventData, EventStore, ExpectedVersion, Follower, Invalid, Options, Query, StreamId,
    Upcasters,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{median::median, options::CommandLine};

#[path = "support/median.rs"]
mod median;
#[path = "support/options.rs"]
mod options;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many events an append has.
const BATCH: u64 = 1_000;

struct Settings {
    events: u64,
    rounds: usize,
    directory: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct OldOrder {
    item: String,
    euros: u64,
    customer: String,
}

#[derive(Serialize)]
struct NewOrder {
    item: String,
    cents: u64,
    customer: String,
}

/// A way of reading: upcasters, and what events come out as.
struct Way {
    name: &'static str,
    upcasters: Upcasters,
    comes_out: (&'static str, u32),
}

/// Whether events are lent by the cursor, or own their bytes.
#[derive(Clone, Copy)]
enum Ownership {
    Lent,
    Owned,
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    std::fs::create_dir_all(&settings.directory)?;
    let directory = tempfile::tempdir_in(&settings.directory)?;
    let path = directory.path().join("store");
    write(&path, settings.events)?;
    measure(&mut io::stdout().lock(), &settings, &path)
}

fn settings() -> Outcome<Settings> {
    let mut line = CommandLine::given();
    let (events, rounds) = if line.is_short { (BATCH, 1) } else { (1_000_000, 7) };
    let mut settings = Settings { events, rounds, directory: options::directory() };
    while let Some(option) = line.next() {
        match option.as_str() {
            "--events" => settings.events = line.value()?,
            "--rounds" => settings.rounds = line.value()?,
            "--directory" => settings.directory = line.value()?,
            _ => return line.unknown(),
        }
    }
    if settings.events < BATCH || settings.rounds == 0 {
        return Err(format!("there are {BATCH} events at least, and one round").into());
    }
    settings.events -= settings.events % BATCH;
    Ok(settings)
}

fn write(path: &Path, events: u64) -> Outcome<()> {
    let store = EventStore::open_with(path, Options::new().durability(Durability::Buffered))?;
    for batch in 0..events / BATCH {
        let stream = StreamId::new(format!("order-{:08}", batch % 100))?;
        let placed = (0..BATCH).map(|number| {
            let customer = format!("customer-{:08}", batch * BATCH + number);
            EventData::json("OrderPlaced", &OldOrder { item: "book".to_owned(), euros: number, customer })
        });
        store.append(&stream, ExpectedVersion::Any, placed.collect::<Result<Vec<_>, _>>()?)?;
    }
    Ok(store.close()?)
}

fn ways() -> Outcome<Vec<Way>> {
    let as_struct = |OldOrder { item, euros, customer }| {
        Ok::<_, Invalid>(NewOrder { item, cents: euros * 100, customer })
    };
    let as_value = |mut order: Value| {
        order["cents"] = json!(order["euros"].as_u64().ok_or("an order has a price")? * 100);
        order.as_object_mut().ok_or("an order is an object")?.remove("euros");
        Ok::<_, &str>(order)
    };
    let unused = Upcasters::new().rename("CartFilled", 1, ("ItemAdded", 1))?.knows("ItemAdded", 2)?;
    let way = |name, upcasters, comes_out| Way { name, upcasters, comes_out };
    Ok(vec![
        way("as it is stored", Upcasters::new(), ("OrderPlaced", 1)),
        way("upcasters for other types", unused, ("OrderPlaced", 1)),
        way("a rename", Upcasters::new().rename("OrderPlaced", 1, ("OrderMade", 1))?, ("OrderMade", 1)),
        way("a JSON step, structs", Upcasters::new().json("OrderPlaced", 1, as_struct)?, ("OrderPlaced", 2)),
        way("a JSON step, Value", Upcasters::new().json("OrderPlaced", 1, as_value)?, ("OrderPlaced", 2)),
    ])
}

fn measure(output: &mut impl Write, settings: &Settings, path: &Path) -> Outcome<()> {
    let mut rows = Vec::new();
    for way in ways()? {
        let options = Options::new().upcasters(way.upcasters.clone());
        rows.push((Follower::open_with(path, options)?, way, Vec::new(), Vec::new()));
    }
    for _ in 0..settings.rounds {
        for (follower, way, lent, owned) in &mut rows {
            lent.push(read(follower, way, settings.events, Ownership::Lent)?);
            owned.push(read(follower, way, settings.events, Ownership::Owned)?);
        }
    }
    writeln!(output, "{} events of version 1, nanoseconds an event", settings.events)?;
    writeln!(output, "{:<28} {:>9} {:>9} {:>9} {:>9}", "", "lent", "ratio", "owned", "ratio")?;
    let mut stored = None;
    for (_, way, lent, owned) in &mut rows {
        let (lent, owned) = (median(lent), median(owned));
        let (stored_lent, stored_owned) = *stored.get_or_insert((lent, owned));
        let (times_lent, times_owned) = (lent / stored_lent, owned / stored_owned);
        let name = way.name;
        writeln!(output, "{name:<28} {lent:>9.0} {times_lent:>9.2} {owned:>9.0} {times_owned:>9.2}")?;
    }
    Ok(())
}

/// Nanoseconds an event.
#[allow(clippy::cast_precision_loss, reason = "a time needs no more than 52 bits")]
fn read(follower: &Follower, way: &Way, events: u64, ownership: Ownership) -> Outcome<f64> {
    let begun = Instant::now();
    let mut right = 0_u64;
    match ownership {
        Ownership::Lent => {
            let mut read = follower.read(Query::all());
            while let Some(event) = read.try_next()? {
                right += u64::from((event.event_type, event.schema_version) == way.comes_out);
            }
        }
        Ownership::Owned => {
            for event in follower.read(Query::all()) {
                let event = event?;
                right += u64::from((event.event_type.as_str(), event.schema_version) == way.comes_out);
            }
        }
    }
    let elapsed = begun.elapsed();
    if right != events {
        return Err(format!("{}: {right} of {events} events came as they should", way.name).into());
    }
    Ok(elapsed.as_nanos() as f64 / events as f64)
}
