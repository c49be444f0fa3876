//! An event by its position, in a log whose index files may be wrong: by the segment's file if that was found right, and else
//! by a walk over the segment.

use crate::{
    error::Result,
    format::{
        layout::{RECORD_BYTES_MAX, bytes},
        record::Record,
        segment_header::SegmentHeader,
    },
    index::{
        files::IndexFiles,
        key::StreamKey,
        memory::MemoryIndex,
        part::{Direction, IndexPart},
        sealed::SealedIndex,
    },
    inspect::{
        allowance::Allowance,
        losses::NameHint,
        tolerant_file::TolerantFile,
        walk::{End, OpenSegment, Step, record_at, walk},
    },
    log::segment::Segment,
    position::Position,
};

/// A segment that was walked over.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed {
    pub(crate) path: std::path::PathBuf,
    pub(crate) header: SegmentHeader,
    /// The position behind its last event.
    pub(crate) next_position: Position,
    pub(crate) index_is_right: bool,
}

impl Surveyed {
    /// Opens it once more.
    pub(crate) fn open(&self, files: &IndexFiles) -> Result<OpenSegment> {
        let file = TolerantFile::open(&*files.disk, &self.path)?;
        let segment = Segment::with_header(self.header.clone(), self.path.clone(), file.clone())?;
        Ok(OpenSegment { segment, file })
    }
}

/// Finds events.
pub(crate) struct Lookup<'a> {
    files: &'a IndexFiles,
    segments: &'a [Surveyed],
    last_index: Option<&'a (u64, MemoryIndex)>,
    /// The segment that was asked for last.
    here: Option<Here>,
}

struct Here {
    walked: OpenSegment,
    places: Places,
}

/// Where a segment's events are in its file.
enum Places {
    File(Box<SealedIndex>),
    /// In memory, by ordinal from the first position.
    Memory,
    /// By position, as a walk has found them.
    Walked(Vec<(Position, u64)>),
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(
        files: &'a IndexFiles,
        segments: &'a [Surveyed],
        last_index: Option<&'a (u64, MemoryIndex)>,
    ) -> Self {
        Self { files, segments, last_index, here: None }
    }

    /// Asks the event of a position; none: it isn't there, or can't be read.
    pub(crate) fn event<T>(
        &mut self,
        position: Position,
        ask: impl FnOnce(&Record<'_>) -> T,
    ) -> Result<Option<T>> {
        let behind = self.segments.partition_point(|segment| segment.header.first_position <= position);
        let Some(segment) = self.segments[..behind].last().filter(|it| position < it.next_position) else {
            return Ok(None);
        };
        let last_index = self.last_index;
        let here = self.go_to(segment)?;
        let place = here.places.of(position, &segment.header, last_index);
        let Some(file_offset) = place else { return Ok(None) };
        record_at(&here.walked, file_offset, &Allowance::new(bytes(RECORD_BYTES_MAX)), |record| {
            Ok((record.event.position == position).then(|| ask(record)))
        })
        .map(Option::flatten)
    }

    fn go_to(&mut self, segment: &Surveyed) -> Result<&Here> {
        let number = segment.header.number;
        if self.here.as_ref().is_none_or(|here| here.walked.segment.header.number != number) {
            self.here = None;
            let walked = segment.open(self.files)?;
            let places = self.places_of(segment, &walked)?;
            self.here = Some(Here { walked, places });
        }
        Ok(self.here.as_ref().expect("it was just put there"))
    }

    fn places_of(&self, segment: &Surveyed, walked: &OpenSegment) -> Result<Places> {
        let number = segment.header.number;
        if self.last_index.is_some_and(|(indexed, _)| *indexed == number) {
            return Ok(Places::Memory);
        }
        if segment.index_is_right
            && let Ok(index) = self.files.open_index(&segment.header)
            && index.chain_end().next_position == segment.next_position
        {
            return Ok(Places::File(Box::new(index)));
        }
        walked_places(walked).map(Places::Walked)
    }

    /// The name of a stream by its hash, if it can be read where a hint says.
    pub(crate) fn name(&mut self, hash: u64, hint: NameHint) -> Result<Option<String>> {
        let (NameHint::Record { segment: number, .. } | NameHint::Segment(number)) = hint;
        let segments = self.segments;
        let Some(segment) = segments.iter().find(|segment| segment.header.number == number) else {
            return Ok(None);
        };
        let file_offset = match hint {
            NameHint::Record { file_offset, .. } => Some(file_offset),
            NameHint::Segment(_) => self.place_of_stream(hash, segment),
        };
        let Some(file_offset) = file_offset else { return Ok(None) };
        let store_id = self.files.store_id;
        let walked = segment.open(self.files)?;
        let name = record_at(&walked, file_offset, &Allowance::new(bytes(RECORD_BYTES_MAX)), |record| {
            let name = record.event.stream;
            Ok((StreamKey::of(name, store_id).hash == hash).then(|| name.to_owned()))
        })?;
        Ok(name.flatten())
    }

    /// Where a segment's index has the last event of a stream.
    fn place_of_stream(&self, hash: u64, segment: &Surveyed) -> Option<u64> {
        let key = StreamKey { hash, check: 0 };
        let index = self.files.open_index(&segment.header).ok()?;
        let run = index.run(key).ok()??;
        let mut places = Vec::new();
        index.run_places(&run, u32::MAX, Direction::Backwards, 1, &mut places).ok()?;
        places.first().map(|place| segment.header.file_offset(*place))
    }
}

impl Places {
    fn of(
        &self,
        position: Position,
        header: &SegmentHeader,
        last_index: Option<&(u64, MemoryIndex)>,
    ) -> Option<u64> {
        let ordinal = position.get() - header.first_position.get();
        match self {
            Self::File(index) => {
                let mut places = Vec::new();
                index.places(u32::try_from(ordinal).ok()?, Direction::Forwards, 1, &mut places).ok()?;
                places.first().map(|place| header.file_offset(*place))
            }
            Self::Memory => {
                let (_, memory) = last_index?;
                memory.file_offsets().get(usize::try_from(ordinal).ok()?).copied().map(u64::from)
            }
            Self::Walked(places) => {
                let found = places.binary_search_by_key(&position, |(position, _)| *position).ok()?;
                places.get(found).map(|(_, file_offset)| *file_offset)
            }
        }
    }
}

/// Where the events of valid frames are.
fn walked_places(walked: &OpenSegment) -> Result<Vec<(Position, u64)>> {
    let mut places = Vec::new();
    // Wherever it stops, what stands behind was told before.
    walk(walked, &End::Sealed(0), &mut |step| {
        if let Step::Frame(frame) = step {
            let records =
                frame.records().filter_map(|(file_offset, record)| Some((file_offset, record.ok()?)));
            places.extend(records.map(|(file_offset, record)| (record.event.position, file_offset)));
        }
        Ok(())
    })?;
    Ok(places)
}
