//! Going after a log that another process writes: what it has committed is read, checked and shown, and nothing is
//! changed.
//!
//! While a writer is alive its word counts. When none is, the last segment is synced before anything new of it is
//! shown, so that what was shown survives a power cut. Where the page says nothing, the valid frames count, and what
//! stands behind them is judged once, at opening.

use std::{
    io, mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    committed::{Committed, CommittedState},
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::{control::StoreMeta, layout::bytes},
    index::{
        files::{Access, IndexFiles},
        read_progress::ReadProgress,
        scanning::add_record,
        sealed::SealedIndex,
    },
    indexing::adopt_index_file,
    log::{
        followed_head::Standing,
        mark::Mark,
        recovery::{check_link, list_segments, tail_facts},
        scan::{ChainEnd, Scan, ScannedFrame, Stop, is_end_of_chain},
        segment::{Segment, segment_path},
        segmented_log::SegmentChange,
        verdict::{Verdict, judge},
        view::SegmentView,
        visiting::visit_frame,
    },
    opening::{Found, find, new_tail, settle},
    options::{Options, ReadMode},
    position::LogOffset,
    stream::is_system,
};

/// How much of a segment is mapped at least, in bytes: a file that grows is seldom mapped again.
const MAPPED_BYTES_MIN: u64 = 64 << 20;

/// Whether the end of the valid frames is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Judgement {
    Due,
    Made,
}

/// How far the log was read, and what it takes to go on.
#[derive(Debug)]
pub(crate) struct Chase {
    disk: Arc<dyn Disk>,
    store: PathBuf,
    read: ReadMode,
    meta: StoreMeta,
    segment: Arc<Segment>,
    view: Arc<SegmentView>,
    /// How much of the segment is mapped, in bytes.
    capacity: u64,
    end: ChainEnd,
    /// The end of the last frame of events that was read: no writer says less. What stands behind it of other
    /// kinds, and a new segment, is told only with the next events.
    shown: LogOffset,
    /// Up to here the log was synced, or found so.
    durable: LogOffset,
    /// No sync is tried again: the system may call clean what it has lost. A writer that comes heals it.
    failed_sync: Option<Error>,
    /// Until it has gone as far as the log is committed when it is opened.
    opening: Option<ReadProgress>,
}

impl Chase {
    /// Goes as far as the index's files reach; how far it will have to go is judged by how things stand.
    pub(crate) fn begin(
        disk: Arc<dyn Disk>,
        store: &Path,
        options: &Options,
        meta: StoreMeta,
        standing: Standing,
    ) -> Result<(Self, Arc<Committed>)> {
        let read = options.read;
        let Found { loaded, segment, begun, mut progress } =
            find_beside_writer(&disk, store, options, &meta, standing)?;
        progress.begin(segment.header.number);
        let beginning = ChainEnd::beginning(&segment.header);
        let end = begun.as_ref().map_or(beginning, SealedIndex::chain_end);
        let (view, capacity) = view_of(&segment, read, 0)?;
        view.publish(end.file_offset);
        let tail = new_tail(&segment, begun.as_ref());
        let settled = settle(loaded, &segment, begun, read)?;
        let state = CommittedState::new(tail, Arc::clone(&view), settled);
        let committed = Arc::new(Committed::new(meta.store_id, state));
        let chase = Self {
            disk,
            store: store.to_owned(),
            read,
            meta,
            end,
            shown: LogOffset::default(),
            // A sealed segment was synced before it had a successor, and an index file is believed up to
            // durable.mark alone.
            durable: segment.log_offset(end.file_offset),
            segment: Arc::new(segment),
            view,
            capacity,
            failed_sync: None,
            opening: Some(progress),
        };
        Ok((chase, committed))
    }

    /// It has gone as far as the log is committed, so nobody is told any more how far it is.
    pub(crate) fn end_opening(&mut self) {
        if let Some(mut progress) = self.opening.take() {
            progress.finish();
        }
    }

    /// The store's directory.
    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Where the log that was read ends.
    fn end(&self) -> LogOffset {
        self.segment.log_offset(self.end.file_offset)
    }

    /// How far may be seen as things stand.
    pub(crate) fn bound(&self, standing: Standing, judgement: Judgement) -> Result<LogOffset> {
        match standing {
            Standing::Attended(committed) => Ok(committed),
            Standing::Left(committed) => Ok(committed.max(self.marked()?)),
            Standing::Unknown => self.valid_end(judgement),
        }
    }

    /// Shows what may be seen.
    pub(crate) fn follow(
        &mut self,
        standing: Standing,
        bound: LogOffset,
        committed: &Committed,
    ) -> Result<()> {
        if bound < self.shown {
            return Err(Error::Replaced { path: self.store.clone() });
        }
        if matches!(standing, Standing::Attended(_)) {
            self.failed_sync = None;
        } else {
            self.make_durable(bound)?;
        }
        self.advance(bound, committed)
    }

    /// What durable.mark says.
    fn marked(&self) -> Result<LogOffset> {
        let mark = Mark::read(&*self.disk, &self.store, self.meta.store_id)?;
        Ok(mark.durable().unwrap_or_default())
    }

    /// The end of the valid frames.
    fn valid_end(&self, judgement: Judgement) -> Result<LogOffset> {
        let later = self.last_segment()?;
        let segment = later.as_ref().unwrap_or(&self.segment);
        let mut before = None;
        loop {
            let (readable_end, end, stop) = self.scan_to_stop(segment)?;
            if judgement == Judgement::Made {
                return Ok(readable_end);
            }
            let mark = Mark::read(&*self.disk, &self.store, self.meta.store_id)?;
            let facts = tail_facts(segment, end, stop, &mark)?;
            match judge(&facts) {
                Verdict::Whole | Verdict::Torn => return Ok(readable_end),
                // A writer that is just clearing up looks like damage in no two looks alike.
                Verdict::Corrupt(_) if before.as_ref() != Some(&facts) => before = Some(facts),
                Verdict::Corrupt(reason) => {
                    return Err(broken(segment, end, &format!("{reason} ({})", stop.reason)));
                }
            }
        }
    }

    /// Goes to the end of the valid frames. Also returns how far they can be read: the length of the file may end
    /// inside the last one, in zeros that a cut has taken, and only recovery gives them back.
    fn scan_to_stop(&self, segment: &Segment) -> Result<(LogOffset, ChainEnd, Stop)> {
        let io = |error| Error::io("read", &segment.path, error);
        let length = segment.file.len().map_err(io)?;
        let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
        if segment.header.number == self.segment.header.number {
            scan.skip_to(self.end);
        }
        let mut readable_end = scan.end().file_offset;
        loop {
            if let Err(stop) = scan.next_frame().map_err(io)? {
                return Ok((segment.log_offset(readable_end), scan.end(), stop));
            }
            if scan.end().file_offset <= length {
                readable_end = scan.end().file_offset;
            }
        }
    }

    /// The last segment there is, as it is now: a recovery or a repair may have put another file in the place of the
    /// present one. None: not even that is there.
    fn last_segment(&self) -> Result<Option<Arc<Segment>>> {
        let mut last = None;
        for number in self.segment.header.number.. {
            match Segment::open(&*self.disk, &self.store, number, OpenMode::Read) {
                Ok(segment) => last = Some(Arc::new(segment)),
                Err(error) if is_missing(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }

    /// Makes the log durable up to a bound, where no writer will. All before the last segment is durable: a
    /// segment has a successor only when it was synced.
    fn make_durable(&mut self, bound: LogOffset) -> Result<()> {
        if let Some(error) = &self.failed_sync {
            return Err(error.clone());
        }
        if bound <= self.durable {
            return Ok(());
        }
        let later = self.last_segment()?;
        let segment = later.as_ref().unwrap_or(&self.segment);
        if let Err(error) = segment.file.sync() {
            let error = Error::io("sync", &segment.path, error);
            self.failed_sync = Some(error.clone());
            return Err(error);
        }
        self.durable = bound;
        Ok(())
    }

    /// Reads and shows the log up to a bound, which is the end of a frame.
    fn advance(&mut self, bound: LogOffset, committed: &Committed) -> Result<()> {
        while self.end() < bound {
            match self.end.seal {
                Some(seal) if seal.logical_end >= bound => return Ok(()),
                Some(_) => self.begin_next_segment(committed)?,
                None => self.show_frames(bound, committed)?,
            }
        }
        Ok(())
    }

    fn begin_next_segment(&mut self, committed: &Committed) -> Result<()> {
        let number = self.segment.header.number + 1;
        let opened = Segment::open(&*self.disk, &self.store, number, OpenMode::Read);
        let segment = opened.map_err(|error| {
            let reason = "this segment is missing, though the log goes on behind the one before it";
            let intact = Some(self.end.next_position.previous());
            let missing = || Error::corrupt(segment_path(&self.store, number), 0, reason, intact);
            if is_missing(&error) { missing() } else { error }
        })?;
        check_link(&segment, &self.meta, Some(&self.end))?;
        let (view, capacity) = view_of(&segment, self.read, 0)?;
        let sealed_end = mem::replace(&mut self.end, ChainEnd::beginning(&segment.header));
        self.segment = Arc::new(segment);
        self.view = Arc::clone(&view);
        self.capacity = capacity;
        committed.change_segment(SegmentChange { sealed_end, begun: view });
        // The writer makes the index files; what it hasn't made yet stays in memory until the next segment.
        while adopt_index_file(committed)? {}
        Ok(())
    }

    /// Shows the frames of the present segment, up to the bound or its SEAL.
    fn show_frames(&mut self, bound: LogOffset, committed: &Committed) -> Result<()> {
        if let Some(stop) = self.show_until_stop(bound, committed)? {
            if !self.changes_file(committed)? {
                return Err(broken(&self.segment, self.end, stop.reason));
            }
            if let Some(stop) = self.show_until_stop(bound, committed)? {
                return Err(broken(&self.segment, self.end, stop.reason));
            }
        }
        Ok(())
    }

    /// Shows frames up to the bound, or to what isn't one.
    fn show_until_stop(&mut self, bound: LogOffset, committed: &Committed) -> Result<Option<Stop>> {
        let segment = Arc::clone(&self.segment);
        let io = |error| Error::io("read", &segment.path, error);
        let mut scan =
            Scan::until(&*segment.file, &segment.header, segment.file_offset(bound)).map_err(io)?;
        scan.skip_to(self.end);
        while self.end.seal.is_none() && self.end() < bound {
            match scan.next_frame().map_err(io)? {
                Ok(frame) => self.show(&frame, committed)?,
                Err(stop) => return Ok(Some(stop)),
            }
            self.end = scan.end();
        }
        Ok(None)
    }

    /// Goes over to the file that has the segment's name now, if it is the same log up to here.
    fn changes_file(&mut self, committed: &Committed) -> Result<bool> {
        let number = self.segment.header.number;
        let segment = Segment::open(&*self.disk, &self.store, number, OpenMode::Read)?;
        let goes_on = is_end_of_chain(&*segment.file, &self.segment.header, &self.end)
            .map_err(|error| Error::io("read", &segment.path, error))?;
        if !goes_on || segment.header.chain != self.segment.header.chain {
            return Ok(false);
        }
        self.segment = Arc::new(segment);
        // The bound is another program's word: what is mapped grows with the frames that are there.
        self.map_more(self.end.file_offset, committed)?;
        Ok(true)
    }

    fn show(&mut self, frame: &ScannedFrame<'_>, committed: &Committed) -> Result<()> {
        let end = frame.file_offset + bytes(frame.header.frame_bytes());
        if end > self.capacity {
            self.map_more(end, committed)?;
        }
        self.view.publish(end);
        let (segment, store_id) = (&self.segment, self.meta.store_id);
        committed.publish(|state| {
            visit_frame(segment, frame, &mut |file_offset, record| {
                add_record(&mut state.tail, store_id, file_offset, record)?;
                if !is_system(record.event.stream.as_bytes()) {
                    state.last_ordinary = record.event.position;
                }
                Ok(())
            })
        })?;
        self.shown = self.segment.log_offset(end);
        if let Some(progress) = &mut self.opening {
            progress.reached(self.segment.header.number, end);
        }
        Ok(())
    }

    /// Maps more of the present segment, which has outgrown its map. Cursors that have the old one change over.
    fn map_more(&mut self, end: u64, committed: &Committed) -> Result<()> {
        let (view, capacity) = view_of(&self.segment, self.read, 2 * end)?;
        view.publish(self.end.file_offset);
        self.view = Arc::clone(&view);
        self.capacity = capacity;
        committed.publish(|state| state.active = view);
        Ok(())
    }
}

/// Loads the index of all segments but the last, and opens that. A writer may seal segments meanwhile.
fn find_beside_writer(
    disk: &Arc<dyn Disk>,
    store: &Path,
    options: &Options,
    meta: &StoreMeta,
    standing: Standing,
) -> Result<Found> {
    let files = IndexFiles {
        disk: Arc::clone(disk),
        store: store.to_owned(),
        store_id: meta.store_id,
        read: options.read,
        access: Access::Guest,
    };
    loop {
        let (numbers, last) = list_segments(&**disk, store, meta)?;
        let mark = Mark::read(&**disk, store, meta.store_id)?;
        let end = |segment: &Segment| committed_until(segment, standing);
        match find(&files, meta, &numbers, (last, OpenMode::Read), &mark, options, end) {
            Ok(found) => return Ok(found),
            // The directory may be of a segment that came behind the list.
            Err(_) if list_segments(&**disk, store, meta)?.1 != last => {}
            Err(error) => return Err(error),
        }
    }
}

/// Up to where in its file the last segment is committed, as things stand; where they don't say it, that is its length.
fn committed_until(segment: &Segment, standing: Standing) -> u64 {
    let length = segment.prepared();
    standing.committed().map_or(length, |committed| {
        // A segment that was just begun has nothing that is committed.
        if committed > segment.header.base { segment.file_offset(committed).min(length) } else { 0 }
    })
}

/// A segment for readers, mapped for at least so many bytes.
fn view_of(segment: &Segment, read: ReadMode, bytes_min: u64) -> Result<(Arc<SegmentView>, u64)> {
    let capacity = segment.prepared().max(MAPPED_BYTES_MIN).max(bytes_min);
    Ok((Arc::new(segment.view(read, capacity)?), capacity))
}

fn is_missing(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Bytes that were committed aren't there as they were written.
fn broken(segment: &Segment, end: ChainEnd, reason: &str) -> Error {
    Error::corrupt(&segment.path, end.file_offset, reason, Some(end.next_position.previous()))
}
