//! How commands open the store.

use std::path::Path;

use annals::{Creation, Error, EventStore, Options};
use anyhow::Context;

use crate::arguments::{WaitingArguments, WritingArguments};

/// Opens the store to write to it; where there is none, one is made.
pub(crate) fn for_writing(path: &Path, arguments: &WritingArguments) -> anyhow::Result<EventStore> {
    let options = Options::new().durability(arguments.durability.into()).lock_wait(arguments.waiting.wait);
    Ok(EventStore::open_with(path, options)?)
}

/// Opens a store that is there to read from it.
pub(crate) fn for_reading(path: &Path, arguments: &WaitingArguments) -> anyhow::Result<EventStore> {
    let options = Options::new().creation(Creation::Never).lock_wait(arguments.wait);
    explain_missing(EventStore::open_with(path, options))
}

/// Says how to name another store where there is none.
pub(crate) fn explain_missing<T>(result: annals::Result<T>) -> anyhow::Result<T> {
    match result {
        Err(error @ Error::NotAStore { .. }) => {
            Err(error).context("there is no store to read: name one with --store DIR or ANNALS_STORE")
        }
        result => Ok(result?),
    }
}
