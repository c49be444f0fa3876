//! quarantine/repair-N: all that a repair changes, as it was before, and the events that it takes out. It is whole, and durable,
//! before anything is changed: then, and only then, it has a report.json.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    backup::transfer::NewFile,
    disk::contract::{Disk, DiskFile, EntryKind, OpenMode},
    error::{Error, Result},
    index::files::IndexFiles,
    inspect::tolerant_file::TolerantFile,
    log::{
        creation::{meta_path, sync_directory},
        mark::mark_path,
        segment::{copy_whole, create_whole},
    },
    repair::plan::Change,
};

/// The file that says that all of a folder is there, and what was done.
pub(crate) const REPORT: &str = "report.json";

/// The file that says that the repair was done, and that the store has its event.
pub(crate) const DONE: &str = "done";

/// Where repairs keep what they change.
pub(crate) fn quarantine(store: &Path) -> PathBuf {
    store.join("quarantine")
}

/// A repair's folder.
pub(crate) fn folder_of(store: &Path, repair: u64) -> PathBuf {
    quarantine(store).join(format!("repair-{repair}"))
}

/// What is there of a repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It had changed nothing when it was cut off.
    Begun,
    /// It may have changed anything.
    Prepared,
    Done,
}

/// The repairs that there were, by number.
pub(crate) fn repairs(disk: &dyn Disk, store: &Path) -> Result<Vec<(u64, Standing)>> {
    let directory = quarantine(store);
    let entries = match disk.list(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed.map_err(|error| Error::io("list", &directory, error))?,
    };
    let number_of = |name: &str| -> Option<u64> { name.strip_prefix("repair-")?.parse().ok() };
    let mut found = Vec::new();
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Directory) {
        let Some(number) = number_of(&entry.name) else { continue };
        let folder = directory.join(&entry.name);
        let has = |name: &str| {
            let path = folder.join(name);
            disk.kind(&path).map(|kind| kind.is_some()).map_err(|error| Error::io("look at", path, error))
        };
        let standing = match (has(REPORT)?, has(DONE)?) {
            (_, true) => Standing::Done,
            (true, false) => Standing::Prepared,
            (false, false) => Standing::Begun,
        };
        found.push((number, standing));
    }
    found.sort_unstable_by_key(|(number, _)| *number);
    Ok(found)
}

/// A folder that is being filled.
pub(crate) struct Keeping<'a> {
    files: &'a IndexFiles,
    pub(crate) number: u64,
    folder: PathBuf,
}

impl<'a> Keeping<'a> {
    /// Makes the folder of a new repair; one that was cut off before it had changed anything is used again.
    pub(crate) fn begin(files: &'a IndexFiles) -> Result<Self> {
        let (disk, store) = (&*files.disk, &*files.store);
        let known = repairs(disk, store)?;
        let begun = known.iter().find(|(_, standing)| *standing == Standing::Begun);
        let next = known.last().map_or(1, |(number, _)| number + 1);
        let number = begun.map_or(next, |(number, _)| *number);
        let folder = folder_of(store, number);
        make_folder(disk, &quarantine(store))?;
        make_folder(disk, &folder)?;
        let keeping = Self { files, number, folder };
        keeping.empty()?;
        sync_directory(disk, store)?;
        sync_directory(disk, &quarantine(store))?;
        Ok(keeping)
    }

    /// Removes what a repair that was cut off has left.
    fn empty(&self) -> Result<()> {
        let disk = &*self.files.disk;
        let entries = disk.list(&self.folder).map_err(|error| Error::io("list", &self.folder, error))?;
        for entry in entries {
            let path = self.folder.join(&entry.name);
            disk.remove(&path).map_err(|error| Error::io("remove", &path, error))?;
        }
        Ok(())
    }

    /// Keeps the file that a change takes away or replaces. Returns the name that it has here, if there is such a file.
    pub(crate) fn keep(&self, change: &Change) -> Result<Option<String>> {
        let path = match change {
            Change::Write { was: Some(was), .. } => was.path.clone(),
            Change::TakeOut { was, .. } => was.clone(),
            Change::Meta(_) => meta_path(&self.files.store),
            Change::Mark(_) => mark_path(&self.files.store),
            Change::Rename { .. } | Change::Write { was: None, .. } | Change::MakeAnew { .. } => {
                return Ok(None);
            }
        };
        let disk = &*self.files.disk;
        if disk.kind(&path).map_err(|error| Error::io("look at", &path, error))?.is_none() {
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default();
        let kept = self.folder.join(name);
        let open = disk.open(&path, OpenMode::Read).map_err(|error| Error::io("open", &path, error))?;
        // durable.mark is changed in place, so a further name of it would keep nothing.
        if !matches!(change, Change::Mark(_)) && disk.hard_link(&path, &kept).is_ok() {
            open.sync().map_err(|error| Error::io("sync", &path, error))?;
        } else {
            let file = TolerantFile::new(open);
            let length = DiskFile::len(&*file).map_err(|error| Error::io("read", &path, error))?;
            copy_whole(disk, &*file, length, &kept)?;
        }
        Ok(Some(name.to_string_lossy().into_owned()))
    }

    /// A new file in the folder.
    pub(crate) fn create(&self, name: &str) -> Result<NewFile> {
        NewFile::create(&*self.files.disk, self.folder.join(name))
    }

    /// Says that all is there: with the report the folder is whole.
    pub(crate) fn conclude(&self, report: &[u8], text: &str) -> Result<()> {
        let mut writer = self.create("report.txt")?;
        writer.put(text.as_bytes())?;
        writer.finish()?;
        sync_directory(&*self.files.disk, &self.folder)?;
        create_whole(&*self.files.disk, &self.folder.join(REPORT), report).map(drop)
    }
}

fn make_folder(disk: &dyn Disk, path: &Path) -> Result<()> {
    match disk.create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map_err(|error| Error::io("create", path, error)),
    }
}

/// Says that a repair is done.
pub(crate) fn mark_done(disk: &dyn Disk, store: &Path, repair: u64) -> Result<()> {
    create_whole(disk, &folder_of(store, repair).join(DONE), b"done\n").map(drop)
}
