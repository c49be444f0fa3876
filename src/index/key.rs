//! What the index knows streams and ids by: hashes, so that no name is kept.
//!
//! The store's id seeds them all. Whoever chooses names can't know it, and so can't choose names that collide;
//! and an index of another store finds nothing.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::format::record::IdForm;

/// A stream: 96 bits of a hash of its name.
///
/// Two streams with the same `hash` and another `check` are never in one store: the writer refuses the second. So
/// what has no room for `check` finds the right stream or one whose name differs from the one that was asked
/// for, which its record tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct StreamKey {
    pub(crate) hash: u64,
    pub(crate) check: u32,
}

impl StreamKey {
    /// The key of a stream's name in the store with this id.
    pub(crate) fn of(name: &str, store_id: u64) -> Self {
        let bytes = xxh3_128_with_seed(name.as_bytes(), store_id).to_le_bytes();
        let (hash, rest) = bytes.split_first_chunk().expect("16 bytes are more than 8");
        let (check, _) = rest.split_first_chunk().expect("8 bytes are more than 4");
        Self { hash: u64::from_le_bytes(*hash), check: u32::from_le_bytes(*check) }
    }
}

/// The hash of an id that a caller gave. The stream isn't in it, so an event is found by its id alone.
pub(crate) fn id_hash(id: &[u8], form: IdForm, store_id: u64) -> u32 {
    let form = match form {
        IdForm::Uuid => 0,
        IdForm::Text => 1,
    };
    let bytes = xxh3_64_with_seed(id, store_id.wrapping_add(form)).to_le_bytes();
    u32::from_le_bytes(*bytes.first_chunk().expect("8 bytes are more than 4"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_everywhere_and_differ_by_name_and_store() {
        // Index files have them: another value here is another file format.
        assert_eq!(StreamKey::of("order-17", 7), StreamKey { hash: HASH, check: CHECK });
        assert_ne!(StreamKey::of("order-17", 7), StreamKey::of("order-17", 8));
        assert_ne!(StreamKey::of("order-17", 7), StreamKey::of("order-18", 7));
    }

    #[test]
    fn ids_of_two_forms_are_two_ids() {
        let id = *b"0123456789abcdef";
        assert_eq!(id_hash(&id, IdForm::Uuid, 7), ID_HASH);
        assert_ne!(id_hash(&id, IdForm::Uuid, 7), id_hash(&id, IdForm::Text, 7));
        assert_ne!(id_hash(&id, IdForm::Uuid, 7), id_hash(&id, IdForm::Uuid, 9));
    }

    const HASH: u64 = 11_780_552_181_839_995_119;
    const CHECK: u32 = 1_288_913_921;
    const ID_HASH: u32 = 1_052_600_176;
}
