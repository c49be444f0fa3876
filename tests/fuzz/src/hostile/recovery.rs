//! Recovery of a directory in which any files stand.

use std::sync::Arc;

use annals::{Creation, EventStore};

use super::{
    directory,
    look::{self, Beside},
    stores::{self, STORE},
};

pub(crate) fn run(input: &[u8]) {
    let files = directory::unpack(input);
    let contents: Vec<(&str, Vec<u8>)> = files.iter().map(|file| (file.name(), file.content())).collect();
    let borrowed: Vec<(&str, &[u8])> =
        contents.iter().map(|(name, content)| (*name, content.as_slice())).collect();
    let disk = stores::disk_with(&borrowed);
    // Where a store may be made, what isn't one is left alone, or its making goes on.
    let made = disk.snapshot(7);
    let options = stores::options().creation(Creation::IfMissing);
    drop(EventStore::open_on(Arc::new(made), STORE, options));
    let beside = if files.iter().any(|file| directory::is_derived(file.name())) {
        Beside::Anything
    } else {
        Beside::Nothing
    };
    look::examine(&disk, beside);
}
