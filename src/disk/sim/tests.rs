//! What the simulated disk may do, does over enough seeds; and what it can't do, it never does.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the items of the fault list behind __"
)]

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use crate::disk::{
    contract::{Disk, DiskFile, LockKind, OpenMode, SHARED_PAGE_BYTES, ShareMode},
    sim::{
        faults::{DiskOperation, Fault, SyncFailure},
        simulated::SimDisk,
        survival::CutStyle,
    },
};

const SEEDS: u64 = 2000;

/// A disk with a durable file of some sectors of zeros.
fn disk_with_file(seed: u64, sectors: usize) -> (SimDisk, Arc<dyn DiskFile>) {
    let disk = SimDisk::new(seed);
    disk.write_file("/file", vec![0; sectors * 512]).expect("surgery");
    let file = disk.open(Path::new("/file"), OpenMode::ReadWrite).expect("the file");
    (disk, file)
}

/// What is left of a scene after a power cut, over many seeds.
fn outcomes<T: Ord>(scene: impl Fn(u64) -> T) -> BTreeSet<T> {
    (0..SEEDS).map(scene).collect()
}

/// The first byte of each sector.
fn sectors(disk: &SimDisk) -> Vec<u8> {
    disk.read_file("/file").expect("the file").chunks(512).map(|sector| sector[0]).collect()
}

#[test]
fn every_subset_of_the_unsynced_sectors_can_survive__F02() {
    let found = outcomes(|seed| {
        let (disk, file) = disk_with_file(seed, 3);
        file.write_all_at(&[1; 3 * 512], 0).expect("a write");
        disk.power_cut();
        assert!(
            disk.read_file("/file").expect("the file").chunks(512).all(|sector| sector == [sector[0]; 512])
        );
        sectors(&disk)
    });
    assert_eq!(found.len(), 8, "{found:?}");
}

#[test]
fn what_was_synced_never_vanishes() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        let file = disk.open(Path::new("/file"), OpenMode::CreateNew).expect("a file");
        file.write_all_at(&[1; 700], 0).expect("a write");
        file.sync().expect("a sync");
        disk.sync_dir(Path::new("/")).expect("a sync");
        file.write_all_at(&[2; 700], 1024).expect("a write");
        disk.power_cut();
        let bytes = disk.read_file("/file").expect("the name was synced");
        assert_eq!(bytes[..700], [1; 700], "seed {seed}");
        disk.power_cut();
        assert_eq!(disk.read_file("/file"), Some(bytes), "what one cut has left, another leaves too");
    }
}

#[test]
fn lengths_survive_apart_from_bytes__F04() {
    let found = outcomes(|seed| {
        let (disk, file) = disk_with_file(seed, 1);
        file.write_all_at(&[1; 512], 512).expect("a write");
        file.write_all_at(&[1; 512], 1024).expect("a write");
        disk.power_cut();
        sectors(&disk)
    });
    for expected in [&[0][..], &[0, 0], &[0, 1], &[0, 0, 0], &[0, 1, 0], &[0, 0, 1], &[0, 1, 1]] {
        assert!(found.contains(expected), "{expected:?} in {found:?}");
    }
    assert_eq!(found.len(), 7, "{found:?}");
}

#[test]
fn only_a_sector_written_again_before_a_sync_is_mixed__F03() {
    let scene = |between: fn(&dyn DiskFile)| {
        outcomes(|seed| {
            let (disk, file) = disk_with_file(seed, 1);
            file.write_all_at(&[1; 512], 0).expect("a write");
            between(&*file);
            file.write_all_at(&[2; 512], 0).expect("a write");
            disk.power_cut();
            disk.read_file("/file").expect("the file")
        })
    };
    let whole = |byte| vec![byte; 512];
    let synced = scene(|file| file.sync().expect("a sync"));
    assert_eq!(synced, BTreeSet::from([whole(1), whole(2)]));

    let dirty = scene(|_| {});
    assert!([0, 1, 2].iter().all(|byte| dirty.contains(&whole(*byte))), "none, the earlier and the newest");
    let is_mixed = |bytes: &Vec<u8>| {
        let newer = bytes.iter().take_while(|byte| **byte == 2).count();
        newer > 0 && newer < 512 && bytes[newer..].iter().all(|byte| *byte == 1)
    };
    assert!(dirty.iter().any(is_mixed), "newer bytes, then older ones");
    assert!(dirty.iter().all(|bytes| is_mixed(bytes) || bytes.iter().all(|byte| *byte == bytes[0])));
}

#[test]
fn growing_a_file_makes_no_sector_dirty() {
    for seed in 0..SEEDS {
        let disk = SimDisk::new(seed);
        disk.write_file("/file", vec![1; 100]).expect("surgery");
        let file = disk.open(Path::new("/file"), OpenMode::ReadWrite).expect("the file");
        file.allocate(1024).expect("room");
        file.write_all_at(&[2; 100], 0).expect("a write");
        disk.power_cut();
        let bytes = disk.read_file("/file").expect("the file");
        assert!(bytes[..100].iter().all(|byte| *byte == bytes[0]), "seed {seed}: old or new, never mixed");
    }
}

#[test]
fn what_was_cut_off_and_not_synced_may_come_back() {
    let found = outcomes(|seed| {
        let (disk, file) = disk_with_file(seed, 2);
        file.write_all_at(&[1; 512], 512).expect("a write");
        file.set_len(512).expect("a cut");
        disk.power_cut();
        sectors(&disk)
    });
    assert_eq!(found, BTreeSet::from([vec![0], vec![0, 0], vec![0, 1]]));
}

#[test]
fn names_need_a_sync_of_their_directory() {
    let found = outcomes(|seed| {
        let disk = SimDisk::new(seed);
        disk.create_dir(Path::new("/folder")).expect("a directory");
        let file = disk.open(Path::new("/folder/a"), OpenMode::CreateNew).expect("a file");
        file.write_all_at(b"a", 0).expect("a write");
        file.sync().expect("a sync");
        disk.open(Path::new("/b"), OpenMode::CreateNew).expect("a file");
        disk.sync_dir(Path::new("/folder")).expect("a sync");
        disk.power_cut();
        if let Some(bytes) = disk.read_file("/folder/a") {
            assert_eq!(bytes, b"a", "the bytes were synced");
        }
        disk.files()
    });
    assert_eq!(found.len(), 4, "a folder's own name can vanish with all in it: {found:?}");
}

#[test]
fn a_renaming_is_done_or_not() {
    let found = outcomes(|seed| {
        let disk = SimDisk::new(seed);
        disk.write_file("/file", b"old").expect("surgery");
        let file = disk.open(Path::new("/new"), OpenMode::CreateNew).expect("a file");
        file.write_all_at(b"new", 0).expect("a write");
        file.sync().expect("a sync");
        disk.rename(Path::new("/new"), Path::new("/file")).expect("a renaming");
        disk.power_cut();
        (disk.read_file("/file").expect("old or new, never none"), disk.read_file("/new"))
    });
    let (old, new) = (b"old".to_vec(), b"new".to_vec());
    assert_eq!(found, BTreeSet::from([(old.clone(), None), (old, Some(new.clone())), (new, None)]));
}

#[test]
fn a_change_of_a_name_is_lost_with_what_it_builds_on() {
    let found = outcomes(|seed| {
        let disk = SimDisk::new(seed);
        disk.write_file("/0", b"").expect("surgery");
        disk.rename(Path::new("/0"), Path::new("/1")).expect("a renaming");
        disk.rename(Path::new("/1"), Path::new("/2")).expect("a renaming");
        disk.open(Path::new("/0"), OpenMode::CreateNew).expect("a file");
        disk.remove(Path::new("/0")).expect("a removal");
        disk.power_cut();
        disk.files().iter().map(|path| path.display().to_string()).collect::<Vec<_>>()
    });
    let expected = [&["/0"][..], &["/1"], &["/2"], &["/0", "/1"], &["/0", "/2"]];
    assert_eq!(found, expected.map(|paths| paths.iter().map(ToString::to_string).collect()).into());
}

#[test]
fn a_choice_of_the_cut_keeps_nothing_or_everything() {
    for seed in 0..SEEDS {
        for (style, left) in [(CutStyle::Nothing, [0; 2]), (CutStyle::Everything, [2; 2])] {
            let (disk, file) = disk_with_file(seed, 2);
            file.write_all_at(&[1; 1024], 0).expect("a write");
            file.write_all_at(&[2; 1024], 0).expect("a write");
            disk.open(Path::new("/new"), OpenMode::CreateNew).expect("a file");
            disk.power_cut_keeping(style);
            assert_eq!(sectors(&disk), left, "seed {seed}");
            assert_eq!(disk.read_file("/new").is_some(), style == CutStyle::Everything);
        }
    }
}

/// What stays in the cache and what after a cut, when a sync of two sectors fails, and another succeeds.
fn after_failed_sync(failure: SyncFailure) -> BTreeSet<(Vec<u8>, Vec<u8>)> {
    outcomes(|seed| {
        let (disk, file) = disk_with_file(seed, 2);
        file.write_all_at(&[1; 1024], 0).expect("a write");
        disk.fail(Fault::from_os_code(5).on(DiskOperation::Sync).leaving(failure));
        let error = file.sync().expect_err("the sync fails");
        assert_eq!(error.raw_os_error(), Some(5));
        let cached = sectors(&disk);
        if failure != SyncFailure::ComesLate {
            file.sync().expect("only one sync fails");
        }
        disk.power_cut();
        (cached, sectors(&disk))
    })
}

#[test]
fn a_failed_sync_leaves_one_of_four_states__F10() {
    let pair = |cached: [u8; 2], left: [u8; 2]| (cached.to_vec(), left.to_vec());
    assert_eq!(after_failed_sync(SyncFailure::StaysDirty), BTreeSet::from([pair([1; 2], [1; 2])]));
    assert_eq!(after_failed_sync(SyncFailure::RevertsCache), BTreeSet::from([pair([0; 2], [0; 2])]));
    assert_eq!(after_failed_sync(SyncFailure::ComesLate), BTreeSet::from([pair([1; 2], [1; 2])]));
    let forgotten = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|left| pair([1; 2], left));
    assert_eq!(after_failed_sync(SyncFailure::ForgetsDirty), BTreeSet::from(forgotten));
}

#[test]
fn a_failed_directory_sync_may_forget_names__F11() {
    let found = outcomes(|seed| {
        let disk = SimDisk::new(seed);
        disk.open(Path::new("/file"), OpenMode::CreateNew).expect("a file");
        disk.fail(Fault::new(io::ErrorKind::Other).on(DiskOperation::SyncDirectory));
        assert!(disk.sync_dir(Path::new("/")).is_err());
        let shown = disk.read_file("/file").is_some();
        disk.sync_dir(Path::new("/")).expect("only one sync fails");
        disk.power_cut();
        (shown, disk.read_file("/file").is_some())
    });
    assert_eq!(found, BTreeSet::from([(false, false), (true, false), (true, true)]));
}

#[test]
fn a_cut_at_an_operation_leaves_a_part_of_a_write() {
    let found = outcomes(|seed| {
        let (disk, file) = disk_with_file(seed, 3);
        disk.cut_at(2);
        file.write_all_at(&[1; 10], 0).expect("the first operation goes through");
        assert!(!disk.is_cut());
        let error = file.write_all_at(&[2; 1100], 100).expect_err("the disk is cut off");
        assert_eq!(error.written, 0);
        assert!(disk.is_cut());
        assert!(file.read_at(&mut [0], 0).is_err(), "reading too");
        assert!(disk.kind(Path::new("/file")).is_err());
        disk.crash_process();
        let bytes = disk.read_file("/file").expect("the file");
        let written = bytes[100..].iter().take_while(|byte| **byte == 2).count();
        assert!(!bytes[100 + written..].contains(&2), "a dead program's write has no holes");
        assert_eq!(bytes[..10], [1; 10]);
        written
    });
    assert_eq!(found, BTreeSet::from([0, 412, 924, 1100]), "it ends at a sector's end");
}

#[test]
fn a_loop_over_all_operations_ends() {
    let mut cuts = 0;
    for nth in 0.. {
        let disk = SimDisk::new(nth);
        disk.cut_at(nth);
        let program = || -> io::Result<()> {
            disk.create_dir(Path::new("/folder"))?;
            let file = disk.open(Path::new("/folder/file"), OpenMode::CreateNew)?;
            file.allocate(1024)?;
            file.write_all_at(b"bytes", 0)?;
            file.sync()?;
            disk.sync_dir(Path::new("/folder"))?;
            disk.sync_dir(Path::new("/"))
        };
        let outcome = program();
        assert_eq!(outcome.is_err(), disk.is_cut());
        if !disk.is_cut() {
            assert_eq!(disk.operations(), 7);
            break;
        }
        disk.power_cut();
        let is_there = disk.kind(Path::new("/folder")).expect("the disk works again").is_some();
        assert_eq!(program().is_err(), is_there, "what is left of the first run is in the way of the second");
        cuts += 1;
    }
    assert_eq!(cuts, 8);
}

#[test]
fn a_killed_program_loses_nothing_and_a_cut_then_may() {
    let found = outcomes(|seed| {
        let (disk, file) = disk_with_file(seed, 1);
        let lock = disk.lock_dir(Path::new("/")).expect("a lock").expect("the first");
        file.write_all_at(&[1; 512], 0).expect("a write");
        disk.crash_process();
        assert!(file.sync().is_err(), "its handles are dead");
        assert_eq!(sectors(&disk), [1]);
        let next = disk.lock_dir(Path::new("/")).expect("a lock").expect("the dead program's lock is free");
        drop(lock);
        assert!(disk.lock_dir(Path::new("/")).expect("no error").is_none(), "the dead one frees no other's");
        drop(next);
        disk.power_cut();
        sectors(&disk)
    });
    assert_eq!(found, BTreeSet::from([vec![0], vec![1]]), "it is still to be synced");
}

#[test]
fn a_mount_dies_with_its_program() {
    let disk = SimDisk::new(1);
    let mount = disk.mount();
    mount.create_dir(Path::new("/folder")).expect("a directory");
    disk.power_cut_keeping(CutStyle::Everything);
    assert!(mount.list(Path::new("/")).is_err());
    assert!(mount.open(Path::new("/file"), OpenMode::CreateNew).is_err());
    assert_eq!(disk.mount().list(Path::new("/")).expect("the next program's").len(), 1);
}

#[test]
fn a_full_disk_takes_the_sectors_that_fit() {
    let (disk, file) = disk_with_file(1, 2);
    disk.set_quota_bytes(Some(2100));
    let error = file.write_all_at(&[1; 2048], 512).expect_err("it doesn't fit");
    assert_eq!((error.written, error.source.kind()), (1536, io::ErrorKind::StorageFull));
    assert_eq!(file.len().expect("a length"), 2048);
    assert_eq!(file.allocate(2101).map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
    file.write_all_at(&[2; 2048], 0).expect("what is there can be written again");
    disk.set_quota_bytes(None);
    file.allocate(10_000).expect("there is room again");
}

#[test]
fn short_writes_end_at_sectors_and_go_on__F13() {
    let (disk, file) = disk_with_file(1, 0);
    disk.set_short_writes(1);
    let written = file.write_at(&[1; 3000], 100).expect("a write");
    assert!(written < 3000 && (100 + written) % 512 == 0, "{written}");
    file.write_all_at(&[2; 3000], 100).expect("all of it, in parts");
    let bytes = disk.read_file("/file").expect("the file");
    assert_eq!((bytes.len(), &bytes[100..]), (3100, &[2; 3000][..]));
}

#[test]
fn planned_faults_hit_their_operations_alone() {
    let (disk, file) = disk_with_file(1, 1);
    disk.fail(Fault::new(io::ErrorKind::Interrupted).on(DiskOperation::Write).at(2));
    disk.fail(Fault::from_os_code(28).on(DiskOperation::Allocate).on(DiskOperation::SetLength).forever());
    file.sync().expect("no fault of syncs");
    assert_eq!(file.write_at(b"1", 0).expect("the first"), 1);
    assert_eq!(file.write_at(b"2", 0).map_err(|error| error.kind()), Err(io::ErrorKind::Interrupted));
    assert_eq!(disk.read_file("/file").expect("the file")[0], b'1', "what was refused wasn't written");
    assert_eq!(file.write_at(b"3", 0).expect("once only"), 1);
    for _ in 0..3 {
        assert_eq!(file.allocate(9000).map_err(|error| error.raw_os_error()), Err(Some(28)));
        assert!(file.set_len(0).is_err());
    }
    assert_eq!(disk.operations(), 11);
    disk.clear_faults();
    file.set_len(0).expect("the fault is gone");
}

#[test]
fn bytes_can_be_unreadable() {
    let (disk, file) = disk_with_file(1, 2);
    disk.fail_reads("/file", 512..513).expect("the file");
    assert_eq!(file.read_at(&mut [0; 512], 0).expect("before it"), 512);
    assert!(file.read_at(&mut [0; 513], 0).is_err());
    assert_eq!(file.read_at(&mut [0; 9], 513).expect("behind it"), 9);
    disk.clear_faults();
    assert_eq!(file.read_at(&mut [0; 513], 0).expect("it can be read again"), 513);
}

#[test]
fn a_fork_has_the_same_unsynced_bytes_and_other_chances() {
    let (disk, file) = disk_with_file(1, 1);
    file.write_all_at(&[1; 512], 0).expect("a write");
    let found = outcomes(|seed| {
        let fork = disk.fork(seed);
        fork.power_cut();
        sectors(&fork)
    });
    assert_eq!(found, BTreeSet::from([vec![0], vec![1]]));
    file.sync().expect("the first disk goes on");
}

#[test]
fn a_snapshot_loses_nothing() {
    let (disk, file) = disk_with_file(1, 1);
    file.write_all_at(&[1; 512], 0).expect("a write");
    disk.fail(Fault::new(io::ErrorKind::Other).forever());
    for seed in 0..SEEDS {
        let snapshot = disk.snapshot(seed);
        snapshot.power_cut();
        assert_eq!(sectors(&snapshot), [1]);
        snapshot.sync_dir(Path::new("/")).expect("it has no faults");
    }
}

#[test]
fn the_same_seed_gives_the_same_disk() {
    let scene = |seed| {
        let (disk, file) = disk_with_file(seed, 4);
        disk.set_short_writes(2);
        for round in 0..20_u8 {
            file.write_all_at(&[round; 900], u64::from(round) * 100).expect("a write");
        }
        disk.power_cut();
        disk.read_file("/file")
    };
    assert!((0..100).all(|seed| scene(seed) == scene(seed)));
    assert!((1..100).any(|seed| scene(seed) != scene(0)));
}

#[test]
fn surgery_is_durable_and_not_counted() {
    for seed in 0..100 {
        let disk = SimDisk::new(seed);
        disk.write_file("/a/b/file", b"bytes").expect("surgery");
        disk.write_file("other", b"bytes").expect("surgery");
        disk.remove_file("/other").expect("surgery");
        disk.power_cut();
        assert_eq!(disk.files(), [Path::new("/a/b/file")]);
        assert_eq!(disk.operations(), 0);
        assert!(disk.write_file("/a/b", b"").is_err(), "a directory has the name");
        assert!(disk.write_file("/a/b/file/c", b"").is_err(), "a file has its directory's name");
    }
}

#[test]
fn a_killed_program_leaves_what_it_wrote_and_no_lock() {
    let disk = SimDisk::new(3);
    disk.write_file("/page", vec![0; SHARED_PAGE_BYTES]).expect("surgery");
    let path = Path::new("/page");
    let (one, other) = (disk.mount(), disk.mount());
    let file = one.open(path, OpenMode::ReadWrite).expect("a file");
    let page = one.share(path, ShareMode::ReadWrite).expect("a page");
    let others = other.share(path, ShareMode::ReadWrite).expect("a page");
    let lock = one.lock_file(path, LockKind::Exclusive).expect("the disk works").expect("it is free");
    page.store_u64(64, 7);
    assert!(other.lock_file(path, LockKind::Shared).expect("the disk works").is_none());
    one.kill();
    assert!(file.write_at(&[1], 0).is_err() && one.kind(path).is_err(), "it is dead");
    page.store_u64(64, 8);
    assert_eq!(others.load_u64(64), 7);
    let again = other.lock_file(path, LockKind::Exclusive).expect("the disk works");
    assert!(again.is_some(), "its lock went with it");
    drop(lock);
    assert!(other.lock_file(path, LockKind::Shared).expect("the disk works").is_none());
}

#[test]
fn a_page_survives_programs_and_tells_of_another_boot_after_a_cut() {
    let found = outcomes(|seed| {
        let disk = SimDisk::new(seed);
        disk.write_file("/page", vec![0; SHARED_PAGE_BYTES]).expect("surgery");
        let path = Path::new("/page");
        let boot = disk.boot_id().expect("it has one");
        disk.share(path, ShareMode::ReadWrite).expect("a page").store_u64(64, 7);
        disk.crash_process();
        assert_eq!(disk.boot_id().expect("it has one"), boot);
        let page = disk.share(path, ShareMode::ReadWrite).expect("a page");
        assert_eq!(page.load_u64(64), 7);
        page.store_u64(64, 9);
        disk.power_cut();
        assert_ne!(disk.boot_id().expect("it has one"), boot);
        disk.share(path, ShareMode::Read).expect("a page").load_u64(64)
    });
    assert_eq!(found, BTreeSet::from([0, 7, 9]));
}

#[test]
fn a_further_name_survives_by_itself_and_takes_no_room() {
    let found = outcomes(|seed| {
        let disk = SimDisk::new(seed);
        disk.write_file("/file", vec![7; 2000]).expect("surgery");
        disk.write_file("/folder/other", Vec::new()).expect("surgery");
        disk.set_quota_bytes(Some(2100));
        let (file, link) = (Path::new("/file"), Path::new("/folder/link"));
        disk.hard_link(file, link).expect("it is linked");
        let room = disk.open(Path::new("/folder/other"), OpenMode::ReadWrite).expect("a file");
        room.write_all_at(&[1; 100], 0).expect("there is room");
        disk.remove(file).expect("removed");
        disk.power_cut();
        let is_there = |path| disk.read_file(path).map(|bytes| assert_eq!(bytes, vec![7; 2000])).is_some();
        (is_there(file), is_there(link))
    });
    assert_eq!(found, BTreeSet::from([(false, false), (false, true), (true, false), (true, true)]));
}
