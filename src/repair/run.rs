//! A repair from its beginning to its end.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    backup_error::{BACKUP_MANIFEST, BackupError},
    disk::{
        contract::{DirectoryLock, Disk},
        os::OsDisk,
    },
    error::{Error, Result},
    format::{control::StoreMeta, layout::bytes},
    index::{
        files::{Access, IndexFiles},
        key::StreamKey,
    },
    inspect::{
        index_check::DirectoryCheck,
        losses::Place,
        marks::{Marks, Writers},
        ordering::{Slot, order_segments},
        report::{Damage, Tell, Verification},
        stream_table::StreamTable,
        verify::{Inspected, Part, Presence, inspect},
    },
    log::{creation, head, mark::Mark, recovery::refuse_restoring, scan::ChainEnd},
    opening::{check_directory, take_lock},
    options::{Creation, Options, ReadMode},
    repair::{
        event_line::write_event_line,
        judge::Judge,
        keeping::{Keeping, Repairs, folder_of},
        left_out::LeftOut,
        merged::{Files, LogEnd, Merged, Sources, files_of, with_right_names},
        options::{Loss, RepairOptions},
        plan::{Change, Changes, RepairPlan, RepairStep, wrong_indexes},
        planned_end::PlannedEnd,
        progress::RepairProgress,
        rehearsal::{Promise, rehearse},
        repair_event::{EarlierReport, append_repair_event, read_report},
        report::{EVENTS, SYSTEM_EVENTS, Summary, to_json},
        restored::Restored,
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
    /// The folder in `quarantine/` with all that was changed, as it was before, and the report; none: nothing but what is made
    /// of the log had to be changed.
    pub folder: Option<PathBuf>,
    /// The number of an earlier repair that had come to its end, but for the event that tells of it: that was appended now.
    pub told: Option<u64>,
    summary: Summary,
}

impl Repaired {
    /// All of it as one line of JSON, as in the folder's `report.json`, with [`told`](Self::told).
    #[must_use]
    pub fn to_json(&self) -> String {
        to_json(&self.plan, &self.summary, self.folder.as_deref(), &[], None, self.told)
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
    progress: Tell<'_>,
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
    progress: Tell<'_>,
) -> Result<RepairPlan> {
    let (path, _lock) = lock(&*disk, path.as_ref(), options)?;
    Ok(Prepared::new(disk, &path, options, &mut RepairProgress::new(&path, progress))?.plan)
}

/// Makes a damaged store whole again.
///
/// What a backup has of what is damaged is taken from there, and what can only have stood somewhere (a header, a frame
/// without events, padding) is written again. Where that isn't enough, the log is cut off before the first event that can't be
/// read, since positions have no gaps: every event behind it that can be read goes into `quarantine/`, as JSON lines that
/// `annals import` takes, beside the bytes themselves and a report. Nothing is deleted. Index files are made anew. At the end
/// the store has an event in its stream `$repairs` that tells of it.
///
/// Each time that it is told how far the repair is, `progress` decides whether it goes on; there may be more to read as it comes
/// to know of it. Once anything is changed it goes on to its end, whatever that says. A repair that is cut off leaves a store
/// that can be repaired again.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use annals::{EventData, EventStore, ExpectedVersion, RepairOptions, StreamId, repair};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(&path)?;
/// store.append(&StreamId::new("order-17")?, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
/// store.close()?;
///
/// let repaired = repair(&path, &RepairOptions::new(), &mut |_progress| ControlFlow::Continue(()))?;
/// assert!(!repaired.plan.is_needed(), "a store that is whole is left as it is");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`Error::RepairNotAllowed`] where something is to be changed, and the options name no backup and don't accept a loss; or events
/// would be taken out of the log, and the options don't accept that. [`Error::Locked`] while a writer has the store;
/// [`Error::NotAStore`]; [`BackupError::NotABackup`] for a backup that is none of this store; [`Error::NotRepairable`] for a directory of
/// backups, for damage that no repair knows a cure for, and where a newer version seems to have written to the log;
/// [`Error::RepairStopped`] if `progress` says so; [`Error::NewerFormat`], [`Error::Io`].
pub fn repair(path: impl AsRef<Path>, options: &RepairOptions, progress: Tell<'_>) -> Result<Repaired> {
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
    progress: Tell<'_>,
) -> Result<Repaired> {
    let (path, lock) = lock(&*disk, path.as_ref(), options)?;
    let progress = &mut RepairProgress::new(&path, progress);
    let prepared = Prepared::new(disk, &path, options, progress)?;
    let mut summary = Summary::of(&prepared.plan, options.backup.as_deref());
    let mut made = None;
    if prepared.plan.is_needed() {
        if options.loss == Loss::Refused && (prepared.plan.loses_events() || options.backup.is_none()) {
            return Err(Error::RepairNotAllowed { path, cost: prepared.plan.cost() });
        }
        if prepared.plan.mends() {
            summary = prepared.keep(summary, progress)?;
            made = Some(summary.repair);
        }
        prepared.change(made, progress)?;
    }
    let told = conclude(&prepared.files.disk, &path, options, lock, made)?;
    let told = told.filter(|told| Some(*told) != made);
    let folder = made.map(|repair| folder_of(&path, repair));
    Ok(Repaired { plan: prepared.plan, folder, told, summary })
}

/// Takes the lock of a store that can be repaired.
fn lock(disk: &dyn Disk, path: &Path, options: &RepairOptions) -> Result<(PathBuf, Box<dyn DirectoryLock>)> {
    check_directory(disk, path, Creation::Never)?;
    let lock = take_lock(disk, path, options.lock_wait)?;
    refuse_restoring(disk, path)?;
    let manifest = path.join(BACKUP_MANIFEST);
    if disk.kind(&manifest).map_err(|error| Error::io("look at", &manifest, error))?.is_some() {
        let reason = "it is a directory of backups, and a repair would make another history of it. Repair the store itself, \
                      or back it up into another directory; or restore the backup (\"annals restore\"), and repair what \
                      comes of it";
        return Err(Error::not_repairable(path, reason));
    }
    Ok((path.to_owned(), lock))
}

/// Opens the store, and has it tell of the repair that made it whole, if it doesn't yet. `made` is the one that has come to its end
/// just now. Returns the number of the one that is told of.
fn conclude(
    disk: &Arc<dyn Disk>,
    path: &Path,
    options: &RepairOptions,
    lock: Box<dyn DirectoryLock>,
    made: Option<u64>,
) -> Result<Option<u64>> {
    let repairs = Repairs::list(&**disk, path)?;
    let report = repairs.to_be_told().map(|repair| read_report(&**disk, path, repair)).transpose()?;
    let report = match report {
        Some(report) if made != Some(report.summary.repair) && !was_made(&**disk, path, &report)? => None,
        report => report,
    };
    let told = report.as_ref().map(|report| report.summary.repair);
    if let Some(EarlierReport { summary, .. }) = report {
        let opening = Options::new().creation(Creation::Never).clock(Arc::clone(&options.clock));
        let store = EventStore::open_locked(Arc::clone(disk), path, opening, lock)?;
        append_repair_event(&store, &summary)?;
        store.close()?;
    }
    repairs.conclude(&**disk, path, told)?;
    Ok(told)
}

/// Whether an earlier repair of a store that is whole has made it so: it may have been cut off before it changed anything, and somebody
/// else has put the files back.
fn was_made(disk: &dyn Disk, path: &Path, report: &EarlierReport) -> Result<bool> {
    let Some(end) = report.end else { return Ok(false) };
    Ok(Repairs::has_changed(disk, path, report.summary.repair)? && end.is_in(disk, path)?)
}

/// A repair before anything is changed.
struct Prepared {
    files: IndexFiles,
    meta: StoreMeta,
    slots: Vec<Slot>,
    own: Files,
    backup: Files,
    /// Where the walk over what is cut off begins.
    sound_up_to: (u64, Option<ChainEnd>),
    plan: RepairPlan,
    changes: Vec<Change>,
    /// Where the log is to end; none: it is as it is to be.
    end: Option<PlannedEnd>,
}

impl Prepared {
    fn new(
        disk: Arc<dyn Disk>,
        store: &Path,
        options: &RepairOptions,
        progress: &mut RepairProgress<'_>,
    ) -> Result<Self> {
        let mut inspected =
            progress.passing_on(|tell| inspect(Arc::clone(&disk), store, Presence::Alone, tell))?;
        let Some(store_id) = inspected.store_id else { return Err(nameless(store)) };
        if let Some(Damage { path, offset, reason, .. }) = &inspected.newer {
            return Err(newer(path, *offset, reason));
        }
        let meta = inspected.meta.clone().unwrap_or(StoreMeta { store_id, created: 0, first_segment: 1 });
        let (read, access) = (ReadMode::Pread, Access::Guest);
        let files = IndexFiles { disk, store: store.to_owned(), store_id, read, access };
        let own = files_of(&inspected.slots);
        // Also where the store is whole: a backup that is none must not go unnoticed until it is needed.
        let backup = options.backup.as_ref();
        let backup = backup.map(|backup| open_backup(&files, backup, &own, &inspected)).transpose()?;
        let backup = backup.unwrap_or_default();
        let sources = Sources { disk: &*files.disk, meta: &meta, own: &own, backup: &backup };
        let streams = inspected.streams_before.take().unwrap_or_else(StreamTable::new);
        let judge = Judge::behind(streams.clone());
        let mut merged = merge(&files, &inspected, (&sources, judge), options, progress)?;
        let mark = Mark::read(&*files.disk, store, store_id)?;
        let changes = Changes::of(&files, &inspected, (&meta, &own), merged.as_ref(), &mark)?;
        let Inspected { verification, slots, sound_up_to, .. } = inspected;
        let part = Part { files: &files, meta: &meta, slots: &slots, from: sound_up_to };
        let left_out = match merged.as_mut().filter(|merged| merged.end == LogEnd::Cut) {
            Some(cut) => {
                let at_cut = std::mem::replace(&mut cut.streams, StreamTable::new());
                let cut = Place { first_behind: cut.next_position(), streams: at_cut };
                LeftOut::find(&part, streams.clone(), cut, bytes_from(&own, sound_up_to), progress)?
            }
            None => LeftOut::nothing(),
        };
        let plan = RepairPlan::new(verification, merged.as_ref(), left_out, &changes);
        if !plan.verification.is_whole() && !plan.mends() {
            return Err(still_damaged(store, &plan.verification));
        }
        let end = merged.as_ref().map(Merged::planned_end);
        if let Some(end) = end {
            let promise = Promise { kept: plan.kept, end };
            rehearse(&files, &sources, &changes, (sound_up_to, streams), &promise, progress)?;
        }
        Ok(Self { files, meta, slots, own, backup, sound_up_to, plan, changes, end })
    }

    /// Copies all that will be changed, and the events that are set aside, and writes the report. Returns what the report
    /// begins with: the summary, and what comes to it.
    fn keep(&self, mut summary: Summary, progress: &mut RepairProgress<'_>) -> Result<Summary> {
        let (disk, store) = (&*self.files.disk, &self.files.store);
        let before = Repairs::list(disk, store)?;
        let keeping = Keeping::begin(disk, store, &before)?;
        summary.repair = keeping.number;
        if self.plan.cuts {
            let (events, streams) = self.set_aside(&keeping, progress)?;
            (summary.events_set_aside, summary.streams_set_aside) = (events, Some(streams));
        }
        let kept_as = self.changes.iter().map(|change| keeping.keep(change)).collect::<Result<Vec<_>>>()?;
        summary.unfinished = before.untold;
        let folder = folder_of(store, keeping.number);
        keeping.conclude(&to_json(&self.plan, &summary, Some(&folder), &kept_as, self.end, None))?;
        Ok(summary)
    }

    /// Writes the events behind the cut that can be read. Returns how many they are, and of how many streams.
    fn set_aside(&self, keeping: &Keeping<'_>, progress: &mut RepairProgress<'_>) -> Result<(u64, u64)> {
        let (mut count, mut streams) = (0, StreamTable::new());
        let (mut events, mut system) = (keeping.create(EVENTS)?, keeping.create(SYSTEM_EVENTS)?);
        let Self { files, meta, slots, sound_up_to: from, .. } = self;
        progress.expect(bytes_from(&self.own, *from));
        let mut line = Vec::new();
        let part = Part { files, meta, slots, from: *from };
        part.walk(StreamTable::new(), &mut |_, _, record| {
            progress.advance(bytes(record.bytes.len()))?;
            let event = &record.event;
            if event.position <= self.plan.kept {
                return Ok(());
            }
            count += 1;
            streams.set(StreamKey::of(event.stream, self.files.store_id), event.version, 0);
            line.clear();
            write_event_line(event, &mut line);
            // Those of the store's own streams can't be imported.
            if is_system(event.stream.as_bytes()) { system.put(&line) } else { events.put(&line) }
        })?;
        events.finish()?;
        system.finish()?;
        Ok((count, streams.seen()))
    }

    /// Makes the changes, and looks at what has come of them. `repair` is the number of the repair that has a folder for them.
    fn change(&self, repair: Option<u64>, progress: &mut RepairProgress<'_>) -> Result<()> {
        let (disk, store) = (&*self.files.disk, &self.files.store);
        let own = with_right_names(&self.own, store);
        let sources = Sources { disk, meta: &self.meta, own: &own, backup: &self.backup };
        let written = |change: &Change| match &change.step {
            RepairStep::Write { bytes, .. } => *bytes,
            _ => 0,
        };
        progress.go_on_to_the_end();
        progress.expect(self.changes.iter().map(written).sum());
        if repair.is_some() {
            // What followers believe of a log that is left as it is wouldn't be true of one that was cut.
            head::take_away(disk, store)?;
        }
        let is_mending = |change: &Change| !matches!(change.step, RepairStep::MakeAnew { .. });
        let last_mending = self.changes.iter().rposition(is_mending);
        for (number, change) in self.changes.iter().enumerate() {
            if let Some(repair) = repair.filter(|_| Some(number) == last_mending) {
                Repairs::note_changed(disk, store, repair)?;
            }
            surgery::make(&sources, change)?;
            progress.advance(written(change))?;
        }
        let found = progress
            .passing_on(|tell| inspect(Arc::clone(&self.files.disk), store, Presence::Alone, tell))?
            .verification;
        if !found.is_whole() {
            return Err(still_damaged(store, &found));
        }
        if found.last_position != self.plan.kept {
            let (kept, last) = (self.plan.kept, found.last_position);
            let reason = format!(
                "its log was to end with position {kept} then, and ends with {last}: repair it again"
            );
            return Err(Error::not_repairable(store, reason));
        }
        // As long as the log was damaged not all that is made of it could be compared.
        for path in wrong_indexes(&found).filter(|path| disk.kind(path).is_ok_and(|kind| kind.is_some())) {
            surgery::make(&sources, &Change::of(RepairStep::MakeAnew { path }, None))?;
        }
        Ok(())
    }
}

/// Puts the log together, if anything of it is damaged.
fn merge(
    files: &IndexFiles,
    inspected: &Inspected,
    (sources, judge): (&Sources<'_>, Judge),
    options: &RepairOptions,
    progress: &mut RepairProgress<'_>,
) -> Result<Option<Merged>> {
    let found = &inspected.verification;
    if found.is_whole() {
        return Ok(None);
    }
    let directory = DirectoryCheck::open(files).0;
    let marks = Marks::new(files, Writers::None, directory.as_ref().map(DirectoryCheck::covered));
    let merged = sources.merge(inspected.sound_up_to, found, judge, &marks, progress)?;
    if let Some((path, refusal)) = merged.refused.as_ref().filter(|(_, refusal)| refusal.is_newer()) {
        return Err(newer(path, refusal.file_offset, refusal.reason));
    }
    match &options.backup {
        Some(backup)
            if merged.is_of_another_history
                || replaces_own(files, inspected, sources, &merged.restored, progress)? =>
        {
            Err(no_backup(backup, OTHER_HISTORY))
        }
        _ => Ok(Some(merged)),
    }
}

/// How much there is to read of the store from a segment on, in bytes.
fn bytes_from(own: &Files, (first, _): (u64, Option<ChainEnd>)) -> u64 {
    own.range(first..).map(|(_, own)| own.bytes).sum()
}

/// Whether the backup gives back another event where the store's own is intact, wherever that stands.
fn replaces_own(
    files: &IndexFiles,
    inspected: &Inspected,
    sources: &Sources<'_>,
    restored: &Restored,
    progress: &mut RepairProgress<'_>,
) -> Result<bool> {
    if !restored.is_beside_own() {
        return Ok(false);
    }
    let from = inspected.sound_up_to;
    progress.expect(bytes_from(sources.own, from));
    let mut is_other = false;
    let part = Part { files, meta: sources.meta, slots: &inspected.slots, from };
    part.walk(StreamTable::new(), &mut |_, _, record| {
        is_other |= restored.is_other(record);
        progress.advance(bytes(record.bytes.len()))
    })?;
    Ok(is_other)
}

/// Why a backup isn't taken from that the store has parted from.
const OTHER_HISTORY: &str =
    "its history is another one: where the store is intact, the backup has something else";

/// The error for a directory that isn't a backup of the store.
fn no_backup(backup: &Path, reason: &str) -> Error {
    Error::Backup(BackupError::NotABackup { path: backup.to_owned(), reason: reason.to_owned() })
}

/// The error for a store that a newer version has written to: what this one takes for damage may be events.
fn newer(path: &Path, offset: u64, reason: &str) -> Error {
    let reason = format!(
        "offset {offset}: {reason}, though its checksums are right: a newer version of Annals seems to have written it. \
         Repair the store with that one"
    );
    Error::not_repairable(path, reason)
}

/// The error for a store that no repair makes whole.
fn still_damaged(store: &Path, found: &Verification) -> Error {
    let damage = found.damage.first();
    let place = damage.map(|it| format!("{}, offset {}: {}. ", it.path.display(), it.offset, it.reason));
    let place = place.unwrap_or_default();
    Error::not_repairable(store, format!("{place}No repair mends this: restore the store from a backup"))
}

/// The segments of a directory that is a store with the same id and the same history.
fn open_backup(files: &IndexFiles, backup: &Path, own: &Files, inspected: &Inspected) -> Result<Files> {
    let as_backup = |error| match error {
        Error::NotAStore { reason, .. } => no_backup(backup, &reason),
        error => error,
    };
    check_directory(&*files.disk, backup, Creation::Never).map_err(as_backup)?;
    let meta = creation::read_meta(&*files.disk, backup)?;
    let meta = meta.ok_or_else(|| as_backup(creation::no_meta(backup)))?;
    if meta.store_id != files.store_id {
        return Err(no_backup(backup, "it is another store"));
    }
    let ordering = order_segments(&*files.disk, backup, Some(meta.store_id), meta.first_segment)?;
    let found = files_of(&ordering.slots);
    let (first_unsound, _) = inspected.sound_up_to;
    let shared = found.range(..first_unsound).next_back();
    if let Some((number, file)) = shared
        && own.get(number).is_some_and(|own| own.header.is_some() && own.header != file.header)
    {
        return Err(no_backup(backup, OTHER_HISTORY));
    }
    Ok(found)
}

/// The error for a store of which nothing says which it is.
fn nameless(store: &Path) -> Error {
    let reason = "neither store.meta nor any segment's header can be read, so nothing tells which store it is: restore it \
                  from a backup";
    Error::not_repairable(store, reason)
}

#[cfg(test)]
mod tests;
