//! Reading streams and everything.

use std::collections::BTreeMap;

use annals::{
    EventData, EventStore, ExpectedVersion, OccurredAt, Options, Position, Query, ReadMode, Result,
    StoredEvent, StreamId, Timestamp, Version,
};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    test_runner::TestCaseError,
};

use crate::support::{
    Outcome, TestStore, all, check_property, event, events, positions, small_segments, store, store_with,
    stream, types, version, versions,
};

/// A store whose stream `order-1` has the versions 1 to 20, every second one of all positions.
fn twenty() -> (TestStore, StreamId) {
    let store = store();
    let order = stream("order-1");
    for number in 1..=20 {
        store.append(&order, version(number - 1), events(number, 1)).expect("an append");
        store.append(&stream("other-1"), ExpectedVersion::Any, events(number, 1)).expect("an append");
    }
    (store, order)
}

#[test]
fn a_stream_is_read_between_bounds__A14_A15_C06_X1() {
    let (store, order) = twenty();
    let read = |query: Query<Version>| versions(store.read(query));
    let query = || Query::stream(&order);
    assert_eq!(read(query()), (1..=20).collect::<Vec<_>>());
    assert_eq!(read(query().from(version(18))), [18, 19, 20]);
    assert_eq!(read(query().after(version(18))), [19, 20]);
    assert_eq!(read(query().to(version(3))), [1, 2, 3]);
    assert_eq!(read(query().before(version(3))), [1, 2]);
    assert_eq!(read(query().from(version(5)).to(version(7))), [5, 6, 7]);
    assert_eq!(read(query().from(version(5)).limit(2)), [5, 6]);
    assert_eq!(read(query().from(version(7)).to(version(5))), [0; 0]);
}

#[test]
fn the_limit_counts_behind_the_order__A15() {
    let (store, order) = twenty();
    let backwards = Query::stream(&order).from(version(5)).limit(10).backwards();
    assert_eq!(versions(store.read(backwards)), (11..=20).rev().collect::<Vec<_>>());
    let until_8 = Query::stream(&order).to(version(8)).backwards().limit(3);
    assert_eq!(versions(store.read(until_8)), [8, 7, 6]);
    let all_backwards = Query::all().backwards().limit(3);
    assert_eq!(positions(store.read(all_backwards)), [40, 39, 38]);
}

#[test]
fn an_unknown_stream_has_no_events__A16_A17_A18_B08() {
    let (store, _) = twenty();
    let unknown = stream("order-2");
    assert_eq!(all(store.read_stream(&unknown)), []);
    assert_eq!(all(store.read(Query::stream(&unknown).backwards())), []);
    assert_eq!(
        (
            store.stream_version(&unknown).expect("it can be looked up"),
            store.stream_exists(&unknown).expect("it can be looked up")
        ),
        (version(0), false)
    );
}

#[test]
fn a_streams_version_is_the_one_of_its_last_event__A17_A18_B08() -> Outcome {
    let (store, order) = twenty();
    assert_eq!((store.stream_version(&order)?, store.stream_exists(&order)?), (version(20), true));
    store.append(&order, ExpectedVersion::Any, events(21, 2))?;
    assert_eq!(store.stream_version(&order)?, version(22));
    Ok(())
}

#[test]
fn what_came_after_a_version_is_what_is_greater__B07_D12_X1() {
    let (store, order) = twenty();
    let after = |number| versions(store.read(Query::stream(&order).after(version(number))));
    assert_eq!(after(17), [18, 19, 20]);
    assert_eq!(after(20), [0; 0]);
    assert_eq!(after(u64::MAX), [0; 0]);
    assert_eq!(after(0).len(), 20);
}

#[test]
fn everything_is_read_in_the_order_of_commits_from_a_position__B01_C09_C19() {
    let (store, _) = twenty();
    assert_eq!(positions(store.read_all()), (1..=40).collect::<Vec<_>>());
    assert_eq!(positions(store.read(Query::all().from(Position::new(38)))), [38, 39, 40]);
    assert_eq!(positions(store.read(Query::all().after(Position::new(38)).limit(1))), [39]);
    let names: Vec<String> =
        all(store.read_all()).into_iter().map(|event| event.stream.to_string()).take(4).collect();
    assert_eq!(names, ["order-1", "other-1", "order-1", "other-1"]);
}

/// An aggregate's port, as programs write it.
trait Orders {
    fn save(&self, stream: &StreamId, events: Vec<EventData>, expected: Version) -> Result<Version>;
    fn find(&self, stream: &StreamId) -> Result<Vec<StoredEvent>>;
    fn find_after(&self, stream: &StreamId, version: Version) -> Result<Vec<StoredEvent>>;
    fn current_version(&self, stream: &StreamId) -> Version;
}

impl Orders for EventStore {
    fn save(&self, stream: &StreamId, events: Vec<EventData>, expected: Version) -> Result<Version> {
        Ok(self.append(stream, expected, events)?.version)
    }

    fn find(&self, stream: &StreamId) -> Result<Vec<StoredEvent>> {
        self.read_stream(stream).collect()
    }

    fn find_after(&self, stream: &StreamId, version: Version) -> Result<Vec<StoredEvent>> {
        self.read(Query::stream(stream).after(version)).collect()
    }

    fn current_version(&self, stream: &StreamId) -> Version {
        self.stream_version(stream).expect("it can be looked up")
    }
}

#[test]
fn a_port_of_aggregates_stands_on_the_store__B02_B04_B06_B07_B08() -> Outcome {
    let store = store();
    let orders: &dyn Orders = &*store;
    let order = stream("order-1");
    assert_eq!(orders.current_version(&order), Version::NONE);
    assert_eq!(orders.save(&order, events(1, 3), Version::NONE)?, version(3));
    assert_eq!(orders.save(&order, events(4, 2), version(3))?, version(5));
    assert!(orders.save(&order, events(4, 2), version(3)).is_err_and(|error| error.is_conflict()));
    let numbers: Vec<u64> = orders.find(&order)?.iter().map(|event| event.version.get()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let after: Vec<u64> =
        orders.find_after(&order, version(3))?.iter().map(|event| event.version.get()).collect();
    assert_eq!(after, [4, 5]);
    assert_eq!(orders.current_version(&order), version(5));
    Ok(())
}

#[test]
fn events_are_in_the_order_of_versions_whatever_their_sources_say__D26_B06_X11() -> Outcome {
    let store = store();
    let order = stream("order-1");
    for (name, micros) in [("A", 300), ("B", 100), ("C", 200)] {
        let occurred_at = OccurredAt::utc(Timestamp::from_micros(micros));
        store.append(&order, ExpectedVersion::Any, [event(name).with_occurred_at(occurred_at)])?;
    }
    assert_eq!(types(store.read_stream(&order)), ["A", "B", "C"]);
    assert_eq!(types(store.read_all()), ["A", "B", "C"]);
    Ok(())
}

#[test]
fn the_state_at_any_point_is_read_again__B18() -> Outcome {
    let store = store();
    let account = stream("account-1");
    for cents in [500, -200, 50] {
        let moved = EventData::json("MoneyMoved", &cents)?;
        store.append(&account, ExpectedVersion::Any, [moved])?;
    }
    let balance_at = |last: u64| -> Result<i64> {
        let mut balance = 0;
        for event in store.read(Query::stream(&account).to(version(last))) {
            balance += event?.json::<i64>()?;
        }
        Ok(balance)
    };
    assert_eq!([balance_at(0)?, balance_at(1)?, balance_at(2)?, balance_at(3)?], [0, 500, 300, 350]);
    Ok(())
}

#[test]
fn a_cursor_shows_what_was_committed_when_it_was_made() -> Outcome {
    let (store, order) = twenty();
    let mut of_stream = store.read_stream(&order);
    let of_all = store.read(Query::all().backwards());
    assert!(of_stream.try_next()?.is_some());
    store.append(&order, ExpectedVersion::Any, events(21, 5))?;
    assert_eq!(versions(of_stream), (2..=20).collect::<Vec<_>>());
    assert_eq!(positions(of_all), (1..=40).rev().collect::<Vec<_>>());
    Ok(())
}

#[test]
fn a_lent_event_is_the_owned_one() -> Outcome {
    let (store, order) = twenty();
    let owned = all(store.read_stream(&order));
    let mut lent = store.read_stream(&order);
    for event in owned {
        let next = lent.try_next()?.ok_or("as many events")?;
        assert_eq!((next.stream, next.event_type), (event.stream.as_str(), event.event_type.as_str()));
        assert_eq!(next.to_stored()?, event);
    }
    assert!(lent.try_next()?.is_none());
    assert!(lent.try_next()?.is_none());
    Ok(())
}

/// The bounds of a query, as numbers.
#[derive(Clone, Debug)]
struct Bounds {
    from: Option<u64>,
    after: Option<u64>,
    to: Option<u64>,
    before: Option<u64>,
    limit: Option<u64>,
    is_backwards: bool,
}

impl Bounds {
    fn query<B: annals::Bound>(&self, mut query: Query<B>) -> Query<B> {
        if let Some(from) = self.from {
            query = query.from(B::from(from));
        }
        if let Some(after) = self.after {
            query = query.after(B::from(after));
        }
        if let Some(to) = self.to {
            query = query.to(B::from(to));
        }
        if let Some(before) = self.before {
            query = query.before(B::from(before));
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if self.is_backwards { query.backwards() } else { query }
    }

    /// What the words mean, said once more without any cleverness.
    fn choose(&self, events: &[StoredEvent], number: impl Fn(&StoredEvent) -> u64) -> Vec<StoredEvent> {
        let mut chosen: Vec<StoredEvent> = events
            .iter()
            .filter(|event| self.from.is_none_or(|from| number(event) >= from))
            .filter(|event| self.after.is_none_or(|after| number(event) > after))
            .filter(|event| self.to.is_none_or(|to| number(event) <= to))
            .filter(|event| self.before.is_none_or(|before| number(event) < before))
            .cloned()
            .collect();
        if self.is_backwards {
            chosen.reverse();
        }
        let limit = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        chosen.truncate(limit);
        chosen
    }
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let number = || option::of(prop_oneof![12 => 0_u64..60, 4 => 0_u64..1_500, 1 => Just(u64::MAX)]);
    (number(), number(), number(), number(), number(), any::<bool>()).prop_map(
        |(from, after, to, before, limit, is_backwards)| Bounds {
            from,
            after,
            to,
            before,
            limit,
            is_backwards,
        },
    )
}

/// An append: which stream, how many events, how large.
fn log() -> impl Strategy<Value = Vec<(u8, u64, usize)>> {
    vec((0_u8..4, 1_u64..5, prop_oneof![8 => 0_usize..40, 1 => 0_usize..3_000]), 1..60)
}

/// Appends it, and says what the store has to have then: everything in order, and each stream.
fn fill(store: &EventStore, log: &[(u8, u64, usize)]) -> Result<BTreeMap<StreamId, Vec<StoredEvent>>> {
    let mut streams: BTreeMap<StreamId, Vec<StoredEvent>> = BTreeMap::new();
    for (number, count, size) in log {
        let name = stream(&format!("s-{number}"));
        let batch: Vec<EventData> =
            (0..*count).map(|place| EventData::new(format!("T{place}"), vec![*number; *size])).collect();
        let appended = store.append(&name, ExpectedVersion::Any, batch.clone())?;
        let known = streams.entry(name.clone()).or_default();
        for (place, event) in (0..).zip(batch) {
            let at = Query::all().from(Position::new(appended.first_position.get() + place)).limit(1);
            let stored = store.read(at).next().expect("it was appended")?;
            assert_eq!((&stored.event_type, &stored.data), (&event.event_type, &event.data));
            assert_eq!((&stored.stream, stored.version.get()), (&name, known.len() as u64 + 1));
            known.push(stored);
        }
    }
    Ok(streams)
}

fn check_reads(options: &Options, cases: u32) {
    let property = |(log, queries, is_reopened): (Vec<(u8, u64, usize)>, Vec<Bounds>, bool)| {
        let failed = |error: annals::Error| TestCaseError::fail(error.to_string());
        let mut store = store_with(options.clone());
        let streams = fill(&store, &log).map_err(failed)?;
        if is_reopened {
            store = store.reopen().map_err(failed)?;
        }
        let mut everything: Vec<StoredEvent> = streams.values().flatten().cloned().collect();
        everything.sort_by_key(|event| event.position);
        for bounds in &queries {
            let read = all(store.read(bounds.query(Query::all())));
            proptest::prop_assert_eq!(read, bounds.choose(&everything, |event| event.position.get()));
            for (name, events) in &streams {
                let read = all(store.read(bounds.query(Query::stream(name))));
                proptest::prop_assert_eq!(read, bounds.choose(events, |event| event.version.get()));
            }
        }
        Ok(())
    };
    check_property(cases, &(log(), vec(bounds(), 40), any::<bool>()), property);
}

#[test]
fn every_combination_of_bounds_is_what_a_filter_gives__A14_A15_B06_B07_C06_X1() {
    check_reads(&small_segments().read(ReadMode::Mapped), 24);
}

#[test]
fn every_combination_of_bounds_is_what_a_filter_gives_with_pread__A14_A15_B06_B07_C06_X1() {
    check_reads(&small_segments().read(ReadMode::Pread), 24);
}

#[test]
fn long_streams_are_read_whole_in_both_directions__A14() -> Outcome {
    // More than a cursor takes from the index at a time.
    for read in [ReadMode::Mapped, ReadMode::Pread] {
        let store = store_with(small_segments().read(read));
        let order = stream("order-1");
        store.append(&order, ExpectedVersion::NoStream, events(1, 700))?;
        store.append(&order, version(700), events(701, 800))?;
        assert_eq!(versions(store.read_stream(&order)), (1..=1_500).collect::<Vec<_>>());
        let backwards = Query::stream(&order).backwards().from(version(200)).limit(1_200);
        assert_eq!(versions(store.read(backwards)), (301..=1_500).rev().collect::<Vec<_>>());
    }
    Ok(())
}
