//! Damage to a small store: whatever is changed, the answer is an error or the right one, and never silently fewer
//! events.
//!
//! Each store is operated on twice. Without its index files opening reads the whole log, and so notices damage by
//! itself; beside them opening reads hardly more than the log's end, and reading has to notice. The index files
//! are operated on too, and must change no answer.
//!
//! One loss can't be told from a power cut: of a store that was killed, the very last frames, which durable.mark doesn't
//! name yet, where they read as if they had never been written (docs/file-format.md). It may happen nowhere else.

use std::path::{Path, PathBuf};

use crate::{
    disk::sim::random::Random,
    simulation::{
        failure::{BrokenPromise, Promise},
        reference::{Beside, End, File, ReferenceStore, SurgeryAnswer, is_log},
    },
};

const BLOCK_BYTES: usize = 512;

/// How many bits are flipped of an index file, and to how many lengths it is cut.
const INDEX_BITS: usize = 500;
const INDEX_LENGTHS: usize = 100;

/// All stores that are operated on.
const STORES: [(End, Beside); 4] = [
    (End::Closed, Beside::Nothing),
    (End::Closed, Beside::IndexFiles),
    (End::Killed, Beside::Nothing),
    (End::Killed, Beside::IndexFiles),
];

/// What is done to a store's files.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SurgeryKind {
    /// A bit is flipped: every bit of the log, of store.meta and of durable.mark.
    Bits,
    /// A file is cut off: at every length.
    Lengths,
    /// A block of 512 bytes becomes zeros, ones, garbage, each other block of its file, or what it was before.
    Blocks,
    /// An index file has a bit flipped, is cut off, or has a block changed.
    IndexFiles,
    /// A file is missing.
    Missing,
    /// A segment has the name of another, or of the next.
    Exchanged,
}

impl SurgeryKind {
    const ALL: [Self; 6] =
        [Self::Bits, Self::Lengths, Self::Blocks, Self::IndexFiles, Self::Missing, Self::Exchanged];
}

/// Cases of one kind on one store: their numbers go on.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SurgeryGroup {
    /// What is done.
    pub kind: SurgeryKind,
    /// To which store.
    pub store: String,
    /// The number of the first case.
    pub first: u64,
    /// How many there are.
    pub cases: u64,
    index: usize,
}

/// What changes: files that have other bytes, or none.
type Changed = Vec<(PathBuf, Option<Vec<u8>>)>;

/// What may come to stand in a block.
enum Filling {
    Zeros,
    Ones,
    Garbage,
    Other(usize),
    Earlier(Vec<u8>),
}

/// A store, and what can be done to it that isn't told by a number alone.
struct Patient {
    store: ReferenceStore,
    end: End,
    /// Which block of which file, and what comes there.
    blocks: Vec<(usize, usize, Filling)>,
    index_files: Vec<(usize, Vec<u8>)>,
    missing: Vec<PathBuf>,
    exchanged: Vec<Changed>,
}

/// All that can be done to a store of some length.
pub struct Surgery {
    patients: Vec<Patient>,
    groups: Vec<SurgeryGroup>,
}

impl Surgery {
    /// Makes the stores, whose logs are so long, in bytes: a multiple of 64, from 8 KiB up.
    ///
    /// # Panics
    ///
    /// If no store has a log of this length.
    #[must_use]
    pub fn new(log_bytes: u64) -> Self {
        let seed = ReferenceStore::seed_for(log_bytes);
        let patients: Vec<Patient> =
            STORES.iter().map(|(end, beside)| Patient::new(seed, log_bytes, *end, *beside)).collect();
        let mut groups = Vec::new();
        let mut first = 0;
        for kind in SurgeryKind::ALL {
            for (index, (patient, store)) in patients.iter().zip(STORES).enumerate() {
                let cases = patient.cases(kind);
                if cases > 0 {
                    groups.push(SurgeryGroup { kind, store: format!("{store:?}"), first, cases, index });
                    first += cases;
                }
            }
        }
        Self { patients, groups }
    }

    /// All cases, in the order of their numbers.
    #[must_use]
    pub fn groups(&self) -> &[SurgeryGroup] {
        &self.groups
    }

    /// How many cases there are; their numbers begin with 0.
    #[must_use]
    pub fn cases(&self) -> u64 {
        self.groups.iter().map(|group| group.cases).sum()
    }

    /// Does what a number says to a copy of its store, opens it, and reads everything.
    ///
    /// # Errors
    ///
    /// What didn't hold.
    ///
    /// # Panics
    ///
    /// If there is no such case.
    pub fn operate(&self, case: u64) -> Result<SurgeryAnswer, BrokenPromise> {
        let (group, number) = self.find(case);
        let patient = &self.patients[group.index];
        let (changed, what) = patient.change(group.kind, number);
        let at = |broken: BrokenPromise| broken.at(format_args!("{what}, {}", group.store));
        let answer = patient.store.ask(&changed).map_err(at)?;
        if patient.may_answer(group.kind, &changed, answer) {
            return Ok(answer);
        }
        let promise = match answer {
            SurgeryAnswer::Fewer(_) => Promise::NothingLost,
            SurgeryAnswer::Refused => Promise::NoFalseRefusal,
            SurgeryAnswer::Right => Promise::RightAnswers,
        };
        let all = patient.store.events_count();
        Err(at(BrokenPromise::new(promise, format!("the answer is {answer:?}, of {all} events"))))
    }

    /// What a case does, in words.
    ///
    /// # Panics
    ///
    /// If there is no such case.
    #[must_use]
    pub fn describe(&self, case: u64) -> String {
        let (group, number) = self.find(case);
        let (_, what) = self.patients[group.index].change(group.kind, number);
        format!("{what}, {}", group.store)
    }

    fn find(&self, case: u64) -> (&SurgeryGroup, usize) {
        let is_its = |group: &&SurgeryGroup| (group.first..group.first + group.cases).contains(&case);
        let group = self.groups.iter().find(is_its).expect("a case's number");
        (group, usize::try_from(case - group.first).expect("a number below a count"))
    }
}

impl std::fmt::Debug for Surgery {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Surgery").field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl Patient {
    fn new(seed: u64, log_bytes: u64, end: End, beside: Beside) -> Self {
        let store = ReferenceStore::new(seed, log_bytes, end, beside);
        let mut blocks = Vec::new();
        for (file, (path, content)) in store.files.iter().enumerate() {
            for block in 0..content.len().div_ceil(BLOCK_BYTES) {
                let earlier = earlier_blocks(&store, path, content, block).into_iter().map(Filling::Earlier);
                let fillings = fillings(content, block).chain(earlier);
                blocks.extend(fillings.map(|filling| (file, block, filling)));
            }
        }
        // They are the same files beside a closed store, whose log's end is looked at less.
        let index_files = if end == End::Killed { damaged_index_files(&store) } else { Vec::new() };
        let all = store.files.iter().chain(&store.index_files);
        let missing = all.map(|(path, _)| path.clone()).collect();
        let exchanged = exchanged_segments(&store);
        Self { store, end, blocks, index_files, missing, exchanged }
    }

    fn cases(&self, kind: SurgeryKind) -> u64 {
        let bytes: usize = self.store.files.iter().map(|(_, content)| content.len()).sum();
        let cases = match kind {
            SurgeryKind::Bits => bytes * 8,
            SurgeryKind::Lengths => bytes,
            SurgeryKind::Blocks => self.blocks.len(),
            SurgeryKind::IndexFiles => self.index_files.len(),
            SurgeryKind::Missing => self.missing.len(),
            SurgeryKind::Exchanged => self.exchanged.len(),
        };
        cases as u64
    }

    /// What a case changes, and its name.
    fn change(&self, kind: SurgeryKind, number: usize) -> (Changed, String) {
        match kind {
            SurgeryKind::Bits => {
                let (path, content, byte) = self.byte(number / 8);
                let bit = byte * 8 + number % 8;
                (
                    vec![(path.to_owned(), Some(flipped(content, bit)))],
                    format!("bit {bit} of {}", path.display()),
                )
            }
            SurgeryKind::Lengths => {
                let (path, content, length) = self.byte(number);
                let name = format!("{} cut to {length} bytes", path.display());
                (vec![(path.to_owned(), Some(content[..length].to_vec()))], name)
            }
            SurgeryKind::Blocks => {
                let (file, block, filling) = &self.blocks[number];
                let (path, content) = &self.store.files[*file];
                let name = format!("block {block} of {}, {}", path.display(), filling.name());
                (vec![(path.clone(), Some(filling.put(content, *block)))], name)
            }
            SurgeryKind::IndexFiles => {
                let (file, content) = &self.index_files[number];
                let path = &self.store.index_files[*file].0;
                let name = format!("damage {number} to {}", path.display());
                (vec![(path.clone(), Some(content.clone()))], name)
            }
            SurgeryKind::Missing => {
                let path = &self.missing[number];
                (vec![(path.clone(), None)], format!("without {}", path.display()))
            }
            SurgeryKind::Exchanged => (self.exchanged[number].clone(), format!("exchange {number}")),
        }
    }

    /// The file that a byte of all bytes is in, and its place there.
    fn byte(&self, mut number: usize) -> (&Path, &[u8], usize) {
        for (path, content) in &self.store.files {
            if number < content.len() {
                return (path, content, number);
            }
            number -= content.len();
        }
        unreachable!("a byte's number is below their sum")
    }

    /// Whether a case may have this answer.
    fn may_answer(&self, kind: SurgeryKind, changed: &Changed, answer: SurgeryAnswer) -> bool {
        let is_unneeded = |path: &Path| path.ends_with("durable.mark") || !self.is_file(path);
        match (kind, answer) {
            (SurgeryKind::IndexFiles, _) => answer == SurgeryAnswer::Right,
            (SurgeryKind::Missing, _) if changed.iter().all(|(path, _)| is_unneeded(path)) => {
                answer == SurgeryAnswer::Right
            }
            (SurgeryKind::Exchanged | SurgeryKind::Missing, _) => answer == SurgeryAnswer::Refused,
            (_, SurgeryAnswer::Refused | SurgeryAnswer::Right) => true,
            (SurgeryKind::Bits, SurgeryAnswer::Fewer(_)) => false,
            (SurgeryKind::Lengths | SurgeryKind::Blocks, SurgeryAnswer::Fewer(count)) => {
                self.end == End::Killed
                    && count >= self.store.marked
                    && self.is_as_never_written(kind, changed)
            }
        }
    }

    fn is_file(&self, path: &Path) -> bool {
        self.store.files.iter().any(|(file, _)| file == path)
    }

    /// Whether the last log lost its end, or what a block has of its last frame reads as it did before the frame was written.
    fn is_as_never_written(&self, kind: SurgeryKind, changed: &Changed) -> bool {
        let (last_path, last_start) = self.store.last_frame();
        let [(path, Some(content))] = changed.as_slice() else { return false };
        if path != last_path || kind == SurgeryKind::Lengths {
            return path == last_path;
        }
        let before = &self.store.files.iter().find(|(file, _)| file == path).expect("it was changed").1;
        let last_end = before.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let mut blocks = before.chunks(BLOCK_BYTES).zip(content.chunks(BLOCK_BYTES)).enumerate();
        blocks.all(|(block, (before, after))| {
            let start = block * BLOCK_BYTES;
            let [from, to] = [last_start, last_end].map(|at| at.saturating_sub(start).min(after.len()));
            before == after || from < to && after[from..to].iter().all(|byte| *byte == 0)
        })
    }
}

impl Filling {
    fn name(&self) -> String {
        match self {
            Self::Zeros => "zeros".to_owned(),
            Self::Ones => "ones".to_owned(),
            Self::Garbage => "garbage".to_owned(),
            Self::Other(block) => format!("replaced by block {block}"),
            Self::Earlier(_) => "as it was before".to_owned(),
        }
    }

    /// The content with this in a block.
    fn put(&self, content: &[u8], block: usize) -> Vec<u8> {
        let range = block * BLOCK_BYTES..((block + 1) * BLOCK_BYTES).min(content.len());
        let filling = match self {
            Self::Zeros => vec![0; range.len()],
            Self::Ones => vec![0xFF; range.len()],
            Self::Garbage => {
                let mut random = Random::new(block as u64);
                range.clone().map(|_| random.next().to_le_bytes()[5]).collect()
            }
            Self::Other(other) => content[other * BLOCK_BYTES..][..range.len()].to_vec(),
            Self::Earlier(earlier) => earlier.clone(),
        };
        [&content[..range.start], &filling, &content[range.end..]].concat()
    }
}

fn flipped(content: &[u8], bit: usize) -> Vec<u8> {
    let mut content = content.to_vec();
    content[bit / 8] ^= 1 << (bit % 8);
    content
}

/// What may come to stand in a block of any file.
fn fillings(content: &[u8], block: usize) -> impl Iterator<Item = Filling> + use<> {
    let others = (0..content.len() / BLOCK_BYTES).filter(move |other| *other != block);
    [Filling::Zeros, Filling::Ones, Filling::Garbage].into_iter().chain(others.map(Filling::Other))
}

/// What a block was at some time before, each content once; zeros where the file was shorter.
fn earlier_blocks(store: &ReferenceStore, path: &Path, content: &[u8], block: usize) -> Vec<Vec<u8>> {
    let range = block * BLOCK_BYTES..((block + 1) * BLOCK_BYTES).min(content.len());
    let present = &content[range.clone()];
    let mut found: Vec<Vec<u8>> = Vec::new();
    for (_, earlier) in store.earlier.iter().flatten().filter(|(file, _)| file == path) {
        let mut bytes = earlier.get(range.start..earlier.len().min(range.end)).unwrap_or_default().to_vec();
        bytes.resize(range.len(), 0);
        if bytes != present && bytes.iter().any(|byte| *byte != 0) && !found.contains(&bytes) {
            found.push(bytes);
        }
    }
    found
}

fn damaged_index_files(store: &ReferenceStore) -> Vec<(usize, Vec<u8>)> {
    let mut random = Random::new(11);
    let mut damaged = Vec::new();
    for (file, (_, content)) in store.index_files.iter().enumerate() {
        damaged.extend((0..INDEX_BITS).map(|_| (file, flipped(content, random.below(content.len() * 8)))));
        damaged.extend((0..INDEX_LENGTHS).map(|_| (file, content[..random.below(content.len())].to_vec())));
        for block in 0..content.len().div_ceil(BLOCK_BYTES) {
            damaged.extend(fillings(content, block).map(|filling| (file, filling.put(content, block))));
        }
    }
    damaged
}

/// Two segments change their names, one comes a second time, or has another number.
fn exchanged_segments(store: &ReferenceStore) -> Vec<Changed> {
    let logs: Vec<&File> = store.files.iter().filter(|(path, _)| is_log(path)).collect();
    let next = |ahead: usize| {
        let name = format!("{:012}.log", logs.len() + ahead);
        logs[0].0.with_file_name(name)
    };
    let mut exchanged: Vec<Changed> = Vec::new();
    for (number, one) in logs.iter().enumerate() {
        for other in logs.iter().skip(number + 1) {
            let (first, second) = (Some(one.1.clone()), Some(other.1.clone()));
            exchanged.push(vec![(one.0.clone(), second.clone()), (other.0.clone(), first.clone())]);
            exchanged.push(vec![(one.0.clone(), second)]);
            exchanged.push(vec![(other.0.clone(), first)]);
        }
        exchanged.push(vec![(next(1), Some(one.1.clone()))]);
        exchanged.push(vec![(one.0.clone(), None), (next(1), Some(one.1.clone()))]);
    }
    exchanged.push(vec![(next(2), Some(logs[0].1.clone()))]);
    exchanged
}
