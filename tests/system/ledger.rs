//! What was told of a store, and what must hold of it after whatever has happened.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    path::Path,
};

use annals::{EventStore, Follower, Options, Query, ReadMode, Reader, Version, verify};

use crate::{
    Outcome,
    child::{Refusal, Told},
    work::Reading,
};

/// What a program told before it ended, of all programs that wrote a store.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The commits that are stored: the position of the first event of each.
    stored: BTreeMap<u64, u64>,
    /// The highest position that a reader was shown.
    shown: u64,
    /// The highest position that a backup was told to have.
    backed_up: u64,
}

/// What was found in a store.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) commits: BTreeMap<u64, u64>,
    pub(crate) last_position: u64,
}

/// What was told that wasn't known before.
#[derive(Clone, Copy, Default)]
pub(crate) struct New {
    pub(crate) commits: u64,
    /// Backups that go further than the one before.
    pub(crate) backups: u64,
}

/// What a backup may have that the store has not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beyond {
    /// Nothing: it is a beginning of the store.
    Nothing,
    /// Events that were not synced when the power went.
    #[cfg(target_os = "linux")]
    LostEvents,
}

/// An error, if a program found something wrong itself, or was refused what it mustn't be.
pub(crate) fn judge(told: &[Told], excused: &[Refusal]) -> Outcome<()> {
    for told in told {
        match told {
            Told::Wrong { what } => return Err(what.clone().into()),
            Told::Failed { refusal, why } if !excused.contains(refusal) => {
                return Err(format!("refused, though nothing was made to fail: {why}").into());
            }
            _ => {}
        }
    }
    Ok(())
}

impl Ledger {
    /// Notes what was told by programs for which nothing was made to fail: an error, if one was refused anything.
    pub(crate) fn note(&mut self, told: &[Told]) -> Outcome<New> {
        self.note_excusing(told, &[])
    }

    /// Notes what was told by programs that may have been refused something for these reasons.
    pub(crate) fn note_excusing(&mut self, told: &[Told], excused: &[Refusal]) -> Outcome<New> {
        judge(told, excused)?;
        let mut new = New::default();
        for told in told {
            match told {
                Told::Stored { number, position } => {
                    new.commits += u64::from(self.stored.insert(*number, *position).is_none());
                }
                Told::Shown { position } => self.shown = self.shown.max(*position),
                Told::BackedUp { position } => {
                    new.backups += u64::from(*position > self.backed_up);
                    self.backed_up = self.backed_up.max(*position);
                }
                Told::Begun | Told::Closed | Told::Failed { .. } | Told::Wrong { .. } => {}
            }
        }
        Ok(new)
    }

    /// How many commits are stored, by what was told.
    pub(crate) fn commits(&self) -> u64 {
        u64::try_from(self.stored.len()).expect("a small number")
    }

    /// Opens the store, and checks all that must hold. Returns what is in it.
    pub(crate) fn check(&self, store: &Path) -> Outcome<Found> {
        let open = || EventStore::open_with(store, Options::new().read(ReadMode::Pread));
        let opened = open().map_err(|error| format!("it can't be opened: {error}"))?;
        let found = read(opened.reader())?;
        opened.close()?;
        let verified = verify(store, &mut |_| ControlFlow::Continue(()))?;
        if let Some(damage) = verified.damage.first() {
            return Err(format!("verify finds damage: {damage:?}").into());
        }
        let again = Follower::open(store)?;
        if again.last_position().get() != found.last_position {
            return Err("it has other events when it is opened again".into());
        }
        for (number, position) in &self.stored {
            match found.commits.get(number) {
                Some(there) if there == position => {}
                Some(there) => {
                    return Err(format!(
                        "commit {number}: told to be at position {position}, found at {there}"
                    )
                    .into());
                }
                None => return Err(format!("LOST: commit {number} at position {position}").into()),
            }
        }
        if self.shown > found.last_position {
            return Err(format!(
                "shown up to position {}, but it ends at {}",
                self.shown, found.last_position
            )
            .into());
        }
        Ok(found)
    }

    /// Checks a store that was cut behind a position: it is whole, and up to there all is in it as it was.
    pub(crate) fn check_beginning(&self, store: &Path, kept: u64) -> Outcome<()> {
        let verified = verify(store, &mut |_| ControlFlow::Continue(()))?;
        if let Some(damage) = verified.damage.first() {
            return Err(format!("verify finds damage: {damage:?}").into());
        }
        let found = read(Follower::open(store)?.reader())?;
        let is_told = |(number, position): (&u64, &u64)| self.stored.get(number) == Some(position);
        if !found.commits.iter().all(is_told) {
            return Err("it has commits that weren't told to be stored there".into());
        }
        let lost = self
            .stored
            .iter()
            .find(|(number, position)| **position <= kept && !found.commits.contains_key(number));
        match lost {
            Some((number, position)) => Err(format!("LOST: commit {number} at position {position}").into()),
            None => Ok(()),
        }
    }

    /// Checks a backup, if one was made: it is a store, and a beginning of what was found, except for what it may have beyond.
    pub(crate) fn check_backup(&self, backup: &Path, found: &Found, beyond: Beyond) -> Outcome<()> {
        // The very first one has its store.meta last.
        if !backup.join("store.meta").exists() {
            return if self.backed_up == 0 { Ok(()) } else { Err("LOST: a whole backup".into()) };
        }
        let verified = verify(backup, &mut |_| ControlFlow::Continue(()))?;
        if let Some(damage) = verified.damage.first() {
            return Err(format!("verify finds damage in the backup: {damage:?}").into());
        }
        if verified.interrupted_bytes > 0 {
            return Err("the backup would be cut when it is opened".into());
        }
        let saved = read(Follower::open(backup)?.reader())?;
        if saved.last_position < self.backed_up {
            return Err(
                format!("the backup ends at {}, not at {}", saved.last_position, self.backed_up).into()
            );
        }
        match found_otherwise(&saved, found, beyond) {
            Some((number, position)) => {
                let place = format!("commit {number} at position {position}");
                Err(format!("the backup isn't a beginning of the store: {place} isn't the same in both")
                    .into())
            }
            None => Ok(()),
        }
    }

    /// Believes what was found from now on, of a store that may have lost its last moments, or that a backup wasn't made of.
    pub(crate) fn begin_from(&mut self, found: &Found) {
        self.stored.clone_from(&found.commits);
        self.shown = found.last_position;
    }
}

/// A commit that a backup has and the store hasn't, at its position, or the other way round before the backup's end.
fn found_otherwise(saved: &Found, found: &Found, beyond: Beyond) -> Option<(u64, u64)> {
    let differs = |there: Option<&u64>, position: &u64| match beyond {
        Beyond::Nothing => there != Some(position),
        // The store may have others in the place of those it lost.
        #[cfg(target_os = "linux")]
        Beyond::LostEvents => there.is_some_and(|there| there != position),
    };
    let is_covered = |(_, position): &(&u64, &u64)| **position <= saved.last_position;
    let more = saved.commits.iter().find(|(number, at)| differs(found.commits.get(number), at));
    let fewer = || {
        found.commits.iter().filter(is_covered).find(|(number, at)| differs(saved.commits.get(number), at))
    };
    more.or_else(fewer).map(|(number, position)| (*number, *position))
}

/// Reads everything, and checks that it is whole commits, each event as it was appended, without a gap.
fn read(reader: &Reader) -> Outcome<Found> {
    let (mut found, mut reading) = (Found::default(), Reading::default());
    let mut versions: HashMap<String, Version> = HashMap::new();
    for event in reader.read(Query::all()) {
        let event = event?;
        let version = versions.entry(event.stream.to_string()).or_insert(Version::NONE);
        if event.version.get() != version.get() + 1 {
            return Err(format!("{}: version {} follows {version}", event.stream, event.version).into());
        }
        *version = event.version;
        if let Some(number) = reading.take(&event)?
            && found.commits.insert(number, event.position.get()).is_some()
        {
            return Err(format!("commit {number} is there twice").into());
        }
    }
    if !reading.is_whole() {
        return Err("the last commit is there in half".into());
    }
    found.last_position = reader.last_position().get();
    Ok(found)
}
