//! A store's files on the disk: what they take, and copies of them.

#![allow(clippy::disallowed_methods, reason = "what a closed store takes is known when the disk has it")]

use std::{
    fs::{self, File},
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::{Outcome, files};

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;

/// What the files take on the disk, which is told to have all of them first.
pub(crate) fn bytes(directory: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for file in files::list(directory)? {
        let file = File::open(file)?;
        file.sync_all()?;
        bytes += file.metadata()?.blocks() * BLOCK_BYTES;
    }
    Ok(bytes)
}

/// Copies the files into a directory that isn't there yet, and brings them to the disk, so that a sync of who opens the
/// copy doesn't wait for the copying.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    for file in files::list(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().ok_or("a file has a directory")?)?;
        fs::copy(file, &target)?;
        File::open(target)?.sync_all()?;
    }
    Ok(())
}
