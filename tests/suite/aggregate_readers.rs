//! Aggregates where nothing is written: loaded by readers and followers, and by process managers, which decide with them.

use annals::{
    Bincode, Commit, Context, Error, EventData, EventStore, EveryNEvents, Follower, Handle, Options, Output,
    Position, ProcessManager, Query, Reader, Repository, Runner, StoredEvent, Upcasters, Version,
};
use serde_json::{Value, json};

use crate::{
    account::{Account, AccountEvent, Deposit, Open, Withdraw, accounts, command, deposited, nobody},
    support::{Outcome, all, buffered, store, store_with, stream, types, version},
};

/// What a repository of any kind loads of an account that was opened and given 5, 6 and 7 cents, the last by a command.
fn check_loads<S>(accounts: &Repository<Account, S>) -> annals::Result<()>
where
    S: std::ops::Deref<Target: AsRef<Reader>>,
{
    let mut early = accounts.load_as_of("1", version(2))?;
    assert_eq!((early.state().cents, early.version()), (5, version(2)));
    assert_eq!(accounts.load_as_of("1", Position::new(3))?.state().cents, 11);
    accounts.refresh(&mut early)?;
    let now = accounts.load("1")?;
    assert_eq!((now.state().cents, early.state().cents, early.version()), (18, 18, version(4)));
    assert_eq!(accounts.stream("1")?, *now.stream());
    let found = accounts.find_command("1", "c")?.expect("it was executed");
    assert_eq!((found.version, found.repeated), (version(4), true));
    assert_eq!(accounts.find_command("1", "d")?, None);
    assert!(!accounts.load("2")?.exists());
    Ok(())
}

#[test]
fn readers_and_followers_load_what_the_store_loads__B16_B18() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    for events in [vec![AccountEvent::AccountOpened, deposited(5)], vec![deposited(6)]] {
        accounts.save(&mut accounts.load("1")?, events, &nobody())?;
    }
    let follower = Follower::open(store.path())?;
    // What is saved when the follower is there already, it sees too.
    accounts.execute("1", &Deposit(7), &command("c"))?;
    check_loads(&accounts)?;
    check_loads(&Repository::new(&follower))?;
    check_loads(&Repository::new(store.reader()))?;
    check_loads(&Repository::new(std::sync::Arc::new(store.reader().clone())))?;
    // A snapshot that the writer takes, the others begin with.
    accounts.take_snapshot(&mut accounts.load("1")?)?;
    let snapshots = Repository::<Account, _>::new(&follower).snapshots(EveryNEvents(1));
    check_loads(&snapshots)?;
    let loaded = snapshots.load("1")?;
    assert_eq!((loaded.snapshot_version(), loaded.events_applied()), (Some(version(4)), 0));
    assert_eq!(snapshots.store().path(), store.path());
    Ok(())
}

#[test]
fn what_is_encoded_is_what_a_save_stores__C15_D20() -> Outcome {
    let upcasters = Upcasters::new().json("MoneyDeposited", 1, Ok::<Value, Error>)?;
    let store = store_with(buffered().upcasters(upcasters.clone()));
    let follower = Follower::open_with(store.path(), Options::new().upcasters(upcasters))?;
    let events = || [AccountEvent::AccountOpened, deposited(5)];
    let context = command("c").user_id("ann");
    let saving = Repository::<Account, _>::new(&*store).codec::<Bincode>();
    saving.save(&mut saving.load("1")?, events(), &context)?;
    let encoding = Repository::<Account, _>::new(&follower).codec::<Bincode>();
    let encoded = encoding.encode("1", events(), &context)?;
    let stored = all(store.read(Query::stream(&stream("account-1")).raw()));
    assert_eq!((encoded.len(), stored[1].schema_version), (2, 2));
    for (event, stored) in encoded.iter().zip(&stored) {
        assert_eq!((&event.event_type, event.schema_version), (&stored.event_type, stored.schema_version));
        assert_eq!((&event.data, event.content_type), (&stored.data, stored.content_type));
        let metadata: Value = serde_json::from_slice(&event.metadata)?;
        assert_eq!(metadata["userId"], "ann");
        assert_eq!(serde_json::to_value(stored.metadata()?)?, metadata);
    }
    // By their ids they are the same events.
    assert!(store.append(&stream("account-1"), Version::NONE, encoded)?.repeated);
    Ok(())
}

/// Takes the fee for each parcel from its sender's account, if there is enough in it; else the parcel is refused.
struct Fees;

impl ProcessManager for Fees {
    type Error = Error;

    fn query(&self) -> Query<Position> {
        Query::all().event_type("ParcelHandedIn")
    }

    fn handle(&mut self, event: &StoredEvent, output: &mut Output<'_>) -> Result<(), Error> {
        let (sender, parcel): (String, String) = event.json()?;
        let accounts = Repository::<Account, _>::new(output.reader());
        let account = accounts.load_for_writing(&sender)?;
        let Ok(events) = account.state().handle(&Withdraw(4)) else {
            output.append(&stream(&parcel), Version::NONE, [EventData::new("ParcelRefused", "{}")]);
            return Ok(());
        };
        let context = output.context().clone().command_id(format!("fee-{parcel}"));
        if sender == "1" {
            output.add(|commit: Commit| accounts.add_to(commit, &account, events, &context))?;
        } else {
            let encoded = accounts.encode(&sender, events, &context)?;
            output.append(account.stream(), account.version(), encoded);
        }
        Ok(())
    }
}

fn hand_in(store: &EventStore, sender: &str, parcel: &str) -> annals::Result<()> {
    let event = EventData::json("ParcelHandedIn", &json!([sender, parcel]))?;
    let event = event.with_context(&Context::new().correlation_id(parcel))?;
    store.append(&stream("counter"), annals::ExpectedVersion::Any, [event]).map(drop)
}

#[test]
fn a_process_manager_decides_with_an_aggregate__B16_C15() -> Outcome {
    let store = store();
    let accounts = accounts(&store);
    for id in ["1", "2"] {
        accounts.execute(id, &Open, &nobody())?;
        accounts.execute(id, &Deposit(10), &nobody())?;
    }
    let runner = Runner::new(&store, "fees")?;
    for (number, sender) in ["1", "2", "1", "1", "2"].into_iter().enumerate() {
        hand_in(&store, sender, &format!("parcel-{number}"))?;
    }
    runner.run_process_to_end(&mut Fees)?;
    // Each fee was decided on what the one before had left.
    assert_eq!((accounts.load("1")?.state().cents, accounts.load("2")?.state().cents), (2, 2));
    assert_eq!(types(store.read(Query::all().category("parcel"))), ["ParcelRefused"]);
    assert_eq!(types(store.read_stream(&stream("parcel-3"))), ["ParcelRefused"]);
    for (id, parcel) in [("1", "parcel-2"), ("2", "parcel-4")] {
        let fee = accounts.find_command(id, &format!("fee-{parcel}"))?.expect("it was taken");
        assert_eq!(fee.version, version(4));
        let last = all(store.read_stream(&stream(&format!("account-{id}")))).remove(3);
        let metadata = last.metadata()?.expect("it was caused by an event");
        assert_eq!(metadata.correlation_id.as_deref(), Some(parcel));
        assert!(metadata.causation_id.is_some_and(|id| id != format!("fee-{parcel}")));
    }
    Ok(())
}
