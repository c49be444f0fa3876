//! quarantine/repair-N: all that a repair changes, as it was before, and the events that it takes out. It is whole, and durable,
//! before anything is changed: then, and only then, it has a report.json.

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::contract::{Disk, DiskFile, EntryKind, OpenMode},
    error::{Error, Result},
    format::layout::{bytes, index},
    index::files::IndexFiles,
    log::segment::create_whole,
    repair::plan::{Change, open_tolerantly},
};

/// The file that says that all of a folder is there, and what was done.
pub(crate) const REPORT: &str = "report.json";

/// The file that says that the repair was done, and that the store has its event.
pub(crate) const DONE: &str = "done";

/// How much is copied, or written, at a time, in bytes.
const COPY_BYTES: usize = 1 << 20;

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
        keeping.sync(store)?;
        keeping.sync(&quarantine(store))?;
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

    fn sync(&self, directory: &Path) -> Result<()> {
        self.files.disk.sync_dir(directory).map_err(|error| Error::io("sync", directory, error))
    }

    /// Copies what a change takes away. Returns the name of the copy, if there is anything to copy.
    pub(crate) fn copy(&self, change: &Change) -> Result<Option<String>> {
        let (path, range) = match change {
            Change::Patch { was, patch, .. } => (was.clone(), patch.start..patch.end),
            Change::CutOff { was, length, .. } => (was.clone(), *length..u64::MAX),
            Change::TakeOut { was, .. } => (was.clone(), 0..u64::MAX),
            Change::Meta(_) => (self.files.store.join("store.meta"), 0..u64::MAX),
            Change::Mark(_) => (self.files.store.join("durable.mark"), 0..u64::MAX),
            Change::Rename { .. } | Change::Make { .. } | Change::MakeAnew { .. } => return Ok(None),
        };
        let kind = self.files.disk.kind(&path).map_err(|error| Error::io("look at", &path, error))?;
        if kind.is_none() {
            return Ok(None);
        }
        self.copy_range(&path, range)
    }

    fn copy_range(&self, path: &Path, range: Range<u64>) -> Result<Option<String>> {
        let file = open_tolerantly(self.files, path)?;
        let length = DiskFile::len(&*file).map_err(|error| Error::io("read", path, error))?;
        let (start, end) = (range.start, range.end.min(length));
        if start >= end {
            return Ok(None);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_whole = start == 0 && end == length;
        let name = if is_whole { name.into_owned() } else { format!("{name}.bytes-{start}-to-{end}") };
        let mut writer = self.create(&name)?;
        let mut at = start;
        while at < end {
            let mut chunk = vec![0; index(end - at).min(COPY_BYTES)];
            file.read_exact_at(&mut chunk, at).map_err(|error| Error::io("read", path, error))?;
            writer.write(&chunk)?;
            at += bytes(chunk.len());
        }
        writer.finish()?;
        Ok(Some(name))
    }

    /// A new file in the folder.
    pub(crate) fn create(&self, name: &str) -> Result<KeptFile> {
        let path = self.folder.join(name);
        let file = self.files.disk.open(&path, OpenMode::CreateNew);
        let file = file.map_err(|error| Error::io("create", &path, error))?;
        Ok(KeptFile { path, file, waiting: Vec::new(), written: 0 })
    }

    /// Says that all is there: with the report the folder is whole.
    pub(crate) fn conclude(&self, report: &[u8], text: &str) -> Result<()> {
        let mut writer = self.create("report.txt")?;
        writer.write(text.as_bytes())?;
        writer.finish()?;
        self.sync(&self.folder)?;
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

/// A file that is filled piece by piece.
pub(crate) struct KeptFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    waiting: Vec<u8>,
    written: u64,
}

impl KeptFile {
    pub(crate) fn write(&mut self, content: &[u8]) -> Result<()> {
        self.waiting.extend_from_slice(content);
        if self.waiting.len() >= COPY_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.file.write_all_at(&self.waiting, self.written);
        written.map_err(|error| Error::io("write", &self.path, error.source))?;
        self.written += bytes(self.waiting.len());
        self.waiting.clear();
        Ok(())
    }

    /// Writes what waits, and makes all of it durable.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file.sync().map_err(|error| Error::io("sync", &self.path, error))
    }
}
