//! Aggregates with snapshots: loading begins with one that can be used, and a save takes one when that is due.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use annals::{
    Aggregate, Bincode, Context, EventStore, EveryNEvents, ExecuteError, OnDemand, Repository, SlowLoad,
    SnapshotData, SnapshotMoment, SnapshotPolicy, UnusedSnapshot,
};
use serde::{Deserialize, Serialize};

use crate::{
    account::{Account, AccountEvent, Accounts, Deposit, Withdraw, command, deposited, nobody, withdrawn},
    support::{Outcome, store, stream, version},
};

fn accounts_with_snapshots(store: &EventStore, every: u64) -> Accounts<'_> {
    Repository::new(store).snapshots(EveryNEvents(every))
}

/// An account with so many events in one save.
fn with_events(accounts: &Accounts<'_>, count: u64) -> annals::Result<()> {
    let mut account = accounts.load("1")?;
    let deposits = (1..count).map(|_| deposited(1));
    let events: Vec<_> = [AccountEvent::AccountOpened].into_iter().chain(deposits).collect();
    accounts.save(&mut account, events, &nobody()).map(drop)
}

/// The version of the account's newest snapshot.
fn newest(store: &EventStore) -> annals::Result<Option<u64>> {
    let search = store.snapshot(&stream("account-1"), "account")?;
    Ok(search.snapshot.map(|snapshot| snapshot.version.get()))
}

/// Saves a snapshot of the account that differs from what its events say, so that it is seen where it is used.
fn save_marked(
    store: &EventStore,
    at: u64,
    data: impl FnOnce(SnapshotData) -> SnapshotData,
) -> annals::Result<()> {
    let state = Account { is_open: true, cents: 1_000 * at, seen: 0 };
    let data = data(SnapshotData::json("account", &state)?);
    store.save_snapshot(&stream("account-1"), version(at), data).map(drop)
}

#[test]
fn a_snapshot_is_taken_on_the_save_that_makes_it_due__B15() -> Outcome {
    let store = store();
    let accounts = accounts_with_snapshots(&store, 10);
    with_events(&accounts, 9)?;
    assert_eq!(newest(&store)?, None);
    let mut account = accounts.load("1")?;
    accounts.save(&mut account, [deposited(1)], &nobody())?;
    assert_eq!((newest(&store)?, account.snapshot_version()), (Some(10), Some(version(10))));
    // The handle knows of it: the next one is due ten events later.
    for number in 11..=19 {
        accounts.save(&mut account, [deposited(1)], &nobody())?;
        assert_eq!(newest(&store)?, Some(10), "{number}");
    }
    accounts.save(&mut account, [deposited(1), deposited(1)], &nobody())?;
    assert_eq!(newest(&store)?, Some(21));
    // A handle that is loaded knows of it too, and so does a command.
    for _ in 22..=30 {
        accounts.execute("1", &Deposit(1), &nobody())?;
        assert_eq!(newest(&store)?, Some(21));
    }
    assert_eq!(
        accounts.execute("1", &Deposit(1), &nobody())?.aggregate.snapshot_version(),
        Some(version(31))
    );
    // Without a policy none is taken.
    let without = Repository::<Account, _>::new(&*store);
    without.save(&mut without.load("1")?, (0..50).map(|_| deposited(1)), &nobody())?;
    assert_eq!(newest(&store)?, Some(31));
    Ok(())
}

#[test]
fn loading_is_the_snapshot_and_the_events_after_it__B16_D16() -> Outcome {
    let store = store();
    let accounts = accounts_with_snapshots(&store, u64::MAX);
    with_events(&accounts, 20)?;
    save_marked(&store, 7, |data| data)?;
    let account = accounts.load("1")?;
    assert_eq!((account.snapshot_version(), account.events_applied()), (Some(version(7)), 13));
    assert_eq!((account.state().cents, account.state().seen, account.version()), (7_013, 13, version(20)));
    // A repository without snapshots reads all events.
    let without = Repository::<Account, _>::new(&*store);
    assert_eq!((without.load("1")?.state().cents, without.load("1")?.snapshot_version()), (19, None));
    // Before the snapshot it isn't used; the last one before a moment is.
    save_marked(&store, 15, |data| data)?;
    let as_of = |at: u64| accounts.load_as_of("1", version(at)).map(|account| account.state().cents);
    assert_eq!((as_of(6)?, as_of(7)?, as_of(14)?, as_of(15)?, as_of(16)?), (5, 7_000, 7_007, 15_000, 15_001));
    Ok(())
}

#[test]
fn of_10_000_events_a_snapshot_leaves_the_last_100_to_be_read__D18() -> Outcome {
    let store = store();
    let accounts = accounts_with_snapshots(&store, 9_900);
    with_events(&accounts, 9_900)?;
    let mut account = accounts.load("1")?;
    accounts.save(&mut account, (0..100).map(|_| deposited(1)), &nobody())?;
    let account = accounts.load("1")?;
    assert_eq!((account.snapshot_version(), account.events_applied()), (Some(version(9_900)), 100));
    assert_eq!(
        (account.version(), account.state().cents, account.state().seen),
        (version(10_000), 9_999, 10_000)
    );
    let whole = Repository::<Account, _>::new(&*store).load("1")?;
    assert_eq!((whole.state(), whole.events_applied()), (account.state(), 10_000));
    Ok(())
}

#[test]
fn a_snapshot_of_another_version_of_the_state_is_passed_over_and_told__B16() -> Outcome {
    let store = store();
    let accounts = accounts_with_snapshots(&store, u64::MAX);
    with_events(&accounts, 20)?;
    save_marked(&store, 5, |data| data)?;
    save_marked(&store, 6, |data| data.with_schema_version(2))?;
    save_marked(&store, 7, |mut data| {
        data.state = b"{\"is_open\":true}".to_vec();
        data
    })?;
    let account = accounts.load("1")?;
    assert_eq!((account.snapshot_version(), account.state().cents), (Some(version(5)), 5_015));
    let [undecodable, other] = account.unused_snapshots() else { panic!("{:?}", account.unused_snapshots()) };
    assert!(matches!(undecodable, UnusedSnapshot::Undecodable { version, .. } if version.get() == 7));
    assert!(undecodable.to_string().contains("cents"), "{undecodable}");
    assert!(
        matches!(other, UnusedSnapshot::OtherStateVersion { version, found: 2, wanted: 1 } if version.get() == 6)
    );
    // One that wants another codec finds none of its own.
    let binary = Repository::<Account, _>::new(&*store).snapshots_with::<Bincode>(OnDemand);
    let mut account = binary.load("1")?;
    assert_eq!(
        (account.snapshot_version(), account.state().cents, account.unused_snapshots().len()),
        (None, 19, 3)
    );
    binary.take_snapshot(&mut account)?;
    assert_eq!(binary.load("1")?.snapshot_version(), Some(version(20)));
    Ok(())
}

/// Overwrites the last bytes of all snapshots.
fn damage(directory: &Path) -> std::io::Result<usize> {
    let mut damaged = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            damaged += damage(&path)?;
        } else {
            let mut bytes = fs::read(&path)?;
            *bytes.last_mut().expect("a snapshot has bytes") ^= 1;
            fs::write(&path, bytes)?;
            damaged += 1;
        }
    }
    Ok(damaged)
}

#[test]
fn a_damaged_snapshot_costs_time_and_nothing_else__B16() -> Outcome {
    let store = store();
    let accounts = accounts_with_snapshots(&store, 5);
    with_events(&accounts, 5)?;
    assert_eq!(damage(&store.path().join("snapshots"))?, 1);
    let mut account = accounts.load("1")?;
    assert_eq!((account.state().cents, account.snapshot_version()), (4, None));
    let [UnusedSnapshot::Ignored(ignored)] = account.unused_snapshots() else {
        panic!("{:?}", account.unused_snapshots())
    };
    assert_eq!(ignored.version, Some(version(5)));
    assert!(ignored.path.is_file(), "it is left where it is");
    let told = account.unused_snapshots()[0].to_string();
    assert_eq!(told, format!("{}: {}", ignored.path.display(), ignored.reason));
    assert!(told.ends_with(".snap: it is damaged: its state's checksum doesn't match"), "{told}");
    // The next save takes one that can be used.
    accounts.save(&mut account, [deposited(1)], &nobody())?;
    assert_eq!(accounts.load("1")?.snapshot_version(), Some(version(6)));
    Ok(())
}

#[test]
fn a_snapshot_is_taken_on_demand__B14() -> Outcome {
    let store = store();
    let accounts = Repository::<Account, _>::new(&*store).snapshots(OnDemand);
    with_events(&accounts, 300)?;
    assert_eq!(newest(&store)?, None);
    let mut account = accounts.load("1")?;
    let snapshot = accounts.take_snapshot(&mut account)?;
    assert_eq!((account.snapshot_version(), account.events_applied()), (Some(version(300)), 0));
    assert_eq!((snapshot.version, snapshot.schema_version), (version(300), 1));
    assert_eq!(snapshot.json::<Account>()?, *account.state());
    assert_eq!(accounts.load("1")?.events_applied(), 0);
    Ok(())
}

#[test]
fn a_load_that_was_slow_makes_the_next_save_take_one__B15() -> Outcome {
    let store = store();
    let accounts = Repository::<Account, _>::new(&*store).snapshots(SlowLoad(Duration::ZERO));
    with_events(&accounts, 3)?;
    assert_eq!(newest(&store)?, None, "the load before had nothing to read");
    let mut account = accounts.load("1")?;
    accounts.save(&mut account, [deposited(1)], &nobody())?;
    assert_eq!(newest(&store)?, Some(4));
    // It was that load which was slow: the same handle takes no second one.
    accounts.save(&mut account, [withdrawn(1)], &nobody())?;
    assert_eq!(newest(&store)?, Some(4));
    Ok(())
}

/// A state that can't be written once it has seen enough.
#[derive(Default, Debug, Serialize, Deserialize)]
pub(crate) struct Shy {
    #[serde(serialize_with = "refuse_three")]
    seen: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it like this")]
fn refuse_three<S: serde::Serializer>(seen: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    if *seen == 3 {
        Err(serde::ser::Error::custom("three is a secret"))
    } else {
        serializer.serialize_u32(*seen)
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) enum ShyEvent {
    Looked,
}

impl Aggregate for Shy {
    type Event = ShyEvent;
    const CATEGORY: &'static str = "shy";

    fn apply(&mut self, ShyEvent::Looked: ShyEvent) {
        self.seen += 1;
    }
}

#[test]
fn a_snapshot_that_fails_does_not_fail_the_save__B15() -> Outcome {
    let store = store();
    let shy = Repository::<Shy, _>::new(&*store).snapshots(EveryNEvents(1));
    let mut loaded = shy.load("1")?;
    for seen in 1..=4 {
        let appended = shy.save(&mut loaded, [ShyEvent::Looked], &Context::new())?;
        assert_eq!((appended.version, loaded.state().seen), (version(seen.into()), seen));
        let failure = loaded.snapshot_failure().map(ToString::to_string).unwrap_or_default();
        assert_eq!(failure.contains("three is a secret"), seen == 3, "{failure}");
    }
    assert_eq!(shy.load("1")?.state().seen, 4);
    Ok(())
}

#[test]
fn a_failure_is_that_of_the_last_save__B15() -> Outcome {
    let store = store();
    let shy = Repository::<Shy, _>::new(&*store).snapshots(EveryNEvents(3));
    let mut loaded = shy.load("1")?;
    let three = || [ShyEvent::Looked, ShyEvent::Looked, ShyEvent::Looked];
    shy.save(&mut loaded, three(), &Context::new())?;
    assert!(loaded.snapshot_failure().is_some());
    // One that wants no snapshot hasn't failed to take one; nor has one that is refused.
    shy.save(&mut loaded, [], &Context::new())?;
    assert!(loaded.snapshot_failure().is_none());
    let mut late = shy.load("2")?;
    shy.save(&mut late, three(), &Context::new())?;
    assert!(late.snapshot_failure().is_some());
    shy.save(&mut shy.load("2")?, [ShyEvent::Looked], &Context::new())?;
    assert!(shy.save(&mut late, [ShyEvent::Looked], &Context::new()).is_err_and(|error| error.is_conflict()));
    assert!(late.snapshot_failure().is_none());
    Ok(())
}

/// Another view of an account, made of the same events.
#[derive(PartialEq, Default, Debug, Serialize, Deserialize)]
struct Turnover {
    cents: u64,
}

impl Aggregate for Turnover {
    type Event = AccountEvent;
    const CATEGORY: &'static str = "account";
    const STATE_TYPE: &'static str = "turnover";

    fn apply(&mut self, event: AccountEvent) {
        if let AccountEvent::MoneyDeposited { cents } | AccountEvent::MoneyWithdrawn { cents } = event {
            self.cents += cents;
        }
    }
}

#[test]
fn two_aggregates_of_one_category_have_snapshots_of_their_own__B15_B16() -> Outcome {
    let store = store();
    let accounts = accounts_with_snapshots(&store, 1);
    let turnovers = Repository::<Turnover, _>::new(&*store).snapshots(OnDemand);
    with_events(&accounts, 1)?;
    accounts.save(&mut accounts.load("1")?, [deposited(10), withdrawn(4)], &nobody())?;
    // Each of a version that the other one has none of, and of the same.
    turnovers.take_snapshot(&mut turnovers.load_as_of("1", version(2))?)?;
    turnovers.take_snapshot(&mut turnovers.load("1")?)?;
    let (account, turnover) = (accounts.load("1")?, turnovers.load("1")?);
    assert_eq!((account.state().cents, account.events_applied()), (6, 0));
    assert_eq!((turnover.state().cents, turnover.events_applied()), (14, 0));
    assert!(account.unused_snapshots().is_empty() && turnover.unused_snapshots().is_empty());
    let list = store.snapshots(&stream("account-1"))?.snapshots;
    let types: Vec<_> = list.iter().map(|info| (info.state_type.as_str(), info.version.get())).collect();
    assert_eq!(types, [("account", 1), ("account", 3), ("turnover", 2), ("turnover", 3)]);
    Ok(())
}

#[test]
fn a_load_that_was_slow_and_led_to_nothing_takes_a_snapshot_too__B15() -> Outcome {
    let store = store();
    let slow = Repository::<Account, _>::new(&*store).snapshots(SlowLoad(Duration::ZERO));
    let plain = Repository::<Account, _>::new(&*store);
    let more = || plain.save(&mut plain.load("1")?, [deposited(1)], &nobody()).map(drop);
    with_events(&plain, 3)?;
    // A command that is refused, one that leads to nothing, one that was executed before, a decision by hand.
    assert!(matches!(slow.execute("1", &Withdraw(99), &nobody()), Err(ExecuteError::Rejected(_))));
    assert_eq!(newest(&store)?, Some(3));
    more()?;
    slow.execute("1", &Deposit(0), &nobody())?;
    assert_eq!(newest(&store)?, Some(4));
    plain.execute("1", &Deposit(1), &command("c"))?;
    assert!(slow.execute("1", &Deposit(1), &command("c"))?.appended.repeated);
    assert_eq!(newest(&store)?, Some(5));
    more()?;
    slow.save(&mut slow.load_for_writing("1")?, [], &nobody())?;
    assert_eq!(newest(&store)?, Some(6));
    // Who only reads writes nothing, and of nothing there is no snapshot.
    more()?;
    slow.save(&mut slow.load("1")?, [], &nobody())?;
    assert_eq!(newest(&store)?, Some(6));
    let asked = Recorder::default();
    let accounts = Repository::<Account, _>::new(&*store).snapshots(asked.clone());
    assert!(accounts.execute("2", &Deposit(1), &nobody()).is_err());
    assert!(asked.0.lock().expect("one thread").is_empty());
    Ok(())
}

/// Wants no snapshot, and remembers what it was asked.
#[derive(Clone, Default, Debug)]
struct Recorder(Arc<Mutex<Vec<SnapshotMoment>>>);

impl SnapshotPolicy for Recorder {
    fn is_due(&self, moment: &SnapshotMoment) -> bool {
        self.0.lock().expect("no one panics with it").push(moment.clone());
        false
    }
}

/// A state that only its own snapshots are of.
#[derive(Default, Debug, Serialize, Deserialize)]
struct Heavy {
    seen: u64,
}

impl Aggregate for Heavy {
    type Event = ShyEvent;
    const CATEGORY: &'static str = "heavy";

    fn apply(&mut self, ShyEvent::Looked: ShyEvent) {
        self.seen += 1;
    }
}

#[test]
fn a_load_takes_no_time_that_a_newer_snapshot_could_spare_where_one_has_it_all__B15() -> Outcome {
    let store = store();
    let recorder = Recorder::default();
    let heavy = Repository::<Heavy, _>::new(&*store).snapshots(recorder.clone());
    let mut loaded = heavy.load("1")?;
    heavy.save(&mut loaded, [ShyEvent::Looked], &Context::new())?;
    for is_taken in [false, true] {
        let mut loaded = heavy.load_for_writing("1")?;
        assert_eq!((loaded.state().seen, loaded.events_applied()), (1, u64::from(!is_taken)));
        heavy.save(&mut loaded, [], &Context::new())?;
        heavy.take_snapshot(&mut loaded)?;
    }
    let moments = recorder.0.lock().expect("one thread").clone();
    let has_time: Vec<bool> = moments.iter().map(|moment| moment.load_time.is_some()).collect();
    assert_eq!(has_time, [false, true, false], "nothing to read, an event, a snapshot of it");
    Ok(())
}
