//! Little-endian numbers in bytes of which any may be missing: what isn't there reads as 0, and isn't written.

pub(crate) fn get_u16(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(get(bytes, offset))
}

pub(crate) fn get_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(get(bytes, offset))
}

pub(crate) fn get_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(get(bytes, offset))
}

pub(crate) fn put_u16(bytes: &mut [u8], offset: usize, number: u16) {
    put(bytes, offset, &number.to_le_bytes());
}

pub(crate) fn put_u32(bytes: &mut [u8], offset: usize, number: u32) {
    put(bytes, offset, &number.to_le_bytes());
}

pub(crate) fn put_u64(bytes: &mut [u8], offset: usize, number: u64) {
    put(bytes, offset, &number.to_le_bytes());
}

pub(crate) fn put(bytes: &mut [u8], offset: usize, content: &[u8]) {
    if let Some(place) = bytes.get_mut(offset..offset + content.len()) {
        place.copy_from_slice(content);
    }
}

fn get<const BYTES: usize>(bytes: &[u8], offset: usize) -> [u8; BYTES] {
    let found = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    found.copied().unwrap_or([0; BYTES])
}

/// A length in memory as a number of the format.
pub(crate) fn long(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A length as the format has them in 4 bytes.
pub(crate) fn short(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
