//! Paged files: what is noticed, and what is never believed.

use crate::{
    format::{
        layout::{bytes, checksum},
        paged::{
            CHECKSUM_BYTES, PAGE_BYTES, PagedFault, PagedIdentity, PagedKind, PagedWriter,
            with_right_checksums, with_right_header,
        },
        paged_file::PagedFile,
    },
    index::tests::disk_file,
    options::ReadMode,
};

const IDENTITY: PagedIdentity = PagedIdentity { store_id: 7, kind: PagedKind::SegmentIndex, subject: 12 };

/// Sections of these lengths, of bytes that tell where they are.
fn sections(lengths: &[usize]) -> Vec<Vec<u8>> {
    let byte = |section: usize, at: usize| {
        u8::try_from((section * 31 + at * 7 + at / 256) % 251).expect("below 251")
    };
    lengths
        .iter()
        .enumerate()
        .map(|(section, length)| (0..*length).map(|at| byte(section, at)).collect())
        .collect()
}

fn file_of(identity: PagedIdentity, sections: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = PagedWriter::new(identity, 0);
    for section in sections {
        writer.begin(section.len());
        writer.put(section);
    }
    writer.finish(b"content")
}

fn open(file: &[u8], is_mapped: bool) -> Result<PagedFile, PagedFault> {
    PagedFile::open(disk_file(file, is_mapped), ReadMode::Mapped, IDENTITY.store_id, IDENTITY.kind)
}

/// All sections of a file, read by pages and at once.
fn read_all(file: &PagedFile) -> Result<Vec<Vec<u8>>, PagedFault> {
    let mut sections = Vec::new();
    for section in 0..file.section_count() {
        let (mut whole, mut by_item) = (Vec::new(), Vec::new());
        let length = usize::try_from(file.section_bytes(section)).expect("64 bits");
        file.section(section).read(0, length, &mut whole)?;
        let mut reader = file.section(section);
        for at in (0..length).step_by(16) {
            by_item.extend_from_slice(reader.get(bytes(at), 16.min(length - at))?);
        }
        assert_eq!(whole, by_item);
        sections.push(whole);
    }
    Ok(sections)
}

#[test]
fn sections_come_back_as_they_were_put() {
    for lengths in
        [&[][..], &[0], &[1, 0, 63, 4_000, 100, 0], &[4_096, 4_097, 3, 20_000, 4_096], &[9_000, 4_032, 64, 1]]
    {
        let sections = sections(lengths);
        let file = file_of(IDENTITY, &sections);
        for is_mapped in [true, false] {
            let file = open(&file, is_mapped).expect("an undamaged file opens");
            assert_eq!(read_all(&file).expect("an undamaged file is read"), sections);
            assert_eq!((file.subject(), &file.content()[..8]), (12, &b"content\0"[..]));
            for (section, length) in lengths.iter().enumerate() {
                let mut reader = file.section(section);
                assert!(reader.get(bytes(*length), 1).is_err(), "behind the section's end");
                assert!(
                    reader.get(u64::MAX, 1).is_err() && reader.read(1, *length, &mut Vec::new()).is_err()
                );
                assert!(reader.read(u64::MAX, 2, &mut Vec::new()).is_err());
            }
        }
    }
}

#[test]
fn small_sections_share_a_page() {
    let file = file_of(IDENTITY, &sections(&[100, 200, 0, 300]));
    assert_eq!(file.len(), 2 * PAGE_BYTES + CHECKSUM_BYTES);
}

#[test]
fn every_flipped_bit_and_every_other_length_is_noticed() {
    let sections = sections(&[100, 5_000, 300]);
    let file = file_of(IDENTITY, &sections);
    let is_noticed = |file: &[u8], is_mapped| match open(file, is_mapped).and_then(|file| read_all(&file)) {
        Ok(read) => {
            assert_eq!(read, sections, "what is read is right");
            false
        }
        Err(PagedFault::Damaged(_)) => true,
        Err(PagedFault::Io(error)) => panic!("damage is told from what the system can't read: {error}"),
    };
    for is_mapped in [true, false] {
        assert!(!is_noticed(&file, is_mapped));
        let mut damaged = file.clone();
        for bit in 0..file.len() * 8 {
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(is_noticed(&damaged, is_mapped), "bit {} of byte {}", bit % 8, bit / 8);
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        for length in 0..file.len() {
            assert!(is_noticed(&file[..length], is_mapped), "{length} bytes");
        }
        assert!(is_noticed(&[file.as_slice(), &[0]].concat(), is_mapped), "a byte more");
    }
}

/// A file's header, with the pages and checksums of another.
fn with_pages_of(file: &[u8], other: &[u8]) -> Vec<u8> {
    let pages = (other.len() - PAGE_BYTES) / (PAGE_BYTES + CHECKSUM_BYTES);
    let table_crc = checksum(&other[(pages + 1) * PAGE_BYTES..]);
    with_right_header([&file[..PAGE_BYTES], &other[PAGE_BYTES..]].concat(), table_crc)
}

#[test]
fn pages_from_elsewhere_are_noticed() {
    let sections = sections(&[10_000, 10_000]);
    let file = file_of(IDENTITY, &sections);
    let is_read = |file: &[u8]| open(file, true).is_ok_and(|file| read_all(&file).is_ok());
    assert!(is_read(&with_pages_of(&file, &file)));
    let others = [
        PagedIdentity { store_id: 8, ..IDENTITY },
        PagedIdentity { kind: PagedKind::Directory, ..IDENTITY },
        PagedIdentity { subject: 13, ..IDENTITY },
    ];
    for other in others {
        assert!(!is_read(&with_pages_of(&file, &file_of(other, &sections))), "{other:?}");
        let subject_alone = other.store_id == IDENTITY.store_id && other.kind == IDENTITY.kind;
        assert_eq!(is_read(&file_of(other, &sections)), subject_alone, "its own kind of its own store");
    }
    let mut swapped = file.clone();
    let (one, rest) = swapped[PAGE_BYTES..].split_at_mut(PAGE_BYTES);
    one.swap_with_slice(&mut rest[..PAGE_BYTES]);
    let pages = (file.len() - PAGE_BYTES) / (PAGE_BYTES + CHECKSUM_BYTES);
    let table = (pages + 1) * PAGE_BYTES;
    for byte in 0..CHECKSUM_BYTES {
        swapped.swap(table + byte, table + CHECKSUM_BYTES + byte);
    }
    assert!(!is_read(&with_pages_of(&file, &swapped)), "two pages are swapped with their checksums");
}

#[test]
fn numbers_in_a_header_are_bounded_however_right_its_checksum_is() {
    let file = file_of(IDENTITY, &sections(&[5_000, 100]));
    let changed = |offset: usize, change: &[u8]| {
        let mut file = file.clone();
        file[offset..offset + change.len()].copy_from_slice(change);
        open(&with_right_checksums(file, IDENTITY), true).is_ok()
    };
    assert!(changed(0, b"A"));
    let most = u64::MAX.to_le_bytes();
    // The first section's offset and length, and the second's.
    for (offset, numbers) in [
        (64, &[0_u64, 32, 4_095, 4_100][..]),
        (72, &[8_193, 1 << 40]),
        (80, &[8_192 + 4_032, 64]),
        (88, &[4_096]),
    ] {
        assert!(!changed(offset, &most), "{offset}");
        for number in numbers {
            assert!(!changed(offset, &number.to_le_bytes()), "{number} at {offset}");
        }
    }
    assert!(!changed(12, &2_u16.to_le_bytes()) && !changed(14, &1_u16.to_le_bytes()), "a newer version");
    assert!(!changed(41, &[13]) && !changed(41, &[255]), "more sections than there can be");
    assert!(!changed(32, &1_u32.to_le_bytes()) && !changed(32, &u32::MAX.to_le_bytes()));
}
