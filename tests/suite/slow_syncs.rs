//! A disk whose syncs take long: what is written and not synced is bounded, and so is what waits.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use annals::{Durability, Error, EventData, EventStore, ExpectedVersion, Options, PendingAppend};

use crate::{
    support::{Outcome, stream},
    watched_disk::{WatchedDisk, Watcher},
};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much may be written and not synced in `Buffered` mode, in bytes: docs/durability.md.
const UNSYNCED_BYTES_MAX: u64 = 32 << 20;

const APPEND_BYTES: usize = 512 << 10;
const QUEUE_BYTES: usize = 4 << 20;

/// Where syncs of segments stand still while it is closed.
#[derive(Default, Debug)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
    /// How much was written to segments since the gate was closed.
    written_bytes: AtomicU64,
    zeros_written: AtomicBool,
    zeros_synced: AtomicBool,
}

impl Gate {
    fn close(&self) {
        *self.is_closed.lock().expect("no test panics with it") = true;
        self.written_bytes.store(0, Ordering::SeqCst);
    }

    fn open(&self) {
        *self.is_closed.lock().expect("no test panics with it") = false;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_closed = self.is_closed.lock().expect("no test panics with it");
        drop(self.opened.wait_while(is_closed, |is_closed| *is_closed));
    }
}

/// Opens the gate in the end, also where a test fails: a store isn't closed before its writer has ended.
struct OpenInTheEnd(Arc<Gate>);

impl Drop for OpenInTheEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Watcher for Gate {
    fn segment_writes(&self, bytes: &[u8], _offset: u64) {
        // Zeros are what the background prepares the file with.
        if bytes.iter().any(|byte| *byte != 0) {
            self.written_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        } else {
            self.zeros_written.store(true, Ordering::SeqCst);
        }
    }

    fn segment_syncs(&self) {
        self.pass();
    }

    fn segment_synced(&self) {
        self.zeros_synced.fetch_or(self.zeros_written.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// Hands over appends while the gate is closed, until the queue is full and so much was written. The gate is open
/// again then, and all that was taken is answered.
fn fill(durability: Durability, written_bytes: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let gate = Arc::new(Gate::default());
    let disk = WatchedDisk(Arc::clone(&gate));
    let options = Options::new().durability(durability).queue_bytes_max(QUEUE_BYTES);
    let store = EventStore::open_on(Arc::new(disk), directory.path().join("store"), options)?;
    // Dropped before the store.
    let _end = OpenInTheEnd(Arc::clone(&gate));
    let order = stream("order-1");
    let submit = || {
        let large = EventData::new("Large", vec![1; APPEND_BYTES]);
        store.try_submit(&order, ExpectedVersion::Any, [large])
    };
    // The EPOCH is synced before.
    submit()?.wait()?;
    let begun = Instant::now();
    // Or the writer could come to where the file is prepared, and wait for that in place of its own sync.
    while !gate.zeros_synced.load(Ordering::SeqCst) {
        assert!(begun.elapsed() < PATIENCE, "the file is never prepared");
        thread::yield_now();
    }
    gate.close();
    let mut pending: Vec<PendingAppend> = Vec::new();
    loop {
        match submit() {
            Ok(taken) => pending.push(taken),
            Err(Error::QueueFull) if gate.written_bytes.load(Ordering::SeqCst) >= written_bytes => break,
            Err(Error::QueueFull) => thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
        assert!(begun.elapsed() < PATIENCE, "the queue never fills");
    }
    // Whatever the writer may still do, it does before it has to wait for the sync.
    while pending.iter().filter(|pending| !pending.is_done()).count() * APPEND_BYTES > 2 * QUEUE_BYTES {
        assert!(begun.elapsed() < PATIENCE, "more waits than the queue has room for");
        thread::yield_now();
    }
    let written = gate.written_bytes.load(Ordering::SeqCst);
    gate.open();
    let count = pending.len() as u64 + 1;
    for pending in pending {
        pending.wait()?;
    }
    assert_eq!(store.last_position().get(), count);
    store.close()?;
    Ok(written)
}

#[test]
fn appends_wait_where_more_is_unsynced_than_may_be__F15() -> Outcome {
    // The append before the gate was closed counts too.
    let written = fill(Durability::Buffered, UNSYNCED_BYTES_MAX - (1 << 20))?;
    // The frame with which the bound is passed is the last.
    let most = UNSYNCED_BYTES_MAX + (2 << 20);
    assert!(written <= most, "{written} bytes are written and not synced");
    Ok(())
}

#[test]
fn while_a_sync_takes_long_no_more_waits_than_the_queue_has_room_for__F15() -> Outcome {
    let written = fill(Durability::Fsync, 1)?;
    assert!(written <= 2 << 20, "{written} bytes are written in one frame");
    Ok(())
}
