//! What was asked for on the command line.

use std::path::PathBuf;

use crate::{
    Outcome, errors, full_disk, kills, power_cuts,
    power_cuts::{FileSystem, PowerCuts},
    rounds, syncs,
};

/// Which occurrences of a call are met in the short form: the first, and each so many behind it.
const SAMPLE_SHORT: u64 = 400;

enum Suite {
    /// All that needs no file system of its own, briefly.
    Short,
    Rounds,
    Kills,
    Errors,
    Syncs,
    FullDisk,
    PowerCuts,
}

pub(crate) struct Settings {
    suite: Suite,
    rounds: u64,
    sample: u64,
    power_cuts: PowerCuts,
}

impl Settings {
    /// None: the words are for another test program, such as the name of a test.
    pub(crate) fn given(words: impl Iterator<Item = String>) -> Outcome<Option<Self>> {
        let mut words = words.peekable();
        let suite = match words.next_if(|word| !word.starts_with("--")).as_deref() {
            None if words.peek().is_none() => Suite::Short,
            Some("rounds") => Suite::Rounds,
            Some("kills") => Suite::Kills,
            Some("errors") => Suite::Errors,
            Some("syncs") => Suite::Syncs,
            Some("full-disk") => Suite::FullDisk,
            Some("power-cuts") => Suite::PowerCuts,
            _ => return Ok(None),
        };
        let mut settings = Self {
            suite,
            rounds: 1_000,
            sample: 1,
            power_cuts: PowerCuts { cuts: 1_000, ..PowerCuts::default() },
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--rounds" => settings.rounds = value()?.parse()?,
                "--sample" => settings.sample = value()?.parse::<u64>()?.max(1),
                "--cuts" => settings.power_cuts.cuts = value()?.parse()?,
                "--filesystem" => settings.power_cuts.file_system = FileSystem::named(&value()?)?,
                "--directory" => settings.power_cuts.directory = Some(PathBuf::from(value()?)),
                other => return Err(format!("unknown option {other}").into()),
            }
        }
        Ok(Some(settings))
    }

    pub(crate) fn run(&self) -> Outcome<()> {
        match self.suite {
            Suite::Short => {
                rounds::run(rounds::ROUNDS_SHORT)?;
                kills::run(SAMPLE_SHORT)?;
                errors::run(SAMPLE_SHORT)?;
                syncs::run()?;
                full_disk::run()
            }
            Suite::Rounds => rounds::run(self.rounds),
            Suite::Kills => kills::run(self.sample),
            Suite::Errors => errors::run(self.sample),
            Suite::Syncs => syncs::run(),
            Suite::FullDisk => full_disk::run(),
            Suite::PowerCuts => power_cuts::run(&self.power_cuts),
        }
    }
}
