//! The smallest pieces of the format: little-endian numbers at fixed offsets, checksums, roundings.

use std::sync::LazyLock;

use crc32fast::Hasher;

use crate::{disk::contract::SECTOR_BYTES, event, event_id, stream};

/// The format that this crate writes, and the newest that it reads.
pub(crate) const FORMAT_VERSION: u16 = 1;

/// What a frame's place and length are multiples of, in bytes.
pub(crate) const FRAME_ALIGNMENT: usize = 64;

/// The pieces in which a frame's zeros are counted: what a disk writes whole or not at all.
pub(crate) const PIECE_BYTES: usize = 512;

/// The most that a commit may have, in bytes of its events as they are stored: 64 MiB.
pub const COMMIT_BYTES_MAX: usize = 64 << 20;

/// The most that a frame's payload may have, in bytes: a commit's records.
pub(crate) const PAYLOAD_BYTES_MAX: usize = COMMIT_BYTES_MAX;

/// How much the names, the id and the fixed parts of a record may add to the event's own bytes.
pub(crate) const RECORD_OVERHEAD_BYTES_MAX: usize = 128 << 10;

/// The longest record, in bytes.
pub(crate) const RECORD_BYTES_MAX: usize = event::EVENT_BYTES_MAX + RECORD_OVERHEAD_BYTES_MAX;

const _: () = {
    assert!(PIECE_BYTES as u64 == SECTOR_BYTES, "pieces are sectors");
    assert!(PIECE_BYTES.is_multiple_of(FRAME_ALIGNMENT), "a frame's header never straddles a sector");
    assert!(RECORD_BYTES_MAX <= PAYLOAD_BYTES_MAX, "the largest event fits a frame");
    assert!(
        2 * stream::NAME_BYTES_MAX + event_id::EVENT_ID_BYTES_MAX + 256 + 65_535 <= RECORD_OVERHEAD_BYTES_MAX,
        "names, id, fixed part and extensions fit what is set aside for them"
    );
};

/// Names the offsets of a structure's fields, and checks that each begins where the one before it ends.
macro_rules! layout {
    ($table:ident, $size:expr; $($offset:literal $bytes:literal $name:ident;)*) => {
        $(
            #[allow(dead_code, reason = "reserved fields are named for the tables alone")]
            const $name: usize = $offset;
        )*
        /// Every field of the structure: offset, bytes, name.
        pub(crate) const $table: &[(usize, usize, &str)] = &[$(($offset, $bytes, stringify!($name))),*];
        const _: () = {
            let mut end = 0;
            let mut field = 0;
            while field < $table.len() {
                assert!($table[field].0 == end, "a field begins where the one before it ends");
                end += $table[field].1;
                field += 1;
            }
            assert!(end == $size, "the fields fill the structure");
        };
    };
}
pub(crate) use layout;

/// Reads the number at an offset. The caller has checked that the bytes are there.
macro_rules! number {
    ($get:ident, $put:ident, $type:ty) => {
        pub(crate) fn $get(bytes: &[u8], offset: usize) -> $type {
            const BYTES: usize = size_of::<$type>();
            let mut number = [0; BYTES];
            number.copy_from_slice(&bytes[offset..offset + BYTES]);
            <$type>::from_le_bytes(number)
        }

        pub(crate) fn $put(bytes: &mut [u8], offset: usize, number: $type) {
            bytes[offset..offset + size_of::<$type>()].copy_from_slice(&number.to_le_bytes());
        }
    };
}

number!(get_u16, put_u16, u16);
number!(get_u32, put_u32, u32);
number!(get_u64, put_u64, u64);
number!(get_i64, put_i64, i64);

/// CRC-32 (IEEE), the checksum of every structure.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    // What the processor can do is asked once, and not for each record.
    static EMPTY: LazyLock<Hasher> = LazyLock::new(Hasher::new);
    let mut hasher = EMPTY.clone();
    hasher.update(bytes);
    hasher.finalize()
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_le_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// A file's offset or length as an index: 64-bit systems only, so nothing is cut.
pub(crate) fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("lib.rs refuses systems of less than 64 bits")
}

/// A length of memory as a file's.
pub(crate) fn bytes(length: usize) -> u64 {
    length as u64
}

/// The next multiple of a frame's alignment.
pub(crate) const fn align(length: usize) -> usize {
    length.next_multiple_of(FRAME_ALIGNMENT)
}
