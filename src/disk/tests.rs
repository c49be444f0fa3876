//! What the contract says, asked of both disks.

use std::{io, path::Path};

use crate::disk::{
    contract::{DirectoryEntry, Disk, EntryKind, LockKind, OpenMode, SHARED_PAGE_BYTES, ShareMode},
    os::OsDisk,
    sim::simulated::SimDisk,
};

/// Runs one check on both disks, in an empty directory of each.
fn check(contract: impl Fn(&dyn Disk, &Path) -> io::Result<()>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    contract(&OsDisk, directory.path()).expect("the operating system's disk");
    let disk = SimDisk::new(7);
    disk.create_dir(Path::new("/directory")).expect("a directory");
    contract(&disk, Path::new("/directory")).expect("the simulated disk");
}

fn error_kind<T>(result: io::Result<T>) -> Option<io::ErrorKind> {
    result.err().map(|error| error.kind())
}

#[test]
fn names_are_created_listed_renamed_and_removed() {
    check(|disk, root| {
        let (old, new) = (root.join("old"), root.join("new"));
        assert_eq!(error_kind(disk.open(&old, OpenMode::Read)), Some(io::ErrorKind::NotFound));
        assert_eq!(error_kind(disk.open(&old, OpenMode::ReadWrite)), Some(io::ErrorKind::NotFound));
        disk.open(&old, OpenMode::CreateNew)?.write_all_at(b"bytes", 0)?;
        assert_eq!(error_kind(disk.open(&old, OpenMode::CreateNew)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(error_kind(disk.create_dir(&old)), Some(io::ErrorKind::AlreadyExists));
        disk.create_dir(&root.join("folder"))?;
        assert_eq!(error_kind(disk.create_dir(&root.join("folder"))), Some(io::ErrorKind::AlreadyExists));

        disk.open(&new, OpenMode::CreateNew)?;
        disk.rename(&old, &new)?;
        disk.sync_dir(root)?;
        assert_eq!(disk.open(&new, OpenMode::Read)?.len()?, 5, "the renamed file has replaced the empty one");
        let mut entries = disk.list(root)?;
        entries.sort();
        let entry = |name: &str, kind| DirectoryEntry { name: name.into(), kind };
        assert_eq!(entries, [entry("folder", EntryKind::Directory), entry("new", EntryKind::File)]);

        assert_eq!(disk.kind(&old)?, None);
        assert_eq!(disk.kind(&new)?, Some(EntryKind::File));
        assert_eq!(disk.kind(&root.join("folder"))?, Some(EntryKind::Directory));
        disk.remove(&new)?;
        assert_eq!(disk.kind(&new)?, None);
        assert_eq!(error_kind(disk.remove(&new)), Some(io::ErrorKind::NotFound));
        assert_eq!(error_kind(disk.rename(&new, &old)), Some(io::ErrorKind::NotFound));
        assert_eq!(error_kind(disk.list(&new)), Some(io::ErrorKind::NotFound));
        assert_eq!(error_kind(disk.sync_dir(&new)), Some(io::ErrorKind::NotFound));
        Ok(())
    });
}

#[test]
fn bytes_are_read_as_they_were_written() {
    check(|disk, root| {
        let file = disk.open(&root.join("file"), OpenMode::CreateNew)?;
        assert!(file.is_empty()?);
        file.write_all_at(b"beginning", 0)?;
        file.write_all_at(b"end", 1000)?;
        file.write_all_at(b"B", 0)?;
        file.sync()?;
        assert_eq!(file.len()?, 1003);

        let mut bytes = [1; 12];
        file.read_exact_at(&mut bytes, 0)?;
        assert_eq!(&bytes, b"Beginning\0\0\0", "what was never written is zero");
        assert_eq!(file.read_at(&mut bytes, 1000)?, 3, "fewer at the end");
        assert_eq!(&bytes[..3], b"end");
        assert_eq!(file.read_at(&mut bytes, 1003)?, 0);
        assert_eq!(file.read_at(&mut bytes, u64::from(u32::MAX))?, 0);
        let beyond = file.read_exact_at(&mut bytes, 1000);
        assert_eq!(error_kind(beyond), Some(io::ErrorKind::UnexpectedEof));

        let reader = disk.open(&root.join("file"), OpenMode::Read)?;
        assert_eq!(reader.read_at(&mut bytes[..3], 1000)?, 3, "another handle sees it at once");
        assert!(reader.write_at(b"no", 0).is_err());
        assert!(reader.set_len(0).is_err());
        assert_eq!(file.len()?, 1003);
        Ok(())
    });
}

#[test]
fn allocating_grows_with_zeros_and_never_shrinks() {
    check(|disk, root| {
        let file = disk.open(&root.join("file"), OpenMode::CreateNew)?;
        file.write_all_at(b"bytes", 0)?;
        file.allocate(2000)?;
        assert_eq!(file.len()?, 2000);
        let mut bytes = vec![1; 2000];
        file.read_exact_at(&mut bytes, 0)?;
        assert_eq!(bytes[..5], *b"bytes");
        assert!(bytes[5..].iter().all(|byte| *byte == 0));
        file.allocate(100)?;
        assert_eq!(file.len()?, 2000);
        file.set_len(3)?;
        assert_eq!(file.len()?, 3);
        file.set_len(6)?;
        file.read_exact_at(&mut bytes[..6], 0)?;
        assert_eq!(bytes[..6], *b"byt\0\0\0", "what was cut off doesn't come back");
        Ok(())
    });
}

#[test]
fn a_directory_is_locked_once() {
    check(|disk, root| {
        let other = root.join("other");
        disk.create_dir(&other)?;
        let lock = disk.lock_dir(root)?.expect("the first lock");
        assert!(disk.lock_dir(root)?.is_none(), "it is taken");
        assert!(disk.lock_dir(&other)?.is_some(), "another directory's isn't");
        drop(lock);
        assert!(disk.lock_dir(root)?.is_some(), "it was let go");
        assert_eq!(error_kind(disk.lock_dir(&root.join("missing"))), Some(io::ErrorKind::NotFound));
        disk.open(&root.join("file"), OpenMode::CreateNew)?;
        assert_eq!(error_kind(disk.lock_dir(&root.join("file"))), Some(io::ErrorKind::NotADirectory));
        Ok(())
    });
}

#[test]
fn a_removed_file_lives_on_in_its_handles() {
    check(|disk, root| {
        let path = root.join("file");
        let file = disk.open(&path, OpenMode::CreateNew)?;
        file.write_all_at(b"old", 0)?;
        disk.remove(&path)?;
        disk.open(&path, OpenMode::CreateNew)?.write_all_at(b"new", 0)?;
        let mut bytes = [0; 3];
        file.read_exact_at(&mut bytes, 0)?;
        assert_eq!(&bytes, b"old");
        Ok(())
    });
}

#[test]
fn a_directory_is_not_a_file() {
    check(|disk, root| {
        assert!(disk.open(root, OpenMode::Read).is_err());
        assert!(disk.open(root, OpenMode::ReadWrite).is_err());
        assert!(disk.remove(root).is_err());
        Ok(())
    });
}

#[test]
fn a_file_has_one_exclusive_lock_or_many_shared_ones() {
    use LockKind::{Exclusive, Shared};
    check(|disk, root| {
        let path = root.join("file");
        assert_eq!(error_kind(disk.lock_file(&path, Shared)), Some(io::ErrorKind::NotFound));
        disk.open(&path, OpenMode::CreateNew)?;
        let (first, second) = (disk.lock_file(&path, Shared)?, disk.lock_file(&path, Shared)?);
        assert!(first.is_some() && second.is_some());
        assert!(disk.lock_file(&path, Exclusive)?.is_none(), "others share it");
        drop(first);
        assert!(disk.lock_file(&path, Exclusive)?.is_none(), "another shares it");
        drop(second);
        let exclusive = disk.lock_file(&path, Exclusive)?.expect("no one has it");
        assert!(disk.lock_file(&path, Shared)?.is_none() && disk.lock_file(&path, Exclusive)?.is_none());
        disk.rename(&path, &root.join("other"))?;
        assert!(disk.lock_file(&root.join("other"), Shared)?.is_none(), "it is the file's, not the name's");
        drop(exclusive);
        assert!(disk.lock_file(&root.join("other"), Shared)?.is_some());
        Ok(())
    });
}

#[test]
fn a_shared_page_is_the_file_s_bytes() {
    check(|disk, root| {
        let path = root.join("page");
        assert_eq!(error_kind(disk.share(&path, ShareMode::Read)), Some(io::ErrorKind::NotFound));
        let file = disk.open(&path, OpenMode::CreateNew)?;
        file.write_all_at(&[0; SHARED_PAGE_BYTES - 1], 0)?;
        assert_eq!(error_kind(disk.share(&path, ShareMode::Read)), Some(io::ErrorKind::InvalidData));
        file.write_all_at(&[0], SHARED_PAGE_BYTES as u64 - 1)?;
        let writer = disk.share(&path, ShareMode::ReadWrite)?;
        let reader = disk.share(&path, ShareMode::Read)?;
        writer.store_u64(64, 0x0102_0304_0506_0708);
        writer.store_u32(80, 6);
        assert_eq!((reader.load_u64(64), reader.load_u32(80)), (0x0102_0304_0506_0708, 6));
        assert_eq!((writer.set_bits_u32(80, 1), reader.load_u32(80)), (6, 7));
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, 64)?;
        assert_eq!(bytes, [8, 7, 6, 5, 4, 3, 2, 1], "little-endian");
        file.write_all_at(&[9], 64)?;
        assert_eq!(reader.load_u64(64), 0x0102_0304_0506_0709, "it is one memory");
        writer.wake_all(80);
        reader.wait(80, 0, std::time::Duration::from_secs(1_000));
        assert_ne!(disk.boot_id()?, 0);
        assert_eq!(disk.boot_id()?, disk.boot_id()?);
        Ok(())
    });
}

#[test]
fn a_file_has_further_names_in_any_directory() {
    check(|disk, root| {
        let (original, link) = (root.join("original"), root.join("folder/link"));
        disk.create_dir(&root.join("folder"))?;
        assert_eq!(error_kind(disk.hard_link(&original, &link)), Some(io::ErrorKind::NotFound));
        disk.open(&original, OpenMode::CreateNew)?.write_all_at(b"bytes", 0)?;
        disk.hard_link(&original, &link)?;
        assert_eq!(error_kind(disk.hard_link(&original, &link)), Some(io::ErrorKind::AlreadyExists));
        assert!(
            disk.hard_link(&root.join("folder"), &root.join("other")).is_err(),
            "a directory has one name"
        );
        disk.open(&link, OpenMode::ReadWrite)?.write_all_at(b"B", 0)?;
        let mut bytes = [0; 5];
        disk.open(&original, OpenMode::Read)?.read_exact_at(&mut bytes, 0)?;
        assert_eq!(&bytes, b"Bytes", "it is one file");

        let second = root.join("second");
        disk.hard_link(&original, &second)?;
        disk.rename(&original, &second)?;
        let both = (disk.kind(&original)?, disk.kind(&second)?);
        assert_eq!(both, (Some(EntryKind::File), Some(EntryKind::File)), "two names of one file stay both");
        disk.remove(&original)?;
        disk.remove(&second)?;
        disk.open(&link, OpenMode::Read)?.read_exact_at(&mut bytes, 0)?;
        assert_eq!(&bytes, b"Bytes", "it is there until its last name is gone");
        Ok(())
    });
}

#[test]
fn a_directory_is_renamed_with_all_that_is_in_it() {
    check(|disk, root| {
        let (old, new) = (root.join("old"), root.join("new"));
        disk.create_dir(&old)?;
        disk.open(&old.join("file"), OpenMode::CreateNew)?.write_all_at(b"bytes", 0)?;
        let lock = disk.lock_dir(&old)?;
        disk.rename(&old, &new)?;
        disk.sync_dir(root)?;
        assert_eq!((disk.kind(&old)?, disk.kind(&new)?), (None, Some(EntryKind::Directory)));
        assert_eq!(disk.open(&new.join("file"), OpenMode::Read)?.len()?, 5);
        assert!(
            lock.is_some() && disk.lock_dir(&new)?.is_none(),
            "the lock is the directory's, not the name's"
        );
        disk.open(&root.join("file"), OpenMode::CreateNew)?;
        assert!(disk.rename(&new, &root.join("file")).is_err(), "a directory replaces no file");
        assert!(disk.rename(&root.join("file"), &new).is_err(), "nor a file a directory");
        Ok(())
    });
}
