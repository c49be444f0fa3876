//! Opening a store and reading one of its streams: after it was closed, and after a writer that ended without closing it.
//!
//! The writer that ends like that is this program, started again: it appends until a segment that it has begun itself is
//! nearly full, which is what leaves most to do, and exits with the store open. Each opening gets a copy of what it left,
//! since opening mends it. Segments before the last are linked, because nothing changes them.

#![allow(clippy::disallowed_methods, reason = "a copy is brought to the disk before it is opened")]

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    time::Instant,
};

use annals::{Creation, EventStore};
use anyhow::{Context, bail};

use crate::{
    bench::{
        filled::{Filled, Filling, SEGMENT_BYTES},
        measure::{Measured, Part, Stretch},
        report::Row,
        scratch::Scratch,
        session::Session,
        work::{self, Random, Work},
    },
    bench_arguments::{BenchArguments, Workload},
    output::Output,
};

/// A segment counts as nearly full from this share on, in sixteenths.
const FULL_SIXTEENTHS: u64 = 15;

/// How often a writer looks how full a segment is, while it fills one.
const LOOKS_A_SEGMENT: u64 = 64;

/// How often an abandoned store is opened at least, however long its copying takes.
const OPENINGS_MIN: u64 = 3;

pub(crate) fn measure(session: &mut Session<'_>) -> anyhow::Result<()> {
    let row = Row::new(Workload::Open, "open, read a stream").variant("after a close");
    session.begin(&row);
    let filled = session.filled()?;
    let stretches = session.stretches(1);
    let mut choice = Random::new(1);
    let mut run = |stretch: Stretch| {
        let mut part = Part::begin()?;
        while part.latencies.count() == 0 || part.begun.elapsed() < stretch.duration {
            session.stop.check()?;
            open_and_read(&filled, &session.work, choice.below(filled.streams), &mut part)?;
        }
        Ok::<Part, anyhow::Error>(part)
    };
    run(stretches.warm_up)?;
    let mut measured = Measured::nothing()?;
    measured.add(&[run(stretches.measured)?])?;
    session.report(&row.streams(filled.streams).measured(measured))?;
    measure_abandoned(session, filled)
}

fn measure_abandoned(session: &mut Session<'_>, mut filled: Filled) -> anyhow::Result<()> {
    let row = Row::new(Workload::Open, "open, read a stream").variant("after an abandoned writer");
    session.begin(&row);
    let abandoned = start_writer(&filled, session.arguments);
    // Ctrl-C ends that process too.
    session.stop.check()?;
    filled.events = abandoned?;
    session.grown(&filled);
    let copy = Filled { path: filled.path.with_extension("copy"), ..filled.clone() };
    let mut choice = Random::new(2);
    let mut part = Part::begin()?;
    while part.latencies.count() < OPENINGS_MIN || part.begun.elapsed() < session.arguments.duration {
        session.stop.check()?;
        copy_store(&filled.path, &copy.path)?;
        open_and_read(&copy, &session.work, choice.below(copy.streams), &mut part)?;
        if part.latencies.count() == 1 {
            let store = copy.open(Creation::Never)?;
            copy.check(&store, &session.work, &session.stop)?;
            store.close()?;
        }
        fs::remove_dir_all(&copy.path)?;
    }
    let mut measured = Measured::nothing()?;
    measured.add(&[part])?;
    session.report(&row.streams(filled.streams).measured(measured))
}

/// Opens the store and reads a stream, which is measured; then the store must have all its events, and is closed.
fn open_and_read(filled: &Filled, work: &Work, stream: u64, part: &mut Part) -> anyhow::Result<()> {
    let begun = Instant::now();
    let store = filled.open(Creation::Never)?;
    let events = filled.read_stream(&store, stream, work)?;
    let ended = Instant::now();
    part.add(ended, events, ended - begun);
    let (found, wanted) = (store.last_position().get(), filled.events);
    if found != wanted {
        bail!("{wanted} events were acknowledged, and {found} are there after opening");
    }
    Ok(store.close()?)
}

/// Starts this program as a writer that ends without closing its store. Returns how many events that has then.
fn start_writer(filled: &Filled, arguments: &BenchArguments) -> anyhow::Result<u64> {
    let output = Command::new(env::current_exe().context("this program can't find itself")?)
        .args(["bench", "--abandon"])
        .arg(&filled.path)
        .args(["--events", &filled.events.to_string()])
        .args(["--streams", &filled.streams.to_string()])
        .args(["--payload", &arguments.payload.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("can't start this program again")?;
    let told = String::from_utf8_lossy(&output.stdout);
    match told.trim().parse() {
        Ok(events) if output.status.success() => Ok(events),
        _ => bail!("the writer that was to leave the store open ended with {}", output.status),
    }
}

/// Appends to a store of the process that started this one, and ends without closing it.
pub(crate) fn abandon(path: &Path, arguments: &BenchArguments) -> anyhow::Result<()> {
    if !Scratch::is_of_parent_process(path) {
        bail!("--abandon is for annals bench itself, which leaves a store of its own open with it");
    }
    let work = Work::new(arguments.payload)?;
    let (streams, events) = (arguments.streams_read(), arguments.events);
    let filled = Filled { path: path.to_owned(), streams, events };
    let store = filled.open(Creation::Never)?;
    let events = fill_a_segment(&store, &filled, &work)?;
    let mut output = Output::new();
    output.line(format_args!("{events}"))?;
    output.flush()?;
    // Nothing is dropped, so nothing is closed.
    process::exit(0)
}

/// Appends until a segment that was begun here is nearly full.
fn fill_a_segment(store: &EventStore, filled: &Filled, work: &Work) -> anyhow::Result<u64> {
    let mut filling = Filling::new(store, filled, work)?;
    let step = (SEGMENT_BYTES / LOOKS_A_SEGMENT / work::log_bytes(work.event_bytes())).max(1);
    let (segments_before, mut begun) = (store.info()?.segments, None);
    loop {
        for _ in 0..step {
            filling.append()?;
        }
        filling.wait_for_all()?;
        let info = store.info()?;
        if info.segments > segments_before && begun.is_none() {
            begun = Some(info.log_bytes);
        }
        if begun.is_some_and(|begun| info.log_bytes - begun > SEGMENT_BYTES / 16 * FULL_SIXTEENTHS) {
            return filling.finish();
        }
    }
}

/// The same files in another directory, brought to the disk.
fn copy_store(from: &Path, to: &Path) -> anyhow::Result<()> {
    let files = files_below(from)?;
    let newest = files.iter().filter_map(|file| segment_of(file)).max().context("a store has a segment")?;
    for file in &files {
        let copy = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(copy.parent().context("a copy is below a directory")?)?;
        let is_sealed = segment_of(file).is_some_and(|segment| segment < newest);
        // Not every file system has links.
        if !(is_sealed && fs::hard_link(file, &copy).is_ok()) {
            fs::copy(file, &copy)?;
            File::open(&copy)?.sync_all()?;
        }
    }
    Ok(())
}

/// The number of the segment whose log or index a file is.
fn segment_of(file: &Path) -> Option<u64> {
    let is_in_segments = file.parent().is_some_and(|parent| parent.ends_with("segments"));
    file.file_stem()?.to_str()?.parse().ok().filter(|_| is_in_segments)
}

fn files_below(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let (mut files, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut waiting } else { &mut files };
            list.push(entry.path());
        }
    }
    Ok(files)
}
