//! Verifying: every byte of the log read with pread and checked, and nothing changed.

use std::{
    collections::HashMap,
    mem,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    disk::{
        contract::{Disk, OpenMode},
        os::OsDisk,
    },
    error::{Error, Result},
    format::{control::StoreMeta, layout::bytes},
    log::{
        creation,
        mark::Mark,
        recovery::{check_link, check_sealed, list_segments, tail_facts},
        scan::{ChainEnd, Scan, Stop},
        segment::Segment,
        verdict::{Verdict, judge},
        visiting::visit_frame,
    },
    opening::{check_directory, take_lock},
    options::Creation,
    position::{Position, Version},
    stream::check_name,
};

/// How far a verification is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// How much was read, in bytes.
    pub bytes: u64,
    /// How much there is to read, in bytes.
    pub bytes_total: u64,
}

/// What a verification found.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Verification {
    /// How many segments were read.
    pub segments: u64,
    /// How many frames are valid.
    pub frames: u64,
    /// How many events are valid.
    pub events: u64,
    /// How many streams they belong to.
    pub streams: u64,
    /// How much was read, in bytes.
    pub bytes: u64,
    /// The position of the last valid event.
    pub last_position: Position,
    /// How many bytes a write left that a power cut or crash interrupted; no one was told that it is stored,
    /// and the next opening clears them away.
    pub interrupted_bytes: u64,
    /// What isn't what was written; empty: nothing.
    pub damage: Vec<Damage>,
}

/// A place where bytes aren't what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The first byte in the file that can't be trusted.
    pub offset: u64,
    /// What is wrong there.
    pub reason: String,
    /// The last position before the damage, where it is known.
    pub intact: Option<Position>,
}

/// Reads every byte of the log of the store in a directory, and checks it. Changes nothing.
///
/// # Errors
///
/// [`Error::Locked`] while a writer has the store, [`Error::NotAStore`], [`Error::NewerFormat`],
/// [`Error::Io`]. Damage to the log is no error here, but what is returned.
pub fn verify(path: impl AsRef<Path>, progress: &mut dyn FnMut(Progress)) -> Result<Verification> {
    verify_on(&OsDisk, path.as_ref(), progress)
}

/// [`verify`] on a disk of the caller's.
///
/// # Errors
///
/// As [`verify`].
pub fn verify_on(disk: &dyn Disk, path: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Verification> {
    check_directory(disk, path, Creation::Never)?;
    let _lock = take_lock(disk, path, Duration::ZERO)?;
    let mut verifier = Verifier {
        disk,
        store: path,
        progress,
        bytes_total: 0,
        versions: HashMap::new(),
        found: Verification::default(),
    };
    if let Err(error) = verifier.run() {
        verifier.note(error)?;
    }
    verifier.found.streams = verifier.versions.len() as u64;
    Ok(verifier.found)
}

struct Verifier<'a> {
    disk: &'a dyn Disk,
    store: &'a Path,
    progress: &'a mut dyn FnMut(Progress),
    bytes_total: u64,
    /// How far each stream is; only compared while nothing is damaged.
    versions: HashMap<String, Version>,
    found: Verification,
}

impl Verifier<'_> {
    fn run(&mut self) -> Result<()> {
        let meta = creation::read_meta(self.disk, self.store)?;
        let meta = meta.ok_or_else(|| creation::no_meta(self.store))?;
        let mark = Mark::read(self.disk, self.store, meta.store_id)?;
        let (mut numbers, last) = list_segments(self.disk, self.store, &meta)?;
        numbers.push(last);
        let mut segments = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let segment = Segment::open(self.disk, self.store, *number, OpenMode::Read);
            if let Some(segment) = self.noted(segment)? {
                self.bytes_total += segment.prepared();
                segments.push(segment);
            }
        }
        let mut before: Option<ChainEnd> = None;
        for segment in &segments {
            before = self.segment(&meta, segment, before, &mark, last)?;
        }
        Ok(())
    }

    /// Checks one segment. Returns its end if the next one can be compared with it.
    fn segment(
        &mut self,
        meta: &StoreMeta,
        segment: &Segment,
        before: Option<ChainEnd>,
        mark: &Mark,
        last: u64,
    ) -> Result<Option<ChainEnd>> {
        self.noted(check_link(segment, meta, before.as_ref()))?;
        let (end, stop) = self.frames(segment)?;
        self.found.segments += 1;
        if segment.header.number != last {
            return Ok(self.noted(check_sealed(segment, end, stop))?.map(|()| end));
        }
        let facts = tail_facts(segment, end, stop, mark)?;
        match judge(&facts) {
            Verdict::Whole => {}
            Verdict::Torn => {
                self.found.interrupted_bytes = facts.bytes_end.get() - facts.chain_end.get();
            }
            Verdict::Corrupt(reason) => self.found.damage.push(Damage {
                path: segment.path.clone(),
                offset: end.file_offset,
                reason: format!("{reason} ({})", stop.reason),
                intact: Some(end.next_position.previous()),
            }),
        }
        Ok(None)
    }

    fn frames(&mut self, segment: &Segment) -> Result<(ChainEnd, Stop)> {
        let io = |error| Error::io("read", &segment.path, error);
        let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
        let read_before = self.found.bytes;
        let stop = loop {
            let frame = match scan.next_frame().map_err(io)? {
                Ok(frame) => frame,
                Err(stop) => break stop,
            };
            self.found.frames += 1;
            let (found, versions) = (&mut self.found, &mut self.versions);
            let visited = visit_frame(segment, &frame, &mut |file_offset, record| {
                // A name that this version would refuse can only stand in a log that another program wrote.
                check_name("stream id", record.event.stream)
                    .map_err(|_| "an event's stream has an invalid name")?;
                found.events += 1;
                found.last_position = record.event.position;
                let goes_on = add_version(versions, record.event.stream, record.event.version);
                if !goes_on && found.damage.is_empty() {
                    let reason = "an event's version doesn't go on from the one before it in its stream";
                    let (path, intact) = (segment.path.clone(), record.event.position.previous());
                    found.damage.push(Damage {
                        path,
                        offset: file_offset,
                        reason: reason.into(),
                        intact: Some(intact),
                    });
                }
                Ok(())
            });
            if let Err(error) = visited {
                self.note(error)?;
            }
            self.found.bytes = read_before + frame.file_offset + bytes(frame.header.frame_bytes());
            (self.progress)(Progress { bytes: self.found.bytes, bytes_total: self.bytes_total });
        };
        self.found.bytes = read_before + segment.prepared();
        (self.progress)(Progress { bytes: self.found.bytes, bytes_total: self.bytes_total });
        Ok((scan.end(), stop))
    }

    /// Turns corruption into a finding; other errors stay errors.
    fn noted<T>(&mut self, result: Result<T>) -> Result<Option<T>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) => self.note(error).map(|()| None),
        }
    }

    fn note(&mut self, error: Error) -> Result<()> {
        match error {
            Error::Corrupt { path, offset, reason, intact } => {
                self.found.damage.push(Damage { path, offset, reason, intact });
                Ok(())
            }
            other => Err(other),
        }
    }
}

/// Whether the version goes on from the stream's last one, which it becomes.
fn add_version(versions: &mut HashMap<String, Version>, stream: &str, version: Version) -> bool {
    match versions.get_mut(stream) {
        Some(last) => mem::replace(last, version).next() == version,
        None => versions.insert(stream.to_owned(), version).is_none() && version == Version::FIRST,
    }
}
