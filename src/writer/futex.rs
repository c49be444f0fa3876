//! One word that threads sleep on, and that one call wakes them all from.
//!
//! On Linux it is a futex; elsewhere a condition variable for the whole process, with the same promises. Beside it stands the
//! one thing that who looks before it sleeps wants to know of the system.

#[cfg(interleavings)]
pub(crate) use crate::sync::{wait, wake_all, wake_one};
#[cfg(not(interleavings))]
pub(crate) use system::{wait, wake_all, wake_one};

/// What stands for a processor's number where that isn't known.
pub(crate) const UNKNOWN_PROCESSOR: usize = usize::MAX;

/// The number of the processor on which this thread runs just now.
#[cfg(target_os = "linux")]
pub(crate) fn processor() -> usize {
    rustix::thread::sched_getcpu()
}

/// The system doesn't tell on which processor this thread runs.
#[cfg(not(target_os = "linux"))]
pub(crate) fn processor() -> usize {
    UNKNOWN_PROCESSOR
}

#[cfg(all(target_os = "linux", not(interleavings)))]
mod system {
    use std::{sync::atomic::AtomicU32, time::Duration};

    use rustix::thread::futex::{self, Flags, Timespec};

    /// Sleeps if the word still has this value, until woken, or as long as this; may wake without a reason.
    pub(crate) fn wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
        // What the system can't count is as good as no end.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // Interrupted, too late, or the word has another value by now: the caller looks again in any case.
        futex::wait(word, Flags::PRIVATE, value, timeout.as_ref()).ok();
    }

    /// Wakes one who sleeps on the word.
    pub(crate) fn wake_one(word: &AtomicU32) {
        futex::wake(word, Flags::PRIVATE, 1).expect("waking has no way to fail on a word of ours");
    }

    /// Wakes all who sleep on the word.
    pub(crate) fn wake_all(word: &AtomicU32) {
        let all = u32::try_from(i32::MAX).expect("positive");
        futex::wake(word, Flags::PRIVATE, all).expect("waking has no way to fail on a word of ours");
    }
}

#[cfg(not(any(target_os = "linux", interleavings)))]
mod system {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use parking_lot::{Condvar, Mutex};

    static LOCK: Mutex<()> = Mutex::new(());
    static WOKEN: Condvar = Condvar::new();

    /// Sleeps if the word still has this value, until woken, or as long as this; may wake without a reason.
    pub(crate) fn wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
        let mut guard = LOCK.lock();
        if word.load(Ordering::SeqCst) != value {
            return;
        }
        match timeout {
            Some(timeout) => drop(WOKEN.wait_for(&mut guard, timeout)),
            None => WOKEN.wait(&mut guard),
        }
    }

    /// Wakes one who sleeps on the word.
    pub(crate) fn wake_one(word: &AtomicU32) {
        wake_all(word);
    }

    /// Wakes all who sleep on the word.
    pub(crate) fn wake_all(_word: &AtomicU32) {
        let _guard = LOCK.lock();
        WOKEN.notify_all();
    }
}
