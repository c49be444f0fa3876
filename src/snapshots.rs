//! The folder of snapshots: files that are a cache of what the log says.
//!
//! Nothing here is synced, and nothing is believed: a file says which event it was made from, with its checksum, and is
//! passed over unless the log has that event. So what a power cut leaves, what is damaged, and what somebody has copied from
//! another store costs time and changes no answer. The writer alone writes; who reads lists the folder anew each time.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use crate::{
    committed::Committed,
    disk::contract::{Disk, EntryKind, OpenMode, ensure_inner_dir, has_inner_dir, list_inner_dir},
    error::{Error, Result},
    format::{
        layout::{bytes, checksum},
        snapshot::SnapshotHeader,
    },
    invalid::Invalid,
    log::segment::temporary,
    news::News,
    position::Version,
    snapshot::{
        IgnoredReason, IgnoredSnapshot, Snapshot, SnapshotData, SnapshotList, SnapshotSearch,
        check_state_type,
    },
    snapshot_file::{Fault, FileName, SnapshotFile, SnapshotPlaces, event_at},
    stream::StreamId,
    time::Timestamp,
    trace,
};

/// How often a directory is listed anew, since files that were listed had gone when they were opened: the writer has
/// replaced them by newer ones.
const LISTINGS_MAX: usize = 4;

/// The store's snapshots.
#[derive(Debug)]
pub(crate) struct SnapshotFolder {
    disk: Arc<dyn Disk>,
    places: SnapshotPlaces,
    /// One at a time writes.
    writing: Mutex<()>,
}

impl SnapshotFolder {
    pub(crate) fn new(disk: Arc<dyn Disk>, store: &Path, store_id: u64) -> Self {
        Self { disk, places: SnapshotPlaces::new(store, store_id), writing: Mutex::new(()) }
    }

    /// Where a stream's snapshots are.
    pub(crate) fn directory_of(&self, stream: &StreamId) -> PathBuf {
        self.places.directory_of(stream)
    }

    /// The newest snapshot of a type up to a version that the log vouches for.
    pub(crate) fn search(
        &self,
        (committed, news): (&Committed, &dyn News),
        stream: &StreamId,
        state_type: &str,
        version_max: Version,
    ) -> Result<SnapshotSearch> {
        check_state_type(state_type)?;
        let (directory, type_hash) = (self.places.directory_of(stream), self.places.type_hash(state_type));
        let mut listings = 0;
        loop {
            listings += 1;
            let mut search = SnapshotSearch { snapshot: None, ignored: Vec::new() };
            let mut names = self.list_or_tell(&directory, &mut search.ignored);
            // A snapshot that is listed is of an event that was committed before: that one is seen now.
            news.refresh()?;
            names.retain(|name| name.type_hash == type_hash && name.version <= version_max);
            let mut is_outdated = false;
            for name in names.into_iter().rev() {
                match self.load(committed, &directory, name, (stream, state_type)) {
                    Ok(snapshot) => {
                        search.snapshot = Some(snapshot);
                        break;
                    }
                    Err(Fault::Gone) => is_outdated = true,
                    Err(Fault::Ignored(reason)) => ignore(&mut search.ignored, &directory, name, reason),
                    Err(Fault::Log(error)) => return Err(error),
                }
            }
            if !is_outdated || listings == LISTINGS_MAX {
                return Ok(search);
            }
        }
    }

    /// The snapshots of a stream.
    pub(crate) fn list(
        &self,
        (committed, news): (&Committed, &dyn News),
        stream: &StreamId,
    ) -> Result<SnapshotList> {
        let mut list = SnapshotList::default();
        self.add_to_list(committed, news, &self.places.directory_of(stream), &mut list)?;
        sort(&mut list);
        Ok(list)
    }

    /// The snapshots of all streams.
    pub(crate) fn list_all(&self, (committed, news): (&Committed, &dyn News)) -> Result<SnapshotList> {
        let mut list = SnapshotList::default();
        match self.directories() {
            Ok(directories) => {
                for directory in directories {
                    self.add_to_list(committed, news, &directory, &mut list)?;
                }
            }
            Err(error) => list.ignored.push(unlistable(&self.places.folder, error)),
        }
        sort(&mut list);
        Ok(list)
    }

    fn add_to_list(
        &self,
        committed: &Committed,
        news: &dyn News,
        directory: &Path,
        list: &mut SnapshotList,
    ) -> Result<()> {
        let names = self.list_or_tell(directory, &mut list.ignored);
        news.refresh()?;
        for name in names {
            match self.open(committed, directory, name) {
                Ok(opened) => list.snapshots.push(opened.info(directory.join(name.text()))),
                Err(Fault::Gone) => {}
                Err(Fault::Ignored(reason)) => ignore(&mut list.ignored, directory, name, reason),
                Err(Fault::Log(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn open(&self, committed: &Committed, directory: &Path, name: FileName) -> Result<SnapshotFile, Fault> {
        SnapshotFile::open(&*self.disk, &self.places, committed, (directory, name))
    }

    fn load(
        &self,
        committed: &Committed,
        directory: &Path,
        name: FileName,
        (stream, state_type): (&StreamId, &str),
    ) -> Result<Snapshot, Fault> {
        let snapshot = self.open(committed, directory, name)?.into_snapshot()?;
        // Two names can have one hash.
        if snapshot.stream != *stream || snapshot.state_type != state_type {
            return Err(Fault::foreign(
                "it is of another stream or state type, whose name has the same hash",
            ));
        }
        Ok(snapshot)
    }

    /// Writes a snapshot, in place of what has its version, and removes those of its type that aren't kept.
    pub(crate) fn save(
        &self,
        committed: &Committed,
        data: SnapshotData,
        snapshot: Unsaved<'_>,
        kept: usize,
    ) -> Result<Snapshot> {
        let Unsaved { stream, version, created } = snapshot;
        data.check()?;
        if version == Version::NONE {
            let reason = "a snapshot is of one event at least, so its version is 1 or more";
            return Err(Invalid::new("version of a snapshot", "0", reason).into());
        }
        let actual = committed.version(committed.key(stream.as_str()))?;
        if version > actual {
            return Err(Error::SnapshotAhead { stream: stream.clone(), version, actual });
        }
        let (position, event_checksum) = event_at(committed, stream, version)?;
        let header = SnapshotHeader {
            store_id: self.places.store_id,
            version: version.get(),
            position: position.get(),
            event_checksum,
            created: created.micros(),
            content_type: data.content_type.number(),
            schema_version: data.schema_version,
            state_bytes: bytes(data.state.len()),
            state_checksum: checksum(&data.state),
            stream: stream.as_str().to_owned(),
            state_type: data.state_type.clone(),
        };
        let (directory, name) =
            (self.places.directory_of(stream), self.places.name_of(version, &data.state_type));
        {
            let _alone = self.writing.lock();
            self.prepare(&directory)?;
            self.write(&directory.join(name.text()), &header, &data.state)?;
            self.remove_superseded(committed, &directory, name.type_hash, kept);
        }
        let SnapshotData { state_type, schema_version, state, content_type } = data;
        let stream = stream.clone();
        Ok(Snapshot { stream, version, position, state_type, schema_version, state, content_type, created })
    }

    /// Makes a stream's directory where there is none, and takes out of it what an interrupted save has left.
    fn prepare(&self, directory: &Path) -> Result<()> {
        self.make(&self.places.folder)?;
        self.make(directory)?;
        let entries = self.disk.list(directory).map_err(|error| Error::io("list", directory, error))?;
        self.remove_temporary(directory, entries.iter().map(|entry| entry.name.as_str()))
    }

    /// Removes what interrupted saves have left. To be called by the one that writes.
    fn remove_temporary<'n>(&self, directory: &Path, names: impl Iterator<Item = &'n str>) -> Result<()> {
        for name in names.filter(|name| is_temporary(name)) {
            let path = directory.join(name);
            self.disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        Ok(())
    }

    fn make(&self, directory: &Path) -> Result<()> {
        let made = ensure_inner_dir(&*self.disk, directory);
        made.map(drop).map_err(|error| Error::io("create", directory, error))
    }

    /// Writes a file, which has its name only when it is whole, as far as the system knows. It isn't synced.
    fn write(&self, path: &Path, header: &SnapshotHeader, state: &[u8]) -> Result<()> {
        let temporary = temporary(path);
        let head = header.encode();
        let write = || {
            let file = self.disk.open(&temporary, OpenMode::CreateNew).map_err(|error| ("create", error))?;
            file.write_all_at(&head, 0).map_err(|error| ("write", error.source))?;
            file.write_all_at(state, bytes(head.len())).map_err(|error| ("write", error.source))?;
            self.disk.rename(&temporary, path).map_err(|error| ("rename", error))
        };
        write().map_err(|(action, error)| {
            // If it can't be removed now, the next save does so.
            self.disk.remove(&temporary).ok();
            Error::io(action, &temporary, error)
        })
    }

    /// Removes all of a type but the newest that the log vouches for. What can't be removed is left for the next save:
    /// the snapshot itself is there.
    fn remove_superseded(&self, committed: &Committed, directory: &Path, type_hash: u64, kept: usize) {
        let mut names = match self.names_in(directory) {
            Ok(names) => names,
            Err(error) => return tell_kept(directory, &error),
        };
        names.retain(|name| name.type_hash == type_hash);
        let mut useful = 0;
        for name in names.into_iter().rev() {
            match self.open(committed, directory, name) {
                Ok(_) if useful < kept => {
                    useful += 1;
                    continue;
                }
                // A newer program may come back to its own, and what can't be looked at isn't judged.
                Err(
                    Fault::Gone
                    | Fault::Log(_)
                    | Fault::Ignored(IgnoredReason::NewerFormat { .. } | IgnoredReason::Unreadable(_)),
                ) => continue,
                Ok(_) | Err(Fault::Ignored(_)) => {}
            }
            let path = directory.join(name.text());
            if let Err(error) = self.disk.remove(&path) {
                tell_kept(&path, &error);
            }
        }
    }

    /// Deletes a stream's snapshots, of one type or of all, and says how many there were. What interrupted saves have left
    /// goes with them, of whatever type it was to be.
    pub(crate) fn delete(&self, stream: &StreamId, state_type: Option<&str>) -> Result<usize> {
        state_type.map(check_state_type).transpose()?;
        let type_hash = state_type.map(|state_type| self.places.type_hash(state_type));
        let _alone = self.writing.lock();
        self.delete_in(&self.places.directory_of(stream), type_hash)
    }

    /// Deletes all snapshots, and says how many there were.
    pub(crate) fn delete_all(&self) -> Result<usize> {
        let _alone = self.writing.lock();
        let directories =
            self.directories().map_err(|error| Error::io("list", &self.places.folder, error))?;
        directories.iter().map(|directory| self.delete_in(directory, None)).sum()
    }

    fn delete_in(&self, directory: &Path, type_hash: Option<u64>) -> Result<usize> {
        let list = |error| Error::io("list", directory, error);
        let entries = list_of_stream(&*self.disk, directory).map_err(list)?;
        self.remove_temporary(directory, entries.iter().map(|(name, _)| name.as_str()))?;
        let mut deleted = 0;
        for name in names_of(entries) {
            if type_hash.is_none_or(|wanted| wanted == name.type_hash) {
                let path = directory.join(name.text());
                self.disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
                deleted += 1;
            }
        }
        Ok(deleted)
    }

    fn directories(&self) -> io::Result<Vec<PathBuf>> {
        directories_in(&*self.disk, &self.places)
    }

    fn names_in(&self, directory: &Path) -> io::Result<Vec<FileName>> {
        names_in(&*self.disk, directory)
    }

    fn list_or_tell(&self, directory: &Path, ignored: &mut Vec<IgnoredSnapshot>) -> Vec<FileName> {
        self.names_in(directory).unwrap_or_else(|error| {
            ignored.push(unlistable(directory, error));
            Vec::new()
        })
    }
}

/// The directories of streams that have snapshots, or had some.
pub(crate) fn directories_in(disk: &dyn Disk, places: &SnapshotPlaces) -> io::Result<Vec<PathBuf>> {
    let is_its = |name: &str| u128::from_str_radix(name, 16).is_ok_and(|hash| format!("{hash:032x}") == name);
    let mut directories: Vec<PathBuf> = list_or_none(disk, &places.folder)?
        .into_iter()
        .filter(|(name, kind)| *kind == EntryKind::Directory && is_its(name))
        .map(|(name, _)| places.folder.join(name))
        .collect();
    directories.sort();
    Ok(directories)
}

/// The snapshots' files in a directory, from the oldest version on; none where it isn't there.
pub(crate) fn names_in(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<FileName>> {
    Ok(names_of(list_of_stream(disk, directory)?))
}

/// Which snapshot a state is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unsaved<'a> {
    pub(crate) stream: &'a StreamId,
    pub(crate) version: Version,
    pub(crate) created: Timestamp,
}

/// What is in the directory of a stream's snapshots; nothing, where that or the folder around it isn't there.
fn list_of_stream(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<(String, EntryKind)>> {
    let folder = directory.parent().expect("it stands in the folder of all snapshots");
    if has_inner_dir(disk, folder)? { list_or_none(disk, directory) } else { Ok(Vec::new()) }
}

/// Names and kinds; none where the directory isn't there.
fn list_or_none(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<(String, EntryKind)>> {
    match list_inner_dir(disk, directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => Ok(listed?.into_iter().map(|entry| (entry.name, entry.kind)).collect()),
    }
}

/// The snapshots' files among a directory's entries, from the oldest version on.
fn names_of(entries: Vec<(String, EntryKind)>) -> Vec<FileName> {
    let files = entries.into_iter().filter(|(_, kind)| *kind == EntryKind::File);
    let mut names: Vec<FileName> = files.filter_map(|(name, _)| FileName::parse(&name)).collect();
    names.sort_unstable();
    names
}

fn is_temporary(name: &str) -> bool {
    name.strip_suffix(".tmp").is_some_and(|name| FileName::parse(name).is_some())
}

fn ignore(ignored: &mut Vec<IgnoredSnapshot>, directory: &Path, name: FileName, reason: IgnoredReason) {
    let path = directory.join(name.text());
    trace::warn("a snapshot is ignored", &path, format_args!("{reason}"));
    ignored.push(IgnoredSnapshot { path, version: Some(name.version), reason });
}

fn unlistable(directory: &Path, error: io::Error) -> IgnoredSnapshot {
    trace::warn("snapshots can't be listed", directory, format_args!("{error}"));
    let reason = IgnoredReason::Unreadable(Arc::new(error));
    IgnoredSnapshot { path: directory.to_owned(), version: None, reason }
}

fn tell_kept(path: &Path, error: &io::Error) {
    trace::warn("old snapshots can't be removed", path, format_args!("{error}"));
}

fn sort(list: &mut SnapshotList) {
    list.snapshots.sort_by(|a, b| {
        (a.stream.as_str(), &a.state_type, a.version).cmp(&(b.stream.as_str(), &b.state_type, b.version))
    });
}
