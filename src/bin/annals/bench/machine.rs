//! What was measured on, as far as the system says.

use std::{env, fs, path::Path, thread};

use serde::Serialize;

/// What is written where the system doesn't say.
const UNKNOWN: &str = "not known";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: Option<u64>,
    pub(crate) system: String,
    pub(crate) kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Self {
        Self {
            processor: processor().unwrap_or_else(|| env::consts::ARCH.to_owned()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: memory_bytes(),
            system: system().unwrap_or_else(|| env::consts::OS.to_owned()),
            kernel: kernel().unwrap_or_else(|| UNKNOWN.to_owned()),
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// The value behind a name, in lines of `name : value`.
fn value_of(text: &str, name: &str) -> Option<String> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn processor() -> Option<String> {
    value_of(&read("/proc/cpuinfo")?, "model name")
}

fn memory_bytes() -> Option<u64> {
    let total = value_of(&read("/proc/meminfo")?, "MemTotal")?;
    let kibibytes: u64 = total.strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

fn system() -> Option<String> {
    let release = read("/etc/os-release")?;
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    Some(name.trim_matches('"').to_owned())
}

fn kernel() -> Option<String> {
    let (name, release) = (read("/proc/sys/kernel/ostype")?, read("/proc/sys/kernel/osrelease")?);
    Some(format!("{} {}", name.trim(), release.trim()))
}

/// Where a directory's files are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mount {
    pub(crate) file_system: String,
    pub(crate) device: String,
}

impl Mount {
    /// That of a directory, whose path is absolute and without links.
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        find_mount(&read("/proc/self/mountinfo")?, directory)
    }

    /// Whether a power cut takes all of it, so that a sync costs nothing.
    pub(crate) fn is_memory(&self) -> bool {
        matches!(self.file_system.as_str(), "tmpfs" | "ramfs")
    }
}

/// The mount with the longest path that leads to the directory; of two with the same path the later, which covers the other.
fn find_mount(mounts: &str, directory: &Path) -> Option<Mount> {
    let mount = |line: &str| {
        let (place, kind) = line.split_once(" - ")?;
        let point = unescape(place.split(' ').nth(4)?);
        let mut kind = kind.split(' ');
        let (file_system, device) = (kind.next()?.to_owned(), unescape(kind.next()?));
        directory.starts_with(&point).then_some((point.len(), Mount { file_system, device }))
    };
    mounts.lines().filter_map(mount).max_by_key(|(length, _)| *length).map(|(_, mount)| mount)
}

/// Spaces and the like stand as `\040` there.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => plain.extend(["\\", part]),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
31 22 0:27 / /tmp rw,nosuid - tmpfs tmpfs rw
40 22 8:1 / /mnt/my\\040disk rw master:1 - xfs /dev/disk\\040one rw
41 22 8:2 / /mnt/my\\040disk rw - btrfs /dev/sdb rw";

    fn check(directory: &str, file_system: &str, device: &str) {
        let mount = Mount { file_system: file_system.to_owned(), device: device.to_owned() };
        assert_eq!(find_mount(MOUNTS, Path::new(directory)), Some(mount), "{directory}");
    }

    #[test]
    fn a_directory_is_on_the_mount_with_the_longest_path_to_it() {
        check("/home/ana", "ext4", "/dev/vda");
        check("/tmp", "tmpfs", "tmpfs");
        check("/tmp/deep/down", "tmpfs", "tmpfs");
        check("/tmpfile", "ext4", "/dev/vda");
        check("/mnt/my disk/store", "btrfs", "/dev/sdb");
    }

    #[test]
    fn a_value_stands_behind_its_name() {
        let text = "model\t: 1\nmodel name\t: AMD EPYC: 7763\n";
        assert_eq!(value_of(text, "model name").as_deref(), Some("AMD EPYC: 7763"));
        assert_eq!(value_of(text, "flags"), None);
    }
}
