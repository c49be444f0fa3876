//! The directory in which everything is made that is measured, and which is removed at the end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, bail};

/// What the directory's name begins with; the process's number follows, and another one behind it.
const NAME_BEGIN: &str = "annals-bench";

/// The file that makes a directory a store.
const STORE_FILE: &str = "store.meta";

/// A directory of this process's own. It goes with this value.
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes a new directory below `parent`, which must not be inside a store.
    pub(crate) fn make(parent: &Path) -> anyhow::Result<Self> {
        let parent = fs::canonicalize(parent).with_context(|| {
            format!("can't use the directory {} (--directory says where)", parent.display())
        })?;
        if let Some(store) = parent.ancestors().find(|directory| directory.join(STORE_FILE).exists()) {
            bail!("{} is a store: name another directory with --directory", store.display());
        }
        let mut number = 0;
        loop {
            let path = parent.join(format!("{}-{number}", name_of(process::id())));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                // A process of the same number has left it behind.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => {
                    let place = parent.display();
                    let message = format!("can't make a directory in {place} (--directory says where)");
                    return Err(error).context(message);
                }
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the process that started this one has made the directory that a path is in.
    pub(crate) fn is_of_parent_process(path: &Path) -> bool {
        let name = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let begin = format!("{}-", name_of(std::os::unix::process::parent_id()));
        name.is_some_and(|name| name.starts_with(&begin))
    }

    /// Removes the directory and all in it, and says what went wrong.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        fs::remove_dir_all(&self.path).with_context(|| format!("can't remove {}", self.path.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Behind `remove` there is nothing left; behind an error, that one is told.
        fs::remove_dir_all(&self.path).ok();
    }
}

fn name_of(process: u32) -> String {
    format!("{NAME_BEGIN}-{process}")
}
