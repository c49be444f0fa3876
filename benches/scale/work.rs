//! Which events a store has. Everything follows from the number of an append and the seed, so what a stream
//! must hold can be said without asking the store.

use std::ops::Range;

use annals::{ContentType, EventData, StreamId};
use serde::{Deserialize, Serialize};

use crate::{Outcome, mix::mix};

/// What an event takes in the log, in bytes, about; its data, metadata and name alone are 271.
pub(crate) const EVENT_BYTES: u64 = 390;

const CATEGORIES: &[&str] = &["order", "quote", "claim", "stock", "cargo"];
const TYPES: &[&str] = &["OrderPlaced", "OrderPaid", "OrderPacked", "OrderSent", "OrderDelivered"];

/// Where the number stands in an event's data.
const NUMBER_BEGINS: usize = 13;
const NUMBER_DIGITS: usize = 12;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) events: u64,
    pub(crate) streams: u64,
    pub(crate) batch: u64,
    pub(crate) given_ids: bool,
    pub(crate) segment_bytes: u64,
    /// At least so many segments, even if that takes more events.
    pub(crate) segments_min: u64,
    pub(crate) layout: Layout,
    pub(crate) seed: u64,
}

/// Which stream an append goes to.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Layout {
    /// Any of them, at random.
    Random,
    /// The same, but for one of so many appends, which goes to the scattered stream.
    Scattered { every: u64 },
    /// The same for half of the appends. The others go to streams that have all their events within a window of so
    /// many appends, however long the log becomes.
    Windows { appends: u64, streams: u64 },
}

/// What a stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(crate) events: u64,
    /// The sum of their positions.
    pub(crate) positions: u64,
}

impl Work {
    /// The stream of an append, by numbers.
    pub(crate) fn stream_of(&self, append: u64) -> u64 {
        let chance = mix(self.seed ^ mix(append));
        match self.layout {
            Layout::Scattered { every } if append.is_multiple_of(every) => self.scattered_stream(),
            Layout::Windows { appends, streams } if chance.is_multiple_of(2) => {
                self.streams + append / appends * streams + chance / 2 % streams
            }
            Layout::Windows { .. } => chance / 2 % self.streams,
            Layout::Random | Layout::Scattered { .. } => chance % self.streams,
        }
    }

    /// The numbers of the streams that have their events in one window each, after so many appends.
    pub(crate) fn window_streams(&self, appends: u64) -> Range<u64> {
        match self.layout {
            Layout::Windows { appends: window, streams } => {
                self.streams..self.streams + appends.div_ceil(window) * streams
            }
            Layout::Random | Layout::Scattered { .. } => self.streams..self.streams,
        }
    }

    /// The number of the stream that is in every segment.
    pub(crate) fn scattered_stream(&self) -> u64 {
        self.streams
    }

    /// A stream to read in a round: that of one of the first `appends`, so that it has events.
    pub(crate) fn stream_by_chance(&self, round: u64, appends: u64) -> u64 {
        self.stream_of(mix(!self.seed ^ mix(round)) % appends)
    }

    /// What a stream holds after so many appends.
    pub(crate) fn truth(&self, stream: u64, appends: u64) -> Truth {
        let mut truth = Truth::default();
        for append in (0..appends).filter(|append| self.stream_of(*append) == stream) {
            truth.events += self.batch;
            truth.positions += self.positions(append).sum::<u64>();
        }
        truth
    }

    /// What each stream holds after so many appends, by numbers; there is no scattered stream among them.
    pub(crate) fn truths(&self, appends: u64) -> Outcome<Vec<Truth>> {
        let mut truths = vec![Truth::default(); usize::try_from(self.window_streams(appends).end)?];
        for append in 0..appends {
            let truth = &mut truths[usize::try_from(self.stream_of(append))?];
            truth.events += self.batch;
            truth.positions += self.positions(append).sum::<u64>();
        }
        Ok(truths)
    }

    /// The positions of an append's events: there is one caller, so they follow from its number.
    fn positions(&self, append: u64) -> impl Iterator<Item = u64> {
        let first = append * self.batch + 1;
        first..first + self.batch
    }

    /// The events of an append.
    pub(crate) fn events_of(&self, append: u64) -> impl Iterator<Item = EventData> {
        self.positions(append).map(move |position| self.event(position, append))
    }

    /// The event of an append at a position.
    pub(crate) fn event(&self, position: u64, append: u64) -> EventData {
        event(position, append, self.given_ids)
    }
}

/// A stream's name, of 14 bytes.
pub(crate) fn name(stream: u64) -> Outcome<StreamId> {
    let count = u64::try_from(CATEGORIES.len())?;
    let category = CATEGORIES[usize::try_from(stream % count)?];
    Ok(StreamId::new(format!("{category}-{stream:08}"))?)
}

fn event(position: u64, append: u64, id_is_given: bool) -> EventData {
    let data = format!(
        r#"{{"sequence":"{position:012}","orderId":"6f1c2a34-90ab-4def-8123-456789abcdef","item":"a book on event sourcing","quantity":3,"priceCents":4999,"currency":"EUR","customer":"c-48213","note":"gift wrapped"}}"#
    );
    let metadata = format!(r#"{{"correlationId":"c-{append:016x}","userId":"u-48213"}}"#);
    let event_type = TYPES[usize::try_from(mix(position)).unwrap_or_default() % TYPES.len()];
    let event = EventData::new(event_type, data)
        .with_content_type(ContentType::JSON)
        .with_metadata_bytes(metadata, ContentType::JSON);
    if id_is_given { event.with_id(uuid::Uuid::from_u64_pair(mix(position), position)) } else { event }
}

/// The position that an event's data name.
pub(crate) fn position_in(data: &[u8]) -> Option<u64> {
    let digits = data.get(NUMBER_BEGINS..NUMBER_BEGINS + NUMBER_DIGITS)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
