//! Reads streams at random from an open store.

use std::{
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

use annals::{EventStore, StreamId};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    mix::mix,
    probe,
    rate::rate,
    work::{self, Truth, Work},
};

/// The two kinds of streams take turns, so that a noisy moment meets both.
const TURNS: u64 = 20;

/// How many streams are read in a turn.
const STREAMS_A_TURN: u64 = 500;

#[derive(Serialize, Deserialize)]
pub(crate) struct Reads {
    pub(crate) directory: PathBuf,
    pub(crate) work: Work,
    pub(crate) appends: u64,
    pub(crate) round: u64,
}

/// How fast streams were read, in events a second.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ReadStreams {
    /// Those that have all their events within a window of the log.
    pub(crate) window_rate: f64,
    /// Those that have them over all of it.
    pub(crate) scattered_rate: f64,
}

/// What was read of some streams, and how long it took.
#[derive(Default)]
struct Total {
    events: u64,
    time: Duration,
}

impl Reads {
    pub(crate) fn run(&self) -> Outcome<ReadStreams> {
        let truths = self.work.truths(self.appends)?;
        let names: Vec<StreamId> = (0..).take(truths.len()).map(work::name).collect::<Outcome<_>>()?;
        let store = probe::open(&self.directory, self.work.segment_bytes)?;
        // Once all of it, so that all pages of the store are mapped; and here each event is looked at.
        for (name, truth) in names.iter().zip(&truths) {
            let found = probe::read_checked(&store, name)?;
            if found != *truth {
                return Err(format!("{name}: {found:?} instead of {truth:?}").into());
            }
        }
        let mut chance = mix(!self.work.seed ^ mix(self.round));
        let mut any_of = |numbers: &Range<u64>| {
            chance = mix(chance);
            usize::try_from(numbers.start + chance % (numbers.end - numbers.start))
        };
        let kinds = [self.work.window_streams(self.appends), 0..self.work.streams];
        let mut totals = [Total::default(), Total::default()];
        for _ in 0..TURNS {
            for (numbers, total) in kinds.iter().zip(&mut totals) {
                let streams: Vec<usize> =
                    (0..STREAMS_A_TURN).map(|_| any_of(numbers)).collect::<Result<_, _>>()?;
                let wanted = streams.iter().fold(Truth::default(), |sum, stream| Truth {
                    events: sum.events + truths[*stream].events,
                    positions: sum.positions + truths[*stream].positions,
                });
                let begun = Instant::now();
                let found = read(&store, streams.iter().map(|stream| &names[*stream]))?;
                total.time += begun.elapsed();
                if found != wanted {
                    return Err(format!("streams read: {found:?} instead of {wanted:?}").into());
                }
                total.events += found.events;
            }
        }
        store.close()?;
        let [window_rate, scattered_rate] = totals.map(|total| rate(total.events, total.time));
        Ok(ReadStreams { window_rate, scattered_rate })
    }
}

/// Reads streams, and counts what they have.
fn read<'a>(store: &EventStore, names: impl Iterator<Item = &'a StreamId>) -> Outcome<Truth> {
    let mut found = Truth::default();
    for name in names {
        let mut cursor = store.read_stream(name);
        while let Some(event) = cursor.try_next()? {
            found.events += 1;
            found.positions += event.position.get();
        }
    }
    Ok(found)
}
