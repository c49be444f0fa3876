//! A store in numbers: segments, files, how far the log was, how long streams are; compared with what reading all of it shows.

use std::{collections::BTreeMap, fs, ops::ControlFlow, path::Path};

use annals::{
    Cursor, ExpectedVersion, Follower, Position, Query, Reader, SegmentInfo, SegmentState, SnapshotData,
    StoredEvent, StreamLengths, Timestamp,
};

use crate::{
    ids_and_clocks::ListClock,
    random::Random,
    support::{Outcome, TestStore, all, events, small_segments, store, store_with, stream, version},
};

/// A store of many segments: streams of all lengths, some in many segments, and checkpoints between them.
fn many() -> TestStore {
    let times: Vec<i64> = (0..900).map(|number| number / 3 * 10).collect();
    let store = store_with(small_segments().clock(ListClock::of(&times)));
    let mut random = Random::new(7);
    for number in 0..300 {
        let name = match random.below(4) {
            0 => "order-0".to_owned(),
            1 => format!("order-{}", random.below(12)),
            _ => format!("cart-{number}"),
        };
        let count = 1 + random.below(3);
        store.append(&stream(&name), ExpectedVersion::Any, events(1, count)).expect("an append");
        if random.below(3) == 0 {
            let name = format!("mailer-{}", random.below(3));
            store.save_checkpoint(&name, Cursor::START).expect("a checkpoint");
        }
    }
    store
}

/// The store as its writer has it, what a follower sees beside that, and the store opened again.
fn in_every_state(store: TestStore, check: impl Fn(&Reader)) -> Outcome {
    check(&store);
    check(&*Follower::open(store.info()?.path)?);
    let store = store.reopen()?;
    check(&store);
    store.append(&stream("late-1"), ExpectedVersion::NoStream, events(1, 5))?;
    store.append(&stream("order-0"), ExpectedVersion::Any, events(1, 2))?;
    store.save_checkpoint("late", Cursor::START)?;
    check(&store);
    check(&*Follower::open(store.info()?.path)?);
    Ok(())
}

fn everything(reader: &Reader) -> Vec<StoredEvent> {
    all(reader.read(Query::all().including_system()))
}

fn segments(reader: &Reader) -> Vec<SegmentInfo> {
    let segments = reader.segments().expect("they can be looked up");
    let (count, found) = (segments.len(), segments.collect::<Result<Vec<_>, _>>().expect("each is readable"));
    assert_eq!(count, found.len());
    found
}

fn lengths(reader: &Reader, longest_max: usize) -> StreamLengths {
    let counted = reader.stream_lengths(longest_max, &mut |_| ControlFlow::Continue(()));
    counted.expect("they can be looked up").expect("nothing stops it")
}

fn is_of_system(event: &StoredEvent) -> bool {
    event.stream.is_system()
}

#[test]
fn segments_add_up_to_the_log() -> Outcome {
    in_every_state(many(), |reader| {
        let (all, segments) = (everything(reader), segments(reader));
        assert!(segments.len() > 10, "{} segments", segments.len());
        let mut rest = all.as_slice();
        for (number, segment) in (1..).zip(&segments) {
            let (events, behind) = rest.split_at(usize::try_from(segment.events).expect("64 bits"));
            rest = behind;
            assert_eq!(segment.number, number);
            let of_system = events.iter().filter(|event| is_of_system(event)).count();
            assert_eq!(segment.system_events, of_system as u64, "segment {number}");
            assert_eq!(
                events.first().map(|event| event.position),
                events.first().map(|_| segment.first_position)
            );
            assert_eq!(segment.last_position(), events.last().map(|event| event.position));
            let is_last = number == segments.len() as u64;
            assert_eq!(segment.state == SegmentState::Active, is_last, "segment {number}");
        }
        assert!(rest.is_empty());
        let info = reader.info().expect("it can be looked up");
        assert_eq!(segments.iter().map(|segment| segment.log_bytes).sum::<u64>(), info.log_bytes);
    })
}

#[test]
fn a_segments_files_are_measured() -> Outcome {
    let store = many().reopen()?;
    let path = store.info()?.path;
    for segment in segments(&store) {
        let length = |ending: &str| -> u64 {
            let path = path.join(format!("segments/{:012}.{ending}", segment.number));
            fs::metadata(path).map_or(0, |found| found.len())
        };
        assert_eq!((segment.file_bytes, segment.index_bytes), (length("log"), length("idx")));
        assert!(segment.index_bytes > 0 && segment.log_bytes <= segment.file_bytes);
    }
    Ok(())
}

#[test]
fn sizes_are_those_of_all_files() -> Outcome {
    let store = many().reopen()?;
    store.save_snapshot(&stream("order-0"), version(1), SnapshotData::new("State", [0; 700]))?;
    let path = store.info()?.path;
    fs::create_dir(path.join("quarantine"))?;
    fs::write(path.join("quarantine/000000000001.log"), [0; 333])?;
    let sizes = store.sizes()?;
    assert_eq!(sizes.total_bytes(), bytes_below(&path)?);
    assert_eq!(sizes.log_bytes, store.info()?.log_bytes);
    assert_eq!(sizes.stream_directory_bytes, fs::metadata(path.join("streams.dir"))?.len());
    assert_eq!(sizes.snapshot_bytes, bytes_below(&path.join("snapshots"))?);
    let segments = segments(&store);
    assert_eq!(sizes.index_bytes, segments.iter().map(|segment| segment.index_bytes).sum::<u64>());
    let files: u64 = segments.iter().map(|segment| segment.file_bytes).sum();
    assert_eq!(sizes.log_bytes + sizes.prepared_bytes, files);
    assert!(sizes.snapshot_bytes >= 700 && sizes.other_bytes >= 333, "{sizes:?}");
    Ok(())
}

fn bytes_below(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let found = entry.metadata()?;
        bytes += if found.is_dir() { bytes_below(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}

#[test]
fn an_extent_is_what_stands_before_a_time() -> Outcome {
    in_every_state(many(), |reader| {
        let all = everything(reader);
        let last = all.last().map_or(0, |event| event.timestamp.micros());
        // Also of times at which nothing came, and in no order.
        let mut times: Vec<Timestamp> = (-5..=last + 20).step_by(5).map(Timestamp::from_micros).collect();
        times.extend([Timestamp::MAX, Timestamp::MIN]);
        let extents = reader.extents_before(&times).expect("they can be looked up");
        assert_eq!(extents.len(), times.len());
        let segments = segments(reader);
        for (time, extent) in times.iter().zip(&extents) {
            let before = &all[..all.partition_point(|event| event.timestamp < *time)];
            let of_system = before.iter().filter(|event| is_of_system(event)).count() as u64;
            assert_eq!(extent.last_position, before.last().map_or(Position::NONE, |event| event.position));
            assert_eq!((extent.events, extent.system_events), (before.len() as u64 - of_system, of_system));
            let passed =
                segments.iter().take_while(|it| it.first_position.get() <= extent.last_position.get() + 1);
            let at_most: u64 = passed.clone().map(|segment| segment.log_bytes).sum();
            let at_least = at_most - passed.last().map_or(0, |segment| segment.log_bytes);
            assert!((at_least..=at_most).contains(&extent.log_bytes), "{extent:?}: {at_least} to {at_most}");
        }
        let log_bytes = reader.info().expect("it can be looked up").log_bytes;
        assert_eq!(extents[times.len() - 2].log_bytes, log_bytes);
        let in_order = &extents[..times.len() - 2];
        assert!(in_order.is_sorted_by_key(|extent| extent.log_bytes));
    })
}

#[test]
fn streams_are_counted_by_their_lengths() -> Outcome {
    in_every_state(many(), |reader| {
        let mut events: BTreeMap<String, u64> = BTreeMap::new();
        for event in everything(reader) {
            *events.entry(event.stream.to_string()).or_default() += 1;
        }
        let (system, ordinary): (Vec<_>, Vec<_>) = events.iter().partition(|(name, _)| name.starts_with('$'));
        let counted = lengths(reader, 5);
        assert_eq!(counted.streams, ordinary.len() as u64);
        assert_eq!(counted.system_streams, system.len() as u64);
        assert!(counted.system_streams >= 3);
        for range in &counted.ranges {
            let is_within = |events: u64| (range.events_min..=range.events_max).contains(&events);
            let streams = ordinary.iter().filter(|(_, events)| is_within(**events)).count();
            assert_eq!(range.streams, streams as u64, "{range:?}");
        }
        assert_eq!(counted.ranges.iter().map(|range| range.streams).sum::<u64>(), counted.streams);
        let mut wanted: Vec<u64> = ordinary.iter().map(|(_, events)| **events).collect();
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        let longest: Vec<u64> = counted.longest.iter().map(annals::StreamInfo::events).collect();
        assert_eq!(longest, wanted[..5]);
        for info in &counted.longest {
            assert_eq!(info.events(), events[info.stream.as_str()], "{}", info.stream);
        }
        assert_eq!(lengths(reader, 0).longest, []);
        let all = lengths(reader, 1_000).longest;
        assert_eq!(all.len() as u64, counted.streams);
        assert!(all.is_sorted_by_key(|info| (u64::MAX - info.events(), info.stream.clone())));
    })
}

#[test]
fn a_count_of_streams_can_be_stopped_and_says_how_far_it_is() -> Outcome {
    let store = many().reopen()?;
    let (mut told, mut last) = (0, None);
    let stopped = store.stream_lengths(5, &mut |progress| {
        told += 1;
        last = Some((progress.steps, progress.steps_total > progress.steps));
        if told == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    assert_eq!((stopped, last), (None, Some((2, true))));
    Ok(())
}

#[test]
fn a_store_without_events_has_a_segment_and_no_stream() -> Outcome {
    let store = store();
    let counted = lengths(&store, 5);
    assert_eq!((counted.streams, counted.system_streams), (0, 0));
    assert_eq!((counted.ranges, counted.longest), (vec![], vec![]));
    let segments = segments(&store);
    assert_eq!((segments.len(), segments[0].events, segments[0].last_position()), (1, 0, None));
    let extent = store.extents_before(&[Timestamp::MAX])?[0];
    assert_eq!((extent.events, extent.system_events, extent.log_bytes), (0, 0, store.info()?.log_bytes));
    assert_eq!(store.extents_before(&[])?, []);
    Ok(())
}

#[test]
fn what_damaged_index_files_cant_say_is_read_from_the_log() -> Outcome {
    let store = many();
    let (counted, extents) = (lengths(&store, 5), store.extents_before(&[Timestamp::from_micros(700)])?);
    let path = store.info()?.path;
    let (store, _directory) = store.into_parts();
    store.close()?;
    fs::remove_file(path.join("segments/000000000003.idx"))?;
    fs::write(path.join("segments/000000000005.idx"), [0; 4_096])?;
    fs::remove_file(path.join("streams.dir"))?;
    let follower = Follower::open(&path)?;
    assert_eq!(lengths(&follower, 5), counted);
    assert_eq!(follower.extents_before(&[Timestamp::from_micros(700)])?, extents);
    Ok(())
}
