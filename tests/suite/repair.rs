//! Repairing: what can be saved is saved, what can't is told and kept, and nothing is changed unasked.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    Error, Loss, Position, RepairOptions, RepairPlan, RepairStep, Repaired, SimDisk, StoredEvent,
    plan_repair_on, repair_on,
};
use serde_json::Value;

use crate::{
    log_bytes::{EPOCH, SEAL, frames, last_frame},
    patient::{End, Patient, STORE, everything, index_path, intact, log_path, open, verified},
    support::Outcome,
};

pub(crate) fn accepting() -> RepairOptions {
    RepairOptions::new().loss(Loss::Accepted)
}

pub(crate) fn repair(disk: &SimDisk, options: &RepairOptions) -> annals::Result<Repaired> {
    repair_on(Arc::new(disk.mount()), STORE, options, &mut |_| ControlFlow::Continue(()))
}

pub(crate) fn plan(disk: &SimDisk, options: &RepairOptions) -> annals::Result<RepairPlan> {
    plan_repair_on(Arc::new(disk.mount()), STORE, options, &mut |_| ControlFlow::Continue(()))
}

/// All files of the disk but for notes that say nothing.
pub(crate) fn files_of(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let is_counted = |path: &PathBuf| !path.ends_with("writer.pid") && !path.ends_with("head");
    let content = |path: PathBuf| (path.clone(), disk.read_file(path).expect("it is listed"));
    disk.files().into_iter().filter(is_counted).map(content).collect()
}

/// The events in the files of all repairs, by position.
fn set_aside(disk: &SimDisk) -> BTreeMap<u64, Value> {
    let mut found = BTreeMap::new();
    for (path, content) in files_of(disk) {
        // Without a report a folder isn't whole, and nothing was changed.
        let is_whole = disk.read_file(path.with_file_name("report.json")).is_some();
        if !is_whole {
            continue;
        }
        if path.ends_with("events.jsonl") || path.ends_with("system-events.jsonl") {
            let is_system = path.ends_with("system-events.jsonl");
            for line in String::from_utf8(content).expect("UTF-8").lines() {
                let event: Value = serde_json::from_str(line).expect("a line of JSON");
                let name = event["stream"].as_str().expect("a stream");
                assert_eq!(name.starts_with('$'), is_system, "{line}");
                found.insert(event["position"].as_u64().expect("a position"), event);
            }
        }
    }
    found
}

/// What must hold of a store that was repaired: it is whole, begins as it was, and tells of the repair; and what isn't in it is
/// kept beside it.
#[track_caller]
pub(crate) fn check_repaired(original: &Patient, disk: &SimDisk, readable: &[u64]) -> Vec<StoredEvent> {
    let verification = verified(disk);
    assert!(verification.is_whole() && verification.findings.is_empty(), "{verification:#?}");
    let store = open(disk).expect("a repaired store opens");
    let events = everything(&store);
    store.close().expect("a close");
    let is_note = |event: &&StoredEvent| event.event_type == "$Repaired";
    let kept = events.iter().take_while(|event| !is_note(event)).count();
    assert!(events[..kept] == original.events[..kept], "the beginning isn't as it was");
    assert!(
        events.len() == kept + 1 && is_note(&&events[kept]),
        "one event tells of it: {:?}",
        &events[kept..]
    );
    let aside = set_aside(disk);
    for position in readable.iter().filter(|position| **position > kept as u64) {
        let event = &original.events[usize::try_from(position - 1).expect("a small number")];
        let line = aside.get(position).unwrap_or_else(|| panic!("event {position} is kept nowhere"));
        assert_eq!(line["stream"], event.stream.as_str());
        assert_eq!(line["version"], event.version.get());
        assert_eq!(line["id"], event.id.to_string());
    }
    assert!(aside.keys().all(|position| readable.contains(position)), "{aside:?}");
    events
}

/// Damages a patient, repairs it, and expects so many events to stay.
#[track_caller]
pub(crate) fn check(end: End, options: &RepairOptions, damage: impl FnOnce(&Patient), kept: u64) -> Repaired {
    let (original, patient) = (Patient::new(end), Patient::new(end));
    damage(&patient);
    let before = verified(&patient.disk);
    let readable = intact(&before);
    let damaged_files = files_of(&patient.disk);
    let planned = plan(&patient.disk, options).expect("a plan");
    assert!(files_of(&patient.disk) == damaged_files, "a plan has changed something");
    let repaired = repair(&patient.disk, options).expect("a repair");
    assert_eq!(repaired.plan, planned, "what is done is what was shown");
    assert_eq!(planned.kept, Position::new(kept), "{planned}");
    let events = check_repaired(&original, &patient.disk, &readable);
    assert_eq!(events.len() as u64, kept + 1, "{planned}");
    let aside = readable.iter().filter(|position| **position > kept).count();
    assert_eq!(planned.events_set_aside, aside as u64, "{planned}");
    check_kept(&patient.disk, &repaired, &damaged_files);
    let again = repair(&patient.disk, options).expect("nothing is left to do");
    assert!(!again.plan.is_needed() && again.folder.is_none(), "{}", again.plan);
    repaired
}

/// Every file that was taken out, or written anew, is kept as it was.
#[track_caller]
fn check_kept(disk: &SimDisk, repaired: &Repaired, before: &BTreeMap<PathBuf, Vec<u8>>) {
    let mut names: BTreeMap<&PathBuf, &PathBuf> = BTreeMap::new();
    for step in &repaired.plan.steps {
        let path = match step {
            RepairStep::Rename { from, to } => {
                names.insert(to, names.get(from).copied().unwrap_or(from));
                continue;
            }
            RepairStep::Write { bytes_before: None, .. } | RepairStep::MakeAnew { .. } => continue,
            RepairStep::Write { path, .. }
            | RepairStep::TakeOut { path }
            | RepairStep::WriteMeta { path }
            | RepairStep::WriteMark { path } => path,
            other => panic!("{other:?}"),
        };
        let path = names.get(path).copied().unwrap_or(path);
        let folder = repaired.folder.as_ref().expect("a folder");
        let copy = disk.read_file(folder.join(path.file_name().expect("a name")));
        assert!(copy.as_ref() == before.get(path), "{}", path.display());
    }
}

pub(crate) fn flip(patient: &Patient, position: u64, at: usize) {
    let record = patient.record(position).clone();
    patient.change(&record.path, |content| content[record.bytes.start + at] ^= 4);
}

#[test]
fn a_whole_store_is_left_as_it_is() -> Outcome {
    for end in [End::Closed, End::Killed, End::Bare] {
        let patient = Patient::new(end);
        let before = files_of(&patient.disk);
        let repaired = repair(&patient.disk, &accepting())?;
        assert!(!repaired.plan.is_needed() && repaired.folder.is_none(), "{}", repaired.plan);
        assert!(files_of(&patient.disk) == before, "something was changed");
    }
    Ok(())
}

#[test]
fn nothing_is_changed_unless_it_is_allowed() -> Outcome {
    let patient = Patient::new(End::Closed);
    let backup = patient.copy();
    flip(&patient, 20, 90);
    let before = files_of(&patient.disk);
    let refused = repair(&patient.disk, &RepairOptions::new()).expect_err("no loss is accepted");
    assert!(matches!(refused, Error::RepairNotAllowed { .. }), "{refused}");
    let said = refused.to_string();
    let kept = plan(&patient.disk, &RepairOptions::new())?.kept;
    assert!(said.contains(&format!("end with position {kept};")) && said.contains("--accept-loss"), "{said}");
    assert!(files_of(&patient.disk) == before, "something was changed");
    // A backup that hasn't got it is no permission to lose it.
    for (path, content) in files_of(&backup.disk) {
        let in_backup = Path::new("/backup").join(path.strip_prefix(STORE)?);
        if !path.ends_with("000000000002.log") {
            patient.disk.write_file(in_backup, content)?;
        }
    }
    let before = files_of(&patient.disk);
    let refused =
        repair(&patient.disk, &RepairOptions::new().backup("/backup")).expect_err("it isn't in the backup");
    assert!(matches!(refused, Error::RepairNotAllowed { .. }), "{refused}");
    assert!(files_of(&patient.disk) == before, "something was changed");
    Ok(())
}

#[test]
fn a_store_that_is_open_isnt_repaired() -> Outcome {
    let patient = Patient::new(End::Closed);
    let store = open(&patient.disk)?;
    let refused = repair(&patient.disk, &accepting()).expect_err("it is open");
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    store.close()?;
    Ok(())
}

#[test]
fn the_log_is_cut_before_the_first_event_that_is_lost() {
    for end in [End::Closed, End::Killed, End::Bare] {
        // The frame's events go together: a commit is whole or not at all.
        for (position, kept) in [(1, 0), (2, 0), (17, 15), (44, 43), (59, 58)] {
            check(end, &accepting(), |patient| flip(patient, position, 90), kept);
        }
    }
}

/// Where something is damaged, by the bytes of the segment.
type Place = fn(&[u8]) -> usize;

#[test]
fn what_can_only_have_stood_somewhere_is_put_back_and_costs_nothing() {
    let all = Patient::new(End::Closed).last();
    let places: [(u64, Place); 8] = [
        (1, |content| frames(content)[1].start + 20),
        (2, |content| frames(content)[0].start + 3),
        (2, |content| last_frame(content, SEAL).start + 10),
        (2, |content| last_frame(content, SEAL).start + 70),
        (1, |content| last_frame(content, EPOCH).payload() + 9),
        (1, |content| last_frame(content, EPOCH).start + 40),
        (3, |_| 30),
        (1, |content| {
            frames(content)
                .iter()
                .find(|frame| frame.payload_end < frame.end)
                .map_or(0, |frame| frame.end - 1)
        }),
    ];
    for end in [End::Closed, End::Bare] {
        for (number, place) in places {
            let damage = |patient: &Patient| {
                patient.change(log_path(number), |content| {
                    let at = place(content);
                    content[at] ^= 32;
                });
            };
            let repaired = check(end, &accepting(), damage, all);
            assert!(!repaired.plan.cuts && !repaired.plan.loses_events(), "{}", repaired.plan);
        }
    }
}

#[test]
fn frame_headers_are_put_back_whatever_the_mode() {
    for patient in [Patient::new(End::Bare), Patient::buffered(End::Bare)] {
        // All of its fields but the one that says how much was durable: no other one tells that in Buffered mode.
        for at in (0..16).chain(24..64).step_by(5) {
            let damaged = patient.copy();
            let frame = patient.record(20).frame;
            damaged.change(&patient.record(20).path, |content| content[frame.start + at] ^= 16);
            let readable = intact(&verified(&damaged.disk));
            let repaired = repair(&damaged.disk, &accepting()).expect("a repair");
            assert!(!repaired.plan.cuts && !repaired.plan.loses_events(), "byte {at}: {}", repaired.plan);
            let RepairStep::Write { bytes_mended, .. } = &repaired.plan.steps[0] else {
                panic!("{}", repaired.plan)
            };
            assert_eq!(*bytes_mended, 64);
            check_repaired(&patient, &damaged.disk, &readable);
        }
    }
}

#[test]
fn names_that_were_exchanged_are_given_back() {
    let all = Patient::new(End::Closed).last();
    let damage = |patient: &Patient| {
        let logs = patient.logs();
        patient.disk.write_file(&logs[1].0, logs[2].1.clone()).expect("surgery");
        patient.disk.write_file(&logs[2].0, logs[1].1.clone()).expect("surgery");
    };
    check(End::Closed, &accepting(), damage, all);
    check(End::Bare, &accepting(), damage, all);
}

#[test]
fn missing_segments_end_the_log_before_them() {
    let patient = Patient::new(End::Bare);
    let last = patient.logs().len() as u64;
    for end in [End::Closed, End::Bare] {
        for number in 1..=last {
            let kept = patient.first_in(number) - 1;
            let damage = |patient: &Patient| patient.disk.remove_file(log_path(number)).expect("it is there");
            if number < last || end == End::Closed {
                check(end, &accepting(), damage, kept);
            }
        }
    }
}

#[test]
fn a_store_without_segments_becomes_one_without_events() {
    let damage = |patient: &Patient| {
        for (path, _) in patient.logs() {
            patient.disk.remove_file(path).expect("it is there");
        }
    };
    check(End::Closed, &accepting(), damage, 0);
}

#[test]
fn a_segment_in_anothers_place_is_taken_out() {
    let patient = Patient::new(End::Bare);
    let kept = patient.first_in(2) - 1;
    let double = |patient: &Patient| {
        let first = patient.logs()[0].1.clone();
        patient.disk.write_file(log_path(2), first).expect("surgery");
    };
    check(End::Bare, &accepting(), double, kept);
    let beyond = |patient: &Patient| {
        let first = patient.logs()[0].1.clone();
        patient.disk.write_file(log_path(patient.logs().len() as u64 + 1), first).expect("surgery");
    };
    check(End::Closed, &accepting(), beyond, patient.last());
}

#[test]
fn store_meta_is_made_again_of_what_the_segments_say() {
    let all = Patient::new(End::Closed).last();
    let flip = |patient: &Patient| patient.change("/store/store.meta", |content| content[25] ^= 1);
    check(End::Closed, &accepting(), flip, all);
    let remove = |patient: &Patient| patient.disk.remove_file("/store/store.meta").expect("it is there");
    check(End::Bare, &accepting(), remove, all);
}

#[test]
fn bytes_that_the_disk_cant_read_are_cut_off_or_restored() -> Outcome {
    let patient = Patient::new(End::Closed);
    let original = patient.copy();
    let record = patient.record(20).clone();
    patient.disk.fail_reads(&record.path, record.bytes.start as u64..record.bytes.start as u64 + 1)?;
    let readable = intact(&verified(&patient.disk));
    let repaired = repair(&patient.disk, &accepting())?;
    assert!(repaired.plan.kept < Position::new(20), "{}", repaired.plan);
    check_repaired(&original, &patient.disk, &readable);
    Ok(())
}

#[test]
fn sectors_that_hold_nothing_and_cant_be_read_are_written_anew() -> Outcome {
    for end in [End::Closed, End::Killed] {
        let patient = Patient::new(end);
        let original = patient.copy();
        let (path, content) = patient.logs().pop().ok_or("a segment")?;
        // What was prepared for appends, behind the end.
        patient.change(&path, |content| content.resize(content.len().max(20_000), 0));
        let at = content.len().max(20_000) as u64 - 1;
        patient.disk.fail_reads(&path, at..at + 1)?;
        assert!(!verified(&patient.disk).is_whole());
        let repaired = repair(&patient.disk, &accepting())?;
        assert!(
            !repaired.plan.cuts && repaired.plan.kept == Position::new(patient.last()),
            "{}",
            repaired.plan
        );
        check_repaired(&original, &patient.disk, &[]);
    }
    Ok(())
}

#[test]
fn a_store_that_is_being_restored_isnt_repaired() -> Outcome {
    let patient = Patient::new(End::Closed);
    patient.restore_all_but_a_name()?;
    let before = files_of(&patient.disk);
    let refused = repair(&patient.disk, &accepting()).expect_err("a restore isn't finished");
    assert!(matches!(refused, Error::NotAStore { .. }), "{refused}");
    assert!(files_of(&patient.disk) == before, "something was changed");
    Ok(())
}

#[test]
fn index_files_that_are_wrong_are_removed_and_made_anew() -> Outcome {
    let patient = Patient::new(End::Closed);
    let original = patient.copy();
    for path in [index_path(2), "/store/streams.dir".into()] {
        patient.change(path, |content| content[5_000] ^= 1);
    }
    let repaired = repair(&patient.disk, &accepting())?;
    assert_eq!(repaired.plan.steps.len(), 2, "{}", repaired.plan);
    assert!(!repaired.plan.loses_events() && repaired.folder.is_none());
    let verification = verified(&patient.disk);
    assert!(verification.is_whole() && verification.findings.is_empty(), "{verification:#?}");
    assert!(everything(&open(&patient.disk)?) == original.events, "the log was changed");
    assert!(patient.disk.read_file("/store/streams.dir").is_some(), "it is made anew");
    Ok(())
}

#[test]
fn the_report_tells_all_that_was_done() -> Outcome {
    let repaired = check(End::Closed, &accepting(), |patient| flip(patient, 17, 90), 15);
    let json: Value = serde_json::from_str(&repaired.to_json())?;
    assert_eq!((&json["repair"], &json["kept"], &json["cutFrom"]), (&1.into(), &15.into(), &16.into()));
    assert_eq!((&json["eventsLost"], &json["lost"][0]["first"]), (&1.into(), &17.into()));
    assert_eq!(json["lostVersions"][0]["stream"], "order-0");
    assert_eq!(json["lostIds"], serde_json::json!([{ "position": 17, "seemingId": "event-17" }]));
    let text = repaired.plan.to_string();
    assert!(text.contains("\nlost         1 event: positions 17\n"), "{text}");
    assert!(text.contains("\nof them      order-0 version 5\nseemingly    id event-17 at"), "{text}");
    // Where the id is damaged itself, what it seems to be is told as no more than that.
    let repaired = check(End::Bare, &accepting(), |patient| flip(patient, 17, 62), 15);
    assert!(repaired.plan.to_string().contains("\nseemingly    id event-"), "{}", repaired.plan);
    assert_ne!(repaired.plan.lost_ids[0].seeming_id.to_string(), "event-17");
    assert!(text.contains("set aside  "), "{text}");
    Ok(())
}

/// Whatever was done to it: it is whole and stays as it is, or it is made whole.
#[track_caller]
fn check_whatever(original: &Patient, damaged: &Patient) {
    let verification = verified(&damaged.disk);
    let readable = intact(&verification);
    let repaired = repair(&damaged.disk, &accepting()).expect("a repair");
    assert!(repaired.plan.is_needed() || verification.is_whole(), "{verification:#?}");
    if repaired.folder.is_some() {
        check_repaired(original, &damaged.disk, &readable);
    }
}

/// Each length that each segment's file can have been cut to, the last ones one by one.
#[test]
fn whatever_length_a_file_is_cut_to_the_repaired_store_is_whole_and_nothing_readable_is_lost() {
    for end in [End::Closed, End::Bare] {
        let original = Patient::small(end);
        for (path, content) in original.logs() {
            let last = content.len().saturating_sub(64);
            for length in (0..last).step_by(97).chain(last..content.len()) {
                let damaged = original.copy();
                damaged.change(&path, |content| content.truncate(length));
                check_whatever(&original, &damaged);
            }
        }
    }
}

/// Each 512 bytes of each file of the log zeroed, or filled with what isn't there.
#[test]
fn whatever_block_is_damaged_the_repaired_store_is_whole_and_nothing_readable_is_lost() -> Outcome {
    let original = Patient::small(End::Closed);
    let bare = Patient::small(End::Bare);
    let mut files: Vec<_> = original.logs();
    for name in ["store.meta", "durable.mark"] {
        let path = Path::new(STORE).join(name);
        let content = original.disk.read_file(&path).ok_or("it is there")?;
        files.push((path, content));
    }
    for patient in [&original, &bare] {
        for (path, content) in &files {
            for block in 0..content.len().div_ceil(512) {
                for filling in [0, 0xA5] {
                    let damaged = patient.copy();
                    damaged.change(path, |content| {
                        let end = content.len().min((block + 1) * 512);
                        content[block * 512..end].fill(filling);
                    });
                    check_whatever(&original, &damaged);
                }
            }
        }
    }
    Ok(())
}
