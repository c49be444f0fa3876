//! The thread that sleeps on the page for all who wait in this process: threads and tasks.
//!
//! It is started when somebody waits for the first time, and is parked while nobody does: then no writer makes a call
//! for this process. What it sees it publishes, which wakes those who wait, as a writer in the process would.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Waker,
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use crate::{
    error::{Error, Result},
    following::{Following, LOOK_AGAIN},
    listeners::{Ear, Interest},
    news::News,
};

/// A log that is followed, and who looks out for it.
#[derive(Debug)]
pub(crate) struct Lookout {
    following: Arc<Following>,
    desk: Arc<Desk>,
}

/// Where the thread is asked for.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<DeskState>,
    change: Condvar,
    /// How often the thread ended with an error.
    failures: AtomicU64,
}

#[derive(Debug, Default)]
struct DeskState {
    /// Threads that wait, or are about to.
    sleepers: usize,
    is_running: bool,
    is_ended: bool,
    last_error: Option<Error>,
}

impl Lookout {
    pub(crate) fn new(following: Arc<Following>) -> Self {
        Self { following, desk: Arc::default() }
    }

    /// Has the thread look as long as somebody waits.
    fn ask(&self, state: &mut DeskState) -> Result<()> {
        if !state.is_running {
            let (following, desk) = (Arc::clone(&self.following), Arc::clone(&self.desk));
            thread::Builder::new()
                .name("annals-lookout".to_owned())
                .spawn(move || look_out(&following, &desk))
                .map_err(|error| Error::io("start a thread for", self.following.path(), error))?;
            state.is_running = true;
        }
        self.desk.change.notify_one();
        Ok(())
    }
}

impl News for Lookout {
    fn refresh(&self) -> Result<()> {
        self.following.refresh()
    }

    fn sleep(&self, interest: Interest, deadline: Option<Instant>, is_over: &dyn Fn() -> bool) -> Result<()> {
        let failures = || self.desk.failures.load(Ordering::SeqCst);
        let failures_before = failures();
        let mut state = self.desk.state.lock();
        self.ask(&mut state)?;
        state.sleepers += 1;
        drop(state);
        let listeners = self.following.committed().listeners();
        listeners.sleep(interest, deadline, || is_over() || failures() != failures_before);
        let mut state = self.desk.state.lock();
        state.sleepers -= 1;
        match &state.last_error {
            Some(error) if failures() != failures_before => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn wake_sleepers(&self) {
        self.following.committed().listeners().wake_sleepers();
    }

    fn call_at_news(&self, ear: &Arc<Ear>, waker: &Waker) -> Result<()> {
        self.following.committed().listeners().list(ear, waker);
        self.ask(&mut self.desk.state.lock())
    }

    fn forget(&self, ear: &Arc<Ear>) {
        self.following.committed().listeners().strike_out(ear);
    }
}

impl Drop for Lookout {
    /// The thread sees it when it looks next, at the latest within a second; it isn't waited for.
    fn drop(&mut self) {
        self.desk.state.lock().is_ended = true;
        self.desk.change.notify_one();
    }
}

fn look_out(following: &Following, desk: &Desk) {
    let listeners = following.committed().listeners();
    loop {
        let mut state = desk.state.lock();
        while !state.is_ended && state.sleepers == 0 && !listeners.has_any() {
            desk.change.wait(&mut state);
        }
        if state.is_ended {
            state.is_running = false;
            return;
        }
        drop(state);
        if let Err(error) = following.refresh() {
            let mut state = desk.state.lock();
            state.last_error = Some(error);
            state.is_running = false;
            desk.failures.fetch_add(1, Ordering::SeqCst);
            drop(state);
            // Who waits looks again, and meets the error by itself.
            listeners.tell(Interest::Ordinary);
            return;
        }
        following.sleep(LOOK_AGAIN);
    }
}
