//! The index of the sealed segments at opening: what its files say, and what has to be made anew.

use std::{collections::HashSet, sync::Arc};

use crate::{
    disk::contract::{OpenMode, list_inner_dir},
    error::{Error, Result},
    format::control::StoreMeta,
    index::{
        directory::{Directory, SegmentTable},
        files::{Access, IndexFiles, index_error},
        folding::fold_into,
        part::{IndexFault, Times},
        read_progress::ReadProgress,
        scanning::{index_sealed, segment_number},
        sealed_parts::SealedParts,
        sealed_writer,
    },
    log::{
        recovery::check_link,
        scan::{ChainEnd, is_end_of_chain},
        segment::{Segment, index_number, segment_path, segments_directory},
    },
    position::LogOffset,
    trace,
};

/// The index of all sealed segments.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) directory: Directory,
    pub(crate) sealed: Arc<SealedParts>,
    /// How much of the log the directory file witnesses to have been durable.
    pub(crate) durable: LogOffset,
}

/// Loads the index of the segments with these numbers, all of which have a successor. Segments whose index
/// file can't be used are read.
pub(crate) fn load(
    files: &IndexFiles,
    meta: &StoreMeta,
    numbers: &[u64],
    progress: &mut ReadProgress,
) -> Result<Loaded> {
    let (directory, table) = open_directory(files, meta, numbers)?;
    let durable = table.log_end();
    let sealed = Arc::new(SealedParts::new(files.clone(), table));
    let mut loaded = Loaded { directory, sealed, durable };
    let mut reading = Reading::new(files, numbers, loaded.sealed.count(), progress)?;
    reading.make_missing(&loaded.sealed)?;
    for number in &numbers[loaded.sealed.count()..] {
        reading.adopt(&mut loaded, meta, *number)?;
    }
    Ok(loaded)
}

/// The directory as its file has it, with the segments that it covers; nothing if it can't be used.
fn open_directory(
    files: &IndexFiles,
    meta: &StoreMeta,
    numbers: &[u64],
) -> Result<(Directory, SegmentTable)> {
    let nothing = || (Directory::empty(), SegmentTable::empty(segment_number(meta.first_segment)));
    let path = files.directory_path();
    match files.open_directory() {
        Ok((directory, covered)) => {
            let is_its = u64::from(covered.first_segment) == meta.first_segment
                && covered.end.is_some_and(|end| end.seal.is_some());
            if !is_its {
                return Ok(nothing());
            }
            if covered.entries.len() > numbers.len() {
                return Err(lost_segment(files, meta, numbers));
            }
            if !is_of_this_log(files, &covered) {
                trace::warn("the stream directory is made anew", &path, format_args!("it is of another log"));
                return Ok(nothing());
            }
            Ok((directory, covered))
        }
        Err(IndexFault::Io(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(nothing()),
        Err(fault) => {
            trace::warn("the stream directory is made anew", &path, format_args!("{fault:?}"));
            Ok(nothing())
        }
    }
}

/// Whether the last segment that a directory covers ends as it says.
fn is_of_this_log(files: &IndexFiles, covered: &SegmentTable) -> bool {
    let number = u64::from(covered.first_segment) + covered.entries.len() as u64 - 1;
    let opened = Segment::open(&*files.disk, &files.store, number, OpenMode::Read);
    // Where it can't be opened, whoever needs it says why.
    opened.is_err()
        || opened.is_ok_and(|segment| {
            let ends = |end| is_end_of_chain(&*segment.file, &segment.header, &end).unwrap_or(false);
            covered.end.is_some_and(ends)
        })
}

/// The directory is written only when the segment behind those that it covers is durable.
fn lost_segment(files: &IndexFiles, meta: &StoreMeta, numbers: &[u64]) -> Error {
    let missing = meta.first_segment + numbers.len() as u64 + 1;
    let reason = "this segment is missing, though streams.dir says that it was there";
    Error::corrupt(segment_path(&files.store, missing), 0, reason, None)
}

/// The reading of segments whose index files are missing.
struct Reading<'a> {
    files: &'a IndexFiles,
    /// Sealed segments that the directory covers, and that have no index file.
    missing: Vec<u64>,
    progress: &'a mut ReadProgress,
}

impl<'a> Reading<'a> {
    fn new(
        files: &'a IndexFiles,
        numbers: &[u64],
        covered: usize,
        progress: &'a mut ReadProgress,
    ) -> Result<Self> {
        let path = segments_directory(&files.store);
        let entries = list_inner_dir(&*files.disk, &path).map_err(|error| Error::io("list", &path, error))?;
        let present: HashSet<u64> = entries.iter().filter_map(|entry| index_number(&entry.name)).collect();
        let missing_of = |numbers: &[u64]| -> Vec<u64> {
            numbers.iter().copied().filter(|number| !present.contains(number)).collect()
        };
        let (covered, behind) = numbers.split_at(covered);
        // A guest makes each of these when it needs it.
        let missing = if files.access == Access::Guest { Vec::new() } else { missing_of(covered) };
        if progress.is_told() {
            for number in missing.iter().copied().chain(missing_of(behind)) {
                progress.expect(number, 0..length_of(files, number));
            }
            progress.tell(0);
        }
        Ok(Self { files, missing, progress })
    }

    /// Makes the missing indexes of segments that the directory covers.
    fn make_missing(&mut self, sealed: &SealedParts) -> Result<()> {
        for number in std::mem::take(&mut self.missing) {
            self.progress.begin(number);
            sealed.get_noting(segment_number(number), &mut |place| self.progress.reached(number, place))?;
            self.progress.finish();
        }
        Ok(())
    }

    /// Adds the next sealed segment, which the directory doesn't cover.
    fn adopt(&mut self, loaded: &mut Loaded, meta: &StoreMeta, number: u64) -> Result<()> {
        let segment = Segment::open(&*self.files.disk, &self.files.store, number, OpenMode::Read)?;
        check_link(&segment, meta, loaded.sealed.end().0.as_ref())?;
        let (end, times) = self.index_of(&segment, loaded)?;
        loaded.sealed.push(&segment.header, end, times);
        loaded.directory = fold_into(&loaded.directory, &loaded.sealed, segment_number(number))?;
        Ok(())
    }

    /// The end of a segment, and the times of its first and last event, by its index; which is made if it
    /// can't be used.
    fn index_of(&mut self, segment: &Segment, loaded: &Loaded) -> Result<(ChainEnd, Times)> {
        let number = segment.header.number;
        if let Ok(found) = self.files.open_index_of(segment)
            && found.chain_end().seal.is_some()
        {
            return Ok((found.chain_end(), found.times()));
        }
        self.progress.expect(number, 0..segment.prepared());
        self.progress.begin(number);
        let (memory, end) = index_sealed(segment, &mut |place| self.progress.reached(number, place))?;
        let link = |key| {
            let head = loaded.directory.get(key);
            let head = head.map_err(|fault| index_error(&self.files.directory_path(), fault))?;
            Ok(head.map_or(0, |head| head.latest))
        };
        let content = sealed_writer::encode(&memory, &end, self.files.store_id, &link)?;
        self.files.write_index(segment_number(number), &content);
        self.progress.finish();
        Ok((end, memory.times()))
    }
}

/// How long a segment's file is. Where that can't be found, whoever reads it says why.
fn length_of(files: &IndexFiles, number: u64) -> u64 {
    let file = files.disk.open(&segment_path(&files.store, number), OpenMode::Read);
    file.and_then(|file| file.len()).unwrap_or_default()
}
