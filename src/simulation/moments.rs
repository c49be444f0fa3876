//! A cut at every operation of one thing that the store does, each in every style, and by a kill.

use crate::{
    background::Job,
    disk::sim::{random::Random, simulated::SimDisk, survival::CutStyle},
    options::{Durability, SEGMENT_BYTES_MIN},
    position::ExpectedVersion,
    simulation::{
        failure::BrokenPromise,
        history::payload_bytes,
        loops::mixed,
        scenario::{Run, SimulationCounts, refuse_corruption},
        session::{Parts, Session, options},
    },
    stream::StreamId,
};

/// A thing that the store does in several steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SimulatedMoment {
    /// It is made.
    Creation,
    /// A segment is sealed, the next one made, and the first frame put into it.
    SegmentChange,
    /// Sealed segments get their index files, and the stream directory takes them in.
    Indexing,
    /// durable.mark is made, and written again.
    Marking,
    /// It is closed: a sync, a file that is cut to its end, durable.mark, index file and stream directory.
    Closing,
    /// It is opened behind a closing, whose cut of the file may be on its way to the disk still, and appended to.
    Reopening,
}

impl SimulatedMoment {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Creation, Self::SegmentChange, Self::Indexing, Self::Marking, Self::Closing, Self::Reopening];
}

/// How a program ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Killed,
    Cut(CutStyle),
}

/// How many segments a store has before it is looked at how they are indexed.
const SEGMENTS: u64 = 3;

/// More turns than any moment needs.
const TURNS_MAX: usize = 40;

/// Cuts the power at every operation of a moment, and leaves of the un-synced what each style leaves, or kills the
/// program there. Then the store opens, also without all that is made of the log, and goes on.
///
/// # Errors
///
/// What didn't hold, and where the cut was.
pub fn simulate_moment(
    moment: SimulatedMoment,
    durability: Durability,
    seed: u64,
) -> Result<SimulationCounts, BrokenPromise> {
    let mut counts = SimulationCounts::default();
    for nth in 1.. {
        let mut run = Run::new(SimDisk::new(mixed(seed, nth)));
        let at = |broken: BrokenPromise| {
            broken.at(format_args!("{moment:?} of seed {seed}, {durability:?}, operation {nth}"))
        };
        live_to(&mut run, moment, durability, (seed, nth)).map_err(at)?;
        let was_cut = run.disk.is_cut();
        let ends = CutStyle::ALL.map(End::Cut).into_iter().chain([End::Killed]);
        for (number, end) in (1..).zip(ends) {
            let mut left = run.fork(mixed(nth, number));
            match end {
                End::Killed => left.kill(),
                End::Cut(style) => left.cut_power_keeping(style),
            }
            let at = |broken: BrokenPromise| at(broken.at(format_args!("{end:?}")));
            check_without_derived(&left, durability).map_err(at)?;
            check_going_on(&mut left, durability, seed).map_err(at)?;
            run.take_in(left);
        }
        counts.add(run.counts());
        if !was_cut {
            break;
        }
    }
    Ok(counts)
}

/// Lives up to the moment, and through it with a cut at its nth operation.
fn live_to(
    run: &mut Run,
    moment: SimulatedMoment,
    durability: Durability,
    (seed, nth): (u64, u64),
) -> Result<(), BrokenPromise> {
    let options = options(durability, SEGMENT_BYTES_MIN);
    if moment == SimulatedMoment::Creation {
        run.disk.cut_at(nth);
        return match run.open(&options)? {
            Ok(_) => Ok(()),
            Err(error) => refuse_corruption(&error),
        };
    }
    let mut random = Random::new(seed);
    let session = run.open(&options)?;
    let mut session = session.map_err(|error| format!("a new store doesn't open: {error}"))?;
    append_until(run, &mut session, &mut random, 1)?;
    match moment {
        SimulatedMoment::Indexing => append_until(run, &mut session, &mut random, SEGMENTS)?,
        SimulatedMoment::Closing => append_until(run, &mut session, &mut random, SEGMENTS - 1)?,
        SimulatedMoment::Reopening => {
            session.run_job(Job::Grow, &mut run.history);
            session.close(&mut run.history);
            let reopened = run.open(&options)?;
            session = reopened.map_err(|error| format!("a closed store doesn't open: {error}"))?;
        }
        SimulatedMoment::Creation | SimulatedMoment::SegmentChange | SimulatedMoment::Marking => {}
    }
    run.disk.cut_at(nth);
    match moment {
        SimulatedMoment::Creation => {}
        SimulatedMoment::SegmentChange => append_until(run, &mut session, &mut random, 2)?,
        SimulatedMoment::Indexing => {
            for _ in 1..SEGMENTS {
                session.run_job(Job::Index, &mut run.history);
            }
        }
        SimulatedMoment::Marking => {
            for job in [Job::Sync, Job::Mark] {
                session.run_job(job, &mut run.history);
            }
            session.append(&mut random, &mut run.history)?;
            for job in [Job::Sync, Job::Mark] {
                session.run_job(job, &mut run.history);
            }
        }
        SimulatedMoment::Closing => {
            session.close(&mut run.history);
        }
        SimulatedMoment::Reopening => {
            let stream = StreamId::new("a").map_err(|invalid| invalid.to_string())?;
            let tags = tags_of_one_length(&mut random).take(1).collect();
            session.append_commits(vec![vec![(stream, ExpectedVersion::Any, tags)]], &mut run.history)?;
        }
    }
    Ok(())
}

/// Appends at least once, and until the store has so many segments, or is cut off.
fn append_until(
    run: &mut Run,
    session: &mut Session,
    random: &mut Random,
    segments: u64,
) -> Result<(), BrokenPromise> {
    for _ in 0..TURNS_MAX {
        let goes_on = session.append(random, &mut run.history)?;
        if !goes_on || session.segment_number() >= segments {
            return Ok(());
        }
    }
    Err(format!("{TURNS_MAX} appends don't fill {segments} segments").into())
}

/// Index files, the stream directory and durable.mark can all be missing.
fn check_without_derived(left: &Run, durability: Durability) -> Result<(), BrokenPromise> {
    let mut bare = left.fork(0);
    for path in bare.disk.files() {
        let is_derived = path.extension() == Some("idx".as_ref())
            || path.ends_with("streams.dir")
            || path.ends_with("durable.mark");
        if is_derived {
            bare.disk.remove_file(&path).map_err(|error| format!("surgery: {error}"))?;
        }
    }
    bare.check_whole(durability).map_err(|broken| broken.at("without what is made of the log"))
}

/// The store opens, takes another append, and keeps it.
fn check_going_on(left: &mut Run, durability: Durability, seed: u64) -> Result<(), BrokenPromise> {
    let mut session = left.open_whole(durability)?;
    if !session.append(&mut Random::new(!seed), &mut left.history)? {
        return Err("an append fails on a disk that works".to_owned().into());
    }
    left.cut_power_keeping(CutStyle::Nothing);
    left.check_whole(durability)
}

/// Frames of one length, one behind the other and none of them synced, of which a power cut leaves some; then others of
/// the same length where they stood, and another cut: nothing of the old ones comes back.
///
/// # Errors
///
/// What didn't hold.
pub fn simulate_old_frames(seed: u64) -> Result<SimulationCounts, BrokenPromise> {
    let mut random = Random::new(seed);
    let mut run = Run::new(SimDisk::new(random.next()));
    let mut tags = tags_of_one_length(&mut random);
    let stream = StreamId::new("a").map_err(|invalid| invalid.to_string())?;
    for round in 0..4 {
        let at = |broken: BrokenPromise| broken.at(format_args!("opening {round} of seed {seed}"));
        let mut session = run.open_whole(Durability::Buffered).map_err(at)?;
        for _ in 0..=random.below(4) {
            let commit: Parts = vec![(stream.clone(), ExpectedVersion::Any, vec![tags.next().unwrap_or(1)])];
            if !session.append_commits(vec![commit], &mut run.history)? {
                return Err("an append fails on a disk that works".to_owned().into());
            }
        }
        run.cut_power();
    }
    run.check_whole(Durability::Buffered)?;
    Ok(run.counts())
}

/// Tags whose payloads have all the length of the first, and which give no ids.
fn tags_of_one_length(random: &mut Random) -> impl Iterator<Item = u64> + use<> {
    let mut random = Random::new(random.next());
    let is_usable = |tag: &u64| !tag.is_multiple_of(3);
    let first = loop {
        let tag = random.next();
        if is_usable(&tag) && payload_bytes(tag) < 600 {
            break tag;
        }
    };
    let length = payload_bytes(first);
    let others = (0..).map(move |_| random.next());
    std::iter::once(first).chain(others.filter(move |tag| is_usable(tag) && payload_bytes(*tag) == length))
}
