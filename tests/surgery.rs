//! Surgery on the bytes of a small store: whatever is changed, the answer is an error or the right one, and
//! never silently fewer events.
//!
//! Every store is operated on twice. Without its index files opening reads the whole log, and so notices damage by
//! itself; beside them opening reads hardly more than the log's end, and reading has to notice. The index files
//! are operated on too, and must change no answer.
//!
//! One loss can't be told from a power cut: a whole sector of the very last frame that reads as zeros, before
//! durable.mark has named that frame (docs/file-format.md). It is counted, and may happen nowhere else.

#![allow(missing_docs, reason = "a test's name says what it shows")]
#![allow(non_snake_case, reason = "tests are named after behaviours, with the ids of requirements behind __")]

use std::{
    io::{self, Write},
    num::NonZero,
    ops::Range,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use annals::{EventData, EventStore, ExpectedVersion, Options, SimDisk, StoredEvent, StreamId};

const STORE: &str = "/store";
const SEGMENT_BYTES: u64 = 4 << 10;
const BLOCK_BYTES: usize = 512;

/// A store as its bytes, and what it must answer.
struct Patient {
    disk: SimDisk,
    /// The log, store.meta and durable.mark.
    files: Vec<File>,
    /// What is made of the log.
    index_files: Vec<File>,
    streams: Vec<StreamId>,
    events: Vec<StoredEvent>,
}

type File = (PathBuf, Vec<u8>);

/// What a cut into a store led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Refused,
    Right,
    /// The first so many events, and not the others.
    Fewer(usize),
}

/// How the patient's last writer ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Closed,
    Killed,
}

fn options() -> Options {
    Options::new().segment_bytes(SEGMENT_BYTES)
}

/// What stands beside the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Beside {
    Nothing,
    /// The index files of a closing, which isn't the last session's where that was killed.
    IndexFiles,
}

/// All stores that are operated on.
const PATIENTS: [(End, Beside); 4] = [
    (End::Closed, Beside::Nothing),
    (End::Closed, Beside::IndexFiles),
    (End::Killed, Beside::Nothing),
    (End::Killed, Beside::IndexFiles),
];

fn append(store: &EventStore, streams: &[StreamId], numbers: Range<u8>) {
    for number in numbers {
        let events = (0..2).map(|index| {
            let data = [vec![number; 300], vec![0; 100], vec![index; 40]].concat();
            EventData::new("OrderChanged", data)
        });
        let stream = &streams[usize::from(number) % streams.len()];
        store.append(stream, ExpectedVersion::Any, events).expect("an append");
    }
}

/// A store of about 8 KiB in two segments, written in two sessions. The first one reaches into the second segment, so
/// that its closing leaves an index of either.
fn patient((end, beside): (End, Beside)) -> Patient {
    let disk = SimDisk::new(8);
    let open = || EventStore::open_on(Arc::new(disk.mount()), STORE, options()).expect("a whole store");
    let streams: Vec<StreamId> =
        (0..3).map(|number| StreamId::new(format!("order-{number}")).expect("a valid name")).collect();
    let store = open();
    append(&store, &streams, 0..4);
    store.close().expect("a close");
    let store = open();
    append(&store, &streams, 4..6);
    let events: Vec<StoredEvent> = store.read_all().collect::<Result<_, _>>().expect("a whole store");
    match end {
        End::Closed => store.close().expect("a close"),
        End::Killed => {
            disk.crash_process();
            drop(store);
        }
    }
    let disk = disk.snapshot(1);
    // `head` says nothing on another disk, as after a restart: it has a test of its own.
    let is_of_the_store = |path: &PathBuf| !path.ends_with("writer.pid") && !path.ends_with("head");
    let content = |path: PathBuf| (path.clone(), disk.read_file(&path).expect("it is listed"));
    let all = disk.files().into_iter().filter(is_of_the_store).map(content);
    let (mut index_files, files): (Vec<File>, Vec<File>) = all.partition(|(path, _)| is_derived(path));
    assert_eq!(index_files.len(), 3, "two segments have an index, and the store a directory");
    let logs = files.iter().filter(|(path, _)| is_log(path)).count();
    assert_eq!(logs, 2, "the surgery is to meet a sealed and an active segment");
    if beside == Beside::Nothing {
        for (path, _) in index_files.drain(..) {
            disk.remove_file(path).expect("it is there");
        }
    }
    Patient { disk, files, index_files, streams, events }
}

fn is_derived(path: &Path) -> bool {
    path.extension() == Some("idx".as_ref()) || path.ends_with("streams.dir")
}

fn is_log(path: &Path) -> bool {
    path.extension() == Some("log".as_ref())
}

impl Patient {
    /// Opens a copy in which some files have other bytes, or are gone.
    fn ask(&self, changed: &[(&Path, Option<Vec<u8>>)]) -> Answer {
        let disk = self.disk.snapshot(2);
        for (path, content) in changed {
            match content {
                Some(content) => disk.write_file(path, content.clone()).expect("surgery"),
                None => disk.remove_file(path).expect("surgery"),
            }
        }
        let before: Vec<_> = self.files.iter().map(|(path, _)| disk.read_file(path)).collect();
        let Ok(store) = EventStore::open_on(Arc::new(disk.clone()), STORE, options()) else {
            let after: Vec<_> = self.files.iter().map(|(path, _)| disk.read_file(path)).collect();
            assert!(before == after, "a store that was refused was touched");
            return Answer::Refused;
        };
        let Ok(found) = store.read_all().collect::<Result<Vec<StoredEvent>, _>>() else {
            return Answer::Refused;
        };
        assert!(self.events.starts_with(&found), "wrong events were shown");
        for stream in &self.streams {
            let Ok(of_stream) = store.read_stream(stream).collect::<Result<Vec<StoredEvent>, _>>() else {
                return Answer::Refused;
            };
            assert!(found.iter().filter(|event| event.stream == *stream).eq(&of_stream), "another stream");
        }
        if found.len() == self.events.len() { Answer::Right } else { Answer::Fewer(found.len()) }
    }

    /// Opens copies with one changed file each.
    fn ask_each(&self, changed: &[(&Path, Vec<u8>)]) -> [usize; 3] {
        operate(changed.len(), |index| self.ask(&[(changed[index].0, Some(changed[index].1.clone()))]))
    }

    /// The last frame with events: the bytes of the last log from the last frame's header on.
    fn last_frame(&self) -> (&Path, usize) {
        let (path, content) = self.files.iter().rfind(|(path, _)| is_log(path)).expect("a log");
        let mut starts = (BLOCK_BYTES..content.len()).step_by(64);
        let last = starts.rfind(|start| content[*start..].starts_with(b"aFRM")).expect("a frame");
        (path, last)
    }
}

/// Runs many operations on all cores, and counts their answers: refused, right, fewer.
fn operate(count: usize, operation: impl Fn(usize) -> Answer + Sync) -> [usize; 3] {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut answers = [0; 3];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return answers;
            }
            match operation(index) {
                Answer::Refused => answers[0] += 1,
                Answer::Right => answers[1] += 1,
                Answer::Fewer(_) => answers[2] += 1,
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut sum = [0; 3];
        for worker in workers {
            let answers = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            for (sum, answers) in sum.iter_mut().zip(answers) {
                *sum += answers;
            }
        }
        sum
    })
}

/// Prints past the test harness, which keeps what tests print to itself.
fn say(what: &str, [refused, right, fewer]: [usize; 3]) -> io::Result<()> {
    let all = refused + right + fewer;
    writeln!(io::stderr(), "{what}: {all} cases, {refused} refused, {right} right, {fewer} with fewer events")
}

fn flipped(content: &[u8], bit: usize) -> Vec<u8> {
    let mut content = content.to_vec();
    content[bit / 8] ^= 1 << (bit % 8);
    content
}

#[test]
fn every_flipped_bit_is_refused_or_harmless() -> io::Result<()> {
    for kind in PATIENTS {
        let patient = patient(kind);
        let bits: Vec<(usize, usize)> = (0..patient.files.len())
            .flat_map(|file| (0..patient.files[file].1.len() * 8).map(move |bit| (file, bit)))
            .collect();
        let answers = operate(bits.len(), |index| {
            let (file, bit) = bits[index];
            let (path, content) = &patient.files[file];
            let answer = patient.ask(&[(path, Some(flipped(content, bit)))]);
            assert!(!matches!(answer, Answer::Fewer(_)), "bit {bit} of {}: {answer:?}", path.display());
            answer
        });
        say(&format!("every bit flipped, {kind:?}"), answers)?;
    }
    Ok(())
}

/// Every one of them is derived from a log that is whole.
#[test]
fn damaged_index_files_change_no_answer() -> io::Result<()> {
    let patient = patient((End::Killed, Beside::IndexFiles));
    let mut seed = 11_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).expect("31 bits") % below
    };
    let mut cases: Vec<(&Path, Vec<u8>)> = Vec::new();
    for (path, content) in &patient.index_files {
        cases.extend((0..500).map(|_| (path.as_path(), flipped(content, random(content.len() * 8)))));
        cases.extend((0..100).map(|_| (path.as_path(), content[..random(content.len())].to_vec())));
        for block in 0..content.len().div_ceil(BLOCK_BYTES) {
            cases.extend(fillings(content, block).into_iter().map(|changed| (path.as_path(), changed)));
        }
    }
    let answers = patient.ask_each(&cases);
    say("index files with flipped bits, cut, zeroed, filled, garbled", answers)?;
    assert_eq!(answers, [0, cases.len(), 0]);
    Ok(())
}

/// Cuts every file to every length. `may_be_fewer` says whether so many events may be left of the store.
fn check_every_length(
    kind: (End, Beside),
    may_be_fewer: impl Fn(&Patient, &Path, usize) -> bool + Sync,
) -> io::Result<()> {
    let patient = patient(kind);
    let lengths: Vec<(usize, usize)> = (0..patient.files.len())
        .flat_map(|file| (0..patient.files[file].1.len()).map(move |length| (file, length)))
        .collect();
    let answers = operate(lengths.len(), |index| {
        let (file, length) = lengths[index];
        let (path, content) = &patient.files[file];
        let answer = patient.ask(&[(path, Some(content[..length].to_vec()))]);
        if let Answer::Fewer(count) = answer {
            let path_name = path.display();
            assert!(may_be_fewer(&patient, path, count), "{path_name} cut to {length}: {count} events");
        }
        answer
    });
    say(&format!("every truncation, {kind:?}"), answers)
}

#[test]
fn every_truncation_of_a_closed_store_is_refused_or_harmless() -> io::Result<()> {
    check_every_length((End::Closed, Beside::Nothing), |_, _, _| false)?;
    check_every_length((End::Closed, Beside::IndexFiles), |_, _, _| false)
}

/// Nothing but durable.mark can tell a log that was cut short from one that never was longer; a killed store's
/// mark may be older than its end. What is in a sealed segment stays, whatever becomes of the last.
#[test]
fn a_truncation_of_a_killed_store_loses_nothing_of_a_sealed_segment() -> io::Result<()> {
    let may_be_fewer = |patient: &Patient, path: &Path, count| {
        path == patient.last_frame().0 && count >= patient.events.len() / 2
    };
    check_every_length((End::Killed, Beside::Nothing), may_be_fewer)?;
    check_every_length((End::Killed, Beside::IndexFiles), may_be_fewer)
}

/// What may come to stand in a block.
fn fillings(content: &[u8], block: usize) -> Vec<Vec<u8>> {
    let range = block * BLOCK_BYTES..((block + 1) * BLOCK_BYTES).min(content.len());
    let mut seed = 0x2545_F491_4F6C_DD1D_u64.wrapping_add(block as u64);
    let mut garbage = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed.to_le_bytes()[5]
    };
    let mut fillings: Vec<Vec<u8>> =
        vec![vec![0; range.len()], vec![0xFF; range.len()], range.clone().map(|_| garbage()).collect()];
    let others = (0..content.len() / BLOCK_BYTES).filter(|other| *other != block);
    fillings.extend(
        others.map(|other| content[other * BLOCK_BYTES..(other + 1) * BLOCK_BYTES][..range.len()].to_vec()),
    );
    fillings
        .into_iter()
        .map(|filling| [&content[..range.start], &filling, &content[range.end..]].concat())
        .collect()
}

fn check_every_block(kind: (End, Beside)) -> io::Result<()> {
    let patient = patient(kind);
    let (last_path, last_start) = patient.last_frame();
    let mut cases = Vec::new();
    for (path, content) in &patient.files {
        for block in 0..content.len().div_ceil(BLOCK_BYTES) {
            cases.extend(fillings(content, block).into_iter().map(|changed| (path, content, block, changed)));
        }
    }
    let answers = operate(cases.len(), |index| {
        let (path, content, block, changed) = &cases[index];
        let answer = patient.ask(&[(path, Some(changed.clone()))]);
        if let Answer::Fewer(count) = answer {
            let start = block * BLOCK_BYTES;
            let is_zeroed = changed[start..].iter().take(BLOCK_BYTES).all(|byte| *byte == 0);
            let is_residue = kind.0 == End::Killed
                && path.as_path() == last_path
                && start + BLOCK_BYTES > last_start
                && is_zeroed
                && changed.len() == content.len();
            assert!(is_residue, "block {block} of {}: {count} events", path.display());
        }
        answer
    });
    say(&format!("every block zeroed, filled, garbled, replaced by each other, {kind:?}"), answers)?;
    if kind.0 == End::Closed {
        assert_eq!(answers[2], 0);
    }
    Ok(())
}

#[test]
fn every_changed_block_is_refused_or_harmless_or_the_documented_residue() -> io::Result<()> {
    PATIENTS.into_iter().try_for_each(check_every_block)
}

#[test]
fn a_missing_file_is_refused_or_harmless() {
    for kind in PATIENTS {
        let patient = patient(kind);
        for (path, _) in &patient.files {
            let expected = if path.ends_with("durable.mark") { Answer::Right } else { Answer::Refused };
            let answer = patient.ask(&[(path, None)]);
            assert_eq!(answer, expected, "without {}, {kind:?}", path.display());
        }
        for (path, _) in &patient.index_files {
            assert_eq!(patient.ask(&[(path, None)]), Answer::Right, "without {}, {kind:?}", path.display());
        }
    }
}

#[test]
fn exchanged_segments_are_refused() {
    for kind in PATIENTS {
        let patient = patient(kind);
        let logs: Vec<_> = patient.files.iter().filter(|(path, _)| is_log(path)).collect();
        let (one, other) = (logs[0], logs[1]);
        let exchanged = [(one.0.as_path(), Some(other.1.clone())), (other.0.as_path(), Some(one.1.clone()))];
        assert_eq!(patient.ask(&exchanged), Answer::Refused, "{kind:?}");
        assert_eq!(patient.ask(&[(other.0.as_path(), Some(one.1.clone()))]), Answer::Refused, "{kind:?}");
    }
}
