//! Opening: the lock, the store's creation where there is none, recovery, and the engine on top.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    committed::Committed,
    disk::contract::DirectoryLock,
    disk::contract::{Disk, EntryKind, OpenMode},
    error::{Error, Result},
    event::EventIdRef,
    format::{
        control::StoreMeta,
        frame::EpochMode,
        record::{IdForm, IdOrigin, Record},
    },
    index::tail::{IndexedEvent, TailIndex, id_hash, stream_hash},
    log::{
        creation,
        head::Head,
        recovery::recover,
        segmented_log::{LogSettings, SegmentedLog},
    },
    options::{Creation, Durability, Options},
    position::LogOffset,
    stream::StreamId,
    time::Timestamp,
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
    let meta = read_or_create(&**disk, path, options)?;
    write_holder(&**disk, path);
    let mut index = TailIndex::default();
    let mut last_timestamp = Timestamp::MIN;
    let recovered = recover(&**disk, path, &meta, &mut |place, record| {
        last_timestamp = last_timestamp.max(record.event.timestamp);
        add_to_index(&mut index, place, record)
    })?;
    let settings = LogSettings {
        disk: Arc::clone(disk),
        store: path.to_owned(),
        store_id: meta.store_id,
        segment_bytes: options.segment_bytes,
        read: options.read,
        mode: epoch_mode(options.durability),
    };
    let epoch = recovered.end.epoch;
    let (log, segments) = SegmentedLog::new(settings, recovered)?;
    let committed = Arc::new(Committed::new(index, segments));
    let reached = (log.progress().written(), committed.head());
    let head = Head::open(&**disk, path, meta.store_id, epoch, reached);
    let core = Core::new(log, Arc::clone(&committed), head, options.durability, last_timestamp);
    trace::info("opened", path, format_args!("{} events", committed.head()));
    Ok(Opened { core, committed, lock })
}

fn epoch_mode(durability: Durability) -> EpochMode {
    match durability {
        Durability::Fsync => EpochMode::Fsync,
        Durability::Buffered => EpochMode::Buffered,
    }
}

/// Adds an event to the index that was found in the log.
pub(crate) fn add_to_index(
    index: &mut TailIndex,
    place: LogOffset,
    record: &Record<'_>,
) -> Result<(), &'static str> {
    let event = &record.event;
    // A name that this version would refuse can only stand in a log that another program wrote.
    let stream = StreamId::new(event.stream).map_err(|_| "an event's stream has an invalid name")?;
    let indexed =
        IndexedEvent { place, position: event.position, version: event.version, timestamp: event.timestamp };
    index.add(stream_hash(event.stream), event.stream, || stream, indexed)?;
    if record.id_origin == IdOrigin::Caller {
        let hash = match &event.id {
            EventIdRef::Uuid(uuid) => id_hash(event.stream, uuid.as_bytes(), IdForm::Uuid),
            EventIdRef::Text(text) => id_hash(event.stream, text.as_bytes(), IdForm::Text),
        };
        index.add_id(hash, place);
    }
    Ok(())
}

/// Makes sure that a directory stands at the path.
pub(crate) fn check_directory(disk: &dyn Disk, path: &Path, creation: Creation) -> Result<()> {
    let not_a_store = |reason: &str| Error::NotAStore { path: path.to_owned(), reason: reason.to_owned() };
    // A link to a directory is followed: people put stores where there is room.
    match (disk.kind(path).map_err(|error| Error::io("look at", path, error))?, creation) {
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
        let reason = "it has no store.meta".to_owned();
        return Err(Error::NotAStore { path: path.to_owned(), reason });
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
fn write_holder(disk: &dyn Disk, store: &Path) {
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
