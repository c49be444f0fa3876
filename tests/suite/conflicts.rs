//! What an append demands of its stream's version, and what it is told where that isn't met.

use annals::{Appended, Error, EventData, EventStore, ExpectedVersion, Result, StreamId, Version};

use crate::support::{Outcome, all, buffered, event, events, gated_store, store, stream, types, version};

/// The stream, the expected and the actual version in a conflict.
fn conflict(result: Result<Appended>) -> (StreamId, ExpectedVersion, Version) {
    match result {
        Err(error @ Error::VersionConflict { .. }) => {
            assert!(error.is_conflict());
            let Error::VersionConflict { stream, expected, actual } = error else { unreachable!() };
            (stream, expected, actual)
        }
        other => panic!("no conflict: {other:?}"),
    }
}

#[test]
fn every_expected_version_meets_every_state_of_a_stream__A06_B02_C05_C10_C11_X5_X6_X7() -> Outcome {
    use ExpectedVersion::{Any, Exact, NoStream, StreamExists};
    // The expected version, and the versions at which it is met, of 0 to 3.
    let table: [(ExpectedVersion, &[u64]); 8] = [
        (Any, &[0, 1, 2, 3]),
        (NoStream, &[0]),
        (StreamExists, &[1, 2, 3]),
        (Exact(version(0)), &[0]),
        (Exact(version(1)), &[1]),
        (Exact(version(2)), &[2]),
        (Exact(version(3)), &[3]),
        (Exact(version(u64::MAX)), &[]),
    ];
    let store = store();
    for (row, (expected, met_by)) in table.into_iter().enumerate() {
        for actual in 0..=3 {
            for count in [0, 1, 2] {
                let name = stream(&format!("s-{row}-{actual}-{count}"));
                store.append(&name, Any, events(1, actual))?;
                let head = store.last_position();
                let result = store.append(&name, expected, events(9, count));
                if met_by.contains(&actual) {
                    assert_eq!(result?.version, version(actual + count), "{expected} at {actual}");
                } else {
                    assert_eq!(conflict(result), (name.clone(), expected, version(actual)));
                    assert_eq!(store.stream_version(&name)?, version(actual));
                    assert_eq!(store.last_position(), head);
                    assert_eq!(all(store.read_stream(&name)).len() as u64, actual);
                }
            }
        }
    }
    Ok(())
}

#[test]
fn no_events_conflict_as_others_do__X8() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, events(1, 2))?;
    let refused = store.append(&order, version(1), []);
    assert_eq!(conflict(refused), (order, version(1).into(), version(2)));
    Ok(())
}

/// The message of a conflict of `expected` with a stream at `actual`.
fn message(expected: ExpectedVersion, actual: u64) -> String {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::Any, events(1, actual)).expect("an append");
    let error = store.append(&order, expected, [event("Late")]).expect_err("a conflict");
    error.to_string()
}

#[test]
fn a_conflict_says_stream_expected_and_actual_version__A22_B03_D09_C11() {
    let of_version_2 = message(version(2).into(), 5);
    assert!(of_version_2.starts_with("Expected version 2, but current is 5"), "{of_version_2}");
    assert!(of_version_2.contains("\"order-1\""), "{of_version_2}");
    let of_none = message(ExpectedVersion::NoStream, 5);
    assert!(of_none.starts_with("Expected version 0"), "{of_none}");
    assert!(of_none.contains("but current is 5") && of_none.contains("\"order-1\""), "{of_none}");
}

#[test]
fn a_conflict_with_a_missing_stream_says_that_it_is_missing__C10_X6_X7() {
    for expected in [version(3).into(), ExpectedVersion::StreamExists] {
        let missing = message(expected, 0);
        assert!(missing.contains("but current is 0"), "{missing}");
        assert!(missing.contains("\"order-1\", which doesn't exist"), "{missing}");
    }
    assert!(message(version(3).into(), 0).starts_with("Expected version 3, but current is 0"));
    assert!(!message(version(3).into(), 1).contains("doesn't exist"));
}

#[test]
fn numbers_stand_for_the_three_words_only_where_text_is_parsed__C05_X3() -> Outcome {
    for (text, expected) in [
        ("-1", ExpectedVersion::Any),
        ("any", ExpectedVersion::Any),
        ("0", ExpectedVersion::NoStream),
        ("no-stream", ExpectedVersion::NoStream),
        ("-2", ExpectedVersion::StreamExists),
        ("exists", ExpectedVersion::StreamExists),
        ("1", ExpectedVersion::Exact(version(1))),
        ("18446744073709551615", ExpectedVersion::Exact(version(u64::MAX))),
    ] {
        assert_eq!(text.parse::<ExpectedVersion>()?, expected, "{text}");
    }
    Ok(())
}

#[test]
fn other_negative_numbers_and_other_words_are_invalid_versions__C18_X4() {
    for text in ["-3", "-0", "-9223372036854775808", "18446744073709551616", "", " 1", "1.0", "Any", "none"] {
        let invalid = text.parse::<ExpectedVersion>().expect_err(text);
        assert_eq!(invalid.what, "expected version", "{text}");
        assert_eq!(invalid.value, text);
    }
}

#[test]
fn what_an_expected_version_prints_is_read_back__X3() -> Outcome {
    let all = [ExpectedVersion::Any, ExpectedVersion::NoStream, ExpectedVersion::StreamExists];
    for expected in all.into_iter().chain([version(7).into()]) {
        assert_eq!(expected.to_string().parse::<ExpectedVersion>()?, expected);
    }
    Ok(())
}

/// The type of `append`: there is no way to leave the expected version out. If there were a default for it, or
/// an append without it, this wouldn't compile.
type Append = fn(&EventStore, &StreamId, ExpectedVersion, [EventData; 1]) -> Result<Appended>;

#[test]
fn the_expected_version_must_be_said__X24() -> Outcome {
    let append: Append = EventStore::append;
    let store = store();
    let order = stream("order-1");
    append(&store, &order, ExpectedVersion::Any, [event("A")])?;
    assert!(append(&store, &order, ExpectedVersion::NoStream, [event("B")]).is_err());
    Ok(())
}

#[test]
fn after_a_conflict_the_next_append_succeeds__D08() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, events(1, 2))?;
    let (_, _, actual) = conflict(store.append(&order, version(1), events(3, 2)));
    let appended = store.append(&order, actual, events(3, 2))?;
    assert_eq!((appended.version, appended.position.get()), (version(4), 4));
    Ok(())
}

#[test]
fn a_plan_sees_the_appends_before_it_in_the_same_frame__A06_D08() -> Outcome {
    let (store, gate) = gated_store(buffered());
    let order = stream("order-1");
    let blocker = store.submit(&stream("x"), ExpectedVersion::Any, [event("X")])?;
    gate.wait_for_writer();
    // These wait together, and make one frame.
    let first = store.submit(&order, ExpectedVersion::NoStream, [event("A")])?;
    let second = store.submit(&order, ExpectedVersion::NoStream, [event("B")])?;
    let third = store.submit(&order, version(1), [event("C")])?;
    let fourth = store.submit(&order, version(2), [])?;
    drop(gate);
    blocker.wait()?;
    assert_eq!(first.wait()?.version, version(1));
    assert_eq!(conflict(second.wait()), (order.clone(), ExpectedVersion::NoStream, version(1)));
    assert_eq!(third.wait()?.version, version(2));
    assert_eq!(fourth.wait()?.version, version(2));
    assert_eq!(types(store.read_stream(&order)), ["A", "C"]);
    Ok(())
}
