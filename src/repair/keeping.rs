//! quarantine/repair-N: all that a repair changes, as it was before, and the events that it takes out. It is whole, and durable,
//! before anything is changed: then, and only then, it has a report.json. No folder is used twice, and nothing in one is ever
//! removed.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    backup::transfer::NewFile,
    disk::contract::{Disk, DiskFile, EntryKind, OpenMode, ensure_inner_dir, list_inner_dir},
    error::{Error, Result},
    inspect::tolerant_file::TolerantFile,
    log::{
        creation::sync_directory,
        segment::{copy_whole, create_whole},
    },
    repair::plan::Change,
};

/// The file that says that all of a folder is there, and what was done.
pub(crate) const REPORT: &str = "report.json";

/// The file that says that the repair was done, and that the store has its event.
const DONE: &str = "done";

/// The file that says that all changes were made but the last, and what is made anew: the store may be whole from then on.
const CHANGED: &str = "changed";

/// The file that says that the repair was cut off, and another one made after it.
const UNFINISHED: &str = "unfinished";

/// Where repairs keep what they change.
fn quarantine(store: &Path) -> PathBuf {
    store.join("quarantine")
}

/// A repair's folder.
pub(crate) fn folder_of(store: &Path, repair: u64) -> PathBuf {
    quarantine(store).join(format!("repair-{repair}"))
}

/// The greatest number that a repair's folder is given.
const REPAIR_MAX: u64 = u64::MAX - 2;

/// The repair whose folder has this name. Names that none is given are foreign: of `repair-+7`, `repair-07`, and of greater
/// numbers.
fn repair_of(name: &str) -> Option<u64> {
    let number: u64 = name.strip_prefix("repair-")?.parse().ok()?;
    (number <= REPAIR_MAX && name == format!("repair-{number}")).then_some(number)
}

/// The repairs that there were before.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Repairs {
    /// The greatest number that one has.
    last: u64,
    /// The last one that the store has the event of.
    last_done: u64,
    /// Those that may have changed anything, and of which no event tells.
    pub(crate) untold: Vec<u64>,
}

impl Repairs {
    pub(crate) fn list(disk: &dyn Disk, store: &Path) -> Result<Self> {
        let directory = quarantine(store);
        let entries = match list_inner_dir(disk, &directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            listed => listed.map_err(|error| Error::io("list", &directory, error))?,
        };
        let mut found = Self::default();
        for entry in &entries {
            let Some(number) = repair_of(&entry.name) else { continue };
            found.last = found.last.max(number);
            if entry.kind != EntryKind::Directory {
                continue;
            }
            let has = |name: &str| {
                let path = directory.join(&entry.name).join(name);
                let kind = disk.kind(&path).map_err(|error| Error::io("look at", &path, error));
                kind.map(|kind| kind.is_some())
            };
            if has(DONE)? {
                found.last_done = found.last_done.max(number);
            } else if has(REPORT)? && !has(UNFINISHED)? {
                found.untold.push(number);
            }
        }
        found.untold.sort_unstable();
        Ok(found)
    }

    /// The repair that may have made the store whole, of which no event tells yet; only the last one can be that.
    pub(crate) fn to_be_told(&self) -> Option<u64> {
        self.untold.last().copied().filter(|last| *last > self.last_done)
    }

    /// Whether a repair has made its changes, or all but the last.
    pub(crate) fn has_changed(disk: &dyn Disk, store: &Path, repair: u64) -> Result<bool> {
        let path = folder_of(store, repair).join(CHANGED);
        Ok(disk.kind(&path).map_err(|error| Error::io("look at", &path, error))?.is_some())
    }

    /// Says that a repair has made all of its changes but the last.
    pub(crate) fn note_changed(disk: &dyn Disk, store: &Path, repair: u64) -> Result<()> {
        create_whole(disk, &folder_of(store, repair).join(CHANGED), b"").map(drop)
    }

    /// Says that all of them are done with. `told` is the one that the store has the event of now.
    pub(crate) fn conclude(&self, disk: &dyn Disk, store: &Path, told: Option<u64>) -> Result<()> {
        for repair in &self.untold {
            let name = if told == Some(*repair) { DONE } else { UNFINISHED };
            create_whole(disk, &folder_of(store, *repair).join(name), b"")?;
        }
        Ok(())
    }
}

/// A folder that is being filled.
pub(crate) struct Keeping<'a> {
    disk: &'a dyn Disk,
    pub(crate) number: u64,
    folder: PathBuf,
}

impl<'a> Keeping<'a> {
    /// Makes the folder of a new repair.
    pub(crate) fn begin(disk: &'a dyn Disk, store: &Path, before: &Repairs) -> Result<Self> {
        if before.last == REPAIR_MAX {
            // A folder of a greater one would be foreign: the store would never tell of this repair.
            let last = folder_of(store, REPAIR_MAX);
            let reason =
                format!("{} has the greatest number that a repair can have; move it away", last.display());
            return Err(Error::not_repairable(store, reason));
        }
        let number = before.last + 1;
        let folder = folder_of(store, number);
        let around = quarantine(store);
        ensure_inner_dir(disk, &around).map_err(|error| Error::io("create", &around, error))?;
        disk.create_inner_dir(&folder).map_err(|error| Error::io("create", &folder, error))?;
        sync_directory(disk, store)?;
        sync_directory(disk, &quarantine(store))?;
        Ok(Self { disk, number, folder })
    }

    /// Keeps the file that a change takes away or replaces. Returns the name that it has here, if there is such a file.
    pub(crate) fn keep(&self, change: &Change) -> Result<Option<String>> {
        let Some(path) = &change.was else { return Ok(None) };
        let disk = self.disk;
        if disk.kind(path).map_err(|error| Error::io("look at", path, error))?.is_none() {
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default();
        let kept = self.folder.join(name);
        let file = disk.open(path, OpenMode::Read).map_err(|error| Error::io("open", path, error))?;
        if disk.hard_link(path, &kept).is_ok() {
            file.sync().map_err(|error| Error::io("sync", path, error))?;
        } else {
            let file = TolerantFile::new(file);
            let length = DiskFile::len(&*file).map_err(|error| Error::io("read", path, error))?;
            copy_whole(disk, &*file, length, &kept)?;
        }
        Ok(Some(name.to_string_lossy().into_owned()))
    }

    /// A new file in the folder.
    pub(crate) fn create(&self, name: &str) -> Result<NewFile> {
        NewFile::create(self.disk, self.folder.join(name))
    }

    /// Says that all is there: with the report the folder is whole.
    pub(crate) fn conclude(&self, report: &str) -> Result<()> {
        sync_directory(self.disk, &self.folder)?;
        create_whole(self.disk, &self.folder.join(REPORT), format!("{report}\n").as_bytes()).map(drop)
    }
}
