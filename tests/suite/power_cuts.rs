//! The aid by which programs are tested against power cuts: it finds mistakes, and says where.

use std::{collections::BTreeSet, sync::Arc};

use annals::{CutStyle, Error, EventStore, ExpectedVersion, PowerCuts, Result, SEGMENT_BYTES_MIN};

use crate::support::{Outcome, buffered, event, stream, types};

/// Appends two events, and notes how many were acknowledged.
fn appending(store: &Arc<EventStore>, acknowledged: &mut usize) -> Result<()> {
    for event_type in ["1", "2"] {
        store.append(&stream("a-1"), ExpectedVersion::Any, [event(event_type)])?;
        *acknowledged += 1;
    }
    Ok(())
}

#[test]
fn a_program_is_cut_at_each_operation_and_checked_in_each_style() -> Outcome {
    const STATES: [(usize, usize); 5] = [(0, 0), (1, 1), (2, 2), (0, 1), (1, 2)];
    let mut found = BTreeSet::new();
    // The store's own threads decide which operation is the nth, so one run may miss a state, and not all of them do.
    for seed in 1..=20 {
        let mut lives = 0;
        let counts = PowerCuts::new(seed).run(
            |store| {
                store.append(&stream("prepared-1"), ExpectedVersion::NoStream, [event("0")])?;
                Ok::<_, Error>(0)
            },
            |store, acknowledged| {
                lives += 1;
                appending(store, acknowledged)
            },
            |store, acknowledged| {
                assert!(store.stream_exists(&stream("prepared-1"))?);
                let there = types(store.read_stream(&stream("a-1"))).len();
                assert!(there >= *acknowledged, "{there} of {acknowledged}");
                found.insert((*acknowledged, there));
                Ok(())
            },
        )?;
        // An opening that is cut ends before the program begins; the last life isn't cut.
        assert!(lives > 4 && lives <= counts.operations + 1, "{lives} lives, {counts:?}");
        assert_eq!(counts.checks, (counts.operations + 1) * CutStyle::ALL.len() as u64);
        if STATES.iter().all(|state| found.contains(state)) {
            return Ok(());
        }
    }
    panic!("acknowledged and there: of {STATES:?} these alone were found: {found:?}");
}

#[test]
fn a_program_that_speaks_too_early_is_found() {
    let told = PowerCuts::new(7).run(
        |_| Ok::<_, Error>(false),
        |store, told| {
            *told = true;
            store.append(&stream("a-1"), ExpectedVersion::NoStream, [event("A")]).map(|_| ())
        },
        |store, told| {
            assert!(!*told || store.stream_exists(&stream("a-1"))?, "it was told, and isn't there");
            Ok(())
        },
    );
    let failure = told.expect_err("the mistake is found");
    assert!(failure.operation.is_some() && failure.kept.is_some(), "{failure:?}");
    assert_eq!((failure.seed, failure.reason.as_str()), (7, "it was told, and isn't there"));
    let repeats = format!("PowerCuts::new(7).only({}) repeats it", failure.operation.unwrap_or(0));
    assert!(failure.to_string().ends_with(&repeats), "{failure}");
}

#[test]
fn what_isnt_synced_may_be_lost_with_the_power() -> Outcome {
    let mut lost = 0;
    let cuts = PowerCuts::new(3).options(buffered().segment_bytes(SEGMENT_BYTES_MIN));
    cuts.run(
        |_| Ok::<_, Error>(0),
        appending,
        |store, acknowledged| {
            lost += usize::from(types(store.read_stream(&stream("a-1"))).len() < *acknowledged);
            Ok(())
        },
    )?;
    assert!(lost > 0);
    Ok(())
}

#[test]
fn one_operation_can_be_looked_into_alone() -> Outcome {
    let mut checks = 0;
    let counts = PowerCuts::new(1).only(2).run(
        |_| Ok::<_, Error>(0),
        appending,
        |_, acknowledged| {
            assert_eq!(*acknowledged, 0, "the second operation is the opening's");
            checks += 1;
            Ok(())
        },
    )?;
    assert_eq!((counts.operations, counts.checks, checks), (1, 7, 7));
    Ok(())
}

#[test]
fn a_program_that_panics_where_it_is_cut_is_a_program_that_ends_there() -> Outcome {
    let quiet = |store: &Arc<EventStore>, acknowledged: &mut usize| {
        appending(store, acknowledged).unwrap_or_else(|error| std::panic::resume_unwind(Box::new(error)));
        Ok::<_, Error>(())
    };
    PowerCuts::new(1).run(|_| Ok(0), quiet, |_, _| Ok(()))?;
    Ok(())
}

#[test]
fn a_program_or_preparation_that_fails_without_a_cut_is_told() {
    let refuse = |_: &Arc<EventStore>, (): &mut ()| Err("it has no heart for it");
    let failure = PowerCuts::new(1).run(|_| Ok(()), refuse, |_, ()| Ok(())).expect_err("the program fails");
    assert!(
        failure.reason.ends_with("without a cut, the program failed: it has no heart for it"),
        "{failure}"
    );
    assert_eq!(failure.kept, None);
    let failure = PowerCuts::new(1)
        .run(|_| Err::<(), _>("nothing is there"), |_, ()| Ok(()), |_, ()| Ok(()))
        .expect_err("the preparation fails");
    assert_eq!(failure.to_string(), "nothing is there; it was PowerCuts::new(1)");
}
