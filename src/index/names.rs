//! Names that many events share: each is kept once, has a number, and is counted.

use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use crate::index::part::{NameCount, at, count_of};

/// Categories or event types of a part in memory, numbered from 0 in the order in which they came.
#[derive(Default, Debug)]
pub(crate) struct Names {
    all: Vec<(Box<str>, u64)>,
    numbers: HashTable<u32>,
    /// The number of the name that came last: the next one is often the same.
    last: u32,
}

impl Names {
    /// The number of a name in UTF-8, new if the name is; and one event more of it.
    pub(crate) fn count(&mut self, name: &[u8]) -> u32 {
        let last = self.all.get_mut(at(self.last));
        if let Some((_, events)) = last.filter(|(last, _)| last.as_bytes() == name) {
            *events += 1;
            return self.last;
        }
        self.last = self.number_of(name);
        self.all[at(self.last)].1 += 1;
        self.last
    }

    fn number_of(&mut self, name: &[u8]) -> u32 {
        let Self { all, numbers, .. } = self;
        let text = |number: &u32| all[at(*number)].0.as_bytes();
        let next = count_of(all.len());
        let entry =
            numbers.entry(xxh3_64(name), |number| text(number) == name, |number| xxh3_64(text(number)));
        let number = *entry.or_insert(next).get();
        if number == next {
            let name = str::from_utf8(name).expect("names were checked before they come here");
            all.push((name.into(), 0));
        }
        number
    }

    /// The numbers of those of these names that there are, ascending and each once.
    pub(crate) fn numbers(&self, names: &[String]) -> Vec<u32> {
        let number = |name: &String| {
            self.numbers.find(xxh3_64(name.as_bytes()), |number| *self.all[at(*number)].0 == **name)
        };
        let mut numbers: Vec<u32> = names.iter().filter_map(number).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// All names with their counts, by number.
    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = (&str, u64)> {
        self.all.iter().map(|(name, events)| (&**name, *events))
    }

    /// The same, to keep.
    pub(crate) fn name_counts(&self) -> Vec<NameCount> {
        self.all().map(|(name, events)| NameCount { name: name.to_owned(), events }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbered_and_counted() {
        let mut names = Names::default();
        let numbers: Vec<u32> =
            ["b", "a", "a", "b", "", "b"].map(|name| names.count(name.as_bytes())).to_vec();
        assert_eq!(numbers, [0, 1, 1, 0, 2, 0]);
        assert_eq!(names.all().collect::<Vec<_>>(), [("b", 3), ("a", 2), ("", 1)]);
        let asked = ["a", "c", "b", "a"].map(str::to_owned);
        assert_eq!(names.numbers(&asked), [0, 1]);
        assert!(names.numbers(&[]).is_empty());
    }
}
