//! Whose a directory of the operating system's is.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

/// The modes by which others than the owner may write.
const OTHERS_WRITE: u32 = 0o022;

/// Whether this process's user owns a directory, and nobody else may write there. A link isn't a directory.
pub(crate) fn is_own_dir(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    Ok(found.is_dir() && found.mode() & OTHERS_WRITE == 0 && is_this_user(found.uid()))
}

#[cfg(target_os = "linux")]
fn is_this_user(uid: u32) -> bool {
    rustix::process::geteuid().as_raw() == uid
}

/// Elsewhere nothing that the store needs besides tells who this is: the mode alone is looked at.
#[cfg(not(target_os = "linux"))]
fn is_this_user(_uid: u32) -> bool {
    true
}
