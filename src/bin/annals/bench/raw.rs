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

use crate::bench::{
    measure::{Measured, Part, Stretch},
    stop::Stop,
    work::{self, Work},
};

/// How long the file is, in bytes, as a segment is; longer where that is less than some frames.
const FILE_BYTES_MIN: u64 = 64 << 20;
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
    pub(crate) fn make(directory: &Path, work: &Work, batch: usize) -> anyhow::Result<Self> {
        let frame_bytes = frame_bytes(&directory.join("frames"), work, batch)?;
        let path = directory.join("raw");
        let file = OpenOptions::new().create_new(true).read(true).write(true).open(&path)?;
        let file_bytes = FILE_BYTES_MIN.max(FRAMES_MIN * frame_bytes);
        let zeros = vec![0; PIECE_BYTES];
        for piece in 0..file_bytes.div_ceil(PIECE_BYTES as u64) {
            file.write_all_at(&zeros, piece * PIECE_BYTES as u64).context("can't fill a file")?;
        }
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
