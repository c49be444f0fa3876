//! Snapshots and checkpoints against the log: each names an event by its position and checksum, which must be there.

use std::path::PathBuf;

use crate::{
    cursor::Cursor,
    disk::contract::Disk,
    error::Result,
    inspect::{
        lookup::Lookup,
        report::{Extent, Finding, FindingKind, Listed},
        survey::{CHECKPOINTS_MAX, Tally},
    },
    log::segment::segments_directory,
    position::{Position, Version},
    snapshot::IgnoredReason,
    snapshot_file::{Fault, FileName, SnapshotFile, SnapshotPlaces},
    snapshots::{directories_in, names_in},
};

/// How many snapshots are looked up together, in the order of the log.
const TOGETHER_MAX: usize = 4_096;

/// What was compared, and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) count: u64,
    pub(crate) findings: Listed<Finding>,
}

/// How far the log was looked at.
pub(crate) struct Reach<'a> {
    extent: Extent,
    last_position: Position,
    /// Whether the log has grown since.
    has_grown: &'a dyn Fn() -> Result<bool>,
}

impl<'a> Reach<'a> {
    pub(crate) fn new(
        extent: Extent,
        last_position: Position,
        has_grown: &'a dyn Fn() -> Result<bool>,
    ) -> Self {
        Self { extent, last_position, has_grown }
    }

    /// Whether an event may be there that wasn't looked at.
    fn is_beyond(&self, position: Position) -> Result<bool> {
        Ok(position > self.last_position && (self.extent != Extent::Whole || (self.has_grown)()?))
    }
}

/// What a snapshot says that it was made of.
struct Made {
    path: PathBuf,
    stream: String,
    version: Version,
    position: Position,
    checksum: u32,
}

/// Reads every snapshot, its state as well, and looks its event up.
pub(crate) fn check_snapshots(
    disk: &dyn Disk,
    places: &SnapshotPlaces,
    lookup: &mut Lookup<'_>,
    reach: &Reach<'_>,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let directories = match directories_in(disk, places) {
        Ok(directories) => directories,
        Err(error) => {
            compared.fault(places.folder.clone(), &Fault::from(error));
            return Ok(compared);
        }
    };
    let mut waiting = Vec::new();
    for directory in directories {
        match names_in(disk, &directory) {
            Ok(names) => {
                for name in names {
                    compared.add(disk, places, (directory.clone(), name), &mut waiting);
                    if waiting.len() >= TOGETHER_MAX {
                        compared.look_up(&mut waiting, lookup, reach)?;
                    }
                }
            }
            Err(error) => compared.fault(directory, &Fault::from(error)),
        }
    }
    compared.look_up(&mut waiting, lookup, reach)?;
    Ok(compared)
}

impl Compared {
    fn add(
        &mut self,
        disk: &dyn Disk,
        places: &SnapshotPlaces,
        (directory, name): (PathBuf, FileName),
        waiting: &mut Vec<Made>,
    ) {
        let path = directory.join(name.text());
        self.count += 1;
        let opened = SnapshotFile::open_alone(disk, places, (&directory, name));
        let made = opened.and_then(|file| {
            file.read_state()?;
            let header = file.header();
            Ok(Made {
                path: path.clone(),
                stream: header.stream.clone(),
                version: Version::new(header.version),
                position: Position::new(header.position),
                checksum: header.event_checksum,
            })
        });
        match made {
            Ok(made) => waiting.push(made),
            Err(fault) => self.fault(path, &fault),
        }
    }

    fn fault(&mut self, path: PathBuf, fault: &Fault) {
        let reason = match fault {
            // A writer has replaced it by a newer one.
            Fault::Gone => return,
            Fault::Ignored(reason) => reason.to_string(),
            Fault::Log(error) => error.to_string(),
        };
        self.findings.push(Finding::new(FindingKind::Snapshot, path, reason));
    }

    fn look_up(&mut self, waiting: &mut Vec<Made>, lookup: &mut Lookup<'_>, reach: &Reach<'_>) -> Result<()> {
        waiting.sort_by_key(|made| made.position);
        for made in waiting.drain(..) {
            let is_it = lookup.event(made.position, |record| {
                let event = &record.event;
                event.stream == made.stream
                    && event.version == made.version
                    && event.checksum == made.checksum
            })?;
            let reason = match is_it {
                Some(true) => continue,
                Some(false) => IgnoredReason::AnotherEvent,
                None if reach.is_beyond(made.position)? => continue,
                None => IgnoredReason::EventGone,
            };
            self.findings.push(Finding::new(FindingKind::Snapshot, made.path, reason.to_string()));
        }
        Ok(())
    }
}

/// Looks up the event of each checkpoint.
pub(crate) fn check_checkpoints(
    tally: &Tally,
    lookup: &mut Lookup<'_>,
    store: &std::path::Path,
    reach: &Reach<'_>,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let path = segments_directory(store);
    let saved = tally.checkpoints.iter().filter_map(|(name, cursor)| Some((cursor.as_ref()?, name)));
    let mut saved: Vec<(&Cursor, &String)> = saved.collect();
    saved.sort_by_key(|(cursor, name)| (cursor.position, *name));
    for (cursor, name) in saved {
        compared.count += 1;
        if cursor.position == Position::NONE {
            continue;
        }
        let found = lookup.event(cursor.position, |record| record.event.checksum)?;
        let reason = match found {
            Some(checksum) if checksum == cursor.checksum => continue,
            Some(_) => format!("checkpoint {name:?} is at {cursor}, and the event there is another one"),
            None if reach.is_beyond(cursor.position)? => continue,
            None => format!("checkpoint {name:?} is at {cursor}, and no event can be read there"),
        };
        compared.findings.push(Finding::new(FindingKind::Checkpoint, &path, reason));
    }
    if tally.has_more_checkpoints {
        let reason =
            format!("there are more than {CHECKPOINTS_MAX} checkpoints, and the others weren't compared");
        compared.findings.push(Finding::new(FindingKind::Unchecked, &path, reason));
    }
    Ok(compared)
}
