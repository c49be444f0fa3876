//! Lives and cases of damage on all cores, until the time is over or something is wrong.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use annals::{BrokenPromise, Surgery};
use parking_lot::Mutex;

use crate::{
    interrupt::Stop,
    progress::Words,
    selftest::{
        report,
        totals::{Failure, Totals},
    },
};

/// How often a terminal is told how far it is.
const TELLING: Duration = Duration::from_millis(500);

/// When the work is done: whichever comes first.
pub(crate) struct Goal {
    /// So many numbers were taken.
    pub(crate) numbers: Option<u64>,
    /// So many cuts were counted.
    pub(crate) cuts: Option<u64>,
    pub(crate) end: Option<Instant>,
}

/// What the workers share.
struct Shared<'a> {
    goal: &'a Goal,
    stop: &'a Stop,
    next: AtomicU64,
    totals: Mutex<Totals>,
    failure: Mutex<Option<Failure>>,
}

impl Shared<'_> {
    /// The next number, if there is more to do.
    fn take(&self) -> Option<u64> {
        let is_over = self.stop.is_asked()
            || self.goal.end.is_some_and(|end| Instant::now() >= end)
            || self.goal.cuts.is_some_and(|cuts| self.totals.lock().counts.cuts >= cuts)
            || self.failure.lock().is_some();
        if is_over {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.goal.numbers.is_none_or(|numbers| number < numbers).then_some(number)
    }

    fn work(&self, task: &(impl Fn(u64) -> Result<Totals, Failure> + Sync)) {
        while let Some(number) = self.take() {
            match task(number) {
                Ok(more) => self.totals.lock().add(&more),
                Err(failure) => {
                    let mut first = self.failure.lock();
                    if first.is_none() {
                        self.totals.lock().note(&failure);
                        *first = Some(failure);
                    }
                }
            }
        }
    }
}

/// Does a task for one number after the other on so many threads, and adds up what they did.
pub(crate) fn work(
    threads: usize,
    goal: &Goal,
    stop: &Stop,
    totals: &mut Totals,
    task: impl Fn(u64) -> Result<Totals, Failure> + Sync,
) -> anyhow::Result<Option<Failure>> {
    let shared = Shared {
        goal,
        stop,
        next: AtomicU64::new(0),
        totals: Mutex::new(*totals),
        failure: Mutex::default(),
    };
    let (begun, words) = (Instant::now(), Words::new());
    let started = thread::scope(|scope| {
        let (sender, receiver) = channel::<()>();
        let started = (0..threads).try_for_each(|_| {
            let (sender, shared, task) = (sender.clone(), &shared, &task);
            let work = move || {
                shared.work(task);
                drop(sender);
            };
            thread::Builder::new().spawn_scoped(scope, work).map(drop)
        });
        drop(sender);
        if started.is_err() {
            stop.ask();
        }
        while receiver.recv_timeout(TELLING) == Err(RecvTimeoutError::Timeout) {
            let totals = *shared.totals.lock();
            words.set(&report::progress(&totals, begun.elapsed(), goal));
        }
        started
    });
    words.clear();
    started?;
    *totals = shared.totals.into_inner();
    Ok(shared.failure.into_inner())
}

/// Does one case of damage.
pub(crate) fn operate(surgery: &Surgery, case: u64) -> Result<Totals, Failure> {
    let command = format!("annals selftest --damage {case}");
    guarded(format!("damage {case}"), command, || surgery.operate(case)).map(Totals::of_damage)
}

/// Does something that must neither break a promise nor panic.
pub(crate) fn guarded<T>(
    place: String,
    command: String,
    action: impl FnOnce() -> Result<T, BrokenPromise>,
) -> Result<T, Failure> {
    // What it works on is its own, and goes with it.
    let (promise, what) = match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(broken)) => (Some(broken.promise), broken.what),
        Err(panic) => (None, panic_message(panic.as_ref())),
    };
    Err(Failure { promise, place, what, command })
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}
