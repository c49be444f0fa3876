//! Callers that wait for each append.

use std::{collections::HashMap, time::Instant};

use annals::{Durability, EventData, EventStore, Reader, StreamId, Version};
use anyhow::bail;

use crate::{
    bench::{
        measure::{self, Measured, Part, Stretch},
        raw::Raw,
        report::Row,
        session::Session,
        work::{self, Work},
    },
    bench_arguments::Workload,
    interrupt::Stop,
};

/// How many stretches the time of a durable row has: in each, first the disk by itself and then the store, so that a noisy
/// moment meets both.
const TURNS: u32 = 5;

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    session.each_row_of_appends(Workload::Append, measure_row)
}

fn measure_row(
    session: &mut Session<'_>,
    durability: Durability,
    callers: usize,
    batch: usize,
) -> anyhow::Result<()> {
    let row = Row::new(Workload::Append, "append").durability(durability).callers(callers).batch(batch);
    session.begin(&row);
    let store = session.new_store(durability)?;
    let streams = session.arguments.streams_appended(callers);
    let mut appending = Appending::new(&store, &session.work, &session.stop, (callers, streams), batch)?;
    let is_durable = durability == Durability::Fsync;
    let make_raw = || {
        let space_bytes = session.arguments.space;
        Raw::make(session.scratch.path(), &session.work, batch, space_bytes, &session.stop)
    };
    let disk = is_durable.then(make_raw).transpose()?;
    let space = session.stretches_beside(callers, disk.as_ref().map_or(0, Raw::file_bytes));
    appending.run(space.warm_up)?;
    let mut measured = Measured::nothing()?;
    let mut raw = None;
    if let Some(mut disk) = disk {
        disk.write(space.warm_up, &session.stop)?;
        let turn = space.measured.divided(TURNS);
        for _ in 0..TURNS {
            let written = disk.write(turn, &session.stop)?;
            disk.measured.add(&[written])?;
            measured.add(&appending.run(turn)?)?;
        }
        let frame_bytes = disk.frame_bytes();
        raw = Some((frame_bytes, disk.finish()?));
    } else {
        measured.add(&appending.run(space.measured)?)?;
    }
    Caller::check_store(&appending.callers, &store, &session.work, &session.stop)?;
    session.remove_store(store)?;
    let row = row.streams(streams).measured(measured);
    session.report(&match raw {
        Some((frame_bytes, measured)) => row.raw(frame_bytes, measured),
        None => row,
    })
}

/// The streams that one caller appends to, in turns.
pub(crate) struct Caller {
    streams: Vec<Target>,
    next: usize,
}

/// A stream, and the version that it has reached.
pub(crate) struct Target {
    pub(crate) number: u64,
    pub(crate) name: StreamId,
    pub(crate) version: u64,
}

impl Caller {
    /// The callers, each with streams of its own.
    pub(crate) fn several(callers: usize, streams: u64) -> anyhow::Result<Vec<Self>> {
        let mut all: Vec<Self> = (0..callers).map(|_| Self { streams: Vec::new(), next: 0 }).collect();
        for number in 0..streams {
            let caller = usize::try_from(number)? % callers;
            all[caller].streams.push(Target { number, name: work::name(number)?, version: 0 });
        }
        Ok(all)
    }

    /// The stream whose turn it is.
    pub(crate) fn next(&mut self) -> &mut Target {
        let next = self.next;
        self.next = (next + 1) % self.streams.len();
        &mut self.streams[next]
    }

    /// Reads the whole store, whose streams must have reached the versions that the callers know, and nothing else.
    pub(crate) fn check_store(
        callers: &[Self],
        store: &Reader,
        work: &Work,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        let targets = callers.iter().flat_map(|caller| &caller.streams);
        let versions: HashMap<u64, u64> = targets.map(|target| (target.number, target.version)).collect();
        let streams = u64::try_from(versions.len())?;
        work.check_store(store, |stream| versions.get(&stream).copied().unwrap_or(0), streams, stop)
    }
}

/// Callers on a store.
struct Appending<'a> {
    store: &'a EventStore,
    work: &'a Work,
    stop: &'a Stop,
    callers: Vec<Caller>,
    batch: u64,
}

impl<'a> Appending<'a> {
    fn new(
        store: &'a EventStore,
        work: &'a Work,
        stop: &'a Stop,
        (callers, streams): (usize, u64),
        batch: usize,
    ) -> anyhow::Result<Self> {
        let callers = Caller::several(callers, streams)?;
        Ok(Self { store, work, stop, callers, batch: u64::try_from(batch)? })
    }

    fn run(&mut self, stretch: Stretch) -> anyhow::Result<Vec<Part>> {
        let Self { store, work, stop, callers, batch } = self;
        measure::together(callers, stop, |caller| {
            let mut part = Part::begin()?;
            while part.goes_on(stretch) {
                stop.check()?;
                let target = caller.next();
                let (before, after) = (target.version, target.version + *batch);
                let events = (before + 1..=after).map(|version| work.event(target.number, version));
                let events: Vec<EventData> = events.collect();
                let begun = Instant::now();
                let appended = store.append(&target.name, Version::new(before), events)?;
                let ended = Instant::now();
                if appended.version.get() != after || appended.repeated {
                    bail!("an append to version {after} of stream \"{}\" came to {appended:?}", target.name);
                }
                target.version = after;
                part.add(ended, *batch, ended - begun);
            }
            Ok(part)
        })
    }
}
