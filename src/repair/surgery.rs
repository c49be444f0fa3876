//! The changes of a repair, one by one. Each is durable before the next, so that a cut between any two leaves a store that was
//! damaged before and still is, or one that is whole.

use std::path::Path;

use crate::{
    disk::contract::{DiskFile, OpenMode},
    error::{Error, Result},
    format::layout::{bytes, index},
    index::files::IndexFiles,
    log::{
        creation::meta_path,
        mark::Mark,
        segment::{create_whole, segments_directory, temporary},
    },
    repair::{overlay::Overlay, plan::Change},
};

/// How much is copied at a time, in bytes.
const COPY_BYTES: u64 = 1 << 20;

/// Makes a change.
pub(crate) fn make(files: &IndexFiles, change: &Change) -> Result<()> {
    let disk = &*files.disk;
    let segments = segments_directory(&files.store);
    match change {
        Change::Rename { from, to } => {
            disk.rename(from, to).map_err(|error| Error::io("rename", from, error))?;
            sync_directory(files, &segments)
        }
        Change::Patch { path, patch, .. } => {
            let content = Overlay::of_patch(patch.clone());
            let file = disk.open(path, OpenMode::ReadWrite);
            let file = file.map_err(|error| Error::io("open", path, error))?;
            copy(&content, &*file, path, patch.start, patch.end)
        }
        Change::Make { path, content, length } => {
            if disk.kind(&segments).map_err(|error| Error::io("look at", &segments, error))?.is_none() {
                disk.create_dir(&segments).map_err(|error| Error::io("create", &segments, error))?;
                sync_directory(files, &files.store)?;
            }
            make_file(files, path, content, *length)?;
            sync_directory(files, &segments)
        }
        Change::CutOff { path, length, .. } => {
            let file = disk.open(path, OpenMode::ReadWrite);
            let file = file.map_err(|error| Error::io("open", path, error))?;
            file.set_len(*length).map_err(|error| Error::io("cut off", path, error))?;
            file.sync().map_err(|error| Error::io("sync", path, error))
        }
        Change::TakeOut { path, .. } | Change::MakeAnew { path } => {
            disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
            let directory = path.parent().expect("every file of the store stands in a directory");
            sync_directory(files, directory)
        }
        Change::Meta(meta) => create_whole(disk, &meta_path(&files.store), &meta.encode()).map(drop),
        Change::Mark(durable) => Mark::read(disk, &files.store, files.store_id)?.write(disk, *durable),
    }
}

fn sync_directory(files: &IndexFiles, path: &Path) -> Result<()> {
    files.disk.sync_dir(path).map_err(|error| Error::io("sync", path, error))
}

/// Makes a file that has its name only when it is whole.
fn make_file(files: &IndexFiles, path: &Path, content: &Overlay, length: u64) -> Result<()> {
    let disk = &*files.disk;
    let temporary = temporary(path);
    if disk.kind(&temporary).map_err(|error| Error::io("look at", &temporary, error))?.is_some() {
        disk.remove(&temporary).map_err(|error| Error::io("remove", &temporary, error))?;
    }
    let file = disk.open(&temporary, OpenMode::CreateNew);
    let file = file.map_err(|error| Error::io("create", &temporary, error))?;
    copy(content, &*file, &temporary, 0, length)?;
    disk.rename(&temporary, path).map_err(|error| Error::io("rename", &temporary, error))
}

/// Copies bytes to where they stand in another file, and makes them durable.
fn copy(from: &dyn DiskFile, to: &dyn DiskFile, path: &Path, start: u64, end: u64) -> Result<()> {
    let mut at = start;
    while at < end {
        let mut chunk = vec![0; index((end - at).min(COPY_BYTES))];
        from.read_exact_at(&mut chunk, at).map_err(|error| Error::io("read", path, error))?;
        to.write_all_at(&chunk, at).map_err(|error| Error::io("write", path, error.source))?;
        at += bytes(chunk.len());
    }
    to.sync().map_err(|error| Error::io("sync", path, error))
}
