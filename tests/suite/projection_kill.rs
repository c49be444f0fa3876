//! A projection into `SQLite` that is killed, over and over: it ends as one that ran undisturbed.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use annals::{
    Cursor, Durability, EventData, EventStore, ExpectedVersion, Options, Projection, RollBack, Runner,
    SavedCursor, StoredEvent, StreamId, project,
};
use rusqlite::{Connection, OptionalExtension};

use crate::{random::Random, support::Outcome};

/// Change it to see other moments.
const SEED: u64 = 0x5eed_0042;
const KILLS: u32 = 100;
const EVENTS: u64 = 20_000;
const ACCOUNTS: u64 = 50;
const SIGKILL: i32 = 9;
/// Where the child finds its directory, and its seed.
const DIRECTORY: &str = "ANNALS_TEST_PROJECTION_DIRECTORY";
const CHILD_SEED: &str = "ANNALS_TEST_PROJECTION_SEED";
const CHILD: &str = "projection_kill::a_program_that_appends_and_projects_until_it_is_killed";

/// Balances, to which each event adds: one that counts twice or never is seen.
struct Balances {
    database: Connection,
    tells: bool,
}

impl Balances {
    fn open(database: Connection) -> rusqlite::Result<Self> {
        // The system has what is written, which is all that a kill leaves; only a power cut would need more.
        database.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
             CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, cents INTEGER, events INTEGER);
             CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT);",
        )?;
        Ok(Self { database, tells: false })
    }

    fn rows(&self) -> rusqlite::Result<Vec<(String, i64, i64)>> {
        let mut select =
            self.database.prepare("SELECT account, cents, events FROM balances ORDER BY account")?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    }
}

impl Projection for Balances {
    type Error = rusqlite::Error;

    fn begin(&mut self) -> rusqlite::Result<()> {
        self.database.execute_batch("BEGIN IMMEDIATE")
    }

    fn handle(&mut self, event: &StoredEvent) -> rusqlite::Result<()> {
        let cents: i64 = String::from_utf8_lossy(&event.data).parse().expect("a number");
        let mut add = self.database.prepare_cached(
            "INSERT INTO balances VALUES (?1, ?2, 1)
             ON CONFLICT (account) DO UPDATE SET cents = cents + ?2, events = events + 1",
        )?;
        add.execute((event.stream.as_str(), cents)).map(drop)
    }

    fn commit(&mut self, cursor: Cursor) -> rusqlite::Result<()> {
        self.database.execute("INSERT OR REPLACE INTO progress VALUES (1, ?1)", [cursor.to_string()])?;
        self.database.execute_batch("COMMIT")?;
        if self.tells {
            tell("committed");
        }
        Ok(())
    }

    fn roll_back(&mut self) -> rusqlite::Result<RollBack> {
        self.database.execute_batch("ROLLBACK").map(|()| RollBack::Undone)
    }

    fn saved_cursor(&mut self) -> rusqlite::Result<SavedCursor> {
        let select = "SELECT cursor FROM progress";
        let saved: Option<String> = self.database.query_row(select, [], |row| row.get(0)).optional()?;
        Ok(SavedCursor::Own(saved.map(|text| text.parse().expect("what was written"))))
    }

    fn reset(&mut self) -> rusqlite::Result<()> {
        self.database.execute_batch("BEGIN; DELETE FROM balances; DELETE FROM progress; COMMIT")
    }
}

/// Says something to the parent, if there still is one.
fn tell(what: &str) {
    writeln!(io::stdout(), "@{what}").and_then(|()| io::stdout().flush()).ok();
}

fn open_store(directory: &Path) -> annals::Result<EventStore> {
    EventStore::open_with(directory.join("store"), Options::new().durability(Durability::Buffered))
}

fn open_model(directory: &Path) -> rusqlite::Result<Balances> {
    Balances::open(Connection::open(directory.join("model.sqlite"))?)
}

fn account_event(number: u64) -> (StreamId, EventData) {
    let account = StreamId::new(format!("account-{:02}", number % ACCOUNTS)).expect("a name");
    (account, EventData::new("Deposited", number.to_string()))
}

/// The child of the test below; without its environment it does nothing.
#[test]
fn a_program_that_appends_and_projects_until_it_is_killed() -> Outcome {
    let Some(directory) = env::var_os(DIRECTORY) else { return Ok(()) };
    let directory = Path::new(&directory);
    let mut random = Random::new(env::var(CHILD_SEED)?.parse()?);
    tell("begun");
    let store = open_store(directory)?;
    let model = Balances { tells: true, ..open_model(directory)? };
    let running = Runner::new(&store, "balances")?.batch_events(1 + random.below(20)).start(model)?;
    let mut number = u64::try_from(store.read_all().count())?;
    while number < EVENTS {
        for _ in 0..=random.below(5) {
            number += 1;
            let (account, deposited) = account_event(number);
            drop(store.submit(&account, ExpectedVersion::Any, [deposited])?);
        }
        let (account, deposited) = account_event(number + 1);
        number += 1;
        let last = store.append(&account, ExpectedVersion::Any, [deposited])?;
        tell("appended");
        // The log doesn't run away from what reads it.
        if number % 64 < 6 {
            running.wait_until(last.position, crate::projection_support::PATIENCE)?;
        }
    }
    // All is appended. The parent, which would have killed it before, is told by its end.
    Ok(())
}

fn start_child(directory: &Path, seed: u64) -> io::Result<Child> {
    Command::new(env::current_exe()?)
        .args(["--exact", CHILD, "--nocapture"])
        .env(DIRECTORY, directory)
        .env(CHILD_SEED, seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
}

/// Runs the child until it has told so much, and kills it.
fn run_until_killed(directory: &Path, seed: u64, told_max: u64) -> Outcome {
    let mut child = start_child(directory, seed)?;
    let mut told = BufReader::new(child.stdout.take().ok_or("standard output")?).lines();
    let mut count = 0;
    while count < told_max {
        let line = told.next().ok_or_else(|| {
            format!("seed {seed}: it ended by itself, or has appended all {EVENTS} events: let there be more")
        })??;
        count += u64::from(line.contains('@'));
    }
    child.kill()?;
    let status = child.wait()?;
    assert_eq!(status.signal(), Some(SIGKILL), "seed {seed}: it wasn't running when it was killed");
    Ok(())
}

#[test]
fn a_projection_that_is_killed_100_times_ends_as_one_that_ran_undisturbed() -> Outcome {
    let directory = tempfile::tempdir()?;
    let mut random = Random::new(SEED);
    for kill in 0..KILLS {
        // Some at once, some while it opens, most while it works.
        let told_max = random.below(if kill % 5 == 0 { 4 } else { 60 });
        run_until_killed(directory.path(), random.below(u64::MAX), told_max)
            .map_err(|error| format!("seed {SEED:#x}, kill {kill}: {error}"))?;
    }
    let store = open_store(directory.path())?;
    let mut number = u64::try_from(store.read_all().count())?;
    assert!(
        (2_000..EVENTS).contains(&number),
        "seed {SEED:#x}: {number} events, so that kills are everywhere"
    );
    while number < EVENTS {
        number += 1;
        let (account, deposited) = account_event(number);
        store.append(&account, ExpectedVersion::Any, [deposited])?;
    }
    let mut killed = open_model(directory.path())?;
    let behind = Runner::new(&store, "balances")?.run_to_end(&mut killed)?.handled;
    assert!(behind < EVENTS, "it went on where it was");
    let undisturbed = project(&store, Balances::open(Connection::open_in_memory()?)?)?;
    let rows = killed.rows()?;
    assert_eq!(rows.iter().map(|row| row.2).sum::<i64>(), i64::try_from(EVENTS)?, "seed {SEED:#x}");
    assert_eq!(rows, undisturbed.rows()?, "seed {SEED:#x}");
    Ok(())
}
