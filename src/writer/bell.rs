//! A bell: one word on which many sleep, and one call that wakes them all.

use std::time::Instant;

use crate::{
    sync::{AtomicU32, AtomicUsize, Ordering, fence},
    writer::futex::{self, UNKNOWN_PROCESSOR},
};

/// Rung for each frame: for the callers who are answered, and for those who wait for news.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicU32,
    sleepers: AtomicU32,
}

/// Where the writer and its callers meet.
#[derive(Debug, Default)]
pub(crate) struct Meeting {
    /// Two, so that those who wait for one frame sleep while another's callers are woken.
    pub(crate) bells: [Bell; 2],
    /// Where the writer ran last.
    pub(crate) writer: Processor,
    /// Where the caller ran who handed over last.
    pub(crate) caller: Processor,
}

/// How many of those who find each other on one processor give way, before one doesn't: while both want to run, the system sees
/// that there is one too many, and lets it run elsewhere if it can. While they only take turns, it sees none.
const GIVING_WAY: u32 = 7;

/// The processor on which a thread ran when it said so.
#[derive(Debug)]
pub(crate) struct Processor {
    number: AtomicUsize,
    given_way: AtomicU32,
}

impl Default for Processor {
    fn default() -> Self {
        Self { number: AtomicUsize::new(UNKNOWN_PROCESSOR), given_way: AtomicU32::new(0) }
    }
}

impl Processor {
    /// This thread runs here.
    pub(crate) fn note(&self) {
        self.number.store(futex::processor(), Ordering::Relaxed);
    }

    /// Whether to give way to the other thread, which was where this one is and can't run while this one does.
    pub(crate) fn wants_way(&self) -> bool {
        let number = self.number.load(Ordering::Relaxed);
        number != UNKNOWN_PROCESSOR
            && number == futex::processor()
            && self.given_way.fetch_add(1, Ordering::Relaxed) % (GIVING_WAY + 1) != GIVING_WAY
    }
}

impl Bell {
    /// Wakes all who sleep.
    pub(crate) fn ring(&self) {
        // Sequentially consistent with the sleeper's count and its second look, so that none sleeps on.
        self.rung.fetch_add(1, Ordering::SeqCst);
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            futex::wake_all(&self.rung);
        }
    }

    /// Whether somebody sleeps; to look at without more.
    pub(crate) fn has_sleepers(&self) -> bool {
        self.sleepers.load(Ordering::Relaxed) > 0
    }

    /// Sleeps until it is done, which is looked at after each ringing, or until the deadline.
    pub(crate) fn sleep_until(&self, deadline: Option<Instant>, is_done: impl Fn() -> bool) {
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        loop {
            let rung = self.rung.load(Ordering::SeqCst);
            if is_done() {
                break;
            }
            match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => break,
                left => futex::wait(&self.rung, rung, left),
            }
        }
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }
}
