//! What ids that callers give cost: on the way of an append, and when it is repeated.
//!
//! ```text
//! cargo bench --bench ids -- [--events N] [--appends N] [--rounds N] [--directory DIR] [--short]
//! ```
//!
//! *Retries*: a stream of `--events` events with ids of their caller's, after closing and opening. Its first events are
//! appended again, one, ten and a hundred at a time, and those of its middle and its end; each time the answer must
//! name the versions and positions of the first time, and nothing may be written.
//!
//! *Appends*: one caller submits `--appends` events, with 4,096 on their way, to a stream that has events in 1, 10 and 50
//! segments before. Each must be looked for in all of them before it is stored, if its caller gave it an id; where the
//! store makes the ids, nothing is looked for. The two take turns, and each figure is the median of the rounds. The
//! ids are UUIDs made by counting, so that what the caller pays for making them doesn't count.

use std::{
    error::Error,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use annals::{
    Durability, EventData, EventStore, ExpectedVersion, Options, SEGMENT_BYTES_MIN, StreamId, Version,
};
use uuid::Uuid;

use crate::{
    event::event, in_flight::InFlight, median::median, options::CommandLine, percentile::percentile,
    rate::rate,
};

#[path = "support/event.rs"]
mod event;
#[path = "support/in_flight.rs"]
mod in_flight;
#[path = "support/median.rs"]
mod median;
#[path = "support/options.rs"]
mod options;
#[path = "support/percentile.rs"]
mod percentile;
#[path = "support/rate.rs"]
mod rate;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How many events an append of the long stream has.
const BATCH: u64 = 1_000;

/// How often each retry is made.
const RETRIES: usize = 500;

/// How many segments the stream is in before it is appended to.
const SEGMENTS: [u64; 3] = [1, 10, 50];

struct Settings {
    events: u64,
    appends: u64,
    rounds: usize,
    directory: PathBuf,
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    std::fs::create_dir_all(&settings.directory)?;
    let mut output = io::stdout().lock();
    retries(&mut output, &settings)?;
    appends(&mut output, &settings)
}

fn settings() -> Outcome<Settings> {
    let mut line = CommandLine::given();
    let (events, appends, rounds) =
        if line.is_short { (2 * BATCH, 1_000, 1) } else { (1_000_000, 200_000, 5) };
    let mut settings = Settings { events, appends, rounds, directory: options::directory() };
    while let Some(option) = line.next() {
        match option.as_str() {
            "--events" => settings.events = line.value()?,
            "--appends" => settings.appends = line.value()?,
            "--rounds" => settings.rounds = line.value()?,
            "--directory" => settings.directory = line.value()?,
            _ => return line.unknown(),
        }
    }
    if settings.events < 2 * BATCH || settings.rounds == 0 {
        return Err(format!("there are {} events at least, and one round", 2 * BATCH).into());
    }
    Ok(settings)
}

fn event_with_id(number: u64) -> EventData {
    event().with_id(Uuid::from_u128(u128::from(number)))
}

fn open(path: &Path, segment_bytes: Option<u64>) -> annals::Result<EventStore> {
    let options = Options::new().durability(Durability::Buffered);
    EventStore::open_with(path, segment_bytes.into_iter().fold(options, Options::segment_bytes))
}

/// How long an append takes that was made before.
fn retries(output: &mut impl Write, settings: &Settings) -> Outcome<()> {
    let directory = tempfile::tempdir_in(&settings.directory)?;
    let path = directory.path().join("store");
    let stream = StreamId::new("order-00000000")?;
    let store = open(&path, None)?;
    let batches = settings.events / BATCH;
    for batch in 0..batches {
        let events = (batch * BATCH..(batch + 1) * BATCH).map(event_with_id);
        store.append(&stream, Version::new(batch * BATCH), events)?;
    }
    store.close()?;
    let store = open(&path, None)?;
    let before = store.info()?;
    writeln!(output, "a stream of {} events, {} segments, opened again", batches * BATCH, before.segments)?;
    writeln!(output, "{:<34} {:>12} {:>12} {:>12}", "retry", "first", "median", "p99")?;
    let places = [("start", 0), ("middle", batches / 2 * BATCH), ("end", (batches - 1) * BATCH)];
    for (place, from) in places {
        for count in [1, 10, 100] {
            let mut times = Vec::with_capacity(RETRIES);
            for _ in 0..RETRIES {
                let events: Vec<EventData> = (from..from + count).map(event_with_id).collect();
                let begun = Instant::now();
                let appended = store.append(&stream, Version::new(from), events)?;
                times.push(begun.elapsed());
                let reached = (appended.repeated, appended.first_version.get(), appended.position.get());
                if reached != (true, from + 1, from + count) {
                    return Err(format!("the retry reached {appended:?}").into());
                }
            }
            let first = times[0];
            times.sort_unstable();
            let (median, p99) = (percentile(&times, 50), percentile(&times, 99));
            let name = format!("{count} from its {place}");
            writeln!(output, "{name:<34} {:>12} {:>12} {:>12}", micros(first), micros(median), micros(p99))?;
        }
    }
    if store.info()? != before {
        return Err("a retry has written something".into());
    }
    Ok(())
}

fn micros(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}

/// Events a second, with ids of the caller's and of the store's.
fn appends(output: &mut impl Write, settings: &Settings) -> Outcome<()> {
    writeln!(output)?;
    writeln!(
        output,
        "{:<34} {:>12} {:>12} {:>12}",
        "buffered, submit, events a second", "store's ids", "given ids", "ratio"
    )?;
    for segments in SEGMENTS {
        let (mut made, mut given) = (Vec::new(), Vec::new());
        for round in 0..settings.rounds {
            // What comes second may meet a disk that is still busy with the first.
            let mut kinds = [(false, &mut made), (true, &mut given)];
            if round % 2 == 1 {
                kinds.reverse();
            }
            for (gives_ids, rates) in kinds {
                rates.push(measure(settings, segments, gives_ids)?);
            }
        }
        let (made, given) = (median(&mut made), median(&mut given));
        let name = format!("a stream in {segments} segments");
        writeln!(output, "{name:<34} {made:>12.0} {given:>12.0} {:>12.2}", given / made)?;
    }
    Ok(())
}

/// How many events a second one caller submits to a stream that is in so many segments.
fn measure(settings: &Settings, segments: u64, gives_ids: bool) -> Outcome<f64> {
    let directory = tempfile::tempdir_in(&settings.directory)?;
    let path = directory.path().join("store");
    let stream = StreamId::new("order-00000000")?;
    let mut version = scatter(&path, &stream, segments)?;
    // What is measured fits into one segment more.
    let store = open(&path, Some(1 << 30))?;
    let mut pending = InFlight::new();
    let last = version + settings.appends;
    let begun = Instant::now();
    while version < last {
        pending.make_room()?;
        let event = if gives_ids { event_with_id(version) } else { event() };
        pending.add(store.submit(&stream, Version::new(version), [event])?);
        version += 1;
    }
    pending.wait_for_all()?;
    let elapsed = begun.elapsed();
    let found = store.stream_version(&stream)?.get();
    if found != last {
        return Err(format!("{last} events were acknowledged, and {found} are there").into());
    }
    store.close()?;
    Ok(rate(settings.appends, elapsed))
}

/// Makes a store whose stream has events with given ids in so many segments, and others have some too. Returns the
/// stream's version.
fn scatter(path: &Path, stream: &StreamId, segments: u64) -> Outcome<u64> {
    let store = open(path, Some(16 * SEGMENT_BYTES_MIN))?;
    let other = StreamId::new("order-00000001")?;
    let mut version = 0;
    for segment in 1..=segments {
        store.append(stream, Version::new(version), (version..version + 10).map(event_with_id))?;
        version += 10;
        while store.info()?.segments == segment {
            store.append(&other, ExpectedVersion::Any, [event()])?;
        }
    }
    store.close()?;
    Ok(version)
}
