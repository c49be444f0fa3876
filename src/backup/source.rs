//! The store that a backup is made of.

use std::{path::PathBuf, sync::Arc};

use crate::{
    committed::Committed,
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::control::StoreMeta,
    log::{
        creation,
        scan::{ChainEnd, is_end_of_chain},
        segment::Segment,
    },
    position::Position,
};

/// What is backed up: the log up to an end that never moves.
pub(crate) struct Source {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: PathBuf,
    pub(crate) meta: StoreMeta,
    /// The number of the last segment.
    pub(crate) last: u64,
    /// Where the log ends in it.
    pub(crate) end: u64,
    /// The position of the last event.
    pub(crate) position: Position,
}

impl Source {
    pub(crate) fn of(committed: &Committed) -> Result<Self> {
        let (active, settled, position) = {
            let state = committed.state();
            (Arc::clone(&state.active), Arc::clone(&state.settled), state.last_position())
        };
        let files = settled.sealed().files();
        let (disk, store) = (Arc::clone(&files.disk), files.store.clone());
        let meta = creation::read_meta(&*disk, &store)?.ok_or_else(|| creation::no_meta(&store))?;
        let (last, end) = (active.header.number, active.published());
        Ok(Self { disk, store, meta, last, end, position })
    }

    pub(crate) fn segment(&self, number: u64) -> Result<Segment> {
        Segment::open(&*self.disk, &self.store, number, OpenMode::Read)
    }

    /// Whether a frame of this segment ends there, as the chain names it: then all before it is the same too.
    pub(crate) fn passes(&self, segment: &Segment, end: &ChainEnd) -> Result<bool> {
        let bytes_max = if segment.header.number == self.last { self.end } else { segment.prepared() };
        let passes = end.file_offset <= bytes_max
            && is_end_of_chain(&*segment.file, &segment.header, end)
                .map_err(|error| Error::io("read", &segment.path, error))?;
        Ok(passes)
    }
}
