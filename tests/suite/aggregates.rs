//! Aggregates: loaded from their events, saved with the version that was loaded.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use annals::{
    Bincode, Clock, Commit, ContentType, Context, Error, EventData, ExpectedVersion, Options, Position,
    Query, Repository, StoredEvent, Timestamp, Upcasters, Version,
};
use serde_json::{Value, json};

use crate::{
    account::{
        Account, AccountEvent, Accounts, Deposit, Open, accounts, command, deposited, nobody, withdrawn,
    },
    support::{Outcome, all, buffered, store, store_with, stream, types, version},
};

/// An account that was opened and given 10 cents, 20 cents, and so on.
fn with_deposits(accounts: &Accounts<'_>, id: &str, count: u64) -> annals::Result<Position> {
    let mut account = accounts.load(id)?;
    let events = (1..=count).map(|number| deposited(10 * number));
    let events: Vec<_> = [AccountEvent::AccountOpened].into_iter().chain(events).collect();
    Ok(accounts.save(&mut account, events, &nobody())?.position)
}

#[test]
fn without_a_snapshot_all_events_are_folded__B16() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    let nothing = accounts.load("1")?;
    assert!(!nothing.exists());
    assert_eq!((nothing.state(), nothing.version()), (&Account::default(), Version::NONE));
    assert_eq!(nothing.stream(), &stream("account-1"));

    with_deposits(&accounts, "1", 3)?;
    with_deposits(&accounts, "2", 1)?;
    let account = accounts.load("1")?;
    assert!(account.exists());
    assert_eq!(account.state(), &Account { is_open: true, cents: 60, seen: 4 });
    assert_eq!((account.version(), account.events_applied()), (version(4), 4));
    assert_eq!((account.snapshot_version(), account.unused_snapshots().len()), (None, 0));
    assert_eq!(account.into_state().cents, 60);
    Ok(())
}

#[test]
fn after_a_save_the_version_is_greater_by_its_events__D16() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    let mut account = accounts.load("1")?;
    let appended = accounts.save(&mut account, [AccountEvent::AccountOpened, deposited(5)], &nobody())?;
    assert_eq!((appended.version, account.version()), (version(2), version(2)));
    accounts.save(&mut account, [withdrawn(2)], &nobody())?;
    assert_eq!((account.version(), account.state().cents), (version(3), 3));
    let again = accounts.load("1")?;
    assert_eq!((again.state(), again.version()), (account.state(), account.version()));
    Ok(())
}

#[test]
fn a_save_of_nothing_is_nothing__D16() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    let mut account = accounts.load("1")?;
    let mut writing = accounts.load_for_writing("1")?;
    let before = store.last_position();
    for account in [&mut account, &mut writing] {
        let appended = accounts.save(account, [], &nobody())?;
        assert_eq!((appended.version, appended.position), (version(2), Position::NONE));
        assert_eq!((account.version(), store.last_position()), (version(2), before));
    }
    // Another one is first. Who only reads isn't told; who decides to do nothing is.
    accounts.execute("1", &Deposit(1), &nobody())?;
    assert_eq!(accounts.save(&mut account, [], &nobody())?.version, version(2));
    let late = accounts.save(&mut writing, [], &nobody());
    assert!(matches!(late, Err(Error::VersionConflict { actual, .. }) if actual == version(3)), "{late:?}");
    assert_eq!(writing.version(), version(2));
    Ok(())
}

#[test]
fn of_two_that_loaded_the_same_version_one_saves__D28() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    let (mut one, mut other) = (accounts.load("1")?, accounts.load("1")?);
    accounts.save(&mut one, [withdrawn(10)], &nobody())?;
    let late = accounts.save(&mut other, [withdrawn(10)], &nobody());
    let Err(Error::VersionConflict { expected, actual, .. }) = late else { panic!("{late:?}") };
    assert_eq!((expected, actual), (ExpectedVersion::Exact(version(2)), version(3)));
    // The one that was late is as it was, and as its stream is once it is refreshed.
    assert_eq!((other.version(), other.state().cents), (version(2), 10));
    accounts.refresh(&mut other)?;
    assert_eq!((other.version(), other.state()), (one.version(), one.state()));
    Ok(())
}

#[test]
fn a_save_that_is_repeated_brings_the_aggregate_up_to_date__D16() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    let stale = accounts.load("1")?;
    let save = |account: &mut _| accounts.save(account, [deposited(5), deposited(6)], &command("c-1"));
    let first = save(&mut stale.clone())?;
    accounts.execute("1", &Deposit(100), &nobody())?;
    for mut account in [stale, accounts.load("1")?] {
        let again = save(&mut account)?;
        assert_eq!((again.version, again.position, again.repeated), (first.version, first.position, true));
        assert_eq!((account.version(), account.state().cents), (version(5), 121));
    }
    Ok(())
}

#[derive(Debug)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[test]
fn an_aggregate_is_loaded_as_it_was__B18() -> Outcome {
    let clock = Arc::new(SetClock(AtomicI64::new(0)));
    let store = store_with(buffered().clock(clock.clone()));
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    let mut moments = Vec::new();
    for number in 1..=5 {
        clock.0.store(number * 1_000, Ordering::Relaxed);
        with_deposits(&accounts, &format!("between-{number}"), 1)?;
        let appended = accounts.execute("1", &Deposit(10), &nobody())?.appended;
        moments.push((appended.version, appended.position, Timestamp::from_micros(number * 1_000)));
    }
    let check = |loaded: annals::Loaded<Account>, version: Version| {
        assert_eq!((loaded.version(), loaded.state().cents), (version, 10 * (version.get() - 1)));
    };
    for (version, position, time) in moments {
        check(accounts.load_as_of("1", version)?, version);
        check(accounts.load_as_of("1", position)?, version);
        check(accounts.load_as_of("1", time)?, version);
        check(accounts.load_as_of("1", Position::new(position.get() - 1))?, version.previous());
        check(accounts.load_as_of("1", Timestamp::from_micros(time.micros() - 1))?, version.previous());
    }
    check(accounts.load_as_of("1", version(99))?, version(6));
    assert!(!accounts.load_as_of("1", Version::NONE)?.exists());
    assert!(!accounts.load_as_of("2", version(1))?.exists());
    // What was decided on a state of the past isn't appended to the present.
    let late = accounts.save(&mut accounts.load_as_of("1", version(3))?, [withdrawn(10)], &nobody());
    assert!(late.is_err_and(|error| error.is_conflict()));
    Ok(())
}

#[test]
fn events_carry_what_their_command_was_sent_with__C15() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    let context =
        Context::new().command_id("c-1").correlation_id("visit-7").user_id("ana").tenant_id("north");
    accounts.execute("1", &Open, &context)?;
    let mut account = accounts.load("1")?;
    accounts.save(&mut account, [deposited(1), deposited(2)], &Context::new().user_id("bob"))?;
    accounts.save(&mut account, [deposited(3)], &nobody())?;
    let events = all(store.read_stream(&stream("account-1")));
    let opened = events[0].metadata()?.expect("it has some");
    assert_eq!(opened.causation_id.as_deref(), Some("c-1"));
    assert_eq!(opened.correlation_id.as_deref(), Some("visit-7"));
    assert_eq!((opened.user_id.as_deref(), opened.tenant_id.as_deref()), (Some("ana"), Some("north")));
    for event in &events[1..3] {
        let metadata = event.metadata()?.expect("it has some");
        assert_eq!((metadata.user_id.as_deref(), metadata.correlation_id), (Some("bob"), None));
    }
    assert_eq!(events[3].metadata()?, None);
    Ok(())
}

#[test]
fn a_schema_version_that_the_program_does_not_know_is_an_error_that_says_so__D20() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    let newer = EventData::json("MoneyDeposited", &json!({ "cents": 5 }))?.with_schema_version(2);
    let appended = store.append(&stream("account-1"), ExpectedVersion::Any, [newer])?;
    let told = accounts.load("1").expect_err("version 2 isn't known");
    let Error::UnknownSchemaVersion { event_type, found, newest, position } = &told else {
        panic!("{told:?}")
    };
    assert_eq!(
        (event_type.as_str(), *found, *newest, *position),
        ("MoneyDeposited", 2, 1, appended.position)
    );
    assert!(told.to_string().contains("MoneyDeposited"), "{told}");
    // What was before it can be loaded.
    assert_eq!(accounts.load_as_of("1", version(2))?.state().cents, 10);
    Ok(())
}

#[test]
fn several_schema_versions_that_upcasters_know_are_loaded__D20() -> Outcome {
    let upcasters = Upcasters::new().knows("MoneyDeposited", 1)?.knows("MoneyDeposited", 2)?;
    let store = store_with(buffered().upcasters(upcasters));
    let accounts = accounts(&store);
    let deposit = |version| -> annals::Result<_> {
        Ok(EventData::json("MoneyDeposited", &json!({ "cents": 5 }))?.with_schema_version(version))
    };
    store.append(&stream("account-1"), Version::NONE, [deposit(1)?, deposit(2)?])?;
    assert_eq!(accounts.load("1")?.state().cents, 10);
    store.append(&stream("account-1"), version(2), [deposit(3)?])?;
    let told = accounts.load("1").expect_err("version 3 isn't known");
    assert!(matches!(told, Error::UnknownSchemaVersion { found: 3, newest: 2, .. }), "{told:?}");
    Ok(())
}

#[test]
fn an_event_that_is_not_of_the_aggregates_type_is_named() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    store.append(
        &stream("account-1"),
        ExpectedVersion::Any,
        [EventData::json("AccountFrozen", &json!({}))?],
    )?;
    let mut before = accounts.load_as_of("1", version(2))?;
    for told in [accounts.load("1").map(drop), accounts.refresh(&mut before)] {
        let message = told.expect_err("there is no such variant").to_string();
        assert!(message.contains("AccountFrozen 3 of stream account-1"), "{message}");
    }
    assert_eq!((before.version(), before.state().seen), (version(2), 2));
    Ok(())
}

/// Deposits were in euros once, a transfer was one event, and there were events that nobody needs.
fn upcasting() -> annals::Result<Options> {
    let upcasters = Upcasters::new()
        .json("MoneyDeposited", 1, |data: Value| {
            let euros = data["euros"].as_u64().ok_or("a deposit has euros")?;
            Ok::<_, &str>(json!({ "cents": euros * 100 }))
        })?
        .discard("AccountLookedAt", 1)?;
    Ok(buffered().upcasters(upcasters))
}

#[test]
fn events_are_loaded_and_saved_in_the_version_that_upcasters_lead_to__D20() -> Outcome {
    let store = store_with(upcasting()?);
    let accounts = accounts(&store);
    let old = EventData::json("MoneyDeposited", &json!({ "euros": 7 }))?;
    store.append(&stream("account-1"), ExpectedVersion::NoStream, [old])?;
    let mut account = accounts.load("1")?;
    assert_eq!(account.state().cents, 700);
    accounts.save(&mut account, [deposited(5), withdrawn(1)], &nobody())?;
    let stored = all(store.read(Query::stream(&stream("account-1")).raw()));
    let versions = |event: &StoredEvent| (event.event_type.clone(), event.schema_version);
    assert_eq!(
        stored.iter().map(versions).collect::<Vec<_>>(),
        [
            ("MoneyDeposited".to_owned(), 1),
            ("MoneyDeposited".to_owned(), 2),
            ("MoneyWithdrawn".to_owned(), 1)
        ]
    );
    assert_eq!(accounts.load("1")?.state(), account.state());
    Ok(())
}

#[test]
fn an_event_that_upcasters_drop_counts_in_the_version__D16() -> Outcome {
    let store = store_with(upcasting()?);
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 2)?;
    let looked_at = || EventData::new("AccountLookedAt", "{}");
    store.append(&stream("account-1"), ExpectedVersion::Any, [looked_at(), looked_at()])?;
    let mut account = accounts.load("1")?;
    assert_eq!((account.version(), account.state().seen), (version(5), 3));
    accounts.save(&mut account, [deposited(1)], &nobody())?;
    store.append(&stream("account-1"), ExpectedVersion::Any, [looked_at()])?;
    accounts.refresh(&mut account)?;
    assert_eq!((account.version(), account.state().cents), (version(7), 31));
    assert_eq!(accounts.execute("1", &Deposit(1), &nobody())?.appended.version, version(8));
    // A stream of nothing but dropped events has a version too.
    store.append(&stream("account-2"), ExpectedVersion::Any, [looked_at()])?;
    let mut other = accounts.load("2")?;
    assert_eq!((other.version(), other.state()), (version(1), &Account::default()));
    accounts.save(&mut other, [AccountEvent::AccountOpened], &nobody())?;
    Ok(())
}

#[test]
fn several_aggregates_are_saved_in_one_commit_or_not_at_all__A10() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    with_deposits(&accounts, "2", 1)?;
    let transfer = || -> annals::Result<Commit> {
        let (from, to) = (accounts.load("1")?, accounts.load("2")?);
        let commit = accounts.add_to(Commit::new(), &from, [withdrawn(4)], &command("t-1"))?;
        accounts.add_to(commit, &to, [deposited(4)], &command("t-1"))
    };
    let (first, late) = (transfer()?, transfer()?);
    let appended = store.commit(first)?;
    assert_eq!(
        appended.iter().map(|appended| appended.version).collect::<Vec<_>>(),
        [version(3), version(3)]
    );
    // The same command, decided on the same state, is a repetition.
    assert!(store.commit(late)?.iter().all(|appended| appended.repeated));
    assert_eq!(accounts.find_command("2", "t-1")?.map(|appended| appended.version), Some(version(3)));

    let (from, to) = (accounts.load("1")?, accounts.load("2")?);
    accounts.execute("2", &Deposit(1), &nobody())?;
    let commit = accounts.add_to(Commit::new(), &from, [withdrawn(4)], &nobody())?;
    let commit = accounts.add_to(commit, &to, [deposited(4)], &nobody())?;
    assert!(store.commit(commit).is_err_and(|error| error.is_conflict()));
    assert_eq!((accounts.load("1")?.state().cents, accounts.load("2")?.state().cents), (6, 15));
    Ok(())
}

#[test]
fn an_aggregate_that_gets_no_events_has_its_place_in_a_commit__D16() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    with_deposits(&accounts, "1", 1)?;
    with_deposits(&accounts, "2", 1)?;
    let (reading, writing) = (accounts.load("1")?, accounts.load_for_writing("1")?);
    let commit = |first| -> annals::Result<Commit> {
        let commit = accounts.add_to(Commit::new(), first, [], &nobody())?;
        accounts.add_to(commit, &accounts.load("2")?, [deposited(1)], &nobody())
    };
    let appended = store.commit(commit(&writing)?)?;
    assert_eq!(appended.iter().map(|appended| appended.version.get()).collect::<Vec<_>>(), [2, 3]);
    accounts.execute("1", &Deposit(1), &nobody())?;
    let appended = store.commit(commit(&reading)?)?;
    assert_eq!(appended.iter().map(|appended| appended.version.get()).collect::<Vec<_>>(), [3, 4]);
    assert!(store.commit(commit(&writing)?).is_err_and(|error| error.is_conflict()));
    Ok(())
}

#[test]
fn a_program_can_change_its_codec() -> Outcome {
    let store = store();
    let json = accounts(&store);
    with_deposits(&json, "1", 1)?;
    let binary = Repository::<Account, _>::new(&*store).codec::<Bincode>();
    binary.execute("1", &Deposit(5), &nobody())?;
    json.execute("1", &Deposit(6), &nobody())?;
    let events = all(store.read_stream(&stream("account-1")));
    let content_types: Vec<ContentType> = events.iter().map(|event| event.content_type).collect();
    let (in_json, in_bincode) = (ContentType::JSON, ContentType::BINCODE);
    assert_eq!(content_types, [in_json, in_json, in_bincode, in_json]);
    assert_eq!(binary.load("1")?.state(), json.load("1")?.state());
    assert_eq!(types(store.read_stream(&stream("account-1")))[2], "MoneyDeposited");
    Ok(())
}
