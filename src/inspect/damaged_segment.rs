//! A segment from its first damage on: its events don't make an index any more. What is gone is told by the versions of what
//! follows; or, where the segment's index file is right, by that, for each stream.

use std::{collections::HashMap, ops::ControlFlow};

use crate::{
    error::Result,
    format::segment_header::SegmentHeader,
    index::{
        files::IndexFiles,
        key::StreamKey,
        memory::MemoryIndex,
        part::{Direction, IndexPart, Run},
        sealed::SealedIndex,
    },
    inspect::{
        losses::{Losses, NameHint},
        salvage::seeming,
        stream_table::StreamTable,
        walk::OpenSegment,
    },
    log::scan::ChainEnd,
    position::{LogOffset, Position, Version},
};

/// How much of a damaged record is read to find its stream's name, in bytes: more than stands before a name and in it.
const SEEMING_BYTES_MAX: usize = 4 << 10;

/// The index file of a damaged segment, which holds what was there.
#[derive(Debug)]
pub(crate) struct Witness {
    index: SealedIndex,
    /// Of each event, by ordinal.
    places: Vec<LogOffset>,
}

impl Witness {
    /// The index file of a segment, if it is right in itself and of the whole segment.
    pub(crate) fn open(
        files: &IndexFiles,
        header: &SegmentHeader,
        is_whole: impl Fn(&ChainEnd) -> bool,
    ) -> Option<Self> {
        let index = files.open_index(header).ok().filter(|index| is_whole(&index.chain_end()))?;
        Self::of(index)
    }

    /// An index whose pages are all right.
    pub(crate) fn of(index: SealedIndex) -> Option<Self> {
        let mut places = Vec::new();
        index.places(0, Direction::Forwards, usize::MAX, &mut places).ok()?;
        let mut postings = 0;
        let mut run_places = Vec::new();
        let mut visit = |run: &Run| {
            run_places.clear();
            index.run_places(run, 0, Direction::Forwards, usize::MAX, &mut run_places).ok()?;
            postings += run_places.len();
            run_places.iter().all(|place| places.binary_search(place).is_ok()).then_some(())
        };
        let mut is_right = places.is_sorted();
        let walked = index.each_run(&mut |_, run| {
            is_right &= visit(run).is_some();
            if is_right { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (walked.is_ok() && is_right && postings == places.len()).then_some(Self { index, places })
    }

    /// The position behind its last event.
    pub(crate) fn next_position(&self) -> Position {
        self.index.chain_end().next_position
    }

    /// Whether it is the index of the segment of this number.
    pub(crate) fn is_of(&self, number: u32) -> bool {
        self.index.span().segment == number
    }

    /// The position of its first event.
    pub(crate) fn first_position(&self) -> Position {
        self.index.span().first_position
    }

    /// Where the event of a position begins in the file.
    pub(crate) fn file_offset(&self, position: Position) -> Option<u64> {
        let ordinal = position.get().checked_sub(self.first_position().get())?;
        let place = self.places.get(usize::try_from(ordinal).ok()?)?;
        Some(place.get() - self.index.span().base.get())
    }

    fn position_of(&self, place: LogOffset) -> Option<Position> {
        let ordinal = self.places.binary_search(&place).ok()?;
        Some(self.first_position().plus(ordinal as u64))
    }
}

/// A stream, as its events in this segment have it so far.
#[derive(Clone, Copy, Debug)]
struct Seen {
    key: StreamKey,
    first: Version,
    first_offset: u64,
    last: Version,
}

/// A segment from its first damage on.
#[derive(Debug)]
pub(crate) struct DamagedSegment {
    number: u32,
    witness: Option<Witness>,
    seen: HashMap<u64, Seen>,
    /// From one position up to another, excluded.
    lost: Vec<(Position, Position)>,
    is_told: bool,
}

impl DamagedSegment {
    /// Goes on from what was indexed before the damage.
    pub(crate) fn new(number: u32, before: &MemoryIndex, witness: Option<Witness>) -> Self {
        let seen = before.streams().map(|run| {
            let first_offset = run.file_offsets().first().copied().map_or(0, u64::from);
            (
                run.key().hash,
                Seen { key: run.key(), first: run.first_version(), first_offset, last: run.version() },
            )
        });
        Self { number, witness, seen: seen.collect(), lost: Vec::new(), is_told: false }
    }

    pub(crate) fn witness(&self) -> Option<&Witness> {
        self.witness.as_ref()
    }

    /// Takes an event in. Its error is what is wrong with its version; that is told once.
    pub(crate) fn take(
        &mut self,
        key: StreamKey,
        (stream, version, position): (&str, Version, Position),
        file_offset: u64,
        table: &StreamTable,
        losses: &mut Losses,
    ) -> Result<(), &'static str> {
        if self.witness.as_ref().is_some_and(|witness| witness.file_offset(position) != Some(file_offset)) {
            // It is right in itself, and of another log.
            self.witness = None;
        }
        let before = table.get(key.hash).map_or(Version::NONE, |state| state.version);
        let is_new = !self.seen.contains_key(&key.hash);
        let seen = self.seen.entry(key.hash).or_insert(Seen {
            key,
            first: version,
            first_offset: file_offset,
            last: before,
        });
        let expected = seen.last.next();
        let is_known_otherwise = self.witness.is_some();
        if version > expected && !is_known_otherwise {
            losses.lose_versions(key.hash, expected, version.previous());
        }
        if (is_new || version > expected) && losses.wants_name(key.hash) {
            losses.name(key.hash, stream);
        }
        let goes_back = version < expected;
        seen.last = seen.last.max(version);
        if goes_back && !self.is_told {
            self.is_told = true;
            return Err("an event's version doesn't go on from the one before it in its stream");
        }
        Ok(())
    }

    /// Takes in what a damaged record seems to say, if it goes on from what is known of its stream.
    pub(crate) fn take_damaged(
        &mut self,
        key: StreamKey,
        (stream, version): (&str, Version),
        table: &StreamTable,
        losses: &mut Losses,
    ) {
        let known = table.get(key.hash).filter(|state| state.check == Some(key.check));
        let before = known.map_or(Version::NONE, |state| state.version);
        let seen = self.seen.get_mut(&key.hash).filter(|seen| seen.key == key);
        let last = seen.as_ref().map_or(before, |seen| seen.last);
        if last == Version::NONE || version != last.next() || self.witness.is_some() {
            return;
        }
        losses.lose_versions(key.hash, version, version);
        losses.name(key.hash, stream);
        if let Some(seen) = seen {
            seen.last = version;
        } else {
            self.seen.insert(key.hash, Seen { key, first: version, first_offset: 0, last: version });
        }
    }

    /// Notes which events of the segment are lost.
    pub(crate) fn lose(&mut self, first: Position, beyond: Position) {
        if first < beyond {
            self.lost.push((first, beyond));
        }
    }

    fn is_lost(&self, position: Position) -> bool {
        let behind = self.lost.partition_point(|(first, _)| *first <= position);
        self.lost[..behind].last().is_some_and(|(_, beyond)| position < *beyond)
    }

    /// Ends the segment: each stream is as far as it was, whether its events can be read or not.
    pub(crate) fn finish(&self, walked: &OpenSegment, table: &mut StreamTable, losses: &mut Losses) {
        if let Some(witness) = &self.witness {
            self.account(witness, walked, table, losses);
        }
        for seen in self.seen.values() {
            let known = table.get(seen.key.hash).map_or(Version::NONE, |state| state.version);
            table.set(seen.key, seen.last.max(known), self.number);
        }
    }

    /// Tells which versions of which streams are lost, by the segment's index.
    fn account(&self, witness: &Witness, walked: &OpenSegment, table: &mut StreamTable, losses: &mut Losses) {
        let mut places = Vec::new();
        let visited = witness.index.each_run(&mut |hash, run| {
            places.clear();
            // It was read before.
            if witness.index.run_places(run, 0, Direction::Forwards, usize::MAX, &mut places).is_ok() {
                self.account_run(witness, (hash, &places), walked, table, losses);
            }
            ControlFlow::Continue(())
        });
        debug_assert!(visited.is_ok(), "all of its pages were right before");
    }

    fn account_run(
        &self,
        witness: &Witness,
        (hash, places): (u64, &[LogOffset]),
        walked: &OpenSegment,
        table: &mut StreamTable,
        losses: &mut Losses,
    ) {
        let state = table.get(hash);
        let before = state.map_or(Version::NONE, |state| state.version);
        let seen = self.seen.get(&hash);
        let number_of = |seen: &Seen| {
            let place = walked.segment.log_offset(seen.first_offset);
            places.binary_search(&place).ok().map(|number| number as u64)
        };
        let by_seen = seen.and_then(|seen| seen.first.get().checked_sub(number_of(seen)?));
        let first = by_seen.map_or(before.next(), Version::new).max(before.next());
        losses.lose_versions(hash, before.next(), first.previous());
        for (place, version) in places.iter().zip(first.get()..) {
            if witness.position_of(*place).is_some_and(|position| self.is_lost(position)) {
                let version = Version::new(version);
                losses.lose_versions(hash, version, version);
                name_by_damaged(walked, *place, hash, losses);
            }
        }
        if let Some(seen) = seen {
            let (segment, file_offset) = (u64::from(self.number), seen.first_offset);
            losses.hint(hash, NameHint::Record { segment, file_offset });
        } else if let Some(latest) = state.map(|state| state.latest).filter(|latest| *latest > 0) {
            losses.hint(hash, NameHint::Segment(u64::from(latest)));
        }
        let last = first.plus(places.len() as u64).previous();
        match seen {
            Some(seen) => table.set(seen.key, last.max(seen.last), self.number),
            None => table.set_unseen(hash, last, self.number),
        }
    }
}

/// What stands where a damaged record names its stream is its name, if it has the hash that the index says.
fn name_by_damaged(walked: &OpenSegment, place: LogOffset, hash: u64, losses: &mut Losses) {
    if !losses.wants_name(hash) {
        return;
    }
    let file_offset = walked.segment.file_offset(place);
    let mut content = vec![0; SEEMING_BYTES_MAX];
    let Ok(count) = walked.segment.file.read_at(&mut content, file_offset) else { return };
    if let Some((name, _, _)) = seeming(&content[..count])
        && StreamKey::of(name, walked.segment.header.store_id).hash == hash
    {
        losses.name(hash, name);
    }
}

/// Accounts for a segment that is gone with all of its events, by the index that is left of it.
pub(crate) fn account_for_missing(
    witness: &Witness,
    number: u32,
    table: &mut StreamTable,
    losses: &mut Losses,
) {
    let visited = witness.index.each_run(&mut |hash, run| {
        let state = table.get(hash);
        let before = state.map_or(Version::NONE, |state| state.version);
        let last = before.plus(u64::from(run.count));
        losses.lose_versions(hash, before.next(), last);
        if let Some(latest) = state.map(|state| state.latest).filter(|latest| *latest > 0) {
            losses.hint(hash, NameHint::Segment(u64::from(latest)));
        }
        table.set_unseen(hash, last, number);
        ControlFlow::Continue(())
    });
    debug_assert!(visited.is_ok(), "all of its pages were right before");
}
