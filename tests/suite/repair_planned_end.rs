//! Repairing what no writer of this version leaves: the store ends as it was planned to, or nothing is changed.

use annals::Error;

use crate::{
    log_bytes::fix_checksum_at_8,
    patient::{End, Patient, STORE, log_path, open, verified},
    repair::{accepting, files_of, flip, repair},
    repair_backup::put_backup,
    repair_refused::check_newer,
    support::Outcome,
};

/// Where store.meta has the number of the first segment, and where it ends.
const FIRST_SEGMENT: usize = 36;
const META_BYTES: usize = 44;

/// Where a repair keeps the first segment until its own name is free.
const ASIDE: u64 = 900_000_000_001;

/// A store whose first segments were dropped, so that its log begins with this one.
fn beginning_with(number: u64) -> Patient {
    let patient = Patient::new(End::Bare);
    for dropped in 1..number {
        patient.disk.remove_file(log_path(dropped)).expect("it is there");
    }
    patient.change("/store/store.meta", |content| {
        content[FIRST_SEGMENT..META_BYTES].copy_from_slice(&number.to_le_bytes());
        fix_checksum_at_8(content, META_BYTES);
    });
    patient
}

#[test]
fn a_log_whose_first_events_were_dropped_is_refused_before_anything_is_changed__F26() {
    for number in [2, 3] {
        let patient = beginning_with(number);
        let refused = open(&patient.disk).expect_err("this version can't read it");
        assert!(refused.to_string().contains("doesn't begin with its first event"), "{refused}");
        let found = verified(&patient.disk);
        assert_eq!(found.damage[0].path, log_path(number), "{found:#?}");
        check_newer(&patient, &accepting(), STORE);
        // Nothing of it would be kept.
        flip(&patient, patient.first_in(number), 90);
        check_newer(&patient, &accepting(), STORE);
        let whole = Patient::new(End::Bare);
        put_backup(&patient, &whole, &[]);
        check_newer(&patient, &accepting().backup("/backup"), STORE);
    }
}

#[test]
fn a_segment_isnt_kept_aside_under_a_name_that_is_taken() -> Outcome {
    let swapped = || -> annals::Result<Patient> {
        let patient = Patient::new(End::Bare);
        let [first, second] = [1, 2].map(|number| patient.disk.read_file(log_path(number)).expect("a log"));
        patient.disk.write_file(log_path(2), first).expect("surgery");
        patient.disk.write_file(log_path(1), second).expect("surgery");
        Ok(patient)
    };
    let patient = swapped()?;
    repair(&patient.disk, &accepting())?;
    assert!(verified(&patient.disk).is_whole());
    // Another segment has that name, or a file that is none.
    for taken in [3, 0] {
        let patient = swapped()?;
        if taken == 0 {
            patient.disk.write_file(log_path(ASIDE), b"nothing of the store's".to_vec())?;
        } else {
            let content = patient.disk.read_file(log_path(taken)).ok_or("a log")?;
            patient.disk.write_file(log_path(ASIDE), content)?;
            patient.disk.remove_file(log_path(taken))?;
        }
        let before = files_of(&patient.disk);
        let refused = repair(&patient.disk, &accepting()).expect_err("its name is taken");
        let Error::NotRepairable { path, reason } = &refused else { panic!("{refused}") };
        assert!(*path == log_path(ASIDE) && reason.contains("move it out"), "{refused}");
        assert!(files_of(&patient.disk) == before, "something was changed");
        patient.disk.remove_file(path)?;
        repair(&patient.disk, &accepting())?;
        assert!(verified(&patient.disk).is_whole());
    }
    Ok(())
}
