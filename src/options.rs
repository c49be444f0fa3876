//! How a store is opened.

use std::{fmt, sync::Arc, time::Duration};

use crate::{
    event_id::{IdGenerator, UuidV7},
    invalid::Invalid,
    schema_violation::SchemaViolation,
    time::{Clock, SystemClock},
    upcast::Upcasters,
};

/// The smallest segment that can be asked for, in bytes: 4 KiB.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 10;

/// The largest segment that can be asked for, in bytes: 1 GiB.
pub const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// What an append has reached when it returns `Ok`. docs/durability.md has the whole table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Durability {
    /// The disk has the events: written, and synced with fdatasync. They survive a power cut.
    #[default]
    Fsync,
    /// The operating system has the events. They survive the end of the process, however it comes. A power
    /// cut or a crash of the system loses the last moments (a sync runs in the background at 8 MiB or 50 ms,
    /// and appends wait when 32 MiB are not synced), also for those who had read them already; what is left
    /// is a prefix, with every commit whole or absent.
    Buffered,
}

/// How readers get at the log's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum ReadMode {
    /// Through a memory map: fastest. A page that the disk can't read ends the process with SIGBUS.
    #[default]
    Mapped,
    /// With pread: a page that the disk can't read is an error.
    Pread,
}

/// What opening does where there is no store yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Creation {
    /// Makes a store, also the last directory of its path.
    #[default]
    IfMissing,
    /// Fails with [`Error::NotAStore`](crate::Error::NotAStore).
    Never,
}

/// How far an opening is that has to read segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct OpeningProgress {
    /// How many segments were read, each of them whole.
    pub segments: u64,
    /// How many there are to read.
    pub segments_total: u64,
    /// How much was read of their files, in bytes.
    pub bytes: u64,
    /// How much there is to read, in bytes; of the last segment it may turn out to be less.
    pub bytes_total: u64,
}

/// Who is told of it.
#[derive(Clone)]
pub(crate) struct ProgressTeller(Arc<dyn Fn(OpeningProgress) + Send + Sync>);

impl ProgressTeller {
    pub(crate) fn tell(&self, progress: OpeningProgress) {
        self.0(progress);
    }
}

impl fmt::Debug for ProgressTeller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProgressTeller")
    }
}

/// Who is told of events that aren't as their types are registered.
#[derive(Clone)]
pub(crate) struct ViolationTeller(Arc<dyn Fn(&SchemaViolation) + Send + Sync>);

impl ViolationTeller {
    pub(crate) fn tell(&self, violation: &SchemaViolation) {
        self.0(violation);
    }
}

impl fmt::Debug for ViolationTeller {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ViolationTeller")
    }
}

/// How a store is opened; the default suits most.
///
/// ```
/// use annals::{Durability, Options};
///
/// let options = Options::new().durability(Durability::Buffered).segment_bytes(16 << 20);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) read: ReadMode,
    pub(crate) creation: Creation,
    pub(crate) segment_bytes: u64,
    pub(crate) queue_bytes_max: usize,
    pub(crate) lock_wait: Duration,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn IdGenerator>,
    pub(crate) progress: Option<ProgressTeller>,
    pub(crate) upcasters: Arc<Upcasters>,
    pub(crate) snapshots_kept: usize,
    pub(crate) schema_warning: Option<ViolationTeller>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            read: ReadMode::default(),
            creation: Creation::default(),
            segment_bytes: 64 << 20,
            queue_bytes_max: 16 << 20,
            lock_wait: Duration::ZERO,
            clock: Arc::new(SystemClock),
            ids: Arc::new(UuidV7::default()),
            progress: None,
            upcasters: Arc::default(),
            snapshots_kept: 3,
            schema_warning: None,
        }
    }
}

impl Options {
    /// The default: [`Durability::Fsync`], [`ReadMode::Mapped`], [`Creation::IfMissing`], segments of
    /// 64 MiB, a queue of 16 MiB, no waiting for the lock, the system's clock, UUIDs of version 7, no upcasters,
    /// 3 snapshots.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What an append has reached when it returns.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How readers get at the log's bytes.
    #[must_use]
    pub fn read(mut self, read: ReadMode) -> Self {
        self.read = read;
        self
    }

    /// What opening does where there is no store yet.
    #[must_use]
    pub fn creation(mut self, creation: Creation) -> Self {
        self.creation = creation;
        self
    }

    /// The size of new segments in bytes, 4 KiB to 1 GiB; a larger commit gets a segment of its size.
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How many bytes of appends may wait for the writer before `submit` blocks; at least one append always
    /// may.
    #[must_use]
    pub fn queue_bytes_max(mut self, bytes: usize) -> Self {
        self.queue_bytes_max = bytes;
        self
    }

    /// How long opening waits for another writer to end.
    #[must_use]
    pub fn lock_wait(mut self, wait: Duration) -> Self {
        self.lock_wait = wait;
        self
    }

    /// Where timestamps come from.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Where the ids of events come from whose caller gives none.
    #[must_use]
    pub fn id_generator(mut self, ids: Arc<dyn IdGenerator>) -> Self {
        self.ids = ids;
        self
    }

    /// Who is told, on the opening thread, how far an opening is that has to read segments: those whose index files are
    /// missing or damaged, and the last one, if more than a mebibyte of it isn't indexed, as behind a program that was killed. It is
    /// told before the first of them is read, at most once a mebibyte, and behind each. The totals grow where an index file
    /// turns out to be damaged. Other openings take no time worth telling.
    #[must_use]
    pub fn on_opening_progress(mut self, tell: impl Fn(OpeningProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(ProgressTeller(Arc::new(tell)));
        self
    }

    /// How old events are read, of which a program understands only newer forms; for a store and for a follower. Snapshots
    /// that were taken before know nothing of a new step: see [`Upcasters`].
    #[must_use]
    pub fn upcasters(mut self, upcasters: Upcasters) -> Self {
        self.upcasters = Arc::new(upcasters);
        self
    }

    /// How many snapshots are kept of a stream and state type, those of the newest versions; 1 at least. Saving one
    /// removes older ones.
    #[must_use]
    pub fn snapshots_kept(mut self, count: usize) -> Self {
        self.snapshots_kept = count;
        self
    }

    /// Who is told, on the appending thread, of an event that isn't as its type is registered with
    /// [`Validation::Warn`](crate::Validation::Warn). It is told before the append is handed over, which may still come to
    /// nothing; an append that repeats an earlier one isn't told of again.
    #[must_use]
    pub fn on_schema_warning(mut self, tell: impl Fn(&SchemaViolation) + Send + Sync + 'static) -> Self {
        self.schema_warning = Some(ViolationTeller(Arc::new(tell)));
        self
    }

    /// Refuses values outside their ranges.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            let reason = format!("it is from {SEGMENT_BYTES_MIN} to {SEGMENT_BYTES_MAX} bytes");
            return Err(Invalid::new("segment size", &self.segment_bytes.to_string(), reason));
        }
        if self.snapshots_kept == 0 {
            return Err(Invalid::new("number of snapshots kept", "0", "at least 1 is kept"));
        }
        Ok(())
    }
}
