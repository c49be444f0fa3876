//! The events that files have, found without the store's code: whatever has a record's length and checksum, wherever it
//! stands, is one.

use std::collections::HashMap;

use annals::StoredEvent;

use super::little::{get_u16, get_u32, get_u64};

const FIXED_BYTES: usize = 56;
const OCCURRED_AT: u16 = 8;

/// How many bytes are checked in all: hostile bytes may have a length everywhere.
const CHECKED_BYTES_MAX: usize = 32 << 20;

/// The records of each position.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    by_position: HashMap<u64, Vec<&'a [u8]>>,
    /// Whether all bytes were looked at.
    is_complete: bool,
}

impl<'a> Records<'a> {
    pub(crate) fn of(files: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut records = Self { by_position: HashMap::new(), is_complete: true };
        let mut left = CHECKED_BYTES_MAX;
        for file in files {
            for start in 0..file.len() {
                let rest = &file[start..];
                let length = get_u32(rest, 0) as usize;
                let Some(record) = rest.get(..length).filter(|record| record.len() >= FIXED_BYTES) else {
                    continue;
                };
                let Some(less) = left.checked_sub(length) else {
                    records.is_complete = false;
                    return records;
                };
                left = less;
                if crc32fast::hash(&record[8..]) == get_u32(record, 4) {
                    records.by_position.entry(get_u64(record, 8)).or_default().push(record);
                }
            }
        }
        records
    }

    /// Whether one of them may be this event.
    pub(crate) fn have(&self, event: &StoredEvent) -> bool {
        let found = self.by_position.get(&event.position.get());
        !self.is_complete || found.is_some_and(|records| records.iter().any(|record| is_of(record, event)))
    }
}

fn is_of(record: &[u8], event: &StoredEvent) -> bool {
    let occurred_at_bytes = if get_u16(record, 32) & OCCURRED_AT == 0 { 0 } else { 10 };
    let stream_start = FIXED_BYTES + occurred_at_bytes + usize::from(record[54]);
    let stream_end = stream_start + usize::from(get_u16(record, 48));
    let data_end = record.len().saturating_sub(usize::from(get_u16(record, 52)));
    let data_start = data_end.saturating_sub(get_u32(record, 40) as usize);
    get_u64(record, 16) == event.version.get()
        && record.get(stream_start..stream_end) == Some(event.stream.as_str().as_bytes())
        && record.get(data_start..data_end) == Some(&event.data[..])
}
