//! Commits over several streams: all or nothing.

use annals::{Commit, Error, ExpectedVersion, Position, Version};

use crate::support::{
    Outcome, TestStore, buffered, event, events, gated_store, positions, small_segments, store, store_with,
    stream, types, version, versions,
};

/// A store with the streams `one` at version 1 and `two` at version 2.
fn prepared() -> TestStore {
    let store = store();
    store.append(&stream("one"), ExpectedVersion::NoStream, events(1, 1)).expect("an append");
    store.append(&stream("two"), ExpectedVersion::NoStream, events(1, 2)).expect("an append");
    store
}

#[test]
fn a_commit_appends_to_several_streams_at_once__B01_D08() -> Outcome {
    let store = prepared();
    let commit = Commit::new()
        .append(&stream("two"), version(2), events(3, 2))
        .check(&stream("one"), ExpectedVersion::StreamExists)
        .append(&stream("three"), ExpectedVersion::NoStream, [])
        .append(&stream("four"), ExpectedVersion::NoStream, events(1, 1));
    let reached = store.commit(commit)?;
    let told: Vec<_> = reached
        .iter()
        .map(|appended| {
            (
                appended.first_version.get(),
                appended.version.get(),
                appended.first_position.get(),
                appended.position.get(),
            )
        })
        .collect();
    assert_eq!(told, [(3, 4, 4, 5), (0, 0, 0, 0), (1, 1, 6, 6)]);
    assert_eq!(positions(store.read_stream(&stream("two"))), [2, 3, 4, 5]);
    assert_eq!(positions(store.read_stream(&stream("four"))), [6]);
    assert!(!store.stream_exists(&stream("three"))?);
    Ok(())
}

#[test]
fn where_one_stream_of_a_commit_conflicts_nothing_is_written__A11_D08() {
    let store = prepared();
    let right = [("one", version(1)), ("two", version(2)), ("new", version(0))];
    for wrong in 0..right.len() {
        for is_checked_only in 0..=right.len() {
            let mut commit = Commit::new();
            for (place, (name, actual)) in right.into_iter().enumerate() {
                let expected = if place == wrong { version(7) } else { actual };
                commit = if place == is_checked_only {
                    commit.check(&stream(name), expected)
                } else {
                    commit.append(&stream(name), expected, [event("A")])
                };
            }
            let told = store.commit(commit);
            let Err(Error::VersionConflict { stream: conflicting, expected, actual }) = told else {
                panic!("{told:?}")
            };
            assert_eq!((conflicting.as_str(), actual), right[wrong]);
            assert_eq!(expected, version(7).into());
            assert_eq!(store.last_position(), Position::new(3));
            assert_eq!(store.info().expect("numbers").streams, 2);
        }
    }
}

#[test]
fn an_invalid_event_refuses_the_whole_commit__A11() {
    let store = prepared();
    let commit = Commit::new().append(&stream("one"), version(1), [event("A")]).append(
        &stream("two"),
        version(2),
        [event("bad\ntype")],
    );
    assert!(matches!(store.commit(commit), Err(Error::Invalid(_))));
    assert_eq!(store.last_position(), Position::new(3));
}

#[test]
fn a_commit_that_only_checks_writes_nothing__X8_D07() -> Outcome {
    let store = prepared();
    let checks = |two: Version| Commit::new().check(&stream("one"), version(1)).check(&stream("two"), two);
    let log_bytes = store.info()?.log_bytes;
    assert_eq!(store.commit(checks(version(2)))?, []);
    assert_eq!(store.commit(Commit::new())?, []);
    assert!(matches!(store.commit(checks(version(1))), Err(Error::VersionConflict { .. })));
    assert_eq!(store.info()?.log_bytes, log_bytes);
    Ok(())
}

#[test]
fn a_stream_stands_in_a_commit_once() {
    let store = prepared();
    let one = stream("one");
    let appended = || Commit::new().append(&one, version(1), [event("A")]);
    let twice = [
        appended().append(&one, version(2), [event("B")]),
        appended().check(&one, version(2)),
        Commit::new()
            .check(&one, version(1))
            .append(&stream("x"), ExpectedVersion::Any, [])
            .check(&one, version(1)),
    ];
    for commit in twice {
        let told = store.commit(commit);
        assert!(matches!(&told, Err(Error::StreamTwice { stream }) if *stream == one), "{told:?}");
    }
    assert_eq!(store.last_position(), Position::new(3));
}

#[test]
fn the_stores_own_streams_are_no_callers() {
    let store = store();
    let own = stream("$checkpoints");
    let appended = store.append(&own, ExpectedVersion::Any, [event("A")]);
    assert!(matches!(&appended, Err(Error::ReservedStream { stream }) if *stream == own));
    let commit = Commit::new().append(&stream("a"), ExpectedVersion::Any, [event("A")]).append(
        &own,
        ExpectedVersion::Any,
        [event("A")],
    );
    assert!(matches!(store.commit(commit), Err(Error::ReservedStream { .. })));
    assert_eq!(store.last_position(), Position::NONE);
}

#[test]
fn commits_of_many_streams_are_whole_after_reopening__A10_D08() -> Outcome {
    let mut store = store_with(small_segments());
    for round in 0..12 {
        let mut commit = Commit::new();
        for number in 0..30 {
            commit =
                commit.append(&stream(&format!("s-{number}")), version(round * 2), events(round * 2 + 1, 2));
        }
        assert_eq!(store.commit(commit)?.len(), 30);
        if round % 5 == 4 {
            store = store.reopen()?;
        }
    }
    store = store.reopen()?;
    assert_eq!(store.last_position(), Position::new(12 * 60));
    for number in 0..30 {
        let name = stream(&format!("s-{number}"));
        assert_eq!(versions(store.read_stream(&name)), (1..=24).collect::<Vec<_>>());
        let numbers: Vec<String> = (1..=24).map(|number| number.to_string()).collect();
        assert_eq!(types(store.read_stream(&name)), numbers);
    }
    Ok(())
}

#[test]
fn the_commits_of_one_frame_see_each_other__D08() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let blocker = store.submit(&stream("x"), ExpectedVersion::Any, [event("X")])?;
    gate.wait_for_writer();
    let both = |expected: u64| {
        Commit::new().append(&stream("one"), version(expected), events(expected + 1, 1)).append(
            &stream("two"),
            version(expected),
            events(expected + 1, 1),
        )
    };
    let first = store.submit_commit(both(0))?;
    let conflicting = store.submit_commit(both(0))?;
    let second = store.submit_commit(both(1))?;
    let checked = store.submit_commit(Commit::new().check(&stream("two"), version(2)))?;
    drop(gate);
    blocker.wait()?;
    assert_eq!(first.wait()?[1].position, Position::new(3));
    assert!(conflicting.wait().is_err_and(|error| error.is_conflict()));
    assert_eq!(second.wait()?[0].first_position, Position::new(4));
    assert_eq!(checked.wait()?, []);
    assert_eq!(positions(store.read_stream(&stream("two"))), [3, 5]);
    Ok(())
}
