//! Stores are mostly zeros, which a fuzzer would change one by one. Packed, a zero is followed by how many more of
//! them come (u16); other bytes stand for themselves. So every row of bytes is the packed form of something.

/// The longest file that an input may unpack to, in bytes.
const FILE_BYTES_MAX: usize = 96 << 10;

pub(crate) fn unpack(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = packed.iter();
    while let Some(byte) = rest.next() {
        bytes.push(*byte);
        if *byte == 0 {
            let count = [rest.next(), rest.next()].map(|byte| byte.copied().unwrap_or(0));
            bytes.resize(bytes.len() + usize::from(u16::from_le_bytes(count)), 0);
        }
        if bytes.len() >= FILE_BYTES_MAX {
            bytes.truncate(FILE_BYTES_MAX);
            break;
        }
    }
    bytes
}

pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut rest = bytes;
    while let Some((byte, behind)) = rest.split_first() {
        packed.push(*byte);
        rest = behind;
        if *byte == 0 {
            let zeros = rest.iter().take(usize::from(u16::MAX)).take_while(|byte| **byte == 0).count();
            packed.extend_from_slice(&u16::try_from(zeros).unwrap_or(u16::MAX).to_le_bytes());
            rest = &rest[zeros..];
        }
    }
    packed
}
