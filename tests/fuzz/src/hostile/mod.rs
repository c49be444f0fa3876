//! What each target does with its input. In all of them this must hold: no panic, no memory or time without bound;
//! what is answered is an error, or fits whatever else is answered.
//!
//! ```text
//! little      numbers in bytes, whether they are there or not
//! random      numbers from a seed
//! mend        checksums made right, and what chains structures together
//! packing     long rows of zeros made short
//! stores      stores around the bytes of an input
//! look        everything asked of a store, and the answers compared with each other
//! saved       a whole store, a backup of it, and a backup of another history of it
//! damage      what happens to files by accident
//! manifest    a part of mend: backup.manifest
//! records     the events that files have, found without the store's code
//! directory  directories     files as one input
//! frame  segment  index_file  snapshot  control  recovery  repair  backup  restore     the targets
//! ```

pub(crate) mod backup;
pub(crate) mod control;
pub(crate) mod damage;
pub(crate) mod directories;
pub(crate) mod directory;
pub(crate) mod frame;
pub(crate) mod index_file;
mod little;
mod look;
pub(crate) mod manifest;
pub(crate) mod mend;
pub(crate) mod packing;
pub(crate) mod random;
mod records;
pub(crate) mod recovery;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod saved;
pub(crate) mod segment;
pub(crate) mod snapshot;
pub(crate) mod stores;
