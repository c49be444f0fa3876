//! Small file systems in memory, mounted for a moment.

use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

/// How long another process may keep a copy of a descriptor, between its fork and its exec.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file system in memory. It is unmounted when it is dropped, whatever went wrong.
pub(crate) struct Memory(PathBuf);

impl Memory {
    /// Mounts one of so many bytes.
    pub(crate) fn mount(at: &Path, bytes: u64) -> io::Result<Self> {
        let size = std::ffi::CString::new(format!("size={bytes}"))?;
        mount("none", at, "tmpfs", MountFlags::empty(), size.as_c_str())?;
        Ok(Self(at.to_owned()))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        unmount_at(&self.0).ok();
    }
}

pub(crate) fn unmount_at(at: &Path) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        match unmount(at, UnmountFlags::empty()) {
            Err(Errno::BUSY) if begin.elapsed() < PATIENCE => thread::yield_now(),
            done => return Ok(done?),
        }
    }
}
