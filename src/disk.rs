//! The disk: all that the store asks of files and directories, and two that answer.
//!
//! ```text
//! contract       what a disk promises, and what it doesn't: bytes are safe only behind a sync
//! os             the operating system's: the only unsafe code, memory maps, std::fs
//! os_lock        its locks
//! shared_futex   a word that threads of several processes sleep on
//! process        whether this is still the process that opened the store
//! sim            a simulated one in memory, with seeded power cuts, for tests of the store and of programs
//! ```

pub(crate) mod contract;
pub(crate) mod os;
pub(crate) mod os_lock;
pub(crate) mod process;
pub(crate) mod shared_futex;
pub(crate) mod sim;
#[cfg(test)]
mod tests;
