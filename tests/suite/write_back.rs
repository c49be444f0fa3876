//! What is being written to the disk isn't written again meanwhile: in `Fsync` mode each page of a segment waits for its sync.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, ThreadId},
    time::{Duration, Instant},
};

use annals::{Durability, EventData, EventStore, ExpectedVersion, Options};

use crate::{
    support::{Outcome, stream},
    watched_disk::{WatchedDisk, Watcher},
};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

const PAGE_BYTES: u64 = 4096;

/// The pages of a store's only segment that no sync has made durable yet.
#[derive(Default, Debug)]
struct Pages {
    is_open: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default, Debug)]
struct State {
    /// How many writes there were, and which was the last one of each page.
    writes: u64,
    dirty: HashMap<u64, u64>,
    /// How many writes there were before the sync that a thread is at.
    syncing: HashMap<ThreadId, u64>,
    /// How many zeros were written.
    zeros: u64,
    written_again: Vec<u64>,
}

impl Pages {
    fn zeros(&self) -> u64 {
        self.state.lock().expect("no test panics with it").zeros
    }
}

impl Watcher for Pages {
    fn segment_writes(&self, bytes: &[u8], offset: u64) {
        if !self.is_open.load(Ordering::SeqCst) {
            return;
        }
        let mut state = self.state.lock().expect("no test panics with it");
        state.writes += 1;
        let write = state.writes;
        if bytes.iter().all(|byte| *byte == 0) {
            state.zeros += bytes.len() as u64;
        }
        for page in offset / PAGE_BYTES..(offset + bytes.len() as u64).div_ceil(PAGE_BYTES) {
            if state.dirty.insert(page, write).is_some() {
                state.written_again.push(page);
            }
        }
    }

    fn segment_grows(&self, end: u64) {
        let mut state = self.state.lock().expect("no test panics with it");
        let write = state.writes;
        // Some file systems write zeros behind the end in its page (ext4 of Linux 6.13).
        if self.is_open.load(Ordering::SeqCst) && !end.is_multiple_of(PAGE_BYTES) {
            state.dirty.insert(end / PAGE_BYTES, write + 1);
            state.writes += 1;
        }
    }

    fn segment_syncs(&self) {
        let mut state = self.state.lock().expect("no test panics with it");
        let writes = state.writes;
        state.syncing.insert(thread::current().id(), writes);
    }

    fn segment_synced(&self) {
        let mut state = self.state.lock().expect("no test panics with it");
        if let Some(before) = state.syncing.remove(&thread::current().id()) {
            state.dirty.retain(|_, write| *write > before);
        }
    }
}

#[test]
fn no_page_of_a_segment_is_written_again_before_it_is_synced__F03() -> Outcome {
    for append_bytes in [100, 5_000, 300_000, 2_000_000] {
        let directory = tempfile::tempdir()?;
        let pages = Arc::new(Pages::default());
        let disk = WatchedDisk(Arc::clone(&pages));
        let options = Options::new().durability(Durability::Fsync);
        let store = EventStore::open_on(Arc::new(disk), directory.path().join("store"), options)?;
        pages.is_open.store(true, Ordering::SeqCst);
        let order = stream("order-1");
        let begun = Instant::now();
        let mut rounds = 0;
        while rounds < 30 || pages.zeros() == 0 {
            rounds += 1;
            assert!(begun.elapsed() < PATIENCE, "the file is never prepared");
            let pending: Vec<_> = (0..4)
                .map(|_| {
                    store.submit(
                        &order,
                        ExpectedVersion::Any,
                        [EventData::new("Large", vec![1; append_bytes / 4])],
                    )
                })
                .collect::<Result<_, _>>()?;
            for append in pending {
                append.wait()?;
            }
        }
        pages.is_open.store(false, Ordering::SeqCst);
        store.close()?;
        let state = mem::take(&mut *pages.state.lock().expect("no test panics with it"));
        assert_eq!(state.written_again, [0_u64; 0], "{append_bytes} bytes");
    }
    Ok(())
}
