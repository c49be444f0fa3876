//! Opening and closing: where a store may be, who may have it, and what is left alone.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use annals::{
    Creation, Durability, Error, EventData, EventStore, ExpectedVersion, Options, SEGMENT_BYTES_MAX,
    SEGMENT_BYTES_MIN, SimDisk,
};

use crate::{
    support::{Outcome, SaysDone, event, events, store, stream, types, version, versions},
    watched_disk::{WatchedDisk, Watcher},
};

/// Every file below a directory, with its bytes.
fn files(directory: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut files(&path)?);
        } else {
            found.insert(path.clone(), fs::read(&path)?);
        }
    }
    Ok(found)
}

#[test]
fn a_store_is_opened_on_a_directory_with_options_or_without__A01() -> Outcome {
    let directory = tempfile::tempdir()?;
    let new = directory.path().join("new");
    EventStore::open(&new)?.close()?;
    assert!(new.is_dir());
    let empty = directory.path().join("empty");
    fs::create_dir(&empty)?;
    let options = Options::new().durability(Durability::Buffered).segment_bytes(SEGMENT_BYTES_MIN);
    let store = EventStore::open_with(&empty, options)?;
    assert_eq!(store.path(), empty);
    store.append(&stream("order-1"), ExpectedVersion::Any, [event("A")])?;
    store.close()?;
    // Each opening may have other options.
    let store = EventStore::open(&empty)?;
    store.append(&stream("order-1"), version(1), events(2, 1))?;
    store.close()?;
    let store = EventStore::open_with(&empty, Options::new().segment_bytes(SEGMENT_BYTES_MAX))?;
    assert_eq!(versions(store.read_stream(&stream("order-1"))), [1, 2]);
    Ok(())
}

#[test]
fn options_outside_their_ranges_are_refused() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    for bytes in [0, SEGMENT_BYTES_MIN - 1, SEGMENT_BYTES_MAX + 1, u64::MAX] {
        let told = EventStore::open_with(&path, Options::new().segment_bytes(bytes));
        assert!(matches!(told, Err(Error::Invalid(_))), "{bytes}");
    }
    assert!(!path.exists());
    Ok(())
}

#[test]
fn what_is_no_store_is_refused_and_left_alone__F35__A01() -> Outcome {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("file");
    fs::write(&file, "mine")?;
    let told = EventStore::open(&file);
    assert!(matches!(&told, Err(Error::NotAStore { path, .. }) if *path == file), "{told:?}");
    assert_eq!(fs::read(&file)?, b"mine");
    let never = || Options::new().creation(Creation::Never);
    let missing = directory.path().join("missing");
    let told = EventStore::open_with(&missing, never());
    assert!(matches!(&told, Err(Error::NotAStore { path, .. }) if *path == missing), "{told:?}");
    assert!(!missing.exists());
    let empty = directory.path().join("empty");
    fs::create_dir(&empty)?;
    assert!(matches!(EventStore::open_with(&empty, never()), Err(Error::NotAStore { .. })));
    assert_eq!(files(&empty)?, BTreeMap::new());
    // Only the last directory of a path is made.
    let told = EventStore::open(directory.path().join("no").join("store"));
    assert!(matches!(told, Err(Error::Io { .. })), "{told:?}");
    Ok(())
}

#[test]
fn a_second_writer_is_told_who_has_the_store__X27_C18() -> Outcome {
    let (store, directory) = store().into_parts();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(store.path(), &link)?;
    for path in [store.path(), &link] {
        let told = EventStore::open(path);
        let Err(Error::Locked { path: locked, holder }) = &told else {
            return Err(format!("{told:?}").into());
        };
        assert_eq!(locked, path);
        assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
        let message = told.map(|_| ()).expect_err("locked").to_string();
        assert!(message.contains(&*path.to_string_lossy()) && message.contains("process"), "{message}");
    }
    // The first one isn't disturbed.
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, [event("A")])?;
    store.close()?;
    assert_eq!(EventStore::open(&link)?.stream_version(&order)?, version(1));
    Ok(())
}

#[test]
fn who_opens_a_store_twice_in_one_process_is_told_to_share_it__X27() -> Outcome {
    let (store, directory) = store().into_parts();
    let told = |path: &Path| EventStore::open(path).map(|_| ()).expect_err("locked").to_string();
    let message = told(store.path());
    let here = format!("is open for writing by this very process {} (", std::process::id());
    assert!(message.contains(&here), "{message}");
    assert!(message.ends_with("): share that store, in an Arc, or close it first"), "{message}");

    // A note that names this process isn't enough: one in another container may have its number.
    let other = directory.path().join("other");
    EventStore::open(&other)?.close()?;
    let lock = fs::File::open(&other)?;
    lock.lock()?;
    let message = told(&other);
    let named = format!("is open for writing by process {} (", std::process::id());
    assert!(message.contains(&named) && message.ends_with("): end that, or wait for it"), "{message}");

    // And one that names another process isn't this one, though the store is open here.
    fs::write(store.path().join("writer.pid"), "process 1234567890 (shop)\n")?;
    let message = told(store.path());
    assert!(message.ends_with("by process 1234567890 (shop): end that, or wait for it"), "{message}");
    Ok(())
}

/// Tells when a lock is tried and another has it.
#[derive(Debug)]
struct Refusals(Sender<()>);

impl Watcher for Refusals {
    fn lock_refused(&self) {
        self.0.send(()).ok();
    }
}

#[test]
fn a_second_writer_waits_and_sees_what_the_first_wrote__X27() -> Outcome {
    let (store, directory) = store().into_parts();
    let order = stream("order-1");
    let (sender, refused) = channel();
    let path = store.path().to_owned();
    let waiting = thread::spawn(move || {
        let options = Options::new().lock_wait(Duration::from_mins(10));
        EventStore::open_on(Arc::new(WatchedDisk(Arc::new(Refusals(sender)))), path, options)
    });
    refused.recv()?;
    // It waits: what is written now was not there when it came.
    store.append(&order, ExpectedVersion::NoStream, events(1, 3))?;
    refused.recv()?;
    store.close()?;
    let second = waiting.join().map_err(|_| "it panicked")??;
    assert_eq!(types(second.read_stream(&order)), ["1", "2", "3"]);
    assert!(second.append(&order, ExpectedVersion::NoStream, events(1, 1)).is_err_and(|e| e.is_conflict()));
    assert_eq!(second.append(&order, version(3), events(4, 1))?.version, version(4));
    drop(directory);
    Ok(())
}

#[test]
fn waiting_for_the_lock_has_an_end__X27() {
    let (store, _directory) = store().into_parts();
    let (sender, refused) = channel();
    let options = Options::new().lock_wait(Duration::from_millis(15));
    let disk = Arc::new(WatchedDisk(Arc::new(Refusals(sender))));
    let told = EventStore::open_on(disk, store.path(), options);
    assert!(matches!(told, Err(Error::Locked { .. })));
    assert!(refused.iter().count() > 1, "it was tried again");
}

#[test]
fn a_dropped_store_is_closed() -> Outcome {
    let (store, directory) = store().into_parts();
    let path = store.path().to_owned();
    for number in 0..100 {
        drop(store.submit(&stream("order-1"), version(number), events(number + 1, 1))?);
    }
    drop(store);
    let store = EventStore::open(path)?;
    assert_eq!(store.stream_version(&stream("order-1"))?, version(100));
    drop((store, directory));
    Ok(())
}

#[test]
fn opening_and_closing_changes_no_byte_of_the_log() -> Outcome {
    let (store, _directory) = store().into_parts();
    let segments = store.path().join("segments");
    let path = store.path().to_owned();
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 10))?;
    store.close()?;
    let before = files(&segments)?;
    for _ in 0..3 {
        let store = EventStore::open(&path)?;
        assert_eq!(versions(store.read_stream(&stream("order-1"))).len(), 10);
        assert!(store.append(&stream("order-1"), version(3), events(1, 1)).is_err());
        store.append(&stream("order-1"), version(10), [])?;
        store.close()?;
        assert!(files(&segments)? == before);
    }
    Ok(())
}

#[test]
fn strange_files_in_the_directory_are_left_alone__F35() -> Outcome {
    let (store, _directory) = store().into_parts();
    let path = store.path().to_owned();
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 3))?;
    store.close()?;
    let strange = ["notes.txt", "segments/notes.txt", "segments/1.log", "segments/00000000000a.log"];
    for name in strange {
        fs::write(path.join(name), name)?;
    }
    let store = EventStore::open(&path)?;
    store.append(&stream("order-1"), version(3), events(4, 1))?;
    store.close()?;
    for name in strange {
        assert_eq!(fs::read(path.join(name))?, name.as_bytes());
    }
    assert_eq!(EventStore::open(&path)?.stream_version(&stream("order-1"))?, version(4));
    Ok(())
}

#[test]
fn a_damaged_store_is_refused_untouched_and_not_locked() -> Outcome {
    let (store, _directory) = store().into_parts();
    let path = store.path().to_owned();
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 3))?;
    store.close()?;
    let segment = path.join("segments/000000000001.log");
    let mut bytes = fs::read(&segment)?;
    let last = bytes.len() - 100;
    bytes[last] ^= 1;
    fs::write(&segment, &bytes)?;
    let read: Result<Vec<_>, _> = EventStore::open(&path)?.read_all().collect();
    assert!(read.as_ref().is_err_and(Error::is_corruption), "{read:?}");
    // Without its index the segment is read, and the damage found, when the store is opened.
    fs::remove_file(path.join("segments/000000000001.idx"))?;
    for _ in 0..2 {
        let told = EventStore::open(&path);
        assert!(told.as_ref().is_err_and(Error::is_corruption), "{told:?}");
        assert!(fs::read(&segment)? == bytes);
    }
    Ok(())
}

#[test]
fn a_closed_store_can_be_moved() -> Outcome {
    let (store, directory) = store().into_parts();
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 3))?;
    let (from, to) = (store.path().to_owned(), directory.path().join("moved"));
    store.close()?;
    assert!(Command::new("mv").arg(&from).arg(&to).status()?.success());
    let store = EventStore::open_with(&to, Options::new().creation(Creation::Never))?;
    assert_eq!(store.append(&stream("order-1"), version(3), events(4, 1))?.version, version(4));
    Ok(())
}

#[test]
fn a_closed_store_opens_again_though_children_are_made_meanwhile__F31__X27() -> Outcome {
    // A child has the lock's descriptor from its making until it runs its own program.
    let (store, _directory) = store().into_parts();
    let path = store.path().to_owned();
    store.close()?;
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| -> Outcome {
        let children = scope.spawn(|| -> io::Result<()> {
            while !is_done.load(Ordering::SeqCst) {
                // With a directory of its own, the child is made by fork, and runs some code before its program.
                Command::new("true").current_dir("/").status()?;
            }
            Ok(())
        });
        let reopening = SaysDone(&is_done);
        let outcome = (0..100).try_for_each(|_| EventStore::open(&path)?.close());
        drop(reopening);
        children.join().map_err(|_| "it panicked")??;
        Ok(outcome?)
    })
}

#[test]
fn a_store_without_its_segments_is_damaged_and_not_made_anew() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    EventStore::open(&path)?.close()?;
    std::fs::remove_dir_all(path.join("segments"))?;
    let refused = EventStore::open(&path).expect_err("its events are gone");
    assert!(refused.is_corruption(), "{refused}");
    let found = annals::verify(&path, &mut |_| ControlFlow::Continue(()))?;
    assert_eq!(found.damage.len(), 1, "{found:?}");
    Ok(())
}

#[test]
fn a_long_segment_is_read_whole_and_its_damage_found() -> Outcome {
    // More than one thread reads it.
    let disk = SimDisk::new(5);
    let store = EventStore::open_on(Arc::new(disk.mount()), "/store", Options::new())?;
    let large = |number: u32| EventData::new(number.to_string(), vec![number.to_le_bytes()[0]; 100_000]);
    for number in 0..60 {
        store.append(&stream(&format!("large-{}", number % 7)), ExpectedVersion::Any, [large(number)])?;
    }
    disk.crash_process();
    drop(store);
    let open = |disk: &SimDisk| EventStore::open_on(Arc::new(disk.mount()), "/store", Options::new());
    let store = open(&disk)?;
    assert_eq!(types(store.read_all()), (0..60).map(|number| number.to_string()).collect::<Vec<_>>());

    // Closing would leave an index file, and the segment wouldn't be read.
    disk.crash_process();
    drop(store);
    let path = "/store/segments/000000000001.log";
    let whole = disk.read_file(path).ok_or("a segment")?;
    for byte in [700, whole.len() / 3, 5_900_000] {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1;
        disk.write_file(path, damaged)?;
        let told = open(&disk).map(drop);
        assert!(told.as_ref().is_err_and(Error::is_corruption), "byte {byte}: {told:?}");
    }
    Ok(())
}

/// What a directory takes of the disk, in bytes.
fn disk_bytes(directory: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let own = fs::metadata(directory)?.blocks() * 512;
    fs::read_dir(directory)?.try_fold(own, |sum, entry| {
        let entry = entry?;
        let is_directory = entry.file_type()?.is_dir();
        Ok(sum + if is_directory { disk_bytes(&entry.path())? } else { entry.metadata()?.blocks() * 512 })
    })
}

#[test]
fn a_store_of_one_event_takes_little_of_the_disk() -> Outcome {
    for durability in [Durability::Fsync, Durability::Buffered] {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("store");
        let store = EventStore::open_with(&path, Options::new().durability(durability))?;
        store.append(&stream("order-1"), ExpectedVersion::NoStream, [event("Placed")])?;
        assert!(disk_bytes(&path)? < (5 << 20) / 2, "{durability:?}: {} while open", disk_bytes(&path)?);
        store.close()?;
        assert!(disk_bytes(&path)? < 64 << 10, "{durability:?}: {} closed", disk_bytes(&path)?);
    }
    Ok(())
}
