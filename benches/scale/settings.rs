//! What the command line asks for.

use std::path::PathBuf;

use crate::{
    Outcome,
    options::{self, CommandLine},
    work::{EVENT_BYTES, Layout, Work},
};

/// How many events the scattered stream has in a segment, about.
const SCATTERED_EVENTS_A_SEGMENT: u64 = 10;

pub(crate) struct Settings {
    events: u64,
    streams: u64,
    compare: Option<u64>,
    compare_streams: Option<u64>,
    pub(crate) growth: Vec<u64>,
    batch: u64,
    given_ids: bool,
    segment_bytes: u64,
    scattered_segment_bytes: u64,
    scattered_segments: u64,
    pub(crate) rounds: u64,
    seed: u64,
    pub(crate) directory: PathBuf,
    pub(crate) keep: bool,
}

impl Settings {
    /// What was asked for, and otherwise something small.
    pub(crate) fn given() -> Outcome<Self> {
        let mut line = CommandLine::given();
        let mut settings = Self {
            events: 200_000,
            streams: 10_000,
            compare: None,
            compare_streams: None,
            growth: Vec::new(),
            batch: 10,
            given_ids: false,
            segment_bytes: 64 << 20,
            scattered_segment_bytes: 1 << 20,
            scattered_segments: 100,
            rounds: 7,
            seed: 1,
            directory: options::directory(),
            keep: false,
        };
        if line.is_short {
            settings = settings.shortened();
        }
        while let Some(option) = line.next() {
            match option.as_str() {
                "--events" => settings.events = line.value()?,
                "--streams" => settings.streams = line.value()?,
                "--compare" => settings.compare = Some(line.value()?),
                "--compare-streams" => settings.compare_streams = Some(line.value()?),
                "--growth" => {
                    let sizes: String = line.value()?;
                    settings.growth = sizes.split(',').map(str::parse).collect::<Result<_, _>>()?;
                }
                "--batch" => settings.batch = line.value()?,
                "--given-ids" => settings.given_ids = true,
                "--segment-bytes" => settings.segment_bytes = line.value()?,
                "--scattered-segment-bytes" => settings.scattered_segment_bytes = line.value()?,
                "--scattered-segments" => settings.scattered_segments = line.value()?,
                "--rounds" => settings.rounds = line.value()?,
                "--seed" => settings.seed = line.value()?,
                "--directory" => settings.directory = line.value()?,
                "--keep" => settings.keep = true,
                _ => return line.unknown(),
            }
        }
        let counts = [settings.events, settings.streams, settings.batch, settings.rounds];
        if counts.contains(&0) {
            return Err("--events, --streams, --batch and --rounds are at least 1".into());
        }
        let windows = settings.growth.first().map(|events| events / settings.batch);
        if windows.is_some_and(|appends| appends < 200) || !settings.growth.is_sorted() {
            return Err("--growth takes ascending numbers of events, from 200 times --batch on".into());
        }
        Ok(settings)
    }

    /// Tiny sizes.
    fn shortened(self) -> Self {
        Self {
            events: 2_000,
            streams: 100,
            compare: Some(1_000),
            segment_bytes: 1 << 20,
            scattered_segment_bytes: 64 << 10,
            scattered_segments: 5,
            rounds: 1,
            ..self
        }
    }

    pub(crate) fn work(&self) -> Work {
        Work {
            events: self.events,
            streams: self.streams,
            batch: self.batch,
            given_ids: self.given_ids,
            segment_bytes: self.segment_bytes,
            segments_min: 1,
            layout: Layout::Random,
            seed: self.seed,
        }
    }

    /// The smaller store beside it.
    pub(crate) fn compared_work(&self) -> Option<Work> {
        let streams = self.compare_streams.unwrap_or(self.streams);
        self.compare.map(|events| Work { events, streams, ..self.work() })
    }

    /// The store of the scattered stream: one event an append, so that its events are in many places.
    pub(crate) fn scattered_work(&self) -> Work {
        let events_a_segment = self.scattered_segment_bytes / EVENT_BYTES;
        Work {
            events: 1,
            streams: self.streams.min(10_000),
            batch: 1,
            segment_bytes: self.scattered_segment_bytes,
            segments_min: self.scattered_segments,
            layout: Layout::Scattered { every: (events_a_segment / SCATTERED_EVENTS_A_SEGMENT).max(1) },
            ..self.work()
        }
    }

    /// The stores of the growth table, if it was asked for: streams of 100 events on average, half of them over the
    /// whole log, half within as many events as the smallest store has.
    pub(crate) fn growth_works(&self) -> Vec<Work> {
        let works = self.growth.iter().map(|events| {
            let window = self.growth[0];
            let layout = Layout::Windows { appends: window / self.batch, streams: window / 200 };
            Work { events: *events, streams: events / 200, layout, ..self.work() }
        });
        works.collect()
    }

    /// The command that measures the same again.
    pub(crate) fn command(&self) -> String {
        if !self.growth.is_empty() {
            let growth: Vec<String> = self.growth.iter().map(u64::to_string).collect();
            return format!(
                "cargo bench --bench scale -- --growth {} --batch {} --segment-bytes {} --rounds {} --seed {}{}",
                growth.join(","),
                self.batch,
                self.segment_bytes,
                self.rounds,
                self.seed,
                self.given_ids_option(),
            );
        }
        let mut command = format!(
            "cargo bench --bench scale -- --events {} --streams {} --batch {} --segment-bytes {} \
             --scattered-segment-bytes {} --scattered-segments {} --rounds {} --seed {}",
            self.events,
            self.streams,
            self.batch,
            self.segment_bytes,
            self.scattered_segment_bytes,
            self.scattered_segments,
            self.rounds,
            self.seed,
        );
        for (option, value) in [("--compare", self.compare), ("--compare-streams", self.compare_streams)] {
            if let Some(value) = value {
                command.extend([" ".to_owned(), option.to_owned(), format!(" {value}")]);
            }
        }
        command.push_str(self.given_ids_option());
        command
    }

    fn given_ids_option(&self) -> &'static str {
        if self.given_ids { " --given-ids" } else { "" }
    }
}
