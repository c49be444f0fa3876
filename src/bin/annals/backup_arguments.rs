//! What can be asked of `annals backup` and `annals restore`.

use std::path::PathBuf;

use annals::Timestamp;
use clap::{Args, ValueHint};

use crate::{arguments::Format, clock_text, numbers};

const BACKUP_EXAMPLES: &str = "Examples:
  annals backup /mnt/backups/shop
  annals backup /mnt/backups/shop --copy --format json
  annals backup /mnt/backups/shop --check

A program that has the store open goes on appending: the backup ends with what is committed when it begins. It is a store
of its own: `annals --store /mnt/backups/shop verify` reads all of it.

The next backup into the same directory reads and writes only what is new, and the older one is whole until then. After an
interruption of any kind the same command completes it. Index files and saved states aren't backed up: the store makes
the first anew, and programs the others.";

#[derive(Args, Debug)]
#[command(after_long_help = BACKUP_EXAMPLES)]
pub(crate) struct BackupArguments {
    /// The directory of the backup: new, empty, or with an earlier backup of the same store.
    #[arg(value_name = "DEST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: PathBuf,
    /// Copy every file; without it, on the same file system, old segments become hard links.
    ///
    /// A link takes no room, and its bytes are on the disk once: what damages them damages store and backup.
    #[arg(long)]
    pub(crate) copy: bool,
    /// Read what earlier backups have put there too, and bring again what is damaged.
    #[arg(long)]
    pub(crate) check: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

const RESTORE_EXAMPLES: &str = "Examples:
  annals restore /mnt/backups/shop shop.annals
  annals restore /mnt/backups/shop yesterday.annals --to-time '1 day ago'
  annals --store shop.annals restore /mnt/backups/shop --to-position 4210 --force

Every byte is checked on its way. With --to-position or --to-time the store ends with the last commit that was whole then, and
what it came to is printed: positions behind that will be those of other events, so a consumer that has
seen more has to begin anew.";

#[derive(Args, Debug)]
#[command(after_long_help = RESTORE_EXAMPLES)]
pub(crate) struct RestoreArguments {
    /// The directory that `annals backup` has made.
    #[arg(value_name = "BACKUP", value_hint = ValueHint::DirPath)]
    pub(crate) backup: PathBuf,
    /// The directory of the restored store, new or empty; without it, the one that --store names.
    #[arg(value_name = "DEST", value_hint = ValueHint::DirPath)]
    pub(crate) destination: Option<PathBuf>,
    /// Restore up to this position; a commit that goes on behind it is left out.
    #[arg(long, value_name = "POSITION", conflicts_with = "to_time", value_parser = numbers::parse::<u64>)]
    pub(crate) to_position: Option<u64>,
    /// Restore what was stored up to this time: '2025-11-21 09:30', '2h ago', yesterday (all of that day).
    ///
    /// As with `annals read`: what has no offset, as 2025-11-21T09:30:00+01:00 has one, is of this system's zone.
    #[arg(long, value_name = "TIME", value_parser = clock_text::parse_until)]
    pub(crate) to_time: Option<Timestamp>,
    /// Where a store is already, give that another name: it is kept, and said where.
    #[arg(long)]
    pub(crate) force: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}
