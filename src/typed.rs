//! What programs are written with: events as their own types, aggregates, projections. All of it uses the store as any
//! program could; none of it is needed to use the store.
//!
//! ```text
//! element_limit     a bound for lists whose elements take no bytes
//! codec             how typed values become bytes: JSON, bincode, a program's own
//! tagged_encoding   an enum's value as event type and content: the tag taken off while the codec writes
//! tagged_content    an adjacently tagged enum's content, also for codecs that don't describe themselves
//! tagged_decoding   a value of an enum from event type and content
//! coded_event       events as a program's enums: encode, decode
//! correction        events that make another one good, and name it
//! context           who wants a command, and what brought it about
//! context_layer     a context's part of `tracing` spans
//! power_cuts        tests of programs on a disk that is cut off at every operation
//! snapshot_policy   when a snapshot is taken
//! retry             trying again where another writer was first
//! aggregate         a state that is folded from its events, and decisions
//! event_codec       how a repository's events become bytes, and
//! state_codec       how its states become snapshots: chosen while the program runs
//! loaded            an aggregate as it was loaded
//! repository        loading aggregates, and encoding their events
//! saving            saving aggregates, and taking their snapshots
//! execute           executing commands: once, and again where another was first
//! given             tests of aggregates: given events, when a command comes, then events or a refusal
//! on_error  run_error                what a runner does where something fails, and why it has ended
//! projection  process_manager        what programs make of events: read models; other events
//! work              both, as the runner sees them
//! notes             what runners note in the store's own streams
//! control           what a runner shares with those who watch and command it
//! settings          what a runner was told, and how a run begins
//! batch  skips  session              a run, batch by batch
//! failing  finishing                 what it does where something fails, and how it ends a batch and saves
//! running  runner                    a runner's handle, and what starts it
//! ```

pub(crate) mod aggregate;
pub(crate) mod batch;
pub(crate) mod codec;
pub(crate) mod coded_event;
pub(crate) mod context;
#[cfg(feature = "tracing")]
pub(crate) mod context_layer;
pub(crate) mod control;
pub(crate) mod correction;
pub(crate) mod element_limit;
pub(crate) mod event_codec;
pub(crate) mod execute;
pub(crate) mod failing;
pub(crate) mod finishing;
pub(crate) mod given;
pub(crate) mod loaded;
pub(crate) mod notes;
pub(crate) mod on_error;
pub(crate) mod power_cuts;
pub(crate) mod process_manager;
pub(crate) mod projection;
pub(crate) mod repository;
pub(crate) mod retry;
pub(crate) mod run_error;
pub(crate) mod runner;
pub(crate) mod running;
pub(crate) mod saving;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod skips;
pub(crate) mod snapshot_policy;
pub(crate) mod state_codec;
pub(crate) mod tagged_content;
pub(crate) mod tagged_decoding;
pub(crate) mod tagged_encoding;
pub(crate) mod work;
