//! Verifying a store: segment by segment, and then what rests on the log.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use crate::{
    disk::{contract::Disk, os::OsDisk},
    error::{Error, Result},
    format::control::StoreMeta,
    index::files::{Access, IndexFiles},
    inspect::{
        census::{Census, VisitEvent},
        index_check::DirectoryCheck,
        inspection::{Concluded, Inspection, Looking},
        losses::Place,
        marks::{Marks, Writers},
        ordering::{Ordering, Slot, Stranger, order_segments},
        report::{Damage, Extent, Progress, Verification},
        stream_table::StreamTable,
    },
    log::{
        creation, followed_head::FollowedHead, mark::Mark, recovery::refuse_restoring, scan::ChainEnd,
        segment::segments_directory,
    },
    opening::check_directory,
    options::{Creation, ReadMode},
    position::Position,
};

/// Reads every byte of the store in a directory, and checks it: the log with its chain, positions and versions; the index files,
/// snapshots and checkpoints against the log. Changes nothing.
///
/// A writer may go on beside it: then the log is looked at as far as it is committed now, which
/// [`Verification::extent`] says. Memory is that of a few segments' indexes, and 64 bytes a stream at most, and beside that a path
/// for each stream that has snapshots.
///
/// Each time that it is told how far the verification is, `progress` decides whether it goes on. Where it doesn't, what was found
/// so far is returned, and the extent is [`Extent::Stopped`].
///
/// ```
/// use std::ops::ControlFlow;
///
/// use annals::{EventData, EventStore, ExpectedVersion, StreamId, verify};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(&path)?;
/// store.append(&StreamId::new("order-17")?, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
///
/// let verification = verify(&path, &mut |_progress| ControlFlow::Continue(()))?;
/// assert!(verification.is_whole());
/// assert_eq!((verification.events, verification.streams), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::NotAStore`], [`Error::NewerFormat`], [`Error::Io`]. Damage is no error here, but what is returned; so is
/// what the disk can't read of the log.
pub fn verify(
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Verification> {
    verify_on(Arc::new(OsDisk), path, progress)
}

/// [`verify`] on a disk of the caller's.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_on(
    disk: Arc<dyn Disk>,
    path: impl AsRef<Path>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Verification> {
    let path = path.as_ref();
    check_directory(&*disk, path, Creation::Never)?;
    refuse_restoring(&*disk, path)?;
    Ok(inspect(disk, path, Presence::Beside, progress)?.verification)
}

/// Whether somebody may be writing meanwhile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// The caller has the lock.
    Alone,
    Beside,
}

/// What an inspection found, for who wants to mend it.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) verification: Verification,
    /// None: nothing tells which store it is.
    pub(crate) store_id: Option<u64>,
    /// What store.meta says; none: it is damaged.
    pub(crate) meta: Option<StoreMeta>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) strangers: Vec<Stranger>,
    /// The number of the first segment that is damaged, or of the last one; and the end of the one before that.
    pub(crate) sound_up_to: (u64, Option<ChainEnd>),
    /// What the streams were at that end; none: nothing is damaged, or somebody may be writing.
    pub(crate) streams_before: Option<StreamTable>,
    /// The first thing that a newer version seems to have written.
    pub(crate) newer: Option<Damage>,
}

/// Looks at a whole store.
pub(crate) fn inspect(
    disk: Arc<dyn Disk>,
    store: &Path,
    presence: Presence,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Inspected> {
    let mut found = Verification { events_lost: Some(0), ..Verification::default() };
    let meta = read_meta(&*disk, store, &mut found)?;
    let first_segment = meta.as_ref().map_or(1, |meta| meta.first_segment);
    let order = |store_id| order_segments(&*disk, store, store_id, first_segment);
    let store_id = match &meta {
        Some(meta) => Some(meta.store_id),
        None => order(None)?.slots.iter().find_map(Slot::header).map(|header| header.store_id),
    };
    let writers = match (presence, store_id) {
        (Presence::Beside, Some(store_id)) => Writers::Perhaps(FollowedHead::new(&disk, store, store_id)),
        (Presence::Alone, _) | (_, None) => Writers::None,
    };
    // Before the segments are listed: so what is committed stands in those that are.
    let bound = writers.committed();
    let Ordering { slots, damage, strangers } = order(store_id)?;
    for damage in damage {
        found.damage.push(damage);
    }
    let Some(store_id) = store_id else {
        let sound_up_to = (first_segment, None);
        let (streams_before, newer) = (None, None);
        let verification = found;
        let nothing =
            Inspected { verification, store_id, meta, slots, strangers, sound_up_to, streams_before, newer };
        return if nothing.verification.damage.is_empty() {
            Err(creation::no_meta(store))
        } else {
            Ok(nothing)
        };
    };
    let files =
        IndexFiles { disk, store: store.to_owned(), store_id, read: ReadMode::Pread, access: Access::Guest };
    let believed = StoreMeta { store_id, created: 0, first_segment };
    found.extent = if bound.is_some() { Extent::Committed } else { Extent::Whole };
    let visit: &mut VisitEvent<'_> = &mut |_, _, _| Ok(());
    let mut inspection = Inspection::begin(&files, believed, (writers, bound), found, progress, visit)?;
    if presence == Presence::Alone {
        inspection.keep_streams();
    }
    inspection.segments(&slots, Looking::Ahead)?;
    let Concluded { verification, sound_up_to, streams_before, newer } = inspection.conclude(&slots)?;
    let store_id = Some(store_id);
    Ok(Inspected { verification, store_id, meta, slots, strangers, sound_up_to, streams_before, newer })
}

/// The part of a log that isn't sound, or may not be: for who has the lock, and has inspected the whole store.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) files: &'a IndexFiles,
    pub(crate) meta: &'a StoreMeta,
    pub(crate) slots: &'a [Slot],
    /// The number of its first segment, and the end of the one before that.
    pub(crate) from: (u64, Option<ChainEnd>),
}

impl Part<'_> {
    /// Walks over it, behind these streams, and tells of each event that is whole. Returns what was found, and where the log ends, if
    /// not with damage.
    pub(crate) fn walk(
        &self,
        streams: StreamTable,
        visit: &mut VisitEvent<'_>,
    ) -> Result<(Verification, Option<ChainEnd>)> {
        self.inspect(streams, visit, |mut inspection, slots, _| {
            inspection.segments(slots, Looking::EventByEvent)?;
            Ok(inspection.found_so_far())
        })
    }

    /// Walks over it, as [`walk`](Self::walk) does. Returns what was found; of what is lost, and of what is intact, that alone which is
    /// behind a place.
    pub(crate) fn walk_telling_behind(
        &self,
        streams: StreamTable,
        place: Place,
        visit: &mut VisitEvent<'_>,
    ) -> Result<Verification> {
        self.inspect(streams, visit, |mut inspection, slots, directory| {
            inspection.tell_behind(place, directory);
            inspection.segments(slots, Looking::EventByEvent)?;
            inspection.conclude_log(slots)
        })
    }

    fn inspect<T>(
        &self,
        streams: StreamTable,
        visit: &mut VisitEvent<'_>,
        look: impl FnOnce(Inspection<'_>, &[Slot], Option<DirectoryCheck>) -> Result<T>,
    ) -> Result<T> {
        let Self { files, meta, from: (first, before), .. } = *self;
        let slots: Vec<Slot> = self.slots.iter().filter_map(|slot| slot.beginning_with(first)).collect();
        let found = Verification { events_lost: Some(0), ..Verification::default() };
        let mark = Mark::read(&*files.disk, &files.store, files.store_id)?;
        // The witnesses that the inspection had: by any other the log may end elsewhere.
        let directory = DirectoryCheck::open(files).0;
        let marks = Marks::new(files, Writers::None, directory.as_ref().map(DirectoryCheck::covered));
        let mut census = Census::new(files, found, None, mark.durable(), meta.first_segment, visit);
        census.begin_behind(before.map_or(Position::FIRST, |before| before.next_position));
        census.table = streams;
        let mut go_on = |_| ControlFlow::Continue(());
        let mut inspection = Inspection::new(files, meta.clone(), None, marks, census, &mut go_on);
        inspection.go_on_from(first, before);
        look(inspection, &slots, directory)
    }
}

/// store.meta; none and a note of it, if it is damaged, or missing where segments are.
fn read_meta(disk: &dyn Disk, store: &Path, found: &mut Verification) -> Result<Option<StoreMeta>> {
    match creation::read_meta(disk, store) {
        Ok(None) => {
            let segments = segments_directory(store);
            let kind = disk.kind(&segments).map_err(|error| Error::io("look at", &segments, error))?;
            if kind.is_none() {
                return Err(creation::no_meta(store));
            }
            let path = creation::meta_path(store);
            found.damage.push(Damage::new(path, 0, "store.meta is missing, though segments are there", None));
            Ok(None)
        }
        Err(Error::Corrupt { path, offset, reason, .. }) => {
            found.damage.push(Damage::new(path, offset, reason, None));
            Ok(None)
        }
        read => read,
    }
}
