//! The changes of a repair, one by one. Each is durable before the next, so that a cut between any two leaves a store that was
//! damaged before and still is, or one that is whole. No file is changed in place but durable.mark: a segment may have another
//! name in a backup.

use std::path::Path;

use crate::{
    backup::transfer::NewFile,
    disk::contract::Disk,
    error::{Error, Result},
    index::files::IndexFiles,
    log::{
        creation::{sync_directory, write_meta},
        mark::Mark,
        segment::{segments_directory, temporary},
    },
    repair::{overlay::Overlay, plan::Change},
};

/// Makes a change.
pub(crate) fn make(files: &IndexFiles, change: &Change) -> Result<()> {
    let disk = &*files.disk;
    let segments = segments_directory(&files.store);
    match change {
        Change::Rename { from, to } => {
            rename(disk, from, to)?;
            sync_directory(disk, &segments)
        }
        Change::Write { path, content, length, .. } => {
            if disk.kind(&segments).map_err(|error| Error::io("look at", &segments, error))?.is_none() {
                disk.create_dir(&segments).map_err(|error| Error::io("create", &segments, error))?;
                sync_directory(disk, &files.store)?;
            }
            write(disk, path, content, *length)?;
            sync_directory(disk, &segments)
        }
        Change::TakeOut { path, .. } | Change::MakeAnew { path } => {
            disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
            sync_directory(disk, path.parent().expect("every file of the store stands in a directory"))
        }
        Change::Meta(meta) => write_meta(disk, &files.store, meta),
        Change::Mark(durable) => Mark::read(disk, &files.store, files.store_id)?.write(disk, *durable),
    }
}

/// Writes a file anew, which gets its name only when it is whole.
fn write(disk: &dyn Disk, path: &Path, content: &Overlay, length: u64) -> Result<()> {
    let temporary = temporary(path);
    if disk.kind(&temporary).map_err(|error| Error::io("look at", &temporary, error))?.is_some() {
        disk.remove(&temporary).map_err(|error| Error::io("remove", &temporary, error))?;
    }
    let mut file = NewFile::create(disk, temporary.clone())?;
    file.put_all(path, content, length)?;
    file.finish()?;
    rename(disk, &temporary, path)
}

fn rename(disk: &dyn Disk, from: &Path, to: &Path) -> Result<()> {
    disk.rename(from, to).map_err(|error| Error::io("rename", from, error))
}
