//! Snapshots that are damaged, left behind by a power cut, of something else, or can't be written: each is ignored and
//! told, or right, and the store goes on.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    CutStyle, Disk, DiskOperation, Durability, Error, EventData, EventStore, ExpectedVersion, Fault,
    IgnoredReason, IgnoredSnapshot, OpenMode, Options, Result, SimDisk, SnapshotData, StreamId,
};

use crate::{
    log_bytes::{fix_checksum_at_8, get_u32, put_u16},
    support::{Outcome, buffered, events, stream, types, version},
};

fn open(disk: &SimDisk) -> Result<EventStore> {
    open_with(disk, buffered())
}

fn open_with(disk: &SimDisk, options: Options) -> Result<EventStore> {
    EventStore::open_on(Arc::new(disk.mount()), "/store", options.segment_bytes(32 << 10))
}

fn account() -> StreamId {
    stream("account-1")
}

/// What a snapshot at a version must hold: the types of all events up to it.
fn state_at(store: &EventStore, number: u64) -> String {
    types(store.read(annals::Query::stream(&account()).to(version(number)))).join(",")
}

fn save(store: &EventStore, number: u64) -> Result<annals::Snapshot> {
    let data = SnapshotData::new("Account", state_at(store, number));
    store.save_snapshot(&account(), version(number), data)
}

/// Loads the latest snapshot: its version, or 0, and what was ignored. Its state must be right.
#[track_caller]
fn load(store: &EventStore) -> (u64, Vec<IgnoredSnapshot>) {
    let search = store.snapshot(&account(), "Account").expect("a snapshot is never an error of a load");
    let Some(snapshot) = search.snapshot else { return (0, search.ignored) };
    let number = snapshot.version.get();
    assert_eq!(snapshot.state, state_at(store, number).into_bytes(), "version {number}");
    (number, search.ignored)
}

/// A store with three events and snapshots of the second and third, closed, and its disk.
fn prepared(seed: u64) -> SimDisk {
    let disk = SimDisk::new(seed);
    let store = open(&disk).expect("a new store");
    store.append(&account(), ExpectedVersion::NoStream, events(1, 3)).expect("an append");
    for number in [2, 3] {
        save(&store, number).expect("a snapshot is saved");
    }
    store.close().expect("it closes");
    disk
}

/// The file of the snapshot of a version.
fn file_of(store: &EventStore, number: u64) -> PathBuf {
    let list = store.all_snapshots().expect("a list").snapshots;
    let info = list.into_iter().find(|info| info.version == version(number));
    info.expect("there is a snapshot of this version").path
}

fn read(disk: &SimDisk, path: &Path) -> Vec<u8> {
    disk.read_file(path).expect("the file is there")
}

/// Puts bytes in the place of the newest snapshot's file, and says why it is ignored; the older one is found.
#[track_caller]
fn ignored_for(disk: &SimDisk, store: &EventStore, path: &Path, bytes: Vec<u8>) -> IgnoredReason {
    disk.write_file(path, bytes).expect("surgery");
    let (found, mut ignored) = load(store);
    assert_eq!((found, ignored.len()), (2, 1), "{ignored:?}");
    let only = ignored.remove(0);
    assert_eq!((only.path.as_path(), only.version), (path, Some(version(3))));
    only.reason
}

#[test]
fn a_snapshot_that_is_cut_off_or_has_a_bit_flipped_is_ignored_and_told__F24() -> Outcome {
    let disk = prepared(1);
    let store = open(&disk)?;
    let path = file_of(&store, 3);
    let whole = read(&disk, &path);
    for end in 0..whole.len() {
        let reason = ignored_for(&disk, &store, &path, whole[..end].to_vec());
        assert!(matches!(reason, IgnoredReason::Damaged(_)), "cut off at {end}: {reason:?}");
    }
    for bit in 0..whole.len() * 8 {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let reason = ignored_for(&disk, &store, &path, flipped);
        assert!(matches!(reason, IgnoredReason::Damaged(_)), "bit {bit}: {reason:?}");
    }
    let longer = [whole.as_slice(), b"x"].concat();
    assert!(matches!(ignored_for(&disk, &store, &path, longer), IgnoredReason::Damaged(_)));
    assert!(matches!(ignored_for(&disk, &store, &path, vec![0; 9_000]), IgnoredReason::Damaged(_)));
    disk.write_file(&path, whole)?;
    assert_eq!(load(&store).0, 3);
    Ok(())
}

#[test]
fn a_snapshot_of_something_else_is_ignored_whatever_its_name_says__F24() -> Outcome {
    let (disk, other_disk) = (prepared(1), prepared(2));
    let (store, other) = (open(&disk)?, open(&other_disk)?);
    let path = file_of(&store, 3);
    let foreign = |bytes: Vec<u8>, part: &str| {
        let reason = ignored_for(&disk, &store, &path, bytes);
        assert!(matches!(reason, IgnoredReason::Foreign(_)), "{reason:?}");
        assert!(reason.to_string().contains(part), "{reason}");
    };
    foreign(read(&other_disk, &file_of(&other, 3)), "another store");
    foreign(read(&disk, &file_of(&store, 2)), "version");
    let of_another_type =
        store.save_snapshot(&account(), version(1), SnapshotData::new("Totals", "state"))?;
    foreign(read(&disk, &file_of(&store, of_another_type.version.get())), "state type");
    let second = stream("account-2");
    store.append(&second, ExpectedVersion::NoStream, events(1, 4))?;
    store.save_snapshot(&second, version(4), SnapshotData::new("Account", "state"))?;
    foreign(read(&disk, &file_of(&store, 4)), "another stream");
    Ok(())
}

#[test]
fn a_snapshot_of_a_newer_version_is_ignored_and_left_alone__F26() -> Outcome {
    let disk = prepared(1);
    let store = open(&disk)?;
    let path = file_of(&store, 3);
    let mut newer = read(&disk, &path);
    put_u16(&mut newer, 12, 2);
    let header_end = 20 + usize::try_from(get_u32(&newer, 16))?;
    fix_checksum_at_8(&mut newer, header_end);
    let reason = ignored_for(&disk, &store, &path, newer.clone());
    assert!(matches!(reason, IgnoredReason::NewerFormat { found: 2, supported: 1 }), "{reason:?}");
    // It isn't counted among those that are kept.
    store.append(&account(), version(3), events(4, 3))?;
    for number in 4..=6 {
        save(&store, number)?;
    }
    assert_eq!(read(&disk, &path), newer);
    assert_eq!(store.all_snapshots()?.snapshots.len(), 3);
    Ok(())
}

#[test]
fn a_snapshot_that_the_system_cant_read_is_told_and_never_an_error() -> Outcome {
    let disk = prepared(1);
    let store = open(&disk)?;
    let (path, older) = (file_of(&store, 3), file_of(&store, 2));
    disk.fail_reads(&path, 0..1)?;
    let (found, ignored) = load(&store);
    assert_eq!((found, ignored.len()), (2, 1));
    assert!(matches!(ignored[0].reason, IgnoredReason::Unreadable(_)), "{ignored:?}");
    disk.fail_reads(&older, 0..1)?;
    let (found, ignored) = load(&store);
    assert_eq!((found, ignored.len()), (0, 2), "{ignored:?}");
    disk.clear_faults();
    assert_eq!(load(&store).0, 3);
    // Each opening of a file fails.
    disk.fail(Fault::new(ErrorKind::PermissionDenied).on(DiskOperation::Open).forever());
    let (found, ignored) = load(&store);
    assert_eq!((found, ignored.len()), (0, 2));
    disk.clear_faults();
    Ok(())
}

#[test]
fn snapshots_that_cant_be_listed_are_told_and_can_be_looked_past() -> Outcome {
    let disk = SimDisk::new(1);
    let store = open(&disk)?;
    store.append(&account(), ExpectedVersion::NoStream, events(1, 3))?;
    // Somebody has put a file where the folder would be.
    disk.write_file("/store/snapshots", "a note")?;
    let (found, ignored) = load(&store);
    assert_eq!((found, ignored.len(), ignored[0].version), (0, 1, None));
    assert!(matches!(ignored[0].reason, IgnoredReason::Unreadable(_)), "{ignored:?}");
    assert_eq!(store.all_snapshots()?.ignored.len(), 1);
    assert!(matches!(save(&store, 2), Err(Error::Io { .. })));
    assert!(matches!(store.delete_all_snapshots(), Err(Error::Io { .. })));
    store.append(&account(), version(3), events(4, 1))?;
    disk.remove_file("/store/snapshots")?;
    save(&store, 4)?;
    assert_eq!(load(&store).0, 4);
    Ok(())
}

#[test]
fn a_snapshot_whose_event_went_with_the_power_is_ignored__F25() -> Outcome {
    let (mut gone, mut replaced, mut kept) = (0, 0, 0);
    for seed in 0..150 {
        let disk = prepared(seed);
        let store = open(&disk)?;
        store.append(&account(), version(3), [EventData::new("lost", "4")])?;
        save(&store, 4)?;
        if seed % 2 == 0 {
            // What the store doesn't sync the system may have written back by itself, before it came to the log.
            let path = file_of(&store, 4);
            let directory = path.parent().ok_or("it stands in a directory")?;
            disk.open(&path, OpenMode::ReadWrite)?.sync()?;
            for directory in [directory, Path::new("/store/snapshots"), Path::new("/store")] {
                disk.sync_dir(directory)?;
            }
            disk.power_cut_keeping(CutStyle::Nothing);
        } else {
            disk.power_cut();
        }
        drop(store);

        let store = open(&disk).map_err(|error| format!("seed {seed}: {error}"))?;
        let reached = store.stream_version(&account())?.get();
        let (found, ignored) = load(&store);
        assert!(found <= reached, "seed {seed}");
        kept += u32::from(found == 4);
        let says_gone = |it: &IgnoredSnapshot| matches!(it.reason, IgnoredReason::EventGone);
        gone += u32::from(ignored.iter().any(says_gone));
        assert!(reached == 3 || !ignored.iter().any(says_gone), "seed {seed}: the event is there");
        if reached == 3 {
            // Another event takes the place of the one that the snapshot was made from.
            store.append(&account(), version(3), [EventData::new("another", "4")])?;
            let (found, ignored) = load(&store);
            assert!(found < 4, "seed {seed}: a state that never was");
            let is_another = |it: &IgnoredSnapshot| matches!(it.reason, IgnoredReason::AnotherEvent);
            replaced += u32::from(ignored.iter().any(is_another));
            // The next snapshot takes its place.
            save(&store, 4)?;
            assert_eq!(load(&store).0, 4, "seed {seed}");
        }
    }
    assert!(gone > 5 && replaced > 5 && kept > 5, "{gone} gone, {replaced} replaced, {kept} kept");
    Ok(())
}

#[test]
fn what_can_never_be_used_again_doesnt_push_out_what_can() -> Outcome {
    let disk = prepared(1);
    // A copy of the store, which goes on without what comes now.
    let shorter = disk.snapshot(2);
    let store = open(&disk)?;
    store.append(&account(), version(3), events(4, 6))?;
    for number in [7, 8, 9] {
        save(&store, number)?;
        let path = file_of(&store, number);
        shorter.write_file(&path, read(&disk, &path))?;
    }
    let disk = shorter;
    let store = open(&disk)?;
    let (found, ignored) = load(&store);
    assert_eq!((found, ignored.len()), (3, 3), "{ignored:?}");
    store.append(&account(), version(3), events(4, 1))?;
    save(&store, 4)?;
    let (found, ignored) = load(&store);
    assert_eq!((found, ignored.len()), (4, 0), "they are removed: {ignored:?}");
    assert_eq!(store.all_snapshots()?.snapshots.len(), 3);
    Ok(())
}

/// What is there before a save that goes wrong.
#[derive(Clone, Copy, Debug)]
enum Before {
    /// Not even the folder.
    Nothing,
    /// As many snapshots as are kept, and what an interrupted save has left.
    Full,
}

/// A closed store with four events, and snapshots before the fourth.
fn before_save(seed: u64, before: Before) -> SimDisk {
    let disk = SimDisk::new(seed);
    let store = open(&disk).expect("a new store");
    store.append(&account(), ExpectedVersion::NoStream, events(1, 4)).expect("an append");
    if let Before::Full = before {
        for number in [2, 3] {
            save(&store, number).expect("a snapshot is saved");
        }
        let left_over = file_of(&store, 3).with_extension("snap.tmp");
        disk.write_file(left_over, "half").expect("surgery");
    }
    store.close().expect("it closes");
    disk
}

/// The save of version 4 goes wrong, by what `plan` plans. Nothing is appended behind the opening, so all operations
/// are the save's. Gives what it told, and the store's disk and options.
fn save_while(
    (nth, before): (u64, Before),
    mode: Durability,
    plan: impl FnOnce(&SimDisk),
) -> (Result<annals::Snapshot>, SimDisk, EventStore, u64) {
    let disk = before_save(nth, before);
    let store = open_with(&disk, Options::new().durability(mode).snapshots_kept(2)).expect("it opens");
    let data = SnapshotData::new("Account", state_at(&store, 4));
    let begun = disk.operations();
    plan(&disk);
    let told = store.save_snapshot(&account(), version(4), data);
    let operations = disk.operations() - begun;
    (told, disk, store, operations)
}

/// What is found is right, the log goes on, and the next save puts everything in order.
fn check_going_on(disk: &SimDisk, store: &EventStore, name: &str) -> Outcome {
    store.append(&account(), version(4), events(5, 2))?;
    save(store, 6)?;
    let (found, ignored) = load(store);
    assert_eq!((found, ignored.len()), (6, 0), "{name}: {ignored:?}");
    let files = disk.files();
    let temporary = files.iter().filter(|path| path.to_string_lossy().ends_with(".snap.tmp"));
    assert_eq!(temporary.count(), 0, "{name}: {files:?}");
    let snapshots = files.iter().filter(|path| path.starts_with("/store/snapshots")).count();
    assert!((1..=2).contains(&snapshots), "{name}: {files:?}");
    Ok(())
}

#[test]
fn whichever_operation_of_a_save_fails_the_store_goes_on__F12() -> Outcome {
    for (before, latest) in [(Before::Nothing, 0), (Before::Full, 3)] {
        let (mut nth, mut refused) = (0, 0);
        loop {
            nth += 1;
            let fault = |disk: &SimDisk| disk.fail(Fault::new(ErrorKind::Other).at(nth));
            let (told, disk, store, operations) = save_while((nth, before), Durability::Fsync, fault);
            let name = format!("{before:?}, operation {nth}: {told:?}");
            disk.clear_faults();
            let (found, ignored) = load(&store);
            match &told {
                Ok(_) => assert_eq!(found, 4, "{name}"),
                Err(Error::Io { .. }) => assert!(found == latest || found == 4, "{name}: {found}"),
                Err(other) => panic!("{name}: {other:?}"),
            }
            assert!(ignored.is_empty(), "{name}: {ignored:?}");
            refused += u32::from(told.is_err());
            check_going_on(&disk, &store, &name)?;
            if operations < nth {
                break;
            }
        }
        assert!(refused >= 4, "{before:?}: only {refused} of {nth} operations matter");
    }
    Ok(())
}

#[test]
fn wherever_a_save_is_cut_off_the_store_opens_and_finds_what_is_right__F07() -> Outcome {
    for (before, mode) in [
        (Before::Nothing, Durability::Fsync),
        (Before::Full, Durability::Fsync),
        (Before::Full, Durability::Buffered),
    ] {
        for restart in [SimDisk::power_cut, SimDisk::crash_process] {
            let mut nth = 0;
            loop {
                nth += 1;
                let (told, disk, store, _) = save_while((nth, before), mode, |disk| disk.cut_at(nth));
                let was_cut = disk.is_cut();
                restart(&disk);
                drop(store);
                let name = format!("{before:?}, {mode:?}, operation {nth}: {told:?}");
                let store = open_with(&disk, Options::new().durability(mode).snapshots_kept(2))
                    .map_err(|error| format!("{name}: {error}"))?;
                assert_eq!(store.stream_version(&account())?, version(4), "{name}");
                // `load` compares the state. What survives a cut of the power is by chance.
                load(&store);
                check_going_on(&disk, &store, &name)?;
                if !was_cut {
                    break;
                }
            }
            assert!(nth > 5, "{before:?}: {nth} operations");
        }
    }
    Ok(())
}

#[test]
fn a_full_disk_refuses_the_snapshot_and_nothing_else__F12() -> Outcome {
    let disk = before_save(1, Before::Full);
    let store = open_with(&disk, buffered().snapshots_kept(2))?;
    let used: usize = disk.files().iter().map(|path| read(&disk, path).len()).sum();
    disk.set_quota_bytes(Some(u64::try_from(used)? + 10_000));
    let told = store.save_snapshot(&account(), version(4), SnapshotData::new("Account", vec![7; 50_000]));
    match told {
        Err(Error::Io { action: "write", source, .. }) => assert_eq!(source.kind(), ErrorKind::StorageFull),
        other => panic!("{other:?}"),
    }
    assert_eq!(load(&store).0, 3);
    save(&store, 4)?;
    assert_eq!(load(&store).0, 4);
    disk.set_quota_bytes(None);
    check_going_on(&disk, &store, "a full disk")
}
