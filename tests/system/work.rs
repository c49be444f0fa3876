//! Commits that follow from a number: whoever reads one knows what all of it was.

use annals::{Commit, EventData, ExpectedVersion, StoredEvent, StreamId};

use crate::{Outcome, mix::mix};

const STREAMS: u64 = 12;

/// How much of an event says which one it is, in bytes.
const NAME_BYTES: usize = 16;

/// The events of a commit, in the order of their positions, each with its stream.
fn events(number: u64) -> Vec<(StreamId, EventData)> {
    let parts = 1 + mix(number) % 3;
    let count = (0..parts).map(|part| 1 + mix(number ^ (part << 40)) % 4).collect::<Vec<_>>();
    let total = count.iter().sum::<u64>();
    let mut events = Vec::new();
    for (part, count) in (0..).zip(count) {
        // Streams that follow each other are different ones.
        let stream = format!("order-{}", (mix(number) / 64 + part) % STREAMS);
        let stream = StreamId::new(&stream).expect("a valid name");
        for _ in 0..count {
            let nth = u64::try_from(events.len()).expect("a small number");
            events.push((stream.clone(), event(number, nth, total)));
        }
    }
    events
}

fn event(number: u64, nth: u64, total: u64) -> EventData {
    let chance = mix(mix(number) ^ nth);
    let filler_bytes = match chance % 16 {
        0 => 6_000,
        1..4 => 900,
        _ => chance / 16 % 120,
    };
    let mut data = Vec::new();
    data.extend_from_slice(&number.to_le_bytes());
    data.extend_from_slice(&(nth << 32 | total).to_le_bytes());
    // Runs of zeros look like what a disk never wrote.
    let is_zeros = chance.is_multiple_of(5);
    data.extend((0..filler_bytes).map(|at| if is_zeros { 0 } else { mix(chance ^ at).to_le_bytes()[0] }));
    EventData::new(["Placed", "Paid", "Shipped"][usize::from(data[0] % 3)], data)
}

/// The commit of a number.
pub(crate) fn commit(number: u64) -> Commit {
    let mut parts: Vec<(StreamId, Vec<EventData>)> = Vec::new();
    for (stream, event) in events(number) {
        match parts.last_mut() {
            Some((last, events)) if *last == stream => events.push(event),
            _ => parts.push((stream, vec![event])),
        }
    }
    parts
        .into_iter()
        .fold(Commit::new(), |commit, (stream, events)| commit.append(&stream, ExpectedVersion::Any, events))
}

/// Commits as they are read, one event after another.
#[derive(Default)]
pub(crate) struct Reading {
    /// What is still to come of the commit that was begun, the last one first.
    rest: Vec<(StreamId, EventData)>,
}

impl Reading {
    /// Takes the next event. Returns the number of its commit, if it is the first of one.
    pub(crate) fn take(&mut self, event: &StoredEvent) -> Outcome<Option<u64>> {
        let at = format!("position {}", event.position);
        let mut begun = None;
        if self.rest.is_empty() {
            let name = event.data.get(..NAME_BYTES).ok_or(format!("{at}: nobody wrote this event"))?;
            let number = u64::from_le_bytes(name[..8].try_into()?);
            self.rest = events(number);
            self.rest.reverse();
            begun = Some(number);
        }
        let (stream, expected) = self.rest.pop().ok_or("a commit has an event")?;
        if stream != event.stream || expected.data != event.data || expected.event_type != event.event_type {
            return Err(format!("{at}: not what was appended there").into());
        }
        Ok(begun)
    }

    /// Whether the last commit is whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_empty()
    }
}
