//! Where threads meet: the locks, numbers and threads of the writer, its callers and those who wait for news.
//!
//! They come from here so that this code, as it is, can be run in other orders than a machine happens to choose:
//! tests/interleavings builds the crate with a file of its own in the place of this one.

pub(crate) use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    thread,
};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard};
