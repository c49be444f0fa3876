//! The operating system's disk: maps, links, modes.

#![allow(
    non_snake_case,
    reason = "tests are named after behaviours, with the faults of docs/testing.md behind __"
)]

use std::{
    error::Error,
    fs, io,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use crate::disk::contract::{Disk, EntryKind, OpenMode, SHARED_PAGE_BYTES, ShareMode};
use crate::disk::os::{Frontier, OsDisk, open_dir};
use crate::disk::os_lock::lock_named;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_mapping_shows_what_is_published_and_no_more() -> Outcome {
    let directory = tempfile::tempdir()?;
    let file = OsDisk.open(&directory.path().join("file"), OpenMode::CreateNew)?;
    let mapping = file.map(1 << 20)?.expect("this disk maps");
    assert_eq!(mapping.published(), b"");
    file.write_all_at(b"first second", 0)?;
    assert_eq!(mapping.published(), b"", "written isn't published");
    mapping.publish(5);
    assert_eq!(mapping.published(), b"first");
    mapping.publish(3);
    assert_eq!(mapping.published(), b"first", "it never shrinks");
    mapping.publish((1 << 20) + 1);
    mapping.publish(13);
    assert_eq!(mapping.published(), b"first", "neither beyond the capacity nor beyond the file's end");
    mapping.publish(12);
    drop(file);
    assert_eq!(mapping.published(), b"first second", "it outlives the file's handle");
    Ok(())
}

#[test]
fn a_mapping_of_a_growing_file_needs_no_new_map() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("file");
    let writer = OsDisk.open(&path, OpenMode::CreateNew)?;
    let reader = OsDisk.open(&path, OpenMode::Read)?;
    let mapping = reader.map(1 << 20)?.expect("this disk maps");
    for end in (10_000..=500_000_u64).step_by(10_000) {
        writer.write_all_at(&[7; 10_000], end - 10_000)?;
        mapping.publish(end);
        assert_eq!(mapping.published().len() as u64, end);
        assert!(mapping.published().iter().all(|byte| *byte == 7));
    }
    Ok(())
}

#[test]
fn bytes_that_are_shown_are_not_written_again() -> Outcome {
    let directory = tempfile::tempdir()?;
    let file = OsDisk.open(&directory.path().join("file"), OpenMode::CreateNew)?;
    file.write_all_at(b"shown hidden", 0)?;
    let mapping = file.map(4096)?.expect("this disk maps");
    mapping.publish(5);
    let refused =
        |result: io::Result<()>| result.err().map(|error| error.kind()) == Some(io::ErrorKind::InvalidInput);
    assert!(refused(file.write_at(b"x", 4).map(drop)));
    assert!(refused(file.set_len(4)));
    file.write_all_at(b" behind", 5)?;
    file.set_len(9)?;
    assert_eq!(mapping.published(), b"shown");
    mapping.publish(12);
    assert_eq!(mapping.published(), b"shown", "the file was cut off before that");
    mapping.publish(9);
    assert_eq!(mapping.published(), b"shown beh");
    Ok(())
}

#[test]
fn nothing_is_published_that_is_being_written() -> Outcome {
    let file = Arc::new(tempfile::tempfile()?);
    file.set_len(100)?;
    let (frontier, weak) = (Frontier::default(), Arc::downgrade(&file));
    let published = |end| {
        frontier.publish(end, &weak);
        frontier.published.load(Ordering::Acquire)
    };
    let (first, second) = (frontier.begin_change(20)?, frontier.begin_change(10)?);
    assert_eq!(published(11), 0);
    assert_eq!(published(10), 10, "it ends where the write begins");
    drop(second);
    assert_eq!(published(21), 10);
    assert_eq!(published(20), 20);
    drop(first);
    assert_eq!(published(100), 100);
    Ok(())
}

#[test]
fn a_larger_mapping_never_makes_a_smaller_one_too_long() -> Outcome {
    let directory = tempfile::tempdir()?;
    let file = OsDisk.open(&directory.path().join("file"), OpenMode::CreateNew)?;
    file.write_all_at(&[1; 9000], 0)?;
    let (small, large) = (file.map(10)?.expect("a map"), file.map(9000)?.expect("a map"));
    large.publish(9000);
    assert_eq!((small.published().len(), large.published().len()), (10, 9000));
    Ok(())
}

#[test]
fn links_pipes_and_devices_are_refused_at_once__F35() -> Outcome {
    let directory = tempfile::tempdir()?;
    let (target, link) = (directory.path().join("target"), directory.path().join("link"));
    fs::write(&target, b"private")?;
    symlink(&target, &link)?;
    assert_eq!(OsDisk.kind(&link)?, Some(EntryKind::Other));
    assert!(
        OsDisk
            .list(directory.path())?
            .iter()
            .any(|entry| entry.name == "link" && entry.kind == EntryKind::Other)
    );
    for mode in [OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateNew] {
        assert!(OsDisk.open(&link, mode).is_err(), "{mode:?}");
    }
    assert_eq!(fs::read(&target)?, b"private");
    assert!(OsDisk.open(Path::new("/dev/null"), OpenMode::Read).is_err());
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        assert_eq!(OsDisk.kind(&pipe)?, Some(EntryKind::Other));
        assert!(OsDisk.open(&pipe, OpenMode::Read).is_err(), "without waiting for its other end");
        assert!(OsDisk.lock_dir(&pipe).is_err());
    }
    Ok(())
}

#[test]
fn only_the_owner_can_read_what_is_made() -> Outcome {
    let directory = tempfile::tempdir()?;
    let (folder, file) = (directory.path().join("folder"), directory.path().join("folder/file"));
    OsDisk.create_dir(&folder)?;
    OsDisk.open(&file, OpenMode::CreateNew)?;
    for path in [folder, file] {
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o077, 0, "{}", path.display());
    }
    Ok(())
}

#[test]
fn the_group_can_read_what_is_made_where_it_can_read_the_directory() -> Outcome {
    let directory = tempfile::tempdir()?;
    let store = directory.path().join("store");
    fs::create_dir(&store)?;
    let mode = |path: &Path| -> io::Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    // What the umask leaves.
    let left = mode(&store)?;
    for (given, folder_mode, file_mode) in
        [(0o750, 0o750, 0o640), (0o755, 0o700, 0o600), (0o700, 0o700, 0o600)]
    {
        fs::set_permissions(&store, fs::Permissions::from_mode(given))?;
        let (folder, own) = (store.join(format!("{given:o}")), store.join(format!("{given:o}-own")));
        OsDisk.create_inner_dir(&folder)?;
        OsDisk.create_dir(&own)?;
        OsDisk.open(&folder.join("file"), OpenMode::CreateNew)?;
        assert_eq!(
            (mode(&folder)?, mode(&folder.join("file"))?),
            (left & folder_mode, left & file_mode),
            "{given:o}"
        );
        assert_eq!(mode(&own)?, 0o700, "a store's own directory is the owner's");
    }
    Ok(())
}

#[test]
fn who_sleeps_on_a_word_is_woken_through_another_map_of_it() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("page");
    fs::write(&path, [0; SHARED_PAGE_BYTES])?;
    let (sleeper, waker) =
        (OsDisk.share(&path, ShareMode::ReadWrite)?, OsDisk.share(&path, ShareMode::ReadWrite)?);
    let sleeps = thread::spawn(move || {
        // It may wake without a reason; a wake that got lost would hold it for longer than any test runs.
        while sleeper.load_u32(80) != 2 {
            sleeper.set_bits_u32(80, 1);
            sleeper.wait(80, 1, Duration::from_secs(100_000));
        }
    });
    while waker.load_u32(80) != 1 {
        thread::yield_now();
    }
    waker.store_u32(80, 2);
    waker.wake_all(80);
    sleeps.join().map_err(|_| "it panicked")?;
    Ok(())
}

#[test]
fn waiting_for_a_word_ends_with_its_time() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("page");
    fs::write(&path, [0; SHARED_PAGE_BYTES])?;
    OsDisk.share(&path, ShareMode::ReadWrite)?.wait(80, 0, Duration::from_millis(2));
    OsDisk.share(&path, ShareMode::Read)?.wait(80, 0, Duration::from_millis(2));
    Ok(())
}

#[test]
#[should_panic(expected = "isn't changed")]
fn a_page_that_is_shared_to_be_read_is_not_written() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("page");
    fs::write(&path, [0; SHARED_PAGE_BYTES]).expect("a page");
    let page = OsDisk.share(&path, ShareMode::Read).expect("a page");
    page.store_u64(0, 1);
}

#[test]
fn the_lock_is_of_the_directory_that_has_the_name_when_it_is_taken__F32() -> Outcome {
    let directory = tempfile::tempdir()?;
    let [store, restored, aside] = ["store", "restored", "aside"].map(|name| directory.path().join(name));
    fs::create_dir(&store)?;
    fs::create_dir(&restored)?;
    let mut opened = 0;
    let lock = lock_named(&store, &mut |path| {
        let file = open_dir(path)?;
        opened += 1;
        if opened == 1 {
            fs::rename(&store, &aside)?;
            fs::rename(&restored, &store)?;
        }
        Ok(file)
    })?;
    assert!(lock.is_some());
    assert_eq!(opened, 2);
    assert!(OsDisk.lock_dir(&store)?.is_none(), "it is locked");
    assert!(OsDisk.lock_dir(&aside)?.is_some(), "it isn't");
    Ok(())
}
