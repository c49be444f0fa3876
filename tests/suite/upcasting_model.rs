//! Random logs, read through random upcasters, compared with a model that follows the steps one by one in a list.
//!
//! A payload is a list of texts: each step that changes it adds what it is. So two ways of reading agree only if
//! every event went through the same steps in the same order.

use annals::{
    Bound, Cursor, Delivery, Error, EventContent, EventData, ExpectedVersion, Follower, Invalid, Metadata,
    Options, Position, Query, ReadMode, Reader, StoredEvent, Upcasters,
};
use proptest::{collection::vec, option, prelude::*};

use crate::support::{all, buffered, check_property, small_segments, store_with, stream};

const TYPES: [&str; 5] = ["A", "B", "C", "D", "E"];
const STREAMS: [&str; 3] = ["order-1", "order-2", "cart-1"];
const CORRELATIONS: [&str; 3] = ["x", "y", "moved"];

/// A schema: the number of its type, and its version.
type Schema = (usize, u32);

/// A step as the model knows it.
#[derive(Clone, Debug)]
enum Step {
    Json,
    /// Also gives the event another correlation id. Payloads that are marked as bad make it fail.
    Convert,
    Rename(Schema),
    /// As many parts as are said of each target, in turn.
    Split(Vec<(Schema, u8)>),
    Discard,
    Knows,
}

type Registered = Vec<(Schema, Step)>;

fn schemas() -> impl Strategy<Value = Schema> {
    (0..TYPES.len(), 1..4_u32)
}

fn steps() -> impl Strategy<Value = Registered> {
    let step = prop_oneof![
        3 => Just(Step::Json),
        2 => Just(Step::Convert),
        3 => schemas().prop_map(Step::Rename),
        3 => vec((schemas(), 0..3_u8), 1..4).prop_map(Step::Split),
        1 => Just(Step::Discard),
        2 => Just(Step::Knows),
    ];
    vec((schemas(), step), 0..14)
}

fn targets((event_type, version): Schema, step: &Step) -> Vec<Schema> {
    match step {
        Step::Json | Step::Convert => vec![(event_type, version + 1)],
        Step::Rename(to) => vec![*to],
        Step::Split(to) => to.iter().map(|(to, _)| *to).collect(),
        Step::Discard | Step::Knows => vec![],
    }
}

/// The step from a schema, if one was registered.
fn step_from(registered: &Registered, schema: Schema) -> Option<&Step> {
    registered
        .iter()
        .find(|(from, step)| *from == schema && !matches!(step, Step::Knows))
        .map(|(_, step)| step)
}

/// Whether steps lead from a schema to one that is looked for, by trying all ways.
fn leads_to(registered: &Registered, from: Schema, is_it: &dyn Fn(Schema) -> bool) -> bool {
    is_it(from)
        || step_from(registered, from).is_some_and(|step| {
            targets(from, step).into_iter().any(|target| leads_to(registered, target, is_it))
        })
}

/// Whether the model allows a step beside those that are registered.
fn allows(registered: &Registered, from: Schema, step: &Step) -> bool {
    let mut of_source = registered.iter().filter(|(source, _)| *source == from);
    let is_only = of_source.all(|(_, other)| matches!((other, step), (Step::Knows, Step::Knows)));
    is_only
        && !targets(from, step)
            .into_iter()
            .any(|target| leads_to(registered, target, &|schema| schema == from))
}

fn name((event_type, _): Schema) -> &'static str {
    TYPES[event_type]
}

/// What a step adds to a payload.
fn mark((event_type, version): Schema, part: usize) -> String {
    format!("{}{version}.{part}", TYPES[event_type])
}

fn register(upcasters: Upcasters, from: Schema, step: &Step) -> Result<Upcasters, Invalid> {
    let version = from.1;
    match step.clone() {
        Step::Json => upcasters.json(name(from), version, move |mut marks: Vec<String>| {
            marks.push(mark(from, 0));
            Ok::<_, Invalid>(marks)
        }),
        Step::Convert => upcasters.convert(name(from), version, move |content: EventContent| {
            let mut marks: Vec<String> = content.json()?;
            if marks[0].starts_with("bad") {
                return Err(Box::<dyn std::error::Error + Send + Sync>::from("a bad payload"));
            }
            marks.push(mark(from, 0));
            let mut content = content.with_json(&marks)?;
            content.metadata = br#"{"correlationId":"moved"}"#.to_vec();
            Ok(content)
        }),
        Step::Rename(to) => upcasters.rename(name(from), version, (name(to), to.1)),
        Step::Split(to) => {
            let declared: Vec<(&str, u32)> = to.iter().map(|(to, _)| (name(*to), to.1)).collect();
            upcasters.split(name(from), version, &declared, move |content| split(from, &to, &content))
        }
        Step::Discard => upcasters.discard(name(from), version),
        Step::Knows => upcasters.knows(name(from), version),
    }
}

fn split(from: Schema, to: &[(Schema, u8)], content: &EventContent) -> Result<Vec<EventContent>, Invalid> {
    let marks: Vec<String> = content.json()?;
    let targets = to.iter().flat_map(|(to, count)| (0..*count).map(|_| *to)).enumerate();
    let part = |(number, to): (usize, Schema)| {
        let marks = [&marks[..], &[mark(from, number)]].concat();
        content.clone().with_type(name(to), to.1).with_json(&marks)
    };
    targets.map(part).collect()
}

/// An event in the model.
#[derive(Clone, PartialEq, Debug)]
struct Event {
    position: u64,
    kind: String,
    version: u32,
    marks: Vec<String>,
    correlation: Option<String>,
}

impl Event {
    fn of(event: &StoredEvent) -> Self {
        Self {
            position: event.position.get(),
            kind: event.event_type.clone(),
            version: event.schema_version,
            marks: event.json().expect("a list of texts"),
            correlation: event.metadata().expect("an object").and_then(|metadata| metadata.correlation_id),
        }
    }

    fn schema(&self) -> Schema {
        let event_type = TYPES.iter().position(|name| *name == self.kind);
        (event_type.expect("one of the types"), self.version)
    }

    fn at(mut self, (event_type, version): Schema) -> Self {
        TYPES[event_type].clone_into(&mut self.kind);
        self.version = version;
        self
    }

    fn marked(mut self, from: Schema, part: usize) -> Self {
        self.marks.push(mark(from, part));
        self
    }
}

/// What an event is read as; none: it can't be.
fn unfold(registered: &Registered, event: Event) -> Option<Vec<Event>> {
    let schema = event.schema();
    let Some(step) = step_from(registered, schema) else {
        return Some(vec![event]);
    };
    let next = (schema.0, schema.1 + 1);
    match step {
        Step::Json => unfold(registered, event.marked(schema, 0).at(next)),
        Step::Convert if event.marks[0].starts_with("bad") => None,
        Step::Convert => {
            let mut event = event.marked(schema, 0).at(next);
            event.correlation = Some("moved".to_owned());
            unfold(registered, event)
        }
        Step::Rename(to) => unfold(registered, event.at(*to)),
        Step::Split(to) => {
            let targets = to.iter().flat_map(|(to, count)| (0..*count).map(|_| *to)).enumerate();
            let parts =
                targets.map(|(part, to)| unfold(registered, event.clone().marked(schema, part).at(to)));
            parts.collect::<Option<Vec<_>>>().map(|parts| parts.concat())
        }
        Step::Discard | Step::Knows => Some(vec![]),
    }
}

/// What a stored event of the program's is read as, if it can be.
fn read_as(registered: &Registered, event: &StoredEvent) -> Option<Vec<Event>> {
    let named: Vec<Schema> =
        registered.iter().flat_map(|(from, step)| [vec![*from], targets(*from, step)].concat()).collect();
    let event = Event::of(event);
    let is_type_named = named.iter().any(|schema| name(*schema) == event.kind);
    if is_type_named && !named.contains(&event.schema()) {
        return None;
    }
    unfold(registered, event)
}

/// What is asked of a log.
#[derive(Clone, Debug)]
struct Asked {
    stream: Option<usize>,
    from: Option<u64>,
    to: Option<u64>,
    types: Vec<usize>,
    correlations: Vec<usize>,
    categories: Vec<&'static str>,
    system: bool,
    limit: Option<u64>,
    backwards: bool,
    raw: bool,
}

fn asked() -> impl Strategy<Value = Asked> {
    let number = || option::weighted(0.3, 0..60_u64);
    let types = prop_oneof![1 => Just(vec![]), 1 => vec(0..TYPES.len(), 1..3)];
    let correlations = prop_oneof![3 => Just(vec![]), 1 => vec(0..CORRELATIONS.len(), 1..3)];
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), prop::bool::weighted(0.1));
    let bounds =
        (option::weighted(0.3, 0..STREAMS.len()), number(), number(), option::weighted(0.3, 0..20_u64));
    (bounds, types, correlations, flags).prop_map(|(bounds, types, correlations, flags)| {
        let (stream, from, to, limit) = bounds;
        let (is_narrow, system, backwards, raw) = flags;
        let categories = if is_narrow { vec!["order", "$checkpoint"] } else { vec![] };
        Asked { stream, from, to, types, correlations, categories, system, limit, backwards, raw }
    })
}

/// An event, or the position of one that can't be read.
type Read = Result<Event, u64>;

impl Asked {
    fn narrow<B: Bound>(&self, mut query: Query<B>) -> Query<B> {
        query = query.from(B::from(self.from.unwrap_or(0))).to(B::from(self.to.unwrap_or(u64::MAX)));
        query = self.types.iter().fold(query, |query, number| query.event_type(TYPES[*number]));
        query =
            self.correlations.iter().fold(query, |query, number| query.correlation(CORRELATIONS[*number]));
        query = if self.backwards { query.backwards() } else { query };
        query = if self.raw { query.raw() } else { query };
        query.limit(self.limit.unwrap_or(u64::MAX))
    }

    fn of_all(&self) -> Query<Position> {
        let query = if self.system { Query::all().including_system() } else { Query::all() };
        self.narrow(self.categories.iter().fold(query, |query, category| query.category(*category)))
    }

    /// The same by the model, for each stored event of which something comes out.
    fn expected(&self, registered: &Registered, everything: &[StoredEvent]) -> Vec<Vec<Read>> {
        let plain = Registered::new();
        let registered = if self.raw { &plain } else { registered };
        let groups = everything.iter().filter(|event| self.bounds(event)).map(|event| {
            if event.stream.is_system() {
                let wants_all = self.types.is_empty() && self.correlations.is_empty();
                return if wants_all { vec![Ok(system_event(event))] } else { vec![] };
            }
            match read_as(registered, event) {
                Some(parts) => parts.into_iter().filter(|part| self.wants(part)).map(Ok).collect(),
                // Whether it would be one of those that are wanted isn't known.
                None if self.may_want(registered, event) => vec![Err(event.position.get())],
                None => vec![],
            }
        });
        let mut groups: Vec<Vec<Read>> = groups.filter(|parts| !parts.is_empty()).collect();
        if self.backwards {
            for parts in &mut groups {
                parts.reverse();
            }
            groups.reverse();
        }
        groups.truncate(self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).expect("it is small")));
        groups
    }

    fn bounds(&self, event: &StoredEvent) -> bool {
        let (number, is_of_source) = if let Some(stream) = self.stream {
            (event.version.get(), event.stream.as_str() == STREAMS[stream])
        } else {
            let is_shown = self.system || !event.stream.is_system();
            let is_any = self.categories.is_empty() || self.categories.contains(&event.stream.category());
            (event.position.get(), is_shown && is_any)
        };
        is_of_source && (self.from.unwrap_or(0)..=self.to.unwrap_or(u64::MAX)).contains(&number)
    }

    fn wants(&self, event: &Event) -> bool {
        let correlation = event.correlation.as_deref();
        (self.types.is_empty() || self.types.iter().any(|number| TYPES[*number] == event.kind))
            && (self.correlations.is_empty()
                || self.correlations.iter().any(|number| Some(CORRELATIONS[*number]) == correlation))
    }

    fn may_want(&self, registered: &Registered, event: &StoredEvent) -> bool {
        let is_wanted = |schema: Schema| self.types.contains(&schema.0);
        let of_type = |schema: &Schema| name(*schema) == event.event_type;
        self.types.is_empty()
            || self.types.iter().any(|number| TYPES[*number] == event.event_type)
            || registered.iter().any(|(from, _)| of_type(from) && leads_to(registered, *from, &is_wanted))
    }
}

fn system_event(event: &StoredEvent) -> Event {
    let (position, kind) = (event.position.get(), event.event_type.clone());
    Event { position, kind, version: 1, marks: vec![], correlation: None }
}

fn seen(read: Result<StoredEvent, Error>) -> Read {
    match read {
        Ok(event) if event.stream.is_system() => Ok(system_event(&event)),
        Ok(event) => Ok(Event::of(&event)),
        Err(Error::UnknownSchemaVersion { position, .. } | Error::UpcastFailed { position, .. }) => {
            Err(position.get())
        }
        Err(error) => panic!("nothing else is wrong: {error}"),
    }
}

fn check_query<B: Bound>(
    store: &Reader,
    query: &Query<B>,
    groups: &[Vec<Read>],
) -> Result<(), TestCaseError> {
    let expected = groups.concat();
    let read: Vec<Read> = store.read(query.clone()).map(seen).collect();
    prop_assert_eq!(&read, &expected, "{:?}", query);
    let mut lent = Vec::new();
    let mut events = store.read(query.clone());
    while let Some(event) = events.try_next().map(|event| event.map(|event| event.to_stored())).transpose() {
        lent.push(seen(event.and_then(|event| event.map_err(Error::from))));
    }
    prop_assert_eq!(&lent, &expected, "lent: {:?}", query);
    if query.is_backwards() { Ok(()) } else { check_subscription(store, query, groups) }
}

/// A subscription delivers the same up to the first that can't be read, and stands behind an event only when it was
/// delivered whole.
fn check_subscription<B: Bound>(
    store: &Reader,
    query: &Query<B>,
    groups: &[Vec<Read>],
) -> Result<(), TestCaseError> {
    let mut subscription = store.subscribe(query.clone());
    for parts in groups {
        for (number, part) in parts.iter().enumerate() {
            let before = subscription.position().get();
            let delivered = loop {
                match subscription.try_next().transpose() {
                    Some(Ok(Delivery::Event(event))) => break Some(seen(Ok(event))),
                    Some(Err(error)) => break Some(seen(Err(error))),
                    Some(Ok(_)) => {}
                    None => break None,
                }
            };
            prop_assert_eq!(delivered.as_ref(), Some(part), "subscribed: {:?}", query);
            let stands = subscription.position().get();
            let event = match part {
                Ok(event) => event,
                Err(position) => {
                    prop_assert!(subscription.has_ended() && stands < *position);
                    return Ok(());
                }
            };
            let is_last = number + 1 == parts.len();
            prop_assert_eq!(stands == event.position, is_last, "{} at {}", stands, event.position);
            prop_assert!(stands >= before && stands <= event.position);
        }
    }
    while let Some(delivery) = subscription.try_next().expect("nothing is wrong") {
        prop_assert!(matches!(delivery, Delivery::CaughtUp(_)), "subscribed: {:?}", query);
    }
    Ok(())
}

/// An event of a log: stream, schema, correlation, and whether its payload is bad.
type Logged = (usize, Schema, Option<usize>, bool);

fn logged() -> impl Strategy<Value = Logged> {
    (0..STREAMS.len(), schemas(), option::of(0..2_usize), prop::bool::weighted(0.05))
}

fn event_of(number: usize, (_, schema, correlation, is_bad): &Logged) -> EventData {
    // Long enough for several segments of 4 KiB.
    let begun = if *is_bad { "bad" } else { "good" };
    let payload = [format!("{begun} {number} {}", "x".repeat(200))];
    let metadata = Metadata {
        correlation_id: correlation.map(|number| CORRELATIONS[number].to_owned()),
        ..Metadata::default()
    };
    let event = EventData::json(name(*schema), &payload).expect("JSON").with_schema_version(schema.1);
    event.with_metadata(&metadata).expect("valid metadata")
}

fn check_answers(
    store: &Reader,
    registered: &Registered,
    questions: &[Asked],
    everything: &[StoredEvent],
) -> Result<(), TestCaseError> {
    for asked in questions {
        let groups = asked.expected(registered, everything);
        if let Some(number) = asked.stream {
            check_query(store, &asked.narrow(Query::stream(&stream(STREAMS[number]))), &groups)?;
        } else {
            check_query(store, &asked.of_all(), &groups)?;
        }
    }
    for event in everything.iter().filter(|event| !event.stream.is_system()) {
        let parts = store.upcasters().upcast(event.clone());
        let parts = parts.ok().map(|parts| parts.iter().map(Event::of).collect::<Vec<_>>());
        prop_assert_eq!(&parts, &read_as(registered, event));
        let found = store.event(&event.id).ok().map(|event| event.as_ref().map(Event::of));
        prop_assert_eq!(found, parts.map(|parts| parts.into_iter().next()));
    }
    Ok(())
}

type Case = (Registered, Vec<Logged>, Vec<Asked>);

fn check_log(options: &Options, (tried, log, questions): &Case) -> Result<(), TestCaseError> {
    let mut registered = Registered::new();
    let mut upcasters = Upcasters::new();
    for (from, step) in tried {
        let outcome = register(upcasters.clone(), *from, step);
        prop_assert_eq!(outcome.is_ok(), allows(&registered, *from, step), "{:?} {:?}", from, step);
        if let Ok(more) = outcome {
            upcasters = more;
            registered.push((*from, step.clone()));
        }
    }
    let options = options.clone().upcasters(upcasters);
    let mut store = store_with(options.clone());
    let follower = Follower::open_with(store.path(), options).expect("a store");
    let raw = || Query::all().including_system().raw();
    for (number, logged) in log.iter().enumerate() {
        let events = [event_of(number, logged)];
        store.append(&stream(STREAMS[logged.0]), ExpectedVersion::Any, events).expect("an append");
        if number % 7 == 3 {
            let last = all(store.read(raw().backwards().limit(1)))
                .first()
                .map_or(Cursor::START, StoredEvent::cursor);
            store.save_checkpoint("mailer", last).expect("it is of this log");
        }
    }
    let everything = all(store.read(raw()));
    check_answers(store.reader(), &registered, questions, &everything)?;
    check_answers(&follower, &registered, questions, &everything)?;
    store = store.reopen().expect("it opens again");
    check_answers(store.reader(), &registered, questions, &everything)
}

fn check_random_logs(cases: u32, options: &Options) {
    let strategy = (steps(), vec(logged(), 0..40), vec(asked(), 25));
    check_property(cases, &strategy, |case| check_log(options, &case));
}

#[test]
fn upcasters_read_as_following_the_steps_one_by_one_does__D21_X22_X23() {
    check_random_logs(60, &buffered());
}

#[test]
fn upcasters_read_so_in_several_segments_and_with_pread__D21_X22_X23() {
    check_random_logs(30, &small_segments());
    check_random_logs(15, &small_segments().read(ReadMode::Pread));
}
