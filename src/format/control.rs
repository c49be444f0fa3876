//! The small cold structures, which bincode writes: store.meta and durable.mark here, the header of a snapshot and a
//! backup's manifest in their own files.
//!
//! Each stands in an envelope: magic, checksum, format version, length. The checksum is compared before
//! bincode sees a byte, and bincode gets a limit, so damaged bytes never reach it.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::format::{
    binary,
    layout::{FORMAT_VERSION, PIECE_BYTES, checksum, get_u16, get_u32, layout, put_u16, put_u32},
    segment_header::SEGMENT_NUMBER_MAX,
};

/// The envelope's length in bytes; the structure follows.
pub(crate) const ENVELOPE_BYTES: usize = 20;

/// The most that a structure in an envelope may have, in bytes.
pub(crate) const STRUCTURE_BYTES_MAX: usize = 4_096;

/// The length of one slot of durable.mark in bytes: a sector, so that writing one never touches the other.
pub(crate) const MARK_SLOT_BYTES: usize = PIECE_BYTES;

layout! { ENVELOPE_FIELDS, ENVELOPE_BYTES;
    0 8 MAGIC;
    8 4 ENVELOPE_CRC;
    12 2 VERSION;
    14 2 FLAGS;
    16 4 LENGTH;
}

/// What a structure's envelope begins with.
pub(crate) type Magic = [u8; 8];

/// store.meta: that the store is whole, and which it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct StoreMeta {
    /// The same in every frame and segment of the store.
    pub(crate) store_id: u64,
    /// When it was made: microseconds since 1970.
    pub(crate) created: i64,
    /// The number of the oldest segment that is kept; 1 in this version.
    pub(crate) first_segment: u64,
}

/// One slot of durable.mark: the log was durable up to here.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct DurableMark {
    pub(crate) store_id: u64,
    /// One more than the other slot's: the greater is the newer.
    pub(crate) sequence: u64,
    /// The log offset up to which everything was synced.
    pub(crate) durable: u64,
}

/// Why bytes in an envelope can't be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum EnvelopeFault {
    /// A newer version wrote them.
    Newer(u16),
    /// They are damaged, or something else.
    Damaged(&'static str),
}

impl StoreMeta {
    const MAGIC: Magic = *b"ANNALMET";

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(Self::MAGIC, self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, EnvelopeFault> {
        let meta: Self = decode(Self::MAGIC, bytes)?;
        if (1..=SEGMENT_NUMBER_MAX).contains(&meta.first_segment) {
            Ok(meta)
        } else {
            Err(EnvelopeFault::Damaged("it names a first segment that can't be"))
        }
    }
}

impl DurableMark {
    const MAGIC: Magic = *b"ANNALDUR";

    /// The slot's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut slot = encode(Self::MAGIC, self);
        assert!(slot.len() <= MARK_SLOT_BYTES, "a mark fits its slot");
        slot.resize(MARK_SLOT_BYTES, 0);
        slot
    }

    pub(crate) fn decode(slot: &[u8]) -> Result<Self, EnvelopeFault> {
        let length = get_length(slot).ok_or(EnvelopeFault::Damaged("the slot is cut off"))?;
        decode(Self::MAGIC, &slot[..length])
    }
}

/// A structure in its envelope.
pub(crate) fn encode(magic: Magic, structure: &impl Serialize) -> Vec<u8> {
    let body = binary::to_bytes(structure).expect("numbers and short texts always encode");
    let mut bytes = vec![0; ENVELOPE_BYTES];
    bytes[MAGIC..ENVELOPE_CRC].copy_from_slice(&magic);
    put_u16(&mut bytes, VERSION, FORMAT_VERSION);
    put_u32(&mut bytes, LENGTH, u32::try_from(body.len()).expect("a structure has some numbers"));
    bytes.extend_from_slice(&body);
    let crc = checksum(&bytes[VERSION..]);
    put_u32(&mut bytes, ENVELOPE_CRC, crc);
    bytes
}

/// The length that an envelope names, header included, if so many bytes are there.
pub(crate) fn get_length(bytes: &[u8]) -> Option<usize> {
    let length = ENVELOPE_BYTES + get_u32(bytes.get(..ENVELOPE_BYTES)?, LENGTH) as usize;
    (length <= bytes.len()).then_some(length)
}

/// What stands in an envelope, which ends where the bytes do.
pub(crate) fn decode<T: DeserializeOwned>(magic: Magic, bytes: &[u8]) -> Result<T, EnvelopeFault> {
    decode_up_to::<STRUCTURE_BYTES_MAX, T>(magic, bytes)
}

/// The same for a structure that may have more bytes.
pub(crate) fn decode_up_to<const BYTES_MAX: usize, T: DeserializeOwned>(
    magic: Magic,
    bytes: &[u8],
) -> Result<T, EnvelopeFault> {
    use EnvelopeFault::{Damaged, Newer};
    if get_length(bytes) != Some(bytes.len()) {
        return Err(Damaged("its length isn't what it names"));
    }
    if bytes[MAGIC..ENVELOPE_CRC] != magic {
        return Err(Damaged("it doesn't begin as it must"));
    }
    if checksum(&bytes[VERSION..]) != get_u32(bytes, ENVELOPE_CRC) {
        return Err(Damaged("its checksum doesn't match"));
    }
    let version = get_u16(bytes, VERSION);
    if version > FORMAT_VERSION || get_u16(bytes, FLAGS) != 0 {
        return Err(Newer(version.max(FORMAT_VERSION + 1)));
    }
    if version == 0 {
        return Err(Damaged("its version is 0, which there never was"));
    }
    let body = &bytes[ENVELOPE_BYTES..];
    binary::from_bytes::<BYTES_MAX, _>(PhantomData, body).map_err(|_| Damaged("its content is malformed"))
}
