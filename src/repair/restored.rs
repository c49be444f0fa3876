//! What the backup gives back: which positions, and of which streams.

use std::collections::HashMap;

use crate::{
    format::record::Record,
    index::key::StreamKey,
    inspect::report::{Listed, LostVersions, PositionRange},
    position::{Position, Version},
};

/// What the backup gives back.
#[derive(Default, Debug)]
pub(crate) struct Restored {
    ranges: Listed<PositionRange>,
    /// What isn't in the list yet.
    latest: Option<PositionRange>,
    pub(crate) events: u64,
    /// The latest version that is given back of each stream that has lost any.
    versions: HashMap<u64, Version>,
}

impl Restored {
    pub(crate) fn new(lost: &[LostVersions]) -> Self {
        let versions = lost.iter().map(|lost| (lost.stream_hash, Version::NONE)).collect();
        Self { versions, ..Self::default() }
    }

    /// Takes in an event of the backup.
    pub(crate) fn event(&mut self, record: &Record<'_>, store_id: u64) {
        let event = &record.event;
        self.events += 1;
        match &mut self.latest {
            Some(latest) if latest.last.map(Position::next) == Some(event.position) => {
                latest.last = Some(event.position);
            }
            latest => {
                let one = PositionRange::new(event.position, Some(event.position));
                latest.replace(one).into_iter().for_each(|before| self.ranges.push(before));
            }
        }
        if let Some(version) = self.versions.get_mut(&StreamKey::of(event.stream, store_id).hash) {
            *version = event.version.max(*version);
        }
    }

    /// The positions.
    pub(crate) fn ranges(&self) -> Listed<PositionRange> {
        let mut ranges = self.ranges.clone();
        self.latest.into_iter().for_each(|latest| ranges.push(latest));
        ranges
    }

    /// What is lost of a range of versions all the same.
    pub(crate) fn still_lost(&self, lost: &LostVersions) -> Option<LostVersions> {
        let restored = self.versions.get(&lost.stream_hash).copied().unwrap_or(Version::NONE);
        let first = lost.first.max(restored.next());
        (first <= lost.last).then(|| LostVersions { first, ..lost.clone() })
    }
}
