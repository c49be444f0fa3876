//! What is done beside the writer: preparing the file ahead of the head, making index files of sealed segments, syncing
//! in `Buffered` mode, and writing durable.mark. Each is a job that can be done at any moment; a thread does
//! them when they are due, and the simulation when its seed says so.

use std::{path::Path, sync::Arc, time::Duration};

use crate::{
    committed::Committed,
    disk::contract::Disk,
    error::{Error, Result},
    indexing::{index_beginning, index_sealed_segment},
    log::{mark::Mark, segment::Growth, segmented_log::LogProgress},
    options::Durability,
    position::LogOffset,
    sync::{AtomicBool, AtomicU64, Condvar, Mutex, Ordering, fence, thread},
    trace,
    writer::core::Core,
};

/// In which steps the active file grows ahead of the head, in bytes.
const GROWTH_BYTES: u64 = 1 << 20;

/// How often the thread looks, while appends come.
const TICK: Duration = Duration::from_millis(50);

/// For how many ticks nothing is written before durable.mark says how much is durable.
const IDLE_TICKS: u32 = 4;

/// After how many ticks durable.mark says how much is durable while appends come: a second.
const BUSY_TICKS: u32 = 20;

/// How much is written and not synced before a sync is due at once, in bytes.
const UNSYNCED_BYTES_DUE: u64 = 8 << 20;

/// How much may be written and not synced before the writer waits, in bytes.
pub(crate) const UNSYNCED_BYTES_MAX: u64 = 32 << 20;

/// How much of a segment is durable before its beginning gets an index file, in bytes.
const BEGINNING_BYTES: u64 = 32 << 20;

/// A thing to do beside the writer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Job {
    /// Prepare the active file ahead of the head.
    Grow,
    /// Make durable what was written.
    Sync,
    /// Say in durable.mark how much is durable.
    Mark,
    /// Make the index files of sealed segments.
    Index,
}

/// The jobs, and what they need.
#[derive(Debug)]
pub(crate) struct Jobs {
    disk: Arc<dyn Disk>,
    progress: Arc<LogProgress>,
    mark: Arc<Mutex<Mark>>,
    durability: Durability,
    committed: Arc<Committed>,
    /// Index files can't be made: the index stays in memory, and nothing is tried again.
    indexing_has_failed: AtomicBool,
    /// How much of the log the index file of the active segment is of, if one was made.
    beginning_indexed: AtomicU64,
}

impl Jobs {
    pub(crate) fn new(disk: Arc<dyn Disk>, core: &Core, durability: Durability) -> Self {
        let (progress, mark) = (Arc::clone(core.log().progress()), Arc::clone(core.log().mark()));
        let (committed, indexing_has_failed) = (Arc::clone(core.committed()), AtomicBool::new(false));
        let beginning_indexed = AtomicU64::new(0);
        Self { disk, progress, mark, durability, committed, indexing_has_failed, beginning_indexed }
    }

    /// Does a job, if there is anything to do. An error is final for the store.
    pub(crate) fn run(&self, job: Job) -> Result<()> {
        match job {
            Job::Grow => self.grow(),
            Job::Sync => self.sync(),
            Job::Mark => self.mark(),
            Job::Index => {
                self.index();
                Ok(())
            }
        }
    }

    fn index(&self) {
        if self.indexing_has_failed.load(Ordering::Relaxed) {
            return;
        }
        let indexed = index_sealed_segment(&self.committed).and_then(|_| self.index_beginning());
        if let Err(error) = indexed {
            self.indexing_has_failed.store(true, Ordering::Relaxed);
            trace::warn("the index stays in memory", Path::new("the store"), format_args!("{error}"));
        }
    }

    fn growth_is_due(&self) -> bool {
        self.progress.is_short_of(GROWTH_BYTES / 2)
    }

    fn grow(&self) -> Result<()> {
        if self.progress.has_failed() || !self.growth_is_due() {
            return Ok(());
        }
        let active = self.progress.active();
        let written = self.progress.written().max(active.segment.header.base);
        let prepared = active.segment.prepared().min(active.capacity);
        let ahead = active.segment.file_offset(written).max(prepared) + GROWTH_BYTES;
        let target = ahead.next_multiple_of(GROWTH_BYTES).min(active.capacity);
        let growth = match self.durability {
            Durability::Fsync => Growth::Synced,
            Durability::Buffered => Growth::Unsynced,
        };
        match active.segment.grow(target, growth, &*active.syncer) {
            // Writing goes on without: the writer hears of a full disk when it comes to its end.
            Err(Error::Io { action: "grow", path, source }) => {
                trace::warn("the file can't grow ahead", &path, format_args!("{source}"));
                Ok(())
            }
            result => result,
        }
    }

    /// Whether a segment waits for its index file, and will get it.
    fn indexing_is_due(&self) -> bool {
        !self.indexing_has_failed.load(Ordering::Relaxed)
            && self.committed.settled().oldest_frozen().is_some()
    }

    /// Makes an index file of the first part of the active segment when that is long: an opening after a crash
    /// reads what comes behind.
    fn index_beginning(&self) -> Result<()> {
        let durable = self.progress.durable();
        let indexed = LogOffset::new(self.beginning_indexed.load(Ordering::Relaxed));
        let from = indexed.max(self.progress.active().segment.header.base);
        if durable.get().saturating_sub(from.get()) < BEGINNING_BYTES || self.progress.has_failed() {
            return Ok(());
        }
        self.beginning_indexed.store(durable.get(), Ordering::Relaxed);
        index_beginning(&self.committed, durable)?;
        // An opening believes the file only as far as this says.
        self.mark()
    }

    fn unsynced_bytes(&self) -> u64 {
        self.progress.written().get().saturating_sub(self.progress.durable().get())
    }

    fn sync(&self) -> Result<()> {
        // Read in this order: the segment may be a newer one, and then all before it is synced already.
        let written = self.progress.written();
        if written <= self.progress.durable() {
            return Ok(());
        }
        let active = self.progress.active();
        self.progress.sync(&active.segment.path, &*active.syncer, written)
    }

    fn mark(&self) -> Result<()> {
        let durable = self.progress.durable();
        self.progress.unless_failed(|| self.mark.lock().write(&*self.disk, durable))
    }
}

/// The thread that does the jobs.
#[derive(Debug)]
pub(crate) struct Background {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    jobs: Jobs,
    state: Mutex<State>,
    /// Something is due, or the thread is to end.
    due: Condvar,
    /// A sync was done, or failed.
    synced: Condvar,
    /// What the writer looks at for each frame, instead of taking the lock: nothing is to be done until appends
    /// come again, and the thread sleeps without an end.
    is_idle: AtomicBool,
    has_failed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    is_stopped: bool,
    is_due: bool,
    failure: Option<Error>,
}

impl Background {
    /// Starts the thread. It sleeps until the first append.
    pub(crate) fn start(jobs: Jobs) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            jobs,
            state: Mutex::default(),
            due: Condvar::new(),
            synced: Condvar::new(),
            is_idle: AtomicBool::new(true),
            has_failed: AtomicBool::new(false),
        });
        let its_own = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("annals-background".to_owned()).spawn(move || its_own.work())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// What the writer says after each frame. Wakes the thread only where something is due.
    pub(crate) fn after_frame(&self) {
        let jobs = &self.shared.jobs;
        let is_due = jobs.growth_is_due()
            || jobs.durability == Durability::Buffered && jobs.unsynced_bytes() >= UNSYNCED_BYTES_DUE;
        // Pairs with the fence in `work`: either this sees that the thread is idle, or it sees the frame.
        fence(Ordering::SeqCst);
        if !is_due && !self.shared.is_idle.load(Ordering::SeqCst) {
            return;
        }
        let mut state = self.shared.state.lock();
        if self.shared.is_idle.swap(false, Ordering::SeqCst) || is_due && !state.is_due {
            state.is_due |= is_due;
            self.shared.due.notify_one();
        }
    }

    /// Waits while more is un-synced than may be; says which failure ends the store, if one does.
    pub(crate) fn before_frame(&self) -> Result<(), Error> {
        let is_bounded = self.shared.jobs.unsynced_bytes() <= UNSYNCED_BYTES_MAX;
        if is_bounded && !self.shared.has_failed.load(Ordering::SeqCst) {
            return Ok(());
        }
        let mut state = self.shared.state.lock();
        while state.failure.is_none() && self.shared.jobs.unsynced_bytes() > UNSYNCED_BYTES_MAX {
            state.is_due = true;
            self.shared.due.notify_one();
            self.shared.synced.wait(&mut state);
        }
        match &state.failure {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }

    /// Ends the thread, and says which failure it met.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.shared.state.lock().is_stopped = true;
        self.shared.due.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            return Err(Error::Failed { reason: "the background thread panicked".into() });
        }
        match self.shared.state.lock().failure.clone() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Drop for Background {
    /// Ends the thread also where the writer panicked: the lock is let go next, and what the thread did then
    /// would be done to another writer's store.
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            trace::warn("the background ended badly", Path::new("the store"), format_args!("{error}"));
        }
    }
}

impl Shared {
    fn work(&self) {
        // However this ends, the writer must not wait for it.
        let _tell_at_end = TellAtEnd(self);
        let (mut idle_ticks, mut ticks_without_mark) = (0, 0);
        let mut last_written = LogOffset::default();
        while self.wait() {
            let written = self.jobs.progress.written();
            idle_ticks = if written == last_written { idle_ticks + 1 } else { 0 };
            last_written = written;
            let is_idle = idle_ticks >= IDLE_TICKS && !self.jobs.indexing_is_due();
            ticks_without_mark += 1;
            let mark_is_due = is_idle || ticks_without_mark >= BUSY_TICKS;
            if mark_is_due {
                ticks_without_mark = 0;
            }
            let result = self.run_due(mark_is_due);
            let mut state = self.state.lock();
            if let Err(error) = result {
                state.failure = Some(error);
                return;
            }
            self.synced.notify_all();
            if is_idle {
                idle_ticks = 0;
                self.is_idle.store(true, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if written != self.jobs.progress.written() {
                    self.is_idle.store(false, Ordering::SeqCst);
                }
            }
        }
    }

    /// Waits for a tick, or for what is due before; false: the thread is to end.
    fn wait(&self) -> bool {
        let mut state = self.state.lock();
        while self.is_idle.load(Ordering::SeqCst) && !state.is_stopped {
            self.due.wait(&mut state);
        }
        if !state.is_due && !state.is_stopped {
            self.due.wait_for(&mut state, TICK);
        }
        state.is_due = false;
        !state.is_stopped
    }

    fn run_due(&self, mark_is_due: bool) -> Result<()> {
        self.jobs.run(Job::Grow)?;
        if self.jobs.durability == Durability::Buffered {
            self.jobs.run(Job::Sync)?;
        }
        self.jobs.run(Job::Index)?;
        if mark_is_due { self.jobs.run(Job::Mark) } else { Ok(()) }
    }
}

/// Tells the writer that the thread has ended, if that isn't what was asked for.
struct TellAtEnd<'a>(&'a Shared);

impl Drop for TellAtEnd<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if thread::panicking() {
            state.failure = Some(Error::Failed { reason: "the background thread panicked".into() });
        }
        if state.failure.is_some() {
            self.0.has_failed.store(true, Ordering::SeqCst);
            self.0.synced.notify_all();
        }
    }
}
