//! A bell: one word on which many sleep, and one call that wakes them all.

use std::{
    sync::atomic::{AtomicU32, Ordering, fence},
    time::Instant,
};

use crate::writer::futex;

/// Rung for each frame: for the callers who are answered, and for those who wait for news.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    rung: AtomicU32,
    sleepers: AtomicU32,
}

/// Two, so that those who wait for one frame sleep while another's callers are woken.
pub(crate) type Bells = [Bell; 2];

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
