//! The disk as it would be behind a plan's changes, to read: so what would come of them is looked at by the code that looks at what
//! has come of them, and before anything is changed. A segment that is to be written is put together when it is opened.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::contract::{DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, Mapping, OpenMode},
    format::{
        control::StoreMeta,
        layout::{bytes, index},
    },
    repair::{
        merged::{Files, Rewrite, Sources},
        plan::{Change, Content, RepairStep},
    },
};

/// What a change puts under a name.
#[derive(Clone, Debug)]
enum Planned {
    /// Nothing: the file goes.
    Nothing,
    /// The file that has this name yet.
    Renamed(PathBuf),
    Bytes(Arc<[u8]>),
    Segment(Box<Rewrite>),
}

/// A disk with a plan's changes, to read.
#[derive(Debug)]
pub(crate) struct PlannedDisk {
    disk: Arc<dyn Disk>,
    meta: StoreMeta,
    own: Files,
    backup: Files,
    planned: BTreeMap<PathBuf, Planned>,
}

impl PlannedDisk {
    /// What comes of changes that are made one after the other, with segments that are put together of these sources.
    pub(crate) fn new(disk: &Arc<dyn Disk>, sources: &Sources<'_>, changes: &[Change]) -> Self {
        let (meta, own, backup) = (sources.meta.clone(), sources.own.clone(), sources.backup.clone());
        let mut planned = Self { disk: Arc::clone(disk), meta, own, backup, planned: BTreeMap::new() };
        for change in changes {
            planned.make(change);
        }
        planned
    }

    fn make(&mut self, change: &Change) {
        match (&change.step, &change.content) {
            (RepairStep::Rename { from, to }, _) => {
                let before = self.planned.insert(from.clone(), Planned::Nothing);
                let renamed = before.unwrap_or_else(|| Planned::Renamed(from.clone()));
                self.planned.insert(to.clone(), renamed);
            }
            (RepairStep::TakeOut { path } | RepairStep::MakeAnew { path }, _) => {
                self.planned.insert(path.clone(), Planned::Nothing);
            }
            (
                RepairStep::Write { path, .. }
                | RepairStep::WriteMeta { path }
                | RepairStep::WriteMark { path },
                content,
            ) => {
                let written = match content {
                    Content::Nothing => return,
                    Content::Bytes(content) => Planned::Bytes(content.as_slice().into()),
                    Content::Segment(rewrite) => Planned::Segment(rewrite.clone()),
                };
                self.planned.insert(path.clone(), written);
            }
        }
    }

    fn segment(&self, rewrite: &Rewrite) -> io::Result<Arc<dyn DiskFile>> {
        let Self { disk, meta, own, backup, .. } = self;
        let content = Sources { disk: &**disk, meta, own, backup }.again(rewrite);
        content.map(|content| Arc::new(content) as _).map_err(io::Error::other)
    }
}

impl Disk for PlannedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        Err(only_read(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let mut planned = self.planned.iter().filter(|(file, _)| file.parent() == Some(path)).peekable();
        let mut entries = match self.disk.list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && planned.peek().is_some() => Vec::new(),
            listed => listed?,
        };
        entries.retain(|entry| !self.planned.contains_key(&path.join(&entry.name)));
        for (file, content) in planned {
            if let (Some(name), false) = (file.file_name(), matches!(content, Planned::Nothing)) {
                let name = name.to_string_lossy().into_owned();
                entries.push(DirectoryEntry { name, kind: EntryKind::File });
            }
        }
        Ok(entries)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        match self.planned.get(path) {
            None => self.disk.kind(path),
            Some(Planned::Nothing) => Ok(None),
            Some(_) => Ok(Some(EntryKind::File)),
        }
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if mode != OpenMode::Read {
            return Err(only_read(path));
        }
        match self.planned.get(path) {
            None => self.disk.open(path, mode),
            Some(Planned::Nothing) => Err(io::ErrorKind::NotFound.into()),
            Some(Planned::Renamed(from)) => self.disk.open(from, mode),
            Some(Planned::Bytes(content)) => Ok(Arc::new(PlannedFile(Arc::clone(content)))),
            Some(Planned::Segment(rewrite)) => self.segment(rewrite),
        }
    }

    fn rename(&self, from: &Path, _to: &Path) -> io::Result<()> {
        Err(only_read(from))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Err(only_read(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        Err(only_read(path))
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        Err(only_read(path))
    }
}

/// The bytes of a file that is to be written.
#[derive(Debug)]
struct PlannedFile(Arc<[u8]>);

impl DiskFile for PlannedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let from = self.0.get(index(offset)..).unwrap_or_default();
        let length = from.len().min(buffer.len());
        buffer[..length].copy_from_slice(&from[..length]);
        Ok(length)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(bytes(self.0.len()))
    }

    fn map(&self, _capacity: u64) -> io::Result<Option<Arc<dyn Mapping>>> {
        Ok(None)
    }
}

fn only_read(path: &Path) -> io::Error {
    let message = format!("a plan is only looked at, and {} isn't changed", path.display());
    io::Error::new(io::ErrorKind::Unsupported, message)
}
