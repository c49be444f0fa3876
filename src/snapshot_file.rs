//! One snapshot's file: where it is, and whether it can be used.
//!
//! ```text
//! snapshots/HASH OF THE STREAM'S NAME/VERSION-HASH OF THE STATE'S TYPE.snap
//! ```

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::{
    committed::Committed,
    disk::contract::{Disk, DiskFile, OpenMode},
    error::{Error, Result},
    event::ContentType,
    format::{
        control::EnvelopeFault,
        layout::{FORMAT_VERSION, bytes, checksum, index},
        snapshot::{BEGINNING_BYTES_MAX, FILE_BYTES_MAX, SnapshotHeader},
    },
    position::{Position, Version},
    records::look_at,
    selection::Source,
    snapshot::{IgnoredReason, Snapshot, SnapshotInfo},
    stream::StreamId,
    time::Timestamp,
};

/// The directory of the snapshots.
pub(crate) fn snapshots_directory(store: &Path) -> PathBuf {
    store.join("snapshots")
}

/// Where the files of a store's snapshots are.
#[derive(Debug)]
pub(crate) struct SnapshotPlaces {
    pub(crate) folder: PathBuf,
    pub(crate) store_id: u64,
}

impl SnapshotPlaces {
    pub(crate) fn new(store: &Path, store_id: u64) -> Self {
        Self { folder: snapshots_directory(store), store_id }
    }

    /// The store's id seeds the hashes, so that who chooses names can't choose some that collide.
    pub(crate) fn directory_of(&self, stream: &StreamId) -> PathBuf {
        let hash = xxh3_128_with_seed(stream.as_str().as_bytes(), self.store_id);
        self.folder.join(format!("{hash:032x}"))
    }

    pub(crate) fn type_hash(&self, state_type: &str) -> u64 {
        xxh3_64_with_seed(state_type.as_bytes(), self.store_id)
    }

    pub(crate) fn name_of(&self, version: Version, state_type: &str) -> FileName {
        FileName { version, type_hash: self.type_hash(state_type) }
    }
}

/// What the name of a snapshot's file says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct FileName {
    pub(crate) version: Version,
    pub(crate) type_hash: u64,
}

impl FileName {
    pub(crate) fn text(self) -> String {
        format!("{:020}-{:016x}.snap", self.version.get(), self.type_hash)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (version, type_hash) = text.strip_suffix(".snap")?.split_once('-')?;
        let version = Version::new(version.parse().ok()?);
        let name = Self { version, type_hash: u64::from_str_radix(type_hash, 16).ok()? };
        (name.text() == text).then_some(name)
    }
}

/// Why a file's snapshot can't be given.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The file was there when the directory was listed.
    Gone,
    Ignored(IgnoredReason),
    /// The log itself can't be looked at.
    Log(Error),
}

impl Fault {
    fn damaged(reason: &'static str) -> Self {
        Self::Ignored(IgnoredReason::Damaged(reason))
    }

    pub(crate) fn foreign(reason: &'static str) -> Self {
        Self::Ignored(IgnoredReason::Foreign(reason))
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            _ => Self::Ignored(IgnoredReason::Unreadable(Arc::new(error))),
        }
    }
}

impl From<EnvelopeFault> for Fault {
    fn from(fault: EnvelopeFault) -> Self {
        match fault {
            EnvelopeFault::Newer(found) => {
                Self::Ignored(IgnoredReason::NewerFormat { found, supported: FORMAT_VERSION })
            }
            EnvelopeFault::Damaged(reason) => Self::damaged(reason),
        }
    }
}

/// A snapshot's file whose header was checked against its name and the log.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    file: Arc<dyn DiskFile>,
    /// The file's first bytes, the header among them.
    beginning: Vec<u8>,
    header_bytes: usize,
    header: SnapshotHeader,
    stream: StreamId,
}

impl SnapshotFile {
    /// Opens a file and checks all but its state: that it is what its path says, and that the log has its event.
    pub(crate) fn open(
        disk: &dyn Disk,
        places: &SnapshotPlaces,
        committed: &Committed,
        place: (&Path, FileName),
    ) -> Result<Self, Fault> {
        let file = Self::open_alone(disk, places, place)?;
        check_event(committed, &file.stream, &file.header)?;
        Ok(file)
    }

    /// The same, but for its event.
    pub(crate) fn open_alone(
        disk: &dyn Disk,
        places: &SnapshotPlaces,
        (directory, name): (&Path, FileName),
    ) -> Result<Self, Fault> {
        let file = disk.open(&directory.join(name.text()), OpenMode::Read)?;
        let length = file.len()?;
        if length > bytes(FILE_BYTES_MAX) {
            return Err(Fault::damaged("it is longer than a snapshot can be"));
        }
        let mut beginning = vec![0; index(length).min(BEGINNING_BYTES_MAX)];
        file.read_exact_at(&mut beginning, 0)?;
        let (header, header_bytes) = SnapshotHeader::decode(&beginning)?;
        if header.state_bytes.checked_add(bytes(header_bytes)) != Some(length) {
            return Err(Fault::damaged("its state is longer or shorter than it says"));
        }
        if header.store_id != places.store_id {
            return Err(Fault::foreign("it is of another store"));
        }
        let stream =
            StreamId::new(header.stream.as_str()).map_err(|_| Fault::damaged("no stream has its name"))?;
        if directory != places.directory_of(&stream) {
            return Err(Fault::foreign("it is of another stream"));
        }
        if places.name_of(Version::new(header.version), &header.state_type) != name {
            return Err(Fault::foreign("it is of another state type or version"));
        }
        Ok(Self { file, beginning, header_bytes, header, stream })
    }

    /// What it says of itself.
    pub(crate) fn header(&self) -> &SnapshotHeader {
        &self.header
    }

    /// The state, checked.
    pub(crate) fn read_state(&self) -> Result<Vec<u8>, Fault> {
        let mut state = vec![0; index(self.header.state_bytes)];
        let known = &self.beginning[self.header_bytes..];
        state[..known.len()].copy_from_slice(known);
        self.file.read_exact_at(&mut state[known.len()..], bytes(self.beginning.len()))?;
        if checksum(&state) != self.header.state_checksum {
            return Err(Fault::damaged("its state's checksum doesn't match"));
        }
        Ok(state)
    }

    /// The whole snapshot.
    pub(crate) fn into_snapshot(self) -> Result<Snapshot, Fault> {
        let state = self.read_state()?;
        let Self { header, stream, .. } = self;
        Ok(Snapshot {
            stream,
            version: Version::new(header.version),
            position: Position::new(header.position),
            state_type: header.state_type,
            schema_version: header.schema_version,
            state,
            content_type: ContentType::new(header.content_type),
            created: Timestamp::from_micros(header.created),
        })
    }

    /// What is known without the state.
    pub(crate) fn info(self, path: PathBuf) -> SnapshotInfo {
        let Self { header, stream, .. } = self;
        SnapshotInfo {
            stream,
            version: Version::new(header.version),
            position: Position::new(header.position),
            state_type: header.state_type,
            schema_version: header.schema_version,
            state_bytes: header.state_bytes,
            content_type: ContentType::new(header.content_type),
            created: Timestamp::from_micros(header.created),
            path,
        }
    }
}

/// Whether the log has the event that a snapshot was made from.
fn check_event(committed: &Committed, stream: &StreamId, header: &SnapshotHeader) -> Result<(), Fault> {
    let version = Version::new(header.version);
    let last = committed.version(committed.key(stream.as_str())).map_err(Fault::Log)?;
    if version == Version::NONE || version > last {
        return Err(Fault::Ignored(IgnoredReason::EventGone));
    }
    let found = event_at(committed, stream, version).map_err(Fault::Log)?;
    if found == (Position::new(header.position), header.event_checksum) {
        return Ok(());
    }
    Err(Fault::Ignored(IgnoredReason::AnotherEvent))
}

/// Position and checksum of a stream's event, as it is stored.
pub(crate) fn event_at(
    committed: &Committed,
    stream: &StreamId,
    version: Version,
) -> Result<(Position, u32)> {
    let source = Source::Stream(stream.clone());
    look_at(committed, &source, version.get(), |record| (record.event.position, record.event.checksum))
}
