//! Tests of programs against power cuts: one life of the program for each operation of the disk, cut off there.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crate::{
    disk::sim::{simulated::SimDisk, survival::CutStyle},
    options::Options,
    store::EventStore,
};

/// Where the store is on the simulated disk.
const STORE: &str = "/store";

/// Segments are small, so that a short program fills some, and a copy of the disk is made quickly.
const SEGMENT_BYTES: u64 = 32 << 10;

/// A program that isn't done by then is taken for one that never is.
const OPERATIONS_MAX: u64 = 100_000;

/// Runs a program on a simulated disk again and again, cuts the power at each operation of the disk in turn, and has
/// what is left checked.
///
/// The program is what it will be in use: a function that is given the store. What it does beside the store (mails
/// that are sent, answers that are given) it notes in a value of yours, the world; a power cut takes nothing of that
/// back. Then the store is opened again on what the cut left, in each [`CutStyle`], and your check looks whether
/// store and world still agree, or runs the program once more, as its next start would.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, PowerCuts, StreamId};
/// use std::sync::Arc;
///
/// /// Takes two orders, and tells each customer.
/// fn program(store: &Arc<EventStore>, told: &mut Vec<u64>) -> annals::Result<()> {
///     for number in 1..=2 {
///         let order = StreamId::new(format!("order-{number}"))?;
///         store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
///         told.push(number);
///     }
///     Ok(())
/// }
///
/// let counts = PowerCuts::new(7).run(
///     |_| Ok::<_, annals::Error>(Vec::new()),
///     program,
///     |store, told| {
///         for number in told.iter() {
///             assert!(store.stream_exists(&StreamId::new(format!("order-{number}"))?)?, "the customer was told");
///         }
///         Ok(())
///     },
/// )?;
/// assert!(counts.checks > 7 * counts.operations);
/// # Ok::<(), annals::PowerCutFailure>(())
/// ```
#[derive(Clone, Debug)]
pub struct PowerCuts {
    seed: u64,
    options: Options,
    only: Option<u64>,
}

/// What [`PowerCuts::run`] did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct PowerCutCounts {
    /// At how many operations the power was cut.
    pub operations: u64,
    /// How often what a cut left was checked; behind the program's end too.
    pub checks: u64,
}

/// What didn't hold, and where the power was cut.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct PowerCutFailure {
    /// The seed of the run.
    pub seed: u64,
    /// Before which operation of the disk, counted from the store's opening, or in its midst; none: in the preparation.
    pub operation: Option<u64>,
    /// What was left of the un-synced; none: it failed before the cut.
    pub kept: Option<CutStyle>,
    /// What the check or the program said.
    pub reason: String,
}

impl PowerCuts {
    /// Power cuts whose chances come from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, options: Options::new().segment_bytes(SEGMENT_BYTES), only: None }
    }

    /// Opens the store with these options: in [`Durability::Buffered`](crate::Durability::Buffered) mode, with a
    /// clock of yours. Unless they say otherwise, new segments have 64 MiB here too, and each life copies them; the
    /// default has 32 KiB.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Cuts at this operation alone, from 1 on, to look into a failure. The store has threads of its own, so which
    /// operation is the nth may differ by a few from run to run.
    #[must_use]
    pub fn only(mut self, operation: u64) -> Self {
        self.only = Some(operation);
        self
    }

    /// Prepares a store and a world once, without a cut; then, for each operation of the disk, runs the program on a
    /// copy of both up to the cut, and checks what is left. It ends with a life that isn't cut: that is checked
    /// behind its end.
    ///
    /// A life is the opening of the store, the program, and the store's closing. Once the power is cut all operations
    /// fail, so the program is told so and should return; its error, or its panic, is part of that life. The check
    /// gets another opening of the store, on a disk that isn't cut, and the world as the program left it.
    ///
    /// # Errors
    ///
    /// [`PowerCutFailure`] if the preparation fails, the program fails without a cut or never ends, the store can't
    /// be opened again, or the check fails or panics.
    pub fn run<W: Clone, E: fmt::Display>(
        &self,
        prepare: impl FnOnce(&Arc<EventStore>) -> Result<W, E>,
        mut program: impl FnMut(&Arc<EventStore>, &mut W) -> Result<(), E>,
        mut check: impl FnMut(&Arc<EventStore>, &mut W) -> Result<(), E>,
    ) -> Result<PowerCutCounts, PowerCutFailure> {
        let prepared = SimDisk::new(self.seed);
        let world = self.live(&prepared, prepare).map_err(|reason| self.failure(None, None, reason))?;
        let mut counts = PowerCutCounts::default();
        for nth in self.only.unwrap_or(1)..=OPERATIONS_MAX {
            let seed = self.seed.wrapping_mul(1_000_003).wrapping_add(nth);
            let (disk, mut world) = (prepared.fork(seed), world.clone());
            disk.cut_at(nth);
            let outcome = self.live(&disk, |store| program(store, &mut world));
            let was_cut = disk.is_cut();
            if let (false, Err(reason)) = (was_cut, outcome) {
                return Err(self.failure(
                    Some(nth),
                    None,
                    format!("without a cut, the program failed: {reason}"),
                ));
            }
            disk.cut_at(0);
            for kept in CutStyle::ALL {
                let (left, mut world) = (disk.fork(seed), world.clone());
                left.power_cut_keeping(kept);
                self.live(&left, |store| check(store, &mut world))
                    .map_err(|reason| self.failure(Some(nth), Some(kept), reason))?;
                counts.checks += 1;
            }
            if was_cut {
                counts.operations += 1;
            }
            if !was_cut || self.only.is_some() {
                return Ok(counts);
            }
        }
        Err(self.failure(None, None, format!("the program isn't done after {OPERATIONS_MAX} operations")))
    }

    /// Opens the store, does something with it, and closes it; an error or a panic says what it says.
    fn live<T, E: fmt::Display>(
        &self,
        disk: &SimDisk,
        action: impl FnOnce(&Arc<EventStore>) -> Result<T, E>,
    ) -> Result<T, String> {
        let store = EventStore::open_on(Arc::new(disk.mount()), STORE, self.options.clone())
            .map_err(|error| format!("the store doesn't open: {error}"))?;
        let store = Arc::new(store);
        // What a panic leaves of the world is what a program leaves that ends there.
        let outcome = catch_unwind(AssertUnwindSafe(|| action(&store)));
        match outcome {
            Ok(outcome) => outcome.map_err(|error| error.to_string()),
            Err(panic) => Err(panic_message(panic.as_ref())),
        }
    }

    fn failure(&self, operation: Option<u64>, kept: Option<CutStyle>, reason: String) -> PowerCutFailure {
        PowerCutFailure { seed: self.seed, operation, kept, reason }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned()
}

impl fmt::Display for PowerCutFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, operation, kept, reason } = self;
        match (operation, kept) {
            (Some(nth), Some(kept)) => write!(
                formatter,
                "cut at operation {nth}, {kept:?} left of what wasn't synced: {reason}; \
                 PowerCuts::new({seed}).only({nth}) repeats it"
            ),
            (Some(nth), None) => {
                write!(formatter, "{reason}; PowerCuts::new({seed}).only({nth}) repeats it")
            }
            _ => write!(formatter, "{reason}; it was PowerCuts::new({seed})"),
        }
    }
}

impl std::error::Error for PowerCutFailure {}
