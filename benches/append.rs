//! Appends a second, beside the raw disk in the same run.
//!
//! ```text
//! cargo bench --bench append -- [--seconds N] [--rounds N] [--directory DIR] [--only 'NAME|NAME'] [--short]
//! ```
//!
//! Events have about 200 bytes of JSON data, 57 of metadata and a stream name of 14 bytes; every append names
//! the version that it expects. "raw" is what the disk itself does: a pwrite of the same frame into a file
//! that was filled with zeros before, and an fdatasync. Each row is the median of its rounds; the rows of a
//! round run one after the other, so that a noisy moment meets all of them alike. After each row the store is
//! read whole, and must hold exactly what was acknowledged.

#![allow(clippy::disallowed_methods, reason = "the raw disk is what this compares with")]

use std::{
    error::Error,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use annals::{Durability, EventData, EventStore, Options, StreamId, Version};

use crate::{in_flight::InFlight, median::median, options::CommandLine, rate::rate};

#[path = "support/in_flight.rs"]
mod in_flight;
#[path = "support/median.rs"]
mod median;
#[path = "support/options.rs"]
mod options;
#[path = "support/rate.rs"]
mod rate;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// What one frame with one of these events takes on the disk, in bytes.
const RAW_FRAME_BYTES: usize = 448;

#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    Raw,
    Append { durability: Durability, callers: usize, batch: usize },
    Submit { durability: Durability },
}

const ROWS: &[Row] = &[
    Row { name: "raw disk: pwrite + fdatasync", work: Work::Raw },
    Row { name: "durable, 1 caller", work: append(Durability::Fsync, 1, 1) },
    Row { name: "durable, 2 callers", work: append(Durability::Fsync, 2, 1) },
    Row { name: "durable, 16 callers", work: append(Durability::Fsync, 16, 1) },
    Row { name: "durable, 64 callers", work: append(Durability::Fsync, 64, 1) },
    Row { name: "buffered, 1 caller", work: append(Durability::Buffered, 1, 1) },
    Row { name: "buffered, 64 callers", work: append(Durability::Buffered, 64, 1) },
    Row { name: "buffered, submit", work: Work::Submit { durability: Durability::Buffered } },
    Row { name: "buffered, 1 caller, 10 events an append", work: append(Durability::Buffered, 1, 10) },
];

const fn append(durability: Durability, callers: usize, batch: usize) -> Work {
    Work::Append { durability, callers, batch }
}

struct Settings {
    duration: Duration,
    rounds: usize,
    directory: PathBuf,
    only: Option<String>,
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    fs::create_dir_all(&settings.directory)?;
    let rows: Vec<Row> = ROWS
        .iter()
        .filter(|row| {
            settings.only.as_ref().is_none_or(|only| only.split('|').any(|part| row.name.contains(part)))
        })
        .copied()
        .collect();
    let mut rates = vec![Vec::new(); rows.len()];
    for _ in 0..settings.rounds {
        for (row, rates) in rows.iter().zip(&mut rates) {
            rates.push(measure(row.work, &settings)?);
        }
    }
    let mut output = io::stdout().lock();
    writeln!(output, "{:<42} {:>12} {:>10} {:>14}", "events a second", "median", "x raw", "x 1 durable")?;
    let medians: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    let of = |name: &str| rows.iter().position(|row| row.name == name).map(|index| medians[index]);
    let ratio = |rate: f64, to: Option<f64>| to.map_or("-".to_owned(), |to| format!("{:.2}", rate / to));
    for (row, rate) in rows.iter().zip(&medians) {
        let (raw, durable) = (ratio(*rate, of(ROWS[0].name)), ratio(*rate, of(ROWS[1].name)));
        writeln!(output, "{:<42} {rate:>12.0} {raw:>10} {durable:>14}", row.name)?;
    }
    Ok(())
}

fn settings() -> Outcome<Settings> {
    let mut line = CommandLine::given();
    let (duration, rounds) =
        if line.is_short { (Duration::from_millis(50), 1) } else { (Duration::from_secs(2), 5) };
    let mut settings = Settings { duration, rounds, directory: options::directory(), only: None };
    while let Some(option) = line.next() {
        match option.as_str() {
            "--seconds" => settings.duration = Duration::from_secs_f64(line.value()?),
            "--rounds" => settings.rounds = line.value()?,
            "--directory" => settings.directory = line.value()?,
            "--only" => settings.only = Some(line.value()?),
            _ => return line.unknown(),
        }
    }
    Ok(settings)
}

/// Events a second.
fn measure(work: Work, settings: &Settings) -> Outcome<f64> {
    let directory = tempfile::tempdir_in(&settings.directory)?;
    match work {
        Work::Raw => raw(directory.path(), settings.duration),
        Work::Append { durability, callers, batch } => with_store(directory.path(), durability, |store| {
            let counts: Vec<u64> = thread::scope(|scope| {
                let threads: Vec<_> = (0..callers)
                    .map(|caller| scope.spawn(move || call(store, caller, batch, settings.duration)))
                    .collect();
                let join = |thread: thread::ScopedJoinHandle<'_, Outcome<u64>>| {
                    thread.join().map_err(|_| "a caller panicked")?
                };
                threads.into_iter().map(join).collect::<Outcome<_>>()
            })?;
            Ok(counts.iter().sum())
        }),
        Work::Submit { durability } => {
            with_store(directory.path(), durability, |store| submit(store, settings.duration))
        }
    }
}

/// Runs a workload, and checks that the store holds what it says.
fn with_store(
    directory: &Path,
    durability: Durability,
    work: impl FnOnce(&EventStore) -> Outcome<u64>,
) -> Outcome<f64> {
    let store = EventStore::open_with(directory.join("store"), Options::new().durability(durability))?;
    let begun = Instant::now();
    let events = work(&store)?;
    let elapsed = begun.elapsed();
    let mut cursor = store.read_all();
    let mut found = 0;
    while cursor.try_next()?.is_some() {
        found += 1;
    }
    if found != events {
        return Err(format!("{events} events were acknowledged, and {found} are there").into());
    }
    store.close()?;
    Ok(rate(events, elapsed))
}

fn raw(directory: &Path, duration: Duration) -> Outcome<f64> {
    let path = directory.join("raw");
    let file = OpenOptions::new().create_new(true).read(true).write(true).open(path)?;
    file.write_all_at(&vec![0; 64 << 20], 0)?;
    file.sync_all()?;
    let frame = [7; RAW_FRAME_BYTES];
    let begun = Instant::now();
    let mut frames = 0;
    while begun.elapsed() < duration {
        file.write_all_at(&frame, frames * RAW_FRAME_BYTES as u64 % (63 << 20))?;
        file.sync_data()?;
        frames += 1;
    }
    Ok(rate(frames, begun.elapsed()))
}

fn event() -> EventData {
    const DATA: &str = r#"{"orderId":"6f1c2a34-90ab-4def-8123-456789abcdef","item":"a book on event sourcing","quantity":3,"priceCents":4999,"currency":"EUR","customer":"c-48213","note":"gift wrapped, deliver to the back"}"#;
    const METADATA: &str = r#"{"correlationId":"c-1234567890abcdef","userId":"u-48213"}"#;
    EventData::new("OrderPlaced", DATA)
        .with_content_type(annals::ContentType::JSON)
        .with_metadata_bytes(METADATA, annals::ContentType::JSON)
}

/// One caller, who waits for each append.
fn call(store: &EventStore, caller: usize, batch: usize, duration: Duration) -> Outcome<u64> {
    let stream = StreamId::new(format!("order-{caller:08}"))?;
    let begun = Instant::now();
    let mut version = Version::NONE;
    while begun.elapsed() < duration {
        version = store.append(&stream, version, (0..batch).map(|_| event()))?.version;
    }
    Ok(version.get())
}

/// One caller, who hands over many appends before it waits for the first.
fn submit(store: &EventStore, duration: Duration) -> Outcome<u64> {
    let stream = StreamId::new("order-00000000")?;
    let begun = Instant::now();
    let mut pending = InFlight::new();
    let mut version = 0;
    while begun.elapsed() < duration {
        pending.make_room()?;
        pending.add(store.submit(&stream, Version::new(version), [event()])?);
        version += 1;
    }
    pending.wait_for_all()?;
    Ok(version)
}
