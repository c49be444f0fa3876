//! How commands open the store: to read it, as a follower beside whoever writes; or to write to it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use annals::{Clock, Creation, Error, EventStore, Follower, Options, ReadMode, SystemClock};

use crate::{
    arguments::WritingArguments,
    failure,
    interrupt::{Stopped, at_interrupt_meanwhile},
    progress::Bar,
};

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
    let options =
        Options::new().durability(arguments.durability.into()).lock_wait(arguments.waiting.wait).clock(clock);
    let options = options.on_schema_warning(|violation| failure::tell(&format!("warning: {violation}")));
    Ok(showing_progress(options, Indexes::Kept, |options| EventStore::open_with(path, options))?)
}

/// Opens a store that is there to change it.
pub(crate) fn for_changing(path: &Path, wait: Duration) -> anyhow::Result<EventStore> {
    let options = Options::new().creation(Creation::Never).lock_wait(wait);
    explain_missing(showing_progress(options, Indexes::Kept, |options| EventStore::open_with(path, options)))
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

/// Shows how far an opening is, where it has to read segments whose index files are missing or damaged. Ctrl-C ends the
/// program then, at once: it holds nothing that a program cut off there wouldn't leave whole.
fn showing_progress<T>(
    options: Options,
    indexes: Indexes,
    open: impl FnOnce(Options) -> annals::Result<T>,
) -> annals::Result<T> {
    let bar = Arc::new(Bar::of_segments());
    let told = Arc::clone(&bar);
    let interruption = Arc::new(Mutex::new(None));
    let meanwhile = Arc::clone(&interruption);
    let opened = open(options.on_opening_progress(move |progress| {
        let mut meanwhile = meanwhile.lock().unwrap_or_else(PoisonError::into_inner);
        if meanwhile.is_none() {
            let bar = Arc::clone(&told);
            // Where no signal can be waited for, it ends the program as it does any.
            *meanwhile = at_interrupt_meanwhile(move || end_opening(&bar, indexes)).ok();
        }
        told.set_length(progress.segments_total);
        told.set_position(progress.segments);
    }));
    // From here on, Ctrl-C is for what comes.
    drop(interruption.lock().unwrap_or_else(PoisonError::into_inner).take());
    bar.clear();
    opened
}

fn end_opening(bar: &Bar, indexes: Indexes) {
    let (segments, segments_total) = bar.reached();
    bar.clear();
    failure::end_with(&Stopped(opening_stopped(segments, segments_total, indexes)).into());
}

fn opening_stopped(segments: u64, segments_total: u64, indexes: Indexes) -> String {
    let next = match indexes {
        Indexes::Kept => "the next command goes on there",
        Indexes::InMemory => {
            "the next command begins anew, unless a program that writes to the store has made them meanwhile"
        }
    };
    format!(
        "stopped before the store was open: indexes of {segments} of {segments_total} segments are made anew; {next}"
    )
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
        let kept = opening_stopped(3, 12, Indexes::Kept);
        assert_eq!(
            kept,
            "stopped before the store was open: indexes of 3 of 12 segments are made anew; the next command goes on there"
        );
        assert!(opening_stopped(3, 12, Indexes::InMemory).contains("begins anew"));
    }
}
