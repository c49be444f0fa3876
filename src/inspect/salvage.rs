//! Whole records within a broken frame: each has a checksum of its own.
//!
//! A record is believed only where one must stand: behind the frame's header, behind a whole record, or behind one that is
//! damaged and whose length leads to the next. Where the length is damaged too, the next one is looked for byte by byte, and
//! believed only if it isn't the damaged one's own number, and the records behind it lead to the end without a gap. So bytes that a
//! caller has put into an event's data, however they look, are never taken for a record: between a forged one and the
//! next real one the numbers don't fit.

use crate::{
    event_id::{EventId, EventIdRef},
    format::{
        layout::{align, get_u64},
        record::{self, RECORD_FIXED_BYTES, Record},
    },
    inspect::allowance::Allowance,
    position::{Position, Version},
};

/// What a frame's header takes, which stands before the first record.
const HEADER_BYTES: usize = crate::format::frame::FRAME_HEADER_BYTES;

/// A stretch of the log that isn't valid, from the beginning of a frame on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken<'a> {
    pub(crate) bytes: &'a [u8],
    /// The position of the first event that may be in it.
    pub(crate) first: Position,
    /// The position of the first event behind it, where that is known.
    pub(crate) beyond: Option<Position>,
    /// What may be checked of the segment yet.
    pub(crate) allowance: &'a Allowance,
}

impl<'a> Broken<'a> {
    /// Visits the records whose places are known, in order, each with its place in the stretch and its position; those that
    /// are damaged as none. Returns the position behind the last record, where records lead to `payload_end`.
    pub(crate) fn each_record(
        &self,
        payload_end: Option<usize>,
        visit: &mut dyn FnMut(usize, Position, Option<&Record<'a>>),
    ) -> Option<Position> {
        let (mut at, mut expected) = (HEADER_BYTES, self.first);
        while self.is_before_end(expected) && at < self.bytes.len() {
            if let Some(record) = self.record_at(at, expected) {
                visit(at, expected, Some(&record));
                at += record.bytes.len();
                expected = expected.next();
            } else if let Some(next) = self.behind_header(at, expected) {
                at = next;
            } else {
                visit(at, expected, None);
                let next = self.behind_damaged(at, expected, payload_end).map(|next| (next, expected.next()));
                (at, expected) = next.or_else(|| self.search(at + 1, expected.next()))?;
            }
            if Some(at) == payload_end {
                return Some(expected);
            }
        }
        None
    }

    fn is_before_end(&self, position: Position) -> bool {
        self.beyond.is_none_or(|beyond| position < beyond)
    }

    /// The record at a place, if it is whole and has this position.
    fn record_at(&self, at: usize, position: Position) -> Option<Record<'a>> {
        let bytes = self.bytes.get(at..)?;
        let length = record::length(bytes).ok().filter(|length| *length <= bytes.len())?;
        // Its number first: that costs nothing.
        if Position::new(get_u64(bytes, 8)) != position || !self.allowance.pay(length as u64) {
            return None;
        }
        let record = record::decode(bytes).ok()?;
        (record.event.position == position).then_some(record)
    }

    /// The place behind padding and a header, where a broken frame is followed by another.
    fn behind_header(&self, at: usize, expected: Position) -> Option<usize> {
        let next = align(at) + HEADER_BYTES;
        self.record_at(next, expected).map(|_| next)
    }

    /// The place behind a damaged record, by its own length.
    fn behind_damaged(&self, at: usize, position: Position, payload_end: Option<usize>) -> Option<usize> {
        let next = at + record::length(self.bytes.get(at..)?).ok()?;
        let is_last = self.beyond == Some(position.next());
        let leads_on = self.record_at(next, position.next()).is_some()
            || self.behind_header(next, position.next()).is_some();
        // The last one has to end where the frame does.
        (leads_on || (Some(next) == payload_end && (is_last || self.beyond.is_none()))).then_some(next)
    }

    /// The first place from `at` on from which records lead to the end without a gap, and the position there.
    fn search(&self, from: usize, first: Position) -> Option<(usize, Position)> {
        let beyond = self.beyond?;
        for at in from..self.bytes.len().saturating_sub(RECORD_FIXED_BYTES) {
            let position = Position::new(get_u64(self.bytes, at + 8));
            if position < first || position >= beyond || self.record_at(at, position).is_none() {
                continue;
            }
            if self.leads_to_end(at, position) {
                return Some((at, position));
            }
        }
        None
    }

    fn leads_to_end(&self, mut at: usize, mut position: Position) -> bool {
        while self.is_before_end(position) {
            let next = match self.record_at(at, position) {
                Some(record) => Some(at + record.bytes.len()),
                None => match self.behind_header(at, position) {
                    Some(there) => {
                        at = there;
                        continue;
                    }
                    None => self.behind_damaged(at, position, None),
                },
            };
            let Some(next) = next else { return false };
            at = next;
            position = position.next();
        }
        true
    }
}

/// What the damaged record at a place seems to say: its stream, version and position; not checked in any way.
pub(crate) fn seeming(content: &[u8]) -> Option<(&str, Version, Position)> {
    let fixed = content.get(..RECORD_FIXED_BYTES)?;
    let stream = str::from_utf8(record::peek_stream(content)?).ok()?;
    Some((stream, Version::new(get_u64(fixed, 16)), Position::new(get_u64(fixed, 8))))
}

/// The id that the damaged record of this position seems to have, and where it ends in the record; not checked in any way.
pub(crate) fn seeming_id(content: &[u8], position: Position) -> Option<(EventId, usize)> {
    let (_, id, end) = record::peek_id(content).filter(|(seeming, _, _)| *seeming == position)?;
    match id {
        // Rather a place that was overwritten with zeros than an id.
        EventIdRef::Uuid(uuid) if uuid.is_nil() => None,
        EventIdRef::Uuid(uuid) => Some((uuid.into(), end)),
        EventIdRef::Text(text) => Some((EventId::new(text).ok()?, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_look_like_records_everywhere_cost_no_more_than_is_allowed() {
        // The length and the position of a large record, at every second byte.
        let record_bytes = u32::from_le_bytes([0, 1, 0, 1]) as usize;
        let bytes = [0, 1].repeat(record_bytes / 2 + HEADER_BYTES + 100);
        let allowance = Allowance::new(3 * record_bytes as u64);
        let broken = Broken {
            bytes: &bytes,
            first: Position::FIRST,
            beyond: Some(Position::new(u64::MAX)),
            allowance: &allowance,
        };
        let mut visited = 0;
        assert_eq!(broken.each_record(None, &mut |_, _, _| visited += 1), None);
        assert_eq!((visited, allowance.is_spent()), (1, true));
    }
}
