//! Those who wait for news of the log: threads that sleep, and tasks that are called.
//!
//! Who publishes looks at one number, and does nothing more where nobody waits. Else one call wakes all threads,
//! and each task is called once. Nothing is kept for anybody: who is woken looks at the log.

use std::{mem, sync::Arc, task::Waker, time::Instant};

use crate::{
    sync::{AtomicBool, AtomicU32, Mutex, Ordering, fence},
    writer::bell::Bell,
};

/// What somebody waits for, and what a frame brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Interest {
    /// Events of ordinary streams.
    Ordinary,
    /// Also those of the store's own streams. As what a frame brings: those alone.
    Everything,
}

/// Who waits for news.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    /// How many threads sleep, and how many ears are listed.
    count: AtomicU32,
    ordinary: Bell,
    everything: Bell,
    ears: Mutex<Vec<Arc<Ear>>>,
}

/// The place where one who waits can be called, and told to stop.
#[derive(Debug)]
pub(crate) struct Ear {
    interest: Interest,
    is_cancelled: AtomicBool,
    call: Mutex<Call>,
}

#[derive(Debug, Default)]
struct Call {
    waker: Option<Waker>,
    is_listed: bool,
}

impl Ear {
    pub(crate) fn new(interest: Interest) -> Self {
        Self { interest, is_cancelled: AtomicBool::new(false), call: Mutex::default() }
    }

    pub(crate) fn interest(&self) -> Interest {
        self.interest
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Says that it is to stop, and calls its task. Its thread, if that sleeps, is woken by a bell.
    pub(crate) fn cancel(&self) {
        self.is_cancelled.store(true, Ordering::SeqCst);
        let waker = self.call.lock().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Listeners {
    /// Tells those whom it concerns that something was published.
    pub(crate) fn tell(&self, brought: Interest) {
        // What was published comes before this look, as a listener's own look comes behind its being counted: one
        // of the two sees the other.
        fence(Ordering::SeqCst);
        if self.count.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.everything.ring();
        if brought == Interest::Ordinary {
            self.ordinary.ring();
        }
        self.call(|ear| brought == Interest::Ordinary || ear.interest == Interest::Everything);
    }

    /// Wakes the threads that sleep, so that they look whether they are to stop.
    pub(crate) fn wake_sleepers(&self) {
        self.everything.ring();
        self.ordinary.ring();
    }

    fn call(&self, is_concerned: impl Fn(&Ear) -> bool) {
        let mut called = Vec::new();
        {
            let mut ears = self.ears.lock();
            let (concerned, others) = mem::take(&mut *ears).into_iter().partition(|ear| is_concerned(ear));
            *ears = others;
            let concerned: Vec<Arc<Ear>> = concerned;
            for ear in &concerned {
                let mut call = ear.call.lock();
                call.is_listed = false;
                called.extend(call.waker.take());
                self.count.fetch_sub(1, Ordering::SeqCst);
            }
        }
        // Wakers are other people's code, which may come back to here.
        for waker in called {
            waker.wake();
        }
    }

    /// Sleeps until it is over, which is looked at after each news, or until the deadline.
    pub(crate) fn sleep(&self, interest: Interest, deadline: Option<Instant>, is_over: impl Fn() -> bool) {
        self.count.fetch_add(1, Ordering::SeqCst);
        match interest {
            Interest::Ordinary => self.ordinary.sleep_until(deadline, is_over),
            Interest::Everything => self.everything.sleep_until(deadline, is_over),
        }
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    /// Lists an ear, to be called once at the next news. What was published before may not be told: the one who
    /// listens looks once more behind this.
    pub(crate) fn list(&self, ear: &Arc<Ear>, waker: &Waker) {
        let mut ears = self.ears.lock();
        let mut call = ear.call.lock();
        call.waker = Some(waker.clone());
        if !mem::replace(&mut call.is_listed, true) {
            ears.push(Arc::clone(ear));
            self.count.fetch_add(1, Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
    }

    /// Whether tasks are listed.
    pub(crate) fn has_ears(&self) -> bool {
        !self.ears.lock().is_empty()
    }

    /// Takes an ear out of the list.
    pub(crate) fn strike_out(&self, ear: &Arc<Ear>) {
        let mut ears = self.ears.lock();
        if mem::replace(&mut ear.call.lock().is_listed, false) {
            ears.retain(|listed| !Arc::ptr_eq(listed, ear));
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
