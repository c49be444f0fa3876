//! The page that is shared with other processes: `head`. What it says holds for one run of the system.
//!
//! Its constant part says whose it is, and has a checksum; it is written when a store is opened for writing. Behind
//! it stand three numbers that change while others look, each by itself.

use crate::{
    disk::contract::SHARED_PAGE_BYTES,
    format::layout::{
        FORMAT_VERSION, checksum, get_u16, get_u32, get_u64, is_zero, layout, put_u16, put_u32, put_u64,
    },
};

/// The length of the part with the checksum, in bytes.
pub(crate) const HEAD_CONSTANT_BYTES: usize = 64;

/// The bit of the wake word that says that someone sleeps on it. The bits above count how often it was cleared.
pub(crate) const WAITERS: u32 = 1;

const HEAD_MAGIC: &[u8; 8] = b"ANNALHED";

layout! { HEAD_FIELDS, SHARED_PAGE_BYTES;
    0 8 MAGIC;
    8 4 HEAD_CRC;
    12 2 VERSION;
    14 2 FLAGS;
    16 8 STORE_ID;
    24 16 BOOT_ID;
    40 4 EPOCH;
    44 20 CONSTANT_RESERVED;
    64 8 COMMITTED;
    72 8 LAST_POSITION;
    80 4 WAKE_WORD;
    84 4012 HEAD_RESERVED;
}

/// Where the log offset stands up to which everything is committed.
pub(crate) const COMMITTED_AT: usize = COMMITTED;

/// Where the position of the last committed event stands.
pub(crate) const LAST_POSITION_AT: usize = LAST_POSITION;

/// Where the word stands that readers sleep on.
pub(crate) const WAKE_WORD_AT: usize = WAKE_WORD;

/// Whose page it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct HeadConstant {
    pub(crate) store_id: u64,
    /// The run of the system in which it was written; 0: not known.
    pub(crate) boot_id: u128,
    /// The epoch of the log's last frame when it was written.
    pub(crate) epoch: u32,
}

impl HeadConstant {
    pub(crate) fn encode(&self) -> [u8; HEAD_CONSTANT_BYTES] {
        let mut bytes = [0; HEAD_CONSTANT_BYTES];
        bytes[MAGIC..HEAD_CRC].copy_from_slice(HEAD_MAGIC);
        put_u16(&mut bytes, VERSION, FORMAT_VERSION);
        put_u64(&mut bytes, STORE_ID, self.store_id);
        bytes[BOOT_ID..EPOCH].copy_from_slice(&self.boot_id.to_le_bytes());
        put_u32(&mut bytes, EPOCH, self.epoch);
        let crc = checksum(&bytes[VERSION..]);
        put_u32(&mut bytes, HEAD_CRC, crc);
        bytes
    }

    /// What the constant part says; none if it isn't whole, or another version's: the page is then as good as
    /// none.
    pub(crate) fn decode(bytes: &[u8; HEAD_CONSTANT_BYTES]) -> Option<Self> {
        let is_ours = &bytes[MAGIC..HEAD_CRC] == HEAD_MAGIC
            && checksum(&bytes[VERSION..]) == get_u32(bytes, HEAD_CRC)
            && get_u16(bytes, VERSION) == FORMAT_VERSION
            && get_u16(bytes, FLAGS) == 0
            && is_zero(&bytes[CONSTANT_RESERVED..]);
        let mut boot_id = [0; 16];
        boot_id.copy_from_slice(&bytes[BOOT_ID..EPOCH]);
        is_ours.then(|| Self {
            store_id: get_u64(bytes, STORE_ID),
            boot_id: u128::from_le_bytes(boot_id),
            epoch: get_u32(bytes, EPOCH),
        })
    }
}
