//! Repairs that are cut off, that fail, that are stopped, or under which the files change.

use std::{cell::Cell, io::ErrorKind, ops::ControlFlow, path::Path, sync::Arc};

use annals::{
    CutStyle, Error, Fault, Follower, Linking, Query, RepairOptions, SimDisk, StoredEvent, SyncFailure,
    repair_on,
};
use serde_json::Value;

use crate::{
    patient::{End, Patient, STORE, everything, intact, log_path, logs_of, open, options, verified},
    repair::{accepting, check_repaired, files_of, flip, repair},
    repair_backup::{back_up, backup_of, put_backup},
    support::Outcome,
};

/// Each way in which a cut leaves the disk comes in turn.
fn style_of(nth: u64) -> CutStyle {
    CutStyle::ALL[usize::try_from(nth).expect("a small number") % CutStyle::ALL.len()]
}

/// Each disk that a repair leaves which is cut off at one of its operations.
fn each_cut(damaged: &SimDisk, options: &RepairOptions, visit: &mut dyn FnMut(u64, &SimDisk)) {
    for nth in 1.. {
        let disk = damaged.fork(nth);
        disk.cut_at(nth);
        repair(&disk, options).ok();
        if !disk.is_cut() {
            break;
        }
        let left = disk.fork(nth);
        left.power_cut_keeping(style_of(nth));
        visit(nth, &left);
    }
}

#[test]
fn a_repair_that_is_cut_off_anywhere_twice_is_repaired_again() {
    let original = Patient::small(End::Closed);
    let damaged = original.copy();
    flip(&damaged, 5, 90);
    damaged.change("/store/store.meta", |content| content[25] ^= 1);
    let readable = intact(&verified(&damaged.disk));
    let check = |disk: &SimDisk| {
        repair(disk, &accepting()).expect("it can be repaired again");
        check_repaired(&original, disk, &readable);
    };
    let mut cuts = 0;
    each_cut(&damaged.disk, &accepting(), &mut |nth, left| {
        check(&left.fork(nth));
        cuts += 1;
        // The repair of what is left is cut off as well, at some of its operations.
        for second in (1 + nth % 37..).step_by(37) {
            let disk = left.fork(second);
            disk.cut_at(second);
            repair(&disk, &accepting()).ok();
            if !disk.is_cut() {
                break;
            }
            disk.power_cut();
            check(&disk);
            cuts += 1;
        }
    });
    assert!(cuts > 200, "{cuts} cuts");
}

/// All that a program reads which follows a store.
fn followed(disk: &SimDisk) -> annals::Result<Vec<StoredEvent>> {
    let follower = Follower::open_on(Arc::new(disk.mount()), STORE, options())?;
    follower.read(Query::all().including_system()).collect()
}

/// All that a program reads which writes a store.
fn written(disk: &SimDisk) -> annals::Result<Vec<StoredEvent>> {
    open(disk)?.read(Query::all().including_system()).collect()
}

/// Where the page that a writer has left says how far the log was, and the log may be shorter.
#[test]
fn a_store_whose_repair_was_killed_anywhere_is_followed_as_it_is_opened() {
    type Damage = fn(&Patient);
    let damages: [(Patient, Damage); 3] = [
        (Patient::small(End::Closed), |patient| flip(patient, 5, 90)),
        (Patient::small(End::Killed), |patient| flip(patient, patient.first_in(2), 90)),
        (Patient::new(End::Closed), |patient| {
            put_backup(patient, &Patient::new(End::Closed), &["000000000004.log", "000000000005.log"]);
            flip(patient, 2, 90);
            patient.change(log_path(4), |content| content[..1_500].fill(0));
        }),
    ];
    let (mut whole, mut cut_short) = (0, 0);
    for (patient, damage) in damages {
        // So that the page says in this run of the system how far the log is.
        drop(open(&patient.disk).expect("a whole store opens"));
        damage(&patient);
        let has_backup = patient.disk.read_file("/backup/store.meta").is_some();
        let options = if has_backup { accepting().backup("/backup") } else { accepting() };
        for nth in 1.. {
            let disk = patient.disk.fork(nth);
            disk.cut_at(nth);
            repair(&disk, &options).ok();
            if !disk.is_cut() {
                break;
            }
            let what = format!("killed at operation {nth}");
            disk.crash_process();
            let (seen, verification) = (followed(&disk), verified(&disk));
            let expected = written(&disk);
            match (seen, expected) {
                (Ok(seen), Ok(expected)) => {
                    // The event that tells of the repair may be written, and not committed.
                    assert!(expected.starts_with(&seen) && expected.len() - seen.len() <= 1, "{what}");
                    whole += u64::from(verification.is_whole());
                    cut_short += u64::from(verification.last_position.get() < patient.last());
                }
                (seen, expected) => {
                    assert!(!verification.is_whole(), "{what}, the store is whole: {seen:?}");
                    assert_eq!(seen.is_ok(), expected.is_ok(), "{what}: {seen:?}, {expected:?}");
                }
            }
        }
    }
    assert!(whole > 50 && cut_short > 50, "{whole} were whole, {cut_short} of them cut short");
}

/// Checks a store that a backup has made whole: nothing is lost, and one event at most tells of a repair.
fn check_restored(disk: &SimDisk, original: &Patient, what: &str) -> Vec<StoredEvent> {
    let verification = verified(disk);
    assert!(verification.is_whole() && verification.findings.is_empty(), "{what}: {verification:#?}");
    let store = open(disk).expect("it opens");
    let mut events = everything(&store);
    drop(store);
    disk.crash_process();
    assert!(events.starts_with(&original.events), "{what}");
    events.split_off(original.events.len())
}

#[test]
fn a_repair_with_a_backup_can_be_cut_off_too() {
    let original = Patient::small(End::Closed);
    let damaged = original.copy();
    put_backup(&damaged, &original, &[]);
    flip(&damaged, 5, 90);
    damaged.disk.remove_file(log_path(2)).expect("it is there");
    let options = RepairOptions::new().backup("/backup");
    let backup = backup_of(&damaged.disk);
    let mut cuts = 0;
    each_cut(&damaged.disk, &options, &mut |nth, left| {
        let what = format!("cut at {nth}");
        repair(left, &options).expect(&what);
        assert!(backup_of(left) == backup, "{what}: the backup was changed");
        let notes = check_restored(left, &original, &what);
        assert_eq!(notes.len(), 1, "{what}");
        let note = notes[0].json::<Value>().expect("JSON");
        assert_eq!((&note["cutFrom"], &note["eventsLost"]), (&Value::Null, &0.into()), "{what}");
        cuts += 1;
    });
    assert!(cuts > 50, "{cuts} cuts");
}

#[test]
fn a_repair_that_another_one_has_replaced_is_named_as_such_and_never_told_as_done() {
    let original = Patient::small(End::Closed);
    let damaged = original.copy();
    flip(&damaged, 5, 90);
    let mut unfinished = 0;
    each_cut(&damaged.disk, &accepting(), &mut |nth, left| {
        let what = format!("cut at {nth}");
        let first = Path::new("/store/quarantine/repair-1");
        let was_begun = left.read_file(first.join("report.json")).is_some();
        let is_cut = verified(left).is_whole();
        // Now somebody finds a backup that has everything.
        let original = original.copy();
        for (path, content) in files_of(&original.disk) {
            let path = Path::new("/backup").join(path.strip_prefix(STORE).expect("a file of the store"));
            left.write_file(path, content).expect("surgery");
        }
        repair(left, &RepairOptions::new().backup("/backup")).expect(&what);
        if is_cut {
            return;
        }
        let notes = check_restored(left, &original, &what);
        assert_eq!(notes.len(), 1, "{what}: {notes:?}");
        let note = notes[0].json::<Value>().expect("JSON");
        assert_eq!((&note["cutFrom"], &note["eventsLost"]), (&Value::Null, &0.into()), "{what}: {note}");
        let expected: &[u64] = if was_begun { &[1] } else { &[] };
        assert_eq!(note["unfinished"], serde_json::json!(expected), "{what}: {note}");
        assert_eq!(left.read_file(first.join("unfinished")).is_some(), was_begun, "{what}");
        unfinished += u64::from(was_begun);
    });
    assert!(unfinished > 5, "{unfinished} were cut off amid their changes");
}

/// Puts the store's own files back by hand, as they were before anything was damaged.
fn put_back(disk: &SimDisk, original: &Patient) {
    for path in disk.files().into_iter().filter(|path| path.starts_with("/store/segments")) {
        disk.remove_file(path).expect("it is listed");
    }
    for (path, content) in files_of(&original.disk) {
        disk.write_file(path, content).expect("surgery");
    }
}

#[test]
fn a_repair_that_was_cut_off_isnt_told_of_where_somebody_has_put_the_files_back() {
    let original = Patient::small(End::Closed);
    let damaged = original.copy();
    put_backup(&damaged, &original, &[]);
    flip(&damaged, 5, 90);
    let restoring = RepairOptions::new().backup("/backup");
    for (options, restores) in [(accepting(), false), (restoring, true)] {
        let (mut put_back_by_hand, mut told) = (0, 0);
        each_cut(&damaged.disk, &options, &mut |nth, left| {
            let what = format!("cut at {nth} with {options:?}");
            let folder = Path::new("/store/quarantine/repair-1");
            let has = |disk: &SimDisk, name: &str| disk.read_file(folder.join(name)).is_some();
            // What the backup gives back is what stood there: that can't be told apart once it is there.
            if !restores || !has(left, "changed") {
                let disk = left.fork(nth);
                put_back(&disk, &original);
                let repaired = repair(&disk, &accepting()).expect(&what);
                assert!(repaired.folder.is_none() && repaired.told.is_none(), "{what}");
                assert_eq!(
                    has(&disk, "unfinished"),
                    has(left, "report.json") && !has(left, "done"),
                    "{what}"
                );
                assert!(check_restored(&disk, &original, &what).is_empty(), "{what}");
                put_back_by_hand += u64::from(has(left, "report.json"));
            }
            told += u64::from(repair(left, &options).expect(&what).told.is_some());
        });
        assert!(put_back_by_hand > 1 && told > 1, "{put_back_by_hand} and {told} with {options:?}");
    }
}

/// What opening leaves as it is, or refuses, it must not take for something that a power cut has left.
#[test]
fn a_cut_that_is_cut_off_is_refused_until_it_is_done_whatever_witness_is_left() {
    for linking in [Linking::Never, Linking::WherePossible] {
        let original = Patient::new(End::Bare);
        let damaged = original.copy();
        back_up(&damaged, linking);
        // As if the end of a sealed segment had never been written; nothing but the segments behind says that it was.
        let frame = damaged.record(damaged.first_in(3) + 4).frame;
        damaged.change(log_path(3), |content| content[frame.start + 64..].fill(0));
        let header = damaged.disk.read_file(log_path(3)).expect("it is there")[frame.start..][..64].to_vec();
        damaged.disk.remove_file("/store/durable.mark").expect("it is there");
        let backup = backup_of(&damaged.disk);
        let kept = frame_first(&original, &log_path(3), frame.start) - 1;
        let mut opened = 0;
        each_cut(&damaged.disk, &accepting(), &mut |nth, left| {
            let what = format!("cut at {nth}, {linking:?}");
            match open(left) {
                Ok(store) => {
                    let events = everything(&store);
                    drop(store);
                    let (kept, notes) = events.split_at(usize::try_from(kept).expect("few"));
                    assert!(kept == &original.events[..kept.len()] && notes.len() <= 1, "{what}");
                    opened += 1;
                }
                Err(Error::Corrupt { .. }) => {}
                Err(error) => panic!("{what}: {error}"),
            }
            assert!(backup_of(left) == backup, "{what}: the backup was changed");
            for (path, content) in files_of(left) {
                // Recovery leaves such a file of what it clears away.
                let is_cleared = path.extension() == Some("bin".as_ref()) && content.starts_with(&header);
                assert!(!is_cleared, "{what}: damage was taken for an interrupted write");
                if path.starts_with("/store/quarantine/repair-1") && path.ends_with("000000000003.log") {
                    let was = damaged.disk.read_file(log_path(3)).expect("it is there");
                    assert!(content == was, "{what}: what was kept was changed");
                }
            }
        });
        assert!(opened > 5, "{opened} were opened");
    }
}

#[test]
fn what_a_repair_that_was_cut_off_has_left_goes_on_from_what_an_older_backup_has() {
    let original = Patient::new(End::Closed);
    let damaged = original.copy();
    let last = original.logs().len() as u64;
    // The backup ends with the segment that is damaged.
    let behind: Vec<String> = (3..=last).map(|number| format!("{number:012}.log")).collect();
    put_backup(&damaged, &original, &behind.iter().map(String::as_str).collect::<Vec<_>>());
    flip(&damaged, original.first_in(2) + 4, 90);
    let mut amid = 0;
    each_cut(&damaged.disk, &accepting(), &mut |nth, left| {
        let was_begun = left.read_file("/store/quarantine/repair-1/report.json").is_some();
        if !was_begun || verified(left).is_whole() {
            return;
        }
        // One that isn't taken out yet is of no use where one before it is.
        let there = (1..=last).rfind(|number| left.read_file(log_path(*number)).is_some());
        let there = there.expect("the log has a beginning");
        let kept = if there == last { original.last() } else { original.first_in(there + 1) - 1 };
        let repaired = repair(left, &accepting().backup("/backup")).expect("it can be repaired again");
        assert_eq!(repaired.plan.kept.get(), kept, "cut at {nth}: {}", repaired.plan);
        amid += u64::from(2 < there && there < last);
    });
    assert!(amid > 1, "{amid} were cut off while segments were taken out");
}

/// The position of the first event of a frame.
fn frame_first(patient: &Patient, path: &Path, start: usize) -> u64 {
    let first = patient.records.iter().find(|record| record.path == path && record.frame.start == start);
    first.expect("the frame has events").position
}

#[test]
fn names_that_were_exchanged_are_given_back_after_a_cut_too() {
    let original = Patient::new(End::Closed);
    let damaged = original.copy();
    let logs = damaged.logs();
    damaged.disk.write_file(&logs[1].0, logs[2].1.clone()).expect("surgery");
    damaged.disk.write_file(&logs[2].0, logs[1].1.clone()).expect("surgery");
    each_cut(&damaged.disk, &accepting(), &mut |nth, left| {
        let what = format!("cut at {nth}");
        repair(left, &accepting()).expect(&what);
        let notes = check_restored(left, &original, &what);
        assert_eq!(notes.len(), 1, "{what}");
    });
}

#[test]
fn a_repair_that_fails_at_any_operation_can_be_made_again() {
    let original = Patient::small(End::Closed);
    let damaged = original.copy();
    flip(&damaged, 5, 90);
    damaged.change("/store/store.meta", |content| content[25] ^= 1);
    let readable = intact(&verified(&damaged.disk));
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for nth in 1.. {
            let what = format!("{kind:?} at operation {nth}");
            let disk = damaged.disk.fork(nth);
            let fault = Fault::new(kind).at(nth).leaving(SyncFailure::StaysDirty);
            disk.fail(if kind == ErrorKind::StorageFull { fault.forever() } else { fault });
            let before = disk.operations();
            let repaired = repair(&disk, &accepting());
            let is_over = disk.operations() - before < nth;
            assert!(!is_over || repaired.is_ok(), "{what}: {repaired:?}");
            disk.clear_faults();
            let left = disk.fork(nth);
            left.power_cut_keeping(style_of(nth));
            for disk in [disk, left] {
                repair(&disk, &accepting()).expect(&what);
                check_repaired(&original, &disk, &readable);
            }
            if is_over {
                break;
            }
        }
    }
}

#[test]
fn a_repair_can_be_stopped_until_it_changes_something_and_not_any_more_then() {
    let original = Patient::new(End::Closed);
    let damaged = original.copy();
    flip(&damaged, 17, 90);
    let readable = intact(&verified(&damaged.disk));
    let (mut stopped, mut went_on) = (0, 0);
    for nth in 1.. {
        let disk = damaged.disk.fork(nth);
        let logs = logs_of(&disk);
        let told = Cell::new(0);
        let mut bytes_before = 0;
        let repaired = repair_on(Arc::new(disk.mount()), STORE, &accepting(), &mut |progress| {
            assert!(bytes_before <= progress.bytes && progress.bytes <= progress.bytes_total, "{progress:?}");
            bytes_before = progress.bytes;
            told.set(told.get() + 1);
            if told.get() == nth { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        match repaired {
            Ok(_) if told.get() < nth => break,
            Ok(_) => went_on += 1,
            Err(Error::RepairStopped { .. }) => {
                assert!(logs_of(&disk) == logs, "told {nth} times: the log isn't as it was");
                stopped += 1;
                repair(&disk, &accepting()).expect("it can be made");
            }
            Err(error) => panic!("told {nth} times: {error}"),
        }
        check_repaired(&original, &disk, &readable);
    }
    assert!(stopped > 10 && went_on > 5, "{stopped} were stopped, {went_on} went on");
}

/// Repairs while something happens behind its back: at some of the moments at which it tells how far it is.
fn meddling(
    damaged: &SimDisk,
    options: &RepairOptions,
    meddle: impl Fn(&SimDisk),
) -> Vec<annals::Result<()>> {
    let mut ends = Vec::new();
    for nth in 1.. {
        let disk = damaged.fork(nth);
        let mut told = 0;
        let repaired = repair_on(Arc::new(disk.mount()), STORE, options, &mut |_| {
            told += 1;
            if told == nth {
                meddle(&disk);
            }
            ControlFlow::Continue(())
        });
        if told < nth {
            return ends;
        }
        // What is called repaired is whole, as far as it was there then.
        let has_event = logs_of(&disk).iter().any(|(_, log)| log.windows(9).any(|part| part == b"$Repaired"));
        assert!(repaired.is_err() || has_event);
        ends.push(repaired.map(drop));
    }
    unreachable!("a repair tells few times")
}

#[test]
fn a_backup_that_changes_meanwhile_isnt_believed() {
    let damaged = Patient::new(End::Closed);
    put_backup(&damaged, &Patient::new(End::Closed), &[]);
    damaged.disk.remove_file(log_path(2)).expect("it is there");
    let path = Path::new("/backup/segments/000000000002.log");
    let options = RepairOptions::new().backup("/backup");
    let ends = meddling(&damaged.disk, &options, |disk| {
        let mut content = disk.read_file(path).expect("it is there");
        content[900] ^= 1;
        disk.write_file(path, content).expect("surgery");
    });
    let refused = |end: &annals::Result<()>| matches!(end, Err(Error::NotRepairable { .. }));
    assert!(ends.iter().any(refused), "{ends:?}");
}

#[test]
fn what_was_written_is_looked_at_before_it_is_called_repaired() {
    let damaged = Patient::new(End::Closed);
    flip(&damaged, 17, 90);
    let length = damaged.disk.read_file(log_path(2)).expect("it is there").len();
    let ends = meddling(&damaged.disk, &accepting(), |disk| {
        let mut content = disk.read_file(log_path(1)).expect("it is there");
        let is_written = disk.read_file(log_path(2)).is_none_or(|second| second.len() < length);
        if is_written {
            content[700] ^= 1;
            disk.write_file(log_path(1), content).expect("surgery");
        }
    });
    let refused = |end: &annals::Result<()>| matches!(end, Err(Error::NotRepairable { .. }));
    assert!(ends.iter().any(refused), "{ends:?}");
}

#[test]
fn a_full_disk_leaves_the_store_as_it_was() -> Outcome {
    let damaged = Patient::new(End::Closed);
    flip(&damaged, 17, 90);
    let logs = logs_of(&damaged.disk);
    let used: u64 = files_of(&damaged.disk).values().map(|content| content.len() as u64).sum();
    damaged.disk.set_quota_bytes(Some(used + 4_096 + 2_000));
    let refused = repair(&damaged.disk, &accepting()).expect_err("the disk is full");
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    assert!(logs_of(&damaged.disk) == logs, "the log isn't as it was");
    damaged.disk.set_quota_bytes(None);
    let readable = intact(&verified(&damaged.disk));
    repair(&damaged.disk, &accepting())?;
    check_repaired(&Patient::new(End::Closed), &damaged.disk, &readable);
    Ok(())
}

#[test]
fn a_folder_that_an_earlier_repair_has_left_is_never_touched() -> Outcome {
    let damaged = Patient::new(End::Closed);
    flip(&damaged, 17, 90);
    // Somebody has taken the report away from it.
    let kept = Path::new("/store/quarantine/repair-7/000000000001.log");
    damaged.disk.write_file(kept, b"evidence".as_slice())?;
    let repaired = repair(&damaged.disk, &accepting())?;
    assert_eq!(repaired.folder.as_deref(), Some(Path::new("/store/quarantine/repair-8")));
    assert_eq!(damaged.disk.read_file(kept).as_deref(), Some(b"evidence".as_slice()));
    Ok(())
}
