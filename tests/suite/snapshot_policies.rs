//! When a snapshot is due, from values alone.

use std::{sync::Arc, time::Duration};

use annals::{
    AnyOf, EveryNEvents, OlderThan, OnDemand, SlowLoad, SnapshotMoment, SnapshotPolicy, Timestamp, Version,
};

const DAY: Duration = Duration::from_hours(24);
const DAY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// A stream at a version, a week into 1970, whose last snapshot has a version and an age in microseconds.
fn moment(version: u64, last: Option<(u64, i64)>) -> SnapshotMoment {
    let now = 7 * DAY_MICROS;
    let mut moment = SnapshotMoment::new(Version::new(version), Timestamp::from_micros(now));
    moment.last =
        last.map(|(version, age_micros)| (Version::new(version), Timestamp::from_micros(now - age_micros)));
    moment
}

#[track_caller]
fn check(policy: &dyn SnapshotPolicy, version: u64, last: Option<(u64, i64)>, is_due: bool) {
    assert_eq!(policy.is_due(&moment(version, last)), is_due, "{policy:?} at {version} behind {last:?}");
}

#[test]
fn every_n_events_counts_from_the_last_snapshot__B14_C17_D19_X16() {
    let policy = EveryNEvents(100);
    check(&policy, 99, None, false);
    check(&policy, 100, None, true);
    check(&policy, 199, Some((100, 0)), false);
    check(&policy, 200, Some((100, 0)), true);
    // A snapshot at an odd version: the next is 100 events behind it, not at the next multiple.
    check(&policy, 200, Some((150, 0)), false);
    check(&policy, 250, Some((150, 0)), true);
    check(&policy, 150, Some((150, 0)), false);
}

#[test]
fn a_batch_that_jumps_over_the_multiple_is_not_missed__X16() {
    let policy = EveryNEvents(100);
    // Batches of 7: the versions are 98 and 105, and 100 is never one.
    let mut last: Option<(u64, i64)> = None;
    let mut taken = Vec::new();
    for version in (7..=700).step_by(7) {
        if policy.is_due(&moment(version, last)) {
            taken.push(version);
            last = Some((version, 0));
        }
    }
    assert_eq!(taken, [105, 210, 315, 420, 525, 630]);
    check(&policy, 1_000, Some((99, 0)), true);
}

#[test]
fn every_0_events_is_every_event() {
    check(&EveryNEvents(0), 1, None, true);
    check(&EveryNEvents(0), 1, Some((1, 0)), false);
    check(&EveryNEvents(0), 0, None, false);
}

#[test]
fn older_than_a_day_looks_at_the_last_snapshots_age__B14_D19() {
    let policy = OlderThan(DAY);
    check(&policy, 10, Some((9, DAY_MICROS)), false);
    check(&policy, 10, Some((9, DAY_MICROS + 1)), true);
    check(&policy, 9, Some((9, 3 * DAY_MICROS)), false);
    check(&policy, 1, None, true);
    check(&policy, 0, None, false);
    // The clock went back.
    check(&policy, 10, Some((9, -DAY_MICROS * 2)), false);
}

#[test]
fn the_age_of_the_last_snapshot_has_bounds() {
    let mut moment = moment(2, Some((1, 0)));
    moment.last = Some((Version::FIRST, Timestamp::MIN));
    assert!(OlderThan(DAY).is_due(&moment));
    moment.now = Timestamp::MIN;
    moment.last = Some((Version::FIRST, Timestamp::from_micros(i64::MAX)));
    assert!(!OlderThan(DAY).is_due(&moment));
}

#[test]
fn a_slow_load_wants_a_snapshot__B14() {
    let policy = SlowLoad(Duration::from_millis(10));
    let mut moment = moment(5, None);
    assert!(!policy.is_due(&moment), "it wasn't loaded");
    moment.load_time = Some(Duration::from_millis(10));
    assert!(!policy.is_due(&moment));
    moment.load_time = Some(Duration::from_millis(11));
    assert!(policy.is_due(&moment));
    moment.last = Some((Version::new(5), moment.now));
    assert!(!policy.is_due(&moment), "another one would be the same");
}

#[test]
fn on_demand_never_asks_and_any_of_several_is_enough__B14_C17() {
    check(&OnDemand, 1_000_000, None, false);
    let any = AnyOf(vec![Box::new(OnDemand), Box::new(EveryNEvents(100)), Box::new(OlderThan(DAY))]);
    check(&any, 10, Some((9, 0)), false);
    check(&any, 110, Some((9, 0)), true);
    check(&any, 10, Some((9, 2 * DAY_MICROS)), true);
    check(&AnyOf::default(), 110, None, false);
    check(&Arc::new(EveryNEvents(1)), 1, None, true);
    check(&(Box::new(EveryNEvents(1)) as Box<dyn SnapshotPolicy>), 1, None, true);
}

#[test]
fn a_program_has_policies_of_its_own__C17() {
    /// At the end of each hundred, whatever was saved before.
    #[derive(Debug)]
    struct AtHundreds;

    impl SnapshotPolicy for AtHundreds {
        fn is_due(&self, moment: &SnapshotMoment) -> bool {
            moment.version.get().is_multiple_of(100) && moment.events_applied > 0
        }
    }

    let mut moment = moment(200, None);
    assert!(!AtHundreds.is_due(&moment));
    moment.events_applied = 3;
    assert!(AnyOf(vec![Box::new(AtHundreds)]).is_due(&moment));
}
