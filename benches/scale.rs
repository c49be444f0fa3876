//! How opening, memory and reading hold as a store grows.
//!
//! ```text
//! cargo bench --bench scale -- [--events N] [--streams N] [--compare N] [--compare-streams N] [--batch N]
//!     [--given-ids] [--segment-bytes N] [--scattered-segment-bytes N] [--scattered-segments N]
//!     [--rounds N] [--seed N] [--directory DIR] [--keep] [--short]
//! cargo bench --bench scale -- --growth N,N,N [--batch N] [--given-ids] [--segment-bytes N] [--rounds N] [--seed N]
//!     [--directory DIR] [--keep] [--short]
//! ```
//!
//! Makes a store of `--events` events in `--streams` streams (and one of `--compare` events beside it), and
//! measures what it takes to open it and to read one stream, which is chosen anew in each round. Events have
//! 200 bytes of JSON data, 57 of metadata and a stream name of 14 bytes; they are appended `--batch` at a
//! time, `Durability::Buffered`, each append naming the version that it expects.
//!
//! - *after a close*: the maker has closed the store.
//! - *after kill -9*: the maker has appended on, until a segment that it began itself is nearly full, has
//!   waited until everything was acknowledged, and was killed. Each round opens a copy of that state, whose
//!   sealed segments are links to the same files.
//! - *warm*: every file of the store was read whole before, *cold*: the page cache was asked to forget them.
//!   What stays warm are directories, and what the disk itself remembers.
//! - *scattered*: a stream with some 10 events in each of at least `--scattered-segments` segments, in a
//!   store of its own. Cold here also means forgotten again between the opening and the read.
//!
//! Every figure is a median of the rounds. Each opening runs in a process of its own, so that memory is its
//! own, and in a round the stores take turns, so that a noisy moment meets both. Every read is checked: the
//! count of the events, their versions, their positions, and that their data name these positions.
//!
//! `--growth` makes closed stores of so many events instead, in streams of 100 on average, and compares them in one
//! table, everything warm. Each measurement has a process of its own, and the stores take turns.
//!
//! - *append*: goes on in a copy of the store. First as it was filled, `--batch` events an append and 4,096 appends
//!   on their way, for as much as a segment takes; then a lone caller waits for each append of one event. Making the
//!   events isn't timed.
//! - *read streams of a window*: half of the streams have all their events within as many events as the smallest store
//!   has. So they are as scattered in a large store as in a small one, and what they cost more is the store's growth.
//! - *read streams over all*: the other half have their events over the whole log, in ever more segments.
//!   Before both are read at random all streams are read once, and each event is checked.

use std::{
    error::Error,
    io::{self, Write},
    path::Path,
};

use crate::{
    job::Job,
    make::{End, Make},
    probe::{Dropping, Probe, Probed},
    report::{Figures, Row},
    settings::Settings,
    store::Bench,
    work::Work,
};

#[path = "scale/appends.rs"]
mod appends;
#[path = "scale/cache.rs"]
mod cache;
#[path = "support/child.rs"]
mod child;
#[path = "support/files.rs"]
mod files;
#[path = "scale/growth.rs"]
mod growth;
#[path = "support/in_flight.rs"]
mod in_flight;
#[path = "scale/job.rs"]
mod job;
#[path = "scale/make.rs"]
mod make;
#[path = "support/median.rs"]
mod median;
#[path = "../src/bin/annals/bench/mix.rs"]
mod mix;
#[path = "support/options.rs"]
mod options;
#[path = "support/own_memory.rs"]
mod own_memory;
#[path = "scale/probe.rs"]
mod probe;
#[path = "support/rate.rs"]
mod rate;
#[path = "scale/reads.rs"]
mod reads;
#[path = "scale/report.rs"]
mod report;
#[path = "scale/settings.rs"]
mod settings;
#[path = "scale/store.rs"]
mod store;
#[path = "scale/work.rs"]
mod work;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    if let Some(job) = child::given::<Job>()? {
        return job.run();
    }
    let settings = Settings::given()?;
    std::fs::create_dir_all(&settings.directory)?;
    let mut directory = tempfile::Builder::new().prefix("scale-").tempdir_in(&settings.directory)?;
    directory.disable_cleanup(settings.keep);
    let mut output = io::stdout().lock();
    writeln!(output, "{}", settings.command())?;
    if !settings.growth.is_empty() {
        growth::run(&mut output, directory.path(), &settings)?;
        return kept(&mut output, directory.path(), &settings);
    }
    let mut stores = vec![Bench::make(&directory.path().join("store"), settings.work(), End::Close)?];
    if let Some(work) = settings.compared_work() {
        stores.push(Bench::make(&directory.path().join("compared"), work, End::Close)?);
    }
    report::sizes(&mut output, &stores)?;
    report::heading(&mut output, &stores)?;
    openings(&mut output, "after a close", &mut stores, &settings)?;
    for store in &mut stores {
        store.go_on_until_killed()?;
    }
    openings(&mut output, "after kill -9", &mut stores, &settings)?;
    scattered(&mut output, &directory.path().join("scattered"), &settings)?;
    kept(&mut output, directory.path(), &settings)
}

fn kept(output: &mut impl Write, directory: &Path, settings: &Settings) -> Outcome<()> {
    if settings.keep {
        writeln!(output, "\nkept: {}", directory.display())?;
    }
    Ok(())
}

/// The rows of one state of the stores: warm, and cold where the page cache can be told to forget.
fn openings(output: &mut impl Write, state: &str, stores: &mut [Bench], settings: &Settings) -> Outcome<()> {
    for store in stores.iter() {
        files::warm(store.path())?;
    }
    let warm = rounds(stores, settings, Dropping::Nothing)?;
    report::row(output, &Row { name: format!("{state}, warm"), figures: warm }, stores)?;
    let name = format!("{state}, cold");
    if !cache::can_forget(stores[0].path())? {
        return report::skipped(output, &name);
    }
    let cold = rounds(stores, settings, Dropping::BeforeOpening)?;
    report::row(output, &Row { name, figures: cold }, stores)
}

/// The medians of each store, in a row's order.
fn rounds(stores: &mut [Bench], settings: &Settings, dropping: Dropping) -> Outcome<Vec<Figures>> {
    let mut probed = vec![Vec::new(); stores.len()];
    for round in 0..settings.rounds {
        for (store, probed) in stores.iter_mut().zip(&mut probed) {
            let stream = store.stream_by_chance(round);
            probed.push(store.probe(stream, dropping)?);
        }
    }
    Ok(stores.iter().zip(&probed).map(|(store, probed)| figures(&store.work, probed)).collect())
}

fn figures(work: &Work, probed: &[Probed]) -> Figures {
    Figures::median(probed, 8_000_000 + 64 * work.streams)
}

/// A stream that has events in many segments: warm and cold.
fn scattered(output: &mut impl Write, directory: &Path, settings: &Settings) -> Outcome<()> {
    let work = settings.scattered_work();
    let mut store = Bench::make(directory, work, End::Close)?;
    let stream = store.work.scattered_stream();
    report::scattered_heading(output, &store)?;
    files::warm(store.path())?;
    for (name, dropping) in [("warm", Dropping::Nothing), ("cold", Dropping::BeforeOpeningAndReading)] {
        if dropping != Dropping::Nothing && !cache::can_forget(store.path())? {
            report::skipped(output, name)?;
            continue;
        }
        let probed: Vec<Probed> =
            (0..settings.rounds).map(|_| store.probe(stream, dropping)).collect::<Outcome<_>>()?;
        report::scattered_row(output, name, &figures(&store.work, &probed), store.segments)?;
    }
    Ok(())
}
