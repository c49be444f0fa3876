//! A backup of a store in which any files stand, into a directory in which any files stand.

use std::sync::Arc;

use annals::{
    BackupOptions, BackupReport, Checking, Follower, Linking, Query, Result, SimDisk, StoredEvent, backup_on,
    verify_on,
};

use super::{
    directories::{BACKUP, Directories, Place, put_files},
    look::{self, check_same, go_on},
    restore::{self, below, not_below},
    saved::saved,
    stores::{self, STORE},
};

/// What the first byte of an input says.
const STORE_IS_WHOLE: u8 = 1;
const DESTINATION_IS_FREE: u8 = 2;
const NEVER_LINKED: u8 = 4;
const EVERYTHING_CHECKED: u8 = 8;
/// The input's files stand in a directory that has a backup.
const DESTINATION_IS_BACKUP: u8 = 16;

pub(crate) fn run(input: &[u8]) {
    let input = Directories::unpack(input);
    let has = |flag: u8| input.mode & flag != 0;
    let disk = SimDisk::new(7);
    if has(STORE_IS_WHOLE) {
        put_files(&disk, Place::Store, &saved().store);
    } else {
        input.put(&disk, Place::Store);
    }
    if has(DESTINATION_IS_BACKUP) {
        put_files(&disk, Place::Backup, &saved().backup);
    }
    if !has(DESTINATION_IS_FREE) {
        input.put(&disk, Place::Backup);
    }
    check_backup(&disk, input.mode);
}

/// Does it with what stands on the disk, and looks at what came of it.
pub(crate) fn check_backup(disk: &SimDisk, mode: u8) {
    let before = look::files(disk);
    let whole_before = restore::restored_events(disk);
    let source = followed(disk);
    let is_free = below(&before, BACKUP).is_empty();
    let outcome = back_up(disk, mode);
    let after = look::files(disk);
    check_same(
        &not_below(&before, BACKUP),
        &not_below(&after, BACKUP),
        "nothing but the destination is changed",
    );
    let whole_after = restore::restored_events(disk);
    if let Some(whole_before) = &whole_before {
        let whole_after = whole_after.as_ref().expect("the backup that was whole is whole");
        assert!(whole_after.starts_with(whole_before), "the backup has other events than before");
    }
    let Ok(report) = outcome else { return };
    // What an earlier backup has put there isn't looked at unless that is wanted.
    if whole_before.is_some() || is_free || mode & EVERYTHING_CHECKED != 0 {
        let Some(whole_after) = whole_after else {
            assert!(restore::is_restored(disk), "a backup that was made can be restored");
            return;
        };
        let last = whole_after.last().map_or(0, |event| event.position.get());
        assert_eq!(last, report.last_position.get(), "the report says where the backup ends");
        // Where the store is damaged the backup may still have what it had: more, or an event as it was before somebody changed it
        // and its checksum.
        let (short, long) =
            if source.len() < whole_after.len() { (&source, &whole_after) } else { (&whole_after, &source) };
        let is_same = long.starts_with(short) || !is_whole(disk);
        assert!(is_same, "the backup has something else than the store");
        check_again(disk, mode, &report);
    }
}

fn back_up(disk: &SimDisk, mode: u8) -> Result<BackupReport> {
    let linking = if mode & NEVER_LINKED == 0 { Linking::WherePossible } else { Linking::Never };
    let checking = if mode & EVERYTHING_CHECKED == 0 { Checking::New } else { Checking::Everything };
    let options = BackupOptions::new().linking(linking).checking(checking);
    backup_on(Arc::new(disk.clone()), STORE, BACKUP, &options, &mut go_on)
}

/// The same once more changes nothing.
fn check_again(disk: &SimDisk, mode: u8, report: &BackupReport) {
    let before = look::files(disk);
    let again = back_up(disk, mode | EVERYTHING_CHECKED).expect("the next backup goes on");
    assert_eq!((again.segments_copied, again.segments_mended), (0, 0), "there is nothing new: {again:?}");
    assert_eq!(again.last_position, report.last_position);
    check_same(&before, &look::files(disk), "a backup of nothing new changes nothing");
}

fn is_whole(disk: &SimDisk) -> bool {
    verify_on(Arc::new(disk.clone()), STORE, &mut go_on).is_ok_and(|found| found.is_whole())
}

/// What can be read of the store.
fn followed(disk: &SimDisk) -> Vec<StoredEvent> {
    let follower = Follower::open_on(Arc::new(disk.clone()), STORE, stores::options());
    let Ok(follower) = follower else { return Vec::new() };
    follower.read(Query::all().including_system()).map_while(Result::ok).collect()
}
