//! Plans that wouldn't come true.

use std::ops::ControlFlow;

use super::*;
use crate::{
    disk::sim::simulated::SimDisk,
    event::EventData,
    log::segment::segment_path,
    options::SEGMENT_BYTES_MIN,
    position::{ExpectedVersion, Position},
    stream::StreamId,
};

const STORE: &str = "/store";

/// A store of several segments, whose log is damaged in the first of them.
fn damaged() -> SimDisk {
    let disk = SimDisk::new(1);
    let options = Options::new().segment_bytes(SEGMENT_BYTES_MIN);
    let store = EventStore::open_on(Arc::new(disk.mount()), STORE, options).expect("a store");
    let order = StreamId::new("order-1").expect("a valid name");
    for number in 0..20 {
        let event = EventData::new("Changed", vec![number; 900]);
        store.append(&order, ExpectedVersion::Any, [event]).expect("an append");
    }
    store.close().expect("a close");
    let path = segment_path(STORE.as_ref(), 1);
    let mut content = disk.read_file(&path).expect("it is there");
    let middle = content.len() / 2;
    content[middle] ^= 4;
    disk.write_file(&path, content).expect("surgery");
    disk
}

#[test]
fn a_plan_that_lacks_a_change_is_refused_before_any_is_made() {
    let disk: Arc<dyn Disk> = Arc::new(damaged());
    let tell: Tell<'_> = &mut |_| ControlFlow::Continue(());
    let progress = &mut RepairProgress::new(STORE.as_ref(), tell);
    let options = RepairOptions::new().loss(Loss::Accepted);
    let prepared = Prepared::new(disk, STORE.as_ref(), &options, progress).expect("a plan");
    let Prepared { files, meta, own, backup, plan, changes, end, sound_up_to, .. } = prepared;
    assert!(plan.cuts && plan.kept > Position::NONE && sound_up_to.0 == 1, "{plan}");
    let sources = Sources { disk: &*files.disk, meta: &meta, own: &own, backup: &backup };
    let promise = Promise { kept: plan.kept, end: end.expect("a cut") };
    let mut rehearsed = |changes: &[Change], promise: &Promise| {
        rehearse(&files, &sources, changes, (sound_up_to, StreamTable::new()), promise, progress)
    };
    rehearsed(&changes, &promise).expect("all of them make it whole");
    let mut refused = 0;
    for number in 0..changes.len() {
        let mut others = changes.clone();
        let lacking = others.remove(number);
        let is_index = lacking.step.to_string().contains(".idx");
        assert_eq!(rehearsed(&others, &promise).is_ok(), is_index, "{}", lacking.step);
        refused += usize::from(!is_index);
    }
    assert!(refused >= 4, "{plan}");
    let elsewhere = [
        Promise { kept: promise.kept.next(), ..promise },
        Promise { end: PlannedEnd { chain: !promise.end.chain, ..promise.end }, ..promise },
        Promise { end: PlannedEnd { segment: 2, ..promise.end }, ..promise },
    ];
    for promise in elsewhere {
        let error = rehearsed(&changes, &promise).expect_err("it ends elsewhere").to_string();
        assert!(error.contains("nothing was changed"), "{error}");
    }
}
