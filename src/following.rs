//! Following a log that another process writes: what it has committed is read, checked and shown, and nothing is
//! changed.
//!
//! How far the log is committed is said by the page and its lock (`log/followed_head`). While a writer is alive its
//! word counts. When none is, the last segment is synced before anything new of it is shown, so that what was
//! shown survives a power cut. Where the page says nothing, the valid frames count, and what stands behind them is
//! judged once, at opening.

use std::{
    collections::HashMap,
    io, mem,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use crate::{
    committed::{Committed, CommittedState},
    disk::contract::{Disk, OpenMode},
    error::{Error, Result},
    format::{control::StoreMeta, layout::bytes},
    index::{
        files::{Access, IndexFiles},
        key::StreamKey,
        loading::{Loaded, load},
        memory::StreamBefore,
        scanning::add_record,
        sealed::SealedIndex,
    },
    indexing::adopt_index_file,
    listeners::{Ear, Interest},
    log::{
        creation,
        followed_head::{FollowedHead, FollowedPage, Standing},
        mark::Mark,
        recovery::{VisitFault, check_link, list_segments, tail_facts},
        scan::{ChainEnd, Scan, ScannedFrame, Stop},
        segment::{Segment, segment_path},
        segmented_log::SegmentChange,
        verdict::{Verdict, judge},
        view::SegmentView,
    },
    news::News,
    opening::{check_directory, new_tail, open_begun, settle},
    options::{Creation, ReadMode},
    position::{LogOffset, Position},
    stream::is_system,
};

/// How long it may take to notice that a writer has died or another page has come.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often is looked where there is no page to sleep on.
const LOOK_WITHOUT_PAGE: Duration = Duration::from_millis(50);

/// How much of a segment is mapped at least, in bytes: a file that grows is seldom mapped again.
const MAPPED_BYTES_MIN: u64 = 64 << 20;

/// A log that is followed.
#[derive(Debug)]
pub(crate) struct Following {
    head: FollowedHead,
    committed: Arc<Committed>,
    /// What the last look saw.
    sight: RwLock<Sight>,
    /// One at a time goes after the log.
    chase: Mutex<Chase>,
    /// Whether a thread goes after the log, for tasks that wait.
    is_watched: Mutex<bool>,
    itself: Weak<Self>,
}

#[derive(Debug)]
struct Sight {
    standing: Standing,
    page: Option<FollowedPage>,
    /// How far the page said that the log is committed, if it said anything.
    seen: LogOffset,
    looked_at: Instant,
}

impl Sight {
    fn is_recent(&self) -> bool {
        self.standing != Standing::Unknown && self.looked_at.elapsed() < LOOK_AGAIN
    }

    /// Whether there can be nothing new.
    fn is_current(&self) -> bool {
        self.is_recent() && self.page.as_ref().is_some_and(|page| page.committed() == self.seen)
    }
}

/// Whether the end of the valid frames is judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Judgement {
    Due,
    Made,
}

impl Following {
    /// Reads the log as far as it is committed.
    pub(crate) fn open(disk: Arc<dyn Disk>, store: &Path, read: ReadMode) -> Result<Arc<Self>> {
        check_directory(&*disk, store, Creation::Never)?;
        let Some(meta) = creation::read_meta(&*disk, store)? else {
            let reason = "it has no store.meta".to_owned();
            return Err(Error::NotAStore { path: store.to_owned(), reason });
        };
        let head = FollowedHead::new(&disk, store, meta.store_id);
        let (mut chase, committed) = Chase::begin(disk, store, read, meta)?;
        let sight = look(&head, &mut chase, &committed, Judgement::Due)?;
        let (sight, chase) = (RwLock::new(sight), Mutex::new(chase));
        Ok(Arc::new_cyclic(|itself| {
            let (is_watched, itself) = (Mutex::new(false), Weak::clone(itself));
            Self { head, committed, sight, chase, is_watched, itself }
        }))
    }

    pub(crate) fn committed(&self) -> &Arc<Committed> {
        &self.committed
    }

    /// Looks at the page anew, whether a writer is alive, and shows what is committed.
    pub(crate) fn look_again(&self) -> Result<()> {
        let mut chase = self.chase.lock();
        let sight = look(&self.head, &mut chase, &self.committed, Judgement::Made)?;
        *self.sight.write() = sight;
        Ok(())
    }

    /// Shows what the page says is committed, without looking at anything else. False: that isn't enough.
    fn follow_page(&self) -> Result<bool> {
        let mut chase = self.chase.lock();
        let sight = self.sight.read();
        let page = sight.page.clone().filter(|_| sight.is_recent());
        let is_attended = matches!(sight.standing, Standing::Attended(_));
        drop(sight);
        let Some(page) = page.filter(|_| is_attended) else { return Ok(false) };
        let committed = page.committed();
        chase.follow(Standing::Attended(committed), committed, &self.committed)?;
        self.sight.write().seen = committed;
        Ok(true)
    }

    /// Waits until there is an event behind a position, or the time is over. Returns the last position.
    pub(crate) fn wait_beyond(&self, position: Position, timeout: Duration) -> Result<Position> {
        let deadline = Instant::now().checked_add(timeout);
        self.sleep(Interest::Everything, deadline, &|| self.committed.head() > position)?;
        Ok(self.committed.head())
    }

    /// Sleeps until the page says something new, for as long as it is believed at most.
    fn sleep_on_page(&self, timeout: Duration, is_over: &dyn Fn() -> bool) {
        let sight = self.sight.read();
        let (page, seen) = (sight.page.clone(), sight.seen);
        drop(sight);
        match page {
            Some(page) => page.wait(seen, timeout.min(LOOK_AGAIN), is_over),
            None => thread::sleep(timeout.min(LOOK_WITHOUT_PAGE)),
        }
    }

    /// Goes after the log for as long as there are tasks to be called.
    fn watch(following: &Weak<Self>) {
        while let Some(following) = following.upgrade() {
            // An error is told to the task itself, which looks at the log too.
            if following.refresh().is_err() {
                following.committed.listeners().tell(Interest::Ordinary);
            }
            let mut is_watched = following.is_watched.lock();
            if !following.committed.listeners().has_ears() {
                *is_watched = false;
                return;
            }
            drop(is_watched);
            following.sleep_on_page(LOOK_AGAIN, &|| !following.committed.listeners().has_ears());
        }
    }
}

impl News for Following {
    fn refresh(&self) -> Result<()> {
        if self.sight.read().is_current() || self.follow_page()? { Ok(()) } else { self.look_again() }
    }

    fn sleep(&self, _: Interest, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) -> Result<()> {
        loop {
            self.refresh()?;
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if is_over() || left.is_some_and(|left| left.is_zero()) {
                return Ok(());
            }
            self.sleep_on_page(left.unwrap_or(LOOK_AGAIN), is_over);
        }
    }

    fn wake_sleepers(&self) {
        let page = self.sight.read().page.clone();
        if let Some(page) = page {
            page.wake();
        }
    }

    fn call_at_news(&self, ear: &Arc<Ear>, waker: &Waker) -> Result<()> {
        self.committed.listeners().list(ear, waker);
        let mut is_watched = self.is_watched.lock();
        if !*is_watched {
            let following = Weak::clone(&self.itself);
            let builder = thread::Builder::new().name("annals-follower".to_owned());
            let started = builder.spawn(move || Self::watch(&following));
            started.map_err(|error| Error::io("start a thread for", &self.chase.lock().store, error))?;
            *is_watched = true;
        }
        drop(is_watched);
        self.refresh()
    }

    fn forget(&self, ear: &Arc<Ear>) {
        self.committed.listeners().strike_out(ear);
        self.wake_sleepers();
    }
}

/// One look: at the page, and at the log as far as that says.
fn look(
    head: &FollowedHead,
    chase: &mut Chase,
    committed: &Committed,
    judgement: Judgement,
) -> Result<Sight> {
    loop {
        let (standing, page) = head.look();
        let seen = match standing {
            Standing::Attended(seen) | Standing::Left(seen) => seen,
            // If it changes from whatever it is, there is something to see.
            Standing::Unknown => page.as_ref().map(FollowedPage::committed).unwrap_or_default(),
        };
        let looked_at = Instant::now();
        let bound = chase.bound(standing, judgement);
        // What stands in the log is committed as long as nobody writes: a writer that has come meanwhile may have written
        // some of it, and not committed it.
        let is_beyond_page =
            bound.as_ref().is_ok_and(|bound| *bound != seen || standing == Standing::Unknown);
        if is_beyond_page && is_another(standing, head.look().0) {
            continue;
        }
        match bound.and_then(|bound| chase.follow(standing, bound, committed)) {
            Ok(()) => return Ok(Sight { standing, page, seen, looked_at }),
            // A writer that came or went meanwhile changes what may be seen.
            Err(_) if is_another(standing, head.look().0) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_another(before: Standing, now: Standing) -> bool {
    mem::discriminant(&before) != mem::discriminant(&now)
}

/// How far the log was read, and what it takes to go on.
#[derive(Debug)]
struct Chase {
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
}

impl Chase {
    /// Goes as far as the index's files reach.
    fn begin(
        disk: Arc<dyn Disk>,
        store: &Path,
        read: ReadMode,
        meta: StoreMeta,
    ) -> Result<(Self, Arc<Committed>)> {
        let (loaded, last) = load_sealed(&disk, store, read, &meta)?;
        let segment = Segment::open(&*disk, store, last, OpenMode::Read)?;
        check_link(&segment, &meta, loaded.sealed.end().0.as_ref())?;
        let mark = Mark::read(&*disk, store, meta.store_id)?;
        let begun = open_begun(loaded.sealed.files(), &segment, &mark);
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
        };
        Ok((chase, committed))
    }

    /// Where the log that was read ends.
    fn end(&self) -> LogOffset {
        self.segment.log_offset(self.end.file_offset)
    }

    /// How far may be seen as things stand.
    fn bound(&self, standing: Standing, judgement: Judgement) -> Result<LogOffset> {
        match standing {
            Standing::Attended(committed) => Ok(committed),
            Standing::Left(committed) => Ok(committed.max(self.marked()?)),
            Standing::Unknown => self.valid_end(judgement),
        }
    }

    /// Shows what may be seen.
    fn follow(&mut self, standing: Standing, bound: LogOffset, committed: &Committed) -> Result<()> {
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

    /// The last segment there is; none: the present one.
    fn last_segment(&self) -> Result<Option<Arc<Segment>>> {
        let mut last = None;
        for number in self.segment.header.number + 1.. {
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
        let segment = Arc::clone(&self.segment);
        let io = |error| Error::io("read", &segment.path, error);
        let mut scan =
            Scan::until(&*segment.file, &segment.header, segment.file_offset(bound)).map_err(io)?;
        scan.skip_to(self.end);
        while self.end.seal.is_none() && self.end() < bound {
            match scan.next_frame().map_err(io)? {
                Ok(frame) => self.show(&frame, committed)?,
                Err(stop) => return Err(broken(&segment, self.end, stop.reason)),
            }
            self.end = scan.end();
        }
        Ok(())
    }

    fn show(&mut self, frame: &ScannedFrame<'_>, committed: &Committed) -> Result<()> {
        let end = frame.file_offset + bytes(frame.header.frame_bytes());
        if end > self.capacity {
            self.map_more(end, committed)?;
        }
        self.view.publish(end);
        let before = befores(frame, committed)?;
        let (segment, store_id) = (&self.segment, self.meta.store_id);
        committed.publish(|state| {
            for (file_offset, record) in frame.records() {
                let mut look_up = |key: StreamKey, _| Ok(before.get(&key).copied().unwrap_or_default());
                let added = add_record(&mut state.tail, store_id, file_offset, &record, &mut look_up);
                added.map_err(|fault| match fault {
                    VisitFault::Refused(reason) => segment.corrupt(file_offset, reason),
                    VisitFault::Failed(error) => error,
                })?;
                if !is_system(record.event.stream.as_bytes()) {
                    state.last_ordinary = record.event.position;
                }
            }
            Ok::<(), Error>(())
        })?;
        self.shown = self.segment.log_offset(end);
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

/// The index of all segments but the last, and the number of that. A writer may seal segments meanwhile.
fn load_sealed(
    disk: &Arc<dyn Disk>,
    store: &Path,
    read: ReadMode,
    meta: &StoreMeta,
) -> Result<(Loaded, u64)> {
    let files = IndexFiles {
        disk: Arc::clone(disk),
        store: store.to_owned(),
        store_id: meta.store_id,
        read,
        access: Access::Guest,
    };
    loop {
        let (numbers, last) = list_segments(&**disk, store, meta)?;
        match load(&files, meta, &numbers, &mut |_| {}) {
            Ok(loaded) => return Ok((loaded, last)),
            // The directory may be of a segment that came behind the list.
            Err(_) if list_segments(&**disk, store, meta)?.1 != last => {}
            Err(error) => return Err(error),
        }
    }
}

/// What the streams of a frame were before the tail, of those that it hasn't got. Looked up before the tail is
/// held, since it may take a read of the disk.
fn befores(frame: &ScannedFrame<'_>, committed: &Committed) -> Result<HashMap<StreamKey, StreamBefore>> {
    let settled = committed.settled();
    let mut befores = HashMap::new();
    for (_, record) in frame.records() {
        let key = committed.key(record.event.stream);
        if !befores.contains_key(&key) && committed.state().tail.version(key).is_none() {
            befores.insert(key, settled.before(key)?);
        }
    }
    Ok(befores)
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

#[cfg(test)]
mod tests;
