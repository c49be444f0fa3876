//! Runs the workloads: what makes stores once, the others round by round.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use tempfile::TempDir;

use crate::{
    Outcome, disk,
    engines::{Durability, Kind},
    figures::Figures,
    job::{Extent, Job},
    rows::{Goal, Row},
    settings::Settings,
    table,
    workload::Work,
};

/// The figures of each round.
pub(crate) type Results = BTreeMap<(Work, Kind), Vec<Figures>>;

pub(crate) fn run(settings: &Settings) -> Outcome<()> {
    let directory = tempfile::Builder::new().prefix("peers-").tempdir_in(&settings.directory)?;
    let mut run = Run { settings, directory, results: Results::new() };
    let works = works(&settings.rows);
    let (made, repeated): (Vec<Work>, Vec<Work>) =
        works.into_iter().partition(|work| matches!(work, Work::Make { .. } | Work::MakeKilled));
    for work in made {
        run.make(work)?;
    }
    for round in 0..settings.rounds {
        for work in &repeated {
            run.round(*work, round)?;
        }
    }
    table::print(settings, &run.results)
}

/// What the rows ask for, in their order; what makes stores stands before what reads them.
fn works(rows: &[&Row]) -> Vec<Work> {
    let mut works = Vec::new();
    for row in rows {
        let other = match row.goal {
            Goal::TimesBestAt(_, other) | Goal::TimesOwn(_, other) => Some(other),
            _ => None,
        };
        works.extend(row.work.made_by().into_iter().chain(other).chain([row.work]));
    }
    let mut seen = BTreeSet::new();
    works.retain(|work| seen.insert(*work));
    works
}

struct Run<'a> {
    settings: &'a Settings,
    directory: TempDir,
    results: Results,
}

impl Run<'_> {
    /// Makes the stores of all engines. They stay if they are read.
    fn make(&mut self, work: Work) -> Outcome<()> {
        for engine in self.engines_for(work) {
            let directory = self.made(work, engine);
            fs::create_dir_all(directory.parent().ok_or("a store has a directory above it")?)?;
            self.start(work, engine, directory.clone())?;
            if !self.settings.rows.iter().any(|row| row.work.made_by() == Some(work)) {
                fs::remove_dir_all(directory)?;
            }
        }
        Ok(())
    }

    /// One round of a row. Each round begins with another engine, so that none always follows the same.
    fn round(&mut self, work: Work, round: usize) -> Outcome<()> {
        let mut engines = self.engines_for(work);
        let count = engines.len().max(1);
        engines.rotate_left(round % count);
        for engine in engines {
            let scratch = self.directory.path().join("scratch");
            let directory = match work.made_by() {
                // What a process left that was killed is mended by who opens it.
                Some(made_by) if work == Work::OpenKilled => {
                    disk::copy(&self.made(made_by, engine), &scratch)?;
                    scratch.clone()
                }
                Some(made_by) => self.made(made_by, engine),
                None => scratch.clone(),
            };
            self.start(work, engine, directory)?;
            if scratch.exists() {
                fs::remove_dir_all(scratch)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, work: Work, engine: Kind, directory: PathBuf) -> Outcome<()> {
        let is_large = matches!(work, Work::Append { durability: Durability::Buffered, batch: 2.., .. });
        let bytes_min = if is_large { self.settings.bytes_min } else { 0 };
        let extent = Extent::Seconds { seconds: self.settings.seconds, bytes_min };
        let job = Job { engine, work, directory, size: self.settings.size, extent };
        let begun = Instant::now();
        let figures = job.start()?;
        let mut messages = io::stderr().lock();
        writeln!(messages, "{:>7.1} s  {:<8}{work:?}", begun.elapsed().as_secs_f64(), engine.name())?;
        self.results.entry((work, engine)).or_default().push(figures);
        Ok(())
    }

    fn engines_for(&self, work: Work) -> Vec<Kind> {
        self.settings.engines.iter().copied().filter(|engine| work.is_for(*engine)).collect()
    }

    /// Where an engine's store is that a work makes.
    fn made(&self, work: Work, engine: Kind) -> PathBuf {
        let name = match work {
            Work::Make { batch } => format!("made-{batch}-an-append"),
            _ => "made-and-killed".to_owned(),
        };
        self.directory.path().join(name).join(Path::new(engine.name()))
    }
}
