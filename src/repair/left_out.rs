//! What a cut takes out of the log: what of it can be read, and what is lost. It is found in a walk that tells nothing else: the lists of
//! an inspection are bounded, and may be full of what stands before the cut.

use crate::{
    error::Result,
    format::layout::bytes,
    inspect::{
        losses::Place,
        report::{Listed, LostId, LostVersions, PositionRange},
        stream_table::StreamTable,
        verify::Part,
    },
    repair::progress::RepairProgress,
};

/// What is behind a cut.
#[derive(Debug)]
pub(crate) struct LeftOut {
    pub(crate) lost: Listed<PositionRange>,
    /// None: nobody knows how many.
    pub(crate) events_lost: Option<u64>,
    pub(crate) lost_versions: Listed<LostVersions>,
    pub(crate) lost_ids: Listed<LostId>,
    /// The positions of those that can be read.
    pub(crate) intact: Listed<PositionRange>,
    pub(crate) events_intact: u64,
}

impl LeftOut {
    /// What is behind the end of a log that isn't cut.
    pub(crate) fn nothing() -> Self {
        let (lost, lost_versions, lost_ids) = (Listed::default(), Listed::default(), Listed::default());
        Self {
            lost,
            events_lost: Some(0),
            lost_versions,
            lost_ids,
            intact: Listed::default(),
            events_intact: 0,
        }
    }

    /// What is behind a cut in a part of the log that begins behind these streams. `file_bytes` is how much there is of it to be read.
    pub(crate) fn find(
        part: &Part<'_>,
        streams: StreamTable,
        cut: Place,
        file_bytes: u64,
        progress: &mut RepairProgress<'_>,
    ) -> Result<Self> {
        progress.expect(file_bytes);
        let (first, mut events_intact) = (cut.first_behind, 0);
        let found = part.walk_telling_behind(streams, cut, &mut |_, _, record| {
            events_intact += u64::from(record.event.position >= first);
            progress.advance(bytes(record.bytes.len()))
        })?;
        let (lost, events_lost, intact) = (found.lost, found.events_lost, found.intact);
        let (lost_versions, lost_ids) = (found.lost_versions, found.lost_ids);
        Ok(Self { lost, events_lost, lost_versions, lost_ids, intact, events_intact })
    }
}
