//! A bank: accounts whose state is made of what happened to them. Commands that are refused, a transfer between two accounts
//! in one step, two who change one account at once, snapshots, and what kept events can tell: the history, the state at any
//! moment, who did what, and what a program makes of them that was written only today.

use std::{collections::BTreeMap, error, fmt, sync::Arc, thread};

use annals::{
    Aggregate, Commit, Context, Cursor, Delivery, Error, EventStore, EveryNEvents, ExecuteError, Given,
    Handle, Query, Reader, Repository, Retry,
};
use serde::{Deserialize, Serialize};

/// An account's state. What snapshots keep is this, as JSON.
#[derive(Default, Serialize, Deserialize)]
struct Account {
    is_open: bool,
    cents: u64,
}

/// What happens to an account. The variants are the event types.
#[derive(PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum AccountEvent {
    AccountOpened { owner: String },
    MoneyDeposited { cents: u64 },
    MoneyWithdrawn { cents: u64 },
}

use AccountEvent::{AccountOpened, MoneyDeposited, MoneyWithdrawn};

impl Aggregate for Account {
    type Event = AccountEvent;
    const CATEGORY: &'static str = "account";

    fn apply(&mut self, event: AccountEvent) {
        match event {
            AccountOpened { .. } => self.is_open = true,
            MoneyDeposited { cents } => self.cents += cents,
            MoneyWithdrawn { cents } => self.cents -= cents,
        }
    }
}

struct Open {
    owner: String,
}

struct Deposit {
    cents: u64,
}

struct Withdraw {
    cents: u64,
}

/// Why a command is refused.
#[derive(Clone, PartialEq, Debug)]
enum Refused {
    AlreadyOpen,
    NotOpen,
    InsufficientFunds { missing_cents: u64 },
}

impl Handle<Open> for Account {
    type Error = Refused;

    fn handle(&self, command: &Open) -> Result<Vec<AccountEvent>, Refused> {
        if self.is_open {
            return Err(Refused::AlreadyOpen);
        }
        Ok(vec![AccountOpened { owner: command.owner.clone() }])
    }
}

impl Handle<Deposit> for Account {
    type Error = Refused;

    fn handle(&self, command: &Deposit) -> Result<Vec<AccountEvent>, Refused> {
        if !self.is_open {
            return Err(Refused::NotOpen);
        }
        Ok(vec![MoneyDeposited { cents: command.cents }])
    }
}

impl Handle<Withdraw> for Account {
    type Error = Refused;

    fn handle(&self, command: &Withdraw) -> Result<Vec<AccountEvent>, Refused> {
        if !self.is_open {
            return Err(Refused::NotOpen);
        }
        match command.cents.checked_sub(self.cents) {
            None | Some(0) => Ok(vec![MoneyWithdrawn { cents: command.cents }]),
            Some(missing_cents) => Err(Refused::InsufficientFunds { missing_cents }),
        }
    }
}

type Accounts = Repository<Account>;

fn main() -> Result<(), Box<dyn error::Error>> {
    the_rules_need_no_store();
    let store = Arc::new(EventStore::open("bank.annals")?);
    let accounts = Accounts::new(Arc::clone(&store)).snapshots(EveryNEvents(3));

    // Commands: load, decide, save. Each knows who sent it.
    accounts.execute("alice", &Open { owner: "Alice".into() }, &by("teller-1", "visit-1-open"))?;
    accounts.execute("alice", &Deposit { cents: 50_000 }, &by("teller-1", "visit-1"))?;
    accounts.execute("bob", &Open { owner: "Bob".into() }, &by("teller-2", "visit-2-open"))?;
    // The client got no answer, and sends it again: the same command is executed once.
    let again = accounts.execute("alice", &Deposit { cents: 50_000 }, &by("teller-1", "visit-1"))?;
    assert!(again.appended.repeated);
    assert_eq!(again.aggregate.state().cents, 50_000);

    // What isn't there can't be withdrawn; nothing is stored.
    let refused = accounts.execute("bob", &Withdraw { cents: 500 }, &by("bob", "visit-3"));
    assert!(matches!(
        refused,
        Err(ExecuteError::Rejected(Refused::InsufficientFunds { missing_cents: 500 }))
    ));
    assert_eq!(accounts.load("bob")?.version().get(), 1);

    let before = store.last_position();
    transfer(&accounts, ("alice", "bob"), 20_000, &by("alice", "transfer-1"))?;
    transfer(&accounts, ("alice", "bob"), 20_000, &by("alice", "transfer-1"))?;
    assert_eq!((cents(&accounts, "alice")?, cents(&accounts, "bob")?), (30_000, 20_000));
    let too_much = transfer(&accounts, ("bob", "alice"), 20_001, &by("bob", "transfer-2"));
    assert_eq!(
        too_much.err().map(|error| error.to_string()).as_deref(),
        Some("the command was refused: 1 cents are missing")
    );
    assert_eq!((cents(&accounts, "alice")?, cents(&accounts, "bob")?), (30_000, 20_000));

    two_change_one_account(&accounts)?;

    // Every third event, the account's state is kept: loading begins there.
    let alice = accounts.load("alice")?;
    assert_eq!((alice.version().get(), alice.snapshot_version().map(u64::from)), (4, Some(4)));
    assert_eq!(alice.events_applied(), 0);

    // Time travel: the state at any version, position or time.
    assert_eq!(accounts.load_as_of("alice", before)?.state().cents, 50_000);
    assert!(!accounts.load_as_of("alice", annals::Version::NONE)?.exists());

    what_events_tell(&store)?;
    drop(accounts);
    Arc::into_inner(store).ok_or("nobody else has the store")?.close()?;
    Ok(())
}

/// The test of a rule: given events, when a command comes, then events or a refusal.
fn the_rules_need_no_store() {
    Given::<Account>::nothing().when(&Deposit { cents: 1 }).then_rejected(&Refused::NotOpen);
    let opened = || AccountOpened { owner: "Alice".into() };
    Given::<Account>::events([opened()])
        .when(&Open { owner: "Eve".into() })
        .then_rejected(&Refused::AlreadyOpen);
    let account = Given::<Account>::events([opened(), MoneyDeposited { cents: 7 }])
        .when(&Withdraw { cents: 7 })
        .then([MoneyWithdrawn { cents: 7 }]);
    assert_eq!(account.cents, 0);
}

/// Who sends a command, and which.
fn by(user: &str, command: &str) -> Context {
    Context::new().user_id(user).command_id(command)
}

fn cents(accounts: &Accounts, id: &str) -> annals::Result<u64> {
    Ok(accounts.load(id)?.state().cents)
}

/// Takes money from one account and gives it to another in one commit: both or none, and once for each command. Where
/// somebody else changes one of the two meanwhile, both are loaded again.
fn transfer(
    accounts: &Accounts,
    (from, to): (&str, &str),
    cents: u64,
    context: &Context,
) -> Result<(), ExecuteError<Refused>> {
    Retry::new().run(|| {
        let source = accounts.load_for_writing(from)?;
        let target = accounts.load_for_writing(to)?;
        if let Some(command) = context.command()
            && accounts.find_command(from, command)?.is_some()
        {
            return Ok(());
        }
        let withdrawn = source.state().handle(&Withdraw { cents }).map_err(ExecuteError::Rejected)?;
        let deposited = target.state().handle(&Deposit { cents }).map_err(ExecuteError::Rejected)?;
        let commit = accounts.add_to(Commit::new(), &source, withdrawn, context)?;
        let commit = accounts.add_to(commit, &target, deposited, context)?;
        accounts.store().commit(commit)?;
        Ok(())
    })
}

/// Two see the same balance and both decide. Exactly one is first; the other hears of it, and decides again.
fn two_change_one_account(accounts: &Accounts) -> Result<(), Box<dyn error::Error>> {
    let (mut one, mut other) = (accounts.load("bob")?, accounts.load("bob")?);
    let paid = |cents| [MoneyWithdrawn { cents }];
    accounts.save(&mut one, paid(15_000), &by("bob", "card-1"))?;
    let late = accounts.save(&mut other, paid(15_000), &by("bob", "card-2"));
    assert!(matches!(late, Err(Error::VersionConflict { .. })), "the account isn't overdrawn");

    // `execute` loads again, so the second of two is decided on what the first has left.
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = ["card-3", "card-4"]
            .map(|card| {
                scope.spawn(move || accounts.execute("bob", &Withdraw { cents: 4_000 }, &by("bob", card)))
            })
            .into();
        threads.into_iter().map(|thread| thread.join().expect("it doesn't panic")).collect()
    });
    let refused = |outcome: &Result<_, _>| matches!(outcome, Err(ExecuteError::Rejected(_)));
    assert_eq!(
        (outcomes.iter().filter(|outcome| refused(outcome)).count(), cents(accounts, "bob")?),
        (1, 1_000)
    );
    accounts.execute("alice", &Deposit { cents: 1 }, &by("teller-1", "visit-4"))?;
    Ok(())
}

/// What was kept because nothing was overwritten.
fn what_events_tell(store: &Reader) -> Result<(), Box<dyn error::Error>> {
    // The complete history.
    let alice = annals::StreamId::from_parts(Account::CATEGORY, "alice")?;
    let mut history: Vec<AccountEvent> = Vec::new();
    for event in store.read_stream(&alice) {
        history.push(event?.decode()?);
    }
    let owner = "Alice".to_owned();
    let moved =
        [MoneyDeposited { cents: 50_000 }, MoneyWithdrawn { cents: 20_000 }, MoneyDeposited { cents: 1 }];
    assert_eq!(history, [AccountOpened { owner }].into_iter().chain(moved).collect::<Vec<_>>());

    // The audit trail: all that belongs to one command, in every stream, and who sent it.
    let trail = store.read(Query::all().correlation("transfer-1")).collect::<annals::Result<Vec<_>>>()?;
    assert_eq!(trail.len(), 2);
    for event in trail {
        let user = event.metadata()?.and_then(|metadata| metadata.user_id);
        assert_eq!(user.as_deref(), Some("alice"), "{} {}", event.stream, event.event_type);
    }

    // Replay: what is made of the events is made anew, by whoever comes later, from the beginning.
    let mut deposited = BTreeMap::new();
    let mut subscription = store.subscribe(Query::all().category("account").after_cursor(Cursor::START));
    while let Some(Delivery::Event(event)) = subscription.next().transpose()? {
        if let MoneyDeposited { cents } = event.decode()? {
            *deposited.entry(event.stream.to_string()).or_insert(0) += cents;
        }
    }
    let expected = [("account-alice".to_owned(), 50_001), ("account-bob".to_owned(), 20_000)];
    assert_eq!(deposited, BTreeMap::from(expected));
    Ok(())
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyOpen => formatter.write_str("the account is open already"),
            Self::NotOpen => formatter.write_str("there is no such account"),
            Self::InsufficientFunds { missing_cents } => {
                write!(formatter, "{missing_cents} cents are missing")
            }
        }
    }
}

impl error::Error for Refused {}
