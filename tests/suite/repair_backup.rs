//! Repairing with a backup, and what a repair does to one.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    BackupError, BackupOptions, Error, Linking, Options, RepairOptions, RepairStep, SEGMENT_BYTES_MIN,
    SimDisk, backup_on, repair_on,
};

use crate::{
    log_bytes::{SEAL, last_frame},
    patient::{End, Patient, STORE, append, intact, log_path, open, verified},
    repair::{accepting, check, check_repaired, files_of, flip, repair},
    support::Outcome,
};

/// Puts a copy of a patient's store on another's disk, as a backup.
pub(crate) fn put_backup(patient: &Patient, backup: &Patient, without: &[&str]) {
    for (path, content) in files_of(&backup.disk) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let is_derived =
            path.extension() == Some("idx".as_ref()) || name == "streams.dir" || name == "durable.mark";
        if !is_derived && !without.contains(&name) {
            let below = path.strip_prefix(STORE).expect("a file of the store");
            patient.disk.write_file(Path::new("/backup").join(below), content).expect("surgery");
        }
    }
}

#[test]
fn a_backup_gives_back_what_is_damaged() {
    let all = Patient::new(End::Closed).last();
    let options = RepairOptions::new().backup("/backup");
    let damages: [fn(&Patient); 6] = [
        |patient| flip(patient, 20, 90),
        |patient| {
            flip(patient, 1, 0);
            flip(patient, 33, 2);
            flip(patient, 59, 90);
        },
        |patient| patient.disk.remove_file(log_path(1)).expect("it is there"),
        |patient| patient.disk.remove_file(log_path(2)).expect("it is there"),
        |patient| patient.change(log_path(2), |content| content.truncate(900)),
        |patient| patient.change(log_path(3), |content| content[..1_500].fill(0)),
    ];
    for end in [End::Closed, End::Bare] {
        for damage in damages {
            let with_backup = |patient: &Patient| {
                put_backup(patient, &Patient::new(End::Closed), &[]);
                damage(patient);
            };
            let repaired = check(end, &options, with_backup, all);
            assert!(!repaired.plan.loses_events() && !repaired.plan.restored.is_empty(), "{}", repaired.plan);
        }
    }
}

#[test]
fn a_backup_gives_back_a_last_segment_that_is_gone() {
    let patient = Patient::new(End::Closed);
    let last = patient.logs().len() as u64;
    let damage = |patient: &Patient| {
        put_backup(patient, &Patient::new(End::Closed), &[]);
        patient.disk.remove_file(log_path(last)).expect("it is there");
    };
    check(End::Closed, &RepairOptions::new().backup("/backup"), damage, patient.last());
}

#[test]
fn an_older_backup_gives_back_what_it_has() {
    let damage = |patient: &Patient| {
        // It ends within the third segment.
        put_backup(
            patient,
            &Patient::new(End::Closed),
            &["000000000003.log", "000000000004.log", "000000000005.log"],
        );
        flip(patient, 2, 90);
        flip(patient, 44, 90);
    };
    let repaired = check(End::Closed, &accepting().backup("/backup"), damage, 43);
    assert_eq!(repaired.plan.restored.len(), 1, "{}", repaired.plan);
    // What was restored isn't among the lost.
    let lost = &Patient::new(End::Closed).events[43];
    let (versions, plan) = (&repaired.plan.lost_versions, &repaired.plan);
    assert_eq!((versions.len(), plan.events_lost, plan.lost.len()), (1, Some(1), 1), "{plan}");
    assert_eq!((versions[0].first, versions[0].last), (lost.version, lost.version), "{plan}");
    assert_eq!(versions[0].stream.as_ref(), Some(&lost.stream), "{plan}");
    let ids: Vec<_> = plan.lost_ids.iter().map(|it| (it.position, it.seeming_id.clone())).collect();
    assert_eq!(ids, [(lost.position, lost.id.clone())], "{plan}");
}

/// Makes a backup of a patient beside it, as `annals backup` does.
pub(crate) fn back_up(patient: &Patient, linking: Linking) {
    let disk = Arc::new(patient.disk.mount());
    let options = BackupOptions::new().linking(linking);
    let report =
        backup_on(disk, STORE, "/backup", &options, &mut |_| ControlFlow::Continue(())).expect("a backup");
    assert_eq!(report.segments_linked > 0, linking == Linking::WherePossible, "{report:?}");
}

pub(crate) fn backup_of(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    files_of(disk).into_iter().filter(|(path, _)| path.starts_with("/backup")).collect()
}

#[test]
fn what_annals_backup_has_made_gives_everything_back() {
    let all = Patient::new(End::Closed).last();
    for end in [End::Closed, End::Killed] {
        let damage = |patient: &Patient| {
            back_up(patient, Linking::Never);
            flip(patient, 2, 90);
            patient.disk.remove_file(log_path(2)).expect("it is there");
            flip(patient, 44, 90);
        };
        let repaired = check(end, &RepairOptions::new().backup("/backup"), damage, all);
        assert!(!repaired.plan.loses_events(), "{}", repaired.plan);
    }
}

#[test]
fn a_backup_whose_files_are_links_stays_as_it_was() -> Outcome {
    let patient = Patient::new(End::Closed);
    let original = patient.copy();
    back_up(&patient, Linking::WherePossible);
    let end = last_frame(&patient.logs()[0].1, SEAL).end;
    // One of them is cut, padding is mended in another, and one is taken out.
    patient.change(log_path(1), |content| content[end - 1] ^= 1);
    flip(&patient, patient.first_in(3) + 4, 90);
    let readable = intact(&verified(&patient.disk));
    let before = backup_of(&patient.disk);
    repair(&patient.disk, &accepting())?;
    check_repaired(&original, &patient.disk, &readable);
    assert!(backup_of(&patient.disk) == before, "the backup was changed");
    Ok(())
}

#[test]
fn a_backup_whose_files_are_links_stays_as_it_was_where_the_log_ends_between_two_of_them() -> Outcome {
    let patient = Patient::new(End::Closed);
    let original = patient.copy();
    back_up(&patient, Linking::WherePossible);
    patient.disk.remove_file(log_path(3))?;
    // So that no mark says where the log ends then.
    patient.disk.remove_file("/store/durable.mark")?;
    let readable = intact(&verified(&patient.disk));
    let before = backup_of(&patient.disk);
    let repaired = repair(&patient.disk, &accepting())?;
    assert!(
        repaired.plan.steps.iter().any(|step| matches!(step, RepairStep::WriteMark { .. })),
        "{}",
        repaired.plan
    );
    assert!(backup_of(&patient.disk) == before, "the repair has changed the backup");
    check_repaired(&original, &patient.disk, &readable);
    append(&open(&patient.disk)?, 0..3);
    assert!(backup_of(&patient.disk) == before, "what came after has changed the backup");
    Ok(())
}

#[test]
fn a_backup_of_another_store_is_refused() -> Outcome {
    let patient = Patient::new(End::Closed);
    let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
    let other = annals::EventStore::open_on(Arc::new(patient.disk.mount()), "/backup", options)?;
    append(&other, 0..20);
    other.close()?;
    flip(&patient, 20, 90);
    let before = files_of(&patient.disk);
    let refused = repair(&patient.disk, &RepairOptions::new().backup("/backup")).expect_err("another store");
    assert!(refused.to_string().contains("can't be used as a backup: it is another store"), "{refused}");
    let refused = repair(&patient.disk, &RepairOptions::new().backup("/nowhere")).expect_err("nothing there");
    assert!(matches!(refused, Error::Backup(BackupError::NotABackup { .. })), "{refused}");
    assert!(files_of(&patient.disk) == before, "something was changed");
    Ok(())
}

#[test]
fn a_segment_that_ends_inside_its_seal_is_made_whole_with_a_backup_or_without() {
    let all = Patient::new(End::Closed).last();
    for end in [End::Closed, End::Bare] {
        for (number, cut, own_is_there) in [(1, 1, true), (2, 48, true), (3, 17, true), (2, 48, false)] {
            let damage = |patient: &Patient| {
                let shorten = |content: &mut Vec<u8>| content.truncate(content.len() - cut);
                let backup = Patient::new(End::Closed);
                backup.change(log_path(number), shorten);
                put_backup(patient, &backup, &[]);
                if own_is_there {
                    patient.change(log_path(number), shorten);
                } else {
                    patient.disk.remove_file(log_path(number)).expect("it is there");
                }
            };
            let repaired = check(end, &RepairOptions::new().backup("/backup"), damage, all);
            assert_eq!(repaired.plan.restored.is_empty(), own_is_there, "{}", repaired.plan);
        }
    }
}

#[test]
fn a_directory_of_backups_isnt_repaired() {
    let patient = Patient::new(End::Closed);
    back_up(&patient, Linking::Never);
    let path = Path::new("/backup/segments/000000000002.log");
    patient.change(path, |content| content[900] ^= 1);
    let before = files_of(&patient.disk);
    let disk = Arc::new(patient.disk.mount());
    let refused = repair_on(disk, "/backup", &accepting(), &mut |_| ControlFlow::Continue(()));
    let refused = refused.expect_err("it is no store of its own").to_string();
    assert!(refused.contains("directory of backups") && refused.contains("annals restore"), "{refused}");
    assert!(files_of(&patient.disk) == before, "something was changed");
}

fn is_no_backup(error: &Error, backup: &str) -> bool {
    matches!(error, Error::Backup(BackupError::NotABackup { path, .. }) if path == Path::new(backup))
}

#[test]
fn a_backup_that_is_none_is_an_error_where_the_store_is_whole_too() -> Outcome {
    let patient = Patient::new(End::Closed);
    let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
    let other = annals::EventStore::open_on(Arc::new(patient.disk.mount()), "/backup", options)?;
    append(&other, 0..20);
    other.close()?;
    let before = files_of(&patient.disk);
    for (backup, reason) in [("/nowhere", "nothing is there"), ("/backup", "it is another store")] {
        let refused = repair(&patient.disk, &accepting().backup(backup)).expect_err("it is no backup");
        assert!(is_no_backup(&refused, backup), "{refused}");
        assert!(refused.to_string().contains(reason), "{refused}");
    }
    assert!(files_of(&patient.disk) == before, "something was changed");
    Ok(())
}

#[test]
fn what_a_repair_makes_is_readable_by_the_group_where_the_store_is() -> Outcome {
    use std::os::unix::fs::PermissionsExt;

    let around = tempfile::tempdir()?;
    let [path, backup] = ["store", "backup"].map(|name| around.path().join(name));
    let store = annals::EventStore::open(&path)?;
    append(&store, 0..20);
    store.close()?;
    annals::backup(&path, &backup, &BackupOptions::new().linking(Linking::Never), &mut |_| {
        ControlFlow::Continue(())
    })?;
    let mode_of = |path: &Path| -> io::Result<u32> { Ok(fs::metadata(path)?.permissions().mode() & 0o777) };
    // Less what the umask takes.
    let given = around.path().join("given");
    fs::create_dir(&given)?;
    let left = mode_of(&given)?;
    fs::remove_dir_all(path.join("segments"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750))?;
    let options = RepairOptions::new().backup(&backup);
    let repaired = annals::repair(&path, &options, &mut |_| ControlFlow::Continue(()))?;
    let folder = repaired.folder.ok_or("a folder")?;
    for directory in [&path.join("segments"), &path.join("quarantine"), &folder] {
        assert_eq!(mode_of(directory)?, left & 0o750, "{}", directory.display());
    }
    for file in [path.join("segments/000000000001.log"), folder.join("report.json")] {
        assert_eq!(mode_of(&file)?, left & 0o640, "{}", file.display());
    }
    Ok(())
}
