//! An error at every operation: once, or for ever; what callers hear, and what is there afterwards.

use std::io::ErrorKind;

use crate::{
    disk::sim::{
        faults::{DiskOperation, Fault, SyncFailure},
        random::Random,
        simulated::SimDisk,
    },
    error::Error,
    options::{Durability, SEGMENT_BYTES_MIN},
    simulation::{
        failure::BrokenPromise,
        loops::{live_straight, mixed},
        scenario::{Run, SimulationCounts, SyncsFailed, refuse_corruption},
        session::{Reading, options},
    },
};

/// How many turns of the writer a life has that an error meets.
const TURNS: usize = 4;

/// What a disk says that refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SimulatedError {
    /// `EIO`.
    InputOutput,
    /// `ENOSPC`.
    NoSpace,
    /// `EDQUOT`.
    Quota,
    /// `EFBIG`.
    FileTooLarge,
    /// `EROFS`.
    ReadOnly,
    /// `EMFILE`.
    TooManyFiles,
    /// `ENOMEM`.
    NoMemory,
}

impl SimulatedError {
    const ALL: [Self; 7] = [
        Self::InputOutput,
        Self::NoSpace,
        Self::Quota,
        Self::FileTooLarge,
        Self::ReadOnly,
        Self::TooManyFiles,
        Self::NoMemory,
    ];

    fn fault(self) -> Fault {
        match self {
            Self::InputOutput => Fault::from_os_code(5),
            Self::NoSpace => Fault::new(ErrorKind::StorageFull),
            Self::Quota => Fault::new(ErrorKind::QuotaExceeded),
            Self::FileTooLarge => Fault::new(ErrorKind::FileTooLarge),
            Self::ReadOnly => Fault::new(ErrorKind::ReadOnlyFilesystem),
            Self::TooManyFiles => Fault::from_os_code(24),
            Self::NoMemory => Fault::new(ErrorKind::OutOfMemory),
        }
    }
}

/// How long the disk refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SimulatedDuration {
    /// One operation.
    Once,
    /// That one and all behind it.
    Forever,
}

/// Which operations are refused: what a failed sync leaves is another matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SimulatedRefusal {
    /// Syncs of files; each leaves the cache in one of the four ways, by the seed.
    OfSyncs,
    /// Syncs of directories; they leave the cache in three of the four ways. That names are shown which the disk never got, and
    /// that the next sync succeeds without them, is what file systems do to bytes: with names they stop working instead.
    OfDirectorySyncs,
    /// All others.
    OfOthers,
}

/// What a failed sync of a directory leaves.
const LEFT_OF_NAMES: [SyncFailure; 3] =
    [SyncFailure::StaysDirty, SyncFailure::RevertsCache, SyncFailure::ComesLate];

const OTHERS: [DiskOperation; 9] = [
    DiskOperation::CreateDirectory,
    DiskOperation::Create,
    DiskOperation::Open,
    DiskOperation::Rename,
    DiskOperation::Link,
    DiskOperation::Remove,
    DiskOperation::Write,
    DiskOperation::SetLength,
    DiskOperation::Allocate,
];

/// Which life meets the error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// One that makes its store.
    First,
    /// One behind a life that was ended without a close.
    Second,
}

/// A life for each operation that can be refused: the disk refuses it, with each of the errors. The opening fails with a
/// typed error, or every append is answered; behind a failure none succeeds, and reading goes on. Then the program is
/// killed or the power cut, the disk is well again, and everything must be there. In every second life writes are short as well.
///
/// # Errors
///
/// What didn't hold, and what was refused.
pub fn simulate_every_error(
    refusal: SimulatedRefusal,
    duration: SimulatedDuration,
    durability: Durability,
    seed: u64,
) -> Result<SimulationCounts, BrokenPromise> {
    let mut counts = SimulationCounts::default();
    for error in SimulatedError::ALL {
        for life in [Life::First, Life::Second] {
            for nth in 1.. {
                let at = |broken: BrokenPromise| {
                    broken.at(format_args!(
                        "{error:?} {duration:?} at operation {nth} ({refusal:?}) of the {life:?} life of seed {seed}, \
                         {durability:?}"
                    ))
                };
                let mut run = Run::new(SimDisk::new(mixed(seed, nth)));
                if nth % 2 == 0 {
                    run.disk.set_short_writes(4);
                }
                if life == Life::Second {
                    live_straight(&mut run, durability, seed).map_err(at)?;
                    run.kill();
                }
                run.disk.fail(fault(error, refusal, duration, mixed(seed, nth)).at(nth));
                live_refused(&mut run, refusal, durability, (seed, nth)).map_err(at)?;
                run.check_whole(durability).map_err(at)?;
                counts.add(run.counts());
                if run.disk.refusals() == 0 {
                    break;
                }
            }
        }
    }
    Ok(counts)
}

/// What refuses the next of the operations that are refused.
fn fault(
    error: SimulatedError,
    refusal: SimulatedRefusal,
    duration: SimulatedDuration,
    chance: u64,
) -> Fault {
    let fault = match refusal {
        SimulatedRefusal::OfSyncs => error.fault().on(DiskOperation::Sync),
        SimulatedRefusal::OfDirectorySyncs => {
            let left = LEFT_OF_NAMES[Random::new(chance).below(LEFT_OF_NAMES.len())];
            error.fault().on(DiskOperation::SyncDirectory).leaving(left)
        }
        SimulatedRefusal::OfOthers => {
            OTHERS.iter().fold(error.fault(), |fault, operation| fault.on(*operation))
        }
    };
    match duration {
        SimulatedDuration::Once => fault,
        SimulatedDuration::Forever => fault.forever(),
    }
}

/// A life on a disk that refuses, to its end by a kill or a cut. The disk is well again then. But for what is refused, it is
/// the same life for each operation.
fn live_refused(
    run: &mut Run,
    refusal: SimulatedRefusal,
    durability: Durability,
    (seed, nth): (u64, u64),
) -> Result<(), BrokenPromise> {
    run.reading = Reading::MayFail;
    // The life before it, if there was one, had the seed's other events.
    append_refused(run, durability, &mut Random::new(!seed))?;
    run.reading = Reading::Works;
    // Whatever a failed sync took from the system was never certain.
    let may_have_reverted = refusal != SimulatedRefusal::OfOthers && run.disk.refusals() > 0;
    if may_have_reverted {
        run.history.cut();
    }
    run.end(
        &mut Random::new(mixed(seed, nth)),
        if may_have_reverted { SyncsFailed::Perhaps } else { SyncsFailed::No },
    )
}

fn append_refused(run: &mut Run, durability: Durability, random: &mut Random) -> Result<(), BrokenPromise> {
    let mut session = match run.open(&options(durability, SEGMENT_BYTES_MIN))? {
        Ok(session) => session,
        Err(error @ Error::Io { .. }) => return refuse_corruption(&error),
        Err(error) => return Err(format!("the opening fails in a way that it can't: {error}").into()),
    };
    for _ in 0..TURNS {
        // A session that has failed goes on too: it checks that every answer says so.
        session.append(random, &mut run.history)?;
        session.check_reading(&run.history)?;
        let job = session.choose_job(random);
        session.run_job(job, &mut run.history);
    }
    session.close(&mut run.history);
    Ok(())
}
