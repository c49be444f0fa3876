//! The directory that a store is restored to.
//!
//! Until the store is whole its segments stand in `segments.restoring`, which no store has; their directory gets its name by one
//! rename, the last step. So what an interrupted restore has left can be told from a store, and is used again by the next. Where a
//! directory is made anew, or replaced, that happens beside it, and whole:
//!
//! ```text
//! shop.annals.restoring/segments.restoring/…     the new store is made
//! shop.annals   -> shop.annals.before-restore-1  the old one is set aside
//! shop.annals.restoring -> shop.annals
//! shop.annals/segments.restoring -> segments     from here on it is a store
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    backup_error::BackupError,
    disk::contract::{DirectoryEntry, DirectoryLock, Disk, EntryKind, ensure_inner_dir},
    error::{Error, Result},
    format::control::StoreMeta,
    log::{
        creation::{self, SEGMENTS_RESTORING, list_used, parent_of, sync_directory, write_meta},
        mark::Mark,
        segment::{segment_name, segment_number, segments_directory},
    },
    opening::take_lock,
    position::LogOffset,
};

/// What stands beside them.
const NAMES_BESIDE: [&str; 5] =
    [SEGMENTS_RESTORING, "durable.mark", "durable.mark.tmp", "store.meta", "store.meta.tmp"];

/// What is done with a store that stands where another is to be restored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum ExistingStore {
    /// Nothing is restored.
    #[default]
    Refuse,
    /// It gets another name beside the restored one, and stays as it is.
    SetAside,
}

/// Where a store is being restored.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    disk: &'a dyn Disk,
    destination: PathBuf,
    /// Where it is made: the destination itself, if that is empty.
    site: PathBuf,
    /// Whether a store stands at the destination.
    replaces: bool,
    /// Of the site, and of the store that is replaced.
    _locks: Vec<Box<dyn DirectoryLock>>,
}

impl<'a> Place<'a> {
    /// Takes a directory that is empty or isn't there; or one in which a store is that is to be set aside.
    pub(crate) fn begin(disk: &'a dyn Disk, destination: &Path, existing: ExistingStore) -> Result<Self> {
        let mut locks = Vec::new();
        let (site, replaces) = match kind(disk, destination)? {
            None => (restoring_path(destination)?, false),
            Some(EntryKind::File) => return Err(taken(destination, "it is a file; name a directory")),
            // A link to a directory is followed.
            Some(found) => {
                let entries = list_used(disk, destination)?;
                let is_free = is_free(&entries);
                if !is_free {
                    refuse(destination, found, &entries, existing)?;
                    locks.push(take_lock(disk, destination, Duration::ZERO)?);
                }
                let site = if is_free { destination.to_owned() } else { restoring_path(destination)? };
                (site, !is_free)
            }
        };
        let is_beside = site != destination;
        let taken_site = if is_beside { take_site_beside(disk, &site) } else { Ok(()) };
        let lock = taken_site.and_then(|()| take_lock(disk, &site, Duration::ZERO));
        // Another restore was at work there, and is done: its site is the destination now.
        if is_beside && !replaces && kind(disk, destination)?.is_some() {
            return Err(taken(
                destination,
                "it has just been made, by another restore perhaps; choose another directory",
            ));
        }
        locks.push(lock?);
        let place = Self { disk, destination: destination.to_owned(), site, replaces, _locks: locks };
        place.clear()?;
        Ok(place)
    }

    /// Removes what an interrupted restore has left; nothing, where anything else stands among it.
    pub(crate) fn clear(&self) -> Result<()> {
        let unfinished = self.site.join(SEGMENTS_RESTORING);
        for path in left_over(self.disk, &self.site)? {
            self.disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        ensure_inner_dir(self.disk, &unfinished).map_err(|error| Error::io("create", &unfinished, error))?;
        Ok(())
    }

    /// Where a segment is made.
    pub(crate) fn segment_path(&self, number: u64) -> PathBuf {
        self.site.join(SEGMENTS_RESTORING).join(segment_name(number))
    }

    /// Makes a store of it, whose log ends there; its segments are durable. Returns where the store is now that was there
    /// before.
    pub(crate) fn finish(&self, meta: &StoreMeta, end: LogOffset) -> Result<Option<PathBuf>> {
        let (disk, site) = (self.disk, self.site.as_path());
        let parent = parent_of(&self.destination);
        sync_directory(disk, &site.join(SEGMENTS_RESTORING))?;
        Mark::read(disk, site, meta.store_id)?.write(disk, end)?;
        write_meta(disk, site, meta)?;
        sync_directory(disk, parent)?;
        let mut renames = Renames { disk, done: Vec::new() };
        let aside = if self.replaces { Some(self.free_name_beside()?) } else { None };
        match self.put_in_place(aside.as_deref(), &mut renames) {
            Ok(()) => Ok(aside),
            Err(error) => Err(self.put_back(error, aside, renames)),
        }
    }

    /// The last steps, from the first that can be seen at the destination.
    fn put_in_place(&self, aside: Option<&Path>, renames: &mut Renames<'_>) -> Result<()> {
        let destination = self.destination.as_path();
        if let Some(aside) = aside {
            renames.rename(destination, aside)?;
        }
        if self.site != destination {
            renames.rename(&self.site, destination)?;
            sync_directory(self.disk, parent_of(destination))?;
        }
        renames.rename(&destination.join(SEGMENTS_RESTORING), &segments_directory(destination))?;
        sync_directory(self.disk, destination)
    }

    /// Makes what stood at the destination stand there again, and returns what is to be told.
    fn put_back(&self, error: Error, aside: Option<PathBuf>, renames: Renames<'_>) -> Error {
        let undone = renames.undo();
        // Whether this is durable or not, a cut leaves what an interrupted restore leaves.
        sync_directory(self.disk, parent_of(&self.destination)).ok();
        match (undone, aside) {
            (Err(_), Some(set_aside)) => Error::Backup(BackupError::NotPutBack {
                path: self.destination.clone(),
                set_aside,
                reason: error.to_string(),
            }),
            _ => error,
        }
    }

    fn free_name_beside(&self) -> Result<PathBuf> {
        let mut number = 1_u64;
        loop {
            let path = beside(&self.destination, &format!(".before-restore-{number}"))?;
            if kind(self.disk, &path)?.is_none() {
                return Ok(path);
            }
            number += 1;
        }
    }
}

/// Renames that can be undone.
struct Renames<'a> {
    disk: &'a dyn Disk,
    /// From where to where, in order.
    done: Vec<(PathBuf, PathBuf)>,
}

impl Renames<'_> {
    fn rename(&mut self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to).map_err(|error| Error::io("rename", from, error))?;
        self.done.push((from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn undo(self) -> Result<()> {
        for (from, to) in self.done.iter().rev() {
            self.disk.rename(to, from).map_err(|error| Error::io("rename", to, error))?;
        }
        Ok(())
    }
}

/// Makes the site beside the destination, or takes the one that an interrupted restore has left. What anybody else has put
/// there may lead elsewhere, or be changed by them while the store is made in it.
fn take_site_beside(disk: &dyn Disk, site: &Path) -> Result<()> {
    if kind(disk, site)?.is_none() {
        match disk.create_dir(site) {
            // Another was first: a restore that is at work there, which the lock will tell, or whoever else.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map_err(|error| Error::io("create", site, error)),
        }
    }
    if let Some(found) = kind(disk, site)?.filter(|found| *found != EntryKind::Directory) {
        return Err(in_the_way(site, found));
    }
    if disk.is_own_dir(site).map_err(|error| Error::io("look at", site, error))? {
        return Ok(());
    }
    let reason = "by its owner or mode others may change it, and the directory in which a restore makes the store must belong to \
                  the user who restores, alone; if a restore has left it, remove it and restore again (where the file system \
                  forces owners or modes, after each interruption), else move it away";
    Err(taken(site, reason))
}

/// The files that an interrupted restore has left in its site. What none can have left is refused, wherever it stands.
fn left_over(disk: &dyn Disk, site: &Path) -> Result<Vec<PathBuf>> {
    let entries = list_used(disk, site)?;
    if !is_free(&entries) {
        let reason = "a restore makes the store there first, and it holds something else; move that away";
        return Err(taken(site, reason));
    }
    let mut files = Vec::new();
    for entry in &entries {
        let path = site.join(&entry.name);
        match (entry.name.as_str(), entry.kind) {
            (SEGMENTS_RESTORING, EntryKind::Directory) => files.extend(left_over_segments(disk, &path)?),
            (SEGMENTS_RESTORING, found) => return Err(in_the_way(&path, found)),
            (_, EntryKind::File) => files.push(path),
            (_, found) => return Err(in_the_way(&path, found)),
        }
    }
    Ok(files)
}

fn left_over_segments(disk: &dyn Disk, directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = disk.list(directory).map_err(|error| Error::io("list", directory, error))?;
    let path_of = |entry: &DirectoryEntry| {
        let path = directory.join(&entry.name);
        let is_segment = entry.kind == EntryKind::File && segment_number(&entry.name).is_some();
        if is_segment { Ok(path) } else { Err(in_the_way(&path, entry.kind)) }
    };
    entries.iter().map(path_of).collect()
}

/// The error for what stands where a restore has its own.
fn in_the_way(path: &Path, found: EntryKind) -> Error {
    let found = found.words();
    let reason =
        format!("it is {found} that no restore has made, and a restore makes the store there; move it away");
    taken(path, &reason)
}

/// Whether a directory is empty, or holds nothing but what an interrupted restore has left.
fn is_free(entries: &[DirectoryEntry]) -> bool {
    let is_begun = entries.iter().any(|entry| entry.name == SEGMENTS_RESTORING);
    let is_ours = |entry: &DirectoryEntry| NAMES_BESIDE.contains(&entry.name.as_str());
    entries.is_empty() || is_begun && entries.iter().all(is_ours)
}

/// Refuses what stands at the destination, unless it is a store that is to be set aside.
fn refuse(
    destination: &Path,
    found: EntryKind,
    entries: &[DirectoryEntry],
    existing: ExistingStore,
) -> Result<()> {
    let has = |name: &str| entries.iter().any(|entry| entry.name == name);
    let is_store = has("store.meta") || has("segments");
    match (is_store, existing, found) {
        (false, _, _) => {
            let name = entries.first().map_or_else(String::new, |entry| format!("{:?}", entry.name));
            let reason = format!("it holds {name}, and is no store; choose an empty or a new directory");
            Err(taken(destination, &reason))
        }
        (true, ExistingStore::Refuse, _) => {
            let reason = "a store is there; choose another directory, or have it set aside (--force), which keeps it under \
                          another name";
            Err(taken(destination, reason))
        }
        (true, ExistingStore::SetAside, EntryKind::Other) => {
            let reason = "it is a symbolic link; name the directory that it leads to";
            Err(taken(destination, reason))
        }
        (true, ExistingStore::SetAside, _) => Ok(()),
    }
}

fn taken(path: &Path, reason: &str) -> Error {
    Error::Backup(BackupError::DestinationTaken { path: path.to_owned(), reason: reason.to_owned() })
}

/// The path with something behind its last name.
fn beside(path: &Path, ending: &str) -> Result<PathBuf> {
    creation::beside(path, ending).ok_or_else(|| no_name(path))
}

fn restoring_path(destination: &Path) -> Result<PathBuf> {
    creation::restoring_path(destination).ok_or_else(|| no_name(destination))
}

fn no_name(path: &Path) -> Error {
    taken(path, "it has no name of its own; name the directory by its name")
}

fn kind(disk: &dyn Disk, path: &Path) -> Result<Option<EntryKind>> {
    disk.kind(path).map_err(|error| Error::io("look at", path, error))
}
