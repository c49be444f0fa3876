//! The log: segment files that hold frames, one after the other, and how they are found whole again.
//!
//! What always holds: frames form one chain over all segments; a segment has its name only when its header is
//! durable; segment n + 1 exists only if n ends with a SEAL; bytes that a reader has been shown never change; the file of a
//! segment that has a successor may have another name in a backup, so it is replaced by another file and never changed.
//!
//! ```text
//! segments/000000000001.log   | header | frames … | SEAL |          sealed, trimmed
//! segments/000000000002.log   | header | frames … |^ end   zeros |  active
//!                                            D ^                    durable.mark: all before it was synced
//! head                                             committed         shared with other processes, for one boot
//! ```

pub(crate) mod creation;
pub(crate) mod fetch;
pub(crate) mod followed_head;
pub(crate) mod hand_over;
pub(crate) mod head;
pub(crate) mod mark;
pub(crate) mod quarantine;
pub(crate) mod recovery;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod segmented_log;
#[cfg(test)]
mod tests;
pub(crate) mod verdict;
pub(crate) mod view;
pub(crate) mod visiting;
pub(crate) mod window;
