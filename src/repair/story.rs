//! A repair from its beginning to its end.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    backup::transfer::NewFile,
    disk::{
        contract::{DirectoryLock, Disk},
        os::OsDisk,
    },
    error::{Error, Result},
    format::{control::StoreMeta, record::Record},
    index::{
        files::{Access, IndexFiles},
        key::StreamKey,
    },
    inspect::{
        index_check::DirectoryCheck,
        marks::{Marks, Writers},
        ordering::{Slot, order_segments},
        report::{Listed, Progress, Verification},
        stream_table::StreamTable,
        verify::{Inspected, Presence, inspect, walk_from},
        walk::OpenSegment,
    },
    log::{creation, mark::Mark, scan::ChainEnd},
    opening::{check_directory, take_lock},
    options::{Creation, Options, ReadMode},
    position::Position,
    repair::{
        account::{EVENTS, SYSTEM_EVENTS, Summary, to_json},
        event_line::write_event,
        keeping::{Keeping, Standing, folder_of, mark_done, repairs},
        merged::{Files, LogEnd, Merged, Parts, files_of},
        note::{append_note, read_summary},
        options::{Loss, RepairOptions},
        plan::{Change, Changes, RepairPlan, count_of, ranges_from, restored_of, step_of},
        surgery,
    },
    store::EventStore,
    stream::is_system,
};

/// What a repair has done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Repaired {
    /// What was found, and what was done about it.
    pub plan: RepairPlan,
    /// The folder in `quarantine/` with all that was changed, as it was before, and the report; none: nothing had to be
    /// changed.
    pub folder: Option<PathBuf>,
    summary: Summary,
}

impl Repaired {
    /// All of it as one line of JSON, as in the folder's `report.json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(&self.plan, &self.summary, self.folder.as_deref(), &[])
    }
}

/// Looks at a store, and says what [`repair`] would do with these options. Changes nothing.
///
/// # Errors
///
/// As [`repair`], but that nothing has to be allowed.
pub fn plan_repair(
    path: impl AsRef<Path>,
    options: &RepairOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<RepairPlan> {
    plan_repair_on(Arc::new(OsDisk), path, options, progress)
}

/// [`plan_repair`] on a disk of the caller's.
///
/// # Errors
///
/// As [`plan_repair`].
pub fn plan_repair_on(
    disk: Arc<dyn Disk>,
    path: impl AsRef<Path>,
    options: &RepairOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<RepairPlan> {
    let (path, _lock) = lock(&*disk, path.as_ref(), options)?;
    Ok(Prepared::new(disk, &path, options, progress)?.plan)
}

/// Makes a damaged store whole again.
///
/// What a backup has of what is damaged is taken from there, and what can only have stood somewhere (a header, a frame
/// without events, padding) is written again. Where that isn't enough, the log is cut off before the first event that can't be
/// read, since positions have no gaps: every event behind it that can be read goes into `quarantine/`, as JSON lines that
/// `annals import` takes, beside the bytes themselves and a report. Nothing is deleted. Index files are made anew. At the end
/// the store has an event in its stream `$repairs` that tells of it.
///
/// A repair that is cut off leaves a store that can be repaired again.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, RepairOptions, StreamId, repair};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(&path)?;
/// store.append(&StreamId::new("order-17")?, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
/// store.close()?;
///
/// let repaired = repair(&path, &RepairOptions::new(), &mut |_progress| {})?;
/// assert!(!repaired.plan.is_needed(), "a store that is whole is left as it is");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::RepairNotAllowed`] where something is to be changed, and the options name no backup and don't accept a loss; or events
/// would be taken out of the log, and the options don't accept that. [`Error::Locked`] while a writer has the store;
/// [`Error::NotAStore`], also for a backup that is none of this store; [`Error::NewerFormat`], [`Error::Io`].
/// [`Error::Corrupt`] for what can't be repaired: where nothing tells which store it is.
pub fn repair(
    path: impl AsRef<Path>,
    options: &RepairOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Repaired> {
    repair_on(Arc::new(OsDisk), path, options, progress)
}

/// [`repair`] on a disk of the caller's.
///
/// # Errors
///
/// As [`repair`].
pub fn repair_on(
    disk: Arc<dyn Disk>,
    path: impl AsRef<Path>,
    options: &RepairOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Repaired> {
    let (path, lock) = lock(&*disk, path.as_ref(), options)?;
    let prepared = Prepared::new(Arc::clone(&disk), &path, options, progress)?;
    let backup = options.backup.as_deref();
    let mut summary = Summary::of(&prepared.plan, 0, backup);
    let mut folder = None;
    if prepared.plan.is_needed() {
        if options.loss == Loss::Refused && (prepared.plan.loses_events() || options.backup.is_none()) {
            return Err(Error::RepairNotAllowed { path, cost: prepared.plan.cost() });
        }
        let repair = prepared.keep(options)?;
        for change in &prepared.changes {
            surgery::make(&prepared.files, change)?;
        }
        summary.repair = repair;
        folder = Some(folder_of(&path, repair));
    }
    conclude(disk, &path, options, lock)?;
    Ok(Repaired { plan: prepared.plan, folder, summary })
}

fn lock(disk: &dyn Disk, path: &Path, options: &RepairOptions) -> Result<(PathBuf, Box<dyn DirectoryLock>)> {
    check_directory(disk, path, Creation::Never)?;
    Ok((path.to_owned(), take_lock(disk, path, options.lock_wait)?))
}

/// Opens the store, and has it tell of all repairs that it doesn't tell of yet.
fn conclude(
    disk: Arc<dyn Disk>,
    path: &Path,
    options: &RepairOptions,
    lock: Box<dyn DirectoryLock>,
) -> Result<()> {
    let known = repairs(&*disk, path)?;
    let untold = known.into_iter().filter(|(_, standing)| *standing == Standing::Prepared);
    let untold: Vec<u64> = untold.map(|(number, _)| number).collect();
    if untold.is_empty() {
        return Ok(());
    }
    let opening = Options::new().creation(Creation::Never).clock(Arc::clone(&options.clock));
    let store = EventStore::open_locked(Arc::clone(&disk), path, opening, lock)?;
    for repair in &untold {
        append_note(&store, &read_summary(&*disk, path, *repair)?)?;
    }
    store.close()?;
    untold.iter().try_for_each(|repair| mark_done(&*disk, path, *repair))
}

/// A repair before anything is changed.
struct Prepared {
    files: IndexFiles,
    meta: StoreMeta,
    slots: Vec<Slot>,
    /// Where the walk over what is cut off begins.
    sound_up_to: (u64, Option<ChainEnd>),
    cut_from: Option<Position>,
    plan: RepairPlan,
    changes: Vec<Change>,
}

impl Prepared {
    fn new(
        disk: Arc<dyn Disk>,
        store: &Path,
        options: &RepairOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self> {
        let mut tell = |so_far| {
            progress(so_far);
            ControlFlow::Continue(())
        };
        let inspected = inspect(Arc::clone(&disk), store, Presence::Alone, &mut tell)?;
        let Some(store_id) = inspected.store_id else { return Err(nameless(store)) };
        let meta = inspected.meta.clone().unwrap_or(StoreMeta { store_id, created: 0, first_segment: 1 });
        let files = IndexFiles {
            disk,
            store: store.to_owned(),
            store_id,
            read: ReadMode::Pread,
            access: Access::Guest,
        };
        let own = files_of(&inspected.slots);
        let merged = if inspected.verification.is_whole() {
            Merged::untouched(&meta, &own)
        } else {
            let backup = options.backup.as_ref();
            let backup = backup.map(|backup| open_backup(&files, backup, &own, &inspected)).transpose()?;
            let backup = backup.unwrap_or_default();
            let directory = DirectoryCheck::open(&files).0;
            let marks = Marks::new(&files, Writers::None, directory.as_ref().map(DirectoryCheck::covered));
            let parts = Parts { disk: &*files.disk, meta: &meta, own: &own, backup: &backup, marks: &marks };
            let (first, before) = inspected.sound_up_to;
            parts.merge(first, before)?
        };
        let durable = Mark::read(&*files.disk, store, store_id)?.durable();
        let changes = Changes::of(&files, &inspected, &own, &merged, &meta, durable)?;
        let cut_from = (merged.end == LogEnd::Cut).then(|| merged.next_position());
        let Inspected { verification, slots, sound_up_to, .. } = inspected;
        let plan = plan_of(&files, verification, &merged, &changes);
        let mut prepared = Self { files, meta, slots, sound_up_to, cut_from, plan, changes };
        prepared.count_set_aside()?;
        Ok(prepared)
    }

    /// Counts the events behind the cut that can be read.
    fn count_set_aside(&mut self) -> Result<()> {
        let store_id = self.files.store_id;
        let (mut events, mut streams) = (0, StreamTable::new());
        self.each_set_aside(&mut |_, _, record| {
            events += 1;
            streams.set(StreamKey::of(record.event.stream, store_id), record.event.version, 0);
            Ok(())
        })?;
        self.plan.events_set_aside = events;
        self.plan.streams_set_aside = streams.seen();
        Ok(())
    }

    /// Visits the events behind the cut that can be read.
    fn each_set_aside(
        &self,
        visit: &mut dyn FnMut(&OpenSegment, u64, &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(cut_from) = self.cut_from else { return Ok(()) };
        walk_from(&self.files, &self.meta, &self.slots, self.sound_up_to, &mut |walked, offset, record| {
            if record.event.position < cut_from { Ok(()) } else { visit(walked, offset, record) }
        })
    }

    /// Copies all that will be changed, and the events that are set aside, and writes the report. Returns the repair's number.
    fn keep(&self, options: &RepairOptions) -> Result<u64> {
        let keeping = Keeping::begin(&self.files)?;
        if self.plan.events_set_aside > 0 {
            let mut events = keeping.create(EVENTS)?;
            let mut system = keeping.create(SYSTEM_EVENTS)?;
            self.each_set_aside(&mut |_, _, record| write_line(record, &mut events, &mut system))?;
            events.finish()?;
            system.finish()?;
        }
        let kept_as = self.changes.iter().map(|change| keeping.keep(change)).collect::<Result<Vec<_>>>()?;
        let summary = Summary::of(&self.plan, keeping.number, options.backup.as_deref());
        let folder = folder_of(&self.files.store, keeping.number);
        let report = to_json(&self.plan, &summary, Some(&folder), &kept_as);
        let text = format!("{}\n", self.plan);
        keeping.conclude(format!("{report}\n").as_bytes(), &text)?;
        Ok(keeping.number)
    }
}

/// Writes an event as a line: those of the store's own streams can't be imported, and have a file of their own.
fn write_line(record: &Record<'_>, events: &mut NewFile, system: &mut NewFile) -> Result<()> {
    let mut line = Vec::new();
    write_event(&record.event, &mut line);
    if is_system(record.event.stream.as_bytes()) { system.put(&line) } else { events.put(&line) }
}

fn plan_of(
    files: &IndexFiles,
    verification: Verification,
    merged: &Merged,
    changes: &[Change],
) -> RepairPlan {
    let cuts = merged.end == LogEnd::Cut;
    let (lost, set_aside, lost_versions) = if cuts {
        let from = merged.next_position();
        let versions = verification.lost_versions.clone();
        (ranges_from(&verification.lost, from), ranges_from(&verification.intact, from), versions)
    } else {
        (Listed::default(), Listed::default(), Listed::default())
    };
    let kept = if cuts { merged.next_position().previous() } else { verification.last_position };
    let restored = restored_of(merged);
    let kept = restored.iter().filter_map(|range| range.last).fold(kept, Position::max);
    RepairPlan {
        kept,
        cuts,
        restored,
        events_lost: count_of(&lost),
        lost,
        lost_versions,
        set_aside,
        events_set_aside: 0,
        streams_set_aside: 0,
        steps: changes.iter().map(|change| step_of(change, files)).collect(),
        verification,
    }
}

/// The segments of a directory that is a store with the same id and the same history.
fn open_backup(files: &IndexFiles, backup: &Path, own: &Files, inspected: &Inspected) -> Result<Files> {
    let none = |reason: &str| Error::NotAStore {
        path: backup.to_owned(),
        reason: format!("it is no backup of this store: {reason}"),
    };
    check_directory(&*files.disk, backup, Creation::Never)?;
    let meta = creation::read_meta(&*files.disk, backup)?.ok_or_else(|| creation::no_meta(backup))?;
    if meta.store_id != files.store_id {
        return Err(none("it is another store"));
    }
    let ordering = order_segments(&*files.disk, backup, Some(meta.store_id), meta.first_segment)?;
    let found = files_of(&ordering.slots);
    let (first_unsound, _) = inspected.sound_up_to;
    let shared = found.range(..first_unsound).next_back();
    if let Some((number, file)) = shared
        && own.get(number).is_some_and(|own| own.header.is_some() && own.header != file.header)
    {
        return Err(none("its history is another one"));
    }
    Ok(found)
}

/// The error for a store of which nothing says which it is.
fn nameless(store: &Path) -> Error {
    let reason = "neither store.meta nor any segment's header can be read, so nothing tells which store this is: restore \
                  it from a backup";
    Error::corrupt(creation::meta_path(store), 0, reason, None)
}
