//! The index of everything before the live tail: the directory, the sealed segments, and the few parts that
//! aren't among them yet. Immutable but for what is made anew; the background replaces it whole.

use std::{
    ops::{ControlFlow, Range},
    sync::{Arc, Weak},
};

use parking_lot::RwLock;
use smallvec::SmallVec;

use crate::{
    error::{Error, Result},
    index::{
        directory::{Directory, StreamHead},
        files::{from_memory, index_error},
        folding::{fold_into, known_in},
        key::StreamKey,
        memory::{LINK_UNKNOWN, MemoryIndex, StreamBefore},
        part::{Direction, IndexPart, IndexResult, Run},
        sealed_parts::{SealedPart, SealedParts},
    },
    log::{fetch, scan::ChainEnd, view::SegmentView, window::Window},
    position::{LogOffset, Position, Version},
    trace,
};

/// All parts of the index but the tail.
#[derive(Debug)]
pub(crate) struct Settled {
    /// What it knows of streams is as of the end of the last sealed segment below.
    directory: RwLock<Arc<Directory>>,
    sealed: Arc<SealedParts>,
    /// How many segments of `sealed` the directory covers; more may have come since.
    sealed_count: usize,
    /// Oldest first, all behind the sealed ones: what was the tail until its segment was sealed and whose index file
    /// is being made (frozen), then, if the last closing left an index file of it, the beginning of the active segment.
    recent: Vec<SettledPart>,
}

/// The index in memory of a segment that was sealed, or of its end.
#[derive(Debug)]
pub(crate) struct FrozenPart {
    pub(crate) index: MemoryIndex,
    pub(crate) view: Arc<SegmentView>,
    pub(crate) end: ChainEnd,
}

/// One part of the index, and the segment it points into.
#[derive(Clone, Debug)]
pub(crate) enum SettledPart {
    Sealed(Arc<SealedPart>),
    Frozen(Arc<FrozenPart>),
}

/// What is known of a stream: what the directory says, and its runs in the recent parts, the oldest first.
struct KnownStream {
    head: Option<StreamHead>,
    recent: SmallVec<[(SettledPart, Run); 2]>,
}

impl KnownStream {
    fn version(&self) -> Version {
        let sealed = self.head.map_or(Version::NONE, |head| head.version);
        self.recent.iter().fold(sealed, |version, (_, run)| version.plus(u64::from(run.count)))
    }

    /// The segment of its latest run; 0: it has none.
    fn latest(&self) -> u32 {
        let sealed = self.head.map_or(0, |head| head.latest);
        self.recent.last().map_or(sealed, |(part, _)| part.number())
    }
}

/// A stream's run in one part, with the versions of its events.
#[derive(Debug)]
struct FoundRun {
    part: SettledPart,
    first: Version,
    last: Version,
}

/// A run that will be come back to. It keeps no segment open, since a stream may be in thousands.
enum ClosedRun {
    Recent(FoundRun),
    Sealed { number: u32, part: Weak<SealedPart>, first: Version, last: Version },
}

impl FoundRun {
    fn closed(self) -> ClosedRun {
        match &self.part {
            SettledPart::Frozen(_) => ClosedRun::Recent(self),
            SettledPart::Sealed(part) => ClosedRun::Sealed {
                number: part.number,
                part: Arc::downgrade(part),
                first: self.first,
                last: self.last,
            },
        }
    }
}

impl ClosedRun {
    fn opened(self, sealed: &SealedParts) -> Result<FoundRun> {
        match self {
            Self::Recent(run) => Ok(run),
            Self::Sealed { number, part, first, last } => {
                let part = part.upgrade().map_or_else(|| sealed.get(number), Ok)?;
                Ok(FoundRun { part: SettledPart::Sealed(part), first, last })
            }
        }
    }
}

impl SettledPart {
    /// The segment's bytes.
    pub(crate) fn view(&self) -> &Arc<SegmentView> {
        match self {
            Self::Sealed(part) => &part.view,
            Self::Frozen(part) => &part.view,
        }
    }

    /// Where in its segment's file ends what it is of, with the seal of a segment that has one.
    pub(crate) fn end(&self) -> u64 {
        match self {
            Self::Sealed(part) => part.end(),
            Self::Frozen(part) => part.end.file_offset,
        }
    }

    /// The positions of its events, the second one excluded.
    pub(crate) fn positions(&self) -> (Position, Position) {
        let span = match self {
            Self::Sealed(part) => part.index().span(),
            Self::Frozen(part) => part.index.span(),
        };
        (span.first_position, span.first_position.plus(u64::from(span.events)))
    }

    fn number(&self) -> u32 {
        match self {
            Self::Sealed(part) => part.number,
            Self::Frozen(part) => part.index.span().segment,
        }
    }
}

impl Settled {
    pub(crate) fn new(directory: Directory, sealed: Arc<SealedParts>, recent: Vec<SettledPart>) -> Self {
        let sealed_count = sealed.count();
        Self { directory: RwLock::new(Arc::new(directory)), sealed, sealed_count, recent }
    }

    /// The same, with another part behind all others.
    pub(crate) fn with_recent(&self, part: SettledPart) -> Self {
        let mut recent = self.recent.clone();
        recent.push(part);
        let directory = RwLock::new(self.directory());
        Self { directory, sealed: Arc::clone(&self.sealed), sealed_count: self.sealed_count, recent }
    }

    /// The same, with a segment among the sealed ones that was recent, and a directory that knows it.
    pub(crate) fn with_sealed(&self, number: u32, directory: Arc<Directory>) -> Self {
        let recent = self.recent.iter().filter(|part| part.number() != number).cloned().collect();
        let sealed = Arc::clone(&self.sealed);
        Self { directory: RwLock::new(directory), sealed, sealed_count: self.sealed_count + 1, recent }
    }

    /// The sealed segments.
    pub(crate) fn sealed(&self) -> &Arc<SealedParts> {
        &self.sealed
    }

    /// The directory, as it is now.
    pub(crate) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read())
    }

    /// The oldest part that waits for its index file.
    pub(crate) fn oldest_frozen(&self) -> Option<Arc<FrozenPart>> {
        self.recent.iter().find_map(|part| match part {
            SettledPart::Frozen(part) => Some(Arc::clone(part)),
            SettledPart::Sealed(_) => None,
        })
    }

    /// The beginning of the active segment, if there is an index file of it.
    pub(crate) fn begun(&self) -> Option<&Arc<SealedPart>> {
        match self.recent.last() {
            Some(SettledPart::Sealed(part)) => Some(part),
            _ => None,
        }
    }

    /// Whether a part has what stands before a position in this segment.
    pub(crate) fn has_part_before(&self, number: u32, position: Position) -> bool {
        self.recent.iter().any(|part| {
            let (first, end) = part.positions();
            part.number() == number && first < position && end <= position
        })
    }

    /// The numbers of the sealed segments that the directory covers.
    pub(crate) fn sealed_numbers(&self) -> Range<u32> {
        let all = self.sealed.numbers();
        let count = u32::try_from(self.sealed_count).expect("numbers have 32 bits");
        all.start..all.start + count
    }

    /// The parts that aren't among the sealed ones, the oldest first.
    pub(crate) fn recent_parts(&self) -> impl Iterator<Item = SettledPart> {
        self.recent.iter().cloned()
    }

    /// What the directory knows of the stream with this hash.
    pub(crate) fn known(&self, hash: u64) -> Result<Option<(StreamKey, StreamHead)>> {
        self.ask_directory(|directory| known_in(directory, hash))
    }

    /// All parts, the oldest first.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Result<SettledPart>> {
        let sealed = self.sealed_numbers().map(|number| self.sealed.get(number).map(SettledPart::Sealed));
        sealed.chain(self.recent_parts().map(Ok))
    }

    /// Asks a part.
    pub(crate) fn ask<T>(
        &self,
        part: &SettledPart,
        mut question: impl FnMut(&dyn IndexPart) -> IndexResult<T>,
    ) -> Result<T> {
        match part {
            SettledPart::Sealed(part) => self.sealed.ask(part, question),
            SettledPart::Frozen(part) => from_memory(question(&part.index)),
        }
    }

    /// Asks the directory. Where its file can't answer, it is made anew from the sealed segments' indexes.
    pub(crate) fn ask_directory<T>(
        &self,
        mut question: impl FnMut(&Directory) -> IndexResult<T>,
    ) -> Result<T> {
        let fault = match question(&self.directory()) {
            Ok(answer) => return Ok(answer),
            Err(fault) => fault,
        };
        let path = self.sealed.files().directory_path();
        trace::warn("made the stream directory anew", &path, format_args!("{fault:?}"));
        let mut made = Directory::empty();
        for number in self.sealed_numbers() {
            made = fold_into(&made, &self.sealed, number)?;
        }
        let made = Arc::new(made);
        *self.directory.write() = Arc::clone(&made);
        question(&made).map_err(|fault| index_error(&path, fault))
    }

    /// What the directory knows of a stream.
    pub(crate) fn head(&self, key: StreamKey) -> Result<Option<StreamHead>> {
        self.ask_directory(|directory| directory.get(key))
    }

    /// A stream's version and its latest run.
    pub(crate) fn before(&self, key: StreamKey) -> Result<StreamBefore> {
        let stream = self.known_stream(key)?;
        Ok(StreamBefore { version: stream.version(), latest: stream.latest() })
    }

    fn known_stream(&self, key: StreamKey) -> Result<KnownStream> {
        let mut stream = KnownStream { head: self.head(key)?, recent: SmallVec::new() };
        for part in &self.recent {
            if let Some(run) = self.ask(part, |index| index.run(key))?
                && (stream.version() > Version::NONE || self.begins_with(part, key)?)
            {
                stream.recent.push((part.clone(), run));
            }
        }
        Ok(stream)
    }

    /// Whether the run that a part has under a key's hash is that key's: an index file doesn't keep the check
    /// that the directory keeps of every stream in it.
    fn begins_with(&self, part: &SettledPart, key: StreamKey) -> Result<bool> {
        let mut places = Vec::with_capacity(1);
        self.ask(part, |index| {
            places.clear();
            let Some(run) = index.run(key)? else { return Ok(()) };
            index.run_places(&run, 0, Direction::Forwards, 1, &mut places)
        })?;
        let Some(place) = places.first() else { return Ok(false) };
        let mut window = Window::new(0);
        let record = fetch::record_at(part.view(), *place, &mut window)?;
        Ok(StreamKey::of(record.event.stream, part.view().header.store_id) == key)
    }

    /// Whether another stream has the key's hash, which two can't have: the index files tell streams apart by it.
    pub(crate) fn is_taken(&self, key: StreamKey) -> Result<bool> {
        if self.ask_directory(|directory| directory.check_of(key.hash))?.is_some() {
            return Ok(true);
        }
        for recent in &self.recent {
            let has_it = match recent {
                SettledPart::Frozen(part) => part.index.has_hash(key.hash),
                SettledPart::Sealed(part) => self.sealed.ask(part, |index| index.run(key))?.is_some(),
            };
            if has_it {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A stream's version.
    pub(crate) fn version(&self, key: StreamKey) -> Result<Version> {
        self.before(key).map(|before| before.version)
    }

    /// Visits a stream's runs, the newest first, until the visitor has enough.
    fn each_run_backwards(
        &self,
        key: StreamKey,
        visit: &mut dyn FnMut(FoundRun) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let stream = self.known_stream(key)?;
        let mut last = stream.version();
        for (part, run) in stream.recent.into_iter().rev() {
            let found = found_run(part, last, &run);
            last = found.first.previous();
            if visit(found)?.is_break() {
                return Ok(());
            }
        }
        let mut number = stream.head.map_or(0, |head| head.latest);
        let mut link = Link::Known;
        while number != 0 {
            let part = self.sealed.get(number)?;
            let Some(run) = self.sealed.ask(&part, |index| index.run(key))? else {
                if link == Link::Known || number <= self.sealed_numbers().start {
                    return Err(self.lost_run(&part));
                }
                number -= 1;
                continue;
            };
            link = if run.previous == LINK_UNKNOWN { Link::Unknown } else { Link::Known };
            let previous = if link == Link::Unknown { number - 1 } else { run.previous };
            if previous >= number {
                return Err(self.lost_run(&part));
            }
            number = previous;
            let found = found_run(SettledPart::Sealed(part), last, &run);
            last = found.first.previous();
            if visit(found)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The index hasn't got an event that was committed.
    pub(crate) fn lost_event(&self) -> Error {
        let reason =
            "the index lacks an event; remove streams.dir and the .idx files, and they are made anew";
        Error::corrupt(self.sealed.files().directory_path(), 0, reason, None)
    }

    /// Checksums were right and links are wrong: the files are of different histories.
    pub(crate) fn lost_run(&self, part: &SealedPart) -> Error {
        let path = self.sealed.files().directory_path();
        let reason = format!(
            "the index names a stream in segment {} that isn't there; remove streams.dir and the .idx files \
             below segments, and they are made anew",
            part.number
        );
        Error::corrupt(path, 0, reason, None)
    }

    /// The places of a stream's events from a version on, some at least if there are any, `places_max` at most.
    pub(crate) fn stream_places(
        &self,
        key: StreamKey,
        from: Version,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> Result<()> {
        let start = places.len();
        let mut behind = Vec::new();
        self.each_run_backwards(key, &mut |run| {
            match direction {
                Direction::Forwards if run.first > from => behind.push(run.closed()),
                Direction::Backwards if run.first > from => {}
                _ => {
                    let room = places_max - (places.len() - start);
                    self.run_places(key, &run, from.min(run.last), direction, room, places)?;
                    if direction == Direction::Forwards || places.len() - start == places_max {
                        return Ok(ControlFlow::Break(()));
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        while let Some(run) = behind.pop() {
            let room = places_max - (places.len() - start);
            if room == 0 {
                break;
            }
            let run = run.opened(&self.sealed)?;
            self.run_places(key, &run, run.first, direction, room, places)?;
        }
        Ok(())
    }

    fn run_places(
        &self,
        key: StreamKey,
        run: &FoundRun,
        from: Version,
        direction: Direction,
        places_max: usize,
        places: &mut Vec<LogOffset>,
    ) -> Result<()> {
        let start = places.len();
        let last = run.last.get().saturating_sub(run.first.get());
        let number = from.get().saturating_sub(run.first.get()).min(last);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.ask(&run.part, |index| {
            places.truncate(start);
            match index.run(key)? {
                Some(found) => index.run_places(&found, number, direction, places_max, places),
                None => Ok(()),
            }
        })
    }

    /// The first answer that `look` gives for an event, in the parts that hold a stream, whose caller-given id has
    /// this hash; the newest part first.
    pub(crate) fn find_id<T>(
        &self,
        key: StreamKey,
        hash: u32,
        look: &mut dyn FnMut(&SegmentView, LogOffset) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let mut found = None;
        let mut places = Vec::new();
        self.each_run_backwards(key, &mut |run| {
            self.ask(&run.part, |index| {
                places.clear();
                index.id_places(hash, &mut places)
            })?;
            for place in &places {
                found = look(run.part.view(), *place)?;
                if found.is_some() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The part that holds a position of an event.
    pub(crate) fn part_of_position(&self, position: Position) -> Result<SettledPart> {
        for part in self.recent.iter().rev() {
            if part.positions().0 <= position {
                return Ok(part.clone());
            }
        }
        self.sealed.get(self.sealed.number_of_position(position)).map(SettledPart::Sealed)
    }

    /// The segment that holds a place.
    pub(crate) fn view_of(&self, place: LogOffset) -> Result<Arc<SegmentView>> {
        for part in self.recent.iter().rev() {
            if part.view().header.base <= place {
                return Ok(Arc::clone(part.view()));
            }
        }
        let part = self.sealed.get(self.sealed.number_of_place(place))?;
        Ok(Arc::clone(&part.view))
    }
}

/// Whether an index says where a stream's run before is. One that a guest has made of the log can't.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Link {
    Known,
    Unknown,
}

fn found_run(part: SettledPart, last: Version, run: &Run) -> FoundRun {
    let first = Version::new(last.get().saturating_sub(u64::from(run.count)) + 1);
    FoundRun { part, first, last }
}

#[cfg(test)]
mod tests;
