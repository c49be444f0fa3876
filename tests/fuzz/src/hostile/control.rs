//! The small structures. The input's first byte says which; what is behind it is the file, or the data of an event of
//! the store's own.

use std::sync::Arc;

use annals::{ExistingStore, Loss, RepairOptions, SimDisk, repair_on};

use super::{
    backup::check_backup,
    directories::{BACKUP, Place, put_files},
    directory::is_segment,
    look::{self, Beside, go_on},
    manifest::ListedSegment,
    mend::{LogEnd, Mender},
    restore::check_restore,
    saved::saved,
    stores::{self, STORE, STORE_ID},
};

/// Which structure an input is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Structure {
    Meta,
    Mark,
    Head,
    Writer,
    /// The data of an event of this type, in this stream.
    Event(&'static str, &'static str),
    /// backup.manifest beside segments that are whole.
    Manifest,
    /// The report of a repair of which no event tells yet.
    Report,
}

const STRUCTURES: [Structure; 12] = [
    Structure::Meta,
    Structure::Mark,
    Structure::Head,
    Structure::Writer,
    Structure::Event("$checkpoint-orders", "$CheckpointSaved"),
    Structure::Event("$event-types", "$EventTypeRegistered"),
    Structure::Event("$projection-orders", "$ProjectionStarted"),
    Structure::Event("$projection-orders", "$ProjectionResetBegun"),
    Structure::Event("$skipped-orders", "$EventSkipped"),
    Structure::Event("$skipped-orders", "$SkippedCleared"),
    Structure::Manifest,
    Structure::Report,
];

fn structure(first: u8) -> Structure {
    STRUCTURES[usize::from(first) % STRUCTURES.len()]
}

pub(crate) fn run(input: &[u8]) {
    let Some((first, content)) = input.split_first() else { return };
    match structure(*first) {
        Structure::Manifest => run_manifest(content),
        Structure::Report => run_report(content),
        structure => run_in_store(structure, content),
    }
}

fn run_manifest(content: &[u8]) {
    let disk = SimDisk::new(7);
    put_files(&disk, Place::Backup, &saved().backup);
    drop(disk.write_file(format!("{BACKUP}/backup.manifest"), content));
    check_restore(&disk.snapshot(7), None, ExistingStore::Refuse);
    put_files(&disk, Place::Store, &saved().store);
    check_backup(&disk, 0);
}

fn run_report(content: &[u8]) {
    let disk = SimDisk::new(7);
    put_files(&disk, Place::Store, &saved().store);
    let before = look::all_events(&disk);
    stores::put(&disk, "quarantine/repair-1/report.json", content);
    let options = RepairOptions::new().loss(Loss::Accepted).clock(stores::clock());
    drop(repair_on(Arc::new(disk.clone()), STORE, &options, &mut go_on));
    let after = look::examine_whole(&disk);
    assert!(after.starts_with(&before), "a store that is whole has other events than before");
}

fn run_in_store(structure: Structure, content: &[u8]) {
    let beginning = LogEnd::beginning(STORE_ID);
    let mut frames = stores::frame_with("order-1", "Placed", br#"{"n":1}"#);
    if let Structure::Event(stream, event_type) = structure {
        frames.extend(stores::frame_with(stream, event_type, content));
    }
    frames.extend(stores::frame_with("order-1", "Paid", br#"{"n":2}"#));
    let mut segment = stores::segment_with(&frames, &beginning);
    Mender::all().segment(&mut segment, &beginning);
    let disk =
        stores::disk_with(&[("store.meta", &stores::meta(STORE_ID)), (&stores::segment_name(1), &segment)]);
    match structure {
        Structure::Meta => stores::put(&disk, "store.meta", content),
        Structure::Mark => stores::put(&disk, "durable.mark", content),
        Structure::Head => stores::put(&disk, "head", content),
        Structure::Writer => stores::put(&disk, "writer.pid", content),
        Structure::Event(..) | Structure::Manifest | Structure::Report => {}
    }
    look::examine(&disk, Beside::Nothing);
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let Some((first, content)) = input.split_first() else { return Vec::new() };
    let mut content = content.to_vec();
    match structure(*first) {
        Structure::Meta => mender.meta(&mut content, STORE_ID),
        Structure::Mark => mender.mark(&mut content, STORE_ID),
        Structure::Head => mender.head(&mut content, STORE_ID, stores::boot_id()),
        Structure::Manifest => mender.manifest(&mut content, stores::reference().store_id, &saved_segments()),
        Structure::Writer | Structure::Event(..) | Structure::Report => {}
    }
    content.insert(0, *first);
    content
}

/// The segments of the backup that is whole.
fn saved_segments() -> Vec<ListedSegment> {
    let mut before = LogEnd::beginning(stores::reference().store_id);
    let mut segments = Vec::new();
    for (_, content) in saved().backup.iter().filter(|(name, _)| is_segment(name)) {
        let mut content = content.clone();
        let end = Mender::all().segment(&mut content, &before);
        segments.push(ListedSegment { content, before, end: end.clone() });
        before = end;
    }
    segments
}
