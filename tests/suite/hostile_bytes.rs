//! Hostile files: the corpus of the fuzz targets (tests/fuzz), and the stores that it began with, given to the same
//! functions as the fuzzer gives them to. docs/testing.md, "Fuzzing", says how the corpus comes to be.
//!
//! `ANNALS_SEEDS=write cargo test --locked --test suite hostile_bytes` puts into tests/fuzz/corpus what the fuzzer
//! began with.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use annals::{
    EventData, EventStore, EventTypeDefinition, ExpectedVersion, Options, Query, SimDisk, StoredEvent,
};

use crate::{
    hostile::{
        backup, control,
        damage::damage,
        directories::{self, Directories},
        directory, frame, index_file,
        mend::Mender,
        packing::pack,
        random::Random,
        recovery, repair, restore,
        saved::{Saved, saved},
        segment, snapshot,
        stores::{Files, STORE, reference},
    },
    support::{Outcome, stream},
};

/// A target: its corpus, what it does with an input, and how an input is made right.
struct Target {
    name: &'static str,
    run: fn(&[u8]),
    mend: fn(&[u8], &Mender) -> Vec<u8>,
    seeds: fn() -> Files,
    /// How many damaged seeds there are beside them.
    damaged: u64,
}

const TARGETS: [Target; 9] = [
    Target { name: "frame", run: frame::run, mend: frame::mend, seeds: frame_seeds, damaged: 0 },
    Target { name: "segment", run: segment::run, mend: segment::mend, seeds: segment_seeds, damaged: 0 },
    Target {
        name: "index_file",
        run: index_file::run,
        mend: index_file::mend,
        seeds: index_seeds,
        damaged: 0,
    },
    Target { name: "snapshot", run: snapshot::run, mend: snapshot::mend, seeds: snapshot_seeds, damaged: 0 },
    Target { name: "control", run: control::run, mend: control::mend, seeds: control_seeds, damaged: 0 },
    Target {
        name: "recovery",
        run: recovery::run,
        mend: directory::mend,
        seeds: directory_seeds,
        damaged: 0,
    },
    Target { name: "repair", run: repair::run, mend: directories::mend, seeds: repair_seeds, damaged: 32 },
    Target { name: "backup", run: backup::run, mend: directories::mend, seeds: backup_seeds, damaged: 32 },
    Target { name: "restore", run: restore::run, mend: directories::mend, seeds: restore_seeds, damaged: 32 },
];

/// The files of each golden store, by names from its directory on, and its name.
fn golden() -> Vec<(String, Files)> {
    let mut stores = Vec::new();
    for entry in fs::read_dir("tests/golden/v1").expect("they are there") {
        let root = entry.expect("a directory").path();
        let (mut files, mut waiting) = (Files::new(), vec![root.clone()]);
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("a name").path();
                if path.is_dir() {
                    waiting.push(path);
                } else if path.extension() != Some("jsonl".as_ref()) {
                    let name = path.strip_prefix(&root).expect("below it").display().to_string();
                    files.push((name, fs::read(path).expect("a file")));
                }
            }
        }
        files.sort();
        stores.push((root.file_name().expect("a name").display().to_string(), files));
    }
    stores.sort();
    stores
}

/// The reference's files, and its name.
fn reference_files() -> (String, Files) {
    let disk = &reference().disk;
    let name = |path: &PathBuf| path.strip_prefix(STORE).expect("below it").display().to_string();
    let content = |path: PathBuf| (name(&path), disk.read_file(&path).expect("it is listed"));
    ("reference".to_owned(), disk.files().into_iter().map(content).collect())
}

/// Golden files with an ending, and the reference's; named after their stores.
fn files_with(ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for (store, files) in golden().into_iter().chain([reference_files()]) {
        for (index, (name, content)) in files.into_iter().enumerate() {
            if name.ends_with(ending) {
                found.push((format!("{store}-{index}"), content));
            }
        }
    }
    found
}

fn mended(files: Files, mend: fn(&[u8], &Mender) -> Vec<u8>) -> Files {
    files.into_iter().map(|(name, content)| (name, mend(&content, &Mender::all()))).collect()
}

fn frame_seeds() -> Files {
    let behind_header = |(name, content): (String, Vec<u8>)| (name, content[512..].to_vec());
    mended(files_with(".log").into_iter().map(behind_header).collect(), frame::mend)
}

fn segment_seeds() -> Files {
    mended(files_with(".log"), segment::mend)
}

fn index_seeds() -> Files {
    let files = files_with(".idx").into_iter().chain(files_with("streams.dir"));
    files.map(|(name, content)| (name, pack(&content))).collect()
}

fn snapshot_seeds() -> Files {
    mended(files_with(".snap"), snapshot::mend)
}

/// The events of the store's own streams, as they are when a program has used it.
fn system_events() -> Vec<StoredEvent> {
    let store = EventStore::open_on(Arc::new(SimDisk::new(1)), STORE, Options::new()).expect("a new store");
    store
        .append(&stream("order-1"), ExpectedVersion::Any, [EventData::new("Placed", "{}")])
        .expect("an append");
    let event = store.read_all().next().expect("an event").expect("readable");
    store.save_checkpoint("orders", event.cursor()).expect("a checkpoint");
    let schema = serde_json::json!({"type": "object", "properties": {"n": {"type": "integer"}}});
    let definition = EventTypeDefinition::new("Placed").with_schema(schema);
    store.register_event_type(definition).expect("a definition");
    let query = Query::all().including_system();
    let events = store.read(query).collect::<Result<Vec<_>, _>>().expect("a whole store");
    events.into_iter().filter(|event| event.stream.is_system()).collect()
}

fn control_seeds() -> Files {
    let mut seeds = Files::new();
    let mut add = |first: u8, name: &str, content: &[u8]| {
        seeds.push((name.to_owned(), [&[first], content].concat()));
    };
    add(0, "meta", &files_with("store.meta")[0].1);
    add(1, "mark", &files_with("durable.mark")[0].1);
    add(2, "head", &[0; 128]);
    add(3, "writer", b"process 4711 (shop)\n");
    for event in system_events() {
        let first = if event.stream.as_str().starts_with("$checkpoint") { 4 } else { 5 };
        add(first, &format!("system-{}", event.position), &event.data);
    }
    add(6, "started", br#"{"cursor":"store"}"#);
    add(7, "reset", b"{}");
    let skipped = br#"{"position":1,"part":0,"stream":"order-1","version":1,"id":"a","type":"Placed","error":"no","tries":3}"#;
    add(8, "skipped", skipped);
    add(9, "cleared", b"{}");
    let manifest =
        saved().backup.iter().find(|(name, _)| name == "backup.manifest").expect("a backup has one");
    let report = r#"{"repair":1,"kept":8,"cutFrom":9,"eventsLost":null,"eventsSetAside":2,"streamsSetAside":1,"eventsRestored":0,"backup":"saved","unfinished":[3]}"#;
    seeds.push(("manifest".to_owned(), [&[10], &manifest.1[..]].concat()));
    seeds.push(("report".to_owned(), [&[11], report.as_bytes()].concat()));
    mended(seeds, control::mend)
}

fn directory_seeds() -> Files {
    let stores = golden().into_iter().chain([reference_files()]);
    let packed = |(name, files): (String, Files)| (name, directory::of_files(&files));
    mended(stores.map(packed).collect(), directory::mend)
}

/// Modes in which a store is repaired: without a backup, with that of the input, a right one, one that has parted; and the
/// same where no loss is accepted.
const REPAIRS: [u8; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Modes in which a backup is made: of the input into the input, of what is whole, into what is free, without links, with
/// everything checked, and upon a backup that is whole.
const BACKUPS: [u8; 9] = [0, 1, 2, 5, 8, 9, 13, 24, 25];

/// Modes in which a store is restored: all of it, as of a time, as of a position; to where a store is, which is in the way
/// or set aside.
const RESTORES: [u8; 7] = [0, 1, 2, 8, 12, 13, 14];

fn repair_seeds() -> Files {
    of_two(&REPAIRS, |saved| (&saved.store, &saved.backup))
}

fn backup_seeds() -> Files {
    let mut seeds = of_two(&BACKUPS, |saved| (&saved.store, &saved.backup));
    seeds.extend(
        of_two(&[0, 1], |saved| (&saved.store, &saved.parted))
            .into_iter()
            .map(|(name, seed)| (format!("parted-{name}"), seed)),
    );
    seeds
}

fn restore_seeds() -> Files {
    of_two(&RESTORES, |saved| (&saved.store, &saved.backup))
}

/// A store and a backup that are whole, in each mode.
fn of_two(modes: &[u8], files: fn(&Saved) -> (&Files, &Files)) -> Files {
    let (store, backup) = files(saved());
    let packed = modes.iter().map(|mode| {
        let input = Directories { moment: 6, ..Directories::of_files(*mode, store, backup) };
        (format!("mode-{mode}"), input.pack())
    });
    mended(packed.collect(), directories::mend)
}

/// The same with some of the files damaged.
fn damaged(target: &Target) -> Files {
    let seeds = (target.seeds)();
    let mut damaged = Files::new();
    for (number, (name, seed)) in (0..target.damaged).zip(seeds.iter().cycle()) {
        let (mut input, mut random) = (Directories::unpack(seed), Random::new(number));
        input.moment = random.byte() % 16;
        for _ in 0..=number % 2 {
            damage(&mut input.files, &mut random);
        }
        damaged.push((format!("damaged-{number}-{name}"), input.pack()));
    }
    damaged
}

#[test]
fn seeds_are_written_where_they_are_asked_for() -> Outcome {
    if env::var_os("ANNALS_SEEDS").is_none() {
        return Ok(());
    }
    for target in TARGETS {
        let directory = Path::new("tests/fuzz/corpus").join(target.name);
        fs::create_dir_all(&directory)?;
        for (name, content) in (target.seeds)().into_iter().chain(damaged(&target)) {
            fs::write(directory.join(format!("seed-{name}")), content)?;
        }
    }
    Ok(())
}

/// Else what the fuzzer finds would be found behind wrong checksums alone.
#[test]
fn what_is_whole_stays_as_it_is_when_it_is_mended() {
    for target in TARGETS {
        for (name, seed) in (target.seeds)() {
            assert_eq!((target.mend)(&seed, &Mender::all()), seed, "{}: {name}", target.name);
        }
    }
}

#[test]
fn stores_that_are_whole_survive_everything_that_is_done_to_hostile_ones() {
    for target in TARGETS {
        for (_, seed) in (target.seeds)() {
            (target.run)(&seed);
        }
    }
}

#[test]
fn hostile_files_are_refused_or_read_and_nothing_else__F27_F28() -> Outcome {
    for target in TARGETS {
        let mut count = 0;
        for entry in fs::read_dir(Path::new("tests/fuzz/corpus").join(target.name))? {
            (target.run)(&fs::read(entry?.path())?);
            count += 1;
        }
        assert!(count > 0, "{} has a corpus", target.name);
    }
    Ok(())
}
