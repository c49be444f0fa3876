//! A word in shared memory that the threads of several processes sleep on.
//!
//! On Linux it is a futex, a shared one: a private one doesn't cross processes. Elsewhere sleepers look again each
//! millisecond.

pub(crate) use system::{wait, wake_all};

#[cfg(target_os = "linux")]
mod system {
    use std::{sync::atomic::AtomicU32, time::Duration};

    use rustix::thread::futex::{self, Flags, Timespec};

    /// Sleeps while the word has this value, until woken or until the time is over; may wake without a reason.
    pub(crate) fn wait(word: &AtomicU32, value: u32, timeout: Duration) {
        // Longer than a clock can count is as good as for ever.
        let timeout = Timespec::try_from(timeout).ok();
        // Interrupted, over, or another value by now: the caller looks again each time.
        futex::wait(word, Flags::empty(), value, timeout.as_ref()).ok();
    }

    /// Wakes all who sleep on the word.
    pub(crate) fn wake_all(word: &AtomicU32) {
        let all = u32::try_from(i32::MAX).expect("positive");
        futex::wake(word, Flags::empty(), all).expect("waking has no way to fail on a word of ours");
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        thread,
        time::{Duration, Instant},
    };

    const LOOK_AGAIN: Duration = Duration::from_millis(1);

    /// Sleeps while the word has this value, or until the time is over.
    pub(crate) fn wait(word: &AtomicU32, value: u32, timeout: Duration) {
        let begun = Instant::now();
        while word.load(Ordering::SeqCst) == value && begun.elapsed() < timeout {
            thread::sleep(LOOK_AGAIN.min(timeout));
        }
    }

    /// Those who sleep look by themselves.
    pub(crate) fn wake_all(_word: &AtomicU32) {}
}
