//! Every kind of read, compared with a plain filter over everything that the log has.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use annals::{
    AsOf, Bound, Clock, Commit, ContentType, Cursor, Delivery, Error, EventData, EventId, EventStore,
    ExpectedVersion, Follower, GroupMember, Metadata, NameCount, Options, Position, Query, ReadMode, Reader,
    StoredEvent, StreamFilter, StreamId, StreamInfo, Timestamp, Version,
};
use proptest::{collection::vec, option, prelude::*};

use crate::support::{TestStore, all, buffered, check_property, event, small_segments, store_with, stream};

const STREAMS: [&str; 6] = ["order-1", "order-2", "order", "cart-1", "a-b-c", "käse-1"];
const CATEGORIES: [&str; 6] = ["order", "cart", "a", "käse", "$checkpoint", "none"];
const TYPES: [&str; 4] = ["Placed", "Paid", "Sent", "$CheckpointSaved"];
const CHECKPOINTS: [&str; 2] = ["mailer", "order"];

/// A clock that the test sets.
#[derive(Debug, Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// What happens to a store, in a random log.
#[derive(Clone, Debug)]
enum Step {
    /// Events for a stream: their types, what they belong to, and their ids, if they have any of their own.
    Append {
        stream: usize,
        events: Vec<(usize, Option<u8>, Option<u16>)>,
    },
    /// A checkpoint, in one commit with an event or alone.
    Save {
        name: usize,
        with_event: Option<usize>,
    },
    Delete {
        name: usize,
    },
    /// The clock is set: it goes back as well.
    Clock {
        micros: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (0..TYPES.len() - 1, option::weighted(0.4, 0..4_u8), option::weighted(0.3, 0..500_u16));
    let step = prop_oneof![
        6 => (0..STREAMS.len(), vec(one, 1..6)).prop_map(|(stream, events)| Step::Append { stream, events }),
        2 => (0..CHECKPOINTS.len(), option::of(0..STREAMS.len()))
            .prop_map(|(name, with_event)| Step::Save { name, with_event }),
        1 => (0..CHECKPOINTS.len()).prop_map(|name| Step::Delete { name }),
        4 => (0..60_i64).prop_map(|micros| Step::Clock { micros }),
    ];
    vec(step, 0..40)
}

fn event_of(event_type: usize, correlation: Option<u8>, id: Option<u16>) -> EventData {
    // Large enough for several segments of 4 KiB.
    let event = EventData::new(TYPES[event_type], vec![b'x'; 200]);
    let event = match correlation {
        // Not every metadata is an object, and not every correlation id a text.
        Some(3) => event.with_metadata_bytes(&br#"{"correlationId":3}"#[..], ContentType::JSON),
        Some(number) => {
            let correlation_id = Some(format!("c{number}"));
            event.with_metadata(&Metadata { correlation_id, ..Metadata::default() }).expect("valid metadata")
        }
        None => event,
    };
    match id {
        Some(number) if number % 2 == 0 => event.with_id(uuid::Uuid::from_u128(u128::from(number))),
        Some(number) => event.with_id(EventId::new(&format!("id-{number}")).expect("a valid id")),
        None => event,
    }
}

/// Does a step. Refused appends, such as those that repeat an id, are part of life.
fn perform(store: &EventStore, clock: &SetClock, step: &Step) {
    match step {
        Step::Append { stream: number, events } => {
            let events =
                events.iter().map(|(event_type, correlation, id)| event_of(*event_type, *correlation, *id));
            store.append(&stream(STREAMS[*number]), ExpectedVersion::Any, events).ok();
        }
        Step::Save { name, with_event } => {
            let last =
                store.read_all().last().map_or(Cursor::START, |event| event.expect("readable").cursor());
            let mut commit = Commit::new().checkpoint(CHECKPOINTS[*name], last);
            if let Some(number) = with_event {
                commit = commit.append(&stream(STREAMS[*number]), ExpectedVersion::Any, [event("Sent")]);
            }
            store.commit(commit).expect("nothing keeps a checkpoint from being saved");
        }
        Step::Delete { name } => {
            store.delete_checkpoint(CHECKPOINTS[*name]).ok();
        }
        Step::Clock { micros } => clock.0.store(*micros, Ordering::SeqCst),
    }
}

/// What is asked of a log, with numbers that may lie beyond it.
#[derive(Clone, Debug)]
struct Asked {
    stream: Option<usize>,
    from: Option<u64>,
    to: Option<u64>,
    since: Option<i64>,
    until: Option<i64>,
    as_of: Option<u64>,
    cursor: Option<usize>,
    categories: Vec<usize>,
    types: Vec<usize>,
    correlations: Vec<u8>,
    group: Option<(u32, u32)>,
    system: bool,
    limit: Option<u64>,
    backwards: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    let number = || option::weighted(0.3, 0..90_u64);
    let time = || option::weighted(0.3, -5..65_i64);
    let bounds = (option::weighted(0.4, 0..=STREAMS.len()), number(), number(), time(), time(), number());
    let names = (
        prop_oneof![3 => Just(vec![]), 2 => vec(0..CATEGORIES.len(), 1..3)],
        prop_oneof![3 => Just(vec![]), 2 => vec(0..TYPES.len(), 1..3)],
        prop_oneof![4 => Just(vec![]), 1 => vec(0..4_u8, 1..3)],
    );
    let group = option::weighted(0.2, (1..4_u32).prop_flat_map(|members| (1..=members, Just(members))));
    let rest = (option::weighted(0.2, 0..60_usize), group, any::<bool>(), number(), any::<bool>());
    (bounds, names, rest).prop_map(|(bounds, names, rest)| {
        let (stream, from, to, since, until, as_of) = bounds;
        let (categories, types, correlations) = names;
        let (cursor, group, system, limit, backwards) = rest;
        Asked {
            stream,
            from,
            to,
            since,
            until,
            as_of,
            cursor,
            categories,
            types,
            correlations,
            group,
            system,
            limit,
            backwards,
        }
    })
}

impl Asked {
    /// The stream that is asked for: one of the log's, or a checkpoint's.
    fn stream_name(&self) -> Option<&'static str> {
        self.stream.map(|number| STREAMS.get(number).copied().unwrap_or("$checkpoint-mailer"))
    }

    /// What both kinds of queries have in common.
    fn narrow<B: Bound>(&self, mut query: Query<B>) -> Query<B> {
        if let Some(from) = self.from {
            query = if from % 2 == 0 { query.from(B::from(from)) } else { query.after(B::from(from - 1)) };
        }
        if let Some(to) = self.to {
            query = if to % 2 == 0 { query.to(B::from(to)) } else { query.before(B::from(to + 1)) };
        }
        if let Some(since) = self.since {
            query = query.since(Timestamp::from_micros(since));
        }
        if let Some(until) = self.until {
            query = query.until(Timestamp::from_micros(until));
        }
        for number in &self.types {
            query = query.event_type(TYPES[*number]);
        }
        for number in &self.correlations {
            query = query.correlation(format!("c{number}"));
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if self.backwards { query.backwards() } else { query }
    }

    fn of_stream(&self, name: &str) -> Query<Version> {
        let query = self.narrow(Query::stream(&stream(name)));
        match self.as_of {
            Some(position) => query.as_of(Position::new(position)),
            None => query,
        }
    }

    fn of_all(&self, everything: &[StoredEvent]) -> Query<Position> {
        let mut query = self.narrow(Query::all());
        for number in &self.categories {
            query = query.category(CATEGORIES[*number]);
        }
        if let Some((member, members)) = self.group {
            query = query.group(GroupMember::new(member, members).expect("a member"));
        }
        if let Some(event) = self.cursor.and_then(|number| everything.get(number)) {
            query = query.after_cursor(event.cursor());
        }
        if self.system { query.including_system() } else { query }
    }

    /// The plain filter.
    fn expected(&self, everything: &[StoredEvent]) -> Vec<StoredEvent> {
        let mut found: Vec<StoredEvent> =
            everything.iter().filter(|event| self.wants(event, everything)).cloned().collect();
        if self.backwards {
            found.reverse();
        }
        found.truncate(self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).expect("it is small")));
        found
    }

    fn wants(&self, event: &StoredEvent, everything: &[StoredEvent]) -> bool {
        let is_any_of = |names: &[&str], numbers: &[usize], name: &str| {
            numbers.is_empty() || numbers.iter().any(|number| names[*number] == name)
        };
        let (number, is_of_source) = match self.stream_name() {
            Some(name) => {
                let is_before = self.as_of.is_none_or(|last| event.position.get() <= last);
                (event.version.get(), event.stream.as_str() == name && is_before)
            }
            None => (event.position.get(), self.is_of_all(event, everything)),
        };
        is_of_source
            && self.from.is_none_or(|from| number >= from)
            && self.to.is_none_or(|to| number <= to)
            && self.since.is_none_or(|since| event.timestamp.micros() >= since)
            && self.until.is_none_or(|until| event.timestamp.micros() <= until)
            && is_any_of(&TYPES, &self.types, &event.event_type)
            && (self.correlations.is_empty() || self.correlations.iter().any(|wanted| is_of(event, *wanted)))
    }

    fn is_of_all(&self, event: &StoredEvent, everything: &[StoredEvent]) -> bool {
        let name = event.stream.as_str();
        let category = name.split('-').next().unwrap_or(name);
        let cursor = self.cursor.and_then(|number| everything.get(number));
        (self.system || !name.starts_with('$'))
            && (self.categories.is_empty()
                || self.categories.iter().any(|wanted| CATEGORIES[*wanted] == category))
            && cursor.is_none_or(|cursor| event.position > cursor.position)
            && self.group.is_none_or(|(member, members)| {
                let hash = xxhash_rust::xxh3::xxh3_64(name.as_bytes());
                hash % u64::from(members) + 1 == u64::from(member)
            })
    }
}

/// Whether an event belongs to what the correlation id names; number 3 is never a text.
fn is_of(event: &StoredEvent, wanted: u8) -> bool {
    wanted != 3 && event.metadata_bytes == format!(r#"{{"correlationId":"c{wanted}"}}"#).as_bytes()
}

fn check_query<B: Bound>(
    store: &Reader,
    query: &Query<B>,
    asked: &Asked,
    everything: &[StoredEvent],
) -> Result<(), TestCaseError> {
    let expected = asked.expected(everything);
    prop_assert_eq!(&all(store.read(query.clone())), &expected, "{:?}", asked);
    // What a store of somebody else's would filter by, it too.
    for event in everything {
        let wants = asked.wants(event, everything);
        prop_assert_eq!(query.admits(event), wants, "{:?} {:?}", asked, event);
    }
    if !asked.backwards {
        let mut subscription = store.subscribe(query.clone());
        let mut delivered = Vec::new();
        while let Some(delivery) = subscription.try_next().expect("it can be read") {
            if let Delivery::Event(event) = delivery {
                delivered.push(event);
            }
        }
        prop_assert_eq!(&delivered, &expected, "subscribed: {:?}", asked);
    }
    Ok(())
}

/// Compares what is known without reading events with what the events say.
fn check_knowledge(store: &Reader, everything: &[StoredEvent]) -> Result<(), TestCaseError> {
    let ordinary = || everything.iter().filter(|event| !event.stream.is_system());
    let counted = |names: Vec<String>| {
        let mut counts = BTreeMap::new();
        for name in names {
            *counts.entry(name).or_insert(0) += 1;
        }
        counts.into_iter().collect::<Vec<(String, u64)>>()
    };
    let listed = |counts: Vec<NameCount>| {
        counts.into_iter().map(|count| (count.name, count.events)).collect::<Vec<_>>()
    };
    let categories = counted(ordinary().map(|event| event.stream.category().to_owned()).collect());
    prop_assert_eq!(listed(store.categories().expect("readable")), categories);
    let event_types = counted(ordinary().map(|event| event.event_type.clone()).collect());
    prop_assert_eq!(listed(store.event_types().expect("readable")), event_types);
    for event in everything {
        let first = everything.iter().find(|other| other.id == event.id);
        let found = store.event(&event.id).expect("readable");
        prop_assert_eq!(found.as_ref(), first);
    }
    let nobody = EventId::new("nobody").expect("a valid id");
    prop_assert_eq!(store.event(&nobody).expect("readable"), None);
    Ok(())
}

/// Compares what is known of streams with what their events say.
fn check_streams(store: &Reader, everything: &[StoredEvent]) -> Result<(), TestCaseError> {
    let mut known: BTreeMap<StreamId, StreamInfo> = BTreeMap::new();
    for event in everything {
        let created = known.get(&event.stream).map_or(event.timestamp, |info| info.created);
        let info = StreamInfo::new(event.stream.clone(), event.version, created, event.timestamp);
        known.insert(event.stream.clone(), info);
    }
    for info in known.values() {
        prop_assert_eq!(&store.stream_info(&info.stream).expect("it is there"), info);
        prop_assert_eq!(store.stream_version(&info.stream).expect("readable"), info.version);
    }
    let nobody = stream("nobody");
    let is_told = matches!(store.stream_info(&nobody), Err(Error::StreamNotFound { .. }));
    prop_assert!(is_told, "a stream without events");
    prop_assert_eq!(store.stream_exists(&nobody).expect("readable"), false);
    for prefix in ["", "order", "c", "$"] {
        for category in [None, Some("order"), Some("$checkpoint")] {
            for after in [None, Some("cart-1"), Some("order-1")] {
                for (limit, shows_system) in [(None, false), (None, true), (Some(2), false), (Some(2), true)]
                {
                    let asked = Listing { prefix, category, after, limit, shows_system };
                    let expected: Vec<&StreamInfo> = known
                        .values()
                        .filter(|info| asked.wants(info))
                        .take(limit.unwrap_or(usize::MAX))
                        .collect();
                    let listed = store.streams(&asked.filter()).expect("readable");
                    prop_assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{:?}", asked);
                }
            }
        }
    }
    Ok(())
}

/// Which streams are to be listed.
#[derive(Clone, Copy, Debug)]
struct Listing {
    prefix: &'static str,
    category: Option<&'static str>,
    after: Option<&'static str>,
    limit: Option<usize>,
    shows_system: bool,
}

impl Listing {
    fn filter(self) -> StreamFilter {
        let filter = StreamFilter::all().prefix(self.prefix);
        let filter = self.category.into_iter().fold(filter, StreamFilter::category);
        let filter = self.after.into_iter().fold(filter, |filter, name| filter.after(&stream(name)));
        let filter = self.limit.into_iter().fold(filter, StreamFilter::limit);
        if self.shows_system { filter.including_system() } else { filter }
    }

    /// The plain filter.
    fn wants(self, info: &StreamInfo) -> bool {
        let name = info.stream.as_str();
        name.starts_with(self.prefix)
            && self.category.is_none_or(|category| name.split('-').next() == Some(category))
            && self.after.is_none_or(|after| name > after)
            && (self.shows_system || !name.starts_with('$'))
    }
}

fn check_moments(store: &Reader, everything: &[StoredEvent], moments: &[i64]) -> Result<(), TestCaseError> {
    for (name, moment) in STREAMS.iter().zip(moments.iter().cycle()) {
        let time = Timestamp::from_micros(*moment);
        let position = Position::new(moment.unsigned_abs());
        let count = |is_there: &dyn Fn(&&StoredEvent) -> bool| {
            let of_stream = everything.iter().filter(|event| event.stream.as_str() == *name);
            Version::new(of_stream.filter(is_there).count() as u64)
        };
        let by_time = count(&|event| event.timestamp <= time);
        let by_position = count(&|event| event.position <= position);
        let known = |moment: AsOf| store.stream_version_as_of(&stream(name), moment).expect("readable");
        prop_assert_eq!(known(time.into()), by_time);
        prop_assert_eq!(known(position.into()), by_position);
        let as_it_was = all(store.read(Query::stream(&stream(name)).as_of(time)));
        prop_assert_eq!(as_it_was.len() as u64, by_time.get());
    }
    Ok(())
}

type Case = (Vec<Step>, Vec<Asked>, Vec<i64>);

/// Right after the appends some segments are sealed and have no index file yet; behind an opening all have.
fn check_log(options: &Options, (steps, questions, moments): &Case) -> Result<(), TestCaseError> {
    let clock = Arc::new(SetClock::default());
    let mut store = store_with(options.clone().clock(Arc::clone(&clock) as Arc<dyn Clock>));
    let follow = |store: &TestStore| Follower::open_with(store.path(), options.clone()).expect("a store");
    let early = follow(&store);
    for step in steps {
        perform(&store, &clock, step);
    }
    check_answers(store.reader(), questions, moments)?;
    check_answers(&early, questions, moments)?;
    store = store.reopen().expect("it opens again");
    check_answers(store.reader(), questions, moments)?;
    let late = follow(&store);
    // Some behind the opening, so that what is old and what is new are read together.
    for step in steps.iter().take(5) {
        perform(&store, &clock, step);
    }
    check_answers(store.reader(), questions, moments)?;
    for follower in [early, late, follow(&store)] {
        prop_assert_eq!(follower.last_position(), store.last_position());
        check_answers(&follower, questions, moments)?;
    }
    Ok(())
}

fn check_answers(store: &Reader, questions: &[Asked], moments: &[i64]) -> Result<(), TestCaseError> {
    let everything = all(store.read(Query::all().including_system()));
    // The filter itself stands on this: all positions, and times that never go back.
    let numbers: Vec<u64> = everything.iter().map(|event| event.position.get()).collect();
    prop_assert_eq!(&numbers, &(1..=store.last_position().get()).collect::<Vec<_>>());
    prop_assert!(everything.is_sorted_by_key(|event| event.timestamp));
    for asked in questions {
        match asked.stream_name() {
            Some(name) => check_query(store, &asked.of_stream(name), asked, &everything)?,
            None => check_query(store, &asked.of_all(&everything), asked, &everything)?,
        }
    }
    check_knowledge(store, &everything)?;
    check_streams(store, &everything)?;
    check_moments(store, &everything, moments)
}

fn check_random_logs(cases: u32, options: &Options) {
    let strategy = (steps(), vec(asked(), 20), vec(-5..65_i64, 3));
    check_property(cases, &strategy, |case| check_log(options, &case));
}

#[test]
fn every_query_finds_what_a_plain_filter_finds__C09_D03_D14_D15_X11_X15() {
    check_random_logs(40, &buffered());
}

#[test]
fn every_query_finds_the_same_in_small_segments__C09_D03() {
    check_random_logs(40, &small_segments());
}

#[test]
fn every_query_finds_the_same_without_a_map() {
    check_random_logs(15, &small_segments().read(ReadMode::Pread));
}
