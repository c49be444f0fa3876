//! A store's files: read whole, copied, synced and measured.

#![allow(clippy::disallowed_methods, reason = "what a closed store takes is known when the disk has it")]

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::Outcome;

/// What `st_blocks` counts in.
const BLOCK_BYTES: u64 = 512;

/// Reads every file, so that the page cache has it.
pub(crate) fn warm(directory: &Path) -> Outcome<()> {
    for file in list(directory)? {
        io::copy(&mut File::open(file)?, &mut io::sink())?;
    }
    Ok(())
}

/// What the files take on the disk, which is told to have all of them first.
pub(crate) fn disk_bytes(directory: &Path) -> Outcome<u64> {
    let mut bytes = 0;
    for file in list(directory)? {
        let file = File::open(file)?;
        file.sync_all()?;
        bytes += file.metadata()?.blocks() * BLOCK_BYTES;
    }
    Ok(bytes)
}

/// Copies the files into a directory that isn't there yet, and brings them to the disk, so that a sync of who opens the
/// copy doesn't wait for the copying.
pub(crate) fn copy(from: &Path, to: &Path) -> Outcome<()> {
    for file in list(from)? {
        let target = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(target.parent().ok_or("a file has a directory")?)?;
        fs::copy(file, &target)?;
        File::open(target)?.sync_all()?;
    }
    Ok(())
}

/// All files below a directory.
fn list(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut waiting } else { &mut files };
            list.push(entry.path());
        }
    }
    Ok(files)
}

/// The process's anonymous memory: what isn't a view of a file.
pub(crate) fn own_memory_bytes() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    let kibibytes: u64 = line.trim().strip_suffix("kB").ok_or("RssAnon has a unit")?.trim().parse()?;
    Ok(kibibytes << 10)
}
