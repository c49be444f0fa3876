//! The parts of the store by themselves: one append, a stream read, everything read, an opening.
//!
//! ```text
//! cargo bench --bench parts
//! ```
//!
//! Appends are `Durability::Buffered`: this measures the engine and not the disk. Each benchmark checks what
//! it reads.

#![allow(missing_docs, reason = "criterion's macros make public functions without any")]

use std::{error::Error, hint::black_box};

use annals::{Durability, EventStore, ExpectedVersion, Options, StreamId};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tempfile::TempDir;

use crate::event::event;

#[path = "support/event.rs"]
mod event;

const STREAMS: usize = 1_000;
const EVENTS_A_STREAM: usize = 100;
const EVENTS: u64 = (STREAMS * EVENTS_A_STREAM) as u64;

fn name(stream: usize) -> StreamId {
    StreamId::new(format!("order-{stream:08}")).expect("a valid name")
}

fn open(directory: &TempDir) -> annals::Result<EventStore> {
    EventStore::open_with(directory.path().join("store"), Options::new().durability(Durability::Buffered))
}

/// A store of 100,000 events, the streams' events scattered over the log.
fn filled(directory: &TempDir) -> annals::Result<EventStore> {
    let store = open(directory)?;
    for _ in 0..EVENTS_A_STREAM {
        let pending: annals::Result<Vec<_>> =
            (0..STREAMS).map(|stream| store.submit(&name(stream), ExpectedVersion::Any, [event()])).collect();
        for append in pending? {
            append.wait()?;
        }
    }
    Ok(store)
}

fn count(mut events: annals::Events) -> annals::Result<u64> {
    let mut count = 0;
    while let Some(event) = events.try_next()? {
        black_box(event.data);
        count += 1;
    }
    Ok(count)
}

fn parts(criterion: &mut Criterion) {
    run(criterion).expect("the temporary directory takes a store");
}

fn run(criterion: &mut Criterion) -> Result<(), Box<dyn Error + Send + Sync>> {
    let directory = tempfile::tempdir()?;
    let store = filled(&directory)?;
    let mut group = criterion.benchmark_group("parts");

    group.throughput(Throughput::Elements(1));
    let stream = name(STREAMS);
    group.bench_function("append, buffered, 1 event", |bencher| {
        bencher.iter_batched(
            event,
            |event| store.append(&stream, ExpectedVersion::Any, [event]).expect("an append"),
            BatchSize::SmallInput,
        );
    });

    group.throughput(Throughput::Elements(EVENTS_A_STREAM as u64));
    let mut next = 0;
    group.bench_function("read a stream of 100 events, scattered", |bencher| {
        bencher.iter(|| {
            next = (next + 7_919) % STREAMS;
            let found = count(store.read_stream(&name(next))).expect("a whole store");
            assert_eq!(found, EVENTS_A_STREAM as u64);
        });
    });
    drop(store);

    let directory = tempfile::tempdir()?;
    let store = filled(&directory)?;
    group.throughput(Throughput::Elements(EVENTS));
    group.sample_size(20);
    group.bench_function("read everything, 100,000 events", |bencher| {
        bencher.iter(|| assert_eq!(count(store.read_all()).expect("a whole store"), EVENTS));
    });

    store.close()?;
    group.bench_function("open, 100,000 events", |bencher| {
        bencher.iter(|| assert_eq!(open(&directory).expect("a closed store").last_position().get(), EVENTS));
    });
    group.finish();
    Ok(())
}

criterion_group!(benches, parts);
criterion_main!(benches);
