//! A simulated disk in memory, with power cuts and failures by a seed.
//!
//! What may happen, at a power cut:
//!
//! - Of the sectors (512 bytes) that were written and not synced, any subset is on the disk, in any order.
//! - A sector that was written several times without a sync may have any of its contents, and also a mixture: the
//!   newer one up to some byte, the older one behind it (the system writes it out while it changes).
//! - A file's length is the one of its last sync, the last one, or one between: independently of its
//!   bytes. What was not written reads as zeros. The bytes behind a cut that was not synced may come back.
//! - Of the names that were made, changed or removed without a sync of their directory, any subset is on the
//!   disk, but none that builds on a lost one. So a file can be there without its bytes, and
//!   its synced bytes without a name.
//!
//! And while programs run: the nth operation fails, or it and all after it; a failed sync leaves one of the four
//! states of `SyncFailure`; writes are short; the disk is full; bytes can't be read; the
//! program dies (what the system has cached stays).
//!
//! Several programs can have the disk mounted, and each can be killed by itself. A page that they share
//! is the system's cache of its file: it outlives them, and at a power cut it becomes what other un-synced bytes
//! become, while the boot id changes.
//!
//! What can't happen: a sector that is neither old nor new, unless it was written again before a sync; a loss of
//! what was synced; half a renaming; a change of bytes that nobody wrote (for that, see `SimDisk::write_file`).
//!
//! All of it is decided by the seed and the order of operations alone. A sync happens at one moment: whatever
//! another thread writes comes before it or after it.
//!
//! ```text
//! random      numbers from the seed
//! survival    which of the un-synced survives a cut
//! faults      what is to go wrong, and when; the count of operations
//! content     one file: durable, cached, dirty
//! directory   one directory: names durable, cached, pending
//! state       all of it, and restarts
//! operations  what programs do to it
//! simulated   the disk itself
//! ```

pub(crate) mod content;
pub(crate) mod directory;
pub(crate) mod faults;
mod operations;
pub(crate) mod random;
pub(crate) mod simulated;
pub(crate) mod state;
pub(crate) mod survival;
#[cfg(test)]
mod tests;
