//! The writer's side of the log: frames go to the end of the active segment, and segments change.
//!
//! In `Fsync` mode no byte of the written part changes between a write and the end of its sync: EPOCH, SEAL
//! and DATA frames each have a write and a sync of their own.

use std::{
    mem,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    disk::contract::{Disk, DiskFile, OpenMode, is_full},
    error::{Error, Result},
    format::{
        control_frame::{SEAL_BYTES, Seal, encode_epoch},
        frame::{EpochMode, FRAME_HEADER_BYTES, FrameKind, FrameSpec, finish_frame, frame_bytes},
        layout::bytes,
        segment_header::SEGMENT_HEADER_BYTES,
    },
    log::{mark::Mark, recovery::Recovered, scan::ChainEnd, segment::Segment, view::SegmentView},
    options::ReadMode,
    position::{LogOffset, Position},
    sync::{AtomicU64, Mutex, Ordering},
};

/// What the log needs to know of the store.
#[derive(Clone, Debug)]
pub(crate) struct LogSettings {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) store: PathBuf,
    pub(crate) store_id: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) read: ReadMode,
    pub(crate) mode: EpochMode,
}

/// Why the log didn't take a frame.
#[derive(Debug)]
pub(crate) enum LogFailure {
    /// The disk is full, and no byte of the frame was written: the log goes on.
    Refused(Error),
    /// What is on the disk is unknown: the log is done.
    Final(Error),
}

/// How far the log has come; shared with the background.
#[derive(Debug)]
pub(crate) struct LogProgress {
    active: Mutex<Active>,
    written: AtomicU64,
    durable: AtomicU64,
    /// Held while what was written is made durable; set when that, or a write, has failed.
    has_failed: Mutex<bool>,
}

/// The segment that is written, and how long it may become with data, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) view: Arc<SegmentView>,
    pub(crate) capacity: u64,
    /// The background's own handle, older than all writes: the system tells of a failed write-back once for
    /// each handle, and the writer must hear of it too.
    pub(crate) syncer: Arc<dyn DiskFile>,
}

impl Active {
    fn new(settings: &LogSettings, segment: Segment, capacity: u64) -> Result<Self> {
        let view = Arc::new(segment.view(settings.read, capacity)?);
        let syncer = settings.disk.open(&segment.path, OpenMode::Read);
        let syncer = syncer.map_err(|error| Error::io("open", &segment.path, error))?;
        Ok(Self { segment: Arc::new(segment), view, capacity, syncer })
    }
}

impl LogProgress {
    /// The end of what was written.
    pub(crate) fn written(&self) -> LogOffset {
        LogOffset::new(self.written.load(Ordering::Acquire))
    }

    /// The end of what was synced.
    pub(crate) fn durable(&self) -> LogOffset {
        LogOffset::new(self.durable.load(Ordering::Acquire))
    }

    /// The segment that is written. All before it is synced.
    pub(crate) fn active(&self) -> Active {
        self.active.lock().clone()
    }

    /// Whether the active file is prepared for less than `ahead` bytes behind what was written, and can be for
    /// more.
    pub(crate) fn is_short_of(&self, ahead: u64) -> bool {
        let active = self.active.lock();
        let prepared = active.segment.prepared();
        prepared < active.capacity && active.segment.log_offset(prepared).get() < self.written().get() + ahead
    }

    /// Makes everything below `written` durable, by a sync of the active segment through one of its handles.
    /// After a failure none is tried again, since the system may call clean what it has lost.
    pub(crate) fn sync(&self, path: &Path, file: &dyn DiskFile, written: LogOffset) -> Result<()> {
        let mut has_failed = self.has_failed.lock();
        if *has_failed {
            return Err(Error::Failed { reason: "an earlier write or sync failed".into() });
        }
        if let Err(error) = file.sync() {
            *has_failed = true;
            return Err(Error::io("sync", path, error));
        }
        self.set_durable(written);
        Ok(())
    }

    /// Does something that is right only if nothing has failed.
    pub(crate) fn unless_failed(&self, action: impl FnOnce() -> Result<()>) -> Result<()> {
        let has_failed = self.has_failed.lock();
        if *has_failed { Ok(()) } else { action() }
    }

    /// Whether the log is done.
    pub(crate) fn has_failed(&self) -> bool {
        *self.has_failed.lock()
    }

    /// No sync counts from now on.
    pub(crate) fn fail(&self) {
        *self.has_failed.lock() = true;
    }

    fn set_durable(&self, durable: LogOffset) {
        self.durable.fetch_max(durable.get(), Ordering::AcqRel);
    }
}

/// The log, as its one writer has it.
#[derive(Debug)]
pub(crate) struct SegmentedLog {
    settings: LogSettings,
    active: Active,
    end: ChainEnd,
    progress: Arc<LogProgress>,
    mark: Arc<Mutex<Mark>>,
    epoch_is_begun: bool,
    /// Changes of segment that readers don't know yet.
    unannounced: Vec<SegmentChange>,
}

/// A segment was sealed, and the next one begun.
#[derive(Debug)]
pub(crate) struct SegmentChange {
    /// How the sealed one ends.
    pub(crate) sealed_end: ChainEnd,
    pub(crate) begun: Arc<SegmentView>,
}

impl SegmentChange {
    /// The number of the sealed one.
    pub(crate) fn sealed_number(&self) -> u64 {
        self.begun.header.number - 1
    }
}

impl SegmentedLog {
    /// Goes on from what recovery found. The active segment is shown as far as it is whole.
    pub(crate) fn new(settings: LogSettings, recovered: Recovered) -> Result<Self> {
        let Recovered { segment, end, mark } = recovered;
        let capacity = settings.segment_bytes.max(end.file_offset);
        let active = Active::new(&settings, segment, capacity)?;
        active.view.publish(end.file_offset);
        let written = active.segment.log_offset(end.file_offset).get();
        let progress = Arc::new(LogProgress {
            active: Mutex::new(active.clone()),
            written: AtomicU64::new(written),
            durable: AtomicU64::new(written),
            has_failed: Mutex::new(false),
        });
        let mark = Arc::new(Mutex::new(mark));
        Ok(Self { settings, active, end, progress, mark, epoch_is_begun: false, unannounced: Vec::new() })
    }

    pub(crate) fn progress(&self) -> &Arc<LogProgress> {
        &self.progress
    }

    pub(crate) fn mark(&self) -> &Arc<Mutex<Mark>> {
        &self.mark
    }

    /// The active segment, as readers have it.
    pub(crate) fn active(&self) -> &Arc<SegmentView> {
        &self.active.view
    }

    /// What the next frame goes on from.
    pub(crate) fn end(&self) -> ChainEnd {
        self.end
    }

    /// Where the next frame begins in the active segment.
    pub(crate) fn end_in_file(&self) -> u64 {
        self.end.file_offset
    }

    /// How much was written and not synced, in bytes.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.progress.written().get() - self.progress.durable().get()
    }

    /// Makes ready for a frame with a payload of so many bytes: the first of an opening is preceded by an
    /// EPOCH, and one that doesn't fit begins a new segment. Returns the changes of segment since the last
    /// time it succeeded: where a full disk refuses what comes behind one, it has happened all the same.
    pub(crate) fn prepare(&mut self, payload_bytes: usize) -> Result<Vec<SegmentChange>, LogFailure> {
        if !self.epoch_is_begun && self.end.seal.is_none() {
            // The sector that the EPOCH goes into may be on its way to the disk since the last closing cut the file off.
            self.sync()?;
            self.begin_epoch()?;
        }
        let length = bytes(frame_bytes(payload_bytes));
        let fits = self.end.file_offset + length <= self.active.capacity;
        if self.end.seal.is_some() || !fits {
            if self.end.seal.is_none() {
                self.seal()?;
            }
            self.begin_segment(length)?;
        }
        if !self.epoch_is_begun {
            self.begin_epoch()?;
        }
        Ok(mem::take(&mut self.unannounced))
    }

    /// Writes a frame of events behind everything else. `frame` has room for its header, and the payload.
    pub(crate) fn write_events(
        &mut self,
        frame: &mut Vec<u8>,
        next_position: Position,
    ) -> Result<(), LogFailure> {
        self.write(frame, FrameKind::Data, self.end.epoch, None)?;
        self.end.next_position = next_position;
        Ok(())
    }

    /// Makes everything that was written durable. A failure is final: no sync is ever repeated.
    pub(crate) fn sync(&mut self) -> Result<(), LogFailure> {
        let segment = &self.active.segment;
        let written = self.progress.written();
        self.progress.sync(&segment.path, &*segment.file, written).map_err(LogFailure::Final)
    }

    /// Ends the opening: syncs, cuts off what was prepared, and says in durable.mark that all is durable.
    pub(crate) fn close(&mut self) -> Result<()> {
        if self.unsynced_bytes() > 0 {
            self.sync().map_err(|failure| match failure {
                LogFailure::Refused(error) | LogFailure::Final(error) => error,
            })?;
        }
        self.active.segment.trim(self.end.file_offset)?;
        self.mark.lock().write(&*self.settings.disk, self.progress.durable())
    }

    fn begin_epoch(&mut self) -> Result<(), LogFailure> {
        let mut frame = frame_with(&encode_epoch(self.settings.mode));
        self.write(&mut frame, FrameKind::Epoch, self.end.epoch.saturating_add(1), None)?;
        self.sync()?;
        self.epoch_is_begun = true;
        Ok(())
    }

    fn seal(&mut self) -> Result<(), LogFailure> {
        let end = self.end.file_offset + bytes(frame_bytes(SEAL_BYTES));
        let seal = Seal { logical_end: self.active.segment.log_offset(end), chain_next: self.end.chain };
        let mut frame = frame_with(&seal.encode());
        // What was written before the SEAL is made durable first, so that its cycle is its own.
        if self.unsynced_bytes() > 0 {
            self.sync()?;
        }
        self.write(&mut frame, FrameKind::Seal, self.end.epoch, Some(seal))?;
        self.active.segment.trim(self.end.file_offset).map_err(LogFailure::Final)?;
        self.sync()
    }

    /// Makes the segment behind a sealed one. The sealed one is cut to its end, durably, before: what stood behind it, perhaps on
    /// the disk alone since a sync of zeros failed, would be damage from then on.
    fn begin_segment(&mut self, first_frame_bytes: u64) -> Result<(), LogFailure> {
        let seal = self.end.seal.expect("a segment begins behind a SEAL");
        if self.active.segment.trim(self.end.file_offset).map_err(LogFailure::Final)? {
            self.sync()?;
        }
        self.mark.lock().write(&*self.settings.disk, self.progress.durable()).map_err(refused_if_full)?;
        let number = self.active.segment.header.number + 1;
        let header =
            self.end.next_header(self.settings.store_id, number).expect("a segment begins behind a SEAL");
        let room_for_epoch = bytes(frame_bytes(encode_epoch(self.settings.mode).len()));
        let needed = bytes(SEGMENT_HEADER_BYTES) + room_for_epoch + first_frame_bytes;
        let capacity = self.settings.segment_bytes.max(needed);
        let segment =
            Segment::create(&*self.settings.disk, &self.settings.store, header).map_err(refused_if_full)?;
        let active = Active::new(&self.settings, segment, capacity).map_err(LogFailure::Final)?;
        let (sealed_end, begun) = (self.end, Arc::clone(&active.view));
        self.end.chain = seal.chain_next;
        self.end.file_offset = bytes(SEGMENT_HEADER_BYTES);
        self.end.seal = None;
        self.active = active;
        *self.progress.active.lock() = self.active.clone();
        let first_frame = begun.log_offset(self.end.file_offset);
        self.progress.written.store(first_frame.get(), Ordering::Release);
        self.progress.set_durable(first_frame);
        self.unannounced.push(SegmentChange { sealed_end, begun });
        Ok(())
    }

    fn write(
        &mut self,
        frame: &mut Vec<u8>,
        kind: FrameKind,
        epoch: u32,
        seal: Option<Seal>,
    ) -> Result<(), LogFailure> {
        let segment = &self.active.segment;
        let file_offset = self.end.file_offset;
        let mode = if kind == FrameKind::Epoch { self.settings.mode } else { self.end.mode };
        let spec = FrameSpec {
            log_offset: segment.log_offset(file_offset),
            file_offset,
            durable: self.progress.durable(),
            chain: self.end.chain,
            epoch,
            first_position: self.end.next_position,
            kind,
            mode,
            store_id: self.settings.store_id,
        };
        let chain = finish_frame(frame, &spec);
        segment.write(frame, file_offset).map_err(|error| {
            let failed = Error::io("write", &segment.path, error.source);
            if error.written == 0 { refused_if_full(failed) } else { LogFailure::Final(failed) }
        })?;
        let end = file_offset + bytes(frame.len());
        self.end = ChainEnd { file_offset: end, chain, epoch, mode, seal, ..self.end };
        self.progress.written.store(segment.log_offset(end).get(), Ordering::Release);
        Ok(())
    }
}

/// A buffer with room for a frame's header, and its payload.
fn frame_with(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; FRAME_HEADER_BYTES];
    frame.extend_from_slice(payload);
    frame
}

/// A full disk is no reason to give up, as long as nothing was written. A failed sync always is.
fn refused_if_full(error: Error) -> LogFailure {
    let full = matches!(&error, Error::Io { action, source, .. } if *action != "sync" && is_full(source));
    if full { LogFailure::Refused(error) } else { LogFailure::Final(error) }
}
