//! Repeated appends: whoever doesn't know whether an append was stored may append it again, for ever.

use annals::{Appended, Commit, Error, EventId, ExpectedVersion, Position, Result};
use uuid::Uuid;

use crate::support::{
    Outcome, buffered, event, event_with_id, events, gated_store, small_segments, store, store_with, stream,
    types, version, versions,
};

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
