//! Who makes ids, and who stamps times.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::SystemTime,
};

use annals::{Clock, EventId, EventStore, ExpectedVersion, IdGenerator, OccurredAt, Timestamp, UuidV7};
use uuid::Uuid;

use crate::support::{
    Outcome, all, buffered, event, event_with_id, events, small_segments, store, store_with, stream, types,
    version,
};

/// A clock that gives times from a list, and at the end the last one for ever.
#[derive(Debug)]
pub(crate) struct ListClock(Mutex<VecDeque<i64>>);

impl ListClock {
    pub(crate) fn of(micros: &[i64]) -> Arc<dyn Clock> {
        Arc::new(Self(Mutex::new(micros.iter().copied().collect())))
    }
}

impl Clock for ListClock {
    fn now(&self) -> Timestamp {
        let mut list = self.0.lock().expect("no test panics with it");
        let micros = if list.len() > 1 { list.pop_front() } else { list.front().copied() };
        Timestamp::from_micros(micros.expect("a list isn't empty"))
    }
}

/// Ids that are texts in the order of their making, as ULIDs are.
#[derive(Debug, Default)]
struct Counted(Mutex<u32>);

impl IdGenerator for Counted {
    fn next_id(&self) -> EventId {
        let mut count = self.0.lock().expect("no test panics with it");
        *count += 1;
        EventId::new(&format!("01J{:023}", *count)).expect("a valid id")
    }
}

#[test]
fn ids_come_from_the_generator_that_was_given__A02_X10() -> Outcome {
    let directory = tempfile::tempdir()?;
    let options = buffered().id_generator(Arc::new(Counted::default()));
    let store = EventStore::open_with(directory.path().join("store"), options)?;
    let order = stream("order-1");
    let mixed = [event("A"), event_with_id("mine"), event("B")];
    store.append(&order, ExpectedVersion::Any, mixed)?;
    let ids: Vec<String> = all(store.read_stream(&order)).iter().map(|event| event.id.to_string()).collect();
    assert!(ids[0].starts_with("01J") && ids[2].starts_with("01J") && ids[0] < ids[2], "{ids:?}");
    assert_eq!(ids[1], "mine");
    Ok(())
}

#[test]
fn the_stores_own_ids_are_uuids_in_the_order_of_time__A02_X10() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, events(1, 200))?;
    let uuids: Vec<Uuid> =
        all(store.read_stream(&order)).iter().filter_map(|event| event.id.as_uuid()).collect();
    assert_eq!(uuids.len(), 200);
    assert!(uuids.iter().all(|uuid| uuid.get_version_num() == 7));
    assert!(uuids.is_sorted_by(|one, other| one < other));
    let ids = UuidV7::default();
    assert_ne!(ids.next_id(), ids.next_id());
    Ok(())
}

#[test]
fn a_callers_id_is_any_text_and_comes_back_as_it_was__X10_C02() -> Outcome {
    let store = store_with(small_segments());
    let order = stream("order-1");
    let uuid = "018f2b1e-0000-7000-8000-0123456789ab";
    let mut texts: Vec<String> =
        ["x", "ö", "a b", "../../etc/passwd", "0123456789abcdef", uuid].map(str::to_owned).into();
    texts.extend([uuid.to_uppercase(), uuid.replace('-', ""), format!("{{{uuid}}}"), "é".repeat(127)]);
    for text in &texts {
        store.append(&order, ExpectedVersion::Any, [event("A").with_id(EventId::new(text)?)])?;
    }
    let store = store.reopen()?;
    let found: Vec<String> =
        all(store.read_stream(&order)).iter().map(|event| event.id.to_string()).collect();
    assert_eq!(found, texts);
    assert_eq!(EventId::new(uuid)?.as_uuid(), Some(Uuid::try_parse(uuid)?));
    assert_eq!(EventId::new(&uuid.to_uppercase())?.as_uuid(), None);
    Ok(())
}

#[test]
fn timestamps_come_from_the_clock_that_was_given__A04_X11() -> Outcome {
    let store = store_with(buffered().clock(ListClock::of(&[1, 1_000, 2_000])));
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, events(1, 2))?;
    store.append(&order, ExpectedVersion::Any, events(3, 1))?;
    let stamps: Vec<i64> =
        all(store.read_stream(&order)).iter().map(|event| event.timestamp.micros()).collect();
    assert_eq!(stamps, [1_000, 1_000, 2_000]);
    Ok(())
}

#[test]
fn the_default_clock_says_now__A04() -> Outcome {
    let store = store();
    let order = stream("order-1");
    let before = Timestamp::from(SystemTime::now());
    store.append(&order, ExpectedVersion::Any, events(1, 1))?;
    let after = Timestamp::from(SystemTime::now());
    let stamp = all(store.read_stream(&order))[0].timestamp;
    assert!(before <= stamp && stamp <= after, "{before:?} {stamp:?} {after:?}");
    Ok(())
}

#[test]
fn timestamps_never_go_back_though_the_clock_does__F34__X11() -> Outcome {
    let path = tempfile::tempdir()?;
    let order = stream("order-1");
    // Also across openings, and before 1970.
    let openings: [&[i64]; 4] = [&[0, 50, 40, 60, 10], &[55, 70], &[-1_000_000], &[i64::MIN, 80, i64::MIN]];
    let wanted = [50, 50, 60, 60, 60, 70, 70, 70, 80, 80];
    for times in openings {
        let options = small_segments().clock(ListClock::of(times));
        let store = EventStore::open_with(path.path().join("store"), options)?;
        let rounds = if store.last_position().get() == 0 { 4 } else { times.len() };
        for _ in 0..rounds {
            store.append(&order, ExpectedVersion::Any, [event("A")])?;
        }
        let stamps: Vec<i64> = all(store.read_all()).iter().map(|event| event.timestamp.micros()).collect();
        assert_eq!(stamps, wanted[..stamps.len()]);
        store.close()?;
    }
    let store = EventStore::open(path.path().join("store"))?;
    assert_eq!(store.last_position().get(), wanted.len() as u64);
    Ok(())
}

#[test]
fn the_callers_time_is_kept_beside_the_stores__B05_X11_D26() -> Outcome {
    let mut store = store_with(buffered().clock(ListClock::of(&[500])));
    let order = stream("order-1");
    let times: Vec<OccurredAt> =
        [(900, 0), (100, 120), (-7, -720), (i64::MAX, i16::MAX), (i64::MIN, i16::MIN)]
            .into_iter()
            .map(|(micros, offset_minutes)| OccurredAt {
                time: Timestamp::from_micros(micros),
                offset_minutes,
            })
            .collect();
    for (number, occurred_at) in (0..).zip(&times) {
        store.append(&order, version(number), [event("A").with_occurred_at(*occurred_at)])?;
    }
    store.append(&order, ExpectedVersion::Any, [event("without")])?;
    for _ in 0..2 {
        let found = all(store.read_stream(&order));
        let occurred: Vec<Option<OccurredAt>> = found.iter().map(|event| event.occurred_at).collect();
        let wanted: Vec<Option<OccurredAt>> = times.iter().copied().map(Some).chain([None]).collect();
        assert_eq!(occurred, wanted);
        assert!(found.iter().all(|event| event.timestamp == Timestamp::from_micros(500)));
        store = store.reopen()?;
    }
    assert_eq!(types(store.read_stream(&order)).len(), 6);
    Ok(())
}
