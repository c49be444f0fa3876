//! A stretch of the log that a repair takes from the backup, and whether it is of the store's own history.
//!
//! What stands before it can't tell that: up to the place where two histories part they are the same. What the store still has
//! of the stretch, and behind it, can.

use std::io;

use crate::{
    format::segment_header::SegmentHeader,
    inspect::{search::Search, walk::header_at_end},
    log::scan::ChainEnd,
};

/// Where the store's own frames stop, and what the backup's must agree with.
#[derive(Default, Debug)]
pub(crate) struct BackupRun {
    /// Where the store's own frames go on.
    pub(crate) resumed: Option<ChainEnd>,
    /// The checksum of the header of the frame that is damaged, if that header is right.
    header_crc: Option<u32>,
    /// Whether the backup has anything else. What was taken for a frame of the store may be an event's data: so this counts
    /// only as long as the store's own frames don't go on from the backup's.
    is_other: bool,
}

impl BackupRun {
    /// Where the store's own frames stop; none: the store hasn't got the segment.
    pub(crate) fn begin(own: Option<&mut Search<'_>>, from: &ChainEnd) -> io::Result<Self> {
        let Some(own) = own else { return Ok(Self::default()) };
        let header_crc = header_at_end(own.segment, from)?.map(|header| header.crc);
        Ok(Self { resumed: own.find_on(from)?, header_crc, is_other: false })
    }

    /// Whether the store's own frames were to go on here, and what they agree with has to be looked for behind.
    pub(crate) fn is_over(&self, end: &ChainEnd) -> bool {
        self.resumed
            .is_some_and(|resumed| resumed.file_offset == end.file_offset && resumed.chain == end.chain)
    }

    /// Looks at a frame of the backup, by what goes on from it.
    pub(crate) fn take(&mut self, end: &ChainEnd) {
        let is_beside = |resumed: ChainEnd| {
            end.next_position > resumed.next_position
                || end.file_offset > resumed.file_offset
                || (end.file_offset == resumed.file_offset && end.chain != resumed.chain)
        };
        self.is_other |= self.header_crc.take().is_some_and(|crc| crc != end.chain);
        self.is_other |= self.resumed.is_some_and(is_beside);
    }

    /// Whether the segment ends with frames of another history, when it ends with the backup's. `next` is the header of the
    /// store's next segment.
    pub(crate) fn is_of_another_history(&self, end: &ChainEnd, next: Option<&SegmentHeader>) -> bool {
        match (end.seal, next) {
            (Some(seal), Some(next)) => !next.is_behind(&seal),
            _ => self.is_other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{format::frame::EpochMode, position::Position};

    fn end(file_offset: u64, chain: u32, next_position: u64) -> ChainEnd {
        let next_position = Position::new(next_position);
        ChainEnd { file_offset, chain, epoch: 1, mode: EpochMode::Fsync, next_position, seal: None }
    }

    #[test]
    fn a_run_is_of_another_history_if_the_store_has_something_else_there() {
        let resumed = end(1024, 7, 5);
        let is_other = |header_crc: Option<u32>, frames: &[ChainEnd]| {
            let mut run = BackupRun { resumed: Some(resumed), header_crc, is_other: false };
            for end in frames {
                run.take(end);
            }
            run.is_of_another_history(frames.last().expect("a frame"), None)
        };
        assert!(!is_other(None, &[end(768, 3, 3), end(1024, 7, 5)]));
        assert!(!is_other(None, &[end(768, 3, 5)]), "the backup ends before");
        assert!(is_other(None, &[end(768, 3, 6)]), "too many events");
        assert!(is_other(None, &[end(768, 3, 3), end(1088, 7, 5)]), "too long");
        assert!(is_other(None, &[end(1024, 8, 5)]), "not what the store goes on from");
        // Only the first frame is the one whose header is there.
        assert!(!is_other(Some(3), &[end(768, 3, 3), end(1024, 7, 5)]));
        assert!(is_other(Some(4), &[end(768, 3, 3), end(1024, 7, 5)]));
    }
}
