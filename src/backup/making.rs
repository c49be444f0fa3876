//! Making a backup: what is new since the one before is checked and copied, or linked.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use crate::{
    backup::{
        destination::Destination,
        history,
        source::Source,
        transfer::{NewFile, Portion, Teller, Walked, walk},
    },
    backup_error::BackupError,
    disk::{contract::Disk, os::OsDisk},
    error::{Error, Result},
    follower::Follower,
    format::manifest::{BackupManifest, ManifestSegment},
    inspect::report::Progress,
    log::{
        recovery::check_link,
        scan::ChainEnd,
        segment::{Segment, segment_path},
    },
    options::{Options, ReadMode},
    position::Position,
    reader::Reader,
};

/// Whether a backup may share files with its store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Linking {
    /// Sealed segments, which never change, get a further name in the backup where both are on one file system: they take
    /// no room, and their bytes are on the disk once. What damages these bytes damages both.
    #[default]
    WherePossible,
    /// Every file of the backup is its own; what an earlier backup has linked is copied.
    Never,
}

/// What of a backup's directory is read, besides what is new.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Checking {
    /// Nothing: what an earlier backup has put there is left alone, if it has its length.
    #[default]
    New,
    /// All segments: what isn't as it was put there is brought from the store again.
    Everything,
}

/// How a backup is made; the default suits a first copy on the same disk, and any copy on another.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BackupOptions {
    linking: Linking,
    checking: Checking,
}

impl BackupOptions {
    /// The default: [`Linking::WherePossible`] and [`Checking::New`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether sealed segments may be hard links.
    #[must_use]
    pub fn linking(mut self, linking: Linking) -> Self {
        self.linking = linking;
        self
    }

    /// What of the directory is read again.
    #[must_use]
    pub fn checking(mut self, checking: Checking) -> Self {
        self.checking = checking;
        self
    }
}

/// What a backup holds, and what it took to make it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct BackupReport {
    /// The position of the last event in the backup.
    pub last_position: Position,
    /// How long the backup's log is, in bytes.
    pub log_bytes: u64,
    /// How many segments were copied. The last one always is, if anything is new.
    pub segments_copied: u64,
    /// How many are hard links to the store's files, made by this backup.
    pub segments_linked: u64,
    /// How many were there from an earlier backup, and were left alone.
    pub segments_kept: u64,
    /// How many of those that were copied or linked were there already, damaged. Known with [`Checking::Everything`].
    pub segments_mended: u64,
    /// How much was written, in bytes.
    pub bytes_copied: u64,
}

/// Makes a backup of the store in a directory, whether a program has it open or none does. `tell` hears how far it is,
/// and ends it with [`ControlFlow::Break`]. [`Reader::backup`] is the same for a store that is open.
///
/// ```
/// use annals::{BackupOptions, EventData, EventStore, ExpectedVersion, Position, RestoreOptions, StreamId, backup, restore};
/// use std::ops::ControlFlow;
///
/// # let directory = tempfile::tempdir()?;
/// # let (shop, saved) = (directory.path().join("shop.annals"), directory.path().join("saved"));
/// let store = EventStore::open(&shop)?;
/// let order = StreamId::new("order-17")?;
/// store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
///
/// let made = backup(&shop, &saved, &BackupOptions::new(), &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(made.last_position, Position::new(1));
///
/// let again = directory.path().join("again.annals");
/// restore(&saved, &again, &RestoreOptions::new(), &mut |_| ControlFlow::Continue(()))?;
/// assert_eq!(EventStore::open(again)?.read_stream(&order).count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of [`Follower::open`] and of [`Reader::backup`].
pub fn backup(
    store: impl AsRef<Path>,
    destination: impl AsRef<Path>,
    options: &BackupOptions,
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<BackupReport> {
    backup_on(Arc::new(OsDisk), store, destination, options, tell)
}

/// [`backup`] on a disk of the caller's, such as a [`SimDisk`](crate::SimDisk).
///
/// # Errors
///
/// As [`backup`].
pub fn backup_on(
    disk: Arc<dyn Disk>,
    store: impl AsRef<Path>,
    destination: impl AsRef<Path>,
    options: &BackupOptions,
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<BackupReport> {
    // A page that the disk can't read is to be an error.
    let follower = Follower::open_on(disk, store, Options::new().read(ReadMode::Pread))?;
    follower.backup(destination, options, tell)
}

impl Reader {
    /// Makes a backup of the store in a directory that has backups of it, is empty, or isn't there: a store of its own, of
    /// all that is committed when the backup begins, whole. Appends and reads go on meanwhile.
    ///
    /// In a directory that has one already, only what is new is read and written: sealed segments that the older backup
    /// has are left alone. The older backup is whole until the newer one is, whatever happens; one that was interrupted
    /// is made whole by making a backup again.
    ///
    /// Every frame is checked on its way. What follows from the log isn't backed up: index files and snapshots. Checkpoints
    /// and registered event types are events, and in it.
    ///
    /// `tell` hears how far it is, and ends it with [`ControlFlow::Break`].
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] if the store is damaged: nothing damaged is put in place. [`Error::Backup`] if the directory
    /// is the store's or in it, holds something else, or another store's backups, or events that this store hasn't, and if it was stopped.
    /// [`Error::Locked`] while another backup is made there, or a program has the directory open as a store. [`Error::Io`].
    pub fn backup(
        &self,
        destination: impl AsRef<Path>,
        options: &BackupOptions,
        tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<BackupReport> {
        let path = destination.as_ref();
        let source = Source::of(self.current()?)?;
        refuse_inside(&source.store, path)?;
        let destination = Destination::open(&source.disk, path, &source.meta)?;
        let manifest = BackupManifest::begun(source.meta.clone());
        let (teller, report) = (Teller::new(tell, path), BackupReport::default());
        Making { source, destination, options: *options, teller, manifest, reached: None, report }.run()
    }
}

/// Refuses a directory within the store, where a backup would be lost with it. A link that leads there isn't seen.
fn refuse_inside(store: &Path, destination: &Path) -> Result<()> {
    let absolute = |path: &Path| std::path::absolute(path).map_err(|error| Error::io("look up", path, error));
    if absolute(destination)?.starts_with(absolute(store)?) {
        let reason = "it is in the store that is to be backed up; choose a directory elsewhere".to_owned();
        return Err(Error::Backup(BackupError::DestinationTaken { path: destination.to_owned(), reason }));
    }
    Ok(())
}

/// A backup that is being made.
struct Making<'a> {
    source: Source,
    destination: Destination,
    options: BackupOptions,
    teller: Teller<'a>,
    /// What is in place so far.
    manifest: BackupManifest,
    /// How the segment before ends, if it was read.
    reached: Option<ChainEnd>,
    report: BackupReport,
}

impl Making<'_> {
    fn run(mut self) -> Result<BackupReport> {
        self.check_history()?;
        self.expect();
        for number in self.source.meta.first_segment..=self.source.last {
            let segment = self.bring(number)?;
            self.manifest.log_offset = segment.base + segment.bytes;
            self.manifest.segments.push(segment);
        }
        self.destination.finish(&self.manifest)?;
        self.report.last_position = self.manifest.position();
        self.report.log_bytes = self.manifest.segments.iter().map(|segment| segment.bytes).sum();
        Ok(self.report)
    }

    /// Refuses a destination whose backup isn't a beginning of this log, before anything is changed there.
    fn check_history(&self) -> Result<()> {
        if self.destination.newest_number()?.is_some_and(|newest| newest > self.source.last) {
            return Err(self.behind());
        }
        let known = &self.destination.manifest;
        let Some((number, last)) = known.numbered().next_back() else { return Ok(()) };
        let segment = self.source.segment(number)?;
        if !last.is_of(&segment.header) {
            return Err(self.differs());
        }
        if number == self.source.last && last.bytes > self.source.end {
            return Err(self.behind());
        }
        let mut end = ChainEnd::beginning(&segment.header);
        (end.file_offset, end.chain) = (last.bytes, known.chain);
        if self.source.passes(&segment, &end)? { Ok(()) } else { Err(self.differs()) }
    }

    fn behind(&self) -> Error {
        let (backed_up, position) = (self.destination.manifest.position, self.source.position);
        self.other_history(format!(
            "its log goes on behind the store's end at position {position} (the last whole backup there goes up to \
             {backed_up})"
        ))
    }

    fn differs(&self) -> Error {
        let position = self.destination.manifest.position;
        self.other_history(format!("its events up to position {position} aren't all those of the store"))
    }

    fn appended(&self) -> Error {
        let position = self.destination.manifest.position;
        self.other_history(format!("behind position {position} it holds what the store hasn't got"))
    }

    fn other_history(&self, reason: String) -> Error {
        let is_same = |(number, known): &(u64, &ManifestSegment)| {
            self.source.segment(*number).is_ok_and(|segment| known.is_of(&segment.header))
        };
        let same = self.destination.manifest.numbered().rev().find(is_same);
        let common = same.map_or(Position::NONE, |(number, known)| {
            let before = Position::new(known.first_position).previous();
            // What can't be read here is told by who needs it.
            self.last_common(number).map_or(before, |common| common.max(before))
        });
        let path = self.destination.path().to_owned();
        Error::Backup(BackupError::OtherHistory { path, reason, common })
    }

    /// The last position up to which a segment is the same in both.
    fn last_common(&self, number: u64) -> Result<Position> {
        let segment = self.source.segment(number)?;
        let bytes_max = if number == self.source.last { self.source.end } else { segment.prepared() };
        history::last_common(&segment, bytes_max, &self.destination.segment(number)?)
    }

    /// Reckons how much there is to be read: what stands behind the sealed segments of the backup before.
    fn expect(&mut self) {
        let begin = self.destination.manifest.segments.last().map_or(0, |last| last.base);
        let end = self.source.segment(self.source.last).map(|segment| segment.log_offset(self.source.end));
        self.teller.expect(end.map_or(0, |end| end.get().saturating_sub(begin)));
    }

    /// Makes sure that a segment is in place.
    fn bring(&mut self, number: u64) -> Result<ManifestSegment> {
        let known = self.destination.manifest.segment(number).cloned();
        let is_sealed_there = self.destination.manifest.last_number().is_some_and(|last| number < last);
        let file_bytes = self.destination.file_bytes(number)?;
        if let Some(known) = &known
            && file_bytes == Some(known.bytes)
            && (is_sealed_there || self.is_end(number, known.bytes))
            && self.may_stay(number, known)?
        {
            return Ok(self.keep_known(known.clone()));
        }
        let segment = self.source.segment(number)?;
        match &known {
            // What came before it wasn't read, but is named by the chain in its header.
            Some(known) if self.reached.is_none() && !known.is_of(&segment.header) => {
                return Err(self.differs());
            }
            Some(_) if self.reached.is_none() => {}
            _ => check_link(&segment, &self.source.meta, self.reached.as_ref())?,
        }
        if is_sealed_there {
            // It isn't as the manifest says: it is brought once more.
            self.teller.expect(known.as_ref().map_or(0, |known| known.bytes));
        } else if let Some(file_bytes) = file_bytes {
            // One that is as the backup before has left it, and of which there is more now, needs no look.
            let is_short = known.as_ref().is_some_and(|known| {
                file_bytes == known.bytes && (number == self.source.last || file_bytes < segment.prepared())
            });
            if !is_short && let Some(found) = self.keep_found(&segment)? {
                return Ok(found);
            }
        }
        self.transfer(&segment, known.as_ref().filter(|_| is_sealed_there))
    }

    /// Whether a segment that the manifest knows is left alone, as far as the options say.
    fn may_stay(&mut self, number: u64, known: &ManifestSegment) -> Result<bool> {
        if self.options.checking == Checking::Everything && !self.is_intact(number, known)? {
            self.report.segments_mended += 1;
            return Ok(false);
        }
        Ok(self.options.linking == Linking::WherePossible || !self.destination.is_linked(number)?)
    }

    /// Whether a segment has the bytes that the manifest names.
    fn is_intact(&mut self, number: u64, known: &ManifestSegment) -> Result<bool> {
        self.teller.expect(known.bytes);
        let walked = self
            .destination
            .segment(number)
            .and_then(|found| walk(&found, Portion::UpTo(known.bytes), &mut self.teller, None));
        match walked {
            Ok(walked) => Ok(walked.hash == known.hash),
            // A disk that can't read it any more is one of the reasons to look.
            Err(Error::Corrupt { .. } | Error::Io { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the log ends there.
    fn is_end(&self, number: u64, bytes: u64) -> bool {
        number == self.source.last && bytes == self.source.end
    }

    /// A segment that the manifest knows, and whose file is as long as it says, is left alone.
    fn keep_known(&mut self, known: ManifestSegment) -> ManifestSegment {
        let before = &self.destination.manifest;
        (self.manifest.position, self.manifest.timestamp) = (before.position, before.timestamp);
        self.manifest.chain = before.chain;
        self.reached = None;
        self.report.segments_kept += 1;
        known
    }

    /// Looks at a segment that an interrupted backup has left in place, or of which the store has more. If it is
    /// what is wanted, it is left alone; if it isn't a beginning of that, somebody else has written it.
    fn keep_found(&mut self, segment: &Segment) -> Result<Option<ManifestSegment>> {
        let number = segment.header.number;
        let found = match self.destination.segment(number) {
            // Damage is mended by the store's own bytes.
            Err(Error::Corrupt { .. }) => return Ok(None),
            found => found?,
        };
        if found.header != segment.header {
            return Err(self.appended());
        }
        let done = self.teller.done();
        let walked = match walk(&found, Portion::Valid, &mut self.teller, None) {
            Err(Error::Corrupt { .. }) => return Ok(None),
            walked => walked?,
        };
        if !self.source.passes(segment, &walked.end)? {
            return Err(self.appended());
        }
        let is_whole = if number < self.source.last {
            walked.end.seal.is_some()
        } else {
            walked.end.file_offset == self.source.end
        };
        if !is_whole || found.prepared() != walked.end.file_offset {
            self.teller.set(done)?;
            return Ok(None);
        }
        found.file.sync().map_err(|error| Error::io("sync", &found.path, error))?;
        self.report.segments_kept += 1;
        Ok(Some(self.reach(segment, &walked)))
    }

    /// Checks a segment, and puts it in place, if it is what the manifest has promised.
    fn transfer(&mut self, segment: &Segment, promised: Option<&ManifestSegment>) -> Result<ManifestSegment> {
        let number = segment.header.number;
        let brought = match self.link(segment) {
            Ok(Some(walked)) => Ok(walked),
            Ok(None) => self.copy(segment),
            Err(error) => Err(error),
        };
        let expected = brought.and_then(|walked| match promised {
            Some(promised) if walked.entry(&segment.header) != *promised => Err(self.differs()),
            _ => Ok(walked),
        });
        let walked = expected.inspect_err(|_| {
            // What is left of it is removed by the next backup at the latest.
            self.destination.remove_temporary(number).ok();
        })?;
        self.destination.put_in_place(number)?;
        Ok(self.reach(segment, &walked))
    }

    /// Gives a sealed segment a further name. None: that can't be, or isn't wanted.
    fn link(&mut self, segment: &Segment) -> Result<Option<Walked>> {
        let number = segment.header.number;
        // What isn't sealed changes, and the backup's last segment may be written to, where the backup is opened as a store.
        if self.options.linking == Linking::Never || number == self.source.last {
            return Ok(None);
        }
        let path = segment_path(&self.source.store, number);
        // Where another file system is the reason, and where a full disk is: what a copy can do, that it does.
        if self.source.disk.hard_link(&path, &self.destination.temporary_path(number)).is_err() {
            return Ok(None);
        }
        let done = self.teller.done();
        let walked = walk(segment, Portion::Sealed, &mut self.teller, None)?;
        if walked.end.file_offset != segment.prepared() {
            // The writer is about to cut off what it had prepared.
            self.destination.remove_temporary(number)?;
            self.teller.set(done)?;
            return Ok(None);
        }
        self.report.segments_linked += 1;
        Ok(Some(walked))
    }

    fn copy(&mut self, segment: &Segment) -> Result<Walked> {
        let number = segment.header.number;
        let portion =
            if number == self.source.last { Portion::UpTo(self.source.end) } else { Portion::Sealed };
        let mut file = NewFile::create(&*self.source.disk, self.destination.temporary_path(number))?;
        let walked = walk(segment, portion, &mut self.teller, Some(&mut file))?;
        self.report.bytes_copied += file.finish()?;
        self.report.segments_copied += 1;
        Ok(walked)
    }

    /// Notes how far the backup has come.
    fn reach(&mut self, segment: &Segment, walked: &Walked) -> ManifestSegment {
        self.manifest.position = walked.end.next_position.previous().get();
        self.manifest.chain = walked.end.chain;
        if let Some((_, last)) = walked.times {
            self.manifest.timestamp = last.micros();
        }
        self.reached = Some(walked.end);
        walked.entry(&segment.header)
    }
}
