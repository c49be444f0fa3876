//! The disk by itself: a pwrite into a file that was filled before, and an fdatasync, one after the other.

#![allow(clippy::disallowed_methods, reason = "the disk's own sync is what appends are compared with")]

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Instant,
};

use annals::{Durability, EventStore, Options, Version};
use anyhow::Context;

use crate::{
    bench::{
        measure::{Measured, Part, Stretch},
        work::{self, Work},
    },
    interrupt::Stop,
};

/// How long the file is, in bytes, as a segment is; shorter where that is more than a part of the space that a row may take,
/// longer where it is less than some frames.
const FILE_BYTES: u64 = 64 << 20;
const FILE_PART_OF_SPACE: u64 = 4;
const FRAMES_MIN: u64 = 8;

/// How many bytes are filled at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A file that takes frames, over and over.
pub(crate) struct Raw {
    path: PathBuf,
    file: File,
    frame: Vec<u8>,
    /// How many events an append of such a frame has.
    batch: u64,
    frames_in_file: u64,
    next: u64,
    pub(crate) measured: Measured,
}

impl Raw {
    /// Makes the file, for frames as long as those that appends of so many events take in a log.
    pub(crate) fn make(
        directory: &Path,
        work: &Work,
        batch: usize,
        space_bytes: u64,
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let frame_bytes = frame_bytes(&directory.join("frames"), work, batch)?;
        let path = directory.join("raw");
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
        let file_bytes = FILE_BYTES.min(space_bytes / FILE_PART_OF_SPACE).max(FRAMES_MIN * frame_bytes);
        fill(&file, file_bytes, stop)?;
        file.sync_all().context("can't sync a file")?;
        Ok(Self {
            path,
            file,
            frame: vec![7; usize::try_from(frame_bytes)?],
            batch: u64::try_from(batch)?,
            frames_in_file: file_bytes / frame_bytes,
            next: 0,
            measured: Measured::nothing()?,
        })
    }

    pub(crate) fn frame_bytes(&self) -> u64 {
        self.frame.len() as u64
    }

    /// How long the file is, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.frames_in_file * self.frame_bytes()
    }

    /// Writes and syncs frame by frame.
    pub(crate) fn write(&mut self, stretch: Stretch, stop: &Stop) -> anyhow::Result<Part> {
        let mut part = Part::begin()?;
        while part.goes_on(stretch.unbounded()) {
            stop.check()?;
            let begun = Instant::now();
            self.file.write_all_at(&self.frame, self.next * self.frame_bytes())?;
            self.file.sync_data()?;
            let ended = Instant::now();
            part.add(ended, self.batch, ended - begun);
            self.next = (self.next + 1) % self.frames_in_file;
        }
        Ok(part)
    }

    /// Removes the file, and gives what was measured.
    pub(crate) fn finish(self) -> anyhow::Result<Measured> {
        drop(self.file);
        fs::remove_file(&self.path)?;
        Ok(self.measured)
    }
}

/// Writes zeros to so many bytes.
fn fill(file: &File, file_bytes: u64, stop: &Stop) -> anyhow::Result<()> {
    let zeros = vec![0; PIECE_BYTES];
    let mut filled = 0;
    while filled < file_bytes {
        stop.check()?;
        let piece = usize::try_from(file_bytes - filled).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        file.write_all_at(&zeros[..piece], filled).context("can't fill a file")?;
        filled += piece as u64;
    }
    Ok(())
}

/// What one append takes in the log, measured with a store of its own: its second append, since the first one of an opening
/// writes more.
fn frame_bytes(directory: &Path, work: &Work, batch: usize) -> anyhow::Result<u64> {
    let store = EventStore::open_with(directory, Options::new().durability(Durability::Buffered))?;
    let stream = work::name(0)?;
    let batch = u64::try_from(batch)?;
    let mut log_bytes = [0; 2];
    for (turn, log_bytes) in (0..).zip(&mut log_bytes) {
        let events = (1..=batch).map(|version| work.event(0, turn * batch + version));
        store.append(&stream, Version::new(turn * batch), events)?;
        *log_bytes = store.info()?.log_bytes;
    }
    store.close()?;
    fs::remove_dir_all(directory)?;
    Ok(log_bytes[1] - log_bytes[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::stop::Interrupted;

    #[test]
    fn the_file_takes_a_part_of_the_space_that_a_row_may_take() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let work = Work::new(200).expect("long enough");
        let raw = Raw::make(directory.path(), &work, 1, 4 << 20, &Stop::default()).expect("a file");
        let bytes = fs::metadata(&raw.path).expect("a file").len();
        assert_eq!(bytes, 1 << 20);
        assert!(raw.file_bytes() <= bytes && bytes < raw.file_bytes() + raw.frame_bytes());
    }

    #[test]
    fn filling_the_file_ends_where_that_is_asked_for() {
        let file = tempfile::tempfile().expect("a temporary file");
        let stop = Stop::default();
        stop.ask();
        let error = fill(&file, 1 << 20, &stop).expect_err("it was asked to end");
        assert!(error.is::<Interrupted>(), "{error}");
        assert_eq!(file.metadata().expect("a file").len(), 0);
    }
}
