//! A store's files.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use crate::Outcome;

/// Reads every file below a directory, so that the page cache has it.
pub(crate) fn warm(directory: &Path) -> Outcome<()> {
    for file in list(directory)? {
        io::copy(&mut File::open(file)?, &mut io::sink())?;
    }
    Ok(())
}

/// All files below a directory, in the order of their paths.
pub(crate) fn list(directory: &Path) -> Outcome<Vec<PathBuf>> {
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
