//! The trait, implemented by somebody else: a store in a vector, which must behave like the real one.

use annals::{
    Appended, Commit, Error, EventData, EventId, EventIterator, ExpectedVersion, Position, Query, Result,
    Store, StoredEvent, StreamFilter, StreamId, StreamInfo, Timestamp, Version,
};
use std::sync::Mutex;

use crate::support::{Outcome, event, store, stream};

/// All events, in a vector. Ids aren't compared.
#[derive(Default)]
struct VectorStore {
    events: Mutex<Vec<StoredEvent>>,
}

impl VectorStore {
    fn events(&self) -> Vec<StoredEvent> {
        self.events.lock().expect("no test panics with it").clone()
    }

    fn select(found: Vec<StoredEvent>, is_backwards: bool, events_max: u64) -> EventIterator<'static> {
        let events_max = usize::try_from(events_max).unwrap_or(usize::MAX);
        let found = found.into_iter().map(Ok);
        if is_backwards { Box::new(found.rev().take(events_max)) } else { Box::new(found.take(events_max)) }
    }
}

impl Store for VectorStore {
    fn append(
        &self,
        stream: &StreamId,
        expected: ExpectedVersion,
        events: Vec<EventData>,
    ) -> Result<Appended> {
        self.commit(Commit::new().append(stream, expected, events)).map(|appended| appended[0])
    }

    fn commit(&self, commit: Commit) -> Result<Vec<Appended>> {
        for (stream, expected, _) in commit.parts() {
            let actual = self.stream_version(stream)?;
            if !expected.is_met_by(actual) {
                return Err(Error::VersionConflict { stream: stream.clone(), expected, actual });
            }
        }
        let mut appended = Vec::new();
        for (stream, _, events) in commit.parts() {
            let Some(events) = events else { continue };
            let before = self.stream_version(stream)?;
            let next = self.last_position()?.next();
            appended.push(Appended::new(before, events.len() as u64, next));
            for (event, version) in events.iter().zip(before.get() + 1..) {
                let mut all = self.events.lock().expect("no test panics with it");
                let position = Position::new(all.len() as u64 + 1);
                let id = EventId::new(&format!("event-{position}"))?;
                let (version, timestamp) = (Version::new(version), Timestamp::from_micros(0));
                all.push(StoredEvent::new(position, stream.clone(), version, timestamp, id, event.clone()));
            }
        }
        Ok(appended)
    }

    fn read_stream(&self, query: Query<Version>) -> EventIterator<'_> {
        let mut found = self.events();
        found.retain(|event| event.stream == *query.source() && query.bounds().contains(&event.version));
        Self::select(found, query.is_backwards(), query.events_max())
    }

    fn read_all(&self, query: Query<Position>) -> EventIterator<'_> {
        let mut found = self.events();
        found.retain(|event| query.bounds().contains(&event.position));
        Self::select(found, query.is_backwards(), query.events_max())
    }

    fn stream_version(&self, stream: &StreamId) -> Result<Version> {
        let count = self.events().iter().filter(|event| event.stream == *stream).count();
        Ok(Version::new(count as u64))
    }

    fn streams(&self, filter: &StreamFilter) -> Result<Vec<StreamInfo>> {
        let mut names: Vec<StreamId> = self.events().into_iter().map(|event| event.stream).collect();
        names.sort();
        names.dedup();
        let admitted = names.into_iter().filter(|name| filter.admits(name)).take(filter.streams_max());
        let zero = Timestamp::from_micros(0);
        admitted
            .map(|name| Ok(StreamInfo::new(name.clone(), self.stream_version(&name)?, zero, zero)))
            .collect()
    }

    fn last_position(&self) -> Result<Position> {
        Ok(Position::new(self.events().len() as u64))
    }
}

/// What a program that knows only the trait sees of a store.
fn use_it(store: &dyn Store) -> Result<Vec<String>> {
    let (one, two) = (stream("account-1"), stream("account-2"));
    let mut seen = Vec::new();
    let mut see = |what: String| seen.push(what);
    see(format!("{:?}", store.append(&one, ExpectedVersion::NoStream, vec![event("A"), event("B")])?));
    see(format!("{:?}", store.append(&one, ExpectedVersion::StreamExists, vec![])?));
    let conflict = store.append(&one, Version::new(1).into(), vec![event("C")]);
    see(conflict.expect_err("another was first").to_string());
    let commit = Commit::new()
        .append(&two, ExpectedVersion::NoStream, [event("D")])
        .check(&one, Version::new(2))
        .append(&stream("b"), ExpectedVersion::Any, [event("E")]);
    see(format!("{:?}", store.commit(commit)?));
    let mut read = |events: EventIterator<'_>| -> Result<()> {
        for event in events {
            let event = event?;
            see(format!("{} {} {} {}", event.position, event.stream, event.version, event.event_type));
        }
        Ok(())
    };
    read(store.read_stream(Query::stream(&one).after(Version::new(1))))?;
    read(store.read_stream(Query::stream(&stream("nobody"))))?;
    read(store.read_all(Query::all()))?;
    read(store.read_all(Query::all().to(Position::new(3)).backwards().limit(2)))?;
    for info in store.streams(&StreamFilter::all().category("account"))? {
        see(format!("{} {}", info.stream, info.version));
    }
    see(format!("{} {}", store.stream_version(&two)?, store.last_position()?));
    Ok(seen)
}

#[test]
fn a_program_runs_alike_on_this_store_and_on_one_of_its_own__A21() -> Outcome {
    let real = use_it(&*store())?;
    let own = use_it(&VectorStore::default())?;
    assert_eq!(real, own);
    assert!(real.len() > 12, "{real:?}");
    Ok(())
}
