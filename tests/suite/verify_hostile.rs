//! Verifying what another program has written, with checksums that are right: it is told what doesn't fit, in bounded room and time.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    Error, EventData, EventStore, ExpectedVersion, FindingKind, IgnoredReason, LISTED_MAX, Options, Position,
    SimDisk, SnapshotData, verify,
};

use crate::{
    backup::on,
    log_bytes::{
        self, DATA, SEAL, SEGMENT_HEADER_BYTES, fix_frame, fix_pages, fix_record, frames, last_frame,
    },
    patient::{End, Patient, STORE, intact, log_path, lost, lost_ids, open, records_of, verified},
    support::{Outcome, buffered, events, store_with, stream, version},
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

/// What stands in streams.dir: its header's part, and in section 0 the streams, each with these fields.
const LAST_TIMESTAMP: usize = 256;
const STREAMS_LENGTH: usize = 72;
const STREAMS: usize = 4_096;
const STREAM_BYTES: usize = 32;
const CHECK: usize = 8;
const LATEST: usize = 12;
const VERSION: usize = 16;
const CREATED: usize = 24;
const SEGMENT_BYTES: usize = 24;

#[test]
fn what_streams_dir_says_is_compared_with_the_log_where_its_checksums_are_right() {
    let told = |change: &dyn Fn(&mut [u8])| {
        check_finding(FindingKind::Directory, End::Closed, |patient| {
            patient.change("/store/streams.dir", |content| {
                change(content);
                fix_pages(content);
            });
        })
    };
    let content = Patient::new(End::Closed).disk.read_file("/store/streams.dir").expect("it is there");
    // Behind the streams stand the segments: base, first position and the time of the first event.
    let segments = STREAMS + log_bytes::get_u32(&content, STREAMS_LENGTH) as usize;
    let (last, second) = (segments - STREAM_BYTES, segments + SEGMENT_BYTES);
    for stream in [STREAMS, last] {
        for at in [VERSION, LATEST, CHECK] {
            let reason = told(&|content| content[stream + at] ^= 1);
            assert!(reason.starts_with("a stream is at version"), "{reason}");
        }
        let reason = told(&|content| content[stream + CREATED] ^= 1);
        assert_eq!(reason, "a stream's time of creation is wrong");
    }
    let reason = told(&|content| content[last..last + 8].fill(0xFF));
    assert_eq!(reason, "it has a stream that the log hasn't");
    let reason = told(&|content| content[STREAMS_LENGTH] -= 32);
    assert_eq!(reason, "it lacks streams");
    for at in [LAST_TIMESTAMP, second, second + 8, second + 16] {
        let reason = told(&|content| content[at] ^= 1);
        assert_eq!(reason, "the segments that it covers aren't those of the log");
    }
}

/// Where a snapshot's header has the version, the position and the checksum of the event that it was made of.
const MADE_OF: std::ops::Range<usize> = 28..48;

/// A store with two snapshots of a stream and one of another, which is at the same version as the first of them; none of its index
/// files is left. And the paths of these snapshots.
fn with_snapshots() -> annals::Result<(Patient, [PathBuf; 3])> {
    let patient = Patient::new(End::Bare);
    let store = open(&patient.disk)?;
    let snaps = || {
        let files = patient.disk.files().into_iter();
        files.filter(|path| path.extension() == Some("snap".as_ref())).collect::<BTreeSet<_>>()
    };
    let mut known = BTreeSet::new();
    let mut save = |name: &str, at| -> annals::Result<PathBuf> {
        store.save_snapshot(&stream(name), version(at), SnapshotData::json("Order", &at)?)?;
        let path = snaps().difference(&known).next().cloned().expect("it was saved");
        known.insert(path.clone());
        Ok(path)
    };
    let paths = [save("order-0", 2)?, save("order-0", 5)?, save("order-1", 2)?];
    drop(store);
    patient.disk.crash_process();
    let disk = patient.disk.snapshot(3);
    for path in disk.files() {
        if path.extension() == Some("idx".as_ref()) || path.ends_with("streams.dir") {
            disk.remove_file(path).expect("it is listed");
        }
    }
    Ok((Patient { disk, ..patient }, paths))
}

#[test]
fn a_snapshot_is_found_whose_event_is_another() -> Outcome {
    let (patient, [first, later, others]) = with_snapshots()?;
    let verification = verified(&patient.disk);
    assert_eq!((verification.snapshots, verification.findings.len()), (3, 0), "{verification:#?}");
    let check = |patient: &Patient, path: &Path| {
        let found = verified(&patient.disk);
        assert!(found.is_whole() && found.findings.len() == 1, "{found:#?}");
        assert_eq!((found.findings[0].kind, found.findings[0].path.as_path()), (FindingKind::Snapshot, path));
        assert_eq!(found.findings[0].reason, IgnoredReason::AnotherEvent.to_string());
    };
    // The event that stood there is another one: the store was restored, and written to again.
    let other = Patient { disk: patient.disk.snapshot(4), ..Patient::new(End::Bare) };
    let is_it =
        |event: &&annals::StoredEvent| event.stream == stream("order-0") && event.version == version(5);
    let event = other.events.iter().find(is_it).ok_or("it is there")?;
    forge(&other, event.position.get(), |record| record[90] ^= 4);
    check(&other, &later);
    // It says that it was made of an event of another version, or of another stream.
    for (path, made_of) in [(&later, &first), (&first, &others)] {
        let other = patient.copy();
        let content = other.disk.read_file(made_of).ok_or("it is there")?;
        other.change(path, |snapshot| {
            let its_version = snapshot[MADE_OF][..8].to_vec();
            snapshot[MADE_OF].copy_from_slice(&content[MADE_OF]);
            snapshot[MADE_OF][..8].copy_from_slice(&its_version);
            let end = 20 + log_bytes::get_u32(snapshot, 16) as usize;
            log_bytes::fix_checksum_at_8(snapshot, end);
        });
        check(&other, path);
    }
    Ok(())
}

#[test]
fn a_segment_that_doesnt_go_on_from_the_one_before_is_damage() {
    for end in [End::Closed, End::Bare] {
        let original = Patient::new(end);
        let last = original.logs().len() as u64;
        // Each has the right positions and versions, and is whole: it goes on from another event before.
        for number in [2, last - 1, last] {
            let (patient, other) = (Patient::new(end), Patient::new(end));
            forge(&other, other.first_in(number) - 1, |record| record[90] ^= 4);
            let content = other.disk.read_file(log_path(number)).expect("it is there");
            patient.disk.write_file(log_path(number), content).expect("surgery");
            let found = verified(&patient.disk);
            let damage = &found.damage[0];
            assert_eq!(damage.path, log_path(number), "{found:#?}");
            assert_eq!(damage.reason, "the segment doesn't go on from the one before it");
            assert_eq!(damage.intact, Some(Position::new(patient.first_in(number) - 1)), "{found:#?}");
            assert!(lost(&found, patient.last()).contains(&patient.first_in(number)), "{found:#?}");
            // Opening believes an index file of what it has of the log; without any it reads all of it.
            if end == End::Bare {
                let refused = open(&patient.disk).expect_err("it isn't one log");
                assert!(refused.to_string().contains("the segment doesn't go on from"), "{refused}");
                assert!(
                    matches!(&refused, Error::Corrupt { path, .. } if *path == log_path(number)),
                    "{refused}"
                );
            }
        }
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
