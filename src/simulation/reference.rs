//! A small store as its bytes, and what it must answer.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    background::Job,
    disk::{
        contract::Disk,
        sim::{random::Random, simulated::SimDisk},
    },
    error::Result,
    event::StoredEvent,
    events::Events,
    format::{
        frame::{FrameHeader, FrameKind},
        layout::FRAME_ALIGNMENT,
    },
    opening,
    options::{Durability, Options, SEGMENT_BYTES_MIN},
    query::Query,
    simulation::{
        failure::BrokenPromise,
        history::{History, payload_bytes},
        scenario::Run,
        session::{Parts, STORE, Session, choose_parts, options},
    },
    stream::StreamId,
};

/// How many segments the log has, about, unless they would be shorter than the shortest.
const SEGMENTS: u64 = 4;

/// How much of the log the second session writes, about, in bytes.
const SECOND_SESSION_BYTES: u64 = 1_500;

/// How long an event's payload is at most, in bytes: more than a sector.
const SMALL_PAYLOAD_BYTES_MAX: usize = 600;

/// More seeds than it ever takes to hit a length.
const SEEDS_MAX: u64 = 10_000;

/// A file's path, and its bytes.
pub(crate) type File = (PathBuf, Vec<u8>);

/// How the last writer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Closed,
    Killed,
}

/// What stands beside the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beside {
    Nothing,
    /// The index files of a closing, which isn't the last session's where that was killed.
    IndexFiles,
}

/// What an opening and reading of everything came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SurgeryAnswer {
    /// An error, and the files are as they were.
    Refused,
    /// All events, as they were written.
    Right,
    /// The first so many events, and not the others.
    Fewer(usize),
}

/// A store of some segments, written in two sessions. The first one reaches into the last segment, so that its closing
/// leaves an index of each; and durable.mark says of a killed store how far that closing came.
pub(crate) struct ReferenceStore {
    disk: SimDisk,
    options: Options,
    /// The log, store.meta and durable.mark.
    pub(crate) files: Vec<File>,
    /// What is made of the log.
    pub(crate) index_files: Vec<File>,
    /// What the log's files were after each turn of the writer.
    pub(crate) earlier: Vec<Vec<File>>,
    streams: Vec<StreamId>,
    events: Vec<StoredEvent>,
    /// How many events durable.mark names.
    pub(crate) marked: usize,
}

/// What a seed comes to.
struct Written {
    run: Run,
    events: Vec<StoredEvent>,
    earlier: Vec<Vec<File>>,
    marked: usize,
}

impl ReferenceStore {
    /// A seed whose store has a log that is exactly so long, in bytes.
    pub(crate) fn seed_for(log_bytes: u64) -> u64 {
        let options = options_for(log_bytes);
        let is_it = |seed: &u64| write(*seed, log_bytes, &options, End::Closed, Keeping::Nothing).is_some();
        (1..SEEDS_MAX).find(is_it).expect("one in some hundred seeds hits a length")
    }

    /// The store of a seed whose log is so long.
    pub(crate) fn new(seed: u64, log_bytes: u64, end: End, beside: Beside) -> Self {
        let options = options_for(log_bytes);
        let written = write(seed, log_bytes, &options, end, Keeping::EachTurn);
        let Written { run, events, earlier, marked } = written.expect("the end changes nothing before it");
        let disk = run.disk.snapshot(1);
        // `head` says nothing on another disk, as after a restart: it has a test of its own.
        let is_of_the_store = |path: &PathBuf| !path.ends_with("writer.pid") && !path.ends_with("head");
        let content = |path: PathBuf| (path.clone(), disk.read_file(&path).expect("it is listed"));
        let all = disk.files().into_iter().filter(is_of_the_store).map(content);
        let (mut index_files, files): (Vec<File>, Vec<File>) = all.partition(|(path, _)| is_derived(path));
        let logs = files.iter().filter(|(path, _)| is_log(path)).count();
        assert!(logs > 1, "the surgery is to meet sealed segments and an active one");
        assert_eq!(index_files.len(), logs + 1, "each segment has an index, and the store a directory");
        if beside == Beside::Nothing {
            for (path, _) in index_files.drain(..) {
                disk.remove_file(path).expect("it is there");
            }
        }
        let mut streams: Vec<StreamId> = events.iter().map(|event| event.stream.clone()).collect();
        streams.sort();
        streams.dedup();
        Self { disk, options, files, index_files, earlier, streams, events, marked }
    }

    /// How many events there are.
    pub(crate) fn events_count(&self) -> usize {
        self.events.len()
    }

    /// Opens a copy in which some files have other bytes, or are gone, and reads everything.
    pub(crate) fn ask(&self, changed: &[(PathBuf, Option<Vec<u8>>)]) -> Result<SurgeryAnswer, BrokenPromise> {
        let disk = self.disk.fork(2);
        for (path, content) in changed {
            let done = match content {
                Some(content) => disk.write_file(path, content.clone()),
                None => disk.remove_file(path),
            };
            done.map_err(|error| format!("surgery: {error}"))?;
        }
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let Ok(opened) = opening::open(&shared, Path::new(STORE), &self.options) else {
            self.check_untouched(&disk, changed)?;
            return Ok(SurgeryAnswer::Refused);
        };
        let read =
            |selection| Events::new(&opened.committed, selection).collect::<Result<Vec<StoredEvent>>>();
        let Ok(found) = read(Query::all().select()) else { return Ok(SurgeryAnswer::Refused) };
        if !self.events.starts_with(&found) {
            return Err("wrong events were shown".to_owned().into());
        }
        for stream in &self.streams {
            let Ok(of_stream) = read(Query::stream(stream).select()) else {
                return Ok(SurgeryAnswer::Refused);
            };
            if !found.iter().filter(|event| event.stream == *stream).eq(&of_stream) {
                return Err(format!("stream {stream} isn't as the log has it").into());
            }
        }
        let is_all = found.len() == self.events.len();
        Ok(if is_all { SurgeryAnswer::Right } else { SurgeryAnswer::Fewer(found.len()) })
    }

    /// A store that is refused is left as it was.
    fn check_untouched(
        &self,
        disk: &SimDisk,
        changed: &[(PathBuf, Option<Vec<u8>>)],
    ) -> Result<(), BrokenPromise> {
        for (path, content) in &self.files {
            let expected = match changed.iter().find(|(changed, _)| changed == path) {
                Some((_, changed)) => changed.as_ref(),
                None => Some(content),
            };
            if disk.read_file(path).as_ref() != expected {
                return Err(format!("the store was refused, and {} was touched", path.display()).into());
            }
        }
        Ok(())
    }

    /// The last frame with events: the last log, and where the frame's header begins in it.
    pub(crate) fn last_frame(&self) -> (&Path, usize) {
        let (path, content) = self.files.iter().rfind(|(path, _)| is_log(path)).expect("a log");
        let mut starts = (0..content.len()).step_by(FRAME_ALIGNMENT);
        let last = starts.rfind(|start| content[*start..].starts_with(b"aFRM")).expect("a frame");
        (path, last)
    }
}

pub(crate) fn is_derived(path: &Path) -> bool {
    path.extension() == Some("idx".as_ref()) || path.ends_with("streams.dir")
}

pub(crate) fn is_log(path: &Path) -> bool {
    path.extension() == Some("log".as_ref())
}

fn options_for(log_bytes: u64) -> Options {
    options(Durability::Fsync, (log_bytes / SEGMENTS).max(SEGMENT_BYTES_MIN))
}

/// Whether the log's files are kept as they are after each turn of the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keeping {
    Nothing,
    EachTurn,
}

/// The log's files.
fn logs(disk: &SimDisk) -> Vec<File> {
    let log = |path: PathBuf| disk.read_file(&path).map(|content| (path, content));
    disk.files().into_iter().filter(|path| is_log(path)).filter_map(log).collect()
}

fn has_events(log: &[u8]) -> bool {
    log.chunks(FRAME_ALIGNMENT)
        .filter_map(|slot| FrameHeader::decode(slot).ok())
        .any(|header| header.kind == FrameKind::Data)
}

/// A commit of a few hundred bytes: with larger ones hardly any seed hits a length.
fn choose_small(random: &mut Random, history: &History) -> Parts {
    let mut parts = choose_parts(random, history);
    parts.truncate(2);
    for (_, _, tags) in &mut parts {
        tags.truncate(2);
        for tag in tags {
            while payload_bytes(*tag) > SMALL_PAYLOAD_BYTES_MAX {
                *tag = random.next();
            }
        }
    }
    parts
}

/// Writes a store by a seed; none: its log isn't so long, or one of its segments has nothing to show.
fn write(seed: u64, log_bytes: u64, options: &Options, end: End, keeping: Keeping) -> Option<Written> {
    let mut random = Random::new(seed);
    let mut run = Run::new(SimDisk::new(seed));
    let mut earlier = Vec::new();
    let mut append_until = |run: &mut Run, session: &mut Session, bytes: u64| {
        while session.log_bytes() < bytes {
            let commit = choose_small(&mut random, &run.history);
            let goes_on = session.append_commits(vec![commit], &mut run.history);
            assert_eq!(goes_on, Ok(true), "the disk works");
            if keeping == Keeping::EachTurn {
                earlier.push(logs(&run.disk));
            }
        }
    };
    let open = |run: &mut Run| {
        let session = run.open(options).expect("the history is right");
        session.expect("the disk works")
    };
    let mut session = open(&mut run);
    append_until(&mut run, &mut session, log_bytes - SECOND_SESSION_BYTES);
    let (marked, number) = (run.history.len(), session.segment_number());
    assert!(session.close(&mut run.history), "the disk works");
    let indexed = run.disk.files().iter().filter(|path| path.extension() == Some("idx".as_ref())).count();
    let mut session = open(&mut run);
    if end == End::Killed {
        // The files of a store that wasn't closed are longer than what was written.
        session.run_job(Job::Grow, &mut run.history);
    }
    append_until(&mut run, &mut session, log_bytes);
    let goes_on_in_the_last = session.segment_number() == number && run.history.len() > marked;
    // There is room behind the end, which a writer prepares.
    let is_whole = number > 1 && indexed as u64 == number && session.file_bytes() < options.segment_bytes;
    let each_has_events = logs(&run.disk).iter().all(|(_, content)| has_events(content));
    if session.log_bytes() != log_bytes || !goes_on_in_the_last || !is_whole || !each_has_events {
        return None;
    }
    let events = session.events().expect("the disk works");
    match end {
        End::Closed => assert!(session.close(&mut run.history), "the disk works"),
        End::Killed => run.kill(),
    }
    Some(Written { run, events, earlier, marked })
}
