//! Repairing: a damaged store is made whole again, as far as its own bytes and a backup go, and the rest is set aside.
//!
//! What always holds: nothing is changed before what the plan would leave was looked at and found whole, and all that is to be
//! changed is kept in quarantine/, durably; a repair that is
//! cut off leaves a store that can be repaired again; and durable.mark, which tells that events are missing, says less only
//! when the log is as it is to be. One segment is put together at a time.
//!
//! ```text
//! inspect ─▶ merged: own frames, else the backup's, else what can only have stood there
//!               │
//!               ▼
//!             plan ─▶ rehearsal ─▶ shown, or: keeping (quarantine/repair-N) ─▶ surgery ─▶ inspect ─▶ the store opens ─▶ $Repaired
//! ```
//!
//! ```text
//! options         what a repair may do
//! progress        how far it is
//! event_line      events as the JSON lines that import takes
//! overlay         a file with other bytes in some places
//! mending         frames of which is known what they must have been
//! backup_run      a stretch that comes from the backup, and whether it is of the same history
//! restored        what comes from it: its positions
//! judge           which events may stay: those that opening takes
//! merged_segment  one segment, put together of what there is
//! merged          the log, put together of what there is
//! planned_end     where it has the log end
//! left_out        what is behind a cut: what of it can be read, and what is lost
//! plan            what a repair would do
//! planned_disk    the disk as it would be then, to read
//! rehearsal       whether it would be as planned
//! report          the same as JSON and as text
//! keeping         quarantine/repair-N
//! surgery         the changes, one by one
//! repair_event    the event that tells of it
//! run             all of it, in order
//! ```

pub(crate) mod backup_run;
pub(crate) mod event_line;
pub(crate) mod judge;
pub(crate) mod keeping;
pub(crate) mod left_out;
pub(crate) mod mending;
pub(crate) mod merged;
pub(crate) mod merged_segment;
pub(crate) mod options;
pub(crate) mod overlay;
pub(crate) mod plan;
pub(crate) mod planned_disk;
pub(crate) mod planned_end;
pub(crate) mod progress;
pub(crate) mod rehearsal;
pub(crate) mod repair_event;
pub(crate) mod report;
pub(crate) mod restored;
pub(crate) mod run;
pub(crate) mod surgery;
