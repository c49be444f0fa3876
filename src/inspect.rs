//! Verifying: every byte of a store is read and compared, and nothing is changed.
//!
//! What always holds: the walk over the log is the same code that opening reads it by (`log/scan`), so what is called whole
//! here is taken there. Memory grows with the number of streams and with the largest segments, never with the number of events.
//! Where something is damaged, the walk goes on at the next place that its checksums vouch for.
//!
//! ```text
//! segment files ─▶ ordering ─▶ walk ───────────▶ census ─▶ index_check      a segment's index as its events have it
//!                              │                 │  versions of all streams
//!                              ▼                 ▼
//!                            search            losses ─▶ report
//!                              │                 ▲
//!                              └▶ gaps, salvage ─┘
//! ```
//!
//! ```text
//! report           what is said in the end
//! report_json      the same as JSON
//! losses           which positions and versions are gone
//! tolerant_file    a file whose bad sectors read as zeros, and are told
//! ordering         the segment files there are, and which is which
//! allowance        how much is checked of broken stretches
//! newer            what a newer version seems to have written
//! search           where valid frames go on behind damage
//! salvage          whole records within a broken frame
//! walk             a segment's frames, and the gaps between them
//! stream_table     the version of each stream, in 64 bytes at most
//! marks            what tells how long the log was: durable.mark, streams.dir
//! index_check      index files and the stream directory against the log
//! survey           whole segments ahead, several at once
//! damaged_segment  a segment behind its first damage, and what its index knows of what is gone
//! census           what the events of a log add up to
//! gaps             the same for what is damaged
//! lookup           an event by its position, by whatever index is right
//! cache_check      snapshots and checkpoints against the log
//! inspection       the story, segment by segment
//! verify           a store, from the outside
//! ```

pub(crate) mod allowance;
pub(crate) mod cache_check;
pub(crate) mod census;
pub(crate) mod damaged_segment;
pub(crate) mod gaps;
pub(crate) mod index_check;
pub(crate) mod inspection;
pub(crate) mod lookup;
pub(crate) mod losses;
pub(crate) mod marks;
pub(crate) mod newer;
pub(crate) mod ordering;
pub(crate) mod report;
pub(crate) mod report_json;
pub(crate) mod salvage;
pub(crate) mod search;
pub(crate) mod stream_table;
pub(crate) mod survey;
pub(crate) mod tolerant_file;
pub(crate) mod verify;
pub(crate) mod walk;
