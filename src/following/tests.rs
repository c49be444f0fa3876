//! What is followed while a writer comes.

use std::{collections::VecDeque, fmt, io, path::Path, sync::Arc};

use parking_lot::Mutex;

use super::Following;
use crate::{
    disk::{
        contract::{
            DirectoryEntry, DirectoryLock, Disk, DiskFile, EntryKind, FileLock, LockKind, OpenMode,
            ShareMode, SharedPage,
        },
        sim::{
            faults::{DiskOperation, Fault, SyncFailure},
            simulated::SimDisk,
        },
    },
    error::{Error, Result},
    event::EventData,
    log::segment::segment_path,
    news::News,
    opening::{self, Opened},
    options::Options,
    position::{ExpectedVersion, Position},
    stream::StreamId,
    time::Timestamp,
    writer::{
        answer::{self, Patience},
        bell::Meeting,
        request::Commit,
    },
};

const STORE: &str = "/store";

type Interruption = Box<dyn FnOnce() + Send>;

/// A follower's disk, on which something happens when it looks for the second segment.
struct InterruptedDisk {
    disk: SimDisk,
    interruption: Mutex<Option<Interruption>>,
}

impl fmt::Debug for InterruptedDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.disk.fmt(formatter)
    }
}

impl Disk for InterruptedDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        self.disk.list(path)
    }

    fn kind(&self, path: &Path) -> io::Result<Option<EntryKind>> {
        self.disk.kind(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if path == segment_path(Path::new(STORE), 2) {
            let interruption = self.interruption.lock().take();
            if let Some(interrupt) = interruption {
                interrupt();
            }
        }
        self.disk.open(path, mode)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock_dir(&self, path: &Path) -> io::Result<Option<Box<dyn DirectoryLock>>> {
        self.disk.lock_dir(path)
    }

    fn lock_file(&self, path: &Path, kind: LockKind) -> io::Result<Option<Box<dyn FileLock>>> {
        self.disk.lock_file(path, kind)
    }

    fn share(&self, path: &Path, mode: ShareMode) -> io::Result<Arc<dyn SharedPage>> {
        self.disk.share(path, mode)
    }

    fn boot_id(&self) -> io::Result<u128> {
        self.disk.boot_id()
    }
}

fn open_writer(disk: &SimDisk) -> Opened {
    let disk: Arc<dyn Disk> = Arc::new(disk.mount());
    opening::open(&disk, Path::new(STORE), &Options::new()).expect("it opens")
}

/// Appends an event by a turn of the writer on this thread: no background is beside it.
fn append(writer: &mut Opened) -> Result<()> {
    let stream = StreamId::new("order-1").expect("a valid name");
    let event = EventData::new("Placed", "{}");
    let commit = Commit::new().append(&stream, ExpectedVersion::Any, [event]);
    let ids = Options::new().ids;
    let commit = commit.encode(&*ids, writer.committed.store_id())?;
    let (request, pending) = answer::hand_over(commit, &Arc::new(Meeting::default()), Patience::Sleep);
    writer.core.turn(&mut VecDeque::from([request]), Timestamp::from_micros(1));
    pending.wait().map(drop)
}

/// The page says nothing, so the follower goes to the end of the valid frames. Before it gets there a writer comes,
/// commits an event, and writes another one that it can't make durable.
#[test]
fn what_a_writer_that_just_came_has_not_committed_is_not_shown() {
    let disk = SimDisk::new(1);
    let mut writer = open_writer(&disk);
    append(&mut writer).expect("stored");
    writer.core.close().expect("closed");
    drop(writer);
    disk.remove_file("/store/head").expect("a page");

    let interrupted = Arc::new(InterruptedDisk { disk: disk.mount(), interruption: Mutex::new(None) });
    let followed: Arc<dyn Disk> = Arc::clone(&interrupted) as Arc<dyn Disk>;
    let following = Following::open(followed, Path::new(STORE), &Options::new()).expect("it is followed");
    assert_eq!(following.committed().head(), Position::new(1));

    let come = Arc::new(Mutex::new(None));
    let (comes, its_disk) = (Arc::clone(&come), disk.clone());
    *interrupted.interruption.lock() = Some(Box::new(move || {
        let mut writer = open_writer(&its_disk);
        append(&mut writer).expect("stored");
        let fails = Fault::new(io::ErrorKind::Other).on(DiskOperation::Sync);
        its_disk.fail(fails.leaving(SyncFailure::StaysDirty));
        let told = append(&mut writer);
        assert!(matches!(told, Err(Error::OutcomeUnknown { .. })), "{told:?}");
        *comes.lock() = Some(writer);
    }));
    following.look_again().expect("it is followed");
    assert!(come.lock().is_some(), "a writer came in between");
    assert_eq!(following.committed().head(), Position::new(2), "what is committed, and no more");
    following.refresh().expect("the log hasn't gone back");
    following.look_again().expect("the log hasn't gone back");
}
