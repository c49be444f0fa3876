//! Segments that are damaged in more places than honest damage ever is: what it costs to look through and to mend them is bounded, and
//! what is left for that reason is told.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use annals::{
    Disk, EventData, EventStore, ExpectedVersion, Position, RepairOptions, RepairStep, plan_repair_on,
    repair, verify, verify_on,
};

use crate::{
    backup::on,
    log_bytes::{DATA, FramePlace, frames, put_u32},
    repair::accepting,
    support::{Outcome, buffered, store_with, stream},
    watched_disk::{WatchedDisk, Watcher},
};

/// How many places of one file a repair mends at most.
const PATCHES_MAX: usize = 10_000;

/// Counts how much is read of segments.
#[derive(Default, Debug)]
struct Reads {
    bytes: AtomicU64,
}

impl Reads {
    /// How much was read since it was asked last, in bytes.
    fn take(&self) -> u64 {
        self.bytes.swap(0, Ordering::SeqCst)
    }
}

impl Watcher for Reads {
    fn segment_read(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::SeqCst);
    }
}

/// A store of one segment of so many events, each in a frame of its own.
struct Subject {
    _directory: tempfile::TempDir,
    path: PathBuf,
    log: PathBuf,
}

impl Subject {
    fn new(events: usize, data: impl Fn(usize) -> Vec<u8>) -> Result<Self, Box<dyn std::error::Error>> {
        let store = store_with(buffered());
        let path = store.path().to_owned();
        for number in 0..events {
            let event = EventData::new("OrderChanged", data(number));
            store.append(&stream(&format!("order-{}", number % 30)), ExpectedVersion::Any, [event])?;
        }
        let (store, directory) = store.into_parts();
        store.close()?;
        let log = path.join("segments/000000000001.log");
        Ok(Self { _directory: directory, path, log })
    }

    /// Changes the frames that have events. Returns how long the file is.
    fn change(&self, change: impl FnOnce(&mut [u8], &[FramePlace])) -> io::Result<u64> {
        let mut content = fs::read(&self.log)?;
        let data: Vec<_> = frames(&content).into_iter().filter(|frame| frame.kind == DATA).collect();
        change(&mut content, &data);
        fs::write(&self.log, &content)?;
        Ok(content.len() as u64)
    }

    /// Damages the header of every second frame: it can be made again.
    fn damage_headers(&self) -> io::Result<u64> {
        self.change(|content, frames| {
            for frame in frames.iter().step_by(2) {
                content[frame.start] ^= 1;
            }
        })
    }
}

#[test]
fn a_segment_of_many_damaged_places_is_read_a_few_times_and_not_once_for_each() -> Outcome {
    const EVENTS: usize = 2_000;
    let subject = Subject::new(EVENTS, |number| number.to_le_bytes().into())?;
    let file_bytes = subject.damage_headers()?;
    let reads = Arc::new(Reads::default());
    let disk: Arc<dyn Disk> = Arc::new(WatchedDisk(Arc::clone(&reads)));
    let found = verify_on(Arc::clone(&disk), &subject.path, &mut on)?;
    assert_eq!(found.damage.total(), EVENTS as u64 / 2);
    let read = reads.take();
    assert!(read < 30 * file_bytes, "verifying reads {read} of {file_bytes}");
    let plan = plan_repair_on(disk, &subject.path, &RepairOptions::new(), &mut on)?;
    assert!(!plan.loses_events() && plan.limit.is_none(), "{plan}");
    let read = reads.take();
    assert!(read < 60 * file_bytes, "planning reads {read} of {file_bytes}");
    Ok(())
}

#[test]
fn a_repair_mends_so_many_places_of_a_file_and_cuts_the_log_behind_them_and_says_so() -> Outcome {
    let events = 2 * PATCHES_MAX + 10;
    let subject = Subject::new(events, |number| number.to_le_bytes().into())?;
    subject.damage_headers()?;
    let repaired = repair(&subject.path, &accepting(), &mut on)?;
    // The next damaged header is that of the event behind.
    assert_eq!(repaired.plan.kept, Position::new(2 * PATCHES_MAX as u64), "{}", repaired.plan);
    let limit = repaired.plan.limit.as_deref().ok_or("why it is cut")?;
    assert!(limit.contains("000000000001.log: 10000 places in it are mended"), "{limit}");
    assert!(repaired.plan.to_string().contains(limit) && repaired.to_json().contains(limit));
    assert!(matches!(repaired.plan.steps[0], RepairStep::Write { .. }), "{}", repaired.plan);
    assert_eq!(repaired.plan.events_set_aside, 10, "{}", repaired.plan);
    assert!(verify(&subject.path, &mut on)?.is_whole());
    Ok(())
}

#[test]
fn a_repair_doesnt_look_through_all_of_what_hostile_bytes_make_long_and_says_so() -> Outcome {
    const LARGE_BYTES: usize = 400_000;
    let subject = Subject::new(3, |number| vec![7; if number == 1 { LARGE_BYTES } else { 10 }])?;
    subject.change(|content, frames| {
        // The header is damaged, and in the event's data stand headers of frames, each as long as half of it, whose payload isn't there.
        let frame = frames[1];
        content[frame.start] ^= 1;
        let original = content[frames[0].start..frames[0].start + 64].to_vec();
        for at in (frame.start + 640..frame.start + LARGE_BYTES / 2).step_by(64) {
            let header = &mut content[at..at + 64];
            header.copy_from_slice(&original);
            header[8..16].copy_from_slice(&(at as u64).to_le_bytes());
            put_u32(header, 24, 190_000);
            header[40..48].copy_from_slice(&9_u64.to_le_bytes());
            let crc = crc32fast::hash(&header[8..64]);
            put_u32(header, 4, crc);
        }
    })?;
    let reads = Arc::new(Reads::default());
    let disk: Arc<dyn Disk> = Arc::new(WatchedDisk(Arc::clone(&reads)));
    let found = verify_on(Arc::clone(&disk), &subject.path, &mut on)?;
    assert_eq!(found.damage.len(), 1, "{found:#?}");
    assert!(found.damage[0].reason.ends_with("not all behind was looked through"), "{found:#?}");
    let plan = plan_repair_on(disk, &subject.path, &RepairOptions::new(), &mut on)?;
    assert!(plan.cuts && plan.kept == Position::new(1), "{plan}");
    let limit = plan.limit.as_deref().ok_or("why it is cut")?;
    assert!(limit.ends_with("so much of it is damaged that a repair doesn't look through all of that"));
    let read = reads.take();
    // Verifying twice, and putting together: each no more than 64 times the file.
    assert!(read < 3 * 80 * 500_000, "{read}");
    let repaired = repair(&subject.path, &accepting(), &mut on)?;
    assert_eq!(repaired.plan.limit.as_deref(), Some(limit));
    let store = EventStore::open_with(&subject.path, buffered())?;
    assert_eq!(store.read_all().count(), 1, "the event that stays");
    Ok(())
}
