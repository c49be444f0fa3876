//! A small store that is whole, a backup of it, and a store that parted from it: what hostile files stand beside.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use annals::{
    AsOf, BackupOptions, Creation, EventData, EventStore, ExpectedVersion, Position, RestoreOptions, SimDisk,
    StreamId, backup_on, restore_on,
};

use super::{
    directories::BACKUP,
    directory::is_segment,
    look::go_on,
    stores::{self, Files, STORE},
};

/// How many events are in the backup, and how many the store has behind them.
const EVENTS_SAVED: u64 = 11;
const EVENTS_BEHIND: u64 = 3;

/// Behind which event the other history begins.
const COMMON: u64 = 8;

/// Files by their names in their directories.
#[derive(Debug)]
pub(crate) struct Saved {
    pub(crate) store: Files,
    /// Of the store as it was a little earlier.
    pub(crate) backup: Files,
    /// A backup of what the store would be if it had gone on from an earlier event.
    pub(crate) parted: Files,
}

pub(crate) fn saved() -> &'static Saved {
    static SAVED: OnceLock<Saved> = OnceLock::new();
    SAVED.get_or_init(|| {
        let disk = SimDisk::new(7);
        append(&disk, STORE, EVENTS_SAVED, b's');
        back_up(&disk, STORE, BACKUP);
        append(&disk, STORE, EVENTS_BEHIND, b't');
        let options = RestoreOptions::new().as_of(AsOf::Position(Position::new(COMMON)));
        restore_on(&disk, BACKUP, "/parted", &options, &mut go_on).expect("a restore");
        append(&disk, "/parted", EVENTS_SAVED, b'p');
        back_up(&disk, "/parted", "/parted-backup");
        let store = seed_files(&disk, STORE);
        assert!(
            store.iter().filter(|(name, _)| is_segment(name)).count() > 1,
            "the store is to have a sealed segment"
        );
        Saved { store, backup: seed_files(&disk, BACKUP), parted: seed_files(&disk, "/parted-backup") }
    })
}

/// Appends events, mostly of zeros, which take hardly any room in an input, and closes the store.
fn append(disk: &SimDisk, path: &str, count: u64, filling: u8) {
    let options = stores::options().creation(Creation::IfMissing);
    let store = EventStore::open_on(Arc::new(disk.clone()), path, options).expect("a store");
    for number in 0..count {
        let stream = StreamId::new(format!("order-{}", number % 3)).expect("a name");
        let mut data = vec![0; 480];
        data[..4].fill(filling);
        store.append(&stream, ExpectedVersion::Any, [EventData::new("Placed", data)]).expect("an append");
    }
    store.close().expect("a close");
}

fn back_up(disk: &SimDisk, store: &str, destination: &str) {
    let options = BackupOptions::new();
    backup_on(Arc::new(disk.clone()), store, destination, &options, &mut go_on).expect("a backup");
}

/// The files below a directory, by their names from there on.
pub(crate) fn files_in(disk: &SimDisk, directory: impl AsRef<Path>) -> Files {
    let name = |path: &PathBuf| Some(path.strip_prefix(directory.as_ref()).ok()?.display().to_string());
    let file = |path: PathBuf| Some((name(&path)?, disk.read_file(&path)?));
    disk.files().into_iter().filter_map(file).collect()
}

/// The same without what tells of the programs that had the directory open.
fn seed_files(disk: &SimDisk, directory: &str) -> Files {
    let mut files = files_in(disk, directory);
    files.retain(|(name, _)| name != "writer.pid");
    files
}
