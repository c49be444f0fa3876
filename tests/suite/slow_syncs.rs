//! A disk whose syncs take long: what is written and not synced is bounded, and so is what waits.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use annals::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, Durability, EntryKind, Error, EventData, EventStore,
    ExpectedVersion, Mapping, OpenMode, Options, OsDisk, PendingAppend,
};

use crate::support::{Outcome, stream};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

/// How much may be written and not synced in `Buffered` mode, in bytes: docs/durability.md.
const UNSYNCED_BYTES_MAX: u64 = 32 << 20;

const APPEND_BYTES: usize = 512 << 10;
const QUEUE_BYTES: usize = 4 << 20;

/// The operating system's disk, whose syncs of segments stand still while a gate is closed.
#[derive(Clone, Default, Debug)]
struct SlowDisk {
    gate: Arc<Gate>,
}

#[derive(Default, Debug)]
struct Gate {
    is_closed: Mutex<bool>,
    opened: Condvar,
    /// How much was written to segments since the gate was closed.
    written_bytes: AtomicU64,
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

impl Disk for SlowDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        OsDisk.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        OsDisk.kind(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = OsDisk.open(path, mode)?;
        if path.extension() != Some("log".as_ref()) {
            return Ok(file);
        }
        Ok(Arc::new(SlowFile { file, gate: Arc::clone(&self.gate) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsDisk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        OsDisk.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        OsDisk.lock_dir(path)
    }
}

#[derive(Debug)]
struct SlowFile {
    file: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
}

impl DiskFile for SlowFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        // Zeros are what the background prepares the file with.
        if bytes.iter().any(|byte| *byte != 0) {
            self.gate.written_bytes.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        }
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.gate.pass();
        self.file.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.file.allocate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn map(&self, capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        self.file.map(capacity)
    }
}

/// Hands over appends while the gate is closed, until the queue is full and so much was written. The gate is open
/// again then, and all that was taken is answered.
fn fill(durability: Durability, written_bytes: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let disk = SlowDisk::default();
    let gate = Arc::clone(&disk.gate);
    let options = Options::new().durability(durability).queue_bytes_max(QUEUE_BYTES);
    let store = EventStore::open_on(Arc::new(disk), directory.path().join("store"), options)?;
    let order = stream("order-1");
    let submit = || {
        let large = EventData::new("Large", vec![1; APPEND_BYTES]);
        store.try_submit(&order, ExpectedVersion::Any, [large])
    };
    // The EPOCH is synced before.
    submit()?.wait()?;
    gate.close();
    let mut pending: Vec<PendingAppend> = Vec::new();
    let begun = Instant::now();
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
    let written = fill(Durability::Buffered, UNSYNCED_BYTES_MAX)?;
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
