//! Snapshots: what is saved comes back, the newest first, and never more than the log vouches for.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use annals::{
    ContentType, Error, EventStore, ExpectedVersion, Follower, NAME_BYTES_MAX, Query, SNAPSHOT_BYTES_MAX,
    STATE_TYPE_BYTES_MAX, Snapshot, SnapshotData, SnapshotInfo, Version,
};

use crate::support::{Outcome, TestStore, buffered, events, store, store_with, stream, types, version};

/// A store whose stream `account-1` has so many events.
fn store_of(count: u64) -> TestStore {
    let store = store();
    store.append(&stream("account-1"), ExpectedVersion::NoStream, events(1, count)).expect("an append");
    store
}

/// Saves a state of type `Account` that says its version.
fn save(store: &EventStore, number: u64) -> Snapshot {
    let data = SnapshotData::new("Account", format!("state at {number}"));
    store.save_snapshot(&stream("account-1"), version(number), data).expect("a snapshot is saved")
}

/// The version of the latest snapshot of type `Account` up to a version, whose state says the same.
fn latest(store: &EventStore, version_max: u64) -> Option<u64> {
    let search = store.snapshot_at(&stream("account-1"), "Account", version(version_max)).expect("a search");
    assert!(search.ignored.is_empty(), "{:?}", search.ignored);
    search.snapshot.map(|snapshot| {
        assert_eq!(snapshot.state, format!("state at {}", snapshot.version).into_bytes());
        snapshot.version.get()
    })
}

fn versions_of(snapshots: &[SnapshotInfo]) -> Vec<u64> {
    snapshots.iter().map(|info| info.version.get()).collect()
}

/// The files below a directory.
fn files_below(directory: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[test]
fn what_is_saved_comes_back__B13_C16_D04_D13() -> Outcome {
    let store = store_of(5);
    let account = stream("account-1");
    assert!(store.snapshot(&account, "Account")?.snapshot.is_none());
    let data = SnapshotData::new("Account", "state").with_schema_version(3);
    let saved = store.save_snapshot(&account, version(4), data.with_content_type(ContentType::new(200)))?;
    assert_eq!((saved.stream.as_str(), saved.version, saved.position.get()), ("account-1", version(4), 4));
    assert_eq!((saved.state_type.as_str(), saved.schema_version), ("Account", 3));
    assert_eq!((saved.state.as_slice(), saved.content_type), (&b"state"[..], ContentType::new(200)));
    let fourth = store.read(Query::stream(&account).from(version(4))).next().expect("an event")?;
    assert!(saved.created >= fourth.timestamp);
    let found = store.snapshot(&account, "Account")?;
    assert!(found.ignored.is_empty(), "{:?}", found.ignored);
    assert_eq!(found.snapshot, Some(saved.clone()));
    let store = store.reopen()?;
    assert_eq!(store.snapshot(&account, "Account")?.snapshot, Some(saved));
    assert!(store.snapshot(&stream("account-2"), "Account")?.snapshot.is_none());
    Ok(())
}

#[test]
fn a_state_is_the_snapshot_and_the_events_after_it__B13_B16() -> Outcome {
    let store = store_of(5);
    let account = stream("account-1");
    let folded = |events: annals::Events| types(events).join(",");
    store.save_snapshot(&account, version(3), SnapshotData::json("Account", &"1,2,3")?)?;
    let snapshot = store.snapshot(&account, "Account")?.snapshot.ok_or("it was saved")?;
    let rest = folded(store.read(Query::stream(&account).after(snapshot.version)));
    assert_eq!(
        format!("{},{rest}", snapshot.json::<String>()?),
        folded(store.read_stream(&account)),
        "as from all events"
    );
    assert!(snapshot.json::<u64>().is_err());
    Ok(())
}

#[test]
fn the_latest_is_that_of_the_greatest_version_also_if_an_older_one_is_saved_later__B13_D04_X17() {
    let store = store_of(9);
    for (saved, expected) in [(4, 4), (8, 8), (6, 8)] {
        save(&store, saved);
        assert_eq!(latest(&store, u64::MAX), Some(expected), "{saved}");
    }
}

#[test]
fn a_snapshot_at_or_before_a_version_is_found() {
    let store = store_of(9);
    for number in [2, 5, 8] {
        save(&store, number);
    }
    let found: Vec<Option<u64>> = (0..=9).map(|version_max| latest(&store, version_max)).collect();
    let two_to_eight = [Some(2), Some(2), Some(2), Some(5), Some(5), Some(5), Some(8), Some(8)];
    assert_eq!(found[..2], [None, None]);
    assert_eq!(found[2..], two_to_eight);
}

#[test]
fn saving_a_version_again_replaces_it__D13() -> Outcome {
    let store = store_of(3);
    save(&store, 2);
    store.save_snapshot(&stream("account-1"), version(2), SnapshotData::new("Account", "another"))?;
    let list = store.snapshots(&stream("account-1"))?;
    assert_eq!(versions_of(&list.snapshots), [2]);
    let found = store.snapshot(&stream("account-1"), "Account")?.snapshot.ok_or("it was saved")?;
    assert_eq!(found.state, b"another");
    Ok(())
}

#[test]
fn a_snapshot_ahead_of_its_stream_is_refused__X18() -> Outcome {
    let store = store_of(3);
    let save_at = |name: &str, number| {
        store.save_snapshot(&stream(name), version(number), SnapshotData::new("Account", "state"))
    };
    let told = save_at("account-1", 4).expect_err("the stream has 3 events");
    assert_eq!(
        told.to_string(),
        "a snapshot of stream \"account-1\" at version 4 is ahead of it: the stream is at version 3; append the \
         events first"
    );
    match told {
        Error::SnapshotAhead { stream: told, version: at, actual } => {
            assert_eq!((told.as_str(), at, actual), ("account-1", version(4), version(3)));
        }
        other => panic!("{other:?}"),
    }
    let missing = save_at("account-2", 1);
    assert!(matches!(missing, Err(Error::SnapshotAhead { actual: Version::NONE, .. })), "{missing:?}");
    let of_nothing = save_at("account-1", 0);
    assert!(matches!(of_nothing, Err(Error::Invalid(_))), "{of_nothing:?}");
    assert!(store.all_snapshots()?.snapshots.is_empty());
    assert!(!store.path().join("snapshots").exists(), "what is refused writes nothing");
    save_at("account-1", 3)?;
    Ok(())
}

#[test]
fn the_newest_are_kept_and_older_ones_go() -> Outcome {
    let account = stream("account-1");
    for kept in [1_usize, 2, 3] {
        let store = if kept == 3 { store() } else { store_with(buffered().snapshots_kept(kept)) };
        store.append(&account, ExpectedVersion::NoStream, events(1, 9))?;
        for number in 1..=8 {
            save(&store, number);
        }
        // Older than all that are kept: it goes at once.
        save(&store, 2);
        let wanted: Vec<u64> = (9 - u64::try_from(kept)?..=8).collect();
        assert_eq!(versions_of(&store.snapshots(&account)?.snapshots), wanted, "{kept} are kept");
        assert_eq!(files_below(&store.path().join("snapshots")).len(), kept);
    }
    let refused = EventStore::open_with("elsewhere", buffered().snapshots_kept(0));
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
    Ok(())
}

#[test]
fn streams_and_state_types_know_nothing_of_each_other() -> Outcome {
    let store = store_with(buffered().snapshots_kept(1));
    let names = ["account-1", "account-2", "../../account-1", "a/b\\c", "Ä 📏"];
    for name in names {
        store.append(&stream(name), ExpectedVersion::NoStream, events(1, 3))?;
        for state_type in ["Account", "Totals/../x", "Größe"] {
            for number in [1, 2] {
                let data = SnapshotData::new(state_type, format!("{name} {state_type} {number}"));
                store.save_snapshot(&stream(name), version(number), data)?;
            }
        }
    }
    for name in names {
        for state_type in ["Account", "Totals/../x", "Größe"] {
            let found = store.snapshot(&stream(name), state_type)?.snapshot.ok_or("it was saved")?;
            assert_eq!(found.state, format!("{name} {state_type} 2").into_bytes());
        }
        assert!(store.snapshot(&stream(name), "Other")?.snapshot.is_none());
    }
    let list = store.all_snapshots()?;
    let listed: Vec<(&str, &str)> =
        list.snapshots.iter().map(|info| (info.stream.as_str(), info.state_type.as_str())).collect();
    assert!(listed.is_sorted(), "{listed:?}");
    assert_eq!((listed.len(), list.ignored.len()), (15, 0));
    // No name has become a path: below snapshots/ there are directories of hashes, and nothing has come beside it.
    let files = files_below(&store.path().join("snapshots"));
    assert_eq!(files.len(), 15);
    for file in files {
        let depth = file.strip_prefix(store.path())?.components().count();
        assert!(depth == 3 && file.to_str().is_some_and(str::is_ascii), "{}", file.display());
    }
    Ok(())
}

#[test]
fn a_list_says_what_each_is_without_its_state() -> Outcome {
    let store = store_of(3);
    let saved = save(&store, 2);
    let list = store.snapshots(&stream("account-1"))?;
    let info = list.snapshots.first().ok_or("it was saved")?;
    assert_eq!((&info.stream, info.version, info.position), (&saved.stream, saved.version, saved.position));
    assert_eq!((info.state_type.as_str(), info.schema_version), ("Account", 1));
    assert_eq!((info.state_bytes, info.content_type), (10, ContentType::BYTES));
    assert_eq!(info.created, saved.created);
    assert!(info.path.is_file());
    assert!(store.snapshots(&stream("account-2"))?.snapshots.is_empty());
    Ok(())
}

#[test]
fn snapshots_are_deleted_by_type_by_stream_or_all__C16() -> Outcome {
    let store = store_of(3);
    let (account, other) = (stream("account-1"), stream("account-2"));
    assert_eq!(store.delete_snapshots(&account, None)?, 0);
    assert_eq!(store.delete_all_snapshots()?, 0);
    store.append(&other, ExpectedVersion::NoStream, events(1, 3))?;
    let fill = || -> annals::Result<()> {
        for (stream, state_type, number) in
            [(&account, "A", 1), (&account, "A", 2), (&account, "B", 2), (&other, "A", 3)]
        {
            store.save_snapshot(stream, version(number), SnapshotData::new(state_type, "state"))?;
        }
        Ok(())
    };
    fill()?;
    assert_eq!(store.delete_snapshots(&account, Some("A"))?, 2);
    assert!(store.snapshot(&account, "A")?.snapshot.is_none());
    assert!(store.snapshot(&account, "B")?.snapshot.is_some());
    fill()?;
    assert_eq!(store.delete_snapshots(&account, None)?, 3);
    assert_eq!(store.all_snapshots()?.snapshots.len(), 1);
    fill()?;
    assert_eq!(store.delete_all_snapshots()?, 4);
    assert!(files_below(&store.path().join("snapshots")).is_empty());
    assert_eq!(types(store.read_stream(&account)), ["1", "2", "3"], "the events are as they were");
    Ok(())
}

#[test]
fn the_folder_may_be_deleted_at_any_time__F24() -> Outcome {
    let store = store_of(9);
    for number in 1..4 {
        save(&store, number);
        fs::remove_dir_all(store.path().join("snapshots"))?;
        assert_eq!(latest(&store, u64::MAX), None);
        assert!(store.all_snapshots()?.ignored.is_empty());
        assert_eq!(store.delete_snapshots(&stream("account-1"), None)?, 0);
    }
    save(&store, 5);
    assert_eq!(latest(&store, u64::MAX), Some(5));
    let (store, directory) = store.into_parts();
    store.close()?;
    let verification = annals::verify(directory.path().join("store"), &mut |_| ControlFlow::Continue(()))?;
    assert!(verification.damage.is_empty(), "{:?}", verification.damage);
    Ok(())
}

#[test]
fn a_follower_reads_snapshots_and_writes_none() -> Outcome {
    let store = store_of(3);
    let follower = Follower::open(store.path())?;
    assert!(follower.snapshot(&stream("account-1"), "Account")?.snapshot.is_none());
    // Of an event that the follower hasn't seen when it is asked.
    store.append(&stream("account-1"), version(3), events(4, 3))?;
    let saved = save(&store, 6);
    let found = follower.snapshot(&stream("account-1"), "Account")?;
    assert_eq!((found.snapshot, found.ignored.len()), (Some(saved), 0));
    store.append(&stream("account-1"), version(6), events(7, 1))?;
    save(&store, 7);
    assert_eq!(versions_of(&follower.snapshots(&stream("account-1"))?.snapshots), [6, 7]);
    // What can't be used is left to the writer.
    let damaged = follower.all_snapshots()?.snapshots.pop().ok_or("there are two")?.path;
    fs::write(&damaged, "damaged")?;
    let found = follower.snapshot(&stream("account-1"), "Account")?;
    assert_eq!((found.snapshot.map(|it| it.version), found.ignored.len()), (Some(version(6)), 1));
    assert_eq!(fs::read(&damaged)?, b"damaged");
    Ok(())
}

#[test]
fn a_reader_beside_a_writer_that_replaces_finds_what_is_right() -> Outcome {
    let store = store_with(buffered().snapshots_kept(2));
    let account = stream("account-1");
    store.append(&account, ExpectedVersion::NoStream, events(1, 300))?;
    save(&store, 1);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (2..=300).for_each(|number| drop(save(&store, number))));
        let mut last = 0;
        while !writing.is_finished() {
            if let Some(found) = latest(&store, u64::MAX) {
                assert!(found >= last, "version {found} behind {last}");
                last = found;
            }
        }
    });
    assert_eq!(latest(&store, u64::MAX), Some(300));
    Ok(())
}

#[test]
fn what_an_interrupted_save_has_left_goes_with_the_next() -> Outcome {
    let store = store_of(3);
    save(&store, 1);
    let path = store.snapshots(&stream("account-1"))?.snapshots.remove(0).path;
    let directory = path.parent().ok_or("it stands in a directory")?;
    let left_over = directory.join(format!("{}.tmp", path.file_name().ok_or("a name")?.display()));
    let of_someone_else = directory.join("notes.txt");
    for left in [&left_over, &of_someone_else] {
        fs::write(left, "half")?;
    }
    assert_eq!(latest(&store, u64::MAX), Some(1));
    save(&store, 2);
    assert_eq!(latest(&store, u64::MAX), Some(2));
    assert!(!left_over.exists());
    assert!(of_someone_else.exists(), "only the store's own files are removed");
    Ok(())
}

#[test]
fn what_an_interrupted_save_has_left_goes_with_a_deletion() -> Outcome {
    let store = store_of(3);
    let account = stream("account-1");
    let leave = || -> Result<[PathBuf; 2], Box<dyn std::error::Error>> {
        save(&store, 1);
        let path = store.snapshots(&account)?.snapshots.remove(0).path;
        let left = [path.with_extension("snap.tmp"), path.with_file_name("notes.txt")];
        for left in &left {
            fs::write(left, "half")?;
        }
        Ok(left)
    };
    let check =
        |deleted: annals::Result<usize>, wanted: usize, [left_over, of_someone_else]: [PathBuf; 2]| {
            assert_eq!(deleted.expect("it can be deleted"), wanted, "only snapshots count");
            assert!(!left_over.exists());
            assert!(of_someone_else.exists(), "only the store's own files are removed");
        };
    let left = leave()?;
    check(store.delete_snapshots(&account, None), 1, left);
    let left = leave()?;
    check(store.delete_all_snapshots(), 1, left);
    // Whatever type it was to be, nobody else is saving one.
    let left = leave()?;
    check(store.delete_snapshots(&account, Some("AnotherType")), 0, left);
    Ok(())
}

#[test]
fn limits_are_told_before_anything_is_written() -> Outcome {
    let store = store();
    let long = stream(&"s".repeat(NAME_BYTES_MAX));
    store.append(&long, ExpectedVersion::NoStream, events(1, 1))?;
    let save = |data| store.save_snapshot(&long, version(1), data);
    let type_max = "t".repeat(STATE_TYPE_BYTES_MAX);
    for refused in ["", "a\nb", &format!("{type_max}t")] {
        let told = save(SnapshotData::new(refused, "state"));
        assert!(matches!(told, Err(Error::Invalid(_))), "{told:?}");
        assert!(matches!(store.snapshot(&long, refused), Err(Error::Invalid(_))));
        assert!(matches!(store.delete_snapshots(&long, Some(refused)), Err(Error::Invalid(_))));
    }
    let told = save(SnapshotData::new("State", vec![0; SNAPSHOT_BYTES_MAX + 1]));
    assert!(matches!(&told, Err(Error::Invalid(invalid)) if invalid.reason.contains("67108864")), "{told:?}");
    assert!(store.all_snapshots()?.snapshots.is_empty());
    for state in [vec![], vec![7; 4_096], vec![9; SNAPSHOT_BYTES_MAX]] {
        let saved = save(SnapshotData::new(type_max.as_str(), state))?;
        assert!(store.snapshot(&long, &type_max)?.snapshot == Some(saved));
    }
    Ok(())
}
