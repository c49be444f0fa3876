//! Annals itself.

use std::path::Path;

use annals::{
    ContentType, EventData, EventStore, Events, ExpectedVersion, Options, PendingAppend, StreamId, Version,
};
use uuid::Uuid;

use super::{Durability, Engine, Ids, PerStream, Reader, Writer, conflict};
use crate::{
    Outcome,
    in_flight::InFlight,
    payload::{EVENT_TYPE, METADATA, NewEvent, Stream, Tally},
};

/// A segment counts as full from this size on: 60 MiB of 64.
const FULL_SEGMENT_BYTES: u64 = 60 << 20;

/// The stream that fills a store's last segment, which no workload reads.
const FILLING_STREAM: u64 = 99_999_999;

pub(crate) struct Annals {
    store: EventStore,
    ids: Ids,
}

impl Annals {
    pub(crate) fn open(directory: &Path, durability: Durability, ids: Ids) -> Outcome<Self> {
        let durability = match durability {
            Durability::Durable => annals::Durability::Fsync,
            Durability::Buffered => annals::Durability::Buffered,
        };
        let store = EventStore::open_with(directory, Options::new().durability(durability))?;
        Ok(Self { store, ids })
    }

    /// Appends until the last segment is nearly full, so that a process that is killed leaves as much to
    /// read as it can. Every segment was begun by this process.
    pub(crate) fn fill_last_segment(&self) -> Outcome<()> {
        const STEP: u64 = 2_000;
        let (stream, mut version) = (Stream::new(FILLING_STREAM), 0);
        let mut writer = AnnalsWriter::new(self);
        let mut segments = 0;
        let mut begun_bytes = 0;
        loop {
            let info = self.store.info()?;
            if info.segments > segments {
                (segments, begun_bytes) = (info.segments, info.log_bytes);
            }
            // Where the first segment begins isn't known, since events were there before.
            if version > 0 && info.log_bytes - begun_bytes > FULL_SEGMENT_BYTES - (1 << 20) {
                return Ok(());
            }
            for _ in 0..STEP {
                writer.submit(&stream, version, &[NewEvent::new(FILLING_STREAM, version + 1)])?;
                version += 1;
            }
            writer.finish()?;
        }
    }
}

impl Engine for Annals {
    fn writer(&self) -> Outcome<Box<dyn Writer + '_>> {
        Ok(Box::new(AnnalsWriter::new(self)))
    }

    fn reader(&self) -> Outcome<Box<dyn Reader + '_>> {
        Ok(Box::new(AnnalsReader { reader: self.store.reader().clone(), streams: PerStream::new() }))
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.store.close()?)
    }
}

/// What an append of one event takes in the log, in bytes, measured with a store of its own: its second append, since the
/// first one of an opening writes more.
pub(crate) fn frame_bytes(directory: &Path) -> Outcome<usize> {
    let directory = tempfile::tempdir_in(directory)?;
    let annals = Annals::open(&directory.path().join("frames"), Durability::Buffered, Ids::Own)?;
    let stream = Stream::new(0);
    let mut log_bytes = [0; 2];
    for (version, log_bytes) in (0..).zip(&mut log_bytes) {
        annals.writer()?.append(&stream, version, &[NewEvent::new(0, version + 1)])?;
        *log_bytes = annals.store.info()?.log_bytes;
    }
    annals.store.close()?;
    Ok(usize::try_from(log_bytes[1] - log_bytes[0])?)
}

struct AnnalsWriter<'a> {
    annals: &'a Annals,
    streams: PerStream<StreamId>,
    pending: InFlight,
}

impl<'a> AnnalsWriter<'a> {
    fn new(annals: &'a Annals) -> Self {
        Self { annals, streams: PerStream::new(), pending: InFlight::new() }
    }

    fn hand_over(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<PendingAppend> {
        let stream = self.streams.get_or_make(stream, stream_id)?;
        let expected = ExpectedVersion::Exact(Version::new(expected));
        let ids = self.annals.ids;
        let events = events.iter().map(|event| event_data(event, ids));
        Ok(self.annals.store.submit(stream, expected, events)?)
    }
}

fn stream_id(name: &str) -> Outcome<StreamId> {
    Ok(StreamId::new(name)?)
}

fn event_data(event: &NewEvent, ids: Ids) -> EventData {
    let data = EventData::new(EVENT_TYPE, event.data())
        .with_content_type(ContentType::JSON)
        .with_metadata_bytes(METADATA, ContentType::JSON);
    match ids {
        Ids::Given => data.with_id(Uuid::from_bytes(event.id)),
        Ids::Own => data,
    }
}

impl Writer for AnnalsWriter<'_> {
    fn append(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        match self.hand_over(stream, expected, events)?.wait() {
            Ok(_) => Ok(()),
            Err(annals::Error::VersionConflict { .. }) => Err(conflict(stream, expected)),
            Err(error) => Err(error.into()),
        }
    }

    fn submit(&mut self, stream: &Stream, expected: u64, events: &[NewEvent]) -> Outcome<()> {
        self.pending.make_room()?;
        let pending = self.hand_over(stream, expected, events)?;
        self.pending.add(pending);
        Ok(())
    }

    fn finish(&mut self) -> Outcome<()> {
        Ok(self.pending.wait_for_all()?)
    }
}

struct AnnalsReader {
    reader: annals::Reader,
    streams: PerStream<StreamId>,
}

impl Reader for AnnalsReader {
    fn read_stream(&mut self, stream: &Stream, tally: &mut Tally) -> Outcome<()> {
        let mut events: Events = self.reader.read_stream(self.streams.get_or_make(stream, stream_id)?);
        while let Some(event) = events.try_next()? {
            tally.add(event.version.get(), event.event_type.as_bytes(), event.metadata_bytes, event.data);
        }
        Ok(())
    }

    fn read_all(&mut self, tally: &mut Tally) -> Outcome<()> {
        let mut events = self.reader.read_all();
        while let Some(event) = events.try_next()? {
            tally.add(event.position.get(), event.event_type.as_bytes(), event.metadata_bytes, event.data);
        }
        Ok(())
    }
}
