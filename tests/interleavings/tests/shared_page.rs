//! A follower beside a writer, both in threads that take turns as a seed says: the page that they share wakes whoever
//! sleeps on it, whatever the order. A sleep lasts until it is woken: the second after which a follower looks again by
//! itself never passes here.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of faults behind __")]

use std::{
    collections::HashMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use annals::{
    Delivery, DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, EventData, EventStore,
    ExpectedVersion, FileLock, Follower, LockKind, OpenMode, Options, Position, Query, ShareMode, SharedPage,
    SimDisk, StreamId,
};
use shuttle::{
    Config, Runner, future,
    scheduler::{PctScheduler, RandomScheduler},
    sync::{Condvar, Mutex},
    thread,
};

/// How many orders each test tries, if `ANNALS_ORDERS` doesn't say.
const ORDERS: usize = 150;

const FOR_EVER: Duration = Duration::from_secs(100_000);

/// Runs a program in many orders, as protocol.rs does.
fn check(program: impl Fn() + Send + Sync + 'static) {
    let orders = std::env::var("ANNALS_ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(ORDERS);
    let program = Arc::new(program);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    let (by_chance, by_priority) = (Arc::clone(&program), program);
    Runner::new(RandomScheduler::new(orders), config.clone()).run(move || by_chance());
    Runner::new(PctScheduler::new(3, orders), config).run(move || by_priority());
}

/// A page in memory, at each use of which another thread may come before.
#[derive(Debug)]
struct Page {
    bytes: Mutex<Vec<u8>>,
    woken: Condvar,
}

impl Page {
    fn change<T>(&self, offset: usize, count: usize, change: impl FnOnce(&mut [u8]) -> T) -> T {
        change(&mut self.bytes.lock().expect("nobody panics with it")[offset..offset + count])
    }
}

impl SharedPage for Page {
    fn load_u64(&self, offset: usize) -> u64 {
        self.change(offset, 8, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }

    fn store_u64(&self, offset: usize, number: u64) {
        self.change(offset, 8, |bytes| bytes.copy_from_slice(&number.to_le_bytes()));
    }

    fn load_u32(&self, offset: usize) -> u32 {
        self.change(offset, 4, |bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    fn store_u32(&self, offset: usize, number: u32) {
        self.change(offset, 4, |bytes| bytes.copy_from_slice(&number.to_le_bytes()));
    }

    fn set_bits_u32(&self, offset: usize, bits: u32) -> u32 {
        self.change(offset, 4, |bytes| {
            let before = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            bytes.copy_from_slice(&(before | bits).to_le_bytes());
            before
        })
    }

    fn wait(&self, offset: usize, expected: u32, _timeout: Duration) {
        let bytes = self.bytes.lock().expect("nobody panics with it");
        if bytes[offset..offset + 4] == expected.to_le_bytes() {
            drop(self.woken.wait(bytes));
        }
    }

    fn wake_all(&self, _offset: usize) {
        self.woken.notify_all();
    }
}

/// The simulated disk, but for its pages. A clone is another program's.
#[derive(Debug)]
struct PagedDisk {
    disk: SimDisk,
    pages: Arc<Mutex<HashMap<PathBuf, Arc<Page>>>>,
}

impl PagedDisk {
    fn new() -> Self {
        Self { disk: SimDisk::new(7).mount(), pages: Arc::default() }
    }

    fn of_another_program(&self) -> Self {
        Self { disk: self.disk.mount(), pages: Arc::clone(&self.pages) }
    }
}

impl Disk for PagedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.disk.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.disk.kind(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        self.disk.lock_dir(path)
    }

    fn lock_file(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn FileLock>>> {
        self.disk.lock_file(path, kind)
    }

    fn share(&self, path: &Path, mode: ShareMode) -> io::Result<Arc<dyn SharedPage>> {
        self.disk.share(path, mode)?;
        let bytes = self.disk.read_file(path).ok_or(io::ErrorKind::NotFound)?;
        let mut pages = self.pages.lock().expect("nobody panics with it");
        let page = pages
            .entry(path.to_owned())
            .or_insert_with(|| Arc::new(Page { bytes: Mutex::new(bytes), woken: Condvar::new() }));
        Ok(Arc::clone(page) as _)
    }

    fn boot_id(&self) -> io::Result<u128> {
        self.disk.boot_id()
    }
}

/// A writer and a follower of one store.
fn open() -> (EventStore, Follower) {
    let disk = PagedDisk::new();
    let others = Arc::new(disk.of_another_program());
    let store = EventStore::open_on(Arc::new(disk), "/store", Options::new()).expect("a new store");
    let follower = Follower::open_on(others, "/store", Options::new()).expect("a whole store");
    (store, follower)
}

fn append(store: &EventStore, count: usize) {
    let stream = StreamId::new("order-1").expect("a valid name");
    for _ in 0..count {
        store.append(&stream, ExpectedVersion::Any, [EventData::new("Placed", "{}")]).expect("an append");
    }
}

#[test]
fn a_follower_that_sleeps_is_woken_by_each_append_whatever_the_order() {
    check(|| {
        let (store, follower) = open();
        let following = thread::spawn(move || {
            let mut seen = Position::NONE;
            while seen < Position::new(3) {
                let last = follower.wait_beyond(seen, FOR_EVER).expect("a whole log");
                assert!(last > seen, "nothing new, and no deadline");
                seen = last;
            }
        });
        append(&store, 3);
        following.join().expect("it ends well");
        store.close().expect("a close");
    });
}

#[test]
fn a_task_of_a_follower_is_called_whatever_the_order() {
    check(|| {
        let (store, follower) = open();
        let mut subscription = follower.subscribe(Query::all());
        let task = thread::spawn(move || {
            let mut seen = 0;
            while seen < 2 {
                let delivery =
                    future::block_on(std::future::poll_fn(|context| subscription.poll_delivery(context)));
                seen += u64::from(matches!(delivery, Some(Ok(Delivery::Event(_)))));
            }
            drop(subscription);
            drop(follower);
        });
        append(&store, 2);
        task.join().expect("it ends well");
        // The follower's own thread sleeps on the page until the writer has gone on once more.
        append(&store, 1);
        store.close().expect("a close");
    });
}
