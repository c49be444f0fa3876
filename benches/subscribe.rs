//! How soon a subscriber gets an event that was acknowledged, and what it costs while nothing happens.
//!
//! ```text
//! cargo bench --bench subscribe -- [--events N] [--pause-micros N] [--idle-seconds N] [--directory DIR]
//!     [--short]
//! ```
//!
//! *Latency*: one caller appends `--events` events to one stream, one at a time. The time between the return of each
//! append and its event's delivery counts; where the subscriber is faster than the caller's own answer, nothing. It
//! subscribes in the same process, or through a `Follower` in another one. *Back to back*: the next append
//! follows at once. *After a pause*: `--pause-micros` later, so that the subscriber sleeps whenever an event comes. The
//! subscriber must get every event once and in order.
//!
//! *Idle*: a process has an open store and a subscription that waits, or a follower of another process's store and
//! one, and nothing is appended. Counted is the processor time of all its threads, by the system's ticks and by the
//! scheduler's nanoseconds (Linux alone).
//!
//! Each row's process is this program, started again.

use std::{
    env,
    error::Error,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use annals::{Delivery, Durability, EventStore, Follower, Options, Query, StreamId, Subscription, Version};

use crate::{event::event, options::CommandLine, percentile::percentile};

#[path = "support/event.rs"]
mod event;
#[path = "support/options.rs"]
mod options;
#[path = "support/percentile.rs"]
mod percentile;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Asks this program to be the other process of a row: what it does, where, and for how many events or seconds.
const ROLE: &str = "ANNALS_BENCH_ROLE";

/// How long an idle process is left alone before its time is counted: the background's last duties are done then.
const SETTLING: Duration = Duration::from_secs(3);

/// What the goals are, in microseconds.
const GOAL_HERE_MICROS: f64 = 50.0;
const GOAL_ACROSS_MICROS: f64 = 1_000.0;

struct Settings {
    events: u64,
    pause: Duration,
    idle: Duration,
    directory: PathBuf,
}

/// Where the subscriber is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    Here,
    Across,
}

fn main() -> Outcome<()> {
    if let Ok(role) = env::var(ROLE) {
        return play(&role);
    }
    let settings = settings()?;
    fs::create_dir_all(&settings.directory)?;
    let mut output = io::stdout().lock();
    latencies(&mut output, &settings)?;
    idleness(&mut output, &settings)
}

fn settings() -> Outcome<Settings> {
    let mut line = CommandLine::given();
    let (events, idle) = if line.is_short { (50, Duration::ZERO) } else { (5_000, Duration::from_secs(10)) };
    let pause = Duration::from_millis(1);
    let mut settings = Settings { events, pause, idle, directory: options::directory() };
    while let Some(option) = line.next() {
        match option.as_str() {
            "--events" => settings.events = line.value::<u64>()?.max(1),
            "--pause-micros" => settings.pause = Duration::from_micros(line.value()?),
            "--idle-seconds" => settings.idle = Duration::from_secs(line.value()?),
            "--directory" => settings.directory = line.value()?,
            _ => return line.unknown(),
        }
    }
    Ok(settings)
}

/// The system's time: two processes read the same clock.
fn now() -> Outcome<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

fn latencies(output: &mut impl Write, settings: &Settings) -> Outcome<()> {
    writeln!(
        output,
        "{:<44} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "acknowledged to delivered, µs", "p50", "p99", "most", "goal p99", "reached"
    )?;
    for (side, place) in [(Side::Here, "in the process"), (Side::Across, "across processes")] {
        for (durability, mode) in [(Durability::Fsync, "durable"), (Durability::Buffered, "buffered")] {
            for (pause, pace) in [(Duration::ZERO, "back to back"), (settings.pause, "after a pause")] {
                let mut micros = latency(settings, side, durability, pause)?;
                micros.sort_unstable_by(f64::total_cmp);
                let at = |percent: usize| percentile(&micros, percent);
                let goal = if side == Side::Here { GOAL_HERE_MICROS } else { GOAL_ACROSS_MICROS };
                writeln!(
                    output,
                    "{:<44} {:>10.1} {:>10.1} {:>10.1} {goal:>10.0} {:>8}",
                    format!("{place}, {mode}, {pace}"),
                    at(50),
                    at(99),
                    at(100),
                    if at(99) <= goal { "yes" } else { "no" }
                )?;
            }
        }
    }
    Ok(())
}

/// The time from each acknowledgement to its event's delivery, in microseconds.
fn latency(settings: &Settings, side: Side, durability: Durability, pause: Duration) -> Outcome<Vec<f64>> {
    let directory = tempfile::tempdir_in(&settings.directory)?;
    let path = directory.path().join("store");
    let store = EventStore::open_with(&path, Options::new().durability(durability))?;
    let events = settings.events;
    let delivered = match side {
        Side::Here => {
            let mut subscription = store.subscribe(Query::all());
            catch_up(&mut subscription)?;
            let subscriber = thread::spawn(move || take(subscription, events));
            let acknowledged = append_each(&store, events, pause)?;
            (acknowledged, subscriber.join().map_err(|_| "the subscriber panicked")??)
        }
        Side::Across => {
            let mut other = Other::start("follow", &path, events)?;
            other.wait_until_ready()?;
            let acknowledged = append_each(&store, events, pause)?;
            (acknowledged, other.moments()?)
        }
    };
    let (acknowledged, delivered) = delivered;
    if acknowledged.len() != delivered.len() {
        return Err(format!("of {} events {} came", acknowledged.len(), delivered.len()).into());
    }
    store.close()?;
    let pairs = acknowledged.into_iter().zip(delivered);
    Ok(pairs.map(|(from, to)| to.saturating_sub(from).as_secs_f64() * 1e6).collect())
}

/// Appends the events one after the other, and returns when each was acknowledged.
fn append_each(store: &EventStore, events: u64, pause: Duration) -> Outcome<Vec<Duration>> {
    let stream = StreamId::new("order-00000000")?;
    let mut moments = Vec::new();
    for number in 0..events {
        store.append(&stream, Version::new(number), [event()])?;
        moments.push(now()?);
        if !pause.is_zero() {
            thread::sleep(pause);
        }
    }
    Ok(moments)
}

fn catch_up(subscription: &mut Subscription) -> Outcome<()> {
    match subscription.next_timeout(Duration::from_mins(1))? {
        Some(Delivery::CaughtUp(_)) => Ok(()),
        other => Err(format!("an empty store delivers {other:?}").into()),
    }
}

/// Takes so many events, and returns when each came.
fn take(subscription: Subscription, events: u64) -> Outcome<Vec<Duration>> {
    let mut moments = Vec::new();
    for delivery in subscription {
        if let Delivery::Event(event) = delivery? {
            moments.push(now()?);
            if event.position.get() != moments.len() as u64 {
                return Err(format!("position {} came as number {}", event.position, moments.len()).into());
            }
        }
        if moments.len() as u64 == events {
            break;
        }
    }
    Ok(moments)
}

/// This program as another process.
struct Other {
    child: Child,
    said: BufReader<Box<dyn Read>>,
}

impl Other {
    fn start(what: &str, path: &Path, number: u64) -> Outcome<Self> {
        let mut child = Command::new(env::current_exe()?)
            .env(ROLE, format!("{what} {number} {}", path.display()))
            .stdout(Stdio::piped())
            .spawn()?;
        let said = child.stdout.take().ok_or("its output is a pipe")?;
        Ok(Self { child, said: BufReader::new(Box::new(said)) })
    }

    fn wait_until_ready(&mut self) -> Outcome<()> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        if line == "ready\n" { Ok(()) } else { Err(format!("the other process said {line:?}").into()) }
    }

    /// What else it says, when it has ended.
    fn lines(&mut self) -> Outcome<Vec<String>> {
        let lines = self.said.by_ref().lines().collect::<Result<_, _>>()?;
        let status = self.child.wait()?;
        if status.success() {
            Ok(lines)
        } else {
            Err(format!("the other process ended with {status}").into())
        }
    }

    fn moments(&mut self) -> Outcome<Vec<Duration>> {
        let lines = self.lines()?;
        lines.iter().map(|line| Ok(Duration::from_nanos(line.parse()?))).collect()
    }
}

/// Does what the first process asks for.
fn play(role: &str) -> Outcome<()> {
    let mut parts = role.splitn(3, ' ');
    let (Some(what), Some(number), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(format!("{ROLE} has three parts, not {role:?}").into());
    };
    let number: u64 = number.parse()?;
    let mut output = io::stdout().lock();
    match what {
        "follow" => {
            let mut subscription = Follower::open(path)?.subscribe(Query::all());
            catch_up(&mut subscription)?;
            writeln!(output, "ready")?;
            output.flush()?;
            for moment in take(subscription, number)? {
                writeln!(output, "{}", moment.as_nanos())?;
            }
            Ok(())
        }
        "idle-store" => {
            let store = EventStore::open(path)?;
            store.append(&StreamId::new("order-00000000")?, Version::NONE, [event()])?;
            idle(&mut output, store.subscribe(Query::all()), number)
        }
        "idle-follower" => idle(&mut output, Follower::open(path)?.subscribe(Query::all()), number),
        other => Err(format!("{ROLE} doesn't know {other:?}").into()),
    }
}

/// Lets a subscription wait on a thread of its own, and says how much processor time the process takes.
fn idle(output: &mut impl Write, mut subscription: Subscription, seconds: u64) -> Outcome<()> {
    let canceller = subscription.canceller();
    let (came, deliveries) = channel();
    let waits =
        thread::spawn(move || subscription.by_ref().inspect(|_| came.send(()).unwrap_or_default()).count());
    // The one event, and that it caught up.
    for _ in 0..2 {
        deliveries.recv_timeout(Duration::from_mins(1))?;
    }
    // In no time nothing is counted, so nothing has to settle.
    if seconds > 0 {
        thread::sleep(SETTLING);
    }
    let (before, begun) = (Used::now(), Instant::now());
    thread::sleep(Duration::from_secs(seconds));
    let (used, lasted) = (Used::now(), begun.elapsed());
    canceller.cancel();
    let delivered = waits.join().map_err(|_| "the subscriber panicked")?;
    let (ticks, nanos) = match (before, used) {
        (Some(before), Some(used)) => (used.ticks - before.ticks, used.nanos - before.nanos),
        _ => return Ok(writeln!(output, "not known here")?),
    };
    writeln!(output, "{ticks} ticks, {:.3} ms in {:.1} s", nanos_as_millis(nanos), lasted.as_secs_f64())?;
    // Nothing else.
    if delivered == 2 { Ok(()) } else { Err(format!("{delivered} deliveries came").into()) }
}

fn nanos_as_millis(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e3
}

/// The processor time that this process has used.
struct Used {
    /// In the system's ticks, of 10 ms mostly.
    ticks: u64,
    nanos: u64,
}

impl Used {
    /// None where the system doesn't say.
    fn now() -> Option<Self> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name, which may have any characters, ends with the last bracket; utime and stime are fields 14 and 15.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let user: u64 = fields.next()?.parse().ok()?;
        let system: u64 = fields.next()?.parse().ok()?;
        let mut nanos = 0;
        for task in fs::read_dir("/proc/self/task").ok()? {
            let said = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            nanos += said.split_whitespace().next()?.parse::<u64>().ok()?;
        }
        Some(Self { ticks: user + system, nanos })
    }
}

/// What processes use that wait.
fn idleness(output: &mut impl Write, settings: &Settings) -> Outcome<()> {
    let directory = tempfile::tempdir_in(&settings.directory)?;
    let seconds = settings.idle.as_secs();
    writeln!(output)?;
    writeln!(output, "{:<44} processor time; goal: none", "idle, with a subscription that waits")?;
    let mut own = Other::start("idle-store", &directory.path().join("own"), seconds)?;
    writeln!(output, "{:<44} {}", "an open store", own.lines()?.join(" "))?;
    let path = directory.path().join("followed");
    let store = EventStore::open(&path)?;
    store.append(&StreamId::new("order-00000000")?, Version::NONE, [event()])?;
    let mut other = Other::start("idle-follower", &path, seconds)?;
    writeln!(output, "{:<44} {}", "a follower beside another process's store", other.lines()?.join(" "))?;
    store.close()?;
    let mut other = Other::start("idle-follower", &path, seconds)?;
    writeln!(output, "{:<44} {}", "a follower, and no writer is alive", other.lines()?.join(" "))?;
    Ok(())
}
