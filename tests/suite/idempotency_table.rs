//! All cases of a repeated append in one table: what it says, what it expects, in what company, and when it comes.
//!
//! Each row has a stream and a partner of its own, which were made in one commit, so that no row stands on what
//! another one wrote.

use std::{path::PathBuf, sync::Arc};

use annals::{
    Appended, Commit, ContentType, Disk, Error, EventData, EventStore, ExpectedVersion, OccurredAt, Options,
    OsDisk, Position, Result, SEGMENT_BYTES_MIN, SimDisk, StreamId, Timestamp,
};

use crate::support::{Outcome, buffered, event, event_with_id, events, stream, version};

/// What becomes of an append to a stream that has the [`history`].
#[derive(Clone, Copy, Debug)]
enum Told {
    /// It is there, with these versions.
    Repeated(u64, u64),
    /// A part of it is there, or all in another order: this id has this version.
    Partial(&'static str, u64),
    /// This id is taken by an event that says something else, and that has this version.
    Taken(&'static str, u64),
    /// This id stands in it twice.
    Twice(&'static str),
    /// It is new: the expected version decides.
    New,
}

/// What each stream of the table has: a, b, c, an event without an id of its caller's, d.
fn history() -> Vec<EventData> {
    let with_all = event_with_id("b")
        .with_metadata_bytes(*b"{\"userId\":\"u\"}", ContentType::JSON)
        .with_occurred_at(OccurredAt { time: Timestamp::from_micros(7), offset_minutes: 60 })
        .with_schema_version(3);
    vec![event_with_id("a"), with_all, event_with_id("c"), event("none"), event_with_id("d")]
}

const HISTORY_EVENTS: u64 = 5;

/// Events of the history, by their places in it, and new ones.
fn part(places: &[usize]) -> Vec<EventData> {
    places.iter().map(|place| history()[*place].clone()).collect()
}

/// The history's b, changed in one thing.
fn changed(change: impl FnOnce(&mut EventData)) -> Vec<EventData> {
    let mut event = history()[1].clone();
    change(&mut event);
    vec![event]
}

/// An event that has an id of the history's, and other data.
fn other(id: &str) -> EventData {
    let mut event = event_with_id(id);
    event.data.push(b'!');
    event
}

/// What is appended, and what becomes of it.
#[rustfmt::skip]
fn cases() -> Vec<(&'static str, Vec<EventData>, Told)> {
    use Told::{New, Partial, Repeated, Taken, Twice};
    let new = event_with_id;
    let and = |mut events: Vec<EventData>, more: Vec<EventData>| { events.extend(more); events };
    vec![
        ("all, the first three",            part(&[0, 1, 2]),                                 Repeated(1, 3)),
        ("all, from within",                part(&[1, 2]),                                    Repeated(2, 3)),
        ("all, one",                        part(&[0]),                                       Repeated(1, 1)),
        ("all, the last",                   part(&[4]),                                       Repeated(5, 5)),
        ("none, two ids",                   vec![new("n1"), new("n2")],                       New),
        ("none, no id given",               vec![event("none")],                              New),
        ("none, one id given",              vec![event("none"), new("n1")],                   New),
        ("some, then new",                  and(part(&[2]), vec![new("n1")]),                 Partial("c", 3)),
        ("new, then some",                  and(vec![new("n1")], part(&[0])),                 Partial("a", 1)),
        ("some about a new one",            and(and(part(&[0]), vec![new("n1")]), part(&[1])), Partial("a", 1)),
        ("some, then no id given",          and(part(&[0]), vec![event("none")]),             Partial("a", 1)),
        ("no id given, then some",          and(vec![event("none")], part(&[0])),             Partial("a", 1)),
        ("all, and one without an id",      part(&[2, 3, 4]),                                 Partial("c", 3)),
        ("other order",                     part(&[1, 0]),                                    Partial("b", 2)),
        ("other order, the last first",     part(&[4, 0]),                                    Partial("d", 5)),
        ("a gap of one with an id",         part(&[0, 2]),                                    Partial("a", 1)),
        ("a gap of one without",            part(&[2, 4]),                                    Partial("c", 3)),
        ("other data",                      vec![other("a")],                                 Taken("a", 1)),
        ("the same, then other data",       and(part(&[0]), vec![other("c")]),                Taken("c", 3)),
        ("new, then other data",            vec![new("n1"), other("d")],                      Taken("d", 5)),
        ("other type",                      changed(|event| event.event_type.push('!')),      Taken("b", 2)),
        ("no metadata",                     changed(|event| event.metadata.clear()),          Taken("b", 2)),
        ("other content type",              changed(|event| event.content_type = ContentType::JSON), Taken("b", 2)),
        ("metadata of another content type",
            changed(|event| event.metadata_content_type = ContentType::BYTES),                Taken("b", 2)),
        ("other schema version",            changed(|event| event.schema_version = 4),        Taken("b", 2)),
        ("no time of its own",              changed(|event| event.occurred_at = None),        Taken("b", 2)),
        ("a new id twice",                  vec![new("n1"), new("n1")],                       Twice("n1")),
        ("a known id twice",                part(&[0, 0]),                                    Twice("a")),
        ("a known id twice, other data",    vec![other("a"), new("a")],                       Twice("a")),
    ]
}

/// Each expected version, and whether a new append to a stream with the history meets it.
#[rustfmt::skip]
fn modes() -> [(ExpectedVersion, bool); 7] {
    [
        (ExpectedVersion::Any,          true),
        (ExpectedVersion::NoStream,     false),
        (ExpectedVersion::StreamExists, true),
        (version(5).into(),             true),
        (version(4).into(),             false),
        (version(0).into(),             false),
        (version(6).into(),             false),
    ]
}

/// In what company an append comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Company {
    Alone,
    /// Behind an append in the same commit that was made before.
    Repeated,
    /// Before an append in the same commit that is new.
    New,
}

const COMPANIES: [Company; 3] = [Company::Alone, Company::Repeated, Company::New];

/// What has happened to the store since the histories were stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Moment {
    AtOnce,
    AfterClosing,
    AfterKill,
    /// They are in old segments, with several behind them.
    InOldSegments,
    InOldSegmentsAfterKill,
}

const MOMENTS: [Moment; 5] = [
    Moment::AtOnce,
    Moment::AfterClosing,
    Moment::AfterKill,
    Moment::InOldSegments,
    Moment::InOldSegmentsAfterKill,
];

/// A row: an append to a stream of its own.
struct Row {
    stream: StreamId,
    partner: StreamId,
    expected: ExpectedVersion,
    is_met: bool,
    company: Company,
    case: &'static str,
    events: Vec<EventData>,
    told: Told,
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for company in COMPANIES {
        for (expected, is_met) in modes() {
            for (case, events, told) in cases() {
                let number = rows.len();
                let (stream, partner) =
                    (stream(&format!("row-{number}")), stream(&format!("partner-{number}")));
                rows.push(Row { stream, partner, expected, is_met, company, case, events, told });
            }
        }
    }
    rows
}

impl Row {
    /// Stores what the row stands on. Returns where the history stands, and where the partner's event.
    fn begin(&self, store: &EventStore) -> Result<(Appended, Appended)> {
        let commit = Commit::new().append(&self.stream, ExpectedVersion::NoStream, history()).append(
            &self.partner,
            ExpectedVersion::NoStream,
            [event_with_id("p")],
        );
        let appended = store.commit(commit)?;
        Ok((appended[0], appended[1]))
    }

    /// Makes the append. Returns what its stream and its partner's reached.
    fn append(&self, store: &EventStore) -> Result<(Appended, Option<Appended>)> {
        let events = self.events.clone();
        match self.company {
            Company::Alone => Ok((store.append(&self.stream, self.expected, events)?, None)),
            Company::Repeated => {
                let commit = Commit::new()
                    .append(&self.partner, ExpectedVersion::NoStream, [event_with_id("p")])
                    .append(&self.stream, self.expected, events);
                store.commit(commit).map(|appended| (appended[1], Some(appended[0])))
            }
            Company::New => {
                let commit = Commit::new().append(&self.stream, self.expected, events).append(
                    &self.partner,
                    ExpectedVersion::StreamExists,
                    [event_with_id("new")],
                );
                store.commit(commit).map(|appended| (appended[0], Some(appended[1])))
            }
        }
    }

    /// Whether the append is stored.
    fn is_written(&self) -> bool {
        matches!(self.told, Told::New) && self.is_met && self.company != Company::Repeated
    }

    /// Whether this is the outcome that the table has.
    fn is_outcome(
        &self,
        outcome: &Result<(Appended, Option<Appended>)>,
        (history, partner): (Appended, Appended),
    ) -> bool {
        let is_mixed = |repeated: &StreamId, new: &StreamId| {
            matches!(outcome, Err(Error::MixedRepeat { repeated: found, new: other })
                if found == repeated && other == new)
        };
        match (self.told, self.company) {
            (Told::Repeated(..), Company::New) => is_mixed(&self.stream, &self.partner),
            (Told::New, Company::Repeated) => is_mixed(&self.partner, &self.stream),
            (Told::Repeated(first, last), Company::Alone | Company::Repeated) => {
                let company = (self.company == Company::Repeated).then(|| repeated(partner, 1, 1));
                matches!(outcome, Ok(found) if *found == (repeated(history, first, last), company))
            }
            (Told::New, _) if self.is_met => {
                let reached = version(HISTORY_EVENTS + self.events.len() as u64);
                matches!(outcome, Ok((found, _)) if found.version == reached && !found.repeated)
            }
            (Told::New, _) => matches!(outcome, Err(Error::VersionConflict { stream, expected, actual })
                if *stream == self.stream && *expected == self.expected && *actual == version(HISTORY_EVENTS)),
            (Told::Partial(wanted, at), _) => {
                matches!(outcome, Err(Error::PartialRepeat { stream, id, version: found })
                if *stream == self.stream && id.to_string() == wanted && *found == version(at))
            }
            (Told::Taken(wanted, at), _) => {
                matches!(outcome, Err(Error::IdTaken { stream, id, version: found })
                if *stream == self.stream && id.to_string() == wanted && *found == version(at))
            }
            (Told::Twice(wanted), _) => matches!(outcome, Err(Error::IdTwice { stream, id })
                if *stream == self.stream && id.to_string() == wanted),
        }
    }

    fn check(&self, store: &EventStore, moment: Moment, begun: (Appended, Appended)) -> Outcome {
        let before = (store.last_position(), store.info()?.log_bytes);
        let outcome = self.append(store);
        let told = format!(
            "{moment:?}, {:?}, expected {}, {}, {:?}: {outcome:?}",
            self.company, self.expected, self.case, self.told
        );
        assert!(self.is_outcome(&outcome, begun), "{told}");
        let after = (store.last_position(), store.info()?.log_bytes);
        let versions = (store.stream_version(&self.stream)?, store.stream_version(&self.partner)?);
        if self.is_written() {
            let events = self.events.len() as u64;
            let partners = u64::from(self.company == Company::New);
            assert_eq!(versions, (version(HISTORY_EVENTS + events), version(1 + partners)), "{told}");
            assert!(after.0.get() == before.0.get() + events + partners && after.1 > before.1, "{told}");
        } else {
            assert_eq!(versions, (version(HISTORY_EVENTS), version(1)), "{told}");
            assert_eq!(after, before, "something was written: {told}");
        }
        Ok(())
    }
}

/// What a repetition of these versions of an append is told.
fn repeated(original: Appended, first: u64, last: u64) -> Appended {
    let first_position = Position::new(original.first_position.get() + first - 1);
    let mut appended = Appended::new(version(first - 1), last - first + 1, first_position);
    appended.repeated = true;
    appended
}

/// Where a store is, and how it is opened.
struct Place {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    options: Options,
}

impl Place {
    fn open(&self) -> Result<EventStore> {
        EventStore::open_on(Arc::clone(&self.disk), &self.path, self.options.clone())
    }
}

/// Brings the moment about.
fn pass(store: EventStore, moment: Moment, place: &Place, simulated: &SimDisk) -> Result<EventStore> {
    if matches!(moment, Moment::InOldSegments | Moment::InOldSegmentsAfterKill) {
        for number in 1..=60 {
            store.append(&stream("filler"), ExpectedVersion::Any, events(number * 5, 5))?;
        }
    }
    match moment {
        Moment::AtOnce | Moment::InOldSegments => Ok(store),
        Moment::AfterClosing => {
            store.close()?;
            place.open()
        }
        Moment::AfterKill | Moment::InOldSegmentsAfterKill => {
            simulated.crash_process();
            drop(store);
            place.open()
        }
    }
}

fn check_moment(moment: Moment) -> Outcome {
    let (directory, simulated) = (tempfile::tempdir()?, SimDisk::new(1));
    let options = match moment {
        Moment::AtOnce | Moment::AfterClosing | Moment::AfterKill => buffered(),
        Moment::InOldSegments | Moment::InOldSegmentsAfterKill => buffered().segment_bytes(SEGMENT_BYTES_MIN),
    };
    let place = match moment {
        Moment::AfterKill | Moment::InOldSegmentsAfterKill => {
            Place { disk: Arc::new(simulated.clone()), path: "/store".into(), options }
        }
        _ => Place { disk: Arc::new(OsDisk), path: directory.path().join("store"), options },
    };
    let store = place.open()?;
    let rows = rows();
    let begun = rows.iter().map(|row| row.begin(&store)).collect::<Result<Vec<_>>>()?;
    let segments = store.info()?.segments;
    let store = pass(store, moment, &place, &simulated)?;
    let behind = store.info()?.segments - segments;
    let is_old = matches!(moment, Moment::InOldSegments | Moment::InOldSegmentsAfterKill);
    assert!(if is_old { behind > 3 } else { behind == 0 }, "{moment:?}: {behind} segments are behind");
    for (row, begun) in rows.iter().zip(begun) {
        row.check(&store, moment, begun)?;
    }
    Ok(())
}

#[test]
fn every_case_of_a_repeated_append_has_its_outcome__A06_D06_X9() -> Outcome {
    MOMENTS.into_iter().try_for_each(check_moment)
}
