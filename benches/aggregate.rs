//! How long it takes to load an aggregate with many events, and to execute a command on it.
//!
//! ```text
//! cargo bench --bench aggregate -- [--events N] [--snapshot-at N] [--rounds N] [--directory DIR] [--short]
//! ```
//!
//! A store has ten accounts of `--events` events each, written in turns of ten, so that what is read is scattered as it is
//! where many are served. One account is loaded `--rounds` times: from all of its events, from a snapshot at
//! `--snapshot-at` and the events after it, with events and states in JSON and in bincode. Then commands are executed on it,
//! each of which loads it whole, or from the snapshot that the policy has taken. Every load must come to the state that
//! the events say; the figures are medians, and what one in a hundred exceeds.

use std::{
    error::Error,
    io::{self, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use annals::{
    Aggregate, Bincode, Codec, Context, Durability, EventStore, EveryNEvents, Handle, Json, OnDemand,
    Options, Repository, Version,
};
use serde::{Deserialize, Serialize};

use crate::{options::CommandLine, percentile::percentile};

#[path = "support/options.rs"]
mod options;
#[path = "support/percentile.rs"]
mod percentile;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

type Accounts<'a> = Repository<Account, &'a EventStore>;

/// What an acknowledged command means: that the operating system has its event. A sync would be most of a command's time.
const DURABILITY: Durability = Durability::Buffered;

/// How many accounts are written in turns.
const ACCOUNTS: u64 = 10;

/// How many events of one account are written at a time.
const TURN: u64 = 10;

/// How many events come between two snapshots that the policy takes.
const EVERY: u64 = 100;

#[derive(PartialEq, Default, Debug, Serialize, Deserialize)]
struct Account {
    owner: String,
    cents: u64,
    moves: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum AccountEvent {
    AccountOpened { owner: String },
    MoneyDeposited { cents: u64, reference: String },
    MoneyWithdrawn { cents: u64, reference: String },
}

use AccountEvent::{AccountOpened, MoneyDeposited, MoneyWithdrawn};

impl Aggregate for Account {
    type Event = AccountEvent;
    const CATEGORY: &'static str = "account";

    fn apply(&mut self, event: AccountEvent) {
        self.moves += 1;
        match event {
            AccountOpened { owner } => self.owner = owner,
            MoneyDeposited { cents, .. } => self.cents += cents,
            MoneyWithdrawn { cents, .. } => self.cents -= cents,
        }
    }
}

struct Deposit;

impl Handle<Deposit> for Account {
    type Error = String;

    fn handle(&self, _command: &Deposit) -> Result<Vec<AccountEvent>, String> {
        Ok(vec![event(self.moves)])
    }
}

/// The event with this number, from 0.
fn event(number: u64) -> AccountEvent {
    let reference = format!("invoice 2026-{number:06}");
    match number {
        0 => AccountOpened { owner: "Ana Example".into() },
        odd if odd % 2 == 1 => MoneyDeposited { cents: 2_000, reference },
        _ => MoneyWithdrawn { cents: 500, reference },
    }
}

/// What an account of so many events has.
fn expected(events: u64) -> Account {
    let mut account = Account::default();
    (0..events).for_each(|number| account.apply(event(number)));
    account
}

struct Settings {
    events: u64,
    snapshot_at: u64,
    rounds: usize,
    directory: PathBuf,
}

fn main() -> Outcome<()> {
    let settings = settings()?;
    std::fs::create_dir_all(&settings.directory)?;
    let mut output = io::stdout().lock();
    let name = format!("an account of {} events, Durability::{DURABILITY:?}", settings.events);
    writeln!(output, "{name:<52} {:>12} {:>12}", "median", "p99")?;
    loads::<Json>(&mut output, &settings, "JSON")?;
    loads::<Bincode>(&mut output, &settings, "bincode")
}

fn settings() -> Outcome<Settings> {
    let mut line = CommandLine::given();
    let (events, snapshot_at, rounds) = if line.is_short { (200, 150, 3) } else { (10_000, 9_900, 301) };
    let mut settings = Settings { events, snapshot_at, rounds, directory: options::directory() };
    while let Some(option) = line.next() {
        match option.as_str() {
            "--events" => settings.events = line.value()?,
            "--snapshot-at" => settings.snapshot_at = line.value()?,
            "--rounds" => settings.rounds = line.value()?,
            "--directory" => settings.directory = line.value()?,
            _ => return line.unknown(),
        }
    }
    if settings.rounds == 0 || settings.snapshot_at == 0 || settings.snapshot_at > settings.events {
        return Err("there is one round at least, and the snapshot is of one of the events".into());
    }
    Ok(settings)
}

/// Measures loads and commands with events and states written by one codec.
fn loads<C: Codec>(output: &mut impl Write, settings: &Settings, codec: &str) -> Outcome<()> {
    let directory = tempfile::tempdir_in(&settings.directory)?;
    let options = Options::new().durability(DURABILITY);
    let store = EventStore::open_with(directory.path().join("store"), options)?;
    let plain = Accounts::new(&store).codec::<C>();
    write_accounts(&plain, settings.events)?;
    let wanted = expected(settings.events);
    let mut row = |name: &str, times: Vec<Duration>| report(output, &format!("{codec}: {name}"), times);

    row("load, no snapshot", time_loads(&plain, settings, &wanted, settings.events)?)?;
    let behind = settings.events - settings.snapshot_at;
    let with_snapshot = plain.clone().snapshots_with::<C>(OnDemand);
    with_snapshot.take_snapshot(&mut plain.load_as_of("0", Version::new(settings.snapshot_at))?)?;
    let name = format!("load, snapshot at {}", settings.snapshot_at);
    row(&name, time_loads(&with_snapshot, settings, &wanted, behind)?)?;
    row("command, no snapshot", time_commands(&plain, settings)?)?;
    let name = format!("command, snapshot every {EVERY} events");
    row(&name, time_commands(&plain.snapshots_with::<C>(EveryNEvents(EVERY)), settings)?)?;
    store.close()?;
    Ok(())
}

fn write_accounts(accounts: &Accounts<'_>, events: u64) -> Outcome<()> {
    let mut loaded =
        (0..ACCOUNTS).map(|id| accounts.load(&id.to_string())).collect::<annals::Result<Vec<_>>>()?;
    for first in (0..events).step_by(usize::try_from(TURN)?) {
        for account in &mut loaded {
            let turn = (first..(first + TURN).min(events)).map(event);
            accounts.save(account, turn, &Context::new())?;
        }
    }
    Ok(())
}

fn time_loads(
    accounts: &Accounts<'_>,
    settings: &Settings,
    wanted: &Account,
    events_applied: u64,
) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(settings.rounds);
    for _ in 0..settings.rounds {
        let begun = Instant::now();
        let account = accounts.load("0")?;
        times.push(begun.elapsed());
        if account.state() != wanted || account.events_applied() != events_applied {
            return Err(format!("loaded {account:?}").into());
        }
    }
    Ok(times)
}

fn time_commands(accounts: &Accounts<'_>, settings: &Settings) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(settings.rounds);
    for _ in 0..settings.rounds {
        let begun = Instant::now();
        let executed = accounts.execute("0", &Deposit, &Context::new())?;
        times.push(begun.elapsed());
        let moves = executed.aggregate.state().moves;
        if moves != executed.appended.version.get() || *executed.aggregate.state() != expected(moves) {
            return Err(format!("the command came to {executed:?}").into());
        }
    }
    Ok(times)
}

fn report(output: &mut impl Write, name: &str, mut times: Vec<Duration>) -> Outcome<()> {
    times.sort_unstable();
    let millis = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1e3);
    let (median, p99) = (percentile(&times, 50), percentile(&times, 99));
    Ok(writeln!(output, "{name:<52} {:>12} {:>12}", millis(median), millis(p99))?)
}
