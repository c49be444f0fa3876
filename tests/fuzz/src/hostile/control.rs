//! The small structures. The input's first byte says which; what is behind it is the file, or the data of an event of
//! the store's own.

use super::{
    look::{self, Beside},
    mend::{LogEnd, Mender},
    stores::{self, STORE_ID},
};

/// Which structure an input is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Structure {
    Meta,
    Mark,
    Head,
    Writer,
    /// The data of an event of this type, in this stream.
    Event(&'static str, &'static str),
}

const STRUCTURES: [Structure; 10] = [
    Structure::Meta,
    Structure::Mark,
    Structure::Head,
    Structure::Writer,
    Structure::Event("$checkpoint-orders", "$CheckpointSaved"),
    Structure::Event("$event-types", "$EventTypeRegistered"),
    Structure::Event("$projection-orders", "$ProjectionStarted"),
    Structure::Event("$projection-orders", "$ProjectionResetBegun"),
    Structure::Event("$skipped-orders", "$EventSkipped"),
    Structure::Event("$skipped-orders", "$SkippedCleared"),
];

fn structure(first: u8) -> Structure {
    STRUCTURES[usize::from(first) % STRUCTURES.len()]
}

pub(crate) fn run(input: &[u8]) {
    let Some((first, content)) = input.split_first() else { return };
    let beginning = LogEnd::beginning(STORE_ID);
    let mut frames = stores::frame_with("order-1", "Placed", br#"{"n":1}"#);
    if let Structure::Event(stream, event_type) = structure(*first) {
        frames.extend(stores::frame_with(stream, event_type, content));
    }
    frames.extend(stores::frame_with("order-1", "Paid", br#"{"n":2}"#));
    let mut segment = stores::segment_with(&frames, &beginning);
    Mender::all().segment(&mut segment, &beginning);
    let disk =
        stores::disk_with(&[("store.meta", &stores::meta(STORE_ID)), (&stores::segment_name(1), &segment)]);
    match structure(*first) {
        Structure::Meta => stores::put(&disk, "store.meta", content),
        Structure::Mark => stores::put(&disk, "durable.mark", content),
        Structure::Head => stores::put(&disk, "head", content),
        Structure::Writer => stores::put(&disk, "writer.pid", content),
        Structure::Event(..) => {}
    }
    look::examine(&disk, Beside::Nothing);
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let Some((first, content)) = input.split_first() else { return Vec::new() };
    let mut content = content.to_vec();
    match structure(*first) {
        Structure::Meta => mender.meta(&mut content, STORE_ID),
        Structure::Mark => mender.mark(&mut content, STORE_ID),
        Structure::Head => mender.head(&mut content, STORE_ID, stores::boot_id()),
        Structure::Writer | Structure::Event(..) => {}
    }
    content.insert(0, *first);
    content
}
