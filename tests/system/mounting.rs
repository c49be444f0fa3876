//! File systems that are mounted for a moment.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    mount::{MountFlags, UnmountFlags, mount, unmount},
};

use crate::Outcome;

/// How long another process may keep a copy of a descriptor, between its fork and its exec.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing can be mounted here; none, if it can.
pub(crate) fn obstacle(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("it needs root".to_owned());
    }
    let missing = programs.iter().find(|program| Command::new(program).arg("-V").output().is_err());
    missing.map(|program| format!("it needs {program}"))
}

/// Runs a program, and returns what it prints.
pub(crate) fn output(program: &str, words: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(words).output()?;
    if !output.status.success() {
        return Err(format!("{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// A file system in a file, on a loop device.
pub(crate) struct Volume {
    device: String,
    file_system: &'static str,
    at: PathBuf,
}

impl Volume {
    /// Makes one in a directory, and mounts it.
    pub(crate) fn make(directory: &Path, file_system: &'static str, bytes: u64) -> Outcome<Self> {
        let (image, at) = (directory.join("image"), directory.join("mounted"));
        File::create(&image)?.set_len(bytes)?;
        let image = image.to_str().ok_or("a path that isn't UTF-8")?;
        output(&format!("mkfs.{file_system}"), &["-q", image])?;
        fs::create_dir(&at)?;
        let device = output("losetup", &["--find", "--show", image])?;
        let volume = Self { device, file_system, at };
        volume.mount()?;
        Ok(volume)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    pub(crate) fn mount(&self) -> Outcome<()> {
        Ok(mount(self.device.as_str(), &self.at, self.file_system, MountFlags::NOATIME, None)?)
    }

    pub(crate) fn unmount(&self) -> Outcome<()> {
        unmount_at(&self.at)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        unmount_at(&self.at).ok();
        output("losetup", &["--detach", &self.device]).ok();
    }
}

/// A file system in memory, of so many bytes.
pub(crate) struct Memory(PathBuf);

impl Memory {
    pub(crate) fn mount(at: &Path, bytes: u64) -> Outcome<Self> {
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

fn unmount_at(at: &Path) -> Outcome<()> {
    let begin = Instant::now();
    loop {
        match unmount(at, UnmountFlags::empty()) {
            Err(Errno::BUSY) if begin.elapsed() < PATIENCE => thread::yield_now(),
            done => return Ok(done?),
        }
    }
}
