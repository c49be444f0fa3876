//! Paged files, open for reading: in place through a map, or page by page.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    disk::contract::{DiskFile, Mapping},
    format::{
        layout::{bytes, checksum, get_u32, index},
        paged::{
            CHECKSUM_BYTES, CONTENT_BYTES, PAGE_BYTES, PagedFault, PagedHeader, PagedKind, Section,
            page_offset,
        },
    },
    options::ReadMode,
};

/// A paged file, open for reading.
///
/// Mapped, it takes a bit a page of memory and no file handle, and a page is compared with its checksum when it
/// is first looked at. Else it keeps its handle and the checksums, and each look reads a page.
pub(crate) struct PagedFile {
    header: PagedHeader,
    source: Source,
}

enum Source {
    Mapped { map: Arc<dyn Mapping>, verified: Box<[AtomicU64]> },
    Read { file: Arc<dyn DiskFile>, table: Box<[u8]> },
}

impl fmt::Debug for PagedFile {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PagedFile")
            .field("identity", &self.header.identity)
            .field("data_pages", &self.header.data_pages)
            .finish_non_exhaustive()
    }
}

impl PagedFile {
    /// Opens a file of a kind, and checks its header, its length, and the checksums' own checksum. No data page is
    /// read.
    pub(crate) fn open(
        file: Arc<dyn DiskFile>,
        read: ReadMode,
        store_id: u64,
        kind: PagedKind,
    ) -> Result<Self, PagedFault> {
        let mut header = [0; PAGE_BYTES];
        file.read_exact_at(&mut header, 0)?;
        let header = PagedHeader::decode(&header, store_id, kind)?;
        if file.len()? != header.file_bytes() {
            return Err(PagedFault::Damaged("the file's length isn't what its header says"));
        }
        let source = Source::new(file, read, &header)?;
        if checksum(source.table(header.data_pages)) != header.table_crc {
            return Err(PagedFault::Damaged("the checksums' own checksum doesn't match"));
        }
        Ok(Self { header, source })
    }

    /// What the file is about: a segment's number.
    pub(crate) fn subject(&self) -> u64 {
        self.header.identity.subject
    }

    /// What the header says beside the sections.
    pub(crate) fn content(&self) -> &[u8; CONTENT_BYTES] {
        &self.header.content
    }

    /// How many sections there are.
    pub(crate) fn section_count(&self) -> usize {
        self.header.sections.len()
    }

    /// The length of a section in bytes.
    pub(crate) fn section_bytes(&self, section: usize) -> u64 {
        self.header.sections[section].bytes
    }

    /// Reads a section, which there is.
    pub(crate) fn section(&self, section: usize) -> SectionReader<'_> {
        SectionReader { file: self, section: self.header.sections[section], page: None }
    }

    fn page(&self, page: u32) -> Result<Page<'_>, PagedFault> {
        assert!(page < self.header.data_pages, "sections lie within the data pages");
        match &self.source {
            Source::Mapped { map, verified } => {
                let start = index(page_offset(page));
                let page_bytes = &map.published()[start..start + PAGE_BYTES];
                let (word, bit) = (&verified[index(u64::from(page / 64))], 1 << (page % 64));
                if word.load(Ordering::Relaxed) & bit == 0 {
                    self.check_page(page, page_bytes)?;
                    word.fetch_or(bit, Ordering::Relaxed);
                }
                Ok(Page::Borrowed(page_bytes))
            }
            Source::Read { file, .. } => {
                let mut page_bytes = vec![0; PAGE_BYTES].into_boxed_slice();
                file.read_exact_at(&mut page_bytes, page_offset(page))?;
                self.check_page(page, &page_bytes)?;
                Ok(Page::Owned(page_bytes))
            }
        }
    }

    fn check_page(&self, page: u32, page_bytes: &[u8]) -> Result<(), PagedFault> {
        let table = self.source.table(self.header.data_pages);
        let expected = get_u32(table, index(u64::from(page)) * CHECKSUM_BYTES);
        if self.header.identity.checksum(page, page_bytes) != expected {
            return Err(PagedFault::Damaged("a page's checksum doesn't match"));
        }
        Ok(())
    }
}

impl Source {
    fn new(file: Arc<dyn DiskFile>, read: ReadMode, header: &PagedHeader) -> Result<Self, PagedFault> {
        let (data_pages, file_bytes) = (header.data_pages, header.file_bytes());
        if read == ReadMode::Mapped
            && let Some(map) = file.map(file_bytes)?
        {
            map.publish(file_bytes);
            if bytes(map.published().len()) == file_bytes {
                let verified = (0..data_pages.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
                return Ok(Self::Mapped { map, verified });
            }
        }
        let mut table = vec![0; index(u64::from(data_pages)) * CHECKSUM_BYTES].into_boxed_slice();
        file.read_exact_at(&mut table, page_offset(data_pages))?;
        Ok(Self::Read { file, table })
    }

    fn table(&self, data_pages: u32) -> &[u8] {
        match self {
            Self::Mapped { map, .. } => &map.published()[index(page_offset(data_pages))..],
            Self::Read { table, .. } => table,
        }
    }
}

/// A page that was compared with its checksum.
#[derive(Debug)]
enum Page<'a> {
    Borrowed(&'a [u8]),
    Owned(Box<[u8]>),
}

impl Deref for Page<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Borrowed(page_bytes) => page_bytes,
            Self::Owned(page_bytes) => page_bytes,
        }
    }
}

/// Reads a section, and keeps the page that it read last.
#[derive(Debug)]
pub(crate) struct SectionReader<'a> {
    file: &'a PagedFile,
    section: Section,
    page: Option<(u32, Page<'a>)>,
}

impl SectionReader<'_> {
    /// Bytes at an offset in the section that all lie on one page, as items do whose length divides a page's.
    pub(crate) fn get(&mut self, offset: u64, length: usize) -> Result<&[u8], PagedFault> {
        let (on_page, start) = self.page_at(offset)?;
        let first = index(offset - start);
        on_page.get(first..first + length).ok_or(PagedFault::Damaged("an item is beyond its section"))
    }

    /// The section's bytes on the page that has the byte at an offset, and where in the section they begin.
    pub(crate) fn page_at(&mut self, offset: u64) -> Result<(&[u8], u64), PagedFault> {
        if offset >= self.section.bytes {
            return Err(PagedFault::Damaged("an item is beyond its section"));
        }
        let data_offset = self.section.offset + offset - bytes(PAGE_BYTES);
        let number =
            u32::try_from(data_offset / bytes(PAGE_BYTES)).expect("the header counts pages in 32 bits");
        if self.page.as_ref().is_none_or(|(there, _)| *there != number) {
            self.page = None;
            self.page = Some((number, self.file.page(number)?));
        }
        let (_, page) = self.page.as_ref().expect("it was just read");
        let page_start = page_offset(number);
        let from = self.section.offset.max(page_start);
        let to = (self.section.offset + self.section.bytes).min(page_start + bytes(PAGE_BYTES));
        Ok((&page[index(from - page_start)..index(to - page_start)], from - self.section.offset))
    }

    /// Appends bytes to a buffer that may lie on several pages.
    pub(crate) fn read(
        &mut self,
        offset: u64,
        length: usize,
        buffer: &mut Vec<u8>,
    ) -> Result<(), PagedFault> {
        if offset.checked_add(bytes(length)).is_none_or(|end| end > self.section.bytes) {
            return Err(PagedFault::Damaged("an item is beyond its section"));
        }
        let (mut offset, mut left) = (offset, length);
        while left > 0 {
            let (on_page, start) = self.page_at(offset)?;
            let from = &on_page[index(offset - start)..];
            let count = from.len().min(left);
            buffer.extend_from_slice(&from[..count]);
            offset += bytes(count);
            left -= count;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
