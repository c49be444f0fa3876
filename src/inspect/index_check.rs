//! The files of the index against the log: each must be what its part of the log makes of it, byte by byte.

use std::{io, ops::ControlFlow, path::PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    disk::contract::OpenMode,
    error::{Error, Result},
    format::{
        layout::{bytes, index},
        segment_header::SegmentHeader,
    },
    index::{
        directory::{Directory, SegmentTable},
        files::{IndexFiles, index_error},
        key::StreamKey,
        memory::MemoryIndex,
        part::{IndexFault, IndexPart},
        sealed::SealedIndex,
        sealed_writer,
    },
    inspect::{
        report::{Extent, Finding, FindingKind},
        stream_table::StreamTable,
    },
    log::{scan::ChainEnd, segment::index_path},
    time::Timestamp,
};

/// What is said of a file that is right in itself and of something else.
const STALE: &str = "it is of another end of the log than the segment has there";

/// A segment's index file, which waits for the end that it is of.
#[derive(Debug)]
pub(crate) struct IndexCheck {
    path: PathBuf,
    header: SegmentHeader,
    state: State,
}

#[derive(Debug)]
enum State {
    Missing,
    Waiting(Box<SealedIndex>),
    Faulty(String),
    Right,
    /// What is wrong is reported.
    Reported,
}

/// What is known of the segments that have a stream's events before a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Links<'a> {
    /// All streams, as they are before the segment.
    Known(&'a StreamTable),
    /// Events before are lost: the file's own links are taken.
    Unknown,
}

impl IndexCheck {
    pub(crate) fn open(files: &IndexFiles, header: &SegmentHeader) -> Self {
        let state = match files.open_index(header) {
            Ok(index) => State::Waiting(Box::new(index)),
            Err(IndexFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => State::Missing,
            Err(fault) => State::Faulty(reason_of(&fault)),
        };
        Self { path: index_path(&files.store, header.number), header: header.clone(), state }
    }

    /// Whether the file is right.
    pub(crate) fn is_right(&self) -> bool {
        matches!(self.state, State::Right)
    }

    /// Whether the file is of an end of the segment, and which that is hasn't been seen yet.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Whether the file ends here.
    pub(crate) fn is_due(&self, file_offset: u64) -> bool {
        matches!(&self.state, State::Waiting(index) if index.chain_end().file_offset == file_offset)
    }

    /// Compares the file with what the segment's events are up to here.
    pub(crate) fn compare(
        &mut self,
        files: &IndexFiles,
        memory: &MemoryIndex,
        end: &ChainEnd,
        links: Links<'_>,
    ) -> Result<Option<Finding>> {
        let State::Waiting(index) = &self.state else { return Ok(None) };
        let link = |key: StreamKey| {
            Ok(match links {
                Links::Known(table) => table.latest(key),
                Links::Unknown => index.run(key).ok().flatten().map_or(0, |run| run.previous),
            })
        };
        let expected = sealed_writer::encode(memory, end, files.store_id, &link)?;
        let difference = self.difference(files, &expected)?.filter(|_| self.is_still_of(files, end));
        self.state = if difference.is_none() { State::Right } else { State::Reported };
        Ok(difference.map(|at| {
            let reason = format!("it isn't what the segment's events make, from byte {at} on");
            Finding::new(FindingKind::Index, &self.path, reason)
        }))
    }

    /// The first byte in which the file isn't as expected.
    fn difference(&self, files: &IndexFiles, expected: &[u8]) -> Result<Option<u64>> {
        let (found, length) = match self.read(files, expected.len()) {
            // Replaced by the writer meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| Error::io("read", &self.path, error))?,
        };
        let same = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
        let is_same = same == expected.len() && length == bytes(expected.len());
        Ok((!is_same).then_some(bytes(same)))
    }

    /// The file's bytes, so many at most, and its length.
    fn read(&self, files: &IndexFiles, bytes_max: usize) -> io::Result<(Vec<u8>, u64)> {
        let file = files.disk.open(&self.path, OpenMode::Read)?;
        let length = file.len()?;
        let mut found = vec![0; index(length.min(bytes(bytes_max)))];
        file.read_exact_at(&mut found, 0)?;
        Ok((found, length))
    }

    /// Whether the file is of this end still: else a writer has put another in its place since it was opened.
    fn is_still_of(&self, files: &IndexFiles, end: &ChainEnd) -> bool {
        files.open_index(&self.header).is_ok_and(|index| index.chain_end().file_offset == end.file_offset)
    }

    /// What is left to say where the segment has ended. `end` is its end, if it is whole.
    pub(crate) fn conclude(
        &self,
        files: &IndexFiles,
        (memory, table): (&MemoryIndex, &StreamTable),
        end: &ChainEnd,
        extent: Extent,
    ) -> Result<Option<Finding>> {
        let reason = match (&self.state, extent) {
            (State::Missing | State::Right | State::Reported, _) => return Ok(None),
            // What a writer has appended since isn't looked at, and so isn't what it has indexed since.
            (State::Waiting(_), Extent::Committed) if end.seal.is_none() => return Ok(None),
            (State::Waiting(_), _) => STALE.to_owned(),
            // A writer has come since, and made it anew.
            (State::Faulty(_), _) if files.open_index(&self.header).is_ok() => return Ok(None),
            (State::Faulty(_), Extent::Committed) if self.is_on_its_way(files, (memory, table), end)? => {
                return Ok(None);
            }
            (State::Faulty(reason), _) => reason.clone(),
        };
        Ok(Some(Finding::new(FindingKind::Index, &self.path, reason)))
    }

    /// Whether a writer may just be writing the file.
    fn is_on_its_way(
        &self,
        files: &IndexFiles,
        (memory, table): (&MemoryIndex, &StreamTable),
        end: &ChainEnd,
    ) -> Result<bool> {
        if end.seal.is_none() {
            return Ok(true);
        }
        let expected = sealed_writer::encode(memory, end, files.store_id, &|key| Ok(table.latest(key)))?;
        let read = self.read(files, expected.len());
        Ok(read.is_ok_and(|(found, _)| expected.starts_with(&found)))
    }
}

fn reason_of(fault: &IndexFault) -> String {
    match fault {
        IndexFault::Damaged(reason) => (*reason).to_owned(),
        IndexFault::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        IndexFault::Io(error) => format!("it can't be read: {error}"),
    }
}

/// A stream's creation as a number; their sum over all streams doesn't depend on their order.
pub(crate) fn creation_number(key: StreamKey, created: Timestamp) -> u64 {
    let mut content = [0; 20];
    content[..8].copy_from_slice(&key.hash.to_le_bytes());
    content[8..12].copy_from_slice(&key.check.to_le_bytes());
    content[12..].copy_from_slice(&created.micros().to_le_bytes());
    xxh3_64(&content)
}

/// streams.dir, which waits for the end of the last segment that it covers.
#[derive(Debug)]
pub(crate) struct DirectoryCheck {
    path: PathBuf,
    directory: Directory,
    covered: SegmentTable,
}

/// What the log is at the end of the last segment that a directory covers.
pub(crate) struct LogAtEnd<'a> {
    pub(crate) table: &'a StreamTable,
    pub(crate) segments: &'a SegmentTable,
    pub(crate) creations: u64,
}

impl DirectoryCheck {
    /// Opens the directory. None: there is none that can be compared, which may be a finding.
    pub(crate) fn open(files: &IndexFiles) -> (Option<Self>, Option<Finding>) {
        let path = files.directory_path();
        match files.open_directory() {
            Ok((directory, covered)) => (Some(Self { path, directory, covered }), None),
            Err(IndexFault::Io(error)) if error.kind() == io::ErrorKind::NotFound => (None, None),
            Err(fault) => (None, Some(Finding::new(FindingKind::Directory, path, reason_of(&fault)))),
        }
    }

    /// The number of the last segment that is covered; none: none is.
    pub(crate) fn last_covered(&self) -> Option<u64> {
        let count = self.covered.entries.len() as u64;
        count.checked_sub(1).map(|behind| u64::from(self.covered.first_segment) + behind)
    }

    /// What it says of the log that is durable.
    pub(crate) fn covered(&self) -> &SegmentTable {
        &self.covered
    }

    /// Compares it with a log that is whole up to here.
    pub(crate) fn compare(&self, log: &LogAtEnd<'_>) -> Option<Finding> {
        let reason = if self.covered == *log.segments {
            self.compare_streams(log)
        } else {
            Some("the segments that it covers aren't those of the log".to_owned())
        };
        reason.map(|reason| Finding::new(FindingKind::Directory, &self.path, reason))
    }

    fn compare_streams(&self, log: &LogAtEnd<'_>) -> Option<String> {
        let mut creations = 0_u64;
        let mut different = None;
        let walked = self.directory.each(&mut |key, head| {
            creations = creations.wrapping_add(creation_number(key, head.created));
            let known = log.table.get(key.hash);
            let is_same = known.is_some_and(|known| {
                known.version == head.version && known.latest == head.latest && known.check == Some(key.check)
            });
            if is_same {
                return ControlFlow::Continue(());
            }
            different = Some(known.map_or_else(
                || "it has a stream that the log hasn't".to_owned(),
                |known| {
                    format!("a stream is at version {} in it, and {} in the log", head.version, known.version)
                },
            ));
            ControlFlow::Break(())
        });
        if let Err(fault) = walked {
            return Some(reason_of(&fault));
        }
        if different.is_none() && self.directory.stream_count() != log.table.count() {
            different = Some("it lacks streams".to_owned());
        }
        different.or_else(|| {
            (creations != log.creations).then(|| "a stream's time of creation is wrong".to_owned())
        })
    }

    /// Visits its streams: hash, version, and the segment of the latest event.
    pub(crate) fn each(&self, visit: &mut dyn FnMut(u64, crate::position::Version, u32)) -> Result<()> {
        let walked = self.directory.each(&mut |key, head| {
            visit(key.hash, head.version, head.latest);
            ControlFlow::Continue(())
        });
        walked.map_err(|fault| index_error(&self.path, fault))
    }
}
