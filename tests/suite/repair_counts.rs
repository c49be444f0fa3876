//! Repairs of more damage than lists name: what is lost and what is set aside is counted all the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use annals::{
    Durability, EventData, EventStore, ExpectedVersion, LISTED_MAX, Linking, Listed, Options, Position,
    PositionRange, RepairPlan, SimDisk, StoredEvent,
};
use serde_json::{Value, json};

use crate::{
    patient::{Patient, STORE, everything, open, records_of, verified},
    repair::{accepting, plan, repair},
    repair_backup::back_up,
    support::{Outcome, stream},
};

/// How many events a commit has, in one frame.
const COMMIT_EVENTS: u64 = 300;

/// How many such commits have more than lists name, if every second event is damaged.
const COMMITS: u64 = 2 * LISTED_MAX as u64 / COMMIT_EVENTS + 2;

/// Appends commits of many small events, to a few streams.
fn append_many(store: &EventStore, commits: u64) -> annals::Result<()> {
    for number in 0..commits {
        let events = (0..COMMIT_EVENTS).map(|index| EventData::new("Scanned", index.to_le_bytes()));
        store.append(&stream(&format!("scans-{}", number % 7)), ExpectedVersion::Any, events)?;
    }
    Ok(())
}

/// A store of so many commits, a backup, and behind that an event to each of four streams; and so many commits more.
fn backed_up(before: u64, behind: u64) -> annals::Result<Patient> {
    let options = Options::new().durability(Durability::Buffered).segment_bytes(512 << 10);
    let disk = SimDisk::new(1);
    let begin = || EventStore::open_on(Arc::new(disk.mount()), STORE, options.clone());
    let store = begin()?;
    append_many(&store, before)?;
    store.close()?;
    let patient = Patient { disk: disk.snapshot(1), events: Vec::new(), records: Vec::new() };
    back_up(&patient, Linking::Never);
    let store = EventStore::open_on(Arc::new(patient.disk.mount()), STORE, options.clone())?;
    for name in ["late-a", "late-b", "late-c", "late-d"] {
        store.append(&stream(name), ExpectedVersion::NoStream, [EventData::new("Scanned", "last")])?;
    }
    append_many(&store, behind)?;
    let events = everything(&store);
    store.close()?;
    let records = records_of(&patient.disk);
    Ok(Patient { events, records, ..patient })
}

/// Flips a bit in the last byte of each of these events.
fn damage(patient: &Patient, positions: &[u64]) {
    let mut by_file: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for record in patient.records.iter().filter(|record| positions.binary_search(&record.position).is_ok()) {
        by_file.entry(&record.path).or_default().push(record.bytes.end - 1);
    }
    for (path, offsets) in by_file {
        patient.change(path, |content| offsets.iter().for_each(|at| content[*at] ^= 4));
    }
}

/// Positions as ranges without gaps.
fn ranges(positions: &[u64]) -> Vec<(u64, u64)> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for position in positions {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *position => *last = *position,
            _ => ranges.push((*position, *position)),
        }
    }
    ranges
}

fn named(list: &Listed<PositionRange>) -> (Vec<(u64, u64)>, u64) {
    let range = |range: &PositionRange| (range.first.get(), range.last.map_or(0, Position::get));
    (list.iter().map(range).collect(), list.unnamed())
}

/// What is named of a list, and how many there are more.
fn bounded<T: Clone>(all: &[T]) -> (Vec<T>, u64) {
    let named = &all[..all.len().min(LISTED_MAX)];
    (named.to_vec(), (all.len() - named.len()) as u64)
}

fn positions_in(text: &[u8]) -> Vec<u64> {
    let text = std::str::from_utf8(text).expect("UTF-8");
    let position = |line| serde_json::from_str::<Value>(line).expect("JSON")["position"].as_u64();
    text.lines().map(|line| position(line).expect("a position")).collect()
}

/// A damaged store, and what is true of it.
struct Case {
    patient: Patient,
    /// How many events the backup has: all that is damaged of them, it gives back.
    backed_up: u64,
    /// The position at which the log is cut.
    cut: u64,
    /// The positions behind that of events that are lost, and of those that can be read.
    gone: Vec<u64>,
    aside: Vec<u64>,
    /// How many of the lost ones' versions can be known.
    versions_known: u64,
}

impl Case {
    /// Every second event before the backup's end is damaged; and behind that one at which the log is cut, and every second one of
    /// what comes then.
    fn new(commits_behind: u64) -> annals::Result<Self> {
        let patient = backed_up(COMMITS, commits_behind)?;
        let backed_up = COMMITS * COMMIT_EVENTS;
        let (cut, last) = (backed_up + 2, patient.events.len() as u64);
        let is_damaged = |position: &u64| {
            *position == cut || (*position <= backed_up || *position > cut + 2) && position.is_multiple_of(2)
        };
        let damaged: Vec<u64> = (1..=last).filter(is_damaged).collect();
        damage(&patient, &damaged);
        let found = verified(&patient.disk);
        assert!(found.lost.unnamed() > 0 && found.events_lost == Some(damaged.len() as u64), "{found:?}");
        // No two that are lost stand side by side.
        let versions_known = found.lost_versions.total() - backed_up / 2;
        let (gone, aside) = (cut..=last).partition(|position| damaged.binary_search(position).is_ok());
        Ok(Self { patient, backed_up, cut, gone, aside, versions_known })
    }

    fn event(&self, position: u64) -> &StoredEvent {
        &self.patient.events[usize::try_from(position - 1).expect("few")]
    }

    fn check_plan(&self, plan: &RepairPlan) {
        assert_eq!((plan.kept.get(), plan.events_restored), (self.cut - 1, self.backed_up));
        assert_eq!(plan.events_lost, Some(self.gone.len() as u64));
        assert_eq!(plan.events_set_aside, self.aside.len() as u64);
        for (list, positions) in [(&plan.lost, &self.gone), (&plan.set_aside, &self.aside)] {
            assert!(named(list) == bounded(&ranges(positions)));
        }
        let gone = || self.gone.iter().map(|position| self.event(*position));
        let versions: BTreeSet<_> = gone().map(|event| (event.stream.clone(), event.version)).collect();
        assert_eq!(plan.lost_versions.total(), self.versions_known);
        for lost in &plan.lost_versions {
            let stream = lost.stream.clone().expect("an event of the stream can be read");
            assert!(lost.first == lost.last && versions.contains(&(stream, lost.first)), "{lost}");
        }
        let ids: Vec<_> = gone().map(|event| (event.position, event.id.clone())).collect();
        let told = plan.lost_ids.iter().map(|lost| (lost.position, lost.seeming_id.clone())).collect();
        assert!((told, plan.lost_ids.unnamed()) == bounded(&ids));
    }

    /// Checks what a report says, or an event that tells of the repair.
    fn check_summary(&self, told: &Value) {
        let streams: BTreeSet<_> = self.aside.iter().map(|position| &self.event(*position).stream).collect();
        let expected = json!({
            "kept": self.cut - 1, "cutFrom": self.cut, "eventsLost": self.gone.len(), "eventsSetAside": self.aside.len(),
            "streamsSetAside": streams.len(), "eventsRestored": self.backed_up,
        });
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&told[name], value, "{name}");
        }
    }

    fn check_report(&self, report: &Value) {
        self.check_summary(report);
        for (name, positions) in [("lost", &self.gone), ("setAside", &self.aside)] {
            let (all, unnamed) = bounded(&ranges(positions));
            let all: Vec<Value> =
                all.iter().map(|(first, last)| json!({ "first": first, "last": last })).collect();
            assert!(report[name] == Value::from(all), "{name}");
            assert_eq!(report["unnamed"][name].as_u64().unwrap_or(0), unnamed, "{name}");
        }
    }
}

fn check_counts(commits_behind: u64) -> Outcome {
    let case = Case::new(commits_behind)?;
    let (disk, options) = (&case.patient.disk, accepting().backup("/backup"));
    let planned = plan(disk, &options)?;
    case.check_plan(&planned);
    let repaired = repair(disk, &options)?;
    assert!(repaired.plan == planned, "what is done is what was shown");
    let folder = repaired.folder.ok_or("a folder")?;
    let file = |name: &str| disk.read_file(folder.join(name)).expect(name);
    assert!(positions_in(&file("events.jsonl")) == case.aside);
    case.check_report(&serde_json::from_slice(&file("report.json"))?);
    let events = everything(&open(disk)?);
    let (note, kept) = events.split_last().ok_or("an event tells of it")?;
    case.check_summary(&note.json()?);
    assert!(kept == &case.patient.events[..usize::try_from(case.cut - 1)?], "what stays is as it was");
    assert!(verified(disk).is_whole());
    Ok(())
}

#[test]
fn what_is_behind_a_cut_is_counted_and_set_aside_however_much_is_lost_before_it() -> Outcome {
    check_counts(0)
}

#[test]
fn what_is_behind_a_cut_is_counted_and_set_aside_where_that_is_more_than_lists_name() -> Outcome {
    check_counts(COMMITS)
}
