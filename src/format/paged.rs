//! Files of derived data that are read in place: pages of 4,096 bytes, each with a checksum.
//!
//! What always holds: no byte is believed whose page wasn't compared with its checksum, nor a page that belongs
//! elsewhere: the checksum covers whose page it is and which. An item never straddles two pages.
//!
//! ```text
//! | header page | data page 0 | data page 1 | … | a u32 a data page: its checksum |
//! data pages    | section | section that fits into the rest | zeros | section that begins at a page … |
//! ```
//!
//! Such a file is written once, under its own name, and never changed. Whatever is wrong with one is a
//! [`PagedFault`]: it is made anew from the log.

use std::io;

use crate::format::layout::{
    FORMAT_VERSION, bytes, checksum, get_u16, get_u32, get_u64, index, layout, put_u16, put_u32, put_u64,
};

/// What has a checksum of its own, in bytes.
pub(crate) const PAGE_BYTES: usize = 4_096;

/// What a file of its kind says of itself in the header, in bytes.
pub(crate) const CONTENT_BYTES: usize = 256;

/// What sections begin at multiples of, in bytes: more than an item has.
const SECTION_ALIGNMENT: usize = 64;

const SECTIONS_MAX: usize = 12;
/// A section's entry in the header, in bytes.
pub(crate) const SECTION_BYTES: usize = 16;

/// A page's checksum in the table behind the pages, in bytes.
pub(crate) const CHECKSUM_BYTES: usize = 4;

const PAGED_MAGIC: &[u8; 8] = b"ANNALIDX";

layout! { PAGED_FIELDS, PAGE_BYTES;
    0 8 MAGIC;
    8 4 HEADER_CRC;
    12 2 VERSION;
    14 2 FLAGS;
    16 8 STORE_ID;
    24 8 SUBJECT;
    32 4 DATA_PAGES;
    36 4 TABLE_CRC;
    40 1 KIND;
    41 1 SECTIONS;
    42 22 RESERVED;
    64 192 SECTION_TABLE;
    256 256 CONTENT;
    512 3584 REST;
}

layout! { SECTION_FIELDS, SECTION_BYTES;
    0 8 SECTION_OFFSET;
    8 8 SECTION_LENGTH;
}

const _: () = {
    assert!(CONTENT - SECTION_TABLE == SECTIONS_MAX * SECTION_BYTES, "the table has room for all sections");
    assert!(REST - CONTENT == CONTENT_BYTES, "the content has its room");
    assert!(PAGE_BYTES.is_multiple_of(SECTION_ALIGNMENT), "sections can begin at a page's beginning");
};

/// What a file has in its pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum PagedKind {
    /// The index of a sealed segment; its subject is the segment's number.
    SegmentIndex,
    /// The directory of streams; its subject is 0.
    Directory,
}

impl PagedKind {
    fn number(self) -> u8 {
        match self {
            Self::SegmentIndex => 1,
            Self::Directory => 2,
        }
    }
}

/// Whose pages they are: goes into each checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PagedIdentity {
    pub(crate) store_id: u64,
    pub(crate) kind: PagedKind,
    pub(crate) subject: u64,
}

impl PagedIdentity {
    /// The checksum of a data page.
    pub(crate) fn checksum(&self, page: u32, page_bytes: &[u8]) -> u32 {
        let mut identity = [0; 24];
        put_u64(&mut identity, 0, self.store_id);
        put_u64(&mut identity, 8, self.subject);
        put_u32(&mut identity, 16, page);
        identity[20] = self.kind.number();
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&identity);
        hasher.update(page_bytes);
        hasher.finalize()
    }
}

/// Why a paged file can't be read.
#[derive(Debug)]
pub(crate) enum PagedFault {
    /// It isn't what was written; or a newer version wrote it, or another store.
    Damaged(&'static str),
    /// The system can't read it.
    Io(io::Error),
}

impl From<io::Error> for PagedFault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("the file is cut off"),
            _ => Self::Io(error),
        }
    }
}

/// A section: where it begins in the file, and its length, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// A paged file in the making.
#[derive(Debug)]
pub(crate) struct PagedWriter {
    identity: PagedIdentity,
    bytes: Vec<u8>,
    sections: Vec<Section>,
}

impl PagedWriter {
    /// A file without sections, with room for about so many bytes of them.
    pub(crate) fn new(identity: PagedIdentity, capacity: usize) -> Self {
        let mut bytes = Vec::with_capacity(capacity + capacity / 512 + (SECTIONS_MAX + 2) * PAGE_BYTES);
        bytes.resize(PAGE_BYTES, 0);
        Self { identity, bytes, sections: Vec::with_capacity(SECTIONS_MAX) }
    }

    /// Begins the next section, which is to get so many bytes by [`Self::put`].
    ///
    /// It begins at a page's beginning, unless all of it fits into what is left of the page before.
    pub(crate) fn begin(&mut self, section_bytes: usize) {
        self.check_section();
        assert!(self.sections.len() < SECTIONS_MAX, "a file has {SECTIONS_MAX} sections at most");
        let aligned = self.bytes.len().next_multiple_of(SECTION_ALIGNMENT);
        let start =
            if fits_page(aligned, section_bytes) { aligned } else { aligned.next_multiple_of(PAGE_BYTES) };
        self.bytes.resize(start, 0);
        self.sections.push(Section { offset: bytes(start), bytes: bytes(section_bytes) });
    }

    /// Adds bytes to the section.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many sections were begun.
    pub(crate) fn section_count(&self) -> usize {
        self.sections.len()
    }

    fn check_section(&self) {
        let end = self.sections.last().map_or(bytes(PAGE_BYTES), |section| section.offset + section.bytes);
        assert_eq!(end, bytes(self.bytes.len()), "a section gets as many bytes as it was to get");
    }

    /// The whole file. `content` is what the header is to say beside the sections.
    pub(crate) fn finish(mut self, content: &[u8]) -> Vec<u8> {
        self.check_section();
        let end = self.bytes.len().next_multiple_of(PAGE_BYTES);
        self.bytes.resize(end, 0);
        let pages = self.bytes[PAGE_BYTES..].chunks(PAGE_BYTES);
        let table: Vec<u8> = (0..)
            .zip(pages)
            .flat_map(|(page, page_bytes)| self.identity.checksum(page, page_bytes).to_le_bytes())
            .collect();
        let data_pages = u32::try_from(table.len() / CHECKSUM_BYTES).expect("a segment bounds its index");
        let header = &mut self.bytes[..PAGE_BYTES];
        header[MAGIC..HEADER_CRC].copy_from_slice(PAGED_MAGIC);
        put_u16(header, VERSION, FORMAT_VERSION);
        put_u64(header, STORE_ID, self.identity.store_id);
        put_u64(header, SUBJECT, self.identity.subject);
        put_u32(header, DATA_PAGES, data_pages);
        put_u32(header, TABLE_CRC, checksum(&table));
        header[KIND] = self.identity.kind.number();
        header[SECTIONS] = u8::try_from(self.sections.len()).expect("at most SECTIONS_MAX");
        for (section, entry) in self.sections.iter().zip(header[SECTION_TABLE..].chunks_mut(SECTION_BYTES)) {
            put_u64(entry, SECTION_OFFSET, section.offset);
            put_u64(entry, SECTION_LENGTH, section.bytes);
        }
        header[CONTENT..CONTENT + content.len()].copy_from_slice(content);
        let crc = checksum(&header[VERSION..]);
        put_u32(header, HEADER_CRC, crc);
        self.bytes.extend_from_slice(&table);
        self.bytes
    }
}

/// Whether bytes at an offset don't straddle two pages, or begin one.
fn fits_page(offset: usize, length: usize) -> bool {
    offset.is_multiple_of(PAGE_BYTES) || offset % PAGE_BYTES + length <= PAGE_BYTES
}

/// What a header says.
#[derive(Debug)]
pub(crate) struct PagedHeader {
    pub(crate) identity: PagedIdentity,
    pub(crate) data_pages: u32,
    /// The checksum of the checksums.
    pub(crate) table_crc: u32,
    pub(crate) sections: Vec<Section>,
    /// What the file's kind says beside the sections.
    pub(crate) content: [u8; CONTENT_BYTES],
}

impl PagedHeader {
    /// The header of a file of a store and a kind.
    pub(crate) fn decode(
        bytes: &[u8; PAGE_BYTES],
        store_id: u64,
        kind: PagedKind,
    ) -> Result<Self, PagedFault> {
        check_header(bytes, store_id, kind)?;
        let data_pages = get_u32(bytes, DATA_PAGES);
        let mut content = [0; CONTENT_BYTES];
        content.copy_from_slice(&bytes[CONTENT..REST]);
        Ok(Self {
            identity: PagedIdentity { store_id, kind, subject: get_u64(bytes, SUBJECT) },
            data_pages,
            table_crc: get_u32(bytes, TABLE_CRC),
            sections: decode_sections(bytes, page_offset(data_pages))?,
            content,
        })
    }

    /// How long the file is, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        page_offset(self.data_pages) + u64::from(self.data_pages) * bytes(CHECKSUM_BYTES)
    }
}

/// Where a data page begins in the file.
pub(crate) fn page_offset(page: u32) -> u64 {
    (u64::from(page) + 1) * bytes(PAGE_BYTES)
}

/// Checks that a header is one of these.
fn check_header(header: &[u8; PAGE_BYTES], store_id: u64, kind: PagedKind) -> Result<(), PagedFault> {
    if header[MAGIC..HEADER_CRC] != *PAGED_MAGIC {
        return Err(PagedFault::Damaged("the file doesn't begin as a file of the index"));
    }
    if checksum(&header[VERSION..]) != get_u32(header, HEADER_CRC) {
        return Err(PagedFault::Damaged("the header's checksum doesn't match"));
    }
    if get_u16(header, VERSION) != FORMAT_VERSION || get_u16(header, FLAGS) != 0 {
        return Err(PagedFault::Damaged("another version wrote the file"));
    }
    if get_u64(header, STORE_ID) != store_id {
        return Err(PagedFault::Damaged("the file is from another store"));
    }
    if header[KIND] != kind.number() {
        return Err(PagedFault::Damaged("the file is of another kind"));
    }
    Ok(())
}

fn decode_sections(header: &[u8; PAGE_BYTES], data_end: u64) -> Result<Vec<Section>, PagedFault> {
    let count = usize::from(header[SECTIONS]);
    if count > SECTIONS_MAX {
        return Err(PagedFault::Damaged("there are more sections than there can be"));
    }
    let entries = header[SECTION_TABLE..CONTENT].chunks(SECTION_BYTES).take(count);
    let sections = entries.map(|entry| Section {
        offset: get_u64(entry, SECTION_OFFSET),
        bytes: get_u64(entry, SECTION_LENGTH),
    });
    let sections: Vec<Section> = sections.collect();
    let is_within = |section: &Section| {
        section.offset >= bytes(PAGE_BYTES)
            && section.offset.is_multiple_of(bytes(SECTION_ALIGNMENT))
            && section.offset.checked_add(section.bytes).is_some_and(|end| end <= data_end)
            && fits_page(index(section.offset), index(section.bytes))
    };
    if !sections.iter().all(is_within) {
        return Err(PagedFault::Damaged("a section isn't within the file's pages"));
    }
    Ok(sections)
}

/// The file with all of its checksums made right, whatever its bytes say.
#[cfg(test)]
pub(crate) fn with_right_checksums(mut file: Vec<u8>, identity: PagedIdentity) -> Vec<u8> {
    let pages = (file.len() - PAGE_BYTES) / (PAGE_BYTES + CHECKSUM_BYTES);
    let (data, table) = file[PAGE_BYTES..].split_at_mut(pages * PAGE_BYTES);
    let crcs =
        (0..).zip(data.chunks(PAGE_BYTES)).map(|(page, page_bytes)| identity.checksum(page, page_bytes));
    table.chunks_mut(CHECKSUM_BYTES).zip(crcs).for_each(|(entry, crc)| put_u32(entry, 0, crc));
    let table_crc = checksum(table);
    with_right_header(file, table_crc)
}

/// The file with a checksum of its checksums, and the header's own.
#[cfg(test)]
pub(crate) fn with_right_header(mut file: Vec<u8>, table_crc: u32) -> Vec<u8> {
    put_u32(&mut file, TABLE_CRC, table_crc);
    let header_crc = checksum(&file[VERSION..PAGE_BYTES]);
    put_u32(&mut file, HEADER_CRC, header_crc);
    file
}
