//! Verifying: what is damaged is found, and told as it is; what is whole is called whole.

use std::{ops::ControlFlow, sync::Arc};

use annals::{
    Error, EventData, EventStore, ExpectedVersion, Extent, FindingKind, Options, SnapshotData, Verification,
};

use crate::{
    log_bytes::{EPOCH, SEAL, SEGMENT_HEADER_BYTES, frames, last_frame},
    patient::{
        End, Patient, STORE, index_path, intact, log_path, lost, lost_ids, lost_versions, open, verified,
        versions_of,
    },
    support::{Outcome, buffered, store_with, stream, version},
};

/// What must hold of every verification of a patient.
#[track_caller]
fn check_counts(patient: &Patient, verification: &Verification) {
    let lost = lost(verification, patient.last());
    let intact = intact(verification);
    assert!(lost.iter().all(|position| !intact.contains(position)), "{verification:?}");
    assert_eq!(verification.events, intact.len() as u64, "{verification:?}");
    let ids = lost_ids(verification);
    assert!(ids.is_sorted() && ids.iter().all(|(position, _)| lost.contains(position)), "{verification:?}");
    if let Some(count) = verification.events_lost {
        assert_eq!(count, lost.len() as u64, "{verification:?}");
        assert_eq!(lost.len() + intact.len(), patient.events.len(), "{verification:?}");
    }
}

/// Damages a patient, and expects these positions to be lost, with their streams and versions, and no other.
#[track_caller]
fn check_lost(end: End, damage: impl FnOnce(&Patient), expected: &[u64]) -> Verification {
    let patient = Patient::new(end);
    damage(&patient);
    let verification = verified(&patient.disk);
    assert!(!verification.is_whole());
    check_counts(&patient, &verification);
    assert_eq!(lost(&verification, patient.last()), expected, "{verification:#?}");
    let (found, mut all) = (lost_versions(&verification), versions_of(&patient.events, expected));
    // A stream whose events are all gone has no name any more.
    let is_left = |name: &str| {
        patient
            .events
            .iter()
            .any(|event| event.stream.as_str() == name && !expected.contains(&event.position.get()))
    };
    let is_unnamed = found.iter().any(|(name, _)| name == "?");
    all.iter_mut().filter(|(name, _)| is_unnamed && !is_left(name)).for_each(|(name, _)| *name = "?".into());
    all.sort();
    if end == End::Closed {
        assert_eq!(found, all, "{verification:#?}");
    } else {
        // Without an index file a stream's loss is told by what comes later of it.
        assert!(found.iter().all(|version| all.contains(version)), "{verification:#?}");
        let last = expected.last().copied().unwrap_or(0);
        let comes_later = |name: &str| {
            patient.events.iter().any(|event| event.position.get() > last && event.stream.as_str() == name)
        };
        let told = all.iter().filter(|(name, _)| comes_later(name));
        assert!(told.into_iter().all(|version| found.contains(version)), "{verification:#?}");
    }
    verification
}

#[test]
fn a_whole_store_is_whole_with_all_that_rests_on_it() {
    for end in [End::Closed, End::Killed, End::Bare] {
        let patient = Patient::new(end);
        let verification = verified(&patient.disk);
        assert!(verification.is_whole() && verification.findings.is_empty(), "{end:?}: {verification:#?}");
        assert_eq!(verification.extent, Extent::Whole);
        let logs = patient.logs().len() as u64;
        assert_eq!((verification.events, verification.events_lost), (patient.last(), Some(0)));
        assert_eq!((verification.streams, verification.checkpoints), (6, 1));
        assert_eq!(verification.segments, logs);
        let index_files = verification.index_files;
        match end {
            End::Closed => assert_eq!(index_files, logs + 1, "{verification:#?}"),
            End::Killed => assert!((1..=logs).contains(&index_files), "{verification:#?}"),
            End::Bare => assert_eq!(index_files, 0),
        }
        assert_eq!(intact(&verification), (1..=patient.last()).collect::<Vec<_>>());
    }
}

#[test]
fn a_flipped_bit_in_a_record_loses_that_event_alone() {
    for end in [End::Closed, End::Killed, End::Bare] {
        for position in [1, 2, 3, 17, 30, 44, 58] {
            check_lost(end, |patient| patient.flip(position, 90), &[position]);
        }
    }
}

/// An event's record: its fixed part, its id of 8 bytes from byte 56 on, its stream, its type, its data from byte 83 on.
#[test]
fn the_id_of_a_damaged_event_is_told_as_far_as_its_bytes_show_it() {
    let right = Patient::new(End::Bare).events[16].id.to_string();
    assert_eq!(right, "event-17");
    for end in [End::Closed, End::Bare] {
        let told = |at| lost_ids(&check_lost(end, |patient| patient.flip(17, at), &[17]));
        assert_eq!(told(90), [(17, right.clone())], "its data");
        assert_eq!(told(72), [(17, right.clone())], "its type's name");
        // No checksum vouches for an id whose own bytes are damaged: it is no more than what they seem to say.
        assert_eq!(told(62), [(17, "event-57".to_owned())], "its id");
        // Nobody knows where it ends, or that it is this event's.
        for at in [1, 8, 40, 48, 54] {
            assert_eq!(told(at), [], "byte {at}");
        }
    }
}

#[test]
fn damage_in_many_places_is_told_place_by_place() {
    for end in [End::Closed, End::Bare] {
        let positions = [2, 5, 6, 20, 33, 44, 45, 59];
        let damage = |patient: &Patient| positions.iter().for_each(|position| patient.flip(*position, 90));
        let verification = check_lost(end, damage, &positions);
        let frames: std::collections::BTreeSet<_> = positions.map(frame_of).into();
        assert_eq!(verification.damage.len(), frames.len(), "{verification:#?}");
    }
}

fn frame_of(position: u64) -> (std::path::PathBuf, usize) {
    let patient = Patient::new(End::Closed);
    let record = patient.record(position);
    (record.path.clone(), record.frame.start)
}

#[test]
fn events_behind_a_damaged_length_are_found_again() {
    for end in [End::Closed, End::Bare] {
        // The first and second of the three events of a commit: the third is whole, and leads to the frame's end.
        for position in [1, 2, 16, 17, 43] {
            check_lost(end, |patient| patient.flip(position, 1), &[position]);
        }
    }
}

#[test]
fn a_damaged_frame_header_loses_no_event() {
    for end in [End::Closed, End::Bare] {
        for position in [1, 16, 28, 43] {
            let damage = |patient: &Patient| {
                let record = patient.record(position).clone();
                patient.change(&record.path, |content| content[record.frame.start + 20] ^= 1);
            };
            let verification = check_lost(end, damage, &[]);
            assert_eq!(verification.damage.len(), 1);
            assert_eq!(verification.damage[0].events_lost, Some(0));
        }
    }
}

#[test]
fn damage_to_what_belongs_to_no_event_loses_none() {
    let flip_at = |end: End, place: &dyn Fn(&[u8]) -> usize| {
        let damage = |patient: &Patient| {
            patient.change(log_path(2), |content| {
                let at = place(content);
                content[at] ^= 1;
            });
        };
        check_lost(end, damage, &[])
    };
    for end in [End::Closed, End::Bare] {
        flip_at(end, &|content| last_frame(content, SEAL).start + 70);
        flip_at(end, &|content| last_frame(content, SEAL).start + 10);
        flip_at(end, &|content| {
            let padded = frames(content).into_iter().find(|frame| frame.payload_end < frame.end);
            padded.expect("a frame with padding").end - 1
        });
        // The segment's header: what it was stands in the SEAL before it.
        flip_at(end, &|_| 30);
        flip_at(end, &|_| SEGMENT_HEADER_BYTES - 1);
        let damage = |patient: &Patient| {
            patient.change(log_path(1), |content| {
                let epoch = last_frame(content, EPOCH);
                content[epoch.payload() + 9] ^= 1;
            });
        };
        check_lost(end, damage, &[]);
    }
}

#[test]
fn a_zeroed_block_loses_the_events_that_it_has() {
    for end in [End::Closed, End::Killed] {
        let patient = Patient::new(end);
        for block in 2..patient.logs()[0].1.len() / 512 {
            let damaged = patient.copy();
            damaged.change(log_path(1), |content| content[block * 512..(block + 1) * 512].fill(0));
            let touched = damaged.touched(&patient);
            let verification = verified(&damaged.disk);
            check_counts(&patient, &verification);
            assert_eq!(lost(&verification, patient.last()), touched, "block {block}: {verification:#?}");
            assert_eq!(lost_versions(&verification), versions_of(&patient.events, &touched));
            for (position, id) in lost_ids(&verification) {
                let event = &patient.events[usize::try_from(position - 1).expect("few")];
                assert_eq!(event.id.to_string(), id, "block {block}: {verification:#?}");
            }
        }
    }
}

#[test]
fn a_sealed_segment_that_is_cut_short_loses_what_was_behind() {
    for end in [End::Closed, End::Bare] {
        let first = Patient::new(end).first_in(2);
        let patient = Patient::new(end);
        let behind = patient.records.iter().filter(|it| it.path == log_path(2) && it.position > first);
        let lost: Vec<u64> = behind.map(|record| record.position).collect();
        let cut = patient.record(first).bytes.end;
        let damage = |patient: &Patient| patient.change(log_path(2), |content| content.truncate(cut));
        check_lost(end, damage, &lost);
    }
}

fn positions_in(patient: &Patient, number: u64) -> Vec<u64> {
    let there = patient.records.iter().filter(|record| record.path == log_path(number));
    there.map(|record| record.position).collect()
}

#[test]
fn missing_segments_are_named_with_what_was_in_them() {
    let last = Patient::new(End::Closed).logs().len() as u64;
    assert!(last >= 4, "{last} segments");
    for end in [End::Closed, End::Bare] {
        for number in 1..last {
            let expected = positions_in(&Patient::new(end), number);
            let verification = check_lost(
                end,
                |patient| patient.disk.remove_file(log_path(number)).expect("it is there"),
                &expected,
            );
            let damage = &verification.damage[0];
            assert_eq!(damage.path, log_path(number));
            assert!(
                damage.reason.starts_with("this segment is missing, though segment "),
                "{}",
                damage.reason
            );
            assert_eq!(damage.events_lost, Some(expected.len() as u64));
        }
    }
}

#[test]
fn a_missing_last_segment_is_told_by_durable_mark_and_by_the_stream_directory() {
    for witness in ["/store/streams.dir", "/store/durable.mark"] {
        let patient = Patient::new(End::Closed);
        let last = patient.logs().len() as u64;
        let before = patient.first_in(last) - 1;
        patient.disk.remove_file(log_path(last)).expect("it is there");
        patient.disk.remove_file(witness).expect("it is there");
        assert!(open(&patient.disk).is_err(), "the other one tells it when the store is opened, too");
        let verification = verified(&patient.disk);
        assert_eq!(verification.damage.len(), 1, "{verification:#?}");
        assert!(verification.damage[0].reason.contains("is missing"), "{}", verification.damage[0].reason);
        assert_eq!((verification.events, verification.events_lost), (before, None));
        assert_eq!((verification.lost[0].first.get(), verification.lost[0].last), (before + 1, None));
    }
}

#[test]
fn segments_whose_names_were_exchanged_are_read_by_their_headers() {
    let damage = |patient: &Patient| {
        let logs = patient.logs();
        patient.disk.write_file(&logs[1].0, logs[2].1.clone()).expect("surgery");
        patient.disk.write_file(&logs[2].0, logs[1].1.clone()).expect("surgery");
    };
    for end in [End::Closed, End::Bare] {
        let verification = check_lost(end, damage, &[]);
        assert_eq!(verification.damage.len(), 2, "{verification:#?}");
        assert!(verification.damage[0].reason.contains("under another's name"), "{verification:#?}");
    }
}

#[test]
fn a_segment_in_anothers_place_is_named() {
    let expected = positions_in(&Patient::new(End::Bare), 2);
    let double = |patient: &Patient| {
        let first = patient.logs()[0].1.clone();
        patient.disk.write_file(log_path(2), first).expect("surgery");
    };
    let verification = check_lost(End::Bare, double, &expected);
    assert!(verification.damage[0].reason.contains("names another number"), "{verification:#?}");
    let foreign = |patient: &Patient| {
        patient.change(log_path(2), |content| {
            content[16] ^= 1;
            crate::log_bytes::fix_checksum_at_8(content, SEGMENT_HEADER_BYTES);
        });
    };
    let verification = check_lost(End::Bare, foreign, &expected);
    assert!(verification.damage[0].reason.contains("from another store"), "{verification:#?}");
}

#[test]
fn bytes_that_the_disk_cant_read_are_damage_and_the_rest_is_read() {
    for end in [End::Closed, End::Bare] {
        let patient = Patient::new(end);
        let record = patient.record(20).clone();
        let sector = (record.bytes.start / 512 * 512) as u64;
        patient.disk.fail_reads(&record.path, sector..sector + 512).expect("it is there");
        let verification = verified(&patient.disk);
        check_counts(&patient, &verification);
        assert!(verification.damage[0].reason.starts_with("the disk can't read"), "{verification:#?}");
        assert!(lost(&verification, patient.last()).contains(&20));
        assert!(verification.events > 0);
    }
}

#[test]
fn zeros_that_the_disk_cant_read_are_damage_too() -> Outcome {
    let disk = annals::SimDisk::new(3);
    let options = Options::new().segment_bytes(16 << 10);
    let store = EventStore::open_on(Arc::new(disk.mount()), STORE, options)?;
    for _ in 0..9 {
        store.append(
            &stream("scans-1"),
            ExpectedVersion::Any,
            [EventData::new("Scanned", vec![0; 4 << 10])],
        )?;
    }
    store.close()?;
    for number in 1..=3 {
        let disk = disk.snapshot(2);
        let log = disk.read_file(log_path(number)).ok_or("a log")?;
        let zeros =
            log.chunks(512).position(|sector| sector.iter().all(|byte| *byte == 0)).ok_or("zeros")? as u64;
        disk.fail_reads(log_path(number), zeros * 512..(zeros + 1) * 512)?;
        let found = verified(&disk);
        assert_eq!((found.damage.len(), found.events, found.events_lost), (1, 9, Some(0)), "{found:#?}");
        let damage = &found.damage[0];
        assert_eq!((damage.path.as_path(), damage.offset), (log_path(number).as_path(), zeros * 512));
        assert!(damage.reason.starts_with("the disk can't read the bytes"), "{}", damage.reason);
    }
    Ok(())
}

#[test]
fn store_meta_that_is_damaged_or_gone_hides_no_event() {
    let flip = |patient: &Patient| patient.change("/store/store.meta", |content| content[25] ^= 1);
    let verification = check_lost(End::Closed, flip, &[]);
    assert_eq!(verification.damage[0].path, std::path::Path::new("/store/store.meta"));
    let remove = |patient: &Patient| patient.disk.remove_file("/store/store.meta").expect("it is there");
    let verification = check_lost(End::Closed, remove, &[]);
    assert!(verification.damage[0].reason.contains("missing"));
}

/// Findings, and no damage.
#[track_caller]
pub(crate) fn check_finding(kind: FindingKind, end: End, damage: impl FnOnce(&Patient)) -> String {
    let patient = Patient::new(end);
    damage(&patient);
    let verification = verified(&patient.disk);
    assert!(verification.is_whole(), "{verification:#?}");
    assert_eq!(verification.events, patient.last());
    assert_eq!(verification.findings.len(), 1, "{verification:#?}");
    assert_eq!(verification.findings[0].kind, kind);
    verification.findings[0].reason.clone()
}

#[test]
fn every_damaged_byte_of_an_index_file_is_found_and_no_damage_to_events() {
    let patient = Patient::new(End::Closed);
    let files = [index_path(1), index_path(4), "/store/streams.dir".into()];
    for path in files {
        let content = patient.disk.read_file(&path).expect("it is there");
        for at in (0..content.len()).step_by(97) {
            let damaged = patient.copy();
            damaged.change(&path, |content| content[at] ^= 64);
            let verification = verified(&damaged.disk);
            assert!(verification.is_whole(), "{verification:#?}");
            assert_eq!(verification.findings.len(), 1, "byte {at} of {}", path.display());
            assert_eq!(verification.findings[0].path, path);
        }
    }
}

#[test]
fn an_index_of_another_moment_is_found() {
    let stale = |patient: &Patient| {
        let other = patient.disk.read_file(index_path(1)).expect("it is there");
        patient.disk.write_file(index_path(2), other).expect("surgery");
    };
    check_finding(FindingKind::Index, End::Closed, stale);
    let cut = |patient: &Patient| patient.change(index_path(2), |content| content.truncate(5_000));
    check_finding(FindingKind::Index, End::Closed, cut);
    let other_directory = |patient: &Patient| {
        let other = patient.disk.read_file(index_path(1)).expect("it is there");
        patient.disk.write_file("/store/streams.dir", other).expect("surgery");
    };
    check_finding(FindingKind::Directory, End::Closed, other_directory);
    let no_mark = |patient: &Patient| patient.change("/store/durable.mark", |content| content.fill(0xAB));
    check_finding(FindingKind::Mark, End::Bare, no_mark);
}

#[test]
fn missing_index_files_are_no_finding() {
    let patient = Patient::new(End::Closed);
    for path in [index_path(1), index_path(3), "/store/streams.dir".into()] {
        patient.disk.remove_file(path).expect("it is there");
    }
    let verification = verified(&patient.disk);
    assert!(verification.is_whole() && verification.findings.is_empty(), "{verification:#?}");
}

#[test]
fn snapshots_are_compared_with_their_events() -> Outcome {
    let patient = Patient::new(End::Closed);
    let store = open(&patient.disk)?;
    for (name, at) in [("order-0", 2), ("order-1", 5), ("order-4", 12)] {
        store.save_snapshot(&stream(name), version(at), SnapshotData::json("Order", &at)?)?;
    }
    store.close()?;
    let verification = verified(&patient.disk);
    assert_eq!((verification.snapshots, verification.findings.len()), (3, 0), "{verification:#?}");
    let snapshots: Vec<_> =
        patient.disk.files().into_iter().filter(|path| path.extension() == Some("snap".as_ref())).collect();
    let content = patient.disk.read_file(&snapshots[0]).ok_or("it is there")?;
    for at in 0..content.len() {
        let damaged = patient.copy();
        damaged.change(&snapshots[0], |content| content[at] ^= 1);
        let verification = verified(&damaged.disk);
        assert!(verification.is_whole());
        assert_eq!(verification.findings.len(), 1, "byte {at}: {verification:#?}");
        assert_eq!(verification.findings[0].kind, FindingKind::Snapshot);
    }
    // One whose event can't be read.
    patient.flip(
        patient
            .events
            .iter()
            .find(|it| it.stream == stream("order-1") && it.version == version(5))
            .ok_or("there")?
            .position
            .get(),
        90,
    );
    let verification = verified(&patient.disk);
    assert_eq!(verification.findings.len(), 1, "{verification:#?}");
    assert!(verification.findings[0].reason.contains("isn't in the log"));
    Ok(())
}

#[test]
fn large_segments_which_are_looked_at_several_at_once_are_told_as_they_are() -> Outcome {
    let store = store_with(buffered().segment_bytes(5 << 20));
    let path = store.path().to_owned();
    for number in 0..80 {
        let name = stream(&format!("order-{}", number % 7));
        let data = (0..4).map(|_| EventData::new("Scanned", vec![number; 64 << 10]));
        store.append(&name, ExpectedVersion::Any, data)?;
    }
    let (store, _directory) = store.into_parts();
    store.close()?;
    let mut told = Vec::new();
    let verification = annals::verify(&path, &mut |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    })?;
    assert!(verification.is_whole() && verification.findings.is_empty(), "{verification:#?}");
    assert_eq!((verification.events, verification.streams, verification.segments), (320, 7, 5));
    assert_eq!(verification.index_files, 6);
    assert!(told.is_sorted_by_key(|progress| progress.bytes), "progress goes forwards");
    assert!(
        told.last().is_some_and(|last| last.bytes == last.bytes_total && last.bytes == verification.bytes)
    );

    let log = path.join("segments/000000000002.log");
    let mut content = std::fs::read(&log)?;
    let at = content.len() / 2;
    content[at] ^= 1;
    std::fs::write(&log, content)?;
    let verification = annals::verify(&path, &mut |_| ControlFlow::Continue(()))?;
    assert_eq!((verification.damage.len(), verification.events), (1, 319), "{verification:#?}");
    assert_eq!((verification.damage[0].path.as_path(), verification.lost.len()), (log.as_path(), 1));
    assert_eq!(verification.lost_versions.len(), 1, "{verification:#?}");
    Ok(())
}

#[test]
fn a_place_without_a_store_is_none() -> Outcome {
    let directory = tempfile::tempdir()?;
    let refused =
        annals::verify(directory.path(), &mut |_| ControlFlow::Continue(())).expect_err("nothing is there");
    assert!(matches!(refused, Error::NotAStore { .. }), "{refused}");
    Ok(())
}
