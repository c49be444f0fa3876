//! A restore from a directory in which any files stand, all of it or up to a moment, to where nothing stands or anything.

use annals::{
    AsOf, ExistingStore, Position, RestoreOptions, RestoreReport, Result, SimDisk, StoredEvent, Timestamp,
    restore_on,
};

use super::{
    directories::{BACKUP, Directories, Place, put_files},
    look::{self, OnDisk, check_same, go_on},
    saved::{files_in, saved},
    stores::{self, BEGIN_MICROS, STORE},
};

/// What the first byte of an input says.
const MOMENT_KIND: u8 = 3;
const SET_ASIDE: u8 = 4;
const DESTINATION_IS_TAKEN: u8 = 8;
/// The input's files stand in a directory that has a backup.
const BACKUP_IS_THERE: u8 = 16;

/// Between two moments that an input may name, in microseconds: as many as lie between two events, or fewer.
const MOMENT_MICROS: i64 = 500;

/// What may be changed: the destination, where it is made, and where the store goes that is set aside.
const DESTINATIONS: [&str; 3] = [STORE, "/store.restoring", "/store.before-restore-1"];

pub(crate) fn run(input: &[u8]) {
    let input = Directories::unpack(input);
    let has = |flag: u8| input.mode & flag != 0;
    let disk = SimDisk::new(7);
    if has(DESTINATION_IS_TAKEN) {
        input.put(&disk, Place::Store);
    }
    if has(BACKUP_IS_THERE) {
        put_files(&disk, Place::Backup, &saved().backup);
    }
    input.put(&disk, Place::Backup);
    let existing = if has(SET_ASIDE) { ExistingStore::SetAside } else { ExistingStore::Refuse };
    check_restore(&disk, moment(&input), existing);
}

fn moment(input: &Directories) -> Option<AsOf> {
    let time = Timestamp::from_micros(BEGIN_MICROS + MOMENT_MICROS * i64::from(input.moment));
    match input.mode & MOMENT_KIND {
        0 => None,
        1 => Some(AsOf::Time(time)),
        _ => Some(AsOf::Position(Position::new(u64::from(input.moment)))),
    }
}

/// Does it with what stands on the disk, and looks at what came of it.
pub(crate) fn check_restore(disk: &SimDisk, moment: Option<AsOf>, existing: ExistingStore) {
    let before = look::files(disk);
    let all = restored_events(disk);
    let options = RestoreOptions::new().existing(existing);
    let options = moment.map_or(options, |moment| options.as_of(moment));
    let restored = restore_on(disk, BACKUP, STORE, &options, &mut go_on);
    let after = look::files(disk);
    check_same(&elsewhere(&before), &elsewhere(&after), "nothing but the destination is changed");
    match restored {
        Err(error) => {
            let why = format!("what is at the destination stays as it was ({error})");
            check_same(&below(&before, STORE), &below(&after, STORE), &why);
            check_same(
                &below(&before, DESTINATIONS[2]),
                &below(&after, DESTINATIONS[2]),
                "nothing is set aside",
            );
        }
        Ok(report) => check_restored(disk, &before, &report, moment, all.as_deref()),
    }
}

/// Does it with what stands on the disk, and looks at what came of it.
pub(crate) fn check_restored(
    disk: &SimDisk,
    before: &OnDisk,
    report: &RestoreReport,
    moment: Option<AsOf>,
    all: Option<&[StoredEvent]>,
) {
    match &report.set_aside {
        Some(path) => {
            let moved = |(name, content): (String, Vec<u8>)| (stores::path(&name), Some(content));
            let aside = files_in(disk, path).into_iter().map(moved).collect();
            check_same(&below(before, STORE), &aside, "what was there is set aside as it was");
        }
        None => assert!(below(before, STORE).is_empty(), "what was there is gone"),
    }
    if look::has_gaps_in_streams(disk) {
        return;
    }
    let events = look::examine_whole(disk);
    assert_eq!(events.last().map_or(Position::NONE, |event| event.position), report.last_position);
    match moment {
        Some(AsOf::Position(last)) => assert!(report.last_position <= last, "more than was wanted"),
        // Which moment that is the manifest says, and whoever makes its checksum right.
        Some(AsOf::Time(_)) => {}
        None => assert_eq!(report.last_position, report.backup_position),
    }
    if let Some(all) = all {
        assert!(all.starts_with(&events), "a part of a backup isn't a beginning of it");
    }
}

/// The events of the backup on a disk, if it can be restored, and its streams have no gaps.
pub(crate) fn restored_events(disk: &SimDisk) -> Option<Vec<StoredEvent>> {
    let backup = restored(disk).ok()?;
    (!look::has_gaps_in_streams(&backup)).then(|| look::all_events(&backup))
}

/// Whether the backup on a disk can be restored.
pub(crate) fn is_restored(disk: &SimDisk) -> bool {
    restored(disk).is_ok()
}

/// A disk with what is restored of the backup on another one.
fn restored(disk: &SimDisk) -> Result<SimDisk> {
    let other = SimDisk::new(7);
    put_files(&other, Place::Backup, &files_in(disk, BACKUP));
    restore_on(&other, BACKUP, STORE, &RestoreOptions::new(), &mut go_on)?;
    Ok(other)
}

/// The files below a directory.
pub(crate) fn below(files: &OnDisk, directory: &str) -> OnDisk {
    look::some(files, |path| path.starts_with(directory))
}

/// The files that a restore has no business with.
fn elsewhere(files: &OnDisk) -> OnDisk {
    look::some(files, |path| !DESTINATIONS.iter().any(|directory| path.starts_with(directory)))
}

/// The files that aren't below a directory.
pub(crate) fn not_below(files: &OnDisk, directory: &str) -> OnDisk {
    look::some(files, |path| !path.starts_with(directory))
}
