//! The changes of a repair, one by one. Each is durable before the next, so that a cut between any two leaves a store that was
//! damaged before and still is, or one that is whole. No file is changed in place: it may have another name in a backup.

use std::path::Path;

use crate::{
    disk::contract::{Disk, ensure_inner_dir},
    error::{Error, Result},
    log::{
        creation::sync_directory,
        segment::{copy_whole, create_whole},
    },
    repair::{
        merged::Sources,
        plan::{Change, Content, RepairStep},
    },
};

/// Makes a change. The sources have the segments' right names.
pub(crate) fn make(sources: &Sources<'_>, change: &Change) -> Result<()> {
    let disk = sources.disk;
    match (&change.step, &change.content) {
        (RepairStep::Rename { from, to }, _) => {
            disk.rename(from, to).map_err(|error| Error::io("rename", from, error))?;
            sync_directory(disk, directory_of(to))
        }
        (RepairStep::TakeOut { path } | RepairStep::MakeAnew { path }, _) => {
            disk.remove(path).map_err(|error| Error::io("remove", path, error))?;
            sync_directory(disk, directory_of(path))
        }
        (
            RepairStep::Write { path, .. } | RepairStep::WriteMeta { path } | RepairStep::WriteMark { path },
            content,
        ) => {
            make_directory(disk, directory_of(path))?;
            match content {
                Content::Segment(rewrite) => {
                    let content = sources.again(rewrite)?;
                    copy_whole(disk, &content, rewrite.length, path)
                }
                Content::Bytes(content) => create_whole(disk, path, content).map(drop),
                Content::Nothing => Ok(()),
            }
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().expect("every file of the store stands in a directory")
}

/// Makes the directory of the segments, if that is gone too.
fn make_directory(disk: &dyn Disk, directory: &Path) -> Result<()> {
    let is_new = ensure_inner_dir(disk, directory).map_err(|error| Error::io("create", directory, error))?;
    if is_new { sync_directory(disk, directory_of(directory)) } else { Ok(()) }
}
