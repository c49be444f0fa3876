//! What programs are written with: events as their own types, aggregates, projections. All of it uses the store as any
//! program could; none of it is needed to use the store.
//!
//! ```text
//! codec             how typed values become bytes: JSON, bincode, a program's own
//! tagged_encoding   an enum's value as event type and content: the tag taken off while the codec writes
//! tagged_content    an adjacently tagged enum's content, also for codecs that don't describe themselves
//! tagged_decoding   a value of an enum from event type and content
//! coded_event       events as a program's enums: encode, decode
//! snapshot_policy   when a snapshot is taken
//! correction        events that make another one good, and name it
//! context           who wants a command, and what brought it about
//! context_layer     a context's part of `tracing` spans
//! power_cuts        tests of programs on a disk that is cut off at every operation
//! ```

pub(crate) mod codec;
pub(crate) mod coded_event;
pub(crate) mod context;
#[cfg(feature = "tracing")]
pub(crate) mod context_layer;
pub(crate) mod correction;
pub(crate) mod power_cuts;
pub(crate) mod snapshot_policy;
pub(crate) mod tagged_content;
pub(crate) mod tagged_decoding;
pub(crate) mod tagged_encoding;
