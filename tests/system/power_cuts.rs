//! Power cuts on the real kernel: a file system is shut down under a program, and what had not reached the disk is gone.

use std::{
    fs, io,
    num::NonZero,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    child::{Refusal, Running, Told},
    job::{Job, Role},
    ledger::{Beyond, Found, Ledger, New, judge},
    mix::mix,
    mounting::{self, Volume},
    say,
    shutdown::shut_down,
};

/// xfs makes none that is smaller.
const VOLUME_BYTES: u64 = 320 << 20;

/// After so many cuts a store is big enough to begin with another.
const CUTS_A_STORE: u64 = 12;

/// How often it is told how far the run is, in cuts.
const TELL_CUTS: u64 = 2_000;

/// So many cuts, and something was stored and backed up before one of them.
const CUTS_TELLING: u64 = 100;

/// Room for the numbers of a life's commits.
const NUMBERS_A_CUT: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum FileSystem {
    #[default]
    Ext4,
    Xfs,
}

impl FileSystem {
    pub(crate) fn named(name: &str) -> Outcome<Self> {
        match name {
            "ext4" => Ok(Self::Ext4),
            "xfs" => Ok(Self::Xfs),
            other => Err(format!("no file system {other}: ext4 or xfs").into()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }
}

#[derive(Clone, Default)]
pub(crate) struct PowerCuts {
    pub(crate) cuts: u64,
    pub(crate) file_system: FileSystem,
    pub(crate) directory: Option<PathBuf>,
}

/// What all workers count together.
#[derive(Default)]
struct Counts {
    cuts: AtomicU64,
    in_recovery: AtomicU64,
    /// Commits that were told to be durable before the next cut, each of them once.
    stored: AtomicU64,
    /// Backups that were told to be made before the next cut, and go further than the one before.
    backups: AtomicU64,
    /// Commits that were told to be durable while the file system was being shut down, and are gone: what no power cut does.
    told_meanwhile: AtomicU64,
}

pub(crate) fn run(asked: &PowerCuts) -> Outcome<()> {
    let mkfs = format!("mkfs.{}", asked.file_system.name());
    if let Some(obstacle) = mounting::obstacle(&["losetup", &mkfs]) {
        return say(format!("power cuts: skipped, {obstacle}"));
    }
    let (counts, begin) = (Counts::default(), Instant::now());
    // Most of the time a worker waits for the kernel.
    let workers = 4 * u64::try_from(thread::available_parallelism().map_or(1, NonZero::get))?;
    thread::scope(|scope| -> Outcome<()> {
        let counts = &counts;
        let workers: Vec<_> =
            (0..workers).map(|worker| scope.spawn(move || work(asked, worker, counts, begin))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a worker panicked")?)
    })?;
    report(asked, &counts, begin)?;
    let is_idle = [&counts.stored, &counts.backups].iter().any(|count| count.load(Ordering::SeqCst) == 0);
    if asked.cuts >= CUTS_TELLING && is_idle {
        return Err("nothing was stored, or no backup was made, before any cut: the pauses are wrong".into());
    }
    Ok(())
}

fn report(asked: &PowerCuts, counts: &Counts, begin: Instant) -> Outcome<()> {
    let count = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let (cuts, seconds) = (count(&counts.cuts), begin.elapsed().as_secs().max(1));
    say(format!(
        "power cuts on {}: {cuts} cuts, {} of them during a recovery, {} durable commits, {} backups, 0 lost \
         ({} told while the file system was being shut down); {} a second",
        asked.file_system.name(),
        count(&counts.in_recovery),
        count(&counts.stored),
        count(&counts.backups),
        count(&counts.told_meanwhile),
        cuts / seconds
    ))
}

/// Cuts, one after another, on a volume of its own, until there are enough of all workers.
fn work(asked: &PowerCuts, worker: u64, counts: &Counts, begin: Instant) -> Outcome<()> {
    let directory = match &asked.directory {
        Some(directory) => tempfile::tempdir_in(directory)?,
        None => tempfile::tempdir()?,
    };
    let volume = Volume::make(directory.path(), asked.file_system.name(), VOLUME_BYTES)?;
    let ledger = Ledger::default();
    let mut patient = Patient { volume, ledger, beyond: Beyond::Nothing, chance: worker << 32 };
    let mut nth = 0;
    while counts.cuts.load(Ordering::SeqCst) < asked.cuts {
        if nth % CUTS_A_STORE == 0 {
            patient.begin_anew()?;
        }
        nth += 1;
        if let Err(error) = patient.live(nth * NUMBERS_A_CUT, counts) {
            // The file system's image tells more than the message.
            drop(patient);
            let kept = directory.keep();
            return Err(format!("worker {worker}, cut {nth}: {error}; see {}", kept.display()).into());
        }
        if counts.cuts.load(Ordering::SeqCst).is_multiple_of(TELL_CUTS) {
            report(asked, counts, begin)?;
        }
    }
    Ok(())
}

/// A volume with a store, which lives from cut to cut.
struct Patient {
    volume: Volume,
    ledger: Ledger,
    /// What the backup may have that the store has not.
    beyond: Beyond,
    chance: u64,
}

impl Patient {
    fn store(&self) -> PathBuf {
        self.volume.path().join("store")
    }

    fn backup(&self) -> PathBuf {
        self.volume.path().join("backup")
    }

    /// A number by chance, below a bound.
    fn below(&mut self, bound: u64) -> u64 {
        self.chance += 1;
        mix(self.chance) % bound
    }

    fn begin_anew(&mut self) -> Outcome<()> {
        for path in [self.store(), self.backup()] {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.ledger = Ledger::default();
        self.beyond = Beyond::Nothing;
        Ok(())
    }

    /// Programs write and make backups until the power goes, and all that must hold is checked.
    fn live(&mut self, first: u64, counts: &Counts) -> Outcome<()> {
        let is_buffered = self.below(4) == 0;
        let job = Job {
            role: Role::Write,
            store: self.store(),
            backup: self.backup(),
            first,
            commits: [20, 60, NUMBERS_A_CUT][usize::try_from(self.below(3))?],
            threads: 1 + self.below(4),
            is_buffered,
            segment_bytes: [4 << 10, 16 << 10, 256 << 10][usize::try_from(self.below(3))?],
        };
        let mut writer = Running::start(&job, &[])?;
        writer.wait_for(self.below(30))?;
        let has_store = self.store().join("store.meta").exists();
        let mut copier = match self.below(4) {
            0 => Some(Running::start(&Job { role: Role::BackUp, ..job.clone() }, &[])?),
            _ => None,
        };
        if let Some(copier) = &mut copier {
            copier.wait_for(self.below(4))?;
        }
        self.pause(3_000);
        // A shutdown takes its time, in which a sync may succeed that has reached nothing. What counts was told before it.
        let told = writer.told()?;
        let before = copier.as_mut().map(Running::told).transpose()?;
        self.cut()?;
        let late = end_behind_cut(writer)?.split_off(told.len());
        copier.map(end_behind_cut).transpose()?;
        self.mount_again(counts)?;
        self.note(&job, &told, counts)?;
        if let Some(backed_up) = before {
            self.note_backups(&job, &backed_up, has_store, counts)?;
        }
        if self.below(4) == 0 {
            self.cut_in_recovery(&job, counts)?;
        }
        let found = self.check()?;
        if !is_buffered {
            let is_gone = |told: &&Told| matches!(told, Told::Stored { number, .. } if !found.commits.contains_key(number));
            let gone = late.iter().filter(is_gone).count();
            counts.told_meanwhile.fetch_add(u64::try_from(gone)?, Ordering::SeqCst);
        }
        self.ledger.begin_from(&found);
        Ok(())
    }

    /// Notes what a writer told before the power went.
    fn note(&mut self, job: &Job, told: &[Told], counts: &Counts) -> Outcome<()> {
        // With Buffered, what was told and not synced may be gone; a store that was closed has all.
        let is_certain = !job.is_buffered || told.iter().any(|told| matches!(told, Told::Closed));
        let noted =
            if is_certain { self.ledger.note(told) } else { judge(told, &[]).map(|()| New::default()) };
        let new = noted.map_err(|error| format!("the writer: {error}"))?;
        counts.stored.fetch_add(new.commits, Ordering::SeqCst);
        Ok(())
    }

    /// Notes what was told of backups before the power went. `has_store`: whether there was a store when the first of them began.
    fn note_backups(&mut self, job: &Job, told: &[Told], has_store: bool, counts: &Counts) -> Outcome<()> {
        let no_store = (!has_store).then_some(Refusal::NoStore);
        let other_history = (self.beyond == Beyond::LostEvents).then_some(Refusal::OtherHistory);
        let excused: Vec<_> = no_store.into_iter().chain(other_history).collect();
        let noted = self.ledger.note_excusing(told, &excused);
        let new = noted.map_err(|error| format!("a backup: {error}"))?;
        counts.backups.fetch_add(new.backups, Ordering::SeqCst);
        if job.is_buffered {
            self.beyond = Beyond::LostEvents;
        } else if told.iter().any(|told| matches!(told, Told::BackedUp { .. })) {
            // It was compared with the store, all of which was synced.
            self.beyond = Beyond::Nothing;
        }
        Ok(())
    }

    fn check(&self) -> Outcome<Found> {
        let found = self.ledger.check(&self.store())?;
        self.ledger.check_backup(&self.backup(), &found, self.beyond)?;
        Ok(found)
    }

    /// The store is opened, and the power goes meanwhile.
    fn cut_in_recovery(&mut self, job: &Job, counts: &Counts) -> Outcome<()> {
        let mut opening = Running::start(&Job { role: Role::Open, ..job.clone() }, &[])?;
        self.pause(2_500);
        let told = opening.told()?;
        self.cut()?;
        end_behind_cut(opening)?;
        judge(&told, &[]).map_err(|error| format!("a recovery: {error}"))?;
        counts.in_recovery.fetch_add(1, Ordering::SeqCst);
        self.mount_again(counts)
    }

    /// Lets some time go by, up to so many microseconds: when the cut comes is up to chance.
    fn pause(&mut self, micros_max: u64) {
        let pause = Duration::from_micros(self.below(micros_max));
        let begin = Instant::now();
        while begin.elapsed() < pause {
            std::hint::spin_loop();
        }
    }

    fn cut(&self) -> Outcome<()> {
        shut_down(self.volume.path())
    }

    fn mount_again(&self, counts: &Counts) -> Outcome<()> {
        self.volume.unmount()?;
        self.volume.mount()?;
        counts.cuts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// Ends a program whose file system is gone, and returns all that it has told. It may have been refused whatever it wanted, and a page of
/// a map that can't be written ends it by a signal; but it doesn't panic.
fn end_behind_cut(program: Running) -> Outcome<Vec<Told>> {
    let (told, status) = program.put_down()?;
    match status.code() {
        Some(code) if code != 0 => {
            Err(format!("it ended with {status}, having told at last: {:?}", told.last()).into())
        }
        _ => Ok(told),
    }
}
