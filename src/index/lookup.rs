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

    /// The same among the items of a page, whose first hash is less and whose last isn't: a guess, and a few steps.
    fn first_among(&self, items: &[u8], hash: u64) -> usize {
        let get = |number: usize| self.width.get(&items[number * self.item_bytes..]);
        let last = items.len() / self.item_bytes - 1;
        let mut number = index(share(hash, get(0), get(last), bytes(last)));
        while number > 0 && get(number - 1) >= hash {
            number -= 1;
        }
        while get(number) < hash {
            number += 1;
        }
        number
    }
}

/// Where among `count` items a hash is to be expected, that lies between two hashes.
fn share(hash: u64, low_hash: u64, high_hash: u64, count: u64) -> u64 {
    let distance = u128::from(hash.saturating_sub(low_hash));
    let whole = u128::from(high_hash.saturating_sub(low_hash)) + 1;
    let share = distance * u128::from(count) / whole;
    u64::try_from(share).unwrap_or(u64::MAX).min(count - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        format::{
            paged::{PagedIdentity, PagedKind, PagedWriter},
            paged_file::PagedFile,
        },
        index::tests::disk_file,
        options::ReadMode,
    };

    /// Looks up each hash and its neighbours among items of 8 bytes, 512 a page.
    fn check(mut hashes: Vec<u32>) {
        hashes.sort_unstable();
        let identity = PagedIdentity { store_id: 7, kind: PagedKind::SegmentIndex, subject: 1 };
        let mut writer = PagedWriter::new(identity, 0);
        writer.begin(hashes.len() * 8);
        for hash in &hashes {
            writer.put(&u64::from(*hash).to_le_bytes());
        }
        let file = disk_file(&writer.finish(&[]), true);
        let file =
            PagedFile::open(file, ReadMode::Mapped, 7, PagedKind::SegmentIndex).expect("it is undamaged");
        let items = HashedItems { width: HashWidth::Four, item_bytes: 8, count: bytes(hashes.len()) };
        let neighbours =
            hashes.iter().flat_map(|hash| [hash.saturating_sub(1), *hash, hash.saturating_add(1)]);
        for hash in neighbours.chain([0, 1 << 31, u32::MAX]) {
            let found = items.first_from(&mut file.section(0), of_32_bits(hash)).expect("it is undamaged");
            assert_eq!(found, bytes(hashes.partition_point(|other| *other < hash)), "{hash}");
        }
    }

    #[test]
    fn the_first_of_equal_hashes_is_found_however_they_are_spread() {
        let spread = |count: u32| (0..count).map(|number| number.wrapping_mul(2_654_435_761));
        for count in [0, 1, 511, 512, 513, 4_000] {
            check(spread(count).collect());
            check(spread(count).map(|hash| hash % 5).collect());
            check(spread(count).map(|hash| hash | 0xFFFF_FF00).collect());
            // A hash that many have, over several pages, among others.
            check(spread(count).chain(vec![1 << 31; 1_500]).collect());
        }
    }
}
