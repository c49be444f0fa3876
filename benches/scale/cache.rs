//! The page cache, made to forget a store's files.

#![allow(clippy::disallowed_methods, reason = "only what the disk has can be forgotten")]

use std::{
    fs::File,
    path::Path,
    process::{Command, Stdio},
};

use crate::{Outcome, files};

/// Whether this system's `dd` can make the page cache forget a file; GNU's can.
pub(crate) fn can_forget(directory: &Path) -> Outcome<bool> {
    let file = files::list(directory)?.into_iter().next().ok_or("a store has files")?;
    Ok(forget_file(&file).is_ok())
}

/// Makes the page cache forget a store's files, but for what is mapped at this moment.
pub(crate) fn forget(directory: &Path) -> Outcome<()> {
    files::list(directory)?.iter().try_for_each(|file| forget_file(file))
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
