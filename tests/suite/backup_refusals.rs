//! Where a backup is refused, or a restore of one, and nothing is changed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use annals::{
    BackupError, BackupOptions, BackupReport, DirectoryLock, Disk, Error, EventStore, Linking, OsDisk,
    Position, RestoreOptions, Result, backup, restore, restore_on,
};

use crate::{
    backup::{append, back_up, check_store, everything, log, on},
    log_bytes::{fix_checksum_at_8, get_u32, put_u32},
    patient::{End, Patient, log_path},
    repair_backup,
    support::{Outcome, buffered, small_segments, store_with},
    verify_hostile::forge,
    watched_disk::{WatchedDisk, Watcher},
};

/// Why a backup was refused.
fn refusal(result: Result<BackupReport>) -> BackupError {
    match result {
        Err(Error::Backup(error)) => error,
        other => panic!("it wasn't refused as it should: {other:?}"),
    }
}

#[test]
fn a_destination_of_another_store_is_refused() -> Outcome {
    let (store, other) = (store_with(buffered()), store_with(buffered()));
    append(&store, "a", 1, 3);
    append(&other, "a", 1, 3);
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    back_up(&store, &destination)?;
    let before = log(&destination);
    let refused = refusal(back_up(&other, &destination));
    assert!(matches!(refused, BackupError::OtherStore { .. }), "{refused}");
    assert!(refused.to_string().contains("another store"), "{refused}");
    assert!(log(&destination) == before);
    check_store(&destination, &everything(&store));
    Ok(())
}

/// A copy of a store's directory, as it is.
fn copied(store: &Path, to: &Path) -> Outcome {
    fs::create_dir_all(to.join("segments"))?;
    for name in ["store.meta", "durable.mark"] {
        fs::copy(store.join(name), to.join(name))?;
    }
    for name in log(store).into_keys() {
        fs::copy(store.join("segments").join(&name), to.join("segments").join(&name))?;
    }
    Ok(())
}

#[test]
fn a_destination_with_another_history_is_refused() -> Outcome {
    // From one event, where both go on differently in the same segment, to several segments.
    for (together, apart) in [(1, 1), (5, 60), (60, 1), (60, 60)] {
        let (store, directory) = store_with(small_segments()).into_parts();
        let destination = directory.path().join("saved");
        append(&store, "a", 1, together);
        let path = store.path().to_owned();
        store.close()?;
        let other_path = directory.path().join("other");
        copied(&path, &other_path)?;
        let store = EventStore::open_with(&path, small_segments())?;
        append(&store, "a", 1_000, apart);
        store.backup(&destination, &BackupOptions::new(), &mut on)?;
        let before = log(&destination);

        let other = EventStore::open_with(&other_path, small_segments())?;
        let refused = refusal(other.backup(&destination, &BackupOptions::new(), &mut on));
        let BackupError::OtherHistory { common, .. } = &refused else { panic!("{refused}") };
        assert_eq!(common.get(), together, "{refused}");
        assert!(refused.to_string().contains("behind the store's end"), "{refused}");
        append(&other, "a", 2_000, apart + 30);
        let refused = refusal(other.backup(&destination, &BackupOptions::new(), &mut on));
        let BackupError::OtherHistory { common, .. } = &refused else { panic!("{refused}") };
        assert_eq!(common.get(), together, "{refused}");
        assert!(log(&destination) == before);
        check_store(&destination, &everything(&store));
    }
    Ok(())
}

#[test]
fn what_was_appended_to_a_backup_is_not_written_over() -> Outcome {
    for appended in [1, 60] {
        let store = store_with(small_segments());
        append(&store, "a", 1, 30);
        let directory = tempfile::tempdir()?;
        back_up(&store, directory.path())?;
        // Opened without being written to, it stays a backup.
        EventStore::open(directory.path())?.close()?;
        append(&store, "a", 31, 10);
        back_up(&store, directory.path())?;
        let as_store = EventStore::open_with(directory.path(), small_segments())?;
        assert!(matches!(back_up(&store, directory.path()), Err(Error::Locked { .. })));
        append(&as_store, "b", 1, appended);
        let expected = everything(&as_store);
        as_store.close()?;
        append(&store, "a", 41, 100);
        let refused = refusal(back_up(&store, directory.path()));
        assert!(matches!(refused, BackupError::OtherHistory { .. }), "{refused}");
        assert!(refused.to_string().contains("it holds what the store hasn't got"), "{refused}");
        check_store(directory.path(), &expected);
    }
    Ok(())
}

#[test]
fn a_directory_that_holds_something_else_is_refused() -> Outcome {
    let store = store_with(buffered());
    append(&store, "a", 1, 3);
    let directory = tempfile::tempdir()?;
    let taken = |path: &Path| matches!(refusal(back_up(&store, path)), BackupError::DestinationTaken { .. });
    fs::write(directory.path().join("mine"), "a letter")?;
    assert!(taken(directory.path()));
    assert!(taken(&directory.path().join("mine")));
    assert_eq!(fs::read_dir(directory.path())?.count(), 1);
    // Another store is no directory of backups, also not one of the same id.
    let copy = directory.path().join("copy");
    copied(store.path(), &copy)?;
    assert!(taken(&copy));
    assert!(taken(store.path()), "its own directory");
    assert!(taken(&store.path().join("segments")), "and what is in it");
    let missing = back_up(&store, &directory.path().join("missing/saved"));
    assert!(matches!(missing, Err(Error::Io { action: "create", .. })), "{missing:?}");
    let nothing = backup(directory.path().join("missing"), &copy, &BackupOptions::new(), &mut on);
    assert!(matches!(nothing, Err(Error::NotAStore { .. })));
    Ok(())
}

#[test]
fn a_damaged_manifest_is_told_and_a_newer_one_is_refused() -> Outcome {
    let store = store_with(buffered());
    append(&store, "a", 1, 3);
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    back_up(&store, &destination)?;
    let manifest = destination.join("backup.manifest");
    let whole = fs::read(&manifest)?;
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&manifest, &damaged)?;
        let told = back_up(&store, &destination);
        assert!(matches!(&told, Err(Error::Corrupt { path, .. }) if *path == manifest), "{at}: {told:?}");
        let text = told.expect_err("it is damaged").to_string();
        assert!(
            text.contains("into a new directory") && !text.contains("repair"),
            "it says what helps: {text}"
        );
    }
    // What the message says.
    let again = directory.path().join("again");
    let made = backup(&destination, &again, &BackupOptions::new(), &mut on)?;
    assert_eq!(made.last_position.get(), 3);
    assert_eq!(EventStore::open(&again)?.last_position().get(), 3);
    let mut newer = whole.clone();
    newer[12] = 9;
    let checksum = crc32fast::hash(&newer[12..]);
    newer[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&manifest, &newer)?;
    assert!(matches!(back_up(&store, &destination), Err(Error::NewerFormat { found: 9, .. })));
    fs::write(&manifest, &whole)?;
    back_up(&store, &destination)?;
    Ok(())
}

#[test]
fn a_segment_that_is_not_what_the_manifest_promises_is_not_put_in_place() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 60);
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    back_up(&store, &destination)?;
    let (manifest, segment) =
        (destination.join("backup.manifest"), destination.join("segments/000000000001.log"));
    // The hash of another history's first segment, of which a part was lost.
    let mut promise = fs::read(&manifest)?;
    let bytes = fs::read(&segment)?;
    let hash = xxhash_rust::xxh3::xxh3_128(&bytes).to_le_bytes();
    let at = promise.windows(hash.len()).position(|window| window == hash).expect("its hash");
    promise[at] ^= 1;
    let checksum = crc32fast::hash(&promise[12..]);
    promise[8..12].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&manifest, &promise)?;
    fs::remove_file(&segment)?;
    fs::write(&segment, &bytes[..bytes.len() - 64])?;
    let before = log(&destination);
    for linking in [Linking::Never, Linking::WherePossible] {
        let options = BackupOptions::new().linking(linking);
        let refused = refusal(store.backup(&destination, &options, &mut on));
        assert!(matches!(refused, BackupError::OtherHistory { .. }), "{refused}");
        assert!(log(&destination) == before, "the backup there isn't as it was");
    }
    Ok(())
}

#[test]
fn a_segment_of_another_store_isnt_restored() -> Outcome {
    let directory = tempfile::tempdir()?;
    let saved = ["saved", "another"].map(|name| directory.path().join(name));
    for saved in &saved {
        let store = store_with(small_segments());
        append(&store, "a", 1, 60);
        back_up(&store, saved)?;
    }
    // Both begin in the same place, and of a segment of which only a part is wanted no hash tells whose it is.
    let [ours, theirs] = saved.each_ref().map(|saved| saved.join("segments/000000000001.log"));
    fs::remove_file(&ours)?;
    fs::copy(theirs, &ours)?;
    let to = directory.path().join("restored");
    let told = restore(&saved[0], &to, &RestoreOptions::new().as_of(Position::new(2)), &mut on);
    let Err(Error::Corrupt { path, reason, .. }) = &told else { panic!("{told:?}") };
    assert_eq!((path, reason.as_str()), (&ours, "the segment is from another store"));
    assert!(!to.exists());
    Ok(())
}

#[test]
fn a_segment_that_doesnt_go_on_from_the_one_before_isnt_restored_whatever_the_manifest_says() -> Outcome {
    let patient = Patient::new(End::Closed);
    let last = patient.logs().len() as u64;
    for number in [2, last - 1, last] {
        let (patient, other) = (Patient::new(End::Closed), Patient::new(End::Bare));
        repair_backup::back_up(&patient, Linking::Never);
        forge(&other, other.first_in(number) - 1, |record| record[90] ^= 4);
        let path = PathBuf::from(format!("/backup/segments/{number:012}.log"));
        let segment = other.disk.read_file(log_path(number)).ok_or("it is there")?;
        patient.change("/backup/backup.manifest", |manifest| {
            let saved = patient.disk.read_file(&path).expect("it was backed up");
            let hash = |bytes: &[u8]| xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes();
            let at = manifest.windows(16).position(|window| window == hash(&saved)).expect("its hash");
            manifest[at..at + 16].copy_from_slice(&hash(&segment));
            put_u32(manifest, at - 4, get_u32(&segment, 36));
            let end = manifest.len();
            fix_checksum_at_8(manifest, end);
        });
        patient.disk.write_file(&path, segment)?;
        let told = restore_on(&patient.disk.mount(), "/backup", "/restored", &RestoreOptions::new(), &mut on);
        let Err(Error::Corrupt { path: told_of, reason, .. }) = &told else { panic!("{told:?}") };
        assert_eq!((told_of, reason.as_str()), (&path, "the segment doesn't go on from the one before it"));
        assert!(patient.disk.files().iter().all(|file| !file.starts_with("/restored/segments")));
    }
    Ok(())
}

#[test]
fn a_backup_whose_manifest_names_another_last_event_isnt_restored() -> Outcome {
    // Where backup.manifest has the position of the last event.
    const POSITION: usize = 44;
    let store = store_with(small_segments());
    append(&store, "a", 1, 9);
    let directory = tempfile::tempdir()?;
    let (saved, restored) = (directory.path().join("saved"), directory.path().join("restored"));
    back_up(&store, &saved)?;
    let manifest = saved.join("backup.manifest");
    let whole = fs::read(&manifest)?;
    let named = u64::from_le_bytes(whole[POSITION..POSITION + 8].try_into()?);
    assert_eq!(named, 9);
    for other in [8_u64, 10] {
        let mut forged = whole.clone();
        forged[POSITION..POSITION + 8].copy_from_slice(&other.to_le_bytes());
        let length = forged.len();
        fix_checksum_at_8(&mut forged, length);
        fs::write(&manifest, &forged)?;
        let refused =
            restore(&saved, &restored, &RestoreOptions::new(), &mut on).expect_err("it ends elsewhere");
        assert!(matches!(&refused, Error::Corrupt { path, .. } if *path == manifest), "{refused}");
        assert!(refused.to_string().contains(&format!("names {other}")), "{refused}");
        assert!(!restored.exists());
    }
    fs::write(&manifest, &whole)?;
    restore(&saved, &restored, &RestoreOptions::new(), &mut on)?;
    Ok(())
}

/// Another restore, which makes the directory that this one is about to make, and is at work there.
#[derive(Default, Debug)]
struct Forestalled(Mutex<Option<Box<dyn DirectoryLock>>>);

impl Watcher for Forestalled {
    fn directory_is_made(&self, path: &Path) {
        OsDisk.create_dir(path).expect("it is the first");
        *self.0.lock().expect("no panic") = OsDisk.lock_dir(path).expect("it is there");
    }
}

#[test]
fn a_restore_that_another_one_forestalls_is_told_that_the_place_is_locked() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 9);
    let directory = tempfile::tempdir()?;
    let (saved, restored) = (directory.path().join("saved"), directory.path().join("restored"));
    back_up(&store, &saved)?;
    let disk = WatchedDisk(Arc::new(Forestalled::default()));
    let told = restore_on(&disk, &saved, &restored, &RestoreOptions::new(), &mut on);
    let site = directory.path().join("restored.restoring");
    assert!(matches!(&told, Err(Error::Locked { path, .. }) if *path == site), "{told:?}");
    assert!(!restored.exists());
    // The other one is killed.
    drop(disk);
    restore(&saved, &restored, &RestoreOptions::new(), &mut on)?;
    check_store(&restored, &everything(&store));
    Ok(())
}

/// Another restore, from a backup of its own, which is done before this one takes the lock of the directory that both make.
#[derive(Debug)]
struct Outrun {
    saved: PathBuf,
    restored: PathBuf,
}

impl Watcher for Outrun {
    fn directory_is_made(&self, _path: &Path) {
        restore(&self.saved, &self.restored, &RestoreOptions::new(), &mut on).expect("it is the first");
    }
}

#[test]
fn a_restore_that_another_one_outruns_is_told_that_the_place_is_taken() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 9);
    let directory = tempfile::tempdir()?;
    let (saved, restored) = (directory.path().join("saved"), directory.path().join("restored"));
    back_up(&store, &saved)?;
    let another = directory.path().join("another");
    back_up(&store, &another)?;
    let disk = WatchedDisk(Arc::new(Outrun { saved: another, restored: restored.clone() }));
    let told = restore_on(&disk, &saved, &restored, &RestoreOptions::new(), &mut on);
    let is_taken =
        matches!(&told, Err(Error::Backup(BackupError::DestinationTaken { path, .. })) if *path == restored);
    assert!(is_taken, "{told:?}");
    check_store(&restored, &everything(&store));
    Ok(())
}
