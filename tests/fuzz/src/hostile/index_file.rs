//! Index files and the directory of streams: the input is a packed file, which stands in the place that its header
//! names, beside the log of a store that is whole.

use std::sync::Arc;

use annals::{EventStore, Follower, Reader, StoredEvent, StreamId};

use super::{
    little::get_u64,
    look::{self, Beside},
    mend::Mender,
    packing::{pack, unpack},
    stores::{self, Reference, STORE},
};

const DIRECTORY: u8 = 2;

pub(crate) fn run(input: &[u8]) {
    let file = unpack(input);
    let reference = stores::reference();
    let disk = reference.disk.snapshot(7);
    stores::put(&disk, &name_of(&file, reference), &file);
    match crc32fast::hash(&file) % 8 {
        0 => look::examine(&disk, Beside::Anything),
        1..=3 => {
            if let Ok(follower) = Follower::open_on(Arc::new(disk.clone()), STORE, stores::options()) {
                look::ask_hostile(follower.reader());
                check_truth(follower.reader(), reference);
            }
        }
        // A directory of streams is a witness of how long the log was: one that names more is a reason to refuse.
        _ => {
            if let Ok(store) = EventStore::open_on(Arc::new(disk.clone()), STORE, stores::options()) {
                look::ask_hostile(store.reader());
                check_truth(store.reader(), reference);
                disk.crash_process();
            }
        }
    }
}

/// Whatever an index says, what is shown is what the log has there: no other event, no other order.
fn check_truth(reader: &Reader, reference: &Reference) {
    let is_true = |event: &StoredEvent| {
        let index = usize::try_from(event.position.get()).unwrap_or(0).checked_sub(1);
        index.and_then(|index| reference.events.get(index)) == Some(event)
    };
    let all: Vec<StoredEvent> = reader.read_all().map_while(Result::ok).collect();
    assert!(all.iter().all(is_true), "what no one wrote is shown");
    for number in 0..5 {
        let stream = StreamId::new(format!("order-{number}")).expect("a name");
        let of_stream: Vec<StoredEvent> = reader.read_stream(&stream).map_while(Result::ok).collect();
        assert!(of_stream.iter().all(is_true), "what no one wrote is shown of a stream");
        assert!(of_stream.iter().all(|event| event.stream == stream), "another stream's event is shown");
        assert!(of_stream.is_sorted_by_key(|event| event.position), "a stream goes back in the log");
    }
}

/// The name that a file is for.
fn name_of(file: &[u8], reference: &Reference) -> String {
    if file.get(40) == Some(&DIRECTORY) {
        return "streams.dir".to_owned();
    }
    let number = get_u64(file, 24).clamp(1, reference.segments);
    format!("segments/{number:012}.idx")
}

pub(crate) fn mend(input: &[u8], mender: &Mender) -> Vec<u8> {
    let mut file = unpack(input);
    file.resize(file.len().max(4_096), 0);
    mender.paged(&mut file, stores::reference().store_id);
    pack(&file)
}
