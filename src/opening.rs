//! Opening: the lock, the store's creation where there is none, recovery, and the engine on top.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    committed::{Committed, CommittedState},
    disk::contract::{DirectoryLock, Disk, EntryKind, OpenMode},
    error::{Error, Result},
    format::{control::StoreMeta, frame::EpochMode},
    index::{
        files::{Access, IndexFiles},
        loading::{Loaded, load},
        memory::MemoryIndex,
        read_progress::ReadProgress,
        scanning::{add_record, segment_number},
        sealed::SealedIndex,
        sealed_parts::SealedPart,
        settled::{Settled, SettledPart},
    },
    log::{
        creation,
        head::Head,
        mark::Mark,
        recovery::{Known, check_link, list_segments, recover},
        segment::Segment,
        segmented_log::{LogSettings, SegmentedLog},
    },
    options::{Creation, Durability, Options, ReadMode},
    trace,
    writer::core::Core,
};

/// How often the lock is tried, while another has it.
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// How much of writer.pid is shown, in bytes.
const HOLDER_BYTES_MAX: usize = 200;

/// A store that is open, before its threads.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) core: Core,
    pub(crate) committed: Arc<Committed>,
    pub(crate) lock: Box<dyn DirectoryLock>,
}

/// Opens the store at `path`, or makes it.
pub(crate) fn open(disk: &Arc<dyn Disk>, path: &Path, options: &Options) -> Result<Opened> {
    options.check()?;
    check_directory(&**disk, path, options.creation)?;
    let lock = take_lock(&**disk, path, options.lock_wait)?;
    open_locked(disk, path, options, lock)
}

/// Opens the store at `path`, whose lock the caller has.
pub(crate) fn open_locked(
    disk: &Arc<dyn Disk>,
    path: &Path,
    options: &Options,
    lock: Box<dyn DirectoryLock>,
) -> Result<Opened> {
    let meta = read_or_create(&**disk, path, options)?;
    let mark = Mark::read(&**disk, path, meta.store_id)?;
    let (numbers, last) = list_segments(&**disk, path, &meta)?;
    // In a directory that is no store yet nothing is written.
    write_holder(&**disk, path);
    let files = IndexFiles {
        disk: Arc::clone(disk),
        store: path.to_owned(),
        store_id: meta.store_id,
        read: options.read,
        access: Access::Owner,
    };
    let settings = LogSettings {
        disk: Arc::clone(disk),
        store: path.to_owned(),
        store_id: meta.store_id,
        segment_bytes: options.segment_bytes,
        read: options.read,
        mode: epoch_mode(options.durability),
    };
    let found =
        find(&files, &meta, &numbers, (last, OpenMode::ReadWrite), &mark, options, Segment::prepared)?;
    let Found { loaded, segment, begun, mut progress } = found;
    let (before, sealed_timestamp) = loaded.sealed.end();
    let known =
        Known { before, indexed: begun.as_ref().map(SealedIndex::chain_end), durable: loaded.durable };
    let mut tail = new_tail(&segment, begun.as_ref());
    let begun_times = begun.as_ref().and_then(SealedIndex::times);
    let settled = settle(loaded, &segment, begun, options.read)?;
    progress.begin(last);
    let recovered = recover(&**disk, path, mark, segment, &known, &mut |file_offset, record| {
        progress.reached(last, file_offset);
        add_record(&mut tail, meta.store_id, file_offset, record)
    })?;
    progress.finish();
    let epoch = recovered.end.epoch;
    let log = SegmentedLog::new(settings, recovered)?;
    let later_times = [begun_times, tail.times()].into_iter().flatten();
    let last_timestamp = later_times.fold(sealed_timestamp, |latest, (_, last)| latest.max(last));
    let state = CommittedState::new(tail, Arc::clone(log.active()), settled);
    let committed = Arc::new(Committed::new(meta.store_id, state));
    let reached = (log.progress().written(), committed.head());
    let head = Head::open(&**disk, path, meta.store_id, epoch, reached);
    let core = Core::new(log, Arc::clone(&committed), head, options.durability, last_timestamp);
    trace::info("opened", path, format_args!("{} events", committed.head()));
    Ok(Opened { core, committed, lock })
}

/// The index file of the last segment's beginning, as the last closing left it, if it can be used: what it is
/// of was durable then.
fn open_begun(files: &IndexFiles, segment: &Segment, mark: &Mark) -> Option<SealedIndex> {
    let index = files.open_index_of(segment).ok()?;
    let end = index.chain_end();
    let was_durable = mark.durable().is_some_and(|durable| segment.log_offset(end.file_offset) <= durable);
    (was_durable && end.seal.is_none() && end.file_offset <= segment.prepared()).then_some(index)
}

/// What the index's files say, and what is left to read.
pub(crate) struct Found {
    pub(crate) loaded: Loaded,
    /// The last one, which goes on from the others.
    pub(crate) segment: Segment,
    /// The index file of its beginning.
    pub(crate) begun: Option<SealedIndex>,
    pub(crate) progress: ReadProgress,
}

/// Loads the index of all segments but the last, and opens that. `end` is up to where in its file it has to be read at most.
pub(crate) fn find(
    files: &IndexFiles,
    meta: &StoreMeta,
    numbers: &[u64],
    (last, mode): (u64, OpenMode),
    mark: &Mark,
    options: &Options,
    end: impl FnOnce(&Segment) -> u64,
) -> Result<Found> {
    // First, to say how much there is to read; but what is wrong with the others is told before what is wrong with it.
    let opened = Segment::open(&*files.disk, &files.store, last, mode);
    let begun = opened.as_ref().ok().and_then(|segment| open_begun(files, segment, mark));
    let mut progress = ReadProgress::new(options);
    if let Ok(segment) = &opened {
        let indexed = begun.as_ref().map_or(0, |begun| begun.chain_end().file_offset);
        progress.expect_last(last, indexed..end(segment));
    }
    let loaded = load(files, meta, numbers, &mut progress)?;
    let segment = opened?;
    check_link(&segment, meta, loaded.sealed.end().0.as_ref())?;
    Ok(Found { loaded, segment, begun, progress })
}

/// The index in memory of what comes behind the index file.
pub(crate) fn new_tail(segment: &Segment, begun: Option<&SealedIndex>) -> MemoryIndex {
    let header = &segment.header;
    let first_position = begun.map_or(header.first_position, |begun| begun.chain_end().next_position);
    MemoryIndex::new(segment_number(header.number), header.base, first_position)
}

/// All before the tail.
pub(crate) fn settle(
    loaded: Loaded,
    segment: &Segment,
    begun: Option<SealedIndex>,
    read: ReadMode,
) -> Result<Settled> {
    let mut recent = Vec::new();
    if let Some(index) = begun {
        let end = index.chain_end().file_offset;
        let view = segment.view(read, end)?;
        view.publish(end);
        let number = segment_number(segment.header.number);
        recent.push(SettledPart::Sealed(Arc::new(SealedPart::new(
            number,
            Arc::new(view),
            end,
            Arc::new(index),
        ))));
    }
    Ok(Settled::new(loaded.directory, loaded.sealed, recent))
}

fn epoch_mode(durability: Durability) -> EpochMode {
    match durability {
        Durability::Fsync => EpochMode::Fsync,
        Durability::Buffered => EpochMode::Buffered,
    }
}

/// Makes sure that a directory stands at the path.
pub(crate) fn check_directory(disk: &dyn Disk, path: &Path, creation: Creation) -> Result<()> {
    let not_a_store = |reason: &str| Error::NotAStore { path: path.to_owned(), reason: reason.to_owned() };
    // A link to a directory is followed: people put stores where there is room.
    let kind = disk.kind(path).map_err(|error| Error::io("look at", path, error))?;
    if kind.is_none() {
        creation::refuse_unrestored(disk, path)?;
    }
    match (kind, creation) {
        (None, Creation::Never) => Err(not_a_store("nothing is there")),
        (None, Creation::IfMissing) => creation::create_directory(disk, path),
        (Some(EntryKind::File), _) => Err(not_a_store("it is a file, not a directory")),
        (Some(EntryKind::Directory | EntryKind::Other), _) => Ok(()),
    }
}

fn read_or_create(disk: &dyn Disk, path: &Path, options: &Options) -> Result<StoreMeta> {
    if let Some(meta) = creation::read_meta(disk, path)? {
        return Ok(meta);
    }
    if options.creation == Creation::Never {
        return Err(creation::no_meta(path));
    }
    let store_id = xxh3_64(options.ids.next_id().as_bytes());
    creation::create(disk, path, store_id, epoch_mode(options.durability), options.clock.now())
}

pub(crate) fn take_lock(disk: &dyn Disk, path: &Path, wait: Duration) -> Result<Box<dyn DirectoryLock>> {
    let begun = Instant::now();
    loop {
        match disk.lock_dir(path) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) if begun.elapsed() < wait => std::thread::sleep(LOCK_RETRY),
            Ok(None) => return Err(Error::Locked { path: path.to_owned(), holder: read_holder(disk, path) }),
            Err(error) => return Err(Error::io("lock", path, error)),
        }
    }
}

fn holder_path(store: &Path) -> PathBuf {
    store.join("writer.pid")
}

/// Leaves a note for messages about who has the store. Nothing rests on it, so a failure is only traced.
pub(crate) fn write_holder(disk: &dyn Disk, store: &Path) {
    let program = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
    let note = format!("process {} ({program})\n", std::process::id());
    let write = || -> io::Result<()> {
        let path = holder_path(store);
        let mode = if disk.kind(&path)?.is_some() { OpenMode::ReadWrite } else { OpenMode::CreateNew };
        let file = disk.open(&path, mode)?;
        file.set_len(0)?;
        file.write_all_at(note.as_bytes(), 0)?;
        Ok(())
    };
    if let Err(error) = write() {
        trace::info("writer.pid isn't written", store, format_args!("{error}"));
    }
}

fn read_holder(disk: &dyn Disk, store: &Path) -> String {
    let read = || -> io::Result<String> {
        let file = disk.open(&holder_path(store), OpenMode::Read)?;
        let mut note = [0; HOLDER_BYTES_MAX];
        let count = file.read_at(&mut note, 0)?;
        let text = String::from_utf8_lossy(&note[..count]);
        Ok(text.trim().chars().filter(|character| !character.is_control()).collect())
    };
    match read() {
        Ok(note) if !note.is_empty() => note,
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests;
