//! How commands open the store: to read it, as a follower beside whoever writes; or to write to it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use annals::{Clock, Creation, Error, EventStore, Follower, Options, ReadMode, SystemClock};

use crate::{arguments::WritingArguments, failure, progress::Bar};

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
    Ok(showing_progress(options, |options| EventStore::open_with(path, options))?)
}

/// Opens a store that is there to change it.
pub(crate) fn for_changing(path: &Path, wait: Duration) -> anyhow::Result<EventStore> {
    let options = Options::new().creation(Creation::Never).lock_wait(wait);
    explain_missing(showing_progress(options, |options| EventStore::open_with(path, options)))
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
    let opened = showing_progress(options, |options| Follower::open_with(path, options));
    if let Ok(store) = &opened {
        let (position, time) = (store.last_position(), begun.elapsed());
        tracing::info!(path = %path.display(), last_position = %position, ?time, "opened for reading");
    }
    explain_missing(opened)
}

/// Shows how far an opening is, where it has to read segments whose index files are missing or damaged.
fn showing_progress<T>(
    options: Options,
    open: impl FnOnce(Options) -> annals::Result<T>,
) -> annals::Result<T> {
    let bar = Arc::new(Bar::of_segments());
    let told = Arc::clone(&bar);
    let opened = open(options.on_opening_progress(move |progress| {
        told.set_length(progress.segments_total);
        told.set_position(progress.segments);
    }));
    bar.clear();
    opened
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
