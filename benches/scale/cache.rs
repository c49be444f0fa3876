//! The page cache: filled with a store's files, or made to forget them.

#![allow(clippy::disallowed_methods, reason = "only what the disk has can be forgotten")]

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::Outcome;

/// Reads every file of a store.
pub(crate) fn warm(directory: &Path) -> Outcome<()> {
    for file in files(directory)? {
        io::copy(&mut File::open(file)?, &mut io::sink())?;
    }
    Ok(())
}

/// Whether this system's `dd` can make the page cache forget a file; GNU's can.
pub(crate) fn can_forget(directory: &Path) -> Outcome<bool> {
    let file = files(directory)?.into_iter().next().ok_or("a store has files")?;
    Ok(forget_file(&file).is_ok())
}

/// Makes the page cache forget a store's files, but for what is mapped at this moment.
pub(crate) fn forget(directory: &Path) -> Outcome<()> {
    files(directory)?.iter().try_for_each(|file| forget_file(file))
}

fn forget_file(file: &Path) -> Outcome<()> {
    // What isn't on the disk yet stays in the cache.
    File::open(file)?.sync_all()?;
    let status = Command::new("dd")
        .arg(format!("if={}", file.display()))
        .args(["iflag=nocache", "count=0", "status=none"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("dd: {status}").into()) }
}

/// All files below a directory, in the order of their paths.
pub(crate) fn files(directory: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut waiting } else { &mut files };
            list.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
