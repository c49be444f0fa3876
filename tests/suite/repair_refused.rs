//! Repairing a log with whole frames that opening refuses: it ends before the first of them, as it does before damage; but what a
//! newer version may have written stays where it is.

use std::path::Path;

use annals::{Error, Position, RepairOptions};
use serde_json::Value;

use crate::{
    log_bytes::{DATA, SEAL, fix_frame, last_frame},
    patient::{End, Patient, STORE, everything, intact, log_path, open, verified},
    repair::{accepting, check, files_of, flip, plan, repair},
    repair_backup::put_backup,
    support::Outcome,
    verify_hostile::forge,
};

/// Where a record has its flags, and two of them.
const FLAGS: usize = 32;
const ID_IS_TEXT: u8 = 1 << 4;
const UNKNOWN: u8 = 1 << 5;

/// The last position before the frame of an event.
fn before_frame_of(patient: &Patient, position: u64) -> u64 {
    let frame = patient.record(position).frame;
    let path = &patient.record(position).path;
    let in_frame = patient.records.iter().filter(|record| record.frame == frame && record.path == *path);
    in_frame.map(|record| record.position).min().expect("the event itself") - 1
}

#[test]
fn an_event_that_opening_refuses_ends_the_log_as_damage_does() {
    for end in [End::Closed, End::Killed, End::Bare] {
        let last = Patient::new(end).last();
        for position in [2, 20, last - 1] {
            let kept = before_frame_of(&Patient::new(end), position);
            // Its id isn't a UUID.
            let id = |patient: &Patient| forge(patient, position, |record| record[FLAGS] &= !ID_IS_TEXT);
            check(end, &accepting(), id, kept);
            // There is something else to do.
            let beside = |patient: &Patient| {
                id(patient);
                patient.disk.remove_file("/store/store.meta").expect("it is there");
            };
            check(end, &accepting(), beside, kept);
        }
    }
}

#[test]
fn a_version_that_doesnt_go_on_ends_the_log_as_damage_does() -> Outcome {
    for with_other_damage in [false, true] {
        let patient = Patient::new(End::Bare);
        let first = patient.first_in(3);
        let stream = patient.events[usize::try_from(first - 1)?].stream.clone();
        let behind = |position: Position| position.get() >= first;
        for event in patient.events.iter().filter(|event| behind(event.position) && event.stream == stream) {
            forge(&patient, event.position.get(), |record| record[16] += 1);
        }
        if with_other_damage {
            flip(&patient, patient.last(), 90);
        }
        let planned = plan(&patient.disk, &accepting())?;
        let repaired = repair(&patient.disk, &accepting())?;
        assert_eq!(repaired.plan, planned);
        assert_eq!(planned.kept, Position::new(before_frame_of(&patient, first)), "{planned}");
        let readable = planned.verification.events;
        assert_eq!(planned.events_set_aside, readable - planned.kept.get(), "{planned}");
        assert!(verified(&patient.disk).is_whole());
        let store = open(&patient.disk)?;
        let kept = usize::try_from(planned.kept.get())?;
        assert!(everything(&store)[..kept] == patient.events[..kept]);
        store.close()?;
    }
    Ok(())
}

/// Expects that nothing is done, and nothing is changed.
#[track_caller]
pub(crate) fn check_newer(patient: &Patient, options: &RepairOptions, directory: &str) {
    let before = files_of(&patient.disk);
    for refused in [plan(&patient.disk, options).map(drop), repair(&patient.disk, options).map(drop)] {
        let refused = refused.expect_err("a newer version seems to have written it");
        let Error::NotRepairable { path, reason } = &refused else { panic!("{refused}") };
        assert!(path.starts_with(directory) && reason.contains("a newer version"), "{refused}");
    }
    assert!(files_of(&patient.disk) == before, "something was changed");
}

fn forge_unknown_flag(patient: &Patient) {
    forge(patient, patient.last(), |record| record[FLAGS] |= UNKNOWN);
}

fn forge_unknown_kind(patient: &Patient) {
    let path = patient.record(patient.last()).path.clone();
    patient.change(path, |content| {
        let last = last_frame(content, DATA);
        content[last.start + 52] = 9;
        fix_frame(content, last);
    });
}

#[test]
fn what_a_newer_version_may_have_written_is_never_cut_off_by_a_repair__F26() -> Outcome {
    for forge in [forge_unknown_flag, forge_unknown_kind] {
        let patient = Patient::new(End::Killed);
        forge(&patient);
        check_newer(&patient, &accepting(), STORE);
        patient.disk.remove_file("/store/store.meta")?;
        check_newer(&patient, &accepting(), STORE);
        // It stands behind the place where the log would end.
        flip(&patient, 5, 90);
        check_newer(&patient, &accepting(), STORE);
        patient.disk.remove_file(log_path(2))?;
        check_newer(&patient, &accepting(), STORE);
    }
    Ok(())
}

#[test]
fn what_a_newer_version_may_have_written_isnt_taken_from_a_backup__F26() {
    for forge in [forge_unknown_flag, forge_unknown_kind] {
        let (patient, backup) = (Patient::new(End::Killed), Patient::new(End::Killed));
        forge(&backup);
        put_backup(&patient, &backup, &[]);
        let record = patient.record(patient.last()).clone();
        patient.change(&record.path, |content| content[record.frame.start..record.frame.end].fill(7));
        check_newer(&patient, &accepting().backup("/backup"), "/backup");
    }
}

#[test]
fn a_backups_event_that_opening_refuses_isnt_taken() {
    let last = Patient::new(End::Killed).last();
    let kept = before_frame_of(&Patient::new(End::Killed), last);
    let damage = |patient: &Patient| {
        let backup = Patient::new(End::Killed);
        forge(&backup, last, |record| record[FLAGS] &= !ID_IS_TEXT);
        put_backup(patient, &backup, &[]);
        let record = patient.record(last).clone();
        patient.change(&record.path, |content| content[record.frame.start..record.frame.end].fill(7));
    };
    check(End::Killed, &accepting().backup("/backup"), damage, kept);
}

#[test]
fn events_that_only_streams_dir_shows_to_have_been_durable_are_set_aside_too() {
    let original = Patient::new(End::Closed);
    let number = original.logs().len() as u64 - 1;
    let last = original.first_in(number + 1) - 1;
    let kept = before_frame_of(&original, last);
    // Without streams.dir this would be a write that was interrupted.
    let damage = |patient: &Patient| {
        patient.disk.remove_file(log_path(number + 1)).expect("it is there");
        patient.change("/store/durable.mark", |content| content.fill(0xAB));
        patient.change(log_path(number), |content| {
            content.truncate(last_frame(content, SEAL).start);
            let start = last_frame(content, DATA).start;
            content[start..(start / 512 + 1) * 512].fill(0);
        });
        assert!(intact(&verified(&patient.disk)).contains(&last));
    };
    check(End::Closed, &accepting(), damage, kept);
}

#[test]
fn a_segment_that_was_written_anew_is_never_cut_off_by_a_repair__F26() {
    let patient = Patient::new(End::Bare);
    // As a newer version leaves a segment of which it has erased something: its SEAL names the end that it had.
    patient.change(log_path(2), |content| {
        let seal = last_frame(content, SEAL);
        let logical_end = &mut content[seal.payload()..seal.payload() + 8];
        let before = u64::from_le_bytes(logical_end.try_into().expect("eight bytes"));
        logical_end.copy_from_slice(&(before + 4_096).to_le_bytes());
        fix_frame(content, seal);
    });
    let verification = verified(&patient.disk);
    assert!(
        verification.damage.iter().any(|damage| damage.reason.contains("written anew")),
        "{verification:#?}"
    );
    check_newer(&patient, &accepting(), STORE);
    patient.disk.remove_file("/store/store.meta").expect("it is there");
    check_newer(&patient, &accepting(), STORE);
}

#[test]
fn odd_names_in_quarantine_are_no_repairs() -> Outcome {
    let patient = Patient::small(End::Killed);
    for name in ["repair-18446744073709551615", "repair-18446744073709551614", "repair-+7", "repair-08"] {
        patient.disk.write_file(Path::new("/store/quarantine").join(name).join("done"), vec![])?;
    }
    flip(&patient, 5, 90);
    let repaired = repair(&patient.disk, &accepting())?;
    assert_eq!(repaired.folder.as_deref(), Some(Path::new("/store/quarantine/repair-1")));
    // The store tells of it, and can be repaired again.
    let tells = |number: u64| -> Outcome {
        let store = open(&patient.disk)?;
        let told = everything(&store).pop().ok_or("it has no event")?;
        assert_eq!(told.event_type, "$Repaired");
        assert_eq!(serde_json::from_slice::<Value>(&told.data)?["repair"], number);
        Ok(store.close()?)
    };
    tells(1)?;
    flip(&patient, 3, 90);
    let repaired = repair(&patient.disk, &accepting())?;
    assert_eq!(repaired.folder.as_deref(), Some(Path::new("/store/quarantine/repair-2")));
    tells(2)
}

#[test]
fn a_repair_behind_which_no_other_can_come_is_refused_before_anything_is_changed() -> Outcome {
    let patient = Patient::small(End::Killed);
    // The last but one is gone on from.
    patient.disk.write_file("/store/quarantine/repair-18446744073709551612/done", vec![])?;
    flip(&patient, 5, 90);
    let last = Path::new("/store/quarantine/repair-18446744073709551613");
    assert_eq!(repair(&patient.disk, &accepting())?.folder.as_deref(), Some(last));
    assert!(repair(&patient.disk, &accepting())?.folder.is_none(), "it is whole");
    flip(&patient, 3, 90);
    let before = files_of(&patient.disk);
    let refused = repair(&patient.disk, &accepting()).expect_err("there is no greater number");
    assert!(matches!(refused, Error::NotRepairable { .. }), "{refused}");
    assert!(refused.to_string().contains("repair-18446744073709551613 has the greatest number"), "{refused}");
    assert!(files_of(&patient.disk) == before, "something was changed");
    Ok(())
}
