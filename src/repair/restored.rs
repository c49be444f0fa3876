//! What the backup gives back: which positions.

use crate::{
    format::record::Record,
    inspect::report::{Listed, PositionRange},
    position::Position,
};

/// What the backup gives back.
#[derive(Default, Debug)]
pub(crate) struct Restored {
    ranges: Listed<PositionRange>,
    /// What isn't in the list yet.
    latest: Option<PositionRange>,
    pub(crate) events: u64,
    /// The positions of the store's own events that are intact.
    intact: Listed<PositionRange>,
    /// Those that the backup gives back beside the store's own, which may stand in a frame that is broken, and the
    /// checksum of each; in order.
    beside: Vec<(Position, u32)>,
}

impl Restored {
    pub(crate) fn new(intact: &Listed<PositionRange>) -> Self {
        Self { intact: intact.clone(), ..Self::default() }
    }

    /// Takes in an event of the backup.
    pub(crate) fn event(&mut self, record: &Record<'_>) {
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
        if self.is_intact(event.position) {
            self.beside.push((event.position, event.checksum));
        }
    }

    /// Whether the store itself has this event, or may have it.
    fn is_intact(&self, position: Position) -> bool {
        let behind = self.intact.partition_point(|range| range.last.is_some_and(|last| last < position));
        let range = self.intact.get(behind);
        range.map_or(self.intact.unnamed() > 0, |range| range.contains(position))
    }

    /// Whether it gives back any event beside one that the store itself has.
    pub(crate) fn is_beside_own(&self) -> bool {
        !self.beside.is_empty()
    }

    /// Whether it gives back another event than this one of the store's own.
    pub(crate) fn is_other(&self, own: &Record<'_>) -> bool {
        let Record { event, .. } = own;
        let found = self.beside.binary_search_by_key(&event.position, |(position, _)| *position);
        found.is_ok_and(|place| self.beside[place].1 != event.checksum)
    }

    /// The positions.
    pub(crate) fn ranges(&self) -> Listed<PositionRange> {
        let mut ranges = self.ranges.clone();
        self.latest.into_iter().for_each(|latest| ranges.push(latest));
        ranges
    }
}
