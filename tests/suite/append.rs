use annals::{EventStore, ExpectedVersion, Version};

use crate::support::{Outcome, event, store, stream};

#[test]
fn a_batch_gets_versions_without_gaps_behind_the_current_one__A10() -> Outcome {
    let store = store();
    let order = stream("order-1");
    store.append(&order, ExpectedVersion::NoStream, [event("A")])?;
    let appended = store.append(&order, Version::new(1), [event("B"), event("C")])?;
    assert_eq!((appended.first_version.get(), appended.version.get()), (2, 3));
    let versions: Vec<u64> = store
        .read_stream(&order)
        .map(|event| event.map(|event| event.version.get()))
        .collect::<Result<_, _>>()?;
    assert_eq!(versions, [1, 2, 3]);
    Ok(())
}

#[test]
fn what_was_appended_is_there_after_reopening() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("s");
    let order = stream("order-1");
    for round in 0..5 {
        let store = EventStore::open(&path)?;
        assert_eq!(store.stream_version(&order).get(), round * 2);
        store.append(&order, Version::new(round * 2), [event("A"), event("B")])?;
        store.close()?;
    }
    Ok(())
}
