//! What `annals repair` can be asked.

use std::path::PathBuf;

use annals::{Loss, RepairOptions};
use clap::Args;

use crate::arguments::{Format, WaitingArguments};

const EXAMPLES: &str = "Examples:
  annals repair
  annals repair --backup /mnt/backups/shop
  annals repair --backup /mnt/backups/shop --accept-loss
  annals repair --accept-loss --format json

Without --backup and --accept-loss it only shows what it would do, and so it does with --dry-run.

What is damaged is taken from the backup, as far as that has it. Where no backup has it, the log is cut off before
the first event that can't be read, since positions have no gaps. Every event behind it that can be read goes to
quarantine/repair-N/events.jsonl, which `import` takes, and all bytes that are changed are kept beside it, with a
report. Nothing is deleted. The store's stream $repairs tells of each repair.";

/// What of a damaged store may be changed.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct RepairArguments {
    /// Take what is damaged from this directory: a store with the same history, as `backup` makes one.
    #[arg(long, value_name = "DIR")]
    pub(crate) backup: Option<PathBuf>,
    /// Take events out of the log that can't be read, and those behind them.
    #[arg(long)]
    pub(crate) accept_loss: bool,
    /// Change nothing, and show what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) waiting: WaitingArguments,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

impl RepairArguments {
    /// Whether it is only to be shown what would be done.
    pub(crate) fn only_shows(&self) -> bool {
        self.dry_run || (self.backup.is_none() && !self.accept_loss)
    }

    pub(crate) fn options(&self) -> RepairOptions {
        let loss = if self.accept_loss { Loss::Accepted } else { Loss::Refused };
        let options = RepairOptions::new().loss(loss).lock_wait(self.waiting.wait);
        match &self.backup {
            Some(backup) => options.backup(backup),
            None => options,
        }
    }
}
