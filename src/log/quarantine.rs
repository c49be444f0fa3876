//! quarantine/: what recovery cut off, for a person to look at. The last 16, as far as the disk allows:
//! nothing here may keep a store from opening.

use std::{io, path::Path};

use crate::{
    disk::contract::{Disk, DiskFile, OpenMode, ensure_inner_dir},
    format::layout::bytes,
    log::{segment::Segment, window::Window},
    trace,
};

/// How many pieces are kept.
const KEPT_MAX: usize = 16;

/// How much is copied at a time, in bytes.
const COPY_BYTES: usize = 1 << 20;

/// Copies a segment's bytes from `start` to `end`, and says where failures are.
pub(crate) fn keep(disk: &dyn Disk, store: &Path, segment: &Segment, start: u64, end: u64) {
    match copy(disk, store, segment, start, end) {
        Ok(name) => trace::warn(
            "cut off a write that a power cut or crash had interrupted",
            &segment.path,
            format_args!("bytes {start} to {end} are kept as {name}"),
        ),
        Err(error) => trace::warn(
            "cut off an interrupted write, which can't be kept in quarantine/",
            &segment.path,
            format_args!("bytes {start} to {end}: {error}"),
        ),
    }
}

fn copy(disk: &dyn Disk, store: &Path, segment: &Segment, start: u64, end: u64) -> io::Result<String> {
    let directory = store.join("quarantine");
    ensure_inner_dir(disk, &directory)?;
    let mut kept: Vec<(u64, String)> = disk
        .list(&directory)?
        .into_iter()
        .filter_map(|entry| Some((sequence(&entry.name)?, entry.name)))
        .collect();
    kept.sort();
    let next = kept.last().map_or(1, |(sequence, _)| sequence + 1);
    for (_, name) in kept.iter().rev().skip(KEPT_MAX - 1) {
        disk.remove(&directory.join(name))?;
    }
    let name = format!("{next:08}-segment-{}-offset-{start}.bin", segment.header.number);
    let file = disk.open(&directory.join(&name), OpenMode::CreateNew)?;
    copy_bytes(&*segment.file, &*file, start, end)?;
    file.sync()?;
    disk.sync_dir(&directory)?;
    Ok(name)
}

fn sequence(name: &str) -> Option<u64> {
    let sequence: u64 = name.strip_suffix(".bin")?.split_once("-segment-")?.0.parse().ok()?;
    // Behind the greatest number there is none: a file that has it is foreign.
    (sequence < u64::MAX).then_some(sequence)
}

fn copy_bytes(from: &dyn DiskFile, to: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let mut window = Window::new(0);
    let mut at = start;
    while at < end {
        let chunk = window.get(from, at, COPY_BYTES, end)?;
        to.write_all_at(chunk, at - start)?;
        at += bytes(chunk.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_behind_which_there_is_none_is_foreign() {
        assert_eq!(sequence("00000007-segment-1-offset-512.bin"), Some(7));
        assert_eq!(sequence("18446744073709551614-segment-1-offset-512.bin"), Some(u64::MAX - 1));
        assert_eq!(sequence("18446744073709551615-segment-1-offset-512.bin"), None);
    }
}
