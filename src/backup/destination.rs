//! A directory that backups go to: what is in it, and how it changes.
//!
//! A file appears under its name only when it is whole and durable, and one name at a time: first the segments, from the
//! oldest to the newest, then durable.mark, which says no more than they hold, and the manifest behind all of them. So
//! the directory is at each moment a store that holds the backup before, or more.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    backup_error::{BACKUP_MANIFEST, BackupError},
    disk::contract::{DirectoryLock, Disk, EntryKind, OpenMode, ensure_inner_dir, has_inner_dir},
    error::{Error, Result},
    format::{
        control::{EnvelopeFault, StoreMeta},
        layout::{FORMAT_VERSION, bytes, index},
        manifest::{self, BackupManifest},
    },
    invalid::Invalid,
    log::{
        creation,
        mark::Mark,
        recovery::remove_leftovers,
        segment::{Segment, create_whole, segment_number, segment_path, segments_directory, temporary},
        window::Window,
    },
    opening::{take_lock, write_holder},
    position::LogOffset,
};

/// What may stand in a directory in which a first backup was begun, and cut off before it had its manifest.
const NAMES_OF_BEGUN: [&str; 2] = ["backup.manifest.tmp", "writer.pid"];

fn manifest_path(backup: &Path) -> PathBuf {
    backup.join(BACKUP_MANIFEST)
}

/// Reads a backup's manifest; none if it isn't there.
///
/// Where there is one, the segments that it tells of must stand in a directory of the backup's own.
pub(crate) fn read_manifest(disk: &dyn Disk, backup: &Path) -> Result<Option<BackupManifest>> {
    let path = manifest_path(backup);
    let io = |error| Error::io("read", &path, error);
    if disk.kind(&path).map_err(io)?.is_none() {
        return Ok(None);
    }
    let segments = segments_directory(backup);
    has_inner_dir(disk, &segments).map_err(|error| Error::io("use", &segments, error))?;
    let damaged = |reason: &str| Error::corrupt(&path, 0, reason, None);
    let file = disk.open(&path, OpenMode::Read).map_err(io)?;
    let length = file.len().map_err(io)?;
    if length > bytes(manifest::FILE_BYTES_MAX) {
        return Err(damaged("it is longer than a manifest can be"));
    }
    let mut window = Window::new(0);
    let content = window.get(&*file, 0, index(length), length).map_err(io)?;
    BackupManifest::decode(content).map(Some).map_err(|fault| match fault {
        EnvelopeFault::Newer(found) => {
            Error::NewerFormat { path: path.clone(), found, supported: FORMAT_VERSION }
        }
        EnvelopeFault::Damaged(reason) => damaged(reason),
    })
}

/// The directory, locked as a writer locks a store: neither another backup nor a program that writes into it comes
/// between.
#[derive(Debug)]
pub(crate) struct Destination {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// What the backup before has; nothing, if there was none.
    pub(crate) manifest: BackupManifest,
    _lock: Box<dyn DirectoryLock>,
}

impl Destination {
    /// Takes a directory that has backups of the store, or is empty, or isn't there.
    pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path, meta: &StoreMeta) -> Result<Self> {
        let taken = |reason: &str| {
            Error::Backup(BackupError::DestinationTaken { path: path.to_owned(), reason: reason.to_owned() })
        };
        match disk.kind(path).map_err(|error| Error::io("look at", path, error))? {
            None => creation::create_directory(&**disk, path)?,
            Some(EntryKind::File) => return Err(taken("it is a file; name a directory")),
            // A link to a directory is followed.
            Some(EntryKind::Directory | EntryKind::Other) => {}
        }
        let lock = take_lock(&**disk, path, Duration::ZERO)?;
        let manifest = match read_manifest(&**disk, path)? {
            Some(manifest) => manifest,
            None => begin(&**disk, path, meta)?,
        };
        let (found, expected) = (manifest.meta.store_id, meta.store_id);
        if found != expected {
            return Err(Error::Backup(BackupError::OtherStore { path: path.to_owned(), found, expected }));
        }
        write_holder(&**disk, path);
        let destination = Self { disk: Arc::clone(disk), path: path.to_owned(), manifest, _lock: lock };
        destination.tidy()?;
        Ok(destination)
    }

    /// Removes what was never finished, and makes all names durable that an earlier run may have left without.
    fn tidy(&self) -> Result<()> {
        let segments = segments_directory(&self.path);
        ensure_inner_dir(&*self.disk, &segments).map_err(|error| Error::io("create", &segments, error))?;
        remove_leftovers(&*self.disk, &self.path)?;
        remove_leftovers(&*self.disk, &segments)?;
        creation::sync_names(&*self.disk, &self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where a segment is made, until it is put in place.
    pub(crate) fn temporary_path(&self, number: u64) -> PathBuf {
        temporary(&segment_path(&self.path, number))
    }

    /// The length of a segment's file in bytes, if there is one.
    pub(crate) fn file_bytes(&self, number: u64) -> Result<Option<u64>> {
        let path = segment_path(&self.path, number);
        let opened = match self.disk.open(&path, OpenMode::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened,
        };
        opened.and_then(|file| file.len()).map(Some).map_err(|error| Error::io("read", &path, error))
    }

    /// Whether a segment's file has other names too, such as the store's.
    pub(crate) fn is_linked(&self, number: u64) -> Result<bool> {
        let path = segment_path(&self.path, number);
        let count = self.disk.open(&path, OpenMode::Read).and_then(|file| file.link_count());
        count.map(|count| count > 1).map_err(|error| Error::io("look at", &path, error))
    }

    /// Opens a segment that is there.
    pub(crate) fn segment(&self, number: u64) -> Result<Segment> {
        Segment::open(&*self.disk, &self.path, number, OpenMode::Read)
    }

    /// The number of the newest segment that is there, whether the manifest knows it or not.
    pub(crate) fn newest_number(&self) -> Result<Option<u64>> {
        let directory = segments_directory(&self.path);
        let entries = self.disk.list(&directory).map_err(|error| Error::io("list", &directory, error))?;
        Ok(entries.iter().filter_map(|entry| segment_number(&entry.name)).max())
    }

    /// Gives a segment's file its name, durably. It is whole, and durable itself.
    pub(crate) fn put_in_place(&self, number: u64) -> Result<()> {
        let (temporary, path) = (self.temporary_path(number), segment_path(&self.path, number));
        self.disk.rename(&temporary, &path).map_err(|error| Error::io("rename", &temporary, error))?;
        // Where both were names of one file, the system leaves both.
        self.remove_temporary(number)?;
        let directory = segments_directory(&self.path);
        self.disk.sync_dir(&directory).map_err(|error| Error::io("sync", &directory, error))
    }

    /// Removes what was made of a segment that isn't put in place, if anything was.
    pub(crate) fn remove_temporary(&self, number: u64) -> Result<()> {
        let path = self.temporary_path(number);
        match self.disk.kind(&path).map_err(|error| Error::io("look at", &path, error))? {
            None => Ok(()),
            Some(_) => self.disk.remove(&path).map_err(|error| Error::io("remove", &path, error)),
        }
    }

    /// Says that the backup is whole. All its segments are in place.
    pub(crate) fn finish(&self, manifest: &BackupManifest) -> Result<()> {
        let (disk, path) = (&*self.disk, self.path.as_path());
        let mut mark = Mark::read(disk, path, manifest.meta.store_id)?;
        mark.write(disk, LogOffset::new(manifest.log_offset))?;
        // One that can't be read is made anew as well.
        let has_meta =
            creation::read_meta(disk, path).is_ok_and(|found| found.as_ref() == Some(&manifest.meta));
        if !has_meta {
            creation::write_meta(disk, path, &manifest.meta)?;
        }
        if *manifest == self.manifest {
            return Ok(());
        }
        write_manifest(disk, path, manifest)
    }
}

/// Says durably that a directory is to have backups of a store, if it is empty.
fn begin(disk: &dyn Disk, path: &Path, meta: &StoreMeta) -> Result<BackupManifest> {
    let entries = creation::list_used(disk, path)?;
    let taken = entries.iter().find(|entry| !NAMES_OF_BEGUN.contains(&entry.name.as_str()));
    if let Some(taken) = taken {
        let reason = format!(
            "it holds {:?}, and no backup.manifest, so it isn't a directory of backups; choose an empty or a new one",
            taken.name
        );
        return Err(Error::Backup(BackupError::DestinationTaken { path: path.to_owned(), reason }));
    }
    let manifest = BackupManifest::begun(meta.clone());
    write_manifest(disk, path, &manifest)?;
    Ok(manifest)
}

fn write_manifest(disk: &dyn Disk, backup: &Path, manifest: &BackupManifest) -> Result<()> {
    let too_many = || {
        let count = manifest.segments.len().to_string();
        Invalid::new("number of segments", &count, "a backup can't list so many; use larger segments")
    };
    let content = manifest.encode().ok_or_else(too_many)?;
    create_whole(disk, &manifest_path(backup), &content).map(drop)
}
