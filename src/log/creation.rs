//! How a store comes to be: step by step, so that a cut between any two leaves one that can be finished.
//!
//! Directory, lock, segment 1, directories synced, store.meta last, the parent directory synced. Only then
//! may an append succeed. So a directory without store.meta and without events is a store that isn't finished
//! yet; one without store.meta but with events has lost it, and is refused.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use crate::{
    backup_error::BACKUP_MANIFEST,
    disk::contract::{DirectoryEntry, Disk, EntryKind, OpenMode, ensure_inner_dir, list_inner_dir},
    error::{Error, Result},
    format::{
        control::{EnvelopeFault, StoreMeta},
        frame::EpochMode,
        layout::{FORMAT_VERSION, bytes, index},
        segment_header::{SEGMENT_HEADER_BYTES, SegmentHeader},
    },
    log::{
        scan::Scan,
        segment::{Segment, create_whole, segment_number, segment_path, segments_directory, temporary},
        window::Window,
    },
    time::Timestamp,
};

/// What may stand in the directory of a store whose creation was interrupted.
const NAMES_OF_UNFINISHED: [&str; 5] = ["segments", "store.meta.tmp", "writer.pid", "head", "head.tmp"];

/// Where the segments of a store are that is being restored, until it is whole.
pub(crate) const SEGMENTS_RESTORING: &str = "segments.restoring";

/// What the root of a new ext4 file system holds, which is an empty directory to whoever mounts it.
const LOST_AND_FOUND: &str = "lost+found";

/// What a directory with such segments is.
pub(crate) const NEVER_RESTORED: &str = "a restore into it was never finished; restore again";

/// The longest store.meta, in bytes.
const META_BYTES_MAX: u64 = 8 << 10;

/// Where store.meta is.
pub(crate) fn meta_path(store: &Path) -> PathBuf {
    store.join("store.meta")
}

/// The directory in which the store's own stands.
pub(crate) fn parent_of(store: &Path) -> &Path {
    store.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The path with something behind its last name; none if it has no name of its own.
pub(crate) fn beside(path: &Path, ending: &str) -> Option<PathBuf> {
    let mut name = OsString::from(path.file_name()?);
    name.push(ending);
    Some(path.with_file_name(name))
}

/// Where a store is made, beside its own directory, that is being restored.
pub(crate) fn restoring_path(store: &Path) -> Option<PathBuf> {
    beside(store, ".restoring")
}

/// Refuses a place where a store is being restored, or was and never came to it: the store that was there may have
/// another name now, and an empty one in its place would go unnoticed.
pub(crate) fn refuse_unrestored(disk: &dyn Disk, store: &Path) -> Result<()> {
    let Some(site) = restoring_path(store) else { return Ok(()) };
    for directory in [&site, &site.join(SEGMENTS_RESTORING)] {
        let kind = disk.kind(directory).map_err(|error| Error::io("look at", directory, error))?;
        if kind != Some(EntryKind::Directory) {
            return Ok(());
        }
    }
    let reason = format!(
        "no store is there, but a restore of it that isn't finished, in {}; restore again, or move that away",
        site.display()
    );
    Err(Error::NotAStore { path: store.to_owned(), reason })
}

/// Makes the store's directory if nothing stands there.
pub(crate) fn create_directory(disk: &dyn Disk, store: &Path) -> Result<()> {
    match disk.create_dir(store) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(|error| Error::io("create", store, error)),
    }
}

/// The error for a directory without store.meta, where a store has to be.
pub(crate) fn no_meta(store: &Path) -> Error {
    Error::NotAStore { path: store.to_owned(), reason: "it has no store.meta".to_owned() }
}

/// Reads store.meta; none if it isn't there.
pub(crate) fn read_meta(disk: &dyn Disk, store: &Path) -> Result<Option<StoreMeta>> {
    let path = meta_path(store);
    let io = |error| Error::io("read", &path, error);
    if disk.kind(&path).map_err(io)?.is_none() {
        return Ok(None);
    }
    let file = disk.open(&path, OpenMode::Read).map_err(io)?;
    let length = file.len().map_err(io)?;
    let mut window = Window::new(0);
    let content = window.get(&*file, 0, index(length.min(META_BYTES_MAX)), length).map_err(io)?;
    StoreMeta::decode(content).map(Some).map_err(|fault| match fault {
        EnvelopeFault::Newer(found) => {
            Error::NewerFormat { path: path.clone(), found, supported: FORMAT_VERSION }
        }
        EnvelopeFault::Damaged(reason) => {
            Error::Corrupt { path: path.clone(), offset: 0, reason: reason.to_owned(), intact: None }
        }
    })
}

/// Writes store.meta, durably.
pub(crate) fn write_meta(disk: &dyn Disk, store: &Path, meta: &StoreMeta) -> Result<()> {
    create_whole(disk, &meta_path(store), &meta.encode()).map(drop)
}

/// Makes a store in a directory that is empty or in which this was begun before. The caller has the lock.
pub(crate) fn create(
    disk: &dyn Disk,
    store: &Path,
    store_id: u64,
    mode: EpochMode,
    now: Timestamp,
) -> Result<StoreMeta> {
    refuse_foreign(disk, store)?;
    refuse_unrestored(disk, store)?;
    let segments = segments_directory(store);
    ensure_inner_dir(disk, &segments).map_err(|error| Error::io("create", &segments, error))?;
    let store_id = match unfinished_segment(disk, store)? {
        Some(begun) => begun.store_id,
        None => create_first_segment(disk, store, store_id, mode)?,
    };
    sync_directories(disk, store)?;
    let meta = StoreMeta { store_id, created: now.micros(), first_segment: 1 };
    write_meta(disk, store, &meta)?;
    sync_directory(disk, parent_of(store))?;
    Ok(meta)
}

/// Makes all names of the store durable: for recovery, which can't know whether its forerunner came to it.
pub(crate) fn sync_names(disk: &dyn Disk, store: &Path) -> Result<()> {
    sync_directories(disk, store)?;
    sync_directory(disk, parent_of(store))
}

fn sync_directories(disk: &dyn Disk, store: &Path) -> Result<()> {
    sync_directory(disk, &segments_directory(store))?;
    sync_directory(disk, store)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.sync_dir(path).map_err(|error| Error::io("sync", path, error))
}

/// What stands in a directory, besides what a file system keeps in its root for itself.
pub(crate) fn list_used(disk: &dyn Disk, directory: &Path) -> Result<Vec<DirectoryEntry>> {
    let mut entries = disk.list(directory).map_err(|error| Error::io("list", directory, error))?;
    entries.retain(|entry| entry.kind != EntryKind::Directory || entry.name != LOST_AND_FOUND);
    Ok(entries)
}

/// Refuses a directory that holds anything but the beginnings of a store.
fn refuse_foreign(disk: &dyn Disk, store: &Path) -> Result<()> {
    let entries = list_used(disk, store)?;
    let foreign = entries.iter().find(|entry| !NAMES_OF_UNFINISHED.contains(&entry.name.as_str()));
    let Some(foreign) = foreign else { return Ok(()) };
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    let reason = if has(BACKUP_MANIFEST) {
        "the first backup into it was never finished; make it again".to_owned()
    } else if has(SEGMENTS_RESTORING) {
        NEVER_RESTORED.to_owned()
    } else {
        format!("it has no store.meta, but holds {:?}; choose an empty or a new directory", foreign.name)
    };
    Err(Error::NotAStore { path: store.to_owned(), reason })
}

/// The first segment's header, if creation came that far; refuses segments with events.
fn unfinished_segment(disk: &dyn Disk, store: &Path) -> Result<Option<SegmentHeader>> {
    let directory = segments_directory(store);
    let entries = list_inner_dir(disk, &directory).map_err(|error| Error::io("list", &directory, error))?;
    for entry in &entries {
        let path = directory.join(&entry.name);
        let first = entry.kind == EntryKind::File && segment_number(&entry.name) == Some(1);
        if !first && path != temporary(&segment_path(store, 1)) {
            return Err(lost_meta(&path));
        }
    }
    if !entries.iter().any(|entry| segment_number(&entry.name) == Some(1)) {
        return Ok(None);
    }
    let segment = Segment::open(disk, store, 1, OpenMode::Read)?;
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
    let (bytes_end, _) = scan.look_beyond().map_err(io)?;
    if bytes_end > segment.log_offset(bytes(SEGMENT_HEADER_BYTES)) {
        return Err(lost_meta(&segment.path));
    }
    Ok(Some(segment.header))
}

fn lost_meta(path: &Path) -> Error {
    let reason = "the store has events, but no store.meta: restore it from a backup".to_owned();
    Error::Corrupt { path: path.to_owned(), offset: 0, reason, intact: None }
}

fn create_first_segment(disk: &dyn Disk, store: &Path, store_id: u64, mode: EpochMode) -> Result<u64> {
    let header = SegmentHeader::first(store_id, mode);
    Segment::create(disk, store, header).map(|segment| segment.header.store_id)
}
