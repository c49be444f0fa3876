//! What can be asked of `annals selftest`, and the help that says so.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::{arguments::Format, numbers};

/// How long a run takes if nothing is said, in minutes.
const MINUTES: f64 = 1.0;

/// How long a run takes at most, in minutes: a year.
const MINUTES_MAX: f64 = 365.0 * 24.0 * 60.0;

const SELFTEST_EXAMPLES: &str = "Examples:
  annals selftest
  annals selftest --minutes 60 --format json
  annals selftest --cuts 10000000
  annals selftest --only damage
  annals selftest --seed 1234567

The engine of this program works on simulated disks in memory. No store is needed, none is touched, and nothing is written.

A life is up to six openings of a store by a seed: appends, background work, and an end by a power cut, a kill or a close.
The power is cut in the midst of any operation; of what wasn't synced any sectors, lengths and names are left; syncs fail
in four ways, writes are short, the disk is full. After each end the store is opened again and everything is compared: what
was acknowledged is there, commits are whole, nothing else is there, and no honest crash is called damage; each stream,
category, event type and id has the events that the log has. A store that was closed is verified, its index files too. A cut
that is counted is a state of the disk that a power cut or a kill left, that its store wasn't in before, and that was opened
and found right.

Damage is done to the bytes of a store of 64 KiB, closed and killed, with its index files and without: every bit flipped,
every length, every block of 512 bytes replaced, files missing and exchanged. The answer must be an error or the right one.

Where anything is wrong the run ends at once with exit code 1, and says which command repeats it. A run can't show what a
disk does that says it has what it hasn't, nor what the real kernel and file systems do.";

#[derive(Args, Debug)]
#[command(after_long_help = SELFTEST_EXAMPLES)]
pub(crate) struct SelftestArguments {
    /// How many minutes it takes: 5, 0.5. Up to half of them are for damage; without --cuts, --lives and --only it is 1.
    #[arg(long, value_name = "N", value_parser = parse_minutes)]
    minutes: Option<f64>,
    /// Cuts and kills alone, until so many states that they left were opened and checked.
    #[arg(long, value_name = "N", value_parser = numbers::parse_count)]
    pub(crate) cuts: Option<u64>,
    /// Cuts and kills alone, in so many lives: the counters are the same each time, with the same --from.
    #[arg(long, value_name = "N", value_parser = numbers::parse_count)]
    pub(crate) lives: Option<u64>,
    /// Cuts alone, or damage alone; without --minutes, all cases of damage.
    #[arg(long, value_enum, conflicts_with_all = ["cuts", "lives"])]
    only: Option<Only>,
    /// The seed of the first life; the others follow. Without it, it comes from the clock, and is printed.
    #[arg(long, value_name = "SEED", value_parser = numbers::parse::<u64>)]
    from: Option<u64>,
    /// Repeats the life of one seed.
    #[arg(long, conflicts_with_all = ["minutes", "cuts", "lives", "only", "from", "damage"], value_parser = numbers::parse::<u64>)]
    pub(crate) seed: Option<u64>,
    /// Repeats one case of damage, by its number.
    #[arg(long, value_name = "CASE", conflicts_with_all = ["minutes", "cuts", "lives", "only", "from"], value_parser = numbers::parse::<u64>)]
    pub(crate) damage: Option<u64>,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What alone is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Only {
    /// Power cuts, kills and failing disks.
    Cuts,
    /// Damage to a store's bytes.
    Damage,
}

impl SelftestArguments {
    /// How long damage is done at most; none: until all of it is done.
    pub(crate) fn damage_time(&self) -> Option<Duration> {
        match self.only {
            Some(Only::Cuts) => Some(Duration::ZERO),
            Some(Only::Damage) => self.minutes.map(minutes),
            None if self.has_goal() => Some(Duration::ZERO),
            None => Some(minutes(self.minutes.unwrap_or(MINUTES)) / 2),
        }
    }

    /// How long it takes altogether at most; none: until there are enough cuts or lives.
    pub(crate) fn time(&self) -> Option<Duration> {
        match self.minutes {
            Some(number) => Some(minutes(number)),
            None if self.has_goal() => None,
            None => Some(minutes(MINUTES)),
        }
    }

    pub(crate) fn does_cuts(&self) -> bool {
        self.only != Some(Only::Damage)
    }

    pub(crate) fn does_damage(&self) -> bool {
        self.damage_time() != Some(Duration::ZERO)
    }

    /// The seed of the first life, if it was said.
    pub(crate) fn from(&self) -> Option<u64> {
        self.from
    }

    fn has_goal(&self) -> bool {
        self.cuts.is_some() || self.lives.is_some()
    }
}

fn minutes(number: f64) -> Duration {
    Duration::from_secs_f64(number * 60.0)
}

fn parse_minutes(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is a number, as 5 or 0.5".to_owned())?;
    if number > 0.0 && number <= MINUTES_MAX {
        Ok(number)
    } else {
        Err("it is above 0, and a year at most".to_owned())
    }
}
