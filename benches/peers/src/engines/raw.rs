//! The raw disk: what the same bytes cost without any store.

#![allow(clippy::disallowed_methods, reason = "the raw disk is what the stores are compared with")]

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
    time::Instant,
};

use super::annals;
use crate::{
    Outcome,
    payload::{EVENT_BYTES, EVENT_TYPE, METADATA, NewEvent},
};

/// What is filled with zeros before frames are written into it.
const PREPARED_BYTES: u64 = 64 << 20;

/// What is written or read at once where much is.
const PIECE_BYTES: usize = 1 << 20;

const FILE_NAME: &str = "raw";

/// Writes frames as long as those of Annals into a file that was filled with zeros before, each with a pwrite and an
/// fdatasync. Returns how long each took.
pub(crate) fn append(directory: &Path, enough: impl Fn(u64, Duration) -> bool) -> Outcome<Vec<Duration>> {
    fs::create_dir_all(directory)?;
    let frame = vec![7; annals::frame_bytes(directory)?];
    let frame_bytes = frame.len() as u64;
    let file = OpenOptions::new().create_new(true).read(true).write(true).open(directory.join(FILE_NAME))?;
    let zeros = vec![0; PIECE_BYTES];
    for piece in 0..PREPARED_BYTES / PIECE_BYTES as u64 {
        file.write_all_at(&zeros, piece * PIECE_BYTES as u64)?;
    }
    file.sync_all()?;
    let mut latencies = Vec::new();
    let begun = Instant::now();
    let mut before = Duration::ZERO;
    let mut frames = 0;
    while !enough(frames, before) {
        let at = frames * frame_bytes % (PREPARED_BYTES - frame_bytes);
        file.write_all_at(&frame, at)?;
        file.sync_data()?;
        frames += 1;
        let now = begun.elapsed();
        latencies.push(now.saturating_sub(before));
        before = now;
    }
    Ok(latencies)
}

/// Encodes events and writes them in pieces, until it is enough. Returns how many events were written.
pub(crate) fn write_sequentially(directory: &Path, enough: impl Fn(u64) -> bool) -> Outcome<u64> {
    fs::create_dir_all(directory)?;
    let mut file = File::create(directory.join(FILE_NAME))?;
    let mut piece = Vec::with_capacity(PIECE_BYTES + EVENT_BYTES);
    let mut events = 0;
    while !enough(events) {
        events += 1;
        let event = NewEvent::new(0, events);
        let before = piece.len();
        for number in [events, 0, events, events] {
            piece.extend_from_slice(&number.to_le_bytes());
        }
        piece.extend_from_slice(&event.id);
        for part in [EVENT_TYPE.as_bytes(), METADATA, event.data()] {
            piece.extend_from_slice(part);
        }
        piece.resize(before + EVENT_BYTES, 0);
        if piece.len() >= PIECE_BYTES {
            file.write_all(&piece)?;
            piece.clear();
        }
    }
    file.write_all(&piece)?;
    Ok(events)
}

/// Reads the file in pieces, as often as it is asked for. Returns how many events it holds.
pub(crate) fn read_all(directory: &Path) -> Outcome<impl FnMut() -> Outcome<u64>> {
    let mut file = File::open(directory.join(FILE_NAME))?;
    let mut piece = vec![0; PIECE_BYTES];
    Ok(move || {
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = 0;
        loop {
            let count = file.read(&mut piece)?;
            if count == 0 {
                return Ok(bytes / EVENT_BYTES as u64);
            }
            bytes += count as u64;
        }
    })
}
