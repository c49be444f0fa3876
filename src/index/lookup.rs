//! Finds a hash in a sorted section of a file.
//!
//! Hashes are spread evenly, so where one stands can be guessed: about half of a page off among 190,000. Two pages are
//! looked at as a rule, whatever the section's length.

use crate::{
    format::{
        layout::{bytes, get_u32, get_u64, index},
        paged_file::SectionReader,
    },
    index::part::IndexResult,
};

/// How often a place is guessed before the rest is halved: what a file of evil hashes may cost.
const GUESSES_MAX: u32 = 6;

/// What an item begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HashWidth {
    /// A `u32`.
    Four,
    /// A `u64`.
    Eight,
}

impl HashWidth {
    /// The hash that an item begins with, as one of 64 bits.
    fn get(self, item: &[u8]) -> u64 {
        match self {
            Self::Four => of_32_bits(get_u32(item, 0)),
            Self::Eight => get_u64(item, 0),
        }
    }
}

/// A hash of 32 bits as one of 64: its share of the whole range is the same.
pub(crate) fn of_32_bits(hash: u32) -> u64 {
    u64::from(hash) << 32
}

/// A section's items that begin with a hash and ascend by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HashedItems {
    pub(crate) width: HashWidth,
    pub(crate) item_bytes: usize,
    /// How many there are.
    pub(crate) count: u64,
}

impl HashedItems {
    /// The number of the first item whose hash isn't less than this one; `count` if
    /// all are.
    pub(crate) fn first_from(&self, reader: &mut SectionReader<'_>, hash: u64) -> IndexResult<u64> {
        // The answer is from `low` to `high`; items before `low` have a hash of up to `low_hash`, the item at
        // `high` has `high_hash`.
        let (mut low, mut high) = (0, self.count);
        let (mut low_hash, mut high_hash) = (0, u64::MAX);
        let mut guesses = 0;
        while low < high {
            let guess = if guesses < GUESSES_MAX {
                low + share(hash, low_hash, high_hash, high - low)
            } else {
                low + (high - low) / 2
            };
            guesses += 1;
            let (on_page, start) = reader.page_at(guess * bytes(self.item_bytes))?;
            let first = start / bytes(self.item_bytes);
            let all = on_page.len() / self.item_bytes;
            let from = index(low.saturating_sub(first));
            let to = all.min(index(high - first));
            let items = &on_page[from * self.item_bytes..to * self.item_bytes];
            let (first_hash, last_hash) = self.ends(items);
            if first_hash >= hash {
                (high, high_hash) = (first + bytes(from), first_hash);
            } else if last_hash < hash {
                (low, low_hash) = (first + bytes(to), last_hash);
            } else {
                return Ok(first + bytes(from + self.first_among(items, hash)));
            }
        }
        Ok(low)
    }

    fn ends(&self, items: &[u8]) -> (u64, u64) {
        (self.width.get(items), self.width.get(&items[items.len() - self.item_bytes..]))
    }

    fn first_among(&self, items: &[u8], hash: u64) -> usize {
        let (mut low, mut high) = (0, items.len() / self.item_bytes);
        while low < high {
            let middle = low.midpoint(high);
            if self.width.get(&items[middle * self.item_bytes..]) < hash {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }
}

/// Where among `count` items a hash is to be expected, that lies between two hashes.
fn share(hash: u64, low_hash: u64, high_hash: u64, count: u64) -> u64 {
    let distance = u128::from(hash.saturating_sub(low_hash));
    let whole = u128::from(high_hash.saturating_sub(low_hash)) + 1;
    let share = distance * u128::from(count) / whole;
    u64::try_from(share).unwrap_or(u64::MAX).min(count - 1)
}
