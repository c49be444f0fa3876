//! Backups: what they hold, what they take, and where they are refused.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use annals::{
    BackupError, BackupOptions, BackupReport, Checking, Commit, Durability, Error, EventData, EventStore,
    ExpectedVersion, Follower, Linking, Options, Position, Progress, Query, Reader, Result,
    SEGMENT_BYTES_MIN, StoredEvent, backup, verify,
};

use crate::support::{
    Outcome, SaysDone, TestStore, buffered, event, events, small_segments, store_with, stream,
};

/// Goes on whatever is told.
pub(crate) fn on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// All events, those of the store's own streams among them.
pub(crate) fn everything(reader: &Reader) -> Vec<StoredEvent> {
    reader.read(Query::all().including_system()).collect::<Result<_>>().expect("every event can be read")
}

/// The bytes of a store's log, file by file, and which files they are.
pub(crate) fn log(store: &Path) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    let entries = fs::read_dir(store.join("segments")).expect("a store");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension() == Some("log".as_ref()))
        .map(|path| {
            let name = PathBuf::from(path.file_name().expect("a name"));
            (name, (fs::metadata(&path).expect("a file").ino(), fs::read(&path).expect("a file")))
        })
        .collect()
}

/// A store that opens without a cut, verifies, and has these events; nothing of its log is changed by that.
#[track_caller]
pub(crate) fn check_store(path: &Path, expected: &[StoredEvent]) {
    let (before, mark) = (log(path), fs::read(path.join("durable.mark")).expect("a mark"));
    let verified = verify(path, &mut |_| ControlFlow::Continue(())).expect("it can be verified");
    assert!(verified.is_whole() && verified.findings.is_empty(), "{verified:?}");
    assert_eq!(verified.interrupted_bytes, 0);
    assert_eq!(verified.last_position.get(), expected.len() as u64);
    let follower = Follower::open(path).expect("it is followed");
    assert!(everything(&follower) == expected);
    let store = EventStore::open(path).expect("it opens");
    assert!(everything(&store) == expected, "{} events", expected.len());
    store.close().expect("it closes");
    assert!(log(path) == before, "opening changed the log");
    assert!(fs::read(path.join("durable.mark")).expect("a mark") == mark, "it said less than is durable");
    assert!(!path.join("quarantine").exists());
}

pub(crate) fn back_up(store: &TestStore, destination: &Path) -> Result<BackupReport> {
    store.backup(destination, &BackupOptions::new(), &mut on)
}

pub(crate) fn append(store: &EventStore, name: &str, from: u64, count: u64) {
    for number in from..from + count {
        store.append(&stream(name), ExpectedVersion::Any, events(number, 1)).expect("appended");
    }
}

#[test]
fn a_backup_is_a_store_with_the_same_events() -> Outcome {
    for (options, linking) in [
        (Options::new(), Linking::WherePossible),
        (small_segments(), Linking::WherePossible),
        (small_segments(), Linking::Never),
        (Options::new().segment_bytes(SEGMENT_BYTES_MIN), Linking::WherePossible),
    ] {
        let store = store_with(options);
        append(&store, "order-1", 1, 40);
        store.commit(
            Commit::new().append(&stream("order-1"), ExpectedVersion::Any, events(41, 2)).append(
                &stream("order-2"),
                ExpectedVersion::NoStream,
                [event("placed")],
            ),
        )?;
        store.save_checkpoint("mailer", store.read_all().next().expect("an event")?.cursor())?;
        let directory = tempfile::tempdir()?;
        let destination = directory.path().join("saved");
        let options = BackupOptions::new().linking(linking);
        let (mut told, mut last) = (0, None);
        let report = store.backup(&destination, &options, &mut |progress| {
            told += 1;
            assert!(last.is_none_or(|last| last <= progress.bytes));
            last = Some(progress.bytes);
            ControlFlow::Continue(())
        })?;
        let info = store.info()?;
        assert_eq!((report.last_position, report.log_bytes), (Position::new(44), info.log_bytes));
        assert_eq!(report.segments_copied + report.segments_linked, info.segments);
        let is_linked = linking == Linking::WherePossible && info.segments > 1;
        assert_eq!(report.segments_linked, if is_linked { info.segments - 1 } else { 0 });
        check_store(&destination, &everything(&store));
        let saved = EventStore::open(&destination)?;
        assert_eq!(saved.checkpoint("mailer")?, store.checkpoint("mailer")?);
        assert_eq!(saved.stream_version(&stream("order-1"))?.get(), 42);
        assert_eq!(told, info.segments);
    }
    Ok(())
}

#[test]
fn a_store_that_nobody_has_open_is_backed_up_by_its_path() -> Outcome {
    let (store, directory) = store_with(small_segments()).into_parts();
    append(&store, "a", 1, 50);
    let expected = everything(&store);
    let path = store.path().to_owned();
    store.close()?;
    let destination = directory.path().join("saved");
    let report = backup(&path, &destination, &BackupOptions::new(), &mut on)?;
    assert_eq!(report.last_position, Position::new(50));
    check_store(&destination, &expected);
    let of_backup = directory.path().join("backup of the backup");
    backup(&destination, &of_backup, &BackupOptions::new(), &mut on)?;
    check_store(&of_backup, &expected);
    Ok(())
}

#[test]
fn an_empty_store_has_a_backup() -> Outcome {
    let store = store_with(Options::new());
    let directory = tempfile::tempdir()?;
    let report = back_up(&store, directory.path())?;
    assert_eq!((report.last_position, report.segments_copied), (Position::NONE, 1));
    check_store(directory.path(), &[]);
    assert_eq!(back_up(&store, directory.path())?.segments_kept, 1);
    append(&store, "a", 1, 1);
    assert_eq!(back_up(&store, directory.path())?.last_position, Position::FIRST);
    check_store(directory.path(), &everything(&store));
    Ok(())
}

#[test]
fn the_next_backup_copies_only_what_is_new() -> Outcome {
    for linking in [Linking::WherePossible, Linking::Never] {
        let store = store_with(small_segments());
        let directory = tempfile::tempdir()?;
        let destination = directory.path().join("saved");
        let options = BackupOptions::new().linking(linking);
        append(&store, "a", 1, 60);
        let first = store.backup(&destination, &options, &mut on)?;
        let sealed = store.info()?.segments - 1;
        assert!(sealed >= 2);
        let before = log(&destination);

        let nothing_new = store.backup(&destination, &options, &mut on)?;
        assert_eq!(nothing_new.segments_kept, sealed + 1);
        assert_eq!(
            (nothing_new.segments_copied, nothing_new.segments_linked, nothing_new.bytes_copied),
            (0, 0, 0)
        );
        assert_eq!(
            (nothing_new.last_position, nothing_new.log_bytes),
            (first.last_position, first.log_bytes)
        );
        assert!(log(&destination) == before, "not a file is another one");

        append(&store, "a", 61, 1);
        let little_new = store.backup(&destination, &options, &mut on)?;
        assert_eq!((little_new.segments_kept, little_new.segments_copied), (sealed, 1));
        append(&store, "a", 62, 40);
        let more_new = store.backup(&destination, &options, &mut on)?;
        let segments = store.info()?.segments;
        assert_eq!(more_new.segments_kept, sealed);
        assert_eq!(more_new.segments_copied + more_new.segments_linked, segments - sealed);
        assert!(more_new.bytes_copied <= (segments - sealed) * 2 * SEGMENT_BYTES_MIN);
        let after = log(&destination);
        for (name, file) in before.iter().take(usize::try_from(sealed)?) {
            assert!(after[name] == *file, "{} is the file it was", name.display());
        }
        check_store(&destination, &everything(&store));
    }
    Ok(())
}

#[test]
fn sealed_segments_are_one_file_with_two_names_unless_copies_are_wanted() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 60);
    let directory = tempfile::tempdir()?;
    let (linked, copied) = (directory.path().join("linked"), directory.path().join("copied"));
    back_up(&store, &linked)?;
    let report = store.backup(&copied, &BackupOptions::new().linking(Linking::Never), &mut on)?;
    assert_eq!(report.bytes_copied, report.log_bytes);
    let (own, linked, copied) = (log(store.path()), log(&linked), log(&copied));
    let last = own.keys().next_back().expect("a segment");
    for (name, (inode, bytes)) in &own {
        assert_ne!(copied[name].0, *inode);
        if name == last {
            // The backup may be opened as a store, and written to.
            assert_ne!(linked[name].0, *inode);
            assert!(bytes.starts_with(&linked[name].1));
        } else {
            assert_eq!(linked[name].0, *inode);
            assert!(copied[name].1 == *bytes);
        }
    }
    Ok(())
}

#[test]
fn what_is_appended_meanwhile_is_not_in_the_backup() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 60);
    let expected = everything(&store);
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    let mut number = 60;
    let report = store.backup(&destination, &BackupOptions::new(), &mut |_| {
        number += 1;
        append(&store, "a", number, 20);
        ControlFlow::Continue(())
    })?;
    assert_eq!(report.last_position, Position::new(60));
    check_store(&destination, &expected);
    Ok(())
}

/// Appends on two threads as fast as it goes, while something is done.
fn beside_appends<T>(store: &EventStore, act: impl FnOnce() -> T) -> T {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 0..2 {
            let is_over = &is_over;
            scope.spawn(move || {
                let name = stream(&format!("order-{thread}"));
                while !is_over.load(Ordering::Relaxed) {
                    let batch = (0..3).map(|_| EventData::new("Placed", vec![b'x'; 100]));
                    store.append(&name, ExpectedVersion::Any, batch).expect("appended");
                }
            });
        }
        let _acting = SaysDone(&is_over);
        act()
    })
}

#[test]
fn twenty_backups_beside_full_rate_appending_each_are_a_prefix__F38() -> Outcome {
    for durability in [Durability::Buffered, Durability::Fsync] {
        let store = store_with(Options::new().durability(durability).segment_bytes(64 << 10));
        let directory = tempfile::tempdir()?;
        let growing = directory.path().join("growing");
        let made = beside_appends(&store, || -> Result<Vec<(PathBuf, Position)>> {
            let mut made = Vec::new();
            for number in 0..10 {
                let own = directory.path().join(number.to_string());
                let reader = store.last_position();
                let report = if number % 2 == 0 {
                    store.backup(&own, &BackupOptions::new(), &mut on)?
                } else {
                    backup(store.path(), &own, &BackupOptions::new().linking(Linking::Never), &mut on)?
                };
                assert!(report.last_position >= reader);
                made.push((own, report.last_position));
                // Into one that grows, which is looked at in between.
                let report = store.backup(&growing, &BackupOptions::new(), &mut on)?;
                let seen = Follower::open(&growing)?.last_position();
                assert_eq!(seen, report.last_position);
            }
            Ok(made)
        })?;
        store.backup(&growing, &BackupOptions::new(), &mut on)?;
        let all = everything(&store);
        check_store(&growing, &all);
        assert_eq!(made.len(), 10);
        for (path, position) in made {
            check_store(&path, &all[..usize::try_from(position.get())?]);
        }
    }
    Ok(())
}

#[test]
fn damage_is_told_and_never_backed_up() -> Outcome {
    for linking in [Linking::WherePossible, Linking::Never] {
        let (store, directory) = store_with(small_segments()).into_parts();
        append(&store, "a", 1, 60);
        let path = store.path().to_owned();
        store.close()?;
        let whole = log(&path);
        let options = BackupOptions::new().linking(linking);
        for (number, (name, (_, bytes))) in whole.iter().enumerate() {
            let file = path.join("segments").join(name);
            for at in [0x208, 0x240, 0x300, bytes.len() - 70] {
                let mut damaged = bytes.clone();
                damaged[at] ^= 4;
                fs::write(&file, &damaged)?;
                let destination = directory.path().join(format!("saved-{number}-{at}-{linking:?}"));
                let told = backup(&path, &destination, &options, &mut on);
                let Err(Error::Corrupt { path: told, .. }) = told else { panic!("{number} {at}: {told:?}") };
                assert_eq!(told, file);
                // What is in place is whole, and what isn't has left nothing.
                for (name, (_, found)) in log_if_any(&destination) {
                    assert!(whole[&name].1 == found, "{}", name.display());
                }
                assert!(!destination.join("segments").join(name).exists());
            }
            fs::write(&file, bytes)?;
        }
    }
    Ok(())
}

fn log_if_any(store: &Path) -> BTreeMap<PathBuf, (u64, Vec<u8>)> {
    if store.join("segments").exists() { log(store) } else { BTreeMap::new() }
}

#[test]
fn a_backup_whose_files_were_lost_or_cut_short_is_mended_by_the_next() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 60);
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    let options = BackupOptions::new().linking(Linking::Never);
    store.backup(&destination, &options, &mut on)?;
    for name in log(&destination).into_keys() {
        let file = destination.join("segments").join(name);
        for lost in [true, false] {
            if lost {
                fs::remove_file(&file)?;
            } else {
                let bytes = fs::read(&file)?;
                fs::write(&file, &bytes[..bytes.len() - 64])?;
            }
            let report = store.backup(&destination, &options, &mut on)?;
            assert_eq!(report.segments_copied, 1);
            check_store(&destination, &everything(&store));
        }
    }
    fs::remove_file(destination.join("store.meta"))?;
    fs::remove_file(destination.join("durable.mark"))?;
    back_up(&store, &destination)?;
    check_store(&destination, &everything(&store));
    Ok(())
}

#[test]
fn a_backup_that_is_stopped_goes_on_where_it_was() -> Outcome {
    let store = store_with(buffered().segment_bytes(1 << 20));
    for _ in 0..12 {
        let large = EventData::new("Large", vec![b'x'; 400 << 10]);
        store.append(&stream("a"), ExpectedVersion::Any, [large])?;
    }
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    let options = BackupOptions::new().linking(Linking::Never);
    let mut told = 0;
    let stopped = store.backup(&destination, &options, &mut |_| {
        told += 1;
        if told < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    assert!(matches!(stopped, Err(Error::Backup(BackupError::Stopped { .. }))), "{stopped:?}");
    let in_place = log(&destination);
    assert!(!in_place.is_empty());
    let leftovers = fs::read_dir(destination.join("segments"))?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().extension() == Some("tmp".as_ref())));
    assert_eq!(leftovers.count(), 0);
    let opened = EventStore::open(&destination).expect_err("it isn't whole");
    assert!(opened.to_string().contains("never finished"), "{opened}");
    let report = store.backup(&destination, &options, &mut on)?;
    assert_eq!(report.segments_kept, in_place.len() as u64);
    check_store(&destination, &everything(&store));
    Ok(())
}

#[test]
fn copies_take_the_place_of_links_that_an_earlier_backup_has_made() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 60);
    let directory = tempfile::tempdir()?;
    let linked = back_up(&store, directory.path())?;
    assert!(linked.segments_linked > 0);
    let copies = BackupOptions::new().linking(Linking::Never);
    let report = store.backup(directory.path(), &copies, &mut on)?;
    assert_eq!((report.segments_copied, report.segments_kept), (linked.segments_linked, 1));
    let (own, saved) = (log(store.path()), log(directory.path()));
    for (name, (inode, _)) in &own {
        assert_ne!(saved[name].0, *inode, "{}", name.display());
    }
    check_store(directory.path(), &everything(&store));
    let report = store.backup(directory.path(), &copies, &mut on)?;
    assert_eq!(report.bytes_copied, 0, "they are copies");
    Ok(())
}

#[test]
fn damage_in_a_backup_is_mended_by_one_that_reads_everything() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 60);
    let directory = tempfile::tempdir()?;
    let destination = directory.path().join("saved");
    let options = BackupOptions::new().linking(Linking::Never);
    let checked = options.checking(Checking::Everything);
    store.backup(&destination, &options, &mut on)?;
    for name in log(&destination).into_keys() {
        let file = destination.join("segments").join(name);
        for at in [8, 700] {
            let mut bytes = fs::read(&file)?;
            bytes[at] ^= 1;
            fs::write(&file, &bytes)?;
            let report = store.backup(&destination, &options, &mut on)?;
            assert_eq!((report.segments_copied, report.segments_mended), (0, 0), "nobody has looked");
            let report = store.backup(&destination, &checked, &mut on)?;
            assert_eq!((report.segments_copied, report.segments_mended), (1, 1));
            check_store(&destination, &everything(&store));
        }
    }
    let report = store.backup(&destination, &checked, &mut on)?;
    assert_eq!((report.bytes_copied, report.segments_mended), (0, 0));
    Ok(())
}
