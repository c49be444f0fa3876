//! Commands: executed once, retried where another was first, refused at once.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use annals::{
    Commit, Error, EventContent, EventId, EveryNEvents, ExecuteError, Follower, Options, Repository,
    Retriable, Retry, StoredEvent, StreamId, Upcasters, Version,
};

use crate::{
    account::{
        Account, AccountEvent, Act, Deposit, Open, Refused, Withdraw, accounts, command, deposited, nobody,
        withdrawn,
    },
    support::{Outcome, all, buffered, event, small_segments, store, store_with, stream, version},
};

fn ids(events: Vec<StoredEvent>) -> Vec<String> {
    events.into_iter().map(|event| event.id.to_string()).collect()
}

#[test]
fn a_command_is_refused_at_once_with_the_domains_own_error__D17_X21() {
    let store = store();
    let accounts = accounts(&store);
    let handled = Cell::new(0);
    let refuse = Act(|_: &Account| {
        handled.set(handled.get() + 1);
        Err(Refused::InsufficientFunds)
    });
    let outcome = accounts.execute("1", &refuse, &nobody());
    let Err(ExecuteError::Rejected(Refused::InsufficientFunds)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(handled.get(), 1);
    assert_eq!(store.last_position().get(), 0);
    let outcome = accounts.execute("1", &Deposit(5), &nobody());
    assert_eq!(outcome.expect_err("it isn't open").to_string(), "the command was refused: NotOpen");
}

#[test]
fn after_a_conflict_the_aggregate_is_loaded_and_asked_again__D17_X21() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    let seen = RefCell::new(Vec::new());
    // Another one deposits while the first two tries decide.
    let deposit = Act(|account: &Account| {
        seen.borrow_mut().push(account.cents);
        if seen.borrow().len() < 3 {
            accounts.execute("1", &Deposit(10), &nobody()).expect("it is open");
        }
        Ok(vec![deposited(1)])
    });
    let executed = accounts.execute("1", &deposit, &nobody())?;
    assert_eq!(*seen.borrow(), [0, 10, 20]);
    assert_eq!((executed.appended.version, executed.aggregate.state().cents), (version(4), 21));
    assert_eq!(accounts.load("1")?.state().cents, 21);
    Ok(())
}

#[test]
fn when_no_try_is_left_the_conflict_comes_back_typed__D17_X21() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    let tries = Cell::new(0);
    let unlucky = Act(|_: &Account| {
        tries.set(tries.get() + 1);
        accounts.execute("1", &Deposit(10), &nobody()).expect("it is open");
        Ok(vec![deposited(1)])
    });
    let outcome = accounts.execute("1", &unlucky, &nobody());
    assert!(outcome.as_ref().is_err_and(ExecuteError::is_conflict));
    let Err(ExecuteError::Store(error)) = outcome else { panic!("{outcome:?}") };
    assert!(matches!(error, Error::VersionConflict { actual, .. } if actual == version(4)), "{error:?}");
    assert!(Retriable::is_retriable(&error));
    assert_eq!((tries.get(), accounts.load("1")?.state().cents), (3, 30));

    tries.set(0);
    let outcome = accounts.clone().retry(Retry::none()).execute("1", &unlucky, &nobody());
    assert!(outcome.is_err_and(|error| error.is_conflict()));
    assert_eq!(tries.get(), 1);
    Ok(())
}

#[test]
fn a_decision_to_do_nothing_is_checked_too__D17() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    let seen = RefCell::new(Vec::new());
    let nothing = Act(|account: &Account| {
        seen.borrow_mut().push(account.cents);
        if seen.borrow().len() == 1 {
            accounts.execute("1", &Deposit(10), &nobody()).expect("it is open");
        }
        Ok(Vec::new())
    });
    let executed = accounts.execute("1", &nothing, &nobody())?;
    assert_eq!(*seen.borrow(), [0, 10]);
    assert_eq!((executed.appended.version, executed.aggregate.version()), (version(2), version(2)));
    assert_eq!(store.stream_version(&stream("account-1"))?, version(2));
    Ok(())
}

#[test]
fn a_command_sent_again_is_told_what_it_reached_and_not_handled__D06_X9() -> Outcome {
    let mut store = store_with(small_segments());
    let handled = AtomicU64::new(0);
    let twice = Act(|_: &Account| {
        handled.fetch_add(1, Ordering::Relaxed);
        Ok(vec![deposited(1), deposited(2), deposited(3)])
    });
    let first = accounts(&store).execute("1", &twice, &command("c-1"))?.appended;
    assert!(!first.repeated);
    // The same id means another command in another stream.
    assert!(!accounts(&store).execute("2", &twice, &command("c-1"))?.appended.repeated);
    for round in 1..=3 {
        accounts(&store).execute("1", &Act(|_: &Account| Ok(vec![deposited(100); 60])), &nobody())?;
        let again = accounts(&store).execute("1", &twice, &command("c-1"))?;
        let mut expected = first;
        expected.repeated = true;
        assert_eq!(again.appended, expected);
        // What comes back is the account as it is now.
        assert_eq!(again.aggregate.version(), version(3 + 60 * round));
        assert_eq!(again.aggregate.state().cents, 6 + 6_000 * round);
        assert_eq!(accounts(&store).find_command("1", "c-1")?, Some(expected));
        store = store.reopen()?;
    }
    assert_eq!(handled.load(Ordering::Relaxed), 2);
    assert!(store.info()?.segments > 3, "the command is in a segment that was sealed");
    assert_eq!(accounts(&store).find_command("1", "c-2")?, None);
    assert_eq!(accounts(&store).find_command("1", "c")?, None);
    let expected = ["c-1:1:c2e7fd6ae54d4fc8", "c-1:2:c2e7fd6ae54d4fc8", "c-1:3:c2e7fd6ae54d4fc8"];
    assert_eq!(ids(all(store.read_stream(&stream("account-2")))), expected);
    Ok(())
}

#[test]
fn what_left_no_events_is_handled_again__D06_X9() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    assert!(accounts.execute("1", &Deposit(5), &command("c-1")).is_err());
    accounts.execute("1", &Open, &command("c-0"))?;
    assert!(!accounts.execute("1", &Deposit(0), &command("c-1"))?.appended.repeated);
    assert_eq!(accounts.find_command("1", "c-1")?, None);
    assert!(!accounts.execute("1", &Deposit(5), &command("c-1"))?.appended.repeated);
    assert!(accounts.execute("1", &Deposit(5), &command("c-1"))?.appended.repeated);
    assert_eq!(accounts.load("1")?.state().cents, 5);
    Ok(())
}

#[test]
fn a_repeated_command_is_seen_before_the_aggregate_can_refuse_it__D06_X9() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    accounts.execute("1", &Open, &nobody())?;
    accounts.execute("1", &Deposit(5), &nobody())?;
    let paid = accounts.execute("1", &Withdraw(5), &command("card-1"))?.appended;
    let again = accounts.execute("1", &Withdraw(5), &command("card-1"))?;
    assert_eq!((again.appended.version, again.appended.repeated), (paid.version, true));
    let refused = accounts.execute("1", &Withdraw(5), &command("card-2"));
    assert!(matches!(refused, Err(ExecuteError::Rejected(Refused::InsufficientFunds))));
    Ok(())
}

/// What comes of a command that another one executes first, between its load and its save. `other` says what the other
/// one's state led to.
fn overtaken(
    retry: Retry,
    between: &[AccountEvent],
    other: &[AccountEvent],
) -> annals::Result<(u64, u64, bool)> {
    let store = store();
    let accounts = accounts(&store).retry(retry);
    let handled = Cell::new(0);
    let pay = Act(|_: &Account| {
        handled.set(handled.get() + 1);
        if handled.get() == 1 {
            let first = |events: &[AccountEvent]| {
                let events = events.to_vec();
                Act(move |_: &Account| Ok(events.clone()))
            };
            accounts.execute("1", &first(between), &nobody()).expect("nobody is in its way");
            accounts.execute("1", &first(other), &command("c-1")).expect("nobody is in its way");
        }
        Ok(vec![deposited(1), deposited(2)])
    });
    let executed = match accounts.execute("1", &pay, &command("c-1")) {
        Ok(executed) => executed,
        Err(ExecuteError::Store(error)) => return Err(error),
        Err(ExecuteError::Rejected(refused)) => panic!("{refused}"),
    };
    assert_eq!(handled.get(), 1, "it is never handled again");
    let now = accounts.load("1")?;
    assert_eq!((executed.aggregate.state(), executed.aggregate.version()), (now.state(), now.version()));
    assert_eq!(executed.appended.first_version.get(), between.len() as u64 + 1);
    Ok((executed.appended.version.get(), now.state().cents, executed.appended.repeated))
}

#[test]
fn of_the_same_command_at_the_same_time_exactly_one_is_executed__D06_X9() -> Outcome {
    let same = [deposited(1), deposited(2)];
    for retry in [Retry::new().backoff(Duration::ZERO), Retry::none()] {
        // On the same state, to the same events.
        assert_eq!(overtaken(retry, &[], &same)?, (2, 3, true));
        // On another state, to the same, to others, to fewer, to more.
        assert_eq!(overtaken(retry, &[deposited(10)], &same)?, (3, 13, true));
        assert_eq!(overtaken(retry, &[deposited(10)], &[deposited(1), withdrawn(2)])?, (3, 9, true));
        assert_eq!(overtaken(retry, &[], &[deposited(7)])?, (1, 7, true));
        assert_eq!(overtaken(retry, &[], &[deposited(1), deposited(2), deposited(3)])?, (3, 6, true));
    }
    Ok(())
}

#[test]
fn an_id_that_is_too_long_for_events_is_refused__D06_X9() -> Outcome {
    let store = store();
    let outcome = accounts(&store).execute("1", &Open, &command(&"c".repeat(237)));
    assert!(matches!(outcome, Err(ExecuteError::Store(Error::Invalid(_)))), "{outcome:?}");
    let outcome = accounts(&store).execute("with a\nline", &Open, &nobody());
    assert!(matches!(outcome, Err(ExecuteError::Store(Error::Invalid(_)))), "{outcome:?}");
    // The longest one has room for nine events. Of ten none is stored.
    let longest = command(&"c".repeat(236));
    let deposit = |count| Act(move |_: &Account| Ok(vec![deposited(1); count]));
    let outcome = accounts(&store).execute("1", &deposit(10), &longest);
    assert!(matches!(outcome, Err(ExecuteError::Store(Error::Invalid(_)))), "{outcome:?}");
    assert_eq!(store.last_position().get(), 0);
    // It is found again, whatever comes behind it.
    let first = accounts(&store).execute("1", &deposit(9), &longest)?.appended;
    accounts(&store).execute("1", &deposit(9), &nobody())?;
    let again = accounts(&store).execute("1", &deposit(9), &longest)?.appended;
    assert_eq!((again.first_version, again.version, again.repeated), (first.first_version, version(9), true));
    Ok(())
}

#[test]
fn an_empty_id_is_refused_before_anything_is_handled__D06_X9() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    let handled = Cell::new(0);
    let act = Act(|_: &Account| {
        handled.set(handled.get() + 1);
        Ok(Vec::new())
    });
    let outcome = accounts.execute("1", &act, &command(""));
    let Err(ExecuteError::Store(Error::Invalid(invalid))) = outcome else { panic!("{outcome:?}") };
    assert_eq!((invalid.what, handled.get()), ("command id", 0));
    let mut account = accounts.load("1")?;
    let refused: [annals::Result<()>; 4] = [
        accounts.save(&mut account, [deposited(1)], &command("")).map(drop),
        accounts.add_to(Commit::new(), &account, [deposited(1)], &command("")).map(drop),
        accounts.encode("1", [deposited(1)], &command("")).map(drop),
        accounts.find_command("1", "").map(drop),
    ];
    for outcome in refused {
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    }
    assert_eq!((account.version(), store.last_position().get()), (Version::NONE, 0));
    Ok(())
}

#[test]
fn another_command_with_an_id_that_was_used_is_told_what_the_first_reached__D06_X9() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    let opened = accounts.execute("1", &Open, &command("request-1"))?.appended;
    let deposit = accounts.execute("1", &Deposit(5), &command("request-1"))?;
    assert_eq!((deposit.appended.version, deposit.appended.repeated), (opened.version, true));
    assert_eq!(deposit.aggregate.state().cents, 0);
    Ok(())
}

#[test]
fn the_events_of_a_command_have_ids_of_their_own_in_every_stream__D06_X9() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    for number in 0..50 {
        accounts.execute(&number.to_string(), &Open, &command("open-all"))?;
    }
    // An id alone says which event it is, as corrections and causation name it.
    for stored in all(store.read_all()) {
        assert_eq!(store.event(&stored.id)?.as_ref(), Some(&stored));
    }
    Ok(())
}

#[test]
fn an_event_is_found_in_its_stream_by_its_id__D06_X9() -> Outcome {
    let upcasters = Upcasters::new()
        .split("Moved", 1, &[("Left", 1), ("Arrived", 1)], |moved: EventContent| {
            Ok::<_, Error>(["Left", "Arrived"].map(|part| moved.clone().with_type(part, 1)).into())
        })?
        .discard("LookedAt", 1)?;
    let store = store_with(buffered().upcasters(upcasters.clone()));
    let (one, two): (StreamId, StreamId) = (stream("a-1"), stream("a-2"));
    let with_id = |event_type: &str, id: &str| -> annals::Result<_> {
        Ok(event(event_type).with_id(EventId::new(id)?))
    };
    // The same id stands for an event of each stream.
    store.append(&two, Version::NONE, [event("Before"), with_id("InTwo", "c")?])?;
    store.append(&one, Version::NONE, [with_id("InOne", "c")?, with_id("Moved", "d")?])?;
    store.append(&one, version(2), [with_id("LookedAt", "e")?])?;
    let follower = Follower::open_with(store.path(), Options::new().upcasters(upcasters))?;
    for reader in [store.reader(), follower.reader()] {
        let found = |stream: &StreamId, id: &str| -> annals::Result<_> {
            let event = reader.event_in(stream, &EventId::new(id)?)?;
            Ok(event.map(|event| (event.event_type, event.version.get())))
        };
        assert_eq!(found(&one, "c")?, Some(("InOne".to_owned(), 1)));
        assert_eq!(found(&two, "c")?, Some(("InTwo".to_owned(), 2)));
        // Of an event that is split, the first part; of one that is discarded, none. Both are there as they are stored.
        assert_eq!(found(&one, "d")?, Some(("Left".to_owned(), 2)));
        assert_eq!(found(&one, "e")?, None);
        for (id, event_type) in [("d", "Moved"), ("e", "LookedAt")] {
            let stored = reader.event_in_raw(&one, &EventId::new(id)?)?.expect("it is stored");
            assert_eq!(stored.event_type, event_type);
        }
        assert_eq!((found(&two, "d")?, found(&one, "f")?), (None, None));
        assert_eq!(found(&stream("a-3"), "c")?, None);
    }
    Ok(())
}

/// Commands that are executed in all, of which the first ones twice, by two threads at about the same time.
const EXECUTIONS: usize = 10_000;
const TWICE: usize = 1_000;

#[test]
fn of_10_000_commands_by_16_threads_on_4_aggregates_none_is_lost_or_doubled__D17_D28() -> Outcome {
    let store = store();
    // Loads begin with snapshots that other threads may have taken a moment ago.
    let retry = Retry::new().tries(u32::MAX).backoff(Duration::ZERO);
    let accounts = Repository::<Account, _>::new(&*store).retry(retry).snapshots(EveryNEvents(25));
    for id in ["0", "1", "2", "3"] {
        accounts.execute(id, &Open, &nobody())?;
    }
    let (next, repeated) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let work = || loop {
        let execution = next.fetch_add(1, Ordering::Relaxed);
        if execution >= EXECUTIONS {
            return;
        }
        let number = if execution < 2 * TWICE { execution / 2 } else { execution - TWICE };
        let (id, cents) = ((number % 4).to_string(), number as u64);
        let context = command(&format!("command-{number}"));
        let executed = accounts.execute(&id, &Deposit(cents + 1), &context).expect("no try is the last one");
        repeated.fetch_add(usize::from(executed.appended.repeated), Ordering::Relaxed);
    };
    thread::scope(|scope| (0..16).for_each(|_| drop(scope.spawn(work))));

    assert_eq!(repeated.into_inner(), TWICE);
    let mut all_ids = Vec::new();
    for account in 0..4 {
        let loaded = Repository::<Account, _>::new(&*store).load(&account.to_string())?;
        let numbers = (0..(EXECUTIONS - TWICE) as u64).filter(|number| number % 4 == account);
        let expected: u64 = numbers.map(|number| number + 1).sum();
        assert_eq!(loaded.state().cents, expected);
        assert_eq!(loaded.version(), Version::new(1 + (EXECUTIONS - TWICE) as u64 / 4));
        assert_eq!(accounts.load(&account.to_string())?.state(), loaded.state());
        for id in ids(all(store.read_stream(loaded.stream())).split_off(1)) {
            let (command, hash) = id.split_once(":1:").expect("a command's first event");
            assert_eq!(hash.len(), 16, "{id}");
            all_ids.push(command.to_owned());
        }
    }
    let mut expected: Vec<String> =
        (0..EXECUTIONS - TWICE).map(|number| format!("command-{number}")).collect();
    all_ids.sort_unstable();
    expected.sort_unstable();
    assert!(all_ids == expected, "each command has led to one event");
    Ok(())
}
