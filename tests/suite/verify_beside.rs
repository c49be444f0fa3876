//! Verifying beside those who write: what they do meanwhile is no damage, and what is damaged is found all the same.

use std::{
    fs,
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::channel,
    },
    thread,
};

use annals::{
    BackupOptions, EventData, EventStore, ExpectedVersion, Extent, SnapshotData, Verification, verify,
    verify_on,
};

use crate::{
    backup::on,
    patient::{End, Patient, STORE, append, intact, lost, options, verified},
    support::{Outcome, buffered, events, small_segments, store_with, stream},
    watched_disk::{WatchedDisk, Watcher},
};

/// Has something done at one of the moments at which a verification tells how far it is.
struct Meanwhile<'a> {
    moments: usize,
    at: usize,
    act: Option<&'a mut dyn FnMut()>,
}

impl<'a> Meanwhile<'a> {
    fn new(at: usize, act: &'a mut dyn FnMut()) -> Self {
        Self { moments: 0, at, act: Some(act) }
    }

    fn tell(&mut self) -> ControlFlow<()> {
        if self.moments == self.at
            && let Some(act) = self.act.take()
        {
            act();
        }
        self.moments += 1;
        ControlFlow::Continue(())
    }

    fn is_waiting(&self) -> bool {
        self.act.is_some()
    }
}

/// What a writer does that comes while a store is verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coming {
    Stays,
    Closes,
    IsKilled,
}

/// A writer comes and appends so many commits. One that stays is returned.
fn come(patient: &Patient, coming: Coming, commits: u8) -> Option<EventStore> {
    let mount = patient.disk.mount();
    let store = EventStore::open_on(Arc::new(mount.clone()), STORE, options()).expect("it is whole");
    append(&store, 20..20 + commits);
    let newest = store.read_stream(&stream("order-0")).last().expect("an event").expect("readable");
    let state = SnapshotData::json("Order", &1).expect("a state");
    store.save_snapshot(&newest.stream, newest.version, state).expect("saved");
    match coming {
        Coming::Stays => return Some(store),
        Coming::Closes => store.close().expect("a close"),
        Coming::IsKilled => {
            mount.kill();
            drop(store);
        }
    }
    None
}

/// Verifies while a writer comes at one of the moments. None: there are fewer.
fn verified_while(patient: &Patient, at: usize, coming: Coming, commits: u8) -> Option<Verification> {
    let mut store = None;
    let mut act = || store = come(patient, coming, commits);
    let mut meanwhile = Meanwhile::new(at, &mut act);
    let verification = verify_on(Arc::new(patient.disk.mount()), STORE, &mut |_| meanwhile.tell());
    let verification = verification.expect("it can be looked at");
    (!meanwhile.is_waiting()).then_some(verification)
}

#[test]
fn a_writer_that_comes_while_a_store_is_verified_does_no_damage() {
    for end in [End::Closed, End::Killed, End::Bare] {
        let patient = Patient::new(end);
        for coming in [Coming::Stays, Coming::Closes, Coming::IsKilled] {
            for commits in [1, 12] {
                let (before, all) = (patient.last(), patient.last() + 3 * u64::from(commits));
                let mut moments = 0;
                let mut overtaken = 0;
                while let Some(found) = verified_while(&patient.copy(), moments, coming, commits) {
                    let what = format!("{end:?}, {coming:?} at {moments} with {commits}: {found:#?}");
                    assert!(found.is_whole() && found.findings.is_empty(), "{what}");
                    assert_eq!((found.interrupted_bytes, found.events_lost), (0, Some(0)), "{what}");
                    assert!((before..=all).contains(&found.events), "{what}");
                    assert_eq!(intact(&found), (1..=found.events).collect::<Vec<_>>(), "{what}");
                    let is_end = found.events == before || found.events == all;
                    assert!(is_end || found.extent == Extent::Committed, "{what}");
                    overtaken += usize::from(found.extent == Extent::Committed);
                    moments += 1;
                }
                assert!(moments > 10 && overtaken > 0, "{overtaken} of {moments} were overtaken");
            }
        }
    }
}

#[test]
fn a_backup_is_verified_while_the_next_is_made() -> Outcome {
    let store = store_with(small_segments());
    let directory = tempfile::tempdir()?;
    let saved = directory.path().join("saved");
    let more = |from: u64| -> Outcome {
        for number in from..from + 8 {
            store.append(
                &stream(&format!("order-{}", number % 3)),
                ExpectedVersion::Any,
                events(number, 3),
            )?;
        }
        Ok(())
    };
    more(0)?;
    store.backup(&saved, &BackupOptions::new(), &mut on)?;
    // The backup has more than this many frames.
    for moment in (0..40).step_by(5) {
        more(10 * (moment as u64 + 1))?;
        let mut act = || {
            store.backup(&saved, &BackupOptions::new(), &mut on).expect("a backup");
        };
        let mut meanwhile = Meanwhile::new(moment, &mut act);
        let found = verify(&saved, &mut |_| meanwhile.tell())?;
        assert!(!meanwhile.is_waiting());
        assert!(found.is_whole() && found.findings.is_empty(), "at {moment}: {found:#?}");
        assert_eq!(found.interrupted_bytes, 0, "at {moment}: {found:#?}");
    }
    Ok(())
}

#[test]
fn a_segment_that_is_cut_to_its_end_while_it_is_read_is_whole() -> Outcome {
    let store = store_with(buffered().segment_bytes(2 << 20));
    let path = store.path().to_owned();
    for number in 0..100 {
        store.append(
            &stream("scans-1"),
            ExpectedVersion::Any,
            [EventData::new("Scanned", vec![number; 64 << 10])],
        )?;
    }
    let (store, _directory) = store.into_parts();
    store.close()?;
    let logs = [1, 2].map(|number| path.join(format!("segments/00000000000{number}.log")));
    // Behind damage, segments are walked over one by one.
    let mut content = fs::read(&logs[0])?;
    content[100_000] ^= 1;
    fs::write(&logs[0], &content)?;
    // A writer prepares a file ahead, and cuts it when it has sealed it.
    let second = fs::OpenOptions::new().write(true).open(&logs[1])?;
    let sealed_bytes = second.metadata()?.len();
    second.set_len(sealed_bytes + (1 << 20))?;
    let mut is_cut = false;
    let found = verify(&path, &mut |progress| {
        if !is_cut && progress.bytes > content.len() as u64 {
            second.set_len(sealed_bytes).expect("it is cut");
            is_cut = true;
        }
        ControlFlow::Continue(())
    })?;
    assert!(is_cut);
    assert_eq!((found.damage.len(), found.events, found.events_lost), (1, 99, Some(1)), "{found:#?}");
    Ok(())
}

#[test]
fn whoever_is_told_of_the_progress_can_stop_a_verification() {
    let patient = Patient::new(End::Closed);
    patient.flip(2, 90);
    let mut moments = 0;
    let mut found_damage = 0;
    loop {
        let (mut told, mut reached) = (0, 0);
        let found = verify_on(Arc::new(patient.disk.mount()), STORE, &mut |progress| {
            told += 1;
            reached = progress.bytes;
            if told > moments { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let found = found.expect("it can be looked at");
        if told <= moments {
            assert_eq!(found.extent, Extent::Whole);
            break;
        }
        assert_eq!((found.extent, told, found.bytes), (Extent::Stopped, moments + 1, reached), "{found:#?}");
        assert!(found.damage.len() <= 1 && found.findings.is_empty(), "{found:#?}");
        assert_eq!(lost(&found, patient.last()).len(), found.damage.len(), "{found:#?}");
        assert_eq!(intact(&found).len() as u64, found.events, "{found:#?}");
        assert!(found.to_json().contains("\"stopped\":true"));
        found_damage += found.damage.len();
        moments += 1;
    }
    assert!(moments > 10 && found_damage > 10, "{found_damage} of {moments}");
}

#[test]
fn large_segments_that_are_looked_at_ahead_are_let_go_when_it_is_stopped() -> Outcome {
    let store = store_with(buffered().segment_bytes(5 << 20));
    for number in 0..80 {
        let data = (0..4).map(|_| EventData::new("Scanned", vec![number; 64 << 10]));
        store.append(&stream("scans-1"), ExpectedVersion::Any, data)?;
    }
    let mut told = 0;
    let found = verify(store.path(), &mut |_| {
        told += 1;
        ControlFlow::Break(())
    })?;
    assert_eq!((told, found.extent, found.events), (1, Extent::Stopped, 0), "{found:#?}");
    Ok(())
}

/// How many commits are appended beside each verification.
const COMMITS_BESIDE: u64 = 200;

#[test]
fn a_store_is_verified_beside_its_writer() -> Outcome {
    let store = store_with(buffered().segment_bytes(64 << 10));
    let path = store.path().to_owned();
    let appended = AtomicU64::new(0);
    // How many commits there may be: a verification that the machine lets wait would find ever more to read else.
    let (allow, allowed) = channel::<u64>();
    thread::scope(|scope| {
        let (store, appended) = (&store, &appended);
        scope.spawn(move || {
            for number in
                allowed.iter().flat_map(|round| round * COMMITS_BESIDE..(round + 1) * COMMITS_BESIDE)
            {
                let name = format!("order-{}", number % 50);
                let appending = store.append(&stream(&name), ExpectedVersion::Any, events(number, 4));
                appended.store(appending.expect("an append").position.get(), Ordering::SeqCst);
            }
        });
        // It goes with this, on a panic too, and the appending ends.
        let allow = allow;
        let mut last = 0;
        (0..40).try_for_each(|round| -> Outcome {
            allow.send(round)?;
            let before = appended.load(Ordering::SeqCst);
            let verification = verify(&path, &mut on)?;
            assert!(verification.is_whole(), "{verification:#?}");
            assert!(verification.findings.is_empty(), "{verification:#?}");
            assert_eq!(verification.extent, Extent::Committed);
            assert!(verification.events >= before.max(last), "{} of {before}", verification.events);
            last = verification.events;
            Ok(())
        })
    })?;
    let events = store.last_position().get();
    let (store, _directory) = store.into_parts();
    store.close()?;
    let verification = verify(&path, &mut on)?;
    assert_eq!((verification.events, verification.extent), (events, Extent::Whole));
    assert!(verification.findings.is_empty(), "{verification:#?}");
    Ok(())
}

/// A writer that seals the segment it is in, and closes the store, when a file is about to be opened.
#[derive(Debug)]
struct SealsAt {
    name: &'static str,
    store: Mutex<Option<EventStore>>,
}

impl Watcher for SealsAt {
    fn file_opens(&self, path: &Path) {
        if path.ends_with(self.name)
            && let Some(store) = self.store.lock().expect("nothing panicked").take()
        {
            let segments = || store.segments().expect("they are known").count();
            let before = segments();
            while segments() == before {
                store.append(&stream("order-1"), ExpectedVersion::Any, events(0, 4)).expect("appended");
            }
            store.close().expect("a close");
        }
    }
}

#[test]
fn a_directory_that_covers_more_than_what_is_looked_at_isnt_compared_with_it() -> Outcome {
    // With damage before it, what it knows would be told as lost.
    for is_damaged in [false, true] {
        let (store, _directory) = store_with(small_segments()).into_parts();
        let path = store.path().to_owned();
        for number in 0..30 {
            store.append(&stream("order-1"), ExpectedVersion::Any, events(number, 4))?;
        }
        let committed = store.last_position().get();
        if is_damaged {
            let log = path.join("segments/000000000001.log");
            let mut content = fs::read(&log)?;
            content[1_000] ^= 1;
            fs::write(&log, &content)?;
        }
        let watcher = Arc::new(SealsAt { name: "streams.dir", store: Mutex::new(Some(store)) });
        let found = verify_on(Arc::new(WatchedDisk(Arc::clone(&watcher))), &path, &mut on)?;
        assert!(watcher.store.lock().expect("nothing panicked").is_none(), "it was looked at");
        assert_eq!((found.extent, found.is_whole()), (Extent::Committed, !is_damaged), "{found:#?}");
        assert_eq!(found.events + found.events_lost.ok_or("all is known")?, committed, "{found:#?}");
        assert!(found.findings.is_empty(), "{found:#?}");
        let versions = found.lost_versions.iter().map(|lost| lost.last.get() + 1 - lost.first.get());
        assert_eq!(versions.sum::<u64>(), found.events_lost.unwrap_or_default(), "{found:#?}");
    }
    Ok(())
}

#[test]
fn a_segment_that_goes_missing_under_its_writer_is_named() -> Outcome {
    for (gone, commits) in [(2, 1), (0, 1), (0, 12)] {
        let patient = Patient::new(End::Closed);
        let store = EventStore::open_on(Arc::new(patient.disk.mount()), STORE, options())?;
        append(&store, 20..20 + commits);
        let logs = patient.logs();
        let (path, _) = logs.iter().rev().nth(gone).ok_or("a segment")?;
        patient.disk.remove_file(path)?;
        let found = verified(&patient.disk);
        assert_eq!((found.extent, found.damage.len()), (Extent::Committed, 1), "{found:#?}");
        assert!(found.damage[0].reason.contains("is missing, though"), "{found:#?}");
        assert!(!found.lost.is_empty() && found.events_lost.is_some() == (gone > 0), "{found:#?}");
    }
    Ok(())
}

#[test]
fn damage_is_found_beside_a_writer_too() -> Outcome {
    let patient = Patient::new(End::Closed);
    patient.flip(20, 90);
    // Opening doesn't read a sealed segment that has an index file.
    let store = EventStore::open_on(Arc::new(patient.disk.mount()), STORE, options())?;
    append(&store, 20..24);
    let verification = verified(&patient.disk);
    assert_eq!(verification.extent, Extent::Committed);
    assert_eq!(lost(&verification, 100), [20], "{verification:#?}");
    assert_eq!(verification.last_position, store.last_position());
    Ok(())
}
