//! Backup and restore on a disk that fails and whose power is cut, at every single operation.

use std::{
    io::ErrorKind,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    BackupError, BackupOptions, BackupReport, Clock, Disk, DiskOperation, EntryKind, Error, EventData,
    EventStore, ExistingStore, ExpectedVersion, Fault, Follower, Linking, Options, Position, RestoreOptions,
    RestoreReport, Result, SEGMENT_BYTES_MIN, SimDisk, StoredEvent, SyncFailure, Timestamp, backup_on,
    restore_on, verify_on,
};

use crate::{
    backup::{everything, on},
    support::{Outcome, stream},
};

const STORE: &str = "/store";
const SAVED: &str = "/saved";

/// A clock that goes on by one with each look.
#[derive(Default, Debug)]
struct Ticks(AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        let ticks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_micros(i64::try_from(ticks).expect("few ticks"))
    }
}

fn options() -> Options {
    Options::new().segment_bytes(SEGMENT_BYTES_MIN).clock(Arc::new(Ticks::default()))
}

fn open(disk: &SimDisk, path: &str) -> Result<EventStore> {
    EventStore::open_on(Arc::new(disk.mount()), path, options())
}

fn append(store: &EventStore, count: u8) -> Result<()> {
    for number in 0..count {
        let event = EventData::new("Written", vec![number; 300]);
        store.append(&stream(&format!("a-{}", number % 3)), ExpectedVersion::Any, [event])?;
    }
    Ok(())
}

fn back_up(disk: &SimDisk, linking: Linking) -> Result<BackupReport> {
    backup_on(Arc::new(disk.mount()), STORE, SAVED, &BackupOptions::new().linking(linking), &mut on)
}

fn restore(disk: &SimDisk, to: &str, existing: ExistingStore) -> Result<RestoreReport> {
    restore_on(&disk.mount(), SAVED, to, &RestoreOptions::new().existing(existing), &mut on)
}

/// A store, a backup of its beginning if there is to be one, and more events behind that.
struct Scene {
    disk: SimDisk,
    events: Vec<StoredEvent>,
    /// How many of them the backup has; none: there is no backup.
    saved: Option<usize>,
}

impl Scene {
    fn new(has_backup: bool, linking: Linking) -> Result<Self> {
        let disk = SimDisk::new(1);
        let store = open(&disk, STORE)?;
        append(&store, 15)?;
        let mut saved = None;
        if has_backup {
            let report = back_up(&disk, linking)?;
            assert!(report.segments_copied + report.segments_linked > 1);
            saved = Some(15);
        }
        append(&store, 20)?;
        let events = everything(&store);
        store.close()?;
        Ok(Self { disk: disk.snapshot(2), events, saved })
    }

    /// What holds at each moment: a backup that was there is there, as a store and as a backup, and may have more.
    #[track_caller]
    fn check_older_backup(&self, disk: &SimDisk, what: &str) {
        let Some(saved) = self.saved else { return };
        let disk = disk.snapshot(3);
        let verified =
            verify_on(Arc::new(disk.clone()), SAVED, &mut |_| ControlFlow::Continue(())).expect(what);
        assert!(verified.is_whole() && verified.findings.is_empty(), "{what}: {verified:?}");
        assert_eq!(verified.interrupted_bytes, 0, "{what}");
        let follower = Follower::open_on(Arc::new(disk.mount()), SAVED, Options::new()).expect(what);
        self.check_is_beginning(&everything(&follower), saved, what);
        let report = restore(&disk, "/restored", ExistingStore::Refuse).expect(what);
        let restored = everything(&open(&disk, "/restored").expect(what));
        assert_eq!(report.last_position.get(), restored.len() as u64, "{what}");
        self.check_is_beginning(&restored, saved, what);
        let store = open(&disk, SAVED).expect(what);
        self.check_is_beginning(&everything(&store), saved, what);
    }

    #[track_caller]
    fn check_is_beginning(&self, found: &[StoredEvent], saved: usize, what: &str) {
        assert!(found.len() >= saved, "{what}: {} events", found.len());
        assert!(found == &self.events[..found.len()], "{what}");
    }

    /// A backup that was finished holds everything, whatever happens behind it, and nothing else is left.
    #[track_caller]
    fn check_whole(&self, disk: &SimDisk, what: &str) {
        let left: Vec<_> =
            disk.files().into_iter().filter(|path| path.extension() == Some("tmp".as_ref())).collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        let disk = disk.snapshot(4);
        let verified =
            verify_on(Arc::new(disk.clone()), SAVED, &mut |_| ControlFlow::Continue(())).expect(what);
        assert!(verified.is_whole() && verified.findings.is_empty(), "{what}: {verified:?}");
        assert_eq!(verified.interrupted_bytes, 0, "{what}");
        let report = restore(&disk, "/restored", ExistingStore::Refuse).expect(what);
        assert_eq!(report.last_position.get(), self.events.len() as u64, "{what}");
        for path in ["/restored", SAVED] {
            assert!(everything(&open(&disk, path).expect(what)) == self.events, "{what}");
        }
    }
}

/// How a program that makes a backup ends in the midst of an operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    PowerCut,
    Kill,
}

fn end(disk: &SimDisk, end: End) {
    match end {
        End::PowerCut => disk.power_cut(),
        End::Kill => disk.crash_process(),
    }
}

#[test]
fn a_backup_that_is_cut_off_at_any_operation_leaves_the_older_one_and_is_made_whole_by_the_next() -> Outcome {
    let mut cuts = 0;
    for (has_backup, linking) in
        [(false, Linking::Never), (true, Linking::Never), (true, Linking::WherePossible)]
    {
        let scene = Scene::new(has_backup, linking)?;
        for how in [End::PowerCut, End::Kill] {
            for nth in 1.. {
                let what = format!("{how:?} at operation {nth}, {linking:?}, with a backup: {has_backup}");
                let disk = scene.disk.fork(nth);
                disk.cut_at(nth);
                let made = back_up(&disk, linking);
                let was_cut = disk.is_cut();
                assert!(was_cut || made.is_ok(), "{what}: {made:?}");
                end(&disk, how);
                scene.check_older_backup(&disk, &what);
                // The next is cut off too, somewhere.
                disk.cut_at(1 + nth * 7 % 60);
                back_up(&disk, linking).ok();
                end(&disk, how);
                scene.check_older_backup(&disk, &what);
                back_up(&disk, linking).expect(&what);
                disk.power_cut();
                scene.check_whole(&disk, &what);
                cuts += 2;
                if !was_cut {
                    break;
                }
            }
        }
    }
    assert!(cuts > 300, "{cuts} cuts");
    Ok(())
}

#[test]
fn a_backup_that_fails_at_any_operation_leaves_the_older_one_and_is_made_whole_by_the_next() -> Outcome {
    for has_backup in [false, true] {
        let scene = Scene::new(has_backup, Linking::Never)?;
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            for nth in 1.. {
                let what = format!("{kind:?} at operation {nth}, with a backup: {has_backup}");
                let disk = scene.disk.fork(nth);
                // What a directory's sync that failed has left out, no later one is sure to bring.
                let fault = Fault::new(kind).at(nth).leaving(SyncFailure::StaysDirty);
                disk.fail(if kind == ErrorKind::StorageFull { fault.forever() } else { fault });
                let before = disk.operations();
                let made = back_up(&disk, Linking::Never);
                let is_over = disk.operations() - before < nth;
                disk.clear_faults();
                scene.check_older_backup(&disk, &what);
                assert!(!is_over || made.is_ok(), "{what}: {made:?}");
                if made.is_err() {
                    let cut = disk.fork(nth);
                    cut.power_cut();
                    scene.check_older_backup(&cut, &what);
                }
                back_up(&disk, Linking::Never).expect(&what);
                disk.power_cut();
                scene.check_whole(&disk, &what);
                if is_over {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn where_the_disk_links_no_files_they_are_copied() -> Outcome {
    let scene = Scene::new(false, Linking::Never)?;
    let disk = scene.disk.fork(1);
    disk.fail(Fault::new(ErrorKind::CrossesDevices).on(DiskOperation::Link).forever());
    let report = back_up(&disk, Linking::WherePossible)?;
    assert_eq!((report.segments_linked, report.bytes_copied), (0, report.log_bytes));
    scene.check_whole(&disk, "copied");
    let linked = back_up(&scene.disk.fork(2), Linking::WherePossible)?;
    assert_eq!(linked.segments_linked + 1, report.segments_copied);
    Ok(())
}

#[test]
fn a_full_disk_is_told_and_the_backup_before_stays() -> Outcome {
    let scene = Scene::new(true, Linking::Never)?;
    let used: u64 = scene
        .disk
        .files()
        .iter()
        .filter_map(|path| scene.disk.read_file(path))
        .map(|file| file.len() as u64)
        .sum();
    for room in (0..20_000).step_by(700) {
        let disk = scene.disk.fork(room);
        disk.set_quota_bytes(Some(used + room));
        let made = back_up(&disk, Linking::Never);
        disk.set_quota_bytes(None);
        let what = format!("{room} bytes of room");
        match made {
            Err(Error::Io { source, .. }) => assert_eq!(source.kind(), ErrorKind::StorageFull, "{what}"),
            made => drop(made.expect(&what)),
        }
        scene.check_older_backup(&disk, &what);
        back_up(&disk, Linking::Never).expect(&what);
        scene.check_whole(&disk, &what);
    }
    Ok(())
}

/// A scene with a backup of everything, and perhaps another store where it is to be restored.
fn scene_to_restore(has_store: bool) -> Result<(Scene, Vec<StoredEvent>)> {
    let mut scene = Scene::new(true, Linking::Never)?;
    back_up(&scene.disk, Linking::Never)?;
    scene.saved = Some(scene.events.len());
    let mut others = Vec::new();
    if has_store {
        let other = open(&scene.disk, "/shop")?;
        append(&other, 9)?;
        others = everything(&other);
        other.close()?;
    }
    scene.disk = scene.disk.snapshot(5);
    Ok((scene, others))
}

/// All stores in the root directory, but for the first one and its backup, as their events.
fn stores(disk: &SimDisk, what: &str) -> Vec<(String, Vec<StoredEvent>)> {
    let disk = disk.snapshot(6);
    let entries = disk.list(Path::new("/")).expect(what);
    let names =
        entries.into_iter().filter(|entry| entry.kind == EntryKind::Directory).map(|entry| entry.name);
    names
        .filter(|name| name.starts_with("shop"))
        .filter_map(|name| {
            let opened = EventStore::open_on(
                Arc::new(disk.mount()),
                format!("/{name}"),
                Options::new().creation(annals::Creation::Never),
            );
            match opened {
                Ok(store) => Some((name, everything(&store))),
                // It isn't whole yet, and says so.
                Err(Error::NotAStore { .. }) => None,
                Err(error) => panic!("{what}: {name}: {error}"),
            }
        })
        .collect()
}

/// A program that makes a store where there is none finds one there, or is refused.
#[track_caller]
fn check_no_store_is_made(disk: &SimDisk, found: &[(String, Vec<StoredEvent>)], what: &str) {
    let disk = disk.snapshot(7);
    let follower = Follower::open_on(Arc::new(disk.mount()), "/shop", Options::new());
    let expected = found.iter().find(|(name, _)| name == "shop");
    match (expected, open(&disk, "/shop")) {
        (Some((_, events)), Ok(store)) => {
            assert!(everything(&store) == *events, "{what}");
            assert!(everything(&follower.expect(what)) == *events, "{what}");
        }
        (None, Err(Error::NotAStore { reason, .. })) => {
            assert!(reason.contains("restore again"), "{what}: {reason}");
            let refused = matches!(&follower, Err(Error::NotAStore { .. }));
            assert!(refused, "{what}: {follower:?}");
        }
        (_, opened) => panic!("{what}: {opened:?}"),
    }
}

#[test]
fn a_restore_that_is_cut_off_at_any_operation_loses_no_store_and_is_done_by_the_next() -> Outcome {
    for (has_store, has_directory) in [(false, false), (false, true), (true, true)] {
        let (scene, others) = scene_to_restore(has_store)?;
        let existing = if has_store { ExistingStore::SetAside } else { ExistingStore::Refuse };
        if has_directory && !has_store {
            scene.disk.create_dir(Path::new("/shop"))?;
            scene.disk.sync_dir(Path::new("/"))?;
        }
        for how in [End::PowerCut, End::Kill] {
            for nth in 1.. {
                let what = format!("{how:?} at operation {nth}, with a store: {has_store}");
                let disk = scene.disk.fork(nth);
                disk.cut_at(nth);
                let restored = restore(&disk, "/shop", existing);
                let was_cut = disk.is_cut();
                assert!(was_cut || restored.is_ok(), "{what}: {restored:?}");
                end(&disk, how);
                let mut found = stores(&disk, &what);
                for (name, events) in &found {
                    assert!(*events == scene.events || has_store && *events == others, "{what}: {name}");
                }
                assert!(
                    !has_store || found.iter().any(|(_, events)| *events == others),
                    "{what}: it is lost"
                );
                if has_store {
                    check_no_store_is_made(&disk, &found, &what);
                }
                // It is done again, unless it was done.
                if !found.iter().any(|(name, events)| name == "shop" && *events == scene.events) {
                    restore(&disk, "/shop", existing).expect(&what);
                    disk.power_cut();
                    found = stores(&disk, &what);
                }
                assert!(
                    found.iter().any(|(name, events)| name == "shop" && *events == scene.events),
                    "{what}"
                );
                assert_eq!(
                    found.iter().filter(|(_, events)| *events == others).count(),
                    usize::from(has_store),
                    "{what}"
                );
                scene.check_whole(&disk, &what);
                if !was_cut {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn a_restore_that_fails_at_any_operation_loses_no_store_and_is_done_by_the_next() -> Outcome {
    let (scene, others) = scene_to_restore(true)?;
    for nth in 1.. {
        let what = format!("operation {nth}");
        let disk = scene.disk.fork(nth);
        disk.fail(Fault::new(ErrorKind::Other).at(nth).leaving(SyncFailure::StaysDirty));
        let before = disk.operations();
        let restored = restore(&disk, "/shop", ExistingStore::SetAside);
        let is_over = disk.operations() - before < nth;
        assert!(!is_over || restored.is_ok(), "{what}: {restored:?}");
        disk.clear_faults();
        let found = stores(&disk, &what);
        if restored.is_err() {
            assert_eq!(found, [("shop".to_owned(), others.clone())], "{what}: it isn't as before");
            restore(&disk, "/shop", ExistingStore::SetAside).expect(&what);
        }
        disk.power_cut();
        let found = stores(&disk, &what);
        assert!(found.iter().any(|(name, events)| name == "shop" && *events == scene.events), "{what}");
        assert_eq!(found.iter().filter(|(_, events)| *events == others).count(), 1, "{what}");
        if is_over {
            break;
        }
    }
    Ok(())
}

#[test]
fn a_store_that_cannot_be_put_back_is_named() -> Outcome {
    let (scene, others) = scene_to_restore(true)?;
    let renames = || Fault::new(ErrorKind::Other).on(DiskOperation::Rename).forever();
    let mut told = 0;
    for nth in 1.. {
        let disk = scene.disk.fork(nth);
        disk.fail(renames().at(nth));
        let restored = restore(&disk, "/shop", ExistingStore::SetAside);
        disk.clear_faults();
        let what = format!("rename {nth}");
        match restored {
            Ok(_) => break,
            Err(Error::Backup(BackupError::NotPutBack { path, set_aside, reason })) => {
                assert_eq!(path, Path::new("/shop"), "{what}");
                assert!(reason.contains("rename"), "{what}: {reason}");
                let follower = Follower::open_on(Arc::new(disk.mount()), &set_aside, Options::new())?;
                assert!(everything(&follower) == others, "{what}");
                check_no_store_is_made(&disk, &stores(&disk, &what), &what);
                told += 1;
            }
            Err(_) => assert_eq!(stores(&disk, &what), [("shop".to_owned(), others.clone())], "{what}"),
        }
        restore(&disk, "/shop", ExistingStore::SetAside).expect(&what);
        let found = stores(&disk, &what);
        assert!(found.iter().any(|(name, events)| name == "shop" && *events == scene.events), "{what}");
        assert!(found.iter().any(|(_, events)| *events == others), "{what}");
    }
    assert_eq!(told, 2, "both renames behind the first");
    Ok(())
}

#[test]
fn a_first_backup_that_was_never_finished_is_no_backup_yet() -> Outcome {
    let scene = Scene::new(false, Linking::Never)?;
    let disk = scene.disk.fork(1);
    disk.fail(Fault::new(ErrorKind::StorageFull).on(DiskOperation::Rename).at(3).forever());
    assert!(back_up(&disk, Linking::Never).is_err());
    disk.clear_faults();
    let refused = restore(&disk, "/restored", ExistingStore::Refuse);
    let Err(Error::Backup(BackupError::NotABackup { reason, .. })) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("never finished"), "{reason}");
    assert_eq!(disk.kind(Path::new("/restored"))?, None);
    let report = back_up(&disk, Linking::Never)?;
    assert_eq!(report.last_position, Position::new(scene.events.len() as u64));
    assert!(report.segments_kept > 0);
    Ok(())
}

#[test]
fn opening_a_backup_that_was_interrupted_changes_no_file_of_the_stores() -> Outcome {
    let scene = Scene::new(true, Linking::WherePossible)?;
    let (mut linked, mut opened) = (0, 0);
    for nth in 1.. {
        let disk = scene.disk.fork(nth);
        disk.cut_at(nth);
        back_up(&disk, Linking::WherePossible).ok();
        let was_cut = disk.is_cut();
        disk.crash_process();
        let files = disk.files();
        let newest = files
            .iter()
            .rfind(|path| path.starts_with("/saved/segments") && path.extension() == Some("log".as_ref()));
        let newest = newest.expect("the backup before");
        let of_store = Path::new("/store/segments").join(newest.file_name().expect("a name"));
        // The SEAL, if it is a sealed one that both have.
        let mut bytes = disk.read_file(&of_store).expect("the store has it too");
        let at = bytes.len() - 60;
        bytes[at] ^= 1;
        disk.write_file(&of_store, bytes.clone())?;
        if disk.read_file(newest).expect("it is there") == bytes {
            linked += 1;
            for cut in (1..12).map(Some).chain([None]) {
                let disk = disk.fork(nth);
                if let Some(cut) = cut {
                    disk.cut_at(cut);
                }
                opened += u64::from(open(&disk, SAVED).is_ok());
                disk.crash_process();
                assert!(disk.read_file(&of_store) == Some(bytes.clone()), "{nth}, {cut:?}");
            }
        }
        if !was_cut {
            break;
        }
    }
    assert!(linked > 0 && opened > 0, "{linked} linked, {opened} opened");
    Ok(())
}
