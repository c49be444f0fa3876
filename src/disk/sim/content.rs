//! One simulated file: what is on the disk, what the system's cache shows, and what a sync or a cut makes of it.
//!
//! ```text
//! cached   what reads see         |#######################|  its length is the file's
//! durable  what the disk has      |###########|              its length apart, in `durable_len`
//! dirty    sectors of the cache that no sync has written yet, each with earlier contents that the system may
//!          have written by itself
//! lens     lengths that the file had since its last sync; none: the length is clean
//! ```
//!
//! - Bytes beyond a vector's end are zeros.
//! - A clean sector of the cache is as the disk has it, unless a failed sync called it clean.

use std::{io, ops::Range};

use crate::disk::{
    contract::SECTOR_BYTES,
    sim::{faults::SyncFailure, random::Random, survival::CutStyle},
};

/// A sector's size in memory.
pub(crate) const SECTOR: usize = 512;
const _: () = assert!(SECTOR as u64 == SECTOR_BYTES);

/// How long a simulated file can be, in bytes: it is all in memory, twice.
pub(crate) const FILE_BYTES_MAX: usize = 1 << 30;

/// What the system says of a sector that the disk can't read: `EIO`.
const BAD_SECTOR: i32 = 5;

/// How many earlier contents of a dirty sector are remembered, and how many earlier lengths.
const EARLIER_MAX: usize = 4;

/// A file's content.
#[derive(Clone, Default, Debug)]
pub(crate) struct Content {
    durable: Vec<u8>,
    durable_len: usize,
    cached: Vec<u8>,
    /// In the order of the sectors.
    dirty: Vec<DirtySector>,
    lens: Vec<usize>,
    /// Where reads fail.
    unreadable: Vec<Range<u64>>,
}

#[derive(Clone, Debug)]
struct DirtySector {
    index: usize,
    /// What the disk may have got before the cache's present content: whole earlier contents, and mixtures.
    earlier: Vec<[u8; SECTOR]>,
}

impl Content {
    /// A file that is all on the disk.
    pub(crate) fn settled(bytes: Vec<u8>) -> Self {
        Self { durable_len: bytes.len(), durable: bytes.clone(), cached: bytes, ..Self::default() }
    }

    pub(crate) fn cached(&self) -> &[u8] {
        &self.cached
    }

    /// Whether a power cut could take anything.
    pub(crate) fn has_unsynced(&self) -> bool {
        !self.dirty.is_empty() || !self.lens.is_empty()
    }

    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        if self.unreadable.iter().any(|range| range.start < end && offset < range.end) {
            return Err(io::Error::from_raw_os_error(BAD_SECTOR));
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.cached.len());
        let count = buffer.len().min(self.cached.len() - start);
        buffer[..count].copy_from_slice(&self.cached[start..start + count]);
        Ok(count)
    }

    pub(crate) fn make_unreadable(&mut self, range: Range<u64>) {
        self.unreadable.push(range);
    }

    pub(crate) fn make_readable(&mut self) {
        self.unreadable.clear();
    }

    /// Writes into the cache. The end must have been checked against [`FILE_BYTES_MAX`].
    pub(crate) fn write(&mut self, bytes: &[u8], offset: usize, random: &mut Random) {
        let end = offset + bytes.len();
        assert!(end <= FILE_BYTES_MAX, "the disk checks the length");
        if bytes.is_empty() {
            return;
        }
        if end > self.cached.len() {
            self.set_len(end, random);
        }
        for index in offset / SECTOR..end.div_ceil(SECTOR) {
            let start = (index * SECTOR).max(offset);
            let part = &bytes[start - offset..end.min((index + 1) * SECTOR) - offset];
            self.make_dirty(index, start % SECTOR, part, random);
        }
        self.cached[offset..end].copy_from_slice(bytes);
    }

    /// Cuts the cache off, or grows it with zeros. The length must have been checked.
    pub(crate) fn set_len(&mut self, len: usize, random: &mut Random) {
        assert!(len <= FILE_BYTES_MAX, "the disk checks the length");
        let present = self.cached.len();
        if len == present {
            return;
        }
        if self.lens.len() < EARLIER_MAX {
            self.lens.push(len);
        } else {
            self.lens[random.below(EARLIER_MAX)] = len;
        }
        // Behind a shorter end, zeros stand in the cache where the disk has bytes, or may get some.
        let start = present.min(len);
        for index in start / SECTOR..present.max(len).div_ceil(SECTOR) {
            let on_disk = self.durable.len() > start.max(index * SECTOR);
            if on_disk || (len < present && self.dirty_slot(index).is_ok()) {
                self.make_dirty(index, 0, &[], random);
            }
        }
        self.cached.resize(len, 0);
    }

    /// Notes that a sector's bytes from `start` on are about to become `part`. If they were dirty already, the
    /// disk may have got them as they were, or while they are changing: the new ones up to some byte.
    fn make_dirty(&mut self, index: usize, start: usize, part: &[u8], random: &mut Random) {
        let slot = match self.dirty_slot(index) {
            Err(slot) => {
                self.dirty.insert(slot, DirtySector { index, earlier: Vec::new() });
                return;
            }
            Ok(slot) => slot,
        };
        let mut before = sector_of(&self.cached, index);
        if random.one_in(2) {
            let mixed = random.below(part.len());
            before[start..start + mixed].copy_from_slice(&part[..mixed]);
        }
        let earlier = &mut self.dirty[slot].earlier;
        if earlier.len() < EARLIER_MAX {
            earlier.push(before);
        } else {
            earlier[random.below(EARLIER_MAX)] = before;
        }
    }

    /// Where a dirty sector stands among the dirty ones, or would.
    fn dirty_slot(&self, index: usize) -> Result<usize, usize> {
        self.dirty.binary_search_by_key(&index, |sector| sector.index)
    }

    /// Makes the cache durable: what it calls dirty, and nothing else.
    pub(crate) fn sync(&mut self) {
        for sector in self.dirty.drain(..) {
            put_sector(&mut self.durable, sector.index, &sector_of(&self.cached, sector.index));
        }
        if !self.lens.is_empty() {
            self.durable_len = self.cached.len();
            self.lens.clear();
        }
        self.durable.truncate(self.durable_len);
    }

    /// A sync that reports an error.
    pub(crate) fn fail_sync(&mut self, failure: SyncFailure, random: &mut Random) {
        match failure {
            SyncFailure::StaysDirty => {}
            SyncFailure::ForgetsDirty => {
                let survivors = CutStyle::seeded(random).survivors(self.dirty.len(), random);
                let dirty = std::mem::take(&mut self.dirty);
                for (sector, _) in dirty.iter().zip(survivors).filter(|(_, survives)| *survives) {
                    put_sector(&mut self.durable, sector.index, &sector_of(&self.cached, sector.index));
                }
                if random.one_in(2) && !self.lens.is_empty() {
                    self.durable_len = self.cached.len();
                }
                self.lens.clear();
            }
            SyncFailure::RevertsCache => {
                self.dirty.clear();
                self.lens.clear();
                self.settle();
            }
            SyncFailure::ComesLate => self.sync(),
        }
    }

    /// A power cut: some of what was dirty reached the disk, and the cache is gone.
    pub(crate) fn cut(&mut self, style: CutStyle, random: &mut Random) {
        let survivors = style.survivors(self.dirty.len(), random);
        let dirty = std::mem::take(&mut self.dirty);
        for (sector, _) in dirty.iter().zip(survivors).filter(|(_, survives)| *survives) {
            let newest = style == CutStyle::Everything || sector.earlier.is_empty() || random.one_in(2);
            let bytes = if newest {
                sector_of(&self.cached, sector.index)
            } else {
                sector.earlier[random.below(sector.earlier.len())]
            };
            put_sector(&mut self.durable, sector.index, &bytes);
        }
        self.durable_len = self.len_after_cut(style, random);
        self.lens.clear();
        self.settle();
    }

    /// The length survives by itself: it may have come before the bytes, or stayed behind, or be any between.
    fn len_after_cut(&self, style: CutStyle, random: &mut Random) -> usize {
        if self.lens.is_empty() {
            return self.durable_len;
        }
        match style {
            CutStyle::Nothing => self.durable_len,
            CutStyle::Everything => self.cached.len(),
            _ => match random.below(4) {
                0 => self.durable_len,
                1 => self.cached.len(),
                2 => self.lens[random.below(self.lens.len())],
                _ => {
                    let lens = || self.lens.iter().copied().chain([self.durable_len]);
                    let (least, most) = (
                        lens().fold(self.cached.len(), usize::min),
                        lens().fold(self.cached.len(), usize::max),
                    );
                    least + random.below(most - least + 1)
                }
            },
        }
    }

    /// Makes the cache what the disk has, and the disk's bytes as long as the file.
    fn settle(&mut self) {
        self.durable.resize(self.durable_len, 0);
        self.cached.clone_from(&self.durable);
    }
}

/// A sector's bytes, zeros behind the end.
fn sector_of(bytes: &[u8], index: usize) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    if let Some(rest) = bytes.get(index * SECTOR..) {
        let count = rest.len().min(SECTOR);
        sector[..count].copy_from_slice(&rest[..count]);
    }
    sector
}

fn put_sector(bytes: &mut Vec<u8>, index: usize, sector: &[u8; SECTOR]) {
    let end = (index + 1) * SECTOR;
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[end - SECTOR..end].copy_from_slice(sector);
}
