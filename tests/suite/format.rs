//! What isn't of this store, or of a version that this program doesn't know, is refused and left alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    Creation, Durability, Error, EventData, EventStore, ExpectedVersion, Follower, Options, SimDisk,
};

use crate::{
    log_bytes::{DATA, fix_checksum_at_8, fix_frame, fix_record, frames, last_frame, put_u16, put_u32},
    support::{Outcome, stream, version},
};

const SEGMENT_1: &str = "segments/000000000001.log";
const SEGMENT_2: &str = "segments/000000000002.log";
const SEGMENT_3: &str = "segments/000000000003.log";
const SEGMENT_4: &str = "segments/000000000004.log";

/// Whether a file is one of the index's, which are derived.
fn is_index(name: &Path) -> bool {
    name.extension() == Some("idx".as_ref()) || name == Path::new("streams.dir")
}

/// A closed store with three events, in its own directory, without its index files.
struct Closed {
    directory: tempfile::TempDir,
}

impl Closed {
    fn new(durability: Durability) -> Self {
        Self::with(Options::new().durability(durability), 3, 10)
    }

    /// Three segments, sealed but the last.
    fn of_three_segments() -> Self {
        let closed = Self::with(Options::new().segment_bytes(4_096), 3, 2_500);
        let paths: Vec<PathBuf> =
            closed.files().into_keys().filter(|path| path.starts_with("segments")).collect();
        assert_eq!(paths, [SEGMENT_1, SEGMENT_2, SEGMENT_3].map(PathBuf::from));
        closed
    }

    fn with(options: Options, events: usize, data_bytes: usize) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let closed = Self { directory };
        let store = EventStore::open_with(closed.path(), options).expect("a new store");
        for _ in 0..events {
            let event = EventData::new("Counted", vec![b'x'; data_bytes]);
            store.append(&stream("count-1"), ExpectedVersion::Any, [event]).expect("an append");
        }
        store.close().expect("closing");
        closed.remove_indexes();
        closed
    }

    /// Without them opening reads the whole log, and finds what is wrong with it.
    fn remove_indexes(&self) {
        for name in self.files().into_keys().filter(|name| is_index(name)) {
            fs::remove_file(self.path().join(name)).expect("it is there");
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path().join(name), bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.read(name);
        let before = bytes.clone();
        change(&mut bytes);
        assert!(bytes != before, "a change that changes nothing shows nothing");
        self.write(name, &bytes);
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// Every file but writer.pid, which is a note for messages.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        for folder in ["", "segments", "quarantine"] {
            let Ok(entries) = fs::read_dir(self.path().join(folder)) else { continue };
            for path in entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()) {
                let name = path.strip_prefix(self.path()).expect("it is below").to_owned();
                files.insert(name, fs::read(&path).expect("a file"));
            }
        }
        files.remove(Path::new("writer.pid"));
        files
    }

    /// How opening fails, twice, with every file as it was.
    fn refusal(&self) -> Error {
        let before = self.files();
        let refuse = || {
            let opened = EventStore::open_with(self.path(), Options::new().creation(Creation::Never));
            // What was made of the whole segments before the damage is no part of the truth.
            self.remove_indexes();
            let after = self.files();
            assert!(
                before.keys().eq(after.keys()),
                "a store that is refused is left alone: {:?}",
                after.keys()
            );
            for (name, bytes) in after {
                assert!(before[&name] == bytes, "{} of a store that was refused is changed", name.display());
            }
            opened.expect_err("this store must be refused")
        };
        let first = refuse();
        assert_eq!(first.to_string(), refuse().to_string(), "the second opening says the same");
        first
    }

    #[track_caller]
    fn is_corrupt(&self, file: &str, reason_part: &str) {
        match self.refusal() {
            Error::Corrupt { path, reason, .. } => {
                assert_eq!(path, self.path().join(file), "{reason}");
                assert!(reason.contains(reason_part), "{reason}");
            }
            other => panic!("corruption was expected: {other}"),
        }
    }

    /// Also for a follower, in the same words.
    #[track_caller]
    fn is_corrupt_for_all(&self, file: &str, reason_part: &str) {
        self.is_corrupt(file, reason_part);
        let followed = Follower::open(self.path()).expect_err("a follower refuses it as well");
        assert_eq!(followed.to_string(), self.refusal().to_string());
    }

    #[track_caller]
    fn is_newer(&self, file: &str) {
        match self.refusal() {
            Error::NewerFormat { path, found: 2, supported: 1 } => assert_eq!(path, self.path().join(file)),
            other => panic!("a newer format was expected: {other}"),
        }
    }
}

#[test]
fn a_newer_format_version_is_refused_wherever_it_stands__F26() {
    for (file, checked_end) in [("store.meta", 44), (SEGMENT_1, 512), ("durable.mark", 44)] {
        let closed = Closed::new(Durability::Fsync);
        closed.change(file, |bytes| {
            // durable.mark has two slots, and one of them may be empty.
            for slot in [0, 512] {
                if slot == 0 || file == "durable.mark" && bytes[slot] != 0 {
                    put_u16(&mut bytes[slot..], 12, 2);
                    fix_checksum_at_8(&mut bytes[slot..], checked_end);
                }
            }
        });
        closed.is_newer(file);
    }
}

#[test]
fn an_unknown_flag_of_a_file_counts_as_a_newer_version__F26() {
    for (file, checked_end) in [("store.meta", 44), (SEGMENT_1, 512)] {
        let closed = Closed::new(Durability::Fsync);
        closed.change(file, |bytes| {
            put_u16(bytes, 14, 1);
            fix_checksum_at_8(bytes, checked_end);
        });
        closed.is_newer(file);
    }
}

#[test]
fn a_frame_of_an_unknown_kind_is_refused_and_never_cut_off__F26() {
    for durability in [Durability::Fsync, Durability::Buffered] {
        let closed = Closed::new(durability);
        closed.change(SEGMENT_1, |segment| {
            let last = last_frame(segment, DATA);
            segment[last.start + 52] = 9;
            fix_frame(segment, last);
        });
        // Without the mark, only the frame itself can say that it was acknowledged.
        closed.remove("durable.mark");
        closed.is_corrupt(SEGMENT_1, "kind that this version doesn't know");
    }
}

#[test]
fn an_event_with_an_unknown_flag_is_refused_and_never_cut_off__F26() {
    for durability in [Durability::Fsync, Durability::Buffered] {
        let closed = Closed::new(durability);
        closed.change(SEGMENT_1, |segment| {
            let last = last_frame(segment, DATA);
            segment[last.payload() + 32] |= 1 << 5;
            fix_record(segment, last.payload());
            fix_frame(segment, last);
        });
        closed.remove("durable.mark");
        closed.is_corrupt(SEGMENT_1, "flag that this version doesn't know");
    }
}

#[test]
fn a_frame_of_another_store_is_refused__F22() {
    let (closed, other) = (Closed::new(Durability::Fsync), Closed::new(Durability::Fsync));
    let foreign = other.read(SEGMENT_1);
    let last = last_frame(&foreign, DATA);
    closed.change(SEGMENT_1, |segment| {
        assert_eq!(last_frame(segment, DATA), last, "the stores differ in nothing but their ids");
        segment[last.start..last.end].copy_from_slice(&foreign[last.start..last.end]);
    });
    closed.is_corrupt(SEGMENT_1, "from another store");
    closed.remove("durable.mark");
    closed.is_corrupt(SEGMENT_1, "from another store");
}

#[test]
fn a_frame_at_another_offset_is_refused__F22() {
    let closed = Closed::new(Durability::Fsync);
    closed.change(SEGMENT_1, |segment| {
        let last = last_frame(segment, DATA);
        segment.extend_from_within(last.start..last.end);
    });
    closed.is_corrupt(SEGMENT_1, "from another place");
}

#[test]
fn an_event_of_a_version_that_no_stream_can_reach_is_refused__F28() {
    let closed = Closed::new(Durability::Fsync);
    closed.change(SEGMENT_1, |segment| {
        let last = last_frame(segment, DATA);
        segment[last.payload() + 23] |= 1 << 7;
        fix_record(segment, last.payload());
        fix_frame(segment, last);
    });
    closed.is_corrupt_for_all(SEGMENT_1, "an event's version is larger than one can be");
}

#[test]
fn a_frame_that_leaves_one_out_is_refused__F22() {
    let closed = Closed::new(Durability::Fsync);
    closed.change(SEGMENT_1, |segment| {
        let all = frames(segment);
        let (left_out, last) = (all[all.len() - 2], all[all.len() - 1]);
        segment.drain(left_out.start..left_out.end);
        // Even with its place made right, the chain tells.
        let moved = last_frame(segment, DATA);
        put_u32(segment, moved.start + 8, u32::try_from(moved.start).expect("small"));
        fix_frame(segment, moved);
        assert_eq!(moved.end - moved.start, last.end - last.start);
    });
    closed.remove("durable.mark");
    closed.is_corrupt(SEGMENT_1, "doesn't go on from the one before it");
}

/// Two copies of a store go on apart: what one writes stands where the other's would, with the right place, epoch and position.
#[test]
fn a_frame_of_another_history_of_the_store_is_refused__F22() -> Outcome {
    let (closed, other) = (Closed::new(Durability::Fsync), tempfile::tempdir()?);
    let copy = Closed { directory: other };
    fs::create_dir_all(copy.path().join("segments"))?;
    for (name, bytes) in closed.files() {
        fs::write(copy.path().join(name), bytes)?;
    }
    for (history, byte) in [(&closed, b'a'), (&copy, b'b')] {
        let store = EventStore::open(history.path())?;
        for _ in 0..2 {
            let event = EventData::new("Counted", vec![byte; 10]);
            store.append(&stream("count-1"), ExpectedVersion::Any, [event])?;
        }
        store.close()?;
        history.remove_indexes();
    }
    let foreign = copy.read(SEGMENT_1);
    closed.change(SEGMENT_1, |segment| {
        let (own, all) = (frames(segment), frames(&foreign));
        assert_eq!(own, all, "the histories differ in nothing but what was written");
        let first = own[own.len() - 2];
        segment[first.start..first.end].copy_from_slice(&foreign[first.start..first.end]);
    });
    closed.is_corrupt(SEGMENT_1, "frames are missing or damaged that were durable");
    closed.remove("durable.mark");
    closed.is_corrupt(SEGMENT_1, "doesn't go on from the one before it");
    Ok(())
}

#[test]
fn a_missing_segment_is_named__F23() {
    for (missing, file) in [(SEGMENT_1, SEGMENT_1), (SEGMENT_2, SEGMENT_2)] {
        let closed = Closed::of_three_segments();
        closed.remove(missing);
        closed.is_corrupt(file, "missing");
    }
    let closed = Closed::of_three_segments();
    closed.remove(SEGMENT_3);
    closed.is_corrupt(SEGMENT_2, "frames are missing or damaged that were durable");
    let closed = Closed::new(Durability::Fsync);
    closed.remove(SEGMENT_1);
    closed.is_corrupt(SEGMENT_1, "missing");
}

#[test]
fn a_segment_under_another_number_is_named__F23() {
    let closed = Closed::of_three_segments();
    closed.write(SEGMENT_4, &closed.read(SEGMENT_3));
    closed.is_corrupt_for_all(SEGMENT_3, "segment 4 is there");

    let closed = Closed::of_three_segments();
    closed.write(SEGMENT_2, &closed.read(SEGMENT_1));
    closed.is_corrupt_for_all(SEGMENT_2, "another number");

    let closed = Closed::of_three_segments();
    let (one, two) = (closed.read(SEGMENT_1), closed.read(SEGMENT_2));
    closed.write(SEGMENT_1, &two);
    closed.write(SEGMENT_2, &one);
    closed.is_corrupt_for_all(SEGMENT_1, "another number");
}

#[test]
fn a_segment_of_another_store_is_named__F23() {
    let (closed, other) = (Closed::of_three_segments(), Closed::of_three_segments());
    closed.write(SEGMENT_2, &other.read(SEGMENT_2));
    closed.is_corrupt_for_all(SEGMENT_2, "another store");
}

#[test]
fn a_segment_that_does_not_go_on_is_named__F23() {
    for field in [36, 40, 48, 64] {
        let closed = Closed::of_three_segments();
        closed.change(SEGMENT_2, |segment| {
            segment[field] ^= 1;
            fix_checksum_at_8(segment, 512);
        });
        closed.is_corrupt_for_all(SEGMENT_2, "the segment doesn't go on from the one before it");
    }
}

#[test]
fn a_cut_inside_a_frame_that_ends_in_zeros_is_no_damage() -> Outcome {
    let zeros = stream("zeros-1");
    let mut torn = 0;
    for seed in 0..600 {
        let disk = SimDisk::new(seed);
        let open = || {
            let options = Options::new().segment_bytes(32 << 10);
            EventStore::open_on(Arc::new(disk.mount()), "/store", options)
        };
        let store = open()?;
        // The first append of an opening writes behind the file's end, so a cut may leave any length.
        disk.set_short_writes(2);
        disk.cut_at(3 + seed % 4);
        let mut data = vec![0; 20_000];
        data[0] = b'x';
        let outcome = store.append(&zeros, ExpectedVersion::Any, [EventData::new("Zeros", data)]);
        drop(store);
        disk.power_cut();
        let store = open().map_err(|error| format!("seed {seed}: {error}"))?;
        let version = store.stream_version(&zeros)?.get();
        assert!(version == 1 || version == 0 && outcome.is_err(), "seed {seed}: version {version}");
        torn += u32::from(version == 0);
    }
    assert!(torn > 100, "only {torn} of the cuts came before the append's end");
    Ok(())
}

/// A recovery may leave a file that ends behind the log's end, anywhere; frames that come then don't begin there.
#[test]
fn a_file_that_ends_anywhere_inside_of_its_last_frame_is_a_cut__F04() -> Outcome {
    for data_bytes in [10, 200, 700] {
        let closed = Closed::with(Options::new().durability(Durability::Fsync), 2, 10);
        let (path, mark) = (closed.path().join(SEGMENT_1), closed.path().join("durable.mark"));
        let (before, mark_before) = (fs::metadata(&path)?.len(), fs::read(&mark)?);
        let store = EventStore::open(closed.path())?;
        let data = vec![b'x'; data_bytes];
        store.append(
            &stream("count-1"),
            ExpectedVersion::Exact(version(2)),
            [EventData::new("Counted", data)],
        )?;
        store.close()?;
        closed.remove_indexes();
        let whole = fs::read(&path)?;
        for length in (before..whole.len() as u64).filter(|length| matches!(length % 64, 0 | 1 | 8 | 63)) {
            fs::write(&path, &whole[..usize::try_from(length)?])?;
            fs::write(&mark, &mark_before)?;
            let store = EventStore::open(closed.path()).map_err(|error| format!("{length}: {error}"))?;
            let found = store.read_all().count();
            assert!(found == 2 || found == 3, "{length}: {found} events");
            drop(store);
            closed.remove_indexes();
        }
    }
    Ok(())
}

#[test]
fn zeros_that_no_store_has_prepared_are_cut_off_and_not_written() -> Outcome {
    let closed = Closed::new(Durability::Fsync);
    let path = closed.path().join(SEGMENT_1);
    let written = fs::metadata(&path)?.len();
    let prepared_max = 128 << 20;
    fs::OpenOptions::new().write(true).open(&path)?.set_len(written + 2 * prepared_max)?;
    let store = EventStore::open(closed.path())?;
    assert_eq!(store.read_all().count(), 3);
    assert_eq!(fs::metadata(&path)?.len(), written + prepared_max);
    store.close()?;
    assert_eq!(fs::metadata(&path)?.len(), written);
    Ok(())
}
