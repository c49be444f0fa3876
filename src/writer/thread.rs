//! The thread that drives the writer's core: a bounded queue in, answers out.

use std::{collections::VecDeque, mem, path::Path, sync::Arc};

use crate::{
    background::Background,
    committed::Committed,
    disk::process::HomeProcess,
    error::{Error, Result},
    options::Durability,
    sync::{AtomicU32, AtomicUsize, Condvar, Mutex, Ordering, thread},
    time::Clock,
    trace,
    writer::{
        answer::{self, Patience, PendingOutcome, Request},
        bell::{Bell, Meeting},
        core::{self, Core},
        futex,
        request::EncodedCommit,
    },
};

/// What a request takes of the queue beside its records, in bytes: about its own size, so that appends of
/// nothing are bounded too.
const REQUEST_BYTES: usize = 256;

/// How often the thread looks for the next append of a lone caller before it sleeps: longer than a wake-up
/// takes (docs/benchmarks.md, "The hand-over"), some 80 microseconds.
const LOOKS_MAX: u32 = 4_000;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

/// What a caller does where the queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WhenFull {
    Wait,
    Refuse,
}

/// The running writer.
#[derive(Debug)]
pub(crate) struct Writer {
    entrance: Entrance,
    thread: Option<thread::JoinHandle<Result<()>>>,
}

/// Where commits are handed to the writer; clones are the same one. It outlives the writer, and refuses then.
#[derive(Clone, Debug)]
pub(crate) struct Entrance {
    shared: Arc<Shared>,
    patience: Patience,
    process: Arc<HomeProcess>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// How many requests are in the queue; to look at without its lock.
    queued: AtomicUsize,
    room: Condvar,
    bytes_max: usize,
    sleep: AtomicU32,
    /// Callers sleep there until they are answered: those of a frame at one bell, those who come meanwhile at the other.
    meeting: Arc<Meeting>,
}

#[derive(Debug, Default)]
struct Queue {
    requests: VecDeque<Request>,
    bytes: usize,
    /// At which bell those sleep who come now.
    bell: usize,
    waiting_for_room: usize,
    is_closed: bool,
    /// The thread didn't end because it was told to.
    has_panicked: bool,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        core: Core,
        background: Background,
        clock: Arc<dyn Clock>,
        durability: Durability,
        queue_bytes_max: usize,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            room: Condvar::new(),
            bytes_max: queue_bytes_max,
            sleep: AtomicU32::new(AWAKE),
            meeting: Arc::default(),
        });
        // An answer that rests on a sync takes longer than looking for it would pay.
        let patience = match durability {
            Durability::Fsync => Patience::Sleep,
            Durability::Buffered => Patience::Look,
        };
        let close_at_end =
            CloseAtEnd { shared: Arc::clone(&shared), committed: Arc::clone(core.committed()) };
        let drive = Drive { shared: Arc::clone(&shared), core, background, clock, patience, bell: 0 };
        let thread = thread::Builder::new().name("annals-writer".to_owned()).spawn(move || {
            // Dropped last, behind all answers that the drive still owes: no one may wait for ever, however
            // this ends.
            let _close_at_end = close_at_end;
            let mut drive = drive;
            drive.run()
        })?;
        let entrance = Entrance { shared, patience, process: Arc::new(HomeProcess::new()) };
        Ok(Self { entrance, thread: Some(thread) })
    }

    /// Where commits are handed over.
    pub(crate) fn entrance(&self) -> &Entrance {
        &self.entrance
    }

    /// Takes no more appends, answers those that wait, and ends the opening.
    pub(crate) fn close(&mut self) -> Result<()> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let shared = &self.entrance.shared;
        shared.queue.lock().is_closed = true;
        shared.room.notify_all();
        shared.wake();
        thread.join().unwrap_or_else(|_| Err(Error::Failed { reason: "the writer panicked".into() }))
    }
}

impl Entrance {
    /// Whether this is the process that started the writer, and no child that was forked from it.
    pub(crate) fn is_at_home(&self) -> bool {
        self.process.is_here()
    }

    /// Refuses to write in a child that was forked from the program that opened the store.
    pub(crate) fn check_process(&self) -> Result<()> {
        if self.is_at_home() { Ok(()) } else { Err(Error::Forked) }
    }

    /// Hands a commit over.
    pub(crate) fn submit(&self, commit: EncodedCommit, when_full: WhenFull) -> Result<PendingOutcome> {
        self.check_process()?;
        let size = commit.records.len() + REQUEST_BYTES;
        let (request, mut pending) = answer::hand_over(commit, &self.shared.meeting, self.patience);
        let mut queue = self.shared.queue.lock();
        while !queue.is_closed && queue.bytes > 0 && queue.bytes + size > self.shared.bytes_max {
            if when_full == WhenFull::Refuse {
                return Err(Error::QueueFull);
            }
            queue.waiting_for_room += 1;
            self.shared.room.wait(&mut queue);
            queue.waiting_for_room -= 1;
        }
        if queue.has_panicked {
            return Err(Error::Failed { reason: "the writer panicked".into() });
        }
        if queue.is_closed {
            return Err(Error::Closed);
        }
        pending.bell = queue.bell;
        if self.patience == Patience::Look {
            self.shared.meeting.caller.note();
        }
        queue.bytes += size;
        queue.requests.push_back(request);
        self.shared.queued.store(queue.requests.len(), Ordering::SeqCst);
        drop(queue);
        self.shared.wake();
        Ok(pending)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.entrance.is_at_home() {
            // A forked child has no such thread to wait for.
            mem::forget(self.thread.take());
        } else if let Err(error) = self.close() {
            let path = Path::new("the store");
            trace::warn("not closed cleanly", path, format_args!("{error}"));
        }
    }
}

impl Shared {
    fn wake(&self) {
        // Sequentially consistent with the thread's last look at `queued` before it sleeps.
        if self.sleep.load(Ordering::SeqCst) == ASLEEP && self.sleep.swap(AWAKE, Ordering::SeqCst) == ASLEEP {
            futex::wake_one(&self.sleep);
        }
    }

    fn sleep(&self) {
        self.sleep.store(ASLEEP, Ordering::SeqCst);
        if self.queued.load(Ordering::SeqCst) > 0 || self.queue.lock().is_closed {
            self.sleep.store(AWAKE, Ordering::SeqCst);
            return;
        }
        while self.sleep.load(Ordering::SeqCst) == ASLEEP {
            futex::wait(&self.sleep, ASLEEP, None);
        }
    }
}

/// What the thread has.
struct Drive {
    shared: Arc<Shared>,
    core: Core,
    background: Background,
    clock: Arc<dyn Clock>,
    patience: Patience,
    /// At which bell the callers sleep who were taken from the queue last.
    bell: usize,
}

impl Drive {
    fn run(&mut self) -> Result<()> {
        let mut requests = VecDeque::new();
        loop {
            let are_left = !requests.is_empty();
            if !self.drain(&mut requests) {
                break;
            }
            if requests.is_empty() {
                self.wait_for_work();
                continue;
            }
            if self.patience == Patience::Look {
                self.shared.meeting.writer.note();
            }
            if let Err(error) = self.background.before_frame() {
                self.core.fail(&error);
            }
            self.core.turn(&mut requests, self.clock.now());
            if are_left {
                // Callers of more than one drain are among those who were answered.
                self.shared.meeting.bells.iter().for_each(Bell::ring);
            } else {
                self.shared.meeting.bells[self.bell].ring();
            }
            self.background.after_frame();
        }
        let stopped = self.background.stop();
        if let Err(error) = &stopped {
            self.core.fail(error);
        }
        stopped.and(self.core.close())
    }

    /// Moves what waits to the end of `requests`, unless they make a frame without it: else what the writer
    /// has taken would grow without an end where callers are faster than the disk. Whoever comes from then on sleeps at
    /// the other bell. False: the queue is closed, and nothing waits.
    fn drain(&mut self, requests: &mut VecDeque<Request>) -> bool {
        if core::fill_a_frame(requests) {
            return true;
        }
        let mut queue = self.shared.queue.lock();
        if requests.is_empty() {
            mem::swap(&mut queue.requests, requests);
        } else {
            requests.append(&mut queue.requests);
        }
        queue.bytes = 0;
        self.bell = queue.bell;
        queue.bell = (self.bell + 1) % self.shared.meeting.bells.len();
        self.shared.queued.store(0, Ordering::SeqCst);
        if queue.waiting_for_room > 0 {
            self.shared.room.notify_all();
        }
        !(queue.is_closed && requests.is_empty())
    }

    fn wait_for_work(&self) {
        let is_there = || self.shared.queued.load(Ordering::Relaxed) > 0;
        let looks = self.patience == Patience::Look;
        if looks && answer::look_for(LOOKS_MAX, &self.shared.meeting.caller, is_there) {
            return;
        }
        self.shared.sleep();
    }
}

/// Closes the queue when the thread ends, also by a panic, answers what is left in it, and tells subscribers that
/// nothing more will come.
struct CloseAtEnd {
    shared: Arc<Shared>,
    committed: Arc<Committed>,
}

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        let mut queue = self.shared.queue.lock();
        queue.is_closed = true;
        queue.has_panicked = thread::panicking();
        let left = mem::take(&mut queue.requests);
        drop(queue);
        // Answers wake their callers, whose wakers may come back to the queue.
        drop(left);
        self.shared.room.notify_all();
        self.shared.meeting.bells.iter().for_each(Bell::ring);
        self.committed.close();
    }
}
