//! Backup and restore: the log goes from one directory to another, and every byte is checked on its way.
//!
//! What always holds: a backup is a store that opens without a cut. It ends where a commit does; its last segment is a file of
//! its own, and no other file of it is ever changed. The older backup in a directory is whole at each moment in which a
//! newer one is made there.
//!
//! ```text
//! DEST/segments/000000000001.log   sealed: a further name of the store's own file, or a copy
//! DEST/segments/000000000002.log   the last one: a copy of what was committed when the backup began
//! DEST/durable.mark                that all of it is on the disk
//! DEST/store.meta                  as the store has it
//! DEST/backup.manifest             what belongs to the backup; written last
//! ```
//!
//! ```text
//! transfer      a segment, frame by frame: checked, hashed, written
//! destination   a directory that backups go to
//! source        the store that a backup is made of
//! history       how far two are the same
//! making        a backup, of what is new since the one before
//! cut           where a log ends as of a moment
//! placing       the directory that a store is restored to
//! restoring     a store from a backup
//! ```

pub(crate) mod cut;
pub(crate) mod destination;
pub(crate) mod history;
pub(crate) mod making;
pub(crate) mod placing;
pub(crate) mod restoring;
pub(crate) mod source;
pub(crate) mod transfer;
