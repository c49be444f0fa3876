//! Repairing with a backup of another history of the same store: what the store has itself stays.

use std::{
    ops::{ControlFlow, Range},
    path::{Path, PathBuf},
};

use annals::{
    BackupError, Error, Linking, Position, RepairOptions, RestoreOptions, SimDisk, StoredEvent, restore_on,
};

use crate::{
    log_bytes::{EPOCH, FramePlace, frames},
    patient::{End, Patient, STORE, append, everything, logs_of, open, verified},
    repair::{accepting, files_of, repair},
    repair_backup::back_up,
    support::Outcome,
};

/// Where the store was restored to: near the beginning of its fourth segment.
const BORDER: u64 = 37;

/// A store that was backed up, restored to an earlier position, and written to again.
struct Parted {
    disk: SimDisk,
    events: Vec<StoredEvent>,
}

impl Parted {
    fn new(commits: u8) -> Result<Self, Box<dyn std::error::Error>> {
        Self::with(40..40 + commits)
    }

    /// With these commits behind the border.
    fn with(commits: Range<u8>) -> Result<Self, Box<dyn std::error::Error>> {
        let patient = Patient::new(End::Closed);
        back_up(&patient, Linking::Never);
        let disk = patient.disk.snapshot(5);
        let options = RestoreOptions::new().as_of(Position::new(BORDER));
        restore_on(&disk.mount(), "/backup", "/again", &options, &mut |_| ControlFlow::Continue(()))?;
        for path in disk.files().into_iter().filter(|path| path.starts_with(STORE)) {
            disk.remove_file(path)?;
        }
        for path in disk.files().into_iter().filter(|path| path.starts_with("/again")) {
            let content = disk.read_file(&path).expect("it is listed");
            disk.write_file(Path::new(STORE).join(path.strip_prefix("/again")?), content)?;
        }
        let store = open(&disk)?;
        append(&store, commits);
        let events = everything(&store);
        store.close()?;
        Ok(Self { disk: disk.snapshot(6), events })
    }

    /// The EPOCH at the border, which is the last one, and the frames of its segment from there on.
    fn border(&self) -> (PathBuf, Vec<FramePlace>) {
        let from_epoch = |(path, content): (PathBuf, Vec<u8>)| {
            let frames = frames(&content);
            let epoch = frames.iter().rposition(|frame| frame.kind == EPOCH)?;
            Some((path, frames[epoch..].to_vec()))
        };
        logs_of(&self.disk).into_iter().rev().find_map(from_epoch).expect("its writer began there")
    }

    fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        let mut content = self.disk.read_file(path).expect("it is there");
        change(&mut content);
        Ok(self.disk.write_file(path, content)?)
    }

    #[track_caller]
    fn check_refused(&self) {
        let before = files_of(&self.disk);
        for options in [RepairOptions::new(), accepting()] {
            let refused = repair(&self.disk, &options.backup("/backup")).expect_err("another history");
            assert!(matches!(refused, Error::Backup(BackupError::NotABackup { .. })), "{refused}");
            assert!(refused.to_string().contains("its history is another one"), "{refused}");
        }
        assert!(files_of(&self.disk) == before, "something was changed");
    }
}

#[test]
fn what_can_be_made_again_isnt_taken_from_a_backup_of_another_history() -> Outcome {
    for at in [1, 20, 52, 66] {
        let parted = Parted::new(3)?;
        let (path, frames) = parted.border();
        parted.change(&path, |content| content[frames[0].start + at] ^= 4)?;
        assert!(!verified(&parted.disk).is_whole());
        let repaired = repair(&parted.disk, &RepairOptions::new().backup("/backup"))?;
        assert!(repaired.plan.restored.is_empty() && !repaired.plan.loses_events(), "{}", repaired.plan);
        let store = open(&parted.disk)?;
        let events = everything(&store);
        assert!(events[..parted.events.len()] == parted.events[..], "the store has other events");
        assert_eq!(events.len(), parted.events.len() + 1);
        store.close()?;
    }
    Ok(())
}

#[test]
fn a_backup_of_another_history_is_refused_where_the_store_goes_on_behind_the_damage() -> Outcome {
    // The store's log ends before the backup's, or behind it.
    for commits in [4, 12] {
        // The EPOCH is damaged, and what stands beside it: so much before it, and so many frames.
        for (before, count) in [(0, 2), (64, 1), (64, 2), (0, 3)] {
            let parted = Parted::new(commits)?;
            let (path, frames) = parted.border();
            parted.change(&path, |content| content[frames[0].start - before..frames[count].start].fill(7))?;
            parted.check_refused();
        }
    }
    Ok(())
}

#[test]
fn a_backup_of_another_history_is_refused_where_the_next_segment_goes_on() -> Outcome {
    let parted = Parted::new(12)?;
    let (path, frames) = parted.border();
    assert!(logs_of(&parted.disk).last().expect("logs").0 > path);
    parted.change(&path, |content| content[frames[0].start..].fill(7))?;
    parted.check_refused();
    parted.disk.remove_file(&path)?;
    parted.check_refused();
    Ok(())
}

#[test]
fn intact_events_of_the_store_arent_replaced_whatever_is_left_of_their_segments() -> Outcome {
    // The store's segment at the border ends where the backup's does; or elsewhere, so that none of its frames behind is met, and
    // only its events tell.
    for first in [40, 41, 42] {
        let parted = Parted::with(first..first + 12)?;
        let (path, frames) = parted.border();
        parted.change(&path, |content| content[frames[0].start..].fill(7))?;
        // No header says any more where those begin that stand behind.
        for (behind, _) in logs_of(&parted.disk).iter().filter(|(behind, _)| *behind > path) {
            parted.change(behind, |content| content[..512].fill(7))?;
        }
        let intact = verified(&parted.disk).intact;
        assert!(intact.iter().any(|range| range.first > Position::new(BORDER)), "{intact:?}");
        parted.check_refused();
    }
    Ok(())
}
