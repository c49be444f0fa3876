//! A bank's account, which the tests of aggregates are about.

use std::{error, fmt};

use annals::{Aggregate, Context, EventStore, Handle, Jitter, Repository, Retry};
use serde::{Deserialize, Serialize};

/// An account's state; its `seen` counts the events.
#[derive(Clone, PartialEq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) is_open: bool,
    pub(crate) cents: u64,
    pub(crate) seen: u64,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub(crate) enum AccountEvent {
    AccountOpened,
    MoneyDeposited { cents: u64 },
    MoneyWithdrawn { cents: u64 },
}

use AccountEvent::{AccountOpened, MoneyDeposited, MoneyWithdrawn};

impl Aggregate for Account {
    type Event = AccountEvent;
    const CATEGORY: &'static str = "account";

    fn apply(&mut self, event: AccountEvent) {
        self.seen += 1;
        match event {
            AccountOpened => self.is_open = true,
            MoneyDeposited { cents } => self.cents += cents,
            MoneyWithdrawn { cents } => self.cents -= cents,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refused {
    AlreadyOpen,
    NotOpen,
    InsufficientFunds,
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self:?}")
    }
}

impl error::Error for Refused {}

pub(crate) struct Open;

pub(crate) struct Deposit(pub(crate) u64);

pub(crate) struct Withdraw(pub(crate) u64);

impl Handle<Open> for Account {
    type Error = Refused;

    fn handle(&self, Open: &Open) -> Result<Vec<AccountEvent>, Refused> {
        if self.is_open { Err(Refused::AlreadyOpen) } else { Ok(vec![AccountOpened]) }
    }
}

impl Handle<Deposit> for Account {
    type Error = Refused;

    /// A deposit of nothing leads to nothing.
    fn handle(&self, Deposit(cents): &Deposit) -> Result<Vec<AccountEvent>, Refused> {
        match (self.is_open, *cents) {
            (false, _) => Err(Refused::NotOpen),
            (true, 0) => Ok(Vec::new()),
            (true, cents) => Ok(vec![MoneyDeposited { cents }]),
        }
    }
}

impl Handle<Withdraw> for Account {
    type Error = Refused;

    fn handle(&self, Withdraw(cents): &Withdraw) -> Result<Vec<AccountEvent>, Refused> {
        if *cents > self.cents {
            return Err(Refused::InsufficientFunds);
        }
        Ok(vec![MoneyWithdrawn { cents: *cents }])
    }
}

/// A command that does what the test wants, when it is handled.
pub(crate) struct Act<F>(pub(crate) F);

impl<F: Fn(&Account) -> Result<Vec<AccountEvent>, Refused>> Handle<Act<F>> for Account {
    type Error = Refused;

    fn handle(&self, Act(act): &Act<F>) -> Result<Vec<AccountEvent>, Refused> {
        act(self)
    }
}

pub(crate) type Accounts<'a> = Repository<Account, &'a EventStore>;

/// Accounts whose commands are tried at once again.
pub(crate) fn accounts(store: &EventStore) -> Accounts<'_> {
    Repository::new(store).retry(Retry::new().backoff(std::time::Duration::ZERO).jitter(Jitter::None))
}

pub(crate) fn deposited(cents: u64) -> AccountEvent {
    MoneyDeposited { cents }
}

pub(crate) fn withdrawn(cents: u64) -> AccountEvent {
    MoneyWithdrawn { cents }
}

/// A context without anything.
pub(crate) fn nobody() -> Context {
    Context::new()
}

pub(crate) fn command(id: &str) -> Context {
    Context::new().command_id(id)
}
