//! Annals: an embedded event store. A directory of append-only log files, one writer, many readers; streams of
//! events with optimistic concurrency, and one global order.
//!
//! ```
//! use annals::{EventData, EventStore, ExpectedVersion, StreamId};
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("shop.annals");
//! let store = EventStore::open(path)?;
//! let order = StreamId::new("order-17")?;
//! let placed = EventData::json("OrderPlaced", &serde_json::json!({ "item": "book" }))?;
//! let appended = store.append(&order, ExpectedVersion::NoStream, [placed])?;
//! store.append(&order, appended.version, [EventData::json("OrderPaid", &serde_json::json!({ "cents": 1999 }))?])?;
//!
//! let types: Vec<String> =
//!     store.read_stream(&order).map(|event| event.map(|event| event.event_type)).collect::<Result<_, _>>()?;
//! assert_eq!(types, ["OrderPlaced", "OrderPaid"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - [`EventStore`] opens, appends and reads; a [`Reader`] reads alone; [`Options`] say how durable an append is, and more.
//! - [`Follower`] reads a store that another process writes.
//! - [`EventData`] is what a program gives, [`StoredEvent`] and [`EventRef`] what it gets back. Programs whose events are
//!   an enum [encode](EventData::encode) and [decode](StoredEvent::decode) them; a [`Codec`] says how.
//! - [`Context`] is who wants a command and what brought it about: its events' [`Metadata`].
//! - [`ExpectedVersion`] is what an append demands of its stream; [`Error::is_conflict`] says that another was
//!   first.
//! - [`Commit`] appends to several streams at once, all or nothing.
//! - [`Store`] is the trait of these operations, for programs that run on other stores too.
//! - [`Query`] says what is read: a stream or everything; by category, type, time, correlation; as of a moment.
//!   [`StreamFilter`] says which streams are listed.
//! - [`StoreInfo`], [`StoreSizes`], [`SegmentInfo`], [`LogExtent`] and [`StreamLengths`] are a store in numbers.
//! - [`Upcasters`] say how old events are read, of which a program understands only newer forms.
//! - [`Subscription`] delivers what is there and then what comes, each event once.
//! - [`Checkpoint`] is how far a consumer has come, saved in the log, alone or with events in one [`Commit`].
//! - [`EventTypeDefinition`] is what a store knows of an event type: its category, its JSON Schema, how appends are held
//!   to it.
//! - [`Cursor`] is a place to go on from, checked; [`GroupMember`] deals out streams to several consumers.
//! - [`Aggregate`] is a state that is folded from its events; a [`Repository`] loads it, executes commands, tries again where
//!   another was first, and uses snapshots; [`Given`] tests it.
//! - [`Projection`] is what a program makes of the events, [`ProcessManager`] what answers them with others; a [`Runner`] gives
//!   them each event, on a thread of their own, and keeps how far they have come.
//! - [`Snapshot`] is a state that was kept, so that not all events have to be read again: a cache, never the truth. It
//!   is what the program of its time made of the events: see [`Aggregate::STATE_VERSION`].
//! - [`backup`] copies a store while it is written to, and [`restore`] brings it back, as of any moment.
//! - [`verify`] checks every byte of a store, and [`repair`] makes a damaged one whole as far as that goes; [`PowerCuts`] tests
//!   programs against power cuts, on a [`SimDisk`].
//!
//! # What `Ok` means
//!
//! With [`Durability::Fsync`], the default, an append returns when the disk says that it has the events: they survive a power cut. With
//! [`Durability::Buffered`] the operating system has them: they survive the end of the process, and after a power cut a prefix is there.
//! In both a commit is whole or absent, also after a crash, and damage is an error ([`Error::is_corruption`]), never wrong events.
//!
//! # Who may open a store
//!
//! One [`EventStore`] at a time writes; it holds the directory's lock, and a second one is told who has it ([`Error::Locked`]) or waits
//! ([`Options::lock_wait`]). Its methods take `&self`: threads share it by reference, or in an
//! [`Arc`](std::sync::Arc), which [`Arc::into_inner`](std::sync::Arc::into_inner) takes it out of to be closed, once every clone and
//! every [`Repository`] that has one is dropped. What it derefs to, and what cloning it gives, is a [`Reader`].
//! Any number of `Reader`s in the process and of [`Follower`]s in others read beside it, and wait for nobody. Nothing here needs an async runtime; what waits blocks its thread, or is awaited
//! on yours ([`EventStore::submit`], the feature `async`).
//!
//! # Features
//!
//! - `cli` (default): the program `annals`. Embedders leave it out with `default-features = false`.
//! - `async`: a [`Subscription`] as a `futures_core::Stream`; it asks for no runtime.
//! - `schema`: checks events by the JSON Schemas that are registered of their types.
//! - `tracing`: tells of openings, recoveries and failures; a [`Context`] can be the current span's.

#[cfg(not(target_pointer_width = "64"))]
compile_error!("Annals maps its files, and needs a 64-bit system");

mod appender;
mod background;
mod backup;
mod backup_error;
mod catalog;
mod chase;
mod checkpoint;
mod committed;
mod companions;
mod compatibility;
mod cursor;
#[cfg(feature = "async")]
mod delivery_stream;
mod disk;
mod error;
mod error_message;
mod event;
mod event_content;
mod event_id;
mod event_type_definition;
mod event_types;
mod events;
mod follower;
mod following;
mod format;
mod group;
mod index;
mod indexing;
mod inspect;
mod interface;
mod invalid;
mod listeners;
mod log;
mod log_extent;
mod metadata;
mod naming;
mod news;
mod opening;
mod options;
mod position;
mod query;
mod reader;
mod records;
mod repair;
mod schema;
mod schema_compatibility;
mod schema_keywords;
mod schema_shape;
mod schema_violation;
mod selection;
mod simulation;
mod snapshot;
mod snapshot_file;
mod snapshots;
mod statistics;
mod storage;
mod store;
mod stream;
mod stream_lengths;
mod stream_list;
mod subscription;
#[cfg(not(interleavings))]
mod sync;
#[cfg(interleavings)]
#[path = "../tests/interleavings/src/sync.rs"]
mod sync;
mod time;
mod trace;
mod typed;
mod upcast;
mod upcast_parts;
mod upcast_steps;
mod upcasting;
mod writer;

pub use backup::{
    making::{BackupOptions, BackupReport, Checking, Linking, backup, backup_on},
    placing::ExistingStore,
    restoring::{RestoreOptions, RestoreReport, restore, restore_on},
};
pub use backup_error::{BACKUP_MANIFEST, BackupError};
pub use catalog::StoreInfo;
pub use checkpoint::Checkpoint;
pub use compatibility::{Compatibility, CompatibilityDirection, CompatibilityFinding, Judgement};
pub use cursor::Cursor;
#[cfg(feature = "async")]
pub use delivery_stream::DeliveryStream;
pub use disk::contract::{
    DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, FileLock, LockKind, Mapping, OpenMode,
    SECTOR_BYTES, SHARED_PAGE_BYTES, ShareMode, SharedPage, WriteError,
};
pub use disk::os::OsDisk;
pub use disk::sim::{
    faults::{DiskOperation, Fault, SyncFailure},
    simulated::SimDisk,
    survival::CutStyle,
};
pub use error::{Error, Result};
pub use event::{ContentType, EVENT_BYTES_MAX, EventData, EventRef, StoredEvent};
pub use event_content::EventContent;
pub use event_id::{EVENT_ID_BYTES_MAX, EventId, EventIdRef, IdGenerator, UuidV7};
pub use event_type_definition::{
    DEFINITIONS_MAX, DESCRIPTION_BYTES_MAX, EventTypeDefinition, RegisteredEventType, RegisteredVersion,
    Registration, RegistrationOutcome, SCHEMA_BYTES_MAX, Validation,
};
pub use events::Events;
pub use follower::Follower;
pub use format::layout::COMMIT_BYTES_MAX;
pub use group::GroupMember;
pub use index::part::NameCount;
pub use inspect::{
    report::{
        Damage, Extent, Finding, FindingKind, LISTED_MAX, Listed, LostId, LostVersions, PositionRange,
        Progress, Verification,
    },
    verify::{verify, verify_on},
};
pub use interface::{EventIterator, Store};
pub use invalid::Invalid;
pub use log_extent::LogExtent;
pub use metadata::Metadata;
pub use naming::{NamingConcern, NamingHint, naming_hint};
pub use options::{
    Creation, Durability, OpeningProgress, Options, ReadMode, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN,
};
pub use position::{ExpectedVersion, Position, Version};
pub use query::{AsOf, Bound, Query};
pub use reader::Reader;
#[doc(hidden)]
pub use repair::event_line::{print_occurred_at, print_timestamp, write_event_line};
pub use repair::{
    options::{Loss, RepairOptions},
    plan::{RepairPlan, RepairStep},
    run::{Repaired, plan_repair, plan_repair_on, repair, repair_on},
};
pub use schema_compatibility::schema_compatibility;
pub use schema_violation::SchemaViolation;
#[doc(hidden)]
pub use simulation::{
    errors::{SimulatedDuration, SimulatedRefusal, simulate_every_error},
    failure::{BrokenPromise, Promise},
    loops::{simulate_every_operation, simulate_nested_recovery},
    moments::{SimulatedMoment, simulate_moment, simulate_old_frames},
    reference::SurgeryAnswer,
    scenario::{SimulationCounts, simulate},
    surgery::{Surgery, SurgeryGroup, SurgeryKind},
};
pub use snapshot::{
    IgnoredReason, IgnoredSnapshot, SNAPSHOT_BYTES_MAX, STATE_TYPE_BYTES_MAX, Snapshot, SnapshotData,
    SnapshotInfo, SnapshotList, SnapshotSearch,
};
pub use storage::{SegmentInfo, SegmentState, Segments, StoreSizes};
pub use store::EventStore;
pub use stream::{NAME_BYTES_MAX, StreamId};
pub use stream_lengths::{CountProgress, LengthRange, StreamLengths};
pub use stream_list::{StreamFilter, StreamInfo};
pub use subscription::{Canceller, Delivery, Subscription};
pub use time::{Clock, OccurredAt, SystemClock, Timestamp};
#[cfg(feature = "tracing")]
pub use typed::context_layer::ContextLayer;
pub use typed::{
    aggregate::{Aggregate, Handle},
    codec::{Bincode, Codec, Json},
    coded_event::event_types_of,
    context::Context,
    control::{ProjectionProgress, ProjectionState},
    correction::Correction,
    execute::{ExecuteError, Executed},
    given::{Given, When},
    loaded::{Loaded, Moment, UnusedSnapshot},
    notes::{CursorKeeper, ProjectionInfo, SkippedEvent},
    on_error::{AfterRetries, OnError},
    power_cuts::{PowerCutCounts, PowerCutFailure, PowerCuts},
    process_manager::{Output, ProcessManager},
    projection::{Projection, RollBack, SavedCursor},
    repository::Repository,
    retry::{Jitter, Retriable, Retry},
    run_error::{HandlerError, RunError},
    runner::{Runner, project},
    running::RunningProjection,
    snapshot_policy::{AnyOf, EveryNEvents, OlderThan, OnDemand, SlowLoad, SnapshotMoment, SnapshotPolicy},
};
pub use upcast::Upcasters;
pub use writer::{
    answer::{PendingAppend, PendingCommit},
    request::{Appended, Commit},
};
