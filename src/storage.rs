//! What a store takes of its disk: its segments one by one, and all its files by what they are for.

use std::{io, iter::FusedIterator, mem, ops::Range, path::Path, sync::Arc, vec};

use crate::{
    catalog::system_categories,
    committed::Committed,
    disk::contract::{Disk, EntryKind, OpenMode},
    error::{Error, Result},
    index::{
        files::from_memory,
        settled::{Settled, SettledPart},
    },
    log::segment::{index_number, index_path, segment_number, segment_path, segments_directory},
    position::Position,
    snapshot_file::snapshots_directory,
};

/// Whether a segment can still grow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum SegmentState {
    /// It is full, and never changes again.
    Sealed,
    /// It takes what is appended: the last one.
    Active,
}

/// A segment: one file of the log, and the file of its index.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SegmentInfo {
    /// Its number, which names its file: `segments/000000000001.log`.
    pub number: u64,
    /// Whether it can still grow.
    pub state: SegmentState,
    /// The position of its first event; where it has none, the one that its first event will have.
    pub first_position: Position,
    /// How many events it has, those of the store's own streams among them.
    pub events: u64,
    /// How many of them are of the store's own streams.
    pub system_events: u64,
    /// How much of the file is the log's, in bytes.
    pub log_bytes: u64,
    /// How long the file is, in bytes: the active one's is prepared ahead of what is appended.
    pub file_bytes: u64,
    /// How long the file of its index is, in bytes; 0 while it has none, as the active one after a crash: that index is in
    /// memory then.
    pub index_bytes: u64,
}

impl SegmentInfo {
    /// The position of its last event; none if it has no event.
    #[must_use]
    pub fn last_position(&self) -> Option<Position> {
        (self.events > 0).then(|| self.first_position.plus(self.events).previous())
    }
}

/// How long a store's files are, in bytes, by what they are for. Files that are made or removed meanwhile may be among them or
/// not.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct StoreSizes {
    /// The log: events, and the frames and headers around them.
    pub log_bytes: u64,
    /// What segment files are longer than their log, prepared for what comes.
    pub prepared_bytes: u64,
    /// The indexes of the segments.
    pub index_bytes: u64,
    /// The directory of streams.
    pub stream_directory_bytes: u64,
    /// Snapshots: the states that programs have saved.
    pub snapshot_bytes: u64,
    /// All other files in the store's directory: what says whose store it is, and what repairs have set aside.
    pub other_bytes: u64,
}

impl StoreSizes {
    /// All files together, in bytes.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.log_bytes
            + self.prepared_bytes
            + self.index_bytes
            + self.stream_directory_bytes
            + self.snapshot_bytes
            + self.other_bytes
    }
}

/// The segments of a store, oldest first, as [`Reader::segments`](crate::Reader::segments) found them. Each is looked at when its
/// turn comes.
#[derive(Debug)]
pub struct Segments {
    settled: Arc<Settled>,
    sealed: Range<u32>,
    /// Those whose index files are being made.
    frozen: vec::IntoIter<FrozenSegment>,
    /// The last one; none: it was given.
    active: Option<ActiveSegment>,
}

/// A segment whose index file is being made.
#[derive(Debug)]
struct FrozenSegment {
    /// What was in it when the store was last opened.
    begun: Option<SettledPart>,
    /// What came behind that, up to its end.
    rest: SettledPart,
}

/// What was in the active segment when it was looked at.
#[derive(Clone, Copy, Debug)]
struct ActiveSegment {
    number: u64,
    first_position: Position,
    events: u64,
    log_bytes: u64,
    /// How many events of the store's own streams are in the tail.
    system_events_in_tail: u64,
}

impl FrozenSegment {
    fn number(&self) -> u64 {
        self.rest.view().header.number
    }
}

impl Segments {
    pub(crate) fn new(committed: &Committed) -> Result<Self> {
        let state = committed.state();
        let (active, settled) = (&state.active, Arc::clone(&state.settled));
        let first_position = active.header.first_position;
        let last = ActiveSegment {
            number: active.header.number,
            first_position,
            events: state.tail.next_position().get() - first_position.get(),
            log_bytes: active.published(),
            system_events_in_tail: from_memory(system_categories(&state.tail))?.events(),
        };
        let mut frozen: Vec<FrozenSegment> = Vec::new();
        for part in settled.recent_parts().filter(|part| part.view().header.number != last.number) {
            match frozen.last_mut().filter(|before| before.number() == part.view().header.number) {
                Some(same) => same.begun = Some(mem::replace(&mut same.rest, part)),
                None => frozen.push(FrozenSegment { begun: None, rest: part }),
            }
        }
        let (sealed, frozen) = (settled.sealed_numbers(), frozen.into_iter());
        Ok(Self { settled, sealed, frozen, active: Some(last) })
    }

    /// A segment that is full: of one part, or of what was begun, and the rest.
    fn sealed_info(&self, begun: Option<&SettledPart>, rest: &SettledPart) -> Result<SegmentInfo> {
        let (first_position, _) = begun.unwrap_or(rest).positions();
        let (_, next_position) = rest.positions();
        let mut system_events = 0;
        for part in begun.into_iter().chain([rest]) {
            system_events += self.settled.ask(part, |index| system_categories(index))?.events();
        }
        let number = rest.view().header.number;
        Ok(SegmentInfo {
            number,
            state: SegmentState::Sealed,
            first_position,
            events: next_position.get() - first_position.get(),
            system_events,
            log_bytes: rest.end(),
            file_bytes: self.file_bytes(&segment_path(self.store(), number))?,
            index_bytes: self.file_bytes(&index_path(self.store(), number))?,
        })
    }

    fn active_info(&self, active: ActiveSegment) -> Result<SegmentInfo> {
        let ActiveSegment { number, first_position, events, log_bytes, system_events_in_tail } = active;
        let begun = self.settled.recent_parts().find(|part| part.view().header.number == number);
        let begun =
            begun.map(|part| self.settled.ask(&part, |index| system_categories(index))).transpose()?;
        Ok(SegmentInfo {
            number,
            state: SegmentState::Active,
            first_position,
            events,
            system_events: system_events_in_tail + begun.map_or(0, |system| system.events()),
            log_bytes,
            file_bytes: self.file_bytes(&segment_path(self.store(), number))?,
            index_bytes: self.file_bytes(&index_path(self.store(), number))?,
        })
    }

    fn store(&self) -> &Path {
        &self.settled.sealed().files().store
    }

    fn file_bytes(&self, path: &Path) -> Result<u64> {
        file_bytes(&*self.settled.sealed().files().disk, path)
    }
}

impl Iterator for Segments {
    type Item = Result<SegmentInfo>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(number) = self.sealed.next() {
            let part = self.settled.sealed().get(number).map(SettledPart::Sealed);
            return Some(part.and_then(|part| self.sealed_info(None, &part)));
        }
        if let Some(FrozenSegment { begun, rest }) = self.frozen.next() {
            return Some(self.sealed_info(begun.as_ref(), &rest));
        }
        self.active.take().map(|active| self.active_info(active))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.sealed.len() + self.frozen.len() + usize::from(self.active.is_some());
        (count, Some(count))
    }
}

impl ExactSizeIterator for Segments {}

impl FusedIterator for Segments {}

/// The files of a store.
pub(crate) fn measure(committed: &Committed) -> Result<StoreSizes> {
    let (active, log_end, settled) = {
        let state = committed.state();
        let log_end = state.active.log_offset(state.active.published());
        (Arc::clone(&state.active), log_end, Arc::clone(&state.settled))
    };
    let files = settled.sealed().files();
    let (disk, store) = (&*files.disk, files.store.as_path());
    let log_begin = settled.sealed().table().entries.first().map_or(active.header.base, |entry| entry.base);
    let mut sizes = StoreSizes { log_bytes: log_end.get() - log_begin.get(), ..StoreSizes::default() };
    let mut segment_files_bytes = 0;
    each_file(disk, store, &mut |path, bytes| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_among_segments = path.parent() == Some(&segments_directory(store));
        let sum = if is_among_segments && segment_number(name).is_some() {
            &mut segment_files_bytes
        } else if is_among_segments && index_number(name).is_some() {
            &mut sizes.index_bytes
        } else if path == files.directory_path() {
            &mut sizes.stream_directory_bytes
        } else if path.starts_with(snapshots_directory(store)) {
            &mut sizes.snapshot_bytes
        } else {
            &mut sizes.other_bytes
        };
        *sum += bytes;
    })?;
    sizes.prepared_bytes = u64::saturating_sub(segment_files_bytes, sizes.log_bytes);
    Ok(sizes)
}

/// Visits all files in a directory and below, with their lengths; links aren't followed.
fn each_file(disk: &dyn Disk, directory: &Path, visit: &mut dyn FnMut(&Path, u64)) -> Result<()> {
    let entries = match disk.list(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(|error| Error::io("list", directory, error))?,
    };
    for entry in entries {
        let path = directory.join(&entry.name);
        match entry.kind {
            EntryKind::Directory => each_file(disk, &path, visit)?,
            EntryKind::File => visit(&path, file_bytes(disk, &path)?),
            EntryKind::Other => {}
        }
    }
    Ok(())
}

/// A file's length; 0 if it isn't there, as between a listing and the look at what was listed.
fn file_bytes(disk: &dyn Disk, path: &Path) -> Result<u64> {
    let file = match disk.open(path, OpenMode::Read) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        opened => opened.map_err(|error| Error::io("open", path, error))?,
    };
    file.len().map_err(|error| Error::io("read", path, error))
}
