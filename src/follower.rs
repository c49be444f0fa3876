//! The follower: reads a store that another process writes.

use std::{
    fmt,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    disk::{contract::Disk, os::OsDisk},
    error::Result,
    following::Following,
    news::News,
    options::Options,
    position::Position,
    reader::Reader,
    snapshots::SnapshotFolder,
};

/// Reads a store, in any number of processes, while another one writes it or none does. All that reads is a
/// [`Reader`]'s, which the follower is too.
///
/// It never writes to the log and never repairs it, and takes no lock that keeps a writer out. Each read
/// sees what was committed when it began. The writer may end, be killed and be started again meanwhile.
///
/// What it shows is committed: with [`Durability::Fsync`](crate::Durability::Fsync) it survives a power cut. With
/// [`Durability::Buffered`](crate::Durability::Buffered) that holds for what is shown while no writer is alive, since
/// the follower syncs it before; what is shown beside a writer can go with the power, as for the writer's own readers.
///
/// ```
/// use annals::{EventData, EventStore, ExpectedVersion, Follower, Position, StreamId};
/// use std::time::Duration;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("shop.annals");
/// let store = EventStore::open(&path)?;
/// // In another process:
/// let follower = Follower::open(&path)?;
/// # let order = StreamId::new("order-17")?;
/// store.append(&order, ExpectedVersion::NoStream, [EventData::new("OrderPlaced", "{}")])?;
/// let last = follower.wait_beyond(Position::NONE, Duration::from_secs(10))?;
/// assert_eq!(last, Position::FIRST);
/// for event in follower.read_stream(&order) {
///     assert_eq!(event?.event_type, "OrderPlaced");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Follower {
    path: PathBuf,
    reader: Reader,
    following: Arc<Following>,
}

impl Follower {
    /// Opens a store to follow it, with the default [`Options`].
    ///
    /// # Errors
    ///
    /// As [`open_on`](Self::open_on).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, Options::default())
    }

    /// Opens a store to follow it. Of the options [`Options::read`], [`Options::upcasters`] and
    /// [`Options::on_opening_progress`] count.
    ///
    /// # Errors
    ///
    /// As [`open_on`](Self::open_on).
    pub fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::open_on(Arc::new(OsDisk), path, options)
    }

    /// Opens a store to follow it, on a disk of the caller's.
    ///
    /// # Errors
    ///
    /// [`Error::NotAStore`](crate::Error::NotAStore) where none is, [`Error::Corrupt`](crate::Error::Corrupt) if what
    /// was stored is damaged, [`Error::NewerFormat`](crate::Error::NewerFormat),
    /// [`Error::Io`](crate::Error::Io).
    #[allow(clippy::needless_pass_by_value, reason = "as EventStore::open_on takes them")]
    pub fn open_on(disk: Arc<dyn Disk>, path: impl AsRef<Path>, options: Options) -> Result<Self> {
        let path = path.as_ref().to_owned();
        let following = Following::open(Arc::clone(&disk), &path, &options)?;
        let news = Arc::clone(&following) as Arc<dyn News>;
        let committed = Arc::clone(following.committed());
        let snapshots = Arc::new(SnapshotFolder::new(disk, &path, committed.store_id()));
        let reader = Reader::new(committed, news, snapshots, options.upcasters);
        Ok(Self { path, reader, following })
    }

    /// The store's directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All that reads. A clone goes to another thread.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Waits until there is an event behind a position, or the time is over. Returns the position of the last event.
    ///
    /// Sleeps until the writer wakes it (on Linux; elsewhere, and where the store can't be written by this process,
    /// it looks each millisecond). A writer that comes back is noticed within a second.
    ///
    /// # Errors
    ///
    /// [`Error::Replaced`](crate::Error::Replaced), [`Error::Corrupt`](crate::Error::Corrupt) and
    /// [`Error::Io`](crate::Error::Io) where the log can't be followed.
    pub fn wait_beyond(&self, position: Position, timeout: Duration) -> Result<Position> {
        self.following.wait_beyond(position, timeout)
    }

    /// Looks anew whether a writer is alive, and at all that is committed. Reads do so by themselves, but
    /// notice only within a second that a writer has ended; behind this call they have.
    ///
    /// # Errors
    ///
    /// As [`wait_beyond`](Self::wait_beyond).
    pub fn refresh(&self) -> Result<()> {
        self.following.look_again()
    }
}

impl Deref for Follower {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        &self.reader
    }
}

impl AsRef<Reader> for Follower {
    fn as_ref(&self) -> &Reader {
        &self.reader
    }
}

impl fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Follower")
            .field("path", &self.path)
            .field("reader", &self.reader)
            .finish_non_exhaustive()
    }
}
