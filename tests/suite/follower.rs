//! Followers: reading a store beside its writer, in the same process and in another, and without one.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    thread,
    time::Duration,
};

use annals::{
    Creation, Delivery, Durability, Error, EventData, EventStore, ExpectedVersion, Follower, Options,
    Position, Query, ReadMode, SEGMENT_BYTES_MIN, SimDisk, StoredEvent, StreamId, Subscription,
};

use crate::{
    random::Random,
    support::{Outcome, all, buffered, event, events, positions, small_segments, store_with, stream, types},
};

/// How long a test waits for something that must happen.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// Every file below a directory, with its bytes.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.append(&mut files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).expect("a file"));
        }
    }
    found
}

#[test]
fn a_follower_sees_what_is_acknowledged_at_once_and_across_segments() -> Outcome {
    for options in [Options::new(), small_segments(), Options::new().segment_bytes(SEGMENT_BYTES_MIN)] {
        for read in [ReadMode::Mapped, ReadMode::Pread] {
            let store = store_with(options.clone());
            let follower = Follower::open_with(store.path(), Options::new().read(read))?;
            assert_eq!(follower.last_position(), Position::NONE);
            for number in 1..=60 {
                store.append(&stream("order-1"), ExpectedVersion::Any, events(number, 1))?;
                assert_eq!(follower.last_position(), Position::new(number));
            }
            let expected: Vec<String> = (1..=60).map(|number| number.to_string()).collect();
            assert_eq!(types(follower.read_stream(&stream("order-1"))), expected);
            assert_eq!(all(follower.read_all()), all(store.read_all()));
            assert_eq!(follower.stream_version(&stream("order-1"))?.get(), 60);
            let late = Follower::open(store.path())?;
            assert_eq!(all(late.read_all()), all(store.read_all()), "one that comes late sees the same");
        }
    }
    Ok(())
}

#[test]
fn a_segment_that_outgrows_its_map_is_followed() -> Outcome {
    let store = store_with(buffered().segment_bytes(256 << 20));
    let follower = Follower::open(store.path())?;
    let mut cursor = None;
    for number in 1..=10_u8 {
        let data = vec![number; 12 << 20];
        store.append(&stream("a"), ExpectedVersion::Any, [EventData::new("Large", data)])?;
        // This one keeps the map that it began with, and goes over to the next.
        let events = cursor.get_or_insert_with(|| follower.read(Query::all().limit(1)));
        events.try_next()?;
        let last = follower.read(Query::all().backwards().limit(1)).next().expect("an event")?;
        assert_eq!((last.position.get(), last.data[0]), (u64::from(number), number));
    }
    assert_eq!(positions(follower.read_all()), (1..=10).collect::<Vec<u64>>());
    Ok(())
}

#[test]
fn a_follower_outlives_writers_and_notices_new_ones() -> Outcome {
    let (store, _directory) = store_with(buffered()).into_parts();
    let path = store.path().to_owned();
    store.append(&stream("a"), ExpectedVersion::Any, events(1, 3))?;
    store.close()?;
    let follower = Follower::open(&path)?;
    assert_eq!(follower.last_position(), Position::new(3), "no writer is alive");
    for round in 1..=3 {
        let store = EventStore::open(&path)?;
        store.append(&stream("a"), ExpectedVersion::Any, events(4, 1))?;
        assert_eq!(follower.wait_beyond(Position::new(2 + round), PATIENCE)?, Position::new(3 + round));
        store.close()?;
        assert_eq!(follower.last_position(), Position::new(3 + round));
    }
    Ok(())
}

#[test]
fn who_waits_is_woken_by_the_next_commit_or_by_the_end_of_its_time() -> Outcome {
    let store = store_with(buffered());
    let follower = Arc::new(Follower::open(store.path())?);
    assert_eq!(follower.wait_beyond(Position::NONE, Duration::ZERO)?, Position::NONE);
    assert_eq!(follower.wait_beyond(Position::NONE, Duration::from_millis(3))?, Position::NONE);
    thread::scope(|scope| -> Outcome {
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| -> annals::Result<Vec<u64>> {
                    let mut seen = Vec::new();
                    while seen.len() < 200 {
                        let last = seen.last().copied().unwrap_or(0);
                        follower.wait_beyond(Position::new(last), PATIENCE)?;
                        seen.extend(positions(follower.read(Query::all().after(Position::new(last)))));
                    }
                    Ok(seen)
                })
            })
            .collect();
        for number in 1..=200 {
            store.append(&stream("a"), ExpectedVersion::Any, events(number, 1))?;
        }
        for waiter in waiters {
            let seen = waiter.join().map_err(|_| "it panicked")??;
            assert_eq!(seen, (1..=200).collect::<Vec<u64>>());
        }
        Ok(())
    })
}

#[test]
fn a_follower_changes_no_byte_and_keeps_no_writer_out() -> Outcome {
    let (store, _directory) = store_with(small_segments()).into_parts();
    let path = store.path().to_owned();
    for number in 1..=30 {
        store.append(&stream("a"), ExpectedVersion::Any, events(number, 1))?;
    }
    store.close()?;
    // What a cut left behind the chain, and a file that never came to be.
    let mut segments: Vec<PathBuf> = files(&path.join("segments")).into_keys().collect();
    let last = segments.pop().expect("segments");
    let mut bytes = fs::read(&last)?;
    bytes.extend_from_slice(&[0; 4_096]);
    fs::write(&last, bytes)?;
    fs::write(path.join("store.meta.tmp"), b"begun")?;
    fs::remove_file(path.join("head"))?;
    let before = files(&path);
    let follower = Follower::open(&path)?;
    assert_eq!(positions(follower.read_all()), (1..=30).collect::<Vec<u64>>());
    assert!(files(&path) == before);
    let store = EventStore::open(&path)?;
    store.append(&stream("a"), ExpectedVersion::Any, [event("news")])?;
    assert_eq!(follower.last_position(), Position::new(31), "a page has come");
    Ok(())
}

#[test]
fn where_nothing_can_be_followed_the_error_says_why() -> Outcome {
    let directory = tempfile::tempdir()?;
    let not_a_store = |path: &Path| matches!(Follower::open(path), Err(Error::NotAStore { .. }));
    assert!(not_a_store(&directory.path().join("missing")));
    assert!(!directory.path().join("missing").exists());
    assert!(not_a_store(directory.path()));
    let file = directory.path().join("file");
    fs::write(&file, "mine")?;
    assert!(not_a_store(&file));

    let (store, _directory) = store_with(small_segments()).into_parts();
    let path = store.path().to_owned();
    for number in 1..=30 {
        store.append(&stream("a"), ExpectedVersion::Any, events(number, 1))?;
    }
    store.close()?;
    for page in ["with its page", "without"] {
        let is_log = |(path, _): &(PathBuf, Vec<u8>)| path.extension() == Some("log".as_ref());
        for (segment, whole) in files(&path.join("segments")).into_iter().filter(is_log) {
            let mut bytes = whole.clone();
            // Whatever frame it hits, it hits its events too.
            bytes[700..900].iter_mut().for_each(|byte| *byte ^= 1);
            fs::write(&segment, &bytes)?;
            let told: annals::Result<Vec<_>> =
                Follower::open(&path).and_then(|follower| follower.read_all().collect());
            assert!(told.as_ref().is_err_and(Error::is_corruption), "{page}: {told:?}");
            fs::remove_file(&segment)?;
            assert!(Follower::open(&path).is_err_and(|error| error.is_corruption()), "{page}: it is missing");
            fs::write(&segment, &whole)?;
        }
        assert_eq!(Follower::open(&path)?.last_position(), Position::new(30), "{page}");
        if path.join("head").exists() {
            fs::remove_file(path.join("head"))?;
        }
    }
    let mut meta = fs::read(path.join("store.meta"))?;
    meta[12] = 2;
    let checksum = crc32fast::hash(&meta[12..]);
    meta[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path.join("store.meta"), &meta)?;
    assert!(matches!(Follower::open(&path), Err(Error::NewerFormat { found: 2, .. })));
    Ok(())
}

#[test]
fn a_log_that_goes_back_is_told_and_not_shown_otherwise__F25() -> Outcome {
    let (store, directory) = store_with(buffered()).into_parts();
    let path = store.path().to_owned();
    store.append(&stream("a"), ExpectedVersion::Any, events(1, 3))?;
    store.close()?;
    let copy = directory.path().join("copy");
    assert!(Command::new("cp").arg("-r").arg(&path).arg(&copy).status()?.success());
    let store = EventStore::open(&path)?;
    store.append(&stream("a"), ExpectedVersion::Any, events(4, 3))?;
    let follower = Follower::open(&path)?;
    assert_eq!(follower.last_position(), Position::new(6));
    store.close()?;
    fs::remove_dir_all(&path)?;
    assert!(Command::new("mv").arg(&copy).arg(&path).status()?.success());
    let store = EventStore::open(&path)?;
    let told = follower.refresh();
    assert!(matches!(told, Err(Error::Replaced { .. })), "{told:?}");
    assert!(told.expect_err("an error").to_string().contains("open it again"));
    assert_eq!(Follower::open(&path)?.last_position(), Position::new(3));
    drop(store);
    Ok(())
}

/// What the constant part of the page says counts only if it is whole.
#[test]
fn a_damaged_page_hides_nothing_and_shows_nothing_wrong__F39() -> Outcome {
    let disk = SimDisk::new(1);
    let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
    let store = EventStore::open_on(Arc::new(disk.clone()), "/store", options.clone())?;
    for number in 1..=20 {
        store.append(&stream("a"), ExpectedVersion::Any, events(number, 1))?;
    }
    store.close()?;
    let page = disk.read_file("/store/head").expect("a page");
    let mut damaged: Vec<Option<Vec<u8>>> = (0..64 * 8)
        .map(|bit: usize| {
            let mut page = page.clone();
            page[bit / 8] ^= 1 << (bit % 8);
            Some(page)
        })
        .collect();
    damaged.extend([0, 1, 64, 4_095].map(|length| Some(page[..length].to_vec())));
    damaged.extend([
        Some(vec![0; 4_096]),
        Some(vec![0xFF; 4_096]),
        Some([page.clone(), page].concat()),
        None,
    ]);
    for page in damaged {
        match &page {
            Some(page) => disk.write_file("/store/head", page.clone())?,
            None => disk.remove_file("/store/head")?,
        }
        let follower = Follower::open_on(Arc::new(disk.mount()), "/store", Options::new())?;
        assert_eq!(follower.last_position(), Position::new(20));
        let store = EventStore::open_on(Arc::new(disk.mount()), "/store", options.clone())?;
        assert_eq!(store.last_position(), Position::new(20));
        store.close()?;
        follower.refresh()?;
    }
    Ok(())
}

#[test]
fn what_a_killed_writer_left_unsynced_is_synced_before_it_is_shown__F08() -> Outcome {
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let writer = disk.mount();
        let options = Options::new().durability(Durability::Buffered).segment_bytes(32 << 10);
        let store = EventStore::open_on(Arc::new(writer.clone()), "/store", options.clone())?;
        store.append(&stream("a"), ExpectedVersion::Any, events(1, 3))?;
        writer.kill();
        let follower = Follower::open_on(Arc::new(disk.mount()), "/store", Options::new())?;
        assert_eq!(follower.last_position(), Position::new(3), "seed {seed}");
        disk.power_cut();
        drop(store);
        let store = EventStore::open_on(Arc::new(disk.mount()), "/store", options.clone())?;
        assert_eq!(store.last_position(), Position::new(3), "seed {seed}");
        // Nothing tells of how far this boot's log is committed.
        drop(store);
        disk.remove_file("/store/head")?;
        let follower = Follower::open_on(Arc::new(disk.mount()), "/store", Options::new())?;
        assert_eq!(follower.last_position(), Position::new(3), "seed {seed}");
    }
    Ok(())
}

const WRITER_PATH: &str = "ANNALS_TEST_WRITER_PATH";
const WRITER_MODE: &str = "ANNALS_TEST_WRITER_MODE";

/// How many threads of that process append.
pub(crate) const WRITER_THREADS: u64 = 16;

/// The stream of each of these threads.
pub(crate) fn writer_stream(number: u64) -> StreamId {
    stream(&format!("{}-{number}", ["order", "cart"][usize::from(number % 2 == 1)]))
}

/// Another process: writes until it is killed. Without the path in its environment it is a test of nothing.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = env::var_os(WRITER_PATH) else { return };
    let durability = match env::var(WRITER_MODE).as_deref() {
        Ok("buffered") => Durability::Buffered,
        _ => Durability::Fsync,
    };
    let options = Options::new().durability(durability).segment_bytes(64 << 10).creation(Creation::Never);
    let store = EventStore::open_with(path, options).expect("the store");
    thread::scope(|scope| {
        for number in 0..WRITER_THREADS {
            let store = &store;
            scope.spawn(move || {
                let stream = writer_stream(number);
                loop {
                    store
                        .append(&stream, ExpectedVersion::Any, [event("Written"), event("Twice")])
                        .expect("stored");
                }
            });
        }
    });
}

/// The writer's process, which ends with this.
pub(crate) struct Writer(Child);

impl Writer {
    /// Starts it on a store that is there.
    pub(crate) fn start(path: &Path, durability: Durability) -> Self {
        let mode = if durability == Durability::Buffered { "buffered" } else { "fsync" };
        let child = Command::new(env::current_exe().expect("this program"))
            .args(["--exact", "follower::writes_until_it_is_killed", "--nocapture"])
            .env(WRITER_PATH, path)
            .env(WRITER_MODE, mode)
            .spawn();
        Self(child.expect("it starts"))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().expect("it is there");
        self.0.wait().expect("it ends");
    }
}

#[test]
fn a_follower_in_another_process_sees_every_position_once_though_writers_are_killed__F33() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    EventStore::open(&path)?.close()?;
    let follower = Follower::open(&path)?;
    let mut seen: Vec<StoredEvent> = Vec::new();
    let mut random = Random::new(0x5eed_000a);
    for round in 0..8 {
        let durability = if round % 2 == 0 { Durability::Fsync } else { Durability::Buffered };
        let writer = Writer::start(&path, durability);
        let target = seen.len() as u64 + 1 + random.below(2_000);
        while (seen.len() as u64) < target {
            let last = Position::new(seen.len() as u64);
            assert!(follower.wait_beyond(last, PATIENCE)? > last, "round {round}: the writer wakes no one");
            for event in follower.read(Query::all().after(last)) {
                let event = event?;
                assert_eq!(event.position.get(), seen.len() as u64 + 1, "round {round}");
                seen.push(event);
            }
            assert_eq!(seen.len() % 2, 0, "round {round}: half of an append is shown");
        }
        drop(writer);
        let late = Follower::open(&path)?;
        follower.refresh()?;
        assert_eq!(late.last_position(), follower.last_position(), "round {round}");
    }
    let last = Position::new(seen.len() as u64);
    seen.extend(all(follower.read(Query::all().after(last))));
    let store = EventStore::open(&path)?;
    let stored = all(store.read_all());
    assert!(stored.len() >= seen.len() && stored[..seen.len()] == seen, "what was seen is stored");
    Ok(())
}

/// Takes deliveries until so many events came, and returns their positions.
fn take(subscription: &mut Subscription, count: usize) -> annals::Result<Vec<u64>> {
    let mut taken = Vec::new();
    while taken.len() < count {
        match subscription.next_timeout(PATIENCE)? {
            Some(Delivery::Event(event)) => taken.push(event.position.get()),
            Some(_) => {}
            None => break,
        }
    }
    Ok(taken)
}

#[test]
fn subscriptions_of_a_follower_deliver_what_another_writer_commits__B11() -> Outcome {
    let (store, _directory) = store_with(buffered()).into_parts();
    let path = store.path().to_owned();
    store.append(&stream("a"), ExpectedVersion::Any, events(1, 5))?;
    let follower = Follower::open(&path)?;
    thread::scope(|scope| -> Outcome {
        let subscribers: Vec<_> = (0..3)
            .map(|_| {
                let mut subscription = follower.subscribe(Query::all());
                scope.spawn(move || take(&mut subscription, 200))
            })
            .collect();
        let mut store = store;
        for number in 6..=200 {
            store.append(&stream("a"), ExpectedVersion::Any, events(number, 1))?;
            if number % 50 == 0 {
                store.close()?;
                store = EventStore::open(&path)?;
            }
        }
        for subscriber in subscribers {
            let taken = subscriber.join().map_err(|_| "it panicked")??;
            assert_eq!(taken, (1..=200).collect::<Vec<u64>>());
        }
        Ok(())
    })
}

#[test]
fn who_waits_at_a_follower_can_be_cancelled_and_hears_of_a_log_that_goes_back() -> Outcome {
    let (store, directory) = store_with(buffered()).into_parts();
    let path = store.path().to_owned();
    store.append(&stream("a"), ExpectedVersion::Any, events(1, 3))?;
    store.close()?;
    let copy = directory.path().join("copy");
    assert!(Command::new("cp").arg("-r").arg(&path).arg(&copy).status()?.success());
    let store = EventStore::open(&path)?;
    store.append(&stream("a"), ExpectedVersion::Any, events(4, 3))?;
    let follower = Follower::open(&path)?;
    let mut subscription = follower.subscribe(Query::all());
    assert_eq!(take(&mut subscription, 6)?, [1, 2, 3, 4, 5, 6]);
    let canceller = subscription.canceller();
    let waits = thread::spawn(move || take(&mut subscription, 1));
    canceller.cancel();
    assert_eq!(waits.join().map_err(|_| "it panicked")??, [0; 0]);

    let mut subscription = follower.subscribe(Query::all().after(Position::new(6)));
    let waits = thread::spawn(move || take(&mut subscription, 1));
    store.close()?;
    fs::remove_dir_all(&path)?;
    assert!(Command::new("mv").arg(&copy).arg(&path).status()?.success());
    let store = EventStore::open(&path)?;
    let told = waits.join().map_err(|_| "it panicked")?;
    assert!(
        matches!(told, Err(Error::Replaced { .. } | Error::Io { .. } | Error::Corrupt { .. })),
        "{told:?}"
    );
    drop(store);
    Ok(())
}

/// A recovery copies a last segment that has further names before it writes to it.
#[test]
fn a_last_segment_that_has_become_another_file_is_followed_and_the_old_one_stays() -> Outcome {
    for read in [ReadMode::Mapped, ReadMode::Pread] {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("store");
        let (segment, link) = (path.join("segments/000000000001.log"), directory.path().join("link"));
        let append = |store: &EventStore, number| {
            store.append(&stream("order-1"), ExpectedVersion::Any, events(number, 1)).map(drop)
        };
        let store = EventStore::open(&path)?;
        append(&store, 1)?;
        store.close()?;
        let follower = Follower::open_with(&path, Options::new().read(read))?;
        assert_eq!(follower.last_position().get(), 1);
        fs::hard_link(&segment, &link)?;
        let before = fs::read(&link)?;
        let store = EventStore::open(&path)?;
        for number in 2..=20 {
            append(&store, number)?;
            assert_eq!(types(follower.read_all()).len() as u64, number);
        }
        store.close()?;
        assert_eq!(types(follower.read_all()).len(), 20);
        assert_eq!(fs::read(&link)?, before, "the other name's bytes are another file's");
    }
    Ok(())
}
