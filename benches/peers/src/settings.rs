//! What was asked for on the command line.

use std::{env, path::PathBuf};

use crate::{
    Outcome,
    engines::Kind,
    job::Size,
    rows::{ROWS, Row},
};

pub(crate) struct Settings {
    pub(crate) engines: Vec<Kind>,
    pub(crate) rows: Vec<&'static Row>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) directory: PathBuf,
    pub(crate) size: Size,
    /// What the appends of many events write at least.
    pub(crate) bytes_min: u64,
    pub(crate) format: Format,
    pub(crate) counts_syncs: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

impl Settings {
    pub(crate) fn given() -> Outcome<Self> {
        let mut settings = Self {
            engines: Kind::ALL.to_vec(),
            rows: ROWS.iter().collect(),
            rounds: 5,
            seconds: 2.0,
            directory: PathBuf::from("target/annals-peers"),
            size: Size { streams: 5_000, events_a_stream: 100 },
            bytes_min: 60 << 20,
            format: Format::Text,
            counts_syncs: false,
        };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--engines" => settings.engines = engines(&value()?)?,
                "--rows" => settings.rows = rows(&value()?)?,
                "--rounds" => settings.rounds = value()?.parse()?,
                "--seconds" => settings.seconds = value()?.parse()?,
                "--directory" => settings.directory = value()?.into(),
                "--short" => settings.shorten(),
                "--syncs" => settings.counts_syncs = true,
                "--format" => settings.format = format(&value()?)?,
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        if settings.rounds == 0 {
            return Err("--rounds must be at least 1".into());
        }
        Ok(settings)
    }

    fn shorten(&mut self) {
        self.rounds = 1;
        self.seconds = 0.1;
        self.size = Size { streams: 50, events_a_stream: 100 };
        self.bytes_min = 0;
    }
}

fn engines(names: &str) -> Outcome<Vec<Kind>> {
    let find = |name: &str| Kind::ALL.iter().copied().find(|engine| engine.name() == name.trim());
    names.split(',').map(|name| find(name).ok_or_else(|| format!("no engine {name}").into())).collect()
}

fn rows(pattern: &str) -> Outcome<Vec<&'static Row>> {
    let is_wanted = |row: &&Row| pattern.split('|').any(|part| row.name.contains(part));
    let rows: Vec<_> = ROWS.iter().filter(is_wanted).collect();
    if rows.is_empty() { Err(format!("no row contains {pattern}").into()) } else { Ok(rows) }
}

fn format(name: &str) -> Outcome<Format> {
    match name {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        other => Err(format!("no format {other}").into()),
    }
}
