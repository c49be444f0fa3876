//! What there is, in all parts of the index together: streams, categories, event types, ids.
//!
//! The index keeps no names of streams: a stream's name is read from its newest event.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    path::PathBuf,
    sync::Arc,
};

use crate::{
    committed::Committed,
    error::Result,
    event::StoredEvent,
    event_id::{EventId, EventIdRef},
    format::record::{IdForm, Record},
    index::{
        files::from_memory,
        key::{StreamKey, id_hash},
        part::{Direction, IndexPart, IndexResult, NameCount, Run},
        settled::{Settled, SettledPart},
    },
    log::{fetch, view::SegmentView, window::Window},
    position::{LogOffset, Version},
    stream::{StreamId, is_system},
    stream_list::{StreamFilter, StreamInfo},
    time::Timestamp,
};

/// How many events are looked for in a part at a time.
const EVENTS_AT_A_TIME: usize = 4_096;

/// A store in numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StoreInfo {
    /// Its directory.
    pub path: PathBuf,
    /// How many events it has, those of its own streams among them.
    pub events: u64,
    /// How many streams, its own among them.
    pub streams: u64,
    /// How many segment files.
    pub segments: u64,
    /// How long the log is, in bytes, without what files are prepared ahead.
    pub log_bytes: u64,
}

/// What names are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Counted {
    Categories,
    EventTypes,
}

impl Counted {
    fn of(self, index: &dyn IndexPart) -> IndexResult<Vec<NameCount>> {
        match self {
            Self::Categories => index.categories(),
            Self::EventTypes => index.types(),
        }
    }
}

/// The names there are, and how many events have each; those that begin with `$` are the store's own, and left out.
pub(crate) fn count_names(committed: &Committed, counted: Counted) -> Result<BTreeMap<String, u64>> {
    let (in_tail, settled) = {
        let state = committed.state();
        (from_memory(counted.of(&state.tail))?, Arc::clone(&state.settled))
    };
    let mut counts = BTreeMap::new();
    add_counts(&mut counts, in_tail);
    for part in settled.parts() {
        add_counts(&mut counts, settled.ask(&part?, |index| counted.of(index))?);
    }
    Ok(counts)
}

fn add_counts(counts: &mut BTreeMap<String, u64>, found: Vec<NameCount>) {
    for NameCount { name, events } in found {
        if !is_system(name.as_bytes()) {
            *counts.entry(name).or_default() += events;
        }
    }
}

/// The categories of the store's own streams, and how many events are in each.
#[derive(Debug)]
pub(crate) struct SystemCategories(Vec<NameCount>);

impl SystemCategories {
    /// How many events are in all of them.
    pub(crate) fn events(&self) -> u64 {
        self.0.iter().map(|category| category.events).sum()
    }

    /// Visits their events in a part, in the order of the log: the number of each in the part, and its place.
    pub(crate) fn each_event(
        &self,
        index: &dyn IndexPart,
        visit: &mut dyn FnMut(u32, LogOffset) -> ControlFlow<()>,
    ) -> IndexResult<()> {
        let names: Vec<String> = self.0.iter().map(|category| category.name.clone()).collect();
        let Some(filter) = index.filter(Some(&names), None)? else { return Ok(()) };
        let (mut found, mut from) = (Vec::new(), 0);
        loop {
            found.clear();
            index.matching(&filter, from, Direction::Forwards, EVENTS_AT_A_TIME, &mut found)?;
            let Some((last, _)) = found.last() else { return Ok(()) };
            from = last + 1;
            for (ordinal, place) in &found {
                if visit(*ordinal, *place).is_break() {
                    return Ok(());
                }
            }
        }
    }
}

/// The categories of the store's own streams that a part has events of.
pub(crate) fn system_categories(index: &dyn IndexPart) -> IndexResult<SystemCategories> {
    let mut categories = index.categories()?;
    categories.retain(|category| is_system(category.name.as_bytes()));
    Ok(SystemCategories(categories))
}

/// The store in numbers.
pub(crate) fn count_all(committed: &Committed) -> Result<StoreInfo> {
    let (events, active, settled) = {
        let state = committed.state();
        (state.last_position().get(), Arc::clone(&state.active), Arc::clone(&state.settled))
    };
    let number = active.header.number;
    Ok(StoreInfo {
        path: settled.sealed().files().store.clone(),
        events,
        streams: count_streams(committed)?,
        segments: number + 1 - u64::from(settled.sealed_numbers().start),
        log_bytes: active.log_offset(active.published()).get(),
    })
}

/// How many streams there are, with the store's own.
fn count_streams(committed: &Committed) -> Result<u64> {
    let (in_tail, settled) = {
        let state = committed.state();
        (state.tail.streams_new(), Arc::clone(&state.settled))
    };
    let mut count = in_tail + settled.ask_directory(|directory| Ok(directory.stream_count()))?;
    for part in settled.recent_parts() {
        let mut places = Vec::new();
        settled.ask(&part, |index| {
            places.clear();
            first_places(index, begins, &mut places)
        })?;
        count += places.len() as u64;
    }
    Ok(count)
}

/// What is known of a stream; none if it has no event.
pub(crate) fn find_stream(committed: &Committed, stream: &StreamId) -> Result<Option<StreamInfo>> {
    let key = committed.key(stream.as_str());
    let version = committed.version(key)?;
    if version == Version::NONE {
        return Ok(None);
    }
    let updated = time_of(committed, key, version)?;
    let created = match committed.settled().head(key)? {
        Some(head) => head.created,
        None => time_of(committed, key, Version::FIRST)?,
    };
    Ok(Some(StreamInfo::new(stream.clone(), version, created, updated)))
}

fn time_of(committed: &Committed, key: StreamKey, version: Version) -> Result<Timestamp> {
    let mut places = Vec::with_capacity(1);
    committed.stream_places(key, version, Direction::Forwards, 1, &mut places)?;
    let place = *places.first().ok_or_else(|| committed.settled().lost_event())?;
    look(&*committed.view_of(place)?, place, |record| record.event.timestamp)
}

/// The streams that a filter admits, in the order of names. Costs a read of one event for each stream there is,
/// and memory for those that are listed.
pub(crate) fn list_streams(committed: &Committed, filter: &StreamFilter) -> Result<Vec<StreamInfo>> {
    let mut admitted = BTreeSet::new();
    each_stream(committed, &mut |name| {
        if let Ok(stream) = StreamId::new(name)
            && filter.admits(&stream)
        {
            admitted.insert(stream);
            if admitted.len() > filter.streams_max() {
                admitted.pop_last();
            }
        }
    })?;
    admitted.iter().filter_map(|stream| find_stream(committed, stream).transpose()).collect()
}

/// Visits the names of all streams, in no order.
fn each_stream(committed: &Committed, visit: &mut dyn FnMut(&str)) -> Result<()> {
    let mut places = Vec::new();
    let (active, settled) = {
        let state = committed.state();
        from_memory(first_places(&state.tail, begins, &mut places))?;
        (Arc::clone(&state.active), Arc::clone(&state.settled))
    };
    visit_names(&active, &places, visit)?;
    for part in settled.recent_parts() {
        settled.ask(&part, |index| {
            places.clear();
            first_places(index, begins, &mut places)
        })?;
        visit_names(part.view(), &places, visit)?;
    }
    let mut known = Vec::new();
    settled.ask_directory(|directory| {
        known.clear();
        directory.each(&mut |key, head| {
            known.push((key, head.latest));
            ControlFlow::Continue(())
        })
    })?;
    for (key, latest) in known {
        visit_name_in(&settled, key, latest, visit)?;
    }
    Ok(())
}

/// Visits the name of a stream that a sealed segment has events of.
pub(crate) fn visit_name_in(
    settled: &Settled,
    key: StreamKey,
    number: u32,
    visit: &mut dyn FnMut(&str),
) -> Result<()> {
    let mut places = Vec::with_capacity(1);
    let part = settled.sealed().get(number)?;
    settled.sealed().ask(&part, |index| {
        places.clear();
        let Some(run) = index.run(key)? else { return Ok(()) };
        index.run_places(&run, 0, Direction::Forwards, 1, &mut places)
    })?;
    if places.is_empty() {
        return Err(settled.lost_run(&part));
    }
    visit_names(&part.view, &places, visit)
}

/// Whether a run is a stream's first: the stream begins in its part.
fn begins(_hash: u64, run: &Run) -> bool {
    run.previous == 0
}

/// The place of the first event in a part of each stream whose run there is wanted.
pub(crate) fn first_places(
    index: &dyn IndexPart,
    is_wanted: impl Fn(u64, &Run) -> bool,
    places: &mut Vec<LogOffset>,
) -> IndexResult<()> {
    let mut runs = Vec::new();
    index.each_run(&mut |hash, run| {
        if is_wanted(hash, run) {
            runs.push(*run);
        }
        ControlFlow::Continue(())
    })?;
    for run in &runs {
        index.run_places(run, 0, Direction::Forwards, 1, places)?;
    }
    Ok(())
}

pub(crate) fn visit_names(
    view: &SegmentView,
    places: &[LogOffset],
    visit: &mut dyn FnMut(&str),
) -> Result<()> {
    for place in places {
        look(view, *place, |record| visit(record.event.stream))?;
    }
    Ok(())
}

fn look<T>(view: &SegmentView, place: LogOffset, look: impl FnOnce(&Record<'_>) -> T) -> Result<T> {
    let mut window = Window::new(0);
    let record = fetch::record_at(view, place, &mut window)?;
    Ok(look(&record))
}

/// The first event whose caller gave it this id.
pub(crate) fn find_given_id(committed: &Committed, id: &EventId) -> Result<Option<StoredEvent>> {
    let hash = hash_of(committed, id);
    let mut in_tail = Vec::new();
    let (active, settled) = {
        let state = committed.state();
        from_memory(state.tail.id_places(hash, &mut in_tail))?;
        (Arc::clone(&state.active), Arc::clone(&state.settled))
    };
    let mut places = Vec::new();
    for part in settled.parts() {
        if let Some(found) = first_with_id(&settled, &part?, hash, id, &mut places)? {
            return Ok(Some(found));
        }
    }
    in_tail.sort_unstable();
    with_id(&active, &in_tail, id)
}

/// The stream's event whose caller gave it this id.
pub(crate) fn find_given_id_in(
    committed: &Committed,
    stream: &StreamId,
    id: &EventId,
) -> Result<Option<StoredEvent>> {
    let hash = hash_of(committed, id);
    committed.find_id(committed.key(stream.as_str()), hash, &mut |view, place| {
        let event = look(view, place, |record| {
            let is_it = record.event.stream == stream.as_str() && has_id(record.event.id, id);
            is_it.then(|| record.event.to_stored())
        })?;
        event.transpose().map_err(Into::into)
    })
}

fn first_with_id(
    settled: &Settled,
    part: &SettledPart,
    hash: u32,
    id: &EventId,
    places: &mut Vec<LogOffset>,
) -> Result<Option<StoredEvent>> {
    settled.ask(part, |index| {
        places.clear();
        index.id_places(hash, places)
    })?;
    places.sort_unstable();
    with_id(part.view(), places, id)
}

fn with_id(view: &SegmentView, places: &[LogOffset], id: &EventId) -> Result<Option<StoredEvent>> {
    for place in places {
        let event =
            look(view, *place, |record| has_id(record.event.id, id).then(|| record.event.to_stored()))?;
        if let Some(event) = event {
            return Ok(Some(event?));
        }
    }
    Ok(None)
}

/// What the index knows an id by.
fn hash_of(committed: &Committed, id: &EventId) -> u32 {
    let form = if id.as_uuid().is_some() { IdForm::Uuid } else { IdForm::Text };
    id_hash(id.as_bytes(), form, committed.store_id())
}

/// Whether an event that was read has this id.
pub(crate) fn has_id(found: EventIdRef<'_>, id: &EventId) -> bool {
    match (found, id.as_uuid()) {
        (EventIdRef::Uuid(found), Some(wanted)) => found == wanted,
        (EventIdRef::Text(found), None) => found.as_bytes() == id.as_bytes(),
        _ => false,
    }
}
