//! The changes of a repair, one by one. Each is durable before the next, so that a cut between any two leaves a store that was
//! damaged before and still is, or one that is whole. No file is changed in place but durable.mark: a segment may have another
//! name in a backup.

use crate::{
    error::{Error, Result},
    index::files::IndexFiles,
    log::{
        creation::{sync_directory, write_meta},
        mark::Mark,
        segment::{copy_whole, segments_directory},
    },
    repair::plan::Change,
};

/// Makes a change.
pub(crate) fn make(files: &IndexFiles, change: &Change) -> Result<()> {
    let disk = &*files.disk;
    let segments = segments_directory(&files.store);
    match change {
        Change::Rename { from, to } => {
            disk.rename(from, to).map_err(|error| Error::io("rename", from, error))?;
            sync_directory(disk, &segments)
        }
        Change::Write { path, content, length, .. } => {
            if disk.kind(&segments).map_err(|error| Error::io("look at", &segments, error))?.is_none() {
                disk.create_dir(&segments).map_err(|error| Error::io("create", &segments, error))?;
                sync_directory(disk, &files.store)?;
            }
            copy_whole(disk, content, *length, path)
        }
        Change::TakeOut { path, .. } | Change::MakeAnew { path } => {
            disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
            sync_directory(disk, path.parent().expect("every file of the store stands in a directory"))
        }
        Change::Meta(meta) => write_meta(disk, &files.store, meta),
        Change::Mark(durable) => Mark::read(disk, &files.store, files.store_id)?.write(disk, *durable),
    }
}
