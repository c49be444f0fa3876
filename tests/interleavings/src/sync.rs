//! Where threads meet, in the place of src/sync.rs: the same names, but at each use of a lock, a number or a thread
//! Shuttle chooses by a seed which thread goes on. If none can, that is a deadlock, and the test fails.
//!
//! All threads see all stores in one order: what weaker orderings would allow isn't tried out. Time-outs come by
//! chance; a wait without one lasts until it is woken, so that no lost wake-up is ever mended by a time-out.

use std::{
    collections::HashMap,
    fmt,
    ops::{Deref, DerefMut},
    ptr,
    sync::{Arc, PoisonError},
    time::Duration,
};

pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use shuttle::{rand::Rng, sync};

/// A lock without poison, as `parking_lot` has it.
#[derive(Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// Has its lock but while it waits.
#[derive(Debug)]
pub(crate) struct MutexGuard<'a, T> {
    lock: &'a sync::Mutex<T>,
    held: Option<sync::MutexGuard<'a, T>>,
}

fn lock<T>(lock: &sync::Mutex<T>) -> sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { lock: &self.0, held: Some(lock(&self.0)) }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mutex").finish_non_exhaustive()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_ref().expect("nobody waits with it now")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_mut().expect("nobody waits with it now")
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    pub(crate) const fn new() -> Self {
        Self(sync::Condvar::new())
    }

    pub(crate) fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let held = guard.held.take().expect("nobody waits with it now");
        guard.held = Some(self.0.wait(held).unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
        if shuttle::rand::thread_rng().gen_bool(0.5) {
            self.wait(guard);
            return;
        }
        // The lock is free for a moment, as it is in any wait.
        drop(guard.held.take());
        shuttle::thread::yield_now();
        guard.held = Some(lock(guard.lock));
    }

    pub(crate) fn notify_one(&self) {
        self.0.notify_one();
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// A lock that many read and one writes, without poison.
#[derive(Default)]
pub(crate) struct RwLock<T>(sync::RwLock<T>);

pub(crate) type RwLockReadGuard<'a, T> = sync::RwLockReadGuard<'a, T>;

impl<T> RwLock<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RwLock").finish_non_exhaustive()
    }
}

shuttle::lazy_static! {
    /// Who sleeps on which word: each has a condition variable of its own, so that nobody is woken by chance.
    static ref SLEEPERS: sync::Mutex<HashMap<usize, Arc<sync::Condvar>>> = sync::Mutex::new(HashMap::new());
}

fn bell_of(word: &AtomicU32, sleepers: &mut HashMap<usize, Arc<sync::Condvar>>) -> Arc<sync::Condvar> {
    Arc::clone(sleepers.entry(ptr::from_ref(word).addr()).or_default())
}

/// Sleeps if the word still has this value, until woken; as src/writer/futex.rs says.
pub(crate) fn wait(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
    let mut sleepers = lock(&SLEEPERS);
    if word.load(Ordering::SeqCst) != value {
        return;
    }
    if timeout.is_some() && shuttle::rand::thread_rng().gen_bool(0.5) {
        return;
    }
    let bell = bell_of(word, &mut sleepers);
    drop(bell.wait(sleepers));
}

/// Wakes one who sleeps on the word.
pub(crate) fn wake_one(word: &AtomicU32) {
    bell_of(word, &mut lock(&SLEEPERS)).notify_one();
}

/// Wakes all who sleep on the word.
pub(crate) fn wake_all(word: &AtomicU32) {
    bell_of(word, &mut lock(&SLEEPERS)).notify_all();
}

pub(crate) mod thread {
    //! Threads of which one may panic, as in a program: else the test would end with it.

    use std::{
        io,
        panic::{AssertUnwindSafe, catch_unwind},
        thread::Result,
    };

    pub(crate) use shuttle::thread::{panicking, sleep};

    #[derive(Debug, Default)]
    pub(crate) struct Builder(shuttle::thread::Builder);

    #[derive(Debug)]
    pub(crate) struct JoinHandle<T>(shuttle::thread::JoinHandle<Result<T>>);

    impl Builder {
        pub(crate) fn new() -> Self {
            Self(shuttle::thread::Builder::new())
        }

        pub(crate) fn name(self, name: String) -> Self {
            Self(self.0.name(name))
        }

        pub(crate) fn spawn<T: Send + 'static>(
            self,
            work: impl FnOnce() -> T + Send + 'static,
        ) -> io::Result<JoinHandle<T>> {
            self.0.spawn(move || catch_unwind(AssertUnwindSafe(work))).map(JoinHandle)
        }
    }

    impl<T: 'static> JoinHandle<T> {
        pub(crate) fn join(self) -> Result<T> {
            self.0.join().and_then(|ended| ended)
        }
    }
}
