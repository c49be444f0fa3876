//! From a segment's index to the directory: what its streams are behind it.

use std::ops::ControlFlow;

use crate::{
    error::Result,
    index::{
        directory::{Directory, StreamHead},
        files::index_error,
        key::StreamKey,
        part::{Direction, IndexPart, IndexResult},
        sealed_parts::SealedParts,
    },
    log::{fetch, view::SegmentView, window::Window},
    position::{LogOffset, Version},
};

/// A stream of a segment, and where its first event there is, if it has none before.
struct Touched {
    hash: u64,
    count: u32,
    first_place: Option<LogOffset>,
}

/// What the streams of a sealed segment are behind it. `known` says what a stream with this hash was before.
pub(crate) fn fold(
    sealed: &SealedParts,
    number: u32,
    known: impl Fn(u64) -> Result<Option<(StreamKey, StreamHead)>>,
) -> Result<Vec<(StreamKey, StreamHead)>> {
    let part = sealed.get(number)?;
    let view = &part.view;
    let mut touched = Vec::new();
    sealed.ask(&part, |index| {
        touched.clear();
        collect(index, &mut touched)
    })?;
    let mut window = Window::new(0);
    let mut changes = Vec::with_capacity(touched.len());
    for stream in touched {
        if let Some(place) = stream.first_place {
            changes.push(new_stream(view, number, place, &stream, &mut window)?);
            continue;
        }
        let (key, head) = known(stream.hash)?
            .ok_or_else(|| view.corrupt(0, "the stream directory lacks a stream of the index"))?;
        let version = head.version.plus(u64::from(stream.count));
        changes.push((key, StreamHead { version, latest: number, ..head }));
    }
    Ok(changes)
}

/// The directory behind a sealed segment, from the one before it.
pub(crate) fn fold_into(directory: &Directory, sealed: &SealedParts, number: u32) -> Result<Directory> {
    let unreadable = |fault| index_error(&sealed.files().directory_path(), fault);
    let known = |hash| known_in(directory, hash).map_err(unreadable);
    let changes = fold(sealed, number, known)?;
    directory.with(changes.into_iter()).map_err(unreadable)
}

/// What a directory knows of the stream with a hash.
pub(crate) fn known_in(directory: &Directory, hash: u64) -> IndexResult<Option<(StreamKey, StreamHead)>> {
    let Some(check) = directory.check_of(hash)? else { return Ok(None) };
    let key = StreamKey { hash, check };
    Ok(directory.get(key)?.map(|head| (key, head)))
}

fn collect(index: &dyn IndexPart, touched: &mut Vec<Touched>) -> IndexResult<()> {
    let mut firsts = Vec::new();
    index.each_run(&mut |hash, run| {
        if run.previous == 0 {
            firsts.push((touched.len(), *run));
        }
        touched.push(Touched { hash, count: run.count, first_place: None });
        ControlFlow::Continue(())
    })?;
    let mut places = Vec::with_capacity(1);
    for (number, run) in firsts {
        places.clear();
        index.run_places(&run, 0, Direction::Forwards, 1, &mut places)?;
        touched[number].first_place = places.first().copied();
    }
    Ok(())
}

fn new_stream(
    view: &SegmentView,
    number: u32,
    place: LogOffset,
    stream: &Touched,
    window: &mut Window,
) -> Result<(StreamKey, StreamHead)> {
    let record = fetch::record_at(view, place, window)?;
    let key = StreamKey::of(record.event.stream, view.header.store_id);
    if record.event.version != Version::FIRST || key.hash != stream.hash {
        return Err(view.corrupt(view.file_offset(place), "the index found another event here"));
    }
    let version = Version::new(u64::from(stream.count));
    Ok((key, StreamHead { version, created: record.event.timestamp, latest: number }))
}
