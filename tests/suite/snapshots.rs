//! Snapshots: what is saved comes back, and what can't be used is passed over.

use annals::{ContentType, ExpectedVersion, SnapshotData};

use crate::support::{Outcome, events, store, stream, version};

#[test]
fn what_is_saved_comes_back__B13_C16_D13() -> Outcome {
    let store = store();
    let account = stream("account-1");
    assert!(store.snapshot(&account, "Account")?.snapshot.is_none());
    store.append(&account, ExpectedVersion::NoStream, events(1, 5))?;
    let data = SnapshotData::new("Account", "state").with_schema_version(3);
    let saved = store.save_snapshot(&account, version(4), data.with_content_type(ContentType::new(200)))?;
    let found = store.snapshot(&account, "Account")?;
    assert!(found.ignored.is_empty(), "{:?}", found.ignored);
    assert_eq!(found.snapshot, Some(saved));
    Ok(())
}
