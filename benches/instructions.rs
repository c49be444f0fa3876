//! One piece of work, done a given number of times, for a program that counts instructions.
//!
//! ```text
//! cargo bench --bench instructions -- WORK TIMES
//! ```
//!
//! `benches/instructions/compare` runs it under callgrind with two numbers of times; what differs is the cost of
//! the work alone, to which noise of the machine adds nothing. Each work checks its answer.

use std::error::Error;

use annals::{Durability, EventStore, Events, ExpectedVersion, Invalid, Options, StreamId};

use crate::event::event;

#[path = "support/event.rs"]
mod event;

const STREAMS: u64 = 10;
const EVENTS_A_STREAM: u64 = 100;
const BATCH_EVENTS: u64 = 10;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // Without any, as `cargo test --benches` runs it: each work once.
    let [work, times] = arguments.as_slice() else {
        return ["append", "append-batch", "submit", "read-stream", "read-all"]
            .into_iter()
            .try_for_each(|work| run(work, 1));
    };
    run(work, times.parse()?)
}

fn run(work: &str, times: u64) -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    // Nobody looks around before it sleeps where appends wait for the disk: the count doesn't depend on the clock.
    let options = Options::new().durability(Durability::Fsync);
    let store = EventStore::open_with(directory.path().join("store"), options)?;
    match work {
        "append" => append(&store, times, 1)?,
        "append-batch" => append(&store, times, BATCH_EVENTS)?,
        "submit" => submit(&store, times)?,
        "read-stream" => {
            fill(&store)?;
            for time in 0..times {
                expect(EVENTS_A_STREAM, count(store.read_stream(&name(time % STREAMS)?))?)?;
            }
        }
        "read-all" => {
            fill(&store)?;
            for _ in 0..times {
                expect(STREAMS * EVENTS_A_STREAM, count(store.read_all())?)?;
            }
        }
        other => return Err(format!("there is no work {other}").into()),
    }
    store.close()?;
    Ok(())
}

fn append(store: &EventStore, times: u64, batch_events: u64) -> Outcome<()> {
    let stream = name(0)?;
    for time in 0..times {
        let expected = ExpectedVersion::Exact((time * batch_events).into());
        store.append(&stream, expected, (0..batch_events).map(|_| event()))?;
    }
    expect(times * batch_events, store.last_position().get())
}

fn submit(store: &EventStore, times: u64) -> Outcome<()> {
    let stream = name(0)?;
    let pending: annals::Result<Vec<_>> = (0..times)
        .map(|time| store.submit(&stream, ExpectedVersion::Exact(time.into()), [event()]))
        .collect();
    for append in pending? {
        append.wait()?;
    }
    expect(times, store.last_position().get())
}

/// The streams' events are scattered over the log.
fn fill(store: &EventStore) -> Outcome<()> {
    for _ in 0..EVENTS_A_STREAM {
        for stream in 0..STREAMS {
            store.append(&name(stream)?, ExpectedVersion::Any, [event()])?;
        }
    }
    Ok(())
}

fn name(stream: u64) -> Result<StreamId, Invalid> {
    StreamId::new(format!("order-{stream:08}"))
}

fn count(mut events: Events) -> annals::Result<u64> {
    let mut count = 0;
    while let Some(event) = events.try_next()? {
        assert_eq!(event.data.len(), 200, "the data that was appended");
        count += 1;
    }
    Ok(count)
}

fn expect(expected: u64, found: u64) -> Outcome<()> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{expected} events were expected, and {found} are there").into())
    }
}
