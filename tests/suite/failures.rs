//! Disks that fail, and a writer that panics: what callers are told, and what is there afterwards.

use std::{
    io::ErrorKind,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use annals::{
    Appended, Clock, Disk, DiskOperation, Durability, Error, EventData, EventStore, ExpectedVersion, Fault,
    OpenMode, Options, PendingAppend, Position, Result, SimDisk, SyncFailure,
};

use crate::support::{
    Outcome, PanickingClock, buffered, event, events, gated_store, small_segments, stream, types, version,
};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_mins(1);

const SEGMENT: &str = "/store/segments/000000000001.log";
const SECTOR_BYTES: usize = 512;
const SYNC_FAILURES: [SyncFailure; 4] =
    [SyncFailure::StaysDirty, SyncFailure::ForgetsDirty, SyncFailure::RevertsCache, SyncFailure::ComesLate];

/// Each append is synced; in segments that are short, since files grow slowly on a simulated disk.
fn synced() -> Options {
    Options::new().durability(Durability::Fsync).segment_bytes(32 << 10)
}

fn open(disk: &SimDisk, options: &Options) -> Result<EventStore> {
    EventStore::open_on(Arc::new(disk.mount()), "/store", options.clone())
}

/// A store with three events, closed, and its disk.
fn prepared(seed: u64, options: &Options) -> SimDisk {
    let disk = SimDisk::new(seed);
    let store = open(&disk, options).expect("a new store");
    store.append(&stream("order-1"), ExpectedVersion::NoStream, events(1, 3)).expect("an append");
    store.close().expect("it closes");
    disk
}

/// Leaves bytes in the segment as a frame does whose header didn't arrive: so many zeros behind the sector in which the
/// chain ends. Returns where the file ended.
fn leave_behind(disk: &SimDisk, zeros: usize) -> usize {
    let mut content = disk.read_file(SEGMENT).expect("the first segment");
    let end = content.len();
    content.resize(end.next_multiple_of(SECTOR_BYTES) + zeros, 0);
    content.extend([0xAA; 2000]);
    disk.write_file(SEGMENT, content).expect("the file is replaced");
    end
}

/// Opens a store whose nth sync fails, and forgets what it was to make durable.
fn is_refused_at_sync(nth: u64, disk: &SimDisk, options: &Options) -> bool {
    let fault = Fault::new(ErrorKind::Other).on(DiskOperation::Sync).at(nth);
    disk.fail(fault.leaving(SyncFailure::ForgetsDirty));
    let is_refused = open(disk, options).is_err();
    disk.clear_faults();
    is_refused
}

fn append(store: &EventStore, expected: u64, count: u64) -> Result<Appended> {
    store.append(&stream("order-1"), version(expected), events(expected + 1, count))
}

/// Reads go on: the three events that were there.
fn check_reading(store: &EventStore) {
    assert_eq!(types(store.read_stream(&stream("order-1"))), ["1", "2", "3"]);
    assert_eq!(store.stream_version(&stream("order-1")).expect("it can be looked up"), version(3));
    assert_eq!(store.last_position(), Position::new(3));
}

/// Opens a store whose append failed, appends, cuts the power, and finds all that it was told.
fn check_healing(disk: &SimDisk, told: &str) -> Outcome {
    disk.clear_faults();
    let options = synced();
    let store = open(disk, &options).map_err(|error| format!("{told}: opened: {error}"))?;
    let reached = store.stream_version(&stream("order-1"))?.get();
    assert!([3, 5].contains(&reached), "{told}: whole or absent, not {reached}");
    let wanted = |count: u64| (1..=count).map(|number| number.to_string()).collect::<Vec<_>>();
    assert_eq!(types(store.read_all()), wanted(reached), "{told}");
    // What is shown now stays, though the failed sync may have left bytes that the disk never got.
    disk.power_cut();
    drop(store);
    let store = open(disk, &options).map_err(|error| format!("{told}: opened again: {error}"))?;
    assert_eq!(types(store.read_all()), wanted(reached), "{told}: shown, and gone");
    append(&store, reached, 2)?;
    disk.power_cut();
    drop(store);
    let store = open(disk, &options).map_err(|error| format!("{told}: opened last: {error}"))?;
    assert_eq!(types(store.read_all()), wanted(reached + 2), "{told}: acknowledged, and gone");
    Ok(())
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_is_final_until_reopened__F10() -> Outcome {
    let options = synced();
    for (seed, failure) in (0..32).zip(SYNC_FAILURES.into_iter().cycle()) {
        // The first two syncs of an opening are those before and behind the EPOCH, the third the first append's.
        for nth in [1, 2, 3] {
            let disk = prepared(seed, &options);
            let store = open(&disk, &options)?;
            disk.fail(Fault::new(ErrorKind::Other).on(DiskOperation::Sync).at(nth).leaving(failure));
            let told = append(&store, 3, 2);
            let name = format!("seed {seed}, sync {nth}, {failure:?}: {told:?}");
            match &told {
                Err(Error::Io { action: "sync", .. }) => {
                    assert!(nth < 3, "the frame wasn't written: {name}");
                }
                Err(Error::OutcomeUnknown { action: "sync", .. }) => assert_eq!(nth, 3, "{name}"),
                _ => panic!("{name}"),
            }
            check_reading(&store);
            // The disk is well again, and yet nothing is tried.
            let told = append(&store, 3, 2);
            assert!(matches!(told, Err(Error::Failed { .. })), "{name}: {told:?}");
            assert!(matches!(append(&store, 3, 0), Err(Error::Failed { .. })), "{name}");
            check_reading(&store);
            assert!(matches!(store.close(), Err(Error::Failed { .. })), "{name}");
            check_healing(&disk, &name)?;
        }
    }
    Ok(())
}

#[test]
fn everyone_in_a_failed_frame_is_told_and_none_succeeds__F10() -> Outcome {
    let disk = prepared(1, &buffered());
    let (gate, clock) = crate::support::gate();
    let store = open(&disk, &buffered().clock(clock))?;
    let order = stream("order-1");
    let waits = store.submit(&order, version(3), [])?;
    gate.wait_for_writer();
    let pending: Vec<PendingAppend> = (3..40)
        .map(|number| store.submit(&order, version(number), events(number + 1, 1)))
        .collect::<Result<_>>()?;
    let conflicting = store.submit(&order, version(1), [event("X")])?;
    let nothing = store.submit(&order, version(40), [])?;
    // None but the writer writes: the background finds no room to fill the file ahead.
    disk.fail(Fault::new(ErrorKind::StorageFull).on(DiskOperation::Allocate).forever());
    // The EPOCH is written, and then the frame isn't.
    disk.fail(Fault::new(ErrorKind::Other).on(DiskOperation::Write).at(2));
    drop(gate);
    assert_eq!(waits.wait()?.version, version(3));
    for pending in pending {
        assert!(matches!(pending.wait(), Err(Error::OutcomeUnknown { .. })));
    }
    // They may rest on what is unknown.
    for settled in [conflicting, nothing] {
        assert!(matches!(settled.wait(), Err(Error::Failed { .. })));
    }
    check_reading(&store);
    drop(store);
    Ok(())
}

/// The zeros over what an interrupted write left may never reach the disk, and the system shows them all the same.
#[test]
fn what_a_failed_sync_of_zeros_left_on_the_disk_doesnt_come_back_behind_a_seal__F10() -> Outcome {
    let options = synced().segment_bytes(4 << 10);
    let mut refused = 0;
    for (seed, nth) in (0..64).zip((1..=8).cycle()) {
        let disk = prepared(seed, &options);
        leave_behind(&disk, SECTOR_BYTES);
        refused += u64::from(is_refused_at_sync(nth, &disk, &options));
        let store = open(&disk, &options)?;
        // No room is left for it, so a SEAL comes first.
        let large = EventData::new("4", vec![b'x'; 4 << 10]);
        store.append(&stream("order-1"), version(3), [large])?;
        disk.power_cut();
        drop(store);
        let store = open(&disk, &options).map_err(|error| format!("{seed}, sync {nth}: {error}"))?;
        assert_eq!(types(store.read_all()), ["1", "2", "3", "4"], "{seed}, sync {nth}");
    }
    assert!(refused > 0, "a sync of an opening failed");
    Ok(())
}

/// Behind the log's end the disk has zeros, which rules 6 and 7 of recovery rest on; the system may show zeros that it hasn't.
#[test]
fn behind_an_opening_the_disk_has_zeros_whatever_sync_of_the_one_before_failed__F10() -> Outcome {
    let options = synced().segment_bytes(64 << 10);
    let mut refused = 0;
    for (seed, nth) in (0..64).zip((1..=8).cycle()) {
        let disk = prepared(seed, &options);
        let end = leave_behind(&disk, 0);
        refused += u64::from(is_refused_at_sync(nth, &disk, &options));
        let store = open(&disk, &options)?;
        disk.power_cut();
        drop(store);
        let left = disk.read_file(SEGMENT).expect("the first segment");
        assert!(left[end..].iter().all(|byte| *byte == 0), "{seed}, sync {nth}: something came back");
    }
    assert!(refused > 0, "a sync of an opening failed");
    Ok(())
}

#[test]
fn where_the_writers_sync_failed_the_background_doesnt_try_it_again__F10() -> Outcome {
    let options = buffered();
    for seed in 0..2 {
        let disk = prepared(seed, &options);
        let store = open(&disk, &options)?;
        let fault = Fault::new(ErrorKind::Other).on(DiskOperation::Sync);
        disk.fail(fault.leaving(SyncFailure::ForgetsDirty));
        assert!(matches!(append(&store, 3, 2), Err(Error::Io { action: "sync", .. })), "the EPOCH's");
        let mark = disk.read_file("/store/durable.mark");
        // Each of these wakes the background, which looks for work every 50 ms.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(400) {
            assert!(matches!(append(&store, 3, 2), Err(Error::Failed { .. })));
        }
        let is_as_it_was = disk.read_file("/store/durable.mark") == mark;
        assert!(is_as_it_was, "a sync that succeeds now proves nothing");
        drop(store);
        check_healing(&disk, "the EPOCH's sync")?;
    }
    Ok(())
}

#[test]
fn a_failed_sync_in_the_background_is_final_too__F10() -> Outcome {
    let options = buffered();
    for (seed, failure) in (0..4).zip(SYNC_FAILURES) {
        let disk = prepared(seed, &options);
        let store = open(&disk, &options)?;
        // The EPOCH's syncs go through, and the next is the background's.
        disk.fail(Fault::new(ErrorKind::Other).on(DiskOperation::Sync).at(3).leaving(failure));
        let begun = Instant::now();
        let mut acknowledged = 3;
        let told = loop {
            match append(&store, acknowledged, 1) {
                Ok(appended) => acknowledged = appended.version.get(),
                Err(error) => break error,
            }
            assert!(begun.elapsed() < PATIENCE, "the background never synced");
        };
        assert!(matches!(told, Error::Failed { .. }), "{told:?}");
        assert!(matches!(append(&store, acknowledged, 1), Err(Error::Failed { .. })));
        assert!(store.stream_version(&stream("order-1"))?.get() == acknowledged);
        assert!(store.close().is_err());
        // Without a power cut, and where the cache wasn't reverted, all of it is there.
        let store = open(&disk, &options)?;
        let reached = store.stream_version(&stream("order-1"))?.get();
        assert!((3..=acknowledged).contains(&reached), "{failure:?}");
        if failure != SyncFailure::RevertsCache {
            assert_eq!(reached, acknowledged, "{failure:?}");
        }
        assert_eq!(append(&store, reached, 1)?.version, version(reached + 1));
    }
    Ok(())
}

#[test]
fn a_write_error_is_final_and_leaves_nothing_half__F12() -> Outcome {
    for options in [Options::new(), buffered(), small_segments()] {
        for (seed, nth) in (0..).zip([1, 2]) {
            let disk = prepared(seed, &options);
            let store = open(&disk, &options)?;
            disk.fail(Fault::from_os_code(5).on(DiskOperation::Write).at(nth));
            let told = append(&store, 3, 2);
            let name = format!("write {nth}: {told:?}");
            match &told {
                Err(Error::Io { action: "write", .. }) => assert_eq!(nth, 1, "the EPOCH's: {name}"),
                Err(Error::OutcomeUnknown { action: "write", .. }) => assert_eq!(nth, 2, "{name}"),
                _ => panic!("{name}"),
            }
            check_reading(&store);
            assert!(matches!(append(&store, 3, 2), Err(Error::Failed { .. })), "{name}");
            drop(store);
            disk.clear_faults();
            let store = open(&disk, &options)?;
            check_reading(&store);
            assert_eq!(append(&store, 3, 2)?.version, version(5), "{name}");
        }
    }
    Ok(())
}

/// A large event, so that the frame crosses many sectors.
fn large() -> EventData {
    EventData::new("Large", vec![7; 40 << 10])
}

#[test]
fn a_full_disk_refuses_an_append_and_goes_on_when_there_is_room__F12() -> Outcome {
    for options in [Options::new(), buffered()] {
        let disk = prepared(1, &options);
        let store = open(&disk, &options)?;
        // Before any byte of the frame.
        let full = || Fault::new(ErrorKind::StorageFull).on(DiskOperation::Write).on(DiskOperation::Allocate);
        disk.fail(full().forever());
        for _ in 0..3 {
            let told = append(&store, 3, 2);
            let Err(Error::Io { action: "write", source, .. }) = &told else { panic!("{told:?}") };
            assert_eq!(source.kind(), ErrorKind::StorageFull);
            check_reading(&store);
        }
        disk.clear_faults();
        assert_eq!(append(&store, 3, 2)?.version, version(5));
        store.close()?;
        let store = open(&disk, &options)?;
        assert_eq!(types(store.read_all()), ["1", "2", "3", "4", "5"]);
    }
    Ok(())
}

/// Appends large events until the disk is full; returns how many are there, and what was told.
fn fill(store: &EventStore, from: u64) -> (u64, Error) {
    let mut reached = from;
    loop {
        match store.append(&stream("order-1"), version(reached), [large()]) {
            Ok(appended) => reached = appended.version.get(),
            Err(error) => return (reached, error),
        }
        assert!(reached < 10_000, "the quota holds");
    }
}

#[test]
fn a_disk_that_fills_up_loses_nothing_that_was_acknowledged__F12() -> Outcome {
    let roomy = |options: Options| options.segment_bytes(256 << 10);
    for (seed, options) in (0..).zip([roomy(Options::new()), roomy(buffered()), small_segments()]) {
        let disk = prepared(seed, &options);
        let store = open(&disk, &options)?;
        disk.set_quota_bytes(Some(1_500_000 + seed * 777));
        let (reached, told) = fill(&store, 3);
        let is_typed =
            matches!(&told, Error::Io { .. } | Error::OutcomeUnknown { .. } | Error::Failed { .. });
        assert!(is_typed, "{told:?}");
        assert!(reached > 3);
        assert_eq!(store.stream_version(&stream("order-1"))?, version(reached));
        assert_eq!(types(store.read_all()).len() as u64, reached);
        disk.set_quota_bytes(None);
        let goes_on = store.append(&stream("order-1"), version(reached), [large()]);
        match &told {
            // Nothing was written: room is all it takes.
            Error::Io { .. } => assert_eq!(goes_on?.version, version(reached + 1)),
            _ => assert!(matches!(goes_on, Err(Error::Failed { .. }))),
        }
        drop(store);
        let store = open(&disk, &options)?;
        let found = store.stream_version(&stream("order-1"))?.get();
        assert!((reached..=reached + 1).contains(&found), "{found}, where {reached} were acknowledged");
        assert_eq!(append(&store, found, 1)?.version, version(found + 1));
    }
    Ok(())
}

#[test]
fn a_store_opens_on_a_full_disk_and_is_read__F12() -> Outcome {
    let disk = prepared(1, &buffered());
    disk.set_quota_bytes(Some(0));
    let store = open(&disk, &buffered())?;
    check_reading(&store);
    assert!(append(&store, 3, 1).is_err());
    disk.set_quota_bytes(None);
    drop(store);
    assert_eq!(append(&open(&disk, &buffered())?, 3, 1)?.version, version(4));
    Ok(())
}

/// Where a file grows as a hole, or what is written is copied, zeros that were there need room when they are written again.
#[test]
fn a_store_opens_on_a_full_disk_that_has_no_room_for_what_was_prepared__F12() -> Outcome {
    let disk = prepared(1, &synced());
    let content = disk.read_file(SEGMENT).expect("the first segment");
    disk.write_file(SEGMENT, [content.as_slice(), &[0; 5_000]].concat())?;
    for _ in 0..2 {
        disk.fail(Fault::new(ErrorKind::StorageFull).on(DiskOperation::Write).at(2)); // The first is for writer.pid.
        let store = open(&disk, &synced())?;
        check_reading(&store);
        let left = disk.read_file(SEGMENT).expect("the first segment").len();
        assert_eq!(left, (content.len() + 1).next_multiple_of(SECTOR_BYTES));
        disk.power_cut();
    }
    assert_eq!(append(&open(&disk, &synced())?, 3, 1)?.version, version(4));
    Ok(())
}

#[test]
fn where_the_writer_panics_none_waits_for_ever__F09__C18() -> Outcome {
    let disk = SimDisk::new(1);
    let clock = Arc::new(PanickingClock::default());
    let options = buffered().clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let store = open(&disk, &options)?;
    append(&store, 0, 3)?;
    clock.is_due.store(true, Ordering::SeqCst);
    let order = stream("order-1");
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| store.append(&order, ExpectedVersion::Any, [event("A")])))
            .collect();
        for waiter in waiters {
            let told = waiter.join().expect("no waiter panics");
            assert!(matches!(told, Err(Error::Failed { .. })), "{told:?}");
        }
    });
    // The writer is gone: an append that comes now is told so.
    assert!(matches!(append(&store, 3, 1), Err(Error::Failed { .. })));
    check_reading(&store);
    let told = store.close();
    assert!(matches!(told, Err(Error::Failed { .. })), "{told:?}");
    clock.is_due.store(false, Ordering::SeqCst);
    let store = open(&disk, &options)?;
    check_reading(&store);
    assert_eq!(append(&store, 3, 1)?.version, version(4));
    Ok(())
}

#[test]
fn a_store_whose_writer_panicked_lets_go_of_its_disk__F09() -> Outcome {
    let disk = SimDisk::new(1);
    let clock = Arc::new(PanickingClock::default());
    let options = buffered().clock(Arc::clone(&clock) as Arc<dyn Clock>);
    let held: Arc<dyn Disk> = Arc::new(disk.clone());
    let is_held = Arc::downgrade(&held);
    let store = EventStore::open_on(held, "/store", options)?;
    append(&store, 0, 3)?;
    clock.is_due.store(true, Ordering::SeqCst);
    assert!(append(&store, 3, 1).is_err());
    drop(store);
    // Else a thread of it might write while another has the store.
    assert!(is_held.upgrade().is_none(), "a thread of the closed store has its disk");
    Ok(())
}

#[test]
fn what_waits_when_the_store_closes_is_answered() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    let first = store.submit(&order, ExpectedVersion::NoStream, events(1, 1))?;
    gate.wait_for_writer();
    let others: Vec<PendingAppend> = (1..50)
        .map(|number| store.submit(&order, version(number), events(number + 1, 1)))
        .collect::<Result<_>>()?;
    let (store, _directory) = store.into_parts();
    let closing = std::thread::spawn(move || store.close());
    drop(gate);
    assert_eq!(first.wait()?.version, version(1));
    for (number, pending) in (2..).zip(others) {
        assert_eq!(pending.wait()?.version, version(number));
    }
    closing.join().map_err(|_| "it panicked")??;
    Ok(())
}

#[test]
fn a_page_that_cant_be_read_is_an_error_and_the_cursor_goes_on__F39() -> Outcome {
    let disk = prepared(1, &buffered());
    let store = open(&disk, &buffered())?;
    store.append(&stream("large-1"), ExpectedVersion::NoStream, [large(), large()])?;
    disk.fail_reads(SEGMENT, 20 << 10..21 << 10)?;
    let mut cursor = store.read_stream(&stream("large-1"));
    assert!(matches!(cursor.next(), Some(Err(Error::Io { action: "read", .. }))));
    assert_eq!(cursor.next().ok_or("the second")??.version, version(2));
    assert!(cursor.next().is_none());
    assert_eq!(types(store.read_stream(&stream("order-1"))), ["1", "2", "3"]);
    disk.clear_faults();
    assert_eq!(types(store.read_stream(&stream("large-1"))), ["Large", "Large"]);
    Ok(())
}

/// A sync that fails for want of room is a failed sync: nobody knows what is on the disk.
#[test]
fn a_sync_that_a_full_disk_fails_is_final_too__F11() -> Outcome {
    let options = small_segments();
    let disk = prepared(7, &options);
    let store = open(&disk, &options)?;
    disk.fail(Fault::new(ErrorKind::StorageFull).on(DiskOperation::SyncDirectory));
    let told = (3..200).map(|version| append(&store, version, 1)).find_map(Result::err);
    assert!(matches!(told, Some(Error::Io { action: "sync", .. })), "{told:?}");
    let reached = store.stream_version(&stream("order-1"))?.get();
    assert!(matches!(append(&store, reached, 1), Err(Error::Failed { .. })));
    drop(store);
    let store = open(&disk, &options)?;
    assert_eq!(append(&store, reached, 1)?.version, version(reached + 1));
    Ok(())
}

#[test]
fn a_file_whose_preparation_failed_is_not_appended_to_beyond_what_the_disk_has__F10() -> Outcome {
    for seed in 0..20 {
        let disk = prepared(seed, &synced());
        let segment = disk.open(SEGMENT.as_ref(), OpenMode::ReadWrite)?;
        let end = usize::try_from(segment.len()?)?;
        // All there is to prepare: the next opening doesn't grow the file any more.
        segment.write_all_at(&vec![0; (32 << 10) - end], segment.len()?)?;
        disk.fail(Fault::new(ErrorKind::Other).on(DiskOperation::Sync).leaving(SyncFailure::ForgetsDirty));
        assert!(segment.sync().is_err());
        // The system calls the longer file clean, and the disk has the shorter one.
        disk.crash_process();
        append(&open(&disk, &synced())?, 3, 2)?;
        disk.power_cut();
        assert_eq!(open(&disk, &synced())?.last_position(), Position::new(5), "seed {seed}");
    }
    Ok(())
}
