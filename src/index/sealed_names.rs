//! The categories or event types of an index file, read in place. They are numbered in the order of their names.

use std::cmp::Ordering;

use crate::{
    format::{
        layout::{bytes, index},
        paged_file::{PagedFile, SectionReader},
    },
    index::{
        part::{IndexFault, IndexResult, NameCount},
        sealed_layout::{NAME_BYTES, NameItem, SealedSection},
    },
    stream::NAME_BYTES_MAX,
};

/// The names in two sections of a file.
#[derive(Debug)]
pub(crate) struct SealedNames<'a> {
    items: SectionReader<'a>,
    texts: SectionReader<'a>,
    count: u32,
}

impl<'a> SealedNames<'a> {
    pub(crate) fn new(file: &'a PagedFile, items: SealedSection, texts: SealedSection) -> IndexResult<Self> {
        let items_bytes = file.section_bytes(items as usize);
        let count =
            (items_bytes / bytes(NAME_BYTES)).checked_sub(1).and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|_| items_bytes.is_multiple_of(bytes(NAME_BYTES)));
        let count = count.ok_or(IndexFault::Damaged("the names' section has no length of names"))?;
        Ok(Self { items: file.section(items as usize), texts: file.section(texts as usize), count })
    }

    /// The numbers of those of these names that there are, ascending and each once.
    pub(crate) fn numbers(&mut self, names: &[String]) -> IndexResult<Vec<u32>> {
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            numbers.extend(self.find(name)?);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }

    fn find(&mut self, name: &str) -> IndexResult<Option<u32>> {
        let (mut low, mut high) = (0, self.count);
        let mut text = Vec::new();
        while low < high {
            let middle = low.midpoint(high);
            self.read(middle, &mut text)?;
            match text.as_slice().cmp(name.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(Some(middle)),
                Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// All names with their counts, by number.
    pub(crate) fn all(&mut self) -> IndexResult<Vec<NameCount>> {
        let mut names = Vec::new();
        for number in 0..self.count {
            let mut text = Vec::new();
            let events = u64::from(self.read(number, &mut text)?);
            let name = String::from_utf8(text).map_err(|_| IndexFault::Damaged("a name isn't UTF-8"))?;
            names.push(NameCount { name, events });
        }
        Ok(names)
    }

    /// Reads a name into a buffer, and says how many events it has.
    fn read(&mut self, number: u32, text: &mut Vec<u8>) -> IndexResult<u32> {
        let item = self.item(u64::from(number))?;
        let end = self.item(u64::from(number) + 1)?.text_start;
        let length =
            end.checked_sub(item.text_start).map(u64::from).filter(|length| *length <= bytes(NAME_BYTES_MAX));
        let length = length.ok_or(IndexFault::Damaged("a name has no length of a name"))?;
        text.clear();
        self.texts.read(u64::from(item.text_start), index(length), text)?;
        Ok(item.events)
    }

    fn item(&mut self, number: u64) -> IndexResult<NameItem> {
        Ok(NameItem::decode(self.items.get(number * bytes(NAME_BYTES), NAME_BYTES)?))
    }
}
