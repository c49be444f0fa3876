//! How commands open the store: to read it, as a follower beside whoever writes; or to write to it.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use annals::{
    BACKUP_MANIFEST, Clock, Creation, Error, EventStore, Follower, OpeningProgress, Options, ReadMode,
    SystemClock,
};

use crate::{
    arguments::WritingArguments,
    failure,
    interrupt::{Stopped, at_interrupt_meanwhile},
    output::count,
    progress::Bar,
};

/// How long nothing is said while another process has the store.
const SILENT_WAIT: Duration = Duration::from_secs(1);

/// Opens the store to write to it; where there is none, one is made.
pub(crate) fn for_writing(path: &Path, arguments: &WritingArguments) -> anyhow::Result<EventStore> {
    for_writing_by(path, arguments, Arc::new(SystemClock))
}

/// The same, with timestamps from this clock.
pub(crate) fn for_writing_by(
    path: &Path,
    arguments: &WritingArguments,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<EventStore> {
    let options = Options::new().durability(arguments.durability.into()).clock(clock);
    let options = options.on_schema_warning(|violation| failure::tell(&format!("warning: {violation}")));
    warn_of_backup(path);
    Ok(wait_and_open(path, &options, arguments.waiting.wait)?)
}

/// Opens a store that is there to change it.
pub(crate) fn for_changing(path: &Path, wait: Duration) -> anyhow::Result<EventStore> {
    warn_of_backup(path);
    for_changing_again(path, wait)
}

/// The same, of one that this command has changed or looked at before.
pub(crate) fn for_changing_again(path: &Path, wait: Duration) -> anyhow::Result<EventStore> {
    explain_missing(wait_and_open(path, &Options::new().creation(Creation::Never), wait))
}

fn warn_of_backup(path: &Path) {
    if path.join(BACKUP_MANIFEST).exists() {
        failure::tell(&format!(
            "warning: {} is a backup: with what is written to it, it goes another way than its store, whose next backup into it is refused",
            path.display()
        ));
    }
}

/// Opens the store when no other process has it for writing any more, and says it if that takes long.
fn wait_and_open(path: &Path, options: &Options, wait: Duration) -> annals::Result<EventStore> {
    let open = |wait| {
        let options = options.clone().lock_wait(wait);
        showing_progress(options, Indexes::Kept, |options| EventStore::open_with(path, options))
    };
    let longer = wait.saturating_sub(SILENT_WAIT);
    match open(wait.min(SILENT_WAIT)) {
        Err(Error::Locked { path, holder }) if !longer.is_zero() => {
            let path = path.display();
            failure::tell(&format!(
                "{path} is open for writing by {holder}: waiting, for as long as --wait says"
            ));
            open(longer)
        }
        opened => opened,
    }
}

/// Opens a store that is there to read from it, whether somebody writes to it or not.
pub(crate) fn for_reading(path: &Path) -> anyhow::Result<Follower> {
    for_reading_by(path, Options::new())
}

/// The same, to read all of it: a page that the disk can't read is told.
pub(crate) fn for_copying(path: &Path) -> anyhow::Result<Follower> {
    for_reading_by(path, Options::new().read(ReadMode::Pread))
}

fn for_reading_by(path: &Path, options: Options) -> anyhow::Result<Follower> {
    let begun = Instant::now();
    let opened = showing_progress(options, Indexes::InMemory, |options| Follower::open_with(path, options));
    if let Ok(store) = &opened {
        let (position, time) = (store.last_position(), begun.elapsed());
        tracing::info!(path = %path.display(), last_position = %position, ?time, "opened for reading");
    }
    explain_missing(opened)
}

/// What becomes of indexes that an opening makes anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexes {
    /// They are files, which the next opening finds.
    Kept,
    /// Who only reads has them in memory.
    InMemory,
}

/// Shows how far an opening is, where it has to read segments whose index files are missing or damaged, or a last one that no closing
/// has indexed. Ctrl-C ends the program then, at once: it holds nothing that a program cut off there wouldn't leave whole.
fn showing_progress<T>(
    options: Options,
    indexes: Indexes,
    open: impl FnOnce(Options) -> annals::Result<T>,
) -> annals::Result<T> {
    let shown = Arc::new(Shown { bar: Bar::of_segments(), told: Mutex::default() });
    let (told, asked) = (Arc::clone(&shown), Arc::clone(&shown));
    // Where no signal can be waited for, it ends the program as it does any.
    let meanwhile = at_interrupt_meanwhile(move || asked.end_opening(indexes)).ok();
    let opened = open(options.on_opening_progress(move |progress| told.show(progress)));
    shown.bar.clear();
    if let Some(meanwhile) = meanwhile {
        meanwhile.end();
    }
    opened
}

/// What is known of an opening while it goes on.
struct Shown {
    bar: Bar,
    told: Mutex<Option<OpeningProgress>>,
}

impl Shown {
    fn told(&self) -> MutexGuard<'_, Option<OpeningProgress>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, progress: OpeningProgress) {
        *self.told() = Some(progress);
        self.bar.set_length(progress.bytes_total);
        self.bar.set_position(progress.bytes);
    }

    fn end_opening(&self, indexes: Indexes) {
        self.bar.clear();
        let segments = self.told().map(|told| (told.segments, told.segments_total));
        failure::end_with(&Stopped(opening_stopped(segments, indexes)).into());
    }
}

const STOPPED: &str = "stopped before the store was open";

/// What is said of an opening that was stopped, with as many segments read as are to be read; none: it hasn't come to that.
fn opening_stopped(segments: Option<(u64, u64)>, indexes: Indexes) -> String {
    let Some((segments, segments_total)) = segments else {
        return format!("{STOPPED}: no event was read or written; the same command begins anew");
    };
    let next = match indexes {
        Indexes::Kept => "the next command goes on there",
        Indexes::InMemory => {
            "the next command begins anew, unless a program that writes to the store has made them meanwhile"
        }
    };
    let total = count(segments_total, "segment");
    format!("{STOPPED}: indexes of {segments} of {total} are made anew; {next}")
}

/// Says how to name another store where there is none.
pub(crate) fn explain_missing<T>(result: Result<T, impl Into<anyhow::Error>>) -> anyhow::Result<T> {
    result.map_err(|error| {
        let error = error.into();
        if matches!(error.downcast_ref(), Some(Error::NotAStore { .. })) {
            return error.context("there is no store to read: name one with --store DIR or ANNALS_STORE");
        }
        error
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_opening_that_is_stopped_says_how_far_it_was_and_what_is_left() {
        let kept = opening_stopped(Some((3, 12)), Indexes::Kept);
        assert_eq!(
            kept,
            "stopped before the store was open: indexes of 3 of 12 segments are made anew; the next command goes on there"
        );
        let in_memory = opening_stopped(Some((0, 1)), Indexes::InMemory);
        assert!(
            in_memory.contains("of 0 of 1 segment are made anew; the next command begins anew"),
            "{in_memory}"
        );
        let not_begun = opening_stopped(None, Indexes::Kept);
        assert!(not_begun.ends_with("the same command begins anew"), "{not_begun}");
    }
}
