//! The workloads: each in a process of its own, each checked.

use std::{
    sync::Barrier,
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    child::{self, Ending},
    disk,
    engines::{Conflict, Durability, Engine, Ids, Kind, Writer, annals, raw},
    figures::{Figures, float},
    files,
    job::{Extent, Job},
    mix::mix,
    own_memory::own_memory_bytes,
    payload::{EVENT_BYTES, NewEvent, Stream, Tally},
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(crate) enum Work {
    /// Callers append to a stream of their own each, and wait for each append.
    Append {
        durability: Durability,
        callers: u64,
        batch: u64,
    },
    /// One caller has many appends under way.
    Submit,
    /// Makes the store that is read, and closes it. Streams take turns, with so many events each.
    Make {
        batch: u64,
    },
    /// The same, and waits to be killed when the last segment is nearly full.
    MakeKilled,
    ReadStreams {
        threads: u64,
    },
    ReadAll,
    /// Opens a store and reads one stream.
    Open,
    /// The same, after the process that wrote was killed.
    OpenKilled,
}

impl Work {
    /// Whether an engine can do it.
    pub(crate) fn is_for(self, engine: Kind) -> bool {
        let is_annals = engine == Kind::Annals;
        match self {
            Self::Submit | Self::MakeKilled | Self::OpenKilled => is_annals,
            Self::Append { durability: Durability::Buffered, batch, .. } if engine == Kind::Raw => batch > 1,
            Self::Append { durability: Durability::Durable, callers, .. } if engine == Kind::Raw => {
                callers == 1
            }
            // It has no such mode.
            Self::Append { durability: Durability::Buffered, .. } => engine != Kind::Tephra,
            Self::ReadStreams { .. } | Self::Open => engine != Kind::Raw,
            Self::Append { .. } | Self::Make { .. } | Self::ReadAll => true,
        }
    }

    /// How its process ends.
    pub(crate) fn ending(self) -> Ending {
        if self == Self::MakeKilled { Ending::Kill } else { Ending::ByItself }
    }

    /// What makes the store that it reads, if it reads one.
    pub(crate) fn made_by(self) -> Option<Self> {
        match self {
            Self::ReadStreams { .. } | Self::ReadAll | Self::Open => Some(Self::Make { batch: 1 }),
            Self::OpenKilled => Some(Self::MakeKilled),
            _ => None,
        }
    }
}

/// What one caller has done.
struct Called {
    version: u64,
    latencies: Vec<Duration>,
}

impl Job {
    /// Does the job, in a process that was started for it, and tells the one that started it.
    pub(crate) fn run(&self) -> Outcome<()> {
        let figures = match self.work {
            _ if self.engine == Kind::Raw => self.run_raw()?,
            Work::Append { durability, callers, batch } => self.append(durability, callers, batch)?,
            Work::Submit => self.submit()?,
            Work::Make { batch } => self.make(batch)?,
            Work::MakeKilled => return self.make_killed(),
            Work::ReadStreams { threads } => self.read_streams(threads)?,
            Work::ReadAll => self.read_all()?,
            Work::Open | Work::OpenKilled => self.open()?,
        };
        child::tell(&figures)
    }

    fn append(&self, durability: Durability, callers: u64, batch: u64) -> Outcome<Figures> {
        let engine = self.engine.open(&self.directory, durability, Ids::Own)?;
        let call = |caller, barrier: &Barrier| self.call(&*engine, caller, batch, barrier);
        let (mut called, elapsed) = in_threads(callers, call)?;
        let streams: Vec<(u64, u64)> = (0..).zip(called.iter().map(|called| called.version)).collect();
        check(&*engine, &streams)?;
        engine.close()?;
        let mut latencies: Vec<Duration> =
            called.iter_mut().flat_map(|called| called.latencies.drain(..)).collect();
        let events = streams.iter().map(|(_, version)| version).sum();
        Ok(Figures::rate(events, elapsed).with_latencies(&mut latencies))
    }

    /// One caller. It comes to the barrier also if it can't begin, so that nobody waits for it.
    fn call(&self, engine: &dyn Engine, caller: u64, batch: u64, barrier: &Barrier) -> Outcome<Called> {
        let stream = Stream::new(caller);
        let writer = engine.writer();
        barrier.wait();
        let mut writer = writer?;
        let (mut version, mut latencies, mut events) = (0, Vec::new(), Vec::new());
        let begun = Instant::now();
        let mut before = Duration::ZERO;
        while !self.extent.is_enough(version / batch, version, before) {
            events.clear();
            events.extend((1..=batch).map(|number| NewEvent::new(caller, version + number)));
            writer.append(&stream, version, &events)?;
            version += batch;
            let now = begun.elapsed();
            latencies.push(now.saturating_sub(before));
            before = now;
        }
        Ok(Called { version, latencies })
    }

    fn submit(&self) -> Outcome<Figures> {
        let engine = self.engine.open(&self.directory, Durability::Buffered, Ids::Own)?;
        let (stream, mut version) = (Stream::new(0), 0);
        let mut writer = engine.writer()?;
        let begun = Instant::now();
        while !self.extent.is_enough(version, version, begun.elapsed()) {
            writer.submit(&stream, version, &[NewEvent::new(0, version + 1)])?;
            version += 1;
        }
        writer.finish()?;
        let elapsed = begun.elapsed();
        drop(writer);
        check(&*engine, &[(0, version)])?;
        engine.close()?;
        Ok(Figures::rate(version, elapsed))
    }

    fn make(&self, batch: u64) -> Outcome<Figures> {
        let engine = self.engine.open(&self.directory, Durability::Buffered, Ids::Given)?;
        self.fill(&mut *engine.writer()?, batch)?;
        check(&*engine, &self.all_streams())?;
        engine.close()?;
        self.stored(self.size.events())
    }

    /// So many events, and what they take on the disk.
    fn stored(&self, events: u64) -> Outcome<Figures> {
        let disk_bytes = float(disk::bytes(&self.directory)?) / float(events);
        Ok(Figures { events, disk_bytes: Some(disk_bytes), ..Figures::default() })
    }

    fn make_killed(&self) -> Outcome<()> {
        let annals = annals::Annals::open(&self.directory, Durability::Buffered, Ids::Given)?;
        self.fill(&mut *annals.writer()?, 1)?;
        annals.fill_last_segment()?;
        child::tell(&Figures { events: self.size.events(), ..Figures::default() })?;
        child::wait_to_be_killed()
    }

    /// The streams take turns, so that the events of each are scattered over the store.
    fn fill(&self, writer: &mut dyn Writer, batch: u64) -> Outcome<()> {
        let streams = Stream::list(self.size.streams);
        let mut events = Vec::new();
        for version in (0..self.size.events_a_stream).step_by(usize::try_from(batch)?) {
            for stream in &streams {
                events.clear();
                events.extend((1..=batch).map(|number| NewEvent::new(stream.number, version + number)));
                writer.submit(stream, version, &events)?;
            }
        }
        writer.finish()
    }

    fn all_streams(&self) -> Vec<(u64, u64)> {
        (0..self.size.streams).map(|stream| (stream, self.size.events_a_stream)).collect()
    }

    fn read_streams(&self, threads: u64) -> Outcome<Figures> {
        let engine = self.engine.open(&self.directory, Durability::Buffered, Ids::Given)?;
        let read = |seed, barrier: &Barrier| self.read_by_chance(&*engine, seed, barrier);
        let (counts, elapsed) = in_threads(threads, read)?;
        engine.close()?;
        Ok(Figures::rate(counts.iter().sum(), elapsed))
    }

    /// One thread, which has read everything once before the others and it begin.
    fn read_by_chance(&self, engine: &dyn Engine, seed: u64, barrier: &Barrier) -> Outcome<u64> {
        let streams = Stream::list(self.size.streams);
        let expected: Vec<Tally> = streams
            .iter()
            .map(|stream| Tally::expected([(stream.number, self.size.events_a_stream)]))
            .collect();
        let reader = engine.reader().and_then(|mut reader| {
            for (stream, expected) in streams.iter().zip(&expected) {
                let mut tally = Tally::default();
                reader.read_stream(stream, &mut tally)?;
                tally.check(expected)?;
            }
            Ok(reader)
        });
        barrier.wait();
        let mut reader = reader?;
        let (mut events, mut chance) = (0, mix(seed));
        let begun = Instant::now();
        while !self.extent.is_enough(events, 0, begun.elapsed()) {
            chance = mix(chance);
            let index = usize::try_from(chance % self.size.streams)?;
            let mut tally = Tally::default();
            reader.read_stream(&streams[index], &mut tally)?;
            tally.check(&expected[index])?;
            events += tally.events;
        }
        Ok(events)
    }

    fn read_all(&self) -> Outcome<Figures> {
        let engine = self.engine.open(&self.directory, Durability::Buffered, Ids::Given)?;
        let expected = Tally::expected(self.all_streams());
        let mut reader = engine.reader()?;
        let figures = self.read_repeatedly(|| {
            let mut tally = Tally::default();
            reader.read_all(&mut tally)?;
            tally.check(&expected)?;
            Ok(tally.events)
        })?;
        drop(reader);
        engine.close()?;
        Ok(figures)
    }

    /// Reads everything once to be warm, and then until it is enough.
    fn read_repeatedly(&self, mut read: impl FnMut() -> Outcome<u64>) -> Outcome<Figures> {
        read()?;
        let mut events = 0;
        let begun = Instant::now();
        while !self.extent.is_enough(events, 0, begun.elapsed()) {
            events += read()?;
        }
        Ok(Figures::rate(events, begun.elapsed()))
    }

    /// The time counts from before opening until the last event of one stream was read.
    fn open(&self) -> Outcome<Figures> {
        files::warm(&self.directory)?;
        let stream = Stream::new(self.size.streams / 2);
        let expected = Tally::expected([(stream.number, self.size.events_a_stream)]);
        let memory_before = own_memory_bytes()?;
        let begun = Instant::now();
        let engine = self.engine.open(&self.directory, Durability::Buffered, Ids::Given)?;
        let mut reader = engine.reader()?;
        let mut tally = Tally::default();
        reader.read_stream(&stream, &mut tally)?;
        let elapsed = begun.elapsed();
        let memory = own_memory_bytes()?.saturating_sub(memory_before);
        tally.check(&expected)?;
        drop(reader);
        engine.close()?;
        Ok(Figures {
            events: tally.events,
            open_millis: Some(elapsed.as_secs_f64() * 1e3),
            memory_bytes: Some(float(memory)),
            ..Figures::default()
        })
    }

    fn run_raw(&self) -> Outcome<Figures> {
        match self.work {
            Work::Append { durability: Durability::Durable, .. } => {
                let enough = |appends, elapsed| self.extent.is_enough(appends, appends, elapsed);
                let mut latencies = raw::append(&self.directory, enough)?;
                let events = latencies.len() as u64;
                Ok(Figures::rate(events, latencies.iter().sum()).with_latencies(&mut latencies))
            }
            Work::Append { batch, .. } => {
                let begun = Instant::now();
                let enough = |events: u64| self.extent.is_enough(events / batch, events, begun.elapsed());
                let events = raw::write_sequentially(&self.directory, enough)?;
                Ok(Figures::rate(events, begun.elapsed()))
            }
            Work::Make { .. } => {
                let wanted = self.size.events();
                self.stored(raw::write_sequentially(&self.directory, |events| events == wanted)?)
            }
            Work::ReadAll => {
                let wanted = self.size.events();
                let mut read = raw::read_all(&self.directory)?;
                self.read_repeatedly(|| match read()? {
                    events if events == wanted => Ok(events),
                    events => Err(format!("read {events} events instead of {wanted}").into()),
                })
            }
            work => Err(format!("the raw disk can't do {work:?}").into()),
        }
    }
}

impl Extent {
    fn is_enough(self, appends: u64, events: u64, elapsed: Duration) -> bool {
        match self {
            Self::Seconds { seconds, bytes_min } => {
                elapsed.as_secs_f64() >= seconds && events * EVENT_BYTES as u64 >= bytes_min
            }
            Self::Appends(count) => appends >= count,
        }
    }
}

/// Runs so many threads, which begin together at the barrier. Returns what each did, and how long all took.
fn in_threads<T: Send>(
    count: u64,
    run: impl Fn(u64, &Barrier) -> Outcome<T> + Sync,
) -> Outcome<(Vec<T>, Duration)> {
    let barrier = Barrier::new(usize::try_from(count + 1)?);
    let (run, barrier) = (&run, &barrier);
    thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|number| scope.spawn(move || run(number, barrier))).collect();
        barrier.wait();
        let begun = Instant::now();
        let join = |thread: ScopedJoinHandle<'_, Outcome<T>>| {
            thread.join().map_err(|_| "a thread of the workload panicked")?
        };
        let done = threads.into_iter().map(join).collect::<Outcome<_>>()?;
        Ok((done, begun.elapsed()))
    })
}

/// An append that takes a stream for new is refused, and for that reason. Then reads everything, and the first of the
/// streams, and compares each byte that was given but the ids: the streams' numbers, and how many events each must have.
fn check(engine: &dyn Engine, streams: &[(u64, u64)]) -> Outcome<()> {
    const STREAMS_READ_MAX: usize = 100;
    for (stream, events) in streams.iter().take(1).filter(|(_, events)| *events > 0) {
        let again = engine.writer()?.append(&Stream::new(*stream), 0, &[NewEvent::new(*stream, events + 1)]);
        match again {
            Err(error) if error.is::<Conflict>() => {}
            Err(error) => return Err(error),
            Ok(()) => {
                let message = format!("stream {stream} has {events} events, and an append at 0 was taken");
                return Err(message.into());
            }
        }
    }
    let mut reader = engine.reader()?;
    let mut tally = Tally::whole();
    reader.read_all(&mut tally)?;
    tally.check(&Tally::expected_whole(streams))?;
    for (stream, events) in streams.iter().take(STREAMS_READ_MAX) {
        let mut tally = Tally::whole();
        reader.read_stream(&Stream::new(*stream), &mut tally)?;
        tally.check(&Tally::expected_whole(&[(*stream, *events)]))?;
    }
    Ok(())
}
