//! Everything asked of a store, and the answers compared with each other.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    Error, EventData, EventStore, ExpectedVersion, Follower, Position, Query, Reader, Result, SimDisk,
    StoredEvent, StreamFilter, StreamId, Verification, verify_on,
};

use super::stores::{self, STORE};

/// The files of a disk, and what is in them.
pub(crate) type OnDisk = Vec<(PathBuf, Option<Vec<u8>>)>;

/// How many events and streams are looked at: hostile bytes may have very many.
const EVENTS_MAX: u64 = 200;
const STREAMS_MAX: usize = 5;

/// What is known of the files beside the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Beside {
    /// Nothing that was made from the log stands there: what a reader says is what the log says.
    Nothing,
    /// Index files with right checksums may say anything.
    Anything,
}

/// What a store answered to a reading of everything: the events up to the first that can't be read, and whether that
/// was the log's end.
#[derive(Clone, PartialEq, Debug)]
struct Answer {
    events: Vec<StoredEvent>,
    is_whole: bool,
}

/// Of so many inputs one is appended to and opened again, which takes most of the time.
const APPENDED_TO_ONE_IN: u32 = 4;

/// Verifies, follows, opens, reads, appends to and opens again whatever stands on the disk.
pub(crate) fn examine(disk: &SimDisk, beside: Beside) {
    let before = files(disk);
    let verified = verify(disk);
    let followed = follow(disk);
    assert_eq!(files(disk), before, "verifying and following change no file");
    let first = match open(disk) {
        Ok(first) => first,
        Err(error) => {
            assert_eq!(truth(&files(disk)), truth(&before), "a store that is refused isn't touched");
            let may_be = beside == Beside::Anything || !is_sound(verified.as_ref());
            assert!(may_be, "verify finds nothing in what is refused with: {error:?}");
            return;
        }
    };
    let trust = trust(beside, verified.as_ref());
    let answer = ask(first.reader(), trust);
    if beside == Beside::Nothing {
        check_follower(followed.as_ref(), &answer);
        check_verified(verified.as_ref(), &answer);
    }
    if checksum(&before).is_multiple_of(APPENDED_TO_ONE_IN) {
        append_and_reopen(disk, first, &answer, beside);
    } else {
        disk.crash_process();
    }
}

/// Goes on, however far it is.
pub(crate) fn go_on<T>(_progress: T) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Asks everything of a store that must be whole, and appends to it. Returns its events.
pub(crate) fn examine_whole(disk: &SimDisk) -> Vec<StoredEvent> {
    let verified = verify(disk);
    assert!(is_sound(verified.as_ref()), "verify finds {verified:?}");
    let store =
        open(disk).unwrap_or_else(|error| panic!("verify found nothing in what is refused: {error:?}"));
    let answer = ask(store.reader(), Trust::Sound);
    check_verified(verified.as_ref(), &answer);
    let events = answer.events.clone();
    if checksum(&files(disk)).is_multiple_of(APPENDED_TO_ONE_IN) {
        append_and_reopen(disk, store, &answer, Beside::Nothing);
    } else {
        disk.crash_process();
    }
    events
}

fn checksum(files: &[(PathBuf, Option<Vec<u8>>)]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    files.iter().filter_map(|(_, content)| content.as_ref()).for_each(|content| hasher.update(content));
    hasher.finalize()
}

/// How far answers have to fit each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Trust {
    /// In every way: verify found nothing, and nothing hostile stands beside the log.
    Sound,
    /// As far as every single answer says by itself.
    Hostile,
}

fn trust(beside: Beside, verified: Result<&Verification, &Error>) -> Trust {
    if beside == Beside::Nothing && is_sound(verified) { Trust::Sound } else { Trust::Hostile }
}

/// What is read of a store that can be followed, without a writer.
fn follow(disk: &SimDisk) -> Option<Answer> {
    let follower = Follower::open_on(Arc::new(disk.clone()), STORE, stores::options()).ok()?;
    Some(ask(follower.reader(), Trust::Hostile))
}

fn open(disk: &SimDisk) -> Result<EventStore> {
    EventStore::open_on(Arc::new(disk.clone()), STORE, stores::options())
}

pub(crate) fn verify(disk: &SimDisk) -> Result<Verification> {
    verify_on(Arc::new(disk.clone()), STORE, &mut go_on)
}

pub(crate) fn is_sound(verified: Result<&Verification, &Error>) -> bool {
    verified.is_ok_and(|verified| verified.damage.is_empty())
}

/// A follower shows what the writer does, or less of it where it can't know that the rest is durable.
fn check_follower(followed: Option<&Answer>, answer: &Answer) {
    let Some(followed) = followed.filter(|followed| followed.is_whole) else { return };
    assert!(answer.events.starts_with(&followed.events), "a follower shows what the writer doesn't");
}

fn check_verified(verified: Result<&Verification, &Error>, answer: &Answer) {
    let Ok(verified) = verified else { return };
    if answer.is_whole && (answer.events.len() as u64) < EVENTS_MAX {
        assert!(verified.events >= answer.events.len() as u64, "more is read than verify finds");
    }
    if verified.damage.is_empty() {
        assert!(answer.is_whole, "verify found nothing in what can't be read");
        let count = verified.events.min(EVENTS_MAX);
        assert_eq!(count, answer.events.len() as u64, "verify counts what is read");
    }
}

/// What an append reached is there at the next opening, behind all that was there before.
fn append_and_reopen(disk: &SimDisk, store: EventStore, before: &Answer, beside: Beside) {
    let stream = before.events.last().map(|event| event.stream.as_str().trim_start_matches('$').to_owned());
    let stream = stream.and_then(|name| StreamId::new(name).ok());
    let stream = stream.or_else(|| StreamId::new("order-0").ok()).expect("a valid name");
    let appended = store.append(&stream, ExpectedVersion::Any, [EventData::new("Examined", "{}")]);
    let closed = store.close();
    let verified = verify(disk);
    let store = open(disk).unwrap_or_else(|error| panic!("opened, closed ({closed:?}), refused: {error:?}"));
    let answer = ask(store.reader(), trust(beside, verified.as_ref()));
    if beside == Beside::Nothing && before.is_whole {
        assert!(answer.events.starts_with(&before.events), "something else is read than before");
        if let Ok(appended) = &appended
            && appended.position < Position::new(EVENTS_MAX)
        {
            let last = answer.events.last().expect("at least one event");
            assert_eq!((last.position, last.version), (appended.position, appended.version));
        }
    }
    if beside == Beside::Nothing {
        check_verified(verified.as_ref(), &answer);
    }
    // Whoever is killed leaves more to the next opening than who closes.
    disk.crash_process();
    drop(store);
    drop(open(disk).unwrap_or_else(|error| panic!("opened, killed, refused: {error:?}")));
}

/// Asks everything of a store beside whose log hostile files stand.
pub(crate) fn ask_hostile(reader: &Reader) {
    drop(ask(reader, Trust::Hostile));
}

/// Everything that can be asked.
fn ask(reader: &Reader, trust: Trust) -> Answer {
    let everything = || Query::all().including_system().limit(EVENTS_MAX);
    let answer = read(reader.read(everything()));
    check_order(&answer.events);
    let again = read(reader.read(everything()));
    assert_eq!(again, answer, "the same is read twice");
    let mut streams: BTreeSet<&StreamId> = BTreeSet::new();
    streams.extend(answer.events.iter().map(|event| &event.stream));
    for stream in streams.into_iter().take(STREAMS_MAX) {
        ask_stream(reader, stream, &answer, trust);
    }
    ask_backwards(reader, &answer, trust);
    ask_lists(reader);
    for event in answer.events.iter().step_by(7).take(2) {
        ask_about(reader, event);
    }
    answer
}

/// The events up to the first error.
fn read(events: annals::Events) -> Answer {
    let mut answer = Answer { events: Vec::new(), is_whole: true };
    for event in events {
        match event {
            Ok(event) => answer.events.push(event),
            Err(_) => return Answer { is_whole: false, ..answer },
        }
    }
    answer
}

fn check_order(events: &[StoredEvent]) {
    for pair in events.windows(2) {
        assert_eq!(pair[0].position.next(), pair[1].position, "positions have no gaps");
    }
}

fn ask_stream(reader: &Reader, stream: &StreamId, all: &Answer, trust: Trust) {
    let of_stream = read(reader.read(Query::stream(stream).limit(EVENTS_MAX)));
    assert!(of_stream.events.iter().all(|event| event.stream == *stream), "an event of another stream");
    for pair in of_stream.events.windows(2) {
        assert_eq!(pair[0].version.next(), pair[1].version, "versions have no gaps");
    }
    let is_comparable = all.is_whole && of_stream.is_whole && (all.events.len() as u64) < EVENTS_MAX;
    if trust == Trust::Sound && is_comparable {
        let expected = all.events.iter().filter(|event| event.stream == *stream);
        assert!(expected.eq(&of_stream.events), "a stream has other events than the log");
    }
    drop(reader.stream_version(stream));
    drop(reader.stream_info(stream));
    drop(reader.stream_version_as_of(stream, Position::new(2)));
    drop(reader.snapshots(stream));
    drop(reader.snapshot(stream, "Order"));
    drop(read(reader.read(Query::stream(stream).backwards().limit(4))));
}

fn ask_backwards(reader: &Reader, all: &Answer, trust: Trust) {
    let backwards = read(reader.read(Query::all().including_system().backwards().limit(EVENTS_MAX)));
    let is_comparable = all.is_whole && backwards.is_whole && (all.events.len() as u64) < EVENTS_MAX;
    if trust == Trust::Sound && is_comparable {
        assert!(all.events.iter().rev().eq(&backwards.events), "backwards the log has other events");
    }
}

fn ask_lists(reader: &Reader) {
    drop(reader.streams(&StreamFilter::all().including_system().limit(STREAMS_MAX)));
    drop(reader.categories());
    drop(reader.event_types());
    drop(reader.info());
    drop(reader.checkpoints());
    drop(reader.projections());
    drop(reader.skipped("orders"));
    drop(reader.registered_event_types());
    drop(reader.all_snapshots());
}

/// What finds an event by something else than its place.
fn ask_about(reader: &Reader, event: &StoredEvent) {
    if let Ok(Some(found)) = reader.event(&event.id) {
        assert_eq!(found.id, event.id, "the id that was asked for");
    }
    if let Ok(Some(found)) = reader.event_in(&event.stream, &event.id) {
        assert_eq!((&found.id, &found.stream), (&event.id, &event.stream), "the event that was asked for");
    }
    let queries = [
        Query::all().category(event.stream.category()),
        Query::all().event_type(event.event_type.as_str()),
        Query::all().since(event.timestamp).until(event.timestamp),
        Query::all().correlation("checkout-7"),
    ];
    for query in queries {
        drop(read(reader.read(query.limit(16))));
    }
}

/// What is wrong with a store whose frames are all right, and whose streams have versions with gaps: only who knows all streams
/// sees it.
pub(crate) fn has_gaps_in_streams(disk: &SimDisk) -> bool {
    verify(disk).is_ok_and(|found| {
        !found.damage.is_empty() && found.damage.iter().all(|it| it.reason.contains("version"))
    })
}

/// All events of a store that opens, which are few.
pub(crate) fn all_events(disk: &SimDisk) -> Vec<StoredEvent> {
    let store = open(disk).unwrap_or_else(|error| panic!("a store that is whole is refused: {error:?}"));
    let events = store.read(Query::all().including_system()).collect::<Result<Vec<_>>>();
    let events = events.unwrap_or_else(|error| panic!("a store that is whole can't be read: {error:?}"));
    disk.crash_process();
    events
}

/// What a disk has, as the system shows it.
pub(crate) fn files(disk: &SimDisk) -> OnDisk {
    disk.files().into_iter().map(|path| (path.clone(), disk.read_file(path))).collect()
}

/// Asserts that the same files are there, with the same bytes.
pub(crate) fn check_same(before: &OnDisk, after: &OnDisk, why: &str) {
    let changed = changed(before, after);
    assert!(changed.is_empty(), "{why}: {changed:?}");
}

/// The names of the files that aren't the same in both.
fn changed(one: &OnDisk, other: &OnDisk) -> Vec<PathBuf> {
    let missing = |these: &OnDisk, those: &OnDisk| -> Vec<PathBuf> {
        these.iter().filter(|file| !those.contains(file)).map(|(path, _)| path.clone()).collect()
    };
    let mut names = [missing(one, other), missing(other, one)].concat();
    names.sort();
    names.dedup();
    names
}

/// Those of the files whose names are wanted.
pub(crate) fn some(files: &OnDisk, is_wanted: impl Fn(&Path) -> bool) -> OnDisk {
    files.iter().filter(|(path, _)| is_wanted(path)).cloned().collect()
}

/// The files that must never change but by appending: log and store.meta.
fn truth(files: &[(PathBuf, Option<Vec<u8>>)]) -> Vec<&(PathBuf, Option<Vec<u8>>)> {
    let is_true = |path: &PathBuf| path.extension() == Some("log".as_ref()) || path.ends_with("store.meta");
    files.iter().filter(|(path, _)| is_true(path)).collect()
}
