//! Restoring a store from a backup: all of it, or up to a moment.

use std::{
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    backup::{
        cut::{Cut, find_cut, shorten},
        destination::read_manifest,
        placing::{ExistingStore, Place},
        transfer::{NewFile, Portion, Teller, Walked, broken, walk},
    },
    backup_error::{BACKUP_MANIFEST, BackupError},
    disk::{
        contract::{Disk, OpenMode},
        os::OsDisk,
    },
    error::{Error, Result},
    format::manifest::{BackupManifest, ManifestSegment},
    inspect::report::Progress,
    log::{
        recovery::check_link,
        scan::{ChainEnd, Scan},
        segment::{Segment, segment_path},
    },
    opening::{check_directory, take_lock},
    options::Creation,
    position::{LogOffset, Position},
    query::AsOf,
    time::Timestamp,
};

/// How a store is restored; the default is all of the backup, where no store stands yet.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RestoreOptions {
    moment: Option<AsOf>,
    existing: ExistingStore,
}

impl RestoreOptions {
    /// The default: all of the backup, and [`ExistingStore::Refuse`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The store as it was at a time or a position: up to the last commit that was whole then. A commit isn't cut apart.
    #[must_use]
    pub fn as_of(mut self, moment: impl Into<AsOf>) -> Self {
        self.moment = Some(moment.into());
        self
    }

    /// What is done with a store that stands there.
    #[must_use]
    pub fn existing(mut self, existing: ExistingStore) -> Self {
        self.existing = existing;
        self
    }
}

/// What was restored.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The position of the last event in the restored store.
    pub last_position: Position,
    /// When that event was stored; none: the store has no events.
    pub last_timestamp: Option<Timestamp>,
    /// The position of the last event in the backup.
    pub backup_position: Position,
    /// How many segments the restored store has.
    pub segments: u64,
    /// How long its log is, in bytes.
    pub log_bytes: u64,
    /// Where the store is now that was there before, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// Restores a store from a backup, into a directory that isn't there or is empty, or in place of a store that is set
/// aside. Every byte is checked on its way. `tell` hears how far it is, and ends it with [`ControlFlow::Break`].
///
/// The restored store has the id that the store had, and goes on from there. If it ends before the backup does, positions
/// behind its end will be those of other events: a consumer whose cursor or state is from later starts anew.
///
/// # Errors
///
/// [`Error::Corrupt`] if the backup is damaged: it says where, and up to which position all is intact, which can be restored with
/// [`RestoreOptions::as_of`]. [`Error::Backup`] if there is no finished backup, if the destination is taken, and if it was
/// stopped. [`Error::Locked`] while a backup is made there, or a writer or another restore has the destination. [`Error::Io`]. In each case
/// what stood at the destination is there as before; what was begun is used again, or removed, by the next restore.
pub fn restore(
    backup: impl AsRef<Path>,
    destination: impl AsRef<Path>,
    options: &RestoreOptions,
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<RestoreReport> {
    restore_on(&OsDisk, backup, destination, options, tell)
}

/// [`restore`] on a disk of the caller's, such as a [`SimDisk`](crate::SimDisk).
///
/// # Errors
///
/// As [`restore`].
pub fn restore_on(
    disk: &dyn Disk,
    backup: impl AsRef<Path>,
    destination: impl AsRef<Path>,
    options: &RestoreOptions,
    tell: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<RestoreReport> {
    let (backup, destination) = (backup.as_ref(), destination.as_ref());
    let no_backup = |reason: &str| {
        Error::Backup(BackupError::NotABackup { path: backup.to_owned(), reason: reason.to_owned() })
    };
    check_directory(disk, backup, Creation::Never).map_err(|error| match error {
        Error::NotAStore { reason, .. } => no_backup(&reason),
        error => error,
    })?;
    // A backup that is made meanwhile would change what is read.
    let _lock = take_lock(disk, backup, Duration::ZERO)?;
    let manifest = read_manifest(disk, backup)?.ok_or_else(|| no_backup("it has no backup.manifest"))?;
    if !manifest.is_finished() {
        return Err(no_backup("its first backup was never finished; make a backup there again"));
    }
    let place = Place::begin(disk, destination, options.existing)?;
    let (teller, moment) = (Teller::new(tell, destination), moment_within(&manifest, options.moment));
    let (manifest, place, reached) = (&manifest, &place, Reached::default());
    let restored = Restoring { disk, backup, manifest, place, moment, teller, reached }.run();
    let reached = restored.inspect_err(|_| {
        // What is left of it is removed by the next one at the latest.
        place.clear().ok();
    })?;
    Ok(RestoreReport {
        last_position: reached.last_position(),
        last_timestamp: reached.timestamp,
        backup_position: manifest.position(),
        segments: reached.segments,
        log_bytes: reached.bytes,
        set_aside: place.finish(&manifest.meta, reached.log_offset)?,
    })
}

/// The moment, if the backup goes on behind it.
fn moment_within(manifest: &BackupManifest, moment: Option<AsOf>) -> Option<AsOf> {
    moment.filter(|moment| match moment {
        AsOf::Position(position) => *position < manifest.position(),
        AsOf::Time(time) => manifest.position() > Position::NONE && *time < manifest.timestamp(),
    })
}

/// A store that is being restored.
struct Restoring<'a> {
    disk: &'a dyn Disk,
    backup: &'a Path,
    manifest: &'a BackupManifest,
    place: &'a Place<'a>,
    /// Where the store is to end, if that is before the backup's end.
    moment: Option<AsOf>,
    teller: Teller<'a>,
    reached: Reached,
}

/// How far it has come.
#[derive(Default)]
struct Reached {
    end: Option<ChainEnd>,
    log_offset: LogOffset,
    timestamp: Option<Timestamp>,
    segments: u64,
    bytes: u64,
}

impl Reached {
    /// The position of the last event.
    fn last_position(&self) -> Position {
        self.end.map_or(Position::NONE, |end| end.next_position.previous())
    }
}

impl Restoring<'_> {
    fn run(mut self) -> Result<Reached> {
        let last = self.last_number();
        let wanted = || self.manifest.numbered().filter(|(number, _)| *number <= last);
        self.teller.expect(wanted().map(|(_, segment)| segment.bytes).sum());
        for (number, entry) in self.manifest.numbered().filter(|(number, _)| *number <= last) {
            let segment = self.open(number, entry)?;
            match self.moment.filter(|_| number == last) {
                Some(moment) => self.bring_up_to(&segment, entry, moment)?,
                None => self.bring(&segment, entry)?,
            }
        }
        self.check_end()?;
        Ok(self.reached)
    }

    /// All that was backed up ends with the event that the manifest names.
    fn check_end(&self) -> Result<()> {
        let (last, named) = (self.reached.last_position(), self.manifest.position());
        if self.moment.is_some() || last == named {
            return Ok(());
        }
        let reason = format!("it names {named} as the last position, and its segments end with {last}");
        Err(Error::corrupt(self.backup.join(BACKUP_MANIFEST), 0, reason, Some(last)))
    }

    /// The number of the segment in which the store is to end: the last one that has an event which was there at the
    /// moment, or the first.
    fn last_number(&self) -> u64 {
        let (manifest, first) = (self.manifest, self.manifest.meta.first_segment);
        let Some(moment) = self.moment else { return manifest.last_number().unwrap_or(first) };
        let was_begun = |entry: &ManifestSegment| match moment {
            AsOf::Position(position) => entry.first_position <= position.get(),
            AsOf::Time(time) => entry.first_timestamp <= time.micros(),
        };
        let later = manifest.segments.iter().skip(1).map(|entry| entry.first_position);
        let ends = later.chain([manifest.position().plus(1).get()]);
        // A segment without events, which ends where it begins, was begun at no time.
        let has_begun = manifest
            .numbered()
            .zip(ends)
            .filter(|((_, entry), end)| entry.first_position < *end && was_begun(entry));
        has_begun.last().map_or(first, |((number, _), _)| number)
    }

    fn open(&self, number: u64, entry: &ManifestSegment) -> Result<Segment> {
        let path = segment_path(self.backup, number);
        let intact = Position::new(entry.first_position).previous();
        let segment =
            Segment::open(self.disk, self.backup, number, OpenMode::Read).map_err(|error| match error {
                Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                    Error::corrupt(&path, 0, "this segment is missing from the backup", Some(intact))
                }
                Error::Corrupt { path, offset, reason, .. } => {
                    Error::corrupt(path, offset, reason, Some(intact))
                }
                error => error,
            })?;
        check_link(&segment, &self.manifest.meta, self.reached.end.as_ref())?;
        if entry.is_of(&segment.header) {
            return Ok(segment);
        }
        Err(Error::corrupt(&path, 0, "the segment isn't the one that backup.manifest names", Some(intact)))
    }

    /// Brings all of a segment that belongs to the backup.
    fn bring(&mut self, segment: &Segment, entry: &ManifestSegment) -> Result<()> {
        let mut file = NewFile::create(self.disk, self.place.segment_path(segment.header.number))?;
        let walked = walk(segment, Portion::UpTo(entry.bytes), &mut self.teller, Some(&mut file))?;
        if walked.hash != entry.hash {
            let reason = "the segment's bytes aren't those that backup.manifest names: their hash differs";
            let intact = segment.header.first_position.previous();
            return Err(Error::corrupt(&segment.path, 0, reason, Some(intact)));
        }
        self.reach(segment, &walked, file.finish()?);
        Ok(())
    }

    /// Brings a segment as it was at a moment.
    fn bring_up_to(&mut self, segment: &Segment, entry: &ManifestSegment, moment: AsOf) -> Result<()> {
        let Cut { whole_bytes, part_bytes } = find_cut(segment, entry.bytes, moment)?;
        let mut file = NewFile::create(self.disk, self.place.segment_path(segment.header.number))?;
        let mut walked = walk(segment, Portion::UpTo(whole_bytes), &mut self.teller, Some(&mut file))?;
        if let Some(part_bytes) = part_bytes {
            file.put(&shortened_frame(segment, walked.end, part_bytes)?)?;
        }
        let bytes = file.finish()?;
        if part_bytes.is_some() {
            walked = self.look_at_part(segment.header.number, bytes)?;
        }
        self.reach(segment, &walked, bytes);
        Ok(())
    }

    /// Reads what was made of a segment whose last frame is shortened.
    fn look_at_part(&mut self, number: u64, bytes: u64) -> Result<Walked> {
        let path = self.place.segment_path(number);
        let made = Segment::open_at(self.disk, &path, number, OpenMode::Read)?;
        let done = self.teller.done();
        let walked = walk(&made, Portion::UpTo(bytes), &mut self.teller, None)?;
        self.teller.set(done)?;
        Ok(walked)
    }

    fn reach(&mut self, segment: &Segment, walked: &Walked, bytes: u64) {
        let reached = &mut self.reached;
        reached.end = Some(walked.end);
        reached.log_offset = segment.log_offset(walked.end.file_offset);
        if let Some((_, last)) = walked.times {
            reached.timestamp = Some(last);
        }
        reached.segments += 1;
        reached.bytes += bytes;
    }
}

/// The frame that stands there, with the first so many bytes of its payload alone.
fn shortened_frame(segment: &Segment, end: ChainEnd, part_bytes: usize) -> Result<Vec<u8>> {
    let io = |error| Error::io("read", &segment.path, error);
    let mut scan = Scan::new(&*segment.file, &segment.header).map_err(io)?;
    scan.skip_to(end);
    match scan.next_whole_frame().map_err(io)? {
        Ok(frame) => Ok(shorten(&frame, part_bytes)),
        Err(stop) => Err(broken(segment, &end, stop.reason)),
    }
}
