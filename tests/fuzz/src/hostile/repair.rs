//! A repair of a store in which any files stand, alone or with a backup: that of the input, a right one, or one that has
//! parted from the store.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use annals::{
    Error, Loss, Position, RepairOptions, RepairPlan, Repaired, Result, SimDisk, StoredEvent, plan_repair_on,
    repair_on,
};

use super::{
    directories::{BACKUP, Directories, Place, put_files},
    look::{self, OnDisk, check_same, go_on},
    records::Records,
    saved::saved,
    stores::{self, STORE},
};

/// What the first byte of an input says.
const BACKUP_KIND: u8 = 3;
const LOSS_REFUSED: u8 = 4;

/// How many events are looked for one by one.
const EVENTS_MAX: usize = 300;

pub(crate) fn run(input: &[u8]) {
    let input = Directories::unpack(input);
    let disk = SimDisk::new(7);
    input.put(&disk, Place::Store);
    match input.mode & BACKUP_KIND {
        0 => {}
        1 => input.put(&disk, Place::Backup),
        2 => put_files(&disk, Place::Backup, &saved().backup),
        _ => put_files(&disk, Place::Backup, &saved().parted),
    }
    check_repair(&disk, &options(input.mode));
}

fn options(mode: u8) -> RepairOptions {
    let loss = if mode & LOSS_REFUSED == 0 { Loss::Accepted } else { Loss::Refused };
    let options = RepairOptions::new().loss(loss).clock(stores::clock());
    if mode & BACKUP_KIND == 0 { options } else { options.backup(BACKUP) }
}

/// How many zeros may have stood behind a file's end and belonged to an event.
const CUT_OFF_BYTES_MAX: usize = 16 << 10;

/// Repairs what stands on the disk, and looks at what came of it.
fn check_repair(disk: &SimDisk, options: &RepairOptions) {
    let before = look::files(disk);
    let planned = plan_repair_on(Arc::new(disk.clone()), STORE, options, &mut go_on);
    check_same(&before, &look::files(disk), "who only looks changes no file");
    let repaired = repair(disk, options);
    let after = look::files(disk);
    check_same(&beside_store(&before), &beside_store(&after), "nothing but the store is changed");
    match (planned, repaired) {
        (Err(_), Ok(repaired)) => panic!("a repair that can't be planned is made: {repaired:?}"),
        (planned, Err(error)) => {
            let why = format!("a store that is refused isn't touched ({error})");
            check_same(&truth(&before), &truth(&after), &why);
            // Names that are taken in quarantine/ are met only by who writes there.
            let may_be = matches!(error, Error::RepairNotAllowed { .. } | Error::Io { .. });
            assert!(planned.is_err() || may_be, "a repair that was planned is refused with {error:?}");
        }
        (Ok(planned), Ok(repaired)) => {
            assert_eq!(repaired.plan, planned, "a repair does what it has planned");
            check_repaired(disk, &before, &repaired);
        }
    }
}

fn repair(disk: &SimDisk, options: &RepairOptions) -> Result<Repaired> {
    repair_on(Arc::new(disk.clone()), STORE, options, &mut go_on)
}

fn check_repaired(disk: &SimDisk, before: &OnDisk, repaired: &Repaired) {
    let after = look::files(disk);
    if !repaired.plan.is_needed() {
        check_same(&truth(before), &truth(&after), "a store that is whole isn't touched");
    }
    let accepting = RepairOptions::new().loss(Loss::Accepted).clock(stores::clock());
    let again =
        repair(disk, &accepting).unwrap_or_else(|error| panic!("repaired, and then refused: {error:?}"));
    assert!(!again.plan.is_needed(), "a repaired store is to be repaired again: {}", again.plan);
    check_same(&after, &look::files(disk), "a second repair changes nothing");
    let set_aside = positions_set_aside(&after);
    look::examine_whole(disk);
    check_events(disk, before, &repaired.plan, &set_aside);
}

/// What could be read before is there, or in quarantine/.
fn check_events(disk: &SimDisk, before: &OnDisk, plan: &RepairPlan, set_aside: &BTreeSet<u64>) {
    let events = look::all_events(disk);
    let is_segment = |path: &Path| path.starts_with(STORE) && path.extension() == Some("log".as_ref());
    let segments = before.iter().filter(|(path, _)| is_segment(path));
    // What a file was cut off by reads as zeros, and may have been zeros.
    let padded =
        segments.filter_map(|(_, content)| Some([content.as_deref()?, &[0; CUT_OFF_BYTES_MAX]].concat()));
    let padded: Vec<Vec<u8>> = padded.collect();
    let records = Records::of(padded.iter().map(Vec::as_slice));
    let ranges = plan.verification.intact.iter();
    let positions = ranges.flat_map(|range| range.first.get()..=range.last.unwrap_or(range.first).get());
    for position in positions.take(EVENTS_MAX) {
        if Position::new(position) > plan.kept {
            assert!(set_aside.contains(&position), "the event at position {position} is nowhere any more");
            continue;
        }
        let event = event_at(&events, position);
        let event = event.unwrap_or_else(|| panic!("the event at position {position} isn't there any more"));
        assert!(
            records.have(event),
            "at position {position} is another event than was there:\n{event:?}\n{plan:?}"
        );
    }
}

fn event_at(events: &[StoredEvent], position: u64) -> Option<&StoredEvent> {
    let index = events.binary_search_by_key(&position, |event| event.position.get()).ok()?;
    events.get(index)
}

/// The positions of events that are lines in quarantine/.
fn positions_set_aside(files: &OnDisk) -> BTreeSet<u64> {
    let mut positions = BTreeSet::new();
    for (path, content) in files {
        if path.extension() != Some("jsonl".as_ref()) {
            continue;
        }
        for line in content.iter().flat_map(|content| content.split_inclusive(|byte| *byte == b'\n')) {
            let line: serde_json::Value = serde_json::from_slice(line).expect("a line is JSON");
            positions.insert(line["position"].as_u64().expect("an event has a position"));
        }
    }
    positions
}

fn beside_store(files: &OnDisk) -> OnDisk {
    look::some(files, |path| !path.starts_with(STORE))
}

/// What a store is made of; what is kept in quarantine/ doesn't belong to it.
fn truth(files: &OnDisk) -> OnDisk {
    let is_true = |path: &Path| path.extension() == Some("log".as_ref()) || path.ends_with("store.meta");
    let quarantine = Path::new(STORE).join("quarantine");
    look::some(files, |path| path.starts_with(STORE) && !path.starts_with(&quarantine) && is_true(path))
}
