//! How far the log was at moments of the past: its events, and its bytes.

use std::{collections::BTreeMap, mem, ops::ControlFlow, sync::Arc};

use crate::{
    catalog::system_categories,
    committed::Committed,
    error::Result,
    events::Events,
    index::{
        files::from_memory,
        part::{Direction, IndexPart, IndexResult},
    },
    position::Position,
    query::Query,
    time::Timestamp,
};

/// How far the log was at a moment. What two of them differ by is what came between the moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LogExtent {
    /// The position of the last event that was there, also of one in the store's own streams.
    pub last_position: Position,
    /// How many events there were, without those of the store's own streams.
    pub events: u64,
    /// How many events there were in the store's own streams.
    pub system_events: u64,
    /// How long the log was, in bytes, with the frames and headers around its events.
    pub log_bytes: u64,
}

/// How far the log was before each of these times, in their order.
pub(crate) fn extents_before(committed: &Arc<Committed>, times: &[Timestamp]) -> Result<Vec<LogExtent>> {
    let positions = times.iter().map(|time| last_before(committed, *time)).collect::<Result<Vec<_>>>()?;
    let system_events = system_events_up_to(committed, &positions)?;
    let extent = |last_position: Position| {
        let system_events = system_events.get(&last_position).copied().unwrap_or_default();
        Ok(LogExtent {
            last_position,
            events: last_position.get().saturating_sub(system_events),
            system_events,
            log_bytes: log_bytes_up_to(committed, last_position)?,
        })
    };
    positions.into_iter().map(extent).collect()
}

/// The position of the last event before a time; 0 if there is none.
fn last_before(committed: &Arc<Committed>, time: Timestamp) -> Result<Position> {
    let Some(until) = time.micros().checked_sub(1) else { return Ok(Position::NONE) };
    let query = Query::all().including_system().until(Timestamp::from_micros(until));
    Events::new(committed, query.select()).last_number().map(Position::new)
}

/// How long the log is up to an event, itself included: to the next one, or to the end.
fn log_bytes_up_to(committed: &Committed, last: Position) -> Result<u64> {
    let (head, end, active, settled) = {
        let state = committed.state();
        let end = state.active.log_offset(state.active.published());
        (state.last_position(), end, Arc::clone(&state.active), Arc::clone(&state.settled))
    };
    let begin = settled.sealed().table().entries.first().map_or(active.header.base, |entry| entry.base);
    let mut next = Vec::with_capacity(1);
    if last < head {
        committed.places(last.next(), Direction::Forwards, 1, &mut next)?;
    }
    Ok(next.first().unwrap_or(&end).get() - begin.get())
}

/// For each of these positions, how many events of the store's own streams there are up to it. Costs a look at the names in
/// each segment's index, and a search of one column in those segments that have such a position.
fn system_events_up_to(committed: &Committed, positions: &[Position]) -> Result<BTreeMap<Position, u64>> {
    let mut positions = positions.to_vec();
    positions.sort_unstable();
    positions.dedup();
    let (in_tail, settled) = {
        let state = committed.state();
        let first = state.tail.span().first_position;
        let in_tail = positions.split_off(positions.partition_point(|position| *position < first));
        (from_memory(SystemCounts::of(&state.tail, first, in_tail))?, Arc::clone(&state.settled))
    };
    let mut counts = BTreeMap::new();
    let mut before = 0;
    for part in settled.parts() {
        let part = part?;
        let (first, end) = part.positions();
        let behind = positions.split_off(positions.partition_point(|position| *position < end));
        let here = mem::replace(&mut positions, behind);
        let found = settled.ask(&part, |index| SystemCounts::of(index, first, here.clone()))?;
        counts.extend(found.at.into_iter().map(|(position, count)| (position, before + count)));
        before += found.total;
    }
    counts.extend(in_tail.at.into_iter().map(|(position, count)| (position, before + count)));
    Ok(counts)
}

/// The events of the store's own streams in a part.
struct SystemCounts {
    /// How many there are up to some positions.
    at: Vec<(Position, u64)>,
    total: u64,
}

impl SystemCounts {
    /// Counts up to positions that ascend, in the part whose first event is at `first`.
    fn of(index: &dyn IndexPart, first: Position, positions: Vec<Position>) -> IndexResult<Self> {
        let categories = system_categories(index)?;
        let mut at: Vec<(Position, u64)> = positions.into_iter().map(|position| (position, 0)).collect();
        let total = categories.events();
        if let Some(last) = at.last().map(|(position, _)| *position).filter(|_| total > 0) {
            categories.each_event(index, &mut |ordinal, _| {
                let event = first.plus(u64::from(ordinal));
                if event > last {
                    return ControlFlow::Break(());
                }
                let number = at.partition_point(|(position, _)| *position < event);
                // It counts for this position, and below for all that follow.
                at.get_mut(number).into_iter().for_each(|(_, count)| *count += 1);
                ControlFlow::Continue(())
            })?;
            at.iter_mut().fold(0, |before, (_, count)| {
                *count += before;
                *count
            });
        }
        Ok(Self { at, total })
    }
}
