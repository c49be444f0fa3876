//! Runs by a seed, and a run that is cut at every operation.

use std::{io, path::PathBuf, sync::Arc};

use crate::{
    disk::sim::{
        faults::{DiskOperation, Fault, SyncFailure},
        random::Random,
        simulated::SimDisk,
    },
    error::Error,
    inspect::verify::verify_on,
    options::{Durability, Options, SEGMENT_BYTES_MIN},
    simulation::{
        history::History,
        session::{STORE, Session, options},
        watcher::Watcher,
    },
};

/// How many openings a run by a seed has.
const OPENINGS_MAX: usize = 4;

/// How many things happen in one opening.
const STEPS_MAX: usize = 12;

/// At which operation of an opening the power is cut at the latest, where it is cut in its midst.
const CUT_MAX: usize = 70;

/// What simulations did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct SimulationCounts {
    /// How often the power was cut or the program killed.
    pub cuts: u64,
    /// How often the store was opened again, and found right.
    pub openings: u64,
    /// How many events were found at all these openings.
    pub events: u64,
    /// How often a follower beside the store looked, and was right.
    pub looks: u64,
}

impl SimulationCounts {
    /// Adds up two counts.
    pub fn add(&mut self, other: Self) {
        self.cuts += other.cuts;
        self.openings += other.openings;
        self.events += other.events;
        self.looks += other.looks;
    }
}

/// Lets a store live through appends, background work, power cuts, kills, failing syncs and short writes,
/// all chosen by a seed, and checks it after every reopening.
///
/// # Errors
///
/// What didn't hold.
pub fn simulate(seed: u64) -> Result<SimulationCounts, String> {
    let mut random = Random::new(seed);
    let durability = if random.one_in(2) { Durability::Buffered } else { Durability::Fsync };
    let disk = SimDisk::new(random.next());
    if random.one_in(3) {
        disk.set_short_writes(4);
    }
    let mut run = Run::new(disk);
    run.watcher = random.one_in(2).then(Watcher::default);
    for _ in 0..=random.below(OPENINGS_MAX) {
        // The mode may change from one opening to the next.
        let durability = if random.one_in(5) { Durability::Fsync } else { durability };
        run.live(&mut random, durability)?;
    }
    run.disk.clear_faults();
    run.check_whole(durability)?;
    Ok(run.counts)
}

/// Cuts the power at every operation of a life that makes a store and crosses segments, and again at every
/// operation of the recovery that follows; by a seed, which also says what each cut leaves.
///
/// # Errors
///
/// What didn't hold, and where the cut was.
pub fn simulate_every_operation(durability: Durability, seed: u64) -> Result<SimulationCounts, String> {
    let mut counts = SimulationCounts::default();
    for nth in 1.. {
        let at = |what: String| format!("cut at operation {nth} with seed {seed} ({durability:?}): {what}");
        let mut run = Run::new(SimDisk::new(seed.wrapping_mul(1_000_003).wrapping_add(nth)));
        // A follower syncs what it shows beside no writer: every second life goes without.
        run.watcher = (nth % 2 == 1).then(Watcher::default);
        run.disk.cut_at(nth);
        run.live_straight(durability, seed).map_err(at)?;
        let was_cut = run.disk.is_cut();
        run.cut_power();
        run.recover_cut_at_every_operation(durability).map_err(at)?;
        counts.add(run.counts);
        if !was_cut {
            break;
        }
    }
    Ok(counts)
}

/// Whether a sync may have failed in an opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum SyncsFailed {
    No,
    Perhaps,
}

/// A store on its disk, and what it must hold.
struct Run {
    disk: SimDisk,
    history: History,
    counts: SimulationCounts,
    /// The present writer's mount.
    writer: SimDisk,
    watcher: Option<Watcher>,
    /// Whether all openings so far were in `Fsync` mode.
    is_always_synced: bool,
}

impl Run {
    fn new(disk: SimDisk) -> Self {
        let writer = disk.mount();
        let (history, counts) = (History::default(), SimulationCounts::default());
        Self { disk, history, counts, writer, watcher: None, is_always_synced: true }
    }

    /// Opens the store in a new program.
    fn open(&mut self, options: &Options) -> Result<Result<Session, Error>, String> {
        self.writer = self.disk.mount();
        Session::open(&self.writer, options, &mut self.history)
    }

    /// Lets the follower look, if there is one, beside a writer that lives.
    fn watch(&mut self, durability: Durability) -> Result<(), String> {
        let Some(shown) = self.look()? else { return Ok(()) };
        if shown < self.history.acknowledged() {
            return Err(format!(
                "a follower shows {shown} events beside a writer, and more are acknowledged"
            ));
        }
        if durability == Durability::Fsync {
            self.history.make_certain(shown);
        }
        Ok(())
    }

    /// Lets the follower look, if there is one, beside no writer: what it shows must stay in any mode.
    fn watch_alone(&mut self) -> Result<(), String> {
        if let Some(shown) = self.look()? {
            self.history.make_certain(shown);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<Option<usize>, String> {
        let Some(watcher) = &mut self.watcher else { return Ok(None) };
        let shown = watcher.look(&self.disk, &self.history)?;
        self.counts.looks += u64::from(shown.is_some());
        Ok(shown)
    }

    fn cut_power(&mut self) {
        self.disk.power_cut();
        self.counts.cuts += 1;
        self.end_watcher();
    }

    fn end_watcher(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.end();
        }
    }

    /// One opening, from a reopening that may be cut to an end of any kind.
    fn live(&mut self, random: &mut Random, durability: Durability) -> Result<(), String> {
        let segment_bytes = SEGMENT_BYTES_MIN << random.below(3);
        self.plan_faults(random);
        self.is_always_synced &= durability == Durability::Fsync;
        let options = options(durability, segment_bytes);
        let mut session = match self.open(&options)? {
            Ok(session) => session,
            Err(error) => {
                refuse_corruption(&error)?;
                if !self.disk.is_cut() {
                    // A sync failed, which may take from the system what it had and the disk had not.
                    self.history.cut();
                }
                return self.end(random, SyncsFailed::Perhaps);
            }
        };
        self.note_opening();
        let mut syncs_failed = SyncsFailed::No;
        for _ in 0..random.below(STEPS_MAX) {
            let goes_on = if random.one_in(3) {
                let job = session.choose_job(random);
                session.run_job(job, &mut self.history)
            } else {
                session.append(random, &mut self.history)?
            };
            if !goes_on {
                syncs_failed = SyncsFailed::Perhaps;
                if !random.one_in(3) {
                    break;
                }
            }
            // In `Buffered` mode a failed sync may have taken from the system what was acknowledged.
            if syncs_failed == SyncsFailed::No || durability == Durability::Fsync {
                self.watch(durability)?;
            }
        }
        if random.one_in(3) && !session.close(&mut self.history) {
            syncs_failed = SyncsFailed::Perhaps;
        }
        self.end(random, syncs_failed)
    }

    /// What is to go wrong in the next opening.
    fn plan_faults(&mut self, random: &mut Random) {
        self.disk.clear_faults();
        match random.below(6) {
            0 | 1 => self.disk.cut_at(1 + random.below(CUT_MAX) as u64),
            2 => {
                let left = [
                    SyncFailure::StaysDirty,
                    SyncFailure::ForgetsDirty,
                    SyncFailure::RevertsCache,
                    SyncFailure::ComesLate,
                ][random.below(4)];
                let nth = 1 + random.below(20) as u64;
                let fault = Fault::new(io::ErrorKind::Other).on(DiskOperation::Sync).at(nth).leaving(left);
                self.disk.fail(fault);
            }
            3 => {
                let full = Fault::new(io::ErrorKind::StorageFull).on(DiskOperation::Write);
                self.disk.fail(full.at(1 + random.below(30) as u64));
            }
            _ => {}
        }
    }

    /// Ends an opening as the world does: by a power cut, or by a kill with the system going on.
    fn end(&mut self, random: &mut Random, syncs_failed: SyncsFailed) -> Result<(), String> {
        if random.one_in(3) {
            self.counts.cuts += 1;
            self.writer.kill();
            // A sync that failed may have taken from the cache what was acknowledged without it.
            if syncs_failed == SyncsFailed::No {
                self.history.kill();
            } else if !self.is_always_synced {
                self.end_watcher();
            }
        } else {
            self.cut_power();
            self.history.cut();
        }
        self.disk.clear_faults();
        if syncs_failed == SyncsFailed::No { self.watch_alone() } else { Ok(()) }
    }

    /// A fixed life that makes a store, crosses segments, does every job, and closes.
    fn live_straight(&mut self, durability: Durability, seed: u64) -> Result<(), String> {
        let mut random = Random::new(seed);
        let options = options(durability, SEGMENT_BYTES_MIN);
        let Ok(mut session) = self.open(&options)? else {
            return Ok(());
        };
        for _ in 0..4 {
            self.watch(durability)?;
            let goes_on = session.append(&mut random, &mut self.history)?;
            self.watch(durability)?;
            let job = session.choose_job(&mut random);
            if !goes_on || !session.run_job(job, &mut self.history) {
                return Ok(());
            }
        }
        session.close(&mut self.history);
        self.watch_alone()
    }

    /// Opens again and again, cut one operation later each time, until an opening comes through.
    fn recover_cut_at_every_operation(&mut self, durability: Durability) -> Result<(), String> {
        let options = options(durability, SEGMENT_BYTES_MIN);
        for nth in 1.. {
            self.watch_alone()?;
            self.disk.cut_at(nth);
            let session =
                self.open(&options).map_err(|what| format!("recovery cut at operation {nth}: {what}"))?;
            if let Err(error) = &session {
                refuse_corruption(error)
                    .map_err(|what| format!("recovery cut at operation {nth}: {what}"))?;
            }
            let is_open = session.is_ok();
            drop(session);
            self.cut_power();
            if is_open {
                break;
            }
        }
        self.check_whole(durability)
    }

    /// The store opens, verifies, and opening changes no byte of the log and leaves no temporary file.
    fn check_whole(&mut self, durability: Durability) -> Result<(), String> {
        let options = options(durability, SEGMENT_BYTES_MIN);
        let mut logs = Vec::new();
        for _ in 0..2 {
            let session = self.open(&options)?;
            session.map_err(|error| format!("the store doesn't open: {error}"))?;
            self.note_opening();
            logs.push(self.log_bytes());
            // What was shown must stay, also if the power goes at once.
            self.cut_power();
            self.watch_alone()?;
        }
        if logs[0] != logs[1] {
            return Err("opening twice changed the log".to_owned());
        }
        let left: Vec<_> =
            self.disk.files().into_iter().filter(|path| path.extension() == Some("tmp".as_ref())).collect();
        if !left.is_empty() {
            return Err(format!("temporary files stay: {left:?}"));
        }
        let found =
            verify_on(Arc::new(self.disk.clone()), STORE, &mut |_| {}).map_err(|error| error.to_string())?;
        if found.damage.is_empty() { Ok(()) } else { Err(format!("damage: {:?}", found.damage)) }
    }

    /// The segments' bytes, without the zeros behind them: a cut may bring back what was trimmed.
    fn log_bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let is_segment = |path: &PathBuf| path.extension() == Some("log".as_ref());
        let written = |path: PathBuf| {
            let mut content = self.disk.read_file(&path).unwrap_or_default();
            content.truncate(content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            (path, content)
        };
        self.disk.files().into_iter().filter(is_segment).map(written).collect()
    }

    fn note_opening(&mut self) {
        self.counts.openings += 1;
        self.counts.events += self.history.len() as u64;
    }
}

/// No cut may look like damage.
fn refuse_corruption(error: &Error) -> Result<(), String> {
    match error {
        Error::Corrupt { .. } | Error::NotAStore { .. } | Error::NewerFormat { .. } => {
            Err(format!("an honest cut was refused: {error}"))
        }
        _ => Ok(()),
    }
}
