//! Repeated appends: whoever doesn't know whether an append was stored may append it again, for ever.

use annals::{
    Appended, Commit, ContentType, Error, EventData, EventId, ExpectedVersion, OccurredAt, Options, Position,
    Result, StreamId, Timestamp,
};
use uuid::Uuid;

use crate::support::{
    Outcome, TestStore, buffered, event, event_with_id, events, gated_store, small_segments, store,
    store_with, stream, types, version, versions,
};

/// What is to become of an append to a stream that has the [`history`].
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// It is there, with these versions.
    Repeated(u64, u64),
    /// A part of it is there: this id has this version.
    Partial(&'static str, u64),
    /// This id is taken, by this version.
    Taken(&'static str, u64),
    /// This id stands in it twice.
    Twice(&'static str),
    /// It is new: the expected version decides.
    Checked,
}

/// What each stream of the table has: a, b, c, an event without an id of its caller's, d.
fn history() -> Vec<EventData> {
    let with_all = event_with_id("b")
        .with_metadata_bytes(*b"{\"userId\":\"u\"}", ContentType::JSON)
        .with_occurred_at(OccurredAt { time: Timestamp::from_micros(7), offset_minutes: 60 })
        .with_schema_version(3);
    vec![event_with_id("a"), with_all, event_with_id("c"), event("none"), event_with_id("d")]
}

fn part(places: &[usize]) -> Vec<EventData> {
    places.iter().map(|place| history()[*place].clone()).collect()
}

/// The history's b, changed in one thing.
fn changed(change: impl FnOnce(&mut EventData)) -> Vec<EventData> {
    let mut event = history()[1].clone();
    change(&mut event);
    vec![event]
}

fn cases() -> Vec<(Vec<EventData>, Expect)> {
    use Expect::{Checked, Partial, Repeated, Taken, Twice};
    let new = event_with_id;
    let other_data = |id: &str| {
        let mut event = event_with_id(id);
        event.data.push(b'!');
        event
    };
    vec![
        (part(&[0, 1, 2]), Repeated(1, 3)),
        (part(&[1, 2]), Repeated(2, 3)),
        (part(&[0]), Repeated(1, 1)),
        (part(&[4]), Repeated(5, 5)),
        (vec![new("n1"), new("n2")], Checked),
        (vec![event("none")], Checked),
        (vec![event("none"), new("n1")], Checked),
        ([part(&[2]), vec![new("n1")]].concat(), Partial("c", 3)),
        ([vec![new("n1")], part(&[0])].concat(), Partial("a", 1)),
        ([part(&[0, 1]), vec![new("n1")], part(&[2])].concat(), Partial("a", 1)),
        (part(&[1, 0]), Partial("b", 2)),
        (part(&[0, 2]), Partial("a", 1)),
        (part(&[2, 4]), Partial("c", 3)),
        (part(&[2, 3, 4]), Partial("c", 3)),
        (part(&[4, 0]), Partial("d", 5)),
        ([part(&[0]), vec![event("none")]].concat(), Partial("a", 1)),
        ([vec![event("none")], part(&[0])].concat(), Partial("a", 1)),
        (vec![other_data("a")], Taken("a", 1)),
        ([part(&[0]), vec![other_data("c")]].concat(), Taken("c", 3)),
        (vec![new("n1"), other_data("d")], Taken("d", 5)),
        (changed(|event| event.event_type.push('!')), Taken("b", 2)),
        (changed(|event| event.metadata.clear()), Taken("b", 2)),
        (changed(|event| event.metadata_content_type = ContentType::BYTES), Taken("b", 2)),
        (changed(|event| event.content_type = ContentType::JSON), Taken("b", 2)),
        (changed(|event| event.schema_version = 4), Taken("b", 2)),
        (changed(|event| event.occurred_at = None), Taken("b", 2)),
        (vec![new("n1"), new("n1")], Twice("n1")),
        (part(&[0, 0]), Twice("a")),
        (vec![other_data("a"), new("a")], Twice("a")),
    ]
}

/// Each expected version, and whether a new append to a stream with the history meets it.
fn modes() -> [(ExpectedVersion, bool); 7] {
    [
        (ExpectedVersion::Any, true),
        (ExpectedVersion::NoStream, false),
        (ExpectedVersion::StreamExists, true),
        (version(5).into(), true),
        (version(4).into(), false),
        (version(0).into(), false),
        (version(6).into(), false),
    ]
}

fn check_case(
    store: &TestStore,
    name: &StreamId,
    mode: (ExpectedVersion, bool),
    case: (Vec<EventData>, Expect),
    history: Appended,
) {
    let ((expected, is_met), (append, expect)) = (mode, case);
    let count = append.len() as u64;
    let head = store.last_position();
    let result = store.append(name, expected, append);
    let told = format!("{name}, expected {expected}, {expect:?}: {result:?}");
    if let (Expect::Checked, true) = (expect, is_met) {
        let appended = result.expect(&told);
        assert_eq!((appended.version, appended.repeated), (version(5 + count), false), "{told}");
        return;
    }
    let is_right = match (expect, result) {
        (Expect::Repeated(first, last), Ok(appended)) => {
            let position = |version: u64| Position::new(history.first_position.get() + version - 1);
            appended.repeated
                && (appended.first_version, appended.version) == (version(first), version(last))
                && (appended.first_position, appended.position) == (position(first), position(last))
        }
        (Expect::Partial(wanted, at), Err(Error::PartialRepeat { stream, id, version: found }))
        | (Expect::Taken(wanted, at), Err(Error::IdTaken { stream, id, version: found })) => {
            stream == *name && id.to_string() == wanted && found == version(at)
        }
        (Expect::Twice(wanted), Err(Error::IdTwice { stream, id })) => {
            stream == *name && id.to_string() == wanted
        }
        (Expect::Checked, Err(Error::VersionConflict { actual, .. })) => !is_met && actual == version(5),
        _ => false,
    };
    assert!(is_right, "{told}");
    assert_eq!(
        (store.stream_version(name).expect("it can be looked up"), store.last_position()),
        (version(5), head),
        "{told}"
    );
}

fn check_table(options: Options, reopenings: u32) -> Outcome {
    let mut store = store_with(options);
    let name = |mode: usize, case: usize| stream(&format!("s-{mode}-{case}"));
    let mut histories = Vec::new();
    for mode in 0..modes().len() {
        for case in 0..cases().len() {
            histories.push(store.append(&name(mode, case), ExpectedVersion::NoStream, history())?);
        }
    }
    for _ in 0..reopenings {
        store = store.reopen()?;
        // An opening that writes is another one than one that doesn't.
        store.append(&stream("filler"), ExpectedVersion::Any, events(1, 40))?;
    }
    let mut histories = histories.into_iter();
    for (mode, expected) in modes().into_iter().enumerate() {
        for (case, append) in cases().into_iter().enumerate() {
            let history = histories.next().expect("one for each");
            check_case(&store, &name(mode, case), expected, append, history);
        }
    }
    Ok(())
}

#[test]
fn a_repeated_append_is_recognised_in_every_mode__A06_D06_X9() -> Outcome {
    check_table(buffered(), 0)
}

#[test]
fn a_repeated_append_is_recognised_after_reopening__D06_X9() -> Outcome {
    check_table(buffered(), 1)?;
    check_table(buffered(), 2)
}

#[test]
fn a_repeated_append_is_recognised_after_many_segments__D06_X9() -> Outcome {
    check_table(small_segments(), 0)?;
    check_table(small_segments(), 2)
}

#[test]
fn a_repetition_is_one_append_of_those_that_were_made__D06_X9() -> Outcome {
    // Two appends, repeated as one: all ids are there, consecutive and in order.
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, [event_with_id("a")])?;
    store.append(&order, version(1), [event_with_id("b")])?;
    let appended = store.append(&order, version(0), [event_with_id("a"), event_with_id("b")])?;
    assert_eq!((appended.first_version, appended.version, appended.repeated), (version(1), version(2), true));
    Ok(())
}

#[test]
fn an_id_is_taken_only_within_its_stream__X9() -> Outcome {
    let store = store();
    let (one, other) = (stream("order-1"), stream("order-2"));
    store.append(&one, ExpectedVersion::NoStream, [event_with_id("a")])?;
    let appended = store.append(&other, ExpectedVersion::NoStream, [event_with_id("a")])?;
    assert_eq!((appended.repeated, appended.position), (false, Position::new(2)));
    let mut changed = event_with_id("a");
    changed.data.clear();
    let third = store.append(&stream("order-3"), ExpectedVersion::NoStream, [changed])?;
    assert!(!third.repeated);
    Ok(())
}

#[test]
fn events_whose_ids_the_store_made_are_never_repetitions__X9_X10() -> Outcome {
    let store = store();
    let order = stream("order-1");
    for round in 1..=3 {
        let appended = store.append(&order, ExpectedVersion::Any, [event("A")])?;
        assert_eq!((appended.version, appended.repeated), (version(round), false));
    }
    Ok(())
}

#[test]
fn repetitions_in_flight_are_recognised__D06_X9() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    let blocker = store.submit(&stream("x"), ExpectedVersion::Any, [event("X")])?;
    gate.wait_for_writer();
    let batch = || [event_with_id("a"), event_with_id("b")];
    let first = store.submit(&order, ExpectedVersion::NoStream, batch())?;
    let again = store.submit(&order, ExpectedVersion::NoStream, batch())?;
    let late = store.submit(&order, version(9), batch())?;
    let partial = store.submit(&order, ExpectedVersion::Any, [event_with_id("b"), event_with_id("c")])?;
    let after = store.submit(&order, version(2), [event_with_id("c")])?;
    let between = store.submit(&order, ExpectedVersion::NoStream, batch())?;
    drop(gate);
    blocker.wait()?;
    let first = first.wait()?;
    assert!(!first.repeated);
    for again in [again, late, between] {
        let again = again.wait()?;
        assert_eq!(again, repeated(first));
    }
    let told = partial.wait();
    assert!(matches!(told, Err(Error::PartialRepeat { version, .. }) if version.get() == 2));
    assert_eq!(after.wait()?.version, version(3));
    assert_eq!(types(store.read_stream(&order)), ["a", "b", "c"]);
    Ok(())
}

/// What the repetition of an append is told.
fn repeated(mut first: Appended) -> Appended {
    first.repeated = true;
    first
}

#[test]
fn a_text_of_16_bytes_is_no_uuid__X9_X10() -> Outcome {
    let bytes = *b"jklmnopqrstuvwxy";
    let uuid = Uuid::from_bytes(bytes);
    let of_uuid = || event("A").with_id(uuid);
    let of_text = || event("A").with_id(EventId::new("jklmnopqrstuvwxy").expect("a valid id"));
    let mut store = store();
    for opening in 0..2 {
        let order = stream(&format!("order-{opening}"));
        let one = store.append(&order, ExpectedVersion::NoStream, [of_uuid()])?;
        let other = store.append(&order, version(1), [of_text()])?;
        assert_eq!((one.repeated, other.repeated), (false, false));
        store = store.reopen()?;
        assert_eq!(store.append(&order, version(9), [of_uuid()])?, repeated(one));
        assert_eq!(store.append(&order, version(9), [of_text()])?, repeated(other));
        // One append may have both; its usual text is the UUID.
        let both = store.append(&order, version(9), [of_uuid(), of_text()])?;
        assert_eq!((both.first_version, both.version), (version(1), version(2)));
        let usual = event("A").with_id(EventId::new(&uuid.to_string())?);
        assert_eq!(store.append(&order, version(9), [usual])?, repeated(one));
        let other_case = event("A").with_id(EventId::new(&uuid.to_string().to_uppercase())?);
        assert!(!store.append(&order, version(2), [other_case])?.repeated);
    }
    Ok(())
}

/// A transfer between two accounts, where a limit isn't there yet.
fn transfer(from: &str, to: &str) -> Commit {
    Commit::new()
        .append(&stream("account-1"), ExpectedVersion::NoStream, [event_with_id(from), event_with_id("w")])
        .check(&stream("limit"), ExpectedVersion::NoStream)
        .append(&stream("account-2"), ExpectedVersion::NoStream, [event_with_id(to)])
}

#[test]
fn a_commit_is_a_repetition_if_all_its_appends_are__D06_X9() -> Outcome {
    let mut store = store_with(small_segments());
    let first = store.commit(transfer("a", "b"))?;
    // What was only checked isn't checked again.
    store.append(&stream("limit"), ExpectedVersion::NoStream, events(1, 100))?;
    store.append(&stream("account-2"), version(1), events(1, 100))?;
    for _ in 0..2 {
        let again = store.commit(transfer("a", "b"))?;
        assert_eq!(again, first.iter().copied().map(repeated).collect::<Vec<_>>());
        assert_eq!(store.stream_version(&stream("account-1"))?, version(2));
        store = store.reopen()?;
    }
    Ok(())
}

#[test]
fn a_commit_that_mixes_repeated_and_new_is_refused__D06_X9() -> Outcome {
    let store = store();
    store.commit(transfer("a", "b"))?;
    let head = store.last_position();
    let told: Result<Vec<Appended>> = store.commit(transfer("a", "new"));
    let Err(Error::MixedRepeat { repeated, new }) = told else { panic!("{told:?}") };
    assert_eq!((repeated, new), (stream("account-1"), stream("account-2")));
    // An append without ids of its caller's is never a repetition.
    let commit = Commit::new().append(&stream("x"), ExpectedVersion::Any, [event("X")]).append(
        &stream("account-2"),
        ExpectedVersion::Any,
        [event_with_id("b")],
    );
    let told = store.commit(commit);
    let Err(Error::MixedRepeat { repeated, new }) = told else { panic!("{told:?}") };
    assert_eq!((repeated, new), (stream("account-2"), stream("x")));
    let told = store.commit(transfer("new", "b"));
    assert!(matches!(told, Err(Error::PartialRepeat { stream, .. }) if stream.as_str() == "account-1"));
    assert_eq!(store.last_position(), head);
    assert_eq!(versions(store.read_stream(&stream("account-1"))), [1, 2]);
    Ok(())
}

#[test]
fn a_commit_in_flight_twice_is_made_once__D06_X9() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let blocker = store.submit(&stream("x"), ExpectedVersion::Any, [event("X")])?;
    gate.wait_for_writer();
    let first = store.submit_commit(transfer("a", "b"))?;
    let again = store.submit_commit(transfer("a", "b"))?;
    drop(gate);
    blocker.wait()?;
    let first = first.wait()?;
    assert_eq!(again.wait()?, first.into_iter().map(repeated).collect::<Vec<_>>());
    assert_eq!(store.last_position(), Position::new(4));
    Ok(())
}
