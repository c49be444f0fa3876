//! Subscribers that start at any moment while sixteen threads append, beside the writer and in another process.

use std::thread;

use annals::{
    Commit, Cursor, Delivery, Durability, EventStore, ExpectedVersion, Follower, GroupMember, Options, Query,
    Reader, Result, StoredEvent, StreamId, Subscription,
};

use crate::{
    follower::{PATIENCE, WRITER_THREADS, Writer, writer_stream},
    random::Random,
    support::{Outcome, all, event, store_with},
};

/// What a subscriber asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Everything,
    /// What comes behind the last event that there is.
    News,
    /// Everything behind an event that was read just before, by its cursor.
    BehindCursor,
    Category,
    Stream,
    EventType,
    Group,
}

const WANTED: [Wanted; 7] = [
    Wanted::Everything,
    Wanted::News,
    Wanted::BehindCursor,
    Wanted::Category,
    Wanted::Stream,
    Wanted::EventType,
    Wanted::Group,
];

const MEMBERS: u32 = 3;

impl Wanted {
    /// Begins a subscription. Also returns behind which position it begins.
    fn subscribe(self, reader: &Reader) -> Result<(Subscription, u64)> {
        let subscription = match self {
            Self::Everything => reader.subscribe(Query::all()),
            Self::News => {
                let last = reader.last_position();
                return Ok((reader.subscribe(Query::all().after(last)), last.get()));
            }
            Self::BehindCursor => {
                let last = reader.read(Query::all().backwards().limit(1)).next().transpose()?;
                let cursor = last.map_or(Cursor::START, |event| event.cursor());
                return Ok((reader.subscribe(Query::all().after_cursor(cursor)), cursor.position.get()));
            }
            Self::Category => reader.subscribe(Query::all().category("cart")),
            Self::Stream => reader.subscribe(Query::stream(&writer_stream(3))),
            Self::EventType => reader.subscribe(Query::all().event_type("Twice").event_type("Over")),
            Self::Group => reader.subscribe(Query::all().group(GroupMember::new(2, MEMBERS)?)),
        };
        Ok((subscription, 0))
    }

    /// The plain filter.
    fn wants(self, stream: &StreamId, event_type: &str) -> bool {
        let name = stream.as_str();
        match self {
            Self::Everything | Self::News | Self::BehindCursor => true,
            Self::Category => name.starts_with("cart-"),
            Self::Stream => name == writer_stream(3).as_str(),
            Self::EventType => event_type != "Written",
            Self::Group => xxhash_rust::xxh3::xxh3_64(name.as_bytes()) % u64::from(MEMBERS) == 1,
        }
    }
}

/// A subscriber on a thread of its own.
struct Subscriber {
    wanted: Wanted,
    /// Behind this position it begins.
    after: u64,
    thread: thread::JoinHandle<Result<Vec<StoredEvent>>>,
}

impl Subscriber {
    /// Begins, and takes what comes until every stream that it could hear of is over.
    fn start(wanted: Wanted, reader: &Reader) -> Result<Self> {
        let (subscription, after) = wanted.subscribe(reader)?;
        let thread = thread::spawn(move || take_until_over(wanted, subscription));
        Ok(Self { wanted, after, thread })
    }

    /// Compares what it took with a plain filter over everything.
    fn check(self, everything: &[StoredEvent]) -> Outcome {
        let Self { wanted, after, thread } = self;
        let taken = thread.join().map_err(|_| "a subscriber panicked")??;
        let is_due = |event: &&StoredEvent| {
            event.position.get() > after && wanted.wants(&event.stream, &event.event_type)
        };
        let expected: Vec<&StoredEvent> = everything.iter().filter(is_due).collect();
        let first_other = taken.iter().zip(&expected).find(|(taken, expected)| taken != *expected);
        assert_eq!(first_other, None, "{wanted:?} behind {after}: another event came");
        assert_eq!(taken.len(), expected.len(), "{wanted:?} behind {after}: too few events, or too many");
        Ok(())
    }
}

fn take_until_over(wanted: Wanted, mut subscription: Subscription) -> Result<Vec<StoredEvent>> {
    let is_heard = |number: &u64| wanted.wants(&writer_stream(*number), "Over");
    let mut left = (0..WRITER_THREADS).filter(is_heard).count();
    let (mut taken, mut caught_up) = (Vec::new(), 0);
    while left > 0 {
        match subscription.next_timeout(PATIENCE)? {
            Some(Delivery::Event(event)) => {
                left -= usize::from(event.event_type == "Over");
                taken.push(event);
            }
            Some(_) => caught_up += 1,
            None => panic!("{wanted:?}: {} events came, and then nothing", taken.len()),
        }
    }
    assert!(caught_up <= 1, "{wanted:?}: it caught up {caught_up} times");
    Ok(taken)
}

/// Ends every stream, in one commit.
fn end_streams(store: &EventStore) -> Result<()> {
    let commit = (0..WRITER_THREADS).fold(Commit::new(), |commit, number| {
        commit.append(&writer_stream(number), ExpectedVersion::Any, [event("Over")])
    });
    store.commit(commit).map(drop)
}

/// Follows everything, and says when the next subscriber is to begin.
struct Conductor {
    subscription: Subscription,
    random: Random,
    seen: u64,
    started: usize,
    next_start: u64,
    /// Between two starts are so many events at most.
    pause_max: u64,
}

impl Conductor {
    fn new(reader: &Reader, seed: u64, pause_max: u64) -> Self {
        let subscription = reader.subscribe(Query::all());
        Self { subscription, random: Random::new(seed), seen: 0, started: 0, next_start: 0, pause_max }
    }

    /// Follows up to a position. `start` is called at each moment that the seed chooses on the way.
    fn follow(&mut self, last: u64, mut start: impl FnMut(Wanted) -> Result<()>) -> Outcome {
        while self.seen < last {
            while self.next_start <= self.seen {
                start(WANTED[self.started % WANTED.len()])?;
                self.started += 1;
                self.next_start = self.seen + 1 + self.random.below(self.pause_max);
            }
            match self.subscription.next_timeout(PATIENCE)? {
                Some(Delivery::Event(event)) => {
                    self.seen += 1;
                    assert_eq!(event.position.get(), self.seen);
                }
                Some(_) => {}
                None => panic!("behind {} nothing came", self.seen),
            }
        }
        Ok(())
    }
}

fn check_beside_the_writer(seed: u64, durability: Durability, appends: u64) -> Outcome {
    let store = store_with(Options::new().durability(durability).segment_bytes(16 << 10));
    let mut subscribers = Vec::new();
    thread::scope(|scope| -> Outcome {
        let mut conductor = Conductor::new(store.reader(), seed, appends);
        for number in 0..WRITER_THREADS {
            let store = &*store;
            scope.spawn(move || {
                for _ in 0..appends {
                    let batch = [event("Written"), event("Twice")];
                    store.append(&writer_stream(number), ExpectedVersion::Any, batch).expect("stored");
                }
            });
        }
        conductor.follow(WRITER_THREADS * appends * 2, |wanted| {
            subscribers.push(Subscriber::start(wanted, store.reader())?);
            Ok(())
        })
    })?;
    end_streams(&store)?;
    let everything = all(store.read_all());
    assert_eq!(everything.len() as u64, WRITER_THREADS * (appends * 2 + 1));
    assert!(store.info()?.segments > 5, "segments were sealed meanwhile");
    assert!(subscribers.len() > 2 * WANTED.len(), "{} subscribers began", subscribers.len());
    subscribers.into_iter().try_for_each(|subscriber| subscriber.check(&everything))
}

#[test]
fn whoever_subscribes_while_sixteen_threads_append_gets_each_event_once_and_in_order__B11() -> Outcome {
    check_beside_the_writer(0x5eed_0001, Durability::Buffered, 150)?;
    check_beside_the_writer(0x5eed_0002, Durability::Buffered, 150)?;
    check_beside_the_writer(0x5eed_0003, Durability::Fsync, 60)
}

/// The writer is another process, which is killed and started again while subscribers begin: some share a follower,
/// and some open one of their own.
#[test]
fn whoever_subscribes_in_another_process_gets_each_event_once_though_writers_are_killed__F33__B11() -> Outcome
{
    const KILLS: u64 = 12;
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("store");
    EventStore::open(&path)?.close()?;
    let follower = Follower::open(&path)?;
    let mut conductor = Conductor::new(&follower, 0x5eed_0004, 250);
    let mut subscribers = Vec::new();
    let mut random = Random::new(0x5eed_0005);
    for round in 0..KILLS {
        let durability = if round % 2 == 0 { Durability::Fsync } else { Durability::Buffered };
        let writer = Writer::start(&path, durability);
        let last = conductor.seen + 1 + random.below(700);
        conductor.follow(last, |wanted| {
            let reader = match subscribers.len() % 2 {
                0 => follower.reader().clone(),
                _ => Follower::open(&path)?.reader().clone(),
            };
            subscribers.push(Subscriber::start(wanted, &reader)?);
            Ok(())
        })?;
        drop(writer);
    }
    let store = EventStore::open(&path)?;
    end_streams(&store)?;
    let everything = all(store.read_all());
    conductor.follow(everything.len() as u64, |_| Ok(()))?;
    assert!(store.info()?.segments > 5, "segments were sealed meanwhile");
    assert!(subscribers.len() > WANTED.len(), "{} subscribers began", subscribers.len());
    subscribers.into_iter().try_for_each(|subscriber| subscriber.check(&everything))
}
