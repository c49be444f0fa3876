//! The memory that is the process's own.

use std::fs;

use crate::Outcome;

/// Anonymous memory, in bytes: what isn't a view of a file. Fails where the system doesn't say it.
pub(crate) fn own_memory_bytes() -> Outcome<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    let kibibytes: u64 = line.trim().strip_suffix("kB").ok_or("RssAnon has a unit")?.trim().parse()?;
    Ok(kibibytes << 10)
}
