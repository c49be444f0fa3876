//! A column: one small number an event, and the search for those that are wanted.
//!
//! Numbers are as wide as the greatest needs: one, two or four bytes, little-endian, in memory as in a file, so that one
//! search serves both. It goes by blocks of 1,024 events, whose numbers never straddle a page of a file.

use crate::index::part::{Direction, IndexResult, at, count_of, stretch};

/// How many events are looked at at once.
pub(crate) const BLOCK_EVENTS: u32 = 1_024;

const WORD_BITS: usize = 64;
const BLOCK_WORDS: usize = 16;
const _: () = assert!(BLOCK_WORDS * WORD_BITS == BLOCK_EVENTS as usize, "a block is whole words");

/// How many bytes a number has.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Width {
    #[default]
    One,
    Two,
    Four,
}

impl Width {
    /// The least that numbers up to this one need.
    pub(crate) fn of(greatest: u32) -> Self {
        match greatest {
            0..=0xFF => Self::One,
            0x100..=0xFFFF => Self::Two,
            _ => Self::Four,
        }
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Four => 4,
        }
    }
}

/// A column in memory.
#[derive(Clone, Default, Debug)]
pub(crate) struct Column {
    width: Width,
    bytes: Vec<u8>,
}

impl Column {
    /// Adds the next event's number; the whole column is made wider where that needs it.
    pub(crate) fn push(&mut self, number: u32) {
        let width = Width::of(number);
        if width > self.width {
            let mut wider = Vec::with_capacity(self.bytes.len() / self.width.bytes() * width.bytes());
            numbers(&self.bytes, self.width, |number| put(&mut wider, width, number));
            *self = Self { width, bytes: wider };
        }
        reserve_little(&mut self.bytes, self.width.bytes());
        put(&mut self.bytes, self.width, number);
    }

    /// Keeps those events of a block in the mask whose number is one of `wanted`, which ascend.
    pub(crate) fn narrow(&self, block: u32, wanted: &[u32], mask: &mut BlockMask) {
        mask.keep(self.block(block), self.width, wanted);
    }

    /// What the column takes of memory, in bytes.
    #[cfg(test)]
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    pub(crate) fn width(&self) -> Width {
        self.width
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The numbers of one block's events.
    fn block(&self, block: u32) -> &[u8] {
        let block_bytes = at(BLOCK_EVENTS) * self.width.bytes();
        let start = at(block) * block_bytes;
        &self.bytes[start..self.bytes.len().min(start + block_bytes)]
    }
}

/// Room for `more` things, an eighth of what is there at a time: the active segment's index is all of the memory that
/// a store needs, and doubling would keep up to half of it empty.
pub(crate) fn reserve_little<T>(things: &mut Vec<T>, more: usize) {
    const LEAST: usize = 64;
    if things.capacity() - things.len() < more {
        things.reserve_exact((things.len() / 8).max(more).max(LEAST));
    }
}

fn put(bytes: &mut Vec<u8>, width: Width, number: u32) {
    let number = number.to_le_bytes();
    match width {
        Width::One => bytes.push(number[0]),
        Width::Two => bytes.extend_from_slice(&number[..2]),
        Width::Four => bytes.extend_from_slice(&number),
    }
}

/// Visits all numbers of a column's bytes.
pub(crate) fn numbers(bytes: &[u8], width: Width, mut visit: impl FnMut(u32)) {
    match width {
        Width::One => bytes.iter().for_each(|byte| visit(u32::from(*byte))),
        Width::Two => bytes.as_chunks().0.iter().for_each(|two| visit(u32::from(u16::from_le_bytes(*two)))),
        Width::Four => bytes.as_chunks().0.iter().for_each(|four| visit(u32::from_le_bytes(*four))),
    }
}

/// Which events of a block are wanted: a bit each.
#[derive(Clone, Debug)]
pub(crate) struct BlockMask {
    words: [u64; BLOCK_WORDS],
}

impl BlockMask {
    /// The events from `start` up to `end` of a block.
    fn of(start: u32, end: u32) -> Self {
        let mut words = [0; BLOCK_WORDS];
        for (word, bits) in words.iter_mut().enumerate() {
            let first = word * WORD_BITS;
            let low = at(start).saturating_sub(first).min(WORD_BITS);
            let high = at(end).saturating_sub(first).min(WORD_BITS);
            *bits = ones(high) & !ones(low);
        }
        Self { words }
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// Keeps those events whose number in the block is one of `wanted`, which ascend. Events that the bytes are too
    /// short for are dropped.
    pub(crate) fn keep(&mut self, bytes: &[u8], width: Width, wanted: &[u32]) {
        let mut words = bytes.chunks(WORD_BITS * width.bytes());
        for bits in &mut self.words {
            let chunk = words.next().unwrap_or_default();
            if *bits != 0 {
                *bits &= found_in(chunk, width, wanted);
            }
        }
    }

    /// The number of the first wanted event in a direction, taken out.
    fn take(&mut self, direction: Direction) -> Option<u32> {
        let is_wanted = |word: &u64| *word != 0;
        let word = match direction {
            Direction::Forwards => self.words.iter().position(is_wanted),
            Direction::Backwards => self.words.iter().rposition(is_wanted),
        }?;
        let bit = match direction {
            Direction::Forwards => self.words[word].trailing_zeros(),
            Direction::Backwards => self.words[word].ilog2(),
        };
        self.words[word] &= !(1 << bit);
        Some(count_of(word * WORD_BITS) + bit)
    }
}

fn ones(count: usize) -> u64 {
    if count == WORD_BITS { u64::MAX } else { (1 << count) - 1 }
}

/// The bits of up to 64 numbers that are wanted.
fn found_in(bytes: &[u8], width: Width, wanted: &[u32]) -> u64 {
    match (width, wanted) {
        (Width::One, [one]) => match u8::try_from(*one) {
            // The usual question. Without a branch in it, it is answered for sixteen events at a time; and most
            // words have no event of a rare type.
            Ok(one) if bytes.iter().fold(0, |any, byte| any | u8::from(*byte == one)) != 0 => {
                bits_where(bytes, width, |number| number == u32::from(one))
            }
            _ => 0,
        },
        (_, [one]) => bits_where(bytes, width, |number| number == *one),
        _ => bits_where(bytes, width, |number| wanted.binary_search(&number).is_ok()),
    }
}

fn bits_where(bytes: &[u8], width: Width, is_wanted: impl Fn(u32) -> bool) -> u64 {
    let (mut bits, mut bit) = (0, 0);
    numbers(bytes, width, |number| {
        bits |= u64::from(is_wanted(number)) << bit;
        bit += 1;
    });
    bits
}

/// Walks over a part's events by block, and tells of those that a mask leaves, `events_max` at most.
///
/// `narrow` is given a block's number, and takes out of the mask what isn't wanted.
pub(crate) fn search(
    events: u32,
    from: u32,
    direction: Direction,
    events_max: usize,
    mut narrow: impl FnMut(u32, &mut BlockMask) -> IndexResult<()>,
    mut found: impl FnMut(u32) -> IndexResult<()>,
) -> IndexResult<()> {
    let all = stretch(from, direction, events, usize::MAX);
    let blocks = all.start / BLOCK_EVENTS..all.end.div_ceil(BLOCK_EVENTS);
    let mut left = events_max;
    for step in 0..blocks.len() {
        if left == 0 {
            break;
        }
        let block = match direction {
            Direction::Forwards => blocks.start + count_of(step),
            Direction::Backwards => blocks.end - 1 - count_of(step),
        };
        let first = block * BLOCK_EVENTS;
        let mut mask = BlockMask::of(all.start.saturating_sub(first), (all.end - first).min(BLOCK_EVENTS));
        narrow(block, &mut mask)?;
        while left > 0
            && !mask.is_empty()
            && let Some(number) = mask.take(direction)
        {
            found(first + number)?;
            left -= 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(numbers: impl IntoIterator<Item = u32>) -> Column {
        let mut column = Column::default();
        numbers.into_iter().for_each(|number| column.push(number));
        column
    }

    #[test]
    fn a_column_widens_and_keeps_its_numbers() {
        for greatest in [3, 255, 256, 65_535, 65_536, u32::MAX] {
            let wanted: Vec<u32> = (0..300).chain([greatest.max(300), 1, 2]).collect();
            let wanted = &wanted[if greatest < 300 { 297 } else { 0 }..];
            let wanted: Vec<u32> = wanted.iter().map(|number| (*number).min(greatest)).collect();
            let column = column(wanted.iter().copied());
            let mut found = Vec::new();
            numbers(column.bytes(), column.width(), |number| found.push(number));
            assert_eq!(found, wanted);
            assert_eq!(column.width(), Width::of(greatest));
        }
    }

    /// Searches a column, and compares with a look at each number.
    fn check(all: &[u32], wanted: &[u32]) {
        let column = column(all.iter().copied());
        let events = count_of(all.len());
        for direction in [Direction::Forwards, Direction::Backwards] {
            for from in [0, 1, 63, 64, 1_023, 1_024, 1_500, events.saturating_sub(1), events, u32::MAX] {
                for events_max in [0, 1, 7, usize::MAX] {
                    let mut found = Vec::new();
                    let narrow = |block, mask: &mut BlockMask| {
                        column.narrow(block, wanted, mask);
                        Ok(())
                    };
                    let push = |ordinal| {
                        found.push(ordinal);
                        Ok(())
                    };
                    search(events, from, direction, events_max, narrow, push).expect("nothing fails");
                    let passes = |ordinal: &u32| wanted.contains(&all[at(*ordinal)]);
                    let stretch = stretch(from, direction, events, usize::MAX);
                    let all: Vec<u32> = match direction {
                        Direction::Forwards => stretch.filter(passes).take(events_max).collect(),
                        Direction::Backwards => stretch.rev().filter(passes).take(events_max).collect(),
                    };
                    assert_eq!(found, all, "{wanted:?} from {from} {direction:?}, {events_max} at most");
                }
            }
        }
    }

    #[test]
    fn a_search_finds_what_a_look_at_each_number_finds() {
        for (greatest, count) in
            [(2, 0), (2, 1), (2, 64), (3, 2_500), (200, 1_024), (300, 3_000), (70_000, 2_049)]
        {
            let all: Vec<u32> = (0..count).map(|n: u32| n.wrapping_mul(2_654_435_761) % greatest).collect();
            check(&all, &[1]);
            check(&all, &[0, 2, 255, 256, 65_536]);
            check(&all, &[]);
        }
    }
}
