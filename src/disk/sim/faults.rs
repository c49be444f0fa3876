//! What is to go wrong on a simulated disk, and when.

use std::io;

/// What a simulated disk counts, and can be told to refuse.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DiskOperation {
    /// A directory is made.
    CreateDirectory,
    /// A file is made and opened.
    Create,
    /// A file that exists is opened.
    Open,
    /// A name is changed.
    Rename,
    /// A file gets a further name.
    Link,
    /// A name is removed.
    Remove,
    /// A directory's names are made durable.
    SyncDirectory,
    /// Bytes are written.
    Write,
    /// A file's bytes are made durable.
    Sync,
    /// A file's length is set.
    SetLength,
    /// A file is grown.
    Allocate,
}

/// What a sync that reported an error did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SyncFailure {
    /// Nothing: all is as it was, and another sync can make it durable.
    StaysDirty,
    /// It took some to the disk, by the seed, and calls all of it clean. The cache goes on showing bytes that
    /// the disk never got, and the next sync succeeds without them: what Linux does.
    ForgetsDirty,
    /// The cache shows what the disk has again: what was written is gone.
    RevertsCache,
    /// All of it, and yet it reported an error.
    ComesLate,
}

impl SyncFailure {
    pub(crate) const ALL: [Self; 4] =
        [Self::StaysDirty, Self::ForgetsDirty, Self::RevertsCache, Self::ComesLate];
}

/// Something that is to go wrong: which operations, from which one on, and with what error.
///
/// ```
/// use annals::{DiskOperation, Fault, SimDisk, SyncFailure};
/// use std::io;
///
/// let disk = SimDisk::new(1);
/// // The third sync from now on fails as Linux' do, and the disk is full for ever.
/// disk.fail(Fault::new(io::ErrorKind::Other).on(DiskOperation::Sync).at(3).leaving(SyncFailure::ForgetsDirty));
/// disk.fail(Fault::new(io::ErrorKind::StorageFull).on(DiskOperation::Write).on(DiskOperation::Allocate).forever());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Fault {
    error: FaultError,
    /// All, where there is none.
    operations: Vec<DiskOperation>,
    /// How many of its operations go through before it.
    spared: u64,
    lasts: bool,
    sync_failure: Option<SyncFailure>,
}

#[derive(Clone, Copy, Debug)]
enum FaultError {
    Kind(io::ErrorKind),
    OsCode(i32),
}

impl Fault {
    /// The next operation of any kind fails, once, with an error of this kind.
    pub fn new(kind: io::ErrorKind) -> Self {
        Self::with(FaultError::Kind(kind))
    }

    /// The next operation of any kind fails, once, with an error of the system's number.
    pub fn from_os_code(code: i32) -> Self {
        Self::with(FaultError::OsCode(code))
    }

    fn with(error: FaultError) -> Self {
        Self { error, operations: Vec::new(), spared: 0, lasts: false, sync_failure: None }
    }

    /// Only operations of this kind; may be called for several.
    pub fn on(mut self, operation: DiskOperation) -> Self {
        self.operations.push(operation);
        self
    }

    /// The nth of its operations from now on; 1 is the next.
    pub fn at(mut self, nth: u64) -> Self {
        self.spared = nth.saturating_sub(1);
        self
    }

    /// That one and all of its operations after it.
    pub fn forever(mut self) -> Self {
        self.lasts = true;
        self
    }

    /// What a sync does that fails by this; by the seed, where nothing is said.
    pub fn leaving(mut self, failure: SyncFailure) -> Self {
        self.sync_failure = Some(failure);
        self
    }

    fn concerns(&self, operation: DiskOperation) -> bool {
        self.operations.is_empty() || self.operations.contains(&operation)
    }
}

/// An error that an operation is to give.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) error: io::Error,
    pub(crate) sync_failure: Option<SyncFailure>,
}

/// What becomes of an operation.
#[derive(Debug)]
pub(crate) enum Verdict {
    Goes,
    Refused(Refusal),
    /// The disk is cut off in the middle of it.
    CutOff,
}

/// All that is to go wrong, and the count of operations.
#[derive(Clone, Default, Debug)]
pub(crate) struct Faults {
    pub(crate) operations: u64,
    /// How many of them were refused.
    pub(crate) refusals: u64,
    /// How many operations go through before the cut.
    cut_after: Option<u64>,
    pub(crate) is_cut: bool,
    /// Whether operations go through and aren't counted: somebody checks, who is no part of what is checked.
    pub(crate) is_resting: bool,
    planned: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.planned.clear();
    }

    pub(crate) fn cut_at(&mut self, nth: u64) {
        self.cut_after = nth.checked_sub(1);
        self.is_cut |= nth == 0;
    }

    pub(crate) fn restart(&mut self) {
        self.cut_after = None;
        self.is_cut = false;
    }

    /// Counts an operation that is about to happen. The disk must not be cut off.
    pub(crate) fn begin(&mut self, operation: DiskOperation) -> Verdict {
        assert!(!self.is_cut, "the disk refuses before it counts");
        if self.is_resting {
            return Verdict::Goes;
        }
        self.operations += 1;
        if let Some(left) = &mut self.cut_after {
            let Some(fewer) = left.checked_sub(1) else {
                self.is_cut = true;
                return Verdict::CutOff;
            };
            *left = fewer;
        }
        let mut firing = None;
        for (index, fault) in self.planned.iter_mut().enumerate() {
            if !fault.concerns(operation) {
                continue;
            }
            if fault.spared > 0 {
                fault.spared -= 1;
            } else {
                firing = firing.or(Some(index));
            }
        }
        let Some(index) = firing else { return Verdict::Goes };
        self.refusals += 1;
        let error = match self.planned[index].error {
            FaultError::Kind(kind) => kind.into(),
            FaultError::OsCode(code) => io::Error::from_raw_os_error(code),
        };
        let sync_failure = self.planned[index].sync_failure;
        if !self.planned[index].lasts {
            drop(self.planned.remove(index));
        }
        Verdict::Refused(Refusal { error, sync_failure })
    }
}
