//! Restoring: to every position and time, over what is there, and from what is damaged.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use annals::{
    AsOf, BackupError, BackupOptions, Clock, Commit, Error, EventData, EventStore, ExistingStore,
    ExpectedVersion, Linking, Options, Position, RestoreOptions, RestoreReport, Result, SEGMENT_BYTES_MIN,
    SimDisk, StoredEvent, Timestamp, backup, backup_on, restore, restore_on, verify, verify_on,
};

use crate::{
    backup::{append, back_up, check_store, everything, log, on},
    patient::{End, Patient, STORE},
    support::{Outcome, buffered, event, events, gated_store, small_segments, store_with, stream},
};

/// A backup in a directory of its own, and what its store had.
struct Saved {
    directory: tempfile::TempDir,
    path: PathBuf,
    events: Vec<StoredEvent>,
    /// After how many events a commit ends.
    commit_ends: Vec<u64>,
}

impl Saved {
    /// Of a store whose frames have several commits each, over several segments.
    fn of_commits() -> Self {
        let (store, gate) = gated_store(small_segments());
        let mut commit_ends = vec![0];
        let mut pending = Vec::new();
        for number in 0..60_u64 {
            let count = 1 + number * 7 % 4;
            let end = commit_ends.last().copied().unwrap_or(0) + count;
            let mut commit = Commit::new().append(
                &stream(&format!("a-{}", number % 3)),
                ExpectedVersion::Any,
                events(end, count - 1),
            );
            commit = commit.append(&stream("b"), ExpectedVersion::Any, [event("last")]);
            pending.push(store.submit_commit(commit).expect("handed over"));
            commit_ends.push(end);
            if number % 6 == 0 {
                // The first is taken alone, and what is handed over meanwhile is one frame.
                gate.wait_for_writer();
                gate.let_go();
            }
        }
        drop(gate);
        for pending in pending {
            pending.wait().expect("stored");
        }
        Self::of(&store, commit_ends)
    }

    fn of(store: &EventStore, commit_ends: Vec<u64>) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("saved");
        let options = BackupOptions::new().linking(Linking::Never);
        store.backup(&path, &options, &mut on).expect("backed up");
        Self { directory, path, events: everything(store), commit_ends }
    }

    /// So many events in small segments, each a commit.
    fn of_events(count: u64) -> Self {
        let store = store_with(small_segments());
        for number in 1..=count {
            store.append(&stream("a"), ExpectedVersion::Any, events(number, 1)).expect("appended");
        }
        Self::of(&store, (0..=count).collect())
    }

    fn restore(&self, name: &str, options: &RestoreOptions) -> Result<RestoreReport> {
        restore(&self.path, self.directory.path().join(name), options, &mut on)
    }

    fn in_directory(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The names beside the backup.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.retain(|name| name != "saved");
        names.sort();
        names
    }
}

/// Goes on with a restored store.
#[track_caller]
fn check_goes_on(path: &Path, expected: &[StoredEvent]) {
    let store = EventStore::open_with(path, small_segments()).expect("it opens");
    let before = store.stream_version(&stream("b")).expect("a version");
    let appended = store.append(&stream("b"), before, events(1, 30)).expect("it goes on");
    assert_eq!(appended.position.get(), expected.len() as u64 + 30);
    assert_eq!(appended.version.get(), before.get() + 30);
    assert!(everything(&store).starts_with(expected));
    store.close().expect("it closes");
    let verified = verify(path, &mut |_| ControlFlow::Continue(())).expect("it can be verified");
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.events, expected.len() as u64 + 30);
}

#[test]
fn a_restored_store_has_the_same_events_and_goes_on() -> Outcome {
    let saved = Saved::of_commits();
    let report = saved.restore("again", &RestoreOptions::new())?;
    let last = saved.events.last().expect("an event");
    assert_eq!((report.last_position, report.backup_position), (last.position, last.position));
    assert_eq!((report.last_timestamp, report.set_aside), (Some(last.timestamp), None));
    let again = saved.in_directory("again");
    assert_eq!(report.segments, log(&again).len() as u64);
    let bytes: usize = log(&again).values().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(report.log_bytes, bytes as u64);
    check_store(&again, &saved.events);
    // It is the same store: its backups go on.
    let next = backup(&again, &saved.path, &BackupOptions::new(), &mut on)?;
    assert_eq!(next.segments_kept, report.segments);
    check_goes_on(&again, &saved.events);
    backup(&again, &saved.path, &BackupOptions::new(), &mut on)?;
    let names = fs::read_dir(&again)?.map(|entry| entry.map(|entry| entry.file_name()));
    let names: Vec<_> = names.collect::<std::io::Result<_>>()?;
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("restoring")), "{names:?}");
    assert!(!names.contains(&"backup.manifest".into()));
    Ok(())
}

#[test]
fn a_store_is_restored_to_every_position_and_no_commit_is_cut_apart() -> Outcome {
    let saved = Saved::of_commits();
    let count = saved.events.len() as u64;
    let verified = verify(&saved.path, &mut |_| ControlFlow::Continue(()))?;
    let commits = saved.commit_ends.len() as u64 - 1;
    assert!(verified.frames < commits, "frames have several commits: {} have {commits}", verified.frames);
    assert!(verified.segments > 3 && count > commits);
    for position in 0..=count + 1 {
        let name = position.to_string();
        let report = saved.restore(&name, &RestoreOptions::new().as_of(Position::new(position)))?;
        let expected = saved.commit_ends.iter().rev().find(|end| **end <= position).copied().unwrap_or(0);
        assert_eq!(
            (report.last_position.get(), report.backup_position.get()),
            (expected, count),
            "{position}"
        );
        let path = saved.in_directory(&name);
        check_store(&path, &saved.events[..usize::try_from(expected)?]);
        if position % 9 == 0 {
            check_goes_on(&path, &saved.events[..usize::try_from(expected)?]);
        }
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// A clock that the test sets.
#[derive(Default, Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

#[test]
fn a_store_is_restored_to_any_time() -> Outcome {
    let clock = Arc::new(SetClock::default());
    let store = store_with(small_segments().clock(Arc::clone(&clock) as Arc<dyn Clock>));
    for number in 1..=40 {
        // Two appends a moment, and from time to time none for long.
        let time = (number / 2) * 10 + if number > 20 { 1_000 } else { 0 };
        clock.0.store(time, Ordering::SeqCst);
        store.append(&stream("a"), ExpectedVersion::Any, events(1, 2))?;
    }
    let saved = Saved::of(&store, Vec::new());
    let times = (-1..=210).chain(999..1_220).chain([i64::MIN, i64::MAX]);
    for (number, time) in times.enumerate() {
        let name = number.to_string();
        let report = saved.restore(&name, &RestoreOptions::new().as_of(Timestamp::from_micros(time)))?;
        let expected: Vec<_> =
            saved.events.iter().filter(|event| event.timestamp.micros() <= time).cloned().collect();
        assert_eq!(report.last_position.get(), expected.len() as u64, "{time}");
        assert_eq!(report.last_timestamp, expected.last().map(|event| event.timestamp), "{time}");
        let path = saved.in_directory(&name);
        if number % 8 == 0 {
            check_store(&path, &expected);
        }
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

#[test]
fn an_empty_backup_and_moments_before_all_events_make_an_empty_store() -> Outcome {
    let empty = Saved::of(&store_with(Options::new()), vec![0]);
    for (name, moment) in [("a", AsOf::Position(Position::NONE)), ("b", AsOf::Time(Timestamp::MIN))] {
        for saved in [&empty, &Saved::of_events(50)] {
            let report = saved.restore(name, &RestoreOptions::new().as_of(moment))?;
            assert_eq!((report.last_position, report.last_timestamp), (Position::NONE, None));
            check_store(&saved.in_directory(name), &[]);
            check_goes_on(&saved.in_directory(name), &[]);
        }
    }
    Ok(())
}

#[test]
fn what_goes_on_from_an_earlier_moment_is_another_history() -> Outcome {
    let saved = Saved::of_events(50);
    saved.restore("earlier", &RestoreOptions::new().as_of(Position::new(30)))?;
    let earlier = saved.in_directory("earlier");
    check_goes_on(&earlier, &saved.events[..30]);
    let refused = backup(&earlier, &saved.path, &BackupOptions::new(), &mut on);
    let Err(Error::Backup(BackupError::OtherHistory { common, .. })) = refused else { panic!("{refused:?}") };
    assert!(common <= Position::new(30));
    check_store(&saved.path, &saved.events);
    Ok(())
}

fn refusal(result: Result<RestoreReport>) -> BackupError {
    match result {
        Err(Error::Backup(error)) => error,
        other => panic!("it wasn't refused as it should: {other:?}"),
    }
}

#[test]
fn a_store_that_is_there_is_refused_or_set_aside_and_never_deleted() -> Outcome {
    let saved = Saved::of_events(50);
    let path = saved.in_directory("shop");
    let other = EventStore::open_with(&path, buffered())?;
    other.append(&stream("other"), ExpectedVersion::Any, events(1, 3))?;
    let others = everything(&other);
    let aside = RestoreOptions::new().existing(ExistingStore::SetAside);
    assert!(matches!(saved.restore("shop", &aside), Err(Error::Locked { .. })), "a writer has it");
    other.close()?;
    let refused = refusal(saved.restore("shop", &RestoreOptions::new()));
    assert!(refused.to_string().contains("a store is there"), "{refused}");
    assert_eq!(saved.names(), ["shop"]);
    check_store(&path, &others);

    let report = saved.restore("shop", &aside)?;
    assert_eq!(report.set_aside, Some(saved.in_directory("shop.before-restore-1")));
    check_store(&path, &saved.events);
    check_store(&saved.in_directory("shop.before-restore-1"), &others);
    // It is done again, of a store that is damaged.
    fs::remove_file(path.join("store.meta"))?;
    let report = saved.restore("shop", &aside.as_of(Position::new(7)))?;
    assert_eq!(report.set_aside, Some(saved.in_directory("shop.before-restore-2")));
    check_store(&path, &saved.events[..7]);
    assert_eq!(saved.names(), ["shop", "shop.before-restore-1", "shop.before-restore-2"]);
    Ok(())
}

#[test]
fn only_a_directory_that_is_empty_or_a_store_is_restored_to() -> Outcome {
    let saved = Saved::of_events(50);
    let aside = RestoreOptions::new().existing(ExistingStore::SetAside);
    fs::create_dir(saved.in_directory("empty"))?;
    saved.restore("empty", &RestoreOptions::new())?;
    check_store(&saved.in_directory("empty"), &saved.events);
    fs::create_dir(saved.in_directory("mine"))?;
    fs::write(saved.in_directory("mine").join("letter"), "to you")?;
    fs::write(saved.in_directory("file"), "mine")?;
    std::os::unix::fs::symlink(saved.in_directory("empty"), saved.in_directory("link"))?;
    for (name, said) in [("mine", "is no store"), ("file", "it is a file"), ("link", "symbolic link")] {
        let refused = refusal(saved.restore(name, &aside));
        assert!(refused.to_string().contains(said), "{refused}");
    }
    assert_eq!(saved.names(), ["empty", "file", "link", "mine"]);
    assert!(matches!(saved.restore("saved", &aside), Err(Error::Locked { .. })), "the backup itself");
    // A link to an empty directory leads there.
    fs::create_dir(saved.in_directory("room"))?;
    std::os::unix::fs::symlink(saved.in_directory("room"), saved.in_directory("linked"))?;
    saved.restore("linked", &RestoreOptions::new())?;
    check_store(&saved.in_directory("room"), &saved.events);
    Ok(())
}

#[test]
fn what_is_no_backup_is_told() -> Outcome {
    let directory = tempfile::tempdir()?;
    let store = store_with(buffered());
    let to = directory.path().join("to");
    let file = directory.path().join("file");
    fs::write(&file, "mine")?;
    let path = store.path().to_owned();
    let (store, _directory) = store.into_parts();
    store.close()?;
    for (path, said) in [
        (path, "no backup.manifest"),
        (directory.path().join("missing"), "nothing is there"),
        (file, "a file"),
    ] {
        let refused = refusal(restore(&path, &to, &RestoreOptions::new(), &mut on));
        assert!(matches!(refused, BackupError::NotABackup { .. }), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
        assert!(!to.exists());
    }
    Ok(())
}

#[test]
fn damage_of_a_backup_is_told_with_what_is_intact() -> Outcome {
    let saved = Saved::of_events(60);
    for (name, (_, bytes)) in log(&saved.path) {
        let file = saved.path.join("segments").join(&name);
        for at in [0x30, 0x208, 0x240, 0x300, bytes.len() - 70, bytes.len() - 1] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&file, &damaged)?;
            check_damage(&saved, &file)?;
        }
        fs::write(&file, &bytes[..bytes.len() - 64])?;
        check_damage(&saved, &file)?;
        fs::remove_file(&file)?;
        check_damage(&saved, &file)?;
        fs::write(&file, &bytes)?;
    }
    saved.restore("whole", &RestoreOptions::new())?;
    Ok(())
}

/// A restore says what is damaged and how much is intact, leaves nothing, and can have what is intact.
#[track_caller]
fn check_damage(saved: &Saved, file: &Path) -> Outcome {
    let told = saved.restore("to", &RestoreOptions::new());
    let Err(Error::Corrupt { path, intact: Some(intact), .. }) = &told else { panic!("{told:?}") };
    assert_eq!(path, file);
    assert!(!saved.in_directory("to").exists());
    if *intact == Position::NONE {
        return Ok(());
    }
    let options = RestoreOptions::new().as_of(*intact);
    let report = saved.restore("intact", &options)?;
    assert_eq!(report.last_position, *intact);
    check_store(&saved.in_directory("intact"), &saved.events[..usize::try_from(intact.get())?]);
    fs::remove_dir_all(saved.in_directory("intact"))?;
    Ok(())
}

#[test]
fn bytes_that_are_valid_but_not_those_that_were_backed_up_are_noticed() -> Outcome {
    let saved = Saved::of_events(60);
    let file = saved.path.join("segments/000000000001.log");
    let mut bytes = fs::read(&file)?;
    // The SEAL's room for a hash, which readers don't look at; with checksums that are right.
    let frame = bytes.len() - 128;
    assert_eq!(bytes[frame..frame + 4], *b"aFRM");
    bytes[frame + 64 + 16] = 1;
    let payload = crc32fast::hash(&bytes[frame + 64..frame + 64 + 48]);
    bytes[frame + 28..frame + 32].copy_from_slice(&payload.to_le_bytes());
    let header = crc32fast::hash(&bytes[frame + 8..frame + 64]);
    bytes[frame + 4..frame + 8].copy_from_slice(&header.to_le_bytes());
    fs::write(&file, &bytes)?;
    assert!(verify(&saved.path, &mut |_| ControlFlow::Continue(()))?.is_whole(), "the frames are valid");
    let told = saved.restore("to", &RestoreOptions::new());
    let Err(Error::Corrupt { path, reason, .. }) = &told else { panic!("{told:?}") };
    assert_eq!(*path, file);
    assert!(reason.contains("hash"), "{reason}");
    Ok(())
}

#[test]
fn a_restore_that_is_stopped_leaves_what_was_there() -> Outcome {
    let saved = Saved::of_events(60);
    let path = saved.in_directory("shop");
    EventStore::open_with(&path, buffered())?.close()?;
    let aside = RestoreOptions::new().existing(ExistingStore::SetAside);
    for stop_at in [1, 3] {
        let mut told = 0;
        let stopped = restore(&saved.path, &path, &aside, &mut |_| {
            told += 1;
            if told < stop_at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        let stopped = refusal(stopped);
        assert_eq!(stopped, BackupError::Stopped { path: path.clone() });
        check_store(&path, &[]);
    }
    saved.restore("shop", &aside)?;
    check_store(&path, &saved.events);
    Ok(())
}

#[test]
fn a_segment_without_events_was_begun_at_no_time() -> Outcome {
    let mut looked_at = 0;
    for nth in 1.. {
        let (clock, disk) = (Arc::new(SetClock::default()), SimDisk::new(nth));
        let open = || {
            let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
            let options = options.clock(Arc::clone(&clock) as Arc<dyn Clock>);
            EventStore::open_on(Arc::new(disk.mount()), "/store", options)
        };
        let append = |store: &EventStore, time: i64, size: usize| {
            clock.0.store(time, Ordering::SeqCst);
            store.append(&stream("a"), ExpectedVersion::Any, [EventData::new("T", vec![7; size])])
        };
        // Killed somewhere about the change to the second segment.
        let store = open()?;
        disk.cut_at(nth);
        let was_cut = (1..=12).any(|number| append(&store, number * 10, 300).is_err()) || disk.is_cut();
        drop(store);
        disk.crash_process();
        let store = open()?;
        // Larger than what is left of any segment.
        append(&store, 1_000, usize::try_from(SEGMENT_BYTES_MIN)?)?;
        let events = everything(&store);
        store.close()?;
        let lengths: Vec<_> = (disk.files().iter())
            .filter(|path| path.starts_with("/store") && path.extension() == Some("log".as_ref()))
            .filter_map(|path| disk.read_file(path).map(|bytes| bytes.len()))
            .collect();
        if lengths.iter().any(|length| *length < 1_024) {
            looked_at += 1;
            backup_on(Arc::new(disk.mount()), "/store", "/saved", &BackupOptions::new(), &mut on)?;
            for time in (0..130).step_by(5).chain([999, 1_000]) {
                let (to, moment) = (format!("/restored-{time}"), Timestamp::from_micros(time));
                let options = RestoreOptions::new().as_of(moment);
                let report = restore_on(&disk.mount(), "/saved", &to, &options, &mut on)?;
                let expected = events.iter().filter(|event| event.timestamp <= moment).count();
                assert_eq!(report.last_position.get(), expected as u64, "{time}, cut at {nth}");
            }
        }
        if !was_cut {
            break;
        }
    }
    assert!(looked_at > 0, "no cut has left such a segment");
    Ok(())
}

#[test]
fn what_a_file_system_keeps_in_its_root_is_no_obstacle() -> Outcome {
    let store = store_with(small_segments());
    append(&store, "a", 1, 5);
    let directory = tempfile::tempdir()?;
    let [saved, restored, new] = ["saved", "restored", "new"].map(|name| directory.path().join(name));
    for volume in [&saved, &restored, &new] {
        fs::create_dir_all(volume.join("lost+found"))?;
    }
    back_up(&store, &saved)?;
    restore(&saved, &restored, &RestoreOptions::new(), &mut on)?;
    for path in [&saved, &restored] {
        check_store(path, &everything(&store));
    }
    EventStore::open(&new)?.close()?;
    for volume in [&saved, &restored, &new] {
        assert!(volume.join("lost+found").is_dir());
    }
    Ok(())
}

#[test]
fn a_restore_that_is_one_name_from_its_end_isnt_called_damaged() -> Outcome {
    let patient = Patient::new(End::Closed);
    patient.restore_all_but_a_name()?;
    let disk = Arc::new(patient.disk.mount());
    let refused = verify_on(disk, STORE, &mut |_| ControlFlow::Continue(())).expect_err("isn't finished");
    assert!(matches!(refused, Error::NotAStore { .. }), "{refused}");
    assert!(refused.to_string().contains("restore"), "{refused}");
    Ok(())
}
