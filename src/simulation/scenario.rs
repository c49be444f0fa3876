//! Lives by a seed, and what all lives share: a store on its disk, and what it must hold.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::Xxh3;

use crate::{
    background::Job,
    disk::sim::{random::Random, simulated::SimDisk, survival::CutStyle},
    error::Error,
    format::segment_header::SegmentHeader,
    inspect::{report::Verification, verify::verify_on},
    log::segment::{index_number, segment_path},
    options::{Durability, Options, SEGMENT_BYTES_MIN},
    position::Position,
    simulation::{
        failure::{BrokenPromise, Promise},
        history::{History, promise_of},
        mishaps::plan_faults,
        session::{Reading, STORE, Session, options},
        watcher::Watcher,
    },
};

/// How many openings a run by a seed has.
const OPENINGS_MAX: usize = 6;

/// How many things happen in one opening.
const STEPS_MAX: usize = 12;

/// How many further outcomes of a power cut are looked at.
const OTHER_OUTCOMES: usize = 2;

/// What simulations did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct SimulationCounts {
    /// How many states of the disk that a power cut or a kill left were opened and checked; each once, so none that is as
    /// its store was before.
    pub cuts: u64,
    /// How many more such states there were, whose opening was itself cut off, or failed with the disk.
    pub recoveries_cut: u64,
    /// How often the store was opened, and found right.
    pub openings: u64,
    /// How many events were found at all these openings.
    pub events: u64,
    /// How often a follower beside the store looked, and was right.
    pub looks: u64,
    /// How many operations of the disk there were that can be cut off or refused.
    pub operations: u64,
}

impl SimulationCounts {
    /// Adds up two counts.
    pub fn add(&mut self, other: Self) {
        let Self { cuts, recoveries_cut, openings, events, looks, operations } = other;
        self.cuts += cuts;
        self.recoveries_cut += recoveries_cut;
        self.openings += openings;
        self.events += events;
        self.looks += looks;
        self.operations += operations;
    }
}

/// Lets a store live through appends, background work, power cuts, kills, failing syncs and short writes,
/// all chosen by a seed, and checks it after every reopening.
///
/// # Errors
///
/// What didn't hold.
pub fn simulate(seed: u64) -> Result<SimulationCounts, BrokenPromise> {
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
    Ok(run.counts())
}

/// Whether a sync may have failed in an opening.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SyncsFailed {
    No,
    Perhaps,
}

/// A store on its disk, and what it must hold.
pub(crate) struct Run {
    pub(crate) disk: SimDisk,
    pub(crate) history: History,
    pub(crate) watcher: Option<Watcher>,
    pub(crate) reading: Reading,
    counts: SimulationCounts,
    /// How many operations of the disk others have counted.
    operations_before: u64,
    /// The present writer's mount.
    writer: SimDisk,
    /// Whether all openings so far were in `Fsync` mode.
    is_always_synced: bool,
    /// Whether the disk is as a cut or a kill left it, and nobody has looked.
    is_unchecked: bool,
    /// What the disk was before and behind each opening, as a hash.
    states: BTreeSet<u64>,
}

impl Run {
    pub(crate) fn new(disk: SimDisk) -> Self {
        Self {
            writer: disk.mount(),
            disk,
            history: History::default(),
            watcher: None,
            reading: Reading::Works,
            counts: SimulationCounts::default(),
            operations_before: 0,
            is_always_synced: true,
            is_unchecked: false,
            states: BTreeSet::new(),
        }
    }

    /// The same store on another disk that is as this one is, for a future of its own. It counts anew.
    pub(crate) fn fork(&self, seed: u64) -> Self {
        let disk = self.disk.fork(seed);
        Self {
            writer: disk.mount(),
            disk,
            history: self.history.clone(),
            watcher: None,
            reading: self.reading,
            counts: SimulationCounts::default(),
            operations_before: self.disk.operations(),
            is_always_synced: self.is_always_synced,
            is_unchecked: self.is_unchecked,
            states: self.states.clone(),
        }
    }

    pub(crate) fn counts(&self) -> SimulationCounts {
        let mut counts = self.counts;
        counts.operations += self.disk.operations() - self.operations_before;
        counts
    }

    /// Takes in what became of a fork, and which states it has checked.
    pub(crate) fn take_in(&mut self, mut fork: Self) {
        self.counts.add(fork.counts());
        self.states.append(&mut fork.states);
    }

    /// What the disk shows, but for what says something to other programs alone: where it is the same, the next opening is.
    fn state(&self) -> u64 {
        let mut hasher = Xxh3::new();
        self.disk.each_file(&mut |path, content| {
            if !path.ends_with("writer.pid") && !path.ends_with("head") {
                hasher.update(path.as_os_str().as_encoded_bytes());
                hasher.update(&(content.len() as u64).to_le_bytes());
                hasher.update(content);
            }
        });
        hasher.digest()
    }

    /// Opens the store in a new program.
    pub(crate) fn open(&mut self, options: &Options) -> Result<Result<Session, Error>, BrokenPromise> {
        self.writer = self.disk.mount();
        let before = self.is_unchecked.then(|| self.state());
        let session = Session::open(&self.writer, options, &mut self.history, self.reading)?;
        if session.is_ok() {
            self.counts.openings += 1;
            self.counts.events += self.history.len() as u64;
            self.counts.cuts += u64::from(before.is_some_and(|before| self.states.insert(before)));
            self.states.insert(self.state());
        } else {
            self.counts.recoveries_cut += u64::from(self.is_unchecked);
        }
        self.is_unchecked = false;
        Ok(session)
    }

    /// Lets the follower look, if there is one, beside a writer that lives.
    pub(crate) fn watch(&mut self, durability: Durability) -> Result<(), BrokenPromise> {
        let Some(shown) = self.look()? else { return Ok(()) };
        if shown < self.history.acknowledged() {
            let what = format!("a follower shows {shown} events beside a writer, and more are acknowledged");
            return Err(BrokenPromise::new(Promise::NothingLost, what));
        }
        if durability == Durability::Fsync {
            self.history.make_certain(shown);
        }
        Ok(())
    }

    /// Lets the follower look, if there is one, beside no writer: what it shows must stay in any mode.
    pub(crate) fn watch_alone(&mut self) -> Result<(), BrokenPromise> {
        if let Some(shown) = self.look()? {
            self.history.make_certain(shown);
        }
        Ok(())
    }

    fn look(&mut self) -> Result<Option<usize>, BrokenPromise> {
        let Some(watcher) = &mut self.watcher else { return Ok(None) };
        let shown = watcher.look(&self.disk, &self.history)?;
        self.counts.looks += u64::from(shown.is_some());
        Ok(shown)
    }

    pub(crate) fn cut_power(&mut self) {
        self.disk.power_cut();
        self.history.cut();
        self.note_cut();
        self.end_watcher();
    }

    /// The same with a choice of what is left.
    pub(crate) fn cut_power_keeping(&mut self, style: CutStyle) {
        self.disk.power_cut_keeping(style);
        self.history.cut();
        self.note_cut();
        self.end_watcher();
    }

    /// Kills the program, and the system goes on.
    pub(crate) fn kill(&mut self) {
        self.disk.crash_process();
        self.history.kill();
        self.note_cut();
    }

    /// Nobody has looked at what the disk holds now. Where the state before was never looked at either, its opening was
    /// counted when it failed.
    fn note_cut(&mut self) {
        self.is_unchecked = true;
    }

    fn end_watcher(&mut self) {
        if let Some(watcher) = &mut self.watcher {
            watcher.end();
        }
    }

    /// One opening, from a reopening that may be cut to an end of any kind.
    fn live(&mut self, random: &mut Random, durability: Durability) -> Result<(), BrokenPromise> {
        // Any size is allowed, also one that ends amid a sector.
        let segment_bytes = (SEGMENT_BYTES_MIN << random.below(3)) + random.below(1_000) as u64;
        plan_faults(&self.disk, random);
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
        if random.one_in(3) {
            let has_index_made = session.shows_whole_log();
            if !session.close(&mut self.history) {
                syncs_failed = SyncsFailed::Perhaps;
            } else if !self.disk.is_cut() {
                let verify = if has_index_made { Self::verify_closed } else { Self::verify };
                self.disk.undisturbed(|| verify(self))?;
            }
        }
        self.end(random, syncs_failed)
    }

    /// Ends an opening as the world does: by a power cut, or by a kill with the system going on.
    pub(crate) fn end(
        &mut self,
        random: &mut Random,
        syncs_failed: SyncsFailed,
    ) -> Result<(), BrokenPromise> {
        if random.one_in(3) {
            self.note_cut();
            self.writer.kill();
            // A sync that failed may have taken from the cache what was acknowledged without it.
            if syncs_failed == SyncsFailed::No {
                self.history.kill();
            } else if !self.is_always_synced {
                self.end_watcher();
            }
        } else {
            self.check_other_outcomes(random)?;
            self.cut_power();
        }
        self.disk.clear_faults();
        if syncs_failed == SyncsFailed::No { self.watch_alone() } else { Ok(()) }
    }

    /// The same cut could have left other sectors, lengths and names: the store opens on some of those too.
    fn check_other_outcomes(&mut self, random: &mut Random) -> Result<(), BrokenPromise> {
        if !self.disk.has_unsynced() {
            return Ok(());
        }
        for _ in 0..OTHER_OUTCOMES {
            let mut other = self.fork(random.next());
            other.disk.clear_faults();
            other.cut_power();
            if self.states.contains(&other.state()) {
                continue;
            }
            let durability = if random.one_in(2) { Durability::Buffered } else { Durability::Fsync };
            other.open_whole(durability)?;
            self.take_in(other);
        }
        Ok(())
    }

    /// Opens a store that nothing keeps from being opened.
    pub(crate) fn open_whole(&mut self, durability: Durability) -> Result<Session, BrokenPromise> {
        self.open(&options(durability, SEGMENT_BYTES_MIN))?.map_err(|error| {
            BrokenPromise::new(Promise::NoFalseRefusal, format!("the store doesn't open: {error}"))
        })
    }

    /// The store opens, and opening changes no byte of the log; it closes, verifies before and behind that, and has all its
    /// index files then, as they must be; no temporary file stays.
    pub(crate) fn check_whole(&mut self, durability: Durability) -> Result<(), BrokenPromise> {
        drop(self.open_whole(durability)?);
        let log = self.log_bytes();
        // What was shown must stay, also if the power goes at once.
        self.cut_power();
        self.watch_alone()?;
        self.verify()?;
        let session = self.open_whole(durability)?;
        if log != self.log_bytes() {
            return Err("opening twice changed the log".to_owned().into());
        }
        let index_files = session.index_files();
        self.close_whole(session)?;
        let left: Vec<_> =
            self.disk.files().into_iter().filter(|path| path.extension() == Some("tmp".as_ref())).collect();
        if !left.is_empty() {
            return Err(format!("temporary files stay: {left:?}").into());
        }
        let found = self.verify_closed()?;
        if found.index_files < index_files {
            let what = format!("a closed store has {} index files, and not {index_files}", found.index_files);
            return Err(what.into());
        }
        self.cut_power();
        self.watch_alone()
    }

    /// Does whatever is due, asks everything once more, now that index files have the answers, and closes.
    fn close_whole(&mut self, mut session: Session) -> Result<(), BrokenPromise> {
        for job in [Job::Sync, Job::Mark, Job::Index] {
            if !session.run_job(job, &mut self.history) {
                return Err("a job fails on a disk that works".to_owned().into());
            }
        }
        session.check_answers()?;
        if session.close(&mut self.history) {
            Ok(())
        } else {
            Err("closing fails on a disk that works".to_owned().into())
        }
    }

    /// The log of a store that may have been cut off is no damaged one.
    fn verify(&self) -> Result<Verification, BrokenPromise> {
        let found = verify_on(Arc::new(self.disk.clone()), STORE, &mut |_| ControlFlow::Continue(()));
        let found = found.map_err(|error| BrokenPromise::new(promise_of(&error), error.to_string()))?;
        if found.damage.is_empty() {
            return Ok(found);
        }
        Err(BrokenPromise::new(Promise::NoFalseRefusal, format!("damage: {:?}", found.damage)))
    }

    /// Of a store that was closed, all that is made of the log is as the log makes it.
    fn verify_closed(&self) -> Result<Verification, BrokenPromise> {
        let found = self.verify()?;
        let wrong: Vec<_> = found.findings.iter().filter(|finding| self.is_asked(&finding.path)).collect();
        if !wrong.is_empty() {
            return Err(format!("a closed store isn't in order: {wrong:?}").into());
        }
        let events = self.history.len() as u64;
        if found.events != events {
            return Err(format!("a verification finds {} events, of {events}", found.events).into());
        }
        Ok(found)
    }

    /// Whether anything asks a file beside the log. An index file that a cut has left torn is made anew when its pages are
    /// asked, which those of a segment without events never are.
    fn is_asked(&self, path: &Path) -> bool {
        let first_position = |path: PathBuf| {
            let header = self.disk.read_file(path).and_then(|log| SegmentHeader::decode(&log).ok());
            header.map(|header| header.first_position)
        };
        let Some(number) = path.file_name().and_then(OsStr::to_str).and_then(index_number) else {
            return true;
        };
        let [own, next] =
            [number, number + 1].map(|number| first_position(segment_path(Path::new(STORE), number)));
        let end = Position::new(self.history.len() as u64 + 1);
        own != Some(next.unwrap_or(end))
    }

    /// The segments' bytes, without the zeros behind them: a cut may bring back what was trimmed.
    pub(crate) fn log_bytes(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let is_segment = |path: &PathBuf| path.extension() == Some("log".as_ref());
        let written = |path: PathBuf| {
            let mut content = self.disk.read_file(&path).unwrap_or_default();
            content.truncate(content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1));
            (path, content)
        };
        self.disk.files().into_iter().filter(is_segment).map(written).collect()
    }
}

/// No cut may look like damage.
pub(crate) fn refuse_corruption(error: &Error) -> Result<(), BrokenPromise> {
    match error {
        Error::Corrupt { .. } | Error::NotAStore { .. } | Error::NewerFormat { .. } => {
            let what = format!("an honest cut was refused: {error}");
            Err(BrokenPromise::new(Promise::NoFalseRefusal, what))
        }
        _ => Ok(()),
    }
}
