//! How long streams are: which are the longest, and how many there are of each length.
//!
//! Lengths come from the index; of the log only the names of the longest streams are read. Memory is bounded by the streams
//! in the active segment and in those whose index files are being made, and by the store's own, whatever their number is.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
    ops::ControlFlow,
    sync::Arc,
};

use crate::{
    catalog::{find_stream, first_places, system_categories, visit_name_in, visit_names},
    committed::Committed,
    error::Result,
    format::layout::{bytes, index},
    index::{
        files::from_memory,
        key::StreamKey,
        part::{Direction, IndexPart, IndexResult, Run},
        settled::Settled,
    },
    stream::StreamId,
    stream_list::StreamInfo,
};

/// After how many streams of the directory it is told how far the count is.
const STREAMS_AT_A_TIME: u64 = 4_096;

/// How long the streams of a store are. Its own streams are only counted.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct StreamLengths {
    /// How many streams there are, without the store's own.
    pub streams: u64,
    /// How many streams of the store's own.
    pub system_streams: u64,
    /// How many streams there are of each length, in ranges: 1 event, 2 to 3, 4 to 7, and so on up to that of the longest.
    pub ranges: Vec<LengthRange>,
    /// The longest streams, the longest first; equally long ones by name. Which of equally long ones are among them isn't
    /// defined where there isn't room for all.
    pub longest: Vec<StreamInfo>,
}

/// How many streams have so many events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LengthRange {
    /// The fewest events that a stream of this range has: a power of two.
    pub events_min: u64,
    /// The most events that a stream of this range has.
    pub events_max: u64,
    /// How many streams are in the range.
    pub streams: u64,
}

/// How far a count of streams is, in steps: each segment is one, and each stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct CountProgress {
    /// How many steps are done.
    pub steps: u64,
    /// How many there are.
    pub steps_total: u64,
}

/// Who is told how far a count is, and says whether it goes on.
type Tell<'a> = &'a mut dyn FnMut(CountProgress) -> ControlFlow<()>;

/// Counts the streams by their lengths; none: `tell` stopped it.
pub(crate) fn count_lengths(
    committed: &Committed,
    longest_max: usize,
    tell: Tell<'_>,
) -> Result<Option<StreamLengths>> {
    let (recent, mut system) = recent_streams(committed)?;
    let settled = &recent.settled;
    let mut progress = Progress::of(settled, tell)?;
    for part in settled.parts() {
        settled.ask(&part?, |index| push_system_streams(index, &mut system))?;
        if progress.step(1).is_break() {
            return Ok(None);
        }
    }
    let Some(lengths) = count_all(recent, &system, longest_max, &mut progress)? else { return Ok(None) };
    let mut longest = Vec::with_capacity(lengths.longest.len());
    let hashes = lengths.longest.iter().map(|Reverse((_, hash))| *hash).collect();
    for stream in names_of(committed, hashes)? {
        longest.extend(find_stream(committed, &stream)?);
    }
    longest.sort_by(|a, b| (Reverse(a.version), &a.stream).cmp(&(Reverse(b.version), &b.stream)));
    let ranges = lengths.by_power.iter().zip(0..).map(|(streams, power)| {
        let events_min: u64 = 1 << power;
        LengthRange { events_min, events_max: events_min + (events_min - 1), streams: *streams }
    });
    Ok(Some(StreamLengths {
        streams: lengths.by_power.iter().sum(),
        system_streams: system.len() as u64,
        ranges: ranges.collect(),
        longest,
    }))
}

/// What came behind the directory: how many events of each stream, by the hash of its name.
struct Recent {
    settled: Arc<Settled>,
    streams: HashMap<u64, RecentStream>,
}

#[derive(Clone, Copy, Default, Debug)]
struct RecentStream {
    events: u64,
    /// Whether the directory has it too.
    is_known: bool,
}

/// What came behind the directory, and which of the streams that begin in the tail are the store's own.
fn recent_streams(committed: &Committed) -> Result<(Recent, HashSet<u64>)> {
    let (mut runs, mut system) = (Vec::new(), HashSet::new());
    let settled = {
        let state = committed.state();
        from_memory(push_runs(&state.tail, &mut runs))?;
        from_memory(push_system_streams(&state.tail, &mut system))?;
        Arc::clone(&state.settled)
    };
    for part in settled.recent_parts() {
        let start = runs.len();
        settled.ask(&part, |index| {
            runs.truncate(start);
            push_runs(index, &mut runs)
        })?;
    }
    let mut streams: HashMap<u64, RecentStream> = HashMap::with_capacity(runs.len());
    for (hash, run) in runs {
        streams.entry(hash).or_default().events += u64::from(run.count);
    }
    Ok((Recent { settled, streams }, system))
}

fn push_runs(index: &dyn IndexPart, runs: &mut Vec<(u64, Run)>) -> IndexResult<()> {
    index.each_run(&mut |hash, run| {
        runs.push((hash, *run));
        ControlFlow::Continue(())
    })
}

/// Finds the store's own streams that begin in a part: those whose first event is in one of their categories.
fn push_system_streams(index: &dyn IndexPart, streams: &mut HashSet<u64>) -> IndexResult<()> {
    let mut of_system = Vec::new();
    system_categories(index)?.each_event(index, &mut |_, place| {
        of_system.push(place);
        ControlFlow::Continue(())
    })?;
    if of_system.is_empty() {
        return Ok(());
    }
    let mut runs = Vec::new();
    push_runs(index, &mut runs)?;
    let mut first = Vec::with_capacity(1);
    for (hash, run) in runs.iter().filter(|(_, run)| run.previous == 0) {
        first.clear();
        index.run_places(run, 0, Direction::Forwards, 1, &mut first)?;
        // Events are found in the order of the log.
        if first.first().is_some_and(|place| of_system.binary_search(place).is_ok()) {
            streams.insert(*hash);
        }
    }
    Ok(())
}

/// Counts the streams of the directory, with what came behind it, and those that only came behind it.
fn count_all(
    recent: Recent,
    system: &HashSet<u64>,
    longest_max: usize,
    progress: &mut Progress<'_>,
) -> Result<Option<Lengths>> {
    let Recent { settled, mut streams } = recent;
    // Where the directory's file turns out to be damaged, it is made anew and asked from the beginning.
    let (mut lengths, flow) = settled.ask_directory(|directory| {
        for stream in streams.values_mut() {
            stream.is_known = false;
        }
        let (mut lengths, mut flow) = (Lengths::new(longest_max), ControlFlow::Continue(()));
        let mut untold = 0;
        directory.each(&mut |key, head| {
            let mut events = head.version.get();
            if let Some(stream) = streams.get_mut(&key.hash) {
                stream.is_known = true;
                events += stream.events;
            }
            if !system.contains(&key.hash) {
                lengths.add(key.hash, events);
            }
            untold += 1;
            if untold == STREAMS_AT_A_TIME {
                untold = 0;
                flow = progress.step(STREAMS_AT_A_TIME);
            }
            flow
        })?;
        Ok((lengths, flow))
    })?;
    for (hash, stream) in streams {
        if !stream.is_known && !system.contains(&hash) {
            lengths.add(hash, stream.events);
        }
    }
    Ok(flow.is_continue().then_some(lengths))
}

/// The lengths of the streams that were counted.
struct Lengths {
    /// How many streams have from 2ⁿ events on, and fewer than 2ⁿ⁺¹, by n.
    by_power: Vec<u64>,
    longest_max: usize,
    /// The longest, the shortest of them first: how many events each has, and the hash of its name.
    longest: BinaryHeap<Reverse<(u64, u64)>>,
}

impl Lengths {
    fn new(longest_max: usize) -> Self {
        Self { by_power: Vec::new(), longest_max, longest: BinaryHeap::new() }
    }

    fn add(&mut self, hash: u64, events: u64) {
        // A stream begins with its first event, so the logarithm is of 1 at least.
        let power = index(u64::from(events.max(1).ilog2()));
        if self.by_power.len() <= power {
            self.by_power.resize(power + 1, 0);
        }
        self.by_power[power] += 1;
        self.longest.push(Reverse((events, hash)));
        if self.longest.len() > self.longest_max {
            self.longest.pop();
        }
    }
}

/// The names of streams, by their hashes, in no order.
fn names_of(committed: &Committed, mut hashes: HashSet<u64>) -> Result<Vec<StreamId>> {
    let mut names = Vec::with_capacity(hashes.len());
    // A log that was made by others may have names that no store takes; they aren't listed either.
    let mut push = |name: &str| names.extend(StreamId::new(name));
    let mut places = Vec::new();
    let is_wanted = |hash: u64, _: &Run| hashes.contains(&hash);
    let (active, settled) = {
        let state = committed.state();
        from_memory(first_places(&state.tail, is_wanted, &mut places))?;
        (Arc::clone(&state.active), Arc::clone(&state.settled))
    };
    visit_names(&active, &places, &mut push)?;
    for part in settled.recent_parts() {
        settled.ask(&part, |index| {
            places.clear();
            first_places(index, is_wanted, &mut places)
        })?;
        visit_names(part.view(), &places, &mut push)?;
    }
    let store_id = committed.store_id();
    for name in &names {
        hashes.remove(&StreamKey::of(name.as_str(), store_id).hash);
    }
    for hash in hashes {
        let Some((key, head)) = settled.known(hash)? else { return Err(settled.lost_event()) };
        visit_name_in(&settled, key, head.latest, &mut |name| names.extend(StreamId::new(name)))?;
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// How far it is, told to who wants to know.
struct Progress<'a> {
    steps: u64,
    steps_total: u64,
    tell: Tell<'a>,
}

impl<'a> Progress<'a> {
    fn of(settled: &Settled, tell: Tell<'a>) -> Result<Self> {
        let segments = settled.sealed_numbers().len() + settled.recent_parts().count();
        let streams = settled.ask_directory(|directory| Ok(directory.stream_count()))?;
        Ok(Self { steps: 0, steps_total: bytes(segments) + streams, tell })
    }

    fn step(&mut self, steps: u64) -> ControlFlow<()> {
        self.steps = (self.steps + steps).min(self.steps_total);
        (self.tell)(CountProgress { steps: self.steps, steps_total: self.steps_total })
    }
}
