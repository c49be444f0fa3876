//! A window on a file: bytes read ahead with pread, so that small reads side by side cost one system call.

use std::io;

use crate::{
    disk::contract::DiskFile,
    format::layout::{bytes, index},
};

/// Bytes of one file, read ahead.
#[derive(Debug)]
pub(crate) struct Window {
    start: u64,
    /// How many bytes of the buffer were read.
    length: usize,
    /// As long as it ever had to be, so that it isn't filled with zeros for each read.
    buffer: Vec<u8>,
    ahead_bytes: usize,
}

impl Window {
    /// A window that reads at least so many bytes at a time.
    pub(crate) fn new(ahead_bytes: usize) -> Self {
        Self { start: 0, length: 0, buffer: Vec::new(), ahead_bytes }
    }

    /// Forgets what was read; for another file.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// The `length` bytes at an offset; fewer where `end`, which nothing beyond is read of, comes first.
    pub(crate) fn get(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        length: usize,
        end: u64,
    ) -> io::Result<&[u8]> {
        let length = length.min(index(end.saturating_sub(offset)));
        let read_to = self.start + bytes(self.length);
        if offset < self.start || offset + bytes(length) > read_to {
            let wanted = length.max(self.ahead_bytes).min(index(end.saturating_sub(offset)));
            match self.read(file, offset, wanted) {
                // What can't be read may be what no one asked for.
                Err(_) if wanted > length => self.read(file, offset, length)?,
                result => result?,
            }
        }
        let from = index(offset - self.start);
        Ok(&self.buffer[from..from + length])
    }

    /// What was read from an offset on, as far as it goes.
    pub(crate) fn held_from(&self, offset: u64) -> &[u8] {
        let from = offset.checked_sub(self.start).and_then(|from| usize::try_from(from).ok());
        from.and_then(|from| self.buffer[..self.length].get(from..)).unwrap_or_default()
    }

    fn read(&mut self, file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<()> {
        if self.buffer.len() < length {
            self.buffer = vec![0; length];
        }
        self.length = 0;
        file.read_exact_at(&mut self.buffer[..length], offset)?;
        (self.start, self.length) = (offset, length);
        Ok(())
    }

    /// The `length` bytes at an offset; zeros where the file ends before.
    pub(crate) fn get_with_zeros(
        &mut self,
        file: &dyn DiskFile,
        offset: u64,
        length: usize,
        end: u64,
    ) -> io::Result<&[u8]> {
        if self.get(file, offset, length, end)?.len() < length {
            let there = self.get(file, offset, length, end)?.to_vec();
            self.start = offset;
            self.buffer = there;
            self.buffer.resize(length, 0);
            self.length = length;
        }
        // All of it is in the window now, read or made up.
        self.get(file, offset, length, offset + bytes(length))
    }
}
