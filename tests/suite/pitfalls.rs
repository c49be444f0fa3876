//! What event-sourced programs go wrong by, and what keeps them from it here.
//!
//! ```text
//! past events are changed        there is no call that does; `verify` checks every byte; a change is a new schema version
//! no version check               a repository's save expects the version that was loaded, always
//! no snapshots                   one call, a policy; they are a cache, so that there is nothing to lose by them
//! synchronous projections        an append waits for nobody who reads; what lags is told
//! no versioning                  every event has a schema version, and one that isn't known is an error
//! ```

use std::ops::ControlFlow;

use annals::{Delivery, Error, EventData, EveryNEvents, ExecuteError, ExpectedVersion, Query, Repository};

use crate::{
    account::{Account, AccountEvent, Deposit, Open, accounts, command, deposited, nobody, withdrawn},
    support::{Outcome, all, buffered, store, store_with, stream, version},
};

#[test]
fn past_events_stay_as_they_are__D27() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &command("c-1"))?;
    let before = all(store.read_all());
    // An append of another event with an id that is there, or at a version that is there, is refused.
    let other = EventData::new("AccountClosed", "{}").with_id(before[0].id.clone());
    let told = store.append(&stream("account-1"), ExpectedVersion::Any, [other]);
    assert!(matches!(told, Err(Error::IdTaken { .. })), "{told:?}");
    let told = store.append(&stream("account-1"), version(0), [EventData::new("AccountClosed", "{}")]);
    assert!(told.is_err_and(|error| error.is_conflict()));
    accounts.execute("1", &Deposit(5), &nobody())?;
    assert_eq!(all(store.read_all())[..1], before);
    let (store, directory) = store.into_parts();
    store.close()?;
    let verified = annals::verify(directory.path().join("store"), &mut |_| ControlFlow::Continue(()))?;
    assert!(verified.damage.is_empty(), "{verified:?}");
    Ok(())
}

#[test]
fn no_save_is_made_without_a_version_check__D27() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    let (mut one, mut other) = (accounts.load("1")?, accounts.load("1")?);
    accounts.save(&mut one, [deposited(1)], &nobody())?;
    let told = accounts.save(&mut other, [deposited(1)], &nobody());
    assert!(matches!(told, Err(Error::VersionConflict { .. })), "{told:?}");
    // Also the first event of all is checked.
    let (mut one, mut other) = (accounts.load("2")?, accounts.load("2")?);
    accounts.save(&mut one, [AccountEvent::AccountOpened], &nobody())?;
    let told = accounts.save(&mut other, [AccountEvent::AccountOpened], &nobody());
    assert!(matches!(told, Err(Error::VersionConflict { .. })), "{told:?}");
    Ok(())
}

#[test]
fn a_long_stream_is_not_read_whole_each_time__D27() -> Outcome {
    let store = store();
    let accounts = Repository::<Account, _>::new(&*store).snapshots(EveryNEvents(100));
    accounts.execute("1", &Open, &nobody())?;
    for _ in 0..10 {
        let mut account = accounts.load("1")?;
        assert!(account.events_applied() < 100, "{}", account.events_applied());
        accounts.save(&mut account, (0..95).map(|_| deposited(1)), &nobody())?;
    }
    assert_eq!(accounts.load("1")?.version(), version(951));
    Ok(())
}

#[test]
fn an_append_waits_for_no_projection__D27() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    let mut behind = store.subscribe(Query::all());
    // Nobody takes a step of the subscription while a thousand commands are executed.
    accounts.execute("1", &Open, &nobody())?;
    for _ in 1..1_000 {
        accounts.execute("1", &Deposit(1), &nobody())?;
    }
    let mut seen = 0;
    while let Some(Delivery::Event(_)) = behind.next().transpose()? {
        seen += 1;
    }
    assert_eq!(seen, 1_000);
    Ok(())
}

#[test]
fn what_a_program_does_not_know_is_not_guessed__D20_D27() -> Outcome {
    let store = store_with(buffered());
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    let events = all(store.read_all());
    assert_eq!(events[0].schema_version, 1, "there is none without a version");
    let newer = EventData::encode(&withdrawn(0))?.with_schema_version(3);
    store.append(&stream("account-1"), ExpectedVersion::Any, [newer])?;
    let told = accounts.execute("1", &Deposit(1), &nobody()).expect_err("version 3 isn't known");
    assert!(
        matches!(told, ExecuteError::Store(Error::UnknownSchemaVersion { found: 3, newest: 1, .. })),
        "{told:?}"
    );
    assert_eq!(store.stream_version(&stream("account-1"))?, version(2));
    Ok(())
}
