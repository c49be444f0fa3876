//! The index: where the events of a stream are, from versions to places in the log.
//!
//! What always holds: it is derived from the log, so it is never wrong for longer than it takes to rebuild it;
//! what it finds is checked against the record on use.
//!
//! ```text
//! key            what streams and ids are known by: hashes
//! part           what the index of one segment file answers
//! column         one small number an event, and the search for those that are wanted
//! names          categories and event types: numbers for names
//! memory         the part of the active segment
//! lookup         finds a hash in a sorted section of a file
//! chain_end      where the log ended when a file of the index was written
//! sealed_layout  what the index file of a segment says of itself
//! sealed_names   its categories and event types
//! sealed_writer  makes it of a part in memory
//! sealed         the part of a segment that is written no more: its index file
//! directory      each stream's version and latest segment, over all segments; and its file
//! files          where the index's files are, and who may write them
//! read_progress  how far an opening is with the segments that it has to read
//! scanning       from records to a part in memory
//! sealed_parts   the sealed segments, opened when they are needed, healed from the log
//! folding        from a segment's index to the directory
//! settled        all of it but the tail
//! loading        all of it at opening
//! ```

pub(crate) mod chain_end;
pub(crate) mod column;
pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod folding;
pub(crate) mod key;
pub(crate) mod loading;
pub(crate) mod lookup;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod part;
pub(crate) mod read_progress;
pub(crate) mod scanning;
pub(crate) mod sealed;
pub(crate) mod sealed_layout;
pub(crate) mod sealed_names;
pub(crate) mod sealed_parts;
pub(crate) mod sealed_writer;
pub(crate) mod settled;
#[cfg(test)]
pub(crate) mod tests;
