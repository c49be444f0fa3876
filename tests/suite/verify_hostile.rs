//! Verifying what another program has written, with checksums that are right: it is told what doesn't fit, in bounded room and time.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{EventData, EventStore, ExpectedVersion, FindingKind, LISTED_MAX, Options, SimDisk, verify};

use crate::{
    backup::on,
    log_bytes::{self, DATA, SEAL, SEGMENT_HEADER_BYTES, fix_frame, fix_record, frames, last_frame},
    patient::{End, Patient, STORE, intact, log_path, lost, lost_ids, records_of, verified},
    support::{Outcome, buffered, events, store_with, stream},
    verify::check_finding,
};

#[test]
fn a_checkpoint_whose_event_is_another_is_found() {
    let reason = check_finding(FindingKind::Checkpoint, End::Bare, |patient| {
        let saved = patient.events.iter().find(|event| event.event_type == "$CheckpointSaved");
        forge(patient, saved.expect("a checkpoint").position.get(), |record| {
            let at = record.windows(12).position(|part| part == b"\"position\":3").expect("the position");
            record[at + 11] = b'4';
        });
    });
    assert!(reason.contains("\"mailer\"") && reason.contains("another one"), "{reason}");
}

#[test]
fn a_version_that_doesnt_go_on_from_an_earlier_segment_is_damage() {
    let last = Patient::new(End::Bare).logs().len() as u64;
    for number in [last - 1, last] {
        let patient = Patient::new(End::Bare);
        let begins = usize::try_from(patient.first_in(number) - 1).expect("few");
        let (before, behind) = patient.events.split_at(begins);
        let first = behind.iter().find(|event| before.iter().any(|other| other.stream == event.stream));
        let first = first.expect("a stream that goes on in this segment");
        for event in behind.iter().filter(|event| event.stream == first.stream) {
            forge(&patient, event.position.get(), |record| record[16] += 1);
        }
        let verification = verified(&patient.disk);
        assert_eq!(verification.damage.len(), 1, "{verification:#?}");
        assert_eq!(verification.damage[0].path, log_path(number));
        assert!(verification.damage[0].reason.ends_with("go on from those before"), "{verification:#?}");
        assert_eq!(verification.damage[0].intact, Some(first.position.previous()));
    }
}

/// Changes a record as another program would have written it: its checksums are right, and the chain behind it too.
pub(crate) fn forge(patient: &Patient, position: u64, change: impl FnOnce(&mut [u8])) {
    let record = patient.record(position).clone();
    patient.change(&record.path, |content| {
        let all = frames(content);
        change(&mut content[record.bytes.clone()]);
        fix_record(content, record.bytes.start);
        let mut chain = None;
        for frame in all.iter().filter(|frame| frame.start >= record.frame.start) {
            if let Some(chain) = chain {
                log_bytes::put_u32(content, frame.start + 32, chain);
            }
            if frame.kind == SEAL {
                let before = chain.expect("frames before it");
                log_bytes::put_u32(content, frame.payload() + 8, before);
            }
            chain = Some(fix_frame(content, *frame));
        }
    });
    relink(patient, &record.path);
}

/// Makes the segments behind one go on from its end.
fn relink(patient: &Patient, from: &Path) {
    let logs = patient.logs();
    let first = logs.iter().position(|(path, _)| path == from).expect("a segment");
    for number in first..logs.len() - 1 {
        let before = patient.disk.read_file(&logs[number].0).expect("it is there");
        let seal = last_frame(&before, SEAL);
        let chain = log_bytes::get_u32(&before, seal.payload() + 8);
        patient.change(&logs[number + 1].0, |content| {
            log_bytes::put_u32(content, 36, chain);
            log_bytes::fix_checksum_at_8(content, SEGMENT_HEADER_BYTES);
            let mut chain = chain;
            for frame in frames(content) {
                log_bytes::put_u32(content, frame.start + 32, chain);
                if frame.kind == SEAL {
                    log_bytes::put_u32(content, frame.payload() + 8, chain);
                }
                chain = fix_frame(content, frame);
            }
        });
    }
}

#[test]
fn evil_bytes_in_an_events_data_are_never_taken_for_a_record() -> Outcome {
    // A copy of a record, with the number of the event that has it in its data, and of the one behind.
    let disk = SimDisk::new(3);
    let store = EventStore::open_on(Arc::new(disk.mount()), STORE, Options::new())?;
    let name = stream("evil-1");
    store.append(&name, ExpectedVersion::Any, events(1, 3))?;
    let log = disk.read_file(log_path(1)).ok_or("a log")?;
    let frame = frames(&log)[1];
    let mut forged = Vec::new();
    for position in 5..=7_u64 {
        let length = log_bytes::get_u32(&log, frame.payload()) as usize;
        let mut record = log[frame.payload()..frame.payload() + length].to_vec();
        record[8..16].copy_from_slice(&position.to_le_bytes());
        fix_record(&mut record, 0);
        forged.extend(record);
    }
    let evil: Vec<EventData> = (0..3).map(|_| EventData::new("Evil", forged.clone())).collect();
    store.append(&name, ExpectedVersion::Any, evil)?;
    let events: Vec<_> = store.read_all().collect::<annals::Result<_>>()?;
    disk.crash_process();
    drop(store);
    let disk = disk.snapshot(1);
    let log = disk.read_file(log_path(1)).ok_or("a log")?;
    let frame = frames(&log)[2];
    // The lengths of the second frame's records, one after the other.
    let mut at = frame.payload();
    for position in 4..=6_u64 {
        let mut content = log.clone();
        content[at] ^= 1;
        disk.write_file(log_path(1), content)?;
        let verification = verified(&disk);
        assert_eq!(verification.damage.len(), 1, "{verification:#?}");
        let lost = lost(&verification, 6);
        assert!(lost.contains(&position), "{verification:#?}");
        assert_eq!(verification.events, (events.len() - lost.len()) as u64);
        at += log_bytes::get_u32(&log, at) as usize;
    }
    Ok(())
}

#[test]
fn a_version_that_is_larger_than_one_can_be_is_damage() {
    for end in [End::Closed, End::Bare] {
        for version in [u64::MAX, u64::MAX - 1, 1 << 63] {
            for (position, earlier) in [(30, None), (30, Some(2)), (1, None), (58, Some(44))] {
                let patient = Patient::new(end);
                forge(&patient, position, |record| record[16..24].copy_from_slice(&version.to_le_bytes()));
                if let Some(earlier) = earlier {
                    patient.flip(earlier, 90);
                }
                let found = verified(&patient.disk);
                assert!(!found.is_whole());
                let gone: Vec<u64> = earlier.into_iter().chain([position]).collect();
                let mut gone_in_order = gone.clone();
                gone_in_order.sort_unstable();
                assert_eq!(lost(&found, patient.last()), gone_in_order, "{found:#?}");
                assert_eq!(intact(&found).len() as u64, patient.last() - gone.len() as u64);
                let id_of =
                    |position| patient.events[usize::try_from(position - 1).expect("few")].id.to_string();
                let ids: Vec<_> = gone_in_order.into_iter().map(|gone| (gone, id_of(gone))).collect();
                assert_eq!(lost_ids(&found), ids, "{found:#?}");
            }
        }
    }
}

/// A UUID half of whose bytes are in a sector that the disk can't read, or are zeros.
#[test]
fn an_id_that_cant_be_read_whole_isnt_told() -> Outcome {
    let disk = SimDisk::new(3);
    let store = EventStore::open_on(Arc::new(disk.mount()), STORE, Options::new())?;
    for number in 0..300 {
        let event = EventData::new("Scanned", vec![7; 100 + number * 7 % 50]);
        store.append(&stream("scans-1"), ExpectedVersion::Any, [event])?;
    }
    store.close()?;
    let mut tried = 0;
    for record in records_of(&disk) {
        let id = record.bytes.start + 56..record.bytes.start + 72;
        let border = id.end / 512 * 512;
        if border <= id.start || border == id.end {
            continue;
        }
        let disk = disk.snapshot(2);
        disk.fail_reads(&record.path, border as u64..border as u64 + 512)?;
        let found = verified(&disk);
        assert!(lost(&found, 1_000).contains(&record.position), "{found:#?}");
        assert!(lost_ids(&found).iter().all(|(position, _)| *position != record.position), "{found:#?}");
        tried += 1;
    }
    assert!(tried >= 3, "{tried}");
    Ok(())
}

#[test]
fn lists_stay_at_their_limit_however_much_is_damaged() -> Outcome {
    const COMMITS: u64 = 21_000;
    let store = store_with(buffered().segment_bytes(16 << 10));
    let path = store.path().to_owned();
    for number in 0..COMMITS {
        let event = EventData::new("OrderChanged", number.to_le_bytes());
        store.append(&stream(&format!("order-{}", number % 300)), ExpectedVersion::Any, [event])?;
    }
    let (store, _directory) = store.into_parts();
    store.close()?;
    let mut logs: Vec<PathBuf> = fs::read_dir(path.join("segments"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    logs.retain(|path| path.extension() == Some("log".as_ref()));
    logs.sort();
    assert!(logs.len() >= 200, "{} segments", logs.len());
    let missing = logs.len() - 2;
    let (mut damaged, mut gone) = (0, 0);
    for (place, log) in logs.iter().enumerate() {
        let mut content = fs::read(log)?;
        let data: Vec<_> = frames(&content).into_iter().filter(|frame| frame.kind == DATA).collect();
        if place == missing {
            gone = data.len() as u64;
            fs::remove_file(log)?;
            continue;
        }
        for frame in data.iter().step_by(2) {
            content[frame.payload_end - 1] ^= 1;
            damaged += 1;
        }
        fs::write(log, content)?;
    }
    let found = verify(&path, &mut on)?;
    assert_eq!((found.damage.total(), found.damage.len()), (damaged + 1, LISTED_MAX));
    assert_eq!((found.events_lost, found.events), (Some(damaged + gone), COMMITS - damaged - gone));
    assert!(found.damage.iter().all(|damage| damage.events_lost == Some(1)), "each is charged with its own");
    assert_eq!((found.lost.len(), found.intact.len()), (LISTED_MAX, LISTED_MAX));
    assert_eq!(found.lost_versions.len(), LISTED_MAX);
    assert_eq!((found.lost_ids.len(), found.lost_ids.total()), (LISTED_MAX, damaged));
    // Two damaged ones stand side by side where a segment ends with one.
    assert!(found.lost.total() <= damaged + 1 && found.intact.total().abs_diff(found.lost.total()) <= 1);
    let json = found.to_json();
    let unnamed = format!("\"unnamed\":{{\"damage\":{}", damaged + 1 - LISTED_MAX as u64);
    assert!(json.contains(&unnamed), "{}", &json[json.len() - 200..]);
    Ok(())
}
